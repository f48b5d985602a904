"""The sampler of one process, with a made process: sources that fail, the beat of the dear numbers, an end."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_otel.sample import process as module
from gc_otel.sample.process import ProcessGone, ProcessSample, ProcessSampler, parse_faults

PID = 2**30  # as in conftest
SOURCES = {
    "memory": ("memory_info", {"rss_bytes", "vms_bytes"}),
    "cpu": ("cpu_times", {"cpu_user_ns", "cpu_system_ns"}),
    "threads": ("num_threads", {"threads"}),
    "descriptors": ("num_fds", {"file_descriptors"}),
    "switches": ("num_ctx_switches", {"voluntary_switches", "involuntary_switches"}),
}


def fields_of(sample: ProcessSample) -> dict[str, int | None]:
    """A sample as a dict, which slots do not give by vars()."""
    return {name: getattr(sample, name) for name in ProcessSample.__slots__}


def test_whole_sample(rig) -> None:
    """All sources speak: every field has its number and unit, from one oneshot."""
    assert rig.sampler.sample() == rig.whole
    assert rig.process.oneshots == 1
    assert rig.told == []
    assert dict(rig.sampler.disabled) == {}


@pytest.mark.parametrize(
    "error",
    [
        psutil.AccessDenied(PID),
        NotImplementedError("not on this platform"),
        OSError(errno.EIO, "broken"),
        AttributeError("num_fds"),
        IndexError("list index out of range"),
        ValueError("not enough values to unpack"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("source", SOURCES)
def test_source_that_fails_is_disabled_alone(rig, source: str, error: Exception) -> None:
    """A failing source is told once and not asked again; the other fields keep their numbers."""
    method, fields = SOURCES[source]
    rig.process.answers[method] = error
    expected = {name: None if name in fields else value for name, value in fields_of(rig.whole).items()}
    for _ in range(3):
        assert fields_of(rig.sampler.sample()) == expected
    assert rig.told == [(source, error)]
    assert rig.process.asked.count(method) == 1
    assert rig.sampler.disabled == {source: f"{type(error).__name__}: {error}"}


def test_source_that_the_platform_lacks(rig) -> None:
    """psutil has no num_fds on Windows: the AttributeError disables the descriptors."""
    del rig.process.answers["num_fds"]
    assert rig.sampler.sample().file_descriptors is None
    assert rig.sampler.disabled == {"descriptors": "AttributeError: num_fds"}


@pytest.mark.parametrize("text", ["", "1 (a) R 1 2", "1 (a) R 1 1 1 0 -1 0 x 0 y 0"])
def test_faults_that_cannot_be_read(rig, text: str) -> None:
    """A stat file of garbage disables the faults only."""
    rig.stat.write_text(text)
    sample = rig.sampler.sample()
    assert (sample.minor_faults, sample.major_faults, sample.rss_bytes) == (None, None, 100)
    assert [source for source, _ in rig.told] == ["faults"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR])
def test_shortage_is_forgiven(rig, number: int) -> None:
    """A program out of descriptors loses its numbers only while it is."""
    healthy = rig.process.answers["memory_info"]
    rig.process.answers["memory_info"] = OSError(number, "shortage")
    assert rig.sampler.sample().rss_bytes is None
    rig.process.answers["memory_info"] = healthy
    assert rig.sampler.sample() == rig.whole
    assert rig.told == []


def test_disabled_is_read_only(rig) -> None:
    """Nobody but the sampler disables a source."""
    with pytest.raises(TypeError):
        rig.sampler.disabled["memory"] = "no"  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("is_running", False),
        ("status", "zombie"),
        ("status", psutil.NoSuchProcess(PID)),
        ("memory_info", psutil.NoSuchProcess(PID)),
        ("memory_info", SimpleNamespace(rss=0, vms=0)),  # on its way out, its memory taken back
        ("num_fds", psutil.ZombieProcess(PID)),
    ],
)
def test_process_that_is_gone(rig, method: str, answer: object) -> None:
    """An ended process, a zombie and a reused pid raise ProcessGone; no source is blamed."""
    rig.process.answers[method] = answer
    with pytest.raises(ProcessGone, match=f"process {PID} is gone") as caught:
        rig.sampler.sample()
    assert caught.value.pid == PID
    assert rig.told == []


def test_process_that_ends_while_it_is_sampled(rig) -> None:
    """Where a source fails because the process has just become a zombie, it is gone, and the source not at fault."""
    states = iter(["running", "zombie"])
    rig.process.status = lambda: next(states)  # type: ignore[attr-defined]
    rig.process.answers["num_fds"] = psutil.AccessDenied(PID)
    with pytest.raises(ProcessGone):
        rig.sampler.sample()
    assert rig.told == []


def test_unknown_status_is_no_end(rig) -> None:
    """Where the status may not be read the process is taken for alive."""
    rig.process.answers["status"] = psutil.AccessDenied(PID)
    assert rig.sampler.sample() == rig.whole


def test_process_gone_is_a_lookup_error() -> None:
    """Callers that know no better may catch LookupError."""
    assert issubclass(ProcessGone, LookupError)


def test_sampler_of_no_process() -> None:
    """A sampler of a pid that nobody has is not made."""
    with pytest.raises(ProcessGone) as caught:
        ProcessSampler(PID, on_disabled=pytest.fail)
    assert caught.value.pid == PID


def test_own_faults_without_the_resource_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows there is neither getrusage nor /proc: the faults are disabled."""
    monkeypatch.setattr(module, "resource", None)
    told: list[str] = []
    sampler = ProcessSampler(on_disabled=lambda source, error: told.append(source), proc_root=tmp_path)
    assert sampler.sample().minor_faults is None
    assert told == ["faults"]


def test_faults_behind_a_hostile_name() -> None:
    """A program's name may hold blanks and parentheses: fields are counted from the last one."""
    assert parse_faults(b"7 (a) (b) R) S 1 7 7 0 -1 4194304 1010 2020 33 44 5 6 7 8\n") == (1010, 33)


@given(st.one_of(st.binary(), st.text(alphabet="()0123456789 -x").map(str.encode)))
def test_faults_parser_takes_any_bytes(stat: bytes) -> None:
    """Whatever stat holds, the answer is two numbers, or an error that disables the source."""
    try:
        minor, major = parse_faults(stat)
    except (ValueError, IndexError):
        return
    assert isinstance(minor, int)
    assert isinstance(major, int)
