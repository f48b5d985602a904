"""A service that keeps what it should not, in a type of its own behind a global; and one type with a hostile name."""

from __future__ import annotations

from typing import Any


class Basket:
    """What every request leaves behind."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines = [[number, each, "text" * 4] for each in range(40)]


Hostile = type("<img src=x onerror=alert(1)>", (), {})

BASKETS: list[Basket] = []
HOSTILE = [Hostile() for _ in range(500)]


class Node:
    """Knows itself: garbage that only the collector frees."""

    def __init__(self) -> None:
        self.me = self


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """WSGI."""
    BASKETS.extend(Basket(number) for number in range(50))
    for _ in range(200):
        Node()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(BASKETS)).encode()]
