"""A program with an OpenTelemetry SDK of its own, which pushes where the environment says, and with GcInstrumentor."""

import gc
import sys

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from gc_otel import GcInstrumentor

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=100)])
GcInstrumentor().instrument(meter_provider=provider)
provider.get_meter("shop").create_counter("orders").add(3)
for _ in range(3):
    gc.collect()
print("ready", flush=True)
sys.stdin.readline()
provider.shutdown()
