"""One round of the monitor: what the interpreter and the operating system say, into the flight file.

It runs in the ticker's thread and is the only writer of the monitor, memory
and history blocks.  It takes no lock that the program could hold.
"""

from __future__ import annotations

import gc
import sys
import time

from gc_otel.flight import layout
from gc_otel.flight.layout import GC, GENERATION, HISTORY, MEMORY, MONITOR, WINDOW
from gc_otel.flight.recorder import MappingLike
from gc_otel.record import Record

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Protocol

    from gc_otel.sample.cgroup import MemoryLimit
    from gc_otel.sample.own import OwnSample
    from gc_otel.sample.process import MemoryDetail, ProcessSample
else:
    Protocol = object

_GENERATIONS: Final = range(layout.GENERATIONS)

#: No callback waits so long for the GIL.
_CALLBACK_PATIENCE_NS: Final = 10_000_000_000


class Sampler(Protocol):
    """The part of :class:`gc_otel.sample.process.ProcessSampler` that a round needs."""

    def sample(self) -> ProcessSample | OwnSample:
        """The cheap numbers."""

    def detail(self) -> MemoryDetail | None:
        """The dear ones, or None while they are not due."""


def allocated_blocks() -> int | None:
    """``sys.getallocatedblocks()``, or None where asking could end the process.

    CPython 3.14 and 3.15 walk all interpreters for it, and crash when another thread
    deletes an isolated one meanwhile (seen without this package).
    """
    if sys.version_info >= (3, 14) and "_interpreters" in sys.modules:  # asyncio imports it too
        several = len(sys.modules["_interpreters"].list_all()) > 1
        if several or "concurrent.interpreters" in sys.modules:  # which may be making or deleting one now
            return None
    return sys.getallocatedblocks()


class _Gap(Record):
    """Collections by generation that ``get_stats()`` has beyond the recorded, how many were recorded, and when."""

    missed: list[int]
    recorded: int
    at_ns: int


