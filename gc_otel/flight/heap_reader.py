"""The heap, garbage cycles and measured blocks, out of the bytes of a flight file.

A census changes once in minutes, and a page of many processes is rendered more often: who follows a file keeps a
:class:`HeapReader`, which reads a part again only when its writer has written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from gc_otel.errors import NotConsistent
from gc_otel.flight import layout
from gc_otel.flight.heap_snapshot import (
    CycleSample,
    CycleSignature,
    Differences,
    GarbageType,
    HeapCensus,
    HeapType,
    Measured,
    MeasuredBlock,
)
from gc_otel.flight.layout import Block
from gc_otel.flight.source import Cells, Source, copy_block, copy_consistent, unpack

T = TypeVar("T")

_CENSUS_BYTES: Final = layout.GARBAGE_TYPE.offset_bytes + layout.GARBAGE_TYPE.size_bytes - layout.CENSUS.offset_bytes
_CYCLES_BYTES: Final = (
    layout.CYCLE_SIGNATURE.offset_bytes + layout.CYCLE_SIGNATURE.size_bytes - layout.CYCLES.offset_bytes
)


class _Section:
    """Blocks that follow each other, copied under the sequence that the first begins with."""

    def __init__(self, source: Source, first: Block, size_bytes: int) -> None:
        raw, consistent = copy_consistent(source, first.offset_bytes, size_bytes)
        if not consistent:
            raise NotConsistent(f"the {first.name} block did not hold still")
        self._cells = unpack(raw, size_bytes)
        self._offset_cells = first.offset_bytes // layout.CELL_BYTES

    def entry(self, block: Block, number: int = 0) -> Cells:
        """One entry of a block."""
        first = block.offset_bytes // layout.CELL_BYTES - self._offset_cells + number * block.stride_cells
        return Cells(block, self._cells, first)


def read_census(source: Source) -> HeapCensus:
    """The monitor's last census; NotConsistent when it never held still."""
    section = _Section(source, layout.CENSUS, _CENSUS_BYTES)
    head = section.entry(layout.CENSUS)
    types = min(head.number("types"), layout.CENSUS_TYPES)
    garbage_types = min(head.number("garbage_types"), layout.GARBAGE_TYPES)
    return HeapCensus(
        state=head.choice("state", layout.CENSUS_STATES),
        walker=head.choice("walker", layout.RECORDER_KINDS),
        censuses=head.number("censuses"),
        taken_ns=head.number("taken_ns"),
        previous_taken_ns=head.number("previous_taken_ns"),
        due_ns=head.number("due_ns"),
        hold_ns=head.number("hold_ns"),
        cost_ns=head.number("cost_ns"),
        sampled_every=head.number("sampled_every"),
        tracked_objects=head.number("tracked_objects"),
        objects=head.number("objects"),
        size_bytes=head.number("size_bytes"),
        previous_objects=head.number("previous_objects"),
        previous_size_bytes=head.number("previous_size_bytes"),
        rss_bytes=head.known("rss_bytes"),
        garbage_objects=head.number("garbage_objects"),
        types=tuple(_heap_type(section.entry(layout.CENSUS_TYPE, number)) for number in range(types)),
        garbage=tuple(_garbage_type(section.entry(layout.GARBAGE_TYPE, number)) for number in range(garbage_types)),
    )


def _heap_type(entry: Cells) -> HeapType:
    flags = entry.number("flags")
    return HeapType(
        name=entry.text("name"),
        objects=entry.number("objects"),
        size_bytes=entry.number("size_bytes"),
        previous_objects=entry.known("previous_objects"),
        previous_size_bytes=entry.known("previous_size_bytes"),
        estimated=bool(flags & layout.CENSUS_ESTIMATED),
        has_series=bool(flags & layout.CENSUS_SERIES),
    )


def _garbage_type(entry: Cells) -> GarbageType:
    return GarbageType(entry.text("name"), entry.number("objects"))


