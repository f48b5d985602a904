"""Providers with readers in memory, the instrumentor with its singleton put back, and an OTLP receiver."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

import gc_otel
from gc_otel.flight import layout
from gc_otel.flight import reader as flight_reader
from gc_otel.flight.heap_snapshot import CycleSample, CycleSignature, HeapCensus, HeapType, Measured
from gc_otel.flight.snapshot import Collector, GenerationStats, Identity, Interpreter, Memory, Published, Snapshot
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.probe import probe

PROGRAMS = Path(__file__).parent / "programs"
_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])


def _is_setting(name: str) -> bool:
    return name.startswith(("OTEL_", "PYTHON", "GC_OTEL_")) and name not in ("GC_OTEL_DIR", "GC_OTEL_DIR_ON_DISK")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Collected:
    """One collect of ours: metrics by name, points by attributes."""

    def __init__(self, data: MetricsData | None, scope: str = "gc_otel") -> None:
        scopes = [each for resource in (data.resource_metrics if data else ()) for each in resource.scope_metrics]
        self.metrics = {
            metric.name: metric
            for each in scopes
            if each.scope.name == scope
            for metric in each.metrics
            if metric.data.data_points
        }

    @property
    def names(self) -> set[str]:
        return set(self.metrics)

    def points(self, name: str) -> list[Any]:
        return list(self.metrics[name].data.data_points) if name in self.metrics else []

    def values(self, name: str) -> dict[Any, float]:
        """Value by the only attribute's value, or by None where there is none."""
        return {next(iter(point.attributes.values()), None): point.value for point in self.points(name)}

    def total(self, name: str) -> float:
        return sum(point.value for point in self.points(name))

    def received(self) -> int:
        """What the duration histogram has received."""
        return sum(point.count for point in self.points("cpython.gc.duration"))

    def kept_out(self) -> float:
        """Recorded collections that were left out of the histogram, and counted as dropped."""
        dropped = self.values("gc_otel.events.dropped")
        return dropped.get("self", 0) + dropped.get("limit", 0)

    def expected(self) -> float:
        """What the histogram must have received."""
        return self.total("cpython.gc.collections") - self.kept_out()


@pytest.fixture
def collect() -> Callable[..., Collected]:
    """Collect from a reader in memory; the points of our scope."""
    return lambda reader, scope="gc_otel": Collected(reader.get_metrics_data(), scope)


@pytest.fixture
def provider_with() -> Iterator[Callable[..., MeterProvider]]:
    """A provider with these readers, shut down after the test."""
    providers: list[MeterProvider] = []

    def make(*readers: Any, **options: Any) -> MeterProvider:
        providers.append(MeterProvider(list(readers), **options))
        return providers[-1]

    yield make
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def instrumentor(flight_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcInstrumentor]:
    """A GcInstrumentor of the test's own, in an environment without settings; uninstrumented afterwards."""
    for name in list(os.environ):
        if _is_setting(name):
            monkeypatch.delenv(name)
    GcInstrumentor._instance = None
    ours = GcInstrumentor()
    yield ours
    if ours.is_instrumented_by_opentelemetry:
        ours.uninstrument()
    GcInstrumentor._instance = None


@pytest.fixture
def published(
    instrumentor: GcInstrumentor, provider_with: Callable[..., MeterProvider]
) -> Callable[..., InMemoryMetricReader]:
    """Instrument a fresh provider and return its reader; options are the instrumentor's."""

    def start(**options: Any) -> InMemoryMetricReader:
        reader = InMemoryMetricReader()
        instrumentor.instrument(meter_provider=provider_with(reader), **options)
        return reader

    return start


