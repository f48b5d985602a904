"""A process is asked while it runs: it answers soon, and whoever asks is told why it does not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import gc_otel
from gc_otel.errors import NoSuchProcess, NotAnswered, NotServed, ProcessEnded, Refused
from gc_otel.flight import layout, requests
from gc_otel.flight.recorder import gc_mode
from gc_otel.service import asking
from gc_otel.service.bell import Bell

PROGRAM = Path(__file__).parents[1] / "programs" / "asked.py"
PATIENCE_S = 60.0
FREE_THREADED = gc_mode() == "freethreaded"


class Asked:
    """A recorded process that does what it is told."""

    def __init__(self, kind: str, **env: str) -> None:
        path = os.pathsep.join((str(Path(gc_otel.__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **env},
        )
        said = self.answer()
        self.pid, self.path = said["pid"], Path(said["path"]) if said["path"] else None

    def answer(self):
        line = self._process.stdout.readline()
        assert line, f"the program ended, exit {self._process.wait()}"
        return json.loads(line)

    def tell(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def halt(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # until it is

    def end(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def start(flight_dir):
    started = []

    def begin(kind="native", **env):
        started.append(Asked(kind, **env))
        return started[-1]

    yield begin
    for each in started:
        each.end()


@pytest.fixture
def asked(start, kind):
    return start(kind)


def left_in(folder) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.endswith(".flight"))


def test_a_census_is_answered_at_once(asked, flight_dir):
    """Its monitor sleeps for a minute, and is woken; nothing stays in the folder."""
    began_s = time.monotonic()
    answer = asking.ask(asked.pid, "census", patience_s=PATIENCE_S)
    assert time.monotonic() - began_s < 20
    rows = {row["name"]: row["objects"] for row in answer["types"]}
    assert rows["__main__.Order"] == 500
    assert answer["walker"] in ("child", "native", "python")
    assert left_in(flight_dir) == []


def test_by_path_too(asked):
    """As across pid namespaces, where the pid is not one of ours."""
    assert asking.ask(asked.path, "census")["objects"] > 500
    assert asking.ask(str(asked.path), "census")["objects"] > 500


def test_its_cost_is_the_monitor_s(asked):
    """What the answer took is in the overhead that is published."""
    from gc_otel.flight import reader
    from gc_otel.flight.file import FlightFile

    deadline_s = time.monotonic() + PATIENCE_S
    with FlightFile(asked.path) as file:
        while reader.read_interpreter(file) is None:  # before the monitor's first round
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        before_ns = reader.read_interpreter(file).overhead_ns
        asking.ask(asked.pid, "census", {"sample_every": 1})
        while reader.read_interpreter(file).overhead_ns - before_ns < 500_000:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)


def test_nothing_is_imported_before_the_first_request(asked):
    """And nothing of the exporter or OpenTelemetry by it."""
    asked.tell("modules")
    before = set(asked.answer()["modules"])
    assert not before & {"gc_otel.probe.answers", "gc_otel.heap.census"}
    asking.ask(asked.pid, "census")
    asking.ask(asked.pid, "why", {"type": "Order"})
    asking.ask(asked.pid, "graph", {"type": "Order"})
    with pytest.raises(Refused, match="without a GIL") if FREE_THREADED else contextlib.nullcontext():
        asking.ask(asked.pid, "cycles", {"in_process": True})
    asked.tell("modules")
    new = set(asked.answer()["modules"]) - before
    assert "gc_otel.heap.census" in new
    assert "threading" not in new  # it would take the monitor's thread for the main one
    assert not [name for name in new if name.startswith(("opentelemetry", "psutil", "gc_otel.service", "waitress"))]


@pytest.mark.parametrize(
    ("verb", "arguments", "words"),
    [
        ("exec", {}, "no verb 'exec'"),
        ("census", {"sample_every": -1}, "whole number"),
        ("census", {"sample_every": True}, "whole number"),
        ("census", {"code": "1"}, "no argument 'code'"),
        ("why", {}, "type is a text"),
        ("graph", {"type": "Order", "direction": "up"}, "one of backrefs, refs"),
        ("cycles", {"in_process": 1}, "true or false"),
        ("why", {"type": "Ordr"}, "there is no type Ordr"),
        ("census", {"x" * 5000: 1}, "too long"),
    ],
)
def test_what_is_not_among_the_verbs_is_refused(asked, verb, arguments, words):
    """Fixed verbs, checked arguments."""
    with pytest.raises(Refused, match=words):
        asking.ask(asked.pid, verb, arguments)


def test_several_ask_at_once_and_no_more_than_there_is_room_for(asked):
    """Four wait in line; the fifth is told at once."""
    asked.halt()
    answers, threads = [], []
    for _ in range(requests.SLOTS):
        threads.append(threading.Thread(target=lambda: answers.append(asking.ask(asked.pid, "census"))))
        threads[-1].start()
    deadline_s = time.monotonic() + PATIENCE_S
    while len(requests.waiting(str(asked.path))) < requests.SLOTS:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    with pytest.raises(Refused, match="is being asked 4 things already"):
        asking.ask(asked.pid, "census")
    os.kill(asked.pid, signal.SIGCONT)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(answers) == requests.SLOTS


def test_a_process_that_holds_the_gil_is_told_of(start, flight_dir):
    """And it answers when it has let go.  Without a GIL it is a thread that cannot be stopped: it may hear, and then waits."""
    asked = start()
    asked.tell("hold 2")
    assert asked.answer() == {"holds": True}
    with pytest.raises(
        NotAnswered, match="holds the GIL|last it said was: taken" if FREE_THREADED else "holds the GIL"
    ):
        asking.ask(asked.pid, "census", patience_s=0.5)
    assert left_in(flight_dir) == []
    assert asking.ask(asked.pid, "census", patience_s=PATIENCE_S)["objects"] > 500


def test_a_request_that_was_taken_away_is_put_there_again(asked):
    """As a process may do that has just answered another in the same place."""
    asked.halt()
    taken_away = []

    def take_away(progress):
        if not taken_away:
            taken_away.extend(requests.waiting(str(asked.path)))
            for slot in taken_away:
                requests.remove(requests.request_path(str(asked.path), slot))
            os.kill(asked.pid, signal.SIGCONT)

    assert asking.ask(asked.pid, "census", on_progress=take_away)["objects"] > 500
    assert taken_away == [0]


def test_a_stopped_process_is_told_of(start):
    """Nobody holds a GIL there."""
    asked = start()
    asked.halt()
    with pytest.raises(NotAnswered, match="is stopped") as caught:
        asking.ask(asked.pid, "census", patience_s=0.3)
    assert f"kill -CONT {asked.pid}" in caught.value.remedy


def test_one_that_ends_meanwhile_is_told_of(start):
    """Not by a time-out."""
    asked = start()
    asked.halt()
    with pytest.raises(ProcessEnded, match="ended while it was asked"):
        asking.ask(asked.pid, "census", patience_s=PATIENCE_S, on_progress=lambda _: os.kill(asked.pid, signal.SIGKILL))
    with pytest.raises(ProcessEnded, match="has ended"):
        asking.ask(asked.pid, "census")


def test_who_answers_no_requests_says_why(start, put_cell, flight_dir):
    """By setting, by version, by never having been recorded, by what the file is."""
    off = start(GC_OTEL_REQUESTS="false")
    with pytest.raises(NotServed, match="GC_OTEL_REQUESTS is false"):
        asking.ask(off.pid, "census")
    put_cell(off.path, layout.MONITOR.cell("requests"), 0)
    with pytest.raises(NotServed, match="version of gc_otel that answers no requests"):
        asking.ask(off.pid, "census")
    put_cell(off.path, layout.HEADER.cell("layout_version"), 999)
    with pytest.raises(NotServed, match="layout 999"):
        asking.ask(off.pid, "census")
    with pytest.raises(NoSuchProcess, match="no process 1 is recorded"):
        asking.ask(1, "census")
    with pytest.raises(NoSuchProcess, match="there is no flight file"):
        asking.ask(flight_dir / "7-7.flight", "census")
    (flight_dir / "7-7.flight").write_bytes(b"short")
    with pytest.raises(NotServed, match="bytes, not"):
        asking.ask(flight_dir / "7-7.flight", "census")


@pytest.fixture
def put_cell():
    def write(path, cell, value):
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, value.to_bytes(8, sys.byteorder), cell * layout.CELL_BYTES)
        os.close(fd)

    return write


def test_a_pid_that_two_have_is_not_guessed(start, flight_dir):
    """Two containers on one folder."""
    asked = start()
    twin = start()
    other = flight_dir / f"{asked.pid}-1.flight"
    os.rename(twin.path, other)
    with pytest.raises(NoSuchProcess, match="2 processes have pid") as caught:
        asking.ask(asked.pid, "census")
    assert str(other) in caught.value.remedy


def test_a_forked_child_answers_for_itself(start):
    """Its file, its heap, its thread."""
    asked = start()
    asked.tell("fork")
    child = asked.answer()
    assert asking.ask(child["child"], "census")["objects"] > 500
    assert asking.ask(asked.pid, "census")["objects"] > 500
    asked.tell("let the child go")


def test_files_that_are_no_requests_are_removed_and_noted(asked, flight_dir, tmp_path):
    """A link, a folder that anybody may read, nonsense: nothing is followed, nothing is answered twice."""
    from gc_otel.flight import reader
    from gc_otel.flight.file import FlightFile

    secret = tmp_path / "secret"
    secret.write_text("{}")
    location = str(asked.path)
    Path(requests.request_path(location, 0)).symlink_to(secret)
    Path(requests.request_path(location, 1)).write_text("[" * 4000)
    Path(requests.request_path(location, 1)).chmod(0o600)
    Path(requests.request_path(location, 2)).write_text("{}")
    Path(requests.request_path(location, 2)).chmod(0o644)
    Path(requests.request_path(location, 3)).write_text(" " * 5000)
    Path(requests.request_path(location, 3)).chmod(0o600)
    deadline_s = time.monotonic() + PATIENCE_S
    with Bell(asked.path) as bell:
        while requests.waiting(location):
            bell.ring()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    assert secret.read_text() == "{}"
    assert asking.ask(asked.pid, "census")["objects"] > 500
    with FlightFile(asked.path) as file:
        texts = [fault.text for fault in reader.read_faults(file)]
    assert len([text for text in texts if text.startswith("request: ")]) == 3


def test_what_nobody_waits_for_is_swept(flight_dir):
    """Left by whoever was killed while asking."""
    old = flight_dir / "1-1.request-0"
    old.write_text("{}")
    young = flight_dir / "1-1.answer-1"
    young.write_text("{}")
    other = flight_dir / "exporter.lock"
    other.write_text("")
    for path in (old, other):
        os.utime(path, (1, 1))
    assert requests.sweep(str(flight_dir), time.time()) == 1
    assert left_in(flight_dir) == ["1-1.answer-1", "exporter.lock"]


def test_who_holds_what(asked):
    """The names that code gave, from a root to the objects."""
    answer = asking.ask(asked.pid, "why", {"type": "Order"})
    assert (answer["type"], answer["instances"], answer["reached"]) == ("__main__.Order", 500, 500)
    (root,) = answer["roots"]
    (pending,) = root["children"]
    assert (root["edge"], pending["edge"], pending["length"]) == ("module __main__", ".PENDING", 500)
    assert pending["is_accumulation_point"]


def test_a_picture(asked):
    """Of a few of them, and their holder.

    Without a GIL 3.13 makes modules and their namespaces immortal at the first thread, and its collector lists them no
    more, nor does gc.get_referrers().
    """
    answer = asking.ask(asked.pid, "graph", {"type": "__main__.Order", "instances": 2})
    assert answer["alive"] == 500
    holders = ["list", *([] if FREE_THREADED and sys.version_info < (3, 14) else ["dict"])]
    assert [node["type"] for node in answer["nodes"] if node["steps"]] == holders
    assert [node["name"] for node in answer["nodes"]].count("globals of __main__") == holders.count("dict")


def test_a_fork_does_not_wait_for_an_answer(start, flight_dir):
    """The answer is begun again after it, and comes."""
    asked = start()
    asked.tell("fork while asked")
    answer = asking.ask(asked.pid, "why", {"type": "Order"}, patience_s=PATIENCE_S)
    told = asked.answer()
    assert told["forked_s"] < 5
    assert answer["reached"] == 500
    asked.tell("let the child go")
