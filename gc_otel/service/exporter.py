"""The exporter service's process: serve /metrics as long as there is something to watch.

Started by a launcher as a forked image of it, never exec'd, or by ``gc-otel exporter``.
What is heavy (opentelemetry, psutil, waitress) is imported by :func:`serve`, after the fork.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from gc_otel._version import __version__
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.flight.folder import Folder
from gc_otel.service.control import Claim, Followed
from gc_otel.service.port import address_of
from gc_otel.service.signals import Signals
from gc_otel.service.status import PushStatus, Status

if TYPE_CHECKING:
    from gc_otel.otel.otlp import Push
    from gc_otel.service.arrivals import Arrivals
    from gc_otel.service.burial import Burial
    from gc_otel.service.following import Following
    from gc_otel.service.http import Server
    from gc_otel.service.launchers import Launchers
    from gc_otel.service.ledger import Ledger
    from gc_otel.service.metrics import Metrics
    from gc_otel.service.page.build import Page
    from gc_otel.service.pushing import Pushing
    from gc_otel.service.reception import Reception
    from gc_otel.service.recorded import Recorded
    from gc_otel.service.totals import Totals

#: So often the folder is looked through when nothing else happens; every scrape and every arrival is a reason to, too.
_BEAT_S: Final = 0.5
#: A main loop that has not turned for so long hangs.
_ALIVE_S: Final = 30.0
_EXIT_BROKEN: Final = 1
#: malloc.h of glibc.
_M_ARENA_MAX: Final = -8
_ALLOCATIONS_A_COLLECTION: Final = 50_000


def serve(
    listening: socket.socket,
    folder: Folder,
    config: Config,
    *,
    claim: Claim,
    follow: Sequence[Followed] = (),
    linger_s: float | None = 2.0,
    push: Push | NotSupported | None = None,
) -> int:
    """Serve until every followed launcher and every recorded process of the folder has gone, and ``linger_s`` more.

    ``push``: by OTLP as well, or why what is asked for cannot be.  ``linger_s`` None: for ever.  SIGTERM: until the last of them has gone; a second one, or SIGINT: no longer.  ``listening`` listens already; it, the claim and what is in ``follow`` are closed at the end.
    To be called by the main thread of a process that has nothing else to do.  Returns an exit code.
    """
    _collect_less()
    with Signals() as signals:
        exporter = _Exporter(listening, folder, config, claim=claim, linger_s=linger_s, signals=signals, push=push)
        try:
            for followed in follow:
                exporter.follow(followed)
            return exporter.run()
        finally:
            exporter.close()


def _collect_less() -> None:
    """Each process on a page is hundreds of containers that no cycle holds: they are gone before so many have been made."""
    if threading.current_thread() is threading.main_thread():
        gc.set_threshold(_ALLOCATIONS_A_COLLECTION, 20, 100)
        _share_one_arena()


def _share_one_arena() -> None:
    """Glibc gives every thread an arena of its own, which keeps 2 MiB: pages rendered by one thread after the other grow by all of them."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # musl has one anyway
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class _Exporter:
    """All parts, and the main loop that waits for launchers, processes and signals."""

    def __init__(
        self,
        listening: socket.socket,
        folder: Folder,
        config: Config,
        *,
        claim: Claim,
        linger_s: float | None,
        signals: Signals,
        push: Push | NotSupported | None,
    ) -> None:
        from gc_otel.service.arrivals import Arrivals
        from gc_otel.service.burial import Burial, say_ending
        from gc_otel.service.following import PAGE, PUSH, Following
        from gc_otel.service.http import App, Server, is_loopback
        from gc_otel.service.launchers import Launchers
        from gc_otel.service.ledger import Ledger
        from gc_otel.service.metrics import Metrics
        from gc_otel.service.page.build import make_page
        from gc_otel.service.reception import Reception
        from gc_otel.service.sampling import Sampling
        from gc_otel.service.totals import open_totals

        self._folder, self._claim, self._linger_s, self._signals = folder, claim, linger_s, signals
        self._is_ready = False
        self._idle_since_s: float | None = None
        self._beat_s = time.monotonic()
        self._address = address_of(listening)
        self._ledger: Ledger = Ledger()
        self._launchers: Launchers = Launchers()
        self._arrivals: Arrivals = Arrivals(folder, self._ledger.note_fault)
        self._totals: Totals = open_totals(folder, self._ledger.note_fault)
        self._burial: Burial = Burial(folder, self._totals, note_fault=self._ledger.note_fault, say=say_ending)
        self._following: Following = Following(
            folder,
            note_fault=self._ledger.note_fault,
            readers=(PAGE,) if push is None or isinstance(push, NotSupported) else (PAGE, PUSH),
            found=self._found,
            ended=self._bury,
        )
        sampling = Sampling(self._following, config, self._ledger)
        self._metrics: Metrics = Metrics(self._following, sampling, self._totals, config, self._ledger)
        self._push = push
        self._pushing: Pushing | None = self._make_pushing()
        self._reception: Reception = Reception(claim, follow=self._welcome, status=self._status)
        self._page: Page | None = make_page(
            folder, config, self._following, sampling, ledger=self._ledger, listening=listening
        )
        app = App(
            self._metrics.render,
            health=self._health,
            readiness=self._readiness,
            note_fault=self._ledger.note_fault,
            is_loopback=is_loopback(listening),
            page=self._page.app if self._page is not None else None,
        )
        self._stop_sampling: Callable[[], None] = sampling.start()
        self._stop_pushing: Callable[[], None] = self._pushing.start() if self._pushing is not None else lambda: None
        self._server: Server = Server(app, listening)

    def _make_pushing(self) -> Pushing | None:
        from gc_otel.service.pushing import Pushing

        if self._push is None or isinstance(self._push, NotSupported):
            return None
        pushing = Pushing(
            self._push, self._folder, self._ledger, collect=self._metrics.to_push, pushed=self._metrics.pushed
        )
        self._metrics.pushes = pushing.pushes
        return pushing

    def follow(self, followed: Followed) -> None:
        """Go on at least until that launcher has gone."""
        self._launchers.follow(followed)

    def run(self) -> int:
        """The main loop."""
        while True:
            self._contained("main loop", self._turn)
            if not self._server.alive:
                return _EXIT_BROKEN
            if self._is_over():
                return 0

    def _turn(self) -> None:
        ready = self._wait()
        self._beat_s = time.monotonic()
        with self._ledger.spent("following"):
            self._signals.drain()
            self._arrivals.drain()
            for fd in ready & set(self._reception.fds()):
                self._contained("request", lambda fd=fd: self._reception.handle(fd))  # type: ignore[misc]  # fd of this turn
            self._reception.expire()
            self._launchers.let_go(ready)
            self._following.refresh()
            self._burial.settle()
            self._is_ready = True
            self._launchers.warn_of_the_absent()

    def _wait(self) -> set[int]:
        poll = select.poll()
        pidfds = [each.pidfd for each in self._following.living() if each.pidfd >= 0]
        for fd in (
            self._signals.fd,
            *self._reception.fds(),
            *self._launchers.fds(),
            *pidfds,
            *self._burial.fds(),
            *self._arrivals.fds(),
        ):
            poll.register(fd, select.POLLIN)
        timeout_s = _BEAT_S if self._linger_s is None else min(_BEAT_S, max(0.01, self._linger_s))
        # A process that ended between two lines above shows as a closed descriptor, which is news as well.
        return {fd for fd, _ in poll.poll(timeout_s * 1e3 if self._is_ready else 0)}

    def _contained(self, where: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - contained and noted: the loop goes on, and does not race with a fault that stays
            self._ledger.note_fault(where, error)
            time.sleep(0.1)

    def _is_over(self) -> bool:
        signals, is_idle = self._signals, not self._launchers and not self._following.living() and self._burial.is_idle
        if signals.is_interrupted or signals.terminations > 1 or (signals.terminations and is_idle):
            return True
        if not is_idle:
            self._idle_since_s = None
            return False
        if self._idle_since_s is None:
            self._idle_since_s = time.monotonic()
        return self._linger_s is not None and time.monotonic() - self._idle_since_s >= self._linger_s

    def _found(self, recorded: Recorded) -> None:
        self._launchers.found(recorded)
        self._burial.watch(recorded)
        self._signals.wake()  # its pidfd is to be waited for

    def _bury(self, recorded: Recorded) -> None:
        self._burial.note(recorded)
        if self._pushing is not None:
            self._pushing.note_ended()

    def _welcome(self, followed: Followed) -> dict[str, object]:
        self.follow(followed)
        self._idle_since_s = None
        return {"address": self._address, "folder": str(self._folder.path), "pid": os.getpid()}

    def _status(self) -> dict[str, object]:
        return Status(
            pid=os.getpid(),
            version=__version__,
            address=self._address,
            since_unix_ns=self._ledger.since_unix_ns,
            is_ending=self._signals.terminations > 0,
            scrapes=self._metrics.scrapes,
            processes=len(self._following.living()),
            launchers=len(self._launchers),
            skipped_files=len(self._following.unreadable()),
            skipped_requests=self._reception.skipped,
            faults=self._ledger.faults,
            push=self._push_status(),
        ).as_answer()

    def _push_status(self) -> PushStatus | None:
        if isinstance(self._push, NotSupported):
            return PushStatus(reason=str(self._push), remedy=self._push.remedy)
        return None if self._pushing is None else self._pushing.status()

    def _health(self) -> str | None:
        silent_s = time.monotonic() - self._beat_s
        return None if silent_s < _ALIVE_S else f"the main loop has not turned for {silent_s:.0f} s"

    def _readiness(self) -> str | None:
        return None if self._is_ready else "the flight folder has not been looked through yet"

    def close(self) -> None:
        """End all parts.  The port is free before the claim is: who waits for the claim finds it so."""
        ends = (
            self._server.stop,
            self._close_page,
            self._stop_sampling,
            self._stop_pushing,
            self._arrivals.close,
            self._following.close,
            self._burial.close,
            self._launchers.close,
            self._reception.close,
            self._claim.release,
        )
        for end in ends:
            self._contained("end", end)

    def _close_page(self) -> None:
        if self._page is not None:
            self._page.close()
