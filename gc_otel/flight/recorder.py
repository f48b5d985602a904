"""HAZARD ZONE 1: the gc callback, in Python.

The twin of ``_native/recorder.c``, for where no extension is built.  The rules of
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
"""

from __future__ import annotations

import gc
import struct
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final, Protocol

from gc_otel.flight import layout
from gc_otel.flight.layout import GC, GENERATION, LATEST, LONGEST, MONITOR

_OVERHEAD_SAMPLING: Final = 64
_YOUNG_SAMPLING: Final = 64
_YOUNG_CHECKS: Final = 1024
_CPU_CLOCK_NS: Final = getattr(time, "thread_time_ns", time.monotonic_ns)  # not everywhere
_THREAD_ID: Final = getattr(threading, "get_native_id", threading.get_ident)
_COUNT_LIMIT: Final = 2**48  # more objects than an address space holds: nonsense of a neighbour's
_LONGEST_S: Final = 1e9  # no duration is believed that is longer than 30 years

_SEQUENCE: Final = GC.cell("sequence")
_SINCE: Final = GC.cell("collecting_since_ns")
_KIND: Final = GC.cell("collecting_kind")
_THREAD: Final = GC.cell("collecting_thread_id")
_EVENTS: Final = GC.cell("events")
_WINDOW: Final = GC.cell("window")
_WINDOW_MAX: Final = GC.cell("window_max_ns")
_OVERHEAD: Final = GC.cell("overhead_ns")
_LONGEST_ENTRIES: Final = GC.cell("longest_entries")
_LONGEST_FLOOR: Final = GC.cell("longest_floor_ns")
_MONITOR_WINDOW: Final = MONITOR.cell("window")
_FIRST_BUCKET: Final = GENERATION.offset_in_entry("buckets")
_WRITE_ATTEMPTS: Final = 3
_EVENT_DURATION: Final = LATEST.offset_in_entry("duration_ns")


class Recorder(Protocol):
    """What writes every collection of this interpreter into a mapping."""

    def record_phase(self, phase: str, info: dict[str, Any]) -> None:
        """The gc callback."""

    def install(self) -> None:
        """Append the callback to ``gc.callbacks``."""

    def uninstall(self) -> bool:
        """Take the callback out; False while a collection runs: call again."""

    def begin_own_work(self) -> None:
        """Collections of this thread are our own doing from here on."""

    def end_own_work(self) -> None:
        """Until here."""


class MappingLike(Protocol):
    """The memory of a flight file: the native ``Mapping`` or its twin."""

    @property
    def alive(self) -> bool:
        """Whether this process may touch the cells."""

    def view(self) -> memoryview:
        """A writable memoryview of bytes; BufferError when closed or inherited."""

    def close(self) -> None:
        """Unmap, as soon as the last view handed out is released."""


def _count(info: dict[str, Any], name: str) -> int:
    """A number of the info dict, which other callbacks share and may have written to: else 0."""
    value = info.get(name, 0)
    return value if isinstance(value, int) and 0 <= value < _COUNT_LIMIT else 0


def _generation(info: dict[str, Any]) -> int:
    return min(_count(info, "generation"), layout.GENERATIONS - 1)


