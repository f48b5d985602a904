"""Debian's Chromium through Playwright, over real services; what it complains of fails the test."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
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

import gc_otel
from gc_otel.config import Config
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.service.page.token import token_of

PROGRAMS = Path(__file__).parent / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
PATIENCE_S = 60.0
_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])
#: Playwright is a dependency of the tests where these run in CI.
_CI_VERSION = (3, 11)
_FLAGS = [
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("once")
            item.add_marker("component")


def _chromium() -> str:
    is_needed = IN_CI and sys.version_info[:2] == _CI_VERSION
    if importlib.util.find_spec("playwright") is None:
        assert not is_needed, "CI needs playwright here: it is in the test extra"
        pytest.skip("playwright is not installed")
    path = os.environ.get("GCOTEL_CI_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        assert not is_needed, "CI needs Chromium: .ci/tools/chromium.sh prints its path for GCOTEL_CI_CHROMIUM"
        pytest.skip("there is no chromium on PATH, and none in GCOTEL_CI_CHROMIUM")
    return path


class Tab:
    """A page of the browser, and everything that it complained of."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1e3)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, url: str) -> Any:
        """Until its view has had its data."""
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture
def browser() -> Iterator[Any]:
    """A fresh Chromium."""
    path = _chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; at the end none of them may have complained."""
    opened: list[Tab] = []

    def new(**options: Any) -> Tab:
        given = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "UTC", "locale": "en-GB", **options}
        opened.append(Tab(browser.new_context(**given)))
        return opened[-1]

    yield new
    for each in opened:
        each.context.close()
        assert each.complaints == []


@pytest.fixture
def folder(flight_dir: Path) -> Folder:
    return open_folder(Config.from_env())


class Command:
    """`gc-otel ...` as a process, its own process group; ended with all that it started."""

    def __init__(self, folder: Folder, *words: str, **env: str) -> None:
        self.folder, self.words = folder, words
        self.port = _free_port()
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "GC_OTEL_", "PYTHON"))}
        settings = {"GC_OTEL_DIR": folder.location, "GC_OTEL_SAMPLE_INTERVAL": "0.5", "GC_OTEL_PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gc_otel.cli", *words],
            env={**clean, **settings, "PYTHONPATH": os.pathsep.join([_IMPORTABLE, str(PROGRAMS)]), **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """With the token."""
        return f"{self.address}/?token={token_of(self.folder)}"

    def ready(self) -> Command:
        """When the exporter has looked through the folder."""
        wait_until(lambda: urllib.request.urlopen(f"{self.address}/readyz", timeout=5).read(), "no exporter")
        return self

    def end(self) -> None:
        # An exporter ends by SIGINT at once; by SIGTERM it would wait for the processes that this one plays.
        first = signal.SIGINT if self.words[0] == "exporter" else signal.SIGTERM
        for number in (first, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.communicate(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until(ask: Callable[[], Any], what: str) -> Any:
    """Ask until the answer is true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = ask()
        except OSError:
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], str], Any]:
    return wait_until


@pytest.fixture
def command(folder: Folder) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*words: str, **env: str) -> Command:
        started.append(Command(folder, *words, **env))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def shop(command: Callable[..., Command]) -> Iterator[tuple[Command, Callable[[], None]]]:
    """gunicorn with two workers that leak, recorded, under requests; and what ends the requests."""
    app_port = _free_port()
    words = ["-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{app_port}", "leaky:app"]
    run = command("run", "--", sys.executable, *words, OTEL_SERVICE_NAME="shop")
    url = f"http://127.0.0.1:{app_port}/"
    wait_until(lambda: urllib.request.urlopen(url, timeout=5).read(), "gunicorn does not answer")
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            with contextlib.suppress(OSError):  # a worker was killed: that is the story
                urllib.request.urlopen(url, timeout=5).close()

    thread = threading.Thread(target=ask)
    thread.start()
    yield run, over.set
    over.set()
    thread.join()
