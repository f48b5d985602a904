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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap.counting import shallow_bytes
from gc_otel.heap.cycles_child import find_garbage_in_child
from gc_otel.heap.definitions import Definition, definition_of
from gc_otel.heap.names import flags_of, type_name
from gc_otel.heap.tracked import all_types
from gc_otel.heap.trial import Found, find_garbage

#: Signatures beyond those that are told apart, together.
OTHER: Final = "other"
_MOST_NAMES: Final = 6
_COUNTS: Final = ("tracked_objects", "garbage_objects", "garbage_bytes", "duration_ns", "pause_ns")
_HEAP_TYPE: Final = 1 << 9


@dataclass(frozen=True)
class CycleGroup:
    """All garbage cycles of one signature: how many, the objects in them and their bytes.

    The bytes are those of the objects and of what they hold untracked (str, bytes): held n times, 1/n of it.
    ``classes`` are those of the signature that Python code defined, with the place.
    """

    signature: str
    cycles: int
    objects: int
    size_bytes: int
    classes: tuple[Definition, ...] = ()


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

    ``pause_ns`` is how long nothing else ran in this process.  Where a child examined the heap, ``child_cpu_ns`` is its
    CPU time and ``child_memory_bytes`` what it took at most beside the memory that it shares, else None.
    """

    groups: tuple[CycleGroup, ...]
    uncollectable: tuple[UncollectableGroup, ...]
    tracked_objects: int
    garbage_objects: int
    garbage_bytes: int
    duration_ns: int
    walker: str
    pause_ns: int = 0
    child_cpu_ns: int | None = None
    child_memory_bytes: int | None = None

    @property
    def cycles(self) -> int:
        """All cycles found."""
        return sum(each.cycles for each in self.groups)

    def as_dict(self, *, most: int | None = None) -> dict[str, Any]:
        """For JSON; of the groups only the ``most`` largest, and how many there are beside them."""
        found = asdict(self)
        found["cycles"] = self.cycles
        found["groups"] = found["groups"][:most]
        found["groups_left_out"] = len(self.groups) - len(found["groups"])
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Cycles:
        """What ``as_dict()`` gave.  LookupError, TypeError, ValueError."""
        groups = tuple(
            CycleGroup(
                str(row["signature"]),
                int(row["cycles"]),
                int(row["objects"]),
                int(row["size_bytes"]),
                tuple(Definition(str(each["type"]), each["file"], each["line"]) for each in row["classes"]),
            )
            for row in found["groups"]
        )
        uncollectable = tuple(
            UncollectableGroup(str(row["type"]), int(row["objects"]), int(row["size_bytes"]))
            for row in found["uncollectable"]
        )
        numbers = {
            name: None if found[name] is None else int(found[name])
            for name in (*_COUNTS, "child_cpu_ns", "child_memory_bytes")
        }
        return cls(groups, uncollectable, walker=str(found["walker"]), **numbers)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The table of the first rows."""
        from gc_otel.heap.render import render_cycles  # render imports this module

        return render_cycles(self)


def find_cycles() -> Cycles:
    """Find the garbage cycles that are on the heap of this process now; nothing is changed.

    Reads the whole heap with the GIL held: two to three times a full collection.  Raises NotSupported on a
    free-threaded interpreter.
    """
    _need_a_gil()
    find, walker = _finder()
    began_ns = time.monotonic_ns()
    rows, tracked, garbage_objects, garbage_bytes = find()
    pause_ns = time.monotonic_ns() - began_ns
    groups = _Groups()
    for around, length, objects, size_bytes in rows:
        groups.add([groups.know(cls) for cls in around], length, 1, objects, size_bytes)
    counts = tracked, garbage_objects, garbage_bytes
    return Cycles(groups.ordered(), _uncollectable(), *counts, time.monotonic_ns() - began_ns, walker, pause_ns)


def find_cycles_in_child(say: Callable[..., object] = lambda *_: None) -> Cycles:
    """The same, found in a cloned child: this process stops only to be cloned.

    ``say`` is told a phase, how many objects of how many, several times a second; what it raises ends the
    child.  NotSupported without the C extension, without Linux, and on a free-threaded interpreter.  The child reads the
    heap that it shares; what this process writes meanwhile is copied: look for room first.
    """
    _need_a_gil()
    began_ns = time.monotonic_ns()
    groups = _Groups()
    found, spent = find_garbage_in_child(say)
    groups.know_by_address(found.names)
    for around, length, cycles, objects, size_bytes in found.groups:
        groups.add(around, length, cycles, objects, size_bytes)
    return Cycles(
        groups.ordered(),
        _uncollectable(),
        found.tracked_objects,
        found.garbage_objects,
        found.garbage_bytes,
        time.monotonic_ns() - began_ns,
        "child",
        spent.pause_ns,
        spent.cpu_ns,
        spent.memory_bytes,
    )


def _need_a_gil() -> None:
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise NotSupported(
            "garbage cannot be told without a GIL: reference counts are split between threads and partly deferred",
            remedy="Run the program with PYTHON_GIL=1, or look at gc.collect()'s result.",
        )


class _Groups:
    """Cycles by signature.  Types are known by a number, so that none is kept alive."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._places: dict[int, Definition] = {}
        self._numbers: dict[int, int] = {}
        self._found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._classes: defaultdict[str, dict[str, Definition]] = defaultdict(dict)

    def know_by_address(self, names: Mapping[int, str]) -> None:
        """Of types that were there, and mostly still are; a name may be the beginning of one, where it is long."""
        there = {id(cls): cls for cls in all_types()}
        for address, name in names.items():
            cls = there.get(address)
            if cls is not None and type_name(cls).startswith(name):
                self.know(cls)
            else:
                self._names[address] = name

    def know(self, cls: type) -> int:
        """Note its name and place while it is there."""
        number = id(cls)
        if number not in self._names:
            self._names[number] = type_name(cls)
            if flags_of(cls) & _HEAP_TYPE:
                self._places[number] = definition_of(cls)
        return number

    def add(self, around: Sequence[int], length: int, cycles: int, objects: int, size_bytes: int) -> None:
        signature = signature_of([self._names[number] for number in around], length) if around else OTHER
        group = self._found[signature]
        group[0] += cycles
        group[1] += objects
        group[2] += size_bytes
        for number in around:
            if number in self._places:
                place = self._places[number]
                self._classes[signature][place.type] = place

    def ordered(self) -> tuple[CycleGroup, ...]:
        """Those with the most bytes first."""
        groups = (
            CycleGroup(signature, cycles, objects, size_bytes, tuple(self._classes[signature].values()))
            for signature, (cycles, objects, size_bytes) in self._found.items()
        )
        return tuple(sorted(groups, key=lambda each: (-each.size_bytes, -each.cycles, each.signature)))


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
