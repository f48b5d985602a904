"""Python fleet: which service needs somebody now?  Reads recorded series only."""

from __future__ import annotations

from typing import Final

from grafana import recording as of
from grafana.board import Board, data_link
from grafana.labels import SELECTED_SERVICE, SERVICE_LEGEND, VARIABLES, named
from grafana.panels import Builder, bars, column, columns, figure, graph, queries, query, rising, rows
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
    new = f"group by (job, service_name, service_version) ({of.SERVICE_VERSIONS}{{{SELECTED_SERVICE}}})"
    old = f"group by (job, service_name, service_version) ({of.SERVICE_VERSIONS}{{{SELECTED_SERVICE}}} offset 5m)"
    board.annotate("New version", f"{new} unless {old}", "{{job}} {{service_name}} {{service_version}}", "blue")
    _now(board)
    _services(board)
    _worst(board)
    _course(board)
    return board


def _of(series: str) -> str:
    return f"{series}{{{SELECTED_SERVICE}}}"


def _now(board: Board) -> None:
    board.row("Now")
    for title, description, unit, expr, more in (
        (
            "Firing alerts",
            "Alerts of these rules that fire now, warnings included. Look next at: Alerts, each has a runbook.",
            "short",
            f"count({_FIRING}) or vector(0)",
            {"steps": rising(1)},
        ),
        (
            "Services",
            "Services that have recorded processes. Fewer than yesterday: one stopped recording, or stopped. Look next at: Versions.",
            "short",
            f"count({_of(of.SERVICE_COUNT)})",
            {},
        ),
        (
            "Processes",
            "Recorded processes of all services. Look next at: Started within the hour, when it jumps.",
            "short",
            f"sum({_of(of.SERVICE_COUNT)})",
            {},
        ),
        (
            "Started within the hour",
            (
                "Processes younger than an hour. Deploys explain it, and blue marks show them; without one, something restarts them. "
                "Look next at: Memory against limit."
            ),
            "short",
            f"sum({_of(of.SERVICE_YOUNG)}) or vector(0)",
            {},
        ),
        (
            "Time in GC, worst",
            "Share of its time that the worst process of all collects. Above 10 % requests wait. Look next at: the bars below.",
            "percentunit",
            f"max({_of(of.SERVICE_SHARE_MAX)})",
            {"steps": SHARE, "decimals": 1},
        ),
        (
            "Memory, fullest",
            "Memory of the fullest target of all, against its limit. Above 90 % the OOM killer is near. Look next at: the bars below.",
            "percentunit",
            f"max({_of(of.SERVICE_RATIO)})",
            {"steps": FULL, "decimals": 0, "none": "no limit known"},
        ),
    ):
        board.put(figure(title, description, unit, expr, **more), 4, 4)


def _worst(board: Board) -> None:
    board.row("Worst ten services")
    for title, description, unit, series, steps, scale, highest in (
        (
            "p99 pause",
            "Of a hundred collections one is longer. Above 100 ms users notice. A click leads to the service.",
            "s",
            of.SERVICE_P99,
            PAUSE,
            "",
            None,
        ),
        (
            "Time in GC",
            "Share of its time that each service's worst process collects. A click leads to the service.",
            "percentunit",
            of.SERVICE_SHARE_MAX,
            SHARE,
            "",
            None,
        ),
        (
            "Memory against limit",
            "The fullest target of each service. Services whose limit is not known are not here. A click leads to the service.",
            "percentunit",
            of.SERVICE_RATIO,
            FULL,
            "",
            1,
        ),
        (
            "Growth per hour",
            (
                "Slope of the fastest growing target over six hours; targets younger than that are not here. A click leads to the service, "
                "and from there to the leak hunt."
            ),
            "bytes",
            of.SERVICE_GROWTH,
            _GROWTH_STEPS,
            f" * {_HOUR}",
            None,
        ),
    ):
        positive = " > 0" if scale else ""
        target = query(f"sort_desc(topk(10, {named(_of(series))}{scale}{positive}))", SERVICE_LEGEND, instant=True)
        panel = bars(title, description, unit, target, steps=steps, highest=highest)
        board.put(panel.data_links([_to_service()]), 12, 8)


def _to_service() -> Builder:
    return data_link(SERVICE_UID, "Python service", ("cluster", "namespace"), {"job": "job", "service": "service_name"})


def _services(board: Board) -> None:
    board.row("Alerts and versions")
    alerts = rows(
        "Alerts",
        "What fires now, and since when. Each alert carries the link to its runbook: Meaning, Impact, Diagnosis, Mitigation.",
        query(f"time() - ALERTS_FOR_STATE{{{_OURS}}} and ignoring (alertstate) {_FIRING}", "", as_table=True),
    ).no_value("Nothing fires.")
    alerts = column(
        columns(
            alerts,
            {
                "severity": "Severity",
                "alertname": "Alert",
                "job": "Job",
                "service_name": "Service",
                "instance": "Instance",
                "process_pid": "PID",
                "Value": "Active for",
            },
            hidden=("cluster", "namespace"),
            sort="Active for",
        ),
        "Active for",
        "s",
        decimals=1,
        width=110,
    )
    board.put(column(column(alerts, "Alert", "string", width=245), "Severity", "string", width=75), 14, 9)
    versions = rows(
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
    versions = columns(versions, titles, hidden=("__name__", "cluster", "namespace"), sort="Processes")
    for title in ("Version", "Python"):
        versions = column(versions, title, "string", width=90)
    board.put(column(versions, "Processes", "short", width=100), 10, 9)


def _course(board: Board) -> None:
    board.row("Course")
    for title, description, unit, series, steps in (
        (
            "p99 pause by service",
            "The worst ten over time. Steps at a blue mark came with that version. Look next at: the Python service dashboard.",
            "s",
            of.SERVICE_P99,
            PAUSE,
        ),
        (
            "Memory against limit by service",
            "The fullest target of each. A saw that touches the top and falls is an OOM kill and a restart. Look next at: Leak hunt.",
            "percentunit",
            of.SERVICE_RATIO,
            FULL,
        ),
    ):
        panel = graph(
            title,
            description,
            unit,
            *queries((f"topk(10, {named(_of(series))})", SERVICE_LEGEND)),
            steps=steps,
            many=True,
        )
        board.put(panel, 12, 9)
