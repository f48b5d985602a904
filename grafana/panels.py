"""The panels that the dashboards are built of: each with a description, a unit, thresholds and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BarGaugeDisplayMode,
    BarGaugeNamePlacement,
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    HeatmapCellLayout,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

Builder: TypeAlias = Any
Steps: TypeAlias = Sequence[tuple[float | None, str]]

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

#: No value of such a panel is bad in itself; its description says what to compare it with.
PLAIN: Final[Steps] = ((None, "blue"),)


def rising(orange: float, red: float | None = None) -> Steps:
    """Green, and from there on worse."""
    steps: list[tuple[float | None, str]] = [(None, "green"), (orange, "orange")]
    return steps if red is None else [*steps, (red, "red")]


def query(
    expr: str, legend: str, ref: str = "A", *, instant: bool = False, exemplar: bool = False, as_table: bool = False
) -> Builder:
    """One target of a panel."""
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend).ref_id(ref)
    target = target.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)
    return target.instant() if instant or as_table else target.range().exemplar(exemplar)


def queries(*pairs: tuple[str, str], exemplar: bool = False) -> list[Builder]:
    """Range targets A, B, C ... of pairs of expression and legend."""
    return [query(expr, legend, chr(ord("A") + n), exemplar=exemplar) for n, (expr, legend) in enumerate(pairs)]


def _dress(panel: Builder, about: tuple[str, str], unit: str, steps: Steps, targets: Sequence[Builder]) -> Builder:
    title, description = about
    panel = panel.title(title).description(description).datasource(DATASOURCE).unit(unit)
    panel = panel.thresholds(
        ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )
    for target in targets:
        panel = panel.with_target(target)
    return panel


def graph(
    title: str,
    description: str,
    unit: str,
    *targets: Builder,
    steps: Steps = PLAIN,
    stacked: bool = False,
    decimals: int | None = None,
    lowest: float | None = 0,
    many: bool = False,
    narrow: bool = False,
) -> Builder:
    """Lines over time; thresholds other than `PLAIN` are drawn as dashed lines.

    ``many``: a line for each process or target, so no area below them, and the legend at the right unless ``narrow``.
    """
    panel = _dress(timeseries.Panel(), (title, description), unit, steps, targets)
    panel = (
        panel.line_width(1)
        .fill_opacity(40 if stacked else 0 if many else 8)
        .show_points(VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE).group("A"))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT if many and not narrow else LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"] if many else ["lastNotNull", "max"])
            .sort_by("Last *")
            .sort_desc(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if steps is not PLAIN:
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if lowest is not None:
        panel = panel.min(lowest)
    return panel if decimals is None else panel.decimals(decimals)


def events(title: str, description: str, target: Builder) -> Builder:
    """How many of each kind happened, as bars above each other; nothing happened is no bar."""
    panel = graph(title, description, "short", target, stacked=True, decimals=0)
    return panel.draw_style(GraphDrawStyle.BARS).fill_opacity(80).no_value("none")


def figure(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    steps: Steps = PLAIN,
    calc: str = "lastNotNull",
    decimals: int | None = None,
    instant: bool = False,
    none: str = "–",
) -> Builder:
    """One large number with its course behind it."""
    panel = _dress(stat.Panel(), (title, description), unit, steps, [query(expr, title, instant=instant)])
    panel = (
        panel.color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE if instant else BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs([calc]).values(False).fields(""))
        .no_value(none)
    )
    return panel if decimals is None else panel.decimals(decimals)


def bars(
    title: str, description: str, unit: str, target: Builder, *, steps: Steps, highest: float | None = None
) -> Builder:
    """The largest few, one bar each."""
    panel = _dress(bargauge.Panel(), (title, description), unit, steps, [target])
    panel = (
        panel.orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .name_placement(BarGaugeNamePlacement.LEFT)
        .text(common.VizTextDisplayOptions().title_size(14).value_size(16))
        .max_viz_height(32)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .min(0)
    )
    return panel if highest is None else panel.max(highest)


def heat(title: str, description: str, expr: str) -> Builder:
    """How many collections took how long: one column of cells a step."""
    target = query(expr, "{{le}}", exemplar=True).format(PromQueryFormat.HEATMAP)
    panel = _dress(heatmap.Panel(), (title, description), "short", PLAIN, [target])
    return (
        panel.calculate(False)
        .cell_gap(1)
        .rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.AUTO))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64).exponent(0.5))
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("short"))
        .tooltip(heatmap.HeatmapTooltip().mode(TooltipDisplayMode.SINGLE).y_histogram(True))
        .show_legend()
    )


def rows(title: str, description: str, *targets: Builder) -> Builder:
    """A table of text; what its columns are called is added by `columns`, and which are numbers by `column`."""
    return _dress(table.Panel(), (title, description), "string", PLAIN, targets).show_header(True)


def columns(
    panel: Builder, renamed: dict[str, str], *, hidden: Sequence[str] = (), join: bool = False, sort: str | None = None
) -> Builder:
    """Columns in the order of ``renamed``; several targets are joined by their equal labels."""
    if join:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    organize = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {each: n for n, each in enumerate(renamed)},
        "renameByName": renamed,
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=organize))
    if sort is not None:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    return panel


def column(
    panel: Builder,
    title: str,
    unit: str,
    *,
    steps: Steps | None = None,
    decimals: int | None = None,
    width: int | None = None,
) -> Builder:
    """Unit, and perhaps colours and a width in pixels, of one column."""
    properties = [model.DynamicConfigValue(id_val="unit", value=unit)]
    if decimals is not None:
        properties.append(model.DynamicConfigValue(id_val="decimals", value=decimals))
    if width is not None:
        properties.append(model.DynamicConfigValue(id_val="custom.width", value=width))
    if steps is not None:
        config = {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}
        properties.append(model.DynamicConfigValue(id_val="thresholds", value=config))
        cell = {"type": "color-text"}
        properties.append(model.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
    return panel.override_by_name(title, properties)


def dashed(panel: Builder, name: str, color: str) -> Builder:
    """A line that is no measurement: a limit or a forecast."""
    return panel.override_by_name(
        name,
        [
            model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
            model.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color}),
        ],
    )


def words(title: str, description: str, content: str) -> Builder:
    """A text in Markdown."""
    return text.Panel().title(title).description(description).mode(TextMode.MARKDOWN).content(content)
