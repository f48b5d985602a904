"""The share of one core that all sampling together takes at the default interval.

CPU time of single rounds in a small process and in a large one, whose page tables the kernel walks for unique
and proportional memory.  The share follows from how often each is due: a round every interval, the dear
numbers every 30 s or 2000 times their own cost, whichever is longer.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of, verdict
from gc_otel.sample.process import DETAIL_BEAT_COSTS, DETAIL_BEAT_MIN_NS

NAME: Final = "sampling"
TITLE: Final = "CPU time of sampling at the default interval"
MOST_PERCENT: Final = 0.1


def run(*, quick: bool) -> Result:
    """Measure in a small and in a large process."""
    sizes = (("small process", 1), ("64 MB process", 50)) if quick else (("small process", 1), ("1 GB process", 850))
    rows: list[Row] = []
    for label, megabytes in sizes:
        answer = run_program("sampling_cost.py", 5 if quick else 40, megabytes)
        rows += _rows(label, answer["rounds"], answer["interval_s"])
    return Result(NAME, TITLE, tuple(rows))


def _rows(label: str, rounds: list[tuple[float, float]], interval_s: float) -> list[Row]:
    percents = [100 * _share(round_us, detail_us, interval_s) for round_us, detail_us in rounds]
    more: dict[str, Any] = {
        "target": f"< {MOST_PERCENT} % of a core",
        "verdict": verdict(met=median(percents) < MOST_PERCENT),
    }
    return [
        row_of(f"{label}: one round", [each for each, _ in rounds], "us"),
        row_of(f"{label}: unique, proportional, swapped", [each for _, each in rounds], "us"),
        row_of(f"{label}: all together", percents, "% of a core", **more),
    ]


def _share(round_us: float, detail_us: float, interval_s: float) -> float:
    detail_every_us = max(DETAIL_BEAT_MIN_NS / 1e3, detail_us * DETAIL_BEAT_COSTS)
    return round_us / (interval_s * 1e6) + detail_us / detail_every_us
