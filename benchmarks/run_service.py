"""Throughput and p99 of a Flask service under gunicorn, started by ``gc-otel run`` and started without.

The same program in both, which knows nothing of us. Rounds are paired as in :mod:`benchmarks.service`. A case
"scraped" has one scrape of the exporter in each round of ours, and nothing in the other's: what the exporter takes from
the machine's cores is part of the price.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks import service
from benchmarks.process import environment, flight_folder
from benchmarks.result import Result, Row, skipped
from benchmarks.service import Case, Load

NAME: Final = "run-service"
TITLE: Final = "A Flask service under gunicorn: started by gc-otel run, over the same without"
_START_PATIENCE_S: Final = 30.0
_WORKERS: Final = {"sync worker": ["-k", "sync"], "4 threads": ["-k", "gthread", "--threads", "4"]}
_CASES: Final = (
    Case("healthy handler, scraped", "healthy", is_scraped=True),
    Case("GC-heavy handler, scraped", "cycles", is_scraped=True),
)


@dataclass(frozen=True)
class Service:
    """A running service, and the exporter beside it; None for the one without."""

    address: str
    metrics: str | None


def run(*, quick: bool) -> Result:
    """Both kinds of worker, both handlers."""
    wrk = service._find_wrk()
    missing = [name for name in ("flask", "gunicorn", "waitress") if not service._is_there(name)]
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
            rows += service._rows(f"{worker}, {case.label}", pairs[case])
    return Result(NAME, TITLE, tuple(rows), spread="90 % interval of the ratio")


@contextmanager
def _two_services(options: list[str], *, ours_first: bool) -> Iterator[tuple[Service, Service]]:
    with _service(options, with_us=ours_first) as first, _service(options, with_us=not ours_first) as second:
        yield (first, second) if ours_first else (second, first)


@contextmanager
def _service(options: list[str], *, with_us: bool) -> Iterator[Service]:
    port, metrics_port = service._free_port(), service._free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", "--workers", "1", "--log-level", "error"]
    command = [*gunicorn, "--bind", f"127.0.0.1:{port}", *options, "benchmarks.programs.service_app:app"]
    launcher = [
        sys.executable,
        "-m",
        "gc_otel.cli",
        "run",
        "--port",
        str(metrics_port),
        "--linger",
        "0",
        "--quiet",
        "--",
    ]
    with ExitStack() as stack:
        env = environment(stack.enter_context(flight_folder()), BENCHMARK_GC_OTEL="0")
        process = subprocess.Popen([*(launcher if with_us else ()), *command], env=env)
        try:
            address = f"http://127.0.0.1:{port}"
            service._wait_until_up(process, address)
            metrics = f"http://127.0.0.1:{metrics_port}/metrics" if with_us else None
            if metrics is not None:
                _wait_until_recorded(metrics)
            yield Service(address, metrics)
        finally:
            process.terminate()
            process.wait(_START_PATIENCE_S)


def _wait_until_recorded(metrics: str) -> None:
    """A run that is not recorded would be a fast one."""
    deadline_s = time.monotonic() + _START_PATIENCE_S
    while b"cpython_gc_collections_total{" not in _scrape(metrics):
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"nobody is recorded on {metrics}")
        time.sleep(0.05)


def _scrape(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        page: bytes = answer.read()
        return page


def _paired(drive: partial[Load], ours: Service, bare: Service, *, quick: bool) -> list[tuple[Load, Load]]:
    seconds, turns = (1, 1) if quick else (2, 2)
    drive(ours, 1)
    drive(bare, 1)
    pairs: list[tuple[Load, Load]] = []
    for _ in range(turns):
        first, second = drive(ours, seconds), drive(bare, seconds)
        third, fourth = drive(bare, seconds), drive(ours, seconds)
        pairs += [(first, second), (fourth, third)]
    return pairs


def _drive(wrk: str, case: Case, driven: Service, seconds: int) -> Load:
    scrape = threading.Timer(seconds / 2, _scrape, [driven.metrics])
    if case.is_scraped and driven.metrics is not None:
        scrape.start()
    load = service._drive(wrk, Case(case.label, case.route, is_scraped=False), driven.address, seconds)
    if scrape.ident is not None:
        scrape.join()
    return load
