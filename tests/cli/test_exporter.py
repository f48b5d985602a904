"""gc-otel exporter, and how ps and doctor speak of it."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest

from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.flight.folder import open_folder
from gc_otel.service.control import Claim
from gc_otel.service.status import ask_status


@pytest.fixture
def exporter(spawn):
    """Starts one; the process and its address."""

    def start(*options):
        process = spawn("exporter", "--port", "0", *options)
        return process, process.stdout.readline().strip()

    return start


def test_its_first_line_is_the_address(exporter, record):
    """And there are the recorded processes; SIGINT ends it."""
    recorded = record()
    process, address = exporter()
    assert address.endswith("/metrics")
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert f'process_pid="{recorded.pid}"' in answer.read().decode()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_by_itself_where_that_is_asked_for(exporter):
    """--linger, with nobody there."""
    process, _ = exporter("--linger", "0")
    assert process.wait(60) == 0


def test_a_port_that_is_taken_is_one_line(call, flight_dir):
    """Exit 2, what to do, and the claim is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = call("exporter", "--port", str(port))
    assert said.code == 2
    assert said.err.startswith(f"gc-otel: port {port} is in use on 127.0.0.1. ")
    assert said.err.count("\n") == 1
    claim = Claim.take(open_folder(Config.from_env()))
    assert claim is not None
    claim.release()


def test_a_folder_has_one(call, exporter, flight_dir):
    """The second says who is there: in the same folder given as a path, too."""
    process, address = exporter()
    said = call("exporter", "--port", "0", "--dir", str(flight_dir))
    assert said.code == 2
    assert f"has an exporter already, process {process.pid}, at {address.removesuffix('/metrics')}" in said.err


def test_a_folder_that_cannot_be_used_is_one_line(call, flight_dir):
    """Not a traceback."""
    (flight_dir / "exporter.lock").mkdir()
    said = call("exporter", "--port", "0")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert f"{flight_dir} cannot be used: " in said.err


def test_elsewhere_it_says_that_it_needs_linux(call, monkeypatch):
    """And what works there."""
    monkeypatch.setattr("gc_otel.cli.exporter.sys.platform", "darwin")
    said = call("exporter")
    assert (said.code, said.out) == (1, "")
    assert said.err == "gc-otel: the exporter service needs Linux. Library mode publishes on any platform.\n"


def test_values_that_do_not_fit(call, monkeypatch, flight_dir):
    """Of options argparse says so; a variable is a line on standard error, not on the first line of output."""
    for options in (("--port", "x"), ("--port", "70000"), ("--linger", "-1"), ("--linger", "inf")):
        assert call("exporter", *options).code == 2
    monkeypatch.setenv("GC_OTEL_LINGER", "nonsense")
    said = call("exporter", "--host", "192.0.2.1")
    assert (said.code, said.out) == (2, "")
    assert "GC_OTEL_LINGER='nonsense' cannot be used" in said.err


def test_ps_and_doctor_tell_of_it(call, exporter, record, flight_dir):
    """Where, who, since when and how much; doctor also what it skipped and what failed."""
    record()
    process, address = exporter()
    urllib.request.urlopen(address, timeout=60).close()
    last = call("ps").out.splitlines()[-1]
    assert last.startswith(f"exporter: {address}, pid {process.pid}, up ")
    assert last.endswith("s, 1 scrape")
    assert "exporter" not in call("ps", "--json").out
    (check,) = _checks(call)
    assert check["finding"].startswith(f"{address}, pid {process.pid}, up ")
    assert check["finding"].endswith("1 scrape, follows 1 processes")


def _checks(call):
    checks = json.loads(call("doctor", "--json").out)["checks"]
    return [each for each in checks if each["group"] == "exporter service"]


def test_doctor_tells_what_an_exporter_met(call, monkeypatch, flight_dir):
    """Another version, faults by count, requests that were none."""
    told = {
        "pid": 1,
        "version": "0",
        "address": "http://127.0.0.1:9464",
        "since_unix_ns": 0,
        "is_ending": True,
        "scrapes": 2,
        "processes": 3,
        "launchers": 0,
        "skipped_files": 5,
        "skipped_requests": 1234,
        "faults": [{"text": "once", "count": 1}, {"text": "twice", "count": 2}],
    }
    monkeypatch.setattr("gc_otel.service.status.ask", lambda *_: told)
    found, *others = _checks(call)
    assert found["finding"].endswith("2 scrapes, ending with the last process, follows 3 processes, skips 5 files")
    assert [each["status"] for each in others] == ["warn"] * 4
    said = " ".join(each["finding"] for each in others)
    for words in ("of version 0", "contained once: once", "contained 2 times: twice", "1,234 requests"):
        assert words in said


def test_doctor_tells_of_one_that_does_not_answer(call, flight_dir):
    """And of none."""
    (none,) = _checks(call)
    assert none["status"] == "ok"
    folder = open_folder(Config.from_env())
    claim = Claim.take(folder)
    claim.listener.close()
    assert ask_status(folder) is None
    (silent,) = _checks(call)
    assert (silent["status"], silent["finding"]) == ("warn", "one has this folder, and does not answer")
    claim.release()


def test_an_installation_that_is_too_old_says_so(call, monkeypatch, flight_dir):
    """The command ends with what to do, and doctor warns before anybody tries."""

    def refuse():
        raise NotSupported("too old", remedy="Run `pip install -U`.")

    monkeypatch.setattr("gc_otel.otel.prometheus.check_exporter_version", refuse)
    said = call("exporter", "--port", "0")
    assert (said.code, said.out, said.err) == (1, "", "gc-otel: too old. Run `pip install -U`.\n")
    warned, none = _checks(call)
    assert (warned["status"], warned["finding"], none["status"]) == ("warn", "too old", "ok")
