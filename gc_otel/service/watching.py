"""All recorded processes as somebody who watches them sees them, with no exporter: flight files, and /proc where it may.

Figures are those of :mod:`gc_otel.service.figures`, as on the live page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gc_otel.config import Config
from gc_otel.errors import FlightFileError
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import Folder
from gc_otel.flight.snapshot import HistoryPoint, Snapshot
from gc_otel.service.figures import Figures, figures, growth_bytes_per_h, memory_share
from gc_otel.service.fleet import Process, read_snapshot
from gc_otel.service.following import Following
from gc_otel.service.ledger import Ledger
from gc_otel.service.page.timeline import joined
from gc_otel.service.recorded import Recorded
from gc_otel.service.sampling import Sampling

if TYPE_CHECKING:
    from typing_extensions import Self

#: So long a process that has ended is still shown.
ENDED_SHOWN_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class View:
    """One process at one moment.  ``label`` is its pid, unique among those that are shown; None is "not known".

    ``lately`` is its last minute; ``points`` its history, oldest first.
    """

    label: str
    process: Process
    points: tuple[HistoryPoint, ...]
    lately: Figures | None
    growth_bytes_per_h: float | None

    @property
    def snapshot(self) -> Snapshot:
        """What its file says; memory as sampled from outside, where it is."""
        return self.process.snapshot

    @property
    def is_gone(self) -> bool:
        """Whether these are its last numbers."""
        return not self.process.alive

    @property
    def rss_bytes(self) -> int | None:
        """Resident set size."""
        return self._memory("rss_bytes")

    @property
    def uss_bytes(self) -> int | None:
        """Unique set size."""
        return self._memory("uss_bytes")

    @property
    def limit_bytes(self) -> int | None:
        """The memory limit that binds."""
        return self._memory("limit_bytes")

    @property
    def memory_share(self) -> float | None:
        """Resident set size in parts of the limit."""
        return memory_share(self.rss_bytes, self.limit_bytes)

    @property
    def allocated_blocks(self) -> int | None:
        """As the monitor saw last."""
        interpreter = self.snapshot.interpreter
        return None if interpreter is None else interpreter.allocated_blocks

    @property
    def collections_per_s(self) -> float | None:
        """Of all generations."""
        return None if self.lately is None or not self.lately.collections_per_s else sum(self.lately.collections_per_s)

    def _memory(self, name: str) -> int | None:
        memory = self.snapshot.memory
        value: int | None = None if memory is None else getattr(memory, name)
        return value


class Watching:
    """Reads the whole folder on demand.  For one thread at a time; close it, or use it with ``with``."""

    def __init__(self, folder: Folder, config: Config) -> None:
        self.ledger = Ledger()
        self._following = Following(folder, note_fault=self.ledger.note_fault)
        self._sampling = Sampling(self._following, config, self.ledger)
        self._earlier: dict[Recorded, tuple[HistoryPoint, ...]] = {}
        self._last: dict[Recorded, View] = {}

    def read(self) -> list[View]:
        """Everybody now, and for a minute those who have ended since the first call."""
        self._following.refresh()
        self._sampling.round()
        views = {each: view for each in self._following.shown() if (view := self._view(each)) is not None}
        self._last = views
        gone = [each for each in views if each.is_ended and _is_long_ago(each)]
        self._following.forget(gone)
        self._earlier = {each: points for each, points in self._earlier.items() if each in views}
        return list(views.values())

    @property
    def unreadable(self) -> int:
        """How many files are passed over."""
        return len(self._following.unreadable())

    def _view(self, recorded: Recorded) -> View | None:
        if recorded.is_ended:
            return self._ended(recorded)
        try:
            found = recorded.read(self._snapshot_of(recorded))
        except (FlightFileError, OSError) as error:
            self._following.distrust(recorded, error)
            return None
        if found is None:
            return self._ended(recorded)
        snapshot, unsteady = found
        if recorded.memory is not None:
            snapshot = replace(snapshot, memory=recorded.memory)
        points = joined(recorded.history.points(), self._earlier.get(recorded, ()))
        return View(
            str(recorded.label),
            Process(recorded.path, True, snapshot, unsteady),
            points,
            _lately(recorded, snapshot),
            growth_bytes_per_h(points),
        )

    def _snapshot_of(self, recorded: Recorded) -> Callable[[FlightFile], tuple[Snapshot, tuple[str, ...]]]:
        def read(file: FlightFile) -> tuple[Snapshot, tuple[str, ...]]:
            if recorded not in self._earlier:  # once: from here on this watches itself
                self._earlier[recorded] = _own_history(file)
            return read_snapshot(file)

        return read

    def _ended(self, recorded: Recorded) -> View | None:
        """Its last numbers; None of one that ended before it was ever read whole."""
        before = self._last.get(recorded)
        if before is None:
            return None
        snapshot = replace(before.snapshot, identity=recorded.identity)
        return replace(before, process=replace(before.process, alive=False, snapshot=snapshot))

    def close(self) -> None:
        """Let go of all files."""
        self._following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lately(recorded: Recorded, snapshot: Snapshot) -> Figures | None:
    identity, now_ns = snapshot.identity, time.monotonic_ns()
    since_ns = identity.created_unix_ns - identity.monotonic_to_unix_ns
    if now_ns <= since_ns:
        return None
    return figures(snapshot.collector, recorded.trail.before(), since_ns=since_ns, now_ns=now_ns)


def _own_history(file: FlightFile) -> tuple[HistoryPoint, ...]:
    try:
        return reader.read_history(file)
    except FlightFileError:  # its writer is in the middle of it
        return ()


def _is_long_ago(recorded: Recorded) -> bool:
    return time.monotonic_ns() - recorded.ended_monotonic_ns > ENDED_SHOWN_NS


def matching(views: Sequence[View], words: str) -> list[View]:
    """Those that have every word in their pid, service, program or state; all where there is none."""
    wanted = words.lower().split()

    def text(view: View) -> str:
        identity = view.snapshot.identity
        return f"{view.label} {identity.service_name} {identity.program} {view.process.state}".lower()

    return [view for view in views if all(word in text(view) for word in wanted)]
