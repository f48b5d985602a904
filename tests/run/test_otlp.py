"""`gc-otel run` where the standard variables ask for OTLP: of the program, and of the exporter beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "own_sdk.py"

pytestmark = pytest.mark.once


@pytest.fixture
def receiver():
    path = Path(__file__).parents[1] / "otel" / "_receiver.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Receiver() as started:
        yield started


def test_both_push_and_nothing_is_published_twice(receiver, run):
    """The program's own SDK sends what is its own, the exporter what is ours, each as an instance of its own."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_SERVICE_NAME": "shop",
    }
    program = run(sys.executable, PROGRAM, env=env)
    assert program.line() == "ready"
    name = "cpython.gc.collections"
    sent = receiver.wait_for(
        lambda sent: any(name in each.metrics for each in sent) and any(_is_theirs(each) for each in sent)
    )
    assert program.end("\n")[0] == 0
    ours = {each.resource["service.instance.id"] for each in sent if name in each.metrics}
    assert len(ours) == 1
    theirs = [each for each in sent if _is_theirs(each)]
    assert not any(each.metrics for each in theirs)
    assert not ours & {each.resource.get("service.instance.id") for each in theirs}
    pid = str(program.process.pid)
    assert {str(each.resource["process.pid"]) for each in sent if name in each.metrics} == {pid}
    # The exporter ends after it, and has pushed its last numbers.
    receiver.wait_for(lambda sent: any(each.total(name) >= 3 for each in sent if name in each.metrics))


def _is_theirs(each):
    """The SDK names itself; we do not, as we are none."""
    return "telemetry.sdk.name" in each.resource


def test_what_cannot_be_spoken_is_said_and_the_program_runs(receiver, run):
    """One line on standard error, with what to set; /metrics is there all the same."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    program = run(sys.executable, "-c", "print('ran'); input()", env=env)
    address = program.address()
    assert address.endswith("/metrics")
    assert program.line() == "ran"
    line = program.process.stderr.readline()
    assert "nothing is pushed by OTLP: OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in line
    assert program.end("\n")[0] == 0
