"""Throughput and p99 of a Flask service under gunicorn, with library mode and without, both with the same SDK.

Both services run all the time, and wrk drives one of them at a time in short rounds, in the order with, without,
without, with: what drifts slower than a round weighs on both alike.  Both are started anew several
times, the other one first each time, because two processes of the same program differ by a few
percent for as long as they live.  A case "scraped" has one scrape in each round, answered by the worker under
load: the p99 of wrk, which fills in the requests that it could not send meanwhile, shows what that costs.
Every two rounds beside each other give one ratio; the figure is their median, with a
bootstrap 90 % interval.  The target is met or missed where the whole interval is on
one side of it, and undecided where it is not.
"""

from __future__ import annotations

import contextlib
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
from importlib.util import find_spec
from statistics import median
from typing import Final

from benchmarks.process import environment, flight_folder
from benchmarks.result import Result, Row, interval_of_median, skipped, verdict_of_interval

NAME: Final = "service"
TITLE: Final = "A Flask service under gunicorn: with library mode, over the same SDK without"
MOST_LOSS: Final = 0.01
_START_PATIENCE_S: Final = 30.0
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
    Case("healthy handler, scraped", "healthy", is_scraped=True),
    Case("GC-heavy handler", "cycles", is_scraped=False),
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
    missing = [name for name in _NEEDS if not _is_there(name)]
    if wrk is None or missing:
        return skipped(NAME, TITLE, f"needs {', '.join([*missing, *([] if wrk else ['wrk'])])}")
    rows: list[Row] = []
    for worker, options in list(_WORKERS.items())[: 1 if quick else None]:
        pairs: dict[Case, list[tuple[Load, Load]]] = {case: [] for case in _CASES}
        for turn in range(1 if quick else 5):
            with _two_services(options, ours_first=turn % 2 == 0) as (ours, bare):
                for case in _CASES:
                    pairs[case] += _paired(partial(_drive, wrk, case), ours, bare, quick=quick)
        for case in _CASES:
            rows += _rows(f"{worker}, {case.label}", pairs[case])
    return Result(NAME, TITLE, tuple(rows), spread="90 % interval of the ratio")


def _is_there(module: str) -> bool:
    with contextlib.suppress(ImportError):
        return find_spec(module) is not None
    return False


def _find_wrk() -> str | None:
    """From PATH, or from the folder that BENCHMARK_TOOLS names (CI: what .ci/tools/components.sh prints)."""
    folder = os.environ.get("BENCHMARK_TOOLS", "")
    return shutil.which("wrk", path=os.pathsep.join(part for part in (folder, os.environ.get("PATH", "")) if part))


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


def _paired(drive: Callable[[str, int], Load], ours: str, bare: str, *, quick: bool) -> list[tuple[Load, Load]]:
    seconds, turns = (1, 1) if quick else (2, 2)
    drive(ours, 1)
    drive(bare, 1)
    pairs: list[tuple[Load, Load]] = []
    for _ in range(turns):
        first, second = drive(ours, seconds), drive(bare, seconds)
        third, fourth = drive(bare, seconds), drive(ours, seconds)
        pairs += [(first, second), (fourth, third)]
    return pairs


def _drive(wrk: str, case: Case, address: str, seconds: int) -> Load:
    scrape = threading.Timer(seconds / 2, _scrape, [address])
    if case.is_scraped:
        scrape.start()
    url = f"{address}/{case.route}"
    command = [wrk, "--threads", "1", "--connections", "4", "--duration", f"{seconds}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if case.is_scraped:
        scrape.join()
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text)
    if per_second is None or p99 is None or "Non-2xx" in text:
        raise RuntimeError(f"wrk said: {text}")
    return Load(float(per_second[1]), float(p99[1]) * _UNITS_MS[p99[2]])


def _rows(label: str, pairs: list[tuple[Load, Load]]) -> list[Row]:
    throughput = [ours.per_second / bare.per_second for ours, bare in pairs]
    p99 = [ours.p99_ms / bare.p99_ms for ours, bare in pairs]
    return [
        Row(
            f"{label}: throughput",
            median(ours.per_second for ours, _ in pairs),
            "1/s",
            *interval_of_median(throughput),
            ratio=median(throughput),
            target=f"ratio >= {1 - MOST_LOSS:g}",
            verdict=verdict_of_interval(*interval_of_median(throughput), least=1 - MOST_LOSS),
        ),
        Row(
            f"{label}: p99",
            median(ours.p99_ms for ours, _ in pairs),
            "ms",
            *interval_of_median(p99),
            ratio=median(p99),
            target=f"ratio <= {1 + MOST_LOSS:g}",
            verdict=verdict_of_interval(*interval_of_median(p99), most=1 + MOST_LOSS),
        ),
    ]
