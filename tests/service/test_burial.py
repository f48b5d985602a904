"""Really killed: how a process ended is found out, counted once, said in one line, and kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gc_otel.service import burial as burials
from gc_otel.service import kernel
from gc_otel.service.burial import line_of
from gc_otel.service.endings import Ending, endings_folder, read_endings
from gc_otel.service.saying import say_without_waiting
from gc_otel.service.tomb import CLEAN_RECORDS_MOST, RECORDS_MOST

PROGRAM = Path(__file__).parents[1] / "programs" / "ending.py"

#: How it ends, and what is said of it where the kernel tells all.
ENDS = [
    ("return", "clean exit"),
    ("exit 3", "exit code 3"),
    ("exit 1", "exit code 1"),
    ("exception", "unhandled exception"),
    ("_exit 0", "clean exit"),
    ("_exit 9", "exit code 9"),
    ("abort", "signal SIGABRT"),
    ("segmentation fault", "signal SIGSEGV"),
    ("interrupt", "signal SIGINT"),
    ("SIGTERM", "signal SIGTERM"),
    ("SIGRTMIN", "signal SIGRTMIN"),
    ("SIGKILL", "SIGKILL, cause unknown"),
]


class Program:
    """A recorded program that waits to be told to end."""

    def __init__(self, how: str, *, kind: str = "native", mode: str = "run") -> None:
        command = [sys.executable, str(PROGRAM), kind, how, mode]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.path = Path(self.process.stdout.readline().decode().strip())
        self.pid = self.process.pid

    def end(self) -> int:
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def program(flight_dir: Path) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(how: str, **more: str) -> Program:
        started.append(Program(how, **more))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()
        each.process.stdin.close()


@pytest.fixture
def buried(service: Any, eventually: Any) -> Callable[[int], Ending]:
    """Turns until that process is buried."""

    def wait(pid: int) -> Ending:
        def look() -> list[Ending]:
            service.turn()
            return [each for each in service.said if each.pid == pid]

        (ending,) = eventually(look, f"process {pid} is not buried")
        return ending

    return wait


def ended(service: Any) -> dict[str, int]:
    """Counted ends by reason."""
    return {reason: count for each in service.totals.services() for reason, count in each.ended.items() if count}


@pytest.mark.parametrize(("how", "reason"), ENDS)
def test_an_end_that_was_watched(service, program, buried, folder, how, reason):
    """The kernel's word and the file's mark give the reason; counted once, one record, one line, no file left in the way."""
    started = program(how)
    service.turn()
    code = started.end()
    ending = buried(started.pid)
    assert ending.reason == reason, ending.evidence
    assert ended(service) == {reason: 1}
    assert (ending.exit_code, ending.signal) == (
        (code, None) if code >= 0 else (None, signal.Signals(-code).name)
    ) or not kernel_tells()
    assert ending.exception == {"exception": "__main__.Lost", "interrupt": "KeyboardInterrupt"}.get(how, "")
    assert (ending.collections, len(ending.last_pauses), ending.collecting) == (1, 1, None)
    assert 0 < ending.age_ns < 120e9
    assert read_endings(folder) == (ending,)
    assert (ending.flight_file is not None and Path(ending.flight_file).is_file()) == (reason != "clean exit")
    assert not list(folder.files())
    line = line_of(ending)
    assert f"(pid {started.pid}) ended: {reason}" in line
    assert "secret" not in line + json.dumps([each.read_text() for each in endings_folder(folder).glob("*.json")])


def kernel_tells() -> bool:
    """Whether PIDFD_GET_INFO is there, or the zombie was seen in time."""
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15)


@pytest.mark.parametrize("kind", ["native", "python"])
@pytest.mark.parametrize("mode", ["run", "library"])
def test_both_recorders_and_both_modes(service, program, buried, folder, kind, mode):
    """A file that its process has removed was open: its last numbers are counted all the same."""
    started = program("exit 3", kind=kind, mode=mode)
    service.turn()
    started.end()
    assert buried(started.pid).reason == "exit code 3"
    assert [each.collections for each in service.totals.services()[0].generations][2] >= 1
    assert not list(folder.files())


def test_a_death_inside_a_collection(service, program, buried):
    """It says so, and of which generation."""
    started = program("in a collection")
    service.turn()
    started.end()
    ending = buried(started.pid)
    assert ending.reason == "SIGKILL, cause unknown"
    assert ending.collecting is not None
    assert ending.collecting.generation == 1
    assert "inside a collection of generation 1" in line_of(ending)


@pytest.mark.parametrize(("how", "reason"), [*ENDS[2:4], ("_exit 9", "unknown"), ("SIGKILL", "unknown"), ENDS[0]])
def test_an_end_that_nobody_watched(service, program, buried, folder, how, reason):
    """The file alone: what it noted itself is known, and the rest is said to be unknown; so says `read_endings` before, too."""
    started = program(how)
    started.end()
    (before,) = read_endings(folder)
    ending = buried(started.pid)
    assert before.reason == ending.reason == reason
    assert "no exporter watched it" in ending.evidence[0]
    assert ended(service) == {reason: 1}


@pytest.mark.parametrize("how", ["exec", "stop"])
def test_nobody_died(service, program, eventually, folder, how):
    """The process goes on: as another program, or recorded no more."""
    started = program(how)
    service.turn()
    started.process.stdin.close()
    eventually(lambda: service.turn() or (service.burial.is_idle and not list(folder.files())), "it is followed still")
    assert started.process.poll() is None
    assert (service.said, ended(service)) == ([], {})
    assert sum(each.collections for each in service.totals.services()[0].generations) >= 1


def test_the_next_exporter_does_not_count_again(service, program, buried, folder, monkeypatch):
    """Killed between the saving and the putting away: the file is put away, and nothing is counted or said twice."""
    started = program("SIGKILL")
    service.turn()
    monkeypatch.setattr(service.burial, "_put_away", lambda decided: decided.recorded.let_go())
    started.end()
    while not ended(service):
        service.turn()
    assert (ended(service), len(list(folder.files()))) == ({"SIGKILL, cause unknown": 1}, 1)
    total = service.totals.services()
    next_one = type(service)(folder, service.config)
    next_one.turn()
    assert (next_one.said, ended(next_one)) == ([], {"SIGKILL, cause unknown": 1})
    assert next_one.totals.services() == total
    assert not list(folder.files())
    assert [each.pid for each in read_endings(folder)] == [started.pid]
    next_one.close()


@pytest.mark.once
def test_sixty_four_die_at_once(service, folder, eventually):
    """All of them are counted, said and kept within bounds; none is lost."""
    pids = []
    for number in range(64):
        pid = os.fork()
        if pid == 0:
            _be_recorded_and_wait()
        pids.append(pid)
        assert number >= 0
    eventually(lambda: service.following.refresh() or len(service.following.living()) == 64, "not all are found")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    began_s = time.monotonic()
    eventually(lambda: service.turn() or len(service.said) == 64, "not all are buried")
    assert time.monotonic() - began_s < 30
    assert ended(service) == {"SIGKILL, cause unknown": 64}
    assert len(read_endings(folder)) == 64
    assert len(list(endings_folder(folder).glob("*.flight"))) == 20
    assert not list(folder.files())
    assert service.ledger.faults == ()


def _be_recorded_and_wait() -> None:
    """In a forked child: a file as a recorder would have it, and nothing of pytest's."""
    from gc_otel.config import Config
    from gc_otel.flight import file as files
    from gc_otel.flight.folder import open_folder
    from gc_otel.flight.mapping import PythonMapping
    from gc_otel.probe.identity import header_fields

    try:
        config = Config.from_env()
        header = header_fields(config, recorder="python", duration_clock="monotonic", forked=True)
        kept = files.create(open_folder(config), header, PythonMapping)
        signal.pause()
        del kept
    finally:
        os._exit(1)


