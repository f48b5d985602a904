"""What the SDK receives at each collect, against what was recorded."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from opentelemetry.sdk.metrics import Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View

from gc_otel.flight import reader as flight_reader
from gc_otel.otel import instruments
from gc_otel.otel.catalog import CATALOG, DURATION
from gc_otel.otel.drain import RECORDS_MOST
from gc_otel.probe import probe

DELTA = {Histogram: AggregationTemporality.DELTA, ObservableCounter: AggregationTemporality.DELTA}
needs_gil = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="without a GIL a threshold of 1 does not collect at every allocation: the heap must grow as well",
)
#: What comes with the first census, or from the native recorder alone.
LATER = {
    *("cpython.heap.objects", "cpython.heap.size", "cpython.heap.unattributed", "gc_otel.census.duration"),
    "cpython.gc.cycles",
}
ALL_NAMES = {metric.name for metric in CATALOG} - LATER


def work(count) -> None:
    """Net allocations of the program: so many make a collection or more."""
    kept = [[] for _ in range(count)]
    kept.append(kept)


def recorded():
    """The flight file of this process, as it is now."""
    return flight_reader.read(probe.current().source)


def faults() -> list[str]:
    return [fault.text for fault in recorded().faults]


def test_received_equals_recorded_at_every_collect(published, collect, kind):
    """At each collect the histogram's count is the collections counted there, less those counted as dropped."""
    reader = published(recorder=kind)
    totals = []
    for _ in range(5):
        work(5_000)
        gc.collect()  # without a GIL the heap must have grown by a quarter before CPython does it
        now = collect(reader)
        assert now.received() == now.expected()
        totals.append(now.received())
    assert totals == sorted(totals)
    assert totals[-1] > totals[0] > 0
    assert faults() == []


def test_cumulative_and_delta_readers(instrumentor, provider_with, collect, kind):
    """Two readers of one provider, collecting in turn, each receive every collection once."""
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)
    instrumentor.instrument(meter_provider=provider_with(cumulative, delta), recorder=kind)
    received = expected = 0
    for _ in range(4):
        work(5_000)
        now = collect(cumulative)
        assert now.received() == now.expected()
        work(5_000)
        change = collect(delta)
        received += change.received()
        expected += change.expected()
        assert received == expected
    assert received > now.received()


def grown(collects: list[dict]) -> list[int]:
    """What each collect recorded, the first one left out."""
    counts = [each["received"] for each in collects]
    return [after - before for before, after in pairwise(counts)]


@needs_gil
def test_collecting_at_every_allocation(run_here, kind):
    """With thresholds of 1 the numbers agree at each collect, and with constant work no collect records ever more."""
    told = run_here("publishing.py", kind, "cumulative")
    assert [each["received"] for each in told["cumulative"]] == [each["expected"] for each in told["cumulative"]]
    records = grown(told["cumulative"])
    assert min(records) > 0
    # Fed by itself each collect would record a multiple of the one before; the Python recorder may meet
    # the deadline of a collect instead, which bounds it too.
    assert max(records[4:]) <= (3 * max(records[:4]) if kind == "native" else RECORDS_MOST)
    assert told["faults"] == []


@needs_gil
def test_two_readers_collecting_at_every_allocation(run_here, kind):
    """With thresholds of 1 and two readers in turn, both receive what is counted."""
    told = run_here("publishing.py", kind, "two")
    assert [each["received"] for each in told["cumulative"]] == [each["expected"] for each in told["cumulative"]]
    received = list(accumulate(each["received"] for each in told["delta"]))
    assert received == list(accumulate(each["expected"] for each in told["delta"]))
    assert received[-1] > told["cumulative"][-1]["received"]


@needs_gil
def test_without_the_mark_the_drain_feeds_on_itself(run_here, kind):
    """The bound above can fail: where our own collections are not told apart, each collect records more."""
    records = grown(run_here("publishing.py", kind, "unmarked")["cumulative"])
    assert records[1] > 2 * records[0]


def test_durations_are_exact_while_the_ring_holds_them(published, collect, kind, quiet_gc):
    """Least, greatest, sum and buckets of the SDK's histogram are the recorded ones."""
    reader = published(recorder=kind)
    for number in range(30):
        gc.collect(number % 3)
    points = {
        point.attributes["cpython.gc.generation"]: point for point in collect(reader).points("cpython.gc.duration")
    }
    seen = recorded().collector
    for number, stats in enumerate(seen.generations):
        durations_ns = [event.duration_ns for event in seen.latest if event.generation == number]
        assert len(durations_ns) == stats.collections == points[number].count == 10
        assert points[number].max == stats.duration_max_ns / 1e9
        assert points[number].min == min(durations_ns) / 1e9
        assert points[number].sum == pytest.approx(stats.duration_sum_ns / 1e9, rel=1e-12)
        assert tuple(points[number].bucket_counts) == stats.buckets


