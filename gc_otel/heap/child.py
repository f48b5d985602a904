"""Garbage cycles found in a cloned child of this process: exact, and the process itself stops only to gather pointers.

HAZARD ZONE 2 is ``_native/child.c``, which argues what the child does and does not; here is the side of the parent:
a deadline, and an end whatever happens.  There is no twin in Python: a child that may
run no Python code cannot be written in it.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel import _native
from gc_otel.errors import NotSupported

#: A group of components: slots of the types around, length of the cycle, cycles, objects, bytes.
GroupRow = tuple[tuple[int, ...], int, int, int, int]

DEADLINE_S: Final = 600

_LOOK_MS: Final = 50
_MESSAGE: Final = struct.Struct("=6Q")
_PROGRESS, _GROUP, _END, _FAILED = 1, 2, 3, 4
_PHASES: Final = ("filling", "counting references", "reaching what lives", "naming cycles")
_WORD_BYTES: Final = 8

#: In place of gc_otel's own children when it runs on an interpreter without the extension.
IN_PROCESS: Final = "Ask for it in the process itself (--in-process), where it stops the process meanwhile."


@dataclass
class Found:
    """What a child told.  ``types`` are names by slot, taken when it was made."""

    groups: list[GroupRow] = field(default_factory=list)
    tracked_objects: int = 0
    garbage_objects: int = 0
    garbage_bytes: int = 0
    pause_ns: int = 0
    child_cpu_ns: int = 0
    child_memory_bytes: int = 0


def why_not() -> str | None:
    """Why no child can be made here, or None."""
    extension, reason = _native.load()
    if sys.platform != "linux":
        return "a child that nobody notices needs Linux"
    if extension is None:
        return f"it takes the C extension, which is not here ({reason})"
    return None


def find_garbage_in_child(
    name_type: Callable[[int, type], object],
    say: Callable[..., object],
    *,
    deadline_s: float = DEADLINE_S,
) -> Found:
    """The garbage of this moment, in groups; NotSupported where it fails, and whatever ``say`` raises ends it.

    ``name_type`` is called with the slot of each type that there is; ``say`` several times a second.
    """
    reason = why_not()
    if reason is not None:
        raise NotSupported(f"garbage cannot be examined in a child: {reason}", remedy=IN_PROCESS)
    extension: Any = _native.load()[0]
    began_ns = time.perf_counter_ns()
    pid, fd, types = extension.start_child(max(1, int(deadline_s)))
    found = Found(pause_ns=time.perf_counter_ns() - began_ns)
    ended = (0, 0, 0)
    try:
        for slot, cls in types:
            name_type(slot, cls)
        del types
        _listen(extension, fd, found, say, time.monotonic() + deadline_s)
    finally:
        ended = extension.end_child(pid, fd)
    status, found.child_cpu_ns, faults = ended
    found.child_memory_bytes = faults * os.sysconf("SC_PAGESIZE")
    if not found.tracked_objects:
        raise NotSupported(f"the child that examined the heap ended early ({_how(status)})", remedy=IN_PROCESS)
    return found


def _how(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def _listen(extension: Any, fd: int, found: Found, say: Callable[..., object], deadline_s: float) -> None:
    raw = b""
    while not found.tracked_objects:
        part = extension.read_child(fd, _LOOK_MS)
        if part == b"":
            return  # it has ended, and its status will tell how
        if part is None:
            say("examining")
        raw = _take_messages(raw + (part or b""), found, say)
        if time.monotonic() > deadline_s:
            raise NotSupported(
                "the child has not examined the heap in time", remedy="Ask again when the machine is less busy."
            )


def _take_messages(raw: bytes, found: Found, say: Callable[..., object]) -> bytes:
    """What is left of the bytes behind the last whole message."""
    at = 0
    while len(raw) - at >= _MESSAGE.size:
        kind, first, second, third, fourth, slots = _MESSAGE.unpack_from(raw, at)
        end = at + _MESSAGE.size + slots * _WORD_BYTES
        if len(raw) < end:
            break
        if kind == _PROGRESS:
            say(_PHASES[first], second, third)
        elif kind == _GROUP:
            around = struct.unpack_from(f"={slots}Q", raw, at + _MESSAGE.size)
            found.groups.append((around, fourth, first, second, third))
        elif kind == _END:
            found.tracked_objects, found.garbage_objects, found.garbage_bytes = first, second, third
        elif kind == _FAILED:
            raise NotSupported("the child had no memory to examine the heap", remedy=IN_PROCESS)
        at = end
    return raw[at:]
