"""The monitor's thread, native and Python: the same promises."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gc_otel import _native
from gc_otel.probe import ticker as tickers
from gc_otel.probe.ticker import PythonTicker
from gc_otel.probe.unpatched import unpatched

PATIENCE_S = 20.0
SHORT_NS = 5_000_000
LONG_NS = 3_600_000_000_000


def task_count() -> int:
    return len(os.listdir("/proc/self/task"))


def wait_until(holds: Callable[[], object]) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline_s:
        time.sleep(0.002)
    return bool(holds())


@pytest.fixture
def ticker_type(kind: str) -> Any:
    extension, _ = _native.load()
    return PythonTicker if kind == "python" else extension.Ticker


@pytest.fixture
def make_ticker(ticker_type: Any) -> Iterator[Callable[..., Any]]:
    made = []

    def make(tick: Callable[[], object], on_child: Callable[[], object] = lambda: None, *, interval_ns: int) -> Any:
        ticker = ticker_type(tick, on_child)
        ticker.interval_ns = interval_ns
        made.append(ticker)
        return ticker

    yield make
    for ticker in made:
        ticker.stop()


def test_ticks_at_once_and_again(make_ticker):
    """The first tick needs no interval to pass, and more follow."""
    ticks = threading.Semaphore(0)
    at_once = make_ticker(ticks.release, interval_ns=LONG_NS)
    at_once.start()
    assert ticks.acquire(timeout=PATIENCE_S)
    at_once.stop()
    repeated = make_ticker(ticks.release, interval_ns=SHORT_NS)
    repeated.start()
    assert all(ticks.acquire(timeout=PATIENCE_S) for _ in range(4))


def test_a_tick_that_raises_is_counted_and_tried_again(make_ticker, capfd):
    """A fault neither ends the thread nor prints anything."""
    ticks = threading.Semaphore(0)

    def tick():
        ticks.release()
        raise ValueError("on purpose")

    ticker = make_ticker(tick, interval_ns=SHORT_NS)
    ticker.start()
    assert all(ticks.acquire(timeout=PATIENCE_S) for _ in range(3))
    ticker.stop()
    assert ticker.faults >= 3
    assert capfd.readouterr() == ("", "")


def test_stop_waits_for_the_tick_in_progress(make_ticker):
    """When stop() returns, no tick is half done."""
    entered, finish, finished = threading.Event(), threading.Event(), []

    def tick():
        entered.set()
        finish.wait(PATIENCE_S)
        finished.append(True)

    ticker = make_ticker(tick, interval_ns=LONG_NS)
    ticker.start()
    assert entered.wait(PATIENCE_S)
    seen_at_return = []
    stopper = threading.Thread(target=lambda: (ticker.stop(), seen_at_return.append(list(finished))))
    stopper.start()
    assert wait_until(lambda: not ticker.running)
    assert seen_at_return == []
    finish.set()
    stopper.join(PATIENCE_S)
    assert seen_at_return == [[True]]


def test_start_and_stop_twice_are_as_once(make_ticker):
    """A second start makes no second thread; a second stop, or one without a start, does nothing."""
    before = task_count()
    ticks = threading.Semaphore(0)
    ticker = make_ticker(ticks.release, interval_ns=LONG_NS)
    ticker.stop()
    assert not ticker.running
    ticker.start()
    ticker.start()
    assert ticker.running
    assert ticks.acquire(timeout=PATIENCE_S)
    assert task_count() == before + 1
    ticker.stop()
    ticker.stop()
    assert not ticker.running
    assert task_count() == before


def test_can_be_started_again(make_ticker):
    """A stopped ticker ticks again after the next start."""
    ticks = threading.Semaphore(0)
    ticker = make_ticker(ticks.release, interval_ns=LONG_NS)
    for _ in range(3):
        ticker.start()
        assert ticks.acquire(timeout=PATIENCE_S)
        ticker.stop()


def test_stop_from_inside_a_tick_does_not_deadlock(make_ticker):
    """A program may stop recording from a finalizer that happens to run in the monitor's thread."""
    returned = threading.Event()
    before = task_count()
    ticker: Any = None

    def tick():
        ticker.stop()
        returned.set()

    ticker = make_ticker(tick, interval_ns=SHORT_NS)
    ticker.start()
    assert returned.wait(PATIENCE_S)
    ticker.stop()
    assert wait_until(lambda: not ticker.running)
    assert wait_until(lambda: task_count() == before)


def test_stop_before_the_first_tick(make_ticker):
    """Stopping right after the start loses no thread and does not hang."""
    before = task_count()
    ticker = make_ticker(lambda: None, interval_ns=LONG_NS)
    for _ in range(50):
        ticker.start()
        ticker.stop()
    assert task_count() == before


