"""Nanoseconds per automatic young collection, by the callback that is in gc.callbacks: ``callback_cost.py ROUNDS``."""

from __future__ import annotations

import gc
import json
import operator
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from gc_otel import _native
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe import live_cycles

Callback = Callable[[str, dict[str, Any]], object]

LOOPS = 800
LEAST_LOOPS = 40
CHUNK_NS = 1_000_000  # most chunks fit between two ticks of the scheduler, however dear the callback is
WARM_UP_CHUNKS = 4  # over 2000 collections: the recorders ask one by one whether the first 1024 are automatic
ATTEMPTS = 20
COMPARISONS = 4  # of the clocks, as the monitor's rounds make them; the third is the first that can find something
COMPARISON_S = 0.3


class Young:
    """A tracked object without a dict: as little as a collection can look at."""

    __slots__ = ("value",)


def collect_automatically(loops: int) -> None:
    """One young collection a loop, more or less, at a threshold of 10."""
    for _ in range(loops):
        _ = [Young(), Young(), Young(), Young(), Young(), Young(), Young(), Young(), Young(), Young(), Young(), Young()]


def empty(phase: str, info: dict[str, Any]) -> None:
    """What any Python callback costs."""


def ddtrace_callback() -> Callback:
    """The callback of ddtrace's monitor, started as its runtime metrics do."""
    from ddtrace.internal.runtime.gc_monitor import gc_pause_monitor  # type: ignore[import-not-found]

    gc_pause_monitor().acquire()
    return gc.callbacks.pop()  # type: ignore[return-value]


def record_callback() -> Callback:
    """The naive way.  Nothing else uses the SDK here, so it does not hang; see otel_record_hangs.py."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    provider = MeterProvider([InMemoryMetricReader()])
    histogram = provider.get_meter("naive").create_histogram("duration", unit="s")
    attributes = [{"generation": generation} for generation in range(3)]
    began = [0.0]

    def record(phase: str, info: dict[str, Any], _provider: Any = provider) -> None:
        if phase == "start":
            began[0] = time.perf_counter()
        else:
            histogram.record(time.perf_counter() - began[0], attributes[info["generation"]])

    return record


def variants() -> tuple[dict[str, Callback | None], dict[str, str]]:
    """The callbacks by name, and why the others are missing."""
    found: dict[str, Callback | None] = {"none": None, "c_empty": operator.is_, "py_empty": empty}
    missing: dict[str, str] = {}
    extension, reason = _native.load()
    if extension is None:
        missing["native"] = reason
    else:
        found["native"] = extension.Recorder(extension.Mapping(-1))
        sampling = extension.Recorder(extension.Mapping(-1))
        if sampling.sample_cycles(live_cycles.COST_FACTOR, live_cycles.LEAST_INTERVAL_NS, live_cycles.OBJECTS_MOST):
            found["sampling"] = sampling
    found["twin"] = PythonRecorder(PythonMapping(-1)).record_phase
    for name, make in (("ddtrace", ddtrace_callback), ("otel_record", record_callback)):
        try:
            found[name] = make()
        except Exception as error:  # noqa: BLE001 - not installed, or not for this interpreter: said in the table
            missing[name] = "not installed" if isinstance(error, ImportError) else str(error)
    return found, missing


@contextmanager
def sole_callback(callback: Callback | None) -> Iterator[None]:
    """Young collections only, with that callback or none."""
    gc.callbacks[:] = [] if callback is None else [callback]
    gc.set_threshold(10, 1_000_000, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(0)
        gc.callbacks.clear()


def collections() -> int:
    """Collections so far, of every generation."""
    return sum(each["collections"] for each in gc.get_stats())


def interruptions() -> int:
    """How often the kernel took the CPU from this thread; elsewhere than on Linux nothing tells."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nivcsw


def measure(callback: Callback | None, loops: int) -> float:
    """Nanoseconds per collection of one chunk, repeated while the kernel interrupts it."""
    for _ in range(ATTEMPTS):
        with sole_callback(callback):
            before, interrupted = collections(), interruptions()
            began_ns = time.perf_counter_ns()
            collect_automatically(loops)
            spent_ns = time.perf_counter_ns() - began_ns
        if interruptions() == interrupted:
            break
    return spent_ns / (collections() - before)


def fitting_loops(callback: Callback | None) -> int:
    """So many that a chunk takes about CHUNK_NS."""
    return max(LEAST_LOOPS, min(LOOPS, round(CHUNK_NS / measure(callback, LEAST_LOOPS))))


def settle(recorders: list[Any]) -> Callable[[], None]:
    """Have the clocks compared until the recorders are what they are in a process that runs; the next comparison."""

    def compare_clocks() -> None:
        for recorder in recorders:
            recorder.compare_clocks()

    for _ in range(COMPARISONS if recorders else 0):
        compare_clocks()
        time.sleep(COMPARISON_S)
    return compare_clocks


def main() -> None:
    """Every round measures every variant, beginning with another one each time."""
    rounds = int(sys.argv[1])
    callbacks, missing = variants()
    gc.collect()
    gc.freeze()
    names = list(callbacks)
    for name in names * WARM_UP_CHUNKS:
        measure(callbacks[name], LOOPS)
    loops = {name: fitting_loops(callbacks[name]) for name in names}
    samples: dict[str, list[float]] = {name: [] for name in names}
    compare_clocks = settle([callbacks[name] for name in ("native", "sampling") if name in callbacks])
    for turn in range(rounds):
        compare_clocks()
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(measure(callbacks[name], loops[name]))
    print(json.dumps({"samples": samples, "missing": missing}))


if __name__ == "__main__":
    main()
