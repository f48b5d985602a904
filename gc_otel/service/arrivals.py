"""Told by the kernel when a flight file gets its name: who lives shorter than a look at the folder takes to come is seen too."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Final

from gc_otel.flight.folder import Folder

#: inotify(7); flight files are renamed into place.
_MOVED_TO: Final = 0x00000080
_ONLY_FOLDERS: Final = 0x01000000
_NO_LINKS: Final = 0x02000000
_READ_BYTES: Final = 65536


class Arrivals:
    """``fd`` is readable when something has arrived, or -1 where the kernel tells nothing: then the folder is looked at now and then."""

    def __init__(self, folder: Folder, note_fault: Callable[[str, BaseException], None]) -> None:
        self.fd = -1
        try:
            self.fd = _watch(folder.location)
        except (OSError, AttributeError) as error:  # so many watchers already, or a C library without it
            note_fault("arrivals", error)

    def fds(self) -> tuple[int, ...]:
        """What to wait on."""
        return (self.fd,) if self.fd >= 0 else ()

    def drain(self) -> None:
        """Make it unreadable again; what has arrived is found by looking."""
        if self.fd >= 0:
            with contextlib.suppress(BlockingIOError):
                os.read(self.fd, _READ_BYTES)

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _watch(location: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise _error()
    if libc.inotify_add_watch(fd, os.fsencode(location), _MOVED_TO | _ONLY_FOLDERS | _NO_LINKS) < 0:
        error = _error()
        os.close(fd)
        raise error
    return fd


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
