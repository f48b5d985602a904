"""The parts of the demo, each by itself."""

from __future__ import annotations

import gc
import http.client
import json
import os
import signal
import threading
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gc_otel.config import Config
from gc_otel.demo import HOST, child, scenarios, service
from gc_otel.demo.interval import between, percentile
from gc_otel.demo.traffic import Traffic
from gc_otel.flight import snapshot
from gc_otel.probe import probe


def _snapshot(*collections, rss_bytes=None):
    no_buckets = ((),) * 4
    generations = tuple(
        snapshot.GenerationStats(count, 0, 0, 0, 0, count * 1_000_000, 0, 0, *no_buckets) for count in collections
    )
    collector = snapshot.Collector(generations, sum(collections), 0, 0, None, (), (), torn=False)
    memory = snapshot.Memory(1, rss_bytes, *[None] * 4, None, "unknown", *[None] * 8) if rss_bytes else None
    identity = snapshot.Identity(1, 1, None, *[""] * 5, "python", "monotonic", "generational", "running", 0, 0, None, 0)
    return snapshot.Snapshot(identity, collector, None, memory, (), snapshot.Published(0, 0, 0, 0))


def test_an_interval_is_the_difference():
    """Counts, the share of time, growth."""
    found = between(_snapshot(1, 0, 0, rss_bytes=100), _snapshot(11, 2, 1, rss_bytes=80), [1, 5, 3], 2.0)
    assert found.collections == (10, 2, 1)
    assert (found.pauses_known, found.p99_ns, found.longest_ns) == (3, 5, 5)
    assert found.share_in_gc == pytest.approx(0.013 / 2)
    assert (found.rss_bytes, found.rss_growth_bytes) == (80, -20)


def test_an_interval_without_anything_knows_nothing():
    """No collection, no sample, no time."""
    found = between(_snapshot(1), _snapshot(1), [], 0.0)
    assert (found.pauses_known, found.p99_ns, found.longest_ns, found.share_in_gc) == (0, None, None, 0.0)
    assert (found.rss_bytes, found.rss_growth_bytes) == (None, None)
    assert between(_snapshot(1), replace(_snapshot(1, rss_bytes=9)), [], 1.0).rss_growth_bytes is None


@pytest.mark.parametrize(
    ("values", "share", "answer"),
    [
        ([], 0.99, None),
        ([7], 0.99, 7),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 102)), 0.99, 100),
        ([1, 2], 0, 1),
    ],
)
def test_percentiles_are_by_nearest_rank(values, share, answer):
    """A percentile is one of the values."""
    assert percentile(values, share) == answer


def test_the_leak_stops_where_it_was_told_to(quiet_gc):
    """It grows by what it says, and no further than its bound."""
    handle = scenarios.leak(most_bytes=500_000)
    sessions = [handle()["sessions"] for _ in range(60)]
    last = sessions[-1]
    assert sessions == [*range(1, last + 1), *[last] * (60 - last)]
    size_bytes = scenarios._size_bytes(scenarios.Session(1))
    assert (last - 1) * size_bytes < 500_000 <= last * size_bytes
    assert 16_000 < size_bytes < 64_000  # at 60 requests a second, 1 to 4 MB


def test_cycles_are_left_to_the_collector(quiet_gc):
    """One request's nodes are garbage that only a collection frees; a healthy one leaves none."""
    cycles, healthy = scenarios.cycles(), scenarios.healthy()
    gc.collect()
    healthy()
    assert gc.collect() == 0
    nodes = cycles()["nodes"]
    assert gc.collect() >= nodes


@pytest.fixture
def served():
    """An app that answers with its count of requests, or fails when it is told to."""
    state = {"count": 0, "fail": False}

    def handle():
        state["count"] += 1
        if state["fail"]:
            raise RuntimeError("told to fail")
        return dict(state)

    with service.listening(0, service.app_handler(handle)) as port:
        yield port, state


def test_the_app_answers_in_json(served):
    """Over one connection, as clients keep them."""
    port, _ = served
    connection = http.client.HTTPConnection(HOST, port)
    for count in (1, 2):
        connection.request("GET", "/any")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["count"]) == (200, count)
    connection.close()


def test_traffic_comes_and_ends(served, eventually):
    """Requests one after the other while inside, and none after."""
    port, state = served
    with Traffic(HOST, port, requests_per_s=1000) as traffic:
        eventually(lambda: traffic.answered >= 5, "no traffic")
    after = state["count"]
    assert after >= traffic.answered >= 5
    assert not [thread for thread in threading.enumerate() if "traffic" in thread.name]
    assert state["count"] == after


def test_traffic_survives_a_service_that_is_not_there(eventually):
    """Its thread goes on asking until the demo has noticed."""
    with service.listening(0, service.app_handler(dict)) as port:
        pass
    asked = threading.Event()
    traffic = Traffic(HOST, port, requests_per_s=1000)
    close = traffic._connection.close
    traffic._connection.close = lambda: (asked.set(), close())
    with traffic:
        assert asked.wait(30)
    assert traffic.answered == 0


