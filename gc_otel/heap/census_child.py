"""The census of a cloned child: every holder looked into, and this process stands still for the clone alone.

The child cannot name anything: it speaks of places in a list of named containers and of all types, which is kept here.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap import child
from gc_otel.heap.child import CHARGE, DEADLINE_S, END, IN_PROCESS, TYPE, Numbers, Say, Spent, ask_child
from gc_otel.heap.counting import ChargeRow, TypeRow
from gc_otel.heap.tracked import all_types

_SHARES: Final = struct.Struct("=2d")


@dataclass
class Told:
    """What a child told: rows as :mod:`gc_otel.heap.counting` has them, and sums of what has no place in the list."""

    known: Sequence[Any]
    names: int
    types: list[TypeRow] = field(default_factory=list)
    charges: list[ChargeRow] = field(default_factory=list)
    unknown_objects: int = 0
    unknown_bytes: int = 0
    tracked_objects: int = 0
    sampled_every: int = 1

    def take(self, kind: int, numbers: Numbers, more: bytes) -> None:
        """Note one message."""
        if kind == TYPE:
            self._take_type(*numbers[:3], *_SHARES.unpack(more))
        elif kind == CHARGE:
            self._take_charge(*numbers[:2], *_SHARES.unpack(more))
        elif kind == END:
            self.tracked_objects, self.sampled_every = numbers[:2]

    def _take_type(self, place: int, objects: int, size_bytes: int, leaf_objects: float, leaf_bytes: float) -> None:
        if place < len(self.known):
            self.types.append((self.known[place], objects, size_bytes, leaf_objects, leaf_bytes))
        else:  # made while the list was, or of a class that is in nobody's __subclasses__()
            self.unknown_objects += objects + round(leaf_objects)
            self.unknown_bytes += size_bytes + round(leaf_bytes)

    def _take_charge(self, kind: int, owner: int, objects: float, size_bytes: float) -> None:
        if owner < len(self.known):  # else it stays without an owner
            self.charges.append(
                (self.known[kind], owner if owner < self.names else self.known[owner], objects, size_bytes)
            )


def why_not() -> str | None:
    """Why no child can count here, or None."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "it needs a GIL"
    return child.why_not()


def holds_what_it_counts() -> bool:
    """Whether the child writes to each object that it counts, so that all memory of the heap is copied."""
    extension, _ = _native.load()
    return extension is None or bool(extension.walk_writes())


def count_in_child(
    containers: list[object], sample_every: int, say: Say, *, deadline_s: float = DEADLINE_S
) -> tuple[Told, Spent]:
    """What is on the heap of this moment, and what counting it cost; NotSupported where it fails."""
    reason = why_not()
    if reason is not None:
        raise NotSupported(f"the heap cannot be counted in a child: {reason}", remedy=IN_PROCESS)
    known = [*containers, *all_types()]
    told = Told(known, len(containers))

    def start(extension: Any) -> tuple[int, int]:
        started: tuple[int, int] = extension.start_census(known, sample_every, max(1, int(deadline_s)))
        return started

    return told, ask_child(start, told.take, say, deadline_s=deadline_s)
