"""How long a census holds the GIL, beside what else looks at every object.

What `gc-otel census` asks for is counted in a cloned child: the process stands still for the clone.  Where there can be no
child, and for the monitor's own census, the native walk is one call that holds the GIL.  Naming before and after is Python, which other
threads can interrupt.  Everything runs in one process on one heap of sessions (an object, its strings, a list, a dict,
a list in it), in turn, beginning with another one each round; ratios are taken per round.
`gc.collect()` finds nothing to collect: it is the walk alone.  From 3.12 on CPython's own walk stands beside, with a
visitor that does nothing.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "census"
TITLE: Final = "A census of the heap, beside objgraph.typestats() and one gc.collect()"
LEAST_TIMES_FASTER_THAN_OBJGRAPH: Final = 20
MOST_OF_A_COLLECTION: Final = 0.25
_ROUNDS: Final = {100_000: 15, 1_000_000: 15, 10_000_000: 3}
#: Of what takes minutes for a round on a large heap.
_ROUNDS_OF_OTHERS: Final = {100_000: 15, 1_000_000: 3, 10_000_000: 1}
_MOST_S: Final = 1800

_LABELS: Final = {
    "collect": "gc.collect()",
    "pause": "census in a child: the process stands still",
    "cold": "the same where the kernel did not look at the pages before",
    "beside": "the same: CPU time of the process beside that, interruptible",
    "answer": "the same, every holder looked into: until the answer",
    "child_memory": "the same: memory copied",
    "after": "gc.collect() right after it: each page written to faults once",
    "floor": "PyUnstable_GC_VisitObjects() with a visitor that does nothing",
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
    """Measure heaps of 1e5 and 1e6 objects, the others on the first; when asked for all, of 1e7 too, and all on each."""
    sizes = list(_ROUNDS)[: 1 if quick else 3 if full else 2]
    rows: list[Row] = []
    for objects in sizes:
        rounds, others = (2, 1) if quick else (_ROUNDS[objects], _ROUNDS_OF_OTHERS[objects])
        rows += _rows(objects, run_program("census_cost.py", objects, rounds, timeout_s=_MOST_S))
        if full or objects == sizes[0]:
            answer = run_program("census_cost.py", objects, others, "others", timeout_s=_MOST_S)
            rows += _rows(objects, answer, but=("collect",))
    return Result(NAME, TITLE, tuple(rows))


def _rows(objects: int, answer: dict[str, Any], *, but: tuple[str, ...] = ()) -> list[Row]:
    """One for each label that was measured or is missing; ratios are to the same process's collections."""
    samples: dict[str, list[float]] = answer["samples"]
    rows = []
    for name, label in _LABELS.items():
        if name not in samples or name in but:
            if name in answer["missing"]:
                rows.append(Row(f"{label}, {objects:,} objects", None, "ms", note=answer["missing"][name]))
            continue
        if name == "child_memory":
            rows.append(row_of(f"{label}, {objects:,} objects", samples[name], "MiB"))
            continue
        more: dict[str, Any] = {"ratio": _ratio(samples[name], samples["collect"]), "note": "ratio to gc.collect()"}
        if name in ("pause", "walk"):
            more |= _judged(name, samples, more["ratio"])
        if name == "walk":
            native = answer["missing"].get("native", "")
            more["note"] += f"; one holder in {answer['every']}{native and '; ' + native}"
        rows.append(row_of(f"{label}, {objects:,} objects", samples[name], "ms", **more))
    return rows


def _judged(name: str, samples: dict[str, list[float]], ratio: float) -> dict[str, Any]:
    """By how often objgraph takes as long, and by the part of a collection that it is."""
    faster = _ratio(samples["objgraph"], samples[name])
    met = faster >= LEAST_TIMES_FASTER_THAN_OBJGRAPH and ratio <= MOST_OF_A_COLLECTION
    target = f">= {LEAST_TIMES_FASTER_THAN_OBJGRAPH} x faster than objgraph, <= {MOST_OF_A_COLLECTION} of a collection"
    note = f"{faster:.1f} x faster than objgraph"
    if name == "walk" and "floor" in samples:
        note += f" (with a visitor that does nothing: {_ratio(samples['objgraph'], samples['floor']):.1f})"
    return {"target": target, "verdict": verdict(met=met), "note": note}


def _ratio(samples: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(one / other for one, other in zip(samples, others, strict=True))
