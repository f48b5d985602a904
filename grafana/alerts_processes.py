"""Alerts on processes that end, and on gc_otel itself."""

from __future__ import annotations

from typing import Final

from grafana import recording as of
from grafana import thresholds as at
from grafana.alert import ON_PROCESS, PLACE, Alert
from grafana.labels import BY_PROCESS, BY_SERVICE, CRASHES, KILLED, NOT_CLEAN, OOM_KILL
from grafana.names import name


def _ended(window: str, where: str) -> str:
    """Of a service, within the window, those ends that ``where`` selects; whole ones, though increase() extrapolates."""
    return f"round({_sum_of_ends(f'{BY_SERVICE}, reason', window, where)})"


def _sum_of_ends(by: str, window: str, where: str) -> str:
    return f"sum by ({by}) (increase({name('gc_otel.process.ended')}{{{where}}}[{window}]))"


PROCESSES: Final = (
    Alert(
        "PythonProcessOomKilled",
        "critical",
        f"{_ended('15m', OOM_KILL)} > 0",
        "0m",
        "The kernel has killed a process for want of memory.",
        f"{PLACE}: {{{{ $value | humanize }}}} of its processes met their memory limit within a quarter of an hour, and were killed. Their requests are lost.",
        "It has happened: there is nothing to wait for. The kernel's own counters say that it was this.",
    ),
    Alert(
        "PythonProcessKilled",
        "warning",
        f"{_ended('15m', KILLED)} > 0",
        "0m",
        "A process was killed, and nothing tells by whom.",
        f"{PLACE}: {{{{ $value | humanize }}}} of its processes ended by SIGKILL within a quarter of an hour. Perhaps the OOM killer; perhaps a supervisor that had waited for long enough.",
        "The OOM killer where its counters cannot be read, or whoever gave up to wait: gunicorn after its time-out, kubelet after the grace period.",
    ),
    Alert(
        "PythonProcessCrashed",
        "warning",
        f"{_ended('15m', CRASHES)} > 0",
        "0m",
        "A process has crashed.",
        f"{PLACE}: {{{{ $value | humanize }}}} of its processes ended by {{{{ $labels.reason }}}} within a quarter of an hour.",
        "Python code alone does not end like this: an extension, or a fault of CPython.",
    ),
    Alert(
        "PythonProcessesEndBadly",
        "warning",
        f"round({_sum_of_ends(BY_SERVICE, '15m', NOT_CLEAN)}) >= {at.BAD_ENDS_PER_QUARTER.expr}",
        "0m",
        "Processes end by errors again and again.",
        f"{PLACE}: {{{{ $value | humanize }}}} of its processes ended by an error within a quarter of an hour.",
        "Exit codes and exceptions are many things; a few in a row are a service that cannot start, or falls.",
    ),
    Alert(
        "PythonProcessRestartLoop",
        "warning",
        f"max by ({BY_PROCESS}) (resets({name('process.uptime')}[30m])) >= {at.RESTARTS_PER_HALF_HOUR.expr}",
        "0m",
        "A process is restarted again and again.",
        f"{ON_PROCESS}: restarted {{{{ $value | humanize }}}} times within half an hour.",
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
        f"{PLACE}: an hour ago there were recorded processes, now there is none.",
        "For a service, not for a target: deploys replace targets. `up` does not exist for OTLP. It ends by itself after an hour.",
    ),
    Alert(
        "GcOtelEventsDropped",
        "warning",
        f'sum by ({BY_SERVICE}) (rate({name("gc_otel.events.dropped")}{{reason=~"limit|unseen"}}[15m]))'
        f" / sum by ({BY_SERVICE}) (rate({name('cpython.gc.collections')}[15m])) > {at.DROPPED_RATIO.expr}",
        "15m",
        "Collections are missing from the pause histogram.",
        f"{PLACE}: {{{{ $value | humanizePercentage }}}} of the collections are counted, but missing from cpython.gc.duration.",
        "Those that publishing causes itself are expected, and left out.",
    ),
    Alert(
        "GcOtelOverheadHigh",
        "info",
        f"sum by ({BY_PROCESS}) (rate({name('gc_otel.overhead.time')}[15m])) > {at.OVERHEAD_RATIO.expr}",
        "15m",
        "Recording costs more than it should.",
        f"{ON_PROCESS}: gc_otel itself takes {{{{ $value | humanizePercentage }}}} of a core.",
        "The observer observes itself.",
    ),
    Alert(
        "GcOtelExporterFaults",
        "warning",
        f"sum by (cluster, namespace, job, instance) (increase({name('gc_otel.exporter.faults')}[15m])) > 0",
        "0m",
        "The exporter service met faults.",
        "{{ $labels.job }}, on {{ $labels.instance }}: about {{ $value | humanize }} things failed in the exporter and were contained.",
        "It goes on without what failed: numbers may be missing.",
        keep="15m",
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
