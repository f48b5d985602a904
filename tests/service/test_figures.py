"""Quantiles, rates, shares and slopes of made readings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gc_otel.flight.layout import BUCKETS, DURATION_BOUNDS_NS
from gc_otel.flight.snapshot import CollectionInProgress, Collector, Event, GenerationStats, HistoryPoint
from gc_otel.service import figures as figuring
from gc_otel.service.figures import Mark, Trail, figures, growth_bytes_per_h, histogram, memory_share

SECOND_NS = 1_000_000_000
MS = 1_000_000
RING = 512


def event(number, end_ns, duration_ns, generation=0):
    start_ns = end_ns - duration_ns
    return Event(
        number, start_ns, duration_ns, duration_ns, generation,
        explicit=False, own=False, collected=0, uncollectable=0, candidates=0, thread_id=1, trace_id=0, span_id=0,
    )  # fmt: skip


def stats(durations_ns):
    buckets = [0] * BUCKETS
    for duration_ns in durations_ns:
        buckets[sum(duration_ns > bound for bound in DURATION_BOUNDS_NS)] += 1
    empty = (0,) * BUCKETS
    return GenerationStats(
        len(durations_ns), 0, 0, 0, 0, sum(durations_ns), max(durations_ns, default=0), 0,
        tuple(buckets), empty, empty, empty,
    )  # fmt: skip


def collector(events, *, in_progress=None):
    """As the recorder would have it after these events."""
    by_generation = [[each.duration_ns for each in events if each.generation == number] for number in range(3)]
    longest = sorted(events, key=lambda each: -each.duration_ns)[:32]
    return Collector(
        tuple(map(stats, by_generation)), len(events), 0, 0, in_progress, tuple(events[-RING:]), tuple(longest), torn=False
    )  # fmt: skip


def busy(count, *, until_ns, step_ns=MS, duration_ns=100_000):
    """More collections than the ring holds."""
    return [event(at + 1, until_ns - (count - at - 1) * step_ns, duration_ns) for at in range(count)]


def test_a_minute_that_the_ring_holds_is_exact():
    """Only what ended within it counts; quantiles are durations that were measured."""
    now_ns = 1000 * SECOND_NS
    events = [event(1, now_ns - 61 * SECOND_NS, 900 * MS, 2)]
    events += [event(2 + at, now_ns - (60 - at) * SECOND_NS // 2, (at + 1) * MS, at % 2) for at in range(60)]
    made = figures(collector(events), None, since_ns=0, now_ns=now_ns)
    assert made.window_ns == 60 * SECOND_NS
    assert made.pauses == figuring.Pauses(60, 30 * MS, 60 * MS, 60 * MS, is_estimate=False)
    assert made.collections_per_s == (0.5, 0.5, 0.0)
    assert made.share_in_gc == pytest.approx(sum(range(61)) / 1000 / 60)


def test_a_young_process_is_told_over_its_age():
    """Ten seconds of recording are not a minute."""
    events = [event(1, 5 * SECOND_NS, 100 * MS)]
    made = figures(collector(events), None, since_ns=0, now_ns=10 * SECOND_NS)
    assert made.window_ns == 10 * SECOND_NS
    assert made.share_in_gc == pytest.approx(0.01)
    assert made.collections_per_s[0] == pytest.approx(0.1)


def test_nothing_has_happened():
    """No collection is no pause, and a share of zero."""
    made = figures(collector([]), None, since_ns=0, now_ns=100 * SECOND_NS)
    assert made.pauses == figuring.Pauses(0, None, None, None, is_estimate=False)
    assert made.share_in_gc == 0.0
    assert made.collections_per_s == (0.0, 0.0, 0.0)


def test_the_collection_in_progress_counts_as_time_in_gc():
    """A process that has been in one for half a minute spends half of it there."""
    hanging = CollectionInProgress(70 * SECOND_NS, 2, 1)
    made = figures(collector([], in_progress=hanging), None, since_ns=0, now_ns=100 * SECOND_NS)
    assert made.share_in_gc == pytest.approx(0.5)


def test_the_first_reading_of_a_busy_process_goes_as_far_back_as_its_ring():
    """The window says so; nothing is made up for the rest of the minute."""
    now_ns = 1000 * SECOND_NS
    made = figures(collector(busy(2000, until_ns=now_ns)), None, since_ns=0, now_ns=now_ns)
    assert made.window_ns == pytest.approx(RING * MS, rel=0.01)
    assert made.pauses.collections == RING
    assert not made.pauses.is_estimate
    assert made.collections_per_s[0] == pytest.approx(1000, rel=0.01)


def test_a_busy_process_is_told_by_the_difference():
    """Counts and shares are exact; quantiles lie in their bucket, the longest is known."""
    now_ns = 1000 * SECOND_NS
    old = [event(1, 1 * SECOND_NS, 700 * MS)]
    new = busy(6000, until_ns=now_ns, step_ns=10 * MS, duration_ns=200_000)
    new[5990] = event(5991, new[5990].start_ns, 30 * MS)
    before = Mark(now_ns - 60 * SECOND_NS, collector(old).generations)
    made = figures(collector(old + new), before, since_ns=0, now_ns=now_ns)
    assert made.pauses.is_estimate
    assert made.pauses.collections == 6000
    assert 100_000 < made.pauses.p50_ns <= 250_000
    assert 100_000 < made.pauses.p99_ns <= 250_000
    assert made.pauses.max_ns == 30 * MS
    assert made.collections_per_s[0] == pytest.approx(100)
    assert made.share_in_gc == pytest.approx((5999 * 0.0002 + 0.03) / 60)


def test_a_mark_of_just_now_is_not_preferred_to_the_ring():
    """Somebody noted the counters an instant ago: that window is too short to tell of anything."""
    now_ns = 1000 * SECOND_NS
    events = busy(2000, until_ns=now_ns)
    hanging = CollectionInProgress(now_ns - 200 * MS, 2, 1)
    before = Mark(now_ns - MS, collector(events).generations)
    made = figures(collector(events, in_progress=hanging), before, since_ns=0, now_ns=now_ns)
    assert made.pauses.collections == RING
    assert made.share_in_gc < 0.6


def test_a_longest_that_is_none_of_the_longest_is_bounded_by_its_bucket():
    """Older collections were longer than all of this minute's: no more is known than the bucket."""
    now_ns = 1000 * SECOND_NS
    old = [event(at + 1, SECOND_NS + at, 700 * MS) for at in range(40)]
    new = busy(1000, until_ns=now_ns, step_ns=MS, duration_ns=200_000)
    before = Mark(now_ns - 2 * SECOND_NS, collector(old).generations)
    made = figures(collector(old + new), before, since_ns=0, now_ns=now_ns)
    assert made.pauses.max_ns == 250_000
    lean = replace(collector(old + new), latest=(), longest=())
    assert figures(lean, before, since_ns=0, now_ns=now_ns).pauses == made.pauses
    risen = replace(collector([*old, *new, event(2000, now_ns, 800 * MS)]), latest=(), longest=())
    assert figures(risen, before, since_ns=0, now_ns=now_ns).pauses.max_ns == 800 * MS


