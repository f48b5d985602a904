"""The service as a whole: whom it follows, when it ends, and that its pages are whole whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from gc_otel.config import Config
from gc_otel.errors import FlightFileError
from gc_otel.flight import layout
from gc_otel.service import absence, control
from gc_otel.service import exporter as exporters
from gc_otel.service.control import Claim, is_claimed
from gc_otel.service.following import Following
from gc_otel.service.http import Server
from gc_otel.service.recorded import Recorded
from gc_otel.service.status import ask_status

SERIES_MOST = 150


def test_every_process_of_the_folder_is_on_the_page(exporter, make, page_at, values_of, series_of):
    """Exact, with memory, and at most 150 series each; the page is one that an OpenMetrics parser takes."""
    made = [make(), make(service_name="other")]
    made[0].collect(generation=1, times=7)
    for each in made:
        each.beat()
        each.cells[layout.MONITOR.cell("allocated_blocks")] = 5
    served = exporter()
    page = page_at(f"{served.address}/metrics")
    for each in made:
        mine = [line for line in series_of(page) if f'process_pid="{each.pid}"' in line]
        assert 80 < len(mine) <= SERIES_MOST
        assert len(set(mine)) == len(mine)
        (service,) = {line.partition('service_name="')[2].partition('"')[0] for line in mine}
        assert service == ("other" if each is made[1] else "shop")
    counts = values_of(page, "cpython_gc_duration_seconds_count")
    key = f'{{cpython_gc_generation="1",process_pid="{made[0].pid}",service_name="shop"}}'
    assert counts[key] == values_of(page, "cpython_gc_collections_total")[key] == 7
    assert len(values_of(page, "process_memory_usage_bytes")) == 2
    assert len(values_of(page, "target_info")) == 2
    assert values_of(page, "gc_otel_exporter_processes") == {'{service_name="gc_otel-exporter"}': 2}
    accept = "application/openmetrics-text;version=1.0.0"
    families = {each.name: each for each in parse_openmetrics(page_at(f"{served.address}/metrics", Accept=accept))}
    assert families["cpython_gc_duration_seconds"].type == "histogram"
    assert families["target"].type == "info"


def test_pages_are_whole_while_workers_come_and_go(service, make, series_of):
    """Ten scrapers, 1,000 pages, processes that begin, collect and die: no duplicate, no gap, no step back, no fault."""
    steady, stop, failures, parsed = make(), threading.Event(), [], {}
    steady.beat()
    name = f'process_pid="{steady.pid}"'
    needed = {line for line in series_of(service.page()) if name in line and "memory" not in line}
    pids = [subprocess.Popen(["sleep", "600"]) for _ in range(6)]

    def churn():
        number = 0
        while not stop.is_set():
            number += 1
            seen = service.metrics.scrapes
            worker = make(pid=pids[number % len(pids)].pid, created_unix_ns=2**61 + number)
            worker.collect(times=3)
            steady.collect(times=5)
            worker.die(leaving_file=bool(number % 3))
            worker.path.unlink(missing_ok=True)
            while service.metrics.scrapes == seen and not stop.is_set():  # else most of the work would be funerals
                stop.wait(0.001)

    def read(page):
        lines = page.body.decode().splitlines()
        keys = series_of(page.body.decode())
        if len(set(keys)) != len(keys):
            failures.append("a series stands twice")
        if not needed <= set(keys):
            failures.append(f"missing: {needed - set(keys)}")
        return {
            line[0]: float(line[2])
            for line in (each.rpartition(" ") for each in lines if name in each and "_total" in each)
        }

    def scrape(_):
        last, numbers = {}, []
        for _ in range(100):
            page = service.metrics.render("")
            numbers.append(page.number)
            if page.number not in parsed:  # ten scrapers share many a page
                parsed[page.number] = read(page)
            now = parsed[page.number]
            failures.extend(f"{key} went back" for key, value in now.items() if value < last.get(key, 0))
            last = now
        return numbers

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        with ThreadPoolExecutor(10) as scrapers:
            numbers = [number for each in scrapers.map(scrape, range(10)) for number in each]
    finally:
        stop.set()
        churning.join()
        for each in pids:
            each.kill()
            each.wait()
    assert failures == []
    assert service.ledger.faults == ()
    assert len(numbers) == 1000
    assert service.metrics.scrapes == max(numbers)


def test_a_process_is_shown_once_more_and_then_gone(exporter, make, page_at, eventually):
    """With the numbers that it died with, and its uptime at that moment."""
    made = make()
    served = exporter()
    page_at(f"{served.address}/metrics")
    made.collect(times=9)
    made.die(leaving_file=False)
    mine = f'process_pid="{made.pid}"'
    last = page_at(f"{served.address}/metrics")
    assert f'cpython_gc_collections_total{{cpython_gc_generation="0",{mine},service_name="shop"}} 9.0' in last
    eventually(lambda: mine not in page_at(f"{served.address}/metrics"), "it is still there")


def test_one_that_cannot_be_believed_leaves_the_others(service, make, monkeypatch, values_of):
    """It is passed over and counted; one that fails in another way is a fault, and tried again."""
    good, hostile, broken = make(), make(), make()
    service.page()
    real = Recorded.snapshot

    def snapshot(self):
        if self.path == hostile.path:
            raise FlightFileError("nonsense inside")
        if self.path == broken.path:
            raise ZeroDivisionError
        return real(self)

    monkeypatch.setattr(Recorded, "snapshot", snapshot)
    counts = values_of(service.page(), "cpython_gc_enabled") or values_of(service.page(), "process_uptime_seconds")
    assert [str(good.pid) in key for key in counts] == [True]
    assert [each.path for each in service.following.unreadable()] == [hostile.path]
    assert service.ledger.faults[0].text.startswith(f"process {broken.pid}: ZeroDivisionError")
    monkeypatch.undo()
    page = service.page()
    assert str(broken.pid) in page
    assert values_of(page, "gc_otel_exporter_files_skipped") == {'{service_name="gc_otel-exporter"}': 1}


def test_it_ends_when_launcher_and_processes_have_gone(exporter, make, folder, eventually):
    """Not while either is there; then port and claim are free and nothing is left open."""
    before = len(os.listdir("/proc/self/fd"))
    made = make()
    served = exporter()
    eventually(lambda: (ask_status(folder) or served).__class__.__name__ == "Status", "it does not answer")
    told = ask_status(folder)
    assert (told.pid, told.address, told.processes, told.launchers) == (os.getpid(), served.address, 1, 1)
    served.launcher.kill()
    served.launcher.wait()
    eventually(lambda: ask_status(folder).launchers == 0, "the launcher is followed still")
    made.die()
    assert served.ended() == 0
    assert not is_claimed(folder)
    # The pid of that file lives on: nobody died, and no ending is kept.
    assert {path.name for path in folder.path.iterdir()} == {control.LOCK_NAME, "totals.json"}
    assert len(os.listdir("/proc/self/fd")) <= before


def is_ready(address):
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=60) as answer:
            return answer.read() == b"ok\n"
    except urllib.error.HTTPError as error:  # 503 until it has looked through the folder
        error.close()
        return False


def test_it_lingers_for_a_last_scrape(command, folder, sleeper, eventually):
    """And who joins meanwhile is followed."""
    process, address = command("--linger", "3600")
    eventually(lambda: is_ready(address), "it is not ready")
    launcher = sleeper()
    pidfd = os.pidfd_open(launcher.pid)
    joined = control.join(folder, pidfd=pidfd, stderr_fd=None, command="pytest")
    os.close(pidfd)
    assert (joined.address, joined.pid) == (address, process.pid)
    assert ask_status(folder).launchers == 1
    launcher.kill()
    launcher.wait()
    eventually(lambda: ask_status(folder).launchers == 0, "it is followed still")
    assert process.poll() is None


def test_lingering_has_an_end(exporter):
    """So long after the last one has gone."""
    served = exporter(linger_s=0.05)
    served.launcher.kill()
    served.launcher.wait()
    assert served.ended() == 0


def test_it_says_why_a_program_is_not_recorded(exporter, monkeypatch):
    """One line, on the launcher's own standard error, which is given back when that has gone."""
    monkeypatch.setattr(absence, "PATIENCE_S", 0.0)
    readable, writable = os.pipe()
    served = exporter(stderr_fd=writable)
    with os.fdopen(readable) as said:
        assert said.readline().startswith("gc_otel: sleep is not recorded: it is no Python interpreter")
        served.launcher.kill()
        served.launcher.wait()
        assert said.read() == ""


