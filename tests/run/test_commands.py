"""Programs as users start them: each of their processes is on the page."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gc_otel.service.launch import COMMAND_NAME

PROGRAMS = Path(__file__).parent / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


def need(name):
    if importlib.util.find_spec(name) is None:
        assert not IN_CI, f"CI needs {name}"
        pytest.skip(f"{name} is not installed")


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def in_programs(plain_env):
    """The environment in which the web programs can be imported."""
    return {"PYTHONPATH": os.pathsep.join((str(PROGRAMS), plain_env.get("PYTHONPATH", "")))}


def ask(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        return int(answer.read())


def test_a_module(run, in_programs, pids, eventually, flight_dir):
    """`python -m package`, which is named so in `gc-otel ps`."""
    started = run(sys.executable, "-m", "tell", "4", env=in_programs)
    address = started.address()
    told = json.loads(started.line())
    eventually(lambda: pids(address) == {told["pid"]})
    from gc_otel.flight import reader
    from gc_otel.flight.file import FlightFile

    with FlightFile(Path(told["recording"]["path"])) as file:
        assert reader.read_identity(file).program == "python -m tell"
    assert started.end()[0] == 4


def test_a_script_with_its_own_first_line(run, tmp_path, pids, eventually):
    """What pip installs as a command: found by PATH, started by its first line."""
    script = tmp_path / "my-command"
    script.write_text(f"#!{sys.executable}\n" + (PROGRAMS / "tell.py").read_text())
    script.chmod(0o755)
    started = run("my-command", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    address = started.address()
    told = json.loads(started.line())
    eventually(lambda: pids(address) == {told["pid"]})
    assert started.end()[0] == 0


@pytest.mark.component
def test_gunicorn(run, in_programs, port, pids, eventually, flight_dir):
    """Master and both workers, forked by it; SIGTERM ends all of them as ever."""
    need("gunicorn")
    command = (sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", "web:wsgi")
    started = run(*command, env=in_programs, stderr=None)
    address = _address_by_status(flight_dir, eventually)
    answered = set()
    eventually(lambda: _note(answered, port) and len(answered) == 2)
    eventually(lambda: pids(address) == answered | {started.process.pid})
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 0
    eventually(lambda: not list(flight_dir.glob("*.flight")))


@pytest.mark.component
def test_uvicorn(run, in_programs, port, pids, eventually, flight_dir):
    """One process."""
    need("uvicorn")
    command = (sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "error", "web:asgi")
    started = run(*command, env=in_programs, stderr=None)
    address = _address_by_status(flight_dir, eventually)
    answered = set()
    eventually(lambda: _note(answered, port))
    assert answered == {started.process.pid}
    eventually(lambda: pids(address) == answered)
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) in (0, -signal.SIGTERM)  # uvicorn raises the signal again when it has ended


@pytest.mark.component
def test_celery(run, in_programs, pids, eventually, flight_dir, tmp_path):
    """A worker with two processes of its own, which its pool forks without CPython's hooks knowing why."""
    need("celery")
    env = {**in_programs, "JOBS_FOLDER": str(tmp_path)}
    celery = (sys.executable, "-m", "celery", "-A", "jobs")
    started = run(*celery, "worker", "--concurrency", "2", "--loglevel", "error", env=env, stdout=None, stderr=None)
    address = _address_by_status(flight_dir, eventually)
    worked = _call(env)
    main = started.process.pid
    eventually(lambda: pids(address) == {main, *_children(main)} and len(_children(main)) == 2)
    assert worked in _children(main)
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 0


def _call(env):
    code = "import jobs; print(jobs.who.delay().get(timeout=60))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _children(pid):
    """Without the exporter, which nobody waits for."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in listed if Path(f"/proc/{child}/comm").read_text() != f"{COMMAND_NAME.decode()}\n"}


def _note(answered, port):
    try:
        answered.add(ask(port))
    except OSError:
        return False
    return True


def _address_by_status(flight_dir, eventually):
    """Where the folder's exporter says that it is."""
    from gc_otel.flight.folder import Folder
    from gc_otel.service import control

    told = eventually(lambda: control.ask(Folder(flight_dir), {"do": "status"}))
    return told["address"] + "/metrics"


def test_sigterm_to_all_at_once(run, pids, page, eventually, flight_dir):
    """systemd signals the whole control group: the exporter waits for the last program, which may take its time."""
    started = run(sys.executable, PROGRAMS / "slow_to_end.py")
    address = started.address()
    pid = int(started.line())
    eventually(lambda: pids(address) == {pid})
    from gc_otel.flight.folder import Folder
    from gc_otel.service import control

    exporter = control.ask(Folder(flight_dir), {"do": "status"})["pid"]
    os.kill(exporter, signal.SIGTERM)
    started.process.send_signal(signal.SIGTERM)
    assert started.line() == "ending"
    assert pids(address) == {pid}
    assert started.end("now\n")[0] == 0
    eventually(lambda: page(address) == "", "the exporter outlives the program")
