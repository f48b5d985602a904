"""The table of the exporter service's own metrics, in the style of :mod:`gc_otel.otel.catalog`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gc_otel.otel.catalog import Metric

#: What of the exporter's work is told apart.
COMPONENTS: Final = ("scrape", "sampling", "following", "push")

#: What may come of a push by OTLP.
OUTCOMES: Final = ("taken", "refused")

_NS_PER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class ExporterNumbers:
    """What the exporter knows of itself.  ``rss_bytes`` and ``scrape_ns`` are None before the first of each.

    ``pushes`` by outcome; None where nothing is pushed.
    """

    processes: int
    files_skipped: int
    scrapes: int
    scrape_ns: int | None
    faults: int
    pushes: Mapping[str, int] | None
    cpu_ns: Mapping[str, int]
    rss_bytes: int | None


def _known(value: float | None) -> list[tuple[float, dict[str, str]]]:
    return [] if value is None else [(value, {})]


EXPORTER_CATALOG: Final[tuple[Metric[ExporterNumbers], ...]] = (
    Metric(
        "gc_otel.exporter.processes",
        "gauge",
        "{process}",
        "Living processes that the exporter service follows.",
        (),
        lambda own: _known(own.processes),
    ),
    Metric(
        "gc_otel.exporter.files.skipped",
        "gauge",
        "{file}",
        "Files in the flight folder that cannot be read as flight files: gc-otel doctor says why.",
        (),
        lambda own: _known(own.files_skipped),
    ),
    Metric(
        "gc_otel.exporter.scrapes",
        "counter",
        "{scrape}",
        "Pages of metrics rendered before this one; scrapes at the same time share one.",
        (),
        lambda own: _known(own.scrapes),
    ),
    Metric(
        "gc_otel.exporter.scrape.duration",
        "gauge",
        "s",
        "How long the page before this one took to render.",
        (),
        lambda own: _known(None if own.scrape_ns is None else own.scrape_ns / _NS_PER_S),
    ),
    Metric(
        "gc_otel.exporter.faults",
        "counter",
        "{fault}",
        "What failed in the exporter service and was contained: gc-otel doctor names it.",
        (),
        lambda own: _known(own.faults),
    ),
    Metric(
        "gc_otel.exporter.pushes",
        "counter",
        "{push}",
        "Pushes by OTLP, where one is asked for: taken by the receiver, or refused after all attempts. gc-otel doctor says why.",
        ("outcome",),
        lambda own: [] if own.pushes is None else [(own.pushes[name], {"outcome": name}) for name in OUTCOMES],
    ),
    Metric(
        "gc_otel.exporter.cpu.time",
        "counter",
        "s",
        "CPU time of the exporter service: rendering pages, sampling all processes, following them, pushing.",
        ("component",),
        lambda own: [(own.cpu_ns[name] / _NS_PER_S, {"component": name}) for name in COMPONENTS],
    ),
    Metric(
        "gc_otel.exporter.memory.usage",
        "updowncounter",
        "By",
        "Resident set size of the exporter service.",
        (),
        lambda own: _known(own.rss_bytes),
    ),
)
