"""Exact cycles in a child, and the way to holders, beside what others do: ``holders_cost.py OBJECTS ROUNDS``.

The longest hold of the GIL is what a thread that sleeps for a millisecond misses beyond it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import objgraph
from typing_extensions import Self

from gc_otel.heap.child import why_not
from gc_otel.heap.cycles import find_cycles, find_cycles_in_child
from gc_otel.heap.paths import find_holders

OBJECTS_IN_SESSION = 4
GARBAGE_SHARE = 20  # one object in so many is in a cycle


class Session:
    """What services have many of."""

    def __init__(self, number: int) -> None:
        self.user = f"user {number}"
        self.basket = [number, {"items": [number]}]


class Node:
    """Garbage: a cycle of two."""

    def __init__(self) -> None:
        self.other = [self]


def build(objects: int) -> list[Session]:
    """A heap of that many tracked objects, with garbage in it; the collector is off."""
    gc.collect()
    gc.disable()
    sessions = [Session(number) for number in range(objects // OBJECTS_IN_SESSION)]
    for _ in range(objects // GARBAGE_SHARE // 2):
        Node()
    return sessions


class Watch:
    """The longest time that a thread which wants the GIL went without it, in milliseconds."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        before_ns = time.perf_counter_ns()
        while not self._ending.is_set():
            time.sleep(0.001)
            now_ns = time.perf_counter_ns()
            self.longest_ms = max(self.longest_ms, (now_ns - before_ns) / 1e6 - 1)
            before_ns = now_ns

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of a call, and the longest that another thread waited for the GIL meanwhile."""
    with Watch() as watch:
        began_ns = time.perf_counter_ns()
        call()
        spent_ms = (time.perf_counter_ns() - began_ns) / 1e6
    return spent_ms, watch.longest_ms


def collect_saving_all(objects: int) -> dict[str, float]:
    """In a process of its own, which may be thrown away: its garbage is kept, its memory grows."""
    done = subprocess.run(
        [sys.executable, __file__, str(objects), "saveall"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def be_thrown_away(objects: int) -> None:
    sessions = build(objects)
    gc.set_debug(gc.DEBUG_SAVEALL)
    began_ns = time.perf_counter_ns()
    gc.collect()
    print(json.dumps({"ms": (time.perf_counter_ns() - began_ns) / 1e6, "garbage": len(gc.garbage)}), flush=True)
    del sessions
    os._exit(0)


def main() -> None:
    objects, rounds = int(sys.argv[1]), int(sys.argv[2])
    sessions = build(objects)
    samples: dict[str, list[float]] = {}
    missing = {} if why_not() is None else {"child": str(why_not())}

    def note(name: str, value: float) -> None:
        samples.setdefault(name, []).append(value)

    for _ in range(rounds):
        saved = collect_saving_all(objects)
        note("saveall", saved["ms"])
        if "child" not in missing:
            cycles = find_cycles_in_child()
            note("child", cycles.duration_ns / 1e6)
            note("child_pause", cycles.pause_ns / 1e6)
            note("child_memory", (cycles.child_memory_bytes or 0) / 2**20)
        note("in_process", find_cycles().pause_ns / 1e6)
        spent, hold = measured(lambda: find_holders(Session))
        note("why", spent)
        note("why_hold", hold)
        last = sessions[-1]
        spent, hold = measured(lambda: objgraph.find_backref_chain(last, objgraph.is_proper_module))  # noqa: B023 - called at once
        note("chain", spent)
        note("chain_hold", hold)
    rss_bytes = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    print(json.dumps({"samples": samples, "missing": missing, "rss_mib": rss_bytes / 2**20}))


if __name__ == "__main__":
    if sys.argv[2] == "saveall":
        be_thrown_away(int(sys.argv[1]))
    main()
