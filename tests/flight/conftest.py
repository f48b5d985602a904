"""Recorders over private memory, flight files of this process, and children that answer by a pipe."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gc_otel
from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight import layout, reader
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.flight.snapshot import Collector

PROGRAMS = Path(__file__).parent / "programs"


class Clock:
    """A clock that stands until it is told otherwise."""

    def __init__(self, now_ns: int = 1_000_000) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


class Rig:
    """A recorder of one implementation over private memory, fed by hand."""

    def __init__(self, mapping: Any, recorder: Any) -> None:
        self.mapping = mapping
        self.recorder = recorder
        self.cells = mapping.view().cast("Q")

    def start(self, generation: int = 0, **extra: Any) -> None:
        self.recorder.record_phase("start", {"generation": generation, "collected": 0, "uncollectable": 0, **extra})

    def stop(self, generation: int = 0, collected: int = 0, uncollectable: int = 0, **extra: Any) -> None:
        info = {"generation": generation, "collected": collected, "uncollectable": uncollectable, **extra}
        self.recorder.record_phase("stop", info)

    def collect(self, generation: int = 0, collected: int = 0, uncollectable: int = 0, **extra: Any) -> None:
        self.start(generation)
        self.stop(generation, collected, uncollectable, **extra)

    def read(self, **options: Any) -> Collector:
        return reader.read_collector(OwnMemory(self.mapping), **options)

    def counts(self) -> list[int]:
        return [each.collections for each in self.read().generations]


@pytest.fixture
def rig(make_mapping, make_recorder) -> Rig:
    """A recorder of either implementation over private memory."""
    mapping = make_mapping(-1)
    return Rig(mapping, make_recorder(mapping))


@pytest.fixture
def rig_of() -> type[Rig]:
    """For a test that needs several."""
    return Rig


class ClockedRig(Rig):
    """The Python recorder with clocks that are set by hand."""

    def __init__(self, mapping: Any) -> None:
        self.clock, self.cpu = Clock(), Clock(500)
        super().__init__(mapping, PythonRecorder(mapping, clock_ns=self.clock, cpu_clock_ns=self.cpu))

    def lasting(self, duration_ns: int, *, wall_ns: int | None = None, generation: int = 0, **extra: Any) -> None:
        self.start(generation)
        self.cpu.now_ns += duration_ns
        self.clock.now_ns += duration_ns if wall_ns is None else wall_ns
        self.stop(generation, **extra)


@pytest.fixture
def clocked() -> ClockedRig:
    """The Python recorder with told durations."""
    from gc_otel.flight.mapping import PythonMapping

    return ClockedRig(PythonMapping(-1))


@pytest.fixture
def restored_gc() -> Iterator[None]:
    """The collector's settings and callbacks as they were before."""
    enabled, threshold, callbacks = gc.isenabled(), gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*threshold)
    gc.enable() if enabled else gc.disable()


@pytest.fixture
def header() -> dict[str, int | str]:
    """Header fields as a probe writes them."""
    return {
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "pid_namespace": layout.ABSENT,
        "created_unix_ns": time.time_ns(),
        "started_unix_ns": time.time_ns() - 1_000_000,
        "monotonic_to_unix_ns": time.time_ns() - time.monotonic_ns(),
        "python_hexversion": sys.hexversion,
        "recorder_kind": 1,
        "duration_clock": 1,
        "gc_mode": 1,
        "state": 1,
        "exited_unix_ns": 0,
        "service_name": "checkout",
        "service_version": "1.2.3",
        "python_version": "3.10.0",
        "program": "app.py",
        "instance_id": "0b1f4b1e-0000-4000-8000-000000000000",
    }


@pytest.fixture
def folder(flight_dir) -> Folder:
    """A fit folder."""
    return open_folder(Config.from_env())


@pytest.fixture
def make_file(folder, header, make_mapping) -> Callable[..., tuple[Path, Any]]:
    """Makes a flight file of this process; its path and mapping."""

    def make(**fields: int | str) -> tuple[Path, Any]:
        header["created_unix_ns"] += 1
        location, mapping = files.create(folder, {**header, **fields}, make_mapping)
        return Path(location), mapping

    return make


def ask_child(question: Callable[[], Any], *, timeout_s: float = 20) -> Any:
    """Fork without any of our hooks, and return what ``question()`` gives in the child."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.13.0 warns of threads where there are none
        pid = os.fork()
    if pid == 0:
        try:
            answer = question()
        except BaseException as error:
            answer = repr(error)
        os.write(writable, json.dumps(answer).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return answer


@pytest.fixture
def in_child() -> Callable[[Callable[[], Any]], Any]:
    """See ask_child()."""
    return ask_child


@pytest.fixture
def start_program(kind) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script of this folder's programs with the implementation under test; killed at the end."""
    started: list[subprocess.Popen[str]] = []
    env = {**os.environ, "PYTHONPATH": str(Path(gc_otel.__file__).parent.parent)}

    def start(name: str, *args: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / name), kind, *args]
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


@contextmanager
def installed(recorder: Any) -> Iterator[None]:
    """The recorder among the gc callbacks."""
    recorder.install()
    try:
        yield
    finally:
        assert recorder.uninstall()


@pytest.fixture
def install() -> Callable[[Any], Any]:
    """See installed()."""
    return installed
