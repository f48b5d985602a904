"""What a process reads of itself without psutil."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gc_otel.sample.own import OwnSample, OwnSampler

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no Linux /proc here")

STAT = "7 (a ) (b) S 1 " + " ".join(map(str, range(5, 53)))  # every field from the fifth on is its own number


def test_fields_are_those_of_proc(tmp_path):
    """Pages and ticks in the units of their names; a name with blanks and brackets moves nothing."""
    (tmp_path / "statm").write_text("300 200 100 50 0 40 0\n")
    (tmp_path / "stat").write_text(STAT + "\n")
    sample = OwnSampler(str(tmp_path)).sample()
    page_bytes, tick_ns = os.sysconf("SC_PAGE_SIZE"), 10**9 // os.sysconf("SC_CLK_TCK")
    assert (sample.vms_bytes, sample.rss_bytes) == (300 * page_bytes, 200 * page_bytes)
    assert (sample.cpu_user_ns, sample.cpu_system_ns) == (14 * tick_ns, 15 * tick_ns)
    assert (sample.threads, sample.minor_faults, sample.major_faults) == (20, 10, 12)
    assert (sample.file_descriptors, sample.voluntary_switches, sample.involuntary_switches) == (None, None, None)


def test_its_fields_are_those_of_the_other_sampler():
    """The monitor writes both alike."""
    from gc_otel.sample.process import ProcessSample

    assert set(OwnSample.__slots__) == set(ProcessSample.__slots__)


def test_it_agrees_with_psutil():
    """The same process by the library that the exporter samples with."""
    psutil = pytest.importorskip("psutil")
    sampler = OwnSampler()
    ours, theirs = sampler.sample(), psutil.Process()
    assert ours.rss_bytes == pytest.approx(theirs.memory_info().rss, rel=0.05)
    assert ours.vms_bytes == pytest.approx(theirs.memory_info().vms, rel=0.05)
    assert ours.threads == theirs.num_threads()
    assert ours.cpu_user_ns == pytest.approx(theirs.cpu_times().user * 1e9, abs=1e9)
    assert sampler.detail() is None


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the test's runner has threads
def test_a_forked_child_reads_its_own():
    """The files are opened anew for each sample."""
    sampler = OwnSampler()
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write_fd, str(sampler.sample().threads).encode())
        os._exit(0)
    os.close(write_fd)
    assert os.read(read_fd, 100) == b"1"
    os.close(read_fd)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("text", ["", "nonsense", "1 2"])
def test_garbage_is_refused(tmp_path, text):
    """The monitor notes it, and tries again."""
    (tmp_path / "statm").write_text(text)
    (tmp_path / "stat").write_text(text)
    with pytest.raises((ValueError, IndexError)):
        OwnSampler(str(tmp_path)).sample()
    with pytest.raises(FileNotFoundError):
        OwnSampler(str(tmp_path / "nothing")).sample()
