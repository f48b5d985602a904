"""Hostile files: whatever the bytes say, reading ends soon, in dataclasses or in a FlightFileError."""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
from dataclasses import fields, is_dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc_otel.errors import FlightFileError
from gc_otel.flight import layout, reader, source
from gc_otel.flight.file import write_header
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.flight.snapshot import Fault, HistoryPoint, Snapshot

pytestmark = [pytest.mark.once, pytest.mark.fuzz]

#: For a long night.
EXAMPLES = int(os.environ.get("GCOTEL_FUZZ_EXAMPLES", "0"))

MOST_MEMORY_BYTES = 8 * 2**20
EXTREMES = (0, 1, 2, 3, 511, 513, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def valid_file() -> bytes:
    """A file with something in every block, whose numbers agree."""
    mapping = PythonMapping(-1)
    view = mapping.view()
    write_header(view, {"pid": 4711, "service_name": "checkout", "program": "app.py", "state": 1})
    recorder = PythonRecorder(mapping)
    for number in range(600):
        info = {"generation": number % 3, "collected": number, "uncollectable": 0}
        recorder.record_phase("start", info)
        recorder.record_phase("stop", info)
    for block in layout.BLOCKS[layout.BLOCKS.index(layout.MONITOR) :]:
        cells = block.size_bytes // layout.CELL_BYTES
        struct.pack_into(f"={cells}Q", view, block.offset_bytes, *(2 * number + 2 for number in range(cells)))
    return bytes(view)


VALID = valid_file()


class Bytes:
    """A hostile file's bytes, and a limit on how often they are asked for."""

    atomic = False

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.copies = 0

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        self.copies += 1
        assert self.copies < 3000, "read without end"
        assert 0 <= offset_bytes <= layout.FILE_BYTES
        return self.raw[offset_bytes : offset_bytes + size_bytes]


def assert_only_data(value: Any) -> None:
    """Frozen dataclasses of numbers and printable text, all the way down."""
    if is_dataclass(value):
        for field in fields(value):
            assert_only_data(getattr(value, field.name))
    elif isinstance(value, tuple):
        assert len(value) <= layout.HISTORY_ENTRIES
        for each in value:
            assert_only_data(each)
    elif isinstance(value, str):
        assert value.isprintable()
        assert len(value) <= layout.FAULT_TEXT_BYTES
    else:
        assert value is None or isinstance(value, int)


def read_all(raw: bytes) -> int:
    """Read by every entrance; returns how many of the three were believed."""
    hostile, believed = Bytes(raw), 0
    with mock.patch.object(source, "_PATIENCE_S", 0):
        for read, kind in ((reader.read, Snapshot), (reader.read_history, HistoryPoint), (reader.read_faults, Fault)):
            try:
                found = read(hostile)
            except FlightFileError as error:
                found = error
            if isinstance(found, FlightFileError):
                assert str(found).isprintable()
                assert found.remedy
                continue
            believed += 1
            assert all(isinstance(each, kind) for each in (found if isinstance(found, tuple) else (found,)))
            assert_only_data(found)
    return believed


def test_the_valid_file_is_valid() -> None:
    """The file that the others are made from is believed whole."""
    assert read_all(VALID) == 3
    snapshot = reader.read(Bytes(VALID))
    assert snapshot.collector.collections == 600
    assert len(snapshot.collector.latest) == 512
    assert len(snapshot.faults) == layout.FAULT_ENTRIES
    assert len(snapshot.census.types) == 34
    assert len(snapshot.census.garbage) == layout.GARBAGE_TYPES
    assert len(snapshot.cycles.signatures) == layout.CYCLE_SIGNATURES
    assert len(snapshot.measured.blocks) == 4


@settings(max_examples=EXAMPLES or 300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, layout.FILE_BYTES - 1), st.binary(min_size=1, max_size=200)), max_size=6),
    st.one_of(st.none(), st.integers(0, layout.FILE_BYTES)),
)
def test_random_ranges_overwritten(patches, cut) -> None:
    """Any bytes anywhere, and a cut anywhere."""
    raw = bytearray(VALID)
    for offset, patch in patches:
        raw[offset : offset + len(patch)] = patch
    read_all(bytes(raw[:cut]))


CELLS = [
    block.cell(field.name, entry) + part
    for block in layout.BLOCKS
    for entry in {0, block.entries - 1}
    for field in block.fields
    for part in {0, field.cells - 1}
]


@settings(max_examples=EXAMPLES or 400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(CELLS), st.one_of(st.sampled_from(EXTREMES), st.integers(0, 2**64 - 1)), max_size=8)
)
def test_single_cells_overwritten(cells) -> None:
    """Any number in any field."""
    raw = bytearray(VALID)
    for cell, value in cells.items():
        struct.pack_into("=Q", raw, cell * layout.CELL_BYTES, value)
    read_all(bytes(raw))


def rubbish(seed: int) -> bytes:
    """Random bytes behind a good header."""
    raw = bytearray(random.Random(seed).randbytes(layout.FILE_BYTES))
    raw[: layout.HEADER.size_bytes] = VALID[: layout.HEADER.size_bytes]
    return bytes(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(layout.FILE_BYTES),
        b"\xff" * layout.FILE_BYTES,
        VALID[: layout.HEADER.size_bytes].ljust(layout.FILE_BYTES, b"\xff"),
        VALID[: layout.HEADER.size_bytes].ljust(layout.FILE_BYTES, b"\xfe"),
        *(rubbish(seed) for seed in range(5)),
    ],
    ids=["empty", "zeros", "ones", "ones behind a header", "even behind a header", *(f"seed {n}" for n in range(5))],
)
def test_whole_blocks_of_rubbish_cost_little(raw) -> None:
    """The worst files are read within a few megabytes and a bounded number of copies."""
    tracemalloc.start()
    try:
        read_all(raw)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MOST_MEMORY_BYTES


def test_waiting_for_a_dead_writer_is_bounded(monkeypatch) -> None:
    """A section that is odd for ever is waited for a fraction of a second in all."""
    waited_s = []
    monkeypatch.setattr(time, "sleep", waited_s.append)
    raw = bytearray(VALID)
    struct.pack_into("=Q", raw, layout.GC.cell("sequence") * 8, 1)
    assert reader.read(Bytes(bytes(raw))).collector.torn
    assert 0 < sum(waited_s) < 0.5
