"""Who holds the objects of a type: the shortest ways to them from something with a name, merged.

The search walks forward, breadth first, from modules, asyncio tasks, contexts and thread frames, and so
sees each object once; searching backward would scan the whole heap for every step.  Ways
that look alike are one, with the number of objects at each step; where one object holds
many, they accumulate.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.heap.edges import EdgeNames, is_namespace_of
from gc_otel.heap.names import referents, type_name
from gc_otel.heap.roots import Root, find_roots

_MOST_OBJECTS: Final = 20_000_000
_ACCUMULATES: Final = 10  # objects held by each, at the least
_SIZED: Final = (dict, list, tuple, set, frozenset)


@dataclass(frozen=True)
class HolderStep:
    """One step of merged ways: ``objects`` of ``type`` are held like ``edge`` by the step above.

    ``instances`` is how many of what was asked for are reached through here; ``length`` is the content of the
    builtin containers at this step together, None for other types.  At the accumulation point, few
    objects hold many.
    """

    edge: str
    type: str
    objects: int
    instances: int
    length: int | None
    is_accumulation_point: bool
    children: tuple[HolderStep, ...]


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

    def __str__(self) -> str:
        """The tree."""
        from gc_otel.heap.render import render_holders  # render imports this module

        return render_holders(self)


def find_holders(type_or_name: type | str, *, most: int = 10) -> Holders:
    """Find what holds the instances of a type (not of its subclasses) in this process.

    ``type_or_name`` is the class, or its name as the census shows it (``app.models.Session``; the last
    part is enough); ``most`` limits the ways shown.  Takes about a second for each
    million objects, holding the GIL as any Python code does; what it sees stays alive until it ends.
    """
    if most < 1:
        raise ValueError("most is 1 or more")
    wanted = _matcher(type_or_name)
    began_ns = time.monotonic_ns()
    search = _Search(wanted)
    try:
        search.run()
        roots = search.merged()
        instances, examined = max(search.alive, len(search.found)), len(search.objects)
    finally:
        # Among the objects may be frames of this call, which would hold the list, and so everything, until collected.
        search.objects.clear()
    name = type_or_name if isinstance(type_or_name, str) else type_name(type_or_name)
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
    answers: dict[type, bool] = {}

    def matches(cls: type) -> bool:
        answer = answers.get(cls)
        if answer is None:
            name = type_name(cls)
            answer = answers[cls] = name == type_or_name or name.endswith(f".{type_or_name}")
        return answer

    return matches


class _Search:
    """The walk: every object seen, where it was seen from, and which are wanted."""

    def __init__(self, wanted: Callable[[type], bool]) -> None:
        self.wanted = wanted
        self.objects: list[Any] = []
        self.holders: list[int] = []  # the place of the holder, or -1 - the number of the root
        self.edges: dict[int, str] = {}  # of what a root holds
        self.roots: list[str] = []
        self.found: list[int] = []
        self.alive = 0

    def run(self) -> None:
        self.alive = sum(self.wanted(type(each)) for each in gc.get_objects())
        seen = {id(self), id(self.__dict__), id(self.objects), id(self.holders), id(self.edges), id(self.found)}
        seen.add(id(seen))
        for root in find_roots():
            self._see_root(root, seen)
        self._walk(seen)

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
        place = 0
        while place < len(self.objects) < _MOST_OBJECTS:
            if self.alive and len(self.found) >= self.alive:
                return  # every one that the collector tracks
            for value in referents(self.objects[place]):
                if id(value) not in seen:
                    seen.add(id(value))
                    self._see(value, place)
            place += 1

    def merged(self) -> tuple[HolderStep, ...]:
        """The ways to everything found, as one tree."""
        tree, names = _Tree(), EdgeNames()
        for place in self.found:
            tree.add(self.way_to(place, names))
        return tree.steps()

    def way_to(self, place: int, names: EdgeNames) -> list[tuple[str, str, int, int | None]]:
        """From the root: how, the type, which object, its length.  A namespace is no step of its own."""
        way: list[tuple[str, str, int, int | None]] = []
        while True:
            value, holder = self.objects[place], self.holders[place]
            if holder < 0:
                way.append((self.edges[place], *_described(value)))
                way.append((self.roots[-1 - holder], "", 0, None))
                return way[::-1]
            edge = None
            above = self.holders[holder]
            if above >= 0 and is_namespace_of(self.objects[above], self.objects[holder]):
                direct = names.of(self.objects[above], self.objects[holder])
                if direct == "[held]":  # not an attribute's value, so the namespace itself
                    edge = names.attribute_in(self.objects[holder], value)
                    holder = holder if edge is None else above
            way.append((edge or names.of(self.objects[holder], value), *_described(value)))
            place = holder


def _described(value: Any) -> tuple[str, int, int | None]:
    return type_name(type(value)), id(value), len(value) if type(value) in _SIZED else None


@dataclass
class _Merged:
    """A step while ways are added to it."""

    lengths: dict[int, int | None] = field(default_factory=dict)
    instances: int = 0
    children: dict[tuple[str, str], _Merged] = field(default_factory=dict)


class _Tree:
    def __init__(self) -> None:
        self.top = _Merged()

    def add(self, way: list[tuple[str, str, int, int | None]]) -> None:
        step = self.top
        for edge, kind, identity, length in way:
            step = step.children.setdefault((edge, kind), _Merged())
            step.lengths[identity] = length
            step.instances += 1

    def steps(self) -> tuple[HolderStep, ...]:
        return _steps(self.top)


def _steps(merged: _Merged) -> tuple[HolderStep, ...]:
    found = []
    for (edge, kind), step in merged.children.items():
        lengths = [each for each in step.lengths.values() if each is not None]
        widest = max((len(child.lengths) for child in step.children.values()), default=0)
        found.append(
            HolderStep(
                edge=edge,
                type=kind,
                objects=len(step.lengths),
                instances=step.instances,
                length=sum(lengths) if lengths else None,
                is_accumulation_point=bool(kind) and widest >= _ACCUMULATES * len(step.lengths),
                children=_steps(step),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.instances, each.edge, each.type)))
