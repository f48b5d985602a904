"""A signal handler may raise between any two bytecodes of the Python recorder: nothing is counted by half or twice."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from gc_otel.flight import layout, python_recorder

pytestmark = pytest.mark.usefixtures("quiet_gc")


class Raiser:
    """Raises ``what`` before bytecode number ``countdown`` of the recorder, and then no more."""

    def __init__(self, countdown: int, what: BaseException) -> None:
        self.countdown = countdown
        self.what = what

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != python_recorder.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.countdown -= 1
            if self.countdown == 0:
                sys.settrace(None)
                raise self.what
        return self


def interrupt(call: Any, countdown: int, what: BaseException) -> bool:
    """Whether the call was long enough to be interrupted there."""
    raiser = Raiser(countdown, what)
    before = sys.gettrace()
    sys.settrace(raiser)
    try:
        call()
    except (KeyboardInterrupt, TimeoutError):
        pass
    finally:
        sys.settrace(before)
    return raiser.countdown <= 0


@pytest.mark.parametrize("phase", ["start", "stop"])
@pytest.mark.parametrize("what", [KeyboardInterrupt, TimeoutError])
def test_interrupted_before_any_bytecode(clocked, phase, what) -> None:
    """The file is whole, the collection counted once or not at all, and the next ones are counted rightly."""
    interrupt(lambda: clocked.collect(1), 10**9, what())  # 3.12 tells of bytecodes from a code's second traced call on
    expected, countdown, left_open = 1, 0, 0
    interrupted = True
    while interrupted:
        countdown += 1
        if phase == "stop":
            clocked.start(1)
        clocked.cpu.now_ns += 10
        act = clocked.start if phase == "start" else clocked.stop
        interrupted = interrupt(lambda act=act: act(1), countdown, what())
        if phase == "start":
            clocked.stop(1)
        collector = clocked.read()
        assert not collector.torn
        left_open += collector.in_progress is not None
        stats = collector.generations[1]
        assert stats.collections - expected in (0, 1)
        expected = stats.collections
        assert sum(stats.buckets) == collector.events == expected
        assert sum(stats.bucket_sum_ns) == stats.duration_sum_ns
        clocked.lasting(1_000, generation=1)
        expected += 1
        collector = clocked.read()
        assert (collector.events, collector.latest[-1].duration_ns, collector.in_progress) == (expected, 1_000, None)
    assert countdown > 100
    assert left_open < 30  # only before the callback has looked at its phase
    assert clocked.cells[layout.GC.cell("sequence")] % 2 == 0


def test_the_first_of_two_interrupts_is_reported(clocked, monkeypatch) -> None:
    """A callback can raise one exception only; of the other CPython's hook for the unraisable is told."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))
    finish, interrupts = clocked.recorder._finish, [KeyboardInterrupt, GeneratorExit]

    def interrupted(*args: Any) -> None:
        if interrupts:
            raise interrupts.pop(0)
        finish(*args)

    monkeypatch.setattr(clocked.recorder, "_finish", interrupted)
    clocked.start(1)
    with pytest.raises(GeneratorExit):
        clocked.stop(1)
    assert told == [KeyboardInterrupt]
    assert clocked.read().in_progress is None
