"""/metrics of many processes through opentelemetry-exporter-prometheus: whole, single, and alone with the reader."""

from __future__ import annotations

import contextlib
import inspect
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gc_otel.otel import forms, prometheus
from gc_otel.otel.prometheus import PLAIN_TEXT, Page

SCOPE = InstrumentationScope("gc_otel", "1")

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def of(pid, *, name="made.value", value=1.0, service="shop"):
    point = NumberDataPoint({"some.attribute": "a"}, 0, 1, value)
    metric = Metric(name, "What was made.", "1", Gauge([point]))
    resource = Resource({"process.pid": pid, "service.name": service, "service.instance.id": f"i{pid}"})
    return ResourceMetrics(resource, [ScopeMetrics(InstrumentationScope("gc_otel", "1"), [metric], "")], "")


def series(body):
    return [line.rpartition(" ")[0] for line in body.decode().splitlines() if not line.startswith("#")]


def two_scrapes_at_once(page, render):
    """Both scrapers have collected before one, and only then the other, takes from the reader's queue.

    If nothing keeps them apart: else the second one has not come so far, and is not waited for.
    """
    (collector,) = (each for each in page._registry._collector_to_names if hasattr(each, "add_metrics_data"))
    both, one_is_done, add = threading.Barrier(2), threading.Event(), collector.add_metrics_data

    def slow(data):
        add(data)
        with contextlib.suppress(threading.BrokenBarrierError):
            if both.wait(0.5) == 0:
                assert one_is_done.wait(30)

    collector.add_metrics_data = slow
    bodies = []

    def scrape():
        bodies.append(render())
        one_is_done.set()

    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for each in scrapers:
        each.start()
    for each in scrapers:
        each.join()
    return list(map(series, bodies))


def test_scrapes_that_meet_take_each_others_series_without_the_lock():
    """What the lock is for: one text with everything twice, the other with nothing."""
    page = Page(lambda: [of(1), of(2)])
    page._given = [of(1), of(2)]
    first, second = two_scrapes_at_once(page, lambda: generate_latest(page._registry))
    assert len(first) > len(set(first))
    assert second == []


def test_scrapes_that_meet_are_whole_with_the_lock():
    """The same interleaving, forced: every series once, on both pages."""
    page = Page(lambda: [of(1), of(2)])
    first, second = two_scrapes_at_once(page, lambda: page.render().body)
    assert first == second
    assert len(set(first)) == len(first) == 4


# A page in pieces.


def at_once(page, everything, accept):
    """The same page as the libraries write it with nothing kept."""
    page._pieces = {}
    page._given = everything
    encode, _ = prometheus._encoder(accept)
    return forms.without_end(encode(page._registry).decode())


NUMBERS = st.sampled_from([0, 1, -0.0, 2.5, 123456.75, 1e7, float("inf"), 10**18, 1e-9])
#: These only gauges may have.
STRANGE = st.sampled_from([float("nan"), -3, -1e-9, float("-inf")])
#: A number, and how many points have one.
METRICS = st.tuples(NUMBERS, st.integers(1, 3))
GAUGES = st.tuples(NUMBERS | STRANGE, st.integers(1, 3))


