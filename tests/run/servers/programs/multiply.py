"""A program that multiplies in the way of its argument: each child writes a line of JSON to a pipe, and ends when told.

Lines come out of this program's standard output, the program's own first; a line on its standard input ends the
children, and they end as they usually do: by their pool, by ``sys.exit`` or by ``os._exit``.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import still

CHILDREN = 2
GO = "go"


def say(told: dict[str, Any]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def child(folder: str) -> int:
    """Tell, and wait until the parent lets go."""
    say(still.tell())
    pipe = os.open(os.path.join(folder, GO), os.O_RDWR)
    os.read(pipe, 1)
    return os.getpid()


def wait_and_let_go(folder: str, children: int = CHILDREN) -> None:
    sys.stdin.readline()
    # Open for both in all of them, so that nobody waits for anybody at the opening, and none reads an end.
    pipe = os.open(os.path.join(folder, GO), os.O_RDWR)
    os.write(pipe, b"." * children)


def context_of(method: str) -> Any:
    context = multiprocessing.get_context(method)
    if method == "forkserver":  # so that it, too, notes what its children inherit
        context.set_forkserver_preload(["still"])
    return context


def by_multiprocessing(folder: str, method: str) -> None:
    context = context_of(method)
    children = [context.Process(target=child, args=(folder,)) for _ in range(CHILDREN)]
    for each in children:
        each.start()
    wait_and_let_go(folder)
    for each in children:
        each.join()
        assert each.exitcode == 0


def by_pool(folder: str, method: str) -> None:
    context = context_of(method)
    with concurrent.futures.ProcessPoolExecutor(CHILDREN, mp_context=context) as pool:
        jobs = [pool.submit(child, folder) for _ in range(CHILDREN)]
        wait_and_let_go(folder)
        assert len({job.result() for job in jobs}) == CHILDREN


def by_subprocess(folder: str) -> None:
    command = [sys.executable, __file__, "child", folder]
    children = [subprocess.Popen(command) for _ in range(CHILDREN)]
    wait_and_let_go(folder)
    assert [each.wait() for each in children] == [0] * CHILDREN


def by_double_fork(folder: str) -> None:
    """As daemons are made: two forks and a session, all descriptors closed but the standard ones."""
    between = os.fork()
    if between == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(3, 4096)
        os.chdir("/")
        child(folder)
        os._exit(0)
    os.waitpid(between, 0)
    wait_and_let_go(folder, 1)


def by_fork_beside_threads(folder: str) -> None:
    """Threads that fork and never exec, others busy meanwhile."""
    stopping = threading.Event()

    def be_busy() -> None:
        while not stopping.wait(0.001):
            cycle: list[Any] = []
            cycle.append(cycle)

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            child(folder)
            os._exit(7)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    codes: list[int] = []
    threads = [threading.Thread(target=be_busy) for _ in range(2)]
    forkers = [threading.Thread(target=fork) for _ in range(CHILDREN)]
    for each in threads + forkers:
        each.start()
    wait_and_let_go(folder)
    for each in forkers:
        each.join()
    stopping.set()
    assert codes == [7] * CHILDREN


WAYS = {
    "multiprocessing, fork": lambda folder: by_multiprocessing(folder, "fork"),
    "multiprocessing, spawn": lambda folder: by_multiprocessing(folder, "spawn"),
    "multiprocessing, forkserver": lambda folder: by_multiprocessing(folder, "forkserver"),
    "futures, fork": lambda folder: by_pool(folder, "fork"),
    "futures, forkserver": lambda folder: by_pool(folder, "forkserver"),
    "futures, spawn": lambda folder: by_pool(folder, "spawn"),
    "subprocess": by_subprocess,
    "double fork": by_double_fork,
    "fork beside threads": by_fork_beside_threads,
}

if __name__ == "__main__":
    way, place = sys.argv[1:]
    if way == "child":
        child(place)
        sys.exit(0)
    os.mkfifo(Path(place) / GO)
    WAYS[way](place)
    say(still.tell())
    sys.stdin.readline()
