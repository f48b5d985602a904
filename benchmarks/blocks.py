"""A service with its recorder in gc.callbacks, and without, in turns of some ten requests that wrk sends.

Two processes of one program differ by a few percent for as long as they live, and a machine changes within a second: both
are more than what is looked for, and wrk has no rounds shorter than that.  So one process is measured, started anew several times, and with every request it is told
whether its recorder stands in gc.callbacks; the turns come in groups of one of each kind, whose order is drawn.  A chunk of
groups gives one ratio of each figure, in which whatever drifts weighs on both alike.  What is shown is the median of these
ratios with a bootstrap 90 % interval.

- Throughput: a service whose clients wait for their answers serves as many requests as its mean latency lets it, so its
  ratio is that of the mean latencies.  One request in a hundred, the longest of both sides together, is left out of the
  means: those are the machine's, which are ten times what the others take.  What of ours is as seldom, the monitor's rounds
  and the examinations of cycles, is measured apart, and counted as if the service stood still for it.
- p99: of all requests together, but for those that go beyond a turn and so met two words; its interval is found by drawing the chunks anew.
- CPU time: of all threads of the process, likewise.

Where many collections are the point, a third turn has an empty C function in the recorder's place: CPython makes
two dicts for every collection as soon as anything stands in gc.callbacks, and that is most of the cost.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, Final

from benchmarks.gunicorn import Case, Service, started
from benchmarks.result import Row, interval_of_median, verdict_of_interval
from benchmarks.wrk import Drive, Group, Side

#: What a request may say that shall stand in gc.callbacks: programs/switch.py.
WORDS: Final = ("on", "empty", "off")

MOST_LOSS: Final = 0.01
TURN_REQUESTS: Final = 10
GROUPS: Final = 128
KEPT_SHARE: Final = 0.99
_QUICK_S: Final = 2.0
_QUICK_TURN_REQUESTS: Final = 4  # on a machine that does other things too
_WARM_UP_S: Final = 5.0  # recorded all the time: the first thirty examinations of cycles follow each other closely
_WARM_UP_TURN_NS: Final = 500e6  # has requests in it on a busy machine too
_STARTS: Final = 3
_P99_RESAMPLES: Final = 200


Chunk = dict[str, Side]


def quantile_of(values: list[int], share: float) -> int:
    """The value that this share of the others does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def throughput_ratio(chunk: Chunk, word: str) -> float:
    """That of the mean latencies, without the longest ones of both together."""
    ours, bare = chunk[word], chunk["off"]
    most_ns = quantile_of(ours.latencies_ns + bare.latencies_ns, KEPT_SHARE)
    return bare.mean_ns(most_ns=most_ns) / ours.mean_ns(most_ns=most_ns)


def measure(case: Case, *, run_mode: bool, quick: bool) -> list[Row]:
    """Throughput, p99 and CPU time of a request."""
    chunks: list[Chunk] = []
    spent: list[dict[str, float]] = []
    for start in range(1 if quick else _STARTS):
        with started(case, run_mode=run_mode) as service:
            before = _spent(service)
            drive = Drive(f"http://127.0.0.1:{service.port}/{case.route}", case.in_flight, before["pid"])
            chunks += _chunks(drive, case, start, quick=quick)
            spent.append(_shares(before, _spent(service)))
    return _rows(case.label, chunks, {name: fmean(each[name] for each in spent) for name in spent[0]})


def _spent(service: Service) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(service.fetch("/spent"))
    return answer


