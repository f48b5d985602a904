"""The cycle sampler, switched on; and which signatures have a series of their own.

The sampler itself is C, inside the gc callback (``_native/sampler.c``).  In Python it would hold a list of objects
while other threads run, which breaks them up to CPython 3.13 (``heap/types_only.py``): without C there is none.

A signature gets a series when it has made one in a hundred of the estimated cycles, in three samples or more; ten
signatures get one, and none loses it: a counter that goes away and comes back cannot be read.  What it had made before stays
among the others, whose sum so never falls.
"""

from __future__ import annotations

from gc_otel.flight import layout
from gc_otel.flight.layout import CYCLE_SERIES, CYCLE_SIGNATURE, CYCLES
from gc_otel.flight.recorder import MappingLike, gc_mode

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from typing import Final, Protocol

    class Sampling(Protocol):
        """The part of the native recorder that samples."""

        def sample_cycles(self, cost_factor: int, least_interval_ns: int, objects_most: int, /) -> bool:
            """See ``_native/recorder.c``."""


#: A sample of a generation is followed by a thousand times its duration without one, so that two generations cost 0.2 %
#: at most; by five seconds at least, once thirty were taken, so that it meets few requests of a service.
COST_FACTOR: Final = 1000
LEAST_INTERVAL_NS: Final = 5_000_000_000
OBJECTS_MOST: Final = 10_000

_SAMPLES_LEAST: Final = 3
_SHARE: Final = 100


def begin(recorder: object, mapping: MappingLike, *, wanted: bool, native: bool) -> None:
    """Switch the sampler on where there is one; before the recorder is installed."""
    state = _why_not(wanted=wanted, native=native)
    if state is None:
        sampling: Sampling = recorder  # type: ignore[assignment]  # the native one
        state = "on" if sampling.sample_cycles(COST_FACTOR, LEAST_INTERVAL_NS, OBJECTS_MOST) else "failed"
    mapping.view().cast("Q")[CYCLES.cell("state")] = layout.CYCLES_STATES.index(state)


def _why_not(*, wanted: bool, native: bool) -> str | None:
    if not wanted:
        return "off"
    mode = gc_mode()
    if mode in (
        "freethreaded",
        "incremental",
    ):  # counts are split between threads; a young collection frees old objects too
        return mode
    return None if native else "python"


class CycleSeries:
    """Gives signatures their series.  ``round()`` is called by the monitor's thread."""

    def __init__(self, mapping: MappingLike) -> None:
        self._cells = mapping.view().cast("Q")
        self._taken: set[int] = set()

    def round(self) -> None:
        """Give what is free to the signatures that have made most."""
        cells = self._cells
        total = cells[CYCLES.cell("cycles")]
        if len(self._taken) == layout.SERIES or total == 0:
            return
        rows = [
            (cells[CYCLE_SIGNATURE.cell("cycles", row)], cells[CYCLE_SIGNATURE.cell("id", row)])
            for row in range(layout.CYCLE_SIGNATURES)
            if cells[CYCLE_SIGNATURE.cell("samples", row)] >= _SAMPLES_LEAST
        ]
        rows = [each for each in rows if each[0] * _SHARE >= total and each[1] not in self._taken]
        for cycles, identity in sorted(rows, reverse=True)[: layout.SERIES - len(self._taken)]:
            # The callback may run between any two of these, and give the row to another signature: then this
            # id is of no row any more, and its series is lost and never shown.
            entry = len(self._taken)
            cells[CYCLE_SERIES.cell("base", entry)] = cycles
            cells[CYCLE_SERIES.cell("id", entry)] = identity
            self._taken.add(identity)
