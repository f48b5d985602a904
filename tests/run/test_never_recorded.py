"""A command that records nothing: within seconds its standard error says which, and how to mend it.

Each of these takes the four seconds that a program is given to begin: they are what is tested.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def test_no_python(run):
    """A program of another kind."""
    started = run("cat")
    started.address()
    line = started.process.stderr.readline()
    assert line.startswith("gc_otel: cat is not recorded: it is no Python interpreter")
    assert started.end("x") == (0, "x", "")


def test_without_site(run):
    """-S reads no start-up file."""
    started = run(sys.executable, "-S", PROGRAMS / "tell.py")
    started.address()
    started.line()
    line = started.process.stderr.readline()
    assert "is not recorded" in line
    assert "-S" in line
    assert started.end()[0] == 0


def test_an_environment_without_gc_otel(run, make_venv, plain_env):
    """Another virtual environment's Python."""
    python = make_venv("foreign", with_gc_otel=False)
    started = run(python, PROGRAMS / "tell.py", env={"PYTHONPATH": None})
    if not started.process.stderr.readline().startswith("gc-otel: metrics at"):
        pytest.skip("this gc_otel is importable by PYTHONPATH only, which every Python inherits")
    started.line()
    line = started.process.stderr.readline()
    assert "is not recorded" in line
    assert "gc_otel is not installed" in line or "install gc_otel" in line or "pip install" in line, line
    assert started.end()[0] == 0


def test_a_command_that_ends_before_that(run):
    """Nobody is warned of `ls`."""
    started = run("true")
    assert started.end()[2].count("\n") == 1
    assert os.path.exists(PROGRAMS)
