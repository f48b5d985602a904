"""Durations of full collections beside busy threads, as several recorders see them: ``truth.py ROUNDS THREADS``."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from gc_otel import _native
from gc_otel.flight import layout
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder

HEAP_OBJECTS = 300_000
FULL = layout.GENERATIONS - 1
SUM = layout.GENERATION.cell("duration_sum_ns", FULL)

Collect = Callable[[], "tuple[float, float | None]"]


def collect_with(*callbacks: Callable[[str, dict[str, Any]], object]) -> float | None:
    """One full collection; what CPython itself says of its duration (3.15), in ns.

    CPython's figure is taken by a C function: a Python callback would let the busy
    threads run when it is entered, at the start too, inside of what is measured.
    """
    told: dict[str, Any] = {}
    gc.callbacks[:] = [*callbacks, told.__setitem__]
    gc.collect()
    gc.callbacks.clear()
    duration_s = told["stop"].get("duration")
    return None if duration_s is None else duration_s * 1e9


def by_recorder(mapping: Any, recorder: Any) -> Collect:
    """Collect with that recorder alone."""
    cells = mapping.view().cast("Q")

    def collect() -> tuple[float, float | None]:
        before = cells[SUM]
        reference = collect_with(recorder.record_phase)
        return float(cells[SUM] - before), reference

    return collect


def by_python_clock(clock_ns: Callable[[], int]) -> Collect:
    """Collect with a Python callback that does nothing but read a clock."""
    times: list[int] = []

    def callback(phase: str, info: dict[str, Any]) -> None:
        times.append(clock_ns())

    def collect() -> tuple[float, float | None]:
        times.clear()
        reference = collect_with(callback)
        return float(times[1] - times[0]), reference

    return collect


def spin(stop: threading.Event) -> None:
    """Keep wanting the GIL."""
    while not stop.is_set():
        sum(range(500))


def main() -> None:
    """Every round collects once with each recorder, beginning with another one each time."""
    rounds, threads = int(sys.argv[1]), int(sys.argv[2])
    extension, _ = _native.load()
    ways: dict[str, Collect] = {}
    if extension is not None:
        mapping = extension.Mapping(-1)
        ways["native"] = by_recorder(mapping, extension.Recorder(mapping))
    twin_mapping = PythonMapping(-1)
    ways["twin"] = by_recorder(twin_mapping, PythonRecorder(twin_mapping))
    ways["python_cpu"] = by_python_clock(time.thread_time_ns)
    ways["python_wall"] = by_python_clock(time.monotonic_ns)
    gc.disable()
    kept = [[number] for number in range(HEAP_OBJECTS)]
    stop = threading.Event()
    spinners = [threading.Thread(target=spin, args=(stop,)) for _ in range(threads)]
    for spinner in spinners:
        spinner.start()
    names = list(ways)
    samples: dict[str, list[tuple[float, float | None]]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(ways[name]())
    stop.set()
    for spinner in spinners:
        spinner.join()
    print(json.dumps({"samples": samples, "kept": len(kept)}))


if __name__ == "__main__":
    main()
