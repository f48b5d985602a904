"""The fleet, followed: new flight files are found, the living read, the dead let go.

A process that has ended stays until each reader has had its last numbers, and then its series are gone: for one more
page, and, where there is pushing, until a push of it was taken.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gc_otel.errors import FlightFileError, NotAFlightFile
from gc_otel.flight.folder import SUFFIX, Folder
from gc_otel.service.fleet import Unreadable
from gc_otel.service.recorded import Recorded

#: Who reads: the page, and the pushing by OTLP where there is any.
PAGE: Final = "page"
PUSH: Final = "push"

NoteFault = Callable[[str, BaseException], None]
_Entry = tuple[str, int]  # name and inode: a file that takes the name of another one is a new one

#: A program that replaces itself (exec) keeps its start; clocks that are read one after the other differ a little.
_SAME_START_NS: Final = 1_000_000_000

#: What could not be read is tried again so often: it may have been a passing want of descriptors.
_AGAIN_NS: Final = 30_000_000_000

#: Where nobody scrapes, the dead are kept so long, and so many of them.
_ENDED_KEPT_NS: Final = 300_000_000_000
_ENDED_MOST: Final = 64


def _nothing(_: Recorded) -> None:
    """For nobody who wants to know."""


def _let_go(recorded: Recorded) -> None:
    recorded.let_go()


@dataclass(slots=True)
class _Refused:
    why: Unreadable
    again_ns: int


class Following:
    """All recorded processes of a folder.  Any thread may call; a lock is held while the folder is looked through.

    ``readers`` are those that the last numbers of the dead are kept for.  ``found`` is called with every process at first sight, ``ended`` with each that has gone, before
    anything of it is forgotten, and with each that was dead before.  Both run under the lock.  What ``ended`` is
    given still has its file and its pidfd: who is told lets go of them.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        note_fault: NoteFault,
        readers: Sequence[str] = (PAGE,),
        found: Callable[[Recorded], None] = _nothing,
        ended: Callable[[Recorded], None] = _let_go,
    ) -> None:
        self._folder = folder
        self._note_fault = note_fault
        self._readers = tuple(readers)
        self._found = found
        self._ended = ended
        self._since_ns = time.monotonic_ns()
        self._lock = threading.RLock()
        self._by_key: dict[tuple[int, int | None], Recorded] = {}
        self._by_label: dict[int | str, Recorded] = {}
        self._replaced: list[Recorded] = []
        self._seen: set[_Entry] = set()
        self._refused: dict[_Entry, _Refused] = {}

    def refresh(self) -> None:
        """Find the new ones and notice who has gone."""
        with self._lock:
            entries = dict(self._entries())
            self._seen &= entries.keys()
            for gone in self._refused.keys() - entries.keys():
                del self._refused[gone]
            for entry, path in entries.items():
                if entry not in self._seen:
                    self._look_at(entry, path)
            for recorded in [each for each in self._by_key.values() if not each.is_ended]:
                if not recorded.is_alive():
                    self._end(recorded)
            self._forget_the_unscraped()

    def _entries(self) -> Iterator[tuple[_Entry, Path]]:
        for location in self._folder.locations_to_read():
            yield from self._entries_of(location)

    def _entries_of(self, location: str) -> list[tuple[_Entry, Path]]:
        try:
            with os.scandir(location) as entries:
                return [((each.name, each.inode()), Path(each.path)) for each in entries if each.name.endswith(SUFFIX)]
        except OSError as error:
            self._note_fault("flight folder", error)
            return []

    def _look_at(self, entry: _Entry, path: Path) -> None:
        refused = self._refused.get(entry)
        if refused is not None and time.monotonic_ns() < refused.again_ns:
            return
        try:
            recorded = Recorded(path, group=self._folder.group)
            self._check_is_no_other(recorded)
        except (FlightFileError, OSError) as error:
            if os.path.lexists(path):  # else it ended just now, and took its file with it
                self._refused[entry] = _Refused(_why(path, error), time.monotonic_ns() + _AGAIN_NS)
            return
        self._refused.pop(entry, None)
        self._seen.add(entry)
        self._adopt(recorded)

    def _check_is_no_other(self, recorded: Recorded) -> None:
        """NotAFlightFile for a copy or a second name of a file that is followed, which would end the one that it is of."""
        before = self._by_key.get(recorded.key)
        if before is None or before.is_ended:
            return
        is_same = before.identity.instance_id == recorded.identity.instance_id
        if is_same or (before.is_alive() and not recorded.is_alive()):
            recorded.end()
            raise NotAFlightFile(
                f"{recorded.path.name} is of process {recorded.identity.pid}, whose file is {before.path.name}"
            )

    def _adopt(self, recorded: Recorded) -> None:
        """Follow it, unless it was dead before this began, or is an older file of the same process: those are only buried."""
        alive = recorded.is_alive()
        before = self._by_key.get(recorded.key)
        is_old = not alive and not self._since_ns <= _created_monotonic_ns(recorded) <= time.monotonic_ns()
        is_older = before is not None and before.identity.created_unix_ns > recorded.identity.created_unix_ns
        if is_old or is_older:
            recorded.is_replaced = before is not None and is_older and _is_same_process(before, recorded)
            self._end(recorded)
            return
        if before is not None:  # its program was replaced by exec, or its pid was used again
            before.is_replaced = _is_same_process(before, recorded)
            self._replace(before)
            del self._by_label[before.label]
        recorded.owed = set(self._readers)
        recorded.label = self._label(recorded)
        self._by_key[recorded.key] = self._by_label[recorded.label] = recorded
        self._tell(self._found, recorded)

    def _replace(self, before: Recorded) -> None:
        """On a page its labels are the new one's; by OTLP it is an instance of its own, and owed its last numbers."""
        self._end(before)
        before.owed.discard(PAGE)
        if before.owed:
            self._replaced.append(before)

    def _label(self, recorded: Recorded) -> int | str:
        """The pid; with its namespace where a process of another one has that pid, and perhaps that service."""
        pid, namespace = recorded.key
        return f"{pid}@{namespace}" if pid in self._by_label else pid

    def _end(self, recorded: Recorded) -> None:
        if not recorded.is_ended:
            recorded.end()
            self._tell(self._ended, recorded)

    def _tell(self, whom: Callable[[Recorded], None], recorded: Recorded) -> None:
        try:
            whom(recorded)
        except Exception as error:  # noqa: BLE001 - contained: following goes on whatever a listener meets
            self._note_fault("following", error)

    def distrust(self, recorded: Recorded, error: Exception) -> None:
        """Its file cannot be believed any more: it is passed over as one that never could."""
        with self._lock:
            if not recorded.is_ended:  # else whoever was told lets go of it
                recorded.end()
                recorded.let_go()
            self.forget([recorded])
            for entry in [each for each in self._seen if each[0] == recorded.path.name]:
                self._seen.discard(entry)
                self._refused[entry] = _Refused(_why(recorded.path, error), time.monotonic_ns() + _AGAIN_NS)

    def shown(self, reader: str = PAGE) -> tuple[Recorded, ...]:
        """The living, and those that have ended and that the reader has not had since; the earliest started first."""
        with self._lock:
            every = [*self._by_key.values(), *self._replaced]
            shown = [each for each in every if not each.is_ended or reader in each.owed]
            return tuple(sorted(shown, key=lambda each: (each.identity.started_unix_ns, each.key[0])))

    def living(self) -> tuple[Recorded, ...]:
        """Those that live."""
        return tuple(each for each in self.shown() if not each.is_ended)

    def unreadable(self) -> tuple[Unreadable, ...]:
        """The files that are passed over."""
        with self._lock:
            return tuple(each.why for each in self._refused.values())

    def forget(self, recorded: Sequence[Recorded], *, reader: str | None = None) -> None:
        """The reader has had their last numbers; without one, nobody is to have them."""
        with self._lock:
            for each in recorded:
                if not each.is_ended:
                    continue
                each.owed -= {reader} if reader is not None else each.owed
                if not each.owed and self._by_key.get(each.key) is each:
                    del self._by_key[each.key], self._by_label[each.label]
            self._replaced = [each for each in self._replaced if each.owed]

    def _forget_the_unscraped(self) -> None:
        ended = sorted(
            (each for each in (*self._by_key.values(), *self._replaced) if each.is_ended),
            key=lambda each: -each.ended_monotonic_ns,
        )
        until_ns = time.monotonic_ns() - _ENDED_KEPT_NS
        self.forget([each for at, each in enumerate(ended) if at >= _ENDED_MOST or each.ended_monotonic_ns < until_ns])

    def close(self) -> None:
        """Let go of all files and pidfds."""
        with self._lock:
            for recorded in self._by_key.values():
                if not recorded.is_ended:  # else whoever was told lets go of it
                    recorded.end()
                    recorded.let_go()
            self._by_key.clear()
            self._by_label.clear()
            self._replaced.clear()


def _created_monotonic_ns(recorded: Recorded) -> int:
    """By the clock that nobody sets: after a step of the other one, who has died since would seem to be old, or the old new."""
    return recorded.identity.created_unix_ns - recorded.identity.monotonic_to_unix_ns


def _why(path: Path, error: Exception) -> Unreadable:
    reason = str(error).removeprefix(f"{path.name} ")
    return Unreadable(path, reason, getattr(error, "remedy", FlightFileError.remedy))


def _is_same_process(one: Recorded, other: Recorded) -> bool:
    return abs(one.identity.started_unix_ns - other.identity.started_unix_ns) < _SAME_START_NS
