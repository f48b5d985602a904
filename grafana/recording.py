"""Recording rules: what fleet dashboards and alerts read, so that they cost the same for ten processes and for ten thousand.

Named ``level:metric:operation``.  The levels are those of grafana.labels: ``process``, ``instance`` (a service's
processes on one target, which share a limit) and ``service``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from grafana import thresholds
from grafana.labels import BY_INSTANCE, BY_PROCESS, BY_SERVICE
from grafana.names import DURATION, GENERATION, SERVICE_DURATION, name


@dataclass(frozen=True, slots=True)
class Record:
    """One recording rule, and why it is there."""

    record: str
    expr: str
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other: each may read those before it."""

    name: str
    interval: str
    records: tuple[Record, ...]


_RSS: Final = name("process.memory.usage")
_PSS: Final = name("process.memory.pss")
_LIMIT: Final = name("process.memory.limit")
_BLOCKS: Final = name("cpython.memory.allocated_blocks")
_UPTIME: Final = name("process.uptime")
_COLLECTIONS: Final = name("cpython.gc.collections")
_VERSIONS: Final = f"{BY_SERVICE}, service_version, process_runtime_version"
_TARGET: Final = "cluster, namespace, job, instance"

PROCESS_SHARE: Final = "process:cpython_gc_duration_seconds_sum:rate5m"
SERVICE_SHARE_MAX: Final = "service:cpython_gc_duration_seconds_sum:rate5m_max"
SERVICE_SHARE_AVG: Final = "service:cpython_gc_duration_seconds_sum:rate5m_avg"
FULL_SHARE: Final = "process:cpython_gc_duration_seconds_sum:rate5m_generation2"
SERVICE_BUCKETS: Final = "service_le:cpython_gc_duration_seconds_bucket:rate5m"
SERVICE_P99: Final = "service:cpython_gc_duration_seconds:p99_5m"
SERVICE_P99_SLOW: Final = "service:cpython_gc_duration_seconds:p99_1h"
FULL_RATE: Final = "process:cpython_gc_collections:rate5m_generation2"
USED: Final = "instance:process_memory_usage_bytes:sum"
LIMIT: Final = "instance:process_memory_limit_bytes:max"
RATIO: Final = "instance:process_memory_usage_bytes:ratio"
BLOCKS: Final = "instance:cpython_memory_allocated_blocks:sum"
INSTANCE_UPTIME: Final = "instance:process_uptime_seconds:max"
FLOOR_2H: Final = "instance:process_memory_usage_bytes:min2h"
GROWING: Final = "instance:process_memory_usage_bytes:growth11h"
UNATTRIBUTED: Final = "instance:process_memory_usage_bytes:unattributed6h"
FLOOR: Final = "instance:process_memory_usage_bytes:min1h"
GROWTH: Final = "instance:process_memory_usage_bytes:deriv6h"
SERVICE_RATIO: Final = "service:process_memory_usage_bytes:ratio_max"
SERVICE_GROWTH: Final = "service:process_memory_usage_bytes:deriv6h_max"
SERVICE_USED: Final = "service:process_memory_usage_bytes:sum"
SERVICE_USED_AVG: Final = "service:process_memory_usage_bytes:avg"
SERVICE_COUNT: Final = "service:process_uptime_seconds:count"
SERVICE_UPTIME: Final = "service:process_uptime_seconds:max"
SERVICE_YOUNG: Final = "service:process_uptime_seconds:count_1h"
SERVICE_VERSIONS: Final = "service_version:target_info:count"
ENDED: Final = "service_reason:gc_otel_process_ended:increase5m"

_GENERATION_2: Final = f'{GENERATION}="2"'

#: A daily wave rises for half a day at most, and slows down before its end.
_GROWTH_HOURS: Final = 11


