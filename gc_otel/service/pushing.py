"""Pushes what is on /metrics by OTLP as well, one resource for each process, in a thread of its own.

There is no queue: what could not be sent is sent as it is then, at the next interval.  No lock of a page's is held, so a
receiver that is slow or down delays no scrape.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gc_otel.flight.folder import Folder
from gc_otel.otel.delta import Deltas
from gc_otel.otel.otlp import NotPushed, Push, Sender
from gc_otel.otel.producer import INSTANCE
from gc_otel.service.ledger import Ledger
from gc_otel.service.recorded import Recorded
from gc_otel.service.status import PushStatus

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import ResourceMetrics

#: What was sent as differences, kept so that an exporter that comes after this one goes on from there.
STATE_NAME: Final = "exporter.otlp"
_STATE_BYTES_MOST: Final = 8 * 2**20

#: So many processes go into one request: about 9,000 points and a megabyte, where receivers take 4 MB and more.
_RESOURCES_MOST: Final = 100

#: So many may have ended before they are pushed without waiting for the interval: more are not kept for long.
_ENDED_MOST: Final = 32

#: At the end: what is being sent, and the last of all.
_STOP_S: Final = 5.0
_LAST_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Collected:
    """The points of all that are to be pushed, and those of them that have ended: their last numbers are in it."""

    resource_metrics: Sequence[ResourceMetrics]
    ended: Sequence[Recorded]


@dataclass(slots=True)
class Pushes:
    """What came of them.  ``reason`` is that of the last one, empty when it was taken."""

    taken: int = 0
    refused: int = 0
    reason: str = ""
    taken_unix_ns: int = 0


class Pushing:
    """``collect`` gives the points of now, ``pushed`` is told of those that had ended and have been taken."""

    def __init__(
        self,
        push: Push,
        folder: Folder,
        ledger: Ledger,
        *,
        collect: Callable[[], Collected],
        pushed: Callable[[Sequence[Recorded]], None],
    ) -> None:
        """NotSupported where the library that speaks OTLP is missing."""
        self.push = push
        self.pushes = Pushes()
        self._state = _State(folder, ledger)
        self._ledger = ledger
        self._collect = collect
        self._pushed = pushed
        self._deltas = Deltas(push.delta)
        self._sender = Sender(push)
        self._ended = 0
        self._wake = threading.Event()
        self._is_stopping = False

    def start(self) -> Callable[[], None]:
        """Begin; returns what ends it, with a last push, within five seconds."""
        if self.push.delta:
            self._state.read(self._deltas)
        thread = threading.Thread(target=self._run, name="gc_otel-pushing", daemon=True)
        thread.start()

        def stop() -> None:
            self._is_stopping = True
            self._sender.interrupt()
            self._wake.set()
            thread.join(_STOP_S)

        return stop

    def status(self) -> PushStatus:
        """How it goes."""
        push, pushes = self.push, self.pushes
        return PushStatus(
            endpoint=push.endpoint,
            preference=push.preference,
            interval_s=push.interval_s,
            taken=pushes.taken,
            refused=pushes.refused,
            taken_unix_ns=pushes.taken_unix_ns,
            reason=pushes.reason,
            remedy=NotPushed.remedy if pushes.reason else "",
        )

    def note_ended(self) -> None:
        """A process has ended; its last numbers are not to wait until there is no room for them."""
        self._ended += 1
        if self._ended >= _ENDED_MOST:
            self._wake.set()

    def _run(self) -> None:
        due_s = time.monotonic() + self.push.interval_s
        while not self._is_stopping:
            self._wake.wait(max(0.0, due_s - time.monotonic()))
            self._wake.clear()
            if not self._is_stopping:
                # Also after one that took longer than the interval: no two follow each other without a pause.
                due_s = time.monotonic() + self.push.interval_s
                self._contained(self._sender)
        try:
            last = Sender(self.push, timeout_s=_LAST_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - contained and noted: the end goes on
            self._ledger.note_fault("last push", error)
        else:
            self._contained(last)

    def _contained(self, sender: Sender) -> None:
        try:
            with self._ledger.spent("push"):
                self.once(sender)
        except Exception as error:  # noqa: BLE001 - contained and noted: the next push may be better
            self._ledger.note_fault("push", error)

    def once(self, sender: Sender) -> None:
        """Push everything there is now."""
        self._ended = 0
        collected = self._collect()
        ended = {each.identity.instance_id: each for each in collected.ended}
        every = collected.resource_metrics
        try:
            for first in range(0, len(every), _RESOURCES_MOST):
                part = every[first : first + _RESOURCES_MOST]
                sender.send(self._deltas.of(part))
                self._deltas.taken(part)
                self._pushed([ended[name] for each in part if (name := _instance(each)) in ended])
        except NotPushed as error:
            if not (self._is_stopping and sender is self._sender):  # interrupted: the last push of all follows
                self._note_refused(error)
        else:
            self._note_taken()
        if self.push.delta:
            self._deltas.forget_all_but(every, now_unix_ns=time.time_ns())
            self._state.write(self._deltas)

    def _note_refused(self, error: NotPushed) -> None:
        if not self.pushes.reason:
            _say(f"gc_otel: pushing by OTLP fails: {error}. {error.remedy}")
        self.pushes.refused += 1
        self.pushes.reason = str(error)

    def _note_taken(self) -> None:
        if self.pushes.reason:
            _say(f"gc_otel: {self.push.endpoint} takes what is pushed again")
        self.pushes.taken += 1
        self.pushes.reason = ""
        self.pushes.taken_unix_ns = time.time_ns()


def _instance(resource_metrics: ResourceMetrics) -> str:
    return str(resource_metrics.resource.attributes.get(INSTANCE, ""))


def _say(line: str) -> None:
    """When it begins and when it ends, for the log of a system service; beside a program there is nobody to hear it."""
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


class _State:
    """The differences already sent, in the flight folder; only the exporter that has the folder's claim writes there."""

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        self._path = folder.path / STATE_NAME
        self._ledger = ledger

    def read(self, deltas: Deltas) -> None:
        """What cannot be believed is no state: then each process begins with everything since its start."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, encoding="ascii") as file:
                text = file.read(_STATE_BYTES_MOST)
            deltas.load(text)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            self._ledger.note_fault("what was pushed before", error)

    def write(self, deltas: Deltas) -> None:
        """Whole or not at all, also when this process is killed here."""
        temporary = self._path.with_name(f"{STATE_NAME}-new")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="ascii") as file:
                file.write(deltas.dump())
            os.replace(temporary, self._path)
        except OSError as error:
            self._ledger.note_fault("what was pushed", error)
