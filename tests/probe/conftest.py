"""Programs that must not notice the probe, and probes of this very process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gc_otel
from gc_otel.config import Config
from gc_otel.probe import probe

PROGRAMS = Path(__file__).parents[1] / "programs"
_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])

#: CPython 3.13.0 counts the threads before the hooks have run, and so warns of ours at every fork: documented.
_DEFAULT_FLAGS = ("-W", "ignore:This process:DeprecationWarning") if sys.version_info[:3] == (3, 13, 0) else ()


@pytest.fixture
def program_env(flight_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a program under test: it finds this gc_otel, and its folder."""
    path = os.pathsep.join(part for part in (_IMPORTABLE, os.environ.get("PYTHONPATH", "")) if part)
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    return dict(os.environ)


@pytest.fixture
def run_silent(program_env: dict[str, str]) -> Callable[..., Any]:
    """Run a script of tests/programs; its last line is JSON, its standard error is empty.

    A program that we disturb says so there first: unraisable exceptions, warnings, crashes.
    """

    def run(name: str, *args: str, flags: tuple[str, ...] = (), expect: int = 0, timeout_s: float = 60) -> Any:
        command = [sys.executable, *(flags or _DEFAULT_FLAGS), str(PROGRAMS / name), *args]
        done = subprocess.run(command, env=program_env, capture_output=True, text=True, timeout=timeout_s, check=False)
        told = f"{name} {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode, done.stderr) == (expect, ""), told
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    return run


@pytest.fixture
def start_probe(kind: str, flight_dir: Path) -> Iterator[Callable[..., Callable[[], None]]]:
    """Start recording this process with the recorder under test; stopped after the test."""
    stops: list[Callable[[], None]] = []

    def start(**given: Any) -> Callable[[], None]:
        stops.append(probe.start(Config.from_env(recorder=kind, **{"sample_interval": 0.2, **given})))
        return stops[-1]

    yield start
    for stop in stops:
        stop()
