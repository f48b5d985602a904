"""All flight files of a folder, read from outside; no process is asked for anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gc_otel.config import Config
from gc_otel.errors import FlightFileError, FlightFolderError, NotConsistent
from gc_otel.flight import heap_reader, reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import Folder, default_path, open_folder
from gc_otel.flight.snapshot import Snapshot
from gc_otel.flight.source import Source

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Process:
    """What a flight file tells of its process.

    ``unsteady`` names the sections that its writer was changing during every
    attempt to copy them: a process in a long collection, or one that died just there.
    """

    path: Path
    alive: bool
    snapshot: Snapshot
    unsteady: tuple[str, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether its pid is one of another pid namespace, such as a container's."""
        theirs, ours = self.snapshot.identity.pid_namespace, own_pid_namespace()
        return theirs is not None and ours is not None and theirs != ours

    @property
    def seen_unix_ns(self) -> int:
        """Until when its numbers are known: now, or its last sign of life."""
        if self.alive:
            return time.time_ns()
        identity, collector = self.snapshot.identity, self.snapshot.collector
        signs_ns = [event.start_ns + event.wall_ns for event in collector.latest[-1:]]
        if collector.in_progress is not None:
            signs_ns.append(collector.in_progress.since_ns)
        if self.snapshot.interpreter is not None:
            signs_ns.append(self.snapshot.interpreter.beat_ns)
        last_ns = max((sign_ns + identity.monotonic_to_unix_ns for sign_ns in signs_ns), default=0)
        return identity.exited_unix_ns or max(last_ns, identity.created_unix_ns)

    @property
    def uptime_ns(self) -> int:
        """How long the process has been there, or was."""
        return max(0, self.seen_unix_ns - self.snapshot.identity.started_unix_ns)

    @property
    def share_in_gc(self) -> float | None:
        """Part of the recorded time that went into collections."""
        recorded_ns = self.seen_unix_ns - self.snapshot.identity.created_unix_ns
        return self.snapshot.collector.duration_sum_ns / recorded_ns if recorded_ns > 0 else None

    @property
    def collecting_ns(self) -> int | None:
        """How long the collection in progress has taken so far; None without one, or when dead."""
        in_progress = self.snapshot.collector.in_progress
        if in_progress is None or not self.alive:
            return None
        return max(0, time.monotonic_ns() - in_progress.since_ns)

    @property
    def state(self) -> str:
        """One of ``running``, ``collecting``, ``exited``, ``died`` and ``died collecting``."""
        collecting = self.snapshot.collector.in_progress is not None
        if self.alive:
            return "collecting" if collecting else "running"
        if self.snapshot.identity.state == "exited":
            return "exited"
        return "died collecting" if collecting else "died"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A flight file that cannot be used."""

    path: Path
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a folder holds."""

    processes: tuple[Process, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def own_pid_namespace() -> int | None:
    """The inode of this process's pid namespace, or None where /proc does not tell."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def find_folder(config: Config) -> Folder | None:
    """The flight folder, or None while nobody has made it; FlightFolderError when it is unfit."""
    if not os.path.lexists(default_path(config)):
        return None
    return open_folder(config, create=False)


def given_folder(path: str) -> Folder:
    """A folder that the user named: only to read, so any that is his will do, on disk too."""
    absolute = os.path.abspath(path)
    if not os.path.isdir(absolute):
        raise FlightFolderError(f"{absolute} is not a folder", remedy="Name a folder that holds flight files.")
    return Folder(Path(absolute))


def read_fleet(folder: Folder | None) -> Fleet:
    """Every flight file of the folder, living ones first, then the latest started first."""
    processes: list[Process] = []
    unreadable: list[Unreadable] = []
    for path in folder.files() if folder is not None else ():
        found = _process_or_why_not(path, folder.group if folder is not None else None)
        if isinstance(found, Process):
            processes.append(found)
        elif os.path.lexists(path):  # a process that ended since the folder was listed took its file with it
            unreadable.append(found)
    processes.sort(key=lambda each: (not each.alive, -each.snapshot.identity.started_unix_ns))
    return Fleet(tuple(processes), tuple(unreadable))


def _process_or_why_not(path: Path, group: int | None) -> Process | Unreadable:
    try:
        return read_process(path, group=group)
    except (FlightFileError, OSError) as error:
        reason = str(error).removeprefix(f"{path.name} ")
        return Unreadable(path, reason, getattr(error, "remedy", FlightFileError.remedy))


def read_process(path: Path, *, group: int | None = None) -> Process:
    """One flight file; FlightFileError when it cannot be believed.  ``group`` as :class:`FlightFile` has it."""
    with FlightFile(path, group=group) as file:
        snapshot, unsteady = read_snapshot(file)
        return Process(path, file.is_alive(), snapshot, unsteady)


def read_snapshot(file: Source) -> tuple[Snapshot, tuple[str, ...]]:
    """Like :func:`gc_otel.flight.reader.read`, but a section that does not hold still is left out and named."""
    unsteady: list[str] = []

    def steady(section: str, read: Callable[[Source], _T]) -> _T | None:
        try:
            return read(file)
        except NotConsistent:
            unsteady.append(section)
            return None

    snapshot = Snapshot(
        identity=reader.read_identity(file),
        collector=reader.read_collector(file),
        interpreter=steady("monitor", reader.read_interpreter),
        memory=steady("memory", reader.read_memory),
        faults=reader.read_faults(file),
        published=reader.read_published(file),
        census=steady("census", heap_reader.read_census),
        cycles=steady("cycles", heap_reader.read_cycles),
        measured=steady("measures", heap_reader.read_measured),
    )
    return snapshot, tuple(unsteady)