def _shares(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    elapsed_ns = after["now_ns"] - before["now_ns"]
    return {name: (after[f"{name}_ns"] - before[f"{name}_ns"]) / elapsed_ns for name in ("monitor", "sampler")}


def _chunks(drive: Drive, case: Case, seed: int, *, quick: bool) -> list[Chunk]:
    """As many as the case wants; a turn is as long as :data:`TURN_REQUESTS` of the warm-up on each connection."""
    warm_up_s = _QUICK_S if quick else _WARM_UP_S
    warm = drive.run(("on",), duration_s=warm_up_s, turn_ns=_WARM_UP_TURN_NS, seed=seed)
    turn_requests = _QUICK_TURN_REQUESTS if quick else TURN_REQUESTS
    turn_ns = turn_requests * fmean(each for group in warm for each in group["on"].latencies_ns)
    duration_s = _QUICK_S if quick else case.chunks * GROUPS * len(case.words) * turn_ns / 1e9
    measured = drive.run(case.words, duration_s=duration_s, turn_ns=turn_ns, seed=seed)
    if quick:  # one of all: the kernel brings the CPU time of another process up to date seldom
        return [chunk_of(measured)]
    return [chunk_of(measured[first : first + GROUPS]) for first in range(0, len(measured) - GROUPS + 1, GROUPS)]


def chunk_of(groups: Sequence[Group]) -> Chunk:
    """All their turns, by word."""
    chunk = {word: Side() for word in groups[0]}
    for group in groups:
        for word, side in group.items():
            chunk[word].add(side)
    return chunk


def _rows(label: str, chunks: list[Chunk], shares: dict[str, float]) -> list[Row]:
    beside = ", ".join(f"{share:.3%} of the {name}" for name, share in shares.items())
    lost = f"of it {beside}"
    left = 1 - sum(shares.values())
    throughput = [throughput_ratio(each, "on") * left for each in chunks]
    latency_us = [fmean(each["on"].latencies_ns) / 1e3 for each in chunks]
    rows = [
        _row(f"{label}: throughput, by mean latency", latency_us, "us", throughput, 1 - MOST_LOSS, note=lost),
        _p99_row(f"{label}: p99", chunks),
        _row(f"{label}: CPU time of one request", *_cpu_us(chunks, "on")),
    ]
    if "empty" in chunks[0]:
        throughput = [throughput_ratio(each, "empty") for each in chunks]
        latency_us = [fmean(each["empty"].latencies_ns) / 1e3 for each in chunks]
        rows += [
            _row(f"{label}, an empty C callback: throughput, by mean latency", latency_us, "us", throughput),
            _row(f"{label}, an empty C callback: CPU time", *_cpu_us(chunks, "empty")),
        ]
    return rows


def _cpu_us(chunks: list[Chunk], word: str) -> tuple[list[float], str, list[float]]:
    return (
        [each[word].cpu_us for each in chunks],
        "us",
        [each[word].cpu_us / each["off"].cpu_us for each in chunks],
    )


def p99_ratio(chunks: Sequence[Chunk]) -> float:
    """Of all their requests, the ones with the recorder to the ones without."""
    return _p99_ns(chunks, "on") / _p99_ns(chunks, "off")


def _p99_ns(chunks: Sequence[Chunk], word: str) -> int:
    return quantile_of([each for chunk in chunks for each in chunk[word].latencies_ns], 0.99)


def _p99_row(label: str, chunks: list[Chunk]) -> Row:
    rng = random.Random(1)
    drawn = sorted(p99_ratio(rng.choices(chunks, k=len(chunks))) for _ in range(_P99_RESAMPLES))
    low, high = drawn[round(_P99_RESAMPLES * 0.05)], drawn[-1 - round(_P99_RESAMPLES * 0.05)]
    limit = 1 + MOST_LOSS
    met = verdict_of_interval(low, high, most=limit)
    return Row(label, _p99_ns(chunks, "on") / 1e3, "us", low, high, p99_ratio(chunks), f"ratio <= {limit:g}", met)


def _row(label: str, values: list[float], unit: str, ratios: list[float], limit: float = 0, *, note: str = "") -> Row:
    """With a target where there is a limit: the least ratio."""
    low, high = interval_of_median(ratios)
    target = f"ratio >= {limit:g}" if limit else ""
    verdict = verdict_of_interval(low, high, least=limit) if limit else ""
    return Row(label, median(values), unit, low, high, median(ratios), target, verdict, note)
