"""Garbage cycles found in a cloned child: exact, and this process stops only to gather pointers and to be cloned."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.heap.child import DEADLINE_S, END, GROUP, PROGRESS, Numbers, Say, Spent, ask_child

#: A group of components: slots of the types around, length of the cycle, cycles, objects, bytes.
GroupRow = tuple[tuple[int, ...], int, int, int, int]

_PHASES: Final = ("filling", "counting references", "reaching what lives", "naming cycles")
_WORD_BYTES: Final = 8


@dataclass
class Found:
    """What a child told."""

    groups: list[GroupRow] = field(default_factory=list)
    tracked_objects: int = 0
    garbage_objects: int = 0
    garbage_bytes: int = 0

    def take(self, say: Say, kind: int, numbers: Numbers, more: bytes) -> None:
        """Note one message."""
        first, second, third, fourth = numbers
        if kind == PROGRESS:
            say(_PHASES[first], second, third)
        elif kind == GROUP:
            around = struct.unpack(f"={len(more) // _WORD_BYTES}Q", more)
            self.groups.append((around, fourth, first, second, third))
        elif kind == END:
            self.tracked_objects, self.garbage_objects, self.garbage_bytes = first, second, third


def find_garbage_in_child(
    name_type: Callable[[int, type], object], say: Say, *, deadline_s: float = DEADLINE_S
) -> tuple[Found, Spent]:
    """The garbage of this moment, in groups, and what finding it cost; NotSupported where it fails.

    ``name_type`` is called with the slot of each type that there is; ``say`` several times a second, and what it raises
    ends the child.
    """
    types: list[tuple[int, type]] = []

    def start(extension: Any) -> tuple[int, int]:
        pid, fd, found_types = extension.start_cycles(max(1, int(deadline_s)))
        types.extend(found_types)
        return pid, fd

    def name_types() -> None:
        while types:
            name_type(*types.pop())

    found = Found()
    spent = ask_child(
        start, lambda *message: found.take(say, *message), say, meanwhile=name_types, deadline_s=deadline_s
    )
    return found, spent
