"""wrk as it drives a service whose requests say, in turns, what shall stand in gc.callbacks: turns.lua is its script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("turns.lua")

#: What wrk says of requests that had no good answer; that one came late is its latency's business.
_LOST: Final = re.compile(r"Non-2xx|Socket errors: (?!connect 0, read 0, write 0)")


@dataclass
class Side:
    """Requests that said the same word, of one turn or of several."""

    latencies_ns: list[int] = field(default_factory=list)
    cpu_ns: int = 0
    cpu_requests: int = 0

    def add(self, other: Side) -> None:
        """Those of another turn too."""
        self.latencies_ns += other.latencies_ns
        self.cpu_ns += other.cpu_ns
        self.cpu_requests += other.cpu_requests

    def mean_ns(self, *, most_ns: float) -> float:
        """Of the latencies up to that one."""
        kept = [each for each in self.latencies_ns if each <= most_ns]
        return sum(kept) / len(kept)

    @property
    def cpu_us(self) -> float:
        """CPU time of one request."""
        return self.cpu_ns / self.cpu_requests / 1e3


Group = dict[str, Side]
"""A turn of each word, one after the other."""


def find_wrk() -> str | None:
    """Where the real components of the tests are, or anywhere else."""
    folders = (os.environ.get("GCOTEL_CI_COMPONENTS", ""), os.environ.get("PATH", ""))
    return shutil.which("wrk", path=os.pathsep.join(filter(None, folders)))


@dataclass(frozen=True)
class Drive:
    """What wrk asks for: ``in_flight`` requests at a time, each on a connection and thread of its own."""

    url: str
    in_flight: int
    pid: int

    def run(self, words: Sequence[str], *, duration_s: float, turn_ns: float, seed: int) -> list[Group]:
        """So long, rounded up to whole seconds: wrk knows no others.  Errors: RuntimeError with what wrk said."""
        wrk = find_wrk()
        assert wrk is not None
        options = ["--threads", self.in_flight, "--connections", self.in_flight, "--duration", f"{ceil(duration_s)}s"]
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            script = ["--script", SCRIPT, self.url, "--", folder, self.pid, round(turn_ns), seed, *words]
            command = [wrk, *map(str, options), *map(str, script)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            # An error in the script leaves 0, and a word on standard error.
            if done.returncode != 0 or done.stderr or _LOST.search(done.stdout):
                raise RuntimeError(f"wrk said: {done.stdout}{done.stderr}")
            lines = [line for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
        return groups_of(lines, words)


def groups_of(lines: Iterable[str], words: Sequence[str]) -> list[Group]:
    """The groups of which every turn has two requests or more, in their order; ``lines`` as turns.lua has them."""
    turns: dict[int, list[tuple[str, int, int]]] = {}
    for line in lines:
        turn, word, latency_ns, cpu_ns = line.split()
        turns.setdefault(int(turn), []).append((word, int(latency_ns), int(cpu_ns)))
    groups: dict[int, Group] = {}
    for turn, requests in sorted(turns.items()):
        if len(requests) > 1:
            groups.setdefault(turn // len(words), {})[requests[0][0]] = _side(requests)
    return [group for group in groups.values() if len(group) == len(words)]


def _side(requests: Sequence[tuple[str, int, int]]) -> Side:
    """CPU time is known at the ends of requests: from the first to the last of n there are n - 1."""
    cpu_ns = [each for _, _, each in requests]
    return Side([latency_ns for _, latency_ns, _ in requests], max(cpu_ns) - min(cpu_ns), len(requests) - 1)
