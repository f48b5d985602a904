"""A small shop with a leak that can be switched on: POST /leak/on and /leak/off."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

from flask import Flask

#: A file, because the switch is for all workers, and they share nothing else.
SWITCH = Path(os.environ.get("SHOP_SWITCH", "/tmp/leak"))
EVENTS_PER_SESSION = 120

app = Flask(__name__)
products = [{"id": number, "name": f"product {number}", "price": number * 7 % 100} for number in range(20_000)]
sessions: dict[int, Session] = {}
numbers = itertools.count(1)

if os.environ.get("SHOP_LEAK"):
    SWITCH.touch()


class Session:
    """Who looked at what; nobody ever ends one."""

    def __init__(self, number: int) -> None:
        self.user = f"user {number}"
        self.events = [{"at": number + n, "page": f"/product/{n}"} for n in range(EVENTS_PER_SESSION)]


class Node:
    """A part of a page that knows its parent: what is left of it waits for the collector."""

    def __init__(self, parent: Node | None) -> None:
        self.parent = parent
        self.children: list[Node] = []
        if parent is not None:
            parent.children.append(self)


@app.get("/")
def index():
    """A page: objects that go at once, a tree of cycles, and with the switch on a session that stays."""
    number = next(numbers)
    nodes = [Node(None)]
    for n in range(200):
        nodes.append(Node(nodes[n // 8]))
    if SWITCH.exists():
        sessions[number] = Session(number)
    return json.dumps(products[number * 37 % 19_000 :][:50])


@app.post("/leak/<state>")
def leak(state: str):
    """Switch the leak; what has leaked stays."""
    if state not in ("on", "off"):
        return "on or off\n", 404
    if state == "on":
        SWITCH.touch()
    else:
        SWITCH.unlink(missing_ok=True)
    return f"the leak is {state}\n"


@app.get("/health")
def health():
    """For the health check."""
    return "ok\n"
