"""The process beside: what it has of its maker, and what its maker notices of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "beside.py"


@pytest.fixture
def tell(plain_env):
    def run(*words):
        done = subprocess.run(
            [sys.executable, PROGRAM, *words],
            env=plain_env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


def test_it_is_a_process_of_its_own(tell):
    """A session, a folder, descriptors, signals, a name and a thread id of its own, and forks and threads that work."""
    told = tell()
    theirs, ours = told["theirs"], told["ours"]
    assert theirs["pid"] == ours["pid"] == theirs["session"] == theirs["native_id"]
    assert theirs["is_main_thread"]
    assert theirs["thread_is_new"]
    assert (theirs["folder"], theirs["umask"], theirs["name"]) == ("/", 0o077, "gc-otel-export")
    assert theirs["standard"] == [os.devnull] * 3
    assert theirs["pipes"] == [ours["write_fd"]]
    assert theirs["handlers"] == [0, 0, 0]
    assert theirs["pipe_ignored"]
    assert theirs["blocked"] == 0
    assert theirs["raised"] == 1
    assert theirs["child"] == 3


def test_its_maker_does_not_meet_it(tell):
    """No waitpid(-1), no SIGCHLD, no signal blocked for longer; who knows of it can ask how it ended."""
    ours = tell()["ours"]
    assert (ours["met"], ours["signals"], ours["blocked_more"], ours["code"]) == (["none"], 0, 0, 0)
    assert tell("fail")["ours"]["code"] == 1
