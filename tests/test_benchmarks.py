"""The benchmarks run and say what they should; how fast anything is, is no test's business."""

from __future__ import annotations

import gc
import json
import operator
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not (Path(__file__).parent.parent / "benchmarks").is_dir(),
    reason="the benchmarks stand in the checkout, not in a wheel",
)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """A plain `pytest` puts no folder of the checkout on the path."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def quick(tmp_path):
    """Run one benchmark quickly and return what it printed and wrote."""

    def run(name: str) -> tuple[str, dict]:
        file = tmp_path / "figures.json"
        command = [sys.executable, "-m", "benchmarks", "--quick", "--only", name, "--json", str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads(file.read_text())

    return run


def test_callback_prints_and_writes_every_variant(quick) -> None:
    """Every callback has its row in the table and in the file, with a figure or the reason why not."""
    printed, written = quick("callback")
    assert (written["python"], written["quick"]) == (sys.version.split()[0], True)
    (result,) = written["results"]
    assert result["name"] == "callback"
    rows = {row["label"]: row for row in result["rows"]}
    assert all(label in printed for label in rows)
    assert all((row["value"] is not None) or row["note"] for row in rows.values())
    for label in ("empty C callback", "empty Python callback", "gc_otel, Python recorder"):
        row = rows[label]
        assert row["unit"] == "ns"
        assert row["low"] <= row["value"] <= row["high"]
    assert rows["empty C callback"]["ratio"] == 1.0
    assert rows["OTel Histogram.record() per event"]["value"] is not None


def test_census_is_compared_in_one_run(quick) -> None:
    """Ours, objgraph's and a collection, with ratios to the collection."""
    _, written = quick("census")
    rows = {row["label"].partition(",")[0]: row for row in written["results"][0]["rows"]}
    for label in ("gc.collect()", "gc_otel.take_census()", "objgraph.typestats()"):
        assert rows[label]["value"] > 0
        assert rows[label]["ratio"] > 0
    assert rows["gc.collect()"]["ratio"] == 1.0
    assert "faster than objgraph" in rows["census"]["note"]


