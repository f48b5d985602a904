"""The sampler on real processes: this one, a child that dies, and a fork."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from gc_otel.sample.process import MemoryDetail, ProcessGone, ProcessSample, ProcessSampler

MIB = 2**20
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def own() -> ProcessSampler:
    """A sampler of this process that must not fail."""
    return ProcessSampler(on_disabled=lambda source, error: pytest.fail(f"{source}: {error!r}"))


@contextmanager
def child_process() -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has begun, and ends with the block if not before."""
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout.readline().strip() == b"ready"
            yield child
        finally:
            child.kill()


@LINUX
def test_own_process() -> None:
    """On Linux every source speaks for the own process, and numbers are of the right order."""
    sample = own().sample()
    assert None not in [getattr(sample, name) for name in ProcessSample.__slots__]
    assert 5 * MIB < sample.rss_bytes < sample.vms_bytes
    assert sample.cpu_user_ns > 10_000_000
    assert sample.minor_faults > 1000


@LINUX
def test_own_process_sees_what_changes() -> None:
    """Memory, threads, descriptors, CPU time, switches and faults move when they should."""
    sampler = own()
    before = sampler.sample()
    block, stop = bytearray(os.urandom(1)) * (64 * MIB), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with open(os.devnull) as file:
        busy_until = time.process_time() + 0.05
        while time.process_time() < busy_until:
            pass
        time.sleep(0.001)
        after = sampler.sample()
        assert not file.closed
    stop.set()
    thread.join()
    assert after.rss_bytes - before.rss_bytes > 60 * MIB
    assert after.minor_faults > before.minor_faults
    assert after.threads - before.threads == 1
    assert after.file_descriptors - before.file_descriptors == 1
    spent_ns = after.cpu_user_ns + after.cpu_system_ns - before.cpu_user_ns - before.cpu_system_ns
    assert 20_000_000 <= spent_ns <= 2_000_000_000
    assert after.voluntary_switches > before.voluntary_switches
    assert len(block) == 64 * MIB


@LINUX
def test_own_detail() -> None:
    """The own unique memory is part of the own proportional memory, and that of the resident."""
    sampler = own()
    detail = sampler.detail()
    assert isinstance(detail, MemoryDetail)
    assert 1 * MIB < detail.uss_bytes <= detail.pss_bytes <= psutil.Process().memory_info().rss + 8 * MIB
    assert sampler.detail() is None


@LINUX
def test_faults_of_both_ways_agree() -> None:
    """getrusage of a process and its stat file, read from outside, tell the same faults."""
    code = (
        "import sys; from gc_otel.sample.process import ProcessSampler\n"
        "sampler = ProcessSampler(on_disabled=print); sampler.sample()\n"
        "print(sampler.sample().minor_faults, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        inside = int(child.stdout.readline())
        outside = ProcessSampler(child.pid, on_disabled=lambda source, error: pytest.fail(source)).sample()
        child.communicate(b"")
    assert inside <= outside.minor_faults < inside + 300


def test_child_that_dies() -> None:
    """A child is sampled while it lives; as a zombie and after it is reaped it is gone."""
    with child_process() as child:
        sampler = ProcessSampler(child.pid, on_disabled=lambda source, error: None)
        assert sampler.sample().rss_bytes > 1 * MIB
        assert sampler.pid == child.pid
        child.kill()
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with pytest.raises(ProcessGone):
                sampler.sample()
        child.wait()
        with pytest.raises(ProcessGone):
            sampler.sample()
        with pytest.raises(ProcessGone):
            ProcessSampler(child.pid, on_disabled=pytest.fail)


@LINUX
def test_changed_pid_means_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds another pid of its own than at the start opens that process, and only then."""
    sampler = own()
    before = sampler.sample()
    with child_process() as child:
        monkeypatch.setattr(os, "getpid", lambda: child.pid)
        sample = sampler.sample()
        assert (sampler.pid, sample.threads) == (child.pid, 1)
        assert sample.rss_bytes < before.rss_bytes
        monkeypatch.undo()


def in_fork(sampler: ProcessSampler) -> tuple[int, int, int, bool]:
    """Child's pid by fork, and, as the child's sampler tells: pid, rss after taking 64 MiB, whether a detail is due."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12+: the test runner may have threads
        pid = os.fork()
    if pid == 0:
        try:
            block = bytearray(b"x") * (64 * MIB)
            rss_bytes = sampler.sample().rss_bytes
            os.write(writer, f"{sampler.pid} {rss_bytes} {int(sampler.detail() is not None)}".encode())
            del block
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told_pid, rss_bytes, due = map(int, pipe.read().split())
    os.waitpid(pid, 0)
    return pid, told_pid, rss_bytes, bool(due)


@FORK
@LINUX
@pytest.mark.parametrize("explicit", [False, True])
def test_sampler_of_the_own_process_follows_a_fork(explicit) -> None:
    """After a fork the child's sampler tells the child's numbers, not the parent's, and its detail is due at once."""
    sampler = ProcessSampler(os.getpid() if explicit else None, on_disabled=pytest.fail)
    assert sampler.detail() is not None
    assert sampler.detail() is None
    pid, told_pid, child_rss_bytes, due = in_fork(sampler)
    assert told_pid == pid
    assert due
    assert sampler.pid == os.getpid()
    # The child has its parent's pages, though not all of those of files, and then took 64 MiB.
    assert child_rss_bytes > sampler.sample().rss_bytes + 24 * MIB


@FORK
@LINUX
def test_sampler_of_another_process_stays_with_it() -> None:
    """A sampler that was made for another pid goes on sampling that one in a forked child."""
    with child_process() as other:
        _, told_pid, rss_bytes, _ = in_fork(ProcessSampler(other.pid, on_disabled=pytest.fail))
    assert told_pid == other.pid
    assert 1 * MIB < rss_bytes < 60 * MIB


def test_import_is_cheap() -> None:
    """Importing the room imports neither psutil nor OpenTelemetry: an observed process pays for neither."""
    code = (
        "import sys, gc_otel.sample.process, gc_otel.sample.cgroup\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('psutil', 'opentelemetry')))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"


@pytest.mark.parametrize("name", ["process", "cgroup"])
def test_import_without_the_resource_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room can be imported on Windows, which has no resource module."""
    spec = importlib.util.find_spec(f"gc_otel.sample.{name}")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.resource is None
