"""The page behind the real server: beside /metrics, under real requests, as its description says."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from gc_otel.config import Config
from gc_otel.service.page.api import OPENAPI
from gc_otel.service.page.app import AT_ONCE_MOST, PageApp
from gc_otel.service.page.token import token_of

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


def ask(served, folder, path, **headers):
    request = urllib.request.Request(
        served.address + path, headers={"Authorization": f"Bearer {token_of(folder)}", **headers}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def test_metrics_stay_open_and_all_else_wants_the_token(exporter, folder, make, page_at):
    """/metrics under any name, as by a pod's; the page only under its own."""
    make().collect()
    served = exporter()
    assert "cpython_gc" in page_at(f"{served.address}/metrics", Host="metrics.example")
    assert page_at(f"{served.address}/healthz", Host="x") == "ok\n"
    assert json.loads(ask(served, folder, "/api/v1/processes"))["processes"]
    for path in ("/", "/api/v1/processes", "/nonsense"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(served.address + path, timeout=60)
        assert refused.value.code == 401
        refused.value.close()


def test_a_scrape_finds_a_thread_whatever_the_page_is_asked_for(exporter, folder, make, page_at, monkeypatch):
    """All that the page may have hang; the next is sent away, and the scrape is answered."""
    make()
    inside, go_on = threading.Semaphore(0), threading.Event()
    answer = PageApp._answer

    def hang(self, environ):
        inside.release()
        assert go_on.wait(60)
        return answer(self, environ)

    served = exporter()
    monkeypatch.setattr(PageApp, "_answer", hang)
    threads = [threading.Thread(target=lambda: ask(served, folder, "/")) for _ in range(AT_ONCE_MOST)]
    for each in threads:
        each.start()
    for _ in threads:
        assert inside.acquire(timeout=60)
    assert "gc_otel_exporter" in page_at(f"{served.address}/metrics")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(served, folder, "/")
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "1")
    refused.value.close()
    go_on.set()
    for each in threads:
        each.join()


def test_the_page_can_be_left_out(exporter, folder, page_at):
    """GC_OTEL_PAGE=false: what was before."""
    served = exporter(Config.from_env(page="false"))
    assert "/metrics" in page_at(served.address + "/")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(served, folder, "/api/v1/processes")
    assert refused.value.code == 404
    refused.value.close()


def test_a_body_is_bounded(exporter, folder):
    """By the server, before anybody reads it."""
    served = exporter()
    connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/api/v1/processes/1/heap/census", body=b"x" * 10_000)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.once
def test_nothing_that_the_description_allows_breaks_it(exporter, folder, make):
    """schemathesis makes requests of it, good and bad, and judges the answers."""
    if importlib.util.find_spec("schemathesis") is None:
        assert not (IN_CI and sys.version_info[:2] == (3, 11)), "CI needs schemathesis here: it is in the test extra"
        pytest.skip("schemathesis is not installed")
    made = make()
    made.collect(0, 5)
    served = exporter()
    checks = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(OPENAPI), "--url", served.address]
    more = ["--header", f"Authorization: Bearer {token_of(folder)}", "--checks", checks, "--max-examples", "4"]
    more += ["--phases", "coverage,fuzzing", "--generation-database", "none", "--suppress-health-check", "all"]
    done = subprocess.run(
        [*command, *more, "--seed", "7"], capture_output=True, text=True, check=False, cwd=folder.location
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout
