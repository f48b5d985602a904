"""Real servers under `gc-otel run`, and a scraper that looks at every page while they come and go."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
PATIENCE_S = 60.0
_PAUSE_S = 0.05
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)\{(.*)\} (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Counts = tuple[int, int, int]


@dataclass
class Seen:
    """A process as the pages showed it: its numbers by name and generation, and on which pages it was."""

    instance: str
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    first_page: int = 0
    last_page: int = 0

    @property
    def collections(self) -> Counts:
        by_generation = self.numbers["cpython_gc_collections_total"]
        return tuple(int(by_generation[str(number)]) for number in range(3))  # type: ignore[return-value]

    def beyond(self, told: dict[str, Any]) -> list[int]:
        """Collections by generation that the process told of, since its fork, and the page has not; negative: the page has more."""
        rows = zip(told["counts"], *told["inherited"], self.collections, strict=True)
        return [min(0, now - before - shown) or max(0, now - after - shown) for now, before, after, shown in rows]


#: What must never fall.
RISING = ("cpython_gc_collections_total", "cpython_gc_collected_objects_total", "cpython_gc_duration_seconds_sum")


class Scraper:
    """Scrapes at short intervals and judges each page; ``seen`` has every process that was on one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seen: dict[int, Seen] = {}
        self.faults: list[str] = []
        self.pages = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_S):
            self.look()

    def look(self) -> dict[int, Seen]:
        """One page more; who is on it."""
        with self._lock:
            try:
                with urllib.request.urlopen(self.address, timeout=PATIENCE_S) as answer:
                    text = answer.read().decode()
            except OSError:
                return {}
            self.pages += 1
            return self._judge(text)

    def _judge(self, text: str) -> dict[int, Seen]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        doubled = [name for name, times in Counter(line.rpartition(" ")[0] for line in lines).items() if times > 1]
        self.faults += [f"page {self.pages}: twice: {name}" for name in doubled]
        by_pid: dict[int, dict[str, dict[str, float]]] = {}
        instances: dict[int, str] = {}
        for line in lines:
            found = _SAMPLE.match(line)
            labels = dict(_LABEL.findall(found[2])) if found else {}
            if not found or "process_pid" not in labels:
                continue
            pid = int(labels["process_pid"])
            if found[1] == "target_info":
                instances[pid] = labels["service_instance_id"]
            generation = labels.get("cpython_gc_generation")
            if generation is not None:
                key = f"{found[1]}{{{labels['le']}}}" if "le" in labels else found[1]
                by_pid.setdefault(pid, {}).setdefault(key, {})[generation] = float(found[3])
        if set(by_pid) != set(instances):
            self.faults.append(f"page {self.pages}: {sorted(by_pid)} and targets {sorted(instances)}")
        return {pid: self._note(pid, instances.get(pid, ""), numbers) for pid, numbers in by_pid.items()}

    def _note(self, pid: int, instance: str, numbers: dict[str, dict[str, float]]) -> Seen:
        counted = numbers.get("cpython_gc_collections_total")
        for name in ("cpython_gc_duration_seconds_count", "cpython_gc_duration_seconds_bucket{+Inf}"):
            if numbers.get(name) != counted:
                self.faults.append(f"page {self.pages}, {pid}: {name} {numbers.get(name)}, collections {counted}")
        before = self.seen.get(pid)
        if before is None or before.instance != instance:
            before = self.seen[pid] = Seen(instance, first_page=self.pages)
        elif before.last_page != self.pages - 1:
            self.faults.append(f"{pid} was away between pages {before.last_page} and {self.pages}")
        for name in RISING:
            for generation, value in before.numbers.get(name, {}).items():
                if numbers[name][generation] < value:
                    self.faults.append(f"page {self.pages}, {pid}: {name} {generation} fell from {value}")
        before.numbers, before.last_page = numbers, self.pages
        return before

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def scraper() -> Iterator[Callable[[str], Scraper]]:
    """Starts scrapers; after the test no page may have been at fault."""
    started: list[Scraper] = []

    def start(address: str) -> Scraper:
        started.append(Scraper(address))
        return started[-1]

    yield start
    for each in started:
        each.stop()
    assert [fault for each in started for fault in each.faults] == []


@pytest.fixture
def need() -> Callable[[str], None]:
    def skip_without(name: str) -> None:
        if importlib.util.find_spec(name) is None:
            assert not IN_CI, f"CI needs {name}"
            pytest.skip(f"{name} is not installed")

    return skip_without


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def in_programs(plain_env: dict[str, str]) -> dict[str, str]:
    """The environment in which the services can be imported."""
    return {"PYTHONPATH": os.pathsep.join((str(PROGRAMS), plain_env.get("PYTHONPATH", "")))}


@pytest.fixture
def address_of_the_folder(flight_dir: Path, eventually: Callable[..., Any]) -> Callable[[], str]:
    """Where the folder's exporter says that it is: servers may write to standard error what they like."""

    def ask() -> str:
        from gc_otel.flight.folder import Folder
        from gc_otel.service import control

        told = eventually(lambda: control.ask(Folder(flight_dir), {"do": "status"}))
        return f"{told['address']}/metrics"

    return ask


def told_by(port: int) -> dict[str, Any] | None:
    """What a service of ``still`` answers, or None while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as answer:
            told: dict[str, Any] = json.loads(answer.read())
    except OSError:
        return None
    return told


@pytest.fixture
def answers(port: int) -> Callable[[], dict[str, Any] | None]:
    return lambda: told_by(port)
