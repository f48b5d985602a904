"""Running the programs of ``benchmarks/programs``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "programs"


def environment(flight_dir: Path, **more: str) -> dict[str, str]:
    """This process's environment without what would configure OpenTelemetry or us, and the checkout importable.

    Byte code is written, as it is where a package is installed: a start-up that compiles measures the compiler.
    """
    unwanted = ("OTEL_", "GC_OTEL_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    path = os.pathsep.join(part for part in (str(ROOT), env.get("PYTHONPATH", "")) if part)
    return {**env, "PYTHONPATH": path, "GC_OTEL_DIR": str(flight_dir), **more}


def is_there(module: str) -> bool:
    """Whether it can be imported; its packages are."""
    with suppress(ImportError):
        return find_spec(module) is not None
    return False


@contextmanager
def flight_folder() -> Iterator[Path]:
    """A fresh folder for flight files, in memory where the machine has /dev/shm."""
    shm = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="gc_otel-bench-", dir=shm if shm.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def run_program(name: str, *args: object, timeout_s: float = 600) -> Any:
    """The JSON on the last line of what the program prints."""
    with flight_folder() as folder:
        done = subprocess.run(
            [sys.executable, str(PROGRAMS / name), *map(str, args)],
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
