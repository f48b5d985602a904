"""Made worlds for the samplers: a file system root with /proc and cgroupfs, and a process with told answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gc_otel.sample.cgroup import LimitReader, MemoryLimit
from gc_otel.sample.process import ProcessSample, ProcessSampler

V2_MOUNT = "31 23 0:28 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory"
OTHER_MOUNTS = (
    "23 1 0:21 / /proc rw,nosuid - proc proc rw",
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct",
)


class Tree:
    """A made file system root with one process, "self" unless told otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, *cgroups: str, mounts: tuple[str, ...], pid: int | str = "self") -> None:
        """Write what /proc tells about a process."""
        self.write(f"proc/{pid}/cgroup", "".join(f"{line}\n" for line in cgroups))
        self.write(f"proc/{pid}/mountinfo", "".join(f"{line}\n" for line in (*OTHER_MOUNTS, *mounts)))

    def write(self, path: str, text: str | int) -> None:
        """Write one file, with the newline that the kernel puts."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def find(self, pid: int | str = "self", **limits: int | None) -> MemoryLimit | None:
        """What binds, with no limits by rlimit and machine unless given."""
        return self.reader(pid, **limits).read()

    def reader(self, pid: int | str = "self", **limits: int | None) -> LimitReader:
        """The same, to be read more than once."""
        given = {"rlimit_as_bytes": None, "machine_bytes": None, **limits}
        return LimitReader(pid, root=self.root, **given)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty tree."""
    return Tree(tmp_path)


@pytest.fixture
def v2(tree: Tree) -> Tree:
    """A host with cgroup v2, whose process is two levels down."""
    tree.process("0::/app.slice/web.service", mounts=(V2_MOUNT.format(root="/"),))
    return tree


@pytest.fixture
def v1(tree: Tree) -> Tree:
    """A host with cgroup v1, whose process is two levels down."""
    tree.process("9:name=systemd:/x", "4:memory:/app/web", "2:cpu,cpuacct:/y", mounts=(V1_MOUNT.format(root="/"),))
    return tree


PID = 2**30  # no system gives such a number
SECOND_NS = 1_000_000_000
STAT = f"{PID} (a) (b) R) S 1 {PID} {PID} 0 -1 4194304 1010 2020 33 44 5 6 7 8 20 0 1 0 150990 3133440 390\n"
WHOLE = ProcessSample(
    rss_bytes=100,
    vms_bytes=200,
    cpu_user_ns=1_500_000_000,
    cpu_system_ns=250_000_000,
    threads=3,
    file_descriptors=9,
    voluntary_switches=70,
    involuntary_switches=8,
    minor_faults=1010,
    major_faults=33,
)


class FakeProcess:
    """A psutil.Process whose answers, or failures, are told beforehand."""

    pid = PID

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "is_running": True,
            "status": "sleeping",
            "memory_info": SimpleNamespace(rss=100, vms=200),
            "memory_full_info": SimpleNamespace(rss=100, vms=200, uss=40, pss=50, swap=6),
            "cpu_times": SimpleNamespace(user=1.5, system=0.25),
            "num_threads": 3,
            "num_fds": 9,
            "num_ctx_switches": SimpleNamespace(voluntary=70, involuntary=8),
        }
        self.asked: list[str] = []
        self.oneshots = 0

    @contextmanager
    def oneshot(self) -> Iterator[None]:
        """Counted, as one sample should need but one."""
        self.oneshots += 1
        yield

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            raise AttributeError(name)
        return lambda: self._answer(name)

    def _answer(self, name: str) -> Any:
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Rig:
    """A sampler of a fake process with a made clock and /proc."""

    def __init__(self, proc_root: Path) -> None:
        self.process = FakeProcess()
        self.now_ns = 5 * SECOND_NS
        self.costs_ns = iter(range(0, 10**12, 1000))
        self.whole = WHOLE
        self.told: list[tuple[str, Exception]] = []
        self.stat = proc_root / str(PID) / "stat"
        self.stat.parent.mkdir()
        self.stat.write_text(STAT)
        self.sampler = ProcessSampler(
            process=self.process,
            on_disabled=lambda source, error: self.told.append((source, error)),
            clock_ns=lambda: self.now_ns,
            cost_clock_ns=lambda: next(self.costs_ns),
            proc_root=proc_root,
        )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A sampler of a healthy fake process."""
    return Rig(tmp_path)
