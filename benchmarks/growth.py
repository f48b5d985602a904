"""How well the alerts on growth judge: precision, recall and false alarms over processes that they were not tuned on.

The rule files that ship, in a real Prometheus, over thirty-six hours of made memory (benchmarks/programs/made_memory.py): nine
healthy shapes and seven that leak, with levels, noise, limits and ages drawn alike.  A process that leaks for two hours of the thirty-six,
or by less than its noise, is among them: nobody would find them all.
"""

from __future__ import annotations

import random
from typing import Any, Final

from benchmarks.process import is_there, run_program
from benchmarks.result import Result, Row, skipped, verdict

NAME: Final = "growth"
TITLE: Final = "Alerts on growth, over made processes that they were not tuned on"
SEEDS: Final = 40
PRECISION_LEAST: Final = 0.98
_RESAMPLES: Final = 500
_UNATTRIBUTED: Final = "PythonMemoryGrowthUnattributed"

Processes = list[dict[str, Any]]


def run(*, quick: bool) -> Result:
    """Judge; skipped without Prometheus or what reads the rules."""
    if not is_there("yaml"):
        return skipped(NAME, TITLE, "yaml is not installed: .[test] brings it")
    answer = run_program("growth_judged.py", 2 if quick else SEEDS, timeout_s=1800)
    if "missing" in answer:
        return skipped(NAME, TITLE, f"{answer['missing']} is neither on PATH nor in GCOTEL_CI_COMPONENTS")
    return Result(NAME, TITLE, tuple(_rows(answer["processes"])), "90 % interval")


def _rows(processes: Processes) -> list[Row]:
    precise = _precision(processes)
    met = verdict(met=precise is not None and precise >= PRECISION_LEAST)
    rows = [
        _row("precision", _precision, processes, target=f">= {PRECISION_LEAST}", verdict=met),
        _row("recall", _recall, processes, note="late on purpose: six to eleven hours of growth are asked for"),
        _row("recall, leaks of ten hours and more", lambda some: _recall(_long(some)), processes),
        _row("false alarms in 1,000 healthy hours", _false_alarms, processes, "alarms"),
        _row("kind told rightly, objects or native", _kind, processes),
        _row("hours from the leak's begin to the alarm, median", _delay, processes, "h"),
    ]
    by_shape = sorted({each["shape"] for each in processes})
    return rows + [_of_shape(shape, [each for each in processes if each["shape"] == shape]) for shape in by_shape]


def _row(label: str, of: Any, processes: Processes, unit: str = "", **more: Any) -> Row:
    value = of(processes)
    chance = random.Random(1)
    samples = [of(chance.choices(processes, k=len(processes))) for _ in range(_RESAMPLES)]
    known = sorted(each for each in samples if each is not None)
    low, high = (known[len(known) // 20], known[-1 - len(known) // 20]) if known else (None, None)
    return Row(label, value, unit, low, high, **more)


def _of_shape(shape: str, processes: Processes) -> Row:
    alarmed = sum(bool(each["alarms_h"]) for each in processes)
    return Row(
        f"alarmed: {shape}", alarmed, f"of {len(processes)}", note="leaks" if processes[0]["leaks"] else "healthy"
    )


def _too_early(each: dict[str, Any]) -> bool:
    """An alarm while it was healthy still: false, whatever comes later."""
    return any(at < each["onset_h"] for at in each["alarms_h"].values())


def _precision(processes: Processes) -> float | None:
    alarmed = [each for each in processes if each["alarms_h"]]
    return sum(each["leaks"] and not _too_early(each) for each in alarmed) / len(alarmed) if alarmed else None


def _recall(processes: Processes) -> float | None:
    leaking = [each for each in processes if each["leaks"]]
    return sum(bool(each["alarms_h"]) for each in leaking) / len(leaking) if leaking else None


def _long(processes: Processes) -> Processes:
    return [each for each in processes if each["leaks"] and each["hours"] - each["onset_h"] >= 10]


def _false_alarms(processes: Processes) -> float:
    hours = sum(each["onset_h"] if each["leaks"] else each["hours"] for each in processes)
    return 1000 * sum(bool(each["alarms_h"]) and (not each["leaks"] or _too_early(each)) for each in processes) / hours


def _kind(processes: Processes) -> float | None:
    growing = [
        each for each in processes if each["leaks"] and {"PythonMemoryGrowing", _UNATTRIBUTED} & set(each["alarms_h"])
    ]
    return (
        sum((_UNATTRIBUTED in each["alarms_h"]) == each["native"] for each in growing) / len(growing)
        if growing
        else None
    )


def _delay(processes: Processes) -> float | None:
    delays = sorted(
        min(each["alarms_h"].values()) - each["onset_h"] for each in processes if each["leaks"] and each["alarms_h"]
    )
    return delays[len(delays) // 2] if delays else None
