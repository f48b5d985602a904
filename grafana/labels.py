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
``otel_scope_*`` is never named: OTLP servers leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana.names import DURATION, name

SERVICE: Final = ("cluster", "namespace", "job", "service_name")
INSTANCE: Final = (*SERVICE, "instance")
PROCESS: Final = (*INSTANCE, "process_pid")

#: What target_info says of a process, whoever wrote it.
RESOURCE_LABELS: Final = frozenset({"service_version", "process_runtime_version"})
IDENTITY_LABELS: Final = frozenset(PROCESS)

BY_SERVICE: Final = ", ".join(SERVICE)
BY_INSTANCE: Final = ", ".join(INSTANCE)
BY_PROCESS: Final = ", ".join(PROCESS)

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
    inside = ", ".join(each for each in (where, selected) if each)
    return f"{name(metric)}{part}{{{inside}}}"


def named(expr: str) -> str:
    """The same series with a label ``name``: the service's name, or the job's where there is none."""
    of_job = f'label_replace({expr}, "name", "$1", "job", "(.+)")'
    return f'label_replace({of_job}, "name", "$1", "service_name", "(.+)")'


def either(metric: str, where: str = "", *, selected: str = SELECTED) -> str:
    """The same for a gauge of unit ``1``, under its scraped or its OTLP name."""
    scraped = pick(metric, where, selected=selected)
    return f"({scraped} or {scraped.replace('{', '_ratio{', 1)})"


def quantile(share: float, by: str, *, window: str = "$__rate_interval", where: str = "") -> str:
    """A quantile of the collections' durations, of classic histograms or of native ones with custom bounds.

    NaN, for want of collections in the window, is left out.
    """
    inside = ", ".join(each for each in (where, SELECTED) if each)
    classic_by = f"by ({by + ', ' if by else ''}le) "
    native_by = f"by ({by}) " if by else ""
    classic = f"histogram_quantile({share}, sum {classic_by}(rate({DURATION}_bucket{{{inside}}}[{window}])))"
    native = f"histogram_quantile({share}, sum {native_by}(rate({DURATION}{{{inside}}}[{window}])))"
    return f"({classic} or {native}) >= 0"


def seconds_in_gc(by: str, *, where: str = "") -> str:
    """Seconds of collecting a second, of either kind of histogram."""
    inside = ", ".join(each for each in (where, SELECTED) if each)
    classic = f"rate({DURATION}_sum{{{inside}}}[$__rate_interval])"
    native = f"histogram_sum(rate({DURATION}{{{inside}}}[$__rate_interval]))"
    return f"sum by ({by}) ({classic} or {native})"


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
