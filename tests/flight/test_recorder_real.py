"""Recorders in the real gc.callbacks: what they count is what CPython counts."""

from __future__ import annotations

import gc
import threading

import pytest

from gc_otel.flight import layout
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.reader import read_collector
from gc_otel.flight.recorder import gc_mode, python_duration_clock

pytestmark = pytest.mark.usefixtures("restored_gc")
only_generational = pytest.mark.skipif(gc_mode() != "generational", reason="this collector has other rules")


def stats() -> list[dict[str, int]]:
    return [dict(each) for each in gc.get_stats()]


def difference(before: list[dict[str, int]], after: list[dict[str, int]], key: str) -> list[int]:
    return [late[key] - early[key] for early, late in zip(before, after, strict=True)]


class Node:
    """One object of a cycle."""

    def __init__(self) -> None:
        self.me = self


@only_generational
def test_recorded_is_what_cpython_counts(rig, quiet_gc, install) -> None:
    """Collections, collected and uncollectable of every generation equal the differences of get_stats()."""
    before = stats()
    with install(rig.recorder):
        for generation in (0, 0, 0, 1, 1, 2):
            for _ in range(4):
                Node()
            gc.collect(generation)
        after = stats()  # before uninstall(), which collects to learn whether a collection runs
    recorded = rig.read().generations
    assert [each.collections for each in recorded] == difference(before, after, "collections") == [3, 2, 1]
    assert [each.collected for each in recorded] == difference(before, after, "collected")
    assert [each.uncollectable for each in recorded] == difference(before, after, "uncollectable") == [0, 0, 0]
    assert sum(each.collected for each in recorded) >= 24


def test_gc_collect_is_explicit_whether_gc_is_enabled_or_not(rig, quiet_gc, install) -> None:
    """What the program asks for is explicit in each generation."""
    gc.set_threshold(100_000, 50, 50)
    with install(rig.recorder):
        for switch in (gc.disable, gc.enable):
            switch()
            for generation in (0, 1, 2):
                gc.collect(generation)
    collector = rig.read()
    assert all(event.explicit for event in collector.latest)
    assert sum(each.explicit_collections for each in collector.generations) == collector.collections == 6


@only_generational
def test_automatic_collections_are_not_explicit(rig, quiet_gc, install) -> None:
    """Collections that allocation sets off are told from those asked for, though both happen."""
    gc.set_threshold(50, 3, 3)
    with install(rig.recorder):
        gc.enable()
        kept = [[] for _ in range(5000)]
        gc.disable()
        automatic = rig.read()
        gc.collect()
    assert len(kept) == 5000
    assert automatic.collections > 50
    assert [each.explicit_collections for each in automatic.generations] == [0, 0, 0]
    assert sum(each.explicit_collections for each in rig.read().generations) == 1


@only_generational
def test_a_full_one_is_asked_for_where_none_is_due(rig, quiet_gc, install) -> None:
    """Its count stays above the threshold while the heap has not grown by a quarter: that is no evidence."""
    kept = [[] for _ in range(100_000)]
    gc.collect()
    gc.set_threshold(200, 1, 1)
    with install(rig.recorder):
        gc.enable()
        kept += [[] for _ in range(10_000)]
        assert gc.get_count()[2] > gc.get_threshold()[2]
        gc.collect()
        gc.disable()
    generations = rig.read().generations
    assert (generations[2].collections, generations[2].explicit_collections) == (1, 1)
    assert len(kept) == 110_000


def test_threshold_zero_means_asked_for(rig, quiet_gc, install) -> None:
    """With a threshold of 0 nothing is automatic, though gc is enabled."""
    gc.set_threshold(0)
    with install(rig.recorder):
        gc.enable()
        gc.collect(0)
        gc.collect(2)
    assert [event.explicit for event in rig.read().latest] == [True, True]


@only_generational
def test_many_young_collections_are_asked_one_by_one_no_more(rig, quiet_gc, install) -> None:
    """After a thousand automatic ones young collections are only sampled: all automatic still, and counted."""
    before = stats()
    gc.set_threshold(1, 1000, 1000)
    with install(rig.recorder):
        gc.enable()
        kept = [[] for _ in range(20_000)]
        gc.disable()
        after = stats()
    collector = rig.read()
    assert len(kept) == 20_000
    assert collector.generations[0].collections > 1024 + 64
    assert [each.collections for each in collector.generations] == difference(before, after, "collections")
    assert sum(each.explicit_collections for each in collector.generations) == 0


@only_generational
def test_what_comes_before_it_is_due_is_asked_about(rig, quiet_gc, install) -> None:
    """After a thousand automatic ones, the first gc.collect(1) is explicit, as too few young ones were before it."""
    gc.set_threshold(1, 1000, 1000)
    with install(rig.recorder):
        gc.enable()
        kept = [[] for _ in range(20_000)]
        gc.collect(1)
        gc.disable()
    collector = rig.read()
    assert len(kept) == 20_000
    assert collector.generations[0].collections > 1024 + 64
    asked = [event for event in collector.latest if event.explicit]
    assert [event.generation for event in asked[:1]] == [1]
    assert collector.generations[1].explicit_collections == 1


