"""`gc-otel top` without a terminal: one table, one list of objects, and what it answers where there is nothing."""

from __future__ import annotations

import builtins
import os
import pty

import pytest

from gc_otel.cli import top
from gc_otel.cli.terminal import draw


def test_the_recorded_are_listed(call, record, eventually):
    """With their pauses, memory from outside, and sorted as asked."""
    one, other = record(OTEL_SERVICE_NAME="shop"), record(OTEL_SERVICE_NAME="bank")
    one.tell("collect")
    said = eventually(lambda: _both(call("top", "--json", "--sort", "service"), one, other), "not there")
    first, second = said.json
    assert (first["service_name"], second["service_name"]) == ("bank", "shop")
    assert second["pid"] == one.pid
    assert second["pauses"]["collections"] >= 1
    assert second["pauses"]["max_ns"] >= second["pauses"]["p50_ns"] > 0
    assert len(second["collections_per_s_by_generation"]) == 3
    assert 0 < second["share_in_gc"] < 1
    assert second["rss_bytes"] > 2**20
    assert second["uss_bytes"] > 0
    table = call("top", "--once", "--sort", "pid")
    heading, *rows = table.out.splitlines()
    assert heading.split()[:3] == ["PID", "SERVICE", "P50"]
    assert [int(row.split()[0]) for row in rows] == sorted([one.pid, other.pid])
    assert "\x1b" not in table.out


def _both(said, one, other):
    return said if {each["pid"] for each in said.json} == {one.pid, other.pid} else None


def test_words_choose(call, record):
    """Every word, anywhere in pid, service, program or state; nobody is code 3 and says what to do."""
    one = record(OTEL_SERVICE_NAME="shop")
    said = call("top", "--once", "--filter", f"SHO {one.pid}")
    assert said.code == 0
    assert str(one.pid) in said.out
    said = call("top", "--once", "--filter", "no-such\x1b")
    assert said.code == top.EXIT_NOBODY
    assert "has all of" in said.out
    assert "gc-otel run -- python app.py" in said.out
    assert "\x1b" not in said.out


def test_nobody_is_recorded(call, flight_dir):
    """No folder, or an empty one: what to do next, and code 3."""
    said = call("top", "--once")
    assert (said.code, said.err) == (top.EXIT_NOBODY, "")
    assert said.out.startswith("No recorded process. To record one:")
    flight_dir.rmdir()
    said = call("top", "--json")
    assert (said.code, said.json) == (top.EXIT_NOBODY, [])


def test_what_cannot_be_read_is_counted(call, hostile):
    """The rest is shown."""
    said = call("top", "--once")
    assert said.code == 0
    assert f"{len(hostile)} of the flight files cannot be read" in said.err


@pytest.mark.parametrize(
    "option", [("--sort", "colour"), ("--interval", "0"), ("--interval", "soon"), ("--interval", "nan")]
)
def test_options_that_cannot_be(call, option):
    """Refused by name."""
    said = call("top", *option)
    assert said.code == 2
    assert option[0] in said.err


def test_it_needs_a_terminal(call):
    """And says how to do without."""
    said = call("top")
    assert said.code == top.EXIT_REFUSED
    assert "--once" in said.err


def test_without_textual_it_is_said_what_to_install(call, monkeypatch, flight_dir):
    """One line; --once needs nothing more."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith(("textual", "gc_otel.cli.terminal.app")):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    controller, terminal = pty.openpty()
    try:
        with open(terminal, closefd=False) as stdin, open(terminal, "w", closefd=False) as stdout:
            monkeypatch.setattr("sys.stdin", stdin)
            monkeypatch.setattr("sys.stdout", stdout)
            monkeypatch.setattr(builtins, "__import__", refuse)
            said = call("top")
            monkeypatch.undo()
    finally:
        os.close(controller)
        os.close(terminal)
    assert said.code == 1
    assert "pip install 'gc_otel[top]'" in said.err


def test_letters_that_the_terminal_has_not(call, record, monkeypatch):
    """Without its sparkline the table is ASCII."""
    record()
    monkeypatch.setattr(top, "_can_be_printed", lambda text: text.isascii())
    said = call("top", "--once")
    assert said.code == 0
    assert said.out.isascii()


def test_drawings():
    """Pure text: what is unknown is blank, what is flat is flat, what is not nothing is seen."""
    assert draw.sparkline([], 5) == ""
    assert draw.sparkline([None, None], 5) == ""
    assert draw.sparkline([1, None, 8], 5) == "▁ █"
    assert draw.sparkline([1000, 1001, 1000], 5) == "▄▄▄"
    assert draw.sparkline(list(range(100)), 4) == "▁▃▆█"
    assert draw.bar(0, 4) == "    "
    assert draw.bar(0.0001, 4) == "▏   "
    assert draw.bar(0.5, 4) == "██  "
    assert draw.bar(2, 4) == "████"
    assert draw.histogram(["a", "bb", "c"], [0, 2, 2], 2) == ["bb ██         2  50.0 %", " c ██         2  50.0 %"]
    assert draw.histogram(["a"], [0], 2) == []
    assert draw.plot([0, None, 16], 3, 2, low=0, high=16) == ["  █", "  █"]