def test_without_events_and_without_a_mark_nothing_is_known():
    """A lean copy at the first reading."""
    lean = replace(collector(busy(600, until_ns=100 * SECOND_NS)), latest=(), longest=())
    made = figures(lean, None, since_ns=0, now_ns=100 * SECOND_NS)
    assert made.share_in_gc is None
    assert made.collections_per_s == ()


def test_a_mark_that_is_another_process_is_not_believed():
    """Counters that fell belong to somebody else, and rates are never negative."""
    now_ns = 100 * SECOND_NS
    more = Mark(now_ns - 1, collector(busy(9000, until_ns=now_ns)).generations)
    made = figures(collector(busy(600, until_ns=now_ns)), more, since_ns=0, now_ns=now_ns)
    assert min(made.collections_per_s) >= 0
    assert not made.pauses.is_estimate


def test_a_trail_holds_a_minute():
    """Its first mark is at least a window old as soon as there is one, and they do not pile up."""
    trail = Trail(60)
    assert trail.before() is None
    generations = collector([]).generations
    for at_ns in range(1000):
        trail.add(Mark(at_ns, generations))
    assert trail.before().at_ns == 999 - 60
    assert len(trail._marks) <= 62
    trail.add(Mark(2000, collector([event(1, 0, 1)]).generations))
    trail.add(Mark(2001, generations))
    assert trail.before().at_ns == 2001


def history(rss, step_s=5):
    return tuple(
        HistoryPoint(at * step_s * SECOND_NS, value, None, None, None, 0, 0, 0, None, None)
        for at, value in enumerate(rss)
    )


def test_growth_is_a_slope_that_a_step_does_not_move():
    """A megabyte an hour is told with and without a request of a hundred in the middle of it."""
    steady = [10_000_000 + at * 1_000_000 * 5 // 3600 for at in range(720)]
    assert growth_bytes_per_h(history(steady)) == pytest.approx(1_000_000, rel=0.01)
    disturbed = [value + (100_000_000 if 300 <= at < 340 else 0) for at, value in enumerate(steady)]
    assert growth_bytes_per_h(history(disturbed)) == pytest.approx(1_000_000, rel=0.25)
    assert growth_bytes_per_h(history([5] * 720)) == 0


def test_growth_is_not_told_of_a_moment():
    """Less than a minute, or a handful of points."""
    assert growth_bytes_per_h(history([1, 2, 3, 4, 5, 6, 7], step_s=1)) is None
    assert growth_bytes_per_h(history([1, 2, 3], step_s=60)) is None
    assert growth_bytes_per_h(history([None] * 100)) is None
    assert growth_bytes_per_h(history([1] * 100), of="uss_bytes") is None


def test_small_ones():
    """Shares of a limit, and one histogram of all generations."""
    assert memory_share(50, 100) == 0.5
    assert memory_share(50, None) is None
    assert memory_share(None, 100) is None
    made = collector([event(1, 10 * MS, 60_000), event(2, 10 * MS, 60_000, 2)])
    assert histogram(made.generations)[1] == sum(histogram(made.generations)) == 2
