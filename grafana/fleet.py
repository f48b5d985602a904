"""Python fleet: which service needs somebody now?  Reads recorded series only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana import recording as of
from grafana.board import Board, data_link
from grafana.labels import BY_VERSION, NOT_CLEAN, OOM_KILL, SELECTED_SERVICE, SERVICE_LEGEND, VARIABLES, named
from grafana.panels import Builder, Steps, bars, column, columns, events, figure, graph, query, rising, rows
from grafana.scales import FULL, PAUSE, SHARE
from grafana.service import UID as SERVICE_UID

UID: Final = "gc-otel-fleet"

_HOUR: Final = 3600
_MIB: Final = 1 << 20
_GROWTH_STEPS: Final = rising(2 * _MIB, 20 * _MIB)
_OURS: Final = f'alertname=~"Python.*|GcOtel.*", {SELECTED_SERVICE}'
_FIRING: Final = f'ALERTS{{alertstate="firing", {_OURS}}}'


def build() -> Board:
    """The dashboard."""
    board = Board(
        UID,
        "Python fleet",
        "All Python services, worst first. Needs the recording rules that come with it.",
        span="6h",
        variables=VARIABLES[:4],
    )
    new, old = (f"group by ({BY_VERSION}) ({_of(of.SERVICE_VERSIONS)}{offset})" for offset in ("", " offset 2m"))
    board.annotate("New version", f"{new} unless {old}", "{{job}} {{service_name}} {{service_version}}", "purple")
    board.annotate("OOM kill", f"{_of(of.ENDED, OOM_KILL)} > 0.5", "{{job}} {{service_name}}: {{reason}}", "red")
    _now(board)
    _services(board)
    _worst(board)
    _course(board)
    return board


def _of(series: str, where: str = "") -> str:
    return f"{series}{{{', '.join(each for each in (where, SELECTED_SERVICE) if each)}}}"


def _now(board: Board) -> None:
    board.row("Now")
    board.put(3, 4, *_counts(), *_worst_of_all())


def _counts() -> Iterator[Builder]:
    yield figure(
        "Firing alerts",
        "Alerts of these rules that fire now, warnings included. Look next at: Alerts, each has a runbook.",
        "short",
        f"count({_FIRING}) or vector(0)",
        steps=rising(1),
    )
    yield figure(
        "Services",
        "Services that have recorded processes. Fewer than yesterday: one stopped recording, or stopped. Look next at: Versions.",
        "short",
        f"count({_of(of.SERVICE_COUNT)})",
    )
    yield figure(
        "Processes",
        "Recorded processes of all services. Look next at: Started within the hour, when it jumps.",
        "short",
        f"sum({_of(of.SERVICE_COUNT)})",
    )
    yield figure(
        "Started within the hour",
        "Processes younger than an hour. Deploys explain it, and marks show them; without one, something restarts them. "
        "Look next at: Deaths by reason.",
        "short",
        f"sum({_of(of.SERVICE_YOUNG)}) or vector(0)",
    )
    yield figure(
        "Died badly, 1 h",
        "Processes that ended within the hour, and neither by themselves nor because they were asked to. Each lost the requests that it was at. "
        "Empty: no exporter service counts them. Look next at: Deaths by reason.",
        "short",
        f"12 * sum(avg_over_time({_of(of.ENDED, NOT_CLEAN)}[1h]))",
        steps=rising(0.5, 3),
        decimals=0,
        none="not counted",
    )


def _worst_of_all() -> Iterator[Builder]:
    yield figure(
        "Time in GC, worst",
        "Share of its time that the worst process of all collects. Above 10 % requests wait. Look next at: the bars below.",
        "percentunit",
        f"max({_of(of.SERVICE_SHARE_MAX)})",
        steps=SHARE,
        decimals=1,
    )
    yield figure(
        "p99 pause, worst",
        "Of a hundred collections of the worst service one is longer. Above 100 ms users notice. Look next at: the bars below.",
        "s",
        f"max({_of(of.SERVICE_P99)})",
        steps=PAUSE,
        decimals=0,
    )
    yield figure(
        "Memory, fullest",
        "Memory of the fullest target of all, against its limit. Above 90 % the OOM killer is near. Look next at: the bars below.",
        "percentunit",
        f"max({_of(of.SERVICE_RATIO)})",
        steps=FULL,
        decimals=0,
        none="no limit known",
    )


def _worst(board: Board) -> None:
    board.row("Worst ten services")
    board.put(
        12,
        8,
        _ten(
            "p99 pause",
            "Of a hundred collections one is longer. Above 100 ms users notice. A click leads to the service.",
            "s",
            named(_of(of.SERVICE_P99)),
            PAUSE,
        ),
        _ten(
            "Time in GC",
            "Share of its time that each service's worst process collects. A click leads to the service.",
            "percentunit",
            named(_of(of.SERVICE_SHARE_MAX)),
            SHARE,
        ),
        _ten(
            "Memory against limit",
            "The fullest target of each service. Services whose limit is not known are not here. A click leads to the service.",
            "percentunit",
            named(_of(of.SERVICE_RATIO)),
            FULL,
            highest=1,
        ),
        _ten(
            "Growth per hour",
            "Slope of the fastest growing target over six hours; targets younger than that are not here. A click leads to the service, "
            "and from there to the leak hunt.",
            "bytes",
            f"{named(_of(of.SERVICE_GROWTH))} * {_HOUR} > 0",
            _GROWTH_STEPS,
        ),
    )


def _ten(title: str, description: str, unit: str, expr: str, steps: Steps, *, highest: float | None = None) -> Builder:
    target = query(f"sort_desc(topk(10, {expr}))", SERVICE_LEGEND, instant=True)
    return bars(title, description, unit, target, steps=steps, highest=highest).data_links([_to_service()])


def _to_service() -> Builder:
    return data_link(SERVICE_UID, "Python service", ("cluster", "namespace"), {"job": "job", "service": "service_name"})


def _services(board: Board) -> None:
    board.row("Alerts and versions")
    board.put(14, 9, _alerts())
    board.put(10, 9, _versions())


def _alerts() -> Builder:
    panel = rows(
        "Alerts",
        "What fires now, and since when. Each alert carries the link to its runbook: Meaning, Impact, Diagnosis, Mitigation.",
        query(f"time() - ALERTS_FOR_STATE{{{_OURS}}} and ignoring (alertstate) {_FIRING}", "", as_table=True),
    ).no_value("Nothing fires.")
    titles = {
        "severity": "Severity",
        "alertname": "Alert",
        "job": "Job",
        "service_name": "Service",
        "instance": "Instance",
        "process_pid": "PID",
        "Value": "Active for",
    }
    panel = columns(panel, titles, hidden=("cluster", "namespace"), sort="Active for")
    panel = column(panel, "Active for", "s", decimals=1, width=110)
    return column(column(panel, "Alert", "string", width=245), "Severity", "string", width=75)


def _versions() -> Builder:
    panel = rows(
        "Versions",
        "Processes by version of the service and of Python. Two versions of one service for more than a deploy's time: it is stuck. "
        "Look next at: Course.",
        query(f"sort_desc({_of(of.SERVICE_VERSIONS)})", "", as_table=True),
    )
    titles = {
        "job": "Job",
        "service_name": "Service",
        "service_version": "Version",
        "process_runtime_version": "Python",
        "Value": "Processes",
    }
    panel = columns(panel, titles, hidden=("__name__", "cluster", "namespace"), sort="Processes")
    for title in ("Version", "Python"):
        panel = column(panel, title, "string", width=90)
    return column(panel, "Processes", "short", width=100)


def _course(board: Board) -> None:
    board.row("Course")
    board.put(
        8,
        9,
        _lines(
            "p99 pause by service",
            "The worst ten over time. Steps at a mark came with that version. Look next at: the Python service dashboard.",
            "s",
            of.SERVICE_P99,
            PAUSE,
        ),
        _lines(
            "Memory against limit by service",
            "The fullest target of each. A saw that touches the top and falls is an OOM kill and a restart. Look next at: Leak hunt.",
            "percentunit",
            of.SERVICE_RATIO,
            FULL,
        ),
        events(
            "Deaths by reason",
            "Processes of all services that ended within five minutes. clean exit and SIGTERM are recycling and deploys; OOM kill: a limit; SIGKILL, cause unknown: "
            "the kernel or somebody. Look next at: Memory against limit by service.",
            query(f"sum by (reason) ({_of(of.ENDED)}) > 0", "{{reason}}"),
        ),
    )


def _lines(title: str, description: str, unit: str, series: str, steps: Steps) -> Builder:
    target = query(f"topk(10, {named(_of(series))})", SERVICE_LEGEND)
    return graph(title, description, unit, target, steps=steps, many=True, narrow=True)
