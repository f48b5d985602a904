"""The census that is always on: when it is taken, what it writes, and that it disturbs nobody."""

from __future__ import annotations

import gc
import sys

import pytest

from gc_otel.flight import heap_reader, layout
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.mapping import PythonMapping
from gc_otel.heap.census import Census
from gc_otel.heap.counts import TypeCount
from gc_otel.heap.tracked import can_count_types
from gc_otel.probe import live_census
from gc_otel.probe.live_census import LiveCensus, census_taker, interval_after, shown_name

S = 1_000_000_000
MS = 1_000_000


class Rig:
    """A census that is told what it counts, with clocks that stand until they are told otherwise."""

    def __init__(self, **options) -> None:
        self.mapping = PythonMapping(-1)
        self.now_ns, self.spent_ns, self.blocks, self.hold_ns, self.taken = 100 * S, 0, 10_000, 2 * MS, 0
        self.types = (TypeCount("app.Session", 10, 1000), TypeCount("str", 5, 300, estimated=True))
        options = {"take": self.take, **options}
        self.census = LiveCensus(
            self.mapping,
            allocated_blocks=lambda: self.blocks,
            clock_ns=lambda: self.now_ns,
            cpu_ns=lambda: self.spent_ns,
            **options,
        )

    def take(self) -> Census:
        self.taken += 1
        self.spent_ns += self.hold_ns + MS
        return Census(0, self.now_ns, self.hold_ns, self.types, 10, 5000, 1, "native")

    def round(self, after_s: float = 0, *, goes_on: bool = True) -> int:
        self.now_ns += round(after_s * S)
        self.census.round(lambda: goes_on)
        return self.taken

    def read(self):
        return heap_reader.read_census(OwnMemory(self.mapping))


def test_not_before_the_program_has_begun_and_once_a_minute() -> None:
    """The first after 15 seconds; a cheap one once a minute, and never more often."""
    rig = Rig()
    assert (rig.round(), rig.read().state) == (0, "waiting")
    assert [rig.round(each) for each in (14, 1, 1, 58, 1, 59, 1)] == [0, 1, 1, 1, 2, 2, 3]
    assert rig.read().state == "on"


def test_costs_a_thousandth_of_a_core_at_most() -> None:
    """Ten hours of rounds: CPU time against wall time, for a heap that is not small."""
    rig = Rig()
    rig.blocks, rig.hold_ns = 800_000, 45 * MS
    began_ns = rig.now_ns
    for _ in range(7200):
        rig.round(5)
    assert rig.taken > 100
    assert rig.read().cost_ns == rig.taken * 46 * MS
    assert rig.read().cost_ns <= (rig.now_ns - began_ns) / 1000 + 46 * MS


def test_naming_holds_nothing() -> None:
    """The hold is the walk, where that is known; naming before and after it is in the cost."""

    def take() -> Census:
        rig.spent_ns += 30 * MS
        return Census(0, rig.now_ns, 25 * MS, rig.types, 10, 5000, 1, "native", 20 * MS)

    rig = Rig(take=take)
    rig.round(15)
    assert (rig.read().hold_ns, rig.read().cost_ns) == (20 * MS, 30 * MS)


def test_one_that_holds_the_gil_long_is_rarer_and_says_so() -> None:
    """In proportion to how far it is beyond 50 ms; from a second on there is none."""
    assert interval_after(10 * MS, 10 * MS) == 60 * S
    assert interval_after(200 * MS, 200 * MS) == 4 * 200 * S
    rig = Rig()
    rig.blocks, rig.hold_ns = 5_000_000, 300 * MS
    for _ in range(2000):
        rig.round(5)
    assert rig.taken == 6
    census = rig.read()
    assert (census.state, census.due_ns - census.taken_ns) == ("costly", 1806 * S)
    rig.blocks = 50_000_000
    assert [rig.round(3600) for _ in range(100)][-1] == 6
    assert (rig.read().state, rig.read().due_ns) == ("costly", layout.ABSENT)


def test_what_is_written_comes_back() -> None:
    """Totals, rows, and what they were at the census before."""
    rig = Rig()
    rig.round(20)
    rig.types = (TypeCount("app.Session", 30, 3000), TypeCount("list", 1, 50))
    rig.round(60)
    census = rig.read()
    assert (census.censuses, census.objects, census.size_bytes, census.hold_ns) == (2, 31, 3050, 2 * MS)
    assert (census.previous_objects, census.previous_size_bytes, census.rss_bytes) == (15, 1300, 5000)
    session, lists = census.types
    assert (session.name, session.previous_objects, session.previous_size_bytes) == ("app.Session", 10, 1000)
    assert (lists.previous_objects, session.has_series, session.estimated) == (None, True, False)


def test_many_types_and_long_names_fit() -> None:
    """As many rows as there is room for; a long name keeps its end; names that are cut alike are one row."""
    long_name = "package." * 30 + "Session"
    rig = Rig()
    rig.types = tuple(TypeCount(f"app.T{number}", 1, 1000 - number) for number in range(300))
    rig.types = (TypeCount(long_name, 1, 5000), TypeCount("x" * 30 + long_name[30:], 2, 1), *rig.types)
    rig.round(20)
    census = rig.read()
    assert len(census.types) == layout.CENSUS_TYPES
    assert census.objects == 303
    assert census.types[0].name == shown_name(long_name)
    assert census.types[0].name.endswith("package.Session")
    assert len(shown_name("\u00e9" * 200).encode()) <= layout.TYPE_NAME_BYTES


def test_off_unsupported_and_wanted_elsewhere() -> None:
    """By one setting; where nothing safe counts; while a fork or the exit waits."""
    off, unsupported, busy = Rig(wanted=False), Rig(take=None), Rig()
    for rig, state in ((off, "off"), (unsupported, "unsupported")):
        assert rig.round(1000) == 0
        assert rig.read().state == state
    assert busy.round(1000, goes_on=False) == 0
    assert busy.round(0) == 1


def test_a_census_that_fails_is_tried_again() -> None:
    """The error goes to the probe, which notes it; the file stays readable."""
    rig = Rig(take=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rig.round(1000)
    assert rig.read().censuses == 0


def test_what_is_in_gc_garbage_is_told_by_type() -> None:
    """At every round, also where no census is taken."""
    rig = Rig(wanted=False)
    gc.garbage.extend([Rig, {}, {}])
    try:
        rig.round()
    finally:
        gc.garbage.clear()
    census = rig.read()
    assert census.garbage_objects == 3
    assert [(each.name, each.objects) for each in census.garbage] == [("dict", 2), ("type", 1)]
    rig.round()
    assert (rig.read().garbage_objects, rig.read().garbage) == (0, ())


def test_no_census_beside_the_program_where_none_is_safe(monkeypatch) -> None:
    """Without a GIL; without C below 3.12."""
    monkeypatch.setattr(live_census, "gc_mode", lambda: "freethreaded")
    assert census_taker(native=True) is None
    monkeypatch.setattr(live_census, "gc_mode", lambda: "generational")
    assert census_taker(native=True) is not None
    monkeypatch.setattr(sys, "version_info", (3, 11, 9, "final", 0))
    assert census_taker(native=False) is None


@pytest.mark.skipif(not can_count_types(), reason="below 3.12, and without a GIL, there is none without C")
def test_types_only_disturbs_no_thread(run_program) -> None:
    """A thread that makes tuples from iterators all the time sees no SystemError, which a held list would cause."""
    ended = run_program("census_beside_tuples.py")
    assert ended == {"errors": [], "counted": True}
