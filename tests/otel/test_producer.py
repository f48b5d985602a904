"""Points straight from snapshots: exact, of the right kind, and fit for OTLP as well."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Histogram, MetricsData, Sum

from gc_otel.config import Config
from gc_otel.flight import layout
from gc_otel.flight.snapshot import Collector, GenerationStats, Identity, Interpreter, Memory, Published, Snapshot
from gc_otel.otel.catalog import CATALOG, DURATION, Metric
from gc_otel.otel.exporter_catalog import EXPORTER_CATALOG, ExporterNumbers
from gc_otel.otel.producer import Producer, resource_of

CREATED_NS, STARTED_NS, NOW_NS = 2_000, 1_000, 9_000_000_000

IDENTITY = Identity(
    pid=42,
    parent_pid=41,
    pid_namespace=None,
    service_name="shop",
    service_version="",
    instance_id="0b1f",
    program="app.py",
    python_version="3.11.0",
    recorder="native",
    duration_clock="monotonic",
    gc_mode="generational",
    state="running",
    created_unix_ns=CREATED_NS,
    started_unix_ns=STARTED_NS,
    exited_unix_ns=None,
    monotonic_to_unix_ns=0,
)
MEMORY = Memory(1, 101, 102, 103, 104, 105, 106, "cgroup-v2", 10**9, 10**8, 3, 4, 5, 6, 7, 8)
INTERPRETER = Interpreter(
    1, 5, 1000, gc_enabled=True, thresholds=(700, 10, 10), pending=(1, 2, 3), unseen=(0, 0, 1), overhead_ns=9
)


def stats(buckets, sum_ns=0, max_ns=0):
    none = (0,) * layout.BUCKETS
    return GenerationStats(sum(buckets), 1, 2, 3, 0, sum_ns, max_ns, 0, tuple(buckets), none, none, none)


def snapshot(generations=None, **changes):
    generations = generations or tuple(stats([number + 1] * layout.BUCKETS, 10**9, 10**8) for number in range(3))
    collector = Collector(generations, 0, 0, 5, None, (), (), torn=False)
    made = Snapshot(IDENTITY, collector, INTERPRETER, MEMORY, (), Published(1, 10, 20, 30))
    return replace(made, **changes)


@pytest.fixture
def faults():
    return []


@pytest.fixture
def produce(faults, census, cycle_sample):
    def make(of=None, **settings):
        producer = Producer(Config(**settings), lambda where, error: faults.append((where, error)))
        of = replace(of or snapshot(), census=census, cycles=cycle_sample)
        made = producer.of_process(of, resource_of(IDENTITY), now_unix_ns=NOW_NS)
        return {each.name: each for each in made.scope_metrics[0].metrics}

    return make


def test_every_metric_of_the_catalogue_has_its_kind(produce, faults):
    """Counters are cumulative and monotonic, sums that go up and down are not, and times tell since when."""
    metrics = produce()
    assert list(metrics) == [metric.name for metric in CATALOG]
    for metric in CATALOG:
        made = metrics[metric.name]
        kind = {"gauge": Gauge, "histogram": Histogram}.get(metric.kind, Sum)
        assert (made.unit, made.description, type(made.data)) == (metric.unit, metric.description, kind)
        if kind is not Gauge:
            assert made.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
        if kind is Sum:
            assert made.data.is_monotonic == (metric.kind == "counter")
        for point in made.data.data_points:
            assert point.start_time_unix_nano == (CREATED_NS if metric.since_recording else STARTED_NS)
            assert point.time_unix_nano == NOW_NS
            assert set(point.attributes) == set(metric.attributes)
    assert faults == []


@given(
    st.lists(st.lists(st.integers(0, 2**40), min_size=layout.BUCKETS, max_size=layout.BUCKETS), min_size=3, max_size=3)
)
def test_the_histogram_is_the_recorded_one(buckets):
    """Whatever the counts: buckets as they are, and their sum is the count and the counter."""
    producer = Producer(Config(), print)
    of = snapshot(tuple(stats(each, sum_ns=sum(each)) for each in buckets))
    made = producer.of_process(of, resource_of(IDENTITY), now_unix_ns=NOW_NS)
    metrics = {each.name: each for each in made.scope_metrics[0].metrics}
    counters = [point.value for point in metrics["cpython.gc.collections"].data.data_points]
    for number, point in enumerate(metrics[DURATION.name].data.data_points):
        assert list(point.bucket_counts) == buckets[number]
        assert point.count == counters[number] == sum(buckets[number])
        assert point.sum == sum(buckets[number]) / 1e9
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


def test_nothing_is_dropped_that_is_in_the_histogram(produce):
    """What library mode's publisher left out of its own histogram is in this one."""
    points = {point.attributes["reason"]: point.value for point in produce()["gc_otel.events.dropped"].data.data_points}
    assert points == {"self": 0, "limit": 0, "no_start": 0, "unseen": 1}


