"""The native recorder's time: read from the processor's counter, and as true as the clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gc_otel import _native

MS = 1_000_000
INTERVAL_S = 0.26  # the shortest that a comparison takes for one is 0.25 s
UNSURE_NS = 20_000  # between two lines of Python, and the difference of two clocks

pytestmark = [pytest.mark.usefixtures("quiet_gc"), pytest.mark.once]


def pass_time(duration_ns: int) -> None:
    until_ns = time.monotonic_ns() + duration_ns
    while time.monotonic_ns() < until_ns:
        pass


def compare_until_found(recorder) -> int:
    """How many comparisons it takes until the counter is read."""
    for times in range(1, 20):
        recorder.compare_clocks()
        if recorder.clock_scale:
            return times
        time.sleep(INTERVAL_S)
    raise AssertionError("two intervals never agreed")


@pytest.fixture
def counting(rig):
    """The rig, and what makes it read the counter."""
    if _native.load()[0] is None or not isinstance(getattr(rig.recorder, "clock_scale", None), int):
        pytest.skip("only the native recorder reads the counter")
    if not rig.recorder.clock_is_trusted:
        pytest.skip("the kernel does not keep its clock by this processor's counter")
    compare_until_found(rig.recorder)
    return rig


@pytest.fixture
def timed(counting) -> Callable[[int], tuple[int, int, int]]:
    """Records a collection of that length: the recorded duration, and the least and most that it can have been."""

    def record(duration_ns: int) -> tuple[int, int, int]:
        before = time.monotonic_ns()
        counting.start(2)
        started = time.monotonic_ns()
        pass_time(duration_ns)
        ended = time.monotonic_ns()
        counting.stop(2)
        after = time.monotonic_ns()
        return counting.read().latest[-1].duration_ns, ended - started, after - before

    return record


def is_within(recorded: tuple[int, int, int]) -> bool:
    duration_ns, least_ns, most_ns = recorded
    return least_ns - least_ns // 1000 - UNSURE_NS <= duration_ns <= most_ns + most_ns // 1000 + UNSURE_NS


def test_where_linux_keeps_its_clock_by_the_counter(rig) -> None:
    """What the kernel says is what the recorder goes by."""
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    trusted = getattr(rig.recorder, "clock_is_trusted", False)
    is_tsc = source.exists() and source.read_text() == "tsc\n"
    assert not trusted or is_tsc
    if not trusted and is_tsc and hasattr(rig.recorder, "clock_is_trusted"):
        assert "t" in getattr(sys, "abiflags", "")  # without a GIL there is only the clock


def test_a_scale_keeps_being_found(counting) -> None:
    """The next interval agrees with the one before."""
    first = counting.recorder.clock_scale
    time.sleep(INTERVAL_S)
    counting.recorder.compare_clocks()
    assert counting.recorder.clock_scale == pytest.approx(first, rel=1e-3)


@pytest.mark.parametrize("duration_ns", [0, MS // 10, 5 * MS, 60 * MS])
def test_durations_and_starts_are_the_clocks(counting, timed, duration_ns) -> None:
    """Short ones by the counter alone, long ones confirmed by the clock; all start when the clock says."""
    before = time.monotonic_ns()
    assert is_within(timed(duration_ns))
    event = counting.read().latest[-1]
    assert before - UNSURE_NS <= event.start_ns <= time.monotonic_ns() + UNSURE_NS
    assert counting.recorder.clock_scale  # still


def test_old_comparisons_are_not_used(counting, timed) -> None:
    """Without a monitor the clock itself is read again: a scale is good for four intervals."""
    true_scale = counting.recorder.clock_scale
    counting.recorder.clock_scale = 8 * true_scale
    time.sleep(5 * INTERVAL_S)
    assert is_within(timed(MS // 10))


@pytest.mark.parametrize("factor", [1.02, 3])
def test_another_rate_is_found_out(counting, timed, factor) -> None:
    """By the first collection that is long enough to ask the clock about: it is the last to be recorded wrong."""
    counting.recorder.clock_scale = round(counting.recorder.clock_scale * factor)
    duration_ns, _, most_ns = timed(20 * MS)
    assert duration_ns <= most_ns * factor + UNSURE_NS
    assert counting.recorder.clock_scale == 0
    assert is_within(timed(MS // 10))


@pytest.mark.parametrize("by_ns", [10**10, -(10**10)])
def test_a_suspension_is_found_out(counting, timed, by_ns) -> None:
    """As if the machine had slept since the last comparison: clock and counter stand apart, durations stay true."""
    counting.recorder.clock_ns += by_ns
    assert is_within(timed(20 * MS))
    assert counting.recorder.clock_scale == 0
    assert compare_until_found(counting.recorder) >= 2
    assert is_within(timed(20 * MS))


def test_overhead_is_counted_by_either(counting) -> None:
    """One collection in 64 measures the recorder itself: hundreds of nanoseconds, not an age."""
    for _ in range(640):
        counting.collect()
    per_collection_ns = counting.read().overhead_ns / 640
    assert 0 < per_collection_ns < MS
