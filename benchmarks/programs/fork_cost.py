"""What recording adds to the start of a forked worker, and when it is on a page: ``fork_cost.py ROUNDS``.

Each round forks one child that is not recorded and one that is, of the same process, and measures both from the fork to
the child's first line; then a recorded child is forked and the exporter asked until its page has it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time

from scrape_cost import Exporter

from gc_otel.config import Config
from gc_otel.probe import probe


def spent_ms() -> float:
    """CPU time of the children that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e3


def fork_once() -> tuple[float, float]:
    """Milliseconds until the child has said a word, and of CPU until it has ended."""
    told, tell = os.pipe()
    before_ms, began_ns = spent_ms(), time.monotonic_ns()
    pid = os.fork()
    if pid == 0:
        os.write(tell, b".")
        os._exit(0)
    os.read(told, 1)
    ready_ms = (time.monotonic_ns() - began_ns) / 1e6
    os.waitpid(pid, 0)
    os.close(told)
    os.close(tell)
    return ready_ms, spent_ms() - before_ms


def until_on_a_page(exporter: Exporter) -> float:
    """Milliseconds from a fork to the end of the first page that has the child."""
    began_ns = time.monotonic_ns()
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    label = f'process_pid="{pid}"'.encode()
    while label not in exporter.page_bytes():
        pass
    on_it_ms = (time.monotonic_ns() - began_ns) / 1e6
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return on_it_ms


def main() -> None:
    """Print one JSON line."""
    rounds = int(sys.argv[1])
    plain, recorded, appeared_ms = [], [], []
    exporter = Exporter()
    try:
        for _ in range(rounds):
            plain.append(fork_once())
            stop = probe.start(Config.from_env(), run_mode=True)
            fork_once()
            recorded.append(fork_once())
            appeared_ms.append(until_on_a_page(exporter))
            stop()
    finally:
        exporter.end()
    print(json.dumps({"plain": plain[1:], "recorded": recorded[1:], "appeared_ms": appeared_ms[1:]}))


if __name__ == "__main__":
    main()
