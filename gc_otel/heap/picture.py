"""The neighbourhood of a few objects, forward or backward, as nodes and arrows: what a picture is drawn from.

As with objgraph, and unlike it: one pass over the heap for all objects of a step, a tenth of a second for each million
objects; no repr() of anything; nothing collected.  With ``values`` the value of a builtin scalar is
told, exact types only, so that no code of a subclass runs.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gc_otel.heap.counting import reference_counts, shallow_bytes
from gc_otel.heap.edges import EdgeNames, is_namespace_of
from gc_otel.heap.names import is_one_of, modules, referents, space_of_module, type_name
from gc_otel.heap.tracked import find_referrers, select_objects

_SIZED: Final = (dict, list, tuple, set, frozenset, str, bytes, bytearray)
_SCALARS: Final = (int, float, complex, bool, str, bytes, type(None))
_PAIRS_MOST: Final = 20_000
_LETTERS_MOST: Final = 200
_VALUE_LETTERS_MOST: Final = 60
_OWN_REFERENCES: Final = 2  # of the list that is counted, and the table
_UNCOUNTED: Final = 900_000_000  # immortal, and the small numbers of versions that have no immortal objects
_OWN_FOLDER: Final = __file__.rpartition("picture.py")[0]
NODES_MOST: Final = 400


@dataclass(frozen=True)
class PictureNode:
    """One object: its type, what it is called if it has a name, and its own memory.

    ``steps`` is its distance from the objects asked for, ``references`` how many there are to it, None for an immortal one;
    ``left_out`` of what it holds (or what holds it) is not shown.
    """

    number: int
    type: str
    name: str
    length: int | None
    size_bytes: int
    steps: int
    references: int | None
    left_out: int = 0
    value: str | None = None


@dataclass(frozen=True)
class PictureEdge:
    """``holder`` holds ``held``, both by number; ``name`` is how."""

    holder: int
    held: int
    name: str


@dataclass(frozen=True)
class Picture:
    """Objects and who holds whom; ``asked`` are the numbers of those that were asked for, of ``alive`` in all."""

    type: str
    direction: str
    alive: int
    asked: tuple[int, ...]
    nodes: tuple[PictureNode, ...]
    edges: tuple[PictureEdge, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in ("type", "direction", "alive")}
        nodes = [{name: getattr(node, name) for name in PictureNode.__annotations__} for node in self.nodes]
        edges = [{"holder": edge.holder, "held": edge.held, "name": edge.name} for edge in self.edges]
        return {**plain, "asked": list(self.asked), "nodes": nodes, "edges": edges}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Picture:
        """What ``as_dict()`` gave.  LookupError, TypeError, ValueError."""
        nodes = tuple(
            PictureNode(
                int(node["number"]),
                str(node["type"]),
                str(node["name"]),
                _whole(node["length"]),
                int(node["size_bytes"]),
                int(node["steps"]),
                _whole(node["references"]),
                int(node["left_out"]),
                None if node["value"] is None else str(node["value"]),
            )
            for node in found["nodes"]
        )
        known = {node.number for node in nodes}
        edges = tuple(
            PictureEdge(int(edge["holder"]), int(edge["held"]), str(edge["name"]))
            for edge in found["edges"]
            if edge["holder"] in known and edge["held"] in known
        )
        asked = tuple(number for number in map(int, found["asked"]) if number in known)
        return cls(str(found["type"]), str(found["direction"]), int(found["alive"]), asked, nodes, edges)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def picture_of(
    types: Iterable[type],
    name: str,
    *,
    backward: bool,
    depth: int,
    too_many: int,
    instances: int,
    values: bool = False,
    say: Callable[..., object] = lambda *_: None,
) -> Picture:
    """The last ``instances`` of these types that the collector lists, and what is around them.

    At most ``depth`` steps and ``too_many`` arrows from each object.  What ``say`` raises ends it.  NotSupported where
    objects cannot be listed beside other threads.
    """
    say("looking for objects")
    frontier, alive = select_objects(types, instances)
    drawing = _Drawing(too_many, values=values, say=say)
    try:
        drawing.start(frontier)
        for step in range(1, depth + 1):
            frontier = drawing.backward(frontier, step) if backward else drawing.forward(frontier, step)
        frontier = []
        return drawing.picture(name, "backrefs" if backward else "refs", alive)
    finally:
        drawing.clear()


class _Drawing:
    def __init__(self, too_many: int, *, values: bool, say: Callable[..., object]) -> None:
        self._say = say
        self._too_many = too_many
        self._values = values
        self._names = EdgeNames()
        self._spaces = {id(space_of_module(module)): name for name, module in modules()}
        self._shown: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._steps: dict[int, int] = {}
        self._left_out: dict[int, int] = {}
        self._edges: dict[tuple[int, int], str] = {}
        self._own = {id(each) for each in (self, self.__dict__, self._shown)}
        self._asked: tuple[int, ...] = ()

    def start(self, values: list[Any]) -> None:
        """The objects in the middle."""
        for value in values:
            self._show(value, 0)
        self._asked = tuple(self._numbers[id(value)] for value in values)

    def _show(self, value: Any, step: int) -> bool:
        """Whether it is new."""
        if id(value) in self._numbers or len(self._numbers) >= NODES_MOST:
            return False
        self._numbers[id(value)] = len(self._numbers)
        self._shown[id(value)] = value
        self._steps[id(value)] = step
        return True

    def _connect(self, holder: Any, held: Any, name: str | None = None) -> None:
        ends = self._numbers.get(id(holder)), self._numbers.get(id(held))
        if ends[0] is not None and ends[1] is not None:
            self._edges[ends[0], ends[1]] = self._edge_name(holder, held) if name is None else name

    def _edge_name(self, holder: Any, held: Any) -> str:
        if id(holder) in self._spaces:
            return next((f".{key}" for key, value in list(holder.items()) if value is held and type(key) is str), "")
        if self._values and type(holder) is dict:
            for key, value in list(holder.items()):
                if value is held and is_one_of(type(key), _SCALARS):
                    return f"[{_short(repr(key))}]"
        return "" if (name := self._names.of(holder, held)) == "[held]" else name

    def forward(self, frontier: list[Any], step: int) -> list[Any]:
        """What they hold."""
        self._say(f"step {step}", len(self._numbers), None)
        new = []
        for holder in frontier:
            shown = 0
            for name, held in self._held_by(holder):
                if shown >= self._too_many:
                    self._left_out[id(holder)] = self._left_out.get(id(holder), 0) + 1
                    continue
                shown += 1
                if self._show(held, step):
                    new.append(held)
                self._connect(holder, held, name)
        return new

    def _held_by(self, holder: Any) -> Iterator[tuple[str | None, Any]]:
        """Each object that it holds, once.  Its class says nothing, and its namespace is no object of its own."""
        for held in {id(value): value for value in referents(holder)}.values():
            if held is type(holder):
                continue
            if is_namespace_of(holder, held) and self._names.of(holder, held) == "[held]":
                if self._values:  # then keys may be told, whatever it is
                    yield from ((f".{_short(key)}", value) for key, value in list(dict.items(held)) if type(key) is str)
                    continue
                yield from self._names.attributes_of(holder, held)
            else:
                yield None, held

    def backward(self, frontier: list[Any], step: int) -> list[Any]:
        """Who holds them: one pass over the heap for all of them."""
        self._say(f"step {step}: who holds {len(frontier)}", len(self._numbers), None)
        if not frontier:
            return []
        counts = dict.fromkeys(map(id, frontier), 0)
        new: list[Any] = []
        for holder, place in find_referrers(frontier, _PAIRS_MOST):
            if id(holder) not in self._own and not self._is_ours(holder):
                self._note_holder(holder, frontier[place], counts, new, step)
        return new

    def _note_holder(self, holder: Any, held: Any, counts: dict[int, int], new: list[Any], step: int) -> None:
        if counts[id(held)] >= self._too_many:
            self._left_out[id(held)] = self._left_out.get(id(held), 0) + 1
            return
        counts[id(held)] += 1
        if self._show(holder, step) and not self._is_root(holder):
            new.append(holder)
        self._connect(holder, held)

    def _is_root(self, holder: Any) -> bool:
        """Alive by itself: who holds a module or a running frame says nothing."""
        return id(holder) in self._spaces or is_one_of(type(holder), (types.ModuleType, types.FrameType))

    def _is_ours(self, holder: Any) -> bool:
        return type(holder) is types.FrameType and holder.f_code.co_filename.startswith(_OWN_FOLDER)

    def picture(self, name: str, direction: str, alive: int) -> Picture:
        """What was found."""
        values = list(self._shown.values())
        counts = reference_counts(values)
        nodes = tuple(map(self._node, values, counts))
        edges = tuple(PictureEdge(holder, held, name) for (holder, held), name in self._edges.items())
        return Picture(name, direction, alive, self._asked, nodes, edges)

    def _node(self, value: Any, count: int) -> PictureNode:
        kind = type(value)
        return PictureNode(
            number=self._numbers[id(value)],
            type=type_name(kind)[:_LETTERS_MOST],
            name=_short(self._name_of(value), _LETTERS_MOST),
            length=len(value) if is_one_of(kind, _SIZED) else None,
            size_bytes=shallow_bytes(value),
            steps=self._steps[id(value)],
            references=None if count >= _UNCOUNTED else max(0, count - _OWN_REFERENCES),
            left_out=self._left_out.get(id(value), 0),
            value=_short(repr(value)) if self._values and is_one_of(kind, _SCALARS) and _is_short(value) else None,
        )

    def _name_of(self, value: Any) -> str:
        if id(value) in self._spaces:
            return f"globals of {self._spaces[id(value)]}"
        if type(value) is types.ModuleType:
            return f"module {types.ModuleType.__getattribute__(value, '__name__')}"
        if type(value) is types.FunctionType:
            return f"function {value.__qualname__}"
        if type(value) is type:
            return f"class {type_name(value)}"
        if type(value) is types.FrameType:
            return f"{value.f_code.co_name}() {value.f_code.co_filename}:{value.f_lineno}"
        return ""

    def clear(self) -> None:
        """Let every object go."""
        self._shown.clear()
        self._names.forget()


def _is_short(value: Any) -> bool:
    return type(value) is not int or value.bit_length() < 4096  # a longer one has no decimal text by default


def _short(text: str, most: int = _VALUE_LETTERS_MOST) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"
