"""Which types the collector tracks objects of, and objects out of these, without harm to other threads.

HAZARD: up to CPython 3.13 whoever holds a reference to a tuple that another thread is making (``tuple(iterator)``) makes
that raise SystemError there, and ``gc.get_objects()`` gives such references.  The native functions hold nothing
but what is asked for, and no tuple in the making.  Without them types are counted inside
one C call, and objects are listed from 3.14 on only.

Types are told apart by identity: a metaclass may have a ``__hash__`` or an ``__eq__`` of its own, which is somebody's code.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from gc_otel import _native
from gc_otel.errors import NotSupported

_LISTS_ARE_SAFE: Final = sys.version_info >= (3, 14)
_NO_SAMPLE: Final = 1 << 30
#: By the list, and by the argument of getrefcount().
_HELD_BY_A_LIST_ALONE: Final = 2
_SUBCLASSES: Final = type.__dict__["__subclasses__"]


def can_list() -> bool:
    """Whether objects can be listed beside other threads."""
    return _LISTS_ARE_SAFE or _native.load()[0] is not None


def can_count_types() -> bool:
    """Whether types can be counted in one C call that nobody's code interrupts: see heap/types_only.py."""
    return sys.version_info >= (3, 12) and getattr(sys, "_is_gil_enabled", lambda: True)()


def need_lists() -> None:
    """NotSupported where they cannot."""
    if not can_list():
        raise NotSupported(
            "without the C extension objects cannot be listed beside other threads before CPython 3.14",
            remedy="Install gc_otel with its extension (a wheel, or a compiler and CPython's headers).",
        )


def count_types() -> list[tuple[type, int]]:
    """Every type that there are tracked objects of, with how many; the GIL is held meanwhile."""
    extension, _ = _native.load()
    if extension is not None:
        return [(row[0], row[1]) for row in extension.count_heap([], _NO_SAMPLE)[0] if row[1]]
    one_list = map(gc.get_objects, (None,))
    identities = Counter(map(id, chain.from_iterable(map(map, (type,), one_list))))
    return [(cls, identities[id(cls)]) for cls in all_types() if id(cls) in identities]


def all_types() -> list[type]:
    """Every class that there is; nothing of theirs is called."""
    found: dict[int, type] = {id(object): object}
    waiting: list[type] = [object]
    while waiting:
        cls = waiting.pop()
        for each in _SUBCLASSES(cls):
            if id(each) not in found:
                found[id(each)] = each
                waiting.append(each)
    return list(found.values())


def select_objects(types: Iterable[type], most: int) -> tuple[list[Any], int]:
    """The last ``most`` tracked objects of these types, and how many there are; NotSupported where that is not safe."""
    wanted = list(types)
    if not _LISTS_ARE_SAFE:
        wanted = [cls for cls in wanted if cls is not tuple]
    extension, _ = _native.load()
    if extension is not None:
        selected: tuple[list[Any], int] = extension.select_objects(wanted, most)
        return selected
    need_lists()
    identities = {id(cls) for cls in wanted}
    found = [value for value in gc.get_objects() if id(type(value)) in identities]
    return found[-most:], len(found)


def find_referrers(objects: list[Any], most: int) -> list[tuple[Any, int]]:
    """Pairs of an object that holds one of these and the place of that; the list itself is left out."""
    extension, _ = _native.load()
    if extension is not None:
        pairs: list[tuple[Any, int]] = extension.find_referrers(objects, most)
        return pairs
    need_lists()
    places = {id(value): place for place, value in enumerate(objects)}
    found = []
    holders = gc.get_referrers(*objects)
    for at in range(len(holders)):
        # 3.15 passes on a copy of the call's own tuple, and so finds that one: a tuple that only this list holds.
        is_of_the_call = type(holders[at]) is tuple and sys.getrefcount(holders[at]) == _HELD_BY_A_LIST_ALONE
        if holders[at] is not objects and not is_of_the_call:
            found += [(holders[at], places[id(held)]) for held in gc.get_referents(holders[at]) if id(held) in places]
    return found[:most]
