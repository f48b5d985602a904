"""The dict of a gc callback is shared with neighbours, who may have put anything into it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_otel.flight import layout
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder

pytestmark = pytest.mark.usefixtures("quiet_gc")

GOOD = {"generation": 1, "collected": 3, "uncollectable": 0}
NOT_A_COUNT = ["x", None, 1.5, b"1", [1], {}, ...]
IMPOSSIBLE = [-1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**40]


def assert_whole(rig: Any) -> None:
    """The file is believable at once, and the next collection is recorded rightly."""
    before = rig.read()
    assert not before.torn
    rig.collect(1, collected=3)
    after = rig.read()
    assert after.generations[1].collections == before.generations[1].collections + 1
    assert after.events == before.events + 1
    assert after.latest[-1].collected == 3
    assert bytes(rig.mapping.view()[: layout.GC.offset_bytes]) == bytes(layout.GC.offset_bytes)
    assert bytes(rig.mapping.view()[layout.MONITOR.offset_bytes :]).count(0) == (
        layout.FILE_BYTES - layout.MONITOR.offset_bytes
    )


@pytest.mark.parametrize("value", NOT_A_COUNT + IMPOSSIBLE, ids=repr)
@pytest.mark.parametrize("key", ["collected", "uncollectable", "candidates"])
def test_impossible_count_at_the_stop(rig, key, value) -> None:
    """A number that counts nothing raises nothing and leaves a believable file, however often it comes."""
    for _ in range(3):
        rig.start(1)
        rig.recorder.record_phase("stop", {**GOOD, key: value})
    assert_whole(rig)


@pytest.mark.parametrize("value", [*NOT_A_COUNT, *IMPOSSIBLE, 3, 7], ids=repr)
@pytest.mark.parametrize("phases", [("start", "stop"), ("start",), ("stop",)], ids="-".join)
def test_impossible_generation(rig, phases, value) -> None:
    """A generation that does not exist is written nowhere but among the three there are."""
    for phase in phases:
        rig.recorder.record_phase(phase, {**GOOD, "generation": value})
    assert_whole(rig)


def test_generation_above_the_oldest_counts_as_the_oldest(rig) -> None:
    """Should CPython get a fourth generation, its collections are not lost."""
    rig.collect(7)
    rig.stop(7)
    stats = rig.read().generations[2]
    assert (stats.collections, stats.no_start) == (1, 1)


@pytest.mark.parametrize(
    "info", [{}, {"generation": 1}, {"collected": 1, "uncollectable": 0}, {1: 2, None: 3, "génération": 1}], ids=repr
)
@pytest.mark.parametrize("phase", ["start", "stop"])
def test_missing_keys(rig, phase, info) -> None:
    """Keys that are not there raise nothing."""
    rig.recorder.record_phase(phase, info)
    assert_whole(rig)


@pytest.mark.parametrize("info", [None, 1, "text", [], ("generation", 1), ...], ids=repr)
@pytest.mark.parametrize("phase", ["start", "stop", "", "another", None, 3], ids=repr)
def test_not_even_a_dict(rig, phase, info) -> None:
    """What is no dict, or no phase, raises nothing."""
    rig.recorder.record_phase(phase, info)
    assert_whole(rig)


def test_more_keys_than_known(rig) -> None:
    """Keys of a later CPython or of a neighbour are passed over."""
    rig.start(1, phase="start", more=[1, 2])
    rig.stop(1, 3, more=object(), candidates=5)
    stats = rig.read().generations[1]
    assert (stats.collections, stats.collected, stats.candidates) == (1, 3, 5)


@pytest.mark.parametrize("value", [*NOT_A_COUNT, -1, 2**63, 10**40], ids=repr)
def test_impossible_count_counts_nothing(rig, value) -> None:
    """The collection itself was real: it is counted, with zero for what cannot be a count."""
    rig.collect(1, collected=value, uncollectable=value, candidates=value)
    stats = rig.read().generations[1]
    assert (stats.collections, stats.collected, stats.uncollectable, stats.candidates) == (1, 0, 0, 0)


def test_twin_counts_what_it_could_not_record(clocked) -> None:
    """The Python recorder contains its own failures and counts them."""
    clocked.recorder.record_phase("start", None)
    clocked.recorder.record_phase("stop", 5)
    assert clocked.recorder.faults == 2
    clocked.collect(1)
    assert clocked.recorder.faults == 2
    assert clocked.counts() == [0, 1, 0]


def test_twin_survives_a_clock_that_fails(clocked) -> None:
    """Without a clock nothing is recorded and nothing is raised."""

    def broken() -> int:
        raise OSError("no clock")

    recorder = PythonRecorder(PythonMapping(-1), clock_ns=broken)
    recorder.record_phase("start", GOOD)
    assert recorder.faults == 1


@pytest.mark.parametrize("duration", [-1.0, float("nan"), float("inf"), 1e300, "long", None, 3], ids=repr)
def test_twin_with_an_impossible_duration(clocked, duration) -> None:
    """Where a neighbour broke CPython's own duration, the recorder's clock stands in."""
    clocked.lasting(700, generation=1, duration=duration)
    assert clocked.read().latest[0].duration_ns == 700
    assert clocked.recorder.faults == 0
    assert_whole(clocked)


KEYS = st.sampled_from(["generation", "collected", "uncollectable", "candidates", "duration", "another"])
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 3), st.floats(), st.text(max_size=3), st.just([])
)
INFO = st.one_of(
    st.just(GOOD),
    st.dictionaries(KEYS, ANYTHING, max_size=3).map(lambda changed: {**GOOD, **changed}),
    st.dictionaries(st.one_of(KEYS, ANYTHING.filter(lambda key: key != [])), ANYTHING, max_size=6),
    ANYTHING,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.tuples(st.sampled_from(["start", "stop", "", None]), INFO), max_size=12))
def test_no_nonsense_raises_or_breaks_the_file(rig, calls) -> None:
    """Any calls with anything leave a file that reads well and records the next collection."""
    for phase, info in calls:
        rig.recorder.record_phase(phase, info)
    assert_whole(rig)
