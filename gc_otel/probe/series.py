"""Which types have a series of their own: the largest and the fastest growing, and no flicker.

A type's *place* is its rank by bytes or by growth, whichever is better.  Growth is that of the last ten or so censuses,
each counting less than the one after it; a type that goes up and down does not grow.  Ten types have a series:

- one that has a series keeps it while its place is among the first twenty;
- a series that is free goes to the best placed type that has none;
- one that comes among the first five takes the series of the worst placed, unless that is among the first five itself:
  five by bytes and five by growth always have one.
"""

from __future__ import annotations

from gc_otel.flight import layout

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

_KEPT_PLACE: Final = 2 * layout.SERIES
_URGENT_PLACE: Final = layout.SERIES // 2
_REMEMBERED: Final = 0.9  # of the changes known so far, at the next census
_LEAST_GROWTH_BYTES: Final = 4096
_STEADY: Final = 0.6  # of all that was added and taken away, this much must be left
_LEAST_CHANGES: Final = 3


class Series:
    """Remembers which types have one.  ``choose()`` is called with the bytes of every type at each census."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._growth: dict[str, float] = {}
        self._moved: dict[str, tuple[float, int]] = {}  # bytes added or taken away, and how often
        self._before: Mapping[str, int] = {}

    def choose(self, sizes: Mapping[str, int]) -> list[str]:
        """Those that have a series from now on."""
        places = self._places(sizes)
        kept = [name for name in self.names if places.get(name, _KEPT_PLACE) < _KEPT_PLACE]
        best = sorted(places, key=lambda name: (places[name], -sizes[name], name))
        for name in (name for name in best if name not in kept):
            if len(kept) < layout.SERIES:
                kept.append(name)
                continue
            worst = max(kept, key=lambda each: places[each])
            if places[name] >= _URGENT_PLACE or places[worst] < _URGENT_PLACE:
                break
            kept[kept.index(worst)] = name
        self.names = kept
        return kept

    def _places(self, sizes: Mapping[str, int]) -> dict[str, int]:
        growth, moved = {}, {}
        if self._before:
            for name, size in sizes.items():
                change = size - self._before.get(name, 0)
                gross, changes = self._moved.get(name, (0.0, 0))
                growth[name] = self._growth.get(name, 0.0) * _REMEMBERED + change
                moved[name] = gross * _REMEMBERED + abs(change), changes + (change != 0)
        self._growth, self._moved, self._before = growth, moved, sizes
        places = _ranks(sizes.items())
        for place, name in enumerate(self.grown(len(sizes))):
            places[name] = min(place, places[name])
        return places

    def grown(self, most: int) -> list[str]:
        """The fastest growing."""
        return list(_ranks(each for each in self._growth.items() if self._grows(*each)))[:most]

    def _grows(self, name: str, growth: float) -> bool:
        gross, changes = self._moved[name]
        return growth >= max(_LEAST_GROWTH_BYTES, _STEADY * gross) and changes >= _LEAST_CHANGES


def _ranks(amounts: Iterable[tuple[str, float]]) -> dict[str, int]:
    """Names in order, the largest first, each with its place from 0."""
    ordered = sorted(amounts, key=lambda each: (-each[1], each[0]))
    return {name: place for place, (name, _) in enumerate(ordered)}
