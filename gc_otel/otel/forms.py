"""What opentelemetry-exporter-prometheus and prometheus_client write of a metric, with places for its numbers.

They are given the metric with numbers that mark their places, and all processes of a service share what they write: a
mark stands for the pid as well.  So each line is theirs, and only what is different on every page is put in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client.utils import floatToGoString

from gc_otel.otel.producer import PROCESS_PID, SERVICE_NAME

#: Resource attributes that are labels of every series.
COPIED: Final = (PROCESS_PID, SERVICE_NAME)

Render = Callable[[Sequence[ResourceMetrics]], str]

_FAMILY: Final = "\n# HELP "
_END: Final = "# EOF\n"
_Point = HistogramDataPoint | NumberDataPoint

#: How both formats write a number.
_number_text: Final[Callable[[float], str]] = floatToGoString


class UnknownForm(Exception):
    """These libraries do not write a family for each metric, with its numbers at the ends of lines."""


@dataclass(frozen=True, slots=True)
class Form:
    """Of one metric of one resource: the lines that begin its family, and its samples, to be formatted with ``%``.

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


class Forms:
    """The forms of resources that are on a page for the first time, or with metrics that they had not.

    ``render`` gives the page of these resources alone.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._pid_mark = uuid.uuid4().hex  # what no label of anybody can be made to hold
        self._known: dict[Hashable, Form] = {}

    def of(self, each: ResourceMetrics, names: set[str]) -> dict[str, Form]:
        """The forms of these metrics of a resource; UnknownForm where the libraries are of another day."""
        resource, pid = each.resource, each.resource.attributes.get(PROCESS_PID)
        if isinstance(pid, int):
            resource = Resource({**resource.attributes, PROCESS_PID: self._pid_mark})
        labels = tuple(resource.attributes.get(name) for name in COPIED)
        keys = {
            metric.name: (labels, metric.name, tuple(tuple(point.attributes.items()) for point in points_of(metric)))  # type: ignore[union-attr]  # every point has some
            for scope in each.scope_metrics
            for metric in scope.metrics
            if metric.name in names
        }
        new = {name for name, key in keys.items() if key not in self._known}
        for name, form in self._asked(each, resource, new).items() if new else ():
            self._known[keys[name]] = form
        forms = {name: self._known[key] for name, key in keys.items()}
        if isinstance(pid, int):
            return {
                name: replace(form, samples=form.samples.replace(self._pid_mark, str(pid)))
                for name, form in forms.items()
            }
        return forms

    def _asked(self, each: ResourceMetrics, resource: Resource, names: set[str]) -> dict[str, Form]:
        scopes = [
            ScopeMetrics(scope.scope, [_marked(each) for each in scope.metrics if each.name in names], scope.schema_url)
            for scope in each.scope_metrics
        ]
        metrics = [metric for scope in scopes for metric in scope.metrics]
        text = self._render([ResourceMetrics(resource, scopes, each.schema_url)])
        families = list(_families(without_end(text)))
        if len(metrics) != len(families) or len({metric.name for metric in metrics}) != len(metrics):
            raise UnknownForm
        return {metric.name: _form(metric, *family) for metric, family in zip(metrics, families, strict=True)}


def points_of(metric: Metric) -> Sequence[_Point]:
    """The points of a metric."""
    return metric.data.data_points  # type: ignore[return-value]  # exponential histograms are not made here


def numbers_of(metric: Metric) -> list[float]:
    """All that a page tells of the points but their attributes; their times are on none."""
    numbers: list[float] = []
    for point in points_of(metric):
        if isinstance(point, HistogramDataPoint):
            numbers += accumulate(point.bucket_counts)
            numbers.append(point.sum)
        else:
            numbers.append(point.value)
    return numbers


def _marked(metric: Metric) -> Metric:
    """The metric with the numbers 0, 1, 2 and so on, in the order of :func:`numbers_of`."""
    data: Any = metric.data
    points: list[_Point] = []
    mark = 0
    for point in points_of(metric):
        if isinstance(point, HistogramDataPoint):
            buckets = len(point.bucket_counts)
            counts = [mark, *[1] * (buckets - 1)]
            points.append(replace(point, bucket_counts=counts, sum=mark + buckets))
            mark += buckets + 1
        else:
            points.append(replace(point, value=mark))
            mark += 1
    return replace(metric, data=replace(data, data_points=points))


def _form(metric: Metric, head: str, samples: str) -> Form:
    marks = {_number_text(mark): mark for mark in range(len(numbers_of(metric)))}
    lines = [line.rpartition(" ") for line in samples.splitlines()]
    try:
        places = tuple(marks[mark] for _, _, mark in lines)
    except KeyError:
        raise UnknownForm from None
    text = "".join(f"{series.replace('%', '%%')} %s\n" for series, _, _ in lines)
    return Form([point.attributes for point in points_of(metric)], head, text, places)


def without_end(text: str) -> str:
    """Without OpenMetrics' mark of the end."""
    return text.removesuffix(_END)


def _families(text: str) -> Iterable[tuple[str, str]]:
    """The lines about each family, and its samples.  No sample begins with a sharp, and a line's end in a label is escaped."""
    for part in f"\n{text}".split(_FAMILY)[1:]:
        lines = f"{_FAMILY[1:]}{part.removesuffix(chr(10))}\n".splitlines(keepends=True)
        about = sum(1 for line in lines if line.startswith("# "))
        yield "".join(lines[:about]), "".join(lines[about:])
