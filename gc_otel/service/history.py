"""An hour of one process, kept by the exporter: also while the process itself could not have written it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gc_otel.flight import layout
from gc_otel.flight.snapshot import GenerationStats, HistoryPoint

_FIELDS: Final = tuple(field.name for field in layout.HISTORY.fields)
_TALLY_CELLS: Final = 1 + 2 * layout.GENERATIONS
_NEVER_UNKNOWN: Final = frozenset({"unix_ns", "collections", "duration_sum_ns", "window_max_ns"})


class History:
    """A ring of points with the cells of the flight file's own: 58 KB when full, a fifth of what objects take.

    One thread appends; a reader in another one may miss the newest point, or see it twice.
    """

    def __init__(self, entries_most: int = layout.HISTORY_ENTRIES) -> None:
        self._most = entries_most
        self._entries = 0
        self._cells = array("Q")

    def append(self, point: HistoryPoint) -> None:
        """Keep the point; the oldest goes when the ring is full."""
        values = (getattr(point, name) for name in _FIELDS)
        cells = array("Q", [layout.ABSENT if value is None else value & layout.ABSENT for value in values])
        first = self._entries % self._most * len(_FIELDS)
        self._cells[first : first + len(_FIELDS)] = cells
        self._entries += 1

    def points(self) -> tuple[HistoryPoint, ...]:
        """All points, oldest first."""
        entries = self._entries
        return tuple(self._point(number % self._most) for number in range(max(0, entries - self._most), entries))

    def _point(self, entry: int) -> HistoryPoint:
        first = entry * len(_FIELDS)
        cells = zip(_FIELDS, self._cells[first : first + len(_FIELDS)], strict=True)
        return HistoryPoint(
            **{name: None if cell == layout.ABSENT and name not in _NEVER_UNKNOWN else cell for name, cell in cells}  # type: ignore[arg-type]  # what is never unknown is never None
        )

    def __len__(self) -> int:
        return min(self._entries, self._most)


@dataclass(frozen=True, slots=True)
class Tally:
    """The collector's counters at one moment, by generation."""

    unix_ns: int
    collections: tuple[int, ...]
    collected: tuple[int, ...]


class Tallies:
    """What :class:`HistoryPoint` does not tell apart: the generations; 40 KB when full.  Threads as with History."""

    def __init__(self, entries_most: int = layout.HISTORY_ENTRIES) -> None:
        self._most = entries_most
        self._entries = 0
        self._cells = array("Q")

    def append(self, unix_ns: int, generations: Sequence[GenerationStats]) -> None:
        """Keep the counters of now; the oldest go when the ring is full."""
        values = [unix_ns, *(each.collections for each in generations), *(each.collected for each in generations)]
        first = self._entries % self._most * _TALLY_CELLS
        self._cells[first : first + _TALLY_CELLS] = array("Q", [value & layout.ABSENT for value in values])
        self._entries += 1

    def all(self) -> tuple[Tally, ...]:
        """All, oldest first."""
        entries = self._entries
        return tuple(self._tally(number % self._most) for number in range(max(0, entries - self._most), entries))

    def _tally(self, entry: int) -> Tally:
        unix_ns, *counts = self._cells[entry * _TALLY_CELLS : (entry + 1) * _TALLY_CELLS]
        return Tally(unix_ns, tuple(counts[: layout.GENERATIONS]), tuple(counts[layout.GENERATIONS :]))
