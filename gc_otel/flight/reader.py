"""From the bytes of a flight file to a :class:`~gc_otel.flight.snapshot.Snapshot`.

Every byte is hostile: an index is checked before it is used, text is made
printable, and a number is only a number.  What cannot be believed raises
:class:`~gc_otel.errors.NotAFlightFile`.
"""

from __future__ import annotations

import struct
from typing import Final

from gc_otel.errors import NotAFlightFile
from gc_otel.flight import layout, snapshot
from gc_otel.flight.heap_reader import read_census, read_cycles, read_measured
from gc_otel.flight.layout import Block
from gc_otel.flight.source import Cells, Source, copy_block, copy_consistent, read_section, unpack

_EXIT_CODE_MOST: Final = 255  # wait(2): the low eight bits of what exit() was given
_RECORDER_OFFSET: Final = layout.GC.offset_bytes
_COUNTERS_BYTES: Final = layout.GENERATION.offset_bytes + layout.GENERATION.size_bytes - _RECORDER_OFFSET
_RECORDER_BYTES: Final = layout.LONGEST.offset_bytes + layout.LONGEST.size_bytes - _RECORDER_OFFSET


def read_identity(source: Source) -> snapshot.Identity:
    """The header; NotAFlightFile when it is not one of ours."""
    cells = Cells(layout.HEADER, copy_block(source, layout.HEADER))
    if cells.number("magic") != layout.MAGIC:
        raise NotAFlightFile("it does not begin with the mark of a flight file")
    if cells.number("layout_version") != layout.LAYOUT_VERSION:
        raise NotAFlightFile(
            f"layout {cells.number('layout_version')}, this version reads {layout.LAYOUT_VERSION}",
            remedy="Read it with the gc_otel version that wrote it.",
        )
    if cells.number("file_bytes") != layout.FILE_BYTES:
        raise NotAFlightFile("its header tells another size")
    if not 0 < cells.number("pid") < 2**31 or cells.number("parent_pid") >= 2**31:
        raise NotAFlightFile("its process id is impossible")
    exit_code = cells.known("exit_code")
    return snapshot.Identity(
        pid=cells.number("pid"),
        parent_pid=cells.number("parent_pid"),
        pid_namespace=cells.known("pid_namespace"),
        service_name=cells.text("service_name"),
        service_version=cells.text("service_version"),
        instance_id=cells.text("instance_id"),
        program=cells.text("program"),
        python_version=cells.text("python_version"),
        recorder=cells.choice("recorder_kind", layout.RECORDER_KINDS),
        duration_clock=cells.choice("duration_clock", layout.DURATION_CLOCKS),
        gc_mode=cells.choice("gc_mode", layout.GC_MODES),
        state=cells.choice("state", layout.STATES),
        created_unix_ns=cells.number("created_unix_ns"),
        started_unix_ns=cells.number("started_unix_ns"),
        exited_unix_ns=cells.number("exited_unix_ns") or None,
        monotonic_to_unix_ns=cells.signed("monotonic_to_unix_ns"),
        origin=cells.choice("origin", layout.ORIGINS),
        exit_code=exit_code if exit_code is not None and exit_code <= _EXIT_CODE_MOST else None,
        exception=cells.text("exception"),
    )


def _generation(cells: tuple[int, ...], generation: int) -> snapshot.GenerationStats:
    first = layout.GENERATION.cell("collections", generation) - _RECORDER_OFFSET // layout.CELL_BYTES
    entry = Cells(layout.GENERATION, cells, first)
    numbers = [entry.number(field.name) for field in layout.GENERATION.fields if field.cells == 1]
    rows = [entry.row(field.name, field.cells) for field in layout.GENERATION.fields if field.cells > 1]
    return snapshot.GenerationStats(*numbers, *rows)  # type: ignore[arg-type]  # the fields stand in layout's order


_EVENT: Final = struct.Struct(f"={layout.LATEST.stride_cells}Q")


def _event(raw: bytes, block: Block, entry: int) -> snapshot.Event:
    offset_bytes = block.offset_bytes - _RECORDER_OFFSET + entry * _EVENT.size
    number, start, duration, wall, kind, collected, uncollectable, candidates, thread, high, low, span = (
        _EVENT.unpack_from(raw, offset_bytes)
    )
    flags = kind >> layout.FLAGS_SHIFT
    return snapshot.Event(
        number,
        start,
        duration,
        wall,
        min(kind & 0xFF, layout.GENERATIONS - 1),
        bool(flags & layout.EXPLICIT_FLAG),
        bool(flags & layout.OWN_FLAG),
        collected,
        uncollectable,
        candidates,
        thread,
        high << 64 | low,
        span,
    )


def _latest(raw: bytes, events: int, since: int) -> tuple[snapshot.Event, ...]:
    """Events with numbers above ``since``, oldest first; an entry with a wrong number is left out."""
    oldest = max(since, events - layout.LATEST_EVENTS, 0)
    found = (
        _event(raw, layout.LATEST, (number - 1) % layout.LATEST_EVENTS)
        for number in range(oldest + 1, min(events, oldest + layout.LATEST_EVENTS) + 1)
    )
    return tuple(event for event in found if oldest < event.number <= events)


def _longest(raw: bytes, entries: int) -> tuple[snapshot.Event, ...]:
    events = (_event(raw, layout.LONGEST, entry) for entry in range(min(entries, layout.LONGEST_EVENTS)))
    return tuple(sorted(events, key=lambda event: -event.duration_ns))


def _in_progress(gc: Cells) -> snapshot.CollectionInProgress | None:
    since_ns = gc.number("collecting_since_ns")
    if not since_ns:
        return None
    generation = min(gc.number("collecting_kind") & 0xFF, layout.GENERATIONS - 1)
    return snapshot.CollectionInProgress(since_ns, generation, gc.number("collecting_thread_id"))


