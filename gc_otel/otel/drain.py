"""What of the recorded collections a histogram of the SDK has not received yet.

Pure arithmetic over snapshots.  Durations come from the ring of the latest events
where it still holds them, and otherwise, when more than 512 collections passed
between two collects, from the bucket totals: then each is given as the mean of
those of its bucket that are missing, so that counts, buckets and the sum stay exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from gc_otel.flight import layout
from gc_otel.flight.snapshot import Collector

#: Values given to the histogram in one collect at most: ``record()`` takes 5 to 10 us, so about
#: a fifth of a second.  What is above is counted as dropped.
RECORDS_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Batch:
    """``count`` collections of ``generation`` that took ``duration_ns`` each."""

    generation: int
    duration_ns: float
    count: int


@dataclass(slots=True)
class _Bucket:
    """Totals of one bucket of one generation."""

    count: int = 0
    sum_ns: int = 0


def _no_totals() -> list[list[_Bucket]]:
    return [[_Bucket() for _ in range(layout.BUCKETS)] for _ in range(layout.GENERATIONS)]


@dataclass(slots=True)
class Drain:
    """What has been given so far.  ``take`` moves it forward."""

    dropped_self: int = 0
    dropped_limit: int = 0
    last_event: int = 0
    _given: list[list[_Bucket]] = field(default_factory=_no_totals)

    def take(self, collector: Collector, *, most: int = RECORDS_MOST) -> Iterator[Batch]:
        """Batches to record now, longest buckets first, ``most`` values in all.

        Every collection of ``collector`` is given exactly once over all calls,
        or counted in ``dropped_self`` or ``dropped_limit``.
        """
        seen = self._durations_seen(collector)
        left = most
        for bucket in reversed(range(layout.BUCKETS)):
            for generation, stats in enumerate(collector.generations):
                given = self._given[generation][bucket]
                total = _Bucket(
                    stats.buckets[bucket] - stats.own_buckets[bucket],
                    stats.bucket_sum_ns[bucket] - stats.own_bucket_sum_ns[bucket],
                )
                batches = _batches(
                    generation, total.count - given.count, total.sum_ns - given.sum_ns, seen[generation][bucket]
                )
                self._given[generation][bucket] = total
                for batch in batches:
                    now = min(batch.count, left)
                    left -= now
                    self.dropped_limit += batch.count - now
                    if now:
                        yield Batch(generation, batch.duration_ns, now)
        self.dropped_self = sum(sum(stats.own_buckets) for stats in collector.generations)
        self.last_event = collector.events

    def _durations_seen(self, collector: Collector) -> list[list[list[int]]]:
        seen: list[list[list[int]]] = [[[] for _ in range(layout.BUCKETS)] for _ in range(layout.GENERATIONS)]
        for event in collector.latest:
            if event.number > self.last_event and not event.own:
                bucket = bisect_left(layout.DURATION_BOUNDS_NS, event.duration_ns)
                seen[event.generation][bucket].append(event.duration_ns)
        return seen


def _batches(generation: int, count: int, sum_ns: int, seen: list[int]) -> list[Batch]:
    batches = [Batch(generation, duration_ns, 1) for duration_ns in seen[:count]]
    missing = count - len(batches)
    if missing > 0:
        batches.append(Batch(generation, max(0, sum_ns - sum(seen)) / missing, missing))
    return batches