@pytest.mark.once
def test_records_and_files_are_bounded(service, make, folder, monkeypatch):
    """Clean ends push no others out; of the killed the last files are kept."""
    monkeypatch.setattr(burials, "has_ended", lambda _: True)
    monkeypatch.setattr(burials, "exit_status", lambda *_: None)
    for number in range(RECORDS_MOST + 3):
        made = make(pid=os.getpid(), created_unix_ns=10**18 + number)
        service.following.refresh()
        made.die()
        service.turn()
    for number in range(5):
        made = make(pid=os.getpid(), created_unix_ns=2 * 10**18 + number, state=2)
        made.die()
        service.turn()
    reasons = [each.reason for each in read_endings(folder)]
    assert (reasons.count("unknown"), reasons.count("clean exit")) == (RECORDS_MOST, 5)
    assert len(list(endings_folder(folder).glob("*.flight"))) == 20
    assert CLEAN_RECORDS_MOST < RECORDS_MOST
    assert service.ledger.faults == ()


def test_a_folder_of_endings_that_is_not_ours(service, program, buried, folder, tmp_path):
    """A link in its place: nothing is written through it, the end is counted, and the fault is named."""
    endings_folder(folder).symlink_to(tmp_path)
    started = program("SIGKILL")
    service.turn()
    started.end()
    while not ended(service):
        service.turn()
    assert list(tmp_path.iterdir()) == []
    assert service.ledger.faults[0].text.startswith("burial of process")
    assert len(list(folder.files())) == 1


