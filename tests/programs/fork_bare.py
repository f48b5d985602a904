"""A fork by C that runs no hooks.  Arguments: native|python, then how the child goes on: exit, fork or stop."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import _recorded as recorded

from gc_otel.flight import reader
from gc_otel.probe import probe


def switches() -> list[str]:
    """How often each thread but this one went to sleep."""
    mine = str(os.getpid())
    return [
        next(line for line in Path(f"/proc/self/task/{tid}/status").read_text().splitlines() if "voluntary" in line)
        for tid in sorted(os.listdir("/proc/self/task"))
        if tid != mine
    ]


def wait_until_all_sleep() -> None:
    """A fork that catches a thread asking for the GIL leaves the child without it: not our subject."""
    seen: list[list[str]] = []

    def quiet() -> bool:
        seen.append(switches())
        return len(seen) > 5 and all(each == seen[-1] for each in seen[-5:])

    recorded.wait_until(quiet, "the monitor does not sleep")


stop = probe.start(recorded.config(sys.argv[1], interval_s=3600))
current = probe.current()
recorded.wait_until(lambda: reader.read_interpreter(current.source), "no first round")
gc.disable()
gc.collect()
wait_until_all_sleep()
before = reader.read_collector(current.source)
path = current.path
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    signal.alarm(20)
    for _ in range(10):
        gc.collect()
    assert not current.alive
    assert probe.current() is None
    if sys.argv[2] == "fork":
        grandchild = os.fork()
        if grandchild == 0:
            gc.collect()
            os._exit(5)
        assert recorded.exit_code(grandchild) == 5
        assert subprocess.run(["true"], check=False, preexec_fn=lambda: None).returncode == 0
    if sys.argv[2] == "stop":
        stop()
        assert path.exists()
    sys.exit(4)
code = recorded.exit_code(pid)
after = reader.read_collector(current.source)
gc.collect()
seen = recorded.file_of(os.getpid())
recorded.report(
    child_exit=code,
    untouched=before == after,
    goes_on=reader.read_collector(current.source).collections - before.collections,
    seen=seen,
    pid=os.getpid(),
    mappings=recorded.own_mappings(),
    files=[each.name for each in recorded.flight_files() if each.name.startswith(f"{pid}-")],
)
stop()
assert not path.exists()
