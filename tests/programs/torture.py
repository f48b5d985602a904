"""Everything at once, for some seconds.

    torture.py [seconds] [native|python|naive] [seed]

Threads record into one OpenTelemetry SDK while every allocation collects, finalizers log and
record, another thread collects metrics every 2 ms, the process forks every 50 ms, and
SIGINT and SIGALRM raise in the main thread.  ``naive`` records from a gc callback instead of using
gc_otel, and hangs: the proof that this program can fail.  A hang is ended by faulthandler, with exit 1.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import itertools
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from types import FrameType

import _recorded as recorded
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import gc_otel
from gc_otel.flight import reader
from gc_otel.probe import live_census, live_cycles, probe

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
MODE = sys.argv[2] if len(sys.argv) > 2 else "native"
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
PATIENCE_S = 5 if MODE == "naive" else 20
RECORDERS = 4
COLLECT_EVERY_S = 0.002
FORK_EVERY_S = 0.05
ALARM_EVERY_S = 0.007
KINDS = 50

# Its own threads are what CPython 3.12+ warns of when it forks: that is this program's doing.
warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)

metrics = InMemoryMetricReader()
provider = MeterProvider([metrics])
meter = provider.get_meter("torture")
histogram = meter.create_histogram("histogram")
counter = meter.create_counter("counter")
log = logging.getLogger("torture")
log.addHandler(logging.StreamHandler(io.StringIO()))
log.setLevel(logging.INFO)
log.propagate = False

# As often as can be: every young collection is examined, and several censuses a second are taken.
live_cycles.COST_FACTOR = live_cycles.LEAST_INTERVAL_NS = 0
live_census._FIRST_AFTER_NS = live_census._COST_DIVISOR = 0
live_census._LEAST_INTERVAL_NS = 200_000_000

parent_pid = os.getpid()
ending = threading.Event()
numbers = itertools.count()
#: What happened, in order; an append is whole also when a signal's handler comes between.
events: list[str] = []
unexpected: list[str] = []


SDK = f"{os.sep}opentelemetry{os.sep}"
OURS = os.path.dirname(gc_otel.__file__)


def is_inside(frame: FrameType | None, part: str) -> bool:
    """Whether that frame, or a caller of it, is code of a file with that in its path."""
    while frame is not None:
        if part in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


class Alarm(BaseException):
    """What the SIGALRM handler raises; no Exception, which logging would swallow."""


class Interrupt(KeyboardInterrupt):
    """What the SIGINT handler raises."""


class Noisy:
    """Garbage in a cycle, whose finalizer logs and records."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        if os.getpid() != parent_pid:
            return  # in a child the locks below may be held by a thread that is not there
        if ending.is_set():
            return  # without a GIL collections are few and large: the last one has more to finalize than patience lasts
        log.warning("finalized %x", id(self))
        if not is_inside(sys._getframe(), SDK):
            counter.add(1, {"from": "finalizer"})  # inside, it would meet the SDK's own locks: not our subject


def unraisable(told: object) -> None:
    """What could not be raised: a storm's exception in the program's finalizers, or in us; no other."""
    kind = told.exc_type.__name__
    frames = traceback.extract_tb(told.exc_traceback)
    # 3.14 names the object, if at all, in the message only.
    what = f"{getattr(told.object, '__module__', '')} {told.object!r} {told.err_msg or ''}"
    if not issubclass(told.exc_type, (Interrupt, Alarm)):
        unexpected.append(f"{kind} unraisable in {what}")
    elif "gc_otel." in what or any(frame.filename.startswith(OURS) for frame in frames):
        events.append(f"lost in us: {kind}")
    elif "__del__" in what or any(frame.name == "__del__" for frame in frames):
        events.append(f"lost in a finalizer: {kind}")
    else:
        unexpected.append(f"{kind} unraisable in {what} {[frame.name for frame in frames]}")


def thread_failed(told: object) -> None:
    unexpected.append(f"{told.exc_value!r} in {told.thread}")


def fork_once() -> None:
    pid = os.fork()
    if pid == 0:
        code = 29
        try:
            code = check_child()
        finally:
            os._exit(code)
    events.append(f"child exit {recorded.exit_code(pid)}")


