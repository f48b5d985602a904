"""From snapshots to the SDK's metric points, with no instrument and no aggregation between.

The flight file has aggregated already: its counters become cumulative sums, and its buckets
histogram points whose counts are exactly the collections.  What is made here is what
an OTLP exporter takes as well.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import AttributeValue

from gc_otel._version import __version__
from gc_otel.config import Config
from gc_otel.errors import FlightFileError, NotAFlightFile
from gc_otel.flight.heap_snapshot import Measured
from gc_otel.flight.snapshot import GenerationStats, Identity, Snapshot
from gc_otel.otel.catalog import CATALOG, DURATION_BOUNDS_S, GENERATION, Metric
from gc_otel.otel.exporter_catalog import EXPORTER_CATALOG, ExporterNumbers
from gc_otel.otel.measured import MEASURE_METRICS, MeasureMetric, attributes_of
from gc_otel.otel.service_catalog import SERVICE_CATALOG, GenerationTotals, ServiceTotals

S = TypeVar("S")

NoteFault = Callable[[str, BaseException], None]
Attributes = Mapping[str, AttributeValue]

SERVICE_NAME: Final = "service.name"
INSTANCE: Final = "service.instance.id"
PROCESS_PID: Final = "process.pid"

#: No pid on the exporter's own series: they are of the service, not of a process that it watches.
EXPORTER_SERVICE: Final = "gc_otel-exporter"

#: A label that is on some series of a metric and not on others would be given to the wrong ones by the exporter.
_NO_SERVICE: Final = "unknown_service"

_VALUE_MOST: Final = 2**63 - 1
_NOTHING: Final[Attributes] = {}
_OF_TOTALS: Final = uuid.UUID("9b1b3f0e-6c0a-4d5e-9f5e-0f6b7c1f2a11")
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_SCOPE: Final = InstrumentationScope("gc_otel", __version__)


#: What the exporter's own OTEL_RESOURCE_ATTRIBUTES cannot say of another process.
_NOT_SHARED: Final = frozenset({SERVICE_NAME, "service.version", INSTANCE})
_NOT_SHARED_PREFIXES: Final = ("process.", "container.", "k8s.container.", "telemetry.")


def surroundings() -> Attributes:
    """Of OTEL_RESOURCE_ATTRIBUTES what is true of every process here: host, pod, cluster, environment, namespace."""
    detected = OTELResourceDetector().detect().attributes
    return {
        name: value
        for name, value in detected.items()
        if name not in _NOT_SHARED and not name.startswith(_NOT_SHARED_PREFIXES)
    }


def resource_of(identity: Identity, *, pid: int | str | None = None, around: Attributes = _NOTHING) -> Resource:
    """The resource of a process.  ``pid`` replaces its own number where that is not unique.

    Its instance is this recording, and nothing that an environment may say: workers inherit that from one another.
    """
    attributes: dict[str, AttributeValue] = {
        **around,
        SERVICE_NAME: identity.service_name or _NO_SERVICE,
        "service.version": identity.service_version,
        INSTANCE: identity.instance_id,
        PROCESS_PID: identity.pid if pid is None else pid,
        "process.parent_pid": identity.parent_pid,
        "process.runtime.name": "cpython",
        "process.runtime.version": identity.python_version,
    }
    return Resource({name: value for name, value in attributes.items() if value != ""})


class Producer:
    """Makes the points of the metrics that ``config`` lets through.

    One metric that fails leaves the others: ``note_fault`` is told.  ``around`` is on what is of no single process: see :func:`surroundings`.
    """

    def __init__(self, config: Config, note_fault: NoteFault, *, around: Attributes = _NOTHING) -> None:
        self._metrics = tuple(metric for metric in CATALOG if config.publishes(metric.name))
        self._service_metrics = tuple(metric for metric in SERVICE_CATALOG if config.publishes(metric.name))
        self._own_metrics = tuple(metric for metric in EXPORTER_CATALOG if config.publishes(metric.name))
        self._measure_metrics = tuple(metric for metric in MEASURE_METRICS if config.publishes(metric.name))
        self._note_fault = note_fault
        self._around = around
        own = {SERVICE_NAME: EXPORTER_SERVICE, "service.version": __version__, INSTANCE: str(uuid.uuid4())}
        self._own_resource = Resource({**around, **own})
        self._own_since_unix_ns = time.time_ns()

    def of_process(self, snapshot: Snapshot, resource: Resource, *, now_unix_ns: int) -> ResourceMetrics:
        """All metrics of one process; NotAFlightFile when a number is larger than any that is true."""
        # What a publisher of library mode left out of the SDK's histogram is in this one.
        snapshot = replace(snapshot, published=replace(snapshot.published, dropped_self=0, dropped_limit=0))
        identity = snapshot.identity

        def make(metric: Metric[Snapshot]) -> SdkMetric | None:
            since_unix_ns = identity.created_unix_ns if metric.since_recording else identity.started_unix_ns
            if metric.kind == "histogram":
                return _histogram(metric, snapshot.collector.generations, since_unix_ns, now_unix_ns)
            return _numbers(metric, snapshot, since_unix_ns, now_unix_ns)

        blocks = snapshot.measured
        measured = (
            [_measured(metric, blocks, identity.created_unix_ns, now_unix_ns) for metric in self._measure_metrics]
            if blocks is not None and blocks.blocks
            else []
        )
        return self._resource_metrics(resource, self._metrics, make, [each for each in measured if each is not None])

    def of_service(self, totals: ServiceTotals, *, now_unix_ns: int) -> ResourceMetrics:
        """All metrics of one service; no pid is on them, as they are of no single process."""

        def make(metric: Metric[ServiceTotals]) -> SdkMetric | None:
            if metric.kind == "histogram":
                return _histogram(metric, totals.generations, totals.since_unix_ns, now_unix_ns)
            return _numbers(metric, totals, totals.since_unix_ns, now_unix_ns)

        name = totals.service_name or _NO_SERVICE
        # The same after a restart of the exporter, as the totals are; nobody else's began in the same nanosecond.
        instance = uuid.uuid5(_OF_TOTALS, f"{name} {totals.since_unix_ns}")
        resource = Resource({**self._around, SERVICE_NAME: name, INSTANCE: str(instance)})
        return self._resource_metrics(resource, self._service_metrics, make)

    def of_exporter(self, numbers: ExporterNumbers, *, now_unix_ns: int) -> ResourceMetrics:
        """The exporter's own metrics."""
        return self._resource_metrics(
            self._own_resource,
            self._own_metrics,
            lambda metric: _numbers(metric, numbers, self._own_since_unix_ns, now_unix_ns),
        )

    def _resource_metrics(
        self,
        resource: Resource,
        metrics: Iterable[Metric[S]],
        make: Callable[[Metric[S]], SdkMetric | None],
        more: Iterable[SdkMetric] = (),
    ) -> ResourceMetrics:
        made: list[SdkMetric] = []
        for metric in metrics:
            try:
                one = make(metric)
            except FlightFileError:  # noqa: PERF203 - as below; no metric has failed: the numbers are none
                raise
            except Exception as error:  # noqa: BLE001 - contained: one metric that fails leaves the others
                self._note_fault(f"metric {metric.name}", error)
            else:
                if one is not None:
                    made.append(one)
        return ResourceMetrics(resource, [ScopeMetrics(_SCOPE, [*made, *more], "")], "")


