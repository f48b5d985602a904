"""The census in Python: the twin of ``_native/heap.c`` and ``holders.c``, for where no extension is built.

The same numbers, slower, and with two differences.  A list holds every object
while it is counted, so what the program drops meanwhile dies here, in this thread.  Other
threads run in between, so the sums may be of slightly different moments.
"""

from __future__ import annotations

import gc
import random
import sys
import types
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from gc_otel.heap.names import PLAIN, derives_from, flags_of, is_one_of, is_plain, referents

#: Rows of types: tracked objects and bytes, then what holders have of untracked ones, in shares.
TypeRow = tuple[type, int, int, float, float]
#: Rows of plain containers: their type, the owner's type or the index of its name, shares.
ChargeRow = tuple[type, "type | int", float, float]
Counted = tuple[list[TypeRow], list[ChargeRow], int, int]

_FOLLOWED_DEPTH: Final = 3
_EXACT_OBJECTS: Final = 4096
_SPARSER_AFTER: Final = 512
_LARGE_BYTES: Final = 512
_ITEMS_BYTES: Final = 32768
_OWNERS_AT_MOST: Final = 4
#: From this reference count on an object is never freed.
IMMORTAL: Final = 2**30
_HAVE_GC: Final = 1 << 14
_PREHEADER: Final = 0 if sys.version_info < (3, 11) else 1 << 4 if sys.version_info < (3, 12) else 1 << 3 | 1 << 4
_INLINE_VALUES: Final = 0 if sys.version_info < (3, 13) else 1 << 2
_BASIC_SIZE: Final = type.__dict__["__basicsize__"]
_POINTER: Final = 8 if sys.maxsize > 2**32 else 4
_HAS_GIL: Final = getattr(sys, "_is_gil_enabled", lambda: True)()

_WITH_OWN_SIZE: Final[tuple[type, ...]] = (
    *(int, str, list, dict, set, frozenset, bytearray),
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType),
)
#: Of types that know best what they hold, their own ``__sizeof__``: C code of CPython.
_SIZEOF: Final[dict[type, Any]] = {each: each.__sizeof__ for each in (*_WITH_OWN_SIZE, object)}
_VARIABLE: Final = (tuple, bytes, type, types.CodeType)


def shallow_bytes(value: object) -> int:
    """Bytes of the object's own memory by its builtin layout; no ``__sizeof__`` of a class is called."""
    cls = type(value)
    flags = flags_of(cls)
    known = next((base for base in _WITH_OWN_SIZE if derives_from(cls, base)), None)
    if known is None and (flags & _INLINE_VALUES or derives_from(cls, *_VARIABLE)):
        known = object
    size: int = _BASIC_SIZE.__get__(cls) if known is None else _SIZEOF[known](value)
    if flags & _HAVE_GC and _HAS_GIL and (cls is not type or flags_of(value) & 1 << 9):  # type: ignore[arg-type]
        size += 2 * _POINTER
    return size + (2 * _POINTER if flags & _PREHEADER else 0)


def reference_counts(values: list[Any]) -> list[int]:
    """The reference counts of a list's items, the list's own references among them."""
    return [count - _EXTRA for count in map(sys.getrefcount, values)]


_EXTRA: Final = next(map(sys.getrefcount, [object()])) - 1


def held_by(holder: object) -> list[tuple[Any, int]]:
    """What an object holds, with the reference count of each; ours are taken off."""
    values = referents(holder)
    times = Counter(map(id, values))
    counts = reference_counts(values)
    return [(value, count - times[id(value)]) for value, count in zip(values, counts, strict=True)]


