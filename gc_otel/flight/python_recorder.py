"""HAZARD ZONE 1: the gc callback, in Python.

The twin of ``_native/callback.c``, for where no extension is built.  The rules of
the zone are the same, and argued there: no lock, no logging, no import, one writer.
What Python cannot give is said here, and in the README:

- On entry a Python callback yields to a thread that waits for the GIL, before
  it can read a clock: a wall clock then shows 5 ms more for each waiting
  thread.  So durations are thread CPU time (520 ns a read), or on 3.15 what CPython
  itself measured; they miss time spent swapping or descheduled.
- A KeyboardInterrupt that arrives while it runs is reported as unraisable
  and never reaches the program.
- At the recursion limit it does not run: the gap to ``gc.get_stats()`` is
  published as dropped (reason ``unseen``).

A signal handler may raise between any two of its bytecodes.  So a stop first
reads and computes everything, then writes; what it writes are whole rows, each
by one C call, of absolute values: an interrupted write is done again from the
start, and no collection is counted by half or twice.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from gc_otel.flight import layout
from gc_otel.flight.layout import GC, GENERATION, LATEST, LONGEST, WINDOW
from gc_otel.flight.recorder import MappingLike, gc_mode

_OVERHEAD_SAMPLING: Final = 64
_YOUNG_SAMPLING: Final = 64
_YOUNG_PHASE: Final = 32  # never the collection whose own cost is measured
_YOUNG_CHECKS: Final = 1024
_CPU_CLOCK_NS: Final = getattr(time, "thread_time_ns", time.monotonic_ns)  # not everywhere
_THREAD_ID: Final = getattr(threading, "get_native_id", threading.get_ident)
_IS_FREE_THREADED: Final = gc_mode() == "freethreaded"
_BEGINS_LATER: Final = sys.version_info >= (3, 12) and gc_mode() == "generational"  # see callback.c
_COUNT_LIMIT: Final = 2**48  # more objects than an address space holds: nonsense of a neighbour's
_LONGEST_S: Final = 1e9  # no duration is believed that is longer than 30 years

# Names of the layout as constants of this module: a callback pays for every look-up.
_BOUNDS_NS: Final = layout.DURATION_BOUNDS_NS
_LATEST_EVENTS: Final = layout.LATEST_EVENTS
_OLDEST: Final = layout.GENERATIONS - 1
_EXPLICIT_FLAG: Final = layout.EXPLICIT_FLAG
_OWN_FLAG: Final = layout.OWN_FLAG
_FLAGS_SHIFT: Final = layout.FLAGS_SHIFT
_GENERATION_MASK: Final = (1 << _FLAGS_SHIFT) - 1

# Cells that are read or written alone.
_SEQUENCE: Final = GC.cell("sequence")
_SINCE: Final = GC.cell("collecting_since_ns")
_KIND: Final = GC.cell("collecting_kind")
_THREAD: Final = GC.cell("collecting_thread_id")
_EVENTS: Final = GC.cell("events")
_OVERHEAD: Final = GC.cell("overhead_ns")
_OPENED: Final = WINDOW.cell("number")
_NO_START: Final = tuple(GENERATION.cell("no_start", generation) for generation in range(layout.GENERATIONS))
_BUCKETS: Final = tuple(GENERATION.cell("buckets", generation) for generation in range(layout.GENERATIONS))
_SUM_BEHIND: Final = GENERATION.cell("bucket_sum_ns") - GENERATION.cell("buckets")
_OWN_BEHIND: Final = GENERATION.cell("own_buckets") - GENERATION.cell("buckets")
_LONGEST_DURATIONS: Final = tuple(LONGEST.cell("duration_ns", entry) for entry in range(layout.LONGEST_EVENTS))

# Rows: cells that follow each other, and the byte at which they begin.  A native "Q" stores a cell at once;
# that it has 8 bytes is so wherever CPython runs.
_GC_ROW: Final = Struct(f"{GC.stride_cells}Q")
_REST_OF_GC: Final = Struct(f"{GC.stride_cells - 1}Q")  # all but the sequence
_TOTALS: Final = Struct(f"{GENERATION.offset_in_entry('no_start')}Q")  # collections to duration_max_ns
_EVENT: Final = Struct(f"{LATEST.offset_in_entry('trace_id_high')}Q")  # number to thread_id
_READ_GC, _READ_TOTALS = _GC_ROW.unpack_from, _TOTALS.unpack_from
_PACK_REST, _PACK_TOTALS, _PACK_EVENT = _REST_OF_GC.pack_into, _TOTALS.pack_into, _EVENT.pack_into
_GC_AT: Final = GC.offset_bytes
_REST_AT: Final = _SINCE * layout.CELL_BYTES
_TOTALS_AT: Final = tuple(
    GENERATION.cell("collections", generation) * layout.CELL_BYTES for generation in range(layout.GENERATIONS)
)
_LATEST_AT: Final = LATEST.offset_bytes
_EVENT_BYTES: Final = LATEST.stride_cells * layout.CELL_BYTES

#: What a stop writes: see PythonRecorder._write().
_Row = tuple[int, ...]
_Writes = tuple[int, int, _Row, int, _Row, _Row, tuple[tuple[int, int], ...], _Row]


def _count(value: object) -> int:
    """A number of the info dict, which other callbacks share and may have written to: else 0."""
    return value if isinstance(value, int) and 0 <= value < _COUNT_LIMIT else 0


def _generation(info: dict[str, Any]) -> int:
    generation = _count(info.get("generation"))
    return generation if generation < _OLDEST else _OLDEST  # noqa: FURB136 - min() takes twice as long


def _told_ns(duration_s: object, otherwise_ns: int) -> int:
    """CPython's own measure where it gives one (3.15)."""
    if not isinstance(duration_s, float) or not 0 <= duration_s < _LONGEST_S:
        return otherwise_ns
    return round(duration_s * 1e9)


