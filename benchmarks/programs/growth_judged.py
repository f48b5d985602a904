"""growth_judged.py SEEDS: as JSON, what the alerts on growth say of made processes, each shape with so many seeds.

The rule files that ship run in a real Prometheus: promtool records over the made series, and each alert's expression is
asked for over the whole time.  `for` is counted here, as a ruler counts it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.programs.made_memory import HEALTHY, HOURS, LEAKING, STEP_S, Made, make
from benchmarks.prometheus import ask, blocks, groups, prometheus, record, tool

BEGIN_UNIX_S = 1_790_000_000
END_UNIX_S = BEGIN_UNIX_S + HOURS * 3600
EVERY_S = 600
ALERTS = ("PythonMemoryGrowing", "PythonMemoryGrowthUnattributed", "PythonMemoryWillReachLimit")
_UNITS = {"m": 60, "h": 3600}


def series(made: list[Made]) -> Iterator[str]:
    """OpenMetrics text, one metric after the other."""
    for name, values in (
        ("process_memory_usage_bytes", lambda each: each.rss_bytes),
        (
            "process_memory_limit_bytes",
            lambda each: [each.limit_bytes] * len(each.rss_bytes) if each.limit_bytes else [],
        ),
        ("cpython_memory_allocated_blocks", lambda each: each.blocks),
        ("process_uptime_seconds", lambda each: [3600 * age for age in each.ages_h]),
    ):
        source = ',process_memory_limit_source="cgroup-v2"' if "limit" in name else ""
        for number, each in enumerate(made):
            labels = f'job="made",service_name="{each.shape}",instance="{number}:9464",process_pid="7"{source}'
            for step, value in enumerate(values(each)):
                yield f"{name}{{{labels}}} {value:.8g} {BEGIN_UNIX_S + step * STEP_S}"
    yield "# EOF"


def fired_at(times: list[float], hold_s: float) -> float | None:
    """When an alert that is true at these times fires first."""
    since = None
    for before, now in pairwise([-1e9, *times]):
        if now - before > EVERY_S * 1.5:
            since = now
        if since is not None and now - since >= hold_s:
            return now
    return None


def judge(seeds: int) -> dict[str, object]:
    server, promtool = tool("prometheus"), tool("promtool")
    if server is None or promtool is None:
        return {"missing": "prometheus" if server is None else "promtool"}
    made = [make(shape, seed) for shape in (*HEALTHY, *LEAKING) for seed in range(seeds)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks(promtool, folder, series(made))
        record(server, promtool, folder, (BEGIN_UNIX_S, END_UNIX_S), EVERY_S, wanted="instance:")
        with prometheus(server, folder) as api:
            alarms = _alarms(api)
    return {"processes": [_row(number, each, alarms[number]) for number, each in enumerate(made)]}


def _alarms(api: str) -> dict[int, dict[str, float]]:
    """By process and alert, the first time."""
    rules = {rule["alert"]: rule for of_group in groups().values() for rule in of_group if "alert" in rule}
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for name in ALERTS:
        rule = rules[name]
        hold_s = int(rule["for"][:-1]) * _UNITS[rule["for"][-1]]
        span = {"start": BEGIN_UNIX_S, "end": END_UNIX_S, "step": EVERY_S}
        for each in ask(api, "query_range", query=rule["expr"], **span):
            at = fired_at([float(time) for time, _ in each["values"]], hold_s)
            if at is not None:
                found[int(each["metric"]["instance"].partition(":")[0])][name] = (at - BEGIN_UNIX_S) / 3600
    return found


def _row(number: int, each: Made, alarms: dict[str, float]) -> dict[str, object]:
    hours = len(each.rss_bytes) * STEP_S / 3600
    return {
        "shape": each.shape,
        "leaks": each.leaks,
        "native": each.native,
        "onset_h": min(each.onset_h, hours),
        "hours": hours,
        "alarms_h": alarms,
        "number": number,
    }


if __name__ == "__main__":
    print(json.dumps(judge(int(sys.argv[1]))))
