"""gc-otel itself: its options, how it ends, what it loads."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gc_otel import __version__, cli
from gc_otel.cli import ps
from gc_otel.errors import FlightFolderError


def test_the_version_is_the_package_s(call):
    """--version says what is installed."""
    said = call("--version")
    assert (said.code, said.out) == (0, f"gc-otel {__version__}\n")


def test_the_package_can_be_run(monkeypatch):
    """`python -m gc_otel.cli` is the same command."""
    monkeypatch.setattr(sys, "argv", ["gc-otel", "config", "--json"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("gc_otel.cli", run_name="__main__")
    assert end.value.code == 0


def test_without_a_command_the_help_is_shown(call):
    """The help lists every command."""
    said = call()
    assert said.code == 0
    assert said.out.startswith("usage: gc-otel")
    assert all(f"    {command.name}" in said.out for command in cli.COMMANDS)


@pytest.mark.parametrize(
    "argv",
    [
        ["nonsense"],
        ["ps", "--nonsense"],
        ["demo", "--port", "65536"],
        ["demo", "--port", "-1"],
        ["demo", "--seconds", "0"],
        ["demo", "--seconds", "nan"],
        ["demo", "--scenario", "nonsense"],
        ["ps", "--js"],
    ],
)
def test_a_usage_error_ends_with_2(call, argv):
    """What cannot be meant is told on standard error, abbreviations included."""
    said = call(*argv)
    assert (said.code, said.out) == (2, "")
    assert "error:" in said.err


def test_the_help_of_a_wrong_number_names_what_it_takes(call):
    """A port that is none is answered by the range of ports."""
    assert "port (0 to 65535)" in call("demo", "--port", "x").err


def _run_with(monkeypatch, error):
    def run(_):
        raise error

    monkeypatch.setattr(ps, "run", run)


def test_an_error_of_ours_is_one_line_with_its_remedy(call, monkeypatch):
    """Message and remedy, no traceback, exit 1, nothing that a terminal would obey."""
    _run_with(monkeypatch, FlightFolderError("the folder\x1b[2J is odd.", remedy="Make another."))
    said = call("ps")
    assert (said.code, said.out, said.err) == (1, "", "gc-otel: the folder\ufffd[2J is odd. Make another.\n")


def test_ctrl_c_ends_with_130(call, monkeypatch):
    """A KeyboardInterrupt is no traceback."""
    _run_with(monkeypatch, KeyboardInterrupt())
    said = call("ps")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_a_closed_pipe_is_no_complaint(spawn):
    """`gc-otel ps | head` leaves nothing on standard error, and ends as SIGPIPE would have it."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    process = spawn("config", stdout=write_fd)
    os.close(write_fd)
    assert process.stderr.read() == ""
    assert process.wait() == cli.EXIT_PIPE_CLOSED


def test_a_closed_pipe_of_a_caller_s_own_is_no_complaint(monkeypatch):
    """Standard output may be an object without a descriptor."""

    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

        def fileno(self):
            raise io.UnsupportedOperation

    monkeypatch.setattr(sys, "stdout", Closed())
    assert cli.main(["config"]) == cli.EXIT_PIPE_CLOSED


def test_a_pipe_that_closes_in_this_process_is_dropped(monkeypatch):
    """What is still buffered goes nowhere: the descriptor leads to the null device then."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with os.fdopen(write_fd, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["config"]) == cli.EXIT_PIPE_CLOSED
        assert os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull))
        monkeypatch.undo()


@pytest.mark.parametrize("argv", [["ps"], ["ps", "--json"], ["config"], ["--version"]])
def test_neither_opentelemetry_nor_psutil_is_loaded(argv):
    """ps and config start as fast as the standard library lets them."""
    script = (
        "import sys\nfrom gc_otel import cli\ntry:\n    cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "found = {name.partition('.')[0] for name in sys.modules} & {'opentelemetry', 'psutil', 'prometheus_client'}\n"
        "print(sorted(found), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_letter_that_the_terminal_does_not_have_is_escaped(spawn, monkeypatch):
    """A service's name is any text, and an ASCII terminal is no reason to fail."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "OTEL_SERVICE_NAME": "Läden"}
    process = spawn("config", env=env)
    assert "L\\xe4den" in process.stdout.read()
    assert process.wait() == 0


def test_streams_of_any_kind_will_do(monkeypatch):
    """Where a stream cannot be set to escape, it is left as it is."""
    lines = []
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=lines.append, flush=lambda: None, isatty=lambda: False))
    assert cli.main(["config"]) == 0
    assert "GC_OTEL_ENABLED" in "".join(lines)
