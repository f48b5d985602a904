"""The Flask service of ``benchmarks/programs`` under gunicorn: what it is asked, and how it is started."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.process import environment, flight_folder, is_there
from benchmarks.wrk import find_wrk

NEEDS: Final = ("flask", "gunicorn", "opentelemetry.exporter.prometheus")
START_PATIENCE_S: Final = 30.0


@dataclass(frozen=True)
class Case:
    """A kind of worker, the requests that are in flight at a time, and the handler."""

    worker: str
    options: tuple[str, ...]
    in_flight: int
    handler: str
    route: str
    words: tuple[str, ...]  # what stands in gc.callbacks, in turns
    chunks: int  # of 128 turns of each, for each start: about 30 s
    full_factor: int  # what `--full` multiplies that by: p99 is what is hardest to decide

    def in_full(self) -> Case:
        """For as many requests as p99 needs, and without the empty callback, which the shorter run shows."""
        return replace(self, chunks=self.chunks * self.full_factor, words=("on", "off"))

    @property
    def label(self) -> str:
        """As the table says it."""
        return f"{self.worker}, {self.handler}"


_SYNC: Final = ("sync worker", ("-k", "sync"), 1)
_THREADS: Final = ("4 threads", ("-k", "gthread", "--threads", "4"), 4)
_HEALTHY: Final = ("healthy handler", "healthy", ("on", "off"))
_GC_HEAVY: Final = ("GC-heavy handler", "cycles", ("on", "empty", "off"))
CASES: Final = (
    Case(*_SYNC, *_HEALTHY, chunks=20, full_factor=8),
    Case(*_SYNC, *_GC_HEAVY, chunks=9, full_factor=32),
    Case(*_THREADS, *_HEALTHY, chunks=5, full_factor=8),  # of four times as many requests: ten on each connection
    # No length decides its p99 within one percent: which of four threads gets the GIL next is most of it.
    Case(*_THREADS, *_GC_HEAVY, chunks=2, full_factor=9),
)


@dataclass(frozen=True)
class Service:
    """A running service; ``metrics`` is the page on which it is published."""

    port: int
    metrics: str

    def fetch(self, path: str) -> bytes:
        """The body of an answer."""
        return fetch(f"http://127.0.0.1:{self.port}{path}")


def missing() -> list[str]:
    """What is not installed here; wrk comes from the folder that GCOTEL_CI_COMPONENTS names, or from PATH."""
    return [name for name in NEEDS if not is_there(name)] + ([] if find_wrk() else ["wrk"])


def fetch(url: str) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def metrics_in_service(port: int) -> tuple[list[str], str]:
    """Library mode: nothing before gunicorn, and the page is the service's own."""
    return [], f"http://127.0.0.1:{port}/metrics"


def metrics_beside(_port: int) -> tuple[list[str], str]:
    """Run mode: `gc-otel run` before gunicorn, and the page is its exporter's."""
    port = free_port()
    launcher = [sys.executable, "-m", "gc_otel.cli", "run", "--port", str(port), "--linger", "0", "--quiet", "--"]
    return launcher, f"http://127.0.0.1:{port}/metrics"


@contextmanager
def started(case: Case, *, run_mode: bool) -> Iterator[Service]:
    """The service, recorded and ready."""
    port = free_port()
    launcher, metrics = (metrics_beside if run_mode else metrics_in_service)(port)
    gunicorn = ["-m", "gunicorn", "--workers", "1", "--log-level", "error", "--bind", f"127.0.0.1:{port}"]
    command = [*launcher, sys.executable, *gunicorn, *case.options, "benchmarks.programs.service_app:app"]
    with ExitStack() as stack:
        env = environment(stack.enter_context(flight_folder()), BENCHMARK_GC_OTEL=str(int(not run_mode)))
        process = subprocess.Popen(command, env=env)
        try:
            service = Service(port, metrics)
            _wait_until_recorded(process, service)
            yield service
        finally:
            process.terminate()
            process.wait(START_PATIENCE_S)


def _wait_until_recorded(process: subprocess.Popen[bytes], service: Service) -> None:
    """A service that is not recorded would be a fast one."""
    deadline_s = time.monotonic() + START_PATIENCE_S
    while not _is_recorded(service):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"nobody is recorded on {service.metrics}")
        time.sleep(0.05)


def _is_recorded(service: Service) -> bool:
    try:
        return service.fetch("/healthy") != b"" and b"cpython_gc_collections_total{" in fetch(service.metrics)
    except OSError:
        return False
