"""The table of metrics: what it says, and what it reads from a snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import (
    cpu_attributes,
    cpython_attributes,
    process_attributes,
    system_attributes,
)
from opentelemetry.semconv._incubating.metrics import cpython_metrics, process_metrics

from gc_otel.flight import layout
from gc_otel.flight.snapshot import Snapshot
from gc_otel.otel.catalog import CATALOG, DURATION, DURATION_BOUNDS_S, dropped

GENERATION = ("cpython.gc.generation",)
GOLDEN = [
    ("cpython.gc.collections", "counter", "{collection}", GENERATION),
    ("cpython.gc.duration", "histogram", "s", GENERATION),
    ("cpython.gc.collected_objects", "counter", "{object}", GENERATION),
    ("cpython.gc.uncollectable_objects", "counter", "{object}", GENERATION),
    ("cpython.gc.explicit_collections", "counter", "{collection}", GENERATION),
    ("cpython.gc.threshold", "gauge", "{count}", GENERATION),
    ("cpython.gc.pending", "gauge", "{count}", GENERATION),
    ("cpython.gc.enabled", "gauge", "1", ()),
    ("cpython.gc.garbage", "gauge", "{object}", ()),
    ("cpython.gc.cycles", "counter", "{cycle}", ("cpython.gc.cycle",)),
    ("cpython.heap.objects", "gauge", "{object}", ("cpython.type",)),
    ("cpython.heap.size", "gauge", "By", ("cpython.type",)),
    ("cpython.heap.unattributed", "gauge", "By", ()),
    ("gc_otel.census.duration", "gauge", "s", ()),
    ("cpython.memory.allocated_blocks", "gauge", "{block}", ()),
    ("process.memory.usage", "updowncounter", "By", ()),
    ("process.memory.virtual", "updowncounter", "By", ()),
    ("process.memory.uss", "updowncounter", "By", ()),
    ("process.memory.pss", "updowncounter", "By", ()),
    ("process.memory.swap", "updowncounter", "By", ()),
    ("process.memory.limit", "updowncounter", "By", ("process.memory.limit.source",)),
    ("process.cpu.time", "counter", "s", ("cpu.mode",)),
    ("process.thread.count", "updowncounter", "{thread}", ()),
    ("process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", ()),
    ("process.context_switches", "counter", "{context_switch}", ("process.context_switch.type",)),
    ("process.paging.faults", "counter", "{fault}", ("system.paging.fault.type",)),
    ("process.uptime", "gauge", "s", ()),
    ("gc_otel.overhead.time", "counter", "s", ("component",)),
    ("gc_otel.events.dropped", "counter", "{event}", ("reason",)),
    (
        "gc_otel.recorder.info",
        "gauge",
        "1",
        ("gc_otel.version", "gc_otel.recorder", "gc_otel.duration.clock", "cpython.gc.mode"),
    ),
]
#: What a process that has not been sampled yet can tell all the same.
UNSAMPLED = {
    "cpython.gc.collections",
    "cpython.gc.collected_objects",
    "cpython.gc.uncollectable_objects",
    "cpython.gc.explicit_collections",
    "process.uptime",
    "gc_otel.overhead.time",
    "gc_otel.events.dropped",
    "gc_otel.recorder.info",
}
STARTED_S_AGO = 100.0
OVERHEAD_S = {"recorder": 3e-6, "monitor": 4e-6, "collect": 5e-6, "census": 6e-6, "cycles": 7e-6, "measure": 8e-6}


def read(snapshot: Snapshot) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    return {
        metric.name: [(value, dict(attributes)) for value, attributes in metric.read(snapshot)] for metric in CATALOG
    }


def test_golden():
    """Names, kinds, units and attributes are as released: dashboards depend on every one of them."""
    assert [(metric.name, metric.kind, metric.unit, metric.attributes) for metric in CATALOG] == GOLDEN


def test_names_are_unique_and_described():
    """No two rows have one name, and each says what it means."""
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)
    assert all(metric.description.endswith(".") for metric in CATALOG)


def test_only_the_histogram_is_fed_apart(full):
    """There is one histogram; its bounds are the recorder's, in seconds."""
    assert [metric for metric in CATALOG if metric.kind == "histogram"] == [DURATION]
    assert DURATION_BOUNDS_S == (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 2.5e-2, 0.1, 0.5, 2.5, 10.0)
    assert list(DURATION.read(full)) == []


