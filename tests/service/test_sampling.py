"""Every living process is sampled from outside, and an hour of it kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gc_otel
from gc_otel.config import Config
from gc_otel.flight import layout
from gc_otel.flight.snapshot import HistoryPoint
from gc_otel.record import replace
from gc_otel.sample.cgroup import CGROUP_V2, MACHINE, MemoryLimit
from gc_otel.sample.process import ProcessGone
from gc_otel.service import sampling as samplings
from gc_otel.service.history import History
from gc_otel.service.sampling import Sampling


@pytest.fixture
def found(service, make):
    """A made process, and how it is followed."""

    def find(**header):
        made = make(**header)
        service.following.refresh()
        (recorded,) = (each for each in service.following.shown() if each.path == made.path)
        return made, recorded

    return find


def test_a_round_samples_and_keeps(service, found):
    """Memory, CPU time, limit and detail of the process itself; one point of its history."""
    made, recorded = found()
    made.collect(times=4)
    service.sampling.round()
    memory = recorded.snapshot().memory
    assert 0 < memory.rss_bytes < memory.vms_bytes
    assert memory.uss_bytes <= memory.pss_bytes
    assert memory.threads == 1
    assert memory.limit_source in layout.LIMIT_SOURCES[1:]
    (point,) = recorded.history.points()
    assert (point.rss_bytes, point.collections, point.allocated_blocks) == (memory.rss_bytes, 4, None)
    assert service.ledger.cpu_ns["sampling"] > 0
    assert service.ledger.faults == ()


def test_a_page_does_not_wait_for_the_first_round(service, found, values_of):
    """A process that is new is sampled by who is about to show it, cheaply; never while a round has it in hand."""
    _, recorded = found()
    (rss_bytes,) = values_of(service.page(), "process_memory_usage_bytes").values()
    assert rss_bytes > 0
    assert recorded.memory.uss_bytes is None
    _, other = found()
    source = service.sampling._source(other)
    with source.lock:
        service.sampling.sample_new(other)
    assert other.memory is None


def test_a_process_of_another_namespace_tells_of_itself(service, found):
    """Its pid is somebody else's here: nothing is sampled, and what it wrote stands."""
    made, recorded = found(pid=os.getpid(), pid_namespace=7)
    made.cells[layout.MEMORY.cell("sampled_ns")] = 1
    made.cells[layout.MEMORY.cell("rss_bytes")] = 4711
    service.sampling.round()
    assert recorded.memory is None
    assert recorded.snapshot().memory.rss_bytes == 4711
    assert [point.rss_bytes for point in recorded.history.points()] == [4711]


def test_a_pid_that_may_be_anothers_by_now_is_not_sampled(service, found):
    """Its lock is asked for after psutil has noted who has that pid."""
    made, recorded = found()
    made.die()
    with pytest.raises(ProcessGone):
        samplings._Source(recorded, print)
    service.sampling.sample_new(recorded)
    service.sampling.round()
    assert recorded.memory is None
    assert service.ledger.faults == ()


@pytest.mark.parametrize(
    ("same_mounts", "limit", "source"),
    [
        (True, MemoryLimit(5, MACHINE), MACHINE),
        (False, MemoryLimit(5, MACHINE), "unknown"),
        (False, MemoryLimit(5, CGROUP_V2), CGROUP_V2),
        (True, None, "unknown"),
    ],
)
def test_a_limit_that_is_out_of_sight_is_unknown(found, same_mounts, limit, source):
    """In another mount namespace the machine's memory is a guess, and a cgroup's limit is not."""
    _, recorded = found()
    one = samplings._Source(recorded, print)
    one._same_mounts = same_mounts
    one._limit.read = lambda: limit
    memory = one.sample(with_detail=False)
    assert memory.limit_source == source
    assert memory.limit_bytes == (None if source == "unknown" else 5)


def test_what_fails_is_noted_and_the_others_are_sampled(service, found, monkeypatch):
    """By pid."""
    _, bad = found()
    _, good = found()
    real = Sampling._source

    def source(self, recorded):
        if recorded is bad:
            raise ZeroDivisionError
        return real(self, recorded)

    monkeypatch.setattr(Sampling, "_source", source)
    service.sampling.round()
    assert good.memory is not None
    (fault,) = service.ledger.faults
    assert fault.text == f"sampling process {bad.identity.pid}: ZeroDivisionError: "


def test_the_thread_samples_until_it_is_stopped(service, found, eventually):
    """At its interval; what has gone is forgotten."""
    made, recorded = found()
    sampling = Sampling(service.following, replace(Config(), sample_interval=0.1), service.ledger)
    stop = sampling.start()
    eventually(lambda: len(recorded.history) >= 2, "no second round")
    made.die()
    service.following.refresh()
    eventually(lambda: not sampling._sources, "it was not forgotten")
    stop()
    assert not [each for each in samplings.threading.enumerate() if each.name == "gc_otel-sampling"]


def test_a_process_in_c_code_is_sampled_and_shown(service, values_of, flight_dir):
    """Its own monitor cannot run: the GIL is not to be had."""
    program = Path(__file__).parent / "programs" / "in_c.py"
    env = {**os.environ, "PYTHONPATH": str(Path(gc_otel.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=env)
    try:
        assert process.stdout.readline() == b"here\n"
        service.following.refresh()
        (recorded,) = service.following.living()
        for _ in range(3):
            service.sampling.round()
        points = recorded.history.points()
        assert [point.rss_bytes > 2**20 for point in points] == [True] * 3
        assert points[0].unix_ns < points[2].unix_ns
        page = service.page()
        assert sum(values_of(page, "cpython_gc_collections_total").values()) >= 1
        assert len(values_of(page, "process_memory_usage_bytes")) == 1
    finally:
        process.kill()
        process.communicate()


def test_history_is_a_ring():
    """Unknown stays unknown, the oldest goes first."""
    history = History(3)
    points = [HistoryPoint(number, None, 1, 2, None, number, 3, 4, None, 5) for number in range(5)]
    assert history.points() == ()
    for point in points[:2]:
        history.append(point)
    assert (history.points(), len(history)) == (tuple(points[:2]), 2)
    for point in points[2:]:
        history.append(point)
    assert (history.points(), len(history)) == (tuple(points[2:]), 3)
