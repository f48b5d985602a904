"""What a gc callback adds to a collection, over having none.

The worst case is measured: automatic young collections of a nearly empty heap, a few
hundred nanoseconds of work each.  All callbacks run in one process, in chunks of about a
millisecond, interleaved and beginning with another one each round; a chunk during which the
kernel took the CPU away is repeated.  The cost is the difference to the chunk without a
callback of the same round.  A C function that ignores its arguments and an empty
Python function are the floor of any callback written in C and in Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any, Final

from benchmarks.process import PROGRAMS, environment, flight_folder, run_program
from benchmarks.result import Result, Row, interval_of_median, row_of, verdict, verdict_of_interval

NAME: Final = "callback"
TITLE: Final = "Added cost of one collection (callback at start and stop), over no callback"
MOST_TIMES_EMPTY_C: Final = 1.15

_LABELS: Final = {
    "c_empty": "empty C callback",
    "py_empty": "empty Python callback",
    "native": "gc_otel, native recorder",
    "sampling": "the same, sampling garbage cycles",
    "twin": "gc_otel, Python recorder",
    "ddtrace": "ddtrace's gc monitor",
    "otel_record": "OTel Histogram.record() per event",
}


def run(*, quick: bool) -> Result:
    """Measure every callback that can be had here."""
    answer = run_program("callback_cost.py", 15 if quick else 400)
    samples: dict[str, list[float]] = answer["samples"]
    costs = {
        name: [cost - none for cost, none in zip(values, samples["none"], strict=True)]
        for name, values in samples.items()
    }
    rows = [Row("a collection without a callback", median(samples["none"]), "ns")]
    rows += [_row(name, costs, answer["missing"]) for name in _LABELS]
    if "native" in costs:
        rows.append(_beside_python(costs))
    rows.append(_hanging(2 if quick else 10))
    return Result(NAME, TITLE, tuple(rows))


def _row(name: str, costs: dict[str, list[float]], missing: dict[str, str]) -> Row:
    if name not in costs:
        return Row(_LABELS[name], None, "ns", note=missing.get(name, "not on this system"))
    medians = {each: median(values) for each, values in costs.items()}
    ratio = medians[name] / medians["c_empty"]
    more: dict[str, Any] = {"ratio": ratio}
    if name == "native":
        more |= {"target": f"<= {MOST_TIMES_EMPTY_C} x empty C", "verdict": verdict(met=ratio <= MOST_TIMES_EMPTY_C)}
    return row_of(_LABELS[name], costs[name], "ns", **more)


def _beside_python(costs: dict[str, list[float]]) -> Row:
    """What the native recorder costs beyond an empty Python callback of the same round."""
    beyond_ns = [native - python for native, python in zip(costs["native"], costs["py_empty"], strict=True)]
    low_ns, high_ns = interval_of_median(beyond_ns)
    met = verdict_of_interval(low_ns, high_ns, most=0)
    ratio = median(costs["native"]) / median(costs["py_empty"])
    return Row(
        "the native recorder, less an empty Python callback",
        median(beyond_ns),
        "ns",
        ratio=ratio,
        target="< 0",
        verdict=met,
        note=f"90 % interval {low_ns:.0f} to {high_ns:.0f} ns",
    )


def _hanging(seconds: float) -> Row:
    """A program that records into the histogram which the naive callback records into."""
    label = "OTel Histogram.record(), in a program that uses that histogram"
    with flight_folder() as folder:
        command = [sys.executable, str(PROGRAMS / "otel_record_hangs.py"), str(seconds)]
        done = subprocess.run(
            command, env=environment(folder), capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if lines[-1:] == ["survived"]:
        return Row(label, None, "", note=f"did not hang within {seconds:g} s this time")
    if not lines and "ModuleNotFoundError" in done.stderr:
        return Row(label, None, "", note="not installed")
    return Row(label, None, "", note=f"hangs for good (here after {lines[-1] if lines else 'less than 100'} records)")
