"""gc-otel ps finds recorded processes from outside."""

from __future__ import annotations

import os
import shutil

import pytest

from gc_otel.errors import NotConsistent
from gc_otel.flight import layout, reader
from gc_otel.flight.file import FlightFile
from gc_otel.service import fleet

HEADER, GC, MONITOR = layout.HEADER, layout.GC, layout.MONITOR


def _listed(call, *argv):
    said = call("ps", "--json", *argv)
    assert said.code == 0
    return said.json


def test_an_empty_folder_says_how_to_start(call):
    """Nothing recorded is no error."""
    said = call("ps")
    assert said.code == 0
    assert said.out.startswith("No recorded process. To record one:")
    assert "gc-otel demo" in said.out
    assert _listed(call) == []


def test_a_folder_that_nobody_has_made_is_empty(call, monkeypatch, flight_dir):
    """Before the first recorded process there is no folder."""
    monkeypatch.setenv("GC_OTEL_DIR", str(flight_dir / "later"))
    assert call("ps").out.startswith("No recorded process.")


def test_a_living_process_is_listed(call, record, eventually, flight_dir):
    """Everything that its file tells, in units that the names tell."""
    process = record()
    process.tell("collect")
    (one,) = eventually(lambda: [each for each in _listed(call) if each["rss_bytes"]], "no memory was sampled")
    assert one["pid"] == process.pid
    assert one["parent_pid"] == os.getpid()
    assert (one["service_name"], one["recorder"], one["state"]) == ("shop", "python", "running")
    assert one["program"] == "recorded.py"
    assert one["collections"] == sum(one["collections_by_generation"]) == 1
    assert 0 < one["longest_pause_ns"] == one["gc_time_ns"]
    assert 0 < one["share_in_gc"] < 1
    assert one["allocated_blocks"] > 10_000
    assert 2**20 < one["rss_bytes"] < 2**30
    assert one["alive"]
    assert not one["other_pid_namespace"]
    assert one["flight_file"] == str(process.path)
    heading, row, *rest = call("ps").out.splitlines()
    assert heading.split()[:5] == ["PID", "SERVICE", "PYTHON", "UPTIME", "RECORDER"]
    assert row.split()[:3] == [str(process.pid), "shop", one["python_version"]]
    assert row.endswith("running")
    assert rest == []


def test_a_process_without_collections_has_no_longest_pause(call, record):
    """What did not happen took no time at all, which is not zero."""
    record()
    (one,) = _listed(call)
    assert (one["collections"], one["longest_pause_ns"]) == (0, None)


@pytest.mark.parametrize("recorder", ["python", "native"])
def test_a_collection_in_progress_is_the_state(call, record, recorder, request):
    """A process that hangs inside a collection is listed with how long it has."""
    if recorder == "native":
        from gc_otel import _native

        if _native.load()[0] is None:
            pytest.skip("no native recorder here")
    process = record(recorder)
    process.tell("hang")
    (one,) = _listed(call)
    assert one["state"] == "collecting"
    assert one["collecting_ns"] > 0
    assert "in collection " in call("ps").out
    process.kill()
    (one,) = _listed(call, "--all")
    assert (one["state"], one["collecting_ns"]) == ("died collecting", None)
    assert "died in a collection" in call("ps", "--all").out


def test_the_dead_are_listed_on_request(call, record):
    """A killed process leaves its file; ps tells of it with --all, and mentions it without."""
    living, killed = record(), record()
    killed.tell("collect")
    killed.kill()
    assert [each["pid"] for each in _listed(call)] == [living.pid]
    everyone = {each["pid"]: each for each in _listed(call, "--all")}
    assert everyone[killed.pid]["state"] == "died"
    assert everyone[killed.pid]["uptime_ns"] > 0
    assert "1 dead process not shown: gc-otel ps --all" in call("ps").out
    assert "not shown" not in call("ps", "--all").out
    living.kill()
    said = call("ps")
    assert said.out.startswith("No recorded process is alive.")
    assert "2 dead processes not shown" in said.out


def test_one_that_noted_its_exit_is_told_from_one_that_died(call, record, put):
    """Exited cleanly, with its file left behind: the time of its exit ends its uptime."""
    process = record()
    process.kill()
    (one,) = _listed(call, "--all")
    put(process.path, HEADER.cell("state"), layout.STATES.index("exited"), one["started_unix_ns"] + 5 * 10**9)
    (one,) = _listed(call, "--all")
    assert (one["state"], one["uptime_ns"]) == ("exited", 5 * 10**9)


def test_a_pid_of_another_namespace_is_marked(call, record, put):
    """Such a pid means nothing here, and must not be killed."""
    process = record()
    put(process.path, HEADER.cell("pid_namespace"), 4026532999)
    (one,) = _listed(call)
    assert one["other_pid_namespace"]
    said = call("ps")
    assert f"{process.pid}*" in said.out
    assert "another pid namespace" in said.out


