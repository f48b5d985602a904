"""A cloned child of this process that reads the heap: the parent's side, with a deadline and an end whatever happens.

HAZARD ZONE 2 is ``_native/child.c``, which argues what the child does and does not.  There is no twin in Python: a child
that may run no Python code cannot be written in it.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap import pages

DEADLINE_S: Final = 600
#: Kinds of messages; ``_native/child.h`` has them too.
PROGRESS, GROUP, END, FAILED, TYPE, CHARGE, NAME = 1, 2, 3, 4, 5, 6, 7

_LOOK_MS: Final = 50
_MESSAGE: Final = struct.Struct("=6Q")
_WORD_BYTES: Final = 8

#: In place of gc_otel's own children when it runs on an interpreter without the extension.
IN_PROCESS: Final = "Ask for it in the process itself (--in-process), where it stops the process meanwhile."

Numbers = tuple[int, int, int, int]
#: Told the kind of a message, its four numbers, and what follows them.
Take = Callable[[int, Numbers, bytes], object]
#: Told a phase, and how much of how many is done.
Say = Callable[..., object]


@dataclass(frozen=True)
class Spent:
    """What a child cost: the pause of this process, and the child's CPU time and memory beside what it shared."""

    pause_ns: int
    cpu_ns: int
    memory_bytes: int


def why_not() -> str | None:
    """Why no child can be made here, or None."""
    extension, reason = _native.load()
    if sys.platform != "linux":
        return "a child that nobody notices needs Linux"
    if extension is None:
        return f"it takes the C extension, which is not here ({reason})"
    return None


def ask_child(
    start: Callable[[Any], tuple[int, int]],
    take: Take,
    say: Say,
    *,
    deadline_s: float = DEADLINE_S,
) -> Spent:
    """Have a child made by ``start``, which is given the extension, and ``take`` called with each of its messages.

    ``say`` is called several times a second; what it or ``take`` raises ends the child.  NotSupported where there can be
    none, or where it fails.
    """
    reason = why_not()
    if reason is not None:
        raise NotSupported(f"the heap cannot be examined in a child: {reason}", remedy=IN_PROCESS)
    extension: Any = _native.load()[0]
    pages.have_looked_at()
    began_ns = time.perf_counter_ns()
    pid, fd = start(extension)
    pause_ns = time.perf_counter_ns() - began_ns
    ended = (0, 0, 0)
    try:
        has_told_all = _listen(extension, fd, take, say, time.monotonic() + deadline_s)
    finally:
        ended = extension.end_child(pid, fd)
    status, cpu_ns, faults = ended
    if not has_told_all:
        raise NotSupported(f"the child that examined the heap ended early ({_how(status)})", remedy=IN_PROCESS)
    return Spent(pause_ns, cpu_ns, faults * os.sysconf("SC_PAGESIZE"))


def _how(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def _listen(extension: Any, fd: int, take: Take, say: Say, deadline_s: float) -> bool:
    """False where it has ended before it told all; its status will tell how."""
    messages = Messages(take)
    while not messages.are_all:
        part = extension.read_child(fd, _LOOK_MS)
        if part == b"":
            return False
        if part is None:
            say("examining")
        messages.add(part or b"")
        if time.monotonic() > deadline_s:
            raise NotSupported(
                "the child has not examined the heap in time", remedy="Ask again when the machine is less busy."
            )
    return True


class Messages:
    """Cuts what comes through the pipe, which knows no boundaries; ``are_all`` after the last one."""

    def __init__(self, take: Take) -> None:
        self.are_all = False
        self._take = take
        self._raw = b""

    def add(self, part: bytes) -> None:
        """Pass on what is whole; NotSupported where the child says that it has failed."""
        raw, at = self._raw + part, 0
        while len(raw) - at >= _MESSAGE.size:
            kind, first, second, third, fourth, more = _MESSAGE.unpack_from(raw, at)
            end = at + _MESSAGE.size + more * _WORD_BYTES
            if len(raw) < end:
                break
            if kind == FAILED:
                raise NotSupported("the child had no memory to examine the heap", remedy=IN_PROCESS)
            self._take(kind, (first, second, third, fourth), raw[at + _MESSAGE.size : end])
            self.are_all = self.are_all or kind == END
            at = end
        self._raw = raw[at:]
