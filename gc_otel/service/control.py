"""Exactly one exporter per folder: the lock that says so, and the socket on which launchers join it.

The folder is open to its user only (mode 0700), and so are both.  A launcher's order is:
:func:`join`; where that gives None, :meth:`Claim.take`, and with a claim a listening socket and an
exporter; where the claim is taken, :func:`join` again, because another launcher was faster.
Only the standard library is imported here: launchers must start fast.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gc_otel.errors import FlightFolderError
from gc_otel.flight.file import GROUP_FILE_MODE
from gc_otel.flight.folder import EXPORTER_LOCK_NAME, Folder

LOCK_NAME: Final = EXPORTER_LOCK_NAME
SOCKET_NAME: Final = "exporter.sock"

REQUEST_BYTES_MOST: Final = 4096
_ANSWER_BYTES_MOST: Final = 1 << 20
_BACKLOG: Final = 64
_AGAIN_S: Final = 0.02
_ASK_S: Final = 2.0
_CLAIM_ATTEMPTS: Final = 25
_CLAIM_AGAIN_S: Final = 0.004


@dataclass(frozen=True, slots=True)
class Followed:
    """A launcher, which is its program after exec: followed until ``pidfd`` says that it has ended.

    ``stderr_fd`` is held no longer than that; None: nobody to warn.  ``command`` is the
    name of what was started, for warnings.
    """

    pidfd: int
    stderr_fd: int | None
    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The exporter that follows the caller from now on.  ``address`` is such as ``http://127.0.0.1:9464``."""

    address: str
    folder: str
    pid: int


class Claim:
    """The right to be the folder's exporter: its lock, and the socket on which launchers join, listening already.

    Both go with the descriptors into a forked image.  The launcher, whose image does not serve, only
    drops them: by exec, or by :meth:`close`.
    """

    def __init__(self, folder: Folder, lock_fd: int, listener: socket.socket) -> None:
        self.folder = folder
        self.listener = listener
        self._lock_fd = lock_fd

    @classmethod
    def take(cls, folder: Folder) -> Claim | None:
        """The claim, or None while another process has it; OSError where the folder cannot be used."""
        with _inside(folder) as inside:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock_fd = os.open(LOCK_NAME, flags, 0o600, dir_fd=inside)
            if folder.group is not None:  # another user's exporter of the same group looks whether there is one
                os.fchmod(lock_fd, GROUP_FILE_MODE)
        try:
            if not _lock(lock_fd):
                os.close(lock_fd)
                return None
            return cls(folder, lock_fd, _listen(folder))
        except BaseException:
            os.close(lock_fd)
            raise

    @property
    def fds(self) -> tuple[int, int]:
        """The descriptors that a forked image must keep open."""
        return self._lock_fd, self.listener.fileno()

    def close(self) -> None:
        """Drop it in this image; another image that has it keeps it."""
        self.listener.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def release(self) -> None:
        """Give it up for all: the socket's name first, so that nobody finds a folder that is claimed by nobody."""
        with contextlib.suppress(OSError):
            os.unlink(self.folder.path / SOCKET_NAME)
        self.close()


def _lock(fd: int) -> bool:
    for _ in range(_CLAIM_ATTEMPTS):
        if _lock_at_once(fd, fcntl.LOCK_EX):
            return True
        time.sleep(_CLAIM_AGAIN_S)  # perhaps only somebody who looked whether it is taken, for an instant
    return False


def _lock_at_once(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _listen(folder: Folder) -> socket.socket:
    # Under the lock: a name that is there belongs to an exporter that was killed.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder.path / SOCKET_NAME)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _socket_address(folder) as address:
            listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _socket_address(folder: Folder) -> Iterator[str]:
    """A name that fits: unix(7) has room for 108 bytes, and folders can be longer."""
    with _inside(folder) as inside:
        yield f"/proc/self/fd/{inside}/{SOCKET_NAME}"


@contextlib.contextmanager
def _inside(folder: Folder) -> Iterator[int]:
    """A descriptor to look names up in; OSError where the folder is not fit, or not any more.

    Who could put another one in its place would be given a standard error, and be believed to be the exporter.
    """
    try:
        fd = folder.pin()
    except FlightFolderError as error:
        raise PermissionError(errno.EPERM, str(error)) from error
    try:
        yield fd
    finally:
        os.close(fd)


def is_claimed(folder: Folder) -> bool:
    """Whether an exporter, or a launcher about to start one, has the folder."""
    try:
        with _inside(folder) as inside:
            fd = os.open(LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    except OSError:
        return False
    try:
        return not _lock_at_once(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def claimed_elsewhere(folder: Folder) -> str | None:
    """In group mode the folder of another user whose exporter serves the group already; else None."""
    for location in folder.locations_to_read():
        if location == folder.location:
            continue
        try:
            fd = os.open(os.path.join(location, LOCK_NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if not _lock_at_once(fd, fcntl.LOCK_SH):
                return location
        finally:
            os.close(fd)
    return None


def join(folder: Folder, *, pidfd: int, stderr_fd: int | None, command: str, patience_s: float = 5.0) -> Joined | None:
    """Let the folder's exporter follow this process (``pidfd``, still open after this) and warn on ``stderr_fd``.

    None: there is no exporter (any more), or, with the folder still claimed, none that answered within
    ``patience_s``.  One that is about to end is waited for, so that its port is free afterwards.
    """
    fds = [pidfd] if stderr_fd is None else [pidfd, stderr_fd]
    deadline_s = time.monotonic() + patience_s
    while True:
        answer = ask(folder, {"do": "follow", "command": command}, fds)
        joined = None if answer is None else _joined(answer)
        if joined is not None:
            return joined
        if not is_claimed(folder) or time.monotonic() > deadline_s:
            return None
        time.sleep(_AGAIN_S)


def _joined(answer: Mapping[str, Any]) -> Joined | None:
    address, folder, pid = answer.get("address"), answer.get("folder"), answer.get("pid")
    if isinstance(address, str) and isinstance(folder, str) and isinstance(pid, int):
        return Joined(address, folder, pid)
    return None


def ask(folder: Folder, request: Mapping[str, object], fds: Sequence[int] = ()) -> dict[str, Any] | None:
    """The exporter's answer to one request; None where there is none, or it is no answer."""
    line = json.dumps(request).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ASK_S)
            with _socket_address(folder) as address:
                connection.connect(address)
            socket.send_fds(connection, [line], fds)
            answer = json.loads(_read_line(connection))
    except (OSError, ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _read_line(connection: socket.socket) -> bytes:
    raw = b""
    while not raw.endswith(b"\n") and len(raw) < _ANSWER_BYTES_MOST:
        part = connection.recv(65536)
        if not part:
            break
        raw += part
    return raw
