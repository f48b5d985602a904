"""Memory, CPU time and the rest of ``process.*`` of every living process, from outside, by psutil.

The observed process pays nothing for it, and is sampled too while it sits in C code that holds its GIL.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Final

from gc_otel.config import Config
from gc_otel.errors import FlightFileError
from gc_otel.flight.snapshot import HistoryPoint, Memory, Snapshot
from gc_otel.sample.cgroup import CGROUP_V1, CGROUP_V2, LimitReader, MemoryLimit
from gc_otel.sample.process import MemoryDetail, ProcessGone, ProcessSample, ProcessSampler
from gc_otel.service.figures import Mark
from gc_otel.service.following import Following
from gc_otel.service.ledger import Ledger
from gc_otel.service.recorded import Recorded

_NO_DETAIL: Final = MemoryDetail(None, None, None)
_SAMPLED: Final = tuple(each.name for each in fields(ProcessSample))
_UNKNOWN_LIMIT: Final = "unknown"
_STOP_S: Final = 5.0


class _Source:
    """Where the samples of one process come from.  ``lock`` is held while one is taken."""

    def __init__(self, recorded: Recorded, note_fault: Callable[[str, BaseException], None]) -> None:
        """ProcessGone when it has ended."""
        pid = recorded.identity.pid
        self.lock = threading.Lock()
        self._sampler = ProcessSampler(
            pid, on_disabled=lambda source, error: note_fault(f"process {pid}, source {source}", error)
        )
        # psutil has noted the start time of the process of that pid. Is it the one that we mean? It holds its
        # lock now, so its pid was not anybody else's a moment ago; from here on psutil compares start times.
        if not recorded.is_alive():
            raise ProcessGone(pid)
        self._limit = LimitReader(pid)
        self._same_mounts = _mount_namespace(pid) == _mount_namespace("self")
        self._detail = _NO_DETAIL

    def sample(self, *, with_detail: bool) -> Memory:
        """One sample; ProcessGone when it has ended."""
        sample = self._sampler.sample()
        if with_detail:
            self._detail = self._sampler.detail() or self._detail
        limit = self._read_limit()
        return Memory(
            sampled_ns=time.monotonic_ns(),
            uss_bytes=self._detail.uss_bytes,
            pss_bytes=self._detail.pss_bytes,
            swap_bytes=self._detail.swap_bytes,
            limit_bytes=limit.limit_bytes if limit is not None else None,
            limit_source=limit.source if limit is not None else _UNKNOWN_LIMIT,
            **{name: getattr(sample, name) for name in _SAMPLED},
        )

    def _read_limit(self) -> MemoryLimit | None:
        limit = self._limit.read()
        # In another mount namespace, a container's, its cgroup may be out of sight. The machine's
        # memory is then no answer: only a cgroup's limit that was really seen is one.
        if limit is not None and not self._same_mounts and limit.source not in (CGROUP_V1, CGROUP_V2):
            return None
        return limit


def _mount_namespace(pid: int | str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return None


class Sampling:
    """Samples all living processes every ``config.sample_interval`` seconds, in a thread of its own."""

    def __init__(self, following: Following, config: Config, ledger: Ledger) -> None:
        self._following = following
        self._interval_s = config.sample_interval
        self._with_detail = config.memory_detail
        self._ledger = ledger
        self._lock = threading.Lock()
        self._sources: dict[Recorded, _Source | None] = {}
        self._stopping = threading.Event()

    def start(self) -> Callable[[], None]:
        """Begin; returns what ends it."""
        thread = threading.Thread(target=self._run, name="gc_otel-sampling", daemon=True)
        thread.start()

        def stop() -> None:
            self._stopping.set()
            thread.join(_STOP_S)

        return stop

    def _run(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self.round()
            self._stopping.wait(max(0.0, began_s + self._interval_s - time.monotonic()))

    def round(self) -> None:
        """Sample every living process once, and write its history."""
        with self._ledger.spent("sampling"):
            living = self._following.living()
            for recorded in living:
                self._contained(recorded, self._sample_and_keep)
                if self._stopping.is_set():
                    return
            with self._lock:
                for gone in self._sources.keys() - set(living):
                    del self._sources[gone]

    def sample_new(self, recorded: Recorded) -> None:
        """The first sample of a process, by the thread that is about to show it; it never waits."""
        if recorded.memory is None and not recorded.is_ended:
            self._contained(recorded, self._sample_at_once)

    def sample_again(self, recorded: Recorded, *, age_ns_most: int) -> None:
        """A fresh sample for somebody who looks now, if the last one is older than that; it never waits."""
        memory = recorded.memory
        if not recorded.is_ended and (memory is None or time.monotonic_ns() - memory.sampled_ns > age_ns_most):
            self._contained(recorded, self._sample_at_once)

    def _contained(self, recorded: Recorded, sample: Callable[[Recorded], None]) -> None:
        try:
            sample(recorded)
        except (ProcessGone, FlightFileError):
            pass  # it has just ended, or its file is no more to be believed: who follows it will notice
        except Exception as error:  # noqa: BLE001 - contained and noted: the others are sampled all the same
            self._ledger.note_fault(f"sampling process {recorded.identity.pid}", error)

    def _sample_and_keep(self, recorded: Recorded) -> None:
        source = self._source(recorded)
        if source is not None:
            with source.lock:
                recorded.memory = source.sample(with_detail=self._with_detail)
        snapshot = recorded.snapshot()
        recorded.history.append(point_of(snapshot))
        recorded.tallies.append(time.time_ns(), snapshot.collector.generations)
        recorded.trail.add(Mark(time.monotonic_ns(), snapshot.collector.generations))

    def _sample_at_once(self, recorded: Recorded) -> None:
        source = self._source(recorded)
        if source is not None and source.lock.acquire(blocking=False):
            try:
                recorded.memory = source.sample(with_detail=False)
            finally:
                source.lock.release()

    def _source(self, recorded: Recorded) -> _Source | None:
        """None: its pid means nothing here, and only what it wrote of itself is known."""
        with self._lock:
            if recorded not in self._sources:
                self._sources[recorded] = None if recorded.elsewhere else _Source(recorded, self._ledger.note_fault)
            return self._sources[recorded]


def point_of(snapshot: Snapshot) -> HistoryPoint:
    """What the history keeps of a snapshot of now."""
    memory, interpreter, collector = snapshot.memory, snapshot.interpreter, snapshot.collector
    cpu_ns = None
    if memory is not None and memory.cpu_user_ns is not None and memory.cpu_system_ns is not None:
        cpu_ns = memory.cpu_user_ns + memory.cpu_system_ns
    return HistoryPoint(
        unix_ns=time.time_ns(),
        rss_bytes=memory.rss_bytes if memory is not None else None,
        uss_bytes=memory.uss_bytes if memory is not None else None,
        limit_bytes=memory.limit_bytes if memory is not None else None,
        allocated_blocks=interpreter.allocated_blocks if interpreter is not None else None,
        collections=collector.collections,
        duration_sum_ns=collector.duration_sum_ns,
        window_max_ns=collector.window_max_ns,
        cpu_ns=cpu_ns,
        threads=memory.threads if memory is not None else None,
    )