def test_where_proc_tells_nothing_no_pid_is_marked(call, record, monkeypatch):
    """Without /proc no namespace is known, ours as little as theirs."""
    record()
    real = os.stat

    def stat(path, *args, **kwargs):
        if path == "/proc/self/ns/pid":
            raise FileNotFoundError(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(fleet.os, "stat", stat)
    assert not _listed(call)[0]["other_pid_namespace"]


def test_files_that_cannot_be_read_are_counted(call, hostile):
    """The last line points to the doctor, who names them; JSON keeps standard output to itself."""
    said = call("ps")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith(f"{len(hostile)} flight files cannot be read: gc-otel doctor")
    said = call("ps", "--json")
    assert len(said.json) == 1
    assert said.err.startswith(f"{len(hostile)} flight files cannot be read")


def test_one_file_is_counted_in_the_singular(call, flight_dir):
    """One is one."""
    (flight_dir / "1-a.flight").touch()
    assert "1 flight file cannot be read: gc-otel doctor names it and says why." in call("ps").out


def test_any_folder_of_the_user_s_can_be_read(call, record, tmp_path, monkeypatch):
    """Copies of flight files on a disk, for a look at them afterwards."""
    process = record()
    process.tell("collect")
    shutil.copy(process.path, tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    (one,) = _listed(call, "--all", "--dir", tmp_path.name)
    assert (one["pid"], one["alive"], one["collections"]) == (process.pid, False, 1)


def test_a_folder_that_is_not_there_is_an_error(call, tmp_path):
    """Named on the command line, it is meant."""
    said = call("ps", "--dir", str(tmp_path / "nowhere"))
    assert (said.code, said.out) == (1, "")
    assert said.err == f"gc-otel: {tmp_path}/nowhere is not a folder. Name a folder that holds flight files.\n"


def test_an_unfit_folder_is_an_error_with_its_remedy(call, flight_dir):
    """Open to others: nobody records there, and nothing in it is believed."""
    flight_dir.chmod(0o755)
    said = call("ps")
    assert said.code == 1
    assert said.err == f"gc-otel: {flight_dir} is open to others (mode 0755). Run `chmod 700 {flight_dir}`.\n"


def test_a_folder_setting_that_cannot_be_used_is_told(call, monkeypatch, flight_dir):
    """It changes which folder is listed; other settings do not and are left to `gc-otel config`."""
    monkeypatch.setenv("GC_OTEL_DIR", "relative")
    monkeypatch.setenv("GC_OTEL_RECORDER", "rust")
    monkeypatch.setattr(fleet, "default_path", lambda _: flight_dir / "later")
    said = call("ps")
    assert said.err.count("\n") == 1
    assert "GC_OTEL_DIR='relative' cannot be used" in said.err


def test_long_and_hostile_names_are_harmless(call, record):
    """A service may call itself anything."""
    record(OTEL_SERVICE_NAME="\x1b[2J" + "very long " * 10)
    out = call("ps").out
    assert "\x1b" not in out
    assert "..." in out


def test_a_monitor_that_does_not_hold_still_hides_no_process(call, record, put):
    """A process in a long collection may hold its monitor up in the middle of its writing."""
    process = record()
    process.kill()
    with FlightFile(process.path) as file:
        (sequence,) = memoryview(file.copy(MONITOR.offset_bytes, 8)).cast("Q")
        put(process.path, MONITOR.cell("sequence"), sequence | 1)
        with pytest.raises(NotConsistent):
            reader.read(file)
        assert fleet.read_snapshot(file)[1] == ("monitor",)
    (one,) = _listed(call, "--all")
    assert (one["pid"], one["allocated_blocks"]) == (process.pid, None)


def test_a_process_that_ends_while_the_folder_is_read_is_no_unreadable_file(record, flight_dir):
    """Its file went with it."""
    path = record().path

    class Listed:
        group = None

        def files(self):
            path.unlink()
            yield path

    assert fleet.read_fleet(Listed()) == fleet.Fleet()


def test_nonsense_in_the_clock_cells_is_no_crash(call, record, put):
    """Times beyond all bounds give numbers beyond belief, not tracebacks."""
    process = record()
    process.kill()
    for name in ("started_unix_ns", "created_unix_ns", "monotonic_to_unix_ns"):
        put(process.path, HEADER.cell(name), 2**64 - 1)
    put(process.path, GC.cell("collecting_since_ns"), 2**64 - 1)
    assert call("ps", "--all").code == 0
    assert _listed(call, "--all")[0]["pid"] == process.pid