def _numbers(metric: Metric[S], source: S, since_unix_ns: int, now_unix_ns: int) -> SdkMetric | None:
    points = [
        NumberDataPoint(attributes, since_unix_ns, now_unix_ns, value) for value, attributes in metric.read(source)
    ]
    if not points:
        return None
    _check_range(metric.name, *(point.value for point in points))
    is_counter = metric.kind == "counter"
    data = Gauge(points) if metric.kind == "gauge" else Sum(points, _CUMULATIVE, is_monotonic=is_counter)
    return SdkMetric(metric.name, metric.description, metric.unit, data)


def _histogram(
    metric: Metric[Any],
    generations: Sequence[GenerationStats | GenerationTotals],
    since_unix_ns: int,
    now_unix_ns: int,
) -> SdkMetric:
    points = [
        HistogramDataPoint(
            attributes={GENERATION: number},
            start_time_unix_nano=since_unix_ns,
            time_unix_nano=now_unix_ns,
            count=sum(stats.buckets),
            sum=stats.duration_sum_ns / 1e9,
            bucket_counts=stats.buckets,
            explicit_bounds=DURATION_BOUNDS_S,
            min=None,  # type: ignore[arg-type]  # not known; OTLP's encoder leaves out what is None
            max=_max_s(stats),  # type: ignore[arg-type]  # as above
        )
        for number, stats in enumerate(generations)
    ]
    _check_range(metric.name, *(point.count for point in points))
    return SdkMetric(metric.name, metric.description, metric.unit, Histogram(points, _CUMULATIVE))


def _max_s(stats: GenerationStats | GenerationTotals) -> float | None:
    """The longest; of a service it is not known, as it would have to be of the interval between two collects."""
    if isinstance(stats, GenerationTotals) or not stats.collections:
        return None
    return stats.duration_max_ns / 1e9


def _check_range(name: str, *values: float) -> None:
    """OTLP's integers have 63 bits: one that has more, of a single file, would keep all others from being pushed."""
    if max(values) > _VALUE_MOST or min(values) < -_VALUE_MOST:
        raise NotAFlightFile(f"it tells an impossible number for {name}")


def _measured(metric: MeasureMetric, measured: Measured, since_unix_ns: int, now_unix_ns: int) -> SdkMetric | None:
    points = [
        HistogramDataPoint(
            attributes=attributes_of(block),
            start_time_unix_nano=since_unix_ns,
            time_unix_nano=now_unix_ns,
            count=found.count,
            sum=sum(found.sums) * metric.scale,
            bucket_counts=found.buckets,
            explicit_bounds=metric.bounds,
            min=None,  # type: ignore[arg-type]  # not known; OTLP's encoder leaves out what is None
            max=None,  # type: ignore[arg-type]  # as above
        )
        for block in measured.blocks
        if (found := metric.pick(block)).count
    ]
    return SdkMetric(metric.name, metric.description, metric.unit, Histogram(points, _CUMULATIVE)) if points else None
