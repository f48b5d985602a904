"""How true the recorded durations are while other threads want the CPU.

Full collections of 300 000 objects beside four busy threads, one recorder at a time (two in one
list would measure each other), taking turns.  From 3.15 on CPython tells a collection's
duration itself, and each is compared with that very collection; before, the native recorder is
the reference, and what is compared is the collection of the same round.  "Python, wall clock" is what
a callback sees that yields to waiting threads before it can read its clock.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, quartiles, row_of, skipped, verdict

NAME: Final = "truth"
TITLE: Final = "Recorded duration of a full collection beside 4 busy threads"
MOST_OFF: Final = 0.10
THREADS: Final = 4

_LABELS: Final = {
    "native": "gc_otel, native recorder",
    "twin": "gc_otel, Python recorder",
    "python_cpu": "a Python callback, thread CPU time",
    "python_wall": "a Python callback, wall clock",
}


def run(*, quick: bool) -> Result:
    """Measure with every recorder that can be had here."""
    samples = run_program("truth.py", 4 if quick else 40, THREADS)["samples"]
    told = samples["twin"][0][1] is not None
    if not told and "native" not in samples:
        return skipped(NAME, TITLE, "no native recorder, and this CPython does not tell durations itself")
    reference = [mine for mine, _ in samples["native"]] if "native" in samples else []
    rows = (
        [row_of("reference: CPython's own duration", [told / 1e6 for _, told in samples["twin"]], "ms")] if told else []
    )
    rows += [_row(name, pairs, None if told else reference) for name, pairs in samples.items()]
    return Result(NAME, TITLE, tuple(rows))


def _row(name: str, pairs: list[tuple[float, float]], reference: list[float] | None) -> Row:
    ratios = [mine / (its if reference is None else reference[number]) for number, (mine, its) in enumerate(pairs)]
    more: dict[str, Any] = {"ratio": median(ratios)}
    if name == "native" and reference is None:
        met = abs(median(ratios) - 1) <= MOST_OFF
        more |= {"target": f"within {MOST_OFF:.0%} of CPython's", "verdict": verdict(met=met)}
    if name == "native" and reference is not None:
        more |= {"note": "the reference"}
    else:
        low, high = quartiles(ratios)
        more |= {"note": f"of the reference: quartiles {low:.3f} to {high:.3f}"}
    return row_of(_LABELS[name], [mine / 1e6 for mine, _ in pairs], "ms", **more)
