"""The census: how many objects of each type there are, and their bytes.

Sizes are shallow (an object's own memory, by its layout) and include the collector's
header.  What the collector tracks is counted one by one.  What it does not track
(str, bytes, numbers, tuples and dicts of these) is found at its holders, sampled on a large
heap, and marked as estimated; so is the split of plain containers among their owners.
Memory that no type explains (buffers of extensions, free blocks, code) is ``unattributed_bytes``.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gc_otel import _native
from gc_otel.heap.counting import ChargeRow, Counted, TypeRow, count_heap
from gc_otel.heap.names import PLAIN, container_name, named_containers, type_name

_S_PER_HOUR: Final = 3600.0
_NS_PER_S: Final = 1e9
#: Types beyond those shown, together.
OTHER: Final = "other"
#: A class may call itself anything; more letters than these are of no use to anybody.
NAME_LETTERS_MOST: Final = 200
_LEAST_SHARE: Final = 0.5  # less of an object than this is rounding


@dataclass(frozen=True)
class TypeCount:
    """One type, module-qualified, or plain containers named by their owner: ``dict of app.Session``.

    ``estimated`` where shares or a sample are part of the figure.
    """

    name: str
    objects: int
    size_bytes: int
    estimated: bool = False


@dataclass(frozen=True)
class TypeGrowth:
    """What changed of one type between two censuses; per hour where time passed, else 0."""

    name: str
    objects: int
    size_bytes: int
    objects_per_hour: float
    size_bytes_per_hour: float
    is_new: bool


@dataclass(frozen=True)
class CensusDifference:
    """What grew (first) and what shrank, by bytes; types without a change are left out."""

    seconds: float
    types: tuple[TypeGrowth, ...]

    def __str__(self) -> str:
        """The table of the first rows."""
        from gc_otel.heap.render import render_growth  # render imports this module

        return render_growth(self)


@dataclass(frozen=True)
class Census:
    """What was on the heap, largest first.

    ``duration_ns`` is what taking it took; the native walk held the GIL for nearly all of it.
    ``rss_bytes`` is None where /proc does not tell; ``sampled_every``: of the holders of
    untracked objects one in so many was looked into.
    """

    time_s: float
    monotonic_ns: int
    duration_ns: int
    types: tuple[TypeCount, ...]
    tracked_objects: int
    rss_bytes: int | None
    sampled_every: int
    walker: str

    @property
    def objects(self) -> int:
        """All objects counted."""
        return sum(each.objects for each in self.types)

    @property
    def size_bytes(self) -> int:
        """All bytes counted."""
        return sum(each.size_bytes for each in self.types)

    @property
    def unattributed_bytes(self) -> int | None:
        """Resident memory that the types do not explain; never below 0, None without ``rss_bytes``."""
        return None if self.rss_bytes is None else max(0, self.rss_bytes - self.size_bytes)

    def since(self, earlier: Census) -> CensusDifference:
        """What changed since an earlier census of the same process."""
        seconds = (self.monotonic_ns - earlier.monotonic_ns) / _NS_PER_S
        per_hour = _S_PER_HOUR / seconds if seconds > 0 else 0.0
        before = {each.name: each for each in earlier.types}
        now = {each.name: each for each in self.types}
        none = TypeCount("", 0, 0)
        rows = []
        for name in {**now, **before}:
            old, new = before.get(name, none), now.get(name, none)
            objects, size_bytes = new.objects - old.objects, new.size_bytes - old.size_bytes
            if objects or size_bytes:
                rates = objects * per_hour, size_bytes * per_hour
                rows.append(TypeGrowth(name, objects, size_bytes, *rates, is_new=name not in before))
        rows.sort(key=lambda row: (-row.size_bytes, -row.objects, row.name))
        return CensusDifference(seconds, tuple(rows))

    def as_dict(self, *, most: int | None = None) -> dict[str, Any]:
        """For JSON; of the types only the ``most`` largest, the others in one sum."""
        types = self.types if most is None else self.types[:most]
        rest = self.types[len(types) :]
        return {
            "time_unix_s": self.time_s,
            "monotonic_ns": self.monotonic_ns,
            "duration_ns": self.duration_ns,
            "walker": self.walker,
            "sampled_every": self.sampled_every,
            "tracked_objects": self.tracked_objects,
            "objects": self.objects,
            "size_bytes": self.size_bytes,
            "rss_bytes": self.rss_bytes,
            "unattributed_bytes": self.unattributed_bytes,
            "types": [
                {
                    "name": each.name[:NAME_LETTERS_MOST],
                    "objects": each.objects,
                    "size_bytes": each.size_bytes,
                    "estimated": each.estimated,
                }
                for each in types
            ],
            "types_left_out": {
                "types": len(rest),
                "objects": sum(each.objects for each in rest),
                "size_bytes": sum(each.size_bytes for each in rest),
            },
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Census:
        """What ``as_dict()`` gave; the types that it left out are one row, ``other``.  LookupError, TypeError, ValueError."""
        rows = [
            TypeCount(str(row["name"]), int(row["objects"]), int(row["size_bytes"]), bool(row["estimated"]))
            for row in found["types"]
        ]
        rest = found["types_left_out"]
        if rest["types"]:
            rows.append(TypeCount(OTHER, int(rest["objects"]), int(rest["size_bytes"]), estimated=True))
        rss_bytes = found["rss_bytes"]
        return cls(
            time_s=float(found["time_unix_s"]),
            monotonic_ns=int(found["monotonic_ns"]),
            duration_ns=int(found["duration_ns"]),
            types=tuple(rows),
            tracked_objects=int(found["tracked_objects"]),
            rss_bytes=None if rss_bytes is None else int(rss_bytes),
            sampled_every=int(found["sampled_every"]),
            walker=str(found["walker"]),
        )

    def __str__(self) -> str:
        """The table of the first rows."""
        from gc_otel.heap.render import render_census  # render imports this module

        return render_census(self)


def take_census(*, sample_every: int = 0) -> Census:
    """Count what is on the heap of this process, now; nothing is collected.

    ``sample_every`` 1 looks into every holder: exact as far as shares go, and three to five
    times as long.  0 looks into all of a small heap and into few of a large one.
    """
    if sample_every < 0:
        raise ValueError("sample_every is 0 or more")
    count, walker = _counter()
    began_ns = time.monotonic_ns()
    names, containers = _take_named()
    types, charges, visited, every = count(containers, sample_every)
    duration_ns = time.monotonic_ns() - began_ns
    rows = _merge(_named_types(types), _charged(types, charges, names, sampled=every > 1))
    return Census(time.time(), began_ns, duration_ns, rows, visited, rss_bytes(), every, walker)


def _counter() -> tuple[Callable[[list[object], int], Counted], str]:
    extension, _ = _native.load()
    return (count_heap, "python") if extension is None else (extension.count_heap, "native")


def _take_named() -> tuple[list[str], list[object]]:
    found = list(named_containers())
    return [name for name, _ in found], [container for _, container in found]


def _named_types(types: Iterable[TypeRow]) -> Iterable[TypeCount]:
    """Every type whose name says enough."""
    for cls, objects, size_bytes, leaf_objects, leaf_bytes in types:
        if cls not in PLAIN and (objects or leaf_objects >= _LEAST_SHARE):
            yield TypeCount(
                type_name(cls), objects + round(leaf_objects), size_bytes + round(leaf_bytes), leaf_objects > 0
            )


def _charged(
    types: Iterable[TypeRow], charges: list[ChargeRow], names: list[str], *, sampled: bool
) -> Iterable[TypeCount]:
    """Plain containers by owner.  The sum is what was counted: shares that a sample made too large are
    scaled, and what nobody was found to hold (a running frame, C code) keeps the plain name.
    """
    totals = {row[0]: (row[1] + row[3], row[2] + row[4]) for row in types if row[0] in PLAIN}
    for kind, (objects, size_bytes) in totals.items():
        found = [(owner, max(0.0, many), max(0.0, size)) for of, owner, many, size in charges if of is kind]
        scale = _scale(objects, sum(many for _, many, _ in found)) if sampled else 1.0
        scale_bytes = _scale(size_bytes, sum(size for _, _, size in found)) if sampled else 1.0
        rest_objects, rest_bytes = round(objects), round(size_bytes)
        for owner, many, size in found:
            if many < _LEAST_SHARE:
                continue
            row = TypeCount(
                container_name(kind, names[owner] if isinstance(owner, int) else owner),
                round(many * scale),
                round(size * scale_bytes),
                estimated=True,
            )
            rest_objects, rest_bytes = rest_objects - row.objects, rest_bytes - row.size_bytes
            yield row
        if rest_objects > 0:
            yield TypeCount(kind.__name__, rest_objects, max(0, rest_bytes), estimated=True)


def _scale(counted: float, charged: float) -> float:
    return counted / charged if charged > counted else 1.0


def _merge(*rows: Iterable[TypeCount]) -> tuple[TypeCount, ...]:
    """Types of the same name are one row: a class that is made anew at each call has many."""
    merged: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in (row for some in rows for row in some):
        total = merged[each.name]
        total[0] += each.objects
        total[1] += each.size_bytes
        total[2] |= each.estimated
    counts = (TypeCount(name, many, size, bool(about)) for name, (many, size, about) in merged.items())
    return tuple(sorted(counts, key=lambda row: (-row.size_bytes, -row.objects, row.name)))


def rss_bytes() -> int | None:
    """Resident memory of this process, or None where /proc does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None