def read_collector(source: Source, *, latest_since: int = 0, longest: bool = True) -> snapshot.Collector:
    """The recorder's blocks, of one moment.

    ``latest_since`` leaves out the events up to that number; ABSENT, with no ``longest``, all of them.  NotAFlightFile
    when the histogram of a consistent copy does not add up to its collections.
    """
    # Single events are twenty times as long as all the rest.
    size_bytes = _RECORDER_BYTES if longest or latest_since != layout.ABSENT else _COUNTERS_BYTES
    raw, consistent = copy_consistent(source, _RECORDER_OFFSET, size_bytes)
    if len(raw) < size_bytes:
        raise NotAFlightFile(f"truncated inside the recorder's blocks: {len(raw)} of {size_bytes} bytes")
    cells = unpack(raw, _COUNTERS_BYTES)
    gc = Cells(layout.GC, cells)
    generations = tuple(_generation(cells, generation) for generation in range(layout.GENERATIONS))
    if consistent and any(sum(each.buckets) != each.collections for each in generations):
        raise NotAFlightFile("its histogram does not add up to its collections")
    return snapshot.Collector(
        generations=generations,
        events=gc.number("events"),
        window_max_ns=gc.number("window_max_ns"),
        overhead_ns=gc.number("overhead_ns"),
        in_progress=_in_progress(gc),
        latest=_latest(raw, gc.number("events"), latest_since),
        longest=_longest(raw, gc.number("longest_entries")) if longest else (),
        torn=not consistent,
    )


def read_interpreter(source: Source) -> snapshot.Interpreter | None:
    """What the monitor last wrote, or None before its first round."""
    cells = read_section(source, layout.MONITOR)
    if not cells.number("beat_ns"):
        return None
    return snapshot.Interpreter(
        beat_ns=cells.number("beat_ns"),
        interval_ns=cells.number("interval_ns"),
        allocated_blocks=cells.known("allocated_blocks"),
        gc_enabled=bool(cells.number("gc_enabled")),
        thresholds=cells.row("threshold", layout.GENERATIONS),
        pending=cells.row("pending", layout.GENERATIONS),
        unseen=cells.row("unseen", layout.GENERATIONS),
        overhead_ns=cells.number("overhead_ns"),
    )


def read_requests(source: Source) -> str:
    """Whether the process answers requests: one of REQUESTS."""
    cells = Cells(layout.MONITOR, copy_block(source, layout.MONITOR))
    return layout.REQUESTS[min(cells.number("requests"), len(layout.REQUESTS) - 1)]


def read_memory(source: Source) -> snapshot.Memory | None:
    """The last memory sample, or None before the first."""
    cells = read_section(source, layout.MEMORY)
    if not cells.number("sampled_ns"):
        return None
    known = {
        field.name: cells.known(field.name)
        for field in layout.MEMORY.fields
        if field.name not in ("sequence", "sampled_ns", "detail_sampled_ns", "limit_source")
    }
    source_name = cells.choice("limit_source", layout.LIMIT_SOURCES)
    return snapshot.Memory(sampled_ns=cells.number("sampled_ns"), limit_source=source_name, **known)


def read_history(source: Source) -> tuple[snapshot.HistoryPoint, ...]:
    """The history ring, oldest first."""
    monitor = read_section(source, layout.MONITOR)
    cells = copy_block(source, layout.HISTORY)
    entries = monitor.number("history_entries")
    points = []
    for number in range(max(0, entries - layout.HISTORY_ENTRIES), entries):
        entry = Cells(layout.HISTORY, cells, number % layout.HISTORY_ENTRIES * layout.HISTORY.stride_cells)
        if entry.number("unix_ns"):
            points.append(_history_point(entry))
    return tuple(points)


def _history_point(entry: Cells) -> snapshot.HistoryPoint:
    return snapshot.HistoryPoint(
        unix_ns=entry.number("unix_ns"),
        rss_bytes=entry.known("rss_bytes"),
        uss_bytes=entry.known("uss_bytes"),
        limit_bytes=entry.known("limit_bytes"),
        allocated_blocks=entry.known("allocated_blocks"),
        collections=entry.number("collections"),
        duration_sum_ns=entry.number("duration_sum_ns"),
        window_max_ns=entry.number("window_max_ns"),
        cpu_ns=entry.known("cpu_ns"),
        threads=entry.known("threads"),
    )


def read_faults(source: Source) -> tuple[snapshot.Fault, ...]:
    """What failed and was contained, as the process noted it."""
    cells = copy_block(source, layout.FAULTS)
    faults = []
    for number in range(layout.FAULT_ENTRIES):
        entry = Cells(layout.FAULTS, cells, number * layout.FAULTS.stride_cells)
        if entry.number("count"):
            faults.append(snapshot.Fault(entry.text("text"), entry.number("count"), entry.number("last_unix_ns")))
    return tuple(faults)


def read_published(source: Source) -> snapshot.Published:
    """What library mode's publisher noted."""
    cells = Cells(layout.PUBLISHED, copy_block(source, layout.PUBLISHED))
    return snapshot.Published(*(cells.number(field.name) for field in layout.PUBLISHED.fields))


def read(source: Source, *, latest_since: int = 0) -> snapshot.Snapshot:
    """Everything but the history; NotAFlightFile or NotConsistent when it cannot be believed."""
    return snapshot.Snapshot(
        identity=read_identity(source),
        collector=read_collector(source, latest_since=latest_since),
        interpreter=read_interpreter(source),
        memory=read_memory(source),
        faults=read_faults(source),
        published=read_published(source),
        census=read_census(source),
        cycles=read_cycles(source),
        measured=read_measured(source),
    )
