"""Servers that are asked what is on their heap: they answer, and go on as if nobody had asked."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from gc_otel.heap import child
from gc_otel.service.asking import ask

PROGRAMS = Path(__file__).parent / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def need(name):
    if importlib.util.find_spec(name) is None:
        assert not IN_CI or name == "gevent", f"CI needs {name}"
        pytest.skip(f"{name} is not installed")


def answered_by(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return int(answer.read())
    except OSError:
        return 0


def knots(answer):
    return sum(group["cycles"] for group in answer["groups"] if "Knot" in group["signature"])


@pytest.mark.component
@pytest.mark.skipif(not HAS_GIL, reason="refused without a GIL")
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_worker_of_gunicorn(run, plain_env, eventually, flight_dir, worker):
    """Its cycles are counted while it lives; the same worker answers afterwards, and the master never notices a child."""
    need("gunicorn")
    if worker == "gevent":
        need("gevent")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ("--workers", "1", "--worker-class", worker, "--bind", f"127.0.0.1:{port}", "knots:wsgi")
    env = {"PYTHONPATH": os.pathsep.join((str(PROGRAMS), plain_env.get("PYTHONPATH", "")))}
    # Not in a tree, where a gc_otel without its extension may stand first on the path.
    started = run(sys.executable, "-m", "gunicorn", *words, env=env, cwd=str(PROGRAMS))
    pid = eventually(lambda: answered_by(port))
    assert [answered_by(port) for _ in range(9)] == [pid] * 9
    eventually(lambda: list(flight_dir.glob(f"{pid}-*.flight")))
    arguments = {} if child.why_not() is None else {"in_process": True}
    assert knots(ask(pid, "cycles", arguments)) == knots(ask(pid, "cycles", {"in_process": True})) == 10
    assert answered_by(port) == pid
    assert ask(started.process.pid, "census")["objects"] > 1000
    started.process.send_signal(signal.SIGTERM)
    code, _, errors = started.end()
    assert code == 0
    assert "Traceback" not in errors
    assert "was terminated" not in errors
    eventually(lambda: not list(flight_dir.glob("*.flight")))
