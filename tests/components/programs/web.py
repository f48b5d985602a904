"""A Flask app for gunicorn, and gunicorn's settings for it: every worker has a provider of its own."""

import gc
import os
import uuid

from flask import Flask
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from gc_otel.instrumentor import GcInstrumentor

accesslog = None
app = Flask(__name__)
_held = []


@app.get("/")
def index():
    gc.collect()
    return str(os.getpid())


def post_fork(server, worker):
    # Workers hold different amounts, so that one's number is not mistaken for the other's.
    _held.append(bytearray(b"x" * (worker.age * 25_000_000)))
    identity = {"service.name": "web", "service.instance.id": str(uuid.uuid4()), "process.pid": os.getpid()}
    exporter = OTLPMetricExporter(endpoint=os.environ["RECEIVER"])
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=200)
    provider = MeterProvider([reader], resource=Resource.create(identity))
    GcInstrumentor().instrument(meter_provider=provider, sample_interval=0.2)
