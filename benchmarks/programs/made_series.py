"""made_series.py PROCESSES MINUTES: OpenMetrics text of a fleet that never was, as the exporter service would show it.

Processes are spread over services and targets as a fleet's are: ten to a target, forty to a service.  Everything is a
function of the arguments.  Every metric of the catalogue is there, with as many series as it has at most.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from gc_otel.otel.catalog import CATALOG, DURATION_BOUNDS_S, Metric
from gc_otel.otel.service_catalog import SERVICE_CATALOG

STEP_S = 60
PER_TARGET, PER_SERVICE = 10, 40
VALUES = {
    "cpython.gc.generation": ("0", "1", "2"),
    "process.memory.limit.source": ("cgroup-v2",),
    "cpu.mode": ("user", "system"),
    "process.context_switch.type": ("voluntary", "involuntary"),
    "system.paging.fault.type": ("minor", "major"),
    "component": ("recorder", "monitor", "collect", "census", "cycles", "measure"),
    "cpython.type": (*(f"app.models.Type{number}" for number in range(10)), "other"),
    "cpython.gc.cycle": (*(f"app.Node{number} -> dict" for number in range(10)), "other"),
    "gc_otel.version": ("0.1.0",),
    "gc_otel.recorder": ("native",),
    "gc_otel.duration.clock": ("monotonic",),
    "cpython.gc.mode": ("generational",),
}
REASONS = {
    "gc_otel.events.dropped": ("self", "limit", "no_start", "unseen"),
    "gc_otel.process.ended": ("clean exit", "OOM kill", "SIGKILL, cause unknown", "signal SIGTERM", "exit code 1"),
}
UNITS = {"s": "_seconds", "By": "_bytes"}
#: What each is about, where it is more than a few; bytes, seconds or a rate of a second.
LEVELS = {
    "process.memory.limit": 1 << 30,
    "process.memory.virtual": 1 << 30,
    "cpython.memory.allocated_blocks": 1_500_000,
    "cpython.heap.size": 10 << 20,
    "cpython.heap.objects": 100_000,
    "cpython.gc.enabled": 1,
}


def label_sets(metric: Metric) -> list[dict[str, str]]:
    """Every combination of its attributes' values."""
    found: list[dict[str, str]] = [{}]
    for attribute in metric.attributes:
        values = REASONS.get(metric.name, ()) if attribute == "reason" else VALUES.get(attribute, ("one",))
        found = [{**labels, attribute.replace(".", "_"): value} for labels in found for value in values]
    return found


def name_of(metric: Metric) -> str:
    """As the exporter writes it, a counter without its suffix."""
    base, unit = metric.name.replace(".", "_"), UNITS.get(metric.unit, "")
    return base if base.endswith(unit) else base + unit


def generate(processes: int, minutes: int) -> Iterator[str]:
    """Lines, one metric after the other."""
    everybody = [_identity(number) for number in range(processes)]
    services = list({(each["service_name"], each["instance"]) for each in everybody})
    whose = [{"job": "python", "service_name": name, "instance": instance} for name, instance in sorted(services)]
    for metric in CATALOG:
        yield from _family(metric, everybody, minutes)
    for metric in SERVICE_CATALOG:
        yield from _family(metric, whose, minutes)
    info = {"service_version": "1.0.0", "process_runtime_version": "3.13.1"}
    for labels in everybody:
        yield from _series("target_info", {**labels, **info}, lambda minute: 1.0, minutes)
    yield "# EOF"


def _identity(number: int) -> dict[str, str]:
    return {
        "job": "python",
        "service_name": f"service-{number // PER_SERVICE}",
        "instance": f"10.0.{number // PER_TARGET // 250}.{number // PER_TARGET % 250}:9464",
        "process_pid": str(100 + number),
    }


def _family(metric: Metric, whose: list[dict[str, str]], minutes: int) -> Iterator[str]:
    name = name_of(metric)
    for labels in whose:
        chance = random.Random(f"{name}{labels}")
        for own in label_sets(metric):
            every = {**labels, **own}
            if metric.kind == "histogram":
                yield from _histogram(name, every, chance.uniform(0.5, 4), minutes)
            elif metric.kind == "counter":
                rate = chance.uniform(0.01, 2) * (0 if "reason" in own else 1)
                yield from _series(f"{name}_total", every, lambda m, rate=rate: m * STEP_S * rate, minutes)
            else:
                level = LEVELS.get(metric.name, 1 << 28 if metric.unit == "By" else 40_000) * chance.uniform(0.5, 1)
                wave = chance.uniform(0, 60)
                value = (
                    (lambda m: 1.0) if metric.unit == "1" else (lambda m, a=level, w=wave: a * (1 + (m + w) % 60 / 300))
                )
                yield from _series(name, every, value, minutes)


def _histogram(name: str, labels: dict[str, str], rate: float, minutes: int) -> Iterator[str]:
    most = len(DURATION_BOUNDS_S)
    for position, bound in enumerate((*DURATION_BOUNDS_S, float("inf"))):
        share, le = min(1.0, (position + 1) / (most - 3)), "+Inf" if bound == float("inf") else f"{bound:g}"
        yield from _series(f"{name}_bucket", {**labels, "le": le}, lambda m, s=share: m * STEP_S * rate * s, minutes)
    yield from _series(f"{name}_count", labels, lambda m: m * STEP_S * rate, minutes)
    yield from _series(f"{name}_sum", labels, lambda m: m * STEP_S * rate * 0.004, minutes)


def _series(name: str, labels: dict[str, str], value, minutes: int) -> Iterator[str]:
    text = ",".join(f'{key}="{each}"' for key, each in labels.items())
    for minute in range(minutes + 1):
        yield f"{name}{{{text}}} {value(minute):.6g} {BEGIN_UNIX_S + minute * STEP_S}"


BEGIN_UNIX_S = 1_790_000_000

if __name__ == "__main__":
    for line in generate(int(sys.argv[1]), int(sys.argv[2])):
        print(line)
