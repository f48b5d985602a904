"""Our metrics as the OpenTelemetry Prometheus exporter writes them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry, exposition
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser

from gc_otel import _native
from gc_otel.flight.recorder import gc_mode

SCOPE_LABELS = {"otel_scope_name", "otel_scope_version", "otel_scope_schema_url"}
GENERATION = {"cpython_gc_generation"}
SERIES_MOST = 150

#: Family (without _total), type, our own labels, series a process has at most.
GOLDEN = {
    "cpython_gc_duration_seconds": ("histogram", GENERATION | {"le"}, 45),
    "cpython_gc_collections": ("counter", GENERATION, 3),
    "cpython_gc_collected_objects": ("counter", GENERATION, 3),
    "cpython_gc_uncollectable_objects": ("counter", GENERATION, 3),
    "cpython_gc_explicit_collections": ("counter", GENERATION, 3),
    "cpython_gc_threshold": ("gauge", GENERATION, 3),
    "cpython_gc_pending": ("gauge", GENERATION, 3),
    "cpython_gc_enabled": ("gauge", set(), 1),
    "cpython_gc_garbage": ("gauge", set(), 1),
    "cpython_memory_allocated_blocks": ("gauge", set(), 1),
    "process_memory_usage_bytes": ("gauge", set(), 1),
    "process_memory_virtual_bytes": ("gauge", set(), 1),
    "process_memory_uss_bytes": ("gauge", set(), 1),
    "process_memory_pss_bytes": ("gauge", set(), 1),
    "process_memory_swap_bytes": ("gauge", set(), 1),
    "process_memory_limit_bytes": ("gauge", {"process_memory_limit_source"}, 1),
    "process_cpu_time_seconds": ("counter", {"cpu_mode"}, 2),
    "process_thread_count": ("gauge", set(), 1),
    "process_unix_file_descriptor_count": ("gauge", set(), 1),
    "process_context_switches": ("counter", {"process_context_switch_type"}, 2),
    "process_paging_faults": ("counter", {"system_paging_fault_type"}, 2),
    "process_uptime_seconds": ("gauge", set(), 1),
    "gc_otel_overhead_time_seconds": ("counter", {"component"}, 6),
    "gc_otel_events_dropped": ("counter", {"reason"}, 4),
    "gc_otel_recorder_info": (
        "gauge",
        {"gc_otel_version", "gc_otel_recorder", "gc_otel_duration_clock", "cpython_gc_mode"},
        1,
    ),
}
if _native.load()[0] is not None and gc_mode() == "generational":  # where cycles are sampled
    GOLDEN["cpython_gc_cycles"] = ("counter", {"cpython_gc_cycle"}, 1)


@pytest.fixture
def registry(instrumentor, provider_with, wait_for_sample) -> CollectorRegistry:
    """A registry with our metrics only: every generation collected, every source sampled."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    instrumentor.instrument(meter_provider=provider_with(reader), sample_interval=0.1)
    for generation in range(3):
        gc.collect(generation)
    wait_for_sample()
    return registry


def lines(page: str) -> list[str]:
    return [line for line in page.splitlines() if line and not line.startswith("#")]


def families(parse: Callable[[str], Any], page: str) -> dict[str, tuple[str, set[str], int]]:
    return {
        family.name.removesuffix("_total"): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - SCOPE_LABELS,
            len(family.samples),
        )
        for family in parse(page)
    }


def test_series_of_a_process(registry):
    """A process has at most 150 series, every line of the histogram counted."""
    count = len(lines(exposition.generate_latest(registry).decode()))
    assert count <= SERIES_MOST
    assert count == sum(series for _, _, series in GOLDEN.values())


def test_the_text_format(registry):
    """The page parses, with the families, types, labels and series that dashboards are made for."""
    page = exposition.generate_latest(registry).decode()
    assert families(text_parser.text_string_to_metric_families, page) == GOLDEN


def test_openmetrics(registry):
    """So it does in the OpenMetrics format, whose parser is strict about units and suffixes."""
    page = openmetrics_exposition.generate_latest(registry).decode()
    assert families(openmetrics_parser.text_string_to_metric_families, page) == GOLDEN


def test_every_series_says_whose_it_is(registry):
    """Our scope is on every line."""
    page = exposition.generate_latest(registry).decode()
    assert all('otel_scope_name="gc_otel"' in line for line in lines(page))


def test_names_on_the_page(registry):
    """Counters end in _total, and every family has help and a type."""
    page = exposition.generate_latest(registry).decode()
    counters = {name for name, (kind, _, _) in GOLDEN.items() if kind == "counter"}
    for name in GOLDEN:
        shown = name + "_total" if name in counters else name
        assert f"# TYPE {shown} " in page
        assert f"# HELP {shown} " in page


def test_bounds_on_the_page(registry):
    """The histogram's le labels are our bounds."""
    page = exposition.generate_latest(registry).decode()
    (family,) = [
        each for each in text_parser.text_string_to_metric_families(page) if each.name == "cpython_gc_duration_seconds"
    ]
    bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
    expected = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 2.5e-2, 0.1, 0.5, 2.5, 10.0, float("inf")]
    assert sorted(map(float, bounds)) == expected
