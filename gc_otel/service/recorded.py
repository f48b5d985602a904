"""One recorded process, followed by its flight file from the first sight to the last."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gc_otel.errors import FlightFileError, NotConsistent
from gc_otel.flight import layout, reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.heap_reader import HeapReader
from gc_otel.flight.snapshot import Collector, Identity, Memory, Snapshot
from gc_otel.flight.source import Source
from gc_otel.flight.still import Still
from gc_otel.service.figures import Trail
from gc_otel.service.fleet import Process, own_pid_namespace
from gc_otel.service.history import History, Tallies
from gc_otel.service.kernel import has_ended, start_ticks
from gc_otel.service.remains import Remains, read_remains

T = TypeVar("T")


class Recorded:
    """A process that is, or was, recorded.

    The file stays open, so that it can be read after a clean exit has removed its name.  It is
    read, and closed, under a lock: another thread's read of a number of a descriptor that was just closed could
    be of another file.

    ``label`` is its pid as a label, unique among the processes shown.  ``memory`` is what was sampled from outside.
    ``was_alive``: at first sight.  ``is_replaced``: the same process has a newer file, because it became another program (exec).
    """

    def __init__(self, path: Path, *, group: int | None = None) -> None:
        """FlightFileError when the file cannot be believed.  ``group`` as :class:`FlightFile` has it."""
        self.path = path
        self._lock = threading.Lock()
        self._heap = HeapReader()
        self._file: FlightFile | None = FlightFile(path, group=group)
        try:
            self.identity: Identity = reader.read_identity(self._file)
            self.last: Snapshot = self._read(self._file, None)
            self.pidfd = self._open_pidfd()
        except BaseException:
            self._file.close()
            raise
        self.start_ticks = None if self.pidfd < 0 else start_ticks(self.identity.pid)
        self.label: int | str = self.identity.pid
        self.memory: Memory | None = None
        self.history = History()
        self.tallies = Tallies()
        self.trail = Trail()
        #: Who has not had its last numbers: names of readers, see :class:`gc_otel.service.following.Following`.
        self.owed: set[str] = set()
        self.was_alive = self._file.is_alive()
        self.is_ended = False
        self.is_replaced = False
        self.ended_monotonic_ns = 0

    @property
    def key(self) -> tuple[int, int | None]:
        """What no two processes have at the same time: the pid, and its namespace."""
        return self.identity.pid, self.identity.pid_namespace

    @property
    def elsewhere(self) -> bool:
        """Whether its pid is of another pid namespace, and so means nothing, or somebody else, here."""
        theirs, ours = self.identity.pid_namespace, own_pid_namespace()
        return theirs is not None and ours is not None and theirs != ours

    def is_alive(self) -> bool:
        """Whether the process still has the file mapped, and has not ended."""
        with self._lock:
            return self._file is not None and self._file.is_alive() and not has_ended(self.pidfd)

    def _open_pidfd(self) -> int:
        """A pidfd, or -1: of another namespace, not to be had, or the process has just gone.

        The lock is asked for afterwards.  While the process holds it, its pid cannot have been given to another one.
        """
        if self.elsewhere or self._file is None or not hasattr(os, "pidfd_open"):
            return -1
        try:
            pidfd = os.pidfd_open(self.identity.pid)
        except OSError:
            return -1
        if self._file.is_alive():
            return pidfd
        os.close(pidfd)
        return -1

    def snapshot(self) -> Snapshot:
        """Its numbers now, or its last ones; memory as sampled from outside, where it is.

        FlightFileError when the file cannot be believed any more.
        """
        with self._lock:
            if self._file is not None and not self.is_ended:
                self.last = self._read(self._file, self.last)
            last = self.last
        return last if self.memory is None else replace(last, memory=_with_own_limit(self.memory, last.memory))

    def read(self, how: Callable[[FlightFile], T]) -> T | None:
        """What ``how`` finds in the file now; None when it has been let go."""
        with self._lock:
            return None if self._file is None else how(self._file)

    def _read(self, file: Source, before: Snapshot | None) -> Snapshot:
        # What its writer, stopped or dead in the middle of it, does not let us copy is as it was before:
        # a series that goes away and comes back is worse than one that stands for a moment.
        collector = _lean_collector(file)
        if collector.torn and before is not None:
            collector = before.collector
        return Snapshot(
            identity=self.identity,
            collector=collector,
            interpreter=_steady(lambda: reader.read_interpreter(file), before.interpreter if before else None),
            memory=_steady(lambda: reader.read_memory(file), before.memory if before else None),
            faults=(),
            published=reader.read_published(file),
            census=self._heap.census(file),
            cycles=self._heap.cycles(file),
            measured=self._heap.measured(file),
        )

    def end(self) -> None:
        """It has gone: take its last numbers.  File and pidfd stay open for who buries it: :meth:`let_go`."""
        with self._lock:
            if self.is_ended:
                return
            if self._file is not None:
                with contextlib.suppress(Exception):  # truncated meanwhile, perhaps: then the last numbers are the last
                    self._take_last(self._file)
            self.identity = replace(self.identity, exited_unix_ns=self.identity.exited_unix_ns or time.time_ns())
            self.last = replace(self.last, identity=self.identity)
            self.is_ended = True
            self.ended_monotonic_ns = time.monotonic_ns()

    def _take_last(self, file: FlightFile) -> None:
        still = Still(file.copy(0, layout.FILE_BYTES))
        self.last = self._read(still, self.last)
        self.identity = reader.read_identity(still)

    def remains(self) -> Remains:
        """All that is in its file, after its end; the last that was known, where it cannot be read any more."""
        with self._lock:
            try:
                if self._file is not None:
                    return read_remains(self._file, self.path)
            except (FlightFileError, OSError):
                pass  # truncated under us
            return Remains(Process(self.path, alive=False, snapshot=self.last), ())

    def copy(self) -> bytes:
        """The bytes of its file."""
        with self._lock:
            return b"" if self._file is None else self._file.copy(0, layout.FILE_BYTES)

    def let_go(self) -> None:
        """Close file and pidfd."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self.pidfd >= 0:
                os.close(self.pidfd)
                self.pidfd = -1


def _with_own_limit(outside: Memory, own: Memory | None) -> Memory:
    """The cgroup of another container may be out of sight here; the process itself sees it."""
    if outside.limit_bytes is not None or own is None:
        return outside
    return replace(outside, limit_bytes=own.limit_bytes, limit_source=own.limit_source)


def _lean_collector(file: Source) -> Collector:
    """Without the single events, which take longer to read than all the rest."""
    return reader.read_collector(file, latest_since=layout.ABSENT, longest=False)


def _steady(read: Callable[[], T], before: T) -> T:
    try:
        return read()
    except NotConsistent:
        return before
