"""gc-otel doctor: what is wrong is named, with what to do about it."""

from __future__ import annotations

import builtins
import os
import sys
from collections import namedtuple
from types import SimpleNamespace

import pytest

from gc_otel import _native
from gc_otel.cli import doctor
from gc_otel.cli.checks import fail, flight, installation, ok, warn
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import layout
from gc_otel.sample import cgroup

CLEAN = {
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


@pytest.fixture(autouse=True)
def clean_exporters(monkeypatch):
    """Exporters that are there, so that what a test breaks is all that is broken."""
    for name, value in CLEAN.items():
        monkeypatch.setenv(name, value)


def _checks(said, group=None):
    return [each for each in said.json["checks"] if group in (None, each["group"])]


def _bad(said):
    return [each for each in said.json["checks"] if each["status"] != "ok"]


def test_everything_is_looked_at(call, record):
    """All groups are there, each remedy belongs to something that is not well."""
    process = record()
    said = call("doctor", "--json")
    groups = list(dict.fromkeys(each["group"] for each in said.json["checks"]))
    assert groups == [
        "installation",
        "settings",
        "flight folder",
        "flight files",
        "exporter service",
        "memory limit",
        "opentelemetry",
        f"process {process.pid}",
    ]
    assert all(bool(each["remedy"]) == (each["status"] != "ok") for each in said.json["checks"])
    assert sum(said.json["counts"].values()) == len(said.json["checks"])
    assert said.code == (1 if said.json["counts"]["fail"] else 0)


def test_the_text_says_the_same(call, record):
    """A line of finding each, the counts last."""
    record()
    said = call("doctor")
    assert "  ok    " in said.out
    assert said.out.splitlines()[-1].endswith(" failed")
    assert " shop, recorded.py, Python " in said.out


@pytest.mark.parametrize(
    ("checks", "code"),
    [([ok("a", "b")], 0), ([warn("a", "b", "c")], 0), ([warn("a", "b", "c"), fail("a", "d", "e")], 1)],
)
def test_the_exit_code_is_1_when_something_failed(call, monkeypatch, checks, code):
    """Warnings alone are no failure."""
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    said = call("doctor")
    assert said.code == code
    assert ("  warn  b\n        -> c\n" in said.out) == (len(checks) == 2 or checks[0].status == "warn")
    assert call("doctor", "--json").code == code


def test_hostile_files_are_named_with_their_reason(call, hostile):
    """Each of them, harmlessly; what can be read is read."""
    said = call("doctor", "--json")
    found = {each["finding"].partition(" cannot be read: ")[0]: each for each in _checks(said, "flight files")[1:]}
    assert set(found) == set(hostile)
    for name, reason in hostile.items():
        assert (found[name]["status"], bool(found[name]["remedy"])) == ("warn", True)
        assert reason in found[name]["finding"]
    text = call("doctor").out
    assert "\x1b" not in text
    assert "8-\ufffd[31mred\ufffd.flight cannot be read" in text


def test_a_flood_of_hostile_files_is_summed_up(call, flight_dir):
    """Twenty are named, the others counted."""
    for number in range(25):
        (flight_dir / f"{number}-x.flight").touch()
    assert [each["finding"] for each in _checks(call("doctor", "--json"), "flight files")][
        -1
    ] == "5 more cannot be read"


def test_faults_are_told_with_their_count(call, record):
    """What a living process noted, one line each."""
    process = record()
    process.tell("fault")
    findings = [each["finding"] for each in _checks(call("doctor", "--json"), f"process {process.pid}")]
    assert "contained once: limit: ValueError: odd" in findings
    assert any(each.startswith("contained 2 times: sampler ") and "OSError" in each for each in findings)


def test_dropped_events_are_told_by_reason(call, record, put):
    """Expected ones are well; those that a user can do something about are warnings."""
    process = record()
    process.tell("end the monitor")
    put(process.path, layout.PUBLISHED.cell("dropped_self"), 3, 1200)
    put(process.path, layout.GENERATION.cell("no_start", 2), 1)
    put(process.path, layout.MONITOR.cell("unseen"), 0, 0, 7)
    mine = _checks(call("doctor", "--json"), f"process {process.pid}")
    assert any(
        each["status"] == "ok"
        and each["finding"].endswith("as is right: 3 caused by publishing itself, 1 begun before recording")
        for each in mine
    )
    warned = {each["finding"]: each["remedy"] for each in mine if each["status"] == "warn"}
    assert "OTEL_METRIC_EXPORT_INTERVAL" in warned["1,200 collections dropped, reason limit"]
    assert "7 collections dropped, reason unseen" in warned


def test_a_silent_monitor_is_told(call, record, put, eventually):
    """Its last beat is older than three of its intervals."""
    process = record()
    process.tell("end the monitor")
    group = f"process {process.pid}"

    def silent():
        return [each for each in _checks(call("doctor", "--json"), group) if "silent" in each["finding"]]

    (check,) = eventually(silent, "the monitor's silence is not noticed")
    assert check["status"] == "warn"
    assert "its interval is 0.1 s" in check["finding"]


def test_a_monitor_that_never_ran_is_told_in_time(call, record, put):
    """Not of a process that has just begun, but of one that is older than three intervals."""
    process = record()
    process.tell("end the monitor")
    put(process.path, layout.MONITOR.cell("beat_ns"), 0)
    group = f"process {process.pid}"
    assert not [each for each in _checks(call("doctor", "--json"), group) if "no round" in each["finding"]]
    put(process.path, layout.HEADER.cell("created_unix_ns"), 10**18)
    assert [each["status"] for each in _checks(call("doctor", "--json"), group) if "no round" in each["finding"]] == [
        "warn"
    ]


def test_sections_that_do_not_hold_still_are_told(call, record, put):
    """A monitor stuck in its writing, and a recorder stuck in its own."""
    process = record()
    process.tell("end the monitor")
    put(process.path, layout.MONITOR.cell("sequence"), 1)
    put(process.path, layout.GC.cell("sequence"), 1)
    findings = [each["finding"] for each in _checks(call("doctor", "--json"), f"process {process.pid}")]
    assert "its monitor was writing all the while (monitor)" in findings
    assert any("its recorder did not hold still" in each for each in findings)


def test_a_process_of_another_namespace_is_said_to_be_one(call, record, put):
    """Its pid is none of ours."""
    process = record()
    put(process.path, layout.HEADER.cell("pid_namespace"), 1)
    assert _checks(call("doctor", "--json"), f"process {process.pid} (of another pid namespace)")


def test_an_unfit_folder_fails_with_its_remedy(call, flight_dir):
    """Everybody records unseen then."""
    flight_dir.chmod(0o777)
    said = call("doctor", "--json")
    (check,) = _checks(said, "flight folder")
    assert (said.code, check["status"], check["remedy"]) == (1, "fail", f"Run `chmod 700 {flight_dir}`.")
    assert "(from GC_OTEL_DIR)" in check["finding"]
    assert _checks(said, "flight files") == []


def test_a_folder_that_is_not_there_yet_is_well(call, monkeypatch, flight_dir):
    """The first recorded process makes it."""
    monkeypatch.setenv("GC_OTEL_DIR", str(flight_dir / "later"))
    (check,) = _checks(call("doctor", "--json"), "flight folder")
    assert check["status"] == "ok"
    assert "not there yet" in check["finding"]


def test_a_folder_that_cannot_be_made_fails(call, monkeypatch, flight_dir):
    """Its parent is not there."""
    path = flight_dir / "no" / "where"
    monkeypatch.setenv("GC_OTEL_DIR", str(path))
    (check,) = _checks(call("doctor", "--json"), "flight folder")
    assert (check["status"], f"mkdir -m 700 {path}" in check["remedy"]) == ("fail", True)


def test_a_machine_without_a_place_for_the_folder_fails(monkeypatch):
    """Neither /dev/shm nor XDG_RUNTIME_DIR."""

    def nowhere(_):
        raise FlightFolderError("there is none")

    monkeypatch.setattr(flight, "default_path", nowhere)
    ((check,), folder) = flight.check_folder(Config.from_env({}))
    assert (check.status, folder) == ("fail", None)
    assert "(the default)" in check.finding


def test_a_full_budget_is_told(call, flight_dir):
    """One more flight file would be one too many."""
    with open(flight_dir / "ballast", "wb") as file:
        file.truncate(2**30)
    found = _checks(call("doctor", "--json"), "flight folder")
    assert [each["status"] for each in found] == ["ok", "warn"]
    assert "in private memory" in found[1]["finding"]


def test_a_full_filesystem_is_told(monkeypatch, flight_dir):
    """The folder has room, and what it is on has none."""
    real = os.statvfs(flight_dir)
    full = namedtuple("full", "f_frsize f_blocks f_bavail")(real.f_frsize, real.f_blocks, 0)  # noqa: PYI024
    monkeypatch.setattr(flight.os, "statvfs", lambda _: full)
    checks, _ = flight.check_folder(Config.from_env())
    assert [check.status for check in checks] == ["ok", "warn"]
    assert "only 0 B left" in checks[1].finding


def test_settings_that_cannot_be_used_are_warnings(call, monkeypatch):
    """Each with what it takes; recording that is switched off is told too."""
    monkeypatch.setenv("GC_OTEL_RECORDER", "rust")
    monkeypatch.setenv("GC_OTEL_ENABLED", "no")
    found = _checks(call("doctor", "--json"), "settings")
    assert [each["status"] for each in found] == ["warn", "warn"]
    assert found[0]["finding"].startswith("GC_OTEL_RECORDER='rust' cannot be used")
    assert "switched off by GC_OTEL_ENABLED" in found[1]["finding"]


def test_settings_at_their_defaults_are_told_from_settings_that_are_set():
    """What differs is named."""
    assert [check.finding for check in installation.check_settings(Config.from_env({}))] == ["all at their defaults"]
    given = Config.from_env({"GC_OTEL_MEMORY_DETAIL": "no"})
    assert [check.finding for check in installation.check_settings(given)] == ["set: GC_OTEL_MEMORY_DETAIL"]


@pytest.mark.parametrize(
    ("wanted", "built", "status", "words"),
    [
        ("auto", True, "ok", "native recorder is built"),
        ("auto", False, "warn", "cannot be loaded (no such extension)"),
        ("native", False, "fail", "GC_OTEL_RECORDER=native"),
        ("python", True, "ok", "as GC_OTEL_RECORDER says"),
    ],
)
def test_the_recorder_in_use_is_told(monkeypatch, wanted, built, status, words):
    """Built, not built, not wanted: and how to build it."""
    monkeypatch.setattr(_native, "load", lambda: (SimpleNamespace(), "") if built else (None, "no such extension"))
    _, check, _ = installation.check_installation(Config.from_env({"GC_OTEL_RECORDER": wanted}))
    assert (check.status, words in check.finding) == (status, True)
    assert ("compiler" in check.remedy) == (status != "ok")


def test_another_python_fails(monkeypatch):
    """It is CPython's collector that is recorded."""
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="pypy"))
    check, *_ = installation.check_installation(Config.from_env({}))
    assert (check.status, "on pypy" in check.finding) == ("fail", True)


