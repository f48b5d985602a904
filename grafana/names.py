"""Metric names as PromQL has them, made from the catalogue by the rules of the OpenTelemetry exporter.

The Prometheus exporter of the SDK and Prometheus' own OTLP receiver (default translation) agree but
for one rule: the receiver appends ``_ratio`` to a gauge of unit ``1``.  `either` covers both.
"""

from __future__ import annotations

from typing import Final

from gc_otel.flight.snapshot import Snapshot
from gc_otel.otel.catalog import CATALOG, Metric

_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}
_BY_NAME: Final = {metric.name: metric for metric in CATALOG}

HISTOGRAM_PARTS: Final = ("_bucket", "_sum", "_count")


def translate(metric: Metric[Snapshot]) -> str:
    """The metric's name on a scraped page, such as ``cpython_gc_collections_total``."""
    unit = "" if metric.unit == "1" else _UNIT_SUFFIXES.get(metric.unit, "")
    base = metric.name.replace(".", "_")
    suffix = unit if not base.endswith(unit) else ""
    return base + suffix + ("_total" if metric.kind == "counter" else "")


def label(attribute: str) -> str:
    """An attribute's name as a label."""
    return attribute.replace(".", "_")


def name(metric: str) -> str:
    """The PromQL name of a metric of the catalogue; KeyError for one that nothing publishes."""
    return translate(_BY_NAME[metric])


def names_of(metric: Metric[Snapshot]) -> frozenset[str]:
    """Every name under which a server may hold the metric's series."""
    base = translate(metric)
    if metric.kind == "histogram":
        return frozenset({base, *(base + part for part in HISTOGRAM_PARTS)})
    if metric.kind == "gauge" and metric.unit == "1":
        return frozenset({base, base + "_ratio"})
    return frozenset({base})


ALL_NAMES: Final = frozenset().union(*map(names_of, CATALOG))
ATTRIBUTE_LABELS: Final = frozenset(label(each) for metric in CATALOG for each in metric.attributes)

DURATION: Final = name("cpython.gc.duration")
GENERATION: Final = label("cpython.gc.generation")