def test_a_callback_is_priced_in_a_handler(quick) -> None:
    """For a request and for a collection, an empty one beside ours."""
    pytest.importorskip("flask")
    pytest.importorskip("opentelemetry.exporter.prometheus")
    _, written = quick("handler")
    rows = written["results"][0]["rows"]
    assert [row["unit"] for row in rows] == ["us", "us", "ns", "us", "ns"]
    assert rows[0]["value"] > 0
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_unknown_benchmark_is_refused() -> None:
    """A wrong name ends with the names that exist."""
    command = [sys.executable, "-m", "benchmarks", "--only", "nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "callback" in done.stderr


def test_an_alert_fires_when_it_has_held() -> None:
    """As a ruler counts it: from the first time of an unbroken row, and not over a gap."""
    from benchmarks.programs.growth_judged import EVERY_S, fired_at

    row = [1e6 + EVERY_S * n for n in range(6)]
    assert fired_at(row, 3 * EVERY_S) == row[3]
    assert fired_at(row[:3], 3 * EVERY_S) is None
    assert fired_at([*row[:3], *(each + 5 * EVERY_S for each in row[:3])], 3 * EVERY_S) is None
    assert fired_at([], 0) is None


def test_rules_are_recorded_after_what_they_read() -> None:
    """Each once; all of them."""
    pytest.importorskip("yaml")
    from benchmarks.prometheus import groups, levels

    seen: set[str] = set()
    for level in levels():
        names = {rule["record"] for rule in level}
        others = {rule["record"] for later in levels() for rule in later} - seen - names
        assert not any(other in rule["expr"] for rule in level for other in others | (names - {rule["record"]}))
        assert not seen & names
        seen |= names
    assert seen == {rule["record"] for rules in groups().values() for rule in rules if "record" in rule}


def test_made_memory_is_the_same_each_time() -> None:
    """Of one shape and seed; another seed is another process, and a leak grows."""
    from benchmarks.programs.made_memory import make

    assert make("leak", 1) == make("leak", 1) != make("leak", 2)
    leak = make("leak", 1)
    after = leak.rss_bytes[int(leak.onset_h * 12) + 1 :]
    assert sum(after[-12:]) > sum(after[:12])


def test_a_made_process_has_no_more_series_than_are_allowed() -> None:
    """Every metric of the catalogue with every attribute's every value: the budget of 150 holds by construction."""
    from benchmarks.programs.made_series import generate

    mine = [line for line in generate(1, 0) if 'process_pid="' in line and not line.startswith("target_info")]
    assert 100 < len(mine) <= 150


@pytest.mark.component
@pytest.mark.parametrize("kept", ["keep-alive", "close"])
def test_wrk_asks_in_turns(kept, tool) -> None:
    """Each group of turns has each word once, in both orders; connections are kept or not; only whole turns are told."""
    from benchmarks.wrk import Drive

    tool("wrk")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one segment for an answer: with two the second waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            asked.append((self.path, self.headers["X-Callback"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Connection", kept)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        drive = Drive(f"http://127.0.0.1:{server.server_port}/route", 3, os.getpid())
        groups = drive.run(("on", "off"), duration_s=1, turn_ns=40e6, seed=1)
    finally:
        server.shutdown()
        server.server_close()
    assert {path for path, _ in asked} == {"/route"}
    assert len(groups) > 3
    assert {tuple(group) for group in groups} == {("on", "off"), ("off", "on")}
    for word in ("on", "off"):
        told = [each for group in groups for each in group[word].latencies_ns]
        assert 0 < len(told) <= sum(1 for _, said in asked if said == word)
        assert all(0 < each < 40e6 for each in told)
        assert all(group[word].cpu_ns > 0 for group in groups)


@pytest.mark.component
def test_a_service_that_fails_is_not_measured(tool) -> None:
    """What wrk says of it is told."""
    from benchmarks.wrk import Drive

    tool("wrk")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        drive = Drive(f"http://127.0.0.1:{closed.getsockname()[1]}/", 1, os.getpid())
        with pytest.raises(RuntimeError, match=r"wrk said: .*unable to connect"):
            drive.run(("on",), duration_s=1, turn_ns=40e6, seed=1)


@pytest.mark.parametrize(
    ("said", "is_lost"),
    [
        ("Socket errors: connect 0, read 0, write 0, timeout 2", False),
        ("Socket errors: connect 0, read 3, write 0, timeout 0", True),
        ("Non-2xx or 3xx responses: 7", True),
        ("PANIC: turns.lua:50: >&2", True),
    ],
)
def test_answers_that_were_lost_are_not_measured(said, is_lost, tmp_path, monkeypatch) -> None:
    """wrk itself goes on, and ends with 0."""
    from benchmarks.wrk import Drive

    text, _, redirected = said.partition(" >")
    (tmp_path / "wrk").write_text(f"#!/bin/sh\necho '{text}' {redirected and '>' + redirected}\n")
    (tmp_path / "wrk").chmod(0o755)
    monkeypatch.setenv("GCOTEL_CI_COMPONENTS", str(tmp_path))
    drive = Drive("http://127.0.0.1:1/", 1, os.getpid())
    if is_lost:
        with pytest.raises(RuntimeError, match=text.partition(":")[0]):
            drive.run(("on",), duration_s=1, turn_ns=40e6, seed=1)
    else:
        assert drive.run(("on",), duration_s=1, turn_ns=40e6, seed=1) == []


def test_turns_that_wrk_tells_of() -> None:
    """Of two threads' lines in any order; CPU time is between the ends of the first and the last request of a turn."""
    from benchmarks.wrk import Side, groups_of

    lines = [
        "4 off 11 500",
        "5 on 30 900",
        "4 off 10 100",
        "5 on 20 1000",
        "4 off 12 300",
        "6 on 9 1100",
        "6 on 9 1200",
    ]
    assert groups_of(lines, ("on", "off")) == [{"off": Side([11, 10, 12], 400, 2), "on": Side([30, 20], 100, 1)}]
    assert groups_of([*lines, "7 off 9 1300"], ("on", "off")) == groups_of(lines, ("on", "off"))


def chunk(on_us: list[int], off_us: list[int]) -> dict:
    from benchmarks.wrk import Side

    return {
        word: Side([each * 1000 for each in latencies], cpu_ns=1000 * sum(latencies), cpu_requests=len(latencies))
        for word, latencies in (("on", on_us), ("off", off_us))
    }


def test_the_figures_of_blocks() -> None:
    """Throughput by the mean of all but the machine's own outliers, whichever side they fell on; CPU time by request."""
    from benchmarks.blocks import throughput_ratio

    struck = chunk([110] * 99 + [30_000], [100] * 99 + [100])
    assert throughput_ratio(struck, "on") == pytest.approx(100 / 110)
    assert chunk([50, 150], [1])["on"].cpu_us == 100


def test_the_p99_of_blocks_is_of_all_requests_together() -> None:
    """Two slow requests in a hundred are seen, in whichever group they were."""
    from benchmarks.blocks import p99_ratio

    even = chunk([100] * 100, [100] * 100)
    slow = chunk([100] * 96 + [200] * 4, [100] * 100)
    assert p99_ratio([even, even]) == 1
    assert p99_ratio([even, slow]) == 2


def test_a_request_says_what_stands_in_gc_callbacks(monkeypatch) -> None:
    """Each word that the turns have, and only that; what is not told stays."""
    from benchmarks.blocks import WORDS
    from benchmarks.programs import switch

    class Callback:
        __module__ = "gc_otel.made_up"

        def __call__(self, phase: str, info: dict) -> None:
            """Nothing."""

    others, recorder, seen = list(gc.callbacks), Callback(), []
    monkeypatch.setattr(switch, "_taken_out", [])
    gc.callbacks.append(recorder)
    wrapped = switch.Switched(lambda _environ, _start: seen.append(list(gc.callbacks)))
    try:
        for word in (*WORDS, None, "empty"):
            wrapped({} if word is None else {"HTTP_X_CALLBACK": word}, None)
    finally:
        gc.callbacks[:] = others
    on, empty = [*others, recorder], [*others, operator.is_]
    assert seen == [on, empty, others, others, empty]
