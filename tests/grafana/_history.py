"""Twelve hours of a small fleet that never was: OpenMetrics text with a leak, a GC storm, a deploy, an OOM kill and recycling.

    python tests/grafana/_history.py END_UNIX_S > history.om

Four services behind exporter services (``process_pid`` and ``service_name`` on every series), one in library
mode (neither), and one by OTLP (neither, and ``_ratio`` behind gauges of unit 1).  Everything is a function of the end's time: the same call writes the same bytes.
"""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from gc_otel.otel.catalog import DURATION_BOUNDS_S

STEP_S = 120
#: A backfilled series has no stale marker: what follows a process begins when its last sample is no longer looked up.
GAP_S = 240
HOURS = 12
H = 3600
MIB = 1 << 20
BLOCK_BYTES = 100

#: How a generation's durations spread around their mean.
SPREAD = ((0.70, 0.6), (0.25, 1.4), (0.045, 2.6), (0.005, 6.0))


@dataclass
class Life:
    """One process: whose it is, from when to when (seconds of the history), and what it does then.

    ``rss`` and ``blocks_bytes`` are functions of age and time; ``storm`` multiplies full collections.
    """

    labels: dict[str, str]
    version: str
    born: float
    dead: float
    rss: Callable[[float, float], float]
    native: Callable[[float, float], float] = lambda age, t: 0.0
    storm: Callable[[float], float] = lambda t: 0.0
    limit: float = 512 * MIB
    enabled: Callable[[float], int] = lambda t: 1
    otlp: bool = False
    heap: float = 1.0  # how long its full collections take, beside another of its size
    kept: str = "collections.OrderedDict"  # the type that grows with the process
    cycle: str = "Request -> Context"
    end: str = "signal SIGTERM"


def warm(size_mib: float, age: float) -> float:
    """A start-up that settles within the hour."""
    return size_mib * MIB * (0.55 + 0.45 * (1 - math.exp(-age / 900)))


def day(t: float) -> float:
    """Traffic between 0.6 and 1, high in the middle of the history."""
    return 0.8 - 0.2 * math.cos(2 * math.pi * t / (HOURS * H))


def fleet() -> list[Life]:
    """Every process that lived in the twelve hours."""
    return [*_checkout(), *_catalog(), *_worker(), *_thumbs(), *_billing(), *_mailer()]


def _of(service: str, instance: str, pid: int) -> dict[str, str]:
    return {
        "cluster": "eu-1",
        "namespace": "shop",
        "job": "python",
        "service_name": service,
        "instance": instance,
        "process_pid": str(pid),
    }


def _checkout() -> Iterator[Life]:
    """Healthy; a deploy at five hours replaces every process."""
    deploy = 5 * H
    for target in (0, 1):
        for worker in (0, 1):
            for version, born, dead in (("1.8.3", -30 * H, deploy), ("1.9.0", deploy + GAP_S, math.inf)):
                pid = 20 + worker + 10 * target + (100 if born > deploy else 0)
                yield Life(
                    _of("checkout", f"10.0.0.1{target}:9464", pid),
                    version,
                    born + 60 * target,
                    dead + 60 * target,
                    lambda age, t, size=150 + 9 * worker: warm(size, age) * (0.93 + 0.07 * day(t)),
                )


def _catalog() -> Iterator[Life]:
    """Leaks since its deploy at two hours; one target reaches the limit and is killed, the other is on its way."""
    deploy, killed = 2 * H, 8.6 * H
    for target, rate_mib in ((0, 30), (1, 56)):

        def leaking(age: float, t: float, rate: float = rate_mib / 2) -> float:
            return warm(95, age) + rate * MIB * age / H

        lives = [("4.1.0", -20 * H, deploy, False), ("4.2.0", deploy + GAP_S, killed if target else math.inf, True)]
        if target:
            lives.append(("4.2.0", killed + GAP_S, math.inf, True))
        for n, (version, born, dead, leaks) in enumerate(lives):
            for worker in (0, 1):
                yield Life(
                    _of("catalog", f"10.0.1.1{target}:9464", 31 + worker + 100 * n),
                    version,
                    born,
                    dead,
                    leaking if leaks else lambda age, t: warm(95, age),
                    kept="catalog.cache.Entry",
                    cycle="Product -> Variant -> list",
                    end="OOM kill" if leaks else "signal SIGTERM",
                )


