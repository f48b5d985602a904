"""A page of many processes, of which most have changed little: only what has changed is rendered anew.

The text is opentelemetry-exporter-prometheus' and prometheus_client's.  They are given one resource at a time, with
those of its metrics whose points are not what they were; the text of the others is kept from the last time.  Put
together by metric it is what they write for all resources at once, because a family's samples stand in the order of
its resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource

_FAMILY: Final = "\n# HELP "
_END: Final = "# EOF\n"

#: What a point tells on a page; its times are on none.
_Told = list[tuple[Any, ...]]


@dataclass(slots=True)
class _Piece:
    """One metric of one resource: its points, the lines that begin its family, and its samples."""

    told: _Told
    head: str
    samples: str


class Pieces:
    """The kept text of one format.  ``render`` gives the page of these resources alone; whoever calls holds the page's lock."""

    def __init__(self, render: Callable[[Sequence[ResourceMetrics]], str]) -> None:
        self._render = render
        # By identity: a resource is equal to another one by all that it says, which takes long to ask.
        self._kept: dict[int, tuple[Resource, dict[str, _Piece]]] = {}

    def page(self, resource_metrics: Sequence[ResourceMetrics]) -> str:
        """The page of all of them, without an end mark."""
        before, self._kept = self._kept, {}
        heads: dict[str, str] = {}
        samples: dict[str, list[str]] = {}
        for each in resource_metrics:
            resource, known = before.get(id(each.resource), (None, {}))
            pieces = self._pieces(each, known if resource is each.resource else {})
            if pieces is None:  # not a family for a metric, as these libraries have it today: then all at once
                self._kept.clear()
                return without_end(self._render(resource_metrics))
            self._kept[id(each.resource)] = each.resource, pieces
            for name, piece in pieces.items():
                heads.setdefault(name, piece.head)
                samples.setdefault(name, []).append(piece.samples)
        return "".join(part for name, head in heads.items() for part in (head, *samples[name]))

    def _pieces(self, each: ResourceMetrics, known: dict[str, _Piece]) -> dict[str, _Piece] | None:
        told = {metric.name: _told(metric) for scope in each.scope_metrics for metric in scope.metrics}
        changed = {name for name, now in told.items() if name not in known or known[name].told != now}
        new = self._rendered(each, told, changed) if changed else {}
        return None if new is None else {name: new.get(name) or known[name] for name in told}

    def _rendered(self, each: ResourceMetrics, told: dict[str, _Told], changed: set[str]) -> dict[str, _Piece] | None:
        scopes = [
            ScopeMetrics(scope.scope, [metric for metric in scope.metrics if metric.name in changed], scope.schema_url)
            for scope in each.scope_metrics
        ]
        text = self._render([ResourceMetrics(each.resource, scopes, each.schema_url)])
        families = list(_families(without_end(text)))
        names = [metric.name for scope in scopes for metric in scope.metrics]
        if len(names) != len(families) or len(set(names)) != len(names):
            return None
        return {name: _Piece(told[name], *family) for name, family in zip(names, families, strict=True)}


def _told(metric: Metric) -> _Told:
    return [
        (point.attributes, point.count, point.sum, point.bucket_counts)
        if isinstance(point, HistogramDataPoint)
        else (point.attributes, point.value)  # type: ignore[union-attr]  # exponential ones are not made here
        for point in metric.data.data_points
    ]


def without_end(text: str) -> str:
    """Without OpenMetrics' mark of the end."""
    return text.removesuffix(_END)


def _families(text: str) -> Iterable[tuple[str, str]]:
    """The lines about each family, and its samples.  No sample begins with a sharp, and a line's end in a label is escaped."""
    for part in f"\n{text}".split(_FAMILY)[1:]:
        lines = f"{_FAMILY[1:]}{part.removesuffix(chr(10))}\n".splitlines(keepends=True)
        about = sum(1 for line in lines if line.startswith("# "))
        yield "".join(lines[:about]), "".join(lines[about:])
