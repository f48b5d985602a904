"""Library mode across os.fork(): a provider made before the fork is used on both sides."""

from __future__ import annotations

import pytest

ALLOCATED_BYTES = 50_000_000


@pytest.fixture
def told(run_here, kind):
    return run_here("forked.py", kind, str(ALLOCATED_BYTES))


def test_the_child_counts_from_zero(told):
    """The child's counters are its own collections; the parent's go on undisturbed."""
    child, before, after = told["child"], told["parent_before"], told["parent_after"]
    assert child["explicit"] == told["child_asked"] < before["explicit"]
    assert after["explicit"] == before["explicit"] + told["parent_asked"]
    assert after["received"] == after["expected"]


def test_the_child_s_histogram_has_its_own_collections(told):
    """From one collect of the child to the next, its histogram grows by what its counters grow by."""
    first, second = told["child"], told["child_again"]
    assert second["received"] - first["received"] == second["expected"] - first["expected"] > 0


def test_the_child_s_memory_is_its_own(told):
    """The child reports what it has allocated itself, and its parent does not."""
    for side in ("parent_before", "child", "parent_after"):
        assert told[side]["rss"] == pytest.approx(told[side]["true_rss"], rel=0.1), side
    assert told["child"]["rss"] > ALLOCATED_BYTES
    assert told["parent_after"]["rss"] < told["parent_before"]["rss"] + ALLOCATED_BYTES * 0.5


def test_each_has_a_file(told):
    """Parent and child have a flight file each, named after them."""
    assert told["files"] == sorted([told["parent_pid"], told["child_pid"]])
