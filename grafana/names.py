"""Metric names as PromQL has them, made from the catalogue by the rules of the OpenTelemetry exporter.

The Prometheus exporter of the SDK and Prometheus' own OTLP receiver (default translation) agree but
for one rule: the receiver appends ``_ratio`` to a gauge of unit ``1``.  `either` covers both.
"""

from __future__ import annotations

from typing import Any, Final

from gc_otel.otel.catalog import CATALOG, Metric
from gc_otel.otel.exporter_catalog import EXPORTER_CATALOG
from gc_otel.otel.service_catalog import SERVICE_CATALOG

_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}
#: Of a process, of a service, and of the exporter itself.
PUBLISHED: Final[tuple[Metric[Any], ...]] = (*CATALOG, *SERVICE_CATALOG, *EXPORTER_CATALOG)
_BY_NAME: Final = {metric.name: metric for metric in PUBLISHED}


def translate(metric: Metric[Any]) -> str:
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


DURATION: Final = name("cpython.gc.duration")
SERVICE_DURATION: Final = name("gc_otel.service.duration")
GENERATION: Final = label("cpython.gc.generation")
