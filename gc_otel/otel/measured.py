"""Measured blocks as histograms: as they are for the exporter, value by value for the SDK's instruments.

Their names are the program's, so their series come on top of the others: at most five histograms for each name, and twice
that where it was measured with and without an overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gc_otel.flight import layout
from gc_otel.flight.heap_snapshot import Differences, Measured, MeasuredBlock

NAME: Final = "gc_otel.measure.name"
OVERLAPPED: Final = "gc_otel.measure.overlapped"

#: Values given to the SDK's histograms in one collect at most; the rest waits for the next.
VALUES_MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class MeasureMetric:
    """One histogram: ``pick`` takes it out of a block, ``scale`` brings it into its unit."""

    name: str
    unit: str
    description: str
    pick: Callable[[MeasuredBlock], Differences]
    field: str
    scale: float = 1

    @property
    def bounds(self) -> tuple[float, ...]:
        """Upper bounds in the metric's unit."""
        return tuple(bound * self.scale for bound in layout.MEASURE_BOUNDS[self.field])


MEASURE_METRICS: Final = (
    MeasureMetric(
        "gc_otel.measure.allocated_blocks",
        "{block}",
        "Allocated blocks more after a measured block of code than before; fewer are negative.",
        lambda block: block.blocks,
        "blocks",
    ),
    MeasureMetric(
        "gc_otel.measure.memory.usage",
        "By",
        "Resident memory more after a measured block of code than before; less is negative.",
        lambda block: block.rss_bytes,
        "rss_bytes",
    ),
    MeasureMetric(
        "gc_otel.measure.memory.uss",
        "By",
        "Unique memory more after a measured block of code than before, where measure(..., uss=True) asks for it.",
        lambda block: block.uss_bytes,
        "uss_bytes",
    ),
    MeasureMetric(
        "gc_otel.measure.collections",
        "{collection}",
        "Garbage collections during a measured block of code.",
        lambda block: block.collections,
        "collections",
    ),
    MeasureMetric(
        "gc_otel.measure.gc.duration",
        "s",
        "Time in garbage collections during a measured block of code.",
        lambda block: block.gc_ns,
        "gc_ns",
        scale=1e-9,
    ),
)


def attributes_of(block: MeasuredBlock) -> dict[str, str]:
    """Its name, and whether others ran meanwhile."""
    return {NAME: block.name, OVERLAPPED: "true" if block.overlapped else "false"}


class MeasureDrain:
    """What of the measured blocks the SDK's histograms have not received yet.

    Within a bucket each value is the mean of those that are new, so that counts, buckets and sums stay exact.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, bool, str, int], tuple[int, int]] = {}

    def take(self, measured: Measured) -> Iterator[tuple[MeasureMetric, float, dict[str, str]]]:
        """Metric, value and attributes, once for each value."""
        left = VALUES_MOST
        for block in measured.blocks:
            attributes = attributes_of(block)
            for metric in MEASURE_METRICS:
                found = metric.pick(block)
                for bucket, (count, total) in enumerate(zip(found.buckets, found.sums, strict=True)):
                    key = (block.name, block.overlapped, metric.field, bucket)
                    count_before, total_before = self._given.get(key, (0, 0))
                    new = count - count_before
                    if not 0 < new <= left:
                        continue  # none, or too many for this collect
                    left -= new
                    self._given[key] = count, total
                    value = (total - total_before) / new * metric.scale
                    for _ in range(new):
                        yield metric, value, attributes
