"""Reading what another process wrote: all of it back, nothing believed that contradicts itself."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest

from gc_otel.errors import NotAFlightFile, NotConsistent
from gc_otel.flight import layout, reader
from gc_otel.flight.file import FlightFile, OwnMemory, write_header, write_text
from gc_otel.flight.heap_reader import HeapReader
from gc_otel.flight.layout import FAULTS, GC, GENERATION, HISTORY, LATEST, LONGEST, MEMORY, MONITOR, PUBLISHED


class Bytes:
    """A flight file that is only bytes in this process."""

    atomic = False

    def __init__(self, header: dict[str, int | str]) -> None:
        self.raw = bytearray(layout.FILE_BYTES)
        write_header(memoryview(self.raw), header)

    def put(self, cell: int, *values: int) -> None:
        struct.pack_into(f"={len(values)}Q", self.raw, cell * layout.CELL_BYTES, *values)

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        return bytes(self.raw[offset_bytes : offset_bytes + size_bytes])


@pytest.fixture
def source(header, monkeypatch) -> Bytes:
    """A file with a header and nothing more; a writer inside is not waited for."""
    monkeypatch.setattr("gc_otel.flight.source._PATIENCE_S", 0)
    return Bytes(header)


def test_new_file(source) -> None:
    """Before the first collection and the first round all is zero or not known."""
    snapshot = reader.read(source)
    assert is_dataclass(snapshot)
    assert (snapshot.collector.collections, snapshot.collector.latest, snapshot.collector.longest) == (0, (), ())
    assert (snapshot.interpreter, snapshot.memory, snapshot.faults) == (None, None, ())
    assert snapshot.published.collects == 0
    assert reader.read_history(source) == ()


def test_monitor_block(source) -> None:
    """What the monitor asked the interpreter comes back field by field."""
    names = ("beat_ns", "interval_ns", "allocated_blocks", "gc_enabled", "overhead_ns")
    for value, name in enumerate(names, start=1):
        source.put(MONITOR.cell(name), value)
    for value, name in enumerate(("threshold", "pending", "unseen")):
        source.put(MONITOR.cell(name), 10 * value + 1, 10 * value + 2, 10 * value + 3)
    assert asdict(reader.read_interpreter(source)) == {
        "beat_ns": 1,
        "interval_ns": 2,
        "allocated_blocks": 3,
        "gc_enabled": True,
        "overhead_ns": 5,
        "thresholds": (1, 2, 3),
        "pending": (11, 12, 13),
        "unseen": (21, 22, 23),
    }


def test_memory_block(source) -> None:
    """Sizes come back; what is not known is None and not zero; a strange limit source is unknown."""
    source.put(MEMORY.cell("sampled_ns"), 9)
    source.put(MEMORY.cell("rss_bytes"), 100)
    source.put(MEMORY.cell("uss_bytes"), layout.ABSENT)
    source.put(MEMORY.cell("limit_source"), layout.LIMIT_SOURCES.index("cgroup-v2"))
    memory = reader.read_memory(source)
    assert (memory.sampled_ns, memory.rss_bytes, memory.uss_bytes, memory.swap_bytes) == (9, 100, None, 0)
    assert memory.limit_source == "cgroup-v2"
    source.put(MEMORY.cell("limit_source"), 2**63)
    assert reader.read_memory(source).limit_source == "unknown"


@pytest.mark.parametrize("entries", [1, 719, 720, 721, 2000])
def test_history_is_oldest_first(source, entries) -> None:
    """The ring's last 720 entries come in order, whatever was overwritten."""
    source.put(MONITOR.cell("history_entries"), entries)
    for number in range(entries):
        source.put(HISTORY.cell("unix_ns", number % 720), number + 1, number * 10, layout.ABSENT)
    points = reader.read_history(source)
    assert [point.unix_ns for point in points] == list(range(max(0, entries - 720) + 1, entries + 1))
    assert points[-1].rss_bytes == (entries - 1) * 10
    assert points[-1].uss_bytes is None


def test_faults_and_published(source) -> None:
    """Noted faults come with their counts, empty entries are left out, and the publisher's numbers stand."""
    source.put(FAULTS.cell("count", 2), 5, 77)
    write_text(memoryview(source.raw), FAULTS.cell("text", 2) * 8, layout.FAULT_TEXT_BYTES, "monitor: OSError: gone")
    (fault,) = reader.read_faults(source)
    assert asdict(fault) == {"text": "monitor: OSError: gone", "count": 5, "last_unix_ns": 77}
    for value, field in enumerate(PUBLISHED.fields, start=1):
        source.put(PUBLISHED.cell(field.name), value)
    published = asdict(reader.read_published(source))
    assert published == {field.name: value for value, field in enumerate(PUBLISHED.fields, start=1)}
    assert {"collects", "dropped_self", "overhead_ns"} <= published.keys()


