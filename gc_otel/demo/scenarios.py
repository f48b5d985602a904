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
_SESSION_VISITS: Final = 100

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


class Visit:
    """One page that somebody has seen."""

    __slots__ = ("agent", "at", "country", "page", "referrer", "status", "took_ms", "variant")

    def __init__(self, at: int, page: str) -> None:
        self.at, self.page = at, page
        self.agent, self.country, self.referrer, self.variant = "demo", "DE", "/", "a"
        self.status, self.took_ms = 200, 7


class Session:
    """What a request leaves behind."""

    __slots__ = ("user", "visits")

    def __init__(self, number: int) -> None:
        self.user = f"user {number}"
        self.visits = [Visit(number * 1000 + step, f"/products/{number}/{step}") for step in range(_SESSION_VISITS)]


#: The cache that forgets nothing.  A global, as such caches are.
SESSIONS: Final[dict[int, Session]] = {}


def leak(most_bytes: int = LEAK_BYTES_MOST) -> Handler:
    """Every request leaves a session in a cache that forgets nothing, up to ``most_bytes``."""
    SESSIONS.clear()
    size_bytes = _size_bytes(Session(1))
    requests = itertools.count(1)
    lock = threading.Lock()
    respond = healthy()

    def handle() -> dict[str, object]:
        number = next(requests)
        with lock:
            if len(SESSIONS) * size_bytes < most_bytes:
                SESSIONS[number] = Session(number)
        return {**respond(), "sessions": len(SESSIONS)}

    return handle


def _size_bytes(session: Session) -> int:
    """Of a session and all that only it holds, as CPython tells it."""
    visits = sum(sys.getsizeof(each) + sys.getsizeof(each.at) + sys.getsizeof(each.page) for each in session.visits)
    return visits + sum(map(sys.getsizeof, (session, session.user, session.visits)))


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
