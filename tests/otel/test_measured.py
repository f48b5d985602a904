"""Measured blocks as histograms, from the exporter and from a program's own MeterProvider."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import gc_otel
from gc_otel.config import Config
from gc_otel.flight import layout
from gc_otel.flight.heap_snapshot import CycleSignature, Differences, HeapType, Measured, MeasuredBlock
from gc_otel.otel.measured import MEASURE_METRICS, VALUES_MOST, MeasureDrain
from gc_otel.otel.producer import Producer, resource_of
from gc_otel.otel.prometheus import Page


def differences(**counted: tuple[int, int]) -> Differences:
    """``b3=(2, 500)``: two values in the bucket of that number, 500 together."""
    rows = [counted.get(f"b{bucket}", (0, 0)) for bucket in range(layout.MEASURE_BUCKETS)]
    return Differences(tuple(count for count, _ in rows), tuple(total for _, total in rows))


def block(**changes) -> MeasuredBlock:
    none = differences()
    made = MeasuredBlock("checkout", False, False, 3, none, none, none, none, none)
    return replace(made, **changes)


def test_each_value_is_given_once_and_the_sums_stay() -> None:
    """New ones as the mean of their bucket; what is too much waits for the next collect."""
    drain = MeasureDrain()
    first = block(blocks=differences(b0=(1, -5000), b3=(2, 500)), gc_ns=differences(b1=(1, 50_000)))
    taken = [
        (metric.field, value, attributes["gc_otel.measure.overlapped"])
        for metric, value, attributes in drain.take(Measured((first,), 0))
    ]
    assert taken == [
        ("blocks", -5000, "false"),
        ("blocks", 250, "false"),
        ("blocks", 250, "false"),
        ("gc_ns", pytest.approx(5e-5), "false"),
    ]
    assert list(drain.take(Measured((first,), 0))) == []
    more = block(blocks=differences(b0=(1, -5000), b3=(3, 800)))
    assert [value for _, value, _ in drain.take(Measured((more,), 0))] == [300]
    flood = block(blocks=differences(b3=(VALUES_MOST, 1), b4=(VALUES_MOST, 1)))
    drain = MeasureDrain()
    assert [len(list(drain.take(Measured((flood,), 0)))) for _ in range(3)] == [VALUES_MOST, VALUES_MOST, 0]


def test_a_program_s_own_provider_gets_them(published, collect) -> None:
    """Count and sum as the blocks were, by name."""
    reader = published(census=False)
    costs = []
    for _ in range(3):
        with gc_otel.measure("checkout") as measured:
            kept = [[] for _ in range(1000)]
        costs.append(measured.blocks)
        kept.clear()
    told = collect(reader).metrics["gc_otel.measure.allocated_blocks"]
    points = [point for point in told.data.data_points if point.attributes["gc_otel.measure.name"] == "checkout"]
    assert sum(point.count for point in points) == 3
    assert sum(point.sum for point in points) == pytest.approx(sum(costs))
    assert tuple(points[0].explicit_bounds) == MEASURE_METRICS[0].bounds


def test_the_exporter_s_are_exact(full_snapshot) -> None:
    """Counts and bounds as the slots have them; a histogram without a value is not made; negative sums stay."""
    told = Measured(
        (
            block(blocks=differences(b0=(1, -5000), b3=(2, 500))),
            block(overlapped=True, gc_ns=differences(b1=(1, 50_000))),
        ),
        0,
    )
    made = Producer(Config(), print).of_process(
        replace(full_snapshot, measured=told), resource_of(full_snapshot.identity), now_unix_ns=1
    )
    metrics = {each.name: each for each in made.scope_metrics[0].metrics}
    (point,) = metrics["gc_otel.measure.allocated_blocks"].data.data_points
    assert (point.count, point.sum, point.bucket_counts) == (3, -4500, (1, 0, 0, 2, 0, 0, 0, 0))
    assert point.attributes == {"gc_otel.measure.name": "checkout", "gc_otel.measure.overlapped": "false"}
    (pause,) = metrics["gc_otel.measure.gc.duration"].data.data_points
    assert (pause.sum, pause.attributes["gc_otel.measure.overlapped"]) == (pytest.approx(5e-5), "true")
    assert "gc_otel.measure.memory.uss" not in metrics


def test_a_process_has_150_series_at_most(full_snapshot) -> None:
    """With ten types and ten cycles of their own; measured blocks come on top, 50 series for each name and mark at most."""
    types = tuple(
        HeapType(f"app.T{n}", 1, 1, None, None, estimated=False, has_series=True) for n in range(layout.SERIES)
    )
    cycles = tuple(CycleSignature(n + 1, f"app.C{n}", 5, 5, 5, 5, 1, series_base=0) for n in range(layout.SERIES))
    full = replace(
        full_snapshot,
        census=replace(full_snapshot.census, types=types),
        cycles=replace(full_snapshot.cycles, signatures=cycles),
    )
    assert 100 < series_of(full) <= 150
    one = differences(b1=(1, 0))
    told = block(blocks=one, rss_bytes=one, uss_bytes=one, collections=one, gc_ns=one)
    assert series_of(replace(full, measured=Measured((told,), 0))) - series_of(full) <= 50


def series_of(snapshot) -> int:
    producer = Producer(Config(), print)
    made = producer.of_process(snapshot, resource_of(snapshot.identity), now_unix_ns=time.time_ns())
    text = Page(lambda: [made]).render().body.decode()
    return sum(not line.startswith("#") for line in text.splitlines())
