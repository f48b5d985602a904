"""gc-otel demo, as a user runs it: from its first line to nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from gc_otel.service import launch

pytest.importorskip("opentelemetry.exporter.prometheus")
if launch.why_not() is not None:
    pytest.skip(f"the demo uses `gc-otel run`, and {launch.why_not()}", allow_module_level=True)

from prometheus_client.parser import text_string_to_metric_families

from gc_otel import cli
from gc_otel.cli import demo
from gc_otel.demo import HOST, scenarios
from gc_otel.demo.child import wait_readable


def _gone(pid):
    """Ended; a child of a killed parent may wait for an init that never collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _flights(flight_dir):
    return list(flight_dir.glob("*.flight"))


def _flights_in_the_end(flight_dir):
    """When its exporter has buried the service, which the demo does not wait for."""
    deadline_s = time.monotonic() + 20
    while (left := _flights(flight_dir)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return left


def _start(spawn, *argv):
    process = spawn("demo", "--port", "0", "--json", *argv)
    return process, json.loads(process.stdout.readline())


def test_it_serves_metrics_while_it_runs_and_ends_by_itself(spawn, flight_dir):
    """Three seconds of it: an address, a scrape that parses, lines of numbers, and nothing left."""
    process, start = _start(spawn, "--seconds", "3")
    assert start["scenario"] == "healthy"
    assert _flights(flight_dir) == [Path(start["flight_file"])]
    first = json.loads(process.stdout.readline())
    with urllib.request.urlopen(start["metrics_url"], timeout=30) as answer:
        page = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    ours = [
        each for each in families["cpython_gc_collections"].samples if each.labels["process_pid"] == str(start["pid"])
    ]
    assert sum(sample.value for sample in ours) >= sum(first["collections_by_generation"]) > 0
    assert {sample.labels["service_name"] for sample in ours} == {"gc-otel-demo"}
    assert "cpython_gc_duration_seconds" in families
    assert families["process_memory_usage_bytes"].samples[0].value > 2**20
    assert not [name for name in families if name.startswith("python_")]

    lines = [first, *map(json.loads, process.stdout)]
    assert process.wait() == 0
    assert process.stderr.read() == ""
    assert [round(line["interval_s"]) for line in lines] == [2, 1]
    assert lines[-1]["requests"] > lines[0]["requests"] > 0
    assert all(line["pauses_known"] == sum(line["collections_by_generation"]) for line in lines)
    assert all(0 < line["p99_pause_ns"] <= line["longest_pause_ns"] < 10**10 for line in lines)
    assert all(0 < line["share_in_gc"] < 1 for line in lines)
    assert all(2**20 < line["rss_bytes"] < 2**30 for line in lines)
    assert _gone(start["pid"])
    assert _flights_in_the_end(flight_dir) == []


@pytest.mark.parametrize(
    ("how", "number"), [("group", signal.SIGINT), ("parent", signal.SIGINT), ("parent", signal.SIGTERM)]
)
def test_a_signal_ends_all_of_it(spawn, flight_dir, how, number):
    """Ctrl-C in a terminal goes to the whole group, kill to the parent alone: exit 0, nothing left."""
    process, start = _start(spawn)
    (os.killpg if how == "group" else os.kill)(process.pid, number)
    assert process.wait(timeout=30) == 0
    assert (process.stdout.read(), process.stderr.read()) == ("", "")
    assert _gone(start["pid"])
    assert _flights_in_the_end(flight_dir) == []


def test_a_killed_parent_leaves_no_orphan(spawn, flight_dir, eventually):
    """The child sees the pipe close, and takes its flight file with it."""
    process, start = _start(spawn)
    process.kill()
    eventually(lambda: _gone(start["pid"]) and not _flights(flight_dir), "the service outlives its parent")


def test_a_service_that_is_killed_is_told(spawn, flight_dir):
    """With how it ended, exit 1; its flight file is kept for a look at it."""
    process, start = _start(spawn)
    os.kill(start["pid"], signal.SIGKILL)
    assert process.wait(timeout=30) == 1
    (line,) = process.stderr.read().splitlines()
    assert line == (
        f"gc-otel: the demo's service (pid {start['pid']}) has ended by itself, killed by signal 9. "
        "What it recorded is listed by `gc-otel ps --all`, unless it ended in good order."
    )
    # Where it was, or where its exporter has put those that did not end well.
    assert [path.name for path in flight_dir.rglob("*.flight")] == [Path(start["flight_file"]).name]


def test_a_service_that_is_asked_to_end_is_told_too(spawn, flight_dir):
    """SIGTERM to the service ends it in good order, which the demo did not ask for."""
    process, start = _start(spawn)
    os.kill(start["pid"], signal.SIGTERM)
    assert process.wait(timeout=30) == 1
    assert "exit status 143" in process.stderr.read()
    assert _flights_in_the_end(flight_dir) == []


def test_a_port_in_use_is_one_clear_line(flight_dir, capfd):
    """Exit 2, and what to do; said by `gc-otel run`."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        code = cli.main(["demo", "--port", str(port)])
    assert code == 2
    assert capfd.readouterr() == (
        "",
        f"gc-otel: port {port} is in use on {HOST}. Choose another with --port, or let --port 0 choose one.\n",
    )
    assert _flights_in_the_end(flight_dir) == []


def test_the_text_is_a_table_under_an_address(call, flight_dir, monkeypatch):
    """The first line is the address of the page, with its token; the columns stand under their headings."""
    monkeypatch.setattr(demo, "LINE_EVERY_S", 0.7)
    said = call("demo", "--port", "0", "--seconds", "1.4", "--scenario", "leak")
    assert (said.code, said.err) == (0, "")
    head, _, body = said.out.partition("\n\n")
    page, metrics = head.splitlines()[:2]
    token = (flight_dir / "page.token").read_text()
    assert page.startswith(f"page      http://{HOST}:")
    assert page.endswith(f"/?token={token}")
    assert metrics == page.replace("page   ", "metrics").replace(f"?token={token}", "metrics")
    assert "scenario  leak: a cache that forgets nothing" in head
    heading, *lines = body.splitlines()
    assert heading.split() == ["time", "gen", "0", "gen", "1", "gen", "2", "p99", "longest", "in", "GC", "RSS"]
    assert len(lines) == 2
    for line in lines:
        assert line.index("MiB") == len(heading) - 3  # RSS and its unit end in one column
    assert _flights_in_the_end(flight_dir) == []


def test_json_lines_in_this_process(call, monkeypatch):
    """One object a line, the first where it is."""
    monkeypatch.setattr(demo, "LINE_EVERY_S", 0.4)
    said = call("demo", "--port", "0", "--seconds", "0.4", "--json", "--scenario", "cycles")
    start, line = map(json.loads, said.out.splitlines())
    assert start["metrics_url"].endswith("/metrics")
    assert set(line) >= {"elapsed_s", "p99_pause_ns", "longest_pause_ns", "share_in_gc", "rss_bytes", "requests"}


def test_the_heading_comes_again(capsys):
    """After twenty lines it has left the screen."""
    printer = demo._TextPrinter()
    interval = demo.Interval(2.0, (1, 2, 3), 6, 10**6, 10**8, 0.5, None, None)
    for number in range(21):
        printer.line(demo.Line(2.0 * number, interval, 0))
    lines = capsys.readouterr().out.splitlines()
    assert [number for number, line in enumerate(lines) if "longest" in line] == [0, 21]
    assert lines[1].split()[-2:] == ["-", "-"]


@pytest.mark.parametrize(("value", "color"), [(1, ""), (10, "yellow"), (100, "red")])
def test_what_is_much_is_coloured(value, color):
    """Grades of a number."""
    assert demo._graded(value, 10, 100) == color


def test_a_service_that_dies_in_between_ends_the_demo_with_1(call, monkeypatch, flight_dir):
    """In this process: the same as above."""
    monkeypatch.setattr(demo._JsonPrinter, "start", lambda _, start: os.kill(start["pid"], signal.SIGKILL))
    said = call("demo", "--port", "0", "--json")
    assert said.code == 1
    assert "killed by signal 9" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_line_ends_it(call, monkeypatch, flight_dir, number):
    """The service is not waited for; it is ended like any other."""
    enter = demo.Stop.__enter__

    def enter_and_signal(stop):
        entered = enter(stop)
        os.kill(os.getpid(), number)
        return entered

    monkeypatch.setattr(demo.Stop, "__enter__", enter_and_signal)
    said = call("demo", "--port", "0")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert _flights_in_the_end(flight_dir) == []


def test_a_signal_between_two_lines_ends_it(call, monkeypatch, flight_dir):
    """In this process: exit 0 without another line."""
    monkeypatch.setattr(demo._JsonPrinter, "start", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    said = call("demo", "--port", "0", "--json")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert _flights_in_the_end(flight_dir) == []


def test_any_number_of_signals_is_one(monkeypatch):
    """A storm fills the pipe, and neither blocks nor raises; the handlers before come back."""
    before = signal.getsignal(signal.SIGINT)
    with demo.Stop() as stop:
        for _ in range(70_000):
            stop._note(signal.SIGINT, None)
        assert wait_readable([stop.fd], 0) == stop.fd
    assert signal.getsignal(signal.SIGINT) is before


def test_a_closed_pipe_ends_all_of_it(spawn, flight_dir):
    """`gc-otel demo | head -3` leaves no service behind."""
    process, start = _start(spawn)
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == ""
    assert _gone(start["pid"])
    assert _flights_in_the_end(flight_dir) == []


def test_switched_off_elsewhere_it_still_records(spawn, monkeypatch):
    """Who asks for the demo asks for a recorded service."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("GC_OTEL_ENABLED", "false")
    process, start = _start(spawn, "--seconds", "0.1")
    assert start["pid"] > 0
    assert process.wait() == 0


def test_without_a_flight_folder_it_says_why_not(call, flight_dir):
    """There is nothing to read then."""
    flight_dir.chmod(0o755)
    said = call("demo", "--port", "0")
    assert said.code == 1
    assert "gc-otel: the demo's service has no flight file to read. Run `gc-otel doctor`" in said.err


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_each_scenario_is_what_it_says(name):
    """Handlers answer, and differ in what they leave."""
    handle = scenarios.SCENARIOS[name][1]()
    assert handle() == handle() or name == "leak"