def read_cycles(source: Source) -> CycleSample:
    """What the cycle sampler found; NotConsistent when it never held still."""
    section = _Section(source, layout.CYCLES, _CYCLES_BYTES)
    head = section.entry(layout.CYCLES)
    bases = _series_bases(source)
    rows = (section.entry(layout.CYCLE_SIGNATURE, number) for number in range(layout.CYCLE_SIGNATURES))
    signatures = [_signature(row, bases) for row in rows if row.number("id")]
    return CycleSample(
        state=head.choice("state", layout.CYCLES_STATES),
        samples=head.row("samples", layout.GENERATIONS),
        garbage=head.row("garbage", layout.GENERATIONS),
        skipped=head.number("skipped"),
        cycles=head.number("cycles"),
        unnamed=head.number("unnamed"),
        cost_ns=head.number("cost_ns"),
        longest_ns=head.number("longest_ns"),
        signatures=tuple(sorted(signatures, key=lambda each: (-each.cycles, each.id))),
    )


def _series_bases(source: Source) -> dict[int, int]:
    cells = copy_block(source, layout.CYCLE_SERIES)
    rows = (
        Cells(layout.CYCLE_SERIES, cells, number * layout.CYCLE_SERIES.stride_cells) for number in range(layout.SERIES)
    )
    return {row.number("id"): row.number("base") for row in rows if row.number("id")}


def _signature(entry: Cells, bases: dict[int, int]) -> CycleSignature:
    return CycleSignature(
        id=entry.number("id"),
        name=entry.text("name"),
        samples=entry.number("samples"),
        sampled_cycles=entry.number("sampled_cycles"),
        sampled_objects=entry.number("sampled_objects"),
        cycles=entry.number("cycles"),
        last_ns=entry.number("last_ns"),
        series_base=bases.get(entry.number("id")),
    )


def read_measured(source: Source) -> Measured:
    """All measured blocks; NotConsistent when they never held still."""
    head = Cells(layout.MEASURES, copy_block(source, layout.MEASURES))
    slots = min(head.number("slots"), layout.MEASURE_SLOTS)
    if not slots:  # a program that measures nothing: nothing more is copied
        return Measured((), head.number("cost_ns"))
    section = _Section(
        source,
        layout.MEASURES,
        layout.MEASURES.size_bytes + slots * layout.MEASURE_SLOT.stride_cells * layout.CELL_BYTES,
    )
    head = section.entry(layout.MEASURES)
    blocks = tuple(_measured_block(section.entry(layout.MEASURE_SLOT, number)) for number in range(slots))
    return Measured(blocks, head.number("cost_ns"))


def _measured_block(entry: Cells) -> MeasuredBlock:
    flags = entry.number("flags")
    histograms = {
        name: Differences(
            entry.row(f"{name}_buckets", layout.MEASURE_BUCKETS),
            tuple(_signed(value) for value in entry.row(f"{name}_sums", layout.MEASURE_BUCKETS)),
        )
        for name in layout.MEASURE_BOUNDS
    }
    return MeasuredBlock(
        name=entry.text("name"),
        overlapped=bool(flags & layout.MEASURE_OVERLAPPED),
        is_other=bool(flags & layout.MEASURE_OTHER),
        runs=entry.number("runs"),
        **histograms,
    )


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


class HeapReader:
    """Reads one file again and again.  What does not hold still is as it was before, None if it never was read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, object]] = {}

    def census(self, source: Source) -> HeapCensus | None:
        """See :func:`read_census`."""
        return self._read(source, layout.CENSUS, read_census)

    def cycles(self, source: Source) -> CycleSample | None:
        """See :func:`read_cycles`."""
        return self._read(source, layout.CYCLES, read_cycles)

    def measured(self, source: Source) -> Measured | None:
        """See :func:`read_measured`."""
        return self._read(source, layout.MEASURES, read_measured)

    def _read(self, source: Source, block: Block, read: Callable[[Source], T]) -> T | None:
        # The number before the rest: what is written in between is read again the next time.
        sequence = unpack(source.copy(block.offset_bytes, layout.CELL_BYTES), layout.CELL_BYTES)[0]
        known: tuple[int, T] | None = self._known.get(block.name)  # type: ignore[assignment]  # of that block's kind
        if known is not None and known[0] == sequence:
            return known[1]
        try:
            found = read(source)
        except NotConsistent:
            return None if known is None else known[1]
        self._known[block.name] = sequence, found
        return found
