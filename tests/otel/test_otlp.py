"""What the standard variables ask of a pusher, and differences of made points."""

from __future__ import annotations

import builtins
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gc_otel.errors import NotSupported
from gc_otel.otel.delta import Deltas
from gc_otel.otel.otlp import check_library, lines_of, push_of, push_or_why_not

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HERE = "http://localhost:4318"


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({ENDPOINT: HERE}, f"{HERE}/v1/metrics"),
        ({ENDPOINT: f"{HERE}/"}, f"{HERE}/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{HERE}/mine"}, f"{HERE}/mine"),
        ({ENDPOINT: HERE, "OTEL_METRICS_EXPORTER": "prometheus, otlp"}, f"{HERE}/v1/metrics"),
        ({ENDPOINT: "https://user:secret@[::1]/x?token=y"}, "https://[::1]/x"),
        ({}, None),
        ({ENDPOINT: " "}, None),
        ({ENDPOINT: HERE, "OTEL_METRICS_EXPORTER": "none"}, None),
        ({ENDPOINT: HERE, "OTEL_METRICS_EXPORTER": "prometheus"}, None),
        ({ENDPOINT: HERE, "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_whether_to_push_and_where(env, endpoint):
    """An endpoint and no word against it; nothing secret of it is shown."""
    push = push_of(env)
    assert (push.endpoint if push else None) == endpoint


def test_protocols():
    """The signal's own variable wins; what cannot be spoken is refused with what to set."""
    general, metrics = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
    assert push_of({ENDPOINT: HERE, general: "grpc", metrics: "http/protobuf"})
    with pytest.raises(NotSupported, match="OTEL_EXPORTER_OTLP_PROTOCOL=grpc") as caught:
        push_of({ENDPOINT: HERE, general: "grpc"})
    assert "http/protobuf" in caught.value.remedy
    with pytest.raises(NotSupported, match="http/json"):
        push_of({ENDPOINT: HERE, general: "http/protobuf", metrics: "http/json"})


@pytest.mark.parametrize("endpoint", ["localhost:4317", "ftp://x", "http://", "http://[::1", "http://x:port"])
def test_no_endpoint(endpoint):
    """Told before anything is tried, and not shown: it may hold anything."""
    with pytest.raises(NotSupported, match="URL"):
        push_of({ENDPOINT: endpoint})


def test_intervals_and_preferences():
    """A value that cannot be used is named, and the default is taken."""
    push = push_of({ENDPOINT: HERE})
    assert (push.interval_s, push.preference, push.delta) == (60, "cumulative", frozenset())
    interval, preference = "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    push = push_of({ENDPOINT: HERE, interval: "2500", preference: "DELTA"})
    assert (push.interval_s, push.delta, lines_of(push)) == (2.5, {"counter", "histogram"}, ())
    for text in ("soon", "0", "nan", "inf", "-1"):
        push = push_of({ENDPOINT: HERE, interval: text, preference: "more"})
        assert (push.interval_s, push.preference) == (60, "cumulative")
        assert [interval in lines_of(push)[0], preference in lines_of(push)[1]] == [True, True]


def test_without_the_library_it_is_said_which_one(monkeypatch):
    """One line with the extra to install; nothing else changes."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("opentelemetry.exporter.otlp"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NotSupported):
        check_library()
    why = push_or_why_not({ENDPOINT: HERE})
    assert isinstance(why, NotSupported)
    (line,) = lines_of(why)
    assert "pip install 'gc_otel[otlp]'" in line
    assert push_or_why_not({}) is None
    assert lines_of(None) == ()


CUMULATIVE = AggregationTemporality.CUMULATIVE
BUCKETS = 3


def points(instance, at_ns, count, buckets):
    """A counter, a histogram, a gauge and an up-down counter of one process."""
    number = NumberDataPoint({"cpython.gc.generation": 0}, 1, at_ns, count)
    histogram = HistogramDataPoint({}, 1, at_ns, sum(buckets), float(count), buckets, (1.0, 2.0), None, float(count))
    metrics = [
        Metric("counter", "", "", Sum([number], CUMULATIVE, is_monotonic=True)),
        Metric("histogram", "", "", Histogram([histogram], CUMULATIVE)),
        Metric("gauge", "", "", Gauge([number])),
        Metric("updown", "", "", Sum([number], CUMULATIVE, is_monotonic=False)),
    ]
    resource = Resource({"service.instance.id": instance})
    return ResourceMetrics(resource, [ScopeMetrics(InstrumentationScope("x"), metrics, "")], "")


def read(made):
    """Values by metric: counter, histogram's count, sum and buckets, gauge, up-down counter."""
    (scope,) = made.scope_metrics
    counter, histogram, gauge, updown = (metric.data.data_points[0] for metric in scope.metrics)
    return counter, histogram, gauge.value, updown.value


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans()), max_size=30))
def test_differences_add_up_to_what_was_counted(steps):
    """Whatever is refused, and however often the exporter begins anew: the sum of what was taken is the total taken."""
    deltas, total, taken = Deltas({"counter", "histogram"}), 0, []
    last_ns = 1
    for at_ns, (more, is_taken, is_anew) in enumerate(steps, 2):
        if is_anew:
            text, deltas = deltas.dump(), Deltas({"counter", "histogram"})
            deltas.load(text)
        total += more
        now = points("a", at_ns, total, (total, 2 * total, 0))
        counter, histogram, gauge, updown = read(deltas.of([now])[0])
        assert (gauge, updown) == (total, total)
        assert counter.start_time_unix_nano == histogram.start_time_unix_nano == last_ns
        assert histogram.count == sum(histogram.bucket_counts)
        if is_taken:
            deltas.taken([now])
            last_ns = at_ns
            taken.append((counter.value, histogram.count, histogram.sum))
            assert [sum(each) for each in zip(*taken, strict=True)] == [total, 3 * total, total]
        assert histogram.max is None


def test_cumulative_is_left_as_it_is():
    """Nothing is computed, and nothing remembered."""
    deltas, now = Deltas(()), [points("a", 2, 5, (5, 0, 0))]
    assert deltas.of(now) is now
    deltas.taken(now)
    assert json.loads(deltas.dump()) == {}


def test_what_is_gone_is_forgotten_after_an_hour():
    """What is out of sight for a while may come back, and is not to be counted again."""
    deltas, hour_ns = Deltas({"counter"}), 3600 * 10**9
    deltas.taken([points("a", 5, 5, (5, 0, 0)), points("b", 5, 5, (5, 0, 0))])
    here = [points("b", 6, 6, (6, 0, 0))]
    deltas.forget_all_but(here, now_unix_ns=hour_ns)
    assert json.loads(deltas.dump()).keys() == {"a", "b"}
    deltas.forget_all_but(here, now_unix_ns=2 * hour_ns)
    assert json.loads(deltas.dump()).keys() == {"b"}


def test_nothing_is_sent_that_is_less_than_nothing():
    """A source that falls, and a histogram with other buckets than before."""
    deltas = Deltas({"counter", "histogram"})
    deltas.taken([points("a", 5, 9, (9, 0, 0))])
    counter, histogram, _, _ = read(deltas.of([points("a", 6, 8, (9, 1))])[0])
    assert counter.value == 0
    assert histogram.count == 10


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1]}', '{"a": [["n", "l", "x", 1]]}', '{"a": [["n", "l", 1, "2"]]}', '{"a": [["n", "l", 1, null]]}'])  # fmt: skip
def test_a_state_that_is_none(text):
    """Any text is refused by one error, or read."""
    with pytest.raises(ValueError):
        Deltas({"counter"}).load(text)
