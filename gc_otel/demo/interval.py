"""What happened between two looks at a flight file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gc_otel.flight.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Interval:
    """Differences of two snapshots of one process.

    ``p99_ns`` and ``longest_ns`` are of ``pauses_known`` collections: all of them, unless
    more than the ring holds passed between two looks at it.
    """

    seconds: float
    collections: tuple[int, ...]
    pauses_known: int
    p99_ns: int | None
    longest_ns: int | None
    share_in_gc: float
    rss_bytes: int | None
    rss_growth_bytes: int | None


def between(before: Snapshot, after: Snapshot, durations_ns: Sequence[int], seconds: float) -> Interval:
    """What ``after`` has more than ``before``, which was taken ``seconds`` earlier.

    ``durations_ns`` are those of the collections between the two, as far as they are known.
    """
    pairs = zip(before.collector.generations, after.collector.generations, strict=True)
    spent_ns = after.collector.duration_sum_ns - before.collector.duration_sum_ns
    rss_bytes, rss_before_bytes = _rss_bytes(after), _rss_bytes(before)
    known = rss_bytes is not None and rss_before_bytes is not None
    return Interval(
        seconds=seconds,
        collections=tuple(new.collections - old.collections for old, new in pairs),
        pauses_known=len(durations_ns),
        p99_ns=percentile(durations_ns, 0.99),
        longest_ns=max(durations_ns, default=None),
        share_in_gc=spent_ns / 1e9 / seconds if seconds > 0 else 0.0,
        rss_bytes=rss_bytes,
        rss_growth_bytes=(rss_bytes or 0) - (rss_before_bytes or 0) if known else None,
    )


def _rss_bytes(snapshot: Snapshot) -> int | None:
    return snapshot.memory.rss_bytes if snapshot.memory is not None else None


def percentile(values: Sequence[int], share: float) -> int | None:
    """The smallest value that at least that share of all does not exceed; None of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None
