"""Runs of measured blocks, into the slots of the flight file.

HAZARD: a run may end anywhere, in a finalizer that a collection runs inside of this very code too.  So no lock is
waited for: a run is put into a queue, which is one step, and whoever finds the door open empties the queue.  Who finds it
closed leaves: the one inside looks again after he has opened it.
"""

from __future__ import annotations

import gc
import os
import time
from _thread import allocate_lock
from bisect import bisect_left
from collections import deque

from gc_otel.flight import layout
from gc_otel.flight.file import write_text
from gc_otel.flight.layout import GENERATION, MEASURE_SLOT, MEASURES
from gc_otel.probe import probe

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from typing import Final, Protocol

    from gc_otel.probe.recording import Probe

    class Run(Protocol):
        """The part of :class:`gc_otel.measuring.Measured` that is recorded."""

        name: str
        overlapped: bool


_BLOCK: Final = MEASURE_SLOT.offset_bytes // layout.CELL_BYTES
_STRIDE: Final = MEASURE_SLOT.stride_cells
_RUNS: Final = MEASURE_SLOT.offset_in_entry("runs")
_FIELDS: Final = tuple(
    (name, bounds, MEASURE_SLOT.offset_in_entry(f"{name}_buckets"), MEASURE_SLOT.offset_in_entry(f"{name}_sums"))
    for name, bounds in layout.MEASURE_BOUNDS.items()
)
_OTHER: Final = "other"
_COST_SAMPLING: Final = 64
_MASK: Final = layout.ABSENT
_COLLECTIONS: Final = tuple(GENERATION.cell("collections", number) for number in range(layout.GENERATIONS))
_DURATIONS: Final = tuple(GENERATION.cell("duration_sum_ns", number) for number in range(layout.GENERATIONS))


class _Slots:
    """The slots of one flight file, written by one thread at a time."""

    def __init__(self, recording: Probe) -> None:
        self.recording, self.epoch = recording, recording.epoch
        self.view = recording.measure_view()
        self.cells = self.view.cast("Q")
        self._slots: dict[tuple[str, bool], int] = {}
        self._names: set[str] = set()
        self._runs = 0

    def write(self, run: Run) -> None:
        began_ns = 0 if self._runs % _COST_SAMPLING else time.thread_time_ns()
        self._runs += 1
        cells, sequence = self.cells, MEASURES.cell("sequence")
        cells[sequence] |= 1
        try:
            slot = self._slot(run)
            first = _BLOCK + slot * _STRIDE
            cells[first + _RUNS] += 1
            for field, bounds, buckets, sums in _FIELDS:
                value = getattr(run, field)
                if value is not None:
                    bucket = first + bisect_left(bounds, value)
                    cells[bucket + buckets] += 1
                    cells[bucket + sums] = cells[bucket + sums] + value & _MASK
            if began_ns:
                cells[MEASURES.cell("cost_ns")] += (time.thread_time_ns() - began_ns) * _COST_SAMPLING
        finally:
            cells[sequence] += 1

    def _slot(self, run: Run) -> int:
        name, flags = run.name, layout.MEASURE_OVERLAPPED * run.overlapped
        known = self._slots.get((name, run.overlapped))
        if known is not None:
            return known
        used = len(set(self._slots.values()))
        # The last two slots are for all other names, with and without an overlap.
        if (name not in self._names and len(self._names) >= layout.MEASURED_NAMES) or used >= layout.MEASURE_SLOTS - 2:
            name, flags = _OTHER, flags | layout.MEASURE_OTHER
            known = self._slots.get((name, run.overlapped))
        if known is None:
            known = used
            self._names.add(name)
            self._slots[name, run.overlapped] = known
            write_text(self.view, MEASURE_SLOT.cell("name", known) * 8, layout.MEASURE_NAME_BYTES, name)
            self.cells[MEASURE_SLOT.cell("flags", known)] = flags
            self.cells[MEASURES.cell("slots")] = known + 1
        return known


_waiting: deque[Run] = deque(maxlen=10_000)
_door = allocate_lock()
_slots: _Slots | None = None


def add(run: Run) -> None:
    """Record a run that has ended, if this process is recorded; raises nothing."""
    if probe.current() is None:
        return
    _waiting.append(run)
    while _waiting and _door.acquire(blocking=False):
        try:
            _empty()
        finally:
            _door.release()


def _empty() -> None:
    global _slots
    recording = probe.current()
    if recording is None:
        _waiting.clear()
        return
    try:
        if _slots is None or _slots.recording is not recording or _slots.epoch != recording.epoch:
            _slots = _Slots(recording)
        while _waiting:
            _slots.write(_waiting.popleft())
    except Exception as error:  # noqa: BLE001 - contained and noted: a block that worked must not fail by being measured
        recording.note_fault("measured block", error)


def collections() -> tuple[int, int | None]:
    """Collections so far, and the time in them; the time is None in a process that is not recorded."""
    slots, recording = _slots, probe.current()
    if recording is not None:
        cells = (
            slots.cells
            if slots is not None and slots.recording is recording and slots.epoch == recording.epoch
            else None
        )
        if cells is None:
            cells = recording.measure_view().cast("Q")
        return sum(cells[cell] for cell in _COLLECTIONS), sum(cells[cell] for cell in _DURATIONS)
    return sum(each["collections"] for each in gc.get_stats()), None


def _after_fork() -> None:
    """The door may have been closed by a thread that is not here."""
    global _door, _slots
    _door, _slots = allocate_lock(), None
    _waiting.clear()


os.register_at_fork(after_in_child=_after_fork)
