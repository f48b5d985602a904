"""After a fork, with hooks or without: the child has a recording of its own or none, the parent notices nothing."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")


def test_a_forked_child_records_itself_from_zero(run_silent, kind):
    """Its own file, pid, counters, monitor and mapping; a clean exit removes the file."""
    told = run_silent("fork_os.py", kind)
    child, seen = told["child"], told["child_seen"]
    assert (child["same_probe"], child["epoch"]) == (True, 1)
    assert child["pid"] == child["identity_pid"] == seen["pid"]
    assert child["parent_pid"] == told["parent_pid"]
    assert child["name"] == seen["name"] != told["parent"]["name"]
    assert seen["instance"] != told["parent"]["instance"]
    assert (child["collections"], child["counted_by_cpython"], child["unseen"]) == (3, 3, 0)
    assert (seen["alive"], seen["collections"]) == (True, 3)
    assert (child["threads"], child["sampled_threads"], child["mappings"]) == (2, 2, 1)
    assert child["faults"] == []
    assert (told["child_exit"], told["child_left"]) == (3, None)


def test_the_parent_of_a_fork_goes_on(run_silent, kind):
    """Its cells are untouched by the child's collections, its monitor's thread is back, its file is its own."""
    told = run_silent("fork_os.py", kind)
    assert told["untouched"] is True
    assert told["goes_on"] == 1
    assert told["threads"] == [2, 2]
    assert (told["parent"]["pid"], told["parent"]["alive"]) == (told["parent_pid"], True)


@pytest.mark.parametrize("then", ["exit", "stop", "fork"])
def test_a_fork_without_hooks_harms_nobody(run_silent, kind, then):
    """The child records nothing, touches nothing of its parent's, and can exit, stop() and fork."""
    flags = ("-W", "ignore:This process:DeprecationWarning")  # CPython counts the thread that the child has lost
    told = run_silent("fork_bare.py", kind, then, flags=flags)
    assert told["child_exit"] == 4
    assert told["untouched"] is True
    assert told["goes_on"] == 1
    assert (told["seen"]["pid"], told["seen"]["alive"], told["mappings"]) == (told["pid"], True, 1)
    assert told["files"] == []


def test_children_of_several_forking_threads_record_themselves(run_silent, kind):
    """However the hooks of forks at the same time interleave."""
    flags = ("-W", "ignore:This process:DeprecationWarning")  # for the program's own threads
    told = run_silent("fork_threads.py", kind, flags=flags)
    assert (told["forks"], told["recorded"], told["codes"]) == (36, 36, [10])
    assert told["threads"] == 2


@pytest.mark.skipif(sys.version_info[:3] == (3, 13, 0), reason="CPython 3.13.0 counts the threads before the hooks run")
def test_a_single_threaded_program_forks_without_a_warning(run_silent, kind):
    """CPython 3.12+ warns of forks beside threads: ours is gone before each of twenty."""
    assert run_silent("fork_warning.py", kind, flags=("-W", "error")) == {"codes": [0]}


def test_a_daemon_has_a_file_of_its_own(run_silent, kind, tmp_path):
    """Fork, setsid, fork and closerange: the grandchild lives, its parent does not, the first goes on."""
    told = run_silent("daemon.py", kind, str(tmp_path))
    assert told["child_exit"] == 0
    assert told["child_alive"] is False
    assert told["daemon"]["name"] == told["seen"]["name"]
    assert told["daemon"]["epoch"] >= 1
    assert (told["seen"]["pid"], told["seen"]["alive"]) == (told["daemon"]["pid"], True)
    assert told["seen"]["collections"] >= 1
    assert (told["own"]["pid"], told["own"]["alive"]) == (told["pid"], True)
    assert len({told["pid"], told["child"], told["daemon"]["pid"]}) == 3


def test_subprocess_and_multiprocessing_work(run_silent, kind):
    """Every start method; exit codes are unchanged, and children record into files of their own."""
    told = run_silent("children.py", kind)
    names = {told["own"]}
    for method, child in told["methods"].items():
        assert (child["code"], child["own_pid"], child["alive"]) == (7, True, True), method
        assert (child["since"], child["threads"]) == (2, 2), method
        names.add(child["name"])
    assert len(names) == 4
    assert told["codes"] == [6, 6, 5, 0]
    assert told["alive"] == [told["own"]]
