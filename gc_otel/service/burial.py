"""When a process has gone: how it ended is found out, counted, said and kept, and its flight file put away.

The order makes each end count once, whenever the exporter itself is killed: the end is in the totals' state, and that is
saved, before the record is written and the flight file moved.  A flight file that is still in its place while the state says
that it is over is put away by the next exporter, and not counted again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gc_otel.flight.folder import Folder
from gc_otel.service.endings import Ending
from gc_otel.service.kernel import exit_status, has_ended
from gc_otel.service.killings import Killings
from gc_otel.service.reasons import UNKNOWN, ExitStatus
from gc_otel.service.recorded import Recorded
from gc_otel.service.remains import make_ending
from gc_otel.service.saying import say_without_waiting
from gc_otel.service.tomb import Tomb
from gc_otel.service.totals import Totals

NoteFault = Callable[[str, BaseException], None]

#: A process gives its lock up a moment before its pidfd says that it has ended.  One that does not say so for a
#: second has not ended: it became another program (exec).
_PATIENCE_NS: Final = 1_000_000_000

_STDERR_FD: Final = 2


@dataclass(frozen=True, slots=True)
class _Gone:
    """A process whose lock has gone; when that was noticed, by two clocks."""

    recorded: Recorded
    noticed_unix_ns: int
    noticed_ns: int

    @property
    def name(self) -> str:
        return self.recorded.path.stem

    @property
    def is_stopped(self) -> bool:
        """Whether the process gave its recording up, and goes on."""
        return self.recorded.identity.state == "stopped"

    @property
    def is_decided(self) -> bool:
        """Whether nothing more will ever be known."""
        recorded = self.recorded
        if recorded.pidfd < 0 or recorded.is_replaced or self.is_stopped or has_ended(recorded.pidfd):
            return True
        return time.monotonic_ns() - self.noticed_ns > _PATIENCE_NS

    @property
    def is_death(self) -> bool:
        """Not where it goes on as another program, or is recorded no more."""
        recorded = self.recorded
        if recorded.is_replaced or self.is_stopped:
            return False
        return recorded.pidfd < 0 or has_ended(recorded.pidfd)


@dataclass(frozen=True, slots=True)
class _Decided:
    """What is to be done with it; ``ending`` None: no process ended.  ``is_news``: it was not counted before."""

    recorded: Recorded
    ending: Ending | None
    is_news: bool


class Burial:
    """Buries what has ended.  ``say`` is given each end that is news.

    :meth:`watch` and :meth:`note` may be called by any thread and do not wait; the rest by one thread.
    """

    def __init__(
        self, folder: Folder, totals: Totals, *, note_fault: NoteFault, say: Callable[[Ending], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._totals = totals
        self._note_fault = note_fault
        self._say = say
        self._tomb = Tomb(folder)
        self._lock = threading.Lock()
        self._killings = Killings()
        self._gone: list[_Gone] = []
        self._has_looked = False

    def watch(self, recorded: Recorded) -> None:
        """A process was found."""
        if recorded.pidfd >= 0:
            with self._lock:
                self._killings.watch(recorded, recorded.identity.pid)

    def note(self, recorded: Recorded) -> None:
        """A process has gone: its last numbers are counted at once, the rest follows in :meth:`settle`."""
        name, service = recorded.path.stem, recorded.identity.service_name
        self._totals.count(name, service, recorded.last.collector, is_last=True)
        with self._lock:
            self._gone.append(_Gone(recorded, time.time_ns(), time.monotonic_ns()))

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits to be buried."""
        return not self._gone

    def fds(self) -> list[int]:
        """What becomes readable when more is known."""
        with self._lock:
            return [each.recorded.pidfd for each in self._gone if each.recorded.pidfd >= 0]

    def settle(self, *, at_once: bool = False) -> None:
        """Bury those of whom all is known; ``at_once``: everybody."""
        with self._lock:
            self._killings.look()
            ready = [each for each in self._gone if at_once or each.is_decided]
            self._gone = [each for each in self._gone if each not in ready]
            decided = [each for gone in ready if (each := self._decide(gone)) is not None]
        is_first = not self._has_looked
        if is_first:
            # All that live have been found by now: who was counted before and has no file any more ended meanwhile.
            self._totals.vanished(self._names())
            self._has_looked = True
        if ready or is_first:  # not what a page has counted so far: a new state in the folder wakes who calls this
            self._totals.save()
        for each in decided:
            self._put_away(each)
        if decided:
            self._totals.forget_all_but(self._names())

    def _names(self) -> set[str]:
        return {path.stem for path in self._folder.files()}

    def _decide(self, gone: _Gone) -> _Decided | None:
        """Count its end; None where more than that failed: then its file stays where it is, for the next exporter."""
        recorded, service = gone.recorded, gone.recorded.identity.service_name
        try:
            ending = self._ending(gone) if gone.is_death else None
        except Exception as error:  # noqa: BLE001 - contained and noted: it has ended all the same, and the others are buried
            self._note_fault(f"end of process {recorded.identity.pid}", error)
            self._totals.end(gone.name, service, UNKNOWN)
            recorded.let_go()
            return None
        finally:
            self._killings.forget(recorded)
        is_news = self._totals.end(gone.name, service, None if ending is None else ending.reason)
        return _Decided(recorded, ending, is_news)

    def _ending(self, gone: _Gone) -> Ending:
        recorded = gone.recorded
        remains = recorded.remains()
        identity = remains.process.snapshot.identity
        status = None
        if recorded.pidfd >= 0:
            status = exit_status(recorded.pidfd, identity.pid, recorded.start_ticks)
        is_marked = identity.state == "exited" or identity.exit_code is not None
        return make_ending(
            remains,
            status=status,
            oom_kill=_may_be_a_kill(status, is_marked=is_marked) and self._killings.explains(recorded),
            ended_unix_ns=identity.exited_unix_ns
            or (gone.noticed_unix_ns if recorded.was_alive else remains.process.seen_unix_ns),
            by_file=not recorded.was_alive,
            sampled=recorded.memory,
            watched=recorded.history.points(),
        )

    def _put_away(self, decided: _Decided) -> None:
        recorded, ending = decided.recorded, decided.ending
        try:
            if ending is None:
                self._tomb.drop(recorded.path)
            else:
                ending = self._tomb.put(ending, recorded.path, recorded.copy, is_news=decided.is_news)
                if decided.is_news:
                    self._say(ending)
        except Exception as error:  # noqa: BLE001 - contained and noted: the others are buried all the same
            self._note_fault(f"burial of process {recorded.identity.pid}", error)
        finally:
            recorded.let_go()

    def close(self) -> None:
        """Bury all who have gone, and let go of the rest."""
        self.settle(at_once=True)
        with self._lock:
            self._killings.close()


def _may_be_a_kill(status: ExitStatus | None, *, is_marked: bool) -> bool:
    return not is_marked if status is None else status.signal == signal.SIGKILL


def say_ending(ending: Ending) -> None:
    """One line on standard error, which an exporter beside a program has not; lost where nobody reads it."""
    say_without_waiting(_STDERR_FD, line_of(ending))


def line_of(ending: Ending) -> str:
    """All that matters, in one line."""
    words = [f"gc-otel: {ending.service_name or ending.program} (pid {ending.pid}) ended: {ending.reason}"]
    if ending.exception:
        words.append(f" {ending.exception}")
    words.append(f", {ending.age_ns / 1e9:.1f} s old")
    if ending.collecting is not None:
        words.append(f", inside a collection of generation {ending.collecting.generation}")
    if ending.rss_bytes is not None:
        of_limit = f" of {ending.limit_bytes / 2**20:.0f}" if ending.limit_bytes is not None else ""
        words.append(f", memory {ending.rss_bytes / 2**20:.0f}{of_limit} MiB")
    text = "".join(words)
    return "".join(letter if letter.isprintable() else "?" for letter in text)
