"""Whose series: the labels that tell processes, targets and services apart, and the dashboards' variables over them.

Three sources, one set of queries.  Every label below may be absent, and an absent label
equals the empty one: grouping by it changes nothing, and ``=~".*"`` matches it.

| label         | library mode, scraped     | exporter service, scraped | OTLP, default translation           |
|---------------|---------------------------|---------------------------|-------------------------------------|
| job           | the scrape job            | the scrape job            | service.namespace/service.name      |
| instance      | the process's own page    | the exporter's page       | service.instance.id: one a process  |
| service_name  | absent                    | the process's service     | absent, unless promoted             |
| process_pid   | absent                    | the process               | absent, unless promoted             |
| cluster, namespace | the scrape's relabelling, where there is any                                              |

So a *process* is job, service_name, instance and process_pid together; a *target* is what shares an instance
and with it, in a container, a memory limit; a *service* is what shares job and service_name.
``otel_scope_*`` is never named: OTLP servers leave it out.  Totals of a service, which an exporter service publishes, and
deaths have no process_pid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana.names import DURATION, SERVICE_DURATION, name

SERVICE: Final = ("cluster", "namespace", "job", "service_name")
INSTANCE: Final = (*SERVICE, "instance")
PROCESS: Final = (*INSTANCE, "process_pid")

BY_SERVICE: Final = ", ".join(SERVICE)
BY_INSTANCE: Final = ", ".join(INSTANCE)
BY_PROCESS: Final = ", ".join(PROCESS)
BY_VERSION: Final = "job, service_name, service_version"

#: Reasons of gc_otel.process.ended, and those of which nobody has to know left out: an end of its own, a stop that was asked for.
OOM_KILL: Final = 'reason="OOM kill"'
KILLED: Final = 'reason="SIGKILL, cause unknown"'
CRASHES: Final = 'reason=~"signal SIG(SEGV|BUS|ABRT|FPE|ILL)"'
NOT_CLEAN: Final = 'reason!~"clean exit|signal SIGTERM|signal SIGINT"'

#: For series that went through `named`.
SERVICE_LEGEND: Final = "{{name}}"
INSTANCE_LEGEND: Final = "{{service_name}} {{instance}}"
PROCESS_LEGEND: Final = "{{service_name}} {{instance}} {{process_pid}}"


@dataclass(frozen=True, slots=True)
class Variable:
    """A dashboard variable over one label; ``all_value`` is what All stands for in a query."""

    name: str
    label: str
    title: str
    all_value: str


#: Outermost first: each one's values are those of the series that the ones before it select.
VARIABLES: Final = (
    Variable("cluster", "cluster", "Cluster", ".*"),
    Variable("namespace", "namespace", "Namespace", ".*"),
    Variable("job", "job", "Job", ".+"),
    Variable("service", "service_name", "Service", ".*"),
    Variable("instance", "instance", "Instance", ".+"),
    Variable("pid", "process_pid", "PID", ".*"),
)


def matchers(variables: tuple[Variable, ...]) -> str:
    """Label matchers of the variables' values."""
    return ", ".join(f'{each.label}=~"${each.name}"' for each in variables)


SELECTED: Final = matchers(VARIABLES)
SELECTED_SERVICE: Final = matchers(VARIABLES[:4])


def pick(metric: str, where: str = "", *, part: str = "", selected: str = SELECTED) -> str:
    """A selector of a metric of the catalogue: what the variables select and ``where`` holds."""
    return f"{name(metric)}{part}{{{', '.join(each for each in (where, selected) if each)}}}"


def named(expr: str) -> str:
    """The same series with a label ``name``: the service's name, or the job's where there is none."""
    of_job = f'label_replace({expr}, "name", "$1", "job", "(.+)")'
    return f'label_replace({of_job}, "name", "$1", "service_name", "(.+)")'


def either(metric: str, where: str = "", *, selected: str = SELECTED) -> str:
    """The same for a gauge of unit ``1``, under its scraped or its OTLP name."""
    scraped = pick(metric, where, selected=selected)
    return f"({scraped} or {scraped.replace('{', '_ratio{', 1)})"


