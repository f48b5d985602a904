"""What the programs under test share: start recording as their arguments say, read what was recorded."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gc_otel.config import Config
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.probe import probe

INTERVAL_S = 0.1
_PATIENCE_S = 20.0


def config(kind: str, interval_s: float = INTERVAL_S) -> Config:
    """A quick monitor, in the folder that GC_OTEL_DIR names."""
    return Config.from_env(recorder=kind, sample_interval=interval_s)


def start(kind: str | None = None) -> Callable[[], None]:
    """Record with the recorder that the first argument names."""
    return probe.start(config(kind or sys.argv[1]))


def snapshot() -> Any:
    """This process, read from its own memory."""
    return reader.read(probe.current().source)


def wait_until(holds: Callable[[], object], what: str) -> None:
    """A bounded wait; the program fails when it ends in vain."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(what)
        time.sleep(0.005)


def wait_for_rounds(count: int = 2) -> None:
    """Wait until the monitor has made so many rounds more."""

    def beat_ns() -> int:
        interpreter = reader.read_interpreter(probe.current().source)
        return interpreter.beat_ns if interpreter is not None else 0

    for _ in range(count):
        last_ns = beat_ns()
        wait_until(lambda last_ns=last_ns: beat_ns() > last_ns, "the monitor makes no round")


def settle() -> None:
    """Let the monitor judge what was missed: it does so when a gap has outlived another collection."""
    wait_for_rounds(2)
    gc.collect()
    wait_for_rounds(2)


def flight_files() -> list[Path]:
    """All flight files of the folder."""
    return sorted(Path(os.environ["GC_OTEL_DIR"]).glob("*.flight*"))


def has_file(pid: int) -> bool:
    """Whether that process has a file; the file may go at any moment."""
    return any(path.name.startswith(f"{pid}-") for path in flight_files())


def file_of(pid: int) -> dict[str, Any] | None:
    """What the one file of that process tells, or None when it has none."""
    paths = [path for path in flight_files() if path.name.startswith(f"{pid}-") and path.suffix == ".flight"]
    if not paths:
        return None
    (path,) = paths
    with FlightFile(path) as file:
        read = reader.read(file)
        return {
            "name": path.name,
            "pid": read.identity.pid,
            "instance": read.identity.instance_id,
            "alive": file.is_alive(),
            "collections": read.collector.collections,
            "beat": read.interpreter.beat_ns if read.interpreter is not None else 0,
            "threads": read.memory.threads if read.memory is not None else None,
        }


def own_mappings() -> int:
    """How many mappings of flight files this process has."""
    return Path("/proc/self/maps").read_text(errors="replace").count(".flight")


def thread_ids() -> set[int]:
    """The operating system's threads of this process."""
    return {int(name) for name in os.listdir("/proc/self/task")}


def collections() -> int:
    """What CPython itself has counted."""
    return sum(each["collections"] for each in gc.get_stats())


def exit_code(pid: int) -> int:
    """Wait for a child; a signal is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def report(**values: object) -> None:
    """The last line of a program's output."""
    print(json.dumps(values), flush=True)
