"""A Flask service with its own OpenTelemetry metrics; with us when BENCHMARK_GC_OTEL is 1.

One handler leaves no garbage to speak of, the other a few thousand objects in cycles.
"""

from __future__ import annotations

import os
import time
from typing import Any

import prometheus_client
from flask import Flask, Response, jsonify
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import get_meter, set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from benchmarks.programs.switch import Switched
from gc_otel import GcInstrumentor
from gc_otel.flight import reader
from gc_otel.probe import probe

CYCLES = 1500

set_meter_provider(MeterProvider([PrometheusMetricReader()]))
if os.environ.get("BENCHMARK_GC_OTEL") == "1":
    GcInstrumentor().instrument()

app = Flask(__name__)
app.wsgi_app = Switched(app.wsgi_app)  # type: ignore[method-assign]  # as Flask's documentation has it
requests = get_meter("service").create_counter("requests")
kept = [{"number": number} for number in range(50_000)]  # what a service keeps


class Node:
    """Half of a cycle."""

    def __init__(self) -> None:
        self.other: Any = None


@app.get("/healthy")
def healthy() -> Response:
    """A small answer."""
    requests.add(1, {"route": "healthy"})
    return jsonify(numbers=list(range(20)))


@app.get("/cycles")
def cycles() -> Response:
    """The same answer, and garbage that only the collector can free."""
    requests.add(1, {"route": "cycles"})
    for _ in range(CYCLES):
        one, two = Node(), Node()
        one.other, two.other = two, one
    return jsonify(numbers=list(range(20)))


@app.get("/spent")
def spent() -> Response:
    """The pid of this process, the time, and what its monitor and its cycle sampler have taken until now, ns."""
    current = probe.current()
    snapshot = None if current is None else reader.read(current.source)
    interpreter, cycles = (None, None) if snapshot is None else (snapshot.interpreter, snapshot.cycles)
    return jsonify(
        pid=os.getpid(),
        now_ns=time.monotonic_ns(),
        monitor_ns=0 if interpreter is None else interpreter.overhead_ns,
        sampler_ns=0 if cycles is None else cycles.cost_ns,
    )


@app.get("/metrics")
def metrics() -> Response:
    """The Prometheus page."""
    return Response(prometheus_client.generate_latest(), mimetype="text/plain")
