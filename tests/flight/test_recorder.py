"""What a recorder writes, told phase by phase."""

from __future__ import annotations

import gc
import threading

import pytest

from gc_otel.flight import layout
from gc_otel.flight.recorder import Recorder

SECOND_NS = 1_000_000_000

pytestmark = pytest.mark.usefixtures("quiet_gc")


def test_collections_are_counted_by_generation(rig) -> None:
    """Each generation has its own counts, and the buckets add up to them."""
    for generation, times in enumerate((5, 3, 2)):
        for _ in range(times):
            rig.collect(generation, collected=10 + generation, uncollectable=generation)
    stats = rig.read().generations
    assert [each.collections for each in stats] == [5, 3, 2]
    assert [each.collected for each in stats] == [50, 33, 24]
    assert [each.uncollectable for each in stats] == [0, 3, 4]
    assert [sum(each.buckets) for each in stats] == [5, 3, 2]
    assert [sum(each.bucket_sum_ns) for each in stats] == [each.duration_sum_ns for each in stats]
    assert [sum(each.own_buckets) for each in stats] == [0, 0, 0]


def test_totals_over_generations(rig) -> None:
    """The collector's totals are those of its generations together."""
    for generation in range(3):
        rig.collect(generation)
    collector = rig.read()
    assert (collector.collections, collector.events) == (3, 3)
    assert collector.duration_sum_ns == sum(event.duration_ns for event in collector.latest)
    assert collector.duration_max_ns == max(event.duration_ns for event in collector.latest)
    assert not collector.torn


def test_candidates_where_cpython_tells_them(rig) -> None:
    """The objects examined are added up; without the key they count zero."""
    rig.collect(1, candidates=7)
    rig.collect(1, candidates=5)
    rig.collect(1)
    collector = rig.read()
    assert collector.generations[1].candidates == 12
    assert [event.candidates for event in collector.latest] == [7, 5, 0]


def test_event_tells_all(rig) -> None:
    """An event says where it ran, what it found and that it was asked for (gc is disabled here)."""
    rig.collect(2, collected=4, uncollectable=1, candidates=9)
    (event,) = rig.read().latest
    assert (event.number, event.generation, event.explicit, event.own) == (1, 2, True, False)
    assert (event.collected, event.uncollectable, event.candidates) == (4, 1, 9)
    assert event.thread_id == threading.get_native_id()
    assert event.start_ns > 0
    assert event.wall_ns >= 0
    assert (event.trace_id, event.span_id) == (0, 0)


def test_ring_of_the_latest_wraps(rig) -> None:
    """After 512 events the oldest give way, and the numbers go on."""
    for number in range(530):
        rig.collect(0, collected=number)
    latest = rig.read().latest
    assert [event.number for event in latest] == list(range(19, 531))
    assert [event.collected for event in latest] == list(range(18, 530))


def test_reading_on_from_a_number(rig) -> None:
    """Only the events after the given number come back; none when nothing is new."""
    for _ in range(5):
        rig.collect()
    assert [event.number for event in rig.read(latest_since=3).latest] == [4, 5]
    assert rig.read(latest_since=5).latest == ()
    assert rig.read(latest_since=99).latest == ()
    assert rig.read(longest=False).longest == ()


def test_longest_are_the_longest_seen(rig) -> None:
    """The table of the longest holds at most 32, longest first, and the longest of all."""
    for _ in range(100):
        rig.collect()
    collector = rig.read()
    durations = [event.duration_ns for event in collector.longest]
    assert len(durations) == 32
    assert durations == sorted((event.duration_ns for event in collector.latest), reverse=True)[:32]
    assert durations[0] == collector.duration_max_ns
    assert len({event.number for event in collector.longest}) == 32
    assert rig.cells[layout.GC.cell("longest_floor_ns")] == durations[-1]


def test_stop_without_start(rig) -> None:
    """A collection that began before the recorder is counted apart, and in no histogram."""
    rig.stop(1)
    rig.stop(2)
    collector = rig.read()
    assert [each.no_start for each in collector.generations] == [0, 1, 1]
    assert collector.collections == collector.events == 0
    assert collector.latest == ()


def test_start_twice_counts_once(rig) -> None:
    """A start whose stop never came is replaced by the next."""
    rig.start(0)
    rig.collect(1)
    assert rig.counts() == [0, 1, 0]


def test_window_maximum_restarts_with_the_window(rig) -> None:
    """The monitor opens a window; the maximum then begins anew."""
    for _ in range(50):
        rig.collect()
    before = rig.read()
    assert before.window_max_ns == before.duration_max_ns
    rig.cells[layout.WINDOW.cell("number")] = 7
    rig.collect()
    after = rig.read()
    assert after.window_max_ns == after.latest[-1].duration_ns
    assert rig.cells[layout.GC.cell("window")] == 7
    assert after.duration_max_ns >= before.duration_max_ns


