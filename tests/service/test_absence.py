"""Why a program is not recorded: every case that can be told apart, and nothing of anybody's environment."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from gc_otel.service.absence import Absence, explain, warn
from gc_otel.service.control import Followed
from gc_otel.service.onlooker import environment_of, family, flags_of, has_gc_otel

SECRET = "hunter2"


class Proc:
    """A made /proc."""

    def __init__(self, path):
        self.path = path

    def add(self, pid, exe, arguments, *, parent=1, environ=(), cwd="/"):
        folder = self.path / str(pid)
        folder.mkdir()
        (folder / "stat").write_bytes(b"%d (a) b) S %d 1 1" % (pid, parent))
        (folder / "cmdline").write_bytes(b"".join(os.fsencode(each) + b"\0" for each in arguments))
        (folder / "environ").write_bytes(b"".join(os.fsencode(each) + b"\0" for each in environ))
        (folder / "exe").symlink_to(exe)
        (folder / "cwd").symlink_to(cwd)


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "proc").mkdir()
    return Proc(tmp_path / "proc")


@pytest.fixture
def python_environment(tmp_path):
    """A Python environment, with or without gc_otel, and the path of its interpreter."""

    def make(*, installed):
        packages = tmp_path / f"env-{installed}" / "lib" / "python3.11" / "site-packages"
        packages.mkdir(parents=True)
        if installed:
            (packages / "gc_otel-1.0.dist-info").mkdir()
        return str(tmp_path / f"env-{installed}" / "bin" / "python")

    return make


def followed(pid=10, stderr_fd=None):
    return Followed(-1, stderr_fd, pid, "the-command")


ASKED = ["GC_OTEL_AUTOLOAD=true", f"PASSWORD={SECRET}", f"GC_OTEL_DIR=/{SECRET}"]


@pytest.mark.parametrize(
    ("exe", "arguments", "environ", "says", "mend"),
    [
        ("/bin/bash", ["bash", "-c", SECRET], ASKED, "bash is not recorded: it is no Python", "environment on"),
        ("/usr/bin/python2.7", ["python", "a.py"], ASKED, "CPython 3.10 and later", "with one of those"),
        ("/usr/bin/python3.9", ["python3", "a.py"], ASKED, "CPython 3.10 and later", "with one of those"),
        ("/opt/pypy3.11", ["pypy3"], ASKED, "CPython 3.10 and later", "with one of those"),
        ("/usr/bin/python3.11", ["python", "-S", SECRET], ASKED, "option -S", "Leave -S out"),
        ("/usr/bin/python3.11", ["python", "-IS", SECRET], ASKED, "option -S", "Leave -S out"),
        ("/usr/bin/python3.11", ["python"], [*ASKED, "GC_OTEL_ENABLED=No "], "GC_OTEL_ENABLED turns", "Unset it"),
        ("/usr/bin/python3.11", ["python"], [*ASKED, "OTEL_SDK_DISABLED=TRUE"], "OTEL_SDK_DISABLED turns", "Unset it"),
        ("/usr/bin/python3.11", ["python"], [f"PASSWORD={SECRET}"], "without the variables", "Let GC_OTEL_* through"),
        ("/usr/bin/python3.11", ["python", SECRET], ASKED, "was not loaded", "gc-otel doctor"),
        ("/usr/bin/python3.11 (deleted)", ["python"], ASKED, "python3.11 (pid 10)", "gc-otel doctor"),
    ],
)
def test_each_case_has_its_line(proc, exe, arguments, environ, says, mend):
    """One line, what is the case, how to mend it, and nothing of arguments or environment."""
    proc.add(10, exe, arguments, environ=environ)
    line = explain(followed(), proc.path)
    assert says in line
    assert mend in line
    assert SECRET not in line
    assert "\n" not in line


def test_an_environment_without_gc_otel_is_named(proc, python_environment):
    """By the path of the interpreter, also a relative one; with gc_otel in it the reason is another."""
    without, having = python_environment(installed=False), python_environment(installed=True)
    proc.add(10, "/usr/bin/python3.11", [without, "app.py"], environ=ASKED)
    line = explain(followed(), proc.path)
    assert f"{without} -m pip install gc_otel" in line
    proc.add(11, "/usr/bin/python3.11", ["bin/python"], environ=ASKED, cwd=os.path.dirname(os.path.dirname(having)))
    assert "gc-otel doctor" in explain(followed(11), proc.path)
    assert has_gc_otel(sys.prefix) in (True, False)


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["/e/bin/python3", "x"], "/e"),
        (["./e/bin/python"], "/w/e"),
        (["python3"], None),
        (["/e/sbin/python"], None),
        (["/e/bin/gunicorn"], None),
        ([], None),
    ],
)
def test_an_environment_is_known_by_its_interpreter(arguments, folder):
    """A bare name tells nothing."""
    assert environment_of(arguments, "/w") == folder


@pytest.mark.parametrize(
    ("arguments", "letters"),
    [
        (["python"], ""),
        (["python", "app.py", "-S"], ""),
        (["python", "-S", "app.py"], "S"),
        (["python", "-uS", "-B", "app.py"], "uSB"),
        (["python", "-m", "mod", "-S"], ""),
        (["python", "-mS"], ""),
        (["python", "-c", "code", "-S"], ""),
        (["python", "-W", "-S", "app.py"], ""),
        (["python", "-Wignore", "-X", "dev", "-Xfaulthandler", "-I", "app.py"], "I"),
        (["python", "--check-hash-based-pycs", "-S", "app.py"], "S"),
        (["python", "-", "-S"], ""),
        ([], ""),
    ],
)
def test_options_of_the_interpreter_are_told_from_the_programs(arguments, letters):
    """As CPython reads its command line."""
    assert flags_of(arguments) == letters


def test_a_python_among_the_children_is_the_one_to_explain(proc):
    """A shell script that ends in a Python; a family of any size is looked through to a bound."""
    proc.add(10, "/bin/sh", ["sh", "run.sh"], environ=ASKED)
    proc.add(12, "/usr/bin/python3.11", ["python", "-S"], parent=11, environ=ASKED)
    proc.add(11, "/usr/bin/env", ["env"], parent=10)
    proc.add(13, "/usr/bin/python3.11", ["python", "-S"], environ=ASKED)
    (proc.path / "self").mkdir()
    (proc.path / "14").mkdir()
    assert list(family(proc.path, 10)) == [10, 11, 12]
    assert "python3.11 (pid 12) is not recorded" in explain(followed(), proc.path)
    for pid in range(100, 300):
        proc.add(pid, "/bin/true", ["true"], parent=10)
    assert len(list(family(proc.path, 10))) == 64


def test_what_cannot_be_looked_at_is_named_by_its_command(proc):
    """Gone, or another user's."""
    assert explain(followed(), proc.path).startswith("the-command is not recorded")
    proc.add(10, "/usr/bin/python3.11", ["python"], environ=ASKED)
    (proc.path / "10" / "environ").unlink()
    (proc.path / "10" / "cwd").unlink()
    assert "gc-otel doctor" in explain(followed(), proc.path)


