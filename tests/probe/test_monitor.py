"""One round of the monitor, on private memory and with told answers."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace

import pytest

from gc_otel.flight import file as files
from gc_otel.flight import layout, reader
from gc_otel.flight.layout import GC, GENERATION, WINDOW
from gc_otel.probe import monitor as monitors
from gc_otel.probe.monitor import Monitor
from gc_otel.sample.cgroup import MemoryLimit
from gc_otel.sample.process import MemoryDetail, ProcessSample

SAMPLE = ProcessSample(1000, 2000, 30, 4, 5, 6, 7, 8, 9, 10)
NOTHING = ProcessSample(*[None] * 10)


class FakeSampler:
    """Answers what it was told; None in ``details`` means "not due"."""

    def __init__(self, sample=SAMPLE, details=()):
        self.told = sample
        self.details = list(details)

    def sample(self):
        return self.told

    def detail(self):
        return self.details.pop(0) if self.details else None


class Bench:
    """A monitor over private memory with a clock of its own."""

    def __init__(self, mapping, **given):
        self.mapping = mapping
        self.cells = mapping.view().cast("Q")
        self.now_ns = 1_000
        options = {"interval_ns": 5_000_000_000, "sampler": None, "read_limit": None, **given}
        self.monitor = Monitor(
            mapping, clock_ns=lambda: self.now_ns, unix_ns=lambda: self.now_ns + 1_000_000, **options
        )
        self.source = files.OwnMemory(mapping)

    def rounds(self, count=1, every_ns=100):
        for _ in range(count):
            self.now_ns += every_ns
            self.monitor.round()

    def rounds_with_collections(self, stats, count=1):
        """Rounds, and before each a collection that is recorded."""
        for _ in range(count):
            stats[0] += 1
            self.cells[GENERATION.cell("collections", 0)] += 1
            self.rounds()

    @property
    def interpreter(self):
        return reader.read_interpreter(self.source)

    @property
    def memory(self):
        return reader.read_memory(self.source)

    @property
    def history(self):
        return reader.read_history(self.source)


@pytest.fixture
def bench(make_mapping):
    mappings = []

    def make(**given):
        mappings.append(make_mapping(-1))
        return Bench(mappings[-1], **given)

    yield make
    for mapping in mappings:
        mapping.close()


@pytest.fixture
def stats(monkeypatch):
    """What gc.get_stats() answers: collections by generation, to be changed by the test."""
    told = [100, 10, 1]
    fake = SimpleNamespace(
        get_stats=lambda: [{"collections": count} for count in told],
        get_count=lambda: (3, 2, 1),
        get_threshold=lambda: (700, 10, 5),
        isenabled=lambda: True,
    )
    monkeypatch.setattr(monitors, "gc", fake)
    return told


def test_nothing_is_known_before_the_first_round(bench):
    """A made monitor has written nothing that a reader could take for a number."""
    quiet = bench()
    assert (quiet.interpreter, quiet.memory, quiet.history) == (None, None, ())


def test_a_round_tells_of_the_interpreter(bench, stats):
    """Blocks, thresholds, pending, enabled and the beat arrive at the reader."""
    made = bench()
    made.rounds()
    read = made.interpreter
    assert (read.beat_ns, read.interval_ns) == (1_100, 5_000_000_000)
    assert (read.thresholds, read.pending, read.unseen) == ((700, 10, 5), (3, 2, 1), (0, 0, 0))
    assert read.gc_enabled is True
    assert 0.5 < read.allocated_blocks / sys.getallocatedblocks() < 2
    assert made.cells[WINDOW.cell("number")] == 1


def test_a_disabled_collector_is_told(bench, quiet_gc):
    """gc.disable() is visible, and so are the real thresholds."""
    made = bench()
    made.rounds()
    assert made.interpreter.gc_enabled is False
    assert made.interpreter.thresholds == (*gc.get_threshold(), 0)[:3]


def test_a_negative_count_is_zero(bench, stats, monkeypatch):
    """Free-threaded builds count per thread and may answer below zero."""
    monkeypatch.setattr(monitors.gc, "get_count", lambda: (-4, 0, 2))
    made = bench()
    made.rounds()
    assert made.interpreter.pending == (0, 0, 2)


def test_a_round_measures_its_own_cost(bench):
    """The monitor's CPU time adds up from round to round."""
    made = bench()
    made.rounds()
    first_ns = made.interpreter.overhead_ns
    made.rounds(20)
    assert 0 < first_ns < made.interpreter.overhead_ns


