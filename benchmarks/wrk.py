"""wrk against a service that is told before each round of one second to record or not to: the whole of it on and off."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from benchmarks.gunicorn import Case, Service, fetch, find_wrk, started
from benchmarks.result import Row, interval_of_median

_ROUND_S: Final = 1
_SETTLE_S: Final = 0.2  # the first sample comes at once, and seldom afterwards
_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What wrk saw in one round."""

    per_second: float
    p99_ms: float


def measure(case: Case, app: str, *, run_mode: bool, quick: bool) -> list[Row]:
    """Throughput and p99; in run mode the exporter beside it is scraped in every recorded round."""
    with started(case, app, run_mode=run_mode) as service:
        drive = partial(_drive, service, case, run_mode=run_mode)
        drive("on")  # what is loaded at the first recording is not measured
        pairs = _paired(partial(drive, "on"), partial(drive, "off"), turns=1 if quick else 5)
    throughput = [ours.per_second / bare.per_second for ours, bare in pairs]
    p99 = [ours.p99_ms / bare.p99_ms for ours, bare in pairs]
    scraped = ", scraped" if run_mode else ""
    return [
        _row(f"{case.label}{scraped}, wrk: throughput", [ours.per_second for ours, _ in pairs], "1/s", throughput),
        _row(f"{case.label}{scraped}, wrk: p99", [ours.p99_ms for ours, _ in pairs], "ms", p99),
    ]


def _row(label: str, values: list[float], unit: str, ratios: list[float]) -> Row:
    return Row(label, median(values), unit, *interval_of_median(ratios), median(ratios))


def _paired(with_us: Callable[[], Load], without: Callable[[], Load], *, turns: int) -> list[tuple[Load, Load]]:
    pairs: list[tuple[Load, Load]] = []
    for _ in range(turns):
        first, second = with_us(), without()
        third, fourth = without(), with_us()
        pairs += [(first, second), (fourth, third)]
    return pairs


def _drive(service: Service, case: Case, word: str, *, run_mode: bool) -> Load:
    service.fetch(f"/{'run-' if run_mode else ''}recording/{word}", method="POST")
    time.sleep(_SETTLE_S)
    scrape = threading.Timer(_ROUND_S / 2, fetch, [service.metrics])
    if run_mode and word == "on":
        scrape.start()
    load = _wrk(f"http://127.0.0.1:{service.port}/{case.route}")
    if scrape.ident is not None:
        scrape.join()
    return load


def _wrk(url: str) -> Load:
    wrk = find_wrk()
    assert wrk is not None
    command = [wrk, "--threads", "1", "--connections", "4", "--duration", f"{_ROUND_S}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text)
    if per_second is None or p99 is None or "Non-2xx" in text:
        raise RuntimeError(f"wrk said: {text}")
    return Load(float(per_second[1]), float(p99[1]) * _UNITS_MS[p99[2]])