def test_a_full_folder_still_counts(service, program, folder, monkeypatch):
    """Where no record can be written the end is counted and said to be missing."""
    started = program("SIGKILL")
    service.turn()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(service.burial._tomb, "_write", refuse)
    started.end()
    while not ended(service):
        service.turn()
    assert ended(service) == {"SIGKILL, cause unknown": 1}
    assert "No space left" in service.ledger.faults[0].text


def test_a_file_truncated_under_us(service, program, buried):
    """What was read of it before is what is told."""
    started = program("SIGKILL")
    service.turn()
    service.page()
    os.truncate(started.path, 4096)
    service.turn()
    started.end()
    ending = buried(started.pid)
    assert (ending.reason, ending.collections) == ("SIGKILL, cause unknown", 1)


def test_the_folder_removed_under_us(service, program, folder):
    """Nothing raises, and what was counted stays counted."""
    started = program("SIGKILL")
    service.turn()
    shutil.rmtree(folder.path)
    started.end()
    for _ in range(3):
        service.turn()
    while not ended(service):
        service.turn()
    assert ended(service) == {"SIGKILL, cause unknown": 1}


def test_a_zombie_tells_its_status(program):
    """Before its parent has waited for it, on every kernel."""
    started = program("_exit 5")
    pidfd, ticks = os.pidfd_open(started.pid), kernel.start_ticks(started.pid)
    started.process.stdin.close()
    os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)
    assert kernel.has_ended(pidfd)
    assert kernel.exit_status(-1, started.pid, ticks).exit_code == 5
    assert kernel.exit_status(-1, started.pid, ticks + 1) is None  # another one's pid
    assert kernel.exit_status(-1, started.pid, None) is None
    assert kernel.exit_status(pidfd, started.pid, ticks).exit_code == 5
    started.process.wait()
    assert kernel.exit_status(-1, started.pid, ticks) is None
    by_pidfd = kernel.exit_status(pidfd, started.pid, ticks)
    assert by_pidfd is None if not kernel_tells() else by_pidfd.exit_code == 5
    os.close(pidfd)
    assert not kernel.has_ended(-1)


@pytest.mark.parametrize("text", ["", "1 (x) Z", "1 (x) Z " + "y " * 60])
def test_a_strange_proc(tmp_path, text):
    """What it does not tell is not known."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "stat").write_text(text)
    assert kernel.start_ticks(1, tmp_path) is None
    assert kernel.exit_status(-1, 1, 5, tmp_path) is None
    assert kernel.start_ticks(2, tmp_path) is None


def test_an_end_that_cannot_be_told_hides_no_other(service, program, buried, folder, monkeypatch):
    """Whatever fails with one: it has ended, for an unknown reason, and its file stays."""
    first, second = program("SIGKILL"), program("SIGKILL")
    service.turn()
    tell = service.burial._ending

    def fail(gone: Any) -> Ending:
        if gone.recorded.identity.pid == first.pid:
            raise RuntimeError("nonsense")
        return tell(gone)

    monkeypatch.setattr(service.burial, "_ending", fail)
    first.end()
    second.end()
    assert buried(second.pid).reason == "SIGKILL, cause unknown"
    while sum(ended(service).values()) < 2:
        service.turn()
    assert ended(service) == {"SIGKILL, cause unknown": 1, "unknown": 1}
    assert [path.name for path in folder.files()] == [first.path.name]
    assert "nonsense" in service.ledger.faults[0].text


def test_what_a_killed_exporter_left_half_written_goes(service, program, buried, folder):
    """With the first end that the next one keeps."""
    folder.endings.path.mkdir(mode=0o700)
    (folder.endings.path / "1-a.json-new").write_text("half")
    started = program("SIGKILL")
    service.turn()
    started.end()
    buried(started.pid)
    assert not list(folder.endings.path.glob("*-new"))


def test_a_line_for_nobody_is_lost(capfd):
    """Said where somebody reads; where a pipe is full or closed, nothing waits and nothing raises."""
    assert say_without_waiting(2, "gc-otel: \N{SNOWMAN}")
    assert capfd.readouterr().err == "gc-otel: \N{SNOWMAN}\n"
    reading, writing = os.pipe()
    while say_without_waiting(writing, "x" * 5000):
        pass
    assert len(os.read(reading, 4096)) == 4096
    os.close(reading)
    assert not say_without_waiting(writing, "x")
    os.close(writing)
    assert not say_without_waiting(writing, "x")