def test_own_work_is_flagged_for_its_thread_only(rig) -> None:
    """Between begin and end, collections of that thread are our own doing; another thread's are not."""
    rig.collect()
    rig.recorder.begin_own_work()
    rig.collect(1)
    other = threading.Thread(target=rig.collect, args=(1,))
    other.start()
    other.join()
    rig.recorder.end_own_work()
    rig.collect(2)
    collector = rig.read()
    assert [event.own for event in collector.latest] == [False, True, False, False]
    assert [sum(each.own_buckets) for each in collector.generations] == [0, 1, 0]
    assert sum(collector.generations[1].own_bucket_sum_ns) == collector.latest[1].duration_ns
    assert collector.latest[2].thread_id != collector.latest[1].thread_id


def test_in_progress_between_start_and_stop(rig) -> None:
    """While a collection runs the file tells since when, which generation and which thread."""
    assert rig.read().in_progress is None
    rig.start(1)
    progress = rig.read().in_progress
    assert (progress.generation, progress.thread_id) == (1, threading.get_native_id())
    rig.stop(1)
    collector = rig.read()
    assert collector.in_progress is None
    assert collector.latest[0].start_ns == progress.since_ns


def test_overhead_is_sampled(rig) -> None:
    """The first collection's own cost is measured and stands for 64; the next 63 add nothing."""
    rig.collect()
    first = rig.read().overhead_ns
    assert first > 0
    assert first % 64 == 0
    for _ in range(63):
        rig.collect()
    assert rig.read().overhead_ns == first
    rig.collect()
    assert rig.read().overhead_ns > first


def test_nothing_is_written_once_the_mapping_is_closed(rig) -> None:
    """A closed mapping is left alone, though a view still shows its cells."""
    rig.collect()
    rig.mapping.close()
    rig.collect()
    assert rig.cells[layout.GC.cell("events")] == 1


def test_no_room_on_the_heap_is_needed_to_record(rig) -> None:
    """Recording leaves no container behind for the collector to find."""
    rig.collect()
    tracked = len(gc.get_objects())
    for _ in range(200):
        rig.collect()
    assert len(gc.get_objects()) <= tracked + 5


def test_both_follow_the_protocol(rig) -> None:
    """Both recorders have every method that the probe calls."""
    names = [name for name in vars(Recorder) if not name.startswith("_")]
    assert sorted(names) == ["begin_own_work", "compare_clocks", "end_own_work", "install", "record_phase", "uninstall"]
    assert all(callable(getattr(rig.recorder, name)) for name in names)


# What only told clocks can show: the Python recorder.


@pytest.mark.parametrize(
    ("duration_ns", "bucket"),
    [
        (0, 0),
        (50_000, 0),
        (50_001, 1),
        (1_000_000, 4),
        (1_000_001, 5),
        (10 * SECOND_NS, 11),
        (10 * SECOND_NS + 1, 12),
        (3600 * SECOND_NS, 12),
    ],
)
def test_bucket_of_a_duration(clocked, duration_ns, bucket) -> None:
    """A bound belongs to the bucket below it, as Prometheus's `le` wants."""
    clocked.lasting(duration_ns, generation=1)
    stats = clocked.read().generations[1]
    assert [index for index, count in enumerate(stats.buckets) if count] == [bucket]
    assert stats.bucket_sum_ns[bucket] == stats.duration_sum_ns == stats.duration_max_ns == duration_ns


def test_duration_is_cpu_time_and_wall_stands_beside(clocked) -> None:
    """Waiting for the GIL on entry is not taken for collecting."""
    clocked.lasting(1_000, wall_ns=5_001_000)
    (event,) = clocked.read().latest
    assert (event.duration_ns, event.wall_ns) == (1_000, 5_001_000)


def test_duration_that_cpython_measured_is_preferred(clocked) -> None:
    """Where info carries a duration (3.15), it is the one."""
    clocked.lasting(1_000, wall_ns=2_000, duration=0.25)
    (event,) = clocked.read().latest
    assert (event.duration_ns, event.wall_ns) == (250_000_000, 2_000)


def test_longest_table_keeps_exactly_the_longest(clocked) -> None:
    """Of many durations in any order the 32 longest stay, and ties do not push each other out."""
    durations = [(number * 7919) % 1009 + 1 for number in range(1009)]
    for duration in durations:
        clocked.lasting(duration)
    kept = clocked.read().longest
    assert [event.duration_ns for event in kept] == list(range(1009, 1009 - 32, -1))
    assert all(durations[event.number - 1] == event.duration_ns for event in kept)
    clocked.lasting(1009 - 31)
    assert max(event.number for event in clocked.read().longest) <= 1009


def test_window_maximum_exactly(clocked) -> None:
    """The maximum rises within a window and falls with the next."""
    for duration in (5, 9, 3):
        clocked.lasting(duration)
    assert clocked.read().window_max_ns == 9
    clocked.cells[layout.WINDOW.cell("number")] += 1
    clocked.lasting(2)
    assert (clocked.read().window_max_ns, clocked.read().duration_max_ns) == (2, 9)