def test_a_missing_psutil_fails(monkeypatch):
    """Without it no memory is sampled."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "psutil":
            raise ImportError("No module named 'psutil'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    *_, check = installation.check_installation(Config.from_env({}))
    assert (check.status, check.remedy) == ("fail", "pip install psutil")


@pytest.mark.parametrize(
    ("read", "status", "words"),
    [
        (lambda _: cgroup.MemoryLimit(2**29, "cgroup-v2"), "ok", "512.0 MiB, set by cgroup-v2"),
        (lambda _: None, "warn", "none is known"),
        (lambda _: 1 / 0, "warn", "ZeroDivisionError"),
    ],
)
def test_the_memory_limit_is_told_with_its_source(monkeypatch, read, status, words):
    """Found, not there, or not to be had."""
    monkeypatch.setattr(cgroup.LimitReader, "read", read)
    (check,) = installation.check_memory_limit()
    assert (check.status, words in check.finding) == (status, True)


def _heap_lines(**changes):
    """What is said of a process whose census and cycle sampler are in that state."""
    from types import SimpleNamespace

    from gc_otel.cli.checks import flight as checks

    census = {
        "state": "on",
        "taken_ns": 1,
        "hold_ns": 2_000_000,
        "censuses": 3,
        "due_ns": 9,
        "garbage_objects": 0,
        "garbage": (),
    }
    cycles = {"state": "on", "samples": (0, 0, 0), "longest_ns": 100_000}
    census.update({key: value for key, value in changes.items() if key in census})
    cycles.update({key[7:]: value for key, value in changes.items() if key.startswith("cycles_")})
    snapshot = SimpleNamespace(census=SimpleNamespace(**census), cycles=SimpleNamespace(**cycles))
    return [each.finding for each in checks._heap("process 1", SimpleNamespace(snapshot=snapshot))]


def test_it_says_how_the_heap_is_looked_at():
    """What a census costs, why there is none, and what the collector gave up on."""
    from types import SimpleNamespace

    from gc_otel.flight import layout

    assert _heap_lines() == ["censuses taken: 3, the last held the GIL for 2.0 ms"]
    assert "GC_OTEL_CENSUS is off" in _heap_lines(state="off")[0]
    costly = _heap_lines(state="costly", hold_ns=300_000_000)[0]
    assert "it is taken rarely; the last one held the GIL for 300.0 ms" in costly
    assert "none is taken; none was taken yet" in _heap_lines(state="costly", taken_ns=0, due_ns=layout.ABSENT)[0]
    lost = (SimpleNamespace(name="app.Lost", objects=2),)
    assert "2 objects in gc.garbage (2 x app.Lost)" in _heap_lines(garbage_objects=2, garbage=lost)[1]
    assert "no cycle sampler" in _heap_lines(cycles_state="failed")[1]
    assert "5 sampled collections" in _heap_lines(cycles_samples=(5, 0, 0))[1]
