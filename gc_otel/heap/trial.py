"""Trial deletion in Python: the twin of ``_native/trial.c`` and ``components.c``, for where no extension is built.

It reads reference counts and references and changes nothing.  Unlike in C, other threads run in
between: what they change meanwhile can be taken for garbage or missed, so it is
exact in a program whose other threads are still.  Its list holds every
object meanwhile: what the program drops, dies when the list does, in this thread.
"""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any, Final

from gc_otel.heap.counting import IMMORTAL, held_by, reference_counts, shallow_bytes
from gc_otel.heap.names import referents

#: One component: the types around its shortest cycle, how long that is, objects, bytes.
ComponentRow = tuple[tuple[type, ...], int, int, int]
Found = tuple[list[ComponentRow], int, int, int]

_LONGEST_SIGNATURE: Final = 64
_REFERENCES_OF_LIST: Final = 1


def find_garbage() -> Found:
    """Components, tracked objects, garbage objects, their bytes; see ``_native/cycles.c``."""
    objects = gc.get_objects()
    index = {id(value): place for place, value in enumerate(objects)}
    index.pop(id(objects), None)
    alive = _living(objects, index)
    garbage = [value for value, lives in zip(objects, alive, strict=True) if not lives]
    examined = len(objects)
    del objects, index, alive
    place_of = {id(value): place for place, value in enumerate(garbage)}
    edges = [[place_of[id(child)] for child in referents(value) if id(child) in place_of] for value in garbage]
    rows = [_row(garbage, edges, each) for each in _components(edges) if len(each) > 1 or each[0] in edges[each[0]]]
    return rows, examined, len(garbage), _bytes_of(garbage)


def _living(objects: list[Any], index: dict[int, int]) -> bytearray:
    refs = [count - _REFERENCES_OF_LIST for count in reference_counts(objects)]
    for value in objects:
        for child in referents(value):
            place = index.get(id(child))
            if place is not None:
                refs[place] -= 1
    alive = bytearray(len(objects))
    stack = [place for place, count in enumerate(refs) if count > 0]
    for place in stack:
        alive[place] = 1
    while stack:
        for child in referents(objects[stack.pop()]):
            place = index.get(id(child))
            if place is not None and not alive[place]:
                alive[place] = 1
                stack.append(place)
    return alive


def _components(edges: list[list[int]]) -> list[list[int]]:
    """Tarjan's strongly connected components, with a stack of its own."""
    number, low = [0] * len(edges), [0] * len(edges)
    closed = bytearray(len(edges))
    open_nodes: list[int] = []
    found: list[list[int]] = []
    numbered = 0
    for root in range(len(edges)):
        path = [] if number[root] else [(root, iter(edges[root]))]
        while path:
            node, children = path[-1]
            if not number[node]:
                numbered += 1
                number[node] = low[node] = numbered
                open_nodes.append(node)
            for child in children:
                if not number[child]:
                    path.append((child, iter(edges[child])))
                    break
                if not closed[child]:
                    low[node] = min(low[node], number[child])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == number[node]:
                    cut = _last_index(open_nodes, node)
                    found.append(open_nodes[cut:][::-1])
                    del open_nodes[cut:]
                    for member in found[-1]:
                        closed[member] = 1
    return found


def _last_index(nodes: list[int], node: int) -> int:
    place = len(nodes) - 1
    while nodes[place] != node:
        place -= 1
    return place


def _row(garbage: list[Any], edges: list[list[int]], component: list[int]) -> ComponentRow:
    fewest = Counter(id(type(garbage[node])) for node in component)
    start = min(component, key=lambda node: (fewest[id(type(garbage[node]))], _short_name(type(garbage[node])), node))
    cycle = _shortest_cycle(edges, set(component), start)
    types = tuple(type(garbage[node]) for node in cycle[:_LONGEST_SIGNATURE])
    return types, len(cycle), len(component), _bytes_of([garbage[node] for node in component])


def _bytes_of(objects: list[Any]) -> int:
    """Their own memory, and of each object that they hold untracked 1/n where it is held n times."""
    size = 0.0
    for value in objects:
        size += shallow_bytes(value)
        for each, count in held_by(value):
            if not gc.is_tracked(each) and count < IMMORTAL:
                size += shallow_bytes(each) / max(1, count)
    return int(size + 0.5)


def _short_name(cls: type) -> str:
    name: str = type.__dict__["__name__"].__get__(cls)
    return name


def _shortest_cycle(edges: list[list[int]], members: set[int], start: int) -> list[int]:
    before = {start: start}
    queue = [start]
    for node in queue:
        for child in edges[node]:
            if child == start:
                cycle = [node]
                while cycle[-1] != start:
                    cycle.append(before[cycle[-1]])
                return cycle[::-1]
            if child in members and child not in before:
                before[child] = node
                queue.append(child)
    raise AssertionError("a strongly connected component has a cycle through each of its nodes")
