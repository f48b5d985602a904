"""From readings of one process to what people look at: quantiles, rates, shares and slopes, with units in their names.

Pure: it reads no file and no clock.  `gc-otel top` and the live page show the same numbers because
both ask here: :func:`figures` of what a flight file says now, and a :class:`Trail` of what it said before.

A minute is taken from the ring of latest collections where that still holds all of them: exact, and known at the first
reading.  A process that collects more often than that is told by the difference of two readings: counts and shares stay
exact, and quantiles are estimates within a bucket (``is_estimate``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from gc_otel.flight.layout import DURATION_BOUNDS_NS
from gc_otel.flight.snapshot import Collector, Event, GenerationStats, HistoryPoint

WINDOW_NS: Final = 60_000_000_000

_NS_PER_S: Final = 1e9
_NS_PER_H: Final = 3600e9

#: A slope of less than this tells of the last request, not of the process.
_SLOPE_SPAN_LEAST_NS: Final = 60_000_000_000
_SLOPE_POINTS_LEAST: Final = 6
#: Every pair of points is looked at: 60 points are 1,770 pairs, half a millisecond.
_SLOPE_POINTS_MOST: Final = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """The counters of a process at a moment of the monotonic clock."""

    at_ns: int
    generations: tuple[GenerationStats, ...]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Durations of the collections that ended within a window; quantiles are None where there were none."""

    collections: int
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """One process over the last ``window_ns``, which is less than a minute where no more is known.

    ``share_in_gc`` is a part of one, the collection in progress included; ``collections_per_s`` is by generation.
    """

    window_ns: int
    pauses: Pauses
    share_in_gc: float | None
    collections_per_s: tuple[float, ...]


class Trail:
    """Marks of one process, to find the one of a minute ago.  About 60 are kept, however often one is added."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._marks: deque[Mark] = deque()

    def add(self, mark: Mark) -> None:
        """The counters now."""
        marks = self._marks
        if marks and _has_gone_back(marks[-1], mark):
            marks.clear()
        if not marks or mark.at_ns - marks[-1].at_ns >= self._window_ns // 60:
            marks.append(mark)
        # The first one is the last that is at least a whole window old.
        while len(marks) > 1 and mark.at_ns - marks[1].at_ns >= self._window_ns:
            marks.popleft()

    def before(self) -> Mark | None:
        """The counters of about a minute ago, or the oldest that are known."""
        return self._marks[0] if self._marks else None


def figures(
    collector: Collector, before: Mark | None, *, since_ns: int, now_ns: int, window_ns: int = WINDOW_NS
) -> Figures:
    """What happened since ``before``, or in the last minute where the ring of latest collections tells.

    Times are of the monotonic clock; ``since_ns`` is when recording began.  A collector that was read without its events has
    an empty ring: then nothing is known but by ``before``.
    """
    window_ns = max(1, min(window_ns, now_ns - since_ns))
    ring = _within(collector.latest, now_ns - window_ns)
    if _holds_all(collector, now_ns - window_ns):
        return _of_events(collector, ring, window_ns, now_ns)
    now = Mark(now_ns, collector.generations)
    ring_since_ns = collector.latest[0].start_ns if collector.latest else now_ns
    # At the first readings of a busy process its ring goes further back than they do.
    if before is not None and before.at_ns < ring_since_ns and not _has_gone_back(before, now):
        return _of_difference(collector, before, now)
    if collector.latest:
        return _of_events(collector, collector.latest, max(1, now_ns - ring_since_ns), now_ns)
    return Figures(window_ns, Pauses(0, None, None, None, is_estimate=False), None, ())


def _within(events: Sequence[Event], from_ns: int) -> list[Event]:
    return [event for event in events if event.start_ns + event.wall_ns >= from_ns]


def _holds_all(collector: Collector, from_ns: int) -> bool:
    """Whether every collection that ended since then is in the ring."""
    latest = collector.latest
    if collector.events == len(latest):
        return True
    return bool(latest) and latest[0].start_ns + latest[0].wall_ns < from_ns


def _of_events(collector: Collector, events: Sequence[Event], window_ns: int, now_ns: int) -> Figures:
    durations_ns = sorted(event.duration_ns for event in events)
    counts = [0] * len(collector.generations)
    for event in events:
        counts[event.generation] += 1
    pauses = Pauses(
        len(durations_ns),
        _at_rank(durations_ns, 0.5),
        _at_rank(durations_ns, 0.99),
        durations_ns[-1] if durations_ns else None,
        is_estimate=False,
    )
    return _figures(collector, pauses, counts, spent_ns=sum(durations_ns), window_ns=window_ns, now_ns=now_ns)


def _of_difference(collector: Collector, before: Mark, now: Mark) -> Figures:
    pairs = list(zip(now.generations, before.generations, strict=True))
    counts = [new.collections - old.collections for new, old in pairs]
    spent_ns = sum(new.duration_sum_ns - old.duration_sum_ns for new, old in pairs)
    buckets = [
        sum(new.buckets[at] - old.buckets[at] for new, old in pairs) for at in range(len(DURATION_BOUNDS_NS) + 1)
    ]
    max_ns = _longest_since(collector, before, now)
    pauses = Pauses(
        sum(counts), _in_bucket(buckets, 0.5, max_ns), _in_bucket(buckets, 0.99, max_ns), max_ns, is_estimate=True
    )
    return _figures(collector, pauses, counts, spent_ns=spent_ns, window_ns=now.at_ns - before.at_ns, now_ns=now.at_ns)


def _figures(
    collector: Collector, pauses: Pauses, counts: Sequence[int], *, spent_ns: int, window_ns: int, now_ns: int
) -> Figures:
    in_progress = collector.in_progress
    if in_progress is not None:
        spent_ns += min(max(0, now_ns - in_progress.since_ns), window_ns)
    share = min(1.0, spent_ns / window_ns)
    return Figures(window_ns, pauses, share, tuple(count / (window_ns / _NS_PER_S) for count in counts))


def _longest_since(collector: Collector, before: Mark, now: Mark) -> int | None:
    """The longest collection since then.

    One that is among the longest of all is the longest since, too.  If none is, it was shorter than those, and the bound of
    its bucket is all that is known.
    """
    recent = [each.duration_ns for each in collector.longest if each.start_ns + each.wall_ns >= before.at_ns]
    if recent:
        return max(recent)
    bounds = [_bound_since(old, new) for old, new in zip(before.generations, now.generations, strict=True)]
    return max(filter(None, bounds), default=None)


def _bound_since(before: GenerationStats, now: GenerationStats) -> int | None:
    if now.duration_max_ns > before.duration_max_ns:
        return now.duration_max_ns
    grown = [at for at, (old, new) in enumerate(zip(before.buckets, now.buckets, strict=True)) if new > old]
    bounds = (*DURATION_BOUNDS_NS, now.duration_max_ns)
    return min(bounds[grown[-1]], now.duration_max_ns) if grown else None


def _has_gone_back(before: Mark, now: Mark) -> bool:
    """Another process's counters under the same name, or nonsense."""
    return len(before.generations) != len(now.generations) or any(
        new.collections < old.collections or any(a < b for a, b in zip(new.buckets, old.buckets, strict=True))
        for new, old in zip(now.generations, before.generations, strict=True)
    )


