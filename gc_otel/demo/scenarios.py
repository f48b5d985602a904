"""What the demo's requests do to the heap."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable
from typing import Final

#: The leak ends here: a demo must not take the machine down.
LEAK_BYTES_MOST: Final = 512 * 2**20

_PRODUCTS: Final = 5_000
_ITEMS_PER_REQUEST: Final = 500
_NODES_PER_REQUEST: Final = 4_000
_SESSION_TEXT_BYTES: Final = 16 * 2**10
_SESSION_EVENTS: Final = 40

Handler = Callable[[], dict[str, object]]


def _catalogue() -> list[dict[str, object]]:
    """Something that stays: without old objects a full collection has nothing to look at."""
    return [{"id": number, "name": f"product {number}", "tags": [number % 7]} for number in range(_PRODUCTS)]


def healthy() -> Handler:
    """Ordinary requests: objects are built, used and dropped, and no cycle is among them."""
    products = _catalogue()
    requests = itertools.count(1)

    def handle() -> dict[str, object]:
        first = next(requests) * 37 % (_PRODUCTS - _ITEMS_PER_REQUEST)
        chosen = [{**product, "price": [first, "EUR"]} for product in products[first : first + _ITEMS_PER_REQUEST]]
        return {"items": len(json.loads(json.dumps(chosen)))}

    return handle


def leak(most_bytes: int = LEAK_BYTES_MOST) -> Handler:
    """Every request leaves a session in a cache that forgets nothing, up to ``most_bytes``."""
    cache: dict[int, dict[str, object]] = {}
    sizes: list[int] = []
    requests = itertools.count(1)
    lock = threading.Lock()
    respond = healthy()

    def handle() -> dict[str, object]:
        number = next(requests)
        with lock:
            if not sizes or len(sizes) * sizes[0] < most_bytes:
                cache[number] = _session(number)
                sizes.append(_size_bytes(cache[number]) if not sizes else sizes[0])
        return {**respond(), "sessions": len(cache)}

    return handle


def _session(number: int) -> dict[str, object]:
    # Written, not only reserved: pages that nobody wrote to are no part of RSS.
    text = bytearray(b"%d " % (number % 10) * (_SESSION_TEXT_BYTES // 2))
    events: list[object] = [
        {"at": number * 1000 + step, "page": f"/products/{step}"} for step in range(_SESSION_EVENTS)
    ]
    return {"user": f"user {number}", "text": text, "events": events}


def _size_bytes(value: object) -> int:
    """Of an object and all that it holds, as CPython tells it."""
    held: list[object] = []
    if isinstance(value, dict):
        held = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        held = value
    return sys.getsizeof(value) + sum(_size_bytes(each) for each in held)


class Node:
    """A tree that knows its parents: every one of its nodes is part of a cycle."""

    def __init__(self, parent: Node | None) -> None:
        self.parent = parent
        self.children: list[Node] = []
        if parent is not None:
            parent.children.append(self)


def cycles() -> Handler:
    """Every request drops trees whose nodes know their parents: only the collector can free them."""
    products = _catalogue()

    def handle() -> dict[str, object]:
        nodes = [Node(None)]
        for number in range(1, _NODES_PER_REQUEST):
            nodes.append(Node(nodes[number // 8]))
        return {"nodes": len(nodes), "products": len(products)}

    return handle


SCENARIOS: Final[dict[str, tuple[str, Callable[[], Handler]]]] = {
    "healthy": ("requests build ordinary objects and drop them", healthy),
    "leak": ("a cache that forgets nothing", leak),
    "cycles": ("requests leave reference cycles behind, which only the collector frees", cycles),
}
