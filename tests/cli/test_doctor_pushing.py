"""What `gc-otel doctor` says of pushing by OTLP, of made answers of an exporter."""

from __future__ import annotations

import time

import pytest

from gc_otel.cli.checks.exporter import check_exporter
from gc_otel.flight.folder import Folder
from gc_otel.service.status import PushStatus, Status

ENDPOINT = "http://collector:4318/v1/metrics"


def status(push):
    return Status(
        pid=1, version="0", address="http://127.0.0.1:1", since_unix_ns=time.time_ns(), is_ending=False, scrapes=0, processes=1,
        launchers=0, skipped_files=0, skipped_requests=0, faults=(), push=push,
    )  # fmt: skip


@pytest.fixture
def said(monkeypatch):
    """The checks about pushing, by an answer that has gone over the socket and back."""

    def ask(push):
        answer = Status.from_answer(status(push).as_answer())
        monkeypatch.setattr("gc_otel.cli.checks.exporter.ask_status", lambda _: answer)
        return [each for each in check_exporter(Folder("/nowhere")) if "OTLP" in each.finding]

    return ask


def test_all_is_well(said):
    """Where, how, and how often it was taken."""
    (check,) = said(PushStatus(ENDPOINT, "delta", 60.0, 12, 1, time.time_ns()))
    assert check.status == "ok"
    assert (
        f"pushes by OTLP (delta) every 60 s: {ENDPOINT}, 12 pushes taken, 1 refused, the last 0s ago" in check.finding
    )
    (check,) = said(PushStatus(ENDPOINT, "cumulative", 60.0))
    assert check.finding.endswith("0 pushes taken, 0 refused")


def test_it_fails(said):
    """The reason, and what to look at."""
    (check,) = said(PushStatus(ENDPOINT, "delta", 60.0, 3, 7, time.time_ns(), "connection refused", "See there."))
    assert (check.status, check.remedy) == ("warn", "See there.")
    assert "fails (3 pushes taken, 7 refused, the last taken 0s ago): connection refused" in check.finding
    (check,) = said(PushStatus(ENDPOINT, "delta", 60.0, 0, 7, 0, "connection refused", "See there."))
    assert "(0 pushes taken, 7 refused)" in check.finding


def test_it_cannot_be(said):
    """What is asked for and missing."""
    (check,) = said(PushStatus(reason="nothing is pushed by OTLP: no library", remedy="Install it."))
    assert (check.status, check.finding, check.remedy) == (
        "warn",
        "nothing is pushed by OTLP: no library",
        "Install it.",
    )


def test_nothing_is_said_where_nothing_is_asked_for(said):
    """Most have no receiver."""
    assert said(None) == []
