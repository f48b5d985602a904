"""Recording under gevent.  Arguments: native|python, then whether it starts before or after patch_all()."""

from __future__ import annotations

import sys

from gevent import monkey

if sys.argv[2] == "after":
    monkey.patch_all()

import gc
import os
import subprocess
import threading
import time

import _recorded as recorded
import gevent
from gevent.queue import Queue

from gc_otel.flight import reader
from gc_otel.probe import probe

tasks_before = recorded.thread_ids()
stop = recorded.start()
if sys.argv[2] == "before":
    monkey.patch_all()
source = probe.current().source


def rounds_while_the_hub_is_busy() -> bool:
    """Nothing here lets another greenlet run; only an operating-system thread can."""
    first = reader.read_interpreter(source)
    first_ns = first.beat_ns if first is not None else 0
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        sum(range(1000))
        told = reader.read_interpreter(source)
        if told is not None and told.beat_ns > first_ns:
            return True
    return False


def greenlets_work() -> list[int]:
    queue: Queue = Queue()
    workers = [gevent.spawn(lambda n=n: (gevent.sleep(0.001 * n), queue.put(n))) for n in range(5)]
    gevent.joinall(workers, timeout=10, raise_error=True)
    return sorted(queue.get(timeout=1) for _ in range(5))


def fork_works() -> int:
    pid = os.fork()
    if pid == 0:
        mine = probe.current().path.name.startswith(f"{os.getpid()}-")
        os._exit(8 if mine else 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def stop_from_the_hub() -> str:
    """A hub callback must not block by gevent's means."""
    answer: list[str] = []

    def in_hub() -> None:
        try:
            stop()
            answer.append("stopped")
        except BaseException as error:
            answer.append(repr(error))

    gevent.get_hub().loop.run_callback(in_hub)
    recorded.wait_until(lambda: answer, "the hub does not call back")
    return answer[0]


busy = [rounds_while_the_hub_is_busy() for _ in range(3)]
worked = greenlets_work()
ran = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True, check=False).stdout
forked = fork_works()
again = rounds_while_the_hub_is_busy()
gc.collect()
known = [thread.name for thread in threading.enumerate()]
in_hub = stop_from_the_hub()
recorded.report(
    busy=[*busy, again],
    worked=worked,
    ran=ran,
    forked=forked,
    known=len(known),
    in_hub=in_hub,
    stopped=probe.current() is None,
    tasks_left=len(recorded.thread_ids() - tasks_before),
    mappings=recorded.own_mappings(),
)
