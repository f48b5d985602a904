"""Brief lives under a scraped exporter: ``brief_cost.py PROCESSES``."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

from benchmarks.programs.brief_lives import COLLECTIONS, BriefLives
from benchmarks.programs.scrape_cost import Exporter, make_file
from gc_otel.config import Config
from gc_otel.flight.folder import open_folder

FIFTHS = 5
AT_ONCE = 20
A_PAGE_EVERY = 100
_LINE = re.compile(rb"^(gc_otel_service_collections_total|gc_otel_process_ended_total)\{.*\} (\S+)", re.MULTILINE)


def main() -> None:
    """Print one JSON line."""
    processes = int(sys.argv[1])
    folder = open_folder(Config.from_env())
    template = make_file(folder, os.getpid())  # a living one beside, with the numbers of a real recorder
    (path,) = folder.files()
    brief = BriefLives(folder.path, path.read_bytes())
    exporter = Exporter()
    uss_bytes, series, cpu_ms = [], [], []
    try:
        exporter.scrape()
        base = totals(exporter)
        for _ in range(FIFTHS):
            began_s = exporter.cpu_s()
            for number in range(processes // FIFTHS):
                brief.live_and_die(exit_code=number % 2)
                if number % AT_ONCE == 0:
                    wait_until_buried(folder.path, AT_ONCE)
                if number % A_PAGE_EVERY == 0:
                    exporter.scrape()
            wait_until_buried(folder.path, 1)
            cpu_ms.append((exporter.cpu_s() - began_s) * 1e3 / (processes // FIFTHS))
            page = exporter.page_bytes()
            series.append(sum(not line.startswith(b"#") for line in page.splitlines()))
            uss_bytes.append(exporter.uss_bytes())
        counted, ended = (now - before for now, before in zip(totals(exporter), base, strict=True))
    finally:
        exporter.end()
    answer = {
        "uss_bytes": uss_bytes,
        "series": series,
        "cpu_ms": cpu_ms,
        "folder_bytes": folder.used_bytes(),
        "counted": counted,
        "expected": sum(COLLECTIONS) * brief.written,
        "ended": ended,
    }
    assert template.alive
    print(json.dumps(answer))


def wait_until_buried(folder: Path, most: int) -> None:
    """Until no more than so many files of the dead, and the living one, are there."""
    deadline_s = time.monotonic() + 60
    while sum(name.endswith(".flight") for name in os.listdir(folder)) > most:
        assert time.monotonic() < deadline_s, "the exporter buries nobody"
        time.sleep(0.01)


def totals(exporter: Exporter) -> tuple[int, int]:
    """Collections of the service, and processes that have ended."""
    found = [(name, float(value)) for name, value in _LINE.findall(exporter.page_bytes())]
    of_service = sum(value for name, value in found if b"service" in name)
    return int(of_service), int(sum(value for name, value in found if b"ended" in name))


if __name__ == "__main__":
    main()