class _Walk:
    def __init__(self, named: list[object], sample_every: int) -> None:
        self.asked_every = sample_every
        self.named = {id(value): index for index, value in reversed(list(enumerate(named)))}
        self.names = named
        self.types: dict[int, list[Any]] = {}  # by identity: see names.py
        self.charges: dict[tuple[type, int], list[Any]] = {}  # owners by their place, or their identity inverted
        self.visited = 0
        self.most_every = 1
        self.draw: Callable[[], float] = random.Random(1).random  # noqa: S311 - a sample, not a secret

    def run(self) -> Counted:
        objects = gc.get_objects()
        own = {id(objects), id(self.__dict__), id(self.names), id(self.named), id(self.types), id(self.charges)}
        for value in objects:
            if id(value) not in own:
                self.visit(value)
        del objects
        rows: list[TypeRow] = [(cls, objects, size, *leaves) for cls, objects, size, *leaves in self.types.values()]
        charges: list[ChargeRow] = [(kind, owner, *shares) for kind, owner, *shares in self.charges.values()]
        return rows, charges, self.visited, self.most_every

    def visit(self, value: object) -> None:
        size = shallow_bytes(value)
        row = self.row_of(type(value))
        row[1] += 1
        row[2] += size
        self.visited += 1
        if is_plain(value) and id(value) in self.named:
            self.charge_named(value, self.named[id(value)], size)
        every = self.sampling()
        self.most_every = max(every, self.most_every)
        if size > _LARGE_BYTES * every:
            self.look_into(value, type(value), 1.0, self.references_every(every, size), _FOLLOWED_DEPTH, claiming=False)
        elif every == 1 or self.draw() * every < 1:
            self.look_into(value, type(value), float(every), 1, _FOLLOWED_DEPTH, claiming=False)

    def sampling(self) -> int:
        if self.asked_every > 0:
            return self.asked_every
        return 1 + max(0, self.visited - _EXACT_OBJECTS) // _SPARSER_AFTER

    def references_every(self, every: int, size: int) -> int:
        """One reference in how many of a large container."""
        return every if self.asked_every > 0 else max(every, size // _ITEMS_BYTES)

    def look_into(
        self, holder: object, owner: type | int, weight: float, every: int, depth: int, *, claiming: bool
    ) -> None:
        """Charge what the holder has; ``claiming``: a second sight, for the sake of the owner."""
        for value, count in held_by(holder):
            if every > 1 and self.draw() * every >= 1:
                continue
            kind = type(value) if is_plain(value) else None
            tracked = gc.is_tracked(value)
            if (kind is None and (tracked or claiming)) or count >= IMMORTAL:
                continue
            share = weight * every / max(1, count - tracked)
            size = share * shallow_bytes(value)
            if not tracked and not claiming:
                row = self.row_of(type(value))
                row[3] += share
                row[4] += size
                if flags_of(type(value)) & _HAVE_GC and depth > 0 and type(value) is not type:
                    self.look_into(value, type(value), share, 1, depth - 1, claiming=False)
            if kind is not None and id(value) in self.named:
                if not tracked and not claiming:  # a tracked one is charged where it is visited
                    self.charge(kind, self.named[id(value)], share, size)
                continue
            if kind is None:
                continue
            self.charge(kind, owner, share, size)
            if claiming:
                self.charge(kind, type(holder), -share, -size)
            # What several hold is nobody's own: the globals of a module would be read once for each of its functions.
            if not is_one_of(owner, PLAIN) and share * _OWNERS_AT_MOST >= weight * every and depth > 0:
                inner = every if size > share * _LARGE_BYTES * every else 1  # see holders.c
                self.look_into(value, owner, share, inner, depth - 1, claiming=True)

    def row_of(self, cls: type) -> list[Any]:
        return self.types.setdefault(id(cls), [cls, 0, 0, 0.0, 0.0])

    def charge(self, kind: type, owner: type | int, share: float, size: float) -> None:
        place = owner if type(owner) is int else ~id(owner)
        row = self.charges.setdefault((kind, place), [kind, owner, 0.0, 0.0])
        row[2] += share
        row[3] += size

    def charge_named(self, value: object, index: int, size: int) -> None:
        self.charge(type(value), index, 1.0, float(size))
        every = self.asked_every or 64
        every = self.references_every(every, size) if size > _LARGE_BYTES * every else 1
        self.look_into(value, index, 1.0, every, _FOLLOWED_DEPTH - 1, claiming=True)


def count_heap(named: list[object], sample_every: int, /) -> Counted:
    """Count what the collector tracks, by type; see ``_native/heap.c`` for what the numbers are.

    ``named`` are containers that are charged under their place in this list; of the others'
    holders one in ``sample_every`` is looked into (0: all of a small heap, fewer of a large one).
    """
    return _Walk(named, sample_every).run()