def test_threading_does_not_know_the_thread(make_ticker):
    """Programs that enumerate or count their threads see their own ones only."""
    before = threading.enumerate()
    ticked = threading.Event()
    ticker = make_ticker(ticked.set, interval_ns=LONG_NS)
    ticker.start()
    assert ticked.wait(PATIENCE_S)
    assert threading.enumerate() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the mask in /proc")
def test_every_signal_is_blocked_in_the_thread(make_ticker):
    """The kernel never chooses the monitor for a signal of the process."""
    masks: list[str] = []
    ticked = threading.Event()

    def tick():
        status = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
        masks.append(next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:")))
        ticked.set()

    own_before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    ticker = make_ticker(tick, interval_ns=LONG_NS)
    ticker.start()
    assert ticked.wait(PATIENCE_S)
    blocked = {number for number in range(1, 65) if int(masks[0], 16) >> (number - 1) & 1}
    assert blocked >= set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == own_before


def test_stop_is_known_to_the_kernel(make_ticker):
    """CPython 3.12+ counts the kernel's threads at a fork: ours has gone when stop() returns."""
    before = task_count()
    ticks = threading.Semaphore(0)
    ticker = make_ticker(ticks.release, interval_ns=LONG_NS)
    for _ in range(20):
        ticker.start()
        assert ticks.acquire(timeout=PATIENCE_S)
        ticker.stop()
        assert task_count() == before


def test_parent_hooks_pause_and_resume(make_ticker):
    """The thread ends before a fork and is there again in the parent."""
    before = task_count()
    ticks = threading.Semaphore(0)
    ticker = make_ticker(ticks.release, interval_ns=LONG_NS)
    ticker.start()
    assert ticks.acquire(timeout=PATIENCE_S)
    ticker.before_fork()
    assert (ticker.running, task_count()) == (False, before)
    ticker.after_fork_in_parent()
    assert ticker.running
    assert ticks.acquire(timeout=PATIENCE_S)


def test_child_hook_asks_for_a_new_beginning_once(make_ticker):
    """In a child on_child is called once; the thread is not taken for a running one."""
    calls = []
    ticker = make_ticker(lambda: None, lambda: calls.append(threading.get_ident()), interval_ns=LONG_NS)
    ticker.start()
    ticker.before_fork()
    ticker.after_fork_in_child()
    assert wait_until(lambda: calls)
    assert calls == [threading.get_ident()]
    assert not ticker.running
    ticker.after_fork_in_child()
    ticker.after_fork_in_parent()
    assert (calls, ticker.running) == ([threading.get_ident()], False)


def test_hooks_of_an_idle_ticker_do_nothing(make_ticker):
    """The hooks cannot be unregistered, so without a thread they are idle."""
    calls = []
    before = task_count()
    ticker = make_ticker(lambda: None, lambda: calls.append(1), interval_ns=LONG_NS)
    ticker.before_fork()
    ticker.after_fork_in_parent()
    ticker.after_fork_in_child()
    assert (ticker.running, calls, ticker.faults, task_count()) == (False, [], 0, before)


def test_stop_between_the_hooks_means_stop(make_ticker):
    """A stop while the thread is paused for a fork is not undone by the fork's end."""
    ticker = make_ticker(lambda: None, interval_ns=LONG_NS)
    ticker.start()
    ticker.before_fork()
    ticker.stop()
    ticker.after_fork_in_parent()
    assert not ticker.running


def test_an_unused_ticker_is_freed(ticker_type, quiet_gc):
    """A ticker holds its callables, and a cycle through it is collectable."""
    freed = []

    class Owner:
        def __init__(self):
            self.ticker = ticker_type(self.tick, self.tick)

        def tick(self):
            return None

        def __del__(self):
            freed.append(True)

    Owner()
    gc.collect()
    assert freed == [True]


class TestPythonOnly:
    """What only the twin can be made to meet."""

    def test_no_thread_to_be_had_is_an_oserror(self, monkeypatch):
        """The mask is put back, and the ticker is not running."""

        def refuse(*_):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("_thread.start_new_thread", refuse)
        ticker = PythonTicker(lambda: None, lambda: None)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with pytest.raises(OSError, match="can't start new thread"):
            ticker.start()
        assert not ticker.running
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before

    def test_an_interrupted_end_is_finished_by_the_next_hook(self, monkeypatch):
        """A thread that ran on at the fork could hold what the child needs: the hook is there twice, and the second ends it."""

        class Interrupted(Exception):
            pass

        def interrupt(*_):
            raise Interrupted

        ticker = PythonTicker(lambda: None, lambda: None)
        before = task_count()
        ticker.start()
        assert wait_until(lambda: task_count() == before + 1)
        with monkeypatch.context() as patch:
            patch.setattr(tickers, "_wait_until_gone", interrupt)
            with pytest.raises(Interrupted):
                ticker.before_fork()
        ticker.before_fork()
        assert (task_count(), ticker.running) == (before, False)
        ticker.after_fork_in_parent()
        assert (wait_until(lambda: task_count() == before + 1), ticker.running) == (True, True)
        ticker.stop()
        assert task_count() == before

    def test_two_that_fork_at_once_both_wait(self):
        """Neither goes on before the thread is gone."""
        finish, entered, done = threading.Event(), threading.Event(), []

        def tick():
            entered.set()
            finish.wait(PATIENCE_S)
            done.append(True)

        ticker = PythonTicker(tick, lambda: None)
        ticker.interval_ns = LONG_NS
        ticker.start()
        assert entered.wait(PATIENCE_S)
        seen = []
        forking = [threading.Thread(target=lambda: (ticker.before_fork(), seen.append(list(done)))) for _ in range(2)]
        for each in forking:
            each.start()
        assert wait_until(lambda: not ticker.running)
        assert seen == []
        finish.set()
        for each in forking:
            each.join(PATIENCE_S)
        assert seen == [[True], [True]]

    def test_no_thread_after_a_fork_is_counted(self, monkeypatch):
        """The parent goes on without a monitor rather than with an exception out of its fork."""
        ticker = PythonTicker(lambda: None, lambda: None)
        ticker.start()
        ticker.before_fork()
        monkeypatch.setattr(ticker, "_resume", lambda: (_ for _ in ()).throw(OSError("none")))
        ticker.after_fork_in_parent()
        assert (ticker.faults, ticker.running) == (1, False)

    def test_a_handler_that_raises_at_the_start_leaves_no_signal_blocked(self):
        """pthread_sigmask() runs the handlers of what is pending: the mask is put back all the same."""

        def interrupt(*_):
            raise InterruptedError("on purpose")

        def everything_at_once(how, mask):
            answer = pthread_sigmask(how, mask)
            if how == signal.SIG_BLOCK and len(set(mask)) > 1:
                interrupt()  # as CPython would, for a signal that came just before
            return answer

        pthread_sigmask = signal.pthread_sigmask
        before = pthread_sigmask(signal.SIG_BLOCK, [])
        ticker = PythonTicker(lambda: None, lambda: None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tickers.signal, "pthread_sigmask", everything_at_once)
            with pytest.raises(InterruptedError):
                ticker.start()
        after = pthread_sigmask(signal.SIG_SETMASK, before)
        assert after == before

    def test_original_functions_are_used_under_gevent(self, monkeypatch):
        """Where gevent patched _thread, the functions from before are asked for."""
        asked = []

        class Monkey:
            @staticmethod
            def get_original(module, name):
                asked.append((module, name))
                return f"real {name}"

        monkeypatch.setitem(sys.modules, "gevent.monkey", Monkey)
        assert unpatched("_thread", "allocate_lock") == "real allocate_lock"
        assert asked == [("_thread", "allocate_lock")]

    def test_the_threads_body(self):
        """It ticks until it is woken, counts what is raised, and says at last that it is done."""
        this_round, ticks = tickers._Round(), []

        def tick():
            ticks.append(True)
            if len(ticks) == 3:
                this_round.wake.release()
            raise KeyError(len(ticks))

        ticker = PythonTicker(tick, lambda: None)
        ticker.interval_ns = 1_000_000
        ticker._run(this_round)
        assert (len(ticks), ticker.faults, this_round.thread_id) == (3, 3, threading.get_native_id())
        assert this_round.done.acquire(blocking=False)

    def test_a_thread_does_not_wait_for_itself(self):
        """stop() from inside a tick wakes its own round and returns."""
        ticker = PythonTicker(lambda: None, lambda: None)
        this_round = tickers._Round()
        ticker._rounds.append(this_round)
        this_round.thread_id = threading.get_native_id()
        ticker.stop()
        assert this_round.wake.acquire(blocking=False)
        assert not ticker.running

    def test_waiting_for_the_kernel_is_bounded(self, monkeypatch):
        """A thread that the kernel goes on showing is not waited for without end."""
        pauses = []
        monkeypatch.setattr("time.sleep", pauses.append)
        tickers._wait_until_gone(threading.get_native_id())
        assert len(pauses) == tickers._GONE_ATTEMPTS
