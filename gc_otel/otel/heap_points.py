"""Points of the heap and of garbage cycles: what has a series of its own, and the rest, so that the sum is the total.

Which rows have one is decided where they are written (:mod:`gc_otel.probe.series`), so that every reader says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gc_otel.flight.heap_snapshot import HeapCensus, HeapType
from gc_otel.flight.snapshot import Snapshot

TYPE: Final = "cpython.type"
CYCLE: Final = "cpython.gc.cycle"
OTHER: Final = "other"
_NS_PER_S: Final = 1e9

_Points = Iterable[tuple[float, dict[str, str]]]


def _taken(snapshot: Snapshot) -> HeapCensus | None:
    census = snapshot.census
    return census if census is not None and census.taken_ns else None


def by_type(pick: Callable[[HeapType | HeapCensus], int]) -> Callable[[Snapshot], _Points]:
    """A number of the types that have a series, and of all others together; nothing before the first census."""

    def read(snapshot: Snapshot) -> _Points:
        census = _taken(snapshot)
        if census is None:
            return []
        shown = {each.name: pick(each) for each in census.types if each.has_series and each.name != OTHER}
        rest = max(0, pick(census) - sum(shown.values()))
        return [(value, {TYPE: name}) for name, value in {**shown, OTHER: rest}.items()]

    return read


def of_census(pick: Callable[[HeapCensus], float | None]) -> Callable[[Snapshot], _Points]:
    """One number of the census; nothing before the first."""

    def read(snapshot: Snapshot) -> _Points:
        census = _taken(snapshot)
        value = None if census is None else pick(census)
        return [] if value is None else [(value, {})]

    return read


def garbage(snapshot: Snapshot) -> _Points:
    """``len(gc.garbage)``, which needs no census."""
    return [] if snapshot.census is None else [(snapshot.census.garbage_objects, {})]


def cycles(snapshot: Snapshot) -> _Points:
    """Estimated cycles by signature; nothing where none are sampled.

    What a signature had before it got its series stays among the others: no counter ever falls.
    """
    sample = snapshot.cycles
    if sample is None or sample.state != "on":
        return []
    shown: dict[str, int] = {}
    for each in sample.signatures:
        if each.series_base is not None and each.name != OTHER:
            shown[each.name] = shown.get(each.name, 0) + max(0, each.cycles - each.series_base)
    rest = max(0, sample.cycles - sum(shown.values()))
    return [(value, {CYCLE: name}) for name, value in {**shown, OTHER: rest}.items()]
