"""The command line in this process and in one of its own, and recorded processes for it to find."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import gc_otel
from gc_otel import cli
from gc_otel.flight import layout

_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])
_PROGRAM = Path(__file__).parent / "programs" / "recorded.py"
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def plain_env(flight_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing set but the flight folder, and this gc_otel importable by children."""
    for name in list(os.environ):
        ours = name.startswith("GC_OTEL_") and name not in ("GC_OTEL_DIR", "GC_OTEL_DIR_ON_DISK")
        if ours or name.startswith("OTEL_") or name in ("NO_COLOR", "PYTHONWARNINGS"):
            monkeypatch.delenv(name)
    path = os.pathsep.join(part for part in (_IMPORTABLE, os.environ.get("PYTHONPATH", "")) if part)
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("COLUMNS", "100")


@dataclass
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run gc-otel in this process."""

    def run(*argv: str) -> Said:
        try:
            code = cli.main(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start gc-otel in a process and session of its own; ended after the test whatever happens."""
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str, **given: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **given}
        started.append(subprocess.Popen([sys.executable, "-m", "gc_otel.cli", *argv], text=True, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Recorded:
    """A recorded process that does what it is told over a pipe."""

    def __init__(self, *args: str, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        self.path = Path(self._answer()["path"])

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        assert line, f"the recorded program ended, exit {self._process.wait()}"
        return json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, command: str) -> dict[str, Any]:
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def record(flight_dir: Path) -> Iterator[Callable[..., Recorded]]:
    """Start recorded processes; ended after the test."""
    started: list[Recorded] = []

    def start(recorder: str = "python", **env: str) -> Recorded:
        started.append(Recorded(recorder, env={"OTEL_SERVICE_NAME": "shop", **env}))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def put() -> Callable[..., None]:
    """Overwrite cells of a flight file, as an enemy or a broken writer would."""

    def write(path: Path, cell: int, *values: int) -> None:
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, struct.pack(f"={len(values)}Q", *values), cell * layout.CELL_BYTES)
        os.close(fd)

    return write


@pytest.fixture
def hostile(flight_dir: Path, record: Callable[..., Recorded]) -> dict[str, str]:
    """Flight files that cannot be believed, by name, with a word of the reason to be given."""
    whole = record().path
    bad = {
        "1-short.flight": "bytes, not",
        "2-alien.flight": "mark of a flight file",
        "3-newer.flight": "layout 99",
        "4-sum.flight": "add up",
        "5-folder.flight": "not a regular file",
        "6-link.flight": "a link",
        "7-fifo.flight": "not a regular file",
        "8-\x1b[31mred\n.flight": "bytes, not",
    }
    for name in bad:
        path = flight_dir / name
        if "folder" in name:
            path.mkdir()
        elif "link" in name:
            path.symlink_to(whole)
        elif "fifo" in name:
            os.mkfifo(path)
        elif "short" in name or "red" in name:
            path.write_bytes(b"short")
        else:
            shutil.copy(whole, path)
    for name, cell, value in (
        ("2-alien.flight", layout.HEADER.cell("magic"), 1),
        ("3-newer.flight", layout.HEADER.cell("layout_version"), 99),
        ("4-sum.flight", layout.GENERATION.cell("collections", 1), 12345),
    ):
        fd = os.open(flight_dir / name, os.O_WRONLY)
        os.pwrite(fd, struct.pack("=Q", value), cell * layout.CELL_BYTES)
        os.close(fd)
    return bad


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true, for a bounded time; returns it."""

    def wait(ask: Callable[[], Any], what: str) -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            answer = ask()
            if answer:
                return answer
            assert time.monotonic() < deadline_s, what
            time.sleep(0.01)

    return wait