def test_memory_is_read_back(bench):
    """Every number of the sampler stands at its place, with its time and the limit's source."""
    made = bench(
        sampler=FakeSampler(details=[MemoryDetail(11, 12, 13)]), read_limit=lambda: MemoryLimit(4096, "cgroup-v1")
    )
    made.rounds()
    read = made.memory
    assert (read.rss_bytes, read.vms_bytes, read.cpu_user_ns, read.cpu_system_ns) == (1000, 2000, 30, 4)
    assert (read.threads, read.file_descriptors) == (5, 6)
    assert (read.voluntary_switches, read.involuntary_switches) == (7, 8)
    assert (read.minor_faults, read.major_faults) == (9, 10)
    assert (read.uss_bytes, read.pss_bytes, read.swap_bytes) == (11, 12, 13)
    assert (read.limit_bytes, read.limit_source, read.sampled_ns) == (4096, "cgroup-v1", 1_100)


def test_what_is_not_known_is_none_and_not_zero(bench):
    """Disabled sources, details that are not due and a missing limit are absent; in the history too."""
    made = bench(sampler=FakeSampler(NOTHING), read_limit=lambda: None)
    made.rounds()
    read = made.memory
    numbers = [getattr(read, name) for name in type(read).__slots__ if name not in ("sampled_ns", "limit_source")]
    assert numbers == [None] * len(numbers)
    assert read.limit_source == "unknown"
    (point,) = made.history
    assert (point.rss_bytes, point.uss_bytes, point.limit_bytes, point.cpu_ns, point.threads) == (None,) * 5


def test_zero_is_a_number(bench):
    """A cgroup's limit of 0 and no swap are known."""
    made = bench(sampler=FakeSampler(details=[MemoryDetail(0, 0, 0)]), read_limit=lambda: MemoryLimit(0, "cgroup-v2"))
    made.rounds()
    assert (made.memory.swap_bytes, made.memory.limit_bytes, made.memory.limit_source) == (0, 0, "cgroup-v2")


def test_without_a_sampler_or_a_limit_the_rest_is_told(bench):
    """Without psutil the interpreter's numbers and the history go on."""
    made = bench()
    made.rounds(2)
    assert made.memory is None
    assert [point.rss_bytes for point in made.history] == [None, None]
    with_sampler = bench(sampler=FakeSampler())
    with_sampler.rounds()
    assert (with_sampler.memory.rss_bytes, with_sampler.memory.limit_bytes) == (1000, None)


def test_a_detail_stays_until_the_next(bench):
    """Dear numbers are sampled more seldom and told with their own time."""
    made = bench(sampler=FakeSampler(details=[MemoryDetail(11, 12, None), None]))
    made.rounds(2)
    assert (made.memory.uss_bytes, made.memory.pss_bytes, made.memory.swap_bytes) == (11, 12, None)
    assert made.memory.sampled_ns == 1_200
    assert made.cells[layout.MEMORY.cell("detail_sampled_ns")] == 1_100
    assert made.history[-1].uss_bytes == 11


def test_details_can_be_left_out(bench):
    """With memory_detail off the sampler is not asked for them."""
    made = bench(sampler=FakeSampler(details=[MemoryDetail(11, 12, 13)]), with_detail=False)
    made.rounds()
    assert made.memory.uss_bytes is None


def test_history_adds_up_the_recorder(bench):
    """A point holds the totals over the generations at its time."""
    made = bench(sampler=FakeSampler(), read_limit=lambda: MemoryLimit(99, "machine"))
    for generation in range(3):
        made.cells[GENERATION.cell("collections", generation)] = 10**generation
        made.cells[GENERATION.cell("duration_sum_ns", generation)] = 2 * 10**generation
    made.rounds()
    (point,) = made.history
    assert (point.unix_ns, point.collections, point.duration_sum_ns) == (1_001_100, 111, 222)
    assert (point.rss_bytes, point.limit_bytes, point.cpu_ns, point.threads) == (1000, 99, 34, 5)
    assert point.allocated_blocks == made.interpreter.allocated_blocks


def test_history_wraps(bench):
    """After an hour the oldest point gives way to the newest; the order is kept."""
    made = bench()
    made.rounds(layout.HISTORY_ENTRIES)
    assert [made.history[0].unix_ns, made.history[-1].unix_ns] == [1_001_100, 1_001_000 + 100 * 720]
    made.rounds(3)
    times = [point.unix_ns for point in made.history]
    assert times == [1_001_000 + 100 * number for number in range(4, 724)]


def test_the_longest_collection_of_each_window(bench, make_recorder, quiet_gc):
    """A point tells the longest collection since the point before; zero when there was none."""
    made = bench()
    recorder = make_recorder(made.mapping)
    recorder.install()
    try:
        made.rounds()
        gc.collect()
        first_ns = reader.read_collector(made.source).latest[-1].duration_ns
        made.rounds()
        made.rounds()
        gc.collect(0)
        gc.collect(0)
        later_ns = max(event.duration_ns for event in reader.read_collector(made.source).latest[-2:])
        made.rounds()
    finally:
        recorder.uninstall()
    assert [point.window_max_ns for point in made.history] == [0, first_ns, 0, later_ns]


