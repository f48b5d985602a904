"""A service with its recorder in gc.callbacks, and without, in turns of a hundred requests.

Two processes of one program differ by a few percent for as long as they live, and a machine changes within a second: both
are more than what is looked for.  So one process is measured, started anew several times, and its recorder is taken
out of gc.callbacks and put back between blocks of a hundred requests, which go with, without, without, with.  The
monitor goes on throughout; its CPU time is measured apart, and counted as if the service stood still for it.

Each four blocks give one ratio of each figure, in which whatever drifts weighs on both alike.  What is shown is the
median of these ratios, which other work on the machine hardly moves, with a bootstrap 90 % interval.  The p99 is that of
the two hundred requests on either side.

Where many collections are the point, two more blocks have an empty C function in the recorder's place: CPython makes
two dicts for every collection as soon as anything stands in gc.callbacks, and that is most of the cost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.client import Block, Client
from benchmarks.gunicorn import Case, Service, started
from benchmarks.result import Row, interval_of_median, verdict_of_interval

MOST_LOSS: Final = 0.01
_REQUESTS: Final = 100
_WARM_UP_REQUESTS: Final = 2000
_SETTLE_REQUESTS: Final = 8  # after each change: the service answered that request by other code than the measured
_STARTS: Final = 3


@dataclass(frozen=True)
class Side:
    """Two blocks of the same kind."""

    per_second: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True)
class Group:
    """Four blocks in a row, or six."""

    ours: Side
    bare: Side
    empty: Side | None


def side_of(*blocks: Block) -> Side:
    """The figures of blocks together."""
    latencies_ns = sorted(each for block in blocks for each in block.latencies_ns)
    requests = len(latencies_ns)
    elapsed_s = sum(each.elapsed_ns for each in blocks) / 1e9
    cpu_us = sum(each.cpu_ns for each in blocks) / 1e3
    return Side(requests / elapsed_s, latencies_ns[-1 - requests // 100] / 1e6, cpu_us / requests)


def measure(case: Case, app: str, *, run_mode: bool, quick: bool) -> list[Row]:
    """Throughput, p99 and CPU time of a request."""
    groups: list[Group] = []
    shares: list[float] = []
    for _ in range(1 if quick else _STARTS):
        with started(case, app, run_mode=run_mode) as service:
            before = json.loads(service.fetch("/spent"))
            client = Client(service.port, case.route, case.in_flight, before["pid"])
            client.drive(_REQUESTS if quick else _WARM_UP_REQUESTS)

            def drive(word: str, client: Client = client, service: Service = service) -> Block:
                service.fetch(f"/callback/{word}", method="POST")
                client.drive(_SETTLE_REQUESTS)
                return client.drive(_REQUESTS)

            groups += [_group(drive, case.words) for _ in range(2 if quick else case.groups)]
            client.close()
            after = json.loads(service.fetch("/spent"))
            shares.append((after["monitor_ns"] - before["monitor_ns"]) / (after["now_ns"] - before["now_ns"]))
    return _rows(case.label, groups, sum(shares) / len(shares))


def _group(drive: Callable[[str], Block], words: tuple[str, ...]) -> Group:
    """The words there and back again."""
    blocks: dict[str, list[Block]] = {word: [] for word in words}
    for word in (*words, *reversed(words)):
        blocks[word].append(drive(word))
    sides = {word: side_of(*both) for word, both in blocks.items()}
    return Group(sides["on"], sides["off"], sides.get("empty"))


def _rows(label: str, groups: list[Group], monitor_share: float) -> list[Row]:
    loss = f"the monitor's {monitor_share:.3%} of a core counted as lost"
    throughput = [each.ours.per_second / each.bare.per_second * (1 - monitor_share) for each in groups]
    p99 = [each.ours.p99_ms / each.bare.p99_ms for each in groups]
    cpu = [each.ours.cpu_us / each.bare.cpu_us for each in groups]
    ours = [each.ours for each in groups]
    rows = [
        _row(f"{label}: throughput", [each.per_second for each in ours], "1/s", throughput, 1 - MOST_LOSS, note=loss),
        _row(f"{label}: p99", [each.p99_ms for each in ours], "ms", p99, 1 + MOST_LOSS),
        _row(f"{label}: CPU time of one request", [each.cpu_us for each in ours], "us", cpu),
    ]
    beside = [(each.empty, each.bare) for each in groups if each.empty is not None]
    if beside:
        throughput = [empty.per_second / bare.per_second for empty, bare in beside]
        cpu = [empty.cpu_us / bare.cpu_us for empty, bare in beside]
        rows += [
            _row(
                f"{label}, an empty C callback: throughput", [each.per_second for each, _ in beside], "1/s", throughput
            ),
            _row(f"{label}, an empty C callback: CPU time", [each.cpu_us for each, _ in beside], "us", cpu),
        ]
    return rows


def _row(label: str, values: list[float], unit: str, ratios: list[float], limit: float = 0, *, note: str = "") -> Row:
    """With a target where there is a limit: the least ratio if it is below 1, else the most."""
    low, high = interval_of_median(ratios)
    target, verdict = "", ""
    if limit:
        target = f"ratio {'>=' if limit < 1 else '<='} {limit:g}"
        bound = {"least": limit} if limit < 1 else {"most": limit}
        verdict = verdict_of_interval(low, high, **bound)
    return Row(label, median(values), unit, low, high, median(ratios), target, verdict, note)