def test_more_than_the_ring_holds(published, collect, kind, quiet_gc, small_heap):
    """After 1 500 collections between two collects counts, buckets and sum are exact still."""
    reader = published(recorder=kind)
    for _ in range(1_500):
        gc.collect(0)
    (point,) = [each for each in collect(reader).points("cpython.gc.duration") if each.count]
    stats = recorded().collector.generations[0]
    assert point.count == stats.collections == 1_500
    assert tuple(point.bucket_counts) == stats.buckets
    assert point.sum == pytest.approx(stats.duration_sum_ns / 1e9, rel=1e-9)


def test_more_than_a_collect_may_record(published, collect, monkeypatch, quiet_gc, small_heap):
    """What is above the limit is published as dropped for that reason, and not told later."""
    reader = published()
    monkeypatch.setattr(instruments.Drain.take, "__kwdefaults__", {"most": 7})
    for _ in range(20):
        gc.collect(0)
    for _ in range(2):
        now = collect(reader)
        assert (now.received(), now.values("gc_otel.events.dropped")["limit"]) == (7, 13)
        assert now.received() == now.expected()
    assert recorded().published.dropped_limit == 13


def test_explicit_collections_are_told_apart(published, collect, quiet_gc):
    """Collections of the program's own asking, by generation."""
    reader = published()
    for generation in (0, 1, 1, 2, 2, 2):
        gc.collect(generation)
    now = collect(reader)
    assert now.values("cpython.gc.explicit_collections") == {0: 1, 1: 2, 2: 3}
    assert now.values("cpython.gc.collections") == {0: 1, 1: 2, 2: 3}


def test_all_metrics_after_the_first_sample(published, collect, wait_for_sample):
    """With one sample of the monitor every metric of the table is published, with its kind, unit and text."""
    reader = published(sample_interval=0.1)
    gc.collect()
    wait_for_sample()
    now = collect(reader)
    assert now.names - LATER == ALL_NAMES
    for metric in CATALOG:
        if metric.name in LATER:
            continue
        told = now.metrics[metric.name]
        assert (told.unit, told.description) == (metric.unit, metric.description)
        assert {frozenset(point.attributes) for point in now.points(metric.name)} == {frozenset(metric.attributes)}
        monotonic = {"counter": True, "updowncounter": False}.get(metric.kind)
        assert getattr(told.data, "is_monotonic", None) == monotonic


def test_disabled_metrics(published, collect, wait_for_sample):
    """Names and patterns that are disabled are not published, the histogram as little as the others."""
    reader = published(disabled_metrics=["cpython.gc.duration", "process.memory.*"], sample_interval=0.1)
    gc.collect()
    wait_for_sample()
    disabled = {name for name in ALL_NAMES if name.startswith("process.memory.")} | {"cpython.gc.duration"}
    assert collect(reader).names - LATER == ALL_NAMES - disabled


def test_a_metric_that_fails_leaves_the_others(published, collect, monkeypatch, wait_for_sample):
    """Its error is noted under its name, and all other metrics are published."""

    def fail(_):
        raise RuntimeError("broken on purpose")

    broken = "process.cpu.time"
    table = tuple(replace(metric, read=fail) if metric.name == broken else metric for metric in CATALOG)
    monkeypatch.setattr(instruments, "CATALOG", table)
    reader = published(sample_interval=0.1)
    gc.collect()
    wait_for_sample()
    assert collect(reader).names - LATER == ALL_NAMES - {broken}
    assert faults() == [f"metric {broken}: RuntimeError: broken on purpose"]


def test_a_read_that_fails_is_contained(published, collect, monkeypatch):
    """A collect in which the flight file cannot be read publishes nothing of ours; the next one catches up."""
    reader = published()

    def fail(*_, **__):
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(instruments.reader, "read", fail)
        assert collect(reader).names == set()
    gc.collect()
    now = collect(reader)
    assert now.received() == now.expected() > 0
    assert faults() == ["collect: OSError: gone"]


def test_the_mark_is_taken_off_when_a_read_fails(published, collect, monkeypatch, quiet_gc):
    """After a failed collect the program's collections are not taken for ours."""
    reader = published(recorder="python")

    def fail(*_, **__):
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(instruments.reader, "read", fail)
        collect(reader)
    gc.collect()
    assert [event.own for event in recorded().collector.latest] == [False]


def test_a_dropped_instrument_does_not_stop_the_others(instrumentor, provider_with, collect, quiet_gc):
    """A View that drops the metric whose callback begins each collect changes nothing for the rest."""
    reader = InMemoryMetricReader()
    first = next(metric.name for metric in CATALOG if metric is not DURATION)
    view = View(instrument_name=first, aggregation=DropAggregation())
    instrumentor.instrument(meter_provider=provider_with(reader, views=[view]))
    for _ in range(2):
        gc.collect()
        now = collect(reader)
    assert first not in now.names
    assert now.received() == recorded().collector.collections


def test_overhead_of_collecting_is_counted(published, collect):
    """Collects are counted in the flight file, and their time is published as ours."""
    reader = published()
    for _ in range(3):
        collect(reader)
    told = recorded().published
    assert told.collects == 3
    assert told.overhead_ns > 0
    assert collect(reader).values("gc_otel.overhead.time")["collect"] > told.overhead_ns / 1e9