def _at_rank(ordered: Sequence[int], quantile: float) -> int | None:
    """By nearest rank: a value that was really measured."""
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)] if ordered else None


def _in_bucket(buckets: Sequence[int], quantile: float, max_ns: int | None) -> int | None:
    """As Prometheus' histogram_quantile() does it, linear within a bucket, and never above the longest."""
    total = sum(buckets)
    if total <= 0 or max_ns is None:
        return None
    rank, below = quantile * total, 0
    bounds = (0, *DURATION_BOUNDS_NS, max(max_ns, DURATION_BOUNDS_NS[-1]))
    for at, count in enumerate(buckets):
        if count and below + count >= rank:
            low, high = bounds[at], bounds[at + 1]
            return min(max_ns, round(low + (high - low) * (rank - below) / count))
        below += count
    return max_ns


def growth_bytes_per_h(points: Sequence[HistoryPoint], *, of: str = "rss_bytes") -> float | None:
    """The slope of a history's memory: the median of the slopes between all pairs of points (Theil and Sen).

    A restart of a cache, or one request's megabytes, move it little. None below one minute of history.
    """
    known = [(point.unix_ns, value) for point in points if (value := getattr(point, of)) is not None]
    chosen = _thinned(known)
    if len(chosen) < _SLOPE_POINTS_LEAST or chosen[-1][0] - chosen[0][0] < _SLOPE_SPAN_LEAST_NS:
        return None
    slopes = [
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for sooner, later in combinations(chosen, 2)
        if later[0] > sooner[0]
    ]
    return median(slopes) * _NS_PER_H if slopes else None


def _thinned(points: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """At most 60 of them, spread evenly, the first and the last among them."""
    if len(points) <= _SLOPE_POINTS_MOST:
        return points
    last = len(points) - 1
    return [points[round(at * last / (_SLOPE_POINTS_MOST - 1))] for at in range(_SLOPE_POINTS_MOST)]


def memory_share(rss_bytes: int | None, limit_bytes: int | None) -> float | None:
    """What of the limit is used; None without one."""
    return rss_bytes / limit_bytes if rss_bytes is not None and limit_bytes else None


def histogram(generations: Iterable[GenerationStats]) -> tuple[int, ...]:
    """Collections of all generations by the buckets of ``layout.DURATION_BOUNDS_NS``."""
    return tuple(map(sum, zip(*(each.buckets for each in generations), strict=True)))
