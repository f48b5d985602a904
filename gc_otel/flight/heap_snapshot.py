"""What a flight file says of the heap, of garbage cycles and of measured blocks, as frozen data.

:mod:`gc_otel.flight.heap_reader` makes these.  ``None`` means "not known", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeapType:
    """A row of the census: a type, or plain containers named by their owner (``dict of app.Session``).

    The previous numbers are None where the census before had no such row.  ``estimated``: shares or a sample are part
    of the figures.  ``has_series``: it is published under its name, and not among the others.
    """

    name: str
    objects: int
    size_bytes: int
    previous_objects: int | None
    previous_size_bytes: int | None
    estimated: bool
    has_series: bool


@dataclass(frozen=True, slots=True)
class GarbageType:
    """Objects of one type in ``gc.garbage``."""

    name: str
    objects: int


@dataclass(frozen=True, slots=True)
class HeapCensus:
    """The monitor's last census: its largest and fastest growing types, and the totals of all.

    ``state`` says how it is taken: ``waiting`` before the first, ``costly`` where it would hold the GIL too long to be
    taken as often as usual, ``off``, ``unsupported``.  ``due_ns``, ``taken_ns`` and ``previous_taken_ns`` are monotonic;
    ``taken_ns`` is 0 before the first census.  ``hold_ns`` is how long the walk took, with the GIL held by the native one.
    ``sampled_every`` 0: objects that the collector does not track were not looked for.
    """

    state: str
    walker: str
    censuses: int
    taken_ns: int
    previous_taken_ns: int
    due_ns: int
    hold_ns: int
    cost_ns: int
    sampled_every: int
    tracked_objects: int
    objects: int
    size_bytes: int
    previous_objects: int
    previous_size_bytes: int
    rss_bytes: int | None
    garbage_objects: int
    types: tuple[HeapType, ...]
    garbage: tuple[GarbageType, ...]

    @property
    def unattributed_bytes(self) -> int | None:
        """Resident memory that the types do not explain; never below 0, None before a census or without ``rss_bytes``."""
        if self.rss_bytes is None or not self.taken_ns:
            return None
        return max(0, self.rss_bytes - self.size_bytes)


@dataclass(frozen=True, slots=True)
class CycleSignature:
    """Garbage cycles of one shape, such as ``app.Node -> dict``.

    ``cycles`` is the estimate for all young collections, ``sampled_cycles`` what was seen in ``samples`` of them.
    ``series_base`` is what it had before it got a series of its own, None while it has none.  ``last_ns`` is monotonic.
    """

    id: int
    name: str
    samples: int
    sampled_cycles: int
    sampled_objects: int
    cycles: int
    last_ns: int
    series_base: int | None


@dataclass(frozen=True, slots=True)
class CycleSample:
    """What the cycle sampler found, largest signature first.

    An estimate: from ``samples`` collections (by generation, as ``garbage``, the objects found in them) to all young
    ones, by the objects that these collected.  Cycles that grow old enough for a full collection are not in it.
    ``state`` says why there is none: ``off``, ``python`` (no native recorder), ``freethreaded``, ``incremental``,
    ``failed`` (no memory, or the collector's lists are not where CPython has them).
    ``unnamed`` is the part of ``cycles`` whose signatures gave way to others.
    """

    state: str
    samples: tuple[int, ...]
    garbage: tuple[int, ...]
    skipped: int
    cycles: int
    unnamed: int
    cost_ns: int
    longest_ns: int
    signatures: tuple[CycleSignature, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """A histogram of signed differences; ``sums[i]`` adds up those counted in ``buckets[i]``."""

    buckets: tuple[int, ...]
    sums: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.buckets)


@dataclass(frozen=True, slots=True)
class MeasuredBlock:
    """All runs of one measured block of code, those that others overlapped apart from those that none did.

    ``is_other``: all names beyond the first ``layout.MEASURED_NAMES``.  A histogram may have fewer values than there
    were runs, where a number was not known or not asked for.
    """

    name: str
    overlapped: bool
    is_other: bool
    runs: int
    blocks: Differences
    rss_bytes: Differences
    uss_bytes: Differences
    collections: Differences
    gc_ns: Differences


@dataclass(frozen=True, slots=True)
class Measured:
    """All measured blocks."""

    blocks: tuple[MeasuredBlock, ...]
    cost_ns: int
