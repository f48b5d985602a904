"""Throughput and p99 of a Flask service under gunicorn, with library mode and without, both with the same SDK.

One service runs, and is told before each round of one second to instrument or to uninstrument itself: two
processes of the same program differ by a few percent for as long as they live, which would hide what is looked for.
Rounds go with, without, without, with: what drifts slower than a round weighs on both alike.  The
service is started anew several times.

Scraped, the two are processes of their own, since an SDK keeps the instruments of a library that has gone: one
scrape in each round, answered by the worker under load.  The p99 of wrk, which fills in the
requests that it could not send meanwhile, shows what that costs; no target is set for it.

Every two rounds beside each other give one ratio; the figure is their median, with a
bootstrap 90 % interval.  The target is met or missed where the whole interval is on
one side of it, and undecided where it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks.process import environment, flight_folder, is_there
from benchmarks.result import Result, Row, interval_of_median, skipped, verdict_of_interval

NAME: Final = "service"
TITLE: Final = "A Flask service under gunicorn: with library mode, over the same SDK without"
MOST_LOSS: Final = 0.01
_START_PATIENCE_S: Final = 30.0
_ROUND_S: Final = 1
_STARTS: Final = 3
_NEEDS: Final = ("flask", "gunicorn", "opentelemetry.exporter.prometheus")
_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Case:
    """What is asked for, and whether a scrape comes in between."""

    label: str
    route: str
    is_scraped: bool


_WORKERS: Final = {"sync worker": ["-k", "sync"], "4 threads": ["-k", "gthread", "--threads", "4"]}
_CASES: Final = (
    Case("healthy handler", "healthy", is_scraped=False),
    Case("GC-heavy handler", "cycles", is_scraped=False),
    Case("healthy handler, scraped", "healthy", is_scraped=True),
    Case("GC-heavy handler, scraped", "cycles", is_scraped=True),
)


@dataclass(frozen=True)
class Load:
    """What wrk saw in one round."""

    per_second: float
    p99_ms: float


def run(*, quick: bool) -> Result:
    """Both kinds of worker, both handlers."""
    wrk = _find_wrk()
    missing = [name for name in _NEEDS if not is_there(name)]
    if wrk is None or missing:
        return skipped(NAME, TITLE, f"needs {', '.join([*missing, *([] if wrk else ['wrk'])])}")
    rows: list[Row] = []
    for worker, options in list(_WORKERS.items())[: 1 if quick else None]:
        pairs: dict[Case, list[tuple[Load, Load]]] = {case: [] for case in _CASES}
        for turn in range(1 if quick else _STARTS):
            _measure_toggled(wrk, options, pairs, quick=quick)
            _measure_scraped(wrk, options, pairs, ours_first=turn % 2 == 0, quick=quick)
        for case in _CASES:
            rows += _rows(f"{worker}, {case.label}", pairs[case], has_target=not case.is_scraped)
    return Result(NAME, TITLE, tuple(rows), spread="90 % interval of the ratio")


Pairs = dict[Case, list[tuple[Load, Load]]]


def _measure_toggled(wrk: str, options: list[str], pairs: Pairs, *, quick: bool) -> None:
    with _service(options, with_us=False) as address:
        for case in pairs:
            if not case.is_scraped:
                with_us = partial(_drive_toggled, wrk, case, address, "on")
                without = partial(_drive_toggled, wrk, case, address, "off")
                pairs[case] += _paired(with_us, without, turns=1 if quick else 6)


def _measure_scraped(wrk: str, options: list[str], pairs: Pairs, *, ours_first: bool, quick: bool) -> None:
    with _two_services(options, ours_first=ours_first) as (ours, bare):
        for case in pairs:
            if case.is_scraped:
                pairs[case] += _paired(
                    partial(_drive, wrk, case, ours), partial(_drive, wrk, case, bare), turns=1 if quick else 2
                )


def _find_wrk() -> str | None:
    """From the folder that GCOTEL_CI_COMPONENTS names, where the real components of the tests are, or from PATH."""
    folders = (os.environ.get("GCOTEL_CI_COMPONENTS", ""), os.environ.get("PATH", ""))
    return shutil.which("wrk", path=os.pathsep.join(filter(None, folders)))


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def _service(options: list[str], *, with_us: bool) -> Iterator[str]:
    """The address of a running service."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--workers",
        "1",
        "--log-level",
        "error",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    with ExitStack() as stack:
        env = environment(stack.enter_context(flight_folder()), BENCHMARK_GC_OTEL=str(int(with_us)))
        process = subprocess.Popen([*command, *options, "benchmarks.programs.service_app:app"], env=env)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_up(process, address)
            yield address
        finally:
            process.terminate()
            process.wait(_START_PATIENCE_S)


@contextmanager
def _two_services(options: list[str], *, ours_first: bool) -> Iterator[tuple[str, str]]:
    """The addresses of a service with us and of one without."""
    with _service(options, with_us=ours_first) as first, _service(options, with_us=not ours_first) as second:
        yield (first, second) if ours_first else (second, first)


def _wait_until_up(process: subprocess.Popen[bytes], address: str) -> None:
    deadline_s = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            return _scrape(address)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


def _scrape(address: str) -> None:
    with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
        answer.read()


def _paired(with_us: Callable[[], Load], without: Callable[[], Load], *, turns: int) -> list[tuple[Load, Load]]:
    with_us()
    without()
    pairs: list[tuple[Load, Load]] = []
    for _ in range(turns):
        first, second = with_us(), without()
        third, fourth = without(), with_us()
        pairs += [(first, second), (fourth, third)]
    return pairs


def _drive_toggled(wrk: str, case: Case, address: str, word: str) -> Load:
    request = urllib.request.Request(f"{address}/recording/{word}", method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        answer.read()
    return _drive(wrk, case, address)


def _drive(wrk: str, case: Case, address: str) -> Load:
    scrape = threading.Timer(_ROUND_S / 2, _scrape, [address])
    if case.is_scraped:
        scrape.start()
    url = f"{address}/{case.route}"
    command = [wrk, "--threads", "1", "--connections", "4", "--duration", f"{_ROUND_S}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if case.is_scraped:
        scrape.join()
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text)
    if per_second is None or p99 is None or "Non-2xx" in text:
        raise RuntimeError(f"wrk said: {text}")
    return Load(float(per_second[1]), float(p99[1]) * _UNITS_MS[p99[2]])


def _rows(label: str, pairs: list[tuple[Load, Load]], *, has_target: bool) -> list[Row]:
    throughput = [ours.per_second / bare.per_second for ours, bare in pairs]
    p99 = [ours.p99_ms / bare.p99_ms for ours, bare in pairs]
    more = _verdict("ratio >= ", throughput, least=1 - MOST_LOSS) if has_target else {}
    less = _verdict("ratio <= ", p99, most=1 + MOST_LOSS) if has_target else {}
    return [
        Row(
            f"{label}: throughput",
            median(ours.per_second for ours, _ in pairs),
            "1/s",
            *interval_of_median(throughput),
            ratio=median(throughput),
            **more,
        ),
        Row(
            f"{label}: p99",
            median(ours.p99_ms for ours, _ in pairs),
            "ms",
            *interval_of_median(p99),
            ratio=median(p99),
            **less,
        ),
    ]


def _verdict(words: str, ratios: list[float], **bound: float) -> dict[str, Any]:
    (limit,) = bound.values()
    return {"target": f"{words}{limit:g}", "verdict": verdict_of_interval(*interval_of_median(ratios), **bound)}
