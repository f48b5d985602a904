"""Who publishes which metric, with system-metrics instrumented before or after us on the same provider."""

import gc
import sys

from _collected import report, wait_until
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel.flight.reader import read_memory
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.probe import probe

reader = InMemoryMetricReader()
provider = MeterProvider([reader])
alone = {}


def publishers():
    gc.collect()
    data = reader.get_metrics_data()
    found = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.data.data_points:
                    found.setdefault(metric.name, []).append("ours" if scope.scope.name == "gc_otel" else "theirs")
    return found


def ours():
    GcInstrumentor().instrument(meter_provider=provider, sample_interval=0.1)
    wait_until(lambda: read_memory(probe.current().source), "no sample")


def theirs():
    SystemMetricsInstrumentor().instrument(meter_provider=provider)


if sys.argv[1] == "ours-first":
    ours()
    alone = publishers()
    theirs()
else:
    theirs()
    ours()
both = [publishers(), publishers()]
SystemMetricsInstrumentor().uninstrument()
report({"alone": alone, "both": both, "theirs_uninstrumented": publishers()})
