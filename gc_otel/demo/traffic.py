"""The demo's own traffic: one client, one request after the other, at a bounded rate."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from types import TracebackType
from typing import Final, final

REQUESTS_PER_S: Final = 60.0
_TIMEOUT_S: Final = 10.0


@final
class Traffic:
    """Requests to a port of this machine from a thread of its own, while inside ``with``."""

    def __init__(self, host: str, port: int, *, requests_per_s: float = REQUESTS_PER_S) -> None:
        self.answered = 0
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        self._pause_s = 1 / requests_per_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gc-otel demo traffic", daemon=True)

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._ended.wait(max(0.0, next_s - time.monotonic())):
            # What a slow answer delayed is not made up for: the rate is a bound.
            next_s = max(next_s + self._pause_s, time.monotonic())
            self._ask()

    def _ask(self) -> None:
        try:
            self._connection.request("GET", "/")
            self._connection.getresponse().read()
            self.answered += 1
        except (OSError, http.client.HTTPException):
            # Whether the service is still there is not for this thread to say.
            self._connection.close()
            self._ended.wait(0.1)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_TIMEOUT_S)
        with contextlib.suppress(OSError):
            self._connection.close()
