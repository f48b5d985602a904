"""Ways through the heap that look alike, merged into one tree with counts.

From a breadth-first walk, where each object has one holder: the objects that lead to something
wanted are marked from below, each once, and grouped from above by how they are held and of which type they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.heap.edges import EdgeNames, is_namespace_of
from gc_otel.heap.names import is_one_of, type_name

_ACCUMULATES: Final = 10  # objects held by each, at the least
_SIZED: Final = (dict, list, tuple, set, frozenset)
_SLICE: Final = 4096

#: A way that is longer (a linked list) is cut: what is behind it is counted, and not shown.
DEEPEST: Final = 64


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
    children_left_out: int = 0


@dataclass
class _Group:
    """Objects that are held alike by objects that are held alike; ``places`` are theirs."""

    places: list[int] = field(default_factory=list)
    children: dict[tuple[str, str], _Group] = field(default_factory=dict)


class Merging:
    """``holders`` has for each object the place of its holder, or -1 - the number of its root.

    ``edges`` names how a root holds its own, by place; ``found`` are the places of what is wanted.
    """

    def __init__(
        self,
        *,
        objects: Sequence[Any],
        holders: Sequence[int],
        found: Sequence[int],
        edges: dict[int, str],
        roots: Sequence[str],
        say: Callable[..., object],
    ) -> None:
        self._objects, self._holders, self._found = objects, holders, set(found)
        self._edges, self._roots, self._say = edges, roots, say
        self._names = EdgeNames()
        self._children: dict[int, list[int]] = {}  # holder or root -> marked objects
        self._instances: dict[int, int] = {}  # marked object -> wanted ones reached through it, itself included
        self._kinds: dict[int, str] = {}
        self._done = 0

    def steps(self) -> tuple[HolderStep, ...]:
        """The roots, those with the most wanted objects first."""
        self._mark()
        tops = []
        for number, name in enumerate(self._roots):
            top = _Group()
            for place in self._children.get(-1 - number, ()):
                self._add(top, self._edges[place], place)
            if top.children:
                self._descend(top, 0)
                children = self._steps_of(top)
                instances = sum(each.instances for each in children)
                tops.append(HolderStep(name, "", 1, instances, None, is_accumulation_point=False, children=children))
        return tuple(sorted(tops, key=lambda each: (-each.instances, each.edge)))

    def _mark(self) -> None:
        """Holders come before what they hold: from the last place to the first, counts are whole when they are added."""
        for place in self._found:
            at = place
            self._instances[place] = self._instances.get(place, 0)
            while (holder := self._holders[at]) >= 0 and holder not in self._instances:
                self._instances[holder] = 0
                at = holder
        for place in sorted(self._instances, reverse=True):
            self._instances[place] += place in self._found
            holder = self._holders[place]
            self._children.setdefault(holder, []).append(place)
            if holder >= 0:
                self._instances[holder] += self._instances[place]

    def _add(self, group: _Group, edge: str, place: int) -> None:
        cls = type(self._objects[place])
        kind = self._kinds.get(id(cls))
        if kind is None:
            kind = self._kinds[id(cls)] = type_name(cls)
        group.children.setdefault((edge, kind), _Group()).places.append(place)

    def _descend(self, top: _Group, depth: int) -> None:
        for group in top.children.values():
            if depth < DEEPEST:
                for place in filter(self._children.__contains__, group.places):
                    for edge, child in self._held_by(place):
                        self._add(group, edge, child)
                self._descend(group, depth + 1)

    def _held_by(self, place: int) -> Iterator[tuple[str, int]]:
        """How an object holds marked ones.  Its namespace is no step of its own."""
        self._done += 1
        if self._done % _SLICE == 0:
            self._say("naming what holds what", self._done, len(self._instances))
        holder = self._objects[place]
        for child in self._children.get(place, ()):
            value = self._objects[child]
            name = self._names.of(holder, value)
            if name == "[held]" and is_namespace_of(holder, value) and child not in self._found:
                yield from self._through_namespace(holder, child)
            else:
                yield name, child
        self._names.forget()

    def _through_namespace(self, holder: object, place: int) -> Iterator[tuple[str, int]]:
        attributes = {id(value): name for name, value in self._names.attributes_of(holder, self._objects[place])}
        for child in self._children.get(place, ()):
            yield attributes.get(id(self._objects[child]), "[as key]"), child

    def _steps_of(self, group: _Group) -> tuple[HolderStep, ...]:
        found = []
        for (edge, kind), each in group.children.items():
            lengths = [
                len(value) for value in map(self._objects.__getitem__, each.places) if is_one_of(type(value), _SIZED)
            ]
            widest = max((len(child.places) for child in each.children.values()), default=0)
            found.append(
                HolderStep(
                    edge=edge,
                    type=kind,
                    objects=len(each.places),
                    instances=sum(self._instances[place] for place in each.places),
                    length=sum(lengths) if lengths else None,
                    is_accumulation_point=widest >= _ACCUMULATES * len(each.places),
                    children=self._steps_of(each),
                )
            )
        return tuple(sorted(found, key=lambda each: (-each.instances, each.edge, each.type)))