def _worker() -> Iterator[Life]:
    """A task queue: recycled every two hours; from seven to eight hours a task calls gc.collect() each time."""
    for n in range(7):
        born = (n - 0.5) * 2 * H
        yield Life(
            _of("worker", "10.0.2.10:9464", 41 + n),
            "0.9.1",
            born + GAP_S,
            born + 2 * H,
            lambda age, t: warm(230, age),
            heap=1.6,
            cycle="Task -> Future -> TracebackType",
            end="clean exit",
            storm=lambda t: 2.5 if 7 * H <= t < 8 * H else 0.0,
        )


def _thumbs() -> Iterator[Life]:
    """An image library keeps native memory: resident memory rises, blocks do not."""
    yield Life(
        _of("thumbs", "10.0.3.10:9464", 51),
        "2.0.0",
        -40 * H,
        math.inf,
        lambda age, t: warm(140, age),
        native=lambda age, t: 9 * MIB * max(0.0, t) / H,
        limit=1024 * MIB,
        heap=0.5,
    )


def _billing() -> Iterator[Life]:
    """Library mode: the process is the target, and switched its collector off for a while."""
    for n in (0, 1):
        labels = {"cluster": "eu-1", "namespace": "billing", "job": "billing", "instance": f"10.0.4.1{n}:8000"}
        yield Life(
            labels,
            "",
            -50 * H,
            math.inf,
            lambda age, t: 180 * MIB * (0.95 + 0.05 * day(t)),
            limit=384 * MIB,
            heap=2.2,
            enabled=lambda t: int(not 9 * H < t < 9.5 * H),
        )


def _mailer() -> Iterator[Life]:
    """By OTLP, with Prometheus' default translation."""
    yield Life(
        {"job": "mail/mailer", "instance": "0b5f1f6e-7f0c-4c37-9a6e-4f1f1c6f2a10"},
        "1.1.0",
        -9 * H,
        math.inf,
        lambda age, t: 120 * MIB * (0.97 + 0.03 * day(t)),
        limit=256 * MIB,
        otlp=True,
    )


class Series:
    """Lines by metric name: OpenMetrics wants every family in one piece."""

    def __init__(self) -> None:
        self.families: dict[str, list[str]] = {}
        #: What living and dead processes of a service did in each step, by name and labels: for its totals.
        self.of_services: dict[tuple[str, tuple], dict[float, float]] = defaultdict(lambda: defaultdict(float))

    def add(
        self, name: str, labels: dict[str, object], points: list[tuple[float, float]], at: Callable[[float], int]
    ) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in labels.items() if value != "")
        lines = self.families.setdefault(name, [])
        lines += [f"{name}{{{text}}} {value:.10g} {at(t)}" for t, value in points]


def generate(end_unix_s: int, *, hours: float = HOURS) -> Iterator[str]:
    """The text, by lines: the last ``hours`` of it."""
    series = Series()
    begin = end_unix_s - HOURS * H
    for n, life in enumerate(fleet()):
        _process(series, life, random.Random(n), lambda t: int(begin + t), (HOURS - hours) * H)
    _totals(series, lambda t: int(begin + t), (HOURS - hours) * H)
    _alerts(series, lambda t: int(begin + t))
    for lines in series.families.values():
        yield from lines
    yield "# EOF"


