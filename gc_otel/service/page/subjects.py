"""Whom the page can show: the living that the exporter follows, and the dead whose flight files are kept."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gc_otel.errors import FlightFileError
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import Folder
from gc_otel.flight.snapshot import HistoryPoint, Snapshot
from gc_otel.service.endings import Ending, endings_folder, read_endings
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
#: What ends without a change in the folders, as on a machine that crashed, is noticed so late.
_ENDINGS_AGAIN_NS: Final = 10_000_000_000
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
    ending: Ending | None = None

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
        self._dead: dict[str, Subject | None] = {}
        self._endings: tuple[Ending, ...] = ()
        self._mark: tuple[int, ...] = ()
        self._read_ns = 0

    def living(self) -> list[Subject]:
        """The living, without what only their own page needs of them: the file's own history."""
        followed = [each for each in self._following.shown() if not each.is_ended]
        return [one for each in followed if (one := self._living(each, whole=False)) is not None]

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
        for ending in self.departed():
            if name in (ending.name, str(ending.pid)):
                dead = self.dead(ending)
                if dead is not None:
                    return dead
                raise Refused(
                    404,
                    f"The flight file of {name} is not kept any more",
                    f"`gc-otel postmortem {ending.name}` has what is remembered.",
                )
        for each in self._following.shown():
            if each.is_ended and name in (str(each.label), each.path.stem):
                return _just_ended(each)
        raise Refused(404, f"There is no recorded process {name}", "It is forgotten, or was never recorded.")

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

    def departed(self) -> tuple[Ending, ...]:
        """All endings that are remembered, the latest first.  Read again when something has changed in the folders."""
        with self._lock:
            mark = tuple(_changed_ns(path) for path in (self._folder.location, endings_folder(self._folder)))
            now_ns = time.monotonic_ns()
            if mark != self._mark or now_ns - self._read_ns > _ENDINGS_AGAIN_NS:
                self._endings = read_endings(self._folder)
                self._mark, self._read_ns = mark, now_ns
                kept = {each.name for each in self._endings}
                self._dead = {name: dead for name, dead in self._dead.items() if name in kept}
            return self._endings

    def dead(self, ending: Ending) -> Subject | None:
        """A process that has ended, as its flight file leaves it, read once: nobody writes it any more.

        None where the file is not kept any more, or cannot be believed.
        """
        with self._lock:
            if ending.name not in self._dead:
                self._dead[ending.name] = None if ending.flight_file is None else _read_dead(ending)
            return self._dead[ending.name]


def _just_ended(recorded: Recorded) -> Subject:
    """Gone a moment ago, and its ending is not written down yet: its last numbers."""
    process = Process(recorded.path, False, recorded.last)
    return Subject(recorded.path.stem, process, recorded.history.points(), recorded.tallies.all())


def _changed_ns(path: str | os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _read_dead(ending: Ending) -> Subject | None:
    path = Path(ending.flight_file or "")
    try:
        with FlightFile(path) as file:
            if file.is_alive():
                return None
            snapshot, unsteady = read_snapshot(file)
            return Subject(ending.name, Process(path, False, snapshot, unsteady), _history(file), ending=ending)
    except (FlightFileError, OSError):
        return None


def _history(file: FlightFile) -> tuple[HistoryPoint, ...]:
    try:
        return reader.read_history(file)
    except FlightFileError:  # its writer is in the middle of it, or died there
        return ()