def _duration_ns(info: dict[str, Any], otherwise_ns: int) -> int:
    """CPython's own measure where it gives one (3.15)."""
    duration_s = info.get("duration")
    if not isinstance(duration_s, float) or not 0 <= duration_s < _LONGEST_S:
        return otherwise_ns
    return round(duration_s * 1e9)


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
        self._cells_bytes = mapping.view()
        self._cells = self._cells_bytes.cast("Q")
        self._clock_ns = clock_ns
        self._cpu_clock_ns = cpu_clock_ns
        self._get_count = get_count
        self._thread_id = thread_id
        self._since_ns = 0
        self._cpu_since_ns = 0
        self._cost_ns = 0
        self._kind = 0
        self._young_checks = _YOUNG_CHECKS
        self._own_thread = 0
        self._retired = False
        self._probed = False
        self._callback: Callable[[str, dict[str, Any]], None] | None = None
        self.faults = 0

    def record_phase(self, phase: str, info: dict[str, Any]) -> None:
        """The gc callback.  Never raises; what fails is counted in ``faults``."""
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
        except Exception:  # noqa: BLE001 - whatever it was (MemoryError, a neighbour's nonsense in info): counted
            self.faults += 1

    def _record_start(self, info: dict[str, Any]) -> None:
        cells = self._cells
        entered_ns = self._clock_ns()
        generation = _generation(info)
        flags = layout.EXPLICIT_FLAG if self._is_explicit(generation, cells[_EVENTS]) else 0
        if self._own_thread and self._own_thread == threading.get_ident():
            flags |= layout.OWN_FLAG
        self._kind = generation | flags << layout.FLAGS_SHIFT
        cells[_KIND] = self._kind
        cells[_THREAD] = self._thread_id()
        self._cpu_since_ns = self._cpu_clock_ns()
        self._since_ns = self._clock_ns()
        cells[_SINCE] = self._since_ns
        self._cost_ns = self._since_ns - entered_ns

    def _is_explicit(self, generation: int, events: int) -> bool:
        if not gc.isenabled():
            return True
        if generation == 0 and self._young_checks == 0 and events % _YOUNG_SAMPLING:
            return False
        threshold = gc.get_threshold()[0]
        explicit = threshold == 0 or self._get_count()[0] <= threshold
        if generation == 0:
            self._young_checks = _YOUNG_CHECKS if explicit else max(0, self._young_checks - 1)
        return explicit

    def _record_stop(self, info: dict[str, Any]) -> None:
        cpu_ns = self._cpu_clock_ns() - self._cpu_since_ns
        stopped_ns = self._clock_ns()
        cells = self._cells
        if not self._since_ns:  # installed while a collection was running
            cells[GENERATION.cell("no_start", _generation(info))] += 1
            return
        wall_ns = stopped_ns - self._since_ns
        # The stop has the last word on the generation.
        kind = _generation(info) | self._kind >> layout.FLAGS_SHIFT << layout.FLAGS_SHIFT
        duration_ns = _duration_ns(info, cpu_ns)
        number = cells[_EVENTS] + 1
        event = (
            number,
            self._since_ns,
            duration_ns,
            wall_ns,
            kind,
            _count(info, "collected"),
            _count(info, "uncollectable"),
            _count(info, "candidates"),
            cells[_THREAD],
        )
        longest = self._longest_writes(event) if duration_ns > cells[_LONGEST_FLOOR] else []
        self._commit(
            [
                (_SEQUENCE, (cells[_SEQUENCE] | 1,)),
                (LATEST.cell("number", (number - 1) % layout.LATEST_EVENTS), event),
                self._generation_write(event),
                *longest,
                (_WINDOW, self._window_row(duration_ns)),
                (_EVENTS, (number,)),
                (_SINCE, (0,)),
                (_OVERHEAD, (cells[_OVERHEAD] + self._overhead_ns(number, stopped_ns),)),
                (_SEQUENCE, ((cells[_SEQUENCE] | 1) + 1,)),
            ]
        )
        self._since_ns = 0

    def _overhead_ns(self, number: int, stopped_ns: int) -> int:
        if (number - 1) % _OVERHEAD_SAMPLING:
            return 0
        return (self._cost_ns + self._clock_ns() - stopped_ns) * _OVERHEAD_SAMPLING

    def _commit(self, writes: list[tuple[int, tuple[int, ...]]]) -> None:
        """Write the rows, each with one C call, whatever a signal handler raises between them.

        Values are absolute, so a row may be written twice; a half-counted collection
        would make the whole file unbelievable.  The exception goes on when all is written.
        """
        interruption: BaseException | None = None
        for index, values in writes:
            for _ in range(_WRITE_ATTEMPTS):
                try:
                    struct.pack_into(f"={len(values)}Q", self._cells_bytes, index * layout.CELL_BYTES, *values)
                    break
                except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it is raised below
                    interruption = error
        if interruption is not None:
            raise interruption

    def _generation_write(self, event: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        _, _, duration_ns, _, kind, collected, uncollectable, candidates, _ = event
        flags = kind >> layout.FLAGS_SHIFT
        first = GENERATION.cell("collections", kind & 0xFF)
        row = list(self._cells[first : first + GENERATION.stride_cells])
        row[0] += 1
        row[1] += flags & layout.EXPLICIT_FLAG
        row[2] += collected
        row[3] += uncollectable
        row[4] += candidates
        row[5] += duration_ns
        row[6] = max(duration_ns, row[6])
        bucket = _FIRST_BUCKET + bisect_left(layout.DURATION_BOUNDS_NS, duration_ns)
        row[bucket] += 1
        row[bucket + layout.BUCKETS] += duration_ns
        if flags & layout.OWN_FLAG:
            row[bucket + 2 * layout.BUCKETS] += 1
            row[bucket + 3 * layout.BUCKETS] += duration_ns
        return first, tuple(row)

    def _longest_writes(self, event: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
        cells = self._cells
        used = cells[_LONGEST_ENTRIES]
        first, stride = LONGEST.cell("number") + _EVENT_DURATION, LONGEST.stride_cells
        durations = [cells[first + entry * stride] for entry in range(min(used, layout.LONGEST_EVENTS))]
        if used < layout.LONGEST_EVENTS:
            durations.append(event[_EVENT_DURATION])
            place = used
        else:
            place = durations.index(min(durations))
            durations[place] = event[_EVENT_DURATION]
        floor_ns = min(durations) if len(durations) == layout.LONGEST_EVENTS else 0
        return [(LONGEST.cell("number", place), event), (_LONGEST_ENTRIES, (len(durations), floor_ns))]

    def _window_row(self, duration_ns: int) -> tuple[int, int]:
        cells = self._cells
        window = cells[_MONITOR_WINDOW]
        so_far_ns = cells[_WINDOW_MAX] if cells[_WINDOW] == window else 0
        return window, max(duration_ns, so_far_ns)

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
        self._cells_bytes = memoryview(bytearray())  # the mapping goes with its last view
        self._cells = self._cells_bytes.cast("Q")
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


def python_duration_clock() -> str:
    """Which of ``layout.DURATION_CLOCKS`` the Python recorder uses here."""
    if sys.version_info >= (3, 15):
        return "cpython"
    return "thread_cpu" if hasattr(time, "thread_time_ns") else "monotonic"


def gc_mode() -> str:
    """Which of ``layout.GC_MODES`` this interpreter's collector is.

    CPython 3.14.0 to 3.14.4 collect incrementally; 3.14.5 went back to generations.
    """
    if "t" in getattr(sys, "abiflags", ""):
        return "freethreaded"
    if (3, 14, 0) <= sys.version_info[:3] <= (3, 14, 4):
        return "incremental"
    return "generational"
