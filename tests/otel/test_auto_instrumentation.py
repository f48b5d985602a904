"""`opentelemetry-instrument python program.py`: found by entry point, configured by the user's environment."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

PROGRAM = Path(__file__).parent / "programs" / "instrumented.py"
COMMAND = (
    sys.executable,
    "-c",
    "from opentelemetry.instrumentation.auto_instrumentation import run; run()",
    sys.executable,
    str(PROGRAM),
)
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
ASKED = 5  # as in the program
#: The SDK's last collect, at shutdown, may take no longer than this: less would fail on a busy machine.
EXPORT_INTERVAL_MS = "1000"


@pytest.fixture(autouse=True)
def installed() -> None:
    if not importlib.metadata.entry_points(group="opentelemetry_instrumentor", name="gc_otel"):
        assert not IN_CI, "CI installs the package: its entry point must be there"
        pytest.skip("gc_otel is not installed: no entry point to find it by")


class Program:
    """The program, running under opentelemetry-instrument; it ends when told to."""

    def __init__(self, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            COMMAND, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"it said nothing: {self.process.communicate(timeout=30)[1]}")
        self.told: dict[str, Any] = json.loads(line)

    def end(self) -> str:
        """Let it end; what it wrote to standard error."""
        _, errors = self.process.communicate("\n", timeout=30)
        assert self.process.returncode == 0, errors
        return errors


@pytest.fixture
def start(program_env: dict[str, str]) -> Iterator[Callable[..., Program]]:
    """Start the program with these OTEL_ settings; only metrics are exported."""
    running: list[Program] = []
    quiet = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}

    def run(**settings: str) -> Program:
        running.append(Program({**program_env, **quiet, **settings}))
        return running[-1]

    yield run
    for program in running:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def otlp(endpoint: str) -> dict[str, str]:
    return {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": EXPORT_INTERVAL_MS,
        "OTEL_SERVICE_NAME": "shop",
    }


def scrape(port: str) -> dict[str, list[Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        page = answer.read().decode()
    families = list(text_string_to_metric_families(page))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family.samples for family in families}


def test_prometheus(start):
    """With the Prometheus exporter our metrics are on its page while the program runs."""
    port = free_port()
    program = start(
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT=port,
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics",
    )
    page = scrape(port)
    explicit = {
        sample.labels["cpython_gc_generation"]: sample.value for sample in page["cpython_gc_explicit_collections"]
    }
    assert explicit == {"0": 0, "1": 0, "2": ASKED}
    counts = [sample for sample in page["cpython_gc_duration_seconds"] if sample.name.endswith("_count")]
    collections = sum(sample.value for sample in page["cpython_gc_collections"])
    assert sum(sample.value for sample in counts) == collections >= ASKED
    assert program.end() == ""


def test_prometheus_with_system_metrics(start):
    """Beside system-metrics, which opentelemetry-instrument finds too, every series is on the page once."""
    pytest.importorskip("opentelemetry.instrumentation.system_metrics")
    port = free_port()
    program = start(
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT=port,
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
    )
    page = scrape(port)
    for name in ("cpython_gc_collections", "process_memory_usage_bytes", "cpython_gc_explicit_collections"):
        assert len({sample.labels["otel_scope_name"] for sample in page[name]}) == 1, name
    program.end()


def test_otlp(start, receiver):
    """By OTLP the service's name and every collection arrive; the last export, at exit, has them all."""
    program = start(**otlp(receiver.endpoint), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics")
    receiver.wait_for(len)
    program.end()
    last = receiver.sent[-1]
    assert last.resource["service.name"] == "shop"
    assert last.total("cpython.gc.explicit_collections") == ASKED
    dropped = {attributes["reason"]: value for attributes, value in last.points("gc_otel.events.dropped")}
    assert last.received() == last.total("cpython.gc.collections") - dropped["self"] - dropped["limit"] >= ASKED
    assert program.told["service_name"] == "shop"


def test_nothing_stays_behind(start, flight_dir):
    """While it runs it has a flight file; after a clean exit there is none."""
    program = start()
    assert [path.name.partition("-")[0] for path in flight_dir.glob("*.flight")] == [str(program.told["pid"])]
    program.end()
    assert list(flight_dir.iterdir()) == []


def test_declarative_configuration(start, receiver, tmp_path):
    """OTEL_CONFIG_FILE gives our options; what it does not say comes from the environment."""
    pytest.importorskip("opentelemetry.configuration")
    file = tmp_path / "otel.yaml"
    file.write_text(
        f"""
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: declared}}
meter_provider:
  readers:
    - periodic:
        interval: {EXPORT_INTERVAL_MS}
        exporter:
          otlp_http: {{endpoint: "{receiver.endpoint}/v1/metrics"}}
instrumentation/development:
  python:
    gc_otel:
      sample_interval: 0.5
      memory_detail: false
      disabled_metrics: ["process.*", cpython.gc.pending]
"""
    )
    program = start(OTEL_CONFIG_FILE=str(file), GC_OTEL_RECORDER="python")
    told = program.told
    assert (told["sample_interval"], told["memory_detail"], told["recorder"]) == (0.5, False, "python")
    assert told["service_name"] == "declared"
    sent = receiver.wait_for(lambda sent: any("cpython.gc.threshold" in each.metrics for each in sent))
    assert "not recorded" not in program.end()
    for each in sent:
        assert not [name for name in each.metrics if name.startswith("process.") or name == "cpython.gc.pending"]
        assert each.resource["service.name"] == "declared"
    # Not always all: while the twin's callback waits for the GIL, the SDK's threads allocate.
    assert 0 < receiver.sent[-1].total("cpython.gc.explicit_collections") <= ASKED


@pytest.mark.parametrize(
    "setting", [{"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "gc_otel, flask"}, {"GC_OTEL_ENABLED": "false"}]
)
def test_disabled(start, flight_dir, setting):
    """By OpenTelemetry's own list or by our switch, nothing is recorded."""
    program = start(**setting)
    assert program.told["recorder"] is None
    assert list(flight_dir.iterdir()) == []
    assert program.end() == ""


def test_disabled_sdk(start, flight_dir):
    """OTEL_SDK_DISABLED is the user's word on all telemetry."""
    program = start(OTEL_SDK_DISABLED="true")
    assert program.told["recorder"] is None
    program.end()
