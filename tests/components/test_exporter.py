"""The exporter service before a real Prometheus, and promtool's opinion of its page."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

CONFIGURATION = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: fleet
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

#: Names of the semantic conventions: theirs is the word.
CONVENTIONAL = ("process_thread_count", "process_unix_file_descriptor_count")
SERIES_MOST = 150


@pytest.fixture
def exporter(serve, program_env, free_port, poll, page):
    """The port of `gc-otel exporter`, once it answers."""
    port = free_port()
    env = {**program_env, "GC_OTEL_SAMPLE_INTERVAL": "0.2"}
    server = serve(sys.executable, "-m", "gc_otel.cli", "exporter", "--port", str(port), env=env)
    poll(lambda: page(f"http://127.0.0.1:{port}/readyz"), lambda text: text == "ok\n")
    yield port
    server.send_signal(signal.SIGINT)  # on SIGTERM it would wait for the watched
    assert server.wait(30) == 0


@pytest.fixture
def watched(program):
    """Two processes that collect, by pid."""
    told = [program("watched.py") for _ in range(2)]
    return {str(each["pid"]): each["collections"] for each in told}


def test_promtool_finds_no_fault(tool, watched, exporter, page, poll):
    """`promtool check metrics` has nothing to say about the whole page, but for two conventional names."""
    promtool, url = tool("promtool"), f"http://127.0.0.1:{exporter}/metrics"
    text = poll(lambda: page(url), lambda text: text.count("\nprocess_memory_uss_bytes{") == len(watched))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == ""
    assert [line.split()[0] for line in done.stderr.splitlines()] == list(CONVENTIONAL)
    for pid in watched:
        mine = [line for line in text.splitlines() if f'process_pid="{pid}"' in line]
        assert 80 < len(mine) <= SERIES_MOST


def test_a_real_prometheus_has_every_collection_of_every_process(
    tool, watched, exporter, serve, free_port, poll, page, tmp_path
):
    """By pid, as CPython itself has counted; it reads the page as OpenMetrics, and tells the processes apart."""
    api_port = free_port()
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=exporter))
    serve(
        tool("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{api_port}",
    )

    def counted(name: str) -> dict[str, dict[str, float]]:
        answer = json.loads(page(f"http://127.0.0.1:{api_port}/api/v1/query", query=f'{name}{{job="fleet"}}'))
        by_pid: dict[str, dict[str, float]] = {}
        for each in answer["data"]["result"]:
            labels = each["metric"]
            by_pid.setdefault(labels["process_pid"], {})[labels["cpython_gc_generation"]] = float(each["value"][1])
        return by_pid

    assert poll(lambda: counted("cpython_gc_collections_total"), bool) == watched
    assert counted("cpython_gc_duration_seconds_count") == watched
    target = json.loads(page(f"http://127.0.0.1:{api_port}/api/v1/query", query="target_info"))
    assert {each["metric"]["process_pid"] for each in target["data"]["result"]} == set(watched)
    up = json.loads(page(f"http://127.0.0.1:{api_port}/api/v1/query", query="up"))
    assert [each["value"][1] for each in up["data"]["result"]] == ["1"]
