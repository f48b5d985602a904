"""What a block of code costs: differences, collections inside, overlaps; recorded by name, and set on the span."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading

import pytest

import gc_otel
from gc_otel.config import Config
from gc_otel.flight import heap_reader, layout
from gc_otel.measuring import NotMeasurable
from gc_otel.probe import measures, probe


@pytest.fixture
def recorded(kind, flight_dir):
    """This process, recorded; returns what the file says of its measured blocks."""
    stop = probe.start(Config.from_env(recorder=kind, census=False))
    yield lambda: {
        (each.name, each.overlapped): each for each in heap_reader.read_measured(probe.current().source).blocks
    }
    stop()


@pytest.fixture
def alone(monkeypatch):
    """No other thread uses a core meanwhile, whatever the monitor does."""
    monkeypatch.setattr("gc_otel.measuring._OTHERS_CPU_NS", 10**12)


def test_a_block_that_keeps_objects(alone) -> None:
    """Blocks and resident memory more than before, collections inside; no time in them where nothing is recorded."""
    with gc_otel.measure("load") as measured:
        kept = [[number] for number in range(200_000)]
        gc.collect()
    assert measured.blocks >= len(kept)
    assert measured.rss_bytes > 4_000_000
    assert measured.collections >= 1
    assert (measured.gc_ns, measured.uss_bytes, measured.overlapped) == (None, None, False)
    assert "load" in repr(measured)
    with gc_otel.measure("drop", uss=True) as dropped:
        del kept
    assert dropped.blocks <= -200_000
    assert dropped.uss_bytes <= 0


@pytest.mark.usefixtures("alone")
def test_runs_are_recorded_by_name(recorded) -> None:
    """Each histogram has as many values as there were runs, and their exact sum; what is not known has none."""
    seen = []
    for _ in range(3):
        with gc_otel.measure("checkout") as measured:
            gc.collect()
        seen.append(measured)
    block = recorded()["checkout", False]
    assert block.runs == 3
    assert (block.gc_ns.count, block.uss_bytes.count) == (3, 0)
    assert sum(block.blocks.sums) == sum(each.blocks for each in seen)
    assert sum(block.collections.sums) == sum(each.collections for each in seen) >= 3
    assert sum(block.gc_ns.sums) == sum(each.gc_ns for each in seen) > 0


@pytest.mark.usefixtures("alone")
def test_decorated_functions_stay_what_they_were(recorded) -> None:
    """Functions, coroutine functions and generator functions: name, kind, results, exceptions, one run for each call."""

    @gc_otel.measure("plain")
    def plain(number: int) -> int:
        """Doc."""
        return number + 1

    @gc_otel.measure("coroutine")
    async def coroutine(number: int) -> int:
        await asyncio.sleep(0)
        return number + 2

    @gc_otel.measure("generator")
    def generator(number: int):
        got = yield number
        yield got
        return number + 3

    def outer():
        return (yield from generator(7))

    assert (plain(1), plain.__name__, plain.__doc__) == (2, "plain", "Doc.")
    assert inspect.iscoroutinefunction(coroutine)
    assert asyncio.run(coroutine(1)) == 3
    assert inspect.isgeneratorfunction(generator)
    steps = outer()
    assert (next(steps), steps.send("sent")) == (7, "sent")
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value == 10
    unfinished = generator(1)
    next(unfinished)
    unfinished.close()
    with pytest.raises(ZeroDivisionError):
        gc_otel.measure("broken")(lambda: 1 / 0)()
    assert {name: block.runs for (name, _), block in recorded().items()} == {
        "plain": 1,
        "coroutine": 1,
        "generator": 2,
        "broken": 1,
    }


@pytest.mark.usefixtures("alone")
def test_a_coroutine_has_only_its_own_steps() -> None:
    """What another task keeps while it is suspended is not in it, and it is not called an overlap."""
    kept = []
    found = []

    async def other() -> None:
        kept.extend([number] for number in range(100_000))

    @gc_otel.measure("own")
    async def own() -> None:
        task = asyncio.create_task(other())
        await task

    original, measures.add = measures.add, found.append
    try:
        asyncio.run(own())
    finally:
        measures.add = original
    (measured,) = found
    assert abs(measured.blocks) < 50_000
    assert not measured.overlapped


@pytest.mark.usefixtures("alone")
def test_a_suspended_block_is_marked() -> None:
    """A ``with`` during which the loop turned; not one that never waited."""

    async def serve() -> tuple[bool, bool, bool]:
        with gc_otel.measure("waits") as waits:
            await asyncio.sleep(0)
        with gc_otel.measure("runs") as runs:
            sum(range(100))
        async with gc_otel.measure("async") as also:
            await asyncio.sleep(0)
        return waits.overlapped, runs.overlapped, also.overlapped

    assert asyncio.run(serve()) == (True, False, True)


def test_another_thread_is_marked() -> None:
    """One that used a core meanwhile."""

    def burn() -> None:
        sum(number * number for number in range(300_000))

    with gc_otel.measure("shared") as measured:
        thread = threading.Thread(target=burn)
        thread.start()
        thread.join()
    assert measured.overlapped


@pytest.mark.usefixtures("alone")
def test_names_are_capped(recorded) -> None:
    """Thirty-two names, then all others together; a long name is cut."""
    for number in range(layout.MEASURED_NAMES + 5):
        with gc_otel.measure(f"{number} " + "x" * 200):
            pass
    blocks = recorded()
    assert len(blocks) == layout.MEASURED_NAMES + 1
    other = blocks["other", False]
    assert (other.runs, other.is_other) == (5, True)
    assert all(len(name.encode()) <= layout.MEASURE_NAME_BYTES for name, _ in blocks)


@pytest.mark.usefixtures("alone")
def test_a_run_that_ends_inside_another_s_recording(recorded, monkeypatch) -> None:
    """As a finalizer's does that a collection runs there: nothing is waited for, and both are recorded."""
    bisect, inner = measures.bisect_left, []

    def and_ends_another(*args):
        if not inner:
            inner.append(1)
            with gc_otel.measure("inner"):
                pass
        return bisect(*args)

    monkeypatch.setattr(measures, "bisect_left", and_ends_another)
    with gc_otel.measure("outer"):
        pass
    assert {name: block.runs for (name, _), block in recorded().items()} == {"outer": 1, "inner": 1}


def test_it_sets_the_current_span() -> None:
    """Attributes by name, on a span that records."""
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    tracer = trace.TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span, gc_otel.measure("checkout") as measured:
        pass
    assert span.attributes["gc_otel.measure.checkout.blocks"] == measured.blocks
    assert "gc_otel.measure.checkout.uss_bytes" not in span.attributes


def test_what_cannot_be_measured_is_refused() -> None:
    """An asynchronous generator, with what to do instead; a decorator without a name."""

    async def produce():
        yield 1

    with pytest.raises(NotMeasurable, match="asynchronous generator") as caught:
        gc_otel.measure("x")(produce)
    assert "with gc_otel.measure" in caught.value.remedy
    with pytest.raises(TypeError, match="name"):
        gc_otel.measure(produce)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # the runner's threads
def test_a_forked_child_records_its_own(recorded) -> None:
    """The queue's door is new there, and its file has none of the parent's runs."""
    import os

    with gc_otel.measure("before"):
        pass
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with gc_otel.measure("in child"):
                pass
            names = {each.name for each in heap_reader.read_measured(probe.current().source).blocks}
            code = 0 if names == {"in child"} else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert {name for name, _ in recorded()} == {"before"}