def _growing() -> str:
    floors = [FLOOR, *(f"{FLOOR} offset {hours}h" for hours in range(1, _GROWTH_HOURS + 1))]
    rise = f"(1 + {thresholds.GROWTH_RATIO_PER_HOUR.expr})"
    mean = f"({floors[0]} - {floors[-1]}) / {_GROWTH_HOURS}"
    steps = [f"{later} > {rise} * {earlier}" for later, earlier in pairwise(floors)]
    steady = f"{floors[0]} - {floors[1]} > {thresholds.GROWTH_LAST_STEP.expr} * {mean}"
    return " and ".join([mean, *steps, steady, f"{INSTANCE_UPTIME} > {_GROWTH_HOURS + 2} * 3600"])


def _unattributed() -> str:
    grown = f"({USED} - {USED} offset 6h)"
    of_a_block = f"clamp_max({USED} / {BLOCKS}, 512)"
    explained = f"{of_a_block} * clamp_min({BLOCKS} - {BLOCKS} offset 6h, 0)"
    return f"({grown} - {explained}) / ({grown} > 0)"


def _native_service(window: str) -> str:
    return " or ".join(f"sum by ({BY_SERVICE}) (rate({each}[{window}]))" for each in (SERVICE_DURATION, DURATION))


PAUSES: Final = Group(
    "gc_otel.pauses",
    "1m",
    (
        Record(
            PROCESS_SHARE,
            f"sum by ({BY_PROCESS}) (rate({DURATION}_sum[5m]))",
            "Share of its time that a process collects.",
        ),
        Record(
            FULL_SHARE,
            f"sum by ({BY_PROCESS}) (rate({DURATION}_sum{{{_GENERATION_2}}}[5m]))",
            "The part of it that full collections take.",
        ),
        Record(
            SERVICE_BUCKETS,
            f"sum by ({BY_SERVICE}, le) (rate({SERVICE_DURATION}_bucket[5m]))"
            f" or sum by ({BY_SERVICE}, le) (rate({DURATION}_bucket[5m]))",
            "Buckets, without the processes: the service's own totals where an exporter service publishes them, else the sums. Never both added.",
        ),
    ),
)

#: Loaded instead of nothing where Prometheus converts classic histograms to native ones and ``_sum`` and ``_bucket`` are gone.
#: In a file of its own, because vmalert does not know histogram_sum.
NATIVE: Final = Group(
    "gc_otel.pauses.native",
    "1m",
    (
        Record(
            PROCESS_SHARE,
            f"sum by ({BY_PROCESS}) (histogram_sum(rate({DURATION}[5m])))",
            "Share of its time that a process collects.",
        ),
        Record(
            FULL_SHARE,
            f"sum by ({BY_PROCESS}) (histogram_sum(rate({DURATION}{{{_GENERATION_2}}}[5m])))",
            "The part of it that full collections take.",
        ),
        Record(
            SERVICE_P99,
            f"histogram_quantile(0.99, {_native_service('5m')}) >= 0",
            "p99 pause of the last minutes.",
        ),
        Record(
            SERVICE_P99_SLOW,
            f"histogram_quantile(0.99, {_native_service('1h')}) >= 0",
            "p99 pause of the last hour.",
        ),
    ),
)

