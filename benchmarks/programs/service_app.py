"""A Flask service with its own OpenTelemetry metrics; with us when BENCHMARK_GC_OTEL is 1, or while it was told so.

One handler leaves no garbage to speak of, the other a few thousand objects in cycles.
"""

from __future__ import annotations

import gc
import operator
import os
import time
from typing import Any

import prometheus_client
from flask import Flask, Response, jsonify
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import get_meter, set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from gc_otel import GcInstrumentor
from gc_otel.flight.reader import read_interpreter
from gc_otel.probe import probe

CYCLES = 1500

set_meter_provider(MeterProvider([PrometheusMetricReader()]))
if os.environ.get("BENCHMARK_GC_OTEL") == "1":
    GcInstrumentor().instrument()

app = Flask(__name__)
requests = get_meter("service").create_counter("requests")
taken_out: list[Any] = []  # the recorder, once it was found in gc.callbacks
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


@app.post("/recording/<word>")
def recording(word: str) -> Response:
    """Record from here on, or no more."""
    ours = GcInstrumentor()
    is_on = ours.is_instrumented_by_opentelemetry
    if word == "on" and not is_on:
        ours.instrument()
    elif word == "off" and is_on:
        ours.uninstrument()
    return Response(word)


@app.post("/callback/<word>")
def callback(word: str) -> Response:
    """Into gc.callbacks with the recorder, with an empty C function in its place, or out with both; all else goes on.

    It takes microseconds, where to begin and to end recording would have the service sample its memory each time.
    """
    if not taken_out:
        taken_out.extend(each for each in gc.callbacks if "gc_otel" in type(getattr(each, "__self__", each)).__module__)
    others = [each for each in gc.callbacks if each not in taken_out and each is not operator.is_]
    gc.callbacks[:] = others + {"on": taken_out, "empty": [operator.is_], "off": []}[word]
    return Response(word)


@app.get("/spent")
def spent() -> Response:
    """The pid of this process, the time, and the CPU time of its monitor until now, ns."""
    current = probe.current()
    interpreter = None if current is None else read_interpreter(current.source)
    return jsonify(
        pid=os.getpid(), now_ns=time.monotonic_ns(), monitor_ns=0 if interpreter is None else interpreter.overhead_ns
    )


@app.get("/metrics")
def metrics() -> Response:
    """The Prometheus page."""
    return Response(prometheus_client.generate_latest(), mimetype="text/plain")
