"""A publisher's life: bound and unbound, on one provider and another, across a new beginning."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise

from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from gc_otel.flight import reader as flight_reader
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.otel import instruments
from gc_otel.otel.catalog import CATALOG, DURATION
from gc_otel.probe import probe

DELTA = {Histogram: AggregationTemporality.DELTA, ObservableCounter: AggregationTemporality.DELTA}
FED_APART = {DURATION.name}
COUNTERS = [metric.name for metric in CATALOG if metric.kind == "counter" and metric.since_recording]


def work(count) -> None:
    """Net allocations of the program: so many make a collection or more."""
    kept = [[] for _ in range(count)]
    kept.append(kept)


def recorded():
    """The flight file of this process, as it is now."""
    return flight_reader.read(probe.current().source)


def test_unbound_it_publishes_nothing(published, collect, instrumentor):
    """After uninstrument a collect changes nothing: only the SDK's own copy of the histogram is left."""
    reader = published()
    gc.collect()
    before = collect(reader)
    instrumentor.uninstrument()
    gc.collect()
    after = collect(reader)
    assert after.names <= FED_APART
    assert after.received() == before.received()


def test_unbound_it_publishes_nothing_by_delta(instrumentor, provider_with, collect):
    """To a delta reader nothing at all is told after uninstrument."""
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    instrumentor.instrument(meter_provider=provider_with(reader))
    gc.collect()
    assert collect(reader).received() > 0
    instrumentor.uninstrument()
    gc.collect()
    assert collect(reader).names == set()


def test_stopped_under_a_bound_publisher(published, collect, instrumentor):
    """A recording that ends between the first callback and the others costs nothing but this collect."""
    reader = published()
    gc.collect()
    collect(reader)
    instrumentor._stop_probe()
    assert collect(reader).names <= FED_APART


def test_instrumented_again_the_totals_go_on(instrumentor, provider_with, collect, kind, caplog):
    """Over three rounds on one provider no counter goes back, and the histogram has what they count."""
    reader = InMemoryMetricReader()
    provider = provider_with(reader)
    rounds = []
    for _ in range(3):
        instrumentor.instrument(meter_provider=provider, recorder=kind)
        for _ in range(2):
            gc.collect()
            work(5_000)
            now = collect(reader)
            assert now.received() == now.expected()
            rounds.append({(name, key): v for name in COUNTERS for key, v in now.values(name).items()})
        instrumentor.uninstrument()
    assert len(rounds) == 6
    for before, after in pairwise(rounds):
        assert all(after[key] >= value for key, value in before.items())
    assert rounds[-1]["cpython.gc.collections", 2] >= 6
    assert [entry.getMessage() for entry in caplog.records] == []


def test_a_second_provider(instrumentor, provider_with, collect, quiet_gc):
    """Instrumented on another provider, the new one begins at zero and the old one receives nothing more."""
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    instrumentor.instrument(meter_provider=provider_with(first))
    gc.collect()
    before = collect(first).received()
    instrumentor.uninstrument()
    instrumentor.instrument(meter_provider=provider_with(second))
    gc.collect()
    now = collect(second)
    assert now.received() == now.expected() == recorded().collector.collections
    after = collect(first)
    assert (after.received(), after.names <= FED_APART) == (before, True)


def test_a_provider_behind_the_global_one(instrumentor, provider_with, collect, monkeypatch):
    """What was made on the API's proxy serves the provider that the proxy forwards to: one set of instruments."""
    reader = InMemoryMetricReader()
    provider = provider_with(reader)

    class Proxy:
        def get_meter(self, *args, **options):
            return provider.get_meter(*args, **options)

    proxy = Proxy()
    monkeypatch.setattr(instruments, "_global_publisher", [])
    with monkeypatch.context() as patch:
        patch.setattr(instruments, "get_meter_provider", lambda: proxy)
        instrumentor.instrument(meter_provider=proxy)
    gc.collect()
    first = collect(reader).received()
    instrumentor.uninstrument()
    monkeypatch.setattr(instruments, "get_meter_provider", lambda: provider)
    instrumentor.instrument(meter_provider=provider)
    gc.collect()
    now = collect(reader)
    assert now.received() == now.expected() > first > 0


def test_a_new_epoch_begins_from_zero(published, collect, quiet_gc):
    """Where the recording's numbers begin anew, as in a forked child, so do the counters and the drain."""
    reader = published()
    gc.collect()
    collect(reader)
    published_before = collect(reader).received()
    recording = probe.current()
    fresh = type(recording)(recording.config)
    fresh.epoch = recording.epoch + 1
    fresh.start()
    try:
        GcInstrumentor()._publisher._recording = fresh
        gc.collect(0)
        now = collect(reader)
        assert now.total("cpython.gc.collections") == 1
        assert now.received() == published_before + 1
    finally:
        fresh.stop()


def test_a_provider_is_not_kept_alive(instrumentor):
    """A provider that the program lets go is freed, our instruments with it."""
    provider = MeterProvider([InMemoryMetricReader()])
    instrumentor.instrument(meter_provider=provider)
    instrumentor.uninstrument()
    provider.shutdown()
    gone = weakref.ref(provider)
    del provider
    gc.collect()
    assert gone() is None
