"""Which types have a series of their own: it does not flicker."""

from __future__ import annotations

import random

from gc_otel.flight import layout
from gc_otel.probe.series import Series


def sizes(count: int = 40, **others: int) -> dict[str, int]:
    """Types t0, t1, ... each smaller than the one before."""
    return {f"t{number}": (count - number) * 1_000_000 for number in range(count)} | others


def test_the_largest_have_one() -> None:
    """Ten, by bytes, at the first census."""
    assert Series().choose(sizes()) == [f"t{number}" for number in range(layout.SERIES)]


def test_fewer_types_than_series() -> None:
    """All have one."""
    series = Series()
    assert series.choose({"a": 1}) == ["a"]
    assert series.choose({"b": 1}) == ["b"]
    assert series.choose({}) == []


def test_a_small_type_that_grows_fast_gets_one() -> None:
    """It is not among the largest, and still takes the place of the one that is furthest down."""
    series = Series()
    series.choose(sizes(leak=10_000))
    first = series.names
    for step in range(1, 20):
        series.choose(sizes(leak=10_000 + step * 50_000))
    assert "leak" in series.names
    assert len(set(first) - set(series.names)) <= 1


def test_one_that_is_near_keeps_it() -> None:
    """Two types that change places at every census, about the tenth place, change no series."""
    series = Series()
    names = series.choose(sizes())
    for turn in range(30):
        swapped = sizes()
        if turn % 2:
            swapped["t9"], swapped["t14"] = swapped["t14"], swapped["t9"]
        assert series.choose(swapped) == names


def test_noise_changes_little() -> None:
    """Ten per cent up and down at each census: of a hundred censuses few change a series."""
    rng, series, changes = random.Random(1), Series(), 0
    before = set(series.choose(sizes()))
    for _ in range(100):
        now = set(series.choose({name: round(size * rng.uniform(0.9, 1.1)) for name, size in sizes().items()}))
        changes += len(now - before)
        before = now
    assert changes <= 20


def test_one_that_has_become_small_loses_it() -> None:
    """A place beyond the twentieth is free again."""
    series = Series()
    series.choose(sizes())
    for _ in range(8):
        names = series.choose(sizes() | {"t3": 1})
    assert "t3" not in names
    assert len(names) == layout.SERIES