def test_what_fails_in_the_main_loop_is_contained(exporter, folder, monkeypatch, eventually):
    """It is noted, and the loop turns on; where the folder cannot be looked through, it is not ready."""
    real = Following.refresh

    def fail(self):
        raise ZeroDivisionError

    monkeypatch.setattr(Following, "refresh", fail)
    served = exporter()
    told = eventually(lambda: (each := ask_status(folder)) and each.faults and each, "no fault was noted")
    assert told.faults[0].text == "main loop: ZeroDivisionError: "
    with pytest.raises(urllib.error.HTTPError, match="503") as error:
        urllib.request.urlopen(f"{served.address}/readyz", timeout=60)
    assert error.value.read() == b"the flight folder has not been looked through yet\n"
    error.value.close()
    monkeypatch.setattr(Following, "refresh", real)


def test_a_page_is_made_of_those_that_are_known(service, make, monkeypatch):
    """Also while the folder cannot be looked through."""
    made = make()
    service.page()
    monkeypatch.setattr(service.following, "refresh", lambda: 1 / 0)
    assert str(made.pid) in service.page()
    assert service.ledger.faults[0].text.startswith("page: ZeroDivisionError")


def test_it_does_not_outlive_its_server(exporter, folder, monkeypatch):
    """An exporter that nobody can ask makes room for another one."""
    served = exporter()
    monkeypatch.setattr(Server, "alive", False)
    assert served.ended() == 1
    assert not is_claimed(folder)