@pytest.fixture
def small_heap() -> Iterator[None]:
    """A collection looks at the test's own objects only, so that thousands of them are cheap."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture
def program_env(flight_dir: Path) -> dict[str, str]:
    """The environment of a program under test: it finds this gc_otel, and no setting of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    path = os.pathsep.join(part for part in (_IMPORTABLE, os.environ.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": path}


@pytest.fixture
def run_here(program_env: dict[str, str]) -> Callable[..., Any]:
    """Run a script of tests/otel/programs; the JSON of its last line, and nothing on standard error."""

    def run(name: str, *args: str, env: Mapping[str, str] | None = None) -> Any:
        command = [sys.executable, str(PROGRAMS / name), *args]
        done = subprocess.run(
            command, env={**program_env, **(env or {})}, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), (
            f"{name} {args}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A small OTLP/HTTP receiver on a free port of loopback."""
    module = _load(PROGRAMS.parent / "_receiver.py")
    with module.Receiver() as started:
        yield started


@pytest.fixture
def wait_for_sample() -> Callable[[], None]:
    """Wait until the monitor of this process has made a round."""

    def wait() -> None:
        deadline_s = time.monotonic() + 20
        while flight_reader.read_interpreter(probe.current().source) is None:
            assert time.monotonic() < deadline_s, "the monitor makes no round"
            time.sleep(0.005)

    return wait


@pytest.fixture
def census() -> HeapCensus:
    """Two types, one of them with a series."""
    return HeapCensus(
        state="on",
        walker="native",
        censuses=2,
        taken_ns=2,
        previous_taken_ns=1,
        due_ns=3,
        hold_ns=1_400_000,
        cost_ns=6_000,
        sampled_every=1,
        tracked_objects=50,
        objects=90,
        size_bytes=9_500,
        previous_objects=80,
        previous_size_bytes=8_000,
        rss_bytes=10_000,
        garbage_objects=3,
        garbage=(),
        types=(
            HeapType("str", 70, 7_000, 60, 6_000, estimated=True, has_series=False),
            HeapType("shop.Session", 20, 2_000, 10, 1_000, estimated=False, has_series=True),
        ),
    )


@pytest.fixture
def cycle_sample() -> CycleSample:
    """Two signatures, one of them with a series, and some that gave way."""
    node = CycleSignature(1, "shop.Node -> dict", 4, 40, 80, 400, 9, series_base=150)
    lists = CycleSignature(2, "list", 4, 10, 10, 100, 9, series_base=None)
    return CycleSample("on", (4, 1, 0), (90, 2, 0), 0, 520, 20, 7_000, 5, (node, lists))


_STARTED_S_AGO = 100.0


def _generation(number: int) -> GenerationStats:
    none = (0,) * layout.BUCKETS
    return GenerationStats(
        collections=10 + number,
        explicit_collections=20 + number,
        collected=30 + number,
        uncollectable=40 + number,
        candidates=0,
        duration_sum_ns=0,
        duration_max_ns=0,
        no_start=1,
        buckets=none,
        bucket_sum_ns=none,
        own_buckets=none,
        own_bucket_sum_ns=none,
    )


@pytest.fixture
def full_snapshot(census, cycle_sample) -> Snapshot:
    """Every number known, and every number another one."""
    identity = Identity(
        pid=1,
        parent_pid=1,
        pid_namespace=None,
        service_name="shop",
        service_version="1",
        instance_id="",
        program="",
        python_version="3.11.0",
        recorder="native",
        duration_clock="monotonic",
        gc_mode="generational",
        state="running",
        created_unix_ns=0,
        started_unix_ns=time.time_ns() - round(_STARTED_S_AGO * 1e9),
        exited_unix_ns=None,
        monotonic_to_unix_ns=0,
    )
    memory = Memory(
        sampled_ns=1,
        rss_bytes=101,
        vms_bytes=102,
        uss_bytes=103,
        pss_bytes=104,
        swap_bytes=105,
        limit_bytes=106,
        limit_source="cgroup_v2",
        cpu_user_ns=1_500_000_000,
        cpu_system_ns=250_000_000,
        threads=107,
        file_descriptors=108,
        voluntary_switches=109,
        involuntary_switches=110,
        minor_faults=111,
        major_faults=112,
    )
    return Snapshot(
        identity=identity,
        collector=Collector(tuple(_generation(number) for number in range(3)), 33, 0, 3_000, None, (), (), torn=False),
        interpreter=Interpreter(1, 1, 120, True, (700, 10, 9), (121, 2, 1), (1, 2, 3), 4_000),
        memory=memory,
        faults=(),
        published=Published(collects=1, dropped_self=130, dropped_limit=131, overhead_ns=5_000),
        census=census,
        cycles=cycle_sample,
        measured=Measured((), 8_000),
    )
