"""Beside opentelemetry-instrumentation-system-metrics, which publishes some of the same names."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest

from gc_otel.otel.instruments import published_elsewhere

INSTALLED = importlib.util.find_spec("opentelemetry.instrumentation.system_metrics") is not None
needs_theirs = pytest.mark.skipif(not INSTALLED, reason="opentelemetry-instrumentation-system-metrics is not installed")
SHARED = {
    "cpython.gc.collections",
    "cpython.gc.collected_objects",
    "cpython.gc.uncollectable_objects",
    "process.memory.usage",
    "process.memory.virtual",
    "process.cpu.time",
    "process.context_switches",
    "process.thread.count",
}
MODULE = "opentelemetry.instrumentation.system_metrics"


@needs_theirs
@pytest.mark.parametrize("order", ["ours-first", "theirs-first"])
def test_each_name_once(run_here, order):
    """Whoever is instrumented first, at every collect each metric name is published by one of the two."""
    told = run_here("system_metrics.py", order)
    for publishers in told["both"]:
        assert {name: who for name, who in publishers.items() if len(who) > 1} == {}
        assert set(publishers) >= SHARED
        assert [publishers[name] for name in sorted(SHARED)] == [["theirs"]] * len(SHARED)
        assert publishers["cpython.gc.duration"] == ["ours"]


@needs_theirs
def test_without_theirs_all_are_ours(run_here):
    """Installed and not instrumented it changes nothing."""
    told = run_here("system_metrics.py", "ours-first")
    assert [told["alone"][name] for name in sorted(SHARED)] == [["ours"]] * len(SHARED)


@needs_theirs
@pytest.mark.parametrize("order", ["ours-first", "theirs-first"])
def test_uninstrumented_theirs_nothing_is_missing_or_there_twice(run_here, order):
    """After its uninstrument its own instruments stay and go on, so the names stay its own."""
    told = run_here("system_metrics.py", order)
    assert told["theirs_uninstrumented"] == told["both"][-1]
    assert {name: who for name, who in told["theirs_uninstrumented"].items() if len(who) > 1} == {}


@needs_theirs
def test_what_it_leaves_out_is_ours(run_here):
    """A metric that it is configured not to publish comes from us."""
    told = run_here(
        "system_metrics.py", "theirs-first", env={"OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS": "cpython.*"}
    )
    shown = told["both"][-1]
    assert {name: who for name, who in shown.items() if name.startswith("cpython.")} == {
        name: ["ours"] for name in shown if name.startswith("cpython.")
    }
    assert shown["process.memory.usage"] == ["theirs"]


@pytest.fixture
def theirs(monkeypatch):
    """A module in its place, with an instance of these attributes."""

    def place(**attributes: object) -> None:
        module = ModuleType(MODULE)
        instance = SimpleNamespace(**attributes) if attributes else None
        module.SystemMetricsInstrumentor = SimpleNamespace(_instance=instance)
        monkeypatch.setitem(sys.modules, MODULE, module)

    return place


def test_looking_does_not_import_or_instantiate(monkeypatch, theirs):
    """Not imported, or imported and never used: nothing is published elsewhere."""
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    assert not published_elsewhere("process.cpu.time")
    assert MODULE not in sys.modules
    theirs()
    assert not published_elsewhere("process.cpu.time")


def test_another_version_of_theirs(theirs, monkeypatch):
    """Where its private attributes are gone, ours are published."""
    theirs(is_instrumented_by_opentelemetry=True)
    assert not published_elsewhere("process.cpu.time")
    theirs(is_instrumented_by_opentelemetry=True, _config={"process.cpu.time": None})
    assert published_elsewhere("process.cpu.time")
    assert not published_elsewhere("process.uptime")
    theirs(is_instrumented_by_opentelemetry=False, _config={"process.cpu.time": None})
    assert not published_elsewhere("process.cpu.time")
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))
    assert not published_elsewhere("process.cpu.time")
