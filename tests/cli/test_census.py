"""`gc-otel census` shows what is on the heap of another process."""

from __future__ import annotations

import argparse

import pytest

from gc_otel.cli import asking as cli_asking
from gc_otel.service import asking
from gc_otel.service.asking import Progress


def test_the_table_of_a_process(call, record):
    """The largest types, what is left, how it was counted."""
    process = record("python")
    said = call("census", str(process.pid), "--top", "3")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split() == ["type", "objects", "bytes"]
    assert "other types" in lines[4]
    assert "unattributed" in said.out
    assert "holder" in said.out
    last = call("census", str(process.pid), "--in-process").out.splitlines()[-1]
    assert " walk, " in last


def test_json_has_what_the_answer_has(call, record):
    """Units are in the names."""
    process = record()
    found = call("census", str(process.path), "--json", "--exact").json
    assert found["sampled_every"] == 1
    assert found["objects"] == sum(row["objects"] for row in found["types"])
    assert found["unattributed_bytes"] == max(0, found["rss_bytes"] - found["size_bytes"])
    assert found["types_left_out"] == {"types": 0, "objects": 0, "size_bytes": 0}


def test_two_looks_give_growth(call, record, monkeypatch):
    """What grew between them, per hour; what was not there before is new."""
    process = record()
    monkeypatch.setattr(cli_asking, "wait", lambda _: process.tell("grow"))
    out = call("census", str(process.pid), "--diff", "1").out
    assert out.splitlines()[0].split() == ["type", "objects", "bytes", "objects/h", "bytes/h"]
    (row,) = [line for line in out.splitlines() if "Grown" in line]
    assert "(new)" in row
    assert "+1,000" in row
    found = call("census", str(process.pid), "--diff", "1", "--json").json
    (grown,) = [row for row in found["types"] if row["name"] == "__main__.Grown"]
    assert (grown["objects"], grown["is_new"]) == (1000, False)
    assert grown["objects_per_hour"] > 1000


def test_errors_say_what_to_do(call, flight_dir):
    """No such process; arguments that are none."""
    said = call("census", "1")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"gc-otel: no process 1 is recorded in {flight_dir}. gc-otel ps lists")
    for words in (("--top", "0"), ("--diff", "nan"), ("--patience", "-1")):
        assert call("census", "1", *words).code == 2


def test_an_answer_that_is_no_census_is_an_error(call, monkeypatch):
    """Whatever the other side wrote."""
    monkeypatch.setattr(asking, "ask", lambda *_, **__: {"types": 7})
    said = call("census", "1")
    assert said.code == 1
    assert "cannot be read" in said.err


def test_what_lasts_is_shown_on_a_terminal_only(monkeypatch, capsys):
    """One line, overwritten, and gone afterwards."""
    line = cli_asking.ProgressLine()
    line.show(Progress("walking", 1, 2, 5.0))
    line.clear()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with cli_asking.progress_line() as line:
        line.show(Progress("waiting", None, None, 0.5))
        assert capsys.readouterr().err == ""
        line.show(Progress("waiting", None, None, 2.0))
        assert capsys.readouterr().err == "\rwaiting for the process, 2 s"
        line.show(Progress("walking", 1000, 2000, 3.0))
        assert "walking 1,000 of 2,000, 3 s" in capsys.readouterr().err
    assert capsys.readouterr().err.endswith("\r")


def test_the_time_between_two_looks_is_shown(monkeypatch, capsys):
    """Where there is a terminal."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    cli_asking.wait(0.01)
    assert "the second look in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "x", "1e9"])
def test_times_are_checked(text):
    """Seconds, above zero, at most a day."""
    with pytest.raises((ValueError, argparse.ArgumentTypeError)):
        cli_asking.seconds(text)
