"""What the rules and the fleet's panels cost a Prometheus, by the number of processes; and how many series a process has.

A real Prometheus over made series (benchmarks/programs/made_series.py): the sum of all rules' evaluations, by the API's own
account of each query, and each panel of the Python fleet dashboard as it reads recorded series beside the same panel with what
is recorded put in its place, as it would be without recording rules.  Each query runs several times in turn with the others.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.process import is_there, run_program
from benchmarks.result import Result, Row, row_of, skipped, verdict

NAME: Final = "rules"
TITLE: Final = "All rules, and each panel of the Python fleet dashboard, by the number of processes"
PROCESSES: Final = 2_000
SERIES_MOST: Final = 150
#: Evaluated once a minute: a tenth of it leaves a Prometheus its other work.
RULES_MOST_S: Final = 6.0


def run(*, quick: bool) -> Result:
    """Measure; skipped without Prometheus or what reads the rules."""
    missing = [name for name in ("yaml",) if not is_there(name)]
    if missing:
        return skipped(NAME, TITLE, f"{', '.join(missing)} is not installed: .[test] brings it")
    answer = run_program("rules_cost.py", 20 if quick else PROCESSES, 1 if quick else 5, timeout_s=1800)
    if "missing" in answer:
        return skipped(NAME, TITLE, f"{answer['missing']} is neither on PATH nor in GCOTEL_CI_COMPONENTS")
    return Result(NAME, TITLE, tuple(_rows(answer)))


def _rows(answer: dict[str, Any]) -> list[Row]:
    processes = answer["processes"]
    rows = [_series(answer), _all_rules(answer)]
    for group, samples in answer["groups_s"].items():
        rows.append(row_of(f"rules of {group}, {processes:,} processes", [1e3 * each for each in samples], "ms"))
    for panel, samples in answer["panels"].items():
        recorded, direct = samples["recorded_s"], samples["direct_s"]
        times = sorted(direct)[len(direct) // 2] / max(sorted(recorded)[len(recorded) // 2], 1e-6)
        note = f"{1e3 * sorted(direct)[len(direct) // 2]:,.0f} ms without recording rules, {times:,.0f} x"
        rows.append(row_of(f"panel {panel}", [1e3 * each for each in recorded], "ms", note=note))
    return rows


def _series(answer: dict[str, Any]) -> Row:
    most = max(answer["series_of_a_process"].values())
    note = ", ".join(f"{how} {count}" for how, count in answer["series_of_a_process"].items())
    met = verdict(met=most <= SERIES_MOST)
    return Row("series of a process", most, "series", target=f"<= {SERIES_MOST}", verdict=met, note=note)


def _all_rules(answer: dict[str, Any]) -> Row:
    samples = [sum(each) for each in zip(*answer["groups_s"].values(), strict=True)]
    met = verdict(met=sorted(samples)[len(samples) // 2] <= RULES_MOST_S)
    target = f"<= {RULES_MOST_S:g} s of each minute"
    label = f"all {answer['rules']} rules once, {answer['processes']:,} processes"
    return row_of(label, samples, "s", target=target, verdict=met, note=f"{answer['series']:,} series")
