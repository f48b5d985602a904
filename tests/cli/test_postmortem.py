"""gc-otel postmortem: what is kept of the ended, in a list and one by one."""

from __future__ import annotations

import dataclasses
import json
import os
import time

import pytest

from gc_otel.cli.plot import plot_bytes
from gc_otel.flight.folder import Folder
from gc_otel.service.endings import Collecting, HeldType, MemoryPoint, endings_folder, read_endings, to_json

MIB = 2**20


@pytest.fixture
def killed(record):
    """A program that collected, and was killed with no exporter beside."""
    process = record()
    process.tell("collect")
    process.kill()
    return process


@pytest.fixture
def keep(killed, flight_dir):
    """Keeps records as an exporter does; by default of an OOM kill inside a collection, after an hour of growth."""
    (known,) = read_endings(Folder(flight_dir))
    killed.path.unlink()
    folder = endings_folder(Folder(flight_dir))
    folder.mkdir(mode=0o700)
    now_ns = time.time_ns()

    def one(pid=4242, **changes):
        ending = dataclasses.replace(
            known,
            name=f"{pid}-{len(list(folder.iterdir())):x}",
            pid=pid,
            reason="OOM kill",
            evidence=("the kernel says SIGKILL",),
            signal="SIGKILL",
            started_unix_ns=now_ns - 3600 * 10**9,
            ended_unix_ns=now_ns,
            collecting=Collecting(2, 1_500_000_000),
            rss_bytes=510 * MIB,
            rss_most_bytes=511 * MIB,
            limit_bytes=512 * MIB,
            limit_source="cgroup-v2",
            history=tuple(MemoryPoint(now_ns - (180 - at) * 20 * 10**9, at * 3 * MIB, 512 * MIB) for at in range(180)),
            census_unix_ns=now_ns - 7 * 10**9,
            types=(HeldType("app.Session", 1000, 400 * MIB, 3 * MIB), HeldType("str", 5, 9, None)),
            flight_file=None,
        )
        ending = dataclasses.replace(ending, **changes)
        (folder / f"{ending.name}.json").write_text(json.dumps(to_json(ending)))
        return ending

    return one


def test_nothing_has_ended(call, monkeypatch, flight_dir):
    """That is no error, also where no folder is."""
    assert call("postmortem").out == "No recorded process has ended. Those that live: gc-otel ps\n"
    monkeypatch.setenv("GC_OTEL_DIR", str(flight_dir / "later"))
    assert call("postmortem", "--json").json == []


def test_a_list(call, keep):
    """The latest first; what ended how, with how much memory."""
    keep()
    keep(pid=77, reason="clean exit", collecting=None, ended_unix_ns=time.time_ns() - 120 * 10**9)
    said = call("postmortem")
    heading, first, second, *_ = said.out.splitlines()
    assert heading.split()[:2] == ["PID", "SERVICE"]
    assert first.split()[0] == "4242"
    assert "OOM kill" in first
    assert "510.0 MiB" in first
    assert "99.6 %" in first
    assert first.endswith("in a collection")
    assert second.split()[0] == "77"
    assert "2m 0s ago" in second
    assert [each["pid"] for each in call("postmortem", "--json").json] == [4242, 77]


def test_one(call, keep):
    """How it ended and from where that is known, its memory as a plot, its pauses."""
    ending = keep()
    said = call("postmortem", "4242")
    assert said.code == 0
    assert said.out.startswith("shop, pid 4242: OOM kill\n")
    for text in (
        "the kernel says SIGKILL",
        "a collection of generation 2, after 1.50 s",
        "510.0 MiB resident, 99.6 % of 512.0 MiB (cgroup-v2)",
        "at most 511.0 MiB",
        "59m 40s before",
        "Largest types, 7 s before the end",
        "app.Session    1,000  400.0 MiB  +3.0 MiB",
        "Last pauses",
        "gc.collect()",
        "lived         1h 0m",
    ):
        assert text in said.out, text
    assert call("postmortem", "4242", "--json").json == json.loads(json.dumps(to_json(ending)))


def test_by_file(call, keep, killed, flight_dir):
    """By the record, by a flight file that was kept beside it, and by a flight file alone."""
    ending = keep()
    record = endings_folder(Folder(flight_dir)) / f"{ending.name}.json"
    assert call("postmortem", str(record)).out.startswith("shop, pid 4242: OOM kill")
    assert call("postmortem", str(record.with_suffix(".flight"))).out.startswith("shop, pid 4242: OOM kill")


def test_without_an_exporter(call, killed, flight_dir):
    """The flight file alone says what it can; its process is in the list too."""
    for which in (str(killed.path), str(killed.pid)):
        said = call("postmortem", which)
        assert said.out.startswith(f"shop, pid {killed.pid}: unknown\n")
        assert "no exporter watched it" in said.out
        assert "it was killed, or ended by os._exit()" in said.out
    assert str(killed.path) in said.out
    assert [each["pid"] for each in call("postmortem", "--json").json] == [killed.pid]


