"""Scrapes of an exporter over many recorded processes: ``fleet_cost.py PROCESSES ROUNDS WATCH_S``.

Flight files are real ones, written by the Python recorder.  One process, this one, holds the locks of all of them, in the names
of as many processes that sleep: the exporter sees a file, a lock, a pid to sample and a pidfd of each, as it would.
"""

from __future__ import annotations

import json
import re
import sys
import time

from scrape_cost import Exporter, sleepers

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight import layout
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe.identity import header_fields

_SPENT = re.compile(r'^gc_otel_exporter_cpu_time_seconds_total\{component="(\w+)".*\} (\S+)$', re.MULTILINE)


class Made:
    """A process that is recorded, as its flight file tells."""

    def __init__(self, folder: Folder, pid: int) -> None:
        fields = header_fields(Config(service_name="shop"), recorder="python", duration_clock="monotonic")
        _, self.mapping = files.create(folder, {**fields, "pid": pid}, PythonMapping)
        self.recorder = PythonRecorder(self.mapping)
        self.cells = self.mapping.view().cast("Q")
        self.work()

    def work(self) -> None:
        """Every number of the collector and of the monitor moves."""
        self.rest()
        for generation in range(layout.GENERATIONS):
            info = {"generation": generation, "collected": 3, "uncollectable": 1}
            self.recorder.record_phase("start", info)
            self.recorder.record_phase("stop", info)

    def rest(self) -> None:
        """A round of the monitor, in which nothing was collected."""
        for generation in range(layout.GENERATIONS):
            self.cells[layout.MONITOR.cell("pending") + generation] += 1
        self.cells[layout.MONITOR.cell("allocated_blocks")] += 1000
        self.cells[layout.MONITOR.cell("overhead_ns")] += 1_000_000
        self.cells[layout.MONITOR.cell("beat_ns")] = time.monotonic_ns()


class Scraper(Exporter):
    """Keeps the last page, and knows what the exporter says that it has spent."""

    body = ""

    def page(self) -> float:
        """Scrape; milliseconds to the last byte.  Not compressed, so that it can be read."""
        began_ns = time.monotonic_ns()
        self.body = self.page_bytes().decode()
        return (time.monotonic_ns() - began_ns) / 1e6

    def spent_ms(self) -> dict[str, float]:
        """CPU time by component until the last page."""
        return {component: float(seconds) * 1e3 for component, seconds in _SPENT.findall(self.body)}


def scrapes(scraper: Scraper, made: list[Made], rounds: int, *, busy: bool) -> tuple[list[float], list[float]]:
    """CPU time of the exporter's scrapes, and time to the last byte, in milliseconds."""
    cpu_ms, wall_ms = [], []
    scraper.page()
    for _ in range(rounds + 1):
        for each in made:
            each.work() if busy else each.rest()
        before_ms = scraper.spent_ms()["scrape"]
        wall_ms.append(scraper.page())
        cpu_ms.append(scraper.spent_ms()["scrape"] - before_ms)
    # What a page says was spent ends with the page before it.
    return cpu_ms[1:], wall_ms[:-1]


def main() -> None:
    """Print one JSON line."""
    processes, rounds, watch_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    folder = open_folder(Config.from_env())
    room = folder.budget_bytes() // layout.FILE_BYTES
    if processes > room:
        print(json.dumps({"room": room}))
        return
    with sleepers(processes) as pids:
        made = [Made(folder, pid) for pid in pids]
        scraper = Scraper()
        try:
            first_ms = scraper.page()
            busy_cpu_ms, busy_wall_ms = scrapes(scraper, made, rounds, busy=True)
            idle_cpu_ms, idle_wall_ms = scrapes(scraper, made, rounds, busy=False)
            before_ms = scraper.spent_ms()
            began_s = time.monotonic()
            time.sleep(watch_s)  # nobody scrapes: what it spends on following and sampling
            scraper.page()
            watched_s = time.monotonic() - began_s
            after_ms = scraper.spent_ms()
            answer = {
                "first_ms": first_ms,
                "busy_cpu_ms": busy_cpu_ms,
                "busy_wall_ms": busy_wall_ms,
                "idle_cpu_ms": idle_cpu_ms,
                "idle_wall_ms": idle_wall_ms,
                "standing_ms_per_s": sum(after_ms[name] - before_ms[name] for name in ("following", "sampling"))
                / watched_s,
                "uss_bytes": scraper.uss_bytes(),
                "page_bytes": len(scraper.body),
                "shown": scraper.body.count("\nprocess_uptime_seconds{"),
            }
        finally:
            scraper.end()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
