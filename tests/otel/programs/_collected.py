"""What the programs under test share: the points of ours in one collect, as plain numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

_PATIENCE_S = 20.0


def collected(reader: Any, scope: str = "gc_otel") -> dict[str, dict[str, Any]]:
    """Points by metric name and the only attribute's value; a histogram's value is its count."""
    data = reader.get_metrics_data()
    found: dict[str, dict[str, Any]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for metrics in resource.scope_metrics:
            if metrics.scope.name == scope:
                found |= {metric.name: points(metric) for metric in metrics.metrics if metric.data.data_points}
    return found


def points(metric: Any) -> dict[str, Any]:
    """Value or count by the first attribute's value, "" where there is none."""
    return {
        str(next(iter((point.attributes or {}).values()), "")): getattr(point, "value", None)
        if hasattr(point, "value")
        else point.count
        for point in metric.data.data_points
    }


def summary(reader: Any) -> dict[str, Any]:
    """Names, what the histogram received, and what it should have."""
    told = collected(reader)
    dropped = told.get("gc_otel.events.dropped", {})
    counted = sum(told.get("cpython.gc.collections", {}).values())
    return {
        "names": sorted(told),
        "received": sum(told.get("cpython.gc.duration", {}).values()),
        "expected": counted - dropped.get("self", 0) - dropped.get("limit", 0),
    }


def wait_until(holds: Callable[[], object], what: str) -> None:
    """A bounded wait; the program fails when it ends in vain."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(what)
        time.sleep(0.01)


def report(values: object) -> None:
    """The last line of a program's output."""
    print(json.dumps(values), flush=True)
