"""The C recorder and its Python twin write the same file, times apart."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_otel import _native
from gc_otel.flight import layout
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.flight.reader import read_collector

EXTENSION, _ = _native.load()
TIMES = {"start_ns", "duration_ns", "wall_ns", "duration_sum_ns", "duration_max_ns", "bucket_sum_ns"}

GENERATIONS = st.integers(0, 3)
COUNTS = st.integers(0, 2**40)
EVENT = st.one_of(
    st.tuples(st.just("start"), GENERATIONS),
    st.tuples(st.just("stop"), GENERATIONS, COUNTS, COUNTS, st.one_of(st.none(), COUNTS)),
    st.tuples(st.just("pair"), GENERATIONS, COUNTS, COUNTS, st.one_of(st.none(), COUNTS)),
    st.tuples(st.just("begin_own_work")),
    st.tuples(st.just("end_own_work")),
    st.tuples(st.just("window"), st.integers(0, 2**64 - 1)),
)


def perform(mapping: Any, recorder: Any, step: tuple[Any, ...]) -> None:
    name, *values = step
    if name == "window":
        mapping.view().cast("Q")[layout.WINDOW.cell("number")] = values[0]
    elif name in ("begin_own_work", "end_own_work"):
        getattr(recorder, name)()
    else:
        if name != "stop":
            recorder.record_phase("start", {"generation": values[0], "collected": 0, "uncollectable": 0})
        if name != "start":
            info = {"generation": values[0], "collected": values[1], "uncollectable": values[2]}
            recorder.record_phase("stop", info if values[3] is None else {**info, "candidates": values[3]})


def without_times(mapping: Any) -> dict[str, Any]:
    """All that the recorder writes, except what a clock tells: of the buckets their sums."""
    cells = mapping.view().cast("Q")
    collector = read_collector(OwnMemory(mapping))
    found: dict[str, Any] = {
        name: cells[layout.GC.cell(name)]
        for name in ("sequence", "events", "longest_entries", "window", "collecting_kind", "collecting_thread_id")
    }
    found["in progress"] = cells[layout.GC.cell("collecting_since_ns")] != 0
    for generation in range(layout.GENERATIONS):
        for field in layout.GENERATION.fields:
            first = layout.GENERATION.cell(field.name, generation)
            row = cells[first : first + field.cells].tolist()
            if "bucket_sum" not in field.name and field.name not in TIMES:
                found[f"{field.name} {generation}"] = sum(row)
    found["latest"] = [
        [getattr(event, name) for name in event.__slots__ if name not in TIMES] for event in collector.latest
    ]
    found["longest"] = len(collector.longest)
    return found


class Strides:
    """A clock that goes on by one with each look, so that no duration is zero."""

    now_ns = 1

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


@pytest.mark.skipif(EXTENSION is None, reason="there is no native recorder to compare with")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(EVENT, max_size=60))
def test_any_events_give_equal_files(quiet_gc, steps) -> None:
    """Whatever is told to both, in whatever order, both files say the same but for times."""
    native, python = EXTENSION.Mapping(-1), PythonMapping(-1)
    recorders = EXTENSION.Recorder(native), PythonRecorder(python, clock_ns=Strides(), cpu_clock_ns=Strides())
    for step in steps:
        perform(native, recorders[0], step)
        perform(python, recorders[1], step)
    assert without_times(native) == without_times(python)


@pytest.mark.skipif(EXTENSION is None, reason="there is no native recorder to compare with")
def test_more_events_than_the_ring_holds_give_equal_files(quiet_gc) -> None:
    """The same holds past the ring's end, from two threads."""
    native, python = EXTENSION.Mapping(-1), PythonMapping(-1)
    recorders = EXTENSION.Recorder(native), PythonRecorder(python, clock_ns=Strides(), cpu_clock_ns=Strides())

    def some() -> None:
        for number in range(700):
            for mapping, recorder in zip((native, python), recorders, strict=True):
                perform(mapping, recorder, ("pair", number % 3, number, 0, None))

    some()
    other = threading.Thread(target=some)
    other.start()
    other.join()
    assert without_times(native) == without_times(python)
    assert read_collector(OwnMemory(native)).events == 1400