def test_event_with_its_trace(source) -> None:
    """Kind and trace id are put together from their parts; a generation that is none is the oldest."""
    kind = 9 | (layout.EXPLICIT_FLAG | layout.OWN_FLAG) << layout.FLAGS_SHIFT
    source.put(GC.cell("events"), 1)
    source.put(LATEST.cell("number"), 1, 10, 20, 30, kind, 4, 5, 6, 7, 0xA, 0xB, 0xC)
    (event,) = reader.read_collector(source).latest
    assert (event.generation, event.explicit, event.own) == (2, True, True)
    assert (event.trace_id, event.span_id) == ((0xA << 64) | 0xB, 0xC)
    assert (event.number, event.start_ns, event.duration_ns, event.wall_ns) == (1, 10, 20, 30)
    assert (event.collected, event.uncollectable, event.candidates, event.thread_id) == (4, 5, 6, 7)


def test_events_with_impossible_numbers_are_left_out(source) -> None:
    """An entry that does not carry a number of the ring's last is nobody's event."""
    source.put(GC.cell("events"), 3)
    for entry, number in enumerate((1, 0, 2**64 - 1)):
        source.put(LATEST.cell("number", entry), number)
    assert [event.number for event in reader.read_collector(source).latest] == [1]


@pytest.mark.parametrize("events", [2**63, 2**64 - 1])
def test_impossible_totals_cost_nothing(source, events) -> None:
    """A huge count of events or entries is no huge loop."""
    source.put(GC.cell("events"), events)
    source.put(GC.cell("longest_entries"), events)
    source.put(MONITOR.cell("history_entries"), events)
    collector = reader.read_collector(source)
    assert (collector.events, collector.latest, len(collector.longest)) == (events, (), layout.LONGEST_EVENTS)
    assert reader.read_history(source) == ()


def test_longest_are_sorted(source) -> None:
    """The longest come first, wherever they stand."""
    source.put(GC.cell("longest_entries"), 3)
    for entry, duration in enumerate((5, 9, 7)):
        source.put(LONGEST.cell("duration_ns", entry), duration)
    assert [event.duration_ns for event in reader.read_collector(source).longest] == [9, 7, 5]


def test_histogram_that_does_not_add_up_is_refused(source) -> None:
    """Counts and buckets that contradict each other are not shown to anyone."""
    source.put(GENERATION.cell("collections", 1), 4)
    source.put(GENERATION.cell("buckets", 1), 3)
    with pytest.raises(NotAFlightFile, match="does not add up"):
        reader.read_collector(source)
    source.put(GENERATION.cell("buckets", 1), 4)
    assert reader.read_collector(source).collections == 4


def test_death_inside_the_callback(source) -> None:
    """A writer that never came out: the collector is shown, marked torn, even where it does not add up."""
    source.put(GC.cell("sequence"), 7)
    source.put(GC.cell("collecting_since_ns"), 123, 2, 45)
    source.put(GENERATION.cell("collections", 0), 1)
    collector = reader.read_collector(source)
    assert collector.torn is True
    assert collector.collections == 1
    assert asdict(collector.in_progress) == {"since_ns": 123, "generation": 2, "thread_id": 45}


@pytest.mark.parametrize("block", [MONITOR, MEMORY], ids=lambda block: block.name)
def test_monitor_that_died_inside(source, block) -> None:
    """The other sections have nothing to show then, and say which it was."""
    source.put(block.cell("sequence"), 3)
    with pytest.raises(NotConsistent, match=f"the {block.name} block"):
        reader.read(source)
    if block is MONITOR:
        with pytest.raises(NotConsistent):
            reader.read_history(source)


def test_a_writer_that_comes_out_is_waited_for(source) -> None:
    """A section is copied again until it held still."""
    looks = iter(range(100))

    class Busy(Bytes):
        def __init__(self) -> None:
            self.raw = source.raw

        def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
            source.put(MONITOR.cell("sequence"), min(next(looks), 20))
            return super().copy(offset_bytes, size_bytes)

    source.put(MONITOR.cell("beat_ns"), 8)
    assert reader.read_interpreter(Busy()).beat_ns == 8
    assert next(looks) > 20


