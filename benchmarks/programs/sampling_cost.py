"""CPU time of the monitor's rounds: ``sampling_cost.py ROUNDS MEGABYTES``, in a process of about that RSS."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from gc_otel import _native
from gc_otel.config import Config
from gc_otel.flight.mapping import PythonMapping
from gc_otel.probe.monitor import Monitor
from gc_otel.sample.cgroup import LimitReader
from gc_otel.sample.process import ProcessSampler


def spent_us(call: Callable[[], object]) -> float:
    """CPU time of one call."""
    began_ns = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began_ns) / 1e3


def main() -> None:
    """A round without the dear numbers and these alone, in turn; the sampler's clock runs an hour each time."""
    rounds, megabytes = int(sys.argv[1]), int(sys.argv[2])
    ballast = bytearray(megabytes * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    objects = [[number] for number in range(2000 * megabytes)]
    hours = iter(range(1, 10**9))
    failed: list[str] = []
    sampler = ProcessSampler(
        on_disabled=lambda source, error: failed.append(f"{source}: {error}"),
        clock_ns=lambda: next(hours) * 3_600_000_000_000,
    )
    extension, _ = _native.load()
    mapping = PythonMapping(-1) if extension is None else extension.Mapping(-1)
    interval_s = Config().sample_interval
    monitor = Monitor(
        mapping,
        interval_ns=round(interval_s * 1e9),
        sampler=sampler,
        read_limit=LimitReader().read,
        with_detail=False,
    )
    monitor.round()
    sampler.detail()
    each_round = [(spent_us(monitor.round), spent_us(sampler.detail)) for _ in range(rounds)]
    print(json.dumps({"rounds": each_round, "interval_s": interval_s, "failed": failed, "objects": len(objects)}))


if __name__ == "__main__":
    main()
