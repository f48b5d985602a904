"""From cumulative points to differences, for receivers that want those.

The SDK makes differences where it aggregates, and these points have never been there: the flight file has aggregated.
So it is done here, and exactly: what is sent is what a point says now, less what it said in the last
push that was *taken*. A refused push is forgotten, and the next one covers both. A push that was taken and not
acknowledged is sent again with the next one, as OTLP leaves it to every sender: nothing is lost, and it may count twice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
    Sum,
)

from gc_otel.otel.catalog import Kind
from gc_otel.otel.producer import INSTANCE

_DELTA: Final = AggregationTemporality.DELTA
_KEPT_NS: Final = 3600 * 1_000_000_000

#: Moment, value (of a histogram: the sum), and the counts of a histogram's buckets.
_Taken: TypeAlias = tuple[int, float, tuple[int, ...]]
_Key: TypeAlias = tuple[str, str]


class Deltas:
    """What each point of each resource said in the last push that was taken.

    ``kinds`` are the kinds of metrics to be sent as differences.
    """

    def __init__(self, kinds: Collection[Kind]) -> None:
        self._kinds = frozenset(kinds)
        self._taken: dict[str, dict[_Key, _Taken]] = {}

    def of(self, resource_metrics: Sequence[ResourceMetrics]) -> Sequence[ResourceMetrics]:
        """The same with differences where they are wanted.  Nothing is noted: see :meth:`taken`."""
        return [self._of_resource(each) for each in resource_metrics] if self._kinds else resource_metrics

    def _of_resource(self, resource_metrics: ResourceMetrics) -> ResourceMetrics:
        before = self._taken.get(_instance(resource_metrics), {})
        scopes = [
            replace(scope, metrics=[self._of_metric(metric, before) for metric in scope.metrics])
            for scope in resource_metrics.scope_metrics
        ]
        return replace(resource_metrics, scope_metrics=scopes)

    def _of_metric(self, metric: Metric, before: Mapping[_Key, _Taken]) -> Metric:
        if not self._is_wanted(metric):
            return metric
        data: Any = metric.data
        points = [_since(point, before.get(_key(metric, point))) for point in data.data_points]
        return replace(metric, data=replace(data, data_points=points, aggregation_temporality=_DELTA))

    def _is_wanted(self, metric: Metric) -> bool:
        data = metric.data
        if isinstance(data, Histogram):
            return "histogram" in self._kinds
        return isinstance(data, Sum) and data.is_monotonic and "counter" in self._kinds

    def taken(self, resource_metrics: Sequence[ResourceMetrics]) -> None:
        """These cumulative points were in a push that was taken."""
        for each in resource_metrics if self._kinds else ():
            noted = self._taken.setdefault(_instance(each), {})
            for scope in each.scope_metrics:
                for metric in filter(self._is_wanted, scope.metrics):
                    noted.update((_key(metric, point), _said(point)) for point in metric.data.data_points)

    def forget_all_but(self, resource_metrics: Sequence[ResourceMetrics], *, now_unix_ns: int) -> None:
        """There will be no more of the others: an hour after the last of them, for what is out of sight may come back."""
        here = {_instance(each) for each in resource_metrics}
        for instance in self._taken.keys() - here:
            last_unix_ns = max((moment for moment, _, _ in self._taken[instance].values()), default=0)
            if now_unix_ns - last_unix_ns > _KEPT_NS:
                del self._taken[instance]

    def dump(self) -> str:
        """Everything as text, for the exporter that comes after this one."""
        rows = {
            instance: [[*key, moment, value, *counts] for key, (moment, value, counts) in noted.items()]
            for instance, noted in self._taken.items()
        }
        return json.dumps(rows, separators=(",", ":"))

    def load(self, text: str) -> None:
        """What :meth:`dump` gave; ValueError where it is nothing like it."""
        rows = json.loads(text)
        if not isinstance(rows, dict):
            raise ValueError("it is no table")  # noqa: TRY004 - what is wrong is a file's text
        try:
            self._taken = {
                str(instance): {
                    (str(name), str(labels)): (int(moment), _number(value), tuple(map(int, counts)))
                    for name, labels, moment, value, *counts in noted
                }
                for instance, noted in rows.items()
            }
        except TypeError as error:
            raise ValueError(str(error)) from error


def _instance(resource_metrics: ResourceMetrics) -> str:
    return str(resource_metrics.resource.attributes.get(INSTANCE, ""))


def _key(metric: Metric, point: Any) -> _Key:
    return metric.name, json.dumps(sorted((point.attributes or {}).items()), separators=(",", ":"))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value


def _said(point: Any) -> _Taken:
    if isinstance(point, HistogramDataPoint):
        return point.time_unix_nano, point.sum, tuple(point.bucket_counts)
    return point.time_unix_nano, point.value, ()


def _since(point: Any, before: _Taken | None) -> Any:
    """The point less what was taken before; all of it, since its process or its recording began, at its first push."""
    if isinstance(point, HistogramDataPoint):
        return _histogram_since(point, before)
    if before is None:
        return point
    moment, value, _ = before
    # A counter does not fall. Where a source does so all the same, a receiver is not to be told of less than nothing.
    return replace(point, start_time_unix_nano=moment, value=max(0, point.value - value))


def _histogram_since(point: HistogramDataPoint, before: _Taken | None) -> HistogramDataPoint:
    # The longest of all time is not the longest of an interval, and that one is not known.
    nothing: Any = None  # OTLP's encoder leaves it out
    point = replace(point, min=nothing, max=nothing)
    if before is None or len(before[2]) != len(point.bucket_counts):
        return point
    moment, value, counts = before
    buckets = tuple(now - then for now, then in zip(point.bucket_counts, counts, strict=True))
    return replace(point, start_time_unix_nano=moment, count=sum(buckets), sum=point.sum - value, bucket_counts=buckets)
