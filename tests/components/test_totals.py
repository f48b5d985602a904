"""Per-service totals in a real Prometheus: workers that no scrape sees, and an exporter that is killed meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "programs" / "brief.py"
CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: fleet
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
#: Collections, and how it ends.
LIVES = ((7, "return"), (11, "kill"), (13, "_exit"), (5, "return"), (3, "kill"), (17, "return"))


@pytest.fixture
def exporter(serve, program_env, poll, page):
    """Starts `gc-otel exporter` at a port, and waits until it answers."""

    def start(port: int) -> subprocess.Popen[bytes]:
        server = serve(sys.executable, "-m", "gc_otel.cli", "exporter", "--port", str(port), env=program_env)
        poll(lambda: page(f"http://127.0.0.1:{port}/readyz"), lambda text: text == "ok\n")
        return server

    return start


@pytest.mark.once
def test_every_collection_of_every_worker_is_there_once(
    tool, exporter, program, program_env, serve, free_port, poll, page, tmp_path
):
    """What `sum(increase())` sees is what they did, none of it twice; the counter is never reset."""
    port, api_port = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=port))
    server = exporter(port)
    program("brief.py", 2, "wait")  # the service is there before its brief workers
    serve(
        tool("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{api_port}",
    )

    def query(expression: str) -> dict[str, float]:
        answer = json.loads(page(f"http://127.0.0.1:{api_port}/api/v1/query", query=expression))
        return {json.dumps(each["metric"]): float(each["value"][1]) for each in answer["data"]["result"]}

    def value(expression: str) -> float | None:
        (found,) = query(expression).values() or (None,)
        return found

    total = 'sum(gc_otel_service_collections_total{service_name="shop"})'
    poll(lambda: value(f"count_over_time(({total})[1m:1s])"), lambda samples: samples is not None and samples >= 4)
    assert value(total) == 2

    for number, (times, how) in enumerate(LIVES):
        if number == len(LIVES) // 2:
            server.send_signal(signal.SIGKILL)
            server.wait(30)
        _live(program_env, times, how)
        if number == len(LIVES) // 2:  # this one lived and died with no exporter there
            exporter(port)
    expected = 2 + sum(times for times, _ in LIVES)
    poll(lambda: value(total), lambda found: found == expected)
    poll(lambda: value(f"changes(({total})[4s:1s])"), lambda changes: changes == 0)  # it stays so

    assert value(total) == expected
    for name in ("service_collections_total", "service_duration_seconds_bucket", "process_ended_total"):
        resets = query(f'resets(gc_otel_{name}{{service_name="shop"}}[5m])')
        assert len(resets) >= 3
        assert set(resets.values()) == {0.0}
    increase = value('sum(increase(gc_otel_service_collections_total{service_name="shop"}[5m]))')
    assert increase == pytest.approx(expected - 2, rel=0.15)  # Prometheus extrapolates to the ends of its range
    assert value('sum(gc_otel_service_duration_seconds_count{service_name="shop"})') == expected
    ended = query('sum by (reason) (gc_otel_process_ended_total{service_name="shop"}) > 0')
    by_reason = {json.loads(labels)["reason"]: count for labels, count in ended.items()}
    assert sum(by_reason.values()) == len(LIVES)
    assert by_reason["clean exit"] >= 3


def _live(env: dict[str, str], times: int, how: str) -> None:
    done: Any = subprocess.run([sys.executable, str(PROGRAM), str(times), how], env=env, timeout=60, check=False)
    assert done.returncode == (-signal.SIGKILL if how == "kill" else 0)
