"""What the tests ask of PromQL: its selectors, its functions, and the labels that its result has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from gc_otel.otel.catalog import CATALOG
from gc_otel.otel.exporter_catalog import EXPORTER_CATALOG
from gc_otel.otel.service_catalog import SERVICE_CATALOG

UNIT_SUFFIX = {"s": "_seconds", "By": "_bytes"}
IDENTITY = {"cluster", "namespace", "job", "service_name", "instance", "process_pid"}
RESOURCE = {"service_version", "process_runtime_version"}
LEVELS = {
    "service": IDENTITY - {"instance", "process_pid"},
    "service_le": IDENTITY - {"instance", "process_pid"} | {"le"},
    "service_reason": IDENTITY - {"instance", "process_pid"} | {"reason"},
    "service_version": IDENTITY - {"instance", "process_pid"} | RESOURCE,
    "instance": IDENTITY - {"process_pid"},
    "process": IDENTITY,
    "gc_otel": set(),
}
#: What is not of one process alone: of a service, and of the exporter service itself.
OTHERS = (*SERVICE_CATALOG, *EXPORTER_CATALOG)
OTHERS_BEGIN = tuple(metric.name.replace(".", "_") for metric in OTHERS)
METRICS = (*CATALOG, *OTHERS)
#: Written by the server itself.
SERVER = {"ALERTS": {"alertname", "alertstate", "severity"}, "ALERTS_FOR_STATE": {"alertname", "severity"}}


def _published() -> dict[str, set[str]]:
    """Labels of its own by every name that a metric of the catalogue may have, scraped or by OTLP."""
    found = {"target_info": RESOURCE}
    for metric in METRICS:
        name = metric.name.replace(".", "_")
        suffix = UNIT_SUFFIX.get(metric.unit, "")
        name += "" if name.endswith(suffix) else suffix
        labels = {each.replace(".", "_") for each in metric.attributes}
        if metric.kind == "counter":
            found[name + "_total"] = labels
        else:
            found[name] = labels
        if metric.kind == "histogram":
            found |= {name + "_sum": labels, name + "_count": labels, name + "_bucket": labels | {"le"}}
        if metric.kind == "gauge" and metric.unit == "1":
            found[name + "_ratio"] = labels
    return found


PUBLISHED = _published()
COUNTERS = {
    name
    for metric in METRICS
    for name in PUBLISHED
    if metric.kind in ("counter", "histogram")
    and name.startswith(metric.name.replace(".", "_"))
    and name != "target_info"
}


def own_labels(name: str) -> set[str]:
    """Every label that a series of this name can have; KeyError where nothing writes it."""
    if ":" in name:
        return LEVELS[name.partition(":")[0]]
    if name in SERVER:
        return SERVER[name] | IDENTITY
    return PUBLISHED[name] | IDENTITY


def concrete(expr: str) -> str:
    """Without Grafana's variables of time."""
    return re.sub(r"\$(__(rate_interval|interval|range)|window|floor)\b", "5m", expr)


@dataclass
class Selector:
    """One selector, and the functions and aggregations around it, innermost first."""

    name: str
    matchers: dict[str, tuple[str, str]]
    around: list[str]
    range_s: float | None


def parse(expr: str) -> Any:
    return promql.parse(concrete(expr))


def _name(node: Any) -> str:
    if isinstance(node, promql.Call):
        return str(node.func.name)
    return str(node.op) if isinstance(node, promql.AggregateExpr) else type(node).__name__


def nodes(expr: str) -> list[Any]:
    found: list[Any] = []
    promql.walk(parse(expr), lambda node: found.append(node) or True)
    return found


def functions(expr: str) -> set[str]:
    return {_name(node) for node in nodes(expr) if isinstance(node, promql.Call)}


def selectors(expr: str) -> list[Selector]:
    found: list[Selector] = []
    stack: list[Any] = []

    def enter(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            matchers = {each.name: (str(each.op), each.value) for each in node.matchers.matchers}
            around = [_name(each) for each in reversed(stack)]
            matrix = stack[-1] if stack and isinstance(stack[-1], promql.MatrixSelector) else None
            found.append(Selector(node.name, matchers, around, matrix.range.total_seconds() if matrix else None))
        stack.append(node)
        return True

    def leave(_: Any) -> bool:
        stack.pop()
        return True

    promql.walk(parse(expr), enter, leave)
    return found


def grouped_by(expr: str) -> set[str]:
    """Every label that the expression groups, matches or includes by."""
    found: set[str] = set()
    for node in nodes(expr):
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql.AggregateExpr) and modifier is not None:
            found |= set(modifier.labels)
        if isinstance(node, promql.BinaryExpr) and modifier is not None:
            found |= set(modifier.matching.labels if modifier.matching else ())
            found |= set(modifier.group_labels or ())
    return found


def result_labels(node: Any) -> set[str]:
    """Labels that the result can have."""
    if isinstance(node, str):
        return result_labels(parse(node))
    if isinstance(node, promql.VectorSelector):
        return own_labels(node.name)
    if isinstance(node, promql.MatrixSelector):
        return own_labels(node.vector_selector.name)
    if isinstance(node, promql.AggregateExpr):
        inner = result_labels(node.expr)
        if node.modifier is not None:
            assert set(node.modifier.labels) <= inner, (
                f"by() names what is not there: {set(node.modifier.labels) - inner}"
            )
            return set(node.modifier.labels)
        return inner if str(node.op) in ("topk", "bottomk") else set()
    if isinstance(node, promql.BinaryExpr):
        return _binary_labels(node)
    if isinstance(node, promql.Call):
        vectors = [each for each in node.args if not isinstance(each, (promql.NumberLiteral, promql.StringLiteral))]
        labels = result_labels(vectors[0]) if vectors else set()
        if node.func.name == "label_replace":
            return labels | {node.args[1].val}
        return labels - {"le"} if node.func.name == "histogram_quantile" else labels
    if isinstance(node, (promql.ParenExpr, promql.SubqueryExpr, promql.UnaryExpr)):
        return result_labels(node.expr)
    return set()


def _is_scalar(node: Any) -> bool:
    if isinstance(node, promql.ParenExpr):
        return _is_scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    return isinstance(node, promql.NumberLiteral) or (
        isinstance(node, promql.Call) and node.func.name in ("scalar", "time")
    )


def _binary_labels(node: Any) -> set[str]:
    if _is_scalar(node.lhs):
        return result_labels(node.rhs)
    left = result_labels(node.lhs)
    if _is_scalar(node.rhs) or str(node.op) in ("and", "unless"):
        return left
    right = result_labels(node.rhs)
    if str(node.op) == "or":
        return left | right
    modifier = node.modifier
    if modifier is None or modifier.matching is None:
        assert left == right, f"no series of one side has the labels of the other: {left ^ right}"
        return left
    on = set(modifier.matching.labels)
    if str(modifier.matching.type).endswith("Exclude"):
        on = left - on
    many = {"ManyToOne": left, "OneToMany": right}.get(str(modifier.card).rpartition(".")[2], on)
    return many | set(modifier.group_labels or ())
