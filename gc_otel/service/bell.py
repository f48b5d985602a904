"""Wake the monitor of another process, which sleeps on a word of its flight file.

FUTEX_WAKE needs neither to write nor to read the word: the file is mapped read-only and never touched, so one
that is truncated meanwhile is an error of the call and no SIGBUS.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gc_otel.flight import layout

if TYPE_CHECKING:
    from typing_extensions import Self

#: The number of futex(2).
_FUTEX_NUMBERS: Final = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
_FUTEX_WAKE: Final = 1
_MAP_FAILED: Final = ctypes.c_void_p(-1).value
_EVERYBODY: Final = 2**31 - 1


class Bell:
    """``ring()`` as often as wanted; it does nothing where the machine or the file does not allow it.

    Then the request is found at the monitor's next round.
    """

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._number = _FUTEX_NUMBERS.get(os.uname().machine) if sys.platform == "linux" else None
        self._address = 0 if self._number is None else self._map(path)

    def _map(self, path: Path) -> int:
        call = self._libc.mmap
        call.restype = ctypes.c_void_p
        call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            address = call(None, layout.FILE_BYTES, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        finally:
            os.close(fd)
        return 0 if address is None or address == _MAP_FAILED else int(address)

    def ring(self) -> bool:
        """Wake the monitor; whether it was waiting for that."""
        if not self._address:
            return False
        word = self._address + layout.MONITOR.cell("requests") * layout.CELL_BYTES
        arguments = (ctypes.c_long(self._number or 0), ctypes.c_void_p(word), ctypes.c_int(_FUTEX_WAKE))
        return bool(self._libc.syscall(*arguments, ctypes.c_int(_EVERYBODY), None, None, ctypes.c_int(0)) > 0)

    def close(self) -> None:
        """Unmap the file."""
        if self._address:
            self._libc.munmap(ctypes.c_void_p(self._address), ctypes.c_size_t(layout.FILE_BYTES))
            self._address = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
