"""rules_cost.py PROCESSES ROUNDS: as JSON, what each group of rules and each fleet panel costs a real Prometheus.

The last fifteen minutes are there as raw series, and half a day of what is recorded of targets and services, so that rules with
long windows have them.  Of rules and panels the time is the whole answer's, asked on loopback.  Series of a process are counted on the page of a
real exporter over real processes: one that has been asked for nothing, and one with a census and sampled cycles.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.programs import made_series
from benchmarks.prometheus import ask, blocks, groups, prometheus, record, tool
from gc_otel.cli.assets import sources

RAW_MINUTES, RECORDED_MINUTES = 15, 12 * 60
END_UNIX_S = made_series.BEGIN_UNIX_S + RAW_MINUTES * made_series.STEP_S
_RECORDED = re.compile(r"\b([a-z_]+:[a-z_0-9]+:[a-z_0-9]+)(?:{[^}]*})?(?:\[(\w+)\])?(?: offset (\w+))?")


def recorded_history(processes: int) -> Iterator[str]:
    """Of every target and service half a day of what the long rules read, a sample a minute."""
    begin = END_UNIX_S - RECORDED_MINUTES * 60
    whose = [made_series._identity(number) for number in range(0, processes, made_series.PER_TARGET)]
    names = {
        "instance:process_memory_usage_bytes:sum": 3e9,
        "instance:process_memory_usage_bytes:min1h": 2.8e9,
        "instance:process_memory_usage_bytes:min2h": 2.7e9,
        "instance:process_memory_limit_bytes:max": 4e9,
        "instance:process_memory_usage_bytes:ratio": 0.75,
        "instance:cpython_memory_allocated_blocks:sum": 1.5e7,
        "instance:process_uptime_seconds:max": 9e4,
    }
    for name, level in names.items():
        for labels in whose:
            text = ",".join(f'{key}="{labels[key]}"' for key in ("job", "service_name", "instance"))
            for minute in range(RECORDED_MINUTES):
                yield f"{name}{{{text}}} {level * (1 + minute / 9000):.6g} {begin + minute * 60}"
    yield "# EOF"


def without_recorded(expr: str, records: dict[str, str]) -> str:
    """The same with each recorded series replaced by what it records."""

    def inside(match: re.Match[str]) -> str:
        name, window, offset = match.groups()
        if name not in records:
            return match[0]
        body = f"({without_recorded(records[name], records)})"
        body += f"[{window}:1m]" if window else ""
        return f"last_over_time({body}[1m:1m] offset {offset})" if offset and not window else body

    return _RECORDED.sub(inside, expr)


def with_variables(expr: str) -> str:
    for name, value in {"cluster": ".*", "namespace": ".*", "job": ".+", "service": ".*"}.items():
        expr = expr.replace(f'"${name}"', f'"{value}"')
    return re.sub(r"\$__(rate_interval|interval|range)", "5m", expr)


def panels() -> dict[str, tuple[str, bool]]:
    """Of the fleet dashboard: title with its query's letter, expression, and whether it is asked for over time."""
    board = json.loads((sources()["dashboards"] / "gc-otel-fleet.json").read_text())
    return {
        f"{panel['title']}{'' if len(panel['targets']) == 1 else ' ' + target['refId']}": (
            with_variables(target["expr"]),
            bool(target.get("range")),
        )
        for panel in board["panels"]
        for target in panel.get("targets", [])
        if "ALERTS" not in target["expr"]
    }


def series_of_a_process() -> dict[str, int]:
    """Lines of the catalogue for one process at most: with every attribute's every value."""
    counts = {"at most, by the catalogue": 0}
    for line in made_series.generate(1, 0):
        if 'process_pid="' in line and not line.startswith("target_info"):
            counts["at most, by the catalogue"] += 1
    return counts


def measure(processes: int, rounds: int) -> dict[str, object]:
    server, promtool = tool("prometheus"), tool("promtool")
    if server is None or promtool is None:
        return {"missing": "prometheus" if server is None else "promtool"}
    made = groups()
    records = {rule["record"]: rule["expr"] for rules in made.values() for rule in rules if "record" in rule}
    records = {name: expr for name, expr in records.items() if not name.startswith("gc_otel:threshold")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks(promtool, folder, made_series.generate(processes, RAW_MINUTES))
        blocks(promtool, folder, recorded_history(processes))
        record(server, promtool, folder, (END_UNIX_S - 300, END_UNIX_S), 60)
        with prometheus(server, folder) as api:
            (counted,) = ask(api, "query", query='count({__name__=~".+"})', time=END_UNIX_S)
            answer: dict[str, object] = {
                "processes": processes,
                "rules": sum(map(len, made.values())),
                "series": int(counted["value"][1]),
                "groups_s": {group: [] for group in made},
                "panels": {title: {"recorded_s": [], "direct_s": []} for title in panels()},
                "series_of_a_process": series_of_a_process(),
            }
            for _ in range(rounds):
                _round(api, made, records, answer)
    return answer


def _seconds(api: str, kind: str, **query: object) -> float:
    began = time.perf_counter()
    ask(api, kind, **query)
    return time.perf_counter() - began


def _round(api: str, made: dict, records: dict[str, str], answer: dict) -> None:
    for group, rules in made.items():
        answer["groups_s"][group].append(
            sum(_seconds(api, "query", query=rule["expr"], time=END_UNIX_S) for rule in rules)
        )
    span = {"start": END_UNIX_S - 300, "end": END_UNIX_S, "step": 15}
    for title, (expr, over_time) in panels().items():
        for how, text in (("recorded_s", expr), ("direct_s", without_recorded(expr, records))):
            query = {"query": text, **(span if over_time else {"time": END_UNIX_S})}
            answer["panels"][title][how].append(_seconds(api, "query_range" if over_time else "query", **query))


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:]))))