def inside(where: str = "") -> str:
    """What stands in the braces of a selector: ``where``, and what the variables select."""
    return ", ".join(each for each in (where, SELECTED) if each)


def summed(by: str) -> str:
    """``sum`` with its labels, of which there may be none."""
    return f"sum by ({by})" if by else "sum"


def _with(*labels: str) -> str:
    return ", ".join(each for each in labels if each)


def counted(metric: str, total: str, by: str, *, where: str = "") -> str:
    """A counter's rate by the labels ``by``: of the service's own totals where an exporter has them, else of its processes' sum.

    The choice is made for each service, so that nothing is counted twice, and no service is left out.  Totals have no
    process_pid: where one is selected, they are not.
    """
    each = summed(_with(BY_SERVICE, by))
    rates = (f"{each} (rate({pick(name_, where)}[$__rate_interval]))" for name_ in (total, metric))
    return f"{summed(by)} ({' or '.join(rates)})"


def quantile(share: float, by: str, *, where: str = "", totals: bool = True) -> str:
    """A quantile of the collections' durations, of classic histograms or of native ones with custom bounds.

    ``totals``: of the service's, chosen as in `counted`.  NaN, for want of collections in the window, is left out.
    """
    kinds = (
        _durations("_bucket", "rate", _with(by, "le"), where, totals=totals),
        _durations("", "rate", by, where, totals=totals),
    )
    return " or ".join(f"(histogram_quantile({share}, {kind}) >= 0)" for kind in kinds)


def durations_in_steps() -> str:
    """How many collections fell into each bucket in each step, for a heatmap."""
    return f"{_durations('_bucket', 'increase', 'le', '', totals=True)} or {_durations('', 'increase', '', '', totals=True)}"


def _durations(part: str, function: str, by: str, where: str, *, totals: bool) -> str:
    """The histogram, or with ``part`` its classic buckets, summed by the labels ``by``."""
    names = (SERVICE_DURATION, DURATION) if totals else (DURATION,)
    each = summed(_with(BY_SERVICE, by))
    rates = [f"{each} ({function}({name_}{part}{{{inside(where)}}}[$__rate_interval]))" for name_ in names]
    return f"{summed(by)} ({' or '.join(rates)})"


def seconds_in_gc(by: str, *, where: str = "") -> str:
    """Seconds of collecting a second, by processes, of either kind of histogram."""
    classic = f"rate({DURATION}_sum{{{inside(where)}}}[$__rate_interval])"
    native = f"histogram_sum(rate({DURATION}{{{inside(where)}}}[$__rate_interval]))"
    return f"sum by ({by}) ({classic} or {native})"


def service_seconds_in_gc(by: str) -> str:
    """The same of the services' totals, chosen as in `counted`."""
    return f"{_durations('_sum', 'rate', by, '', totals=True)} or histogram_sum({_durations('', 'rate', by, '', totals=True)})"


def ended(window: str, by: str, where: str = "") -> str:
    """Processes that ended within the window."""
    return f"{summed(by)} (increase({pick('gc_otel.process.ended', where)}[{window}]))"


def used_bytes(by: str, *, selected: str = SELECTED) -> str:
    """Physical memory of processes that may share pages: PSS where it is sampled, else RSS.

    Each is summed by process before the choice: where another instrumentation publishes RSS, its scope's labels differ.
    """
    pss, rss = pick("process.memory.pss", selected=selected), pick("process.memory.usage", selected=selected)
    return f"sum by ({by}) (sum by ({BY_PROCESS}) ({pss}) or sum by ({BY_PROCESS}) ({rss}))"


def limit_bytes(by: str, *, selected: str = SELECTED) -> str:
    """The limit that they share.  RLIMIT_AS is left out: it limits address space, and each process on its own."""
    where = 'process_memory_limit_source!="rlimit-as"'
    return f"max by ({by}) ({pick('process.memory.limit', where, selected=selected)})"