def test_a_real_process(sleeper):
    """The /proc of this machine."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; print('here', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"SECRET": SECRET},
    )
    process.stdout.readline()  # within exec there is a moment without a command line
    line = explain(followed(process.pid))
    process.communicate()
    assert f"(pid {process.pid}) is not recorded: its option -S" in line
    assert "sleep is not recorded: it is no Python" in explain(followed(sleeper().pid))


def recorded(pid, *, elsewhere=False):
    return SimpleNamespace(identity=SimpleNamespace(pid=pid), elsewhere=elsewhere)


def test_the_recorded_are_not_warned_of(proc):
    """By themselves, or by what they started; whose child a process of another namespace is nobody knows."""
    proc.add(10, "/bin/sh", [])
    proc.add(11, "/bin/sh", [], parent=10)
    proc.add(20, "/bin/sh", [])
    for pid, elsewhere, left in ((11, False, [20]), (10, False, [20]), (30, False, [10, 20]), (10, True, [])):
        absence = Absence(0.0, proc.path)
        for launcher in (10, 20):
            absence.watch(followed(launcher))
        absence.found(recorded(pid, elsewhere=elsewhere))
        assert [each.pid for each in absence.due()] == left
        assert absence.due() == []
        absence.found(recorded(pid))


def test_nobody_is_warned_of_too_early_or_when_gone(proc):
    """Before its time, and after its end."""
    patient, gone = Absence(3600.0, proc.path), Absence(0.0, proc.path)
    one = followed()
    for absence in (patient, gone):
        absence.watch(one)
    gone.forget(one)
    assert patient.due() == gone.due() == []


def fill(pipe):
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


def test_a_line_is_one_line(proc):
    """Names of files are whatever somebody wrote there."""
    proc.add(10, "/bin/\x1b[31mred\n", ["x"])
    assert explain(followed(), proc.path).startswith("?[31mred? is not recorded")
    proc.add(11, "/usr/bin/python3.11", ["/\x1b\n/bin/python"], environ=ASKED)
    assert explain(followed(11), proc.path).isprintable()


def test_a_warning_never_waits():
    """A pipe that nobody reads and that is full, one that nobody has any more, and no standard error at all."""
    readable, writable = os.pipe()
    assert warn(followed(stderr_fd=writable), "x" * 10_000)
    assert os.read(readable, 65536) == b"gc_otel: " + b"x" * 4086 + b"\n"
    fill(writable)
    said = []
    waiting = threading.Thread(target=lambda: said.append(warn(followed(stderr_fd=writable), "too much")))
    waiting.start()
    waiting.join(30)
    assert said == [False]
    os.close(readable)
    assert not warn(followed(stderr_fd=writable), "to nobody")
    os.close(writable)
    assert not warn(followed(), "to nobody")
