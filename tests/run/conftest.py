"""`gc-otel run` as a user starts it, the page of its exporter, and Python environments of all sorts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gc_otel
from gc_otel.service import launch

IMPORTABLE = str(Path(gc_otel.__file__).parents[1])
#: In a checkout, and where a wheel's installation has put it.
_STARTUP_FILES = (
    Path(gc_otel.__file__).parent / "probe" / "loading" / "gc_otel.pth",
    Path(gc_otel.__file__).parents[1] / "gc_otel.pth",
)
PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 60.0

#: Nothing of ours stays when it has ended, and no other test is met: a port and a folder of its own.
ALONE = ("--port", "0", "--linger", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`gc-otel run` is for Linux; elsewhere one test says that it says so."""
    reason = launch.why_not()
    for item in items:
        if reason is not None and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def plain_env(flight_dir: Path) -> dict[str, str]:
    """The caller's environment without settings, and this gc_otel importable where it is not installed."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "PYTHON")) and (not name.startswith("GC_OTEL_") or "_DIR" in name)
    }
    return env if _is_installed() else {**env, "PYTHONPATH": IMPORTABLE}


def _is_installed() -> bool:
    """Whether any interpreter of this environment finds gc_otel by itself."""
    done = subprocess.run([sys.executable, "-I", "-c", "import gc_otel"], capture_output=True, check=False)
    return done.returncode == 0


class Running:
    """A command that `gc-otel run` became, or is about to become."""

    def __init__(
        self, *words: str, options: tuple[str, ...], env: dict[str, str], launcher: tuple[str, ...] = (), **given: Any
    ) -> None:
        command = [*(launcher or (sys.executable, "-m", "gc_otel.cli")), "run", *options, "--", *words]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=env, text=True, start_new_session=True, **{**streams, **given})

    def line(self) -> str:
        """The next line of its output."""
        line = self.process.stdout.readline()
        assert line, f"exit {self.process.wait(PATIENCE_S)}: {self.process.stderr.read()}"
        return line.rstrip("\n")

    def address(self) -> str:
        """Where the exporter is: the first line on standard error, with --port 0."""
        line = self.process.stderr.readline()
        found = re.search(r"http://\S+/metrics", line)
        assert found, f"{line!r}, exit {self.process.poll()}"
        return found.group()

    def end(self, text: str = "") -> tuple[int, str, str]:
        """Give it the rest of its input; exit code, output, errors."""
        out, err = self.process.communicate(text, timeout=PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture
def run(plain_env: dict[str, str]) -> Iterator[Callable[..., Running]]:
    """Start `gc-otel run ... -- WORDS`; ended after the test whatever happens."""
    started: list[Running] = []

    def start(
        *words: object, options: tuple[str, ...] = ALONE, env: dict[str, str] | None = None, **given: Any
    ) -> Running:
        whole = {name: value for name, value in {**plain_env, **(env or {})}.items() if value is not None}
        started.append(Running(*map(str, words), options=options, env=whole, **given))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            # Its whole session: workers, and what a shell started. The exporter has one of its own, and follows.
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate()


@pytest.fixture
def python(run: Callable[..., Running]) -> Callable[..., Running]:
    """Start `gc-otel run` of a script of tests/run/programs."""

    def start(name: str, *words: object, **given: Any) -> Running:
        return run(sys.executable, PROGRAMS / name, *words, **given)

    return start


@pytest.fixture
def program_under(run: Callable[..., Running]) -> Callable[..., Running]:
    """Start a program that says how it was started by `LAUNCHER run ... -- python tell.py`."""

    def start(*launcher: str, env: dict[str, str]) -> Running:
        return run(sys.executable, PROGRAMS / "tell.py", env=env, launcher=launcher)

    return start


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true, for a bounded time; returns it."""

    def wait(ask: Callable[[], Any], what: str = "it did not come") -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            answer = ask()
            if answer:
                return answer
            assert time.monotonic() < deadline_s, what
            time.sleep(0.02)

    return wait


def fetch(address: str) -> str:
    """The page, or nothing where nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return ""


@pytest.fixture
def page() -> Callable[[str], str]:
    return fetch


@pytest.fixture
def pids() -> Callable[[str], set[int]]:
    """The processes that a page has collections of."""

    def find(address: str) -> set[int]:
        series = re.findall(r"^cpython_gc_collections_total\{(.*)\}", fetch(address), flags=re.MULTILINE)
        return {int(found[1]) for each in series if (found := re.search(r'process_pid="(\d+)"', each))}

    return find


@pytest.fixture
def make_venv(tmp_path: Path) -> Callable[..., str]:
    """An environment with no gc_otel in it, or with one and its startup file, as a wheel's installation leaves it."""

    def make(name: str, *, with_gc_otel: bool) -> str:
        folder = tmp_path / name
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        (packages,) = folder.glob("lib/python*/site-packages")
        if with_gc_otel:
            (packages / "gc_otel").symlink_to(Path(gc_otel.__file__).parent)
            startup_file = next(each for each in _STARTUP_FILES if each.exists())
            (packages / "gc_otel.pth").write_text(startup_file.read_text())
        return str(folder / "bin" / "python")

    return make


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any]], Any]:
    """Ask until the answer is true, for a bounded time; returns it."""

    def wait(ask: Callable[[], Any]) -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            answer = ask()
            if answer:
                return answer
            assert time.monotonic() < deadline_s, "it did not become so"
            time.sleep(0.02)

    return wait
