"""Garbage cycles: which there are now, what they are made of, what they hold.

A cycle is a strongly connected component of the garbage: objects that hold each other and that
nothing alive holds.  Its signature is its shortest way around, ``Node -> dict`` for a
Node whose dict holds the Node; ``list`` alone is a list that holds itself.  Found by trial
deletion, which only reads: no finalizer runs, nothing is freed, no flag of the collector is
set.  What a collection would free beside the cycles themselves, because only they hold
it, is in ``garbage_objects``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap.counting import shallow_bytes
from gc_otel.heap.names import type_name
from gc_otel.heap.trial import Found, find_garbage

_MOST_NAMES: Final = 6


@dataclass(frozen=True)
class CycleGroup:
    """All garbage cycles of one signature: how many, the objects in them and their bytes.

    The bytes are those of the objects and of what they hold untracked (str, bytes): held n times, 1/n of it.
    """

    signature: str
    cycles: int
    objects: int
    size_bytes: int


@dataclass(frozen=True)
class UncollectableGroup:
    """Objects of one type in ``gc.garbage``: the collector gave up on them, or was told to keep them."""

    type: str
    objects: int
    size_bytes: int


@dataclass(frozen=True)
class Cycles:
    """The garbage of this process at one moment, largest group first.

    ``garbage_objects`` are all tracked objects that a full collection would find unreachable,
    ``garbage_bytes`` are theirs and their part of what they hold untracked.  Objects put
    aside by ``gc.freeze()`` are not examined, as the collector does not examine them.
    """

    groups: tuple[CycleGroup, ...]
    uncollectable: tuple[UncollectableGroup, ...]
    tracked_objects: int
    garbage_objects: int
    garbage_bytes: int
    duration_ns: int
    walker: str

    @property
    def cycles(self) -> int:
        """All cycles found."""
        return sum(each.cycles for each in self.groups)

    def __str__(self) -> str:
        """The table of the first rows."""
        from gc_otel.heap.render import render_cycles  # render imports this module

        return render_cycles(self)


def find_cycles() -> Cycles:
    """Find the garbage cycles that are on the heap of this process now; nothing is changed.

    Reads the whole heap with the GIL held: two to three times a full collection.  Raises NotSupported on a
    free-threaded interpreter.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise NotSupported(
            "garbage cannot be told without a GIL: reference counts are split between threads and partly deferred",
            remedy="Run the program with PYTHON_GIL=1, or look at gc.collect()'s result.",
        )
    find, walker = _finder()
    began_ns = time.monotonic_ns()
    rows, tracked, garbage_objects, garbage_bytes = find()
    duration_ns = time.monotonic_ns() - began_ns
    groups: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for around, length, objects, size_bytes in rows:
        group = groups[signature_of([type_name(cls) for cls in around], length)]
        group[0] += 1
        group[1] += objects
        group[2] += size_bytes
    found = (CycleGroup(signature, *numbers) for signature, numbers in groups.items())
    ordered = tuple(sorted(found, key=lambda each: (-each.size_bytes, -each.cycles, each.signature)))
    return Cycles(ordered, _uncollectable(), tracked, garbage_objects, garbage_bytes, duration_ns, walker)


def signature_of(names: list[str], length: int) -> str:
    """The names around a cycle, turned so that the alphabetically least way of writing it is taken; long ones cut."""
    if length == len(names):
        names = min(names[turn:] + names[:turn] for turn in range(len(names)))
    if length > _MOST_NAMES:
        return " -> ".join([*names[:_MOST_NAMES], f"... ({length} objects)"])
    return " -> ".join(names)


def _finder() -> tuple[Callable[[], Found], str]:
    extension, _ = _native.load()
    return (find_garbage, "python") if extension is None else (extension.find_garbage, "native")


def _uncollectable() -> tuple[UncollectableGroup, ...]:
    objects: Counter[str] = Counter()
    size_bytes: Counter[str] = Counter()
    for value in list(gc.garbage):
        name = type_name(type(value))
        objects[name] += 1
        size_bytes[name] += shallow_bytes(value)
    return tuple(UncollectableGroup(name, many, size_bytes[name]) for name, many in objects.most_common())
