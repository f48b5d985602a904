"""Who a process says it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight import layout, reader
from gc_otel.probe import identity


def test_the_start_of_a_process_lies_between_its_making_and_its_first_line():
    """The kernel's clock ticks and the wall clock are brought together rightly."""
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    code = "import time; from gc_otel.probe.identity import process_start_unix_ns as s; print(s(), time.time_ns())"
    before_ns = time.time_ns()
    root = str(Path(identity.__file__).parents[2])
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    started_ns, printed_ns = map(int, told.split())
    assert before_ns - 2 * tick_ns <= started_ns < printed_ns


def test_the_start_of_this_process_is_what_psutil_says():
    """psutil knows the boot only to a whole second; both agree within that."""
    ours_s = identity.process_start_unix_ns() / 1e9
    assert abs(ours_s - psutil.Process().create_time()) < 1.05


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 (python",
        "1 (python) S 2 3",
        "1 (python) S " + "1 " * 18 + "soon 7",
        "1 (a) b) c) R " + "x " * 30,
    ],
)
def test_a_broken_stat_is_no_answer(tmp_path, text):
    """What /proc does not tell is None and never a guess."""
    stat = tmp_path / "stat"
    stat.write_text(text)
    assert identity.process_start_unix_ns(stat) is None


def test_no_stat_is_no_answer(tmp_path):
    """Without /proc, too."""
    assert identity.process_start_unix_ns(tmp_path / "none") is None


def test_a_name_with_brackets_and_blanks(tmp_path):
    """The program's name may hold whatever it likes."""
    stat = tmp_path / "stat"
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 5) * os.sysconf("SC_CLK_TCK"))
    stat.write_text(f"7 (a) R 1 (b\udcff) S {'0 ' * 18}{ticks} 0 0\n", errors="surrogateescape")
    age_s = time.time() - identity.process_start_unix_ns(stat) / 1e9
    assert 4.9 < age_s < 30


def test_without_proc_the_process_began_now(monkeypatch):
    """The header needs a number: the beginning of the recording then."""
    monkeypatch.setattr(identity, "process_start_unix_ns", lambda: None)
    header = identity.header_fields(Config(), recorder="python", duration_clock="thread_cpu")
    assert header["started_unix_ns"] == header["created_unix_ns"]


def test_without_a_pid_namespace(monkeypatch):
    """Where the namespace cannot be asked for, it is absent."""

    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(identity.os, "stat", refuse)
    assert identity._pid_namespace() == layout.ABSENT


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (["/srv/app/serve.py", "--password=secret"], "serve.py"),
        (["-m", "--password=secret"], "python -m pkg.app"),
        (["-c"], "-c"),
        ([""], os.path.basename(sys.executable)),
    ],
)
def test_the_program_is_a_name_without_arguments(monkeypatch, argv, program):
    """Arguments may be secrets and never reach the file."""
    monkeypatch.setattr(identity.sys, "argv", argv)
    monkeypatch.setattr(identity.sys, "orig_argv", ["python3", "-Im", "pkg.app", *argv[1:]])
    assert identity._program() == program


@pytest.mark.parametrize(
    ("orig_argv", "argv", "program"),
    [
        (["python", "-m", "gunicorn", "--bind", "x"], ["-m", "--bind", "x"], "python -m gunicorn"),
        (["python", "-Im", "gunicorn"], ["-m"], "python -m gunicorn"),
        (["python", "-W", "error", "-mgunicorn", "a"], ["-m", "a"], "python -m gunicorn"),
        (["python", "-m", "gunicorn", "--password", "secret"], ["-m"], "python -m"),
        (["python", "app.py", "-m", "secret"], ["-m", "other"], "python -m"),
        (["python", "--m", "secret"], ["-m"], "python -m"),
        (["python"], ["-m"], "python -m"),
        ([], ["-m"], "python -m"),
    ],
)
def test_a_module_is_named_while_it_is_looked_for(monkeypatch, orig_argv, argv, program):
    """Run mode begins before the module is found; where the words do not fit together nothing is guessed."""
    monkeypatch.setattr(identity.sys, "orig_argv", orig_argv)
    monkeypatch.setattr(identity.sys, "argv", argv)
    assert identity._program() == program


def test_an_embedded_python_without_argv(monkeypatch):
    """sys.argv need not exist."""
    monkeypatch.delattr(identity.sys, "argv")
    monkeypatch.setattr(identity.sys, "executable", "")
    assert identity._program() == "python"


def test_a_header_is_read_back(make_mapping):
    """Every field arrives at the reader with its meaning."""
    config = Config(service_name="shop", service_version="1.2")
    before_ns = time.time_ns()
    header = identity.header_fields(config, recorder="native", duration_clock="monotonic")
    mapping = make_mapping(-1)
    files.write_header(mapping.view(), header)
    read = reader.read_identity(files.OwnMemory(mapping))
    mapping.close()
    assert (read.pid, read.parent_pid) == (os.getpid(), os.getppid())
    assert (read.service_name, read.service_version) == ("shop", "1.2")
    assert (read.recorder, read.duration_clock, read.state) == ("native", "monotonic", "running")
    assert read.python_version == ".".join(map(str, sys.version_info[:3]))
    assert read.pid_namespace == Path("/proc/self/ns/pid").stat().st_ino
    assert uuid.UUID(read.instance_id).version == 4
    assert before_ns <= read.created_unix_ns <= time.time_ns()
    assert read.started_unix_ns < before_ns
    assert abs(time.monotonic_ns() + read.monotonic_to_unix_ns - time.time_ns()) < 1_000_000_000
    assert read.exited_unix_ns is None
