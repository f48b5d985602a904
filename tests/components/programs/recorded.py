"""A recorded process that tells what CPython itself has counted, and then only waits.

recorded.py scrape PORT      serves /metrics on that port of loopback
recorded.py push ENDPOINT    sends OTLP/HTTP there
"""

import gc
import json
import sys

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource

from gc_otel.instrumentor import GcInstrumentor

MODE, WHERE = sys.argv[1:]


def reader() -> MetricReader:
    if MODE == "push":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        return PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=WHERE), export_interval_millis=1_000)
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    start_http_server(int(WHERE), addr="127.0.0.1", registry=registry)
    return PrometheusMetricReader(registry=registry)


def stats() -> list[int]:
    return [each["collections"] for each in gc.get_stats()]


# Between the two looks at the statistics only this thread collects, and after them nobody does.
gc.disable()
provider = MeterProvider([reader()], resource=Resource.create({"service.name": "shop", "service.instance.id": "one"}))
before = stats()
GcInstrumentor().instrument(meter_provider=provider, sample_interval=0.1)
gc.enable()
kept = [[number] for number in range(200_000)]
gc.disable()
for generation in (0, 1, 1, 2, 2, 2):
    gc.collect(generation)
counted = {str(number): after - base for number, (after, base) in enumerate(zip(stats(), before, strict=True))}
print(json.dumps({"collections": counted}), flush=True)
sys.stdin.readline()
