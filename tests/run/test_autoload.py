"""Started before the program's first line: once, in the main interpreter, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gc_otel.errors import NotSupported
from gc_otel.probe import autoload, probe

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def asked(monkeypatch, flight_dir):
    """Asked to record, and not asked before; what was recorded ends with the test."""
    monkeypatch.setenv("GC_OTEL_AUTOLOAD", "true")
    monkeypatch.setattr(autoload, "_was_asked", False)
    yield
    if probe.current() is not None:
        probe.current().stop()


@pytest.fixture
def arguments(monkeypatch):
    """What the interpreter says it was started with."""

    def give(argv, orig_argv=()):
        monkeypatch.setattr(sys, "argv", list(argv))
        monkeypatch.setattr(sys, "orig_argv", list(orig_argv))

    return give


def test_it_records_once(asked, flight_dir):
    """However often it is called."""
    for _ in range(3):
        autoload.start_if_asked()
    assert probe.current().run_mode
    assert list(flight_dir.glob("*.flight")) == [probe.current().path]


@pytest.mark.parametrize("value", ["", "false", "no", "nonsense"])
def test_not_asked(asked, monkeypatch, value):
    """A word that is not understood is not a yes."""
    monkeypatch.setenv("GC_OTEL_AUTOLOAD", value)
    autoload.start_if_asked()
    assert probe.current() is None


def test_what_is_recorded_already_stays(asked):
    """Library mode was first: its recording is not taken over."""
    from gc_otel.config import Config

    stop = probe.start(Config.from_env())
    first = probe.current()
    autoload.start_if_asked()
    assert probe.current() is first
    stop()


def test_a_fault_of_ours_is_one_line(asked, monkeypatch, capsys):
    """And the program goes on."""

    def fail(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(probe, "start", fail)
    autoload.start_if_asked()
    assert capsys.readouterr().err == "gc_otel: this process is not recorded: RuntimeError: broken\n"


def test_without_standard_error_nothing_is_said(asked, monkeypatch):
    """A daemon may have none."""
    monkeypatch.setattr(probe, "start", None)
    monkeypatch.setattr(sys, "stderr", None)
    autoload.start_if_asked()


def test_a_sub_interpreter_is_left_alone(asked, monkeypatch, capsys):
    """In silence, as documented."""

    def refuse(*_, **__):
        raise NotSupported("a sub-interpreter")

    monkeypatch.setattr(probe, "start", refuse)
    autoload.start_if_asked()
    assert capsys.readouterr().err == ""


def test_sub_interpreters_of_a_recorded_program(plain_env):
    """They come, run and go while the main interpreter is recorded."""
    import gc_otel

    loading = Path(gc_otel.__file__).parent / "probe" / "loading"
    path = os.pathsep.join((str(loading), plain_env.get("PYTHONPATH", "")))
    command = [sys.executable, str(PROGRAMS / "subinterpreters.py")]
    # coverage's own start-up file cannot be loaded into an isolated interpreter.
    env = {name: value for name, value in plain_env.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        env={**env, "PYTHONPATH": path, "GC_OTEL_AUTOLOAD": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    if told["interpreters"] == 0:
        pytest.skip("this Python has no module to make one with")
    assert (told["recorded"], told["files"]) == (True, 1)


@pytest.mark.parametrize(
    ("argv", "orig_argv", "ours"),
    [
        (["/usr/bin/gc-otel", "ps"], (), True),
        (["-m", "ps"], ("python", "-m", "gc_otel.cli", "ps"), True),
        (["-m"], ("python", "-Im", "gc_otel.cli"), True),
        (["-m", "gc_otel.cli"], ("python", "-m", "pip", "gc_otel.cli"), False),
        (["app.py", "gc-otel"], (), False),
        (["-c"], ("python", "-c", "pass"), False),
        ([], (), False),
    ],
)
def test_our_own_command_is_not_recorded(asked, arguments, argv, orig_argv, ours):
    """`gc-otel ps` in a recorded environment shows services, not itself."""
    arguments(argv, orig_argv)
    assert autoload._is_our_own_command() is ours


def test_files_of_others_are_kept(asked, flight_dir):
    """Of a process with the same number in another namespace, or another start, and what is no flight file."""
    from gc_otel.config import Config
    from gc_otel.flight import layout

    autoload.start_if_asked()
    mine = probe.current().path
    copy = flight_dir / f"{os.getpid()}-1.flight"
    started = layout.HEADER.cell("started_unix_ns") * layout.CELL_BYTES

    def put(offset_ns):
        raw = bytearray(mine.read_bytes())
        value = int.from_bytes(raw[started : started + 8], sys.byteorder) + offset_ns
        raw[started : started + 8] = value.to_bytes(8, sys.byteorder)
        copy.write_bytes(raw)
        autoload._remove_what_this_process_left(probe.current())
        return copy.exists()

    assert put(-60_000_000_000)
    assert not put(1_000_000)
    assert mine.exists()
    assert Config.from_env().autoload


def test_an_unbelievable_file_is_no_reason_not_to_record(asked, flight_dir, capsys):
    """It is noted for `gc-otel doctor`."""
    from gc_otel.flight import reader

    (flight_dir / f"{os.getpid()}-0.flight").write_text("nonsense")
    autoload.start_if_asked()
    assert capsys.readouterr().err == ""
    (fault,) = reader.read_faults(probe.current().source)
    assert fault.text.startswith("files of the program before: NotAFlightFile")


def test_private_memory_leaves_nothing_to_look_for(asked, flight_dir, capsys):
    """An unfit folder is said once; the program runs."""
    flight_dir.chmod(0o755)
    autoload.start_if_asked()
    assert probe.current().path is None
    assert "recording in private memory" in capsys.readouterr().err
    flight_dir.chmod(0o700)