@settings(deadline=None, max_examples=40)
@given(
    rounds=st.lists(
        st.dictionaries(
            st.integers(1, 4),
            st.fixed_dictionaries({}, optional={"a.b": METRICS, "c": GAUGES, "d.e_f": METRICS, "h": METRICS}),
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    accept=st.sampled_from(["", OPENMETRICS]),
)
def test_in_pieces_it_is_what_it_is_at_once(rounds, accept):
    """Processes, metrics and points that come, go and change: line by line the page of the libraries for all of them."""
    resources = {pid: of(pid, service='sh"op\\\n# HELP %s x').resource for pid in range(1, 5)}
    now = []
    page = Page(lambda: now)
    for by_pid in rounds:
        now[:] = [
            ResourceMetrics(
                resources[pid],
                [ScopeMetrics(SCOPE, [metric_of(name, *made) for name, made in sorted(metrics.items())], "")],
                "",
            )
            for pid, metrics in by_pid.items()
        ]
        body = page.render(accept).body.decode()
        mine = body[: body.index("# HELP target")]
        theirs = at_once(Page(list), now, accept)
        assert sorted(mine.splitlines()) == sorted(theirs.splitlines())
        list((parse_openmetrics if accept else parse_text)(body))


def metric_of(name, value, points):
    keys = [f"{value} %s %% {number}" for number in range(points, 0, -1)]  # not in the order of their names
    return Metric(name, f"What {name} is, in %.", "s", data_of(name, value, keys))


def data_of(name, value, keys):
    if name == "h":
        counts = [len(keys), 0, 3]
        made = [HistogramDataPoint({"k": key}, 0, 1, sum(counts), value, counts, [0.5, 10.0], 0, 1) for key in keys]
        return Histogram(made, AggregationTemporality.CUMULATIVE)
    points = [NumberDataPoint({"k": key}, 0, 1, value * number) for number, key in enumerate(keys, 1)]
    return Gauge(points) if name == "c" else Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)


def test_the_libraries_are_asked_once_for_each_metric(monkeypatch):
    """Other numbers and pids are put in their places; other attributes are asked for again; who has gone is forgotten."""
    asked = []
    original = forms.Forms._asked

    def watched(self, each, resource, names):
        asked.append((each.resource.attributes["process.pid"], sorted(names)))
        return original(self, each, resource, names)

    monkeypatch.setattr(forms.Forms, "_asked", watched)
    first, second, other = of(1), of(2), of(3, service="bank")
    now = [first, second, other]
    page = Page(lambda: now)
    assert series(page.render().body)[:3] == [
        f'made_value{{process_pid="{pid}",service_name="{service}",some_attribute="a"}}'
        for pid, service in ((1, "shop"), (2, "shop"), (3, "bank"))
    ]
    assert asked == [(1, ["made.value"]), (3, ["made.value"])]
    now[:] = [ResourceMetrics(first.resource, of(1, value=2.0).scope_metrics, ""), second]
    assert b'made_value{process_pid="1",service_name="shop",some_attribute="a"} 2.0\n' in page.render().body
    assert asked[2:] == []
    now[:] = [with_attributes(first, {"some.attribute": "b"}), second]
    assert b'process_pid="1",service_name="shop",some_attribute="b"} 1.0\n' in page.render().body
    assert asked[2:] == [(1, ["made.value"])]
    now[:] = [second]
    assert b'process_pid="1"' not in page.render().body
    now[:] = [first, second]
    page.render()
    assert asked[3:] == [(1, ["made.value"])]


def test_a_pid_of_another_namespace_is_a_label_as_it_is():
    """It is text, and shared with nobody."""
    page = Page(lambda: [of("7@1"), of("8@1")])
    assert [line.partition(",")[0] for line in series(page.render().body)[:2]] == [
        'made_value{process_pid="7@1"',
        'made_value{process_pid="8@1"',
    ]


def with_attributes(of_process, attributes):
    metric = Metric("made.value", "What was made.", "1", Gauge([NumberDataPoint(attributes, 0, 1, 1.0)]))
    return ResourceMetrics(of_process.resource, [ScopeMetrics(SCOPE, [metric], "")], "")


@pytest.mark.parametrize(
    "families",
    [
        pytest.param(lambda _: [], id="another number of families"),
        pytest.param(lambda _: [("", "made_value 0.0 1764000000\n")], id="lines that end with a time"),
    ],
)
def test_families_that_are_not_as_expected_are_rendered_at_once(monkeypatch, families):
    """Libraries of another day may write two families for a metric, or more on a line: the page is then made as a whole."""
    page = Page(lambda: [of(1), of(2)])
    expected = page.render().body
    monkeypatch.setattr(forms, "_families", families)
    page._pieces.clear()
    assert page.render().body == expected


def test_those_who_wait_share_what_was_begun_while_they_waited():
    """Five scrapers during one rendering: one more rendering for all of them, never the one that was old already."""
    begun, go_on, produced = threading.Event(), threading.Event(), []

    def produce():
        produced.append(None)
        if len(produced) == 1:
            begun.set()
            assert go_on.wait(30)
        return [of(1, value=float(len(produced)))]

    page = Page(produce)
    pages, waiting = [], threading.Semaphore(0)
    entered = page._lock

    class Watched:
        def __enter__(self):
            waiting.release()
            return entered.__enter__()

        def __exit__(self, *error):
            return entered.__exit__(*error)

    first = threading.Thread(target=lambda: pages.append(page.render()))
    first.start()
    assert begun.wait(30)
    page._lock = Watched()
    others = [threading.Thread(target=lambda: pages.append(page.render())) for _ in range(5)]
    for each in others:
        each.start()
    for _ in others:
        assert waiting.acquire(timeout=30)
    go_on.set()
    for each in (first, *others):
        each.join(30)
    assert sorted(each.number for each in pages) == [1, 2, 2, 2, 2, 2]
    assert len(produced) == 2
    assert page.render().number == 3


def test_pid_and_service_are_on_every_series_and_nothing_else_is():
    """Of the resource exactly these two; no scope; what else is known is in target_info, a line for each process."""
    body = Page(lambda: [of(1), of(2, service='sh"op\\')]).render().body
    assert series(body) == [
        'made_value{process_pid="1",service_name="shop",some_attribute="a"}',
        'made_value{process_pid="2",service_name="sh\\"op\\\\",some_attribute="a"}',
        'target_info{process_pid="1",service_instance_id="i1",service_name="shop"}',
        'target_info{process_pid="2",service_instance_id="i2",service_name="sh\\"op\\\\"}',
    ]


def test_what_has_no_pid_has_no_target_info():
    """The exporter's own series."""
    own = of(1)
    own = ResourceMetrics(Resource({"service.name": "exporter"}), own.scope_metrics, "")
    assert series(Page(lambda: [own]).render().body) == ['made_value{service_name="exporter",some_attribute="a"}']


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", PLAIN_TEXT, parse_text),
        ("*/*", PLAIN_TEXT, parse_text),
        (OPENMETRICS, OPENMETRICS, parse_openmetrics),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.8", "text/plain", parse_text),
        ("application/openmetrics-text;version=nonsense", PLAIN_TEXT, parse_text),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept, content_type, parse):
    """As prometheus_client negotiates; what it cannot read gives plain text."""
    page = Page(lambda: [of(1)]).render(accept)
    if accept.startswith("text/plain;version=0.0.4"):  # the order is the client library's, and its releases differ
        parse = parse_openmetrics if page.content_type.startswith("application") else parse_text
    else:
        assert page.content_type.startswith(content_type)
    assert {family.name for family in parse(page.body.decode())} >= {"made_value"}


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=80))
def test_no_accept_header_breaks_it(accept):
    """Whatever a client sends, it gets a page."""
    assert b"made_value" in Page(lambda: [of(1)]).render(accept).body


