"""Memory and start-up time that recording adds.

Each mode is a process of its own, started in turn, and compared with the plain one of the same round.
Start-up is the CPU time of the main thread until the process prints that it is ready: nothing in it waits, and
the wall clock would measure what else the machine does.
Memory is what the process alone has in use (USS), read from outside, a moment after its first sample.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.process import PROGRAMS, environment, flight_folder, is_there
from benchmarks.result import Result, Row, row_of, verdict

NAME: Final = "footprint"
TITLE: Final = "Memory and start-up that recording adds"
MOST_BYTES: Final = 2 * 2**20
MOST_SECONDS: Final = 0.010

#: What is measured, what it is compared with, and how it is called.
_PAIRS: Final[tuple[tuple[str, str, str], ...]] = (
    ("recorder", "nothing", "callback and memory only, over python"),
    ("psutil", "nothing", "import psutil, over python"),
    ("probe", "nothing", "the recorder alone (file, callback, monitor), over python"),
    ("sampled_probe", "nothing", "with samplers and psutil, over python"),
    ("stdlib_probe", "stdlib", "the same, over python with dataclasses, pathlib, re, urllib and uuid imported"),
    ("library", "sdk", "library mode, over the bare OTel SDK"),
)


def run(*, quick: bool) -> Result:
    """Start every mode a number of times."""
    rounds = 2 if quick else 20
    pairs = [pair for pair in _PAIRS if pair[0] != "library" or is_there("opentelemetry.exporter.prometheus")]
    modes = list(dict.fromkeys(mode for pair in pairs for mode in pair[:2]))
    samples: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes}
    for turn in range(rounds + 1):
        first = turn % len(modes)
        for mode in modes[first:] + modes[:first]:
            sample = _start(mode)
            if turn > 0:  # the first round fills the disk cache and writes byte code
                samples[mode].append(sample)
    rows: list[Row] = []
    for mode, base, label in pairs:
        rows += _rows(label, samples[mode], samples[base], is_target=mode == "probe")
    return Result(NAME, TITLE, tuple(rows))


def _start(mode: str) -> tuple[float, float]:
    """Seconds until ready, and bytes in use."""
    with flight_folder() as folder:
        command = [sys.executable, str(PROGRAMS / "footprint_modes.py"), mode]
        with subprocess.Popen(
            command, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{mode} did not start")
            seconds = _cpu_seconds(process.pid)
            time.sleep(0.2)  # the monitor's first round
            used = _private_bytes(process.pid)
            process.communicate()
    return seconds, used


def _cpu_seconds(pid: int) -> float:
    on_cpu_ns, _, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(on_cpu_ns) / 1e9


def _private_bytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024.0 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _rows(
    label: str, mine: list[tuple[float, float]], base: list[tuple[float, float]], *, is_target: bool
) -> list[Row]:
    seconds = [a[0] - b[0] for a, b in zip(mine, base, strict=True)]
    used = [a[1] - b[1] for a, b in zip(mine, base, strict=True)]
    on_time: dict[str, Any] = {}
    in_memory: dict[str, Any] = {}
    if is_target:
        on_time = {"target": "< 10 ms", "verdict": verdict(met=median(seconds) < MOST_SECONDS)}
        in_memory = {"target": "< 2 MB", "verdict": verdict(met=median(used) < MOST_BYTES)}
    return [
        row_of(f"{label}: start-up", [each * 1e3 for each in seconds], "ms", **on_time),
        row_of(f"{label}: memory", [each / 2**20 for each in used], "MB", **in_memory),
    ]
