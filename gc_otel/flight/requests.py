"""Requests and answers, as files beside a flight file: their names, their limits, and how they are read and written.

A request is ``STEM.request-N`` beside ``STEM.flight``; the process answers in ``STEM.answer-N`` and tells of its
progress in ``STEM.progress-N``.  There are few N, so a process never has more requests to read than that.
Who asks makes the request, and removes all three; a request that is gone is wanted by nobody any more.
Every file is made under a temporary name, mode 0600, and believed only if it is a regular file of this user.
"""

from __future__ import annotations

import errno
import os
import stat

from gc_otel.flight.folder import SUFFIX

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from typing import Final

#: How many may ask one process at the same time.
SLOTS: Final = 4

#: Raised whenever a request or an answer changes its meaning.
FORMAT: Final = 1

REQUEST_BYTES_MOST: Final = 4096
ANSWER_BYTES_MOST: Final = 2 * 2**20

#: After this time nobody waits for it any more, whoever made it.
STALE_S: Final = 900.0

_MARKS: Final = (".request-", ".answer-", ".progress-")
_TEMPORARY: Final = ".new"


def request_path(location: str, slot: int) -> str:
    """The request in that slot to the process with that flight file."""
    return f"{location.removesuffix(SUFFIX)}.request-{slot}"


def answer_path(location: str, slot: int) -> str:
    """The answer to it."""
    return f"{location.removesuffix(SUFFIX)}.answer-{slot}"


def progress_path(location: str, slot: int) -> str:
    """How far the answer is; it is there as soon as the process has taken the request."""
    return f"{location.removesuffix(SUFFIX)}.progress-{slot}"


def waiting(location: str) -> list[int]:
    """The slots that hold a request; costs a few microseconds."""
    return [slot for slot in range(SLOTS) if os.access(request_path(location, slot), os.F_OK)]


def which(path: str) -> tuple[int, int] | None:
    """Which file is there now: the next one in its place is another; None where there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def read(path: str, most_bytes: int) -> bytes | None:
    """What is in the file; None where there is none.

    OSError where it is not what it must be: a regular file of this user and nobody else's to read, of
    at most so many bytes.  Links are not followed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise OSError(errno.EPERM, "not a file of this user alone", path)
        if status.st_size > most_bytes:
            raise OSError(errno.EFBIG, "larger than allowed", path)
        raw = b""
        while len(raw) <= most_bytes:
            part = os.read(fd, most_bytes + 1 - len(raw))
            if not part:
                return raw
            raw += part
        raise OSError(errno.EFBIG, "larger than allowed", path)
    finally:
        os.close(fd)


def write(path: str, raw: bytes) -> None:
    """Put the file there whole, in place of what was there; OSError."""
    temporary = _make(path, raw)
    try:
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise


def place(path: str, raw: bytes) -> bool:
    """Put the file there whole, unless there is one already; OSError."""
    temporary = _make(path, raw)
    try:
        os.link(temporary, path, follow_symlinks=False)  # unlike a rename it takes nobody's place
    except FileExistsError:
        return False
    finally:
        remove(temporary)
    return True


def _make(path: str, raw: bytes) -> str:
    temporary = f"{path}.{os.urandom(8).hex()}{_TEMPORARY}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(raw)
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        remove(temporary)
        raise
    finally:
        os.close(fd)
    return temporary


def remove(path: str) -> None:
    """Delete the file, if it is there."""
    try:
        os.unlink(path)
    except OSError:
        return


def sweep(folder: str, now_s: float) -> int:
    """Delete what nobody waits for any more, of whichever process; returns how many."""
    removed = 0
    for name in os.listdir(folder):
        if any(mark in name for mark in _MARKS):
            path = os.path.join(folder, name)
            try:
                if now_s - os.lstat(path).st_mtime > STALE_S:
                    os.unlink(path)
                    removed += 1
            except OSError:
                continue  # another sweeper was faster
    return removed
