"""Throughput and p99 of a Flask service under gunicorn, recorded by ``gc-otel run`` and not recorded.

One service, started by `gc-otel run` with its exporter beside it, ends and begins its recording between rounds, as
:mod:`benchmarks.service` does it and for the same reason: two processes of one program differ by more than what is
looked for. "Scraped" has a scrape of the exporter in each recorded round: what that takes from the machine's cores
shows in it.
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
from benchmarks.process import environment, flight_folder, is_there
from benchmarks.result import Result, Row, skipped
from benchmarks.service import Case, Load

NAME: Final = "run-service"
TITLE: Final = "A Flask service under gunicorn: recorded by gc-otel run, over the same not recorded"
_START_PATIENCE_S: Final = 30.0
_STARTS: Final = 3
_WORKERS: Final = {"sync worker": ["-k", "sync"], "4 threads": ["-k", "gthread", "--threads", "4"]}
_CASES: Final = (
    Case("healthy handler", "healthy", is_scraped=False),
    Case("healthy handler, scraped", "healthy", is_scraped=True),
    Case("GC-heavy handler", "cycles", is_scraped=False),
    Case("GC-heavy handler, scraped", "cycles", is_scraped=True),
)


@dataclass(frozen=True)
class Service:
    """A running service, and the page of the exporter beside it."""

    address: str
    metrics: str


def run(*, quick: bool) -> Result:
    """Both kinds of worker, both handlers."""
    wrk = service._find_wrk()
    missing = [name for name in ("flask", "gunicorn", "waitress") if not is_there(name)]
    if wrk is None or missing:
        return skipped(NAME, TITLE, f"needs {', '.join([*missing, *([] if wrk else ['wrk'])])}")
    rows: list[Row] = []
    for worker, options in list(_WORKERS.items())[: 1 if quick else None]:
        pairs: dict[Case, list[tuple[Load, Load]]] = {case: [] for case in _CASES}
        for _ in range(1 if quick else _STARTS):
            with _started(options) as started:
                for case in _CASES:
                    drive = partial(_drive, wrk, case, started)
                    pairs[case] += service._paired(partial(drive, "on"), partial(drive, "off"), turns=1 if quick else 5)
        for case in _CASES:
            rows += service._rows(f"{worker}, {case.label}", pairs[case], has_target=True)
    return Result(NAME, TITLE, tuple(rows), spread="90 % interval of the ratio")


@contextmanager
def _started(options: list[str]) -> Iterator[Service]:
    port, metrics_port = service._free_port(), service._free_port()
    launcher = [sys.executable, "-m", "gc_otel.cli", "run", "--port", str(metrics_port), "--linger", "0", "--quiet"]
    gunicorn = [
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
        env = environment(stack.enter_context(flight_folder()))
        command = [*launcher, "--", *gunicorn, *options, "benchmarks.programs.run_app:app"]
        process = subprocess.Popen(command, env=env)
        try:
            started = Service(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics")
            service._wait_until_up(process, started.address)
            _wait_until_recorded(started.metrics)
            yield started
        finally:
            process.terminate()
            process.wait(_START_PATIENCE_S)


def _wait_until_recorded(metrics: str) -> None:
    """A service that is not recorded would be a fast one."""
    deadline_s = time.monotonic() + _START_PATIENCE_S
    while b"cpython_gc_collections_total{" not in _fetch(metrics):
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"nobody is recorded on {metrics}")
        time.sleep(0.05)


def _fetch(url: str, *, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _drive(wrk: str, case: Case, driven: Service, word: str) -> Load:
    _fetch(f"{driven.address}/run-recording/{word}", method="POST")
    scrape = threading.Timer(service._ROUND_S / 2, _fetch, [driven.metrics])
    is_scraped = case.is_scraped and word == "on"
    if is_scraped:
        scrape.start()
    load = service._drive(wrk, Case(case.label, case.route, is_scraped=False), driven.address)
    if is_scraped:
        scrape.join()
    return load