def check_child() -> int:
    """10 when the child records itself; what is wrong otherwise."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(15)  # a child that hangs is seen by its exit status
    gc.disable()
    current = probe.current()
    if current is None or current.path is None:
        return 20
    if not current.path.name.startswith(f"{os.getpid()}-"):
        return 21
    # The monitor's thread may be in a collection that it began before: counted by CPython, and not yet by the twin.
    recorded.wait_until(lambda: reader.read_collector(current.source).in_progress is None, "a collection does not end")
    known, recorded_before = recorded.collections(), reader.read_collector(current.source).collections
    for _ in range(3):
        [].append([])
        gc.collect()
    read = reader.read_collector(current.source)
    same = read.collections - recorded_before == recorded.collections() - known
    return 10 if same and not read.torn else 22


#: Here a handler that raises around a `with lock:` can leave it locked: this program then hangs without gc_otel, too.
LEAVES_LOCKS = not (3, 11) <= sys.version_info < (3, 14)


def may_raise(frame: FrameType | None) -> bool:
    """Decided by the frames, which leaves no gap between a check and what it protects."""
    if LEAVES_LOCKS and is_inside(frame, SDK):
        return False
    in_work = False
    while frame is not None:
        if frame.f_code in PROTECTED_CODE or frame.f_code.co_filename in PROTECTED_FILES:
            return False
        in_work = in_work or frame.f_code is work.__code__
        frame = frame.f_back
    return in_work


def on_signal(number: int, frame: FrameType | None) -> None:
    kind = Interrupt if number == signal.SIGINT else Alarm
    events.append(f"handled: {kind.__name__}")
    if may_raise(frame):
        raise kind
    events.append(f"let pass: {kind.__name__}")


#: Nothing may be raised where exceptions are counted, or where a lock is taken in Python code.
PROTECTED_CODE = {each.__code__ for each in (unraisable, fork_once, may_raise, is_inside, on_signal)}
PROTECTED_FILES = {logging.__file__, threading.__file__}


def recording(number: int) -> None:
    chance = random.Random(SEED * 1000 + number)
    while not ending.is_set():
        # Attributes that are new now and then: the SDK allocates under its lock for them.
        histogram.record(chance.random(), {"thread": number, "kind": chance.randrange(KINDS)})
        counter.add(1, {"from": f"thread {number}"})
        if chance.random() < 0.05:
            Noisy()
        if chance.random() < 0.02:
            log.info("thread %d", number)
        if chance.random() < 0.1:
            ending.wait(0.001)  # lets the main thread and the collecting one have their share


def collecting() -> None:
    while not ending.wait(COLLECT_EVERY_S):
        metrics.collect(timeout_millis=60_000)  # the SDK gives up after 10 s, which a crowded machine takes
        events.append("collects")


def interrupting() -> None:
    chance = random.Random(SEED)
    while not ending.wait(chance.random() * 0.01):
        events.append("sent")
        os.kill(parent_pid, signal.SIGINT)


def work(deadline_s: float) -> None:
    """The main thread's part; whatever the handlers raise is raised in here."""
    while time.monotonic() < deadline_s:
        Noisy()
        histogram.record(1, {"thread": "main"})
        if time.monotonic() > fork_due_s[0]:
            fork_once()
            fork_due_s[0] = time.monotonic() + FORK_EVERY_S


# Not without a GIL: what another thread holds at a fork, the lock of any object, stays held in 3.13's child for good.
FORKS = MODE != "naive" and getattr(sys, "_is_gil_enabled", lambda: True)()
fork_due_s = [0.0 if FORKS else float("inf")]


def storm() -> None:
    deadline_s = time.monotonic() + SECONDS
    while time.monotonic() < deadline_s:
        try:
            work(deadline_s)
        except (Interrupt, Alarm) as error:
            events.append(f"caught: {type(error).__name__}")


def start_recording() -> str:
    """Library mode where opentelemetry-instrumentation is installed, else the probe alone."""
    if MODE == "naive":
        # An attribute that is new every time, such as a trace id: the SDK takes the lock that it allocates under.
        gc.callbacks.append(lambda phase, info: histogram.record(1, {"number": next(numbers), **info}))
        return "naive callback"
    try:
        from gc_otel.instrumentor import GcInstrumentor
    except ImportError:
        recorded.start(MODE)
        return "probe"
    GcInstrumentor().instrument(meter_provider=provider, recorder=MODE, sample_interval=recorded.INTERVAL_S)
    return "instrumentor"


def finish(how: str, counted_before: int, threads: list[threading.Thread]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    ending.set()
    for thread in threads:
        thread.join()
    gc.set_threshold(700, 10, 10)
    gc.disable()
    if MODE == "naive":
        recorded.report(mode=MODE, unexpected=["it did not hang"])
        return
    # An interrupt may have cut the twin's last stop short, and no round judges during a collection: the next one closes
    # it. Without a GIL the storm itself has few collections, and often none behind its last interrupt.
    gc.collect()
    recorded.settle()
    counted = recorded.collections() - counted_before
    read = recorded.snapshot()
    recorded.report(
        mode=MODE,
        how=how,
        recorder=read.identity.recorder,
        tally=Counter(events),
        unexpected=sorted(set(unexpected))[:10],
        counted=counted,
        recorded=read.collector.collections,
        no_start=sum(each.no_start for each in read.collector.generations),
        unseen=sum(read.interpreter.unseen),
        faults=[f"{fault.count} x {fault.text}" for fault in read.faults],
        torn=read.collector.torn,
        censuses=read.census.censuses,
        samples=sum(read.cycles.samples),
        cycles=[each.name for each in read.cycles.signatures],
    )
    faulthandler.cancel_dump_traceback_later()


def main() -> None:
    sys.setswitchinterval(0.0005)  # more switches in more places
    faulthandler.dump_traceback_later(SECONDS + PATIENCE_S, exit=True)
    sys.unraisablehook = unraisable
    threading.excepthook = thread_failed
    gc.disable()
    counted_before = recorded.collections()
    how = start_recording()
    jobs = [(recording, (number,)) for number in range(RECORDERS)]
    if MODE != "naive":
        recorded.wait_for_rounds()
        jobs += [(collecting, ()), (interrupting, ())]
        signal.signal(signal.SIGINT, on_signal)
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, ALARM_EVERY_S, ALARM_EVERY_S)
    gc.set_threshold(1, 1, 1)
    gc.enable()
    threads = [threading.Thread(target=job, args=args, daemon=True) for job, args in jobs]
    for thread in threads:
        thread.start()
    storm()
    finish(how, counted_before, threads)


if __name__ == "__main__":
    main()