def test_health_can_fail(exporter, folder, monkeypatch, page_at):
    """A main loop that does not turn."""
    served = exporter()
    assert page_at(f"{served.address}/healthz") == "ok\n"
    monkeypatch.setattr(exporters, "_ALIVE_S", -1.0)
    with pytest.raises(Exception, match="503") as error:
        page_at(f"{served.address}/healthz")
    assert "has not turned" in error.value.read().decode()
    error.value.close()


@pytest.mark.parametrize("last", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_end_it_at_once(command, make, last, page_at, folder, eventually):
    """SIGINT, or a second SIGTERM, also while somebody lives."""
    made = make()
    process, address = command()
    assert str(made.pid) in page_at(f"{address}/metrics")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: ask_status(folder).is_ending, "it has not heard")  # two that come together are one
    process.send_signal(last)
    assert process.wait(60) == 0


def test_sigterm_waits_for_the_last_process(command, make, page_at, folder, eventually):
    """It serves until that has gone."""
    made = make()
    process, address = command()
    assert str(made.pid) in page_at(f"{address}/metrics")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: ask_status(folder).is_ending, "it has not heard")
    assert str(made.pid) in page_at(f"{address}/metrics")
    made.die()
    assert process.wait(60) == 0


def test_the_observed_process_pays_nothing(flight_dir):
    """Recording imports nothing of the service, and neither does reading the fleet import what is heavy."""
    program = (
        "import sys; from gc_otel.config import Config; from gc_otel.probe import probe\n"
        "stop = probe.start(Config.from_env()); stop()\n"
        "assert not [name for name in sys.modules if name.startswith(('gc_otel.service', 'gc_otel.otel', 'waitress'))]\n"
        "import gc_otel.service.exporter, gc_otel.service.status, gc_otel.service.fleet\n"
        "assert not {'opentelemetry', 'prometheus_client', 'waitress'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_claim_that_is_given_up_takes_the_next_exporter(exporter, folder, sleeper):
    """One after the other in one folder."""
    first = exporter()
    assert Claim.take(folder) is None
    first.launcher.kill()
    first.launcher.wait()
    assert first.ended() == 0
    second = exporter(Config())
    assert ask_status(folder).address == second.address
