"""A page of many processes, whose text stays what it is but for the numbers at the ends of its lines.

The text is opentelemetry-exporter-prometheus' and prometheus_client's.  For each metric of each resource they are asked
once, with numbers that mark their places: that gives a form, which is filled with the numbers of every page.  They
are asked again when a metric has other attributes.  Put together by metric it is what they write for all resources at
once, because a family's samples stand in the order of its resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client.utils import floatToGoString

_FAMILY: Final = "\n# HELP "
_END: Final = "# EOF\n"

_Point = HistogramDataPoint | NumberDataPoint

#: How both formats write a number.
_number_text: Final[Callable[[float], str]] = floatToGoString


@dataclass(frozen=True, slots=True)
class _Form:
    """Of one metric of one resource: the lines that begin its family, and its samples, with places for numbers.

    ``places`` says which of the metric's numbers stands in each place; ``attributes`` are those of its points.
    """

    attributes: list[Any]
    head: str
    samples: str
    places: tuple[int, ...]

    def fill(self, numbers: Sequence[float]) -> str:
        """The samples with these numbers."""
        texts = [_number_text(number) for number in numbers]
        return self.samples % tuple([texts[place] for place in self.places])


@dataclass(slots=True)
class _Piece:
    """A form, filled."""

    form: _Form
    numbers: list[float]
    samples: str


class _Unknown(Exception):
    """These libraries do not write a family for a metric, and its numbers at the ends of lines."""


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
            try:
                pieces = self._pieces(each, known if resource is each.resource else {})
            except _Unknown:  # libraries of another day: then all at once
                self._kept.clear()
                return without_end(self._render(resource_metrics))
            self._kept[id(each.resource)] = each.resource, pieces
            for name, piece in pieces.items():
                heads.setdefault(name, piece.form.head)
                samples.setdefault(name, []).append(piece.samples)
        return "".join(part for name, head in heads.items() for part in (head, *samples[name]))

    def _pieces(self, each: ResourceMetrics, known: dict[str, _Piece]) -> dict[str, _Piece]:
        metrics = {metric.name: metric for scope in each.scope_metrics for metric in scope.metrics}
        attributes = {name: [point.attributes for point in _points(metric)] for name, metric in metrics.items()}
        unknown = {
            name for name, theirs in attributes.items() if name not in known or known[name].form.attributes != theirs
        }
        forms = self._forms(each, unknown) if unknown else {}
        return {
            name: _filled(forms[name], _numbers(metric)) if name in forms else _refilled(known[name], _numbers(metric))
            for name, metric in metrics.items()
        }

    def _forms(self, each: ResourceMetrics, names: set[str]) -> dict[str, _Form]:
        scopes = [
            ScopeMetrics(scope.scope, [_marked(each) for each in scope.metrics if each.name in names], scope.schema_url)
            for scope in each.scope_metrics
        ]
        metrics = [metric for scope in scopes for metric in scope.metrics]
        text = self._render([ResourceMetrics(each.resource, scopes, each.schema_url)])
        families = list(_families(without_end(text)))
        if len(metrics) != len(families) or len({metric.name for metric in metrics}) != len(metrics):
            raise _Unknown
        return {metric.name: _form(metric, *family) for metric, family in zip(metrics, families, strict=True)}


def _filled(form: _Form, numbers: list[float]) -> _Piece:
    return _Piece(form, numbers, form.fill(numbers))


def _refilled(known: _Piece, numbers: list[float]) -> _Piece:
    return known if known.numbers == numbers else _filled(known.form, numbers)


def _points(metric: Metric) -> Sequence[_Point]:
    return metric.data.data_points  # type: ignore[return-value]  # exponential histograms are not made here


def _numbers(metric: Metric) -> list[float]:
    """All that a page tells of the points but their attributes; their times are on none."""
    numbers: list[float] = []
    for point in _points(metric):
        if isinstance(point, HistogramDataPoint):
            numbers += accumulate(point.bucket_counts)
            numbers.append(point.sum)
        else:
            numbers.append(point.value)
    return numbers


def _marked(metric: Metric) -> Metric:
    """The metric with the numbers 0, 1, 2 and so on, in the order of :func:`_numbers`."""
    data: Any = metric.data
    points: list[_Point] = []
    mark = 0
    for point in _points(metric):
        if isinstance(point, HistogramDataPoint):
            buckets = len(point.bucket_counts)
            counts = [mark, *[1] * (buckets - 1)]
            points.append(replace(point, bucket_counts=counts, sum=mark + buckets))
            mark += buckets + 1
        else:
            points.append(replace(point, value=mark))
            mark += 1
    return replace(metric, data=replace(data, data_points=points))


def _form(metric: Metric, head: str, samples: str) -> _Form:
    marks = {_number_text(mark): mark for mark in range(len(_numbers(metric)))}
    lines = [line.rpartition(" ") for line in samples.splitlines()]
    try:
        places = tuple(marks[mark] for _, _, mark in lines)
    except KeyError:
        raise _Unknown from None
    text = "".join(f"{series.replace('%', '%%')} %s\n" for series, _, _ in lines)
    return _Form([point.attributes for point in _points(metric)], head, text, places)


def without_end(text: str) -> str:
    """Without OpenMetrics' mark of the end."""
    return text.removesuffix(_END)


def _families(text: str) -> Iterable[tuple[str, str]]:
    """The lines about each family, and its samples.  No sample begins with a sharp, and a line's end in a label is escaped."""
    for part in f"\n{text}".split(_FAMILY)[1:]:
        lines = f"{_FAMILY[1:]}{part.removesuffix(chr(10))}\n".splitlines(keepends=True)
        about = sum(1 for line in lines if line.startswith("# "))
        yield "".join(lines[:about]), "".join(lines[about:])
