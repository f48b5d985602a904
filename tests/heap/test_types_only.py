"""The census of types alone, which needs no list of objects that anybody else could meet."""

from __future__ import annotations

import pytest

from gc_otel.heap.tracked import can_count_types
from gc_otel.heap.types_only import take_types

pytestmark = pytest.mark.skipif(not can_count_types(), reason="below 3.12, and without a GIL, it is not taken")


class Parcel:
    """An object with a dict of its own, of whatever kind the interpreter gives it."""


class Label:
    """An object without one."""

    __slots__ = ("__weakref__", "text")


def test_it_counts_what_there_is():
    """Exactly: each object once, by type, with at least what the object itself takes."""
    kept = [Parcel() for _ in range(300)], [Label() for _ in range(500)]
    census = take_types()
    found = {row.name: row for row in census.types if row.name.startswith(__name__)}
    assert found[f"{__name__}.Parcel"].objects == len(kept[0])
    assert found[f"{__name__}.Label"].objects == len(kept[1])
    assert found[f"{__name__}.Label"].size_bytes >= 500 * object.__sizeof__(kept[1][0])
    assert census.walker == "python"
    assert census.tracked_objects == sum(row.objects for row in census.types)


def test_the_largest_come_first():
    """And nothing of the count stays: two in a row agree."""
    sizes = [row.size_bytes for row in take_types().types]
    assert sizes == sorted(sizes, reverse=True)
    first, second = take_types(), take_types()
    assert abs(first.tracked_objects - second.tracked_objects) < 1_000
