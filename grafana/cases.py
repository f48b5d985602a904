"""Cases for the alerts: the series of a process, when the alert fires, and what its description says then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PROCESS: Final = {"job": "python", "service_name": "shop", "instance": "a:9464", "process_pid": "7"}
INSTANCE: Final = {key: PROCESS[key] for key in ("job", "service_name", "instance")}
SERVICE: Final = {key: PROCESS[key] for key in ("job", "service_name")}


@dataclass(frozen=True, slots=True)
class Case:
    """Series of a process, the first minute at which the alert fires, and the value that its description shows then.

    ``also``: minutes and the alerts that fire then, all of them; what is not named must be silent.
    """

    alert: str
    fires_min: int
    shown: str
    labels: dict[str, str]
    inputs: tuple[tuple[str, str], ...]
    step_min: int = 1
    quiet_at_min: tuple[int, ...] = ()
    title: str = ""
    also: dict[int, tuple[str, ...]] = field(default_factory=dict)


def of(name: str, values: str, **more: str) -> tuple[str, str]:
    """A series of the process, and its values."""
    labels = ", ".join(f'{key}="{value}"' for key, value in {**PROCESS, **more}.items())
    return f"{name}{{{labels}}}", values


_CGROUP: Final = {"process_memory_limit_source": "cgroup-v2"}
FULL: Final = {"cpython_gc_generation": "2"}
_LIMIT: Final = of("process_memory_limit_bytes", "1000000000x120", **_CGROUP)
_OLD: Final = of("process_uptime_seconds", "36000+300x120")
DURATION: Final = "cpython_gc_duration_seconds"


def ended(reason: str, values: str) -> tuple[str, str]:
    """A series of the service's deaths, and its values."""
    return (
        f'gc_otel_process_ended_total{{job="python", service_name="shop", instance="a:9464", reason="{reason}"}}',
        values,
    )


def _end(alert: str, reason: str) -> Case:
    """Two processes end so in the eleventh minute; a quarter of an hour later all is quiet."""
    inputs = (ended(reason, "0x10 2x40"), ended("clean exit", "0+9x50"))
    return Case(alert, 11, "2", {**SERVICE, "reason": reason}, inputs, quiet_at_min=(26,), title="and ends by itself")


