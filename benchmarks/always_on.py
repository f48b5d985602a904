"""What is always on costs: the cycle sampler in a service that collects all the time, the census, a measured block.

The sampler is on and off in turns of the same loop in one process, by CPU time of its thread; what it adds is far below what
a machine changes between two turns, so its own clock is judged.  The census's share is its
CPU time against the interval that its own budget leaves between two.  A measured block stands beside an empty ``with``.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from benchmarks.process import run_program
from benchmarks.result import Result, row_of, skipped, verdict
from gc_otel import _native

NAME: Final = "always-on"
TITLE: Final = "The cycle sampler, the census, and measure()"
SAMPLER_MOST_PERCENT: Final = 0.5


def run(*, quick: bool) -> Result:
    """Measure all three."""
    if _native.load()[0] is None:
        return skipped(NAME, TITLE, "needs the native recorder")
    answer = run_program("always_on_cost.py", 3 if quick else 8, 0.05 if quick else 6)
    met = median(answer["share_percent"]) <= SAMPLER_MOST_PERCENT
    rows = [
        row_of("cycle sampler, CPU time of a loop that only collects, off is 1", answer["sampler"], ""),
        row_of(
            "  by its own clock, share of the time",
            answer["share_percent"],
            "%",
            target=f"<= {SAMPLER_MOST_PERCENT}",
            verdict=verdict(met=met),
        ),
        row_of("one examination", answer["sample_us"], "us"),
    ]
    for objects, census in answer["census"].items():
        rows.append(row_of(f"census of {int(objects):,} objects", census["cost_ms"], "ms"))
        rows.append(row_of("  as a share of a core", census["share_percent"], "%", target="0.1"))
    for label, samples in answer["measure"].items():
        rows.append(row_of(label, samples, "us"))
    return Result(NAME, TITLE, tuple(rows))
