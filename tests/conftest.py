"""What all tests share: a flight folder of their own, both recorders, programs in processes of their own."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gc_otel import _native
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder

PROGRAMS = Path(__file__).parent / "programs"
EXTENSION, WHY_NOT_NATIVE = _native.load()

#: Set in CI, where a missing tool or extension is a failure and not a skip.
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
PURE = os.environ.get("GCOTEL_TEST_PURE", "") not in ("", "0")


# Where the tests are a shell's background job, it has SIGINT ignored, and so would have every program under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def need_native() -> None:
    """Skip without the extension; in CI only the runs that are pure on purpose may."""
    if EXTENSION is None:
        assert not IN_CI or PURE, f"CI needs the native recorder: {WHY_NOT_NATIVE}"
        pytest.skip(f"no native recorder here: {WHY_NOT_NATIVE}")


@pytest.fixture(params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    """Run the test for the C implementation and for its Python twin."""
    if request.param == "native":
        need_native()
    return str(request.param)


@pytest.fixture
def make_mapping(kind: str) -> Callable[[int], Any]:
    """Maps a descriptor (-1: private memory) with the implementation under test."""
    return PythonMapping if kind == "python" else EXTENSION.Mapping


@pytest.fixture
def make_recorder(kind: str) -> Callable[[Any], Any]:
    """Makes a recorder of the implementation under test over a mapping."""
    return PythonRecorder if kind == "python" else EXTENSION.Recorder


@pytest.fixture
def tool() -> Callable[[str], str]:
    """The path of a command, from GCOTEL_CI_COMPONENTS or PATH; skipped without it, but not in CI."""

    def find(name: str) -> str:
        folders = os.pathsep.join(part for part in (os.environ.get("GCOTEL_CI_COMPONENTS"), os.environ["PATH"]) if part)
        path = shutil.which(name, path=folders)
        if path is None:
            assert not IN_CI, f"CI needs {name}: .ci/tools/components.sh prints the folder for GCOTEL_CI_COMPONENTS"
            pytest.skip(f"{name} is neither on PATH nor in GCOTEL_CI_COMPONENTS")
        return path

    return find


@pytest.fixture(scope="session")
def flight_dirs() -> Iterator[list[Path]]:
    """All that were made, to be removed once more: an exporter that outlives its test for a moment makes its folder anew."""
    made: list[Path] = []
    yield made
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def flight_dir(monkeypatch: pytest.MonkeyPatch, flight_dirs: list[Path]) -> Iterator[Path]:
    """A fresh folder on tmpfs, named by GC_OTEL_DIR; on disk where the machine has no /dev/shm."""
    shm = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="gc_otel-test-", dir=shm if shm.is_dir() else None))
    flight_dirs.append(path)
    monkeypatch.setenv("GC_OTEL_DIR", str(path))
    if not shm.is_dir():
        monkeypatch.setenv("GC_OTEL_DIR_ON_DISK", "true")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def small_old_heap() -> None:
    """What was imported and collected before the first test is no collection's business: each costs 1 ms, not 50."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def quiet_gc() -> Iterator[None]:
    """No automatic collection, and nothing left to collect."""
    was_enabled = gc.isenabled()
    gc.disable()
    gc.collect()
    yield
    if was_enabled:
        gc.enable()


@pytest.fixture
def run_program(flight_dir: Path) -> Callable[..., Any]:
    """Run a script of tests/programs and return the JSON it printed on its last line.

    Fails with the program's output when it exits with anything but ``expect``.
    """

    def run(name: str, *args: str, expect: int = 0, timeout_s: float = 60, env: dict[str, str] | None = None) -> Any:
        command = [sys.executable, *(env or {}).pop("PYTHONFLAGS", "").split(), str(PROGRAMS / name), *args]
        done = subprocess.run(
            command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == expect, f"{name} {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    return run
