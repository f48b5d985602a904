"""A Flask service under gunicorn, each worker instrumented in post_fork."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
RSS_FIELD = 1  # of /proc/PID/statm


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[RSS_FIELD]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_each_worker_reports_itself(
    need_module, serve, free_port, poll, page, program_env, flight_dir, receiver, tmp_path
):
    """Two workers: two pids, two instances, each with its own memory and its own collections; a clean end."""
    need_module("gunicorn")
    need_module("flask")
    port = free_port()
    server = serve(
        *(sys.executable, "-m", "gunicorn", "--workers", "2", "--worker-class", "sync"),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(PROGRAMS), "--config", str(PROGRAMS / "web.py"), "web:app"),
        env={**program_env, "RECEIVER": f"{receiver.endpoint}/v1/metrics"},
    )
    served: Counter[int] = Counter()

    def ask() -> Counter[int]:
        served[int(page(f"http://127.0.0.1:{port}/"))] += 1
        return served

    poll(ask, lambda by_pid: len(by_pid) == 2)

    def last_of_each(sent):
        return {
            each.resource["process.pid"]: each
            for each in sent
            if each.total("cpython.gc.explicit_collections") == served[each.resource["process.pid"]]
            and "process.memory.usage" in each.metrics
        }

    last = last_of_each(receiver.wait_for(lambda sent: len(last_of_each(sent)) == 2))
    assert set(last) == set(served)
    assert len({each.resource["service.instance.id"] for each in last.values()}) == 2
    for pid, each in last.items():
        assert each.total("process.memory.usage") == pytest.approx(resident_bytes(pid), rel=0.1)
        dropped = {attributes["reason"]: value for attributes, value in each.points("gc_otel.events.dropped")}
        assert each.received() == each.total("cpython.gc.collections") - dropped["self"] - dropped["limit"]
    first, second = sorted(each.total("process.memory.usage") for each in last.values())
    assert second - first > 15_000_000
    assert {int(path.name.partition("-")[0]) for path in flight_dir.glob("*.flight")} == set(served)

    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=20) == 0, (tmp_path / f"{Path(sys.executable).name}.log").read_text()
    assert list(flight_dir.iterdir()) == []
