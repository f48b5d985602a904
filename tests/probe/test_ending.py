"""What a process notes of its own end, by really ending; nothing of the program is touched for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.snapshot import Identity
from gc_otel.probe import ending

ROOT = Path(__file__).parents[1]
IS_GLIBC = os.confstr("CS_GNU_LIBC_VERSION") is not None if "CS_GNU_LIBC_VERSION" in os.confstr_names else False


@pytest.fixture
def end(flight_dir: Path, kind: str) -> Callable[[str], tuple[int, str, Identity]]:
    """Ends a program; its return code, what it wrote to stderr, and what is in its file after its death."""

    def run(how: str) -> tuple[int, str, Identity]:
        command = [sys.executable, str(ROOT / "programs" / "ending.py"), kind, how]
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        path = Path(program.stdout.readline().strip())
        with FlightFile(path) as file:  # open before the name has gone
            assert file.is_alive()
            _, stderr = program.communicate("", timeout=60)
            assert not file.is_alive()
            return program.returncode, stderr, reader.read_identity(file)

    return run


@pytest.mark.parametrize(
    ("how", "code", "exit_code", "exception"),
    [
        ("return", 0, 0, ""),
        ("exit 0", 0, 0, ""),
        ("exit 3", 3, 3, ""),
        ("exit 259", 3, 3, ""),
        ("exception", 1, 1, "__main__.Lost"),
        ("builtin exception", 1, 1, "ValueError"),
        ("caught", 1, 1, ""),
        ("thread", 0, 0, ""),
        ("forked", 0, 0, ""),
        ("interrupt", -signal.SIGINT, None, "KeyboardInterrupt"),
    ],
)
def test_an_end_that_python_knows(end: Any, kind: str, how: str, code: int, exit_code: int | None, exception: str):
    """The class of what nobody caught, and what exit() was given; no word of a message."""
    returned, stderr, identity = end(how)
    assert returned == code, stderr
    assert (identity.state, identity.exception) == ("exited", exception)
    assert identity.exited_unix_ns
    if kind == "native" and IS_GLIBC:
        assert identity.exit_code == exit_code
    else:
        assert identity.exit_code is None  # only on_exit() of glibc tells
    assert "secret" not in repr(identity)
    assert ("secret" in stderr) == (how in ("exception", "builtin exception", "thread"))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("_exit 0", 0),
        ("_exit 4", 4),
        ("abort", -signal.SIGABRT),
        ("segmentation fault", -signal.SIGSEGV),
        ("SIGKILL", -signal.SIGKILL),
        ("SIGTERM", -signal.SIGTERM),
    ],
)
def test_an_end_that_only_the_kernel_knows(end: Any, how: str, code: int):
    """The file has no mark of an exit: that is what it tells."""
    returned, stderr, identity = end(how)
    assert returned == code, stderr
    assert (identity.state, identity.exited_unix_ns, identity.exit_code, identity.exception) == (
        "running",
        None,
        None,
        "",
    )


def test_exit_by_c_code(end: Any, kind: str):
    """A library that calls exit(): Python's own end is not reached, the code is noted."""
    returned, _, identity = end("C exit")
    assert (returned, identity.state) == (6, "running")
    assert identity.exit_code == (6 if kind == "native" and IS_GLIBC else None)


class _Loud(type):
    """A metaclass whose attributes are somebody's code."""

    def __getattribute__(cls, name: str) -> object:
        raise AssertionError(f"asked for {name}")


def test_a_class_is_named_without_calling_anything():
    """Of a hostile class too."""
    loud = _Loud("Loud", (Exception,), {})
    assert ending.class_name(loud) == f"{__name__}.Loud"
    assert ending.class_name(KeyError) == "KeyError"
    odd = type("Odd", (), {})
    odd.__module__ = 5
    assert ending.class_name(odd) == "Odd"


@pytest.mark.parametrize(
    ("kind_of_it", "traceback", "told"),
    [
        (None, None, ""),
        (5, None, ""),
        (ValueError, None, ""),
        (ValueError, 5, ""),
        (SyntaxError, None, "SyntaxError"),
        (IndentationError, None, "IndentationError"),
    ],
)
def test_what_others_leave_in_sys(monkeypatch: pytest.MonkeyPatch, kind_of_it: Any, traceback: Any, told: str):
    """Anything may stand there."""
    monkeypatch.setattr(sys, "last_type", kind_of_it, raising=False)
    monkeypatch.setattr(sys, "last_traceback", traceback, raising=False)
    assert ending.unhandled_exception() == told


def test_nothing_in_sys(monkeypatch: pytest.MonkeyPatch):
    """As in nearly every process."""
    monkeypatch.delattr(sys, "last_type", raising=False)
    assert ending.unhandled_exception() == ""
