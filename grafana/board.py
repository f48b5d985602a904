"""The frame of a dashboard: variables, links to the others, annotations, and panels put on the grid."""

from __future__ import annotations

import json
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.labels import (
    BY_PROCESS,
    BY_SERVICE,
    BY_VERSION,
    NOT_CLEAN,
    SELECTED,
    Variable,
    either,
    ended,
    matchers,
    pick,
)
from grafana.names import name
from grafana.panels import DATASOURCE, Builder

COLUMNS: Final = 24
TAG: Final = "gc_otel"
FOLDER: Final = "Python"

#: A series that every recorded process has, and one only.
_EVERY_PROCESS: Final = name("cpython.memory.allocated_blocks")


class Board:
    """Collects rows and panels from left to right and from top to bottom."""

    def __init__(self, uid: str, title: str, description: str, *, span: str, variables: tuple[Variable, ...]) -> None:
        self.uid = uid
        self._x = self._y = self._height = self._panels = 0
        self._builder = (
            build.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags([TAG, "python"])
            .time(f"now-{span}", "now")
            .refresh("1m")
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(
                build.DashboardLink("Python dashboards")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(True)
                .keep_time(True)
                .include_vars(True)
            )
            .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )
        for position, variable in enumerate(variables):
            self._builder.with_variable(_variable(variable, variables[:position]))

    def annotate(self, title: str, expr: str, text: str, color: str, *, enabled: bool = True) -> None:
        """Mark the moments at which an expression has a value other than 0: Grafana takes 0 for no event."""
        self._builder.annotation(
            build.AnnotationQuery()
            .name(title)
            .datasource(DATASOURCE)
            .enable(enabled)
            .expr(expr)
            .step("60s")
            .title_format(title)
            .text_format(text)
            .icon_color(color)
        )

    def choose(self, variable: str, title: str, values: tuple[str, ...], current: str) -> None:
        """A variable that is one of a few words, such as a window of time."""
        self._builder.with_variable(
            build.CustomVariable(variable)
            .label(title)
            .values(",".join(values))
            .current(model.VariableOption(selected=True, text=current, value=current))
        )

    def row(self, title: str) -> None:
        """Begin a row."""
        self._wrap()
        self._builder.with_row(build.Row(title).id(self._next_id()).grid_pos(self._place(COLUMNS, 1)))
        self._wrap()

    def put(self, width: int, height: int, *panels: Builder) -> None:
        """Place panels of one size right of the one before, or below when there is no room."""
        for panel in panels:
            if self._x + width > COLUMNS:
                self._wrap()
            self._builder.with_panel(panel.id(self._next_id()).grid_pos(self._place(width, height)))

    def render(self) -> str:
        """The dashboard's JSON."""
        encoded = JSONEncoder(sort_keys=True).encode(self._builder.build())
        content: dict[str, Any] = json.loads(encoded)
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def _next_id(self) -> int:
        self._panels += 1
        return self._panels

    def _place(self, width: int, height: int) -> model.GridPos:
        position = model.GridPos(h=height, w=width, x=self._x, y=self._y)
        self._x += width
        self._height = max(self._height, height)
        return position

    def _wrap(self) -> None:
        self._x, self._y, self._height = 0, self._y + self._height, 0


def _variable(variable: Variable, outer: tuple[Variable, ...]) -> Builder:
    return (
        build.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(DATASOURCE)
        .query(f"label_values({_EVERY_PROCESS}{{{matchers(outer)}}}, {variable.label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(variable.all_value)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def annotate_processes(board: Board) -> None:
    """Starts, versions, deaths, and collectors switched off: what explains a jump in any other panel."""
    uptime = pick("process.uptime")
    who = "{{service_name}} {{instance}} {{process_pid}}"
    board.annotate("Process started", f"count by ({BY_PROCESS}) ({uptime} < 120)", who, "blue")
    now, before = (f"group by ({BY_VERSION}) (target_info{{{SELECTED}}}{offset})" for offset in ("", " offset 2m"))
    board.annotate("New version", f"{now} unless {before}", "{{job}} {{service_name}} {{service_version}}", "purple")
    # Four minutes: increase() needs two samples, and a minute between scrapes is usual.
    board.annotate(
        "Process ended",
        f"{ended('4m', f'{BY_SERVICE}, reason', NOT_CLEAN)} > 0",
        "{{job}} {{service_name}}: {{reason}}",
        "red",
    )
    board.annotate(
        "Collector disabled",
        f"count by ({BY_PROCESS}) ({either('cpython.gc.enabled')} == 0)",
        who,
        "orange",
        enabled=False,
    )


def data_link(uid: str, title: str, kept: tuple[str, ...], chosen: dict[str, str]) -> Builder:
    """A link of a value to another dashboard: time and the ``kept`` variables as they are, the ``chosen`` from its labels.

    A label that is absent gives an empty value, and that selects what has no such label.
    """
    parts = ["${__url_time_range}", *(f"${{{each}:queryparam}}" for each in ("datasource", *kept))]
    parts += [f"var-{variable}=${{__field.labels.{label}}}" for variable, label in chosen.items()]
    return build.DashboardLink(title).url(f"/d/{uid}?{'&'.join(parts)}").target_blank(False)


def link_to_process() -> Builder:
    """From a line of one process to everything that is known of it."""
    chosen = {"job": "job", "service": "service_name", "instance": "instance", "pid": "process_pid"}
    return data_link("gc-otel-process", "Python process", ("cluster", "namespace"), chosen)