def test_a_port_that_cannot_be_had_is_told():
    """In use, or refused."""
    with (
        service.listening(0, service.app_handler(dict)) as port,
        pytest.raises(service.CannotServe, match=f"port {port} on {HOST} cannot be had: Address already in use"),
        service.listening(port, service.app_handler(dict)),
    ):
        pytest.fail("it can be had")


def _serve(scenario="healthy"):
    """serve() in a thread of this process; its announcement, how to end it, and its exit code after."""
    announce_read, announce_write = os.pipe()
    lifeline_read, lifeline_write = os.pipe()
    codes = []
    thread = threading.Thread(target=lambda: codes.append(service.serve(scenario, announce_write, lifeline_read)))
    thread.start()
    with open(announce_read) as stream:
        told = json.loads(stream.readline())

    def end():
        os.close(lifeline_write)
        thread.join(30)
        os.close(lifeline_read)
        os.close(announce_write)
        return codes[0]

    return told, end


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:1234/metrics"), ("::1", "http://[::1]:1234/metrics")]
)
def test_the_service_announces_itself_and_its_exporter(flight_dir, monkeypatch, host, url):
    """In this process: it says where it is, serves, and ends with its lifeline."""
    monkeypatch.setenv("GC_OTEL_HOST", host)
    monkeypatch.setenv("GC_OTEL_PORT", "1234")
    stop = probe.start(Config.from_env(), run_mode=True)
    told, end = _serve()
    try:
        with urllib.request.urlopen(f"http://{HOST}:{told['app_port']}/", timeout=30) as answer:
            assert json.loads(answer.read()) == {"items": 500}
        assert told["metrics_url"] == url
        assert [str(path) for path in flight_dir.iterdir()] == [told["flight_file"]]
    finally:
        code = end()
        stop()
    assert code == 0


def test_a_service_that_is_not_recorded_says_so(flight_dir):
    """No flight file, no demo."""
    told, end = _serve()
    assert end() == 1
    assert told == {"error": "the demo's service has no flight file to read"}


def test_a_parent_that_has_gone_is_not_announced_to():
    """The lifeline tells."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    service._announce(write_fd, app_port=1)
    os.close(write_fd)


def test_a_request_to_end_is_an_ordinary_exit():
    """So that everything is closed on the way."""
    with pytest.raises(SystemExit) as end:
        service._end(15, None)
    assert end.value.code == 143


def _python(monkeypatch, script):
    """Have the demo's service be that script."""
    real = child.subprocess.Popen
    monkeypatch.setattr(
        child.subprocess, "Popen", lambda _, **given: real([child.sys.executable, "-c", script], **given)
    )
    return child.Service("healthy", 0)


def test_a_service_that_ends_before_it_began_is_told(monkeypatch):
    """Say, because a package of its is missing."""
    read_fd, write_fd = os.pipe()
    with (
        _python(monkeypatch, "raise SystemExit(3)") as started,
        pytest.raises(child.DemoError, match="ended before it began, exit status 3"),
    ):
        started.wait_announced(read_fd)
    os.close(read_fd)
    os.close(write_fd)


def test_a_service_that_was_not_started_is_told_by_another(monkeypatch):
    """`gc-otel run` ends with 2 when it has said why."""
    read_fd, write_fd = os.pipe()
    with _python(monkeypatch, "raise SystemExit(2)") as started, pytest.raises(child.NotStarted):
        started.wait_announced(read_fd)
    os.close(read_fd)
    os.close(write_fd)


def test_a_service_that_will_not_end_is_killed_with_its_file(monkeypatch, tmp_path):
    """After a while; its flight file goes too."""
    monkeypatch.setattr(child, "_END_PATIENCE_S", 0.1)
    flight = tmp_path / "1.flight"
    flight.touch()
    told = json.dumps({"metrics_url": "http://m", "app_port": 2, "flight_file": str(flight)})
    read_fd, write_fd = os.pipe()
    script = f"import threading; print({told!r}, flush=True); threading.Event().wait()"
    with _python(monkeypatch, script) as started:
        assert started.wait_announced(read_fd) == child.Announcement("http://m", 2, flight)
        assert started.end_text() == "its output closed and it still running"
    assert child.wait_readable([read_fd], 0) is None
    assert not flight.exists()
    os.close(read_fd)
    os.close(write_fd)


def test_the_service_s_command_line_leads_to_it(monkeypatch):
    """SIGINT is its parent's business, SIGTERM ends it in good order; its pipes are its standard streams."""
    handlers, served = {}, []
    monkeypatch.setattr(service.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(service, "serve", lambda *args: served.append(args) or 0)
    for name, number in (("stdin", 7), ("stdout", 8)):
        monkeypatch.setattr(service.sys, name, SimpleNamespace(fileno=lambda number=number: number))
    assert service.main(["--scenario", "leak"]) == 0
    assert served == [("leak", 8, 7)]
    assert handlers == {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: service._end}