def _process(series: Series, life: Life, chance: random.Random, at: Callable[[float], int], since: float) -> None:
    times = [t for t in range(0, HOURS * H + 1, STEP_S) if max(life.born, since) <= t < life.dead]
    if not times:
        return

    def add(name: str, points: list[tuple[float, float]], **more: object) -> None:
        series.add(name, {**life.labels, **more}, points, at)

    def gauge(name: str, value: Callable[[float], float], **more: object) -> None:
        add(name, [(t, value(t)) for t in times], **more)

    def counter(name: str, rate: Callable[[float], float], before: float = 0.0, **more: object) -> None:
        steps = [before, *(rate(t) * STEP_S for t in times[1:])]
        add(name, list(zip(times, accumulate(steps), strict=True)), **more)

    noise = {t: 1 + chance.gauss(0, 0.006) for t in times}
    python = {t: life.rss(t - life.born, t) * noise[t] for t in times}
    rss = {t: python[t] + life.native(t - life.born, t) for t in times}

    def tell(name: str, counts: list[float], **more: object) -> None:
        """What the service's totals are made of; only an exporter service has some."""
        if "process_pid" in life.labels:
            who = {key: value for key, value in life.labels.items() if key != "process_pid"}
            for t, count in zip(times, counts, strict=True):
                series.of_services[name, tuple({**who, **more}.items())][t] += count

    _memory(gauge, life, python, rss, chance)
    _collector(add, tell, gauge, counter, life, python, times)
    _heap(gauge, counter, life, python, rss)
    if life.dead < HOURS * H:
        tell("gc_otel_process_ended_total", [0.0] * (len(times) - 1) + [1.0], reason=life.end)
    _rest(gauge, counter, life, chance)


def _memory(gauge, life, python, rss, chance) -> None:
    gauge("process_memory_usage_bytes", lambda t: rss[t])
    gauge("process_memory_pss_bytes", lambda t: rss[t] * 0.91)
    gauge("process_memory_uss_bytes", lambda t: rss[t] * 0.87)
    gauge("process_memory_swap_bytes", lambda t: 0)
    gauge("process_memory_virtual_bytes", lambda t: rss[t] * 1.3 + 400 * MIB)
    gauge("process_memory_limit_bytes", lambda t: life.limit, process_memory_limit_source="cgroup-v2")
    gauge("cpython_memory_allocated_blocks", lambda t: 0.6 * python[t] / BLOCK_BYTES * (1 + chance.gauss(0, 0.004)))


#: Of what Python's objects take, and how large one is.
TYPES = (
    ("dict", 0.34, 232),
    ("str", 0.22, 84),
    ("list", 0.12, 120),
    ("tuple", 0.09, 64),
    ("code", 0.07, 420),
    ("other", 0.16, 90),
)


def _heap(gauge, counter, life, python, rss) -> None:
    """The census' types and the sampled cycles: what is more than at first belongs to the kept type, and a third to its dicts."""
    least = min(python.values())
    counted = {t: python[t] - 0.4 * least for t in python}
    grown = {t: python[t] - least for t in python}
    sizes = {name: (lambda t, share=share: share * (counted[t] - grown[t]), each) for name, share, each in TYPES}
    sizes["dict"] = (lambda t: 0.34 * (counted[t] - grown[t]) + 0.34 * grown[t], 232)
    sizes[life.kept] = (lambda t: 0.66 * grown[t] + MIB, 152)
    for name, (size, each) in sizes.items():
        gauge("cpython_heap_size_bytes", size, cpython_type=name)
        gauge("cpython_heap_objects", lambda t, size=size, each=each: round(size(t) / each), cpython_type=name)
    gauge("cpython_heap_unattributed_bytes", lambda t: rss[t] - counted[t])
    gauge("cpython_gc_garbage", lambda t: 0)
    gauge("gc_otel_census_duration_seconds", lambda t: counted[t] / 100 * 3e-8)
    for cycle, rate in ((life.cycle, 31.0), ("function -> cell", 6.0), ("other", 1.5)):
        counter("cpython_gc_cycles_total", lambda t, rate=rate: rate * day(t) * life.enabled(t), cpython_gc_cycle=cycle)


