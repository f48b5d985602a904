"""Which end an OOM kill explains, on made cgroup trees and by real SIGKILLs; and a real OOM kill where a cgroup is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gc_otel.sample.oom import find_oom_counter
from gc_otel.service import reasons
from gc_otel.service.killings import Killings
from gc_otel.service.reasons import Evidence, ExitStatus, is_reason, reason_of

SIGKILLED = ExitStatus(None, signal.SIGKILL)
MINUTE_NS = 60 * 10**9


class Cgroups:
    """A made tree with v2 and v1 side by side: processes below 100 are in the one, the rest in the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now_ns = 0
        mounts = (
            "31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        )
        for pid, text in (("self", "0::/"), ("1", "0::/shop"), ("2", "0::/shop"), ("101", "4:memory:/bank")):
            folder = root / "proc" / pid
            folder.mkdir(parents=True)
            (folder / "cgroup").write_text(text + "\n")
            (folder / "mountinfo").write_text(mounts)
        self.v2 = root / "sys/fs/cgroup/unified/shop/memory.events"
        self.v1 = root / "sys/fs/cgroup/memory/bank/memory.oom_control"
        for path in (self.v2, self.v1):
            path.parent.mkdir(parents=True)
        self.kill(self.v2, 5)
        self.kill(self.v1, 0)
        self.killings = Killings(lambda pid: find_oom_counter(pid, root=root), lambda: self.now_ns)

    def kill(self, path: Path, kills: int) -> None:
        path.write_text(f"low 0\noom_kill {kills}\n")


@pytest.fixture
def cgroups(tmp_path):
    made = Cgroups(tmp_path)
    yield made
    made.killings.close()


def test_a_kill_explains_one_end(cgroups):
    """What was counted before the first sight explains nothing; two ends and one kill leave one unknown."""
    killings = cgroups.killings
    killings.watch("a", 1)
    killings.watch("b", 2)
    assert not killings.explains("a")
    cgroups.kill(cgroups.v2, 6)
    assert killings.explains("b")
    assert not killings.explains("a")


def test_v1_and_a_neighbour(cgroups):
    """A kill in one cgroup explains no end in another."""
    killings = cgroups.killings
    killings.watch("a", 1)
    killings.watch("c", 101)
    cgroups.kill(cgroups.v1, 1)
    assert not killings.explains("a")
    assert killings.explains("c")


def test_a_kill_of_long_ago_explains_nothing(cgroups):
    """It was somebody else's end, who is not recorded."""
    killings = cgroups.killings
    killings.watch("a", 1)
    cgroups.kill(cgroups.v2, 6)
    killings.look()
    cgroups.now_ns += MINUTE_NS
    assert not killings.explains("a")


def test_the_forgotten_and_the_unknown(cgroups):
    """The last of a cgroup closes its counter; who has none is never explained."""
    killings = cgroups.killings
    descriptors = len(os.listdir("/proc/self/fd"))
    killings.watch("a", 1)
    killings.watch("a", 1)
    killings.watch("b", 2)
    killings.watch("nobody", 77)
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
    killings.forget("a")
    killings.forget("b")
    killings.forget("nobody")
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert not killings.explains("a")


def test_a_counter_that_goes_back_is_no_kill(cgroups):
    """Nor one that cannot be read any more."""
    cgroups.killings.watch("a", 1)
    cgroups.kill(cgroups.v2, 2)
    assert not cgroups.killings.explains("a")
    cgroups.v2.write_text("")
    assert not cgroups.killings.explains("a")


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (Evidence(SIGKILLED, False, None, "", True), "OOM kill"),
        (Evidence(SIGKILLED, False, None, "", False), "SIGKILL, cause unknown"),
        (Evidence(SIGKILLED, True, None, "", False), "SIGKILL, cause unknown"),
        (Evidence(None, False, None, "", True), "OOM kill"),
        (Evidence(None, False, None, "", False), "unknown"),
        (Evidence(None, True, None, "", False), "clean exit"),
        (Evidence(None, True, None, "a.B", False), "unhandled exception"),
        (Evidence(None, True, None, "KeyboardInterrupt", False), "signal SIGINT"),
        (Evidence(None, True, 0, "", False), "clean exit"),
        (Evidence(None, True, 0, "a.B", False), "clean exit"),
        (Evidence(None, True, 1, "a.B", False), "unhandled exception"),
        (Evidence(None, True, 3, "a.B", False), "exit code 3"),
        (Evidence(None, False, 6, "", False), "exit code 6"),
        (Evidence(ExitStatus(1, None), True, 1, "a.B", False), "unhandled exception"),
        (Evidence(ExitStatus(1, None), True, 1, "", False), "exit code 1"),
        (Evidence(ExitStatus(0, None), False, None, "", False), "clean exit"),
        (Evidence(ExitStatus(None, 11), False, None, "", True), "signal SIGSEGV"),
        (Evidence(ExitStatus(None, 50), False, None, "", False), "signal 50"),
    ],
)
def test_the_reason(evidence, reason):
    """The kernel's word first, then the process's own, and never a guess."""
    assert reason_of(evidence) == reason
    assert is_reason(reason)


def test_wait_statuses_and_names():
    """As wait(2) gives them; a label is one of a closed set."""
    assert ExitStatus.from_wait_status(3 << 8) == ExitStatus(3, None)
    assert ExitStatus.from_wait_status(11 | 0x80) == ExitStatus(None, 11, core_dumped=True)
    assert ExitStatus.from_wait_status(9) == SIGKILLED
    for text in ("", "exit code 0", "exit code 256", "signal x", "Clean exit"):
        assert not is_reason(text)
    assert all(map(is_reason, reasons.USUAL))


_EATER = """
import sys
from gc_otel.config import Config
from gc_otel.probe import probe
probe.start(Config.from_env(), run_mode=True)
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write("0")
print(probe.current().path, flush=True)
sys.stdin.read()
kept = []
while True:
    kept.append(bytearray(b"x" * 2**20))
"""


def test_a_real_oom_kill(service, eventually, folder):
    """By the kernel, in a cgroup with a memory limit that somebody has delegated to this test."""
    cgroup = os.environ.get("GCOTEL_TEST_OOM_CGROUP")
    if not cgroup:
        pytest.skip("no cgroup with a memory limit is given to the tests (GCOTEL_TEST_OOM_CGROUP, docs/postmortem.md)")
    eater = subprocess.Popen([sys.executable, "-c", _EATER, cgroup], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    eater.stdout.readline()
    service.turn()
    eater.stdin.close()
    assert eater.wait(60) == -signal.SIGKILL
    eater.stdout.close()
    eventually(lambda: service.turn() or service.said, "it is not buried")
    (ending,) = service.said
    assert ending.reason == "OOM kill"
    assert "its cgroup counted an OOM kill that no other end explains" in ending.evidence
