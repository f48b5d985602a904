"""Memory and start-up time that ``gc-otel run`` adds to the program, beside what other tools add to it.

Each mode starts the same one-line program and is compared with the plain interpreter of the same round. Start-up is the
CPU time of the main thread up to the program's first line: the wall clock would measure what else the machine does. It
goes on through an exec, so it has a launcher's own part in it; "inside" is the same without a launcher: what
loading the recorder costs an interpreter that inherits the environment.
Memory is what the process alone has in use (USS), read from outside, a moment after its first sample.
The exporter is a process of its own: its memory stands in a row of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.process import PROGRAMS, ROOT, environment, flight_folder, is_there
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "run-footprint"
TITLE: Final = "Memory and start-up that gc-otel run adds to the program"
MOST_BYTES: Final = 5 * 2**20
MOST_SECONDS: Final = 0.030
_SETTLE_S: Final = 0.3
_LOADING: Final = ROOT / "gc_otel" / "probe" / "loading"
_PROGRAM: Final = str(PROGRAMS / "ready.py")
_QUIET: Final = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "gc_otel",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}


@dataclass(frozen=True)
class Mode:
    """How the program is started."""

    label: str
    command: tuple[str, ...]
    env: dict[str, str]
    is_target: bool = False


@dataclass(frozen=True)
class Sample:
    """Of one start: CPU seconds to the first line, bytes in use by the program and, if there is one, by its exporter."""

    seconds: float
    used: float
    exporter_used: float | None


def run(*, quick: bool) -> Result:
    """Start every mode a number of times."""
    rounds = 2 if quick else 15
    plain, *others = _modes()
    samples: dict[str, list[Sample]] = {mode.label: [] for mode in (plain, *others)}
    for turn in range(rounds + 1):
        first = turn % (len(others) + 1)
        order = [plain, *others]
        for mode in order[first:] + order[:first]:
            sample = _start(mode)
            if turn > 0:  # the first round fills the disk cache and writes byte code
                samples[mode.label].append(sample)
    rows: list[Row] = []
    for mode in others:
        rows += _rows(mode, samples[mode.label], samples[plain.label])
    exporters = [each.exporter_used for mode in others for each in samples[mode.label] if each.exporter_used]
    if exporters:
        rows.append(row_of("the exporter, a process of its own: memory", [each / 2**20 for each in exporters], "MB"))
    return Result(NAME, TITLE, tuple(rows))


def _modes() -> list[Mode]:
    python = (sys.executable, _PROGRAM)
    run_command = (sys.executable, "-m", "gc_otel.cli", "run", "--port", "0", "--linger", "0", "--quiet", "--")
    path = os.pathsep.join((str(_LOADING), str(ROOT)))
    modes = [
        Mode("plain", python, {}),
        Mode(
            "inside (loading and recording)", python, {"GC_OTEL_AUTOLOAD": "true", "PYTHONPATH": path}, is_target=True
        ),
        Mode("not asked (PYTHONPATH alone)", python, {"PYTHONPATH": path}),
        Mode("gc-otel run, launcher included", (*run_command, *python), {}),
    ]
    instrument = ("-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()")
    if is_there("opentelemetry.instrumentation.system_metrics") and is_there("opentelemetry.distro"):
        modes.append(Mode("opentelemetry-instrument, system-metrics", (sys.executable, *instrument, *python), _QUIET))
    ddtrace = _find_ddtrace()
    if ddtrace is not None:
        modes.append(Mode("ddtrace-run", (ddtrace, str(Path(ddtrace).parent / "python"), _PROGRAM), _QUIET))
    return modes


def _find_ddtrace() -> str | None:
    """Beside this Python, or where BENCHMARK_DDTRACE says; its own environment's Python runs the program then."""
    return os.environ.get("BENCHMARK_DDTRACE") or shutil.which("ddtrace-run", path=str(Path(sys.executable).parent))


@contextmanager
def _running(mode: Mode, folder: Path) -> Iterator[tuple[subprocess.Popen[str], float]]:
    with subprocess.Popen(
        mode.command, env=environment(folder) | mode.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{mode.label} did not start")
        on_cpu_ns, _, _ = Path(f"/proc/{process.pid}/schedstat").read_text().split()
        yield process, int(on_cpu_ns) / 1e9
        process.communicate()


def _start(mode: Mode) -> Sample:
    with flight_folder() as folder:
        with _running(mode, folder) as (process, seconds):
            time.sleep(_SETTLE_S)  # the monitor's first round
            exporter = _exporter_of(process.pid)
            if exporter is not None:
                time.sleep(1.0)  # it imports OpenTelemetry
            used = _private_bytes(process.pid)
            exporter_used = None if exporter is None else _private_bytes(exporter)
        while exporter is not None and Path(f"/proc/{exporter}").exists():
            time.sleep(0.02)
    return Sample(seconds, used, exporter_used)


def _exporter_of(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _private_bytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024.0 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _rows(mode: Mode, mine: list[Sample], plain: list[Sample]) -> list[Row]:
    seconds = [a.seconds - b.seconds for a, b in zip(mine, plain, strict=True)]
    used = [a.used - b.used for a, b in zip(mine, plain, strict=True)]
    targets = mode.is_target
    return [
        row_of(
            f"{mode.label}: start-up",
            [each * 1e3 for each in seconds],
            "ms",
            target="< 30 ms" if targets else "",
            verdict=verdict(met=median(seconds) < MOST_SECONDS) if targets else "",
        ),
        row_of(
            f"{mode.label}: memory",
            [each / 2**20 for each in used],
            "MB",
            target="< 5 MB" if targets else "",
            verdict=verdict(met=median(used) < MOST_BYTES) if targets else "",
        ),
    ]