def test_what_is_not_known_has_no_point(produce):
    """Before the first sample there is no memory, which is not a memory of zero."""
    metrics = produce(snapshot(memory=None, interpreter=None))
    assert "process.memory.usage" not in metrics
    assert "cpython.gc.threshold" not in metrics
    assert "cpython.gc.collections" in metrics


def test_disabled_metrics_are_not_made(produce):
    """As in library mode."""
    assert not [name for name in produce(disabled_metrics=("process.*",)) if name.startswith("process.")]


def test_a_metric_that_fails_leaves_the_others(produce, faults, monkeypatch):
    """It is noted by its name."""

    def fail(_):
        raise ZeroDivisionError

    bad = Metric("bad.metric", "gauge", "1", "", (), fail)
    monkeypatch.setattr("gc_otel.otel.producer.CATALOG", (bad, *CATALOG))
    assert "cpython.gc.collections" in produce()
    assert [(where, type(error)) for where, error in faults] == [("metric bad.metric", ZeroDivisionError)]


def test_an_otlp_exporter_takes_the_same(census, cycle_sample):
    """The encoder of the SDK's own OTLP exporters; what is not known stays unset."""
    producer = Producer(Config(), print)
    empty = (stats([0] * layout.BUCKETS), *snapshot().collector.generations[1:])
    of = snapshot(empty, census=census, cycles=cycle_sample)
    made = producer.of_process(of, resource_of(IDENTITY), now_unix_ns=NOW_NS)
    (resource,) = encode_metrics(MetricsData([made])).resource_metrics
    attributes = {each.key for each in resource.resource.attributes}
    assert {"process.pid", "service.name", "service.instance.id", "process.runtime.version"} <= attributes
    assert "service.version" not in attributes
    metrics = {each.name: each for each in resource.scope_metrics[0].metrics}
    assert set(metrics) == {metric.name for metric in CATALOG}
    none, some, _ = metrics[DURATION.name].histogram.data_points
    assert (none.count, none.HasField("min"), none.HasField("max")) == (0, False, False)
    assert (some.count, some.HasField("min"), some.max) == (2 * layout.BUCKETS, False, 0.1)
    assert list(some.bucket_counts) == [2] * layout.BUCKETS


def test_who_has_no_name_has_the_label_all_the_same():
    """The exporter would give the labels of the first process of a metric to all others."""
    assert resource_of(replace(IDENTITY, service_name="")).attributes["service.name"] == "unknown_service"
    assert resource_of(IDENTITY, pid="42@7").attributes["process.pid"] == "42@7"


def test_the_exporters_own_metrics():
    """They carry no pid: they are of the service."""
    own = ExporterNumbers(
        3, 2, 10, None, 1, {"taken": 4, "refused": 1}, {"scrape": 10**9, "sampling": 0, "following": 5, "push": 0}, None
    )
    producer = Producer(Config(), print)
    made = producer.of_exporter(own, now_unix_ns=NOW_NS)
    assert "process.pid" not in made.resource.attributes
    names = [each.name for each in made.scope_metrics[0].metrics]
    assert names == [
        metric.name
        for metric in EXPORTER_CATALOG
        if metric.name not in ("gc_otel.exporter.scrape.duration", "gc_otel.exporter.memory.usage")
    ]
    full = producer.of_exporter(replace(own, scrape_ns=5, rss_bytes=7), now_unix_ns=NOW_NS)
    points = {each.name: each.data.data_points for each in full.scope_metrics[0].metrics}
    assert [point.value for point in points["gc_otel.exporter.memory.usage"]] == [7]
    assert {point.attributes["component"]: point.value for point in points["gc_otel.exporter.cpu.time"]} == {
        "scrape": 1.0,
        "sampling": 0.0,
        "following": 5e-9,
        "push": 0.0,
    }
    pushed = {point.attributes["outcome"]: point.value for point in points["gc_otel.exporter.pushes"]}
    assert pushed == {"taken": 4, "refused": 1}
    none = producer.of_exporter(replace(own, pushes=None), now_unix_ns=NOW_NS)
    assert "gc_otel.exporter.pushes" not in {each.name for each in none.scope_metrics[0].metrics}
    assert not {metric.name for metric in EXPORTER_CATALOG} & {metric.name for metric in CATALOG}
