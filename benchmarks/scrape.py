"""What a scrape of the exporter service costs it, by the number of recorded processes, and what memory it takes.

Flight files are real ones, written by the Python recorder and held alive in the names of processes that sleep; the
exporter is the command, in a process of its own, and is scraped as Prometheus does: OpenMetrics, compressed.
What dominates is measured apart, in one process: the points of a page alone, and all of it.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "scrape"
TITLE: Final = "One scrape of the exporter service"
PROCESSES: Final = (1, 16, 64)
MOST_MS: Final = 300.0
MIB: Final = 2**20


def run(*, quick: bool) -> Result:
    """Measure at each number of processes."""
    rows: list[Row] = []
    for processes in (1, 4) if quick else PROCESSES:
        answer = run_program("scrape_cost.py", processes, 3 if quick else 15)
        rows += _rows(processes, answer)
    return Result(NAME, TITLE, tuple(rows))


def _rows(processes: int, answer: dict[str, Any]) -> list[Row]:
    who = "1 process" if processes == 1 else f"{processes} processes"
    judged: dict[str, Any] = {}
    if processes == PROCESSES[-1]:
        met = sorted(answer["cpu_ms"])[len(answer["cpu_ms"]) // 2] <= MOST_MS
        judged = {"target": f"<= {MOST_MS:g} ms", "verdict": verdict(met=met)}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in answer["shares"].items())
    return [
        row_of(f"{who}: CPU time of the exporter", answer["cpu_ms"], "ms", note=shares, **judged),
        row_of(f"{who}: time to the last byte", answer["wall_ms"], "ms", note=f"{answer['series']} series"),
        Row(f"{who}: memory of the exporter (USS)", answer["uss_bytes"] / MIB, "MiB"),
    ]
