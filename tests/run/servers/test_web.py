"""Web servers under real requests: every worker is on the page, with the numbers that its own collector tells.

A worker that was made by exec counts from the moment when its interpreter has loaded the recorder: what CPython
collected before, while it started, is told by nobody.  A forked worker counts from the fork.
"""

from __future__ import annotations

import signal
import sys

import pytest

pytestmark = [pytest.mark.component, pytest.mark.once]

#: Collections of an interpreter's start, before any code of ours can run: 3 to 24 on CPython 3.10 to 3.15.
BEFORE_THE_FIRST_LINE_MOST = 40


def gunicorn(port, *options):
    return (sys.executable, "-m", "gunicorn", "-c", "python:still_gunicorn", "-b", f"127.0.0.1:{port}", *options)


def uvicorn(port, *options):
    return (sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "error", *options, "still:asgi")


WEB = {
    "sync": (gunicorn, ("-k", "sync", "-w", "2", "still:wsgi")),
    "sync, preloaded": (gunicorn, ("-k", "sync", "-w", "2", "--preload", "still:wsgi")),
    "gthread": (gunicorn, ("-k", "gthread", "-w", "2", "--threads", "4", "still:wsgi")),
    "gthread, preloaded": (gunicorn, ("-k", "gthread", "-w", "2", "--threads", "4", "--preload", "still:wsgi")),
    "gevent": (gunicorn, ("-k", "gevent", "-w", "2", "still:wsgi")),
    "gevent, preloaded": (gunicorn, ("-k", "gevent", "-w", "2", "--preload", "still:wsgi")),
    "uvicorn's worker": (gunicorn, ("-k", "uvicorn.workers.UvicornWorker", "-w", "2", "still:asgi")),
    "uvicorn's worker, preloaded": (
        gunicorn,
        ("-k", "uvicorn.workers.UvicornWorker", "-w", "2", "--preload", "still:asgi"),
    ),
    "uvicorn": (uvicorn, ("--workers", "2")),
}
#: Each of them, with workers that are replaced after so many requests.
RECYCLED = {
    name: (server, (*options, "--limit-max-requests" if server is uvicorn else "--max-requests", "3"))
    for name, (server, options) in WEB.items()
}


@pytest.fixture
def serve(run, in_programs, port, address_of_the_folder, scraper, need):
    """Starts one of the above; the process and the scraper of its exporter."""

    def start(server, options):
        for module in ("gunicorn", "uvicorn", "gevent"):
            need(module)
        started = run(*server(port, *options), env=in_programs, stderr=None)
        return started, scraper(address_of_the_folder())

    return start


@pytest.mark.parametrize("name", WEB)
def test_every_worker_counts_as_its_own_collector(serve, answers, eventually, flight_dir, name):
    """Two workers and their parent; what each tells of itself is on the page, to the last collection."""
    server, options = WEB[name]
    started, scraper = serve(server, options)
    told = {}

    def both_have_answered():
        one = answers()
        if one is not None:
            told[one["pid"]] = one
        return len(told) == 2

    eventually(both_have_answered)
    page = scraper.look()
    assert told.keys() | {started.process.pid} <= page.keys()
    first = {pid: page[pid].beyond(each) for pid, each in told.items()}
    for pid, each in told.items():
        assert each["parent"] == started.process.pid
        if any(each["inherited"][1]):
            assert first[pid] == [0, 0, 0]
        else:
            assert server is uvicorn
            assert 0 <= sum(first[pid]) < BEFORE_THE_FIRST_LINE_MOST
    before, again = dict(told), set()

    def both_have_answered_again():
        one = answers()
        told[one["pid"]] = one
        again.add(one["pid"])
        return len(again) == 2

    eventually(both_have_answered_again)
    page = scraper.look()
    for pid, each in told.items():
        assert each["counts"] > before[pid]["counts"]
        assert page[pid].beyond(each) == first[pid]
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) in (0, -signal.SIGTERM)
    if "still:wsgi" in options:  # uvicorn raises the signal again when all is done, and so ends by it
        eventually(lambda: not list(flight_dir.glob("*.flight")), "a flight file of a clean end is left")


@pytest.mark.parametrize("name", RECYCLED)
def test_workers_are_replaced(serve, answers, eventually, name):
    """Each is seen from its first request to its last; its numbers on its last page are those of its last answer."""
    started, scraper = serve(*RECYCLED[name])
    last = {}

    def several_generations_have_answered():
        one = answers()
        if one is not None:
            last[one["pid"]] = one
        return len(last) >= 6

    eventually(several_generations_have_answered)
    replaced = list(last)[:3]
    eventually(lambda: not scraper.look().keys() & set(replaced), "workers that have ended are on the page")
    for pid in replaced:
        missing = scraper.seen[pid].beyond(last[pid])
        # The interpreter's own end collects too; what it collected at its start is told by nobody.
        assert sum(missing) < (1 if any(last[pid]["inherited"][1]) else BEFORE_THE_FIRST_LINE_MOST)
    assert scraper.seen[started.process.pid].last_page == scraper.pages