def test_atomic_source_is_copied_once(source) -> None:
    """Where no writer can come between, one copy is enough, and an odd one is still not believed."""
    copies = []

    class Atomic(Bytes):
        atomic = True

        def __init__(self) -> None:
            self.raw = source.raw

        def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
            copies.append(size_bytes)
            return super().copy(offset_bytes, size_bytes)

    assert not reader.read_collector(Atomic()).torn
    assert len(copies) == 1
    source.put(GC.cell("sequence"), 1)
    assert reader.read_collector(Atomic()).torn


@pytest.mark.parametrize("read", ["identity", "collector", "interpreter", "memory", "history", "faults", "published"])
@pytest.mark.parametrize("left_bytes", [0, 7, 16])
def test_short_copies(source, read, left_bytes) -> None:
    """A file that is cut while it is read is an error in each of its sections."""
    source.copy = lambda offset_bytes, size_bytes: bytes(source.raw[offset_bytes:][: min(left_bytes, size_bytes)])
    with pytest.raises(NotAFlightFile, match="truncated"):
        getattr(reader, f"read_{read}")(source)


def test_history_cut_behind_the_monitor(source) -> None:
    """The ring is as mistrusted as the rest."""
    source.put(MONITOR.cell("history_entries"), 3)
    del source.raw[HISTORY.offset_bytes + 100 :]
    with pytest.raises(NotAFlightFile, match="truncated: 100 of"):
        reader.read_history(source)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain name", "plain name"),
        (b"\x1b[31mred\x07\n\t", "\ufffd[31mred\ufffd\ufffd\ufffd"),
        (b"cut\0hidden", "cut"),
        (b"\xff\xfe\xc3", "\ufffd\ufffd\ufffd"),
        ("\u202eelif\u200b\u2028".encode(), "\ufffdelif\ufffd\ufffd"),
        ("Käse 日本 😀".encode(), "Käse 日本 😀"),
        (b"\0" * 20, ""),
    ],
)
def test_text_is_made_printable(source, raw, shown) -> None:
    """Control characters, bidirectional tricks and broken UTF-8 never reach a terminal."""
    offset = layout.HEADER.cell("service_name") * 8
    source.raw[offset : offset + 128] = raw.ljust(128, b"\0")
    assert reader.read_identity(source).service_name == shown


@pytest.mark.parametrize("name", ["recorder_kind", "duration_clock", "gc_mode", "state"])
def test_choice_out_of_range(source, name) -> None:
    """An index that names nothing reads as unknown."""
    source.put(layout.HEADER.cell(name), 2**64 - 1)
    assert getattr(reader.read_identity(source), {"recorder_kind": "recorder"}.get(name, name)) == "unknown"


# Both sides at work.


def test_file_and_own_memory_say_the_same(make_file, make_recorder, quiet_gc) -> None:
    """Reading the file by another descriptor and reading one's own memory give one snapshot."""
    path, mapping = make_file()
    recorder = make_recorder(mapping)
    for generation in (0, 1, 2, 0):
        recorder.record_phase("start", {"generation": generation, "collected": 0, "uncollectable": 0})
        recorder.record_phase("stop", {"generation": generation, "collected": 2, "uncollectable": 1})
    with FlightFile(path) as file:
        snapshot = reader.read(file)
    assert snapshot == reader.read(OwnMemory(mapping))
    assert [each.collections for each in snapshot.collector.generations] == [2, 1, 1]
    assert len(reader.read(OwnMemory(mapping), latest_since=3).collector.latest) == 1


def test_every_read_of_a_busy_process_is_consistent(flight_dir, start_program) -> None:
    """While another process writes all the time, each believed copy adds up, in its counts and in its ring."""
    process = start_program("busy_recorder.py")
    path = flight_dir / json.loads(process.stdout.readline())["path"]
    believed: dict[int, Any] = {}  # by the events counted: the writer was at work between two of them
    deadline_s = time.monotonic() + 30
    with FlightFile(path) as file:
        while len(believed) < 100 and time.monotonic() < deadline_s:
            collector = reader.read_collector(file)  # raises when a histogram does not add up
            if not collector.torn:
                believed[collector.events] = collector
        process.communicate(timeout=20)
        last = reader.read_collector(file)
    assert process.returncode == 0
    assert len(believed) == 100
    for each in [*believed.values(), last]:
        assert each.collections == each.events
        assert sum(stats.collected for stats in each.generations) == each.events
        numbers = [event.number for event in each.latest]
        assert numbers == list(range(max(1, each.events - layout.LATEST_EVENTS + 1), each.events + 1))
        assert all(event.generation == event.number % 3 for event in each.latest)
    assert not last.torn
    assert last.events >= max(believed)


