"""Scrapes of an exporter over made flight files: ``scrape_cost.py PROCESSES ROUNDS``."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight import layout
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe.identity import header_fields

#: Process CPU time is told in ticks of 10 ms: so much of it makes a sample.
CPU_S_LEAST = 0.2
COLLECTIONS = 300
LIKE_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}


@contextlib.contextmanager
def sleepers(count: int) -> Iterator[list[int]]:
    """Pids of processes that only sleep."""
    started = [subprocess.Popen(["sleep", "3600"]) for _ in range(count)]
    try:
        yield [each.pid for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


def make_file(folder: Folder, pid: int) -> PythonMapping:
    """A flight file in that name, with all that recorder and monitor write."""
    fields = header_fields(Config(service_name="shop"), recorder="python", duration_clock="monotonic")
    _, mapping = files.create(folder, {**fields, "pid": pid}, PythonMapping)
    recorder = PythonRecorder(mapping)
    for number in range(COLLECTIONS):
        info = {"generation": number % 3, "collected": 3, "uncollectable": 0}
        recorder.record_phase("start", info)
        recorder.record_phase("stop", info)
    cells = mapping.view().cast("Q")
    cells[layout.MONITOR.cell("allocated_blocks")] = 1_000_000
    cells[layout.MONITOR.cell("beat_ns")] = time.monotonic_ns()
    return mapping


class Exporter:
    """The command, over the folder of this environment."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gc_otel.cli", "exporter", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        address = self._process.stdout.readline().strip()  # type: ignore[union-attr]
        self._connection = http.client.HTTPConnection(address.split("/")[2], timeout=60)
        self._os_process = psutil.Process(self._process.pid)

    def scrape(self) -> None:
        self._get(LIKE_PROMETHEUS)

    def page_bytes(self) -> bytes:
        """Not compressed."""
        return self._get({"Accept": LIKE_PROMETHEUS["Accept"]})

    def _get(self, headers: dict[str, str]) -> bytes:
        self._connection.request("GET", "/metrics", headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200
        return body

    def cpu_s(self) -> float:
        times = self._os_process.cpu_times()
        return times.user + times.system

    def uss_bytes(self) -> int:
        return int(self._os_process.memory_full_info().uss)

    def end(self) -> None:
        self._connection.close()
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]


def samples(exporter: Exporter, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of CPU, and to the last byte, of one scrape."""
    cpu_ms, wall_ms = [], []
    for _ in range(rounds):
        began_s, scrapes, spent_s = exporter.cpu_s(), 0, 0.0
        while spent_s < CPU_S_LEAST:
            began_ns = time.monotonic_ns()
            exporter.scrape()
            wall_ms.append((time.monotonic_ns() - began_ns) / 1e6)
            scrapes, spent_s = scrapes + 1, exporter.cpu_s() - began_s
        cpu_ms.append(spent_s / scrapes * 1e3)
    return cpu_ms, wall_ms


def stages(folder: Folder) -> tuple[dict[str, float], int]:
    """Shares of the CPU time of a page on which little has changed: our points, and the text; and its series."""
    from gc_otel.service.following import Following
    from gc_otel.service.ledger import Ledger
    from gc_otel.service.metrics import Metrics
    from gc_otel.service.sampling import Sampling
    from gc_otel.service.totals import open_totals

    ledger = Ledger()
    following = Following(folder, note_fault=ledger.note_fault)
    sampling = Sampling(following, Config(), ledger)
    following.refresh()
    sampling.round()
    totals = open_totals(folder, ledger.note_fault)
    metrics = Metrics(following, sampling, totals, Config(), ledger)
    body = metrics.render(LIKE_PROMETHEUS["Accept"]).body
    produced = least_s(lambda: list(metrics._produce()))
    rendered = least_s(lambda: metrics.render(LIKE_PROMETHEUS["Accept"]))
    following.close()
    parts = {"making points": produced, "text": rendered - produced}
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    return {name: part / rendered for name, part in parts.items()}, series


def least_s(call: object) -> float:
    """CPU seconds of the quickest of a few calls."""
    spent = []
    for _ in range(5):
        began_s = time.process_time()
        call()  # type: ignore[operator]
        spent.append(time.process_time() - began_s)
    return min(spent)


def main() -> None:
    """Print one JSON line."""
    processes, rounds = int(sys.argv[1]), int(sys.argv[2])
    folder = open_folder(Config.from_env())
    assert folder.path == Path(os.environ["GC_OTEL_DIR"])
    with sleepers(processes) as pids:
        kept = [make_file(folder, pid) for pid in pids]
        shares, series = stages(folder)
        exporter = Exporter()
        try:
            for _ in range(3):
                exporter.scrape()
            cpu_ms, wall_ms = samples(exporter, rounds)
            uss_bytes = exporter.uss_bytes()
        finally:
            exporter.end()
        assert len(kept) == processes
    answer = {"cpu_ms": cpu_ms, "wall_ms": wall_ms, "uss_bytes": uss_bytes, "shares": shares, "series": series}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
