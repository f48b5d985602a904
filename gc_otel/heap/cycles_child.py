"""Garbage cycles found in a cloned child: exact, and this process stops only to be cloned.

The child speaks of types by their addresses, and says what each is called: when this is read the program may have lost it.
None may be held meanwhile, or what is garbage with its class would not be garbage in the child.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.heap.child import DEADLINE_S, END, GROUP, NAME, PROGRESS, Numbers, Say, Spent, ask_child
from gc_otel.heap.tracked import all_types

#: A group of components: addresses of the types around, length of the cycle, cycles, objects, bytes.
GroupRow = tuple[tuple[int, ...], int, int, int, int]

_PHASES: Final = ("filling", "counting references", "reaching what lives", "naming cycles")
_WORD_BYTES: Final = 8
#: Types that are made while those that there are are counted, or that are in nobody's ``__subclasses__()``.
_MORE_TYPES: Final = 1024


@dataclass
class Found:
    """What a child told."""

    groups: list[GroupRow] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    tracked_objects: int = 0
    garbage_objects: int = 0
    garbage_bytes: int = 0

    def take(self, say: Say, kind: int, numbers: Numbers, more: bytes) -> None:
        """Note one message."""
        first, second, third, fourth = numbers
        if kind == PROGRESS:
            say(_PHASES[first], second, third)
        elif kind == NAME:
            self.names[first] = more.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == GROUP:
            around = struct.unpack(f"={len(more) // _WORD_BYTES}Q", more)
            self.groups.append((around, fourth, first, second, third))
        elif kind == END:
            self.tracked_objects, self.garbage_objects, self.garbage_bytes = first, second, third


def find_garbage_in_child(say: Say, *, deadline_s: float = DEADLINE_S) -> tuple[Found, Spent]:
    """The garbage of this moment, in groups, and what finding it cost; NotSupported where it fails.

    ``say`` is called several times a second, and what it raises ends the child.
    """
    types = len(all_types()) + _MORE_TYPES

    def start(extension: Any) -> tuple[int, int]:
        started: tuple[int, int] = extension.start_cycles(types, max(1, int(deadline_s)))
        return started

    found = Found()
    return found, ask_child(start, lambda *message: found.take(say, *message), say, deadline_s=deadline_s)
