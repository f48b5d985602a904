"""Per-service totals over living and dead processes, which neither a death nor the exporter's own makes fall.

Every process is counted by differences: what its flight file says now, less what has been counted of it.  Both, the
totals and what has been counted, are one state, kept in one file that is replaced as a whole (:mod:`gc_otel.service.state`)
*before* anybody is shown the totals.  So an exporter that is killed at any instruction loses what it had counted since the last page,
which nobody saw, and the next one counts it from the flight files, which are cumulative; nothing is counted twice.

A process has one name for all this, that of its flight file: pid and the nanosecond of its making.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final

from gc_otel.flight import layout
from gc_otel.flight.folder import Folder
from gc_otel.flight.snapshot import Collector
from gc_otel.otel.service_catalog import GenerationTotals, ServiceTotals
from gc_otel.service.reasons import UNKNOWN, USUAL
from gc_otel.service.state import Counted, Service, State, read_state, set_state_aside, write_state

#: So many services have series; one more takes the place of the one that has been without a process for longest.
SERVICES_MOST: Final = 100
#: Where all of them have living processes.
OTHER_SERVICES: Final = "other services"

#: Numbers that no process reaches: 36 years of nanoseconds.  A flight file that holds one is damaged.
_NUMBER_MOST: Final = 2**60
#: So many names of the ended are remembered: a page that was begun before their end may still come with their numbers.
_OVER_MOST: Final = 4096

_CELLS: Final = 3 + layout.BUCKETS

NoteFault = Callable[[str, BaseException], None]


class Totals:
    """The counters of all services.  Any thread may call.

    ``save`` writes a state durably, and raises OSError where it cannot: then counting goes on, and is tried to be saved
    again with the next change.
    """

    def __init__(
        self,
        state: State | None = None,
        *,
        save: Callable[[State], None] = lambda _: None,
        note_fault: NoteFault = lambda *_: None,
    ) -> None:
        self._state = state if state is not None else State()
        self._save = save
        self._note_fault = note_fault
        self._lock = threading.RLock()
        self._is_dirty = False
        self._over: dict[str, None] = {}

    def count(self, name: str, service_name: str, collector: Collector, *, is_last: bool = False) -> None:
        """Add what is new of a process; nothing of one that has ended.

        ``is_last``: it died.  Inside the callback, perhaps: then its last collection may be half counted, and the histogram decides.
        """
        cells = _cells_of(collector)
        if name in self._over or (collector.torn and not is_last):
            return
        if max(cells) > _NUMBER_MOST:
            self._note_fault("totals", ValueError(f"the flight file {name} holds impossible counters"))
            return
        with self._lock:
            counted = self._counted(name, service_name)
            if counted.is_over:
                return
            new = [max(0, cell - before) for cell, before in zip(cells, counted.cells, strict=True)]
            if not any(new):
                return
            counted.cells = [max(pair) for pair in zip(cells, counted.cells, strict=True)]
            total = self._service(counted.service_name)
            total.cells = [sum(pair) for pair in zip(total.cells, new, strict=True)]
            self._is_dirty = True

    def end(self, name: str, service_name: str, reason: str | None) -> bool:
        """A process has ended, and its last numbers have been counted; False where that was known.

        ``reason`` None: no process ended; it goes on as another program, or is recorded no more.
        """
        with self._lock:
            counted = self._counted(name, service_name)
            if counted.is_over:
                return False
            counted.is_over = True
            self._over[name] = None
            if len(self._over) > _OVER_MOST:
                del self._over[next(iter(self._over))]
            if reason is not None:
                ended = self._service(counted.service_name).ended
                ended[reason] = ended.get(reason, 0) + 1
            self._is_dirty = True
            return True

    def is_over(self, name: str) -> bool:
        """Whether the end of that process has been counted."""
        with self._lock:
            counted = self._state.counted.get(name)
            return name in self._over or (counted is not None and counted.is_over)

    def _counted(self, name: str, service_name: str) -> Counted:
        counted = self._state.counted.get(name)
        if counted is None:
            # Its total first: a new service may have to take another one's place, and must find itself without members.
            place = self._place(service_name)
            counted = self._state.counted[name] = Counted(place, [0] * (_CELLS * layout.GENERATIONS))
            self._is_dirty = True
        return counted

    def _place(self, service_name: str) -> str:
        services = self._state.services
        if service_name in services or len(services) < SERVICES_MOST:
            self._service(service_name)
            return service_name
        inhabited = {each.service_name for each in self._state.counted.values() if not each.is_over}
        deserted = [name for name in services if name not in inhabited and name != OTHER_SERVICES]
        if not deserted:
            self._service(OTHER_SERVICES)
            return OTHER_SERVICES
        # In a dict the longest unused is the first: _service() puts the used one last.
        del services[deserted[0]]
        self._service(service_name)
        return service_name

    def _service(self, name: str) -> Service:
        services = self._state.services
        total = services.pop(name, None)
        if total is None:
            total = Service(time.time_ns(), [0] * (_CELLS * layout.GENERATIONS), dict.fromkeys(USUAL, 0))
        services[name] = total
        return total

    def vanished(self, present: Collection[str]) -> None:
        """To be called once, when all living processes are known: who is not in ``present`` ended while nobody watched.

        What was counted of it stays counted.  How it ended is not known.
        """
        with self._lock:
            for name, counted in list(self._state.counted.items()):
                if not counted.is_over and name not in present:
                    self.end(name, counted.service_name, UNKNOWN)
            self.forget_all_but(present)

    def forget_all_but(self, present: Collection[str]) -> None:
        """Forget the ended whose flight files have gone: nobody will come with their numbers any more."""
        with self._lock:
            gone = [name for name, each in self._state.counted.items() if each.is_over and name not in present]
            for name in gone:
                del self._state.counted[name]
            self._is_dirty = self._is_dirty or bool(gone)

    def save(self) -> None:
        """Write the state, if it has changed."""
        with self._lock:
            if not self._is_dirty:
                return
            try:
                self._save(self._state)
                self._is_dirty = False
            except OSError as error:
                self._note_fault("totals", error)

    def services(self) -> tuple[ServiceTotals, ...]:
        """The totals of now, by name."""
        with self._lock:
            return tuple(_totals(name, each) for name, each in sorted(self._state.services.items()))


def open_totals(folder: Folder, note_fault: NoteFault) -> Totals:
    """The totals of a folder, as the last exporter left them; a file that cannot be believed is put aside, and all begins at zero."""
    try:
        state = read_state(folder)
    except (OSError, ValueError) as error:
        note_fault("totals", error)
        set_state_aside(folder)
        state = State()
    return Totals(state, save=lambda state: write_state(folder, state), note_fault=note_fault)


def _cells_of(collector: Collector) -> list[int]:
    return [
        cell
        for each in collector.generations
        for cell in (
            sum(each.buckets) if collector.torn else each.collections,
            each.collected,
            each.duration_sum_ns,
            *each.buckets,
        )
    ]


def _totals(name: str, service: Service) -> ServiceTotals:
    return ServiceTotals(name, service.since_unix_ns, tuple(_generations(service.cells)), dict(service.ended))


def _generations(cells: list[int]) -> Iterator[GenerationTotals]:
    for first in range(0, len(cells), _CELLS):
        collections, collected, duration_sum_ns, *buckets = cells[first : first + _CELLS]
        yield GenerationTotals(collections, collected, duration_sum_ns, tuple(buckets))