MAIN: Final = Group(
    "gc_otel.services",
    "1m",
    (
        Record(SERVICE_SHARE_MAX, f"max by ({BY_SERVICE}) ({PROCESS_SHARE})", "The worst process of each service."),
        Record(SERVICE_SHARE_AVG, f"avg by ({BY_SERVICE}) ({PROCESS_SHARE})", "And the mean."),
        Record(
            SERVICE_P99,
            f"histogram_quantile(0.99, {SERVICE_BUCKETS}) >= 0",
            "p99 pause of the last minutes; NaN, for want of collections, is left out.",
        ),
        Record(
            SERVICE_P99_SLOW,
            f"histogram_quantile(0.99, sum by ({BY_SERVICE}, le) (avg_over_time({SERVICE_BUCKETS}[1h]))) >= 0",
            "p99 pause of the last hour, from the few series above.",
        ),
        Record(
            FULL_RATE,
            f"sum by ({BY_PROCESS}) (rate({_COLLECTIONS}{{{_GENERATION_2}}}[5m]))",
            "Full collections a second.",
        ),
        Record(
            USED,
            f"sum by ({BY_INSTANCE}) (sum by ({BY_PROCESS}) ({_PSS}) or sum by ({BY_PROCESS}) ({_RSS}))",
            "Memory of processes that share a limit: PSS where it is sampled, because shared pages are charged once.",
        ),
        Record(
            LIMIT,
            f'max by ({BY_INSTANCE}) ({_LIMIT}{{process_memory_limit_source!="rlimit-as"}})',
            "The limit that they share; RLIMIT_AS limits address space, and each process on its own.",
        ),
        Record(RATIO, f"{USED} / ({LIMIT} > 0)", "How full."),
        Record(BLOCKS, f"sum by ({BY_INSTANCE}) ({_BLOCKS})", "Small blocks of the same processes."),
        Record(
            INSTANCE_UPTIME,
            f"max by ({BY_INSTANCE}) ({_UPTIME})",
            "Age of the oldest: nothing is extrapolated from less.",
        ),
        Record(FLOOR, f"min_over_time({USED}[1h])", "What remains after an hour's troughs."),
        Record(FLOOR_2H, f"min_over_time({USED}[2h])", "And after those of two."),
        Record(
            GROWTH, f"deriv({USED}[6h]) and {INSTANCE_UPTIME} > 6 * 3600", "Slope, of targets old enough to have one."
        ),
        Record(
            GROWING,
            _growing(),
            "Bytes an hour by which the floor rose in each of the last eleven hours; no series where it did not. The target is older than that, "
            "so that no floor is of its warm-up.",
        ),
        Record(
            UNATTRIBUTED,
            _unattributed(),
            "The share of six hours' growth that new blocks do not explain, at the target's own bytes per block, 512 at most: "
            "larger ones are not counted by sys.getallocatedblocks().",
        ),
        Record(SERVICE_RATIO, f"max by ({BY_SERVICE}) ({RATIO})", "The fullest target of each service."),
        Record(SERVICE_GROWTH, f"max by ({BY_SERVICE}) ({GROWTH})", "The fastest growing."),
        Record(SERVICE_USED, f"sum by ({BY_SERVICE}) ({USED})", "All memory of a service."),
        Record(
            SERVICE_USED_AVG,
            f"avg by ({BY_SERVICE}) ({_RSS})",
            "Memory of the average process, to compare versions by.",
        ),
        Record(SERVICE_COUNT, f"count by ({BY_SERVICE}) ({_UPTIME})", "Processes."),
        Record(
            SERVICE_UPTIME,
            f"max by ({BY_SERVICE}) ({_UPTIME})",
            "Age of the oldest process: the time since a deploy, at least.",
        ),
        Record(SERVICE_YOUNG, f"count by ({BY_SERVICE}) ({_UPTIME} < 3600)", "Started within the hour."),
        Record(
            SERVICE_VERSIONS,
            f"count by ({_VERSIONS}) (target_info and on ({_TARGET}) {_BLOCKS})",
            "Processes by version of the service and of Python, as far as their resources tell.",
        ),
        Record(
            ENDED,
            f"sum by ({BY_SERVICE}, reason) (increase({name('gc_otel.process.ended')}[5m]))",
            "Processes that ended within five minutes, by reason.",
        ),
    ),
)

THRESHOLDS: Final = Group(
    "gc_otel.thresholds",
    "1m",
    tuple(Record(each.series, f"vector({each.value:g})", each.reason) for each in thresholds.ALL),
)

RECORDED: Final = frozenset(record.record for group in (THRESHOLDS, PAUSES, NATIVE, MAIN) for record in group.records)
