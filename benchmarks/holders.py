"""Garbage cycles found in a child, and holders, beside DEBUG_SAVEALL and objgraph.

`gc.collect()` under DEBUG_SAVEALL finds the same garbage, keeps it, and runs in a process that is thrown away afterwards: the
whole of it is a pause. The child's pause is what its parent sees. objgraph's chain leads to one object by one way;
`why` merges the ways to all of the type.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of

NAME: Final = "holders"
TITLE: Final = "Exact cycles and holders, beside DEBUG_SAVEALL and objgraph"

_LABELS: Final = {
    "saveall": ("gc.collect() under DEBUG_SAVEALL, in a throw-away process: all of it a pause", "ms"),
    "child": ("cycles in a child, until the answer", "ms"),
    "child_pause": ("the pause of its parent", "ms"),
    "child_memory": ("memory of the child beside what it shares", "MiB"),
    "in_process": ("cycles in the process: all of it a pause", "ms"),
    "why": ("why: the ways to all objects of a type", "ms"),
    "why_hold": ("the longest that another thread waited for the GIL", "ms"),
    "chain": ("objgraph.find_backref_chain(): a way to one object", "ms"),
    "chain_hold": ("the longest that another thread waited for the GIL, then", "ms"),
}
_BASES: Final = {"child_pause": "saveall", "why": "chain", "why_hold": "chain_hold"}


def run(*, quick: bool, full: bool = False) -> Result:
    """Heaps of 1e5 and 1e6 objects; of 1e7 too when asked for all."""
    sizes = (100_000,) if quick else (100_000, 1_000_000, *((10_000_000,) if full else ()))
    rows: list[Row] = []
    for objects in sizes:
        answer = run_program("holders_cost.py", objects, 2 if quick or objects >= 10_000_000 else 7)
        rows += _rows(objects, answer)
    return Result(NAME, TITLE, tuple(rows))


def _rows(objects: int, answer: dict[str, Any]) -> list[Row]:
    samples: dict[str, list[float]] = answer["samples"]
    rows = []
    for name, (label, unit) in _LABELS.items():
        if name not in samples:
            rows.append(Row(f"{label}, {objects:,} objects", None, unit, note=answer["missing"].get("child", "")))
            continue
        more: dict[str, Any] = {}
        if name in _BASES:
            base = samples[_BASES[name]]
            ratio = median(one / other for one, other in zip(samples[name], base, strict=True) if other)
            more = {"ratio": ratio, "note": f"ratio to {_LABELS[_BASES[name]][0].partition(':')[0]}"}
        if name == "child_memory":
            more = {"note": f"of a process with {answer['rss_mib']:,.0f} MiB"}
        rows.append(row_of(f"{label}, {objects:,} objects", samples[name], unit, **more))
    return rows