def test_several_of_one_pid(call, keep):
    """The latest is shown, and that there are others."""
    keep(ended_unix_ns=time.time_ns() - 10**12, reason="signal SIGSEGV")
    keep()
    said = call("postmortem", "4242")
    assert said.out.startswith("shop, pid 4242: OOM kill")
    assert "Earlier ends of that pid: 1." in said.out


def test_what_is_not_there(call, record, flight_dir, tmp_path):
    """One line that says what to do next."""
    living = record()
    said = call("postmortem", str(living.pid))
    assert (said.code, said.out) == (1, "")
    assert f"process {living.pid} is alive" in said.err
    assert "gc-otel ps" in said.err
    assert "nothing is kept of a process 1." in call("postmortem", "1").err
    (tmp_path / "x.json").write_text("{}")
    for path in (tmp_path / "x.json", tmp_path / "y.flight", living.path):
        assert "is no record of an end" in call("postmortem", str(path)).err


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.pop("pid"),
        lambda record: record.update(pid="1"),
        lambda record: record.update(pid=True),
        lambda record: record.update(version=99),
        lambda record: record.update(history=[{}]),
        lambda record: record.update(history=5),
        lambda record: record.update(collecting=[]),
        lambda record: record.update(evidence={"a": 1}),
    ],
)
def test_a_record_that_cannot_be_believed_is_left_out(call, keep, flight_dir, spoil):
    """Whoever wrote it."""
    ending = keep()
    path = endings_folder(Folder(flight_dir)) / f"{ending.name}.json"
    record = json.loads(path.read_text())
    spoil(record)
    path.write_text(json.dumps(record))
    assert call("postmortem", "--json").json == []


def test_hostile_records_are_harmless(call, keep, flight_dir):
    """Names that are none, reasons that are none, things that are no files."""
    keep(service_name="\x1b[31mred\n" + "x" * 50, reason="something else", evidence=("\x1b[2J",), ended_unix_ns=10**30)
    folder = endings_folder(Folder(flight_dir))
    os.mkfifo(folder / "fifo.json")
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "binary.json").write_bytes(b"\xff\xfe")
    for said in (call("postmortem"), call("postmortem", "4242")):
        assert said.code == 0
        assert "\x1b" not in said.out
    assert call("postmortem", "--json").json[0]["reason"] == "unknown"


def test_plain_letters_where_the_encoding_has_no_blocks(call, keep, monkeypatch):
    """A plot in ASCII."""
    from gc_otel.cli import postmortem

    monkeypatch.setattr(postmortem, "_has_blocks", lambda: False)
    keep()
    out = call("postmortem", "4242").out
    assert "#" in out
    assert out.isascii()


class TestPlot:
    """Sizes over time."""

    def test_a_ramp_to_the_limit(self) -> None:
        lines = plot_bytes(
            [(at, at * MIB) for at in range(101)], columns=111, rows=4, limit_bytes=110 * MIB, plain=True
        )
        assert len(lines) == 5
        bars = [line.partition("|")[2] for line in lines[:4]]
        assert [bar.count("#") for bar in bars] == sorted(bar.count("#") for bar in bars)
        assert bars[3].count("#") == pytest.approx(100 - 27, abs=3)
        assert "110.0 MiB" in lines[0]
        assert lines[4].endswith("the end")

    def test_a_limit_far_away_is_no_scale(self) -> None:
        lines = plot_bytes([(0, MIB), (1, MIB)], columns=40, rows=2, limit_bytes=2**40)
        assert "1.0 MiB" in lines[0]
        assert lines[0].endswith("█")

    def test_a_gap_stays_empty(self) -> None:
        points = [(at, MIB) for at in range(20)] + [(at, MIB) for at in range(80, 100)]
        (line, _) = plot_bytes(points, columns=111, rows=1, plain=True)
        assert " " * 40 in line.partition("|")[2].rstrip()

    def test_nothing_to_plot(self) -> None:
        assert plot_bytes([], columns=80, rows=4) == []
        assert plot_bytes([(0, 1)], columns=5, rows=4) == []
        assert plot_bytes([(0, 1)], columns=80, rows=0) == []
        assert len(plot_bytes([(7, 0)], columns=80, rows=1)) == 2


def test_doctor_speaks_of_unwanted_ends(call, keep):
    """An OOM kill is a warning, a clean exit is none."""
    keep(reason="clean exit")
    assert _of_doctor(call) == [("ok", "kept of the last day: 1 clean exit")]
    keep()
    keep(ended_unix_ns=5)
    ((status, finding),) = _of_doctor(call)
    assert status == "warn"
    assert set(finding.removeprefix("kept of the last day: ").split(", ")) == {"1 clean exit", "1 OOM kill"}


def _of_doctor(call):
    checks = call("doctor", "--json").json["checks"]
    return [(each["status"], each["finding"]) for each in checks if each["group"] == "ended processes"]
