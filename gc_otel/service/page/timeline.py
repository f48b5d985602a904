"""The hour of one process: what the exporter sampled from outside, and what the process wrote of itself.

The exporter's points are there while the process hangs in C code; the file's reach back to before the exporter was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from gc_otel.flight.snapshot import HistoryPoint
from gc_otel.service.history import Tally

_NS_PER_MS: Final = 1_000_000
_NEAR_NS: Final = 7_500_000_000  # one and a half of the usual interval

#: What the page is told of each point.
COLUMNS: Final = (
    "rss_bytes",
    "uss_bytes",
    "limit_bytes",
    "allocated_blocks",
    "collections",
    "duration_sum_ns",
    "window_max_ns",
    "cpu_ns",
    "threads",
)


def joined(outside: Sequence[HistoryPoint], inside: Sequence[HistoryPoint]) -> tuple[HistoryPoint, ...]:
    """One line of points by time: those from outside, and those from inside where there is none from outside near.

    What the outside does not know of a point (the blocks, where the monitor was late) is left unknown.
    """
    if not inside or not outside:
        return tuple(outside or inside)
    times = [point.unix_ns for point in outside]
    alone = [point for point in inside if _distance_ns(times, point.unix_ns) > _NEAR_NS]
    return tuple(sorted([*outside, *alone], key=lambda point: point.unix_ns))


def _distance_ns(times: Sequence[int], at_ns: int) -> int:
    right = bisect_left(times, at_ns)
    return min(abs(each - at_ns) for each in times[max(0, right - 1) : right + 1])


def columns(points: Sequence[HistoryPoint]) -> dict[str, list[Any]]:
    """One list for each column, and ``unix_ms``: a browser's numbers hold no nanoseconds since 1970."""
    made: dict[str, list[Any]] = {"unix_ms": [point.unix_ns // _NS_PER_MS for point in points]}
    for name in COLUMNS:
        made[name] = [getattr(point, name) for point in points]
    return made


def tally_columns(tallies: Sequence[Tally]) -> dict[str, list[Any]]:
    """The counters by generation, a list of three for each moment."""
    return {
        "unix_ms": [tally.unix_ns // _NS_PER_MS for tally in tallies],
        "collections_by_generation": [list(tally.collections) for tally in tallies],
        "collected_by_generation": [list(tally.collected) for tally in tallies],
    }


def thinned(points: Sequence[HistoryPoint], most: int) -> list[HistoryPoint]:
    """At most so many, the last among them, spread evenly: for a line as small as a word."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(at * step)] for at in range(most)]