def test_census_comes_back(source) -> None:
    """Totals, rows with what they had before, and what is in gc.garbage."""
    for name, value in {"state": 3, "walker": 1, "censuses": 2, "taken_ns": 9, "types": 2, "size_bytes": 300}.items():
        source.put(layout.CENSUS.cell(name), value)
    for name, value in {"rss_bytes": 1000, "garbage_objects": 5, "garbage_types": 1}.items():
        source.put(layout.CENSUS.cell(name), value)
    for entry, (name, numbers) in enumerate(
        {"app.Session": (3, 20, 200, 15, 150), "str": (0, 10, 100, layout.ABSENT, layout.ABSENT)}.items()
    ):
        write_text(memoryview(source.raw), layout.CENSUS_TYPE.cell("name", entry) * 8, 112, name)
        source.put(layout.CENSUS_TYPE.cell("flags", entry), *numbers)
    write_text(memoryview(source.raw), layout.GARBAGE_TYPE.cell("name") * 8, 112, "app.Lost")
    source.put(layout.GARBAGE_TYPE.cell("objects"), 5)
    census = reader.read_census(source)
    assert (census.state, census.walker, census.censuses, census.unattributed_bytes) == ("on", "native", 2, 700)
    session, text = census.types
    assert (session.name, session.objects, session.previous_size_bytes) == ("app.Session", 20, 150)
    assert (session.estimated, session.has_series, text.has_series) == (True, True, False)
    assert (text.previous_objects, text.previous_size_bytes) == (None, None)
    assert [(each.name, each.objects) for each in census.garbage] == [("app.Lost", 5)]


def test_cycles_come_back_largest_first(source) -> None:
    """Each with the base of its series, where it has one."""
    for entry, (number, name, cycles) in enumerate([(7, "list", 10), (9, "app.Node -> dict", 40)]):
        source.put(layout.CYCLE_SIGNATURE.cell("id", entry), number)
        write_text(memoryview(source.raw), layout.CYCLE_SIGNATURE.cell("name", entry) * 8, 192, name)
        source.put(layout.CYCLE_SIGNATURE.cell("cycles", entry), cycles)
    source.put(layout.CYCLE_SERIES.cell("id", 3), 9, 12)
    source.put(layout.CYCLES.cell("samples"), 5, 1, 0)
    found = reader.read_cycles(source)
    assert found.samples == (5, 1, 0)
    assert [(each.name, each.cycles, each.series_base) for each in found.signatures] == [
        ("app.Node -> dict", 40, 12),
        ("list", 10, None),
    ]


def test_measured_blocks_come_back_signed(source) -> None:
    """Differences may be negative; only the slots in use are read."""
    source.put(layout.MEASURES.cell("slots"), 1)
    write_text(memoryview(source.raw), layout.MEASURE_SLOT.cell("name") * 8, 64, "checkout")
    source.put(layout.MEASURE_SLOT.cell("flags"), layout.MEASURE_OVERLAPPED, 2)
    source.put(layout.MEASURE_SLOT.cell("blocks_buckets"), 2)
    source.put(layout.MEASURE_SLOT.cell("blocks_sums"), 2**64 - 4000)
    (block,) = reader.read_measured(source).blocks
    assert (block.name, block.overlapped, block.is_other, block.runs) == ("checkout", True, False, 2)
    assert (block.blocks.count, block.blocks.sums[0], block.rss_bytes.count) == (2, -4000, 0)


def test_who_follows_a_file_reads_a_part_again_when_it_changed(source) -> None:
    """The same object while the sequence stands; the one before while the writer is inside."""
    heap = HeapReader()
    first = heap.census(source)
    source.put(layout.CENSUS.cell("censuses"), 1)
    assert heap.census(source) is first
    source.put(layout.CENSUS.cell("sequence"), 1)
    assert heap.census(source) is first
    source.put(layout.CENSUS.cell("sequence"), 2)
    assert heap.census(source).censuses == 1
    source.put(layout.CYCLES.cell("sequence"), 1)
    assert heap.cycles(source) is None
    assert heap.measured(source).blocks == ()
