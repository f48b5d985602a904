"""Sub-interpreters and gevent: left alone, and not in the way."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.mark.parametrize("isolation", ["legacy", "isolated"])
def test_a_sub_interpreter_is_left_alone(run_silent, kind, isolation):
    """Recording is refused there, nothing of it is recorded, and it ends as it would without us."""
    if not any(importlib.util.find_spec(name) for name in ("_interpreters", "_xxsubinterpreters")):
        pytest.skip("this build has no sub-interpreters")
    told = run_silent("subinterpreters.py", kind, isolation)
    (answer,) = told["told"]
    assert answer == "NotSupported: Nothing is recorded here, and nothing else is affected.; callbacks 0"
    assert (told["of_the_others"], told["goes_on"]) == (0, 1)
    assert told["same_files"] is True


def test_the_monitor_runs_while_interpreters_come_and_go(run_silent, kind):
    """A thread of ours must not ask CPython what it cannot answer while an interpreter is being deleted."""
    if not importlib.util.find_spec("_interpreters"):
        pytest.skip("no isolated interpreters before 3.13")
    told = run_silent("interpreters_come_and_go.py", kind)
    assert told["rounds"] > told["interpreters"] == 25


@pytest.mark.parametrize("started", ["before", "after"])
def test_gevent_and_the_monitor_do_not_meet(run_silent, kind, started):
    """The monitor is a thread of the operating system's, and greenlets, forks and the hub work as ever."""
    pytest.importorskip("gevent")
    told = run_silent("gevent_program.py", kind, started)
    assert told["busy"] == [True] * 4
    assert (told["worked"], told["ran"], told["forked"]) == ([0, 1, 2, 3, 4], "1\n", 8)
    assert told["known"] == 1
    assert (told["in_hub"], told["stopped"]) == ("stopped", True)
    assert (told["tasks_left"], told["mappings"]) == (0, 0)
