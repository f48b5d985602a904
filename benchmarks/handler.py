"""What a callback costs where a service has it: between other code, once for some hundred objects, its memory cold.

The benchmark `callback` calls it in a loop, where all that it touches is near.  Here a handler of the service of
`service` that leaves thousands of objects in cycles is called in one process, without a network, in turns of ten requests.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import is_there, run_program
from benchmarks.result import Result, Row, interval_of_median, row_of, skipped

NAME: Final = "handler"
TITLE: Final = "A handler that only makes garbage, in one process: what stands in gc.callbacks, over nothing"
_NEEDS: Final = ("flask", "opentelemetry.exporter.prometheus")


def run(*, quick: bool) -> Result:
    """An empty C callback and the recorder, beside nothing."""
    if lacking := [name for name in _NEEDS if not is_there(name)]:
        return skipped(NAME, TITLE, f"needs {', '.join(lacking)}")
    answer = run_program("handler_cost.py", *((2, 3) if quick else (60, 50)))
    return Result(NAME, TITLE, tuple(_rows(answer)), spread="90 % interval")


def _rows(answer: dict[str, Any]) -> list[Row]:
    us, collections = answer["us"], answer["collections"]
    rows = [row_of(f"one request, with {collections:.1f} collections, nothing in gc.callbacks", us["off"], "us")]
    for word, label in (("empty", "an empty C callback"), ("on", "the recorder")):
        ratios = [ours / bare for ours, bare in zip(us[word], us["off"], strict=True)]
        added_us = [ours - bare for ours, bare in zip(us[word], us["off"], strict=True)]
        rows.append(_added(f"{label}: added to a request", added_us, "us", median(ratios)))
        rows.append(_added(f"{label}: to a collection", [each / collections * 1e3 for each in added_us], "ns"))
    return rows


def _added(label: str, values: list[float], unit: str, ratio: float | None = None) -> Row:
    low, high = interval_of_median(values)
    return Row(label, median(values), unit, low, high, ratio)
