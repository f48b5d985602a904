"""Cost of one collect, with and without us: ``collect_cost.py ROUNDS``.  Two providers in one process, taking turns."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel import GcInstrumentor

SINCE_LAST = (0, 100, 1_000, 10_000)


def user_instruments(provider: MeterProvider) -> None:
    """What a small service has anyway."""
    meter = provider.get_meter("service")
    requests, latency = meter.create_counter("requests"), meter.create_histogram("latency")
    for status in (200, 404, 500):
        requests.add(1, {"status": status})
        latency.record(0.01, {"status": status})


def make_provider() -> tuple[InMemoryMetricReader, prometheus_client.CollectorRegistry, MeterProvider]:
    """A provider with a reader of each kind; the Prometheus one in a registry of its own."""
    reader, prometheus = InMemoryMetricReader(), PrometheusMetricReader()
    prometheus_client.REGISTRY.unregister(prometheus._collector)
    registry = prometheus_client.CollectorRegistry()
    registry.register(prometheus._collector)
    provider = MeterProvider([reader, prometheus], shutdown_on_exit=False)
    user_instruments(provider)
    return reader, registry, provider


def spent_us(call: Callable[[], object]) -> float:
    """CPU time of one call: wall time would be the machine's other work as well."""
    began_ns = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began_ns) / 1e3


def main() -> None:
    """Nothing but the given number of young collections happens between two collects."""
    rounds = int(sys.argv[1])
    bare_reader, bare_registry, _ = make_provider()
    our_reader, our_registry, provider = make_provider()
    GcInstrumentor().instrument(meter_provider=provider)
    gc.collect()
    gc.freeze()
    gc.disable()
    bare: list[float] = []
    ours: dict[int, list[float]] = {count: [] for count in SINCE_LAST}
    pages: dict[str, list[float]] = {"bare": [], "ours": []}
    for turn in range(rounds + 1):
        for count in SINCE_LAST:
            for _ in range(count):
                gc.collect(0)
            with_us = spent_us(our_reader.get_metrics_data)
            without = spent_us(bare_reader.get_metrics_data)
            if turn > 0:  # the first round warms up
                ours[count].append(with_us)
                bare.append(without)
        pages["bare"].append(spent_us(lambda: prometheus_client.generate_latest(bare_registry)))
        pages["ours"].append(spent_us(lambda: prometheus_client.generate_latest(our_registry)))
    size = {
        name: len(prometheus_client.generate_latest(each))
        for name, each in (("bare", bare_registry), ("ours", our_registry))
    }
    GcInstrumentor().uninstrument()
    print(json.dumps({"bare": bare, "ours": ours, "pages": {k: v[1:] for k, v in pages.items()}, "size": size}))


if __name__ == "__main__":
    main()