class Monitor:
    """Samples on every ``round()``.  ``sampler`` and ``read_limit`` may be None: nothing is known then."""

    def __init__(
        self,
        mapping: MappingLike,
        *,
        interval_ns: int,
        sampler: Sampler | None,
        read_limit: Callable[[], MemoryLimit | None] | None,
        with_detail: bool = True,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._cells = mapping.view().cast("Q")
        self._interval_ns = interval_ns
        self._sampler = sampler
        self._read_limit = read_limit
        self._with_detail = with_detail
        self._clock_ns = clock_ns
        self._unix_ns = unix_ns
        self._gap: _Gap | None = None
        self._stats_base = self._stats_not_recorded()
        self._put_memory_absent()

    def round(self) -> None:
        """One round."""
        began_ns = time.thread_time_ns()
        sample = self._sample_memory()
        self._write_monitor(sample)
        self._cells[MONITOR.cell("overhead_ns")] += time.thread_time_ns() - began_ns

    def add_overhead(self, spent_ns: int) -> None:
        """CPU time that this thread spent between rounds."""
        self._cells[MONITOR.cell("overhead_ns")] += spent_ns

    def tell_requests(self, word: str) -> None:
        """Whether requests are answered, as REQUESTS has it; before the thread is there."""
        self._cells[MONITOR.cell("requests")] = layout.REQUESTS.index(word)

    def _sample_memory(self) -> ProcessSample | OwnSample | None:
        if self._sampler is None:
            return None
        sample = self._sampler.sample()
        detail = self._sampler.detail() if self._with_detail else None
        limit = self._read_limit() if self._read_limit is not None else None
        now_ns = self._clock_ns()
        values: dict[str, int | None] = {name: getattr(sample, name) for name in type(sample).__slots__}
        values["sampled_ns"] = now_ns
        if detail is not None:
            values |= {name: getattr(detail, name) for name in type(detail).__slots__}
            values["detail_sampled_ns"] = now_ns
        values["limit_bytes"] = limit.limit_bytes if limit is not None else None
        values["limit_source"] = layout.LIMIT_SOURCES.index(limit.source) if limit is not None else 0
        self._put(MEMORY.cell("sequence"), {MEMORY.cell(name): value for name, value in values.items()})
        return sample

    def _put_memory_absent(self) -> None:
        """Nothing is known before the first sample, which is not the same as zero."""
        for field in MEMORY.fields:
            if field.name not in ("sequence", "sampled_ns", "detail_sampled_ns", "limit_source"):
                self._cells[MEMORY.cell(field.name)] = layout.ABSENT

    def _write_monitor(self, sample: ProcessSample | OwnSample | None) -> None:
        cells = self._cells
        entry = cells[MONITOR.cell("history_entries")]
        values: dict[int, int | None] = {
            MONITOR.cell("beat_ns"): self._clock_ns(),
            MONITOR.cell("interval_ns"): self._interval_ns,
            MONITOR.cell("allocated_blocks"): allocated_blocks(),
            MONITOR.cell("gc_enabled"): int(gc.isenabled()),
            MONITOR.cell("history_entries"): entry + 1,
        }
        values |= self._row("threshold", gc.get_threshold())
        values |= self._row("pending", gc.get_count())
        values |= self._row("unseen", self._unseen())
        values |= self._history(entry % layout.HISTORY_ENTRIES, sample, values[MONITOR.cell("allocated_blocks")])
        self._put(MONITOR.cell("sequence"), values)
        # Opens the next window: the recorder begins its maximum anew at its next collection.
        cells[WINDOW.cell("number")] += 1

    @staticmethod
    def _row(name: str, numbers: tuple[int, ...] | list[int]) -> dict[int, int | None]:
        # A negative count is possible on free-threaded builds, where it is kept per thread.
        first = MONITOR.cell(name)
        return {first + index: max(0, number) for index, number in enumerate(numbers[: layout.GENERATIONS])}

    def _history(
        self, entry: int, sample: ProcessSample | OwnSample | None, blocks: int | None
    ) -> dict[int, int | None]:
        cells = self._cells
        current = cells[GC.cell("window")] == cells[WINDOW.cell("number")]
        cpu = None
        if sample is not None and sample.cpu_user_ns is not None and sample.cpu_system_ns is not None:
            cpu = sample.cpu_user_ns + sample.cpu_system_ns
        return {
            HISTORY.cell("unix_ns", entry): self._unix_ns(),
            HISTORY.cell("rss_bytes", entry): sample.rss_bytes if sample is not None else None,
            HISTORY.cell("uss_bytes", entry): cells[MEMORY.cell("uss_bytes")],
            HISTORY.cell("limit_bytes", entry): cells[MEMORY.cell("limit_bytes")],
            HISTORY.cell("allocated_blocks", entry): blocks,
            HISTORY.cell("collections", entry): self._total("collections"),
            HISTORY.cell("duration_sum_ns", entry): self._total("duration_sum_ns"),
            HISTORY.cell("window_max_ns", entry): cells[GC.cell("window_max_ns")] if current else 0,
            HISTORY.cell("cpu_ns", entry): cpu,
            HISTORY.cell("threads", entry): sample.threads if sample is not None else None,
        }

    def _total(self, field: str) -> int:
        return sum(self._cells[GENERATION.cell(field, generation)] for generation in _GENERATIONS)

    def _put(self, sequence: int, values: dict[int, int | None]) -> None:
        cells = self._cells
        cells[sequence] |= 1
        for index, value in values.items():
            cells[index] = layout.ABSENT if value is None else value
        cells[sequence] += 1

    def _stats_not_recorded(self) -> list[int] | None:
        """Collections that ``gc.get_stats()`` knows beyond the recorded; None while one is running."""
        cells = self._cells
        before = cells[GC.cell("sequence")]
        stats = gc.get_stats()
        recorded = [
            cells[GENERATION.cell("collections", generation)] + cells[GENERATION.cell("no_start", generation)]
            for generation in _GENERATIONS
        ]
        if cells[GC.cell("sequence")] != before or cells[GC.cell("collecting_since_ns")]:
            return None
        return [each["collections"] - count for each, count in zip(stats, recorded, strict=False)]

    def _unseen(self) -> list[int]:
        """Collections that the recorder missed, by generation; never falls.

        ``get_stats()`` is ahead of the recorder until the stop callback has run, and a Python callback may wait
        long for the GIL before its first instruction.  So a gap counts when two rounds saw it and another collection
        was recorded in between, which cannot begin before the callbacks of the last have ended; or when nothing was
        recorded for longer than a thread waits.
        """
        first = MONITOR.cell("unseen")
        known = [self._cells[first + generation] for generation in _GENERATIONS]
        beyond = self._stats_not_recorded()
        if beyond is None:
            return known
        if self._stats_base is None:  # made while a collection was running: what is beyond now is no gap
            self._stats_base = beyond
        gap = [max(0, now - base) for now, base in zip(beyond, self._stats_base, strict=True)]
        missed = self._certainly_missed(
            _Gap(gap, self._total("collections") + self._total("no_start"), self._clock_ns())
        )
        return [max(old, new) for old, new in zip(known, missed, strict=True)]

    def _certainly_missed(self, seen: _Gap) -> list[int]:
        before = self._gap
        is_certain = before is not None and (
            seen.recorded != before.recorded or seen.at_ns - before.at_ns >= _CALLBACK_PATIENCE_NS
        )
        if before is None or is_certain or before.missed != seen.missed:
            self._gap = seen
        if before is None or not is_certain:
            return [0] * layout.GENERATIONS
        return [min(*both) for both in zip(seen.missed, before.missed, strict=True)]
