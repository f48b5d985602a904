"""The arithmetic of the drain, against synthetic recorders."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc_otel.flight import layout
from gc_otel.flight.layout import BUCKETS, DURATION_BOUNDS_NS, GENERATIONS
from gc_otel.flight.snapshot import Collector, Event, GenerationStats
from gc_otel.otel.catalog import DURATION_BOUNDS_S
from gc_otel.otel.drain import RECORDS_MOST, Drain

Cell = tuple[int, int]
pytestmark = pytest.mark.once

DURATIONS_NS = st.one_of(
    st.integers(0, 20_000_000_000),
    st.sampled_from([bound + step for bound in DURATION_BOUNDS_NS for step in (-1, 0, 1)]),
)
COLLECTION = st.tuples(st.integers(0, GENERATIONS - 1), DURATIONS_NS, st.booleans())
COLLECTS = st.lists(st.lists(COLLECTION, max_size=30), min_size=1, max_size=6)


@dataclass
class Recorded:
    """What a recorder holds after some collections; ``ring`` is how many of the latest it keeps."""

    ring: int = layout.LATEST_EVENTS
    events: list[Event] = field(default_factory=list)

    def add(self, generation: int, duration_ns: int, *, own: bool = False) -> None:
        number = len(self.events) + 1
        self.events.append(Event(number, number, duration_ns, duration_ns, generation, False, own, 0, 0, 0, 1, 0, 0))

    def totals(self, *, own: bool | None = None) -> tuple[Counter[Cell], Counter[Cell]]:
        counts: Counter[Cell] = Counter()
        sums_ns: Counter[Cell] = Counter()
        for event in self.events:
            if own is None or event.own == own:
                cell = (event.generation, bisect_left(DURATION_BOUNDS_NS, event.duration_ns))
                counts[cell] += 1
                sums_ns[cell] += event.duration_ns
        return counts, sums_ns

    def collector(self, since: int = 0) -> Collector:
        counts, sums_ns = self.totals()
        own_counts, own_sums_ns = self.totals(own=True)

        def row(cells: Counter[Cell], generation: int) -> tuple[int, ...]:
            return tuple(cells[generation, bucket] for bucket in range(BUCKETS))

        generations = tuple(
            GenerationStats(
                sum(row(counts, number)),
                0,
                0,
                0,
                0,
                sum(row(sums_ns, number)),
                0,
                0,
                row(counts, number),
                row(sums_ns, number),
                row(own_counts, number),
                row(own_sums_ns, number),
            )
            for number in range(GENERATIONS)
        )
        kept = self.events[-self.ring :] if self.ring else []
        latest = tuple(event for event in kept if event.number > since)
        return Collector(generations, len(self.events), 0, 0, None, latest, (), torn=False)


@dataclass
class Given:
    """What came out of a drain, by generation and the bucket that the SDK would choose."""

    counts: Counter[Cell] = field(default_factory=Counter)
    sums_ns: Counter[Cell] = field(default_factory=Counter)

    def take(self, drain: Drain, recorded: Recorded, **options: int) -> int:
        taken = 0
        for batch in drain.take(recorded.collector(drain.last_event), **options):
            assert batch.count > 0
            cell = (batch.generation, bisect_left(DURATION_BOUNDS_S, batch.duration_ns / 1e9))
            assert cell[1] == bisect_left(DURATION_BOUNDS_NS, batch.duration_ns)
            self.counts[cell] += batch.count
            self.sums_ns[cell] += batch.duration_ns * batch.count
            taken += batch.count
        return taken


@settings(max_examples=300, deadline=None)
@given(COLLECTS, st.sampled_from([0, 1, 3, 10, layout.LATEST_EVENTS]))
def test_every_collection_is_given_once(collects, ring):
    """Counts per generation and bucket equal the recorded ones less our own; sums too; at every collect."""
    recorded, drain, given_out = Recorded(ring), Drain(), Given()
    for collections in collects:
        for generation, duration_ns, own in collections:
            recorded.add(generation, duration_ns, own=own)
        given_out.take(drain, recorded)
        counts, sums_ns = recorded.totals(own=False)
        assert given_out.counts == counts
        assert given_out.sums_ns == pytest.approx(sums_ns, rel=1e-12, abs=1e-3)
        assert drain.dropped_self == sum(event.own for event in recorded.events)
        assert drain.dropped_limit == 0


@settings(max_examples=200, deadline=None)
@given(COLLECTS, st.sampled_from([0, 3, layout.LATEST_EVENTS]), st.integers(0, 25))
def test_most_is_respected(collects, ring, most):
    """No collect gives more; what is above is counted as dropped, and never comes later."""
    recorded, drain, given_out = Recorded(ring), Drain(), Given()
    for collections in collects:
        for generation, duration_ns, own in collections:
            recorded.add(generation, duration_ns, own=own)
        assert given_out.take(drain, recorded, most=most) <= most
        counts, _ = recorded.totals(own=False)
        assert sum(given_out.counts.values()) + drain.dropped_limit == sum(counts.values())
        assert not given_out.counts - counts
    assert given_out.take(drain, recorded, most=most) == 0


@settings(max_examples=300, deadline=None)
@given(st.integers(0, BUCKETS - 1), st.data())
def test_a_mean_stays_in_its_bucket(bucket, data):
    """The mean that stands for lost durations of a bucket is in that bucket, in nanoseconds and in seconds.

    It lies between the least and the greatest of integers that a float holds exactly, and
    division rounds monotonically; so does the one by 1e9, which neighbours do not share there.
    """
    least = DURATION_BOUNDS_NS[bucket - 1] + 1 if bucket else 0
    most = DURATION_BOUNDS_NS[bucket] if bucket < len(DURATION_BOUNDS_NS) else 10**13
    edge = st.sampled_from([least, most])
    durations_ns = data.draw(st.lists(st.one_of(edge, st.integers(least, most)), min_size=1, max_size=50))
    recorded, given_out = Recorded(ring=0), Given()
    for duration_ns in durations_ns:
        recorded.add(0, duration_ns)
    given_out.take(Drain(), recorded)
    assert given_out.counts == {(0, bucket): len(durations_ns)}


def test_durations_that_the_ring_holds_are_exact():
    """Nothing is averaged while the ring holds all of them."""
    recorded = Recorded()
    for duration_ns in (60_001, 60_003, 60_999, 3_000_000_000):
        recorded.add(1, duration_ns)
    batches = list(Drain().take(recorded.collector()))
    assert sorted(batch.duration_ns for batch in batches) == [60_001, 60_003, 60_999, 3_000_000_000]
    assert {(batch.generation, batch.count) for batch in batches} == {(1, 1)}


def test_what_the_ring_lost_is_the_mean_of_the_rest():
    """With one of three known, the other two are given as their mean."""
    recorded = Recorded(ring=1)
    for duration_ns in (60_000, 70_000, 99_000):
        recorded.add(2, duration_ns)
    batches = [(batch.duration_ns, batch.count) for batch in Drain().take(recorded.collector())]
    assert batches == [(99_000, 1), (65_000.0, 2)]


def test_the_longest_are_given_first():
    """Where a limit cuts, the short ones are lost and the long ones told."""
    recorded = Recorded()
    for duration_ns in (10, 20_000_000_000, 60_000, 200_000_000):
        recorded.add(0, duration_ns)
    drain = Drain()
    assert [batch.duration_ns for batch in drain.take(recorded.collector(), most=2)] == [20_000_000_000, 200_000_000]
    assert drain.dropped_limit == 2


def test_the_default_limit():
    """20 000 values at most by default."""
    recorded = Recorded(ring=0)
    recorded.add(0, 10)
    one = recorded.collector()
    many = RECORDS_MOST + 5
    stats = one.generations[0]
    buckets = (many, *stats.buckets[1:])
    stats = GenerationStats(
        many, 0, 0, 0, 0, 10 * many, 10, 0, buckets, (10 * many, *stats.bucket_sum_ns[1:]), *(stats.own_buckets,) * 2
    )
    drain = Drain()
    collector = Collector((stats, *one.generations[1:]), many, 0, 0, None, (), (), torn=False)
    assert [(batch.duration_ns, batch.count) for batch in drain.take(collector)] == [(10.0, RECORDS_MOST)]
    assert (RECORDS_MOST, drain.dropped_limit) == (20_000, 5)