def test_a_page_is_complete_when_it_is_said_to_be():
    """Told after the last line; not at all when it failed, and the next one is whole."""
    told, fail = [], [True]

    def produce():
        if fail.pop():
            fail.append(False)
            raise ZeroDivisionError
        fail.append(False)
        return [of(1)]

    page = Page(produce, lambda: told.append(None))
    with pytest.raises(ZeroDivisionError):
        page.render()
    assert told == []
    assert len(series(page.render().body)) == 2
    assert told == [None]


def test_the_private_hook_of_the_sdk_is_as_it_was():
    """Read this when it fails: the SDK changed how a reader gets its metrics, and otel/prometheus.py must follow.

    It sets MetricReader._set_collect_callback; collect() calls that with the reader, and gives what comes back
    to _receive_metrics.
    """
    assert list(inspect.signature(MetricReader._set_collect_callback).parameters) == ["self", "func"]
    received = []

    class Reader(MetricReader):
        def _receive_metrics(self, metrics_data, timeout_millis=10_000, **kwargs):
            received.append(metrics_data)

        def shutdown(self, timeout_millis=30_000, **kwargs):
            pass

    reader, asked, data = Reader(), [], object()
    reader._set_collect_callback(lambda *args, **kwargs: asked.append((args, kwargs)) or data)
    reader.collect()
    assert received == [data]
    assert asked == [((reader,), {"timeout_millis": 10_000})]


def test_an_exporter_that_is_too_old_is_named(monkeypatch):
    """One that has no `resource_attribute_filter`, which older environments may keep for library mode."""
    from gc_otel.errors import NotSupported
    from gc_otel.otel import prometheus

    def reader(*, disable_target_info=False):
        raise AssertionError("not to be made")

    monkeypatch.setattr(prometheus, "PrometheusMetricReader", reader)
    with pytest.raises(NotSupported, match="needs opentelemetry-exporter-prometheus 0") as caught:
        prometheus.Page(list)
    assert "pip install -U opentelemetry-exporter-prometheus" in caught.value.remedy
