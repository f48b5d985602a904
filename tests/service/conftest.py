"""Made flight files, held alive by this process in the name of others, and exporters to look at them."""

from __future__ import annotations

import gzip
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight import layout
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe.identity import header_fields
from gc_otel.service.burial import Burial
from gc_otel.service.control import Claim, Followed
from gc_otel.service.endings import Ending
from gc_otel.service.exporter import serve
from gc_otel.service.following import Following
from gc_otel.service.ledger import Ledger
from gc_otel.service.metrics import Metrics
from gc_otel.service.port import listen
from gc_otel.service.sampling import Sampling
from gc_otel.service.totals import open_totals

PATIENCE_S = 60.0


@pytest.fixture
def folder(flight_dir: Path) -> Folder:
    """A fit folder."""
    return open_folder(Config.from_env())


class Made:
    """A flight file in the name of ``pid``, alive as long as this object has its mapping."""

    def __init__(self, folder: Folder, pid: int, header: dict[str, int | str]) -> None:
        self.pid = pid
        location, self.mapping = files.create(folder, {**header, "pid": pid}, PythonMapping)
        self.path = Path(location)
        self.recorder = PythonRecorder(self.mapping)
        self.cells = self.mapping.view().cast("Q")

    def collect(self, generation: int = 0, times: int = 1) -> None:
        for _ in range(times):
            info = {"generation": generation, "collected": 3, "uncollectable": 0}
            self.recorder.record_phase("start", info)
            self.recorder.record_phase("stop", info)

    def beat(self) -> None:
        """As if its monitor had made a round."""
        self.cells[layout.MONITOR.cell("beat_ns")] = time.monotonic_ns()

    def die(self, *, leaving_file: bool = True) -> None:
        """The mapping goes, and the lock with it."""
        self.cells.release()
        del self.recorder, self.cells
        self.mapping.close()
        del self.mapping
        if not leaving_file:
            self.path.unlink()


@pytest.fixture
def sleeper() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes that do nothing, to have their pids; ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "600"]))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


@pytest.fixture
def make(folder: Folder, sleeper: Any) -> Iterator[Callable[..., Made]]:
    """Makes living flight files, by default in the name of a process of its own."""
    made: list[Made] = []

    def one(pid: int | None = None, **header: int | str) -> Made:
        config = Config.from_env({"OTEL_SERVICE_NAME": "shop"})
        fields = header_fields(config, recorder="python", duration_clock="monotonic")
        made.append(Made(folder, sleeper().pid if pid is None else pid, {**fields, **header}))
        return made[-1]

    yield one
    for each in made:
        if hasattr(each, "mapping"):
            each.die()


class Service:
    """All parts that make a page, in this process and without a server."""

    def __init__(self, folder: Folder, config: Config) -> None:
        self.config = config
        self.ledger = Ledger()
        self.totals = open_totals(folder, self.ledger.note_fault)
        self.said: list[Ending] = []
        self.burial = Burial(folder, self.totals, note_fault=self.ledger.note_fault, say=self.said.append)
        self.following = Following(
            folder, note_fault=self.ledger.note_fault, found=self.burial.watch, ended=self.burial.note
        )
        self.sampling = Sampling(self.following, config, self.ledger)
        self.metrics = Metrics(self.following, self.sampling, self.totals, config, self.ledger)

    def turn(self) -> None:
        """As the exporter's main loop does it."""
        self.following.refresh()
        self.burial.settle()

    def close(self) -> None:
        self.following.close()
        self.burial.close()

    def page(self, accept: str = "") -> str:
        return self.metrics.render(accept).body.decode()


@pytest.fixture
def service(folder: Folder) -> Iterator[Service]:
    made = Service(folder, Config())
    yield made
    made.close()


def series(page: str) -> list[str]:
    """Name and labels of every line of a page."""
    return [line.rpartition(" ")[0] for line in page.splitlines() if line and not line.startswith("#")]


def values(page: str, name: str) -> dict[str, float]:
    """Values by labels of one name."""
    found = (line.rpartition(" ") for line in page.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return {each[0].removeprefix(name): float(each[2]) for each in found}


@pytest.fixture
def series_of() -> Callable[[str], list[str]]:
    return series


@pytest.fixture
def values_of() -> Callable[[str, str], dict[str, float]]:
    return values


def get(url: str, **headers: str) -> str:
    """The body at an address, by a client that takes gzip as Prometheus does."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip", **headers})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        raw = answer.read()
        return (gzip.decompress(raw) if answer.headers["Content-Encoding"] == "gzip" else raw).decode()


@pytest.fixture
def page_at() -> Callable[..., str]:
    return get


def wait_until(ask: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], str], Any]:
    """Ask until the answer is true; returns it."""
    return wait_until


class Served:
    """An exporter in a thread; it goes on as long as ``launcher``, a process that only sleeps, lives."""

    def __init__(self, folder: Folder, config: Config, launcher: subprocess.Popen[bytes], **more: Any) -> None:
        self.launcher = launcher
        self.listening = listen(config.host, 0)
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        claim = Claim.take(folder)
        assert claim is not None
        followed = Followed(os.pidfd_open(launcher.pid), more.pop("stderr_fd", None), launcher.pid, "sleep")
        self.codes: list[int] = []
        self._thread = threading.Thread(
            target=lambda: self.codes.append(
                serve(self.listening, folder, config, claim=claim, follow=[followed], **{"linger_s": 0.0, **more})
            )
        )
        self._thread.start()

    def ended(self) -> int:
        """Wait until it has; its code."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the exporter goes on"
        (code,) = self.codes
        return code


@pytest.fixture
def exporter(folder: Folder, sleeper: Any) -> Iterator[Callable[..., Served]]:
    """Starts exporters in threads of this process; they end with the test."""
    started: list[Served] = []

    def start(config: Config | None = None, **more: Any) -> Served:
        started.append(Served(folder, config or Config(), sleeper(), **more))
        return started[-1]

    yield start
    for each in started:
        each.launcher.kill()
        each.launcher.wait()
        each.ended()


@pytest.fixture
def command(flight_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``gc-otel exporter`` as a process; its first line is read already, as ``address``."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gc_otel.cli", "exporter", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, process.stdout.readline().strip().removesuffix("/metrics")

    yield start
    for each in started:
        each.send_signal(signal.SIGINT)
        each.communicate(timeout=PATIENCE_S)


@pytest.fixture
def connect() -> Iterator[Callable[[str], socket.socket]]:
    """Raw connections to an address; closed after the test."""
    opened: list[socket.socket] = []

    def to(address: str) -> socket.socket:
        host, _, port = address.removeprefix("http://").partition(":")
        opened.append(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
        return opened[-1]

    yield to
    for each in opened:
        each.close()


@pytest.fixture
def receiver() -> Iterator[Any]:
    """The small OTLP/HTTP receiver of tests/otel."""
    path = Path(__file__).parents[1] / "otel" / "_receiver.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Receiver() as started:
        yield started
