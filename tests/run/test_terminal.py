"""At a terminal, under an interactive shell: what is typed reaches the program, and the exporter goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 60.0


class Terminal:
    """A shell on a pseudo-terminal, and all that it has shown."""

    def __init__(self, env):
        self.master, slave = pty.openpty()

        def make_it_the_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            env={**env, "PS1": "> ", "TERM": "dumb"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=make_it_the_terminal,  # noqa: PLW1509 - only the new session's leader can, and no thread runs here
        )
        os.close(slave)
        self.shown = ""

    def type(self, text):
        self.shown = ""
        os.write(self.master, text.encode())

    def wait_for(self, pattern):
        """Until that was shown since the last typing."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.shown)):
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, self.shown
            self.shown += os.read(self.master, 4096).decode(errors="replace")
        return found

    def close(self):
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)


@pytest.fixture
def terminal(plain_env):
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    terminal = Terminal(plain_env)
    yield terminal
    terminal.close()


def test_the_terminal_is_the_programs(terminal, page, eventually):
    """Ctrl-Z stops it and `fg` goes on, Ctrl-C interrupts it alone, lines are its to read, its end is the shell's to see."""
    terminal.type(
        f"{sys.executable} -m gc_otel.cli run --port 0 --linger 0 -- {sys.executable} {PROGRAMS / 'terminal.py'}\n"
    )
    address = terminal.wait_for(r"(http://\S+/metrics)")[1]
    terminal.wait_for("ready True True")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    assert page(address), "the exporter was stopped too"
    terminal.type("fg\n")
    terminal.wait_for("terminal.py")
    terminal.type("\x03")
    terminal.wait_for("interrupted")
    assert page(address), "the exporter was interrupted too"
    terminal.type("a line\n")
    terminal.wait_for("read a line")
    terminal.type("echo code $?\n")
    terminal.wait_for("code 0")
    eventually(lambda: page(address) == "", "the exporter outlives the program")