@pytest.fixture
def full(full_snapshot) -> Snapshot:
    return full_snapshot


def test_a_full_snapshot_gives_every_metric(full):
    """Each metric has points, with exactly the attributes that its row names, and no two alike."""
    for metric in CATALOG:
        if metric is DURATION:
            continue
        points = [attributes for _, attributes in metric.read(full)]
        assert points, metric.name
        assert {tuple(attributes) for attributes in points} == {metric.attributes}, metric.name
        assert len({tuple(attributes.values()) for attributes in points}) == len(points), metric.name


def test_values_of_a_full_snapshot(full):
    """Each number comes from its own field, in its own unit."""
    values = read(full)
    uptime_s = values.pop("process.uptime")[0][0]
    assert STARTED_S_AGO <= uptime_s < STARTED_S_AGO + 60
    per_generation = {
        "cpython.gc.collections": (10, 11, 12),
        "cpython.gc.explicit_collections": (20, 21, 22),
        "cpython.gc.collected_objects": (30, 31, 32),
        "cpython.gc.uncollectable_objects": (40, 41, 42),
        "cpython.gc.threshold": (700, 10, 9),
        "cpython.gc.pending": (121, 2, 1),
    }
    for name, row in per_generation.items():
        assert values.pop(name) == [(value, {"cpython.gc.generation": number}) for number, value in enumerate(row)]
    for name in ("cpython.heap.objects", "cpython.heap.size", "cpython.gc.cycles"):
        assert len(values.pop(name)) == 2  # see below
    single = {
        "cpython.gc.garbage": 3,
        "cpython.heap.unattributed": 500,
        "gc_otel.census.duration": 0.0014,
        "cpython.gc.enabled": 1,
        "cpython.memory.allocated_blocks": 120,
        "process.memory.usage": 101,
        "process.memory.virtual": 102,
        "process.memory.uss": 103,
        "process.memory.pss": 104,
        "process.memory.swap": 105,
        "process.thread.count": 107,
        "process.unix.file_descriptor.count": 108,
    }
    for name, value in single.items():
        assert values.pop(name) == [(value, {})], name
    assert values.pop("process.memory.limit") == [(106, {"process.memory.limit.source": "cgroup_v2"})]
    split = {
        "process.cpu.time": ("cpu.mode", {"user": 1.5, "system": 0.25}),
        "process.context_switches": ("process.context_switch.type", {"voluntary": 109, "involuntary": 110}),
        "process.paging.faults": ("system.paging.fault.type", {"minor": 111, "major": 112}),
        "gc_otel.overhead.time": ("component", OVERHEAD_S),
        "gc_otel.events.dropped": ("reason", {"self": 130, "limit": 131, "no_start": 3, "unseen": 6}),
    }
    for name, (attribute, by_value) in split.items():
        assert values.pop(name) == [
            (pytest.approx(value, rel=1e-12), {attribute: each}) for each, value in by_value.items()
        ]
    ((info, attributes),) = values.pop("gc_otel.recorder.info")
    assert info == 1
    assert attributes["gc_otel.recorder"] == "native"
    assert attributes["gc_otel.duration.clock"] == "monotonic"
    assert attributes["cpython.gc.mode"] == "generational"
    assert values == {"cpython.gc.duration": []}


def test_nothing_is_invented_before_the_first_sample(full):
    """What only a sample can tell is absent, not zero."""
    snapshot = replace(full, interpreter=None, memory=None, census=None, cycles=None, measured=None)
    assert {name for name, points in read(snapshot).items() if points} == UNSAMPLED
    assert dropped(snapshot)["unseen"] == 0
    spent = {attributes["component"]: value for value, attributes in read(snapshot)["gc_otel.overhead.time"]}
    assert [spent[component] for component in ("monitor", "census", "cycles", "measure")] == [0] * 4