def _with_one_more(cells: memoryview, bucket: int, duration_ns: int) -> tuple[tuple[int, int], ...]:
    """The bucket's count, and its sum, which stands as far behind it as there are buckets."""
    behind = bucket + _SUM_BEHIND
    return (bucket, cells[bucket] + 1), (behind, cells[behind] + duration_ns)


def _place_among_longest(cells: memoryview, entries: int, duration_ns: int) -> tuple[tuple[int], int, int]:
    """Fill the table, then replace its shortest: where, its entries then, and its shortest duration once it is full."""
    durations = [cells[cell] for cell in _LONGEST_DURATIONS[:entries]]
    if entries < layout.LONGEST_EVENTS:
        place = entries
        durations.append(duration_ns)
    else:
        place = durations.index(min(durations))
        durations[place] = duration_ns
    floor_ns = min(durations) if len(durations) == layout.LONGEST_EVENTS else 0
    return (LONGEST.offset_bytes + place * _EVENT_BYTES,), len(durations), floor_ns


class _Lost:
    """An exception that only a report can tell of any more: CPython reports what a finalizer raises, at once."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error


class PythonRecorder:
    """Writes every collection of this interpreter into ``mapping``.

    ``clock_ns``, ``cpu_clock_ns``, ``get_count`` and ``thread_id`` are for tests
    and for platforms that lack the usual ones.
    """

    def __init__(
        self,
        mapping: MappingLike,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        cpu_clock_ns: Callable[[], int] = _CPU_CLOCK_NS,
        get_count: Callable[[], tuple[int, int, int]] = gc.get_count,
        thread_id: Callable[[], int] = _THREAD_ID,
    ) -> None:
        self._mapping = mapping
        self._view = mapping.view()
        self._cells = self._view.cast("Q")
        self._clock_ns = clock_ns
        self._cpu_clock_ns = cpu_clock_ns
        self._get_count = get_count
        self._thread_id = thread_id
        self._since_ns = 0
        self._cpu_since_ns = 0
        self._entered_ns = 0  # of a start whose cost is measured, else 0
        self._cost_ns = 0
        self._kind = 0
        self._writes: _Writes | None = None  # of a stop that is not finished
        self._young_checks = _YOUNG_CHECKS
        self._young_in_row = 0  # collections of generation 0 since the last of an older one
        self._own_thread = 0
        self._retired = False
        self._probed = False
        self._callback: Callable[[str, dict[str, Any]], None] | None = None
        self.faults = 0

    def record_phase(self, phase: str, info: dict[str, Any]) -> None:
        """The gc callback.  Raises what a signal handler raises, and nothing else; what fails is counted in ``faults``."""
        if self._retired:
            self._since_ns = 0  # the collection that uninstall() met is over, or a later one begins
            self._probed = True
            return
        # The guard before the cells: in a child forked without hooks they are not mapped.
        if not self._mapping.alive:
            return
        try:
            if phase == "start":
                self._record_start(info)
            else:
                self._record_stop(info)
        except Exception:  # noqa: BLE001 - whatever it was: MemoryError, a neighbour's nonsense in info
            if phase != "start":  # this collection is over, recorded or not
                self._cells[_SINCE] = self._since_ns = 0
            self.faults += 1
        except BaseException:
            if phase != "start":
                self._cells[_SINCE] = self._since_ns = 0
            raise

    def _record_start(self, info: dict[str, Any]) -> None:
        self._since_ns = 0  # of a stop that was missed
        if self._writes is not None:  # a stop was interrupted as often as it was tried
            self._write(self._writes)
            self._writes = None
        cells = self._cells
        events = cells[_EVENTS]
        self._entered_ns = 0 if events % _OVERHEAD_SAMPLING else self._clock_ns()
        generation = _generation(info)
        flags = _EXPLICIT_FLAG if self._is_explicit(generation, events) else 0
        self._young_in_row = 0 if generation else self._young_in_row + 1
        if self._own_thread and self._own_thread == threading.get_ident():
            flags |= _OWN_FLAG
        self._kind = cells[_KIND] = generation | flags << _FLAGS_SHIFT
        cells[_THREAD] = self._thread_id()
        self._cpu_since_ns = self._cpu_clock_ns()
        self._since_ns = cells[_SINCE] = self._clock_ns()
        self._cost_ns = self._since_ns - self._entered_ns

    def _is_explicit(self, generation: int, events: int) -> bool:
        if not gc.isenabled():
            return True
        if generation and _IS_FREE_THREADED:
            return True  # see callback.c, also for what follows
        is_asked = generation == _OLDEST or self._young_checks > 0 or events % _YOUNG_SAMPLING == _YOUNG_PHASE
        if generation == 0 and not is_asked:
            return False
        thresholds = gc.get_threshold()
        if not is_asked and self._young_in_row > thresholds[1]:
            return False
        counts = self._get_count()
        is_due = _BEGINS_LATER and generation == 1 and counts[1] > thresholds[1]
        explicit = thresholds[0] == 0 or (counts[0] <= thresholds[0] and not is_due)
        if generation < _OLDEST:
            self._young_checks = _YOUNG_CHECKS if explicit else max(0, self._young_checks - 1)
        return explicit

    def _record_stop(self, info: dict[str, Any]) -> None:
        cpu_ns = self._cpu_clock_ns() - self._cpu_since_ns
        stopped_ns = self._clock_ns()
        if not self._since_ns:  # installed while a collection was running
            self._cells[_NO_START[_generation(info)]] += 1
            return
        # Two handlers often raise one right after the other, when both signals came while this thread waited for the
        # GIL. No loop, and no call between the clauses: CPython would run the second handler there, outside of any
        # `try`, and the first exception would be gone without a word.
        try:
            self._finish(info, cpu_ns, stopped_ns)
        except BaseException as first:
            try:
                self._finish(info, cpu_ns, stopped_ns)
            except BaseException:
                if not isinstance(first, Exception):  # else most likely a neighbour's nonsense, which fails twice
                    _Lost(first)
                raise
            raise
        if self._entered_ns:
            self._cells[_OVERHEAD] += (self._cost_ns + self._clock_ns() - stopped_ns) * _OVERHEAD_SAMPLING

    def _finish(self, info: dict[str, Any], cpu_ns: int, stopped_ns: int) -> None:
        """Write what this collection changes; may be interrupted and called again."""
        if self._since_ns:
            if self._writes is None:
                self._writes = self._prepare(info, cpu_ns, stopped_ns)
            self._write(self._writes)
            self._since_ns = 0  # done: what follows may be repeated, what is above may not
        self._writes = None

    def _write(self, writes: _Writes) -> None:
        odd, event_at, event, totals_at, totals, longest_at, buckets, rest = writes
        view, cells = self._view, self._cells
        cells[_SEQUENCE] = odd
        _PACK_EVENT(view, event_at, *event)
        _PACK_TOTALS(view, totals_at, *totals)
        for cell, value in buckets:
            cells[cell] = value
        for at in longest_at:  # none or one
            _PACK_EVENT(view, at, *event)
        _PACK_REST(view, _REST_AT, *rest)
        cells[_SEQUENCE] = odd + 1

    def _prepare(self, info: dict[str, Any], cpu_ns: int, stopped_ns: int) -> _Writes:
        """All that this collection changes, as it is to be afterwards."""
        view, cells, told = self._view, self._cells, info.get
        kind, since_ns = self._kind, self._since_ns
        sequence, _, _, thread_id, events, entries, floor_ns, window, window_max_ns, overhead_ns = _READ_GC(
            view, _GC_AT
        )
        duration_s = told("duration")
        duration_ns = cpu_ns if duration_s is None else _told_ns(duration_s, cpu_ns)
        collected, uncollectable = _count(told("collected")), _count(told("uncollectable"))
        candidates = _count(told("candidates"))
        wall_ns = stopped_ns - since_ns
        event = (events + 1, since_ns, duration_ns, wall_ns, kind, collected, uncollectable, candidates, thread_id)

        generation, flags = kind & _GENERATION_MASK, kind >> _FLAGS_SHIFT
        totals_at = _TOTALS_AT[generation]
        totals = _READ_TOTALS(view, totals_at)
        collections, explicit, all_collected, all_uncollectable, all_candidates, sum_ns, max_ns = totals
        totals = (
            collections + 1,
            explicit + (flags & _EXPLICIT_FLAG),
            all_collected + collected,
            all_uncollectable + uncollectable,
            all_candidates + candidates,
            sum_ns + duration_ns,
            duration_ns if duration_ns > max_ns else max_ns,  # noqa: FURB136 - max() takes twice as long
        )
        bucket = _BUCKETS[generation] + bisect_left(_BOUNDS_NS, duration_ns)
        buckets = _with_one_more(cells, bucket, duration_ns)
        if flags & _OWN_FLAG:
            buckets += _with_one_more(cells, bucket + _OWN_BEHIND, duration_ns)

        longest_at: tuple[int, ...] = ()
        if duration_ns > floor_ns:
            longest_at, entries, floor_ns = _place_among_longest(cells, entries, duration_ns)
        now_window = cells[_OPENED]
        if now_window != window or duration_ns > window_max_ns:
            window_max_ns = duration_ns
        rest = (0, kind, thread_id, events + 1, entries, floor_ns, now_window, window_max_ns, overhead_ns)
        event_at = _LATEST_AT + events % _LATEST_EVENTS * _EVENT_BYTES
        return sequence | 1, event_at, event, totals_at, totals, longest_at, buckets, rest

    def install(self) -> None:
        """Append the callback: an insertion would shift the list under a collection that walks it."""
        if self._callback is None:
            self._callback = self.record_phase
            gc.callbacks.append(self._callback)

    def uninstall(self) -> bool:
        """Take the callback out; False while a collection runs: call again."""
        if self._callback is None:
            return True
        # The list is walked live: a removal during a collection would skip our neighbour.
        self._retired = True
        if self._since_ns:
            return False
        if gc.callbacks and gc.callbacks[-1] is self._callback:  # behind the last entry nobody can be skipped
            gc.callbacks.pop()
        elif any(callback is self._callback for callback in gc.callbacks):
            if self._is_collecting():
                return False
            gc.callbacks[:] = [callback for callback in gc.callbacks if callback is not self._callback]
        self._callback = None
        self._view = memoryview(bytearray())  # the mapping goes with its last view
        self._cells = self._view.cast("Q")
        return True

    def _is_collecting(self) -> bool:
        """Inside a collection ``gc.collect()`` does nothing; outside of one it calls us."""
        self._probed = False
        gc.collect(0)
        return not self._probed

    def begin_own_work(self) -> None:
        """Collections of this thread are our own doing from here on."""
        self._own_thread = threading.get_ident()

    def end_own_work(self) -> None:
        """Until here."""
        self._own_thread = 0

    def compare_clocks(self) -> None:
        """Nothing to find: Python has no shorter way to a clock."""
