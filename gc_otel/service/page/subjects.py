"""Whom the page can show: the living that the exporter follows, and the dead whose flight files are kept."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gc_otel.errors import FlightFileError
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import SUFFIX, Folder
from gc_otel.flight.snapshot import HistoryPoint, Snapshot
from gc_otel.service.figures import Mark
from gc_otel.service.fleet import Process, read_snapshot
from gc_otel.service.following import Following
from gc_otel.service.history import Tally
from gc_otel.service.page.answer import Refused
from gc_otel.service.page.timeline import joined
from gc_otel.service.recorded import Recorded
from gc_otel.service.sampling import Sampling

#: A process that somebody looks at is sampled so often at the most, whatever the sample interval.
_FRESH_NS: Final = 900_000_000
_ID: Final = re.compile(r"[0-9]{1,10}(@[0-9]{1,20}|-[0-9a-f]{1,20})?")


@dataclass(frozen=True, slots=True)
class Subject:
    """One process as it was read: ``id`` is what its address has, its pid or its file's name.

    ``before`` are its counters of about a minute ago, where somebody noted them.
    """

    id: str
    process: Process
    points: tuple[HistoryPoint, ...] = ()
    tallies: tuple[Tally, ...] = ()
    before: Mark | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What its file says; memory as sampled from outside, where it is."""
        return self.process.snapshot


class Subjects:
    """Finds and reads them.  Any thread may call."""

    def __init__(self, folder: Folder, following: Following, sampling: Sampling) -> None:
        self._folder = folder
        self._following = following
        self._sampling = sampling
        self._lock = threading.Lock()
        self._dead: dict[tuple[str, int, int], Subject | None] = {}

    def all(self) -> tuple[list[Subject], list[Subject]]:
        """The living and the dead, without what only their own page needs of the living: the file's own history."""
        followed = [each for each in self._following.shown() if not each.is_ended]
        living = [one for each in followed if (one := self._living(each, whole=False)) is not None]
        return living, self._all_dead({each.path.name for each in followed})

    def find(self, name: str) -> Subject:
        """The one with that id; Refused where there is none."""
        if _ID.fullmatch(name) is None:
            raise Refused(404, "A process is named by its pid, such as /process/4711", "The fleet page lists them.")
        for each in self._following.shown():
            if not each.is_ended and name in (str(each.label), each.path.stem):
                self._sampling.sample_again(each, age_ns_most=_FRESH_NS)
                subject = self._living(each, whole=True)
                if subject is not None:
                    return subject
        followed = {each.path.name for each in self._following.living()}
        for dead in self._all_dead(followed):
            if name in (dead.id, str(dead.snapshot.identity.pid)):
                return dead
        raise Refused(404, f"There is no recorded process {name}", "It ended in good order, or was never recorded.")

    def _living(self, recorded: Recorded, *, whole: bool) -> Subject | None:
        def read(file: FlightFile) -> tuple[Snapshot, tuple[str, ...], tuple[HistoryPoint, ...]]:
            return *read_snapshot(file), (_history(file) if whole else ())

        try:
            found = recorded.read(read)
        except (FlightFileError, OSError) as error:
            self._following.distrust(recorded, error)
            return None
        if found is None:
            return None
        snapshot, unsteady, points = found
        if recorded.memory is not None:
            snapshot = replace(snapshot, memory=recorded.memory)
        own = recorded.history.points()
        return Subject(
            id=str(recorded.label),
            process=Process(recorded.path, True, snapshot, unsteady),
            points=joined(own, points),
            tallies=recorded.tallies.all() if whole else (),
            before=recorded.trail.before(),
        )

    def _all_dead(self, followed: set[str]) -> list[Subject]:
        """The latest to end first.  A file is read once: nobody writes it any more."""
        with self._lock:
            keys: set[tuple[str, int, int]] = set()
            for location in self._folder.locations(SUFFIX):
                path = Path(location)
                if path.name in followed:
                    continue
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                key = (path.name, status.st_ino, status.st_mtime_ns)
                keys.add(key)
                if key not in self._dead:
                    self._dead[key] = _read_dead(path)
            for gone in self._dead.keys() - keys:
                del self._dead[gone]
            found = [each for each in self._dead.values() if each is not None]
        return sorted(found, key=lambda each: -each.process.seen_unix_ns)


def _read_dead(path: Path) -> Subject | None:
    """None where it lives, being just about to be followed, or cannot be believed."""
    try:
        with FlightFile(path) as file:
            if file.is_alive():
                return None
            snapshot, unsteady = read_snapshot(file)
            return Subject(path.stem, Process(path, False, snapshot, unsteady), _history(file))
    except (FlightFileError, OSError):
        return None


def _history(file: FlightFile) -> tuple[HistoryPoint, ...]:
    try:
        return reader.read_history(file)
    except FlightFileError:  # its writer is in the middle of it, or died there
        return ()
