"""What the exporter knows of itself: its faults, and what it has spent."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gc_otel.flight import layout
from gc_otel.flight.snapshot import Fault
from gc_otel.otel.exporter_catalog import COMPONENTS

_TEXT_LETTERS_MOST: Final = 500


@dataclass(slots=True)
class _Count:
    count: int = 0
    last_unix_ns: int = 0


class Ledger:
    """Counts by any thread.  Of different faults the first 16 are kept by name, and all are counted."""

    def __init__(self) -> None:
        self.since_unix_ns = time.time_ns()
        self._lock = threading.Lock()
        self._faults: dict[str, _Count] = {}
        self._faults_in_all = 0
        self._cpu_ns = dict.fromkeys(COMPONENTS, 0)

    def note_fault(self, where: str, error: BaseException) -> None:
        """Note what failed and was contained."""
        text = f"{where}: {type(error).__name__}: {error}"[:_TEXT_LETTERS_MOST]
        with self._lock:
            self._faults_in_all += 1
            if text in self._faults or len(self._faults) < layout.FAULT_ENTRIES:
                entry = self._faults.setdefault(text, _Count())
                entry.count += 1
                entry.last_unix_ns = time.time_ns()

    @contextlib.contextmanager
    def spent(self, component: str) -> Iterator[None]:
        """Adds the CPU time of the calling thread while inside to that component."""
        began_ns = time.thread_time_ns()
        try:
            yield
        finally:
            with self._lock:
                self._cpu_ns[component] += time.thread_time_ns() - began_ns

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults by name."""
        with self._lock:
            return tuple(Fault(text, each.count, each.last_unix_ns) for text, each in self._faults.items())

    @property
    def faults_in_all(self) -> int:
        """How many there were."""
        return self._faults_in_all

    @property
    def cpu_ns(self) -> dict[str, int]:
        """CPU time by component."""
        with self._lock:
            return dict(self._cpu_ns)
