"""The cells of the file: nothing overlaps, no two writers share a page, and C knows the same offsets."""

from __future__ import annotations

import runpy
from itertools import pairwise
from pathlib import Path

import pytest

from gc_otel import _native
from gc_otel.flight import layout, layout_header

#: Blocks that follow each other because one piece of code writes both.
SHARING = {
    ("gc", "window"),
    ("window", "generation"),
    ("census", "census_type"),
    ("census_type", "garbage_type"),
    ("garbage_type", "cycle_series"),
    ("cycles", "cycle_signature"),
    ("measures", "measure_slot"),
}
LAYOUT_H = Path(_native.__file__).parent / "layout.h"


def test_file_has_room_and_no_more() -> None:
    """A file is whole pages and stays below what a process may take."""
    assert layout.FILE_BYTES % layout.PAGE_BYTES == 0
    assert layout.FILE_BYTES <= 256 * 1024
    assert layout.FILE_CELLS * layout.CELL_BYTES == layout.FILE_BYTES


def test_magic_tells_its_name() -> None:
    """The first eight bytes name the format, and fit one cell."""
    assert layout.MAGIC.to_bytes(8, "big") == b"GCOTEL\x01\x02"
    assert layout.HEADER.cell("magic") == 0


def test_blocks_do_not_overlap() -> None:
    """Each block ends before the next begins, and the last before the file's end."""
    for before, after in pairwise(layout.BLOCKS):
        assert before.offset_bytes + before.size_bytes <= after.offset_bytes, (before.name, after.name)
    last = layout.BLOCKS[-1]
    assert last.offset_bytes + last.size_bytes <= layout.FILE_BYTES


def test_writers_do_not_share_a_page() -> None:
    """Blocks share a page only where the same code writes both, under one sequence; and the one cell that the callback asks for."""
    pages = {
        block.name: range(
            block.offset_bytes // layout.PAGE_BYTES,
            (block.offset_bytes + block.size_bytes - 1) // layout.PAGE_BYTES + 1,
        )
        for block in layout.BLOCKS
    }
    for before, after in pairwise(layout.BLOCKS):
        if set(pages[before.name]) & set(pages[after.name]):
            assert (before.name, after.name) in SHARING


def test_cells_are_counted_from_the_start_of_the_file() -> None:
    """A field's index is its block's offset, its entry's and its own."""
    assert layout.GC.cell("sequence") == layout.GC.offset_bytes // 8
    assert layout.LATEST.cell("duration_ns", 3) == layout.LATEST.offset_bytes // 8 + 3 * layout.LATEST.stride_cells + 2
    with pytest.raises(KeyError):
        layout.GC.cell("no such field")


@pytest.mark.parametrize("block", layout.BLOCKS, ids=lambda block: block.name)
def test_fields_fill_an_entry(block) -> None:
    """Names are unique and the fields' cells add up to the stride."""
    assert len({field.name for field in block.fields}) == len(block.fields)
    last = block.fields[-1]
    assert block.offset_in_entry(last.name) + last.cells == block.stride_cells
    assert all(field.doc for field in block.fields)


def test_duration_bounds() -> None:
    """Twelve ascending bounds from 50 us to 10 s, and one bucket for the rest."""
    bounds = layout.DURATION_BOUNDS_NS
    assert len(bounds) == 12
    assert layout.BUCKETS == 13
    assert bounds[0] == 50_000
    assert bounds[-1] == 10_000_000_000
    assert all(before < after for before, after in pairwise(bounds))


def test_recorders_longest_and_latest_share_their_entry() -> None:
    """Both recorders copy an event from one table to the other as it is."""
    assert layout.LATEST.fields == layout.LONGEST.fields


def test_c_header_is_the_generated_one() -> None:
    """layout.h in the tree is what the layout says."""
    if not LAYOUT_H.exists():
        pytest.skip("an installed wheel carries no C header")
    assert LAYOUT_H.read_text() == layout_header.c_header()


def test_module_prints_the_c_header(capsys) -> None:
    """Run as a program, the module prints the header."""
    runpy.run_path(layout_header.__file__, run_name="__main__")
    assert capsys.readouterr().out == layout_header.c_header()


def test_measures_have_a_bucket_for_each_bound_and_the_rest() -> None:
    """Their bounds ascend."""
    for bounds in layout.MEASURE_BOUNDS.values():
        assert len(bounds) + 1 == layout.MEASURE_BUCKETS
        assert all(before < after for before, after in pairwise(bounds))