def test_an_unknown_number_is_absent(full):
    """One field that the system does not tell takes away its own points only."""
    memory = replace(full.memory, uss_bytes=None, cpu_system_ns=None, limit_bytes=None, major_faults=None)
    points = read(replace(full, memory=memory))
    assert points["process.memory.uss"] == points["process.memory.limit"] == []
    assert [attributes for _, attributes in points["process.cpu.time"]] == [{"cpu.mode": "user"}]
    assert points["process.paging.faults"] == [(111, {"system.paging.fault.type": "minor"})]
    assert points["process.memory.usage"] == [(101, {})]


def test_reasons_and_components_are_the_flight_file_s(full):
    """The words in the attributes are those that the layout defines."""
    assert tuple(dropped(full)) == layout.DROP_REASONS
    components = [attributes["component"] for _, attributes in read(full)["gc_otel.overhead.time"]]
    assert tuple(components) == layout.OVERHEAD_COMPONENTS


class Asked:
    """A meter that only notes what it was asked for."""

    def __getattr__(self, create: str) -> Any:
        def note(name: str, unit: str, description: str, callbacks: Any = None) -> tuple[str, str, str]:
            return name, create.removeprefix("create_").removeprefix("observable_").replace("_", ""), unit

        return note


def convention(name: str) -> tuple[str, str, str] | None:
    """Name, kind and unit by the semantic conventions, or None where they have none."""
    function = "create_" + name.replace(".", "_")
    for module in (cpython_metrics, process_metrics):
        create = getattr(module, function, None)
        if create is not None:
            return create(Asked(), []) if create.__code__.co_argcount == 2 else create(Asked())
    return None


@pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)
def test_semantic_conventions(metric):
    """Marked metrics have the conventions' name, kind and unit; unmarked ones are in no convention."""
    expected = (metric.name, metric.kind, metric.unit) if metric.semconv else None
    assert convention(metric.name) == expected


def test_semantic_attributes():
    """Attributes and their values are the conventions' where they have them."""
    attributes = {attribute for metric in CATALOG if metric.semconv for attribute in metric.attributes}
    assert attributes == {
        cpython_attributes.CPYTHON_GC_GENERATION,
        cpu_attributes.CPU_MODE,
        process_attributes.PROCESS_CONTEXT_SWITCH_TYPE,
        system_attributes.SYSTEM_PAGING_FAULT_TYPE,
    }
    assert {each.value for each in process_attributes.ProcessContextSwitchTypeValues} == {"voluntary", "involuntary"}
    assert {each.value for each in system_attributes.SystemPagingFaultTypeValues} == {"minor", "major"}
    assert {each.value for each in cpython_attributes.CPythonGCGenerationValues} == {0, 1, 2}
    assert {each.value for each in cpu_attributes.CpuModeValues} >= {"user", "system"}


def test_types_add_up_to_the_totals(full):
    """A type with a series under its name, all others as other; before the first census nothing."""
    points = read(full)
    assert points["cpython.heap.objects"] == [(20, {"cpython.type": "shop.Session"}), (70, {"cpython.type": "other"})]
    assert points["cpython.heap.size"] == [
        (2_000, {"cpython.type": "shop.Session"}),
        (7_500, {"cpython.type": "other"}),
    ]
    assert points["cpython.heap.unattributed"] == [(500, {})]
    assert points["gc_otel.census.duration"] == [(0.0014, {})]
    waiting = read(replace(full, census=replace(full.census, taken_ns=0)))
    assert (waiting["cpython.heap.size"], waiting["cpython.heap.unattributed"]) == ([], [])
    assert waiting["cpython.gc.garbage"] == [(3, {})]


def test_cycles_never_fall(full):
    """What a signature had before its series stays with the others; where nothing is sampled nothing is said."""
    assert read(full)["cpython.gc.cycles"] == [
        (250, {"cpython.gc.cycle": "shop.Node -> dict"}),
        (270, {"cpython.gc.cycle": "other"}),
    ]
    assert read(replace(full, cycles=replace(full.cycles, state="off")))["cpython.gc.cycles"] == []
