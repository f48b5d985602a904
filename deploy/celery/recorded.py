"""Celery, recorded in library mode: `import recorded` in the module that makes your Celery application.

A worker's pool forks processes; each makes a MeterProvider of its own after the fork, as the SDK's exporter threads and
counters do not survive one. OTEL_EXPORTER_OTLP_ENDPOINT says where to (http/protobuf, `pip install gc_otel[otlp]`).
With `gc-otel run -- celery -A app worker` nothing of this is needed.
"""

from __future__ import annotations

import os
from uuid import uuid4

from celery.signals import worker_process_init, worker_process_shutdown
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from gc_otel import GcInstrumentor


@worker_process_init.connect(weak=False)
def record(**_):
    """Record this process of the pool, and publish it."""
    identity = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME", "worker"),
        "service.instance.id": str(uuid4()),
        "process.pid": os.getpid(),
    }
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    provider = MeterProvider([reader], resource=Resource.create(identity))
    set_meter_provider(provider)
    GcInstrumentor().instrument()
    _providers.append(provider)


@worker_process_shutdown.connect(weak=False)
def publish_the_last(**_):
    """Send the last numbers: pool processes end by os._exit, which runs no exit handlers."""
    for provider in _providers:
        provider.force_flush()
    GcInstrumentor().uninstrument()
    for provider in _providers:
        provider.shutdown()


_providers: list[MeterProvider] = []
