"""Beside other tools that load themselves into a program, in either order; metrics are published once."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
AUTO = ("-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()")
QUIET = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "system_metrics",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def own_prometheus():
    return {
        **QUIET,
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": free_port(),
    }


def test_around_auto_instrumentation(run, page, pids, eventually):
    """OpenTelemetry's sitecustomize runs no other; the program is recorded all the same, and its own page has none of ours."""
    pytest.importorskip("opentelemetry.distro")
    env = own_prometheus()
    started = run(sys.executable, *AUTO, sys.executable, PROGRAMS / "tell.py", env=env)
    address = started.address()
    told = json.loads(started.line())
    assert told["recording"]["run_mode"]
    eventually(lambda: pids(address) == {told["pid"]})
    theirs = page(f"http://127.0.0.1:{env['OTEL_EXPORTER_PROMETHEUS_PORT']}/metrics")
    assert "python_info" in theirs
    assert "cpython_gc_duration" not in theirs
    assert started.end() == (0, "", "")


def test_inside_auto_instrumentation(pids, eventually, program_under):
    """`opentelemetry-instrument gc-otel run`: the launcher is instrumented too, and its threads are not in the way."""
    started = program_under(sys.executable, *AUTO, sys.executable, "-m", "gc_otel.cli", env=QUIET)
    address = started.address()
    told = json.loads(started.line())
    assert told["pid"] == started.process.pid
    assert told["recording"]["run_mode"]
    eventually(lambda: pids(address) == {told["pid"]})
    assert started.end()[0] == 0


@pytest.mark.parametrize("order", ["around", "inside"])
def test_ddtrace(run, program_under, pids, eventually, order):
    """ddtrace-run puts a folder with a sitecustomize on PYTHONPATH as well, and runs the next one."""
    ddtrace = shutil.which("ddtrace-run", path=str(Path(sys.executable).parent))
    if ddtrace is None:
        pytest.skip("ddtrace is not installed beside this Python")
    env = {
        "DD_TRACE_ENABLED": "false",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    }
    if order == "around":
        started = run(ddtrace, sys.executable, PROGRAMS / "tell.py", env=env)
    else:
        started = program_under(ddtrace, sys.executable, "-m", "gc_otel.cli", env=env)
    address = started.address()
    told = json.loads(started.line())
    assert told["recording"]["run_mode"]
    eventually(lambda: pids(address) == {told["pid"]})
    assert started.end()[0] == 0


def test_library_mode_inside_run_mode(python, pids, page, eventually):
    """instrument() keeps the recording that is there and publishes nothing; uninstrument() leaves it alone."""
    started = python("library.py")
    address = started.address()
    told = json.loads(started.line())
    assert told["own_metrics"] == ["requests"]
    assert told["recorders"] == 1
    assert told["same_recording"]
    eventually(lambda: pids(address) == {told["pid"]})
    assert started.end()[0] == 0


def test_library_mode_alone_publishes(plain_env):
    """The same program without run mode: what the test above says is absent would be there."""
    done = subprocess.run(
        [sys.executable, PROGRAMS / "library.py"],
        env=plain_env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert "cpython.gc.collections" in told["own_metrics"]
    assert "requests" in told["own_metrics"]
