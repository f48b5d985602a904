"""The alerts.  Each says what to look at in its description and links to a runbook of its own name.

PromQL that every engine has: they run in Prometheus, in the rulers of Mimir and Thanos, and in vmalert.
Where no limit is known, alerts about it are silent, because the recorded ratio does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gc_otel.cli.assets import RUNBOOKS_URL
from grafana import recording as of
from grafana import thresholds as at
from grafana.labels import BY_PROCESS, BY_SERVICE
from grafana.names import name
from grafana.thresholds import Threshold

_PLACE: Final = "{{ $labels.job }}{{ with $labels.service_name }}, service {{ . }}{{ end }}"
_TARGET: Final = f"{_PLACE}, on {{{{ $labels.instance }}}}"
_PROCESS: Final = f"{_TARGET}{{{{ with $labels.process_pid }}}}, pid {{{{ . }}}}{{{{ end }}}}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.  ``hold`` is its ``for``, ``keep`` its ``keep_firing_for``; ``why`` stands above it in the file."""

    name: str
    severity: Literal["critical", "warning", "info"]
    expr: str
    hold: str
    summary: str
    description: str
    why: str
    keep: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """As they stand in the rule."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{RUNBOOKS_URL}/{self.name}.md",
        }


def _above(series: str, threshold: Threshold) -> str:
    return f"{series} > {threshold.expr}"


_OLD_ENOUGH: Final = f"{of.INSTANCE_UPTIME} > 6 * 3600"
_STILL_RISING: Final = f"{of.FLOOR_2H} > {of.FLOOR_2H} offset 2h and {of.FLOOR_2H} offset 2h > {of.FLOOR_2H} offset 4h"
_UNATTRIBUTED: Final = _above(of.UNATTRIBUTED, at.UNATTRIBUTED_SHARE)
_ENABLED: Final = name("cpython.gc.enabled")

MEMORY: Final = (
    Alert(
        "PythonMemoryNearLimit",
        "critical",
        _above(of.RATIO, at.MEMORY_RATIO_CRITICAL),
        "5m",
        "Memory is close to its limit.",
        f"{_TARGET}: {{{{ $value | humanizePercentage }}}} of the memory limit is in use. Beyond it the kernel kills.",
        "Level only, and soon: a fast leak has no time for a forecast.",
    ),
    Alert(
        "PythonMemoryWillReachLimit",
        "warning",
        f"(predict_linear({of.USED}[6h], 4 * 3600) > {of.LIMIT}) / {of.LIMIT}"
        f" and {_above(of.RATIO, at.MEMORY_RATIO_WARNING)} and {_OLD_ENOUGH} and {_STILL_RISING}"
        f" unless {_above(of.RATIO, at.MEMORY_RATIO_CRITICAL)}",
        "30m",
        "Memory will reach its limit within four hours.",
        f"{_TARGET}: at the pace of the last six hours memory is at {{{{ $value | humanizePercentage }}}} of its limit in four hours.",
        "A window longer than the horizon, gates on the level and on the age, and a floor that rose in each third of the window: without "
        "them warm-ups, sawteeth, steps and batch jobs raise it. Close to the limit the critical alert takes over.",
        keep="5m",
    ),
    Alert(
        "PythonMemoryGrowing",
        "warning",
        f"{of.GROWING} unless {_UNATTRIBUTED}",
        "30m",
        "Memory has grown in every one of the last eleven hours.",
        f"{_TARGET}: what remains after each hour's troughs grew by {{{{ $value | humanize1024 }}}}B an hour, eleven hours in a row and without slowing down.",
        "Eleven floors in a row, each higher than the one before, the last step nearly as large as their mean: a cache that fills, a step, a "
        "sawtooth or a daily wave does not look like this. It is late on purpose; the alerts about the limit are the quick ones.",
        keep="4h",
    ),
    Alert(
        "PythonMemoryGrowthUnattributed",
        "warning",
        f"{of.GROWING} and {_UNATTRIBUTED}",
        "30m",
        "Memory grows, and not by Python objects.",
        f"{_TARGET}: memory grew by {{{{ $value | humanize1024 }}}}B an hour for eleven hours, and the number of allocated blocks does not explain it.",
        "The same growth where the blocks did not grow along: an extension, large buffers, or an allocator that keeps freed pages.",
        keep="4h",
    ),
    Alert(
        "PythonMemoryGrewAfterDeploy",
        "warning",
        f"min_over_time({of.SERVICE_USED_AVG}[2h]) / min_over_time({of.SERVICE_USED_AVG}[2h] offset 1d)"
        f" > 1 + {at.DEPLOY_GROWTH_RATIO.expr}"
        f" and {of.SERVICE_UPTIME} < 86400 and {of.SERVICE_UPTIME} > 3 * 3600",
        "30m",
        "Processes need more memory than before the last deploy.",
        f"{_PLACE}: since all processes were replaced each has {{{{ $value | humanizePercentage }}}} of the memory that it had at this time yesterday.",
        "All processes are younger than a day, and past their warm-up; the same hours of the day before are the measure.",
    ),
    Alert(
        "PythonAddressSpaceNearLimit",
        "critical",
        f"sum by ({BY_PROCESS}) ({name('process.memory.virtual')})"
        f' / sum by ({BY_PROCESS}) ({name("process.memory.limit")}{{process_memory_limit_source="rlimit-as"}})'
        f" > {at.MEMORY_RATIO_CRITICAL.expr}",
        "5m",
        "Address space is close to RLIMIT_AS.",
        f"{_PROCESS}: {{{{ $value | humanizePercentage }}}} of the address space that RLIMIT_AS allows is taken. Beyond it allocations fail with MemoryError.",
        "RLIMIT_AS limits address space, of each process on its own: the alerts above leave it out.",
    ),
)

COLLECTOR: Final = (
    Alert(
        "PythonGcTimeCritical",
        "critical",
        _above(of.PROCESS_SHARE, at.GC_SHARE_CRITICAL),
        "5m",
        "A process spends most of its time in garbage collection, or soon will.",
        f"{_PROCESS}: {{{{ $value | humanizePercentage }}}} of the time goes into garbage collection; requests wait meanwhile.",
        "A quarter of the time and more.",
    ),
    Alert(
        "PythonGcTimeHigh",
        "warning",
        f"{_above(of.PROCESS_SHARE, at.GC_SHARE_WARNING)} unless {_above(of.PROCESS_SHARE, at.GC_SHARE_CRITICAL)}",
        "10m",
        "A process spends much of its time in garbage collection.",
        f"{_PROCESS}: {{{{ $value | humanizePercentage }}}} of the time goes into garbage collection; requests wait meanwhile.",
        "The critical alert takes over; this one stays until that one's time has passed.",
        keep="5m",
    ),
    Alert(
        "PythonGcPauseLong",
        "warning",
        f"{_above(of.SERVICE_P99, at.PAUSE_P99_SECONDS)} and {_above(of.SERVICE_P99_SLOW, at.PAUSE_P99_SECONDS)}",
        "5m",
        "Garbage collection pauses exceed their budget.",
        f"{_PLACE}: one collection in a hundred takes longer than {{{{ $value | humanizeDuration }}}}, now and over the last hour.",
        "A fast and a slow window: the fast one ends the alert soon, the slow one keeps a single long collection from raising it.",
    ),
    Alert(
        "PythonGcPausesVeryLong",
        "warning",
        f'3600 * (avg_over_time({of.SERVICE_BUCKETS}{{le="+Inf"}}[1h])'
        f' - ignoring (le) avg_over_time({of.SERVICE_BUCKETS}{{le="0.5"}}[1h])) > {at.LONG_PAUSES_PER_HOUR.expr}',
        "5m",
        "Collections take longer than half a second.",
        f"{_PLACE}: {{{{ $value | humanize }}}} collections an hour take longer than half a second.",
        "Few and long: full collections of a large heap, which the 99th percentile of all collections does not show. Classic histograms only.",
    ),
    Alert(
        "PythonGcFullCollectionStorm",
        "warning",
        f"{_above(of.FULL_RATE, at.FULL_COLLECTIONS_PER_SECOND)} and {_above(of.FULL_SHARE, at.FULL_COLLECTIONS_SHARE)}",
        "10m",
        "Full collections follow one another.",
        f"{_PROCESS}: {{{{ $value | humanize }}}} full collections a second, each of which visits the whole heap.",
        "Often, and dear: many full collections of a small heap are no matter.",
    ),
    Alert(
        "PythonGcExplicitCollections",
        "info",
        f"sum by ({BY_PROCESS}) (rate({name('cpython.gc.explicit_collections')}[5m])) > {at.EXPLICIT_COLLECTIONS_PER_SECOND.expr}"
        f" and {_above(of.PROCESS_SHARE, at.FULL_COLLECTIONS_SHARE)}",
        "15m",
        "The program calls gc.collect() all the time.",
        f"{_PROCESS}: gc.collect() is called {{{{ $value | humanize }}}} times a second, and it shows in the time.",
        "A call for each request or task is a habit that costs a pause each time.",
    ),
    Alert(
        "PythonGcUncollectableGrowing",
        "warning",
        f"sum by ({BY_PROCESS}) (increase({name('cpython.gc.uncollectable_objects')}[1h])) > 0",
        "5m",
        "Uncollectable objects appear.",
        f"{_PROCESS}: about {{{{ $value | humanize }}}} more objects within the hour were found unreachable and could not be freed.",
        "Any is too many: they stay in gc.garbage for good.",
    ),
    Alert(
        "PythonGcDisabled",
        "info",
        f"max by ({BY_PROCESS}) ({_ENABLED} or {_ENABLED}_ratio) == 0",
        "30m",
        "Automatic garbage collection is off.",
        f"{_PROCESS}: gc.disable() was called more than half an hour ago, and no gc.enable() since: cycles stay in memory.",
        "Start-up, or a gc.freeze() before a fork, needs minutes. Silence it where it is meant.",
    ),
)

PROCESSES: Final = (
    Alert(
        "PythonProcessRestartLoop",
        "warning",
        f"max by ({BY_PROCESS}) (resets({name('process.uptime')}[30m])) >= {at.RESTARTS_PER_HALF_HOUR.expr}",
        "0m",
        "A process is restarted again and again.",
        f"{_PROCESS}: restarted {{{{ $value | humanize }}}} times within half an hour.",
        "Seen where a new process takes the labels of the old one, as in a container of one process.",
    ),
)

OURS: Final = (
    Alert(
        "GcOtelMetricsAbsent",
        "warning",
        f"group by ({BY_SERVICE}) ({of.SERVICE_COUNT} offset 1h) unless group by ({BY_SERVICE}) ({of.SERVICE_COUNT})",
        "10m",
        "A service is no longer recorded.",
        f"{_PLACE}: an hour ago there were recorded processes, now there is none.",
        "For a service, not for a target: deploys replace targets. `up` does not exist for OTLP. It ends by itself after an hour.",
    ),
    Alert(
        "GcOtelEventsDropped",
        "warning",
        f'sum by ({BY_SERVICE}) (rate({name("gc_otel.events.dropped")}{{reason=~"limit|unseen"}}[15m]))'
        f" / sum by ({BY_SERVICE}) (rate({name('cpython.gc.collections')}[15m])) > {at.DROPPED_RATIO.expr}",
        "15m",
        "Collections are missing from the pause histogram.",
        f"{_PLACE}: {{{{ $value | humanizePercentage }}}} of the collections are counted, but missing from cpython.gc.duration.",
        "Those that publishing causes itself are expected, and left out.",
    ),
    Alert(
        "GcOtelOverheadHigh",
        "info",
        f"sum by ({BY_PROCESS}) (rate({name('gc_otel.overhead.time')}[15m])) > {at.OVERHEAD_RATIO.expr}",
        "15m",
        "Recording costs more than it should.",
        f"{_PROCESS}: gc_otel itself takes {{{{ $value | humanizePercentage }}}} of a core.",
        "The observer observes itself.",
    ),
    Alert(
        "GcOtelThresholdMissing",
        "warning",
        " or ".join(f"absent({each.series})" for each in at.ALL),
        "15m",
        "A threshold of the gc_otel alerts is not recorded.",
        "thresholds.yaml is not loaded, or not whole: alerts that compare with what is missing cannot fire.",
        "Without its threshold an alert would be silent for good, and nobody would know.",
    ),
)

ALERTS: Final = (*MEMORY, *COLLECTOR, *PROCESSES, *OURS)
