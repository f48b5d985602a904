"""The alerts.  Each says what to look at in its description and links to a runbook of its own name.

PromQL that every engine has: they run in Prometheus, in the rulers of Mimir and Thanos, and in vmalert.
Where no limit is known, alerts about it are silent, because the recorded ratio does not exist.
"""

from __future__ import annotations

from typing import Final

from grafana import recording as of
from grafana import thresholds as at
from grafana.alert import ON_PROCESS, PLACE, TARGET, Alert, above
from grafana.alerts_processes import OURS, PROCESSES
from grafana.labels import BY_PROCESS
from grafana.names import name

_OLD_ENOUGH: Final = f"{of.INSTANCE_UPTIME} > 6 * 3600"
_STILL_RISING: Final = f"{of.FLOOR_2H} > {of.FLOOR_2H} offset 2h and {of.FLOOR_2H} offset 2h > {of.FLOOR_2H} offset 4h"
_UNATTRIBUTED: Final = above(of.UNATTRIBUTED, at.UNATTRIBUTED_SHARE)
_ENABLED: Final = name("cpython.gc.enabled")

MEMORY: Final = (
    Alert(
        "PythonMemoryNearLimit",
        "critical",
        above(of.RATIO, at.MEMORY_RATIO_CRITICAL),
        "5m",
        "Memory is close to its limit.",
        f"{TARGET}: {{{{ $value | humanizePercentage }}}} of the memory limit is in use. Beyond it the kernel kills.",
        "Level only, and soon: a fast leak has no time for a forecast.",
    ),
    Alert(
        "PythonMemoryWillReachLimit",
        "warning",
        f"(predict_linear({of.USED}[6h], 4 * 3600) > {of.LIMIT}) / {of.LIMIT}"
        f" and {above(of.RATIO, at.MEMORY_RATIO_WARNING)} and {_OLD_ENOUGH} and {_STILL_RISING}"
        f" unless {above(of.RATIO, at.MEMORY_RATIO_CRITICAL)}",
        "30m",
        "Memory will reach its limit within four hours.",
        f"{TARGET}: at the pace of the last six hours memory is at {{{{ $value | humanizePercentage }}}} of its limit in four hours.",
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
        f"{TARGET}: what remains after each hour's troughs grew by {{{{ $value | humanize1024 }}}}B an hour, eleven hours in a row and without slowing down.",
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
        f"{TARGET}: memory grew by {{{{ $value | humanize1024 }}}}B an hour for eleven hours, and the number of allocated blocks does not explain it.",
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
        f"{PLACE}: since all processes were replaced each has {{{{ $value | humanizePercentage }}}} of the memory that it had at this time yesterday.",
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
        f"{ON_PROCESS}: {{{{ $value | humanizePercentage }}}} of the address space that RLIMIT_AS allows is taken. Beyond it allocations fail with MemoryError.",
        "RLIMIT_AS limits address space, of each process on its own: the alerts above leave it out.",
    ),
)

COLLECTOR: Final = (
    Alert(
        "PythonGcTimeCritical",
        "critical",
        above(of.PROCESS_SHARE, at.GC_SHARE_CRITICAL),
        "5m",
        "A process spends most of its time in garbage collection, or soon will.",
        f"{ON_PROCESS}: {{{{ $value | humanizePercentage }}}} of the time goes into garbage collection; requests wait meanwhile.",
        "A quarter of the time and more.",
    ),
    Alert(
        "PythonGcTimeHigh",
        "warning",
        f"{above(of.PROCESS_SHARE, at.GC_SHARE_WARNING)} unless {above(of.PROCESS_SHARE, at.GC_SHARE_CRITICAL)}",
        "10m",
        "A process spends much of its time in garbage collection.",
        f"{ON_PROCESS}: {{{{ $value | humanizePercentage }}}} of the time goes into garbage collection; requests wait meanwhile.",
        "The critical alert takes over; this one stays until that one's time has passed.",
        keep="5m",
    ),
    Alert(
        "PythonGcPauseLong",
        "warning",
        f"{above(of.SERVICE_P99, at.PAUSE_P99_SECONDS)} and {above(of.SERVICE_P99_SLOW, at.PAUSE_P99_SECONDS)}",
        "5m",
        "Garbage collection pauses exceed their budget.",
        f"{PLACE}: one collection in a hundred takes longer than {{{{ $value | humanizeDuration }}}}, now and over the last hour.",
        "A fast and a slow window: the fast one ends the alert soon, the slow one keeps a single long collection from raising it.",
    ),
    Alert(
        "PythonGcPausesVeryLong",
        "warning",
        f'3600 * (avg_over_time({of.SERVICE_BUCKETS}{{le="+Inf"}}[1h])'
        f' - ignoring (le) avg_over_time({of.SERVICE_BUCKETS}{{le="0.5"}}[1h])) > {at.LONG_PAUSES_PER_HOUR.expr}',
        "5m",
        "Collections take longer than half a second.",
        f"{PLACE}: {{{{ $value | humanize }}}} collections an hour take longer than half a second.",
        "Few and long: full collections of a large heap, which the 99th percentile of all collections does not show. Classic histograms only.",
    ),
    Alert(
        "PythonGcFullCollectionStorm",
        "warning",
        f"{above(of.FULL_RATE, at.FULL_COLLECTIONS_PER_SECOND)} and {above(of.FULL_SHARE, at.FULL_COLLECTIONS_SHARE)}",
        "10m",
        "Full collections follow one another.",
        f"{ON_PROCESS}: {{{{ $value | humanize }}}} full collections a second, each of which visits the whole heap.",
        "Often, and dear: many full collections of a small heap are no matter.",
    ),
    Alert(
        "PythonGcExplicitCollections",
        "info",
        f"sum by ({BY_PROCESS}) (rate({name('cpython.gc.explicit_collections')}[5m])) > {at.EXPLICIT_COLLECTIONS_PER_SECOND.expr}"
        f" and {above(of.PROCESS_SHARE, at.FULL_COLLECTIONS_SHARE)}",
        "15m",
        "The program calls gc.collect() all the time.",
        f"{ON_PROCESS}: gc.collect() is called {{{{ $value | humanize }}}} times a second, and it shows in the time.",
        "A call for each request or task is a habit that costs a pause each time.",
    ),
    Alert(
        "PythonGcUncollectableGrowing",
        "warning",
        f"sum by ({BY_PROCESS}) (increase({name('cpython.gc.uncollectable_objects')}[1h])) > 0",
        "5m",
        "Uncollectable objects appear.",
        f"{ON_PROCESS}: about {{{{ $value | humanize }}}} more objects within the hour were found unreachable and could not be freed.",
        "Any is too many: they stay in gc.garbage for good.",
    ),
    Alert(
        "PythonGcDisabled",
        "info",
        f"max by ({BY_PROCESS}) ({_ENABLED} or {_ENABLED}_ratio) == 0",
        "30m",
        "Automatic garbage collection is off.",
        f"{ON_PROCESS}: gc.disable() was called more than half an hour ago, and no gc.enable() since: cycles stay in memory.",
        "Start-up, or a gc.freeze() before a fork, needs minutes. Silence it where it is meant.",
    ),
)

ALERTS: Final = (*MEMORY, *COLLECTOR, *PROCESSES, *OURS)