CASES: Final = (
    Case(
        "PythonMemoryNearLimit",
        16,
        "95%",
        INSTANCE,
        (_LIMIT, of("process_memory_usage_bytes", "800000000x10 950000000x30")),
    ),
    Case(
        "PythonMemoryNearLimit",
        16,
        "95%",
        INSTANCE,
        (
            _LIMIT,
            of("process_memory_usage_bytes", "500000000x40"),
            of("process_memory_pss_bytes", "400000000x10 475000000x30"),
            of("process_memory_usage_bytes", "500000000x40", process_pid="8"),
            of("process_memory_pss_bytes", "400000000x10 475000000x30", process_pid="8"),
        ),
        title="two workers share a limit, and pages",
    ),
    Case(
        "PythonMemoryNearLimit",
        16,
        "95%",
        INSTANCE,
        (
            _LIMIT,
            of("process_memory_usage_bytes", "900000000x10 990000000x30", otel_scope_name="another"),
            of("process_memory_pss_bytes", "800000000x10 950000000x30", otel_scope_name="gc_otel"),
        ),
        title="another instrumentation publishes RSS, and nothing is counted twice",
    ),
    Case(
        "PythonMemoryWillReachLimit",
        395,
        "103.5%",
        INSTANCE,
        (_LIMIT, _OLD, of("process_memory_usage_bytes", "400000000+5000000x120")),
        step_min=5,
        also={505: ("PythonMemoryWillReachLimit",), 510: ("PythonMemoryNearLimit",)},
        title="and hands over to the critical one",
    ),
    Case(
        "PythonMemoryGrowing",
        820,
        "11.44MiB",
        INSTANCE,
        (
            of("process_memory_usage_bytes", "200000000+2000000x90"),
            of("cpython_memory_allocated_blocks", "1000000+10000x90"),
            of("process_uptime_seconds", "0+600x90"),
        ),
        step_min=10,
        also={820: ("PythonMemoryGrowing",)},
        title="and alerts about a limit are silent where none is known",
    ),
    Case(
        "PythonMemoryGrowthUnattributed",
        820,
        "11.44MiB",
        INSTANCE,
        (
            of("process_memory_usage_bytes", "200000000+2000000x90"),
            of("cpython_memory_allocated_blocks", "1000000x90"),
            of("process_uptime_seconds", "0+600x90"),
        ),
        step_min=10,
        also={820: ("PythonMemoryGrowthUnattributed",)},
        title="and alerts about a limit are silent where none is known",
    ),
    Case(
        "PythonMemoryGrewAfterDeploy",
        1790,
        "150%",
        SERVICE,
        (
            of("process_memory_usage_bytes", "200000000x156 300000000x50"),
            of("process_uptime_seconds", "172800+600x156 0+600x50"),
        ),
        step_min=10,
    ),
    Case(
        "PythonAddressSpaceNearLimit",
        16,
        "95%",
        PROCESS,
        (
            of("process_memory_limit_bytes", "1000000000x60", process_memory_limit_source="rlimit-as"),
            of("process_memory_virtual_bytes", "800000000x10 950000000x30"),
        ),
    ),
    Case(
        "PythonGcTimeCritical",
        19,
        "30%",
        PROCESS,
        (of(f"{DURATION}_sum", "1000x10 1018+18x60", **FULL),),
    ),
    Case(
        "PythonGcTimeHigh",
        23,
        "15%",
        PROCESS,
        (of(f"{DURATION}_sum", "1000x10 1009+9x29 1288+18x60", **FULL),),
        also={47: ("PythonGcTimeHigh",), 48: ("PythonGcTimeCritical",)},
        title="and hands over to the critical one",
    ),
    Case(
        "PythonGcPauseLong",
        67,
        "496ms",
        SERVICE,
        (
            of(f"{DURATION}_bucket", "0+60x60 3600x30", **FULL, le="0.1"),
            of(f"{DURATION}_bucket", "0+60x91", **FULL, le="0.5"),
            of(f"{DURATION}_bucket", "0+60x91", **FULL, le="+Inf"),
        ),
    ),
    Case(
        "PythonGcPausesVeryLong",
        39,
        "34.62",
        SERVICE,
        (
            of(f"{DURATION}_bucket", "1000+600x120", **FULL, le="0.1"),
            of(f"{DURATION}_bucket", "1000+600x120", **FULL, le="0.5"),
            of(f"{DURATION}_bucket", "1000+600x30 19603+603x90", **FULL, le="+Inf"),
        ),
    ),
    Case(
        "PythonGcFullCollectionStorm",
        23,
        "1",
        PROCESS,
        (
            of("cpython_gc_collections_total", "0x10 60+60x60", **FULL),
            of(f"{DURATION}_sum", "0x10 3+3x60", **FULL),
        ),
    ),
    Case(
        "PythonGcExplicitCollections",
        28,
        "2",
        PROCESS,
        (
            of("cpython_gc_explicit_collections_total", "0x10 120+120x60", **FULL),
            of(f"{DURATION}_sum", "0x10 3+3x60", **FULL),
        ),
    ),
    Case(
        "PythonGcUncollectableGrowing",
        16,
        "5",
        PROCESS,
        (of("cpython_gc_uncollectable_objects_total", "0x10 5x60", **FULL),),
    ),
    Case("PythonGcDisabled", 41, "", PROCESS, (of("cpython_gc_enabled", "1x10 0x60"),)),
    Case(
        "PythonGcDisabled",
        41,
        "",
        PROCESS,
        (of("cpython_gc_enabled_ratio", "1x10 0x60"),),
        title="under its OTLP name",
    ),
    _end("PythonProcessOomKilled", "OOM kill"),
    _end("PythonProcessKilled", "SIGKILL, cause unknown"),
    _end("PythonProcessCrashed", "signal SIGSEGV"),
    Case(
        "PythonProcessesEndBadly",
        12,
        "3",
        SERVICE,
        (
            ended("unhandled exception", "0x10 1x30"),
            ended("exit code 1", "0x11 2x30"),
            ended("signal SIGTERM", "0+5x40"),
            ended("clean exit", "0+5x40"),
        ),
        title="and not by stops that were asked for",
    ),
    Case(
        "PythonProcessRestartLoop",
        18,
        "3",
        PROCESS,
        (of("process_uptime_seconds", "0+60x5 0+60x5 0+60x5 0+60x20"),),
    ),
    Case(
        "GcOtelMetricsAbsent",
        70,
        "",
        SERVICE,
        (of("process_uptime_seconds", "0+60x30 _x120"),),
        quiet_at_min=(100,),
    ),
    Case(
        "GcOtelEventsDropped",
        37,
        "10%",
        SERVICE,
        (
            of("gc_otel_events_dropped_total", "0x20 6+6x60", reason="limit"),
            of("gc_otel_events_dropped_total", "0+30x80", reason="self"),
            of("cpython_gc_collections_total", "0+60x80", **FULL),
        ),
    ),
    Case(
        "GcOtelExporterFaults",
        11,
        "1",
        {"job": "python", "instance": "a:9464"},
        (('gc_otel_exporter_faults_total{job="python", instance="a:9464"}', "0x10 1x40"),),
    ),
    Case(
        "GcOtelOverheadHigh",
        41,
        "5%",
        PROCESS,
        (of("gc_otel_overhead_time_seconds_total", "100x20 103+3x60", component="collect"),),
    ),
)

#: Without thresholds.yaml.
MISSING: Final = Case("GcOtelThresholdMissing", 15, "", {}, (of("process_uptime_seconds", "0+60x60"),))
