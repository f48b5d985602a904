"""A recorded process with a known heap, that waits for the lines of its standard input: ``asked.py KIND``.

``hold SECONDS`` holds the GIL so long, inside C; ``fork`` forks a child that says its pid, and waits; the end of the input ends it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

from _recorded import report

from gc_otel.config import Config
from gc_otel.flight import requests
from gc_otel.probe import probe


class Order:
    """One of many."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines = [number]


class Node:
    """In a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


PENDING = [Order(number) for number in range(500)]


def fork_while_asked() -> None:
    """As soon as a request has been taken."""
    location = probe.current().location
    deadline_s = time.monotonic() + 60
    while not any(os.path.exists(requests.progress_path(location, slot)) for slot in range(requests.SLOTS)):
        if time.monotonic() > deadline_s:
            raise TimeoutError
        time.sleep(0)
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        sys.stdin.readline()
        os._exit(0)
    report(forked_s=time.monotonic() - began_s)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        report(child=os.getpid(), path=probe.current().location)
        sys.stdin.readline()
        os._exit(0)


def main() -> None:
    probe.start(Config.from_env(recorder=sys.argv[1], sample_interval=60.0), run_mode=True)
    report(pid=os.getpid(), path=probe.current().location)
    for line in sys.stdin:
        word, *rest = line.split()
        if line.startswith("fork while asked"):
            fork_while_asked()
            continue
        if word == "hold":
            report(holds=True)
            ctypes.PyDLL(None).usleep(int(float(rest[0]) * 1e6))
        elif word == "fork":
            fork()
        elif word == "modules":
            report(modules=sorted(sys.modules))
        elif word == "stop":
            probe.current().stop()
            report(stopped=True)


if __name__ == "__main__":
    main()
