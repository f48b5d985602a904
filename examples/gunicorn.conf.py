"""gunicorn -c examples/gunicorn.conf.py --chdir examples app:app

Each worker makes its own MeterProvider after the fork and pushes by OTLP, each under its own
service.instance.id; OTEL_EXPORTER_OTLP_ENDPOINT says where to (http/protobuf, `pip install gc_otel[otlp]`).
"""

from __future__ import annotations

from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from gc_otel import GcInstrumentor

bind = "127.0.0.1:8000"
workers = 2


def post_fork(server, worker):
    """Record this worker, and publish it."""
    resource = Resource.create({"service.name": "example", "service.instance.id": str(uuid4())})
    set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource))
    GcInstrumentor().instrument()


def worker_exit(server, worker):
    """Leave nothing behind."""
    GcInstrumentor().uninstrument()
