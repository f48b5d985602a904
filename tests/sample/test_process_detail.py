"""The dear numbers: when they are due, and what it takes to get them."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from gc_otel.sample.process import MemoryDetail, ProcessGone

SECOND_NS = 1_000_000_000


def test_detail_is_due_every_thirty_seconds(rig) -> None:
    """A cheap detail is given at once, and then every 30 s."""
    whole = MemoryDetail(uss_bytes=40, pss_bytes=50, swap_bytes=6)
    assert rig.sampler.detail() == whole
    rig.now_ns += 30 * SECOND_NS - 1
    assert rig.sampler.detail() is None
    rig.now_ns += 1
    assert rig.sampler.detail() == whole
    assert rig.process.asked.count("memory_full_info") == 2


def test_dear_detail_makes_itself_rare(rig) -> None:
    """A detail that costs 0.1 s is due every 200 s, which is 0.05 % of a core, until it is cheap again."""
    rig.costs_ns = iter([0, SECOND_NS // 10, 0, 1000, 0, 1000])
    assert rig.sampler.detail() is not None
    rig.now_ns += 200 * SECOND_NS - 1
    assert rig.sampler.detail() is None
    rig.now_ns += 1
    assert rig.sampler.detail() is not None
    rig.now_ns += 30 * SECOND_NS
    assert rig.sampler.detail() is not None


def test_detail_by_its_new_name(rig) -> None:
    """Where psutil has memory_footprint, memory_full_info is deprecated and not asked; what it lacks is None."""
    rig.process.answers["memory_footprint"] = SimpleNamespace(uss=1)
    assert rig.sampler.detail() == MemoryDetail(uss_bytes=1, pss_bytes=None, swap_bytes=None)
    assert "memory_full_info" not in rig.process.asked


def test_detail_that_is_denied(rig) -> None:
    """Another user's smaps may not be read: detail is disabled, and the sample goes on."""
    rig.process.answers["memory_full_info"] = psutil.AccessDenied(rig.process.pid)
    for _ in range(2):
        assert rig.sampler.detail() is None
        rig.now_ns += 60 * SECOND_NS
    assert [source for source, _ in rig.told] == ["detail"]
    assert rig.process.asked.count("memory_full_info") == 1
    assert rig.sampler.sample() == rig.whole


def test_detail_of_a_process_that_is_gone(rig) -> None:
    """The dear numbers of an ended process raise ProcessGone too."""
    rig.process.answers["is_running"] = False
    with pytest.raises(ProcessGone):
        rig.sampler.detail()
