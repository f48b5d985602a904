"""The signals that end an exporter."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Signals:
    """SIGTERM and SIGINT as counts, and as something to wait for; only in a main thread, where they arrive."""

    def __init__(self) -> None:
        self.terminations = 0
        self.is_interrupted = False
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGTERM, self._terminate), (signal.SIGINT, self._interrupt)):
                self._before[number] = signal.signal(number, handler)
        return self

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self.terminations += 1
        self.wake()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        self.wake()

    def wake(self) -> None:
        """Make ``fd`` readable; any thread may."""
        with contextlib.suppress(OSError):  # full: it is readable already; or at its end, and nobody waits
            os.write(self._write_fd, b".")

    def drain(self) -> None:
        """Make it unreadable again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # Taken away before it is closed: a thread that is late must not write to whoever gets the number next.
        write_fd, self._write_fd = self._write_fd, -1
        os.close(self.fd)
        os.close(write_fd)
