"""The census for a thread beside the program where no extension is built: tracked types and their fixed bytes.

HAZARD: up to CPython 3.13 a list of all objects that is held while other threads run breaks them:
``tuple(iterator)`` resizes a tuple that the collector tracks already, and raises SystemError when somebody else
holds it too.  So nothing here holds an object across two bytecodes: the list is made inside the one C call that
reduces it to types and sizes, and is gone when that returns.  From 3.12 on no collection starts inside a C call,
so no Python callback of anybody's runs in between, and the GIL is held throughout; below 3.12 one can, and the
census is not taken.  ``object.__sizeof__`` is C code that knows nothing of classes; what a dict, list or set has
outside of the object itself is therefore not in its bytes.
"""

from __future__ import annotations

import gc
import sys
import time
from itertools import chain, repeat
from typing import Any, Final

from gc_otel.heap.census import Census
from gc_otel.heap.counts import TypeCount
from gc_otel.heap.names import flags_of, type_name
from gc_otel.heap.pages import rss_bytes

_POINTER: Final = 8 if sys.maxsize > 2**32 else 4
_PREHEADER: Final = 1 << 3 | 1 << 4
_TWICE: Final = (2,)
_REDUCE: Final = (type, object.__sizeof__)


def take_types() -> Census:
    """Count what the collector tracks, by type.  Strings and other untracked objects are not looked for."""
    began_ns = time.monotonic_ns()
    both = _types_then_sizes()
    duration_ns = time.monotonic_ns() - began_ns
    tracked = len(both) // 2
    kinds: dict[int, type] = {}
    numbers: dict[int, list[int]] = {}
    for kind, size in zip(both[:tracked], both[tracked:], strict=True):
        row = numbers.setdefault(id(kind), [0, 0])
        row[0] += 1
        row[1] += size
        kinds[id(kind)] = kind
    merged: dict[str, list[int]] = {}
    for identity, (count, size) in numbers.items():
        total = merged.setdefault(type_name(kinds[identity]), [0, 0])
        total[0] += count
        total[1] += size + count * _header_bytes(kinds[identity])
    rows = (TypeCount(name, many, size) for name, (many, size) in merged.items())
    ordered = tuple(sorted(rows, key=lambda row: (-row.size_bytes, -row.objects, row.name)))
    return Census(time.time(), began_ns, duration_ns, ordered, tracked, rss_bytes(), 0, "python")


def _types_then_sizes() -> list[Any]:
    """The types of all tracked objects, then their sizes in the same order: of one list that nobody else ever has.

    A third function is offered, so that the list is asked for once more: only an iterator that has been
    asked in vain lets go of what it has, and that must happen in here.
    """
    one_list_twice = chain.from_iterable(map(repeat, map(gc.get_objects, (None,)), _TWICE))
    apply_each: Any = map(map, chain(_REDUCE, (len,)), one_list_twice)  # type: ignore[arg-type]  # map is a callable too
    return list(chain.from_iterable(apply_each))


def _header_bytes(kind: type) -> int:
    return 2 * _POINTER + (2 * _POINTER if flags_of(kind) & _PREHEADER else 0)