def test_eight_threads_allocating(rig, quiet_gc, install) -> None:
    """What eight threads set off together is counted to the last collection."""

    def work() -> None:
        start.wait()
        for _ in range(4000):
            Node()

    start = threading.Barrier(8)
    threads = [threading.Thread(target=work) for _ in range(8)]
    before = stats()
    gc.set_threshold(60, 4, 4)
    with install(rig.recorder):
        gc.enable()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.disable()
        after = stats()
    collector = rig.read()
    # While the twin's callback waits for the GIL the others allocate without a collection: there are few of
    # them. Without a GIL the whole heap must have grown by a quarter before it is collected.
    assert collector.collections > (8 if gc_mode() == "generational" else 0)
    assert [each.collections for each in collector.generations] == difference(before, after, "collections")
    assert sum(each.collected for each in collector.generations) == sum(difference(before, after, "collected"))
    if gc_mode() == "generational":
        assert len({event.thread_id for event in collector.latest}) > 1


@pytest.mark.parametrize("generation", [0, 2])
def test_in_progress_in_a_finalizer(rig, quiet_gc, install, generation) -> None:
    """A finalizer that the collector runs sees its own collection in progress."""
    seen = []

    class Dying(Node):
        def __del__(self) -> None:
            seen.append(rig.read().in_progress)

    with install(rig.recorder):
        Dying()
        gc.collect(generation)
    (progress,) = seen
    assert progress.thread_id == threading.get_native_id()
    if gc_mode() == "generational":
        assert progress.generation == generation
    assert rig.read().in_progress is None


def test_in_progress_in_a_neighbour_callback(rig, quiet_gc, install) -> None:
    """A callback behind ours finds the collection in progress at its start, and no more at its stop."""
    seen = {}
    with install(rig.recorder):
        gc.callbacks.append(lambda phase, info: seen.update({phase: rig.read()}))
        gc.collect(1)
        gc.callbacks.pop()
    assert seen["start"].in_progress.since_ns > 0
    assert (seen["start"].events, seen["stop"].events) == (0, 1)
    assert seen["stop"].in_progress is None


def test_installed_while_collecting(rig, quiet_gc) -> None:
    """A recorder that a finalizer installs knows that it has not seen the start."""

    class Installing(Node):
        def __del__(self) -> None:
            rig.recorder.install()

    Installing()
    gc.collect(2)
    gc.collect(2)
    assert rig.recorder.uninstall()
    collector = rig.read()
    assert sum(each.no_start for each in collector.generations) == 1
    assert collector.collections == 1


def test_reading_ones_own_memory_while_collecting_all_the_time(rig, quiet_gc, install) -> None:
    """A process that collects at nearly every allocation can still read its own consistent numbers."""
    gc.set_threshold(1, 1, 1)
    with install(rig.recorder):
        gc.enable()
        reads = [read_collector(OwnMemory(rig.mapping)) for _ in range(50)]
        gc.disable()
    assert not any(each.torn for each in reads)
    events = [each.events for each in reads]
    assert events == sorted(events)
    if gc_mode() == "generational":
        assert events[-1] > 50


def test_names_of_mode_and_clock_are_known() -> None:
    """What this interpreter's collector is called has a place in the header."""
    assert gc_mode() in layout.GC_MODES[1:]
    assert python_duration_clock() in layout.DURATION_CLOCKS[1:]


@pytest.mark.parametrize(
    ("version", "abiflags", "mode"),
    [
        ((3, 10, 13), "", "generational"),
        ((3, 13, 9), "", "generational"),
        ((3, 14, 0), "", "incremental"),
        ((3, 14, 4), "", "incremental"),
        ((3, 14, 5), "", "generational"),
        ((3, 15, 0), "", "generational"),
        ((3, 13, 0), "t", "freethreaded"),
        ((3, 14, 2), "t", "freethreaded"),
    ],
)
def test_mode_by_version(monkeypatch, version, abiflags, mode) -> None:
    """Incremental are 3.14.0 to 3.14.4 only; without a GIL it is neither."""
    monkeypatch.setattr("sys.version_info", (*version, "final", 0))
    monkeypatch.setattr("sys.abiflags", abiflags)
    assert gc_mode() == mode


@pytest.mark.parametrize(("version", "clock"), [((3, 14, 9), "thread_cpu"), ((3, 15, 0), "cpython")])
def test_twins_clock_by_version(monkeypatch, version, clock) -> None:
    """From 3.15 on CPython tells the duration itself."""
    monkeypatch.setattr("sys.version_info", (*version, "final", 0))
    assert python_duration_clock() == clock
