"""Cost of what is always on: ``always_on_cost.py ROUNDS SECONDS``."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator

from gc_otel import measure, take_census
from gc_otel.config import Config
from gc_otel.flight import reader
from gc_otel.probe import live_cycles, probe
from gc_otel.probe.live_census import interval_after

NEVER = 2**62
HEAPS = (100_000, 1_000_000)


class Node:
    """In a cycle."""

    def __init__(self) -> None:
        self.itself = self


def collect_all_the_time(seconds: float) -> float:
    """Garbage cycles and live objects; CPU time of one turn in nanoseconds."""
    turns, began_ns, until_s = 0, time.thread_time_ns(), time.monotonic() + seconds
    while time.monotonic() < until_s:
        kept = [[Node() for _ in range(100)] for _ in range(10)]
        turns += len(kept)
    return (time.thread_time_ns() - began_ns) / turns


def spent_sampling() -> tuple[int, int]:
    """Nanoseconds spent, and examinations, as the file has it."""
    cycles = reader.read(probe.current().source).cycles
    return cycles.cost_ns, sum(cycles.samples)


def sampler_costs(rounds: int, seconds: float) -> dict[str, list[float]]:
    """On against off, in turns; each turn long enough for the pauses between examinations to count."""
    recorder = probe.current().recorder
    found: dict[str, list[float]] = {"sampler": [], "share_percent": [], "sample_us": []}
    for number in range(rounds):
        costs = {}
        for wanted in (number % 2 == 0, number % 2 == 1):
            interval_ns = live_cycles.LEAST_INTERVAL_NS if wanted else NEVER
            recorder.sample_cycles(live_cycles.COST_FACTOR, interval_ns, live_cycles.OBJECTS_MOST)
            before_ns, before = spent_sampling()
            began_ns = time.monotonic_ns()
            costs[wanted] = collect_all_the_time(seconds)
            if wanted:
                spent_ns, samples = spent_sampling()
                found["share_percent"].append(100 * (spent_ns - before_ns) / (time.monotonic_ns() - began_ns))
                found["sample_us"].append((spent_ns - before_ns) / max(1, samples - before) / 1e3)
        found["sampler"].append(costs[True] / costs[False])
    return found


def census_costs(rounds: int) -> dict[int, dict[str, list[float]]]:
    """CPU time of a census, and its share of the interval after it."""
    found = {}
    for objects in HEAPS:
        kept = [Node() for _ in range(objects)]
        costs_ns = []
        for _ in range(min(rounds, 5)):
            began_ns = time.thread_time_ns()
            take_census()
            costs_ns.append(time.thread_time_ns() - began_ns)
        found[len(kept)] = {
            "cost_ms": [cost / 1e6 for cost in costs_ns],
            "share_percent": [100 * cost / interval_after(cost, cost) for cost in costs_ns],
        }
        del kept
        gc.collect()
    return found


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    yield


def block_costs(rounds: int) -> dict[str, list[float]]:
    """CPU time of one empty block."""

    def spent_us(enter: Callable[[], contextlib.AbstractContextManager[object]], count: int = 500) -> float:
        began_ns = time.thread_time_ns()
        for _ in range(count):
            with enter():
                pass
        return (time.thread_time_ns() - began_ns) / count / 1e3

    makers = {
        "an empty contextlib.contextmanager": nothing,
        "measure()": lambda: measure("benchmark"),
        "measure(uss=True)": lambda: measure("benchmark", uss=True),
    }
    return {label: [spent_us(make) for _ in range(rounds)] for label, make in makers.items()}


def main() -> None:
    rounds, seconds = int(sys.argv[1]), float(sys.argv[2])
    stop = probe.start(Config.from_env(recorder="native", census=False))
    gc.collect()
    answer = {
        **sampler_costs(rounds, seconds),
        "census": census_costs(rounds),
        "measure": block_costs(rounds),
    }
    stop()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
