"""Who holds the objects of a type: the shortest ways to them from something with a name, merged.

The search walks forward, breadth first, from modules, asyncio tasks, contexts and thread frames, and so
sees each object once; searching backward would scan the whole heap for every step.  Ways
that look alike are one, with the number of objects at each step; where one object holds
many, they accumulate.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from gc_otel.heap.merging import HolderStep, Merging
from gc_otel.heap.names import referents, type_name
from gc_otel.heap.roots import Root, find_roots
from gc_otel.heap.tracked import count_types

_MOST_OBJECTS: Final = 20_000_000
_SLICE: Final = 16_384
_BRANCHES_MOST: Final = 12
#: As in a census.
NAME_LETTERS_MOST: Final = 200


@dataclass(frozen=True)
class Holders:
    """Ways to the instances of ``type``, those with the most first; ``dataclasses.asdict()`` gives it for JSON.

    ``instances`` are those alive, ``reached`` those that a way was found to.  The others are garbage, held
    by C code alone, or by a frame's value without a name.
    """

    type: str
    instances: int
    reached: int
    roots: tuple[HolderStep, ...]
    roots_left_out: int
    examined_objects: int
    duration_ns: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON; of steps that differ, the ``_BRANCHES_MOST`` with the most are told at each."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "roots"}
        return {**found, "roots": [_step_as_dict(root) for root in self.roots]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Holders:
        """What ``as_dict()`` gave.  LookupError, TypeError, ValueError, RecursionError."""
        numbers = {
            name: int(found[name])
            for name in ("instances", "reached", "roots_left_out", "examined_objects", "duration_ns")
        }
        return cls(type=str(found["type"]), roots=tuple(map(_step_from_dict, found["roots"])), **numbers)

    def __str__(self) -> str:
        """The tree."""
        from gc_otel.heap.render import render_holders  # render imports this module

        return render_holders(self)


def _step_as_dict(step: HolderStep) -> dict[str, Any]:
    found = {each.name: getattr(step, each.name) for each in fields(step) if each.name != "children"}
    found["type"] = step.type[:NAME_LETTERS_MOST]
    found["children"] = [_step_as_dict(child) for child in step.children[:_BRANCHES_MOST]]
    found["children_left_out"] = len(step.children) - len(found["children"])
    return found


def _step_from_dict(found: Mapping[str, Any]) -> HolderStep:
    length = found["length"]
    return HolderStep(
        edge=str(found["edge"]),
        type=str(found["type"]),
        objects=int(found["objects"]),
        instances=int(found["instances"]),
        length=None if length is None else int(length),
        is_accumulation_point=bool(found["is_accumulation_point"]),
        children=tuple(map(_step_from_dict, found["children"])),
        children_left_out=int(found["children_left_out"]),
    )


def find_holders(type_or_name: type | str, *, most: int = 10) -> Holders:
    """Find what holds the instances of a type (not of its subclasses) in this process.

    ``type_or_name`` is the class, or its name as the census shows it (``app.models.Session``; the last
    part is enough); ``most`` limits the ways shown.  Takes about a second for each
    million objects, holding the GIL as any Python code does; what it sees stays alive until it ends.
    """
    if most < 1:
        raise ValueError("most is 1 or more")
    name = type_or_name if isinstance(type_or_name, str) else type_name(type_or_name)
    return search_holders(name, _matcher(type_or_name), most=most)


def search_holders(
    name: str, wanted: Callable[[type], bool], *, most: int, say: Callable[..., object] = lambda *_: None
) -> Holders:
    """The same for types that ``wanted`` accepts.

    ``say`` is told a phase, and how many objects of how many, every few milliseconds; what it raises ends the search.
    """
    began_ns = time.monotonic_ns()
    search = _Search(wanted, say)
    try:
        search.run()
        roots = search.merged()
        instances, examined = max(search.alive, len(search.found)), len(search.objects)
    finally:
        # Among the objects may be frames of this call, which would hold the list, and so everything, until collected.
        search.objects.clear()
    return Holders(
        name,
        instances,
        len(search.found),
        roots[:most],
        len(roots[most:]),
        examined,
        time.monotonic_ns() - began_ns,
    )


def _matcher(type_or_name: type | str) -> Callable[[type], bool]:
    if not isinstance(type_or_name, str):
        return lambda cls: cls is type_or_name
    answers: dict[int, bool] = {}

    def matches(cls: type) -> bool:
        answer = answers.get(id(cls))
        if answer is None:
            name = type_name(cls)
            answer = answers[id(cls)] = name == type_or_name or name.endswith(f".{type_or_name}")
        return answer

    return matches


class _Search:
    """The walk: every object seen, where it was seen from, and which are wanted."""

    def __init__(self, wanted: Callable[[type], bool], say: Callable[..., object]) -> None:
        self.wanted = wanted
        self.say = say
        self.objects: list[Any] = []
        self.holders = array("q")  # the place of the holder, or -1 - the number of the root
        self.edges: dict[int, str] = {}  # of what a root holds
        self.roots: list[str] = []
        self.found: list[int] = []
        self.alive = 0
        self.tracked = 0

    def run(self) -> None:
        self._count()
        seen = {id(self), id(self.__dict__), id(self.objects), id(self.holders), id(self.edges), id(self.found)}
        seen.add(id(seen))
        for root in find_roots():
            self._see_root(root, seen)
        self._walk(seen)

    def _count(self) -> None:
        self.say("counting")
        for cls, count in count_types():
            self.tracked += count
            self.alive += count if self.wanted(cls) else 0

    def _see_root(self, root: Root, seen: set[int]) -> None:
        self.roots.append(root.name)
        for edge, value in root.held:
            if id(value) not in seen:
                seen.add(id(value))
                self.edges[len(self.objects)] = edge
                self._see(value, -len(self.roots))

    def _see(self, value: object, holder: int) -> None:
        if self.wanted(type(value)):
            self.found.append(len(self.objects))
        self.objects.append(value)
        self.holders.append(holder)

    def _walk(self, seen: set[int]) -> None:
        objects, holders, found, wanted = self.objects, self.holders, self.found, self.wanted
        place = 0
        while place < len(objects) < _MOST_OBJECTS:
            if place % _SLICE == 0:
                self.say("walking from what has a name", len(objects), max(self.tracked, len(objects)))
            if self.alive and len(found) >= self.alive:
                return  # every one that the collector tracks
            for value in referents(objects[place]):
                identity = id(value)
                if identity not in seen:
                    seen.add(identity)
                    if wanted(type(value)):
                        found.append(len(objects))
                    objects.append(value)
                    holders.append(place)
            place += 1

    def merged(self) -> tuple[HolderStep, ...]:
        """The ways to everything found, as one tree."""
        return Merging(
            objects=self.objects,
            holders=self.holders,
            found=self.found,
            edges=self.edges,
            roots=self.roots,
            say=self.say,
        ).steps()
