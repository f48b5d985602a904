"""Where the live page is: told on a terminal, asked for by `gc-otel page`, and never written to a log."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "gc_otel.cli"]
PATIENCE_S = 60.0


@pytest.fixture
def on_a_terminal():
    """Runs a command with all its streams on a terminal of its own; gives what it shows until a text is in it."""
    opened, started = [], []

    def run(*words, until):
        master, slave = pty.openpty()
        opened.append(master)
        started.append(subprocess.Popen([*COMMAND, *words], stdin=slave, stdout=slave, stderr=slave))
        os.close(slave)
        shown, deadline_s = "", time.monotonic() + PATIENCE_S
        while until not in shown:
            assert select.select([master], [], [], max(0.0, deadline_s - time.monotonic()))[0], shown
            shown += os.read(master, 4096).decode()
        return shown.replace("\r\n", "\n"), started[-1]

    yield run
    for each in started:
        each.send_signal(signal.SIGINT)
        each.wait(PATIENCE_S)
    for each in opened:
        os.close(each)


def test_an_exporter_says_it_on_a_terminal_and_the_command_says_it_again(on_a_terminal, call, flight_dir):
    """The same address with the same token, and it opens the page."""
    shown, process = on_a_terminal("exporter", "--port", "0", until="token=")
    said = call("page")
    assert said.code == 0
    assert said.out.startswith(shown.splitlines()[-1])  # of which the terminal may have shown a part only
    assert call("page", "--json", "--dir", str(flight_dir)).json == {
        "page_url": said.out.strip(),
        "exporter_pid": process.pid,
    }
    with urllib.request.urlopen(said.out.strip(), timeout=PATIENCE_S) as answer:
        assert "SameSite=Strict" in answer.headers["Set-Cookie"]


def test_two_programs_on_terminals_are_told_the_same(on_a_terminal, call):
    """The second joins the exporter of the first."""
    program = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
    shown = [on_a_terminal("run", "--port", "0", "--linger", "0", "--", *program, until="here")[0] for _ in range(2)]
    pages = [line for each in shown for line in each.splitlines() if line.startswith("gc-otel: page ")]
    assert pages == [f"gc-otel: page {call('page').out.strip()}"] * 2


def test_a_log_does_not_have_the_token(spawn, call, flight_dir):
    """Standard error that is no terminal is kept by somebody."""
    process = spawn("run", "--port", "0", "--linger", "0", "--", sys.executable, "-c", "pass")
    out, err = process.communicate(timeout=PATIENCE_S)
    token = (flight_dir / "page.token").read_text() if (flight_dir / "page.token").exists() else "token="
    assert token not in out + err
    assert "token" not in out + err


def test_without_an_exporter_there_is_no_page(call, tmp_path):
    """And what to do."""
    for options in ((), ("--dir", str(tmp_path))):
        said = call("page", *options)
        assert (said.code, said.out) == (1, "")
        assert "gc-otel run" in said.err
