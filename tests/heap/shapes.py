"""Twenty-two shapes of garbage, each with what is known of it: cycles, and a name that must be in a signature."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


class Node:
    """An object with attributes."""


class Slotted:
    __slots__ = ("other",)


@dataclass
class Shape:
    """Makes ``cycles`` cycles when called; ``named`` are words of their signatures."""

    make: Callable[[], object]
    cycles: int
    named: tuple[str, ...]
    closes_itself: bool = False  # its finalizer frees it: DEBUG_SAVEALL has nothing to save


def self_reference():
    node = Node()
    node.itself = node


def list_in_itself():
    items = []
    items.append(items)


def two_lists():
    one, other = [], []
    one.append(other)
    other.append(one)


def pair():
    one, other = Node(), Node()
    one.other, other.other = other, one


def slots():
    one, other = Slotted(), Slotted()
    one.other, other.other = other, one


def ring_of_ten():
    nodes = [Slotted() for _ in range(10)]
    for one, other in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        one.other = other


def tree_with_parents():
    root = Node()
    root.children = [Node() for _ in range(5)]
    for child in root.children:
        child.parent = root


def doubly_linked_list():
    nodes = [Node() for _ in range(50)]
    for one, other in itertools.pairwise(nodes):
        one.next, other.previous = other, one


def dict_of_itself():
    space = {}
    space["space"] = space


def closure():
    def again():
        return again


def exception_and_frame():
    try:
        raise ValueError("caught")
    except ValueError as error:
        kept = error  # noqa: F841 - the frame holds the error, whose traceback holds the frame


def bound_method():
    node = Node()
    node.method = types.MethodType(print, node)


def class_of_a_call():
    type("Temporary", (), {})


def generator():
    def produce():
        yield
        print(running)

    running = produce()
    next(running)


def coroutine():
    async def serve():
        await asyncio.sleep(0)
        print(itself)

    itself = serve()
    itself.send(None)


class Cached:
    """Its cached method is its own: the cache holds the method, the method the object."""

    def __init__(self):
        self.call = functools.lru_cache(maxsize=None)(self.compute)

    def compute(self, number):
        return number


def cached_method():
    Cached().call(1)


def orm_like():
    session = Node()
    session.identity_map = {}
    for number in range(3):
        row = Node()
        row.session, row.children = session, deque()
        row.children.append(row)
        session.identity_map[number] = row


def with_finalizer():
    node = Node()
    node.itself = node
    weakref.finalize(node, print, "finalized")


def lambda_in_dict():
    handlers = {}
    handlers["again"] = lambda: handlers


def thread_local():
    node = Node()
    node.local = threading.local()
    node.local.owner = node


class Loop:
    """As much of an event loop as tasks and futures need, and nothing that lives on: no thread, no descriptor."""

    def __init__(self):
        self.ready = deque()

    def call_soon(self, callback, *args, context=None):
        self.ready.append(functools.partial(callback, *args))

    def turn(self):
        asyncio._set_running_loop(self)
        try:
            while self.ready:
                self.ready.popleft()()
        finally:
            asyncio._set_running_loop(None)

    def get_debug(self):
        return False

    def call_exception_handler(self, context):
        """That a task was destroyed while it was pending is the point."""


LOOP = Loop()


def asyncio_task():
    async def serve():
        answer = asyncio.Future(loop=LOOP)
        await answer

    asyncio.Task(serve(), loop=LOOP)
    LOOP.turn()


def asyncio_future():
    node = Node()
    node.finish = lambda _: node
    node.answer = asyncio.Future(loop=LOOP)
    node.answer.add_done_callback(node.finish)


NODE = "Node"
SHAPES = {
    "self_reference": Shape(self_reference, 1, (NODE,)),
    "list_in_itself": Shape(list_in_itself, 1, ("list",)),
    "two_lists": Shape(two_lists, 1, ("list -> list",)),
    "pair": Shape(pair, 1, (NODE,)),
    "slots": Shape(slots, 1, ("Slotted -> {}Slotted",)),
    "ring_of_ten": Shape(ring_of_ten, 1, ("... (10 objects)",)),
    "tree_with_parents": Shape(tree_with_parents, 1, (NODE, "list")),
    "doubly_linked_list": Shape(doubly_linked_list, 1, (NODE,)),
    "dict_of_itself": Shape(dict_of_itself, 1, ("dict",)),
    "closure": Shape(closure, 1, ("cell", "function", "tuple")),
    "exception_and_frame": Shape(exception_and_frame, 1, ("ValueError", "frame", "traceback")),
    "bound_method": Shape(bound_method, 1, ("method", NODE)),
    "class_of_a_call": Shape(class_of_a_call, 1, ("type",)),
    "generator": Shape(generator, 1, ("cell", "generator"), closes_itself=True),
    "coroutine": Shape(coroutine, 1, ("cell", "coroutine"), closes_itself=True),
    "cached_method": Shape(cached_method, 1, ("Cached", "lru_cache_wrapper", "method")),
    "orm_like": Shape(orm_like, 1, (NODE, "dict")),
    "with_finalizer": Shape(with_finalizer, 1, (NODE,)),
    "lambda_in_dict": Shape(lambda_in_dict, 1, ("dict", "function", "cell")),
    "thread_local": Shape(thread_local, 1, (NODE, "dict")),
    "asyncio_task": Shape(asyncio_task, 1, ("Task", "Future"), closes_itself=True),
    "asyncio_future": Shape(asyncio_future, 1, (NODE,)),
}
