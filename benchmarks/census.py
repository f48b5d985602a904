"""How long a census holds the GIL, beside what else looks at every object.

The native walk is one call that holds the GIL; naming before and after it is Python, which other
threads can interrupt.  Everything runs in one process on one heap of sessions (an object, its strings, a list, a dict,
a list in it), in turn, beginning with another one each round; ratios are taken per round.
`gc.collect()` finds nothing to collect: it is the walk alone.  A walk whose visitor does nothing stands beside: no census
in one call can be faster than that.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "census"
TITLE: Final = "A census of the heap, beside objgraph.typestats() and one gc.collect()"
LEAST_TIMES_FASTER_THAN_OBJGRAPH: Final = 20
MOST_OF_A_COLLECTION: Final = 0.25

_LABELS: Final = {
    "collect": "gc.collect()",
    "floor": "a walk that looks at nothing",
    "walk": "census, the walk alone (the GIL is held)",
    "census": "gc_otel.take_census()",
    "exact": "the same, every holder looked into",
    "twin": "the same, Python twin",
    "counter": "Counter(map(type, gc.get_objects()))",
    "objgraph": "objgraph.typestats()",
    "muppy": "pympler: muppy.get_objects() and summary.summarize()",
    "guppy": "guppy3: hpy().heap()",
    "cycles": "gc_otel.find_cycles()",
}


def run(*, quick: bool, full: bool = False) -> Result:
    """Measure heaps of 1e5 and 1e6 objects; of 1e7 too when asked for all."""
    sizes = (100_000,) if quick else (100_000, 1_000_000, *((10_000_000,) if full else ()))
    rows: list[Row] = []
    for objects in sizes:
        answer = run_program("census_cost.py", objects, 3 if quick else 15 if objects < 10_000_000 else 3)
        rows += _rows(objects, answer)
    return Result(NAME, TITLE, tuple(rows))


def _rows(objects: int, answer: dict[str, Any]) -> list[Row]:
    samples: dict[str, list[float]] = answer["samples"]
    rows = []
    for name, label in _LABELS.items():
        if name not in samples:
            if name in answer["missing"]:
                rows.append(Row(f"{label}, {objects:,} objects", None, "ms", note=answer["missing"][name]))
            continue
        ratio = _ratio(samples[name], samples["collect"])
        more: dict[str, Any] = {"ratio": ratio, "note": "ratio to gc.collect()"}
        if name == "walk":
            faster = _ratio(samples["objgraph"], samples["walk"])
            met = faster >= LEAST_TIMES_FASTER_THAN_OBJGRAPH
            target = f">= {LEAST_TIMES_FASTER_THAN_OBJGRAPH} x faster than objgraph"
            if sys.version_info >= (3, 12):
                met = met and ratio <= MOST_OF_A_COLLECTION
                target += f", <= {MOST_OF_A_COLLECTION} of a collection"
            native = answer["missing"].get("native", "")
            nothing = samples.get("floor")
            at_most = f" (at most {_ratio(samples['objgraph'], nothing):.1f} could be)" if nothing else ""
            note = f"{faster:.1f} x faster than objgraph{at_most}; one holder in {answer['every']}{native and '; ' + native}"
            more |= {"target": target, "verdict": verdict(met=met), "note": note}
        rows.append(row_of(f"{label}, {objects:,} objects", samples[name], "ms", **more))
    return rows


def _ratio(samples: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(one / other for one, other in zip(samples, others, strict=True))