def test_a_gap_is_reported_after_two_rounds(bench, stats):
    """What get_stats() counted and the recorder did not is unseen, once it outlived another collection."""
    made = bench()
    made.rounds()
    stats[0] += 5
    stats[2] += 1
    made.rounds(3)
    assert made.interpreter.unseen == (0, 0, 0)
    made.rounds_with_collections(stats)
    assert made.interpreter.unseen == (5, 0, 1)


def test_a_gap_of_a_quiet_program_is_reported_in_time(bench, stats):
    """No later collection comes: no callback waits for 10 s."""
    made = bench()
    made.rounds()
    stats[1] += 2
    made.rounds(2, every_ns=5_000_000_000)
    assert made.interpreter.unseen == (0, 0, 0)
    made.rounds(1, every_ns=5_000_000_000)
    assert made.interpreter.unseen == (0, 2, 0)


def test_a_passing_gap_is_not_reported(bench, stats):
    """get_stats() is ahead of the recorder until the stop callback has run, for however many rounds."""
    made = bench()
    made.rounds()
    stats[1] += 1
    made.rounds(5)
    made.cells[GENERATION.cell("collections", 1)] += 1
    made.rounds(3)
    made.rounds_with_collections(stats, 3)
    assert made.interpreter.unseen == (0, 0, 0)


def test_unseen_never_falls(bench, stats):
    """A published counter is monotonic, whatever the difference does."""
    made = bench()
    stats[0] += 7
    made.rounds_with_collections(stats, 2)
    assert made.interpreter.unseen == (7, 0, 0)
    stats[0] -= 4
    made.rounds_with_collections(stats, 3)
    assert made.interpreter.unseen == (7, 0, 0)
    stats[0] += 6
    made.rounds_with_collections(stats, 2)
    assert made.interpreter.unseen == (9, 0, 0)


def test_collections_without_a_start_are_not_unseen(bench, stats):
    """They are counted by the recorder, under their own reason."""
    made = bench()
    stats[2] += 1
    made.cells[GENERATION.cell("no_start", 2)] += 1
    made.rounds_with_collections(stats, 3)
    assert made.interpreter.unseen == (0, 0, 0)


def test_a_round_during_a_collection_does_not_judge(bench, stats):
    """While one is running get_stats() and the recorder may differ: the known number stays."""
    made = bench()
    stats[0] += 2
    made.rounds_with_collections(stats, 2)
    made.cells[GC.cell("collecting_since_ns")] = 1
    stats[0] += 1
    made.rounds_with_collections(stats, 3)
    assert made.interpreter.unseen == (2, 0, 0)
    made.cells[GC.cell("collecting_since_ns")] = 0
    made.rounds_with_collections(stats, 2)
    assert made.interpreter.unseen == (3, 0, 0)


def test_a_monitor_made_during_a_collection_begins_from_zero(make_mapping, stats):
    """What was collected before the recording began is never called unseen."""
    mapping = make_mapping(-1)
    cells = mapping.view().cast("Q")
    cells[GC.cell("collecting_since_ns")] = 1
    made = Bench(mapping)
    cells[GC.cell("collecting_since_ns")] = 0
    made.rounds(3)
    assert made.interpreter.unseen == (0, 0, 0)
    mapping.close()


def test_a_recorder_that_wrote_meanwhile_is_asked_again(bench, stats, monkeypatch):
    """A comparison is valid only when the recorder's sequence has not moved."""
    made = bench()
    told = monitors.gc.get_stats
    stats[0] += 1

    def while_recording():
        made.cells[GC.cell("sequence")] += 2
        return told()

    monkeypatch.setattr(monitors.gc, "get_stats", while_recording)
    made.rounds_with_collections(stats, 3)
    assert made.interpreter.unseen == (0, 0, 0)


def test_a_round_that_fails_leaves_readable_blocks(bench):
    """An interrupted round is followed by a whole one; the sections are consistent again."""
    sampler = FakeSampler()
    made = bench(sampler=sampler)
    made.rounds()
    sampler.told = ProcessSample(-1, *[None] * 9)  # no cell takes a negative number
    with pytest.raises((ValueError, OverflowError)):
        made.rounds()
    sampler.told = SAMPLE
    made.rounds()
    assert made.memory.rss_bytes == 1000
    assert made.cells[layout.MEMORY.cell("sequence")] % 2 == 0
