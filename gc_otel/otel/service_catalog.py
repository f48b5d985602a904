"""The table of what is published per service: its living and its dead processes together, in the style of :mod:`gc_otel.otel.catalog`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gc_otel.otel.catalog import GENERATION, Metric, Point


@dataclass(frozen=True, slots=True)
class GenerationTotals:
    """One generation's collections; ``buckets`` as in :class:`gc_otel.flight.snapshot.GenerationStats`."""

    collections: int
    collected: int
    duration_sum_ns: int
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServiceTotals:
    """Everything that any process of the service did since ``since_unix_ns``; ``ended`` by reason."""

    service_name: str
    since_unix_ns: int
    generations: tuple[GenerationTotals, ...]
    ended: Mapping[str, int]


def _by_generation(pick: Callable[[GenerationTotals], int]) -> Callable[[ServiceTotals], Iterable[Point]]:
    def read(totals: ServiceTotals) -> Iterable[Point]:
        return [(pick(each), {GENERATION: number}) for number, each in enumerate(totals.generations)]

    return read


def _ended(totals: ServiceTotals) -> Iterable[Point]:
    return [(count, {"reason": reason}) for reason, count in totals.ended.items()]


SERVICE_CATALOG: Final[tuple[Metric[ServiceTotals], ...]] = (
    Metric(
        "gc_otel.service.collections",
        "counter",
        "{collection}",
        "Collections of all processes of the service, the ended ones included. Use this, or the sum of "
        "cpython.gc.collections over living processes, never both.",
        (GENERATION,),
        _by_generation(lambda totals: totals.collections),
    ),
    Metric(
        "gc_otel.service.duration",
        "histogram",
        "s",
        "How long the collections of all processes of the service took, the ended ones included.",
        (GENERATION,),
        lambda _: (),
    ),
    Metric(
        "gc_otel.service.collected_objects",
        "counter",
        "{object}",
        "Objects freed by the collector in all processes of the service, the ended ones included.",
        (GENERATION,),
        _by_generation(lambda totals: totals.collected),
    ),
    Metric(
        "gc_otel.process.ended",
        "counter",
        "{process}",
        "Processes of the service that have ended, by how: clean exit, exit code N, unhandled exception, signal NAME, "
        "OOM kill; SIGKILL, cause unknown, where nothing tells who sent it; unknown, where nothing tells anything.",
        ("reason",),
        _ended,
    ),
)