def _collector(add, tell, gauge, counter, life, python, times) -> None:
    def rate(generation: int, t: float) -> float:
        young = 14 * day(t) * life.enabled(t)
        return (young, young / 11, young / 1500 + life.storm(t))[generation]

    def mean_s(generation: int, t: float) -> float:
        return (9e-5 * life.heap, 4e-4 * life.heap, life.heap * 0.6 * python[t] / BLOCK_BYTES * 4.5e-8)[generation]

    for generation in range(3):
        where = {"cpython_gc_generation": generation}
        counts = [0.0, *(rate(generation, t) * STEP_S for t in times[1:])]
        durations = {"cpython_gc_collections_total": 1.0, "cpython_gc_duration_seconds_count": 1.0}
        for name in durations:
            add(name, list(zip(times, accumulate(counts), strict=True)), **where)
        tell("gc_otel_service_collections_total", counts, **where)
        tell("gc_otel_service_duration_seconds_count", counts, **where)
        sums = [n * mean_s(generation, t) for n, t in zip(counts, times, strict=True)]
        add("cpython_gc_duration_seconds_sum", list(zip(times, accumulate(sums), strict=True)), **where)
        tell("gc_otel_service_duration_seconds_sum", sums, **where)
        for bound in (*DURATION_BOUNDS_S, math.inf):
            inside = [
                n * sum(share for share, factor in SPREAD if mean_s(generation, t) * factor <= bound)
                for n, t in zip(counts, times, strict=True)
            ]
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            add("cpython_gc_duration_seconds_bucket", list(zip(times, accumulate(inside), strict=True)), **where, le=le)
            tell("gc_otel_service_duration_seconds_bucket", inside, **where, le=le)
        found = [n * (6, 90, 900)[generation] / (1 + life.storm(t)) for n, t in zip(counts, times, strict=True)]
        add("cpython_gc_collected_objects_total", list(zip(times, accumulate(found), strict=True)), **where)
        tell("gc_otel_service_collected_objects_total", found, **where)
        counter("cpython_gc_uncollectable_objects_total", lambda t: 0, **where)
        explicit = life.storm if generation == 2 else (lambda t: 0.0)
        counter("cpython_gc_explicit_collections_total", explicit, **where)
        threshold = (700, 10, 10)[generation]
        gauge("cpython_gc_threshold", lambda t, n=threshold: n, **where)
        gauge("cpython_gc_pending", lambda t, n=threshold: (t * 7919 // 60) % n, **where)
    gauge("cpython_gc_enabled" + "_ratio" * life.otlp, life.enabled)


def _rest(gauge, counter, life, chance) -> None:
    busy = lambda t: 0.55 * day(t) * (1 + chance.gauss(0, 0.05))  # noqa: E731 - one expression, used twice
    counter("process_cpu_time_seconds_total", busy, cpu_mode="user")
    counter("process_cpu_time_seconds_total", lambda t: busy(t) / 8, cpu_mode="system")
    gauge("process_thread_count", lambda t: 9)
    gauge("process_unix_file_descriptor_count", lambda t: 30 + round(12 * day(t)))
    counter("process_context_switches_total", lambda t: 220 * day(t), process_context_switch_type="voluntary")
    counter("process_context_switches_total", lambda t: 14 * day(t), process_context_switch_type="involuntary")
    counter("process_paging_faults_total", lambda t: 40, system_paging_fault_type="minor")
    counter("process_paging_faults_total", lambda t: 0.01, system_paging_fault_type="major")
    gauge("process_uptime_seconds", lambda t: t - life.born)
    for component, share in (("recorder", 2e-5), ("monitor", 2e-4), ("collect", 9e-4), ("census", 3e-4)):
        counter("gc_otel_overhead_time_seconds_total", lambda t, share=share: share, component=component)
    for reason, rate in (("self", 0.02), ("limit", 0.0), ("no_start", 0.0), ("unseen", 0.0)):
        counter("gc_otel_events_dropped_total", lambda t, rate=rate: rate, reason=reason)
    gauge(
        "gc_otel_recorder_info" + "_ratio" * life.otlp,
        lambda t: 1,
        gc_otel_version="0.1.0",
        gc_otel_recorder="native",
        gc_otel_duration_clock="wall",
        cpython_gc_mode="generational",
    )
    resource = {"service_version": life.version, "process_runtime_version": "3.12.8"}
    gauge("target_info", lambda t: 1, **(resource if life.version else {"service_name": "billing"}))


#: Of these a service's counters begin at zero.
REASONS = (
    "clean exit",
    "unhandled exception",
    "OOM kill",
    "SIGKILL, cause unknown",
    "signal SIGTERM",
    "signal SIGSEGV",
)


def _totals(series: Series, at: Callable[[float], int], since: float) -> None:
    """Each exporter's counters of a service, which no death makes fall; and the exporter's own."""
    times = [float(t) for t in range(0, HOURS * H + 1, STEP_S) if t >= since]
    places = {tuple((key, value) for key, value in labels if key in _of("", "", 0)) for _, labels in series.of_services}
    for place in sorted(places):
        for reason in REASONS:
            series.of_services.setdefault(("gc_otel_process_ended_total", (*place, ("reason", reason))), {})
    for (name, labels), steps in series.of_services.items():
        counts = accumulate(steps.get(t, 0.0) for t in times)
        series.add(name, dict(labels), list(zip(times, counts, strict=True)), at)
    exporters = {tuple((key, value) for key, value in place if key != "service_name") for place in places}
    for place in sorted(exporters):
        series.add("gc_otel_exporter_faults_total", dict(place), [(t, 0.0) for t in times], at)


#: (alert, severity, service, instance, pid, hours: true from, fires from, until) as the rules give them on this history.
FIRED = (
    ("PythonMemoryNearLimit", "critical", "catalog", "10.0.1.11:9464", "", 7.77, 7.85, 8.67),
    ("PythonProcessOomKilled", "critical", "catalog", "", "", 8.65, 8.65, 8.87),
    ("PythonMemoryWillReachLimit", "warning", "catalog", "10.0.1.10:9464", "", 10.53, 11.03, HOURS),
    ("PythonMemoryGrowthUnattributed", "warning", "thumbs", "10.0.3.10:9464", "", 11.07, 11.57, HOURS),
    ("PythonGcTimeCritical", "critical", "worker", "10.0.2.10:9464", "45", 7.67, 7.75, 8.0),
    ("PythonGcTimeHigh", "warning", "worker", "10.0.2.10:9464", "45", 7.17, 7.33, 7.72),
    ("PythonGcPauseLong", "warning", "worker", "", "", 7.37, 7.45, 8.03),
    ("PythonGcFullCollectionStorm", "warning", "worker", "10.0.2.10:9464", "45", 7.13, 7.3, 8.03),
    ("PythonGcExplicitCollections", "info", "worker", "10.0.2.10:9464", "45", 7.13, 7.38, 8.0),
)


def _alerts(series: Series, at: Callable[[float], int]) -> None:
    """What a ruler writes while alerts fire: none runs while a history is made."""
    for alertname, severity, service, instance, pid, true_h, begin_h, end_h in FIRED:
        who = {**_of(service, instance, 0), "process_pid": pid}
        labels = {"alertname": alertname, "severity": severity, **who}
        points = [(t, 1.0) for t in range(0, HOURS * H + 1, STEP_S) if begin_h * H <= t <= end_h * H]
        series.add("ALERTS", {**labels, "alertstate": "firing"}, points, at)
        series.add("ALERTS_FOR_STATE", labels, [(t, at(true_h * H)) for t, _ in points], at)


if __name__ == "__main__":
    for line in generate(int(sys.argv[1])):
        print(line)
