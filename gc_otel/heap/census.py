"""The census: how many objects of each type there are, and their bytes.

Sizes are shallow (an object's own memory, by its layout) and include the collector's
header.  What the collector tracks is counted one by one.  What it does not track
(str, bytes, numbers, tuples and dicts of these) is found at its holders, sampled on a large
heap, and marked as estimated; so is the split of plain containers among their owners.
Memory that no type explains (buffers of extensions, free blocks, code) is ``unattributed_bytes``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gc_otel import _native
from gc_otel.heap.counting import Counted, count_heap
from gc_otel.heap.counts import TypeCount, named_counts
from gc_otel.heap.names import named_containers
from gc_otel.heap.pages import rss_bytes

_S_PER_HOUR: Final = 3600.0
_NS_PER_S: Final = 1e9
#: Types beyond those shown, together.
OTHER: Final = "other"
#: A class may call itself anything; more letters than these are of no use to anybody.
NAME_LETTERS_MOST: Final = 200


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

    ``duration_ns`` is what taking it took, ``pause_ns`` how long nothing else ran in this process, where that is known.
    Where a child counted, ``child_cpu_ns`` is its CPU time and ``child_memory_bytes`` what it took beside the memory that
    it shared, else None; ``no_child_because`` says why there was none where one was asked for.
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
    pause_ns: int | None = None
    child_cpu_ns: int | None = None
    child_memory_bytes: int | None = None
    no_child_because: str | None = None

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
            "pause_ns": self.pause_ns,
            "walker": self.walker,
            "child_cpu_ns": self.child_cpu_ns,
            "child_memory_bytes": self.child_memory_bytes,
            "no_child_because": self.no_child_because,
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
        return cls(
            time_s=float(found["time_unix_s"]),
            monotonic_ns=int(found["monotonic_ns"]),
            duration_ns=int(found["duration_ns"]),
            types=tuple(rows),
            tracked_objects=int(found["tracked_objects"]),
            rss_bytes=_int_or_none(found["rss_bytes"]),
            sampled_every=int(found["sampled_every"]),
            walker=str(found["walker"]),
            pause_ns=_int_or_none(found["pause_ns"]),
            child_cpu_ns=_int_or_none(found["child_cpu_ns"]),
            child_memory_bytes=_int_or_none(found["child_memory_bytes"]),
            no_child_because=None if found["no_child_because"] is None else str(found["no_child_because"]),
        )

    def __str__(self) -> str:
        """The table of the first rows."""
        from gc_otel.heap.render import render_census  # render imports this module

        return render_census(self)


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


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
    counting_ns = time.monotonic_ns()
    types, charges, visited, every = count(containers, sample_every)
    ended_ns = time.monotonic_ns()
    rows = named_counts(types, charges, names, sampled=every > 1)
    pause_ns = ended_ns - counting_ns if walker == "native" else None
    return Census(time.time(), began_ns, ended_ns - began_ns, rows, visited, rss_bytes(), every, walker, pause_ns)


def take_census_in_child(say: Callable[..., object] = lambda *_: None, *, sample_every: int = 1) -> Census:
    """The same, counted in a cloned child: this process stops only to be cloned.

    ``say`` is told a phase several times a second; what it raises ends the child.  NotSupported without the C
    extension, without Linux, and on a free-threaded interpreter.  Both processes copy what either of them writes to: look
    for room first.
    """
    from gc_otel.heap.census_child import count_in_child

    began_ns = time.monotonic_ns()
    names, containers = _take_named()
    told, spent = count_in_child(containers, sample_every, say)
    unknown = TypeCount(OTHER, told.unknown_objects, told.unknown_bytes)
    is_sample = told.sampled_every > 1
    more = [unknown] if told.unknown_objects else []
    rows = named_counts(told.types, told.charges, names, sampled=is_sample, more=more)
    return Census(
        time.time(),
        began_ns,
        time.monotonic_ns() - began_ns,
        rows,
        told.tracked_objects,
        rss_bytes(),
        told.sampled_every,
        "child",
        spent.pause_ns,
        spent.cpu_ns,
        spent.memory_bytes,
    )


def _counter() -> tuple[Callable[[list[object], int], Counted], str]:
    extension, _ = _native.load()
    return (count_heap, "python") if extension is None else (extension.count_heap, "native")


def _take_named() -> tuple[list[str], list[object]]:
    found = list(named_containers())
    return [name for name, _ in found], [container for _, container in found]
