"""How the exporter grows with the number of recorded processes, and what recording adds to a worker that starts.

``benchmarks/programs/fleet_cost.py`` says what stands for a process. *All moving*: between two scrapes every number of
every process changes, as it does in a fleet that is busy everywhere; *idle*: every monitor has made a round, and nothing was
collected.
CPU time is the exporter's own account, by component, which it publishes itself.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from benchmarks.process import run_program
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "fleet"
TITLE: Final = "The exporter by the number of recorded processes"
PROCESSES: Final = (1, 64, 256, 1000)
MIB: Final = 2**20

#: Prometheus' default.
SCRAPE_TIMEOUT_MS: Final = 10_000.0
#: What a process costs among 1,000, in what it costs among 64: linear growth is 1.
GROWTH_MOST: Final = 1.3
#: As run-footprint's limit for a program that is started anew.
FORK_MOST_MS: Final = 30.0


def run(*, quick: bool) -> Result:
    """Measure at each number of processes, then the start of a worker."""
    rows: list[Row] = []
    answers: dict[int, dict[str, Any]] = {}
    for processes in (1, 4) if quick else PROCESSES:
        answer = run_program("fleet_cost.py", processes, 2 if quick else 7, 1 if quick else 15)
        if "room" in answer:
            note = f"the filesystem of the flight folder has room for {answer['room']} processes"
            rows.append(Row(f"{processes:,} processes", None, "", note=note))
            continue
        answers[processes] = answer
        rows += _rows(processes, answer)
    if {64, 1000} <= answers.keys():
        rows.append(_growth(answers[64], answers[1000]))
    rows += _starts(run_program("fork_cost.py", 4 if quick else 40))
    return Result(NAME, TITLE, tuple(rows))


def _rows(processes: int, answer: dict[str, Any]) -> list[Row]:
    who = "1 process" if processes == 1 else f"{processes:,} processes"
    judged: dict[str, Any] = {}
    if processes == PROCESSES[-1]:
        met = max(answer["first_ms"], *answer["busy_wall_ms"]) < SCRAPE_TIMEOUT_MS
        judged = {"target": "each < 10 s", "verdict": verdict(met=met)}
    return [
        row_of(
            f"{who}, all moving: CPU of a scrape", answer["busy_cpu_ms"], "ms", note=f"{answer['shown']} on the page"
        ),
        row_of(
            f"{who}, all moving: to the last byte",
            answer["busy_wall_ms"],
            "ms",
            note=f"the very first {answer['first_ms']:,.0f} ms, {answer['page_bytes'] / MIB:.1f} MiB",
            **judged,
        ),
        row_of(f"{who}, idle: CPU of a scrape", answer["idle_cpu_ms"], "ms"),
        Row(f"{who}: CPU of following and sampling", answer["standing_ms_per_s"] / 10, "% of a core"),
        Row(f"{who}: memory of the exporter (USS)", answer["uss_bytes"] / MIB, "MiB"),
    ]


def _growth(few: dict[str, Any], many: dict[str, Any]) -> Row:
    ratio = (median(many["busy_cpu_ms"]) / 1000) / (median(few["busy_cpu_ms"]) / 64)
    return Row(
        "a process among 1,000, in one among 64: CPU of a scrape",
        ratio,
        "times",
        target=f"<= {GROWTH_MOST:g}",
        verdict=verdict(met=ratio <= GROWTH_MOST),
    )


def _starts(answer: dict[str, Any]) -> list[Row]:
    pairs = list(zip(answer["recorded"], answer["plain"], strict=True))
    added_ms = [recorded[0] - plain[0] for recorded, plain in pairs]
    added_cpu_ms = [recorded[1] - plain[1] for recorded, plain in pairs]
    plain_ms = median(plain[0] for plain in answer["plain"])
    return [
        row_of(
            "a forked worker, to its first line: added by recording",
            added_ms,
            "ms",
            target=f"< {FORK_MOST_MS:g} ms",
            verdict=verdict(met=median(added_ms) < FORK_MOST_MS),
            note=f"{plain_ms:.3g} ms without",
        ),
        row_of("a forked worker, until it has ended: CPU added by recording", added_cpu_ms, "ms"),
        row_of("from the fork to the end of the first page that has it", answer["appeared_ms"], "ms"),
    ]
