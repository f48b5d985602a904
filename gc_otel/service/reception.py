"""The exporter's end of its socket: launchers that join, and commands that ask how it is.

Whatever is sent is judged: what is no request is counted and answered with an error, and a client that says
nothing is let go.  Runs in the exporter's main loop; nothing in it waits.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.service.control import REQUEST_BYTES_MOST, Claim, Followed

_CONNECTIONS_MOST: Final = 32
_FDS_MOST: Final = 2
_PATIENCE_NS: Final = 2_000_000_000
_COMMAND_LETTERS_MOST: Final = 100
_PID_LINE: Final = re.compile(r"^Pid:\s*(\d+)$", re.MULTILINE)

Answer = Mapping[str, object]


class _NoRequest(ValueError):
    """Its text says what is wrong with it."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    until_ns: int
    raw: bytes = b""
    fds: list[int] = field(default_factory=list)

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())
        self.socket.close()


class Reception:
    """Answers on a claim's socket.  ``follow`` takes over the descriptors of what it is given."""

    def __init__(self, claim: Claim, *, follow: Callable[[Followed], Answer], status: Callable[[], Answer]) -> None:
        self._claim = claim
        self._follow = follow
        self._status = status
        self._connections: dict[int, _Connection] = {}
        self.skipped = 0

    def fds(self) -> list[int]:
        """What to wait on to be readable; :meth:`handle` each that is."""
        return [self._claim.listener.fileno(), *self._connections]

    def handle(self, fd: int) -> None:
        """Let a client in, or read what one says."""
        connection = self._connections.get(fd)
        if connection is not None:
            self._read(connection)
        elif fd == self._claim.listener.fileno():
            self._let_in()

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):  # nobody is left, or there is no descriptor for one now
            while True:
                accepted, _ = self._claim.listener.accept()
                accepted.setblocking(False)
                if len(self._connections) >= _CONNECTIONS_MOST:  # a crowd that says nothing keeps nobody out
                    self._skip(next(iter(self._connections.values())))
                self._connections[accepted.fileno()] = _Connection(accepted, time.monotonic_ns() + _PATIENCE_NS)

    def expire(self) -> None:
        """Let go of those that have said nothing whole for too long."""
        now_ns = time.monotonic_ns()
        for connection in [each for each in self._connections.values() if each.until_ns <= now_ns]:
            self._skip(connection)

    def _skip(self, connection: _Connection) -> None:
        self.skipped += 1
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.pop(connection.socket.fileno(), None)
        connection.close()

    def _read(self, connection: _Connection) -> None:
        try:
            data = _receive(connection)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.raw += data
        if data and b"\n" not in connection.raw and len(connection.raw) <= REQUEST_BYTES_MOST:
            return
        try:
            answer = self._answer(connection)
        except _NoRequest as error:
            self.skipped += 1
            answer = {"error": str(error)}
        with contextlib.suppress(OSError):  # gone without waiting, or it reads nothing: an answer fits into any buffer
            connection.socket.sendall(json.dumps(answer).encode() + b"\n")
        self._drop(connection)

    def _answer(self, connection: _Connection) -> Answer:
        request = _parse(connection.raw)
        if request.get("do") == "status":
            return self._status()
        if request.get("do") != "follow":
            raise _NoRequest("there is follow, and status")
        return self._follow(_followed(request, connection.fds))

    def close(self) -> None:
        """Let all go."""
        for connection in list(self._connections.values()):
            self._drop(connection)


def _receive(connection: _Connection) -> bytes:
    room = array.array("i")
    data, ancillary, _, _ = connection.socket.recvmsg(
        REQUEST_BYTES_MOST, socket.CMSG_SPACE(_FDS_MOST * room.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            connection.fds.extend(received)
    return data


def _parse(raw: bytes) -> dict[str, Any]:
    line, newline, _ = raw.partition(b"\n")
    if not newline:
        raise _NoRequest(f"a request is one line of at most {REQUEST_BYTES_MOST} bytes")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise _NoRequest("a request is JSON") from None
    if not isinstance(request, dict):
        raise _NoRequest("a request is an object")
    return request


def _followed(request: Mapping[str, Any], fds: list[int]) -> Followed:
    """The descriptors are no longer the connection's when this returns."""
    if not 1 <= len(fds) <= _FDS_MOST:
        raise _NoRequest("with follow come a pidfd and perhaps a standard error")
    pid = pid_of(fds[0])
    if pid is None:
        raise _NoRequest("the first descriptor is not the pidfd of a living process of this pid namespace")
    name = request.get("command")
    letters = name[:_COMMAND_LETTERS_MOST] if isinstance(name, str) else ""
    command = "".join(letter for letter in letters if letter.isprintable())
    pidfd, stderr_fd = fds[0], fds[1] if len(fds) > 1 else None
    fds.clear()
    return Followed(pidfd, stderr_fd, pid, command)


def pid_of(pidfd: int) -> int | None:
    """The pid that a pidfd stands for; None when it is none, or of a process that has gone or is not in sight."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii", errors="replace") as info:
            found = _PID_LINE.search(info.read())
    except OSError:
        return None
    return int(found[1]) or None if found is not None else None
