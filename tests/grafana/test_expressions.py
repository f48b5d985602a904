"""Every expression that ships, dashboards and rules alike: it parses, and what it names exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

#: rate() over a window of its own, and why.
OWN_WINDOW = {
    "Died badly, 1 h": "a number of the last hour, whatever time is shown",
    "Mean full collection": "full collections are rare: the rate interval of a short range would hold none",
}
#: Of a process, and not on the page of one whose heap nobody has looked at.
NEEDS_A_CENSUS = ("cpython_heap_", "cpython_gc_cycles", "cpython_gc_garbage", "gc_otel_census_")
#: A counter's value itself, and why.
BARE_COUNTER = {
    "Uncollectable objects": "the number since recording began is what counts: any is too many",
}


@pytest.fixture(scope="session")
def expressions(dashboards, targets, rules) -> list[tuple[str, str]]:
    """Where, and what."""
    found = [(f"{uid}: {panel['title']}", target["expr"]) for uid, panel, target in targets]
    found += [
        (f"{uid}: {each['name']}", each["expr"])
        for uid, board in dashboards.items()
        for each in board["annotations"]["list"]
    ]
    found += [(f"{file}: {rule.get('record') or rule.get('alert')}", rule["expr"]) for file, rule in rules]
    assert len(found) > 100
    return found


def test_names_are_those_of_the_exporter(lang):
    """The names expected here are what the OpenTelemetry exporter really writes."""
    spec = importlib.util.spec_from_file_location(
        "page", Path(__file__).parents[1] / "otel" / "test_prometheus_page.py"
    )
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    written = {name + ("_total" if kind == "counter" else "") for name, (kind, _, _) in page.GOLDEN.items()}
    others = (*lang.OTHERS_BEGIN, *NEEDS_A_CENSUS)
    extra = {
        "target_info",
        *(name for name in lang.PUBLISHED if name.startswith(others)),
        *(name for name in lang.PUBLISHED if re.search(r"_(bucket|sum|count|ratio)$", name)),
    }
    assert set(lang.PUBLISHED) - extra == written - extra
    for name, (_, labels, _) in page.GOLDEN.items():
        shown = name + "_total" if name + "_total" in lang.PUBLISHED else name
        assert lang.PUBLISHED[shown] == labels - {"le"}


def test_every_expression_parses(expressions, lang):
    """By a parser that knows the types: rate() of a vector is an error."""
    for where, expr in expressions:
        try:
            lang.parse(expr)
        except ValueError as error:
            pytest.fail(f"{where}: {error}\n{expr}")


def test_every_metric_exists(expressions, rules, lang):
    """In the catalogue, or recorded by a rule, or written by the server."""
    recorded = {rule["record"] for _, rule in rules if "record" in rule}
    known = set(lang.PUBLISHED) | recorded | set(lang.SERVER)
    for where, expr in expressions:
        unknown = {each.name for each in lang.selectors(expr)} - known
        assert not unknown, f"{where}: {unknown}"


def test_every_label_exists(expressions, lang):
    """Of that metric, or of every process."""
    for where, expr in expressions:
        for each in lang.selectors(expr):
            unknown = set(each.matchers) - lang.own_labels(each.name)
            assert not unknown, f"{where}: {each.name} has no {unknown}"
        lang.result_labels(expr)  # asserts what by() and matching name


def test_the_scope_s_labels_are_never_named(expressions):
    """OTLP servers leave them out."""
    assert not [where for where, expr in expressions if "otel_scope" in expr]


def test_dashboards_select_what_the_variables_say(targets, dashboards, lang):
    """Every selector has a matcher for each variable of its dashboard; annotations too."""
    asked = [(uid, panel["title"], target["expr"]) for uid, panel, target in targets]
    asked += [
        (uid, each["name"], each["expr"]) for uid, board in dashboards.items() for each in board["annotations"]["list"]
    ]
    for uid, title, expr in asked:
        names = [each["name"] for each in dashboards[uid]["templating"]["list"] if each["type"] == "query"]
        wanted = {({"service": "service_name", "pid": "process_pid"}.get(name, name), f"${name}") for name in names}
        for each in lang.selectors(expr):
            found = {(label, value) for label, (op, value) in each.matchers.items() if op == "MatchOp.Re"}
            assert wanted <= found, f"{uid} {title}: {each.name}"


def test_rates_follow_the_time_range(targets):
    """$__rate_interval, everywhere but where it is said why not."""
    for _, panel, target in targets:
        windows = set(re.findall(r"\b(?:rate|irate|increase)\([^\[\]]*?\[(.*?)\]", target["expr"]))
        if panel["title"] not in OWN_WINDOW:
            assert windows <= {"$__rate_interval"}, panel["title"]


def test_counters_are_rated_and_gauges_are_not(expressions, lang):
    """A counter's value depends on when its process began; a gauge may fall."""
    rating = {"rate", "increase", "irate"}
    for where, expr in expressions:
        for each in lang.selectors(expr):
            if each.name in lang.COUNTERS and each.name.endswith(("_total", "_sum", "_count", "_bucket")):
                assert rating & set(each.around) or where.partition(": ")[2] in BARE_COUNTER, f"{where}: {each.name}"
            elif each.name not in lang.COUNTERS:
                assert not rating & set(each.around), f"{where}: rate of the gauge {each.name}"


def test_the_fleet_reads_recorded_series_only(targets, lang):
    """Ten thousand processes cost it no more than ten."""
    read = {
        each.name for uid, _, target in targets if uid == "gc-otel-fleet" for each in lang.selectors(target["expr"])
    }
    assert {name for name in read if not name.startswith("service")} == {"ALERTS", "ALERTS_FOR_STATE"}


def test_legends_name_labels_that_are_left(targets, lang):
    """After by() and matching; and a result of many series has a legend that tells them apart."""
    for uid, panel, target in targets:
        named = set(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", "")))
        left = lang.result_labels(target["expr"])
        assert named <= left, f"{uid} {panel['title']}: {named - left} is gone"
        if panel["type"] == "timeseries" and left:
            assert named, f"{uid} {panel['title']}: which line is which?"


def test_tables_hide_or_name_every_column(panels, lang):
    """What the query groups by is a column: renamed for people, or hidden."""
    for uid, panel in panels:
        if panel["type"] != "table":
            continue
        organize = next(each["options"] for each in panel["transformations"] if each["id"] == "organize")
        known = set(organize["renameByName"]) | set(organize["excludeByName"])
        for target in panel["targets"]:
            assert lang.result_labels(target["expr"]) <= known, f"{uid} {panel['title']}"


def test_native_histograms_are_asked_for_too(targets, lang):
    """Wherever a panel reads buckets, sums or counts of durations, the same target has the other kind."""
    for uid, panel, target in targets:
        names = {each.name for each in lang.selectors(target["expr"])}
        if any(name.startswith("cpython_gc_duration_seconds_") for name in names):
            assert "cpython_gc_duration_seconds" in names, f"{uid} {panel['title']}"
