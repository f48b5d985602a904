"""The monitor's thread, in Python: the twin of ``_native/ticker.c``.

Not a :class:`threading.Thread`: that one appears in ``threading.enumerate()``,
is waited for at exit, and is a greenlet under gevent.  The raw thread is made with
all signals blocked, so that it never takes the SIGTERM that the program waits
for in ``sigwait()``.  What only the C ticker can promise: an exception that a
signal handler raises while one of the fork hooks runs is reported as
unraisable here, instead of reaching the program.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, Protocol

from gc_otel.probe.unpatched import unpatched

_GONE_ATTEMPTS: Final = 500
_GONE_PAUSE_S: Final = 0.00002
_DONE_AGAIN_S: Final = 0.01
#: Python has no wait on a word of a mapping: it looks instead, a few microseconds each time.
_LISTEN_EVERY_S: Final = 0.25


class Ticker(Protocol):
    """Calls ``tick()`` at once and then every ``interval_ns``, in a thread."""

    interval_ns: int

    @property
    def faults(self) -> int:
        """How often ``tick()`` raised."""

    @property
    def running(self) -> bool:
        """Whether the thread exists."""

    def listen(self, memory: object, on_bell: Callable[[], object], /) -> None:
        """Have ``on_bell()`` called in the thread when another process rings, from the next start on; None: never."""

    def start(self) -> None:
        """Start the thread; OSError when none can be had."""

    def stop(self) -> None:
        """End the thread and wait until the kernel has forgotten it."""

    def before_fork(self) -> None:
        """At-fork hook: end the thread."""

    def after_fork_in_parent(self) -> None:
        """At-fork hook: start it again."""

    def after_fork_in_child(self) -> None:
        """At-fork hook: have ``on_child`` called."""


class _Round:
    """One thread's life: told to stop by ``wake``, known to have stopped by ``ended``, which ``done`` rings in."""

    def __init__(self) -> None:
        allocate = unpatched("_thread", "allocate_lock")
        self.wake, self.done = allocate(), allocate()
        self.wake.acquire()
        self.done.acquire()
        self.told = self.ended = False
        self.thread_id = 0
        self.pid = os.getpid()


class PythonTicker:
    """Same interface as the native ``Ticker``.  ``on_child`` is called in a forked child."""

    def __init__(self, tick: Callable[[], object], on_child: Callable[[], object]) -> None:
        self._tick = tick
        self.interval_ns = 5_000_000_000
        self._on_child = on_child
        # One that is not told to stop, at most; and what an interrupted join has left, for the next one.
        self._rounds: list[_Round] = []
        self._starting = unpatched("_thread", "RLock")()
        self._wanted_by = 0  # the process that started and did not stop it; 0 for none
        self._on_bell: Callable[[], object] | None = None
        self.faults = 0

    @property
    def running(self) -> bool:
        """Whether there is a thread that is not told to end."""
        return not all(each.told for each in tuple(self._rounds))

    def listen(self, memory: object, on_bell: Callable[[], object], /) -> None:
        """Have ``on_bell()`` called four times a second, because this thread hears no ring; None: never."""
        self._on_bell = None if memory is None else on_bell

    def start(self) -> None:
        """Start the thread; OSError when none can be had."""
        self._wanted_by = os.getpid()
        self._resume()

    def _resume(self) -> None:
        # Tried, not waited for: whoever holds it is starting the thread.
        if not self._starting.acquire(False):
            return
        try:
            if not self.running:
                self._start()
        finally:
            self._starting.release()

    def _start(self) -> None:
        this_round = _Round()
        # Asked first: the call that blocks may raise what a pending signal's handler raises.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            unpatched("_thread", "start_new_thread")(self._run, (this_round,))
            self._rounds.append(this_round)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _run(self, this_round: _Round) -> None:
        this_round.thread_id = unpatched("_thread", "get_native_id")()
        try:
            while True:
                self._call(self._tick)
                if self._wait(this_round):
                    return
        finally:
            this_round.ended = True
            this_round.done.release()

    def _call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception:  # noqa: BLE001 - a monitor that fails is counted and tried again
            self.faults += 1

    def _wait(self, this_round: _Round) -> bool:
        """One interval; true when asked to stop."""
        left_s = self.interval_ns / 1e9
        while self._on_bell is not None and left_s > _LISTEN_EVERY_S:
            if this_round.wake.acquire(timeout=_LISTEN_EVERY_S):
                return True
            left_s -= _LISTEN_EVERY_S
            self._call(self._on_bell)
        return bool(this_round.wake.acquire(timeout=left_s))

    def stop(self) -> None:
        """End the thread and wait until the kernel has forgotten it."""
        self._wanted_by = 0
        self._join()

    def _join(self) -> None:
        """May be interrupted anywhere and called again, also by several threads that fork at the same time."""
        for this_round in tuple(self._rounds):
            # In a child forked without hooks the thread is not there, and would be waited for in vain.
            if this_round.pid == os.getpid():
                _end(this_round)
            try:
                self._rounds.remove(this_round)
            except ValueError:  # another thread, or the child's hook, was quicker
                continue

    def before_fork(self) -> None:
        """At-fork hook: end the thread, so that CPython 3.12+ does not warn of it.

        And so that it holds nothing: without a GIL the lock of any object, ``sys.modules`` among them, that a thread
        holds at a fork is held in the child for good.
        """
        if self._wanted_by != os.getpid():  # a child forked without hooks: it has no thread, and its children need none
            self._wanted_by = 0
        self._join()

    def after_fork_in_parent(self) -> None:
        """At-fork hook: start it again."""
        if not self._wanted_by:
            return
        try:
            self._resume()
        except OSError:
            self.faults += 1
        except BaseException:  # a signal handler's: CPython will report and drop it, the thread must still start
            self._resume()
            raise

    def after_fork_in_child(self) -> None:
        """At-fork hook: the child begins anew."""
        self._starting = unpatched("_thread", "RLock")()
        self._rounds.clear()
        wanted, self._wanted_by = self._wanted_by, 0
        if wanted:
            self._on_child()


def _end(this_round: _Round) -> None:
    this_round.told = True
    try:  # noqa: SIM105 - contextlib would be one more import of the observed process
        this_round.wake.release()
    except RuntimeError:  # by a join before this one
        pass
    if this_round.thread_id == unpatched("_thread", "get_native_id")():
        return
    while not this_round.ended:  # not `done` alone: only one of those who wait gets it
        this_round.done.acquire(timeout=_DONE_AGAIN_S)
    _wait_until_gone(this_round.thread_id)


def _wait_until_gone(thread_id: int) -> None:
    task = f"/proc/self/task/{thread_id}"
    for _ in range(_GONE_ATTEMPTS):
        if not os.path.exists(task):
            return
        unpatched("time", "sleep")(_GONE_PAUSE_S)
