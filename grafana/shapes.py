"""A day and a half of healthy memory in eight shapes, and two that leak: what the alerts must be silent on, and what not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STEP_MINUTES: Final = 5
HOURS: Final = 36
LIMIT_BYTES: Final = 1_000_000_000
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """Resident memory in MB at an hour, and the age of the process then, in hours."""

    name: str
    rss_mb: Callable[[float], float]
    age_h: Callable[[float], float]
    raises: tuple[str, ...] = ()


def _old(hour: float) -> float:
    return hour + 48


def _warm(hour: float) -> float:
    return 720 - 420 * math.exp(-hour / 1.2)


def _jobs(hour: float) -> float:
    return 420 + (320 if hour % 3 < 2 / 3 else 0)


#: Full enough for the level's gate to be open: a low level would be silent for another reason.
HEALTHY: Final = (
    Shape("flat", lambda _: 700, _old),
    Shape("warm-up", _warm, lambda hour: hour),
    Shape("sawtooth", lambda hour: 420 + 380 * (hour % 3) / 3, _old),
    Shape("step", lambda hour: 450 if hour < 16 else 700, _old),
    Shape("jobs", _jobs, _old),
    Shape(
        "restart",
        lambda hour: _warm(hour + 9 if hour < 16 else hour - 16),
        lambda hour: hour + 9 if hour < 16 else hour - 16,
    ),
    Shape("diurnal", lambda hour: 560 + 160 * math.sin(2 * math.pi * hour / 24), _old),
    Shape("cache-that-fills", lambda hour: 350 + 380 * (1 - math.exp(-hour / 6)), lambda hour: hour),
)

_ALL_OF_MEMORY: Final = ("PythonMemoryGrowing", "PythonMemoryNearLimit", "PythonMemoryWillReachLimit")

#: The same checks must be able to fail.
LEAKING: Final = (
    Shape("leak", lambda hour: min(250 + 40 * max(0, hour - 12), 985), _old, _ALL_OF_MEMORY),
    Shape("slow-leak-under-a-sawtooth", lambda hour: 250 + 11 * hour + 60 * (hour % 1), _old, ("PythonMemoryGrowing",)),
)


def values(of: Callable[[float], float], scale: float = 1) -> str:
    """Promtool's list of values, a step apart."""
    steps = HOURS * 60 // STEP_MINUTES
    return " ".join(f"{round(of(step * STEP_MINUTES / 60) * scale)}" for step in range(steps + 1))


def series(shape: Shape) -> list[tuple[str, str]]:
    """Series and values of a process with this memory, and with a collector that does nothing remarkable."""
    steps = HOURS * 60 // STEP_MINUTES
    who = f'job="python", service_name="{shape.name}", instance="{shape.name}:9464", process_pid="7"'
    generation = 'cpython_gc_generation="2"'

    def steady(start: float, each: float) -> str:
        return f"{start:g}+{each:g}x{steps}"

    return [
        (f"process_memory_usage_bytes{{{who}}}", values(shape.rss_mb, _MB)),
        (f'process_memory_limit_bytes{{{who}, process_memory_limit_source="cgroup-v2"}}', steady(LIMIT_BYTES, 0)),
        (f"cpython_memory_allocated_blocks{{{who}}}", values(shape.rss_mb, _MB / 200)),
        (f"process_uptime_seconds{{{who}}}", values(shape.age_h, 3600)),
        (f"cpython_gc_enabled{{{who}}}", steady(1, 0)),
        (f"cpython_gc_collections_total{{{who}, {generation}}}", steady(0, 10)),
        (f"cpython_gc_explicit_collections_total{{{who}, {generation}}}", steady(0, 0)),
        (f"cpython_gc_uncollectable_objects_total{{{who}, {generation}}}", steady(0, 0)),
        (f"cpython_gc_duration_seconds_sum{{{who}, {generation}}}", steady(0, 0.4)),
        *(
            (f'cpython_gc_duration_seconds_bucket{{{who}, {generation}, le="{le}"}}', steady(0, count))
            for le, count in (("0.025", 0), ("0.1", 10), ("+Inf", 10))
        ),
        (f'gc_otel_events_dropped_total{{{who}, reason="self"}}', steady(0, 1)),
        (f'gc_otel_overhead_time_seconds_total{{{who}, component="monitor"}}', steady(0, 0.01)),
    ]
