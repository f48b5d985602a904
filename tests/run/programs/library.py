"""A service with its own OpenTelemetry SDK that calls instrument(); says what its own reader collects."""

from __future__ import annotations

import gc
import json
import os
import sys

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel import GcInstrumentor
from gc_otel.probe import probe

before = probe.current()
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
provider.get_meter("service").create_counter("requests").add(1)
GcInstrumentor().instrument(meter_provider=provider)
gc.collect()
data = reader.get_metrics_data()
names = [
    metric.name
    for resource in (data.resource_metrics if data is not None else ())
    for scope in resource.scope_metrics
    for metric in scope.metrics
]
recorders = sum(type(each).__name__ == "Recorder" or "recorder" in repr(each).lower() for each in gc.callbacks)
GcInstrumentor().uninstrument()
told = {
    "pid": os.getpid(),
    "own_metrics": sorted(names),
    "recorders": recorders,
    "same_recording": before is not None and probe.current() is before,
}
print(json.dumps(told), flush=True)
sys.stdin.read()
