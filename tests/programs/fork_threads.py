"""Forks from several threads at once.  Argument: native|python.  Counts the children that record themselves."""

from __future__ import annotations

import os
import threading

import _recorded as recorded

from gc_otel.probe import probe

THREADS, FORKS = 3, 12
recorded.start()
lock = threading.Lock()
codes: list[int] = []
together = threading.Barrier(THREADS)


def fork_and_wait() -> None:
    together.wait()
    for _ in range(FORKS):
        pid = os.fork()
        if pid == 0:
            current = probe.current()
            mine = current is not None and current.path is not None and current.path.name.startswith(f"{os.getpid()}-")
            os._exit(10 if mine else 11)
        code = recorded.exit_code(pid)
        with lock:
            codes.append(code)


threads = [threading.Thread(target=fork_and_wait) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
recorded.wait_for_rounds()
recorded.report(
    codes=sorted(set(codes)), forks=len(codes), recorded=codes.count(10), threads=len(recorded.thread_ids())
)
