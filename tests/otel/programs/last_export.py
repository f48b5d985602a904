"""The provider's own last export, at the interpreter's exit, printed."""

import gc

from _collected import points, report
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader

from gc_otel.instrumentor import GcInstrumentor

ASKED = 5


class Printing(MetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        (resource,) = metrics_data.resource_metrics
        told = {
            metric.name: points(metric)
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if scope.scope.name == "gc_otel"
        }
        dropped = told["gc_otel.events.dropped"]
        report(
            {
                "received": sum(told["cpython.gc.duration"].values()),
                "expected": sum(told["cpython.gc.collections"].values()) - dropped["self"] - dropped["limit"],
                "explicit": told["cpython.gc.explicit_collections"]["2"],
                "asked": ASKED,
            }
        )
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass

    def force_flush(self, timeout_millis=10_000):
        return True


provider = MeterProvider([PeriodicExportingMetricReader(Printing(), export_interval_millis=3_600_000)])
GcInstrumentor().instrument(meter_provider=provider)
for _ in range(ASKED):
    gc.collect()
