"""The program is the process that the shell started, and an exporter that it never meets follows it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def _gone(pid):
    return (
        not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    )


def test_it_is_the_program(python, flight_dir, page, pids, eventually):
    """Same pid, recorded in run mode, nothing imported, no descriptor more, and on the page of an exporter beside it."""
    bare = subprocess.run(
        [sys.executable, PROGRAMS / "tell.py"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    started = python("tell.py", "7", "--", "-x")
    address = started.address()
    told = json.loads(started.line())
    assert told["pid"] == told["session"] == started.process.pid
    assert told["argv"] == ["7", "--", "-x"]
    assert told["recording"]["run_mode"]
    assert Path(told["recording"]["path"]).parent == flight_dir
    assert told["imported"] == []
    assert told["children"] == "none"
    assert told["descriptors"] == json.loads(bare.stdout)["descriptors"]
    assert told["sigpipe"] == json.loads(bare.stdout)["sigpipe"]
    assert (told["env"]["GC_OTEL_HOST"], f":{told['env']['GC_OTEL_PORT']}/" in address) == ("127.0.0.1", True)
    assert not [each for each in told["path"] if each.endswith("loading")]
    eventually(lambda: pids(address) == {told["pid"]})
    code, _, errors = started.end()
    assert (code, errors) == (7, "")
    eventually(lambda: page(address) == "", "the exporter outlives the program")
    assert not list(flight_dir.glob("*.flight"))


def test_it_listens_before_the_program_begins(python):
    """The program's first connection is answered."""
    started = python("ask.py")
    assert json.loads(started.line())["answer"].startswith("HTTP/1.")
    assert started.end()[0] == 0


def test_standard_input_goes_through_and_errors_are_the_programs(run):
    """A pipe into the program, and its own words on both outputs."""
    started = run(sys.executable, "-c", "import sys; t = sys.stdin.read(); print(t * 2); print('e', file=sys.stderr)")
    started.address()
    assert started.end("in") == (0, "inin\n", "e\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_the_program_as_ever(python, page, eventually, number):
    """What the shell sees is the program's own end by the signal, and the exporter follows."""
    started = python("tell.py")
    address = started.address()
    started.line()
    started.process.send_signal(number)
    assert started.process.wait(60) == -number
    eventually(lambda: page(address) == "", "the exporter outlives the program")


def test_the_programs_children_are_its_own(python):
    """SIGCHLD and waitpid(-1) speak of what the program itself started."""
    started = python("children.py")
    told = json.loads(started.line())
    assert told == {"waited": [3], "then": "none", "signals": 1}
    assert started.end()[0] == 0


def test_an_exporter_does_not_hold_the_pipe(run, eventually):
    """`$(gc-otel run -- command 2>&1)` ends with the command, though the exporter lingers."""
    command = (sys.executable, "-c", "print('all')")
    started = run(*command, options=("--port", "0", "--linger", "3600"), stderr=subprocess.STDOUT)
    try:
        out = started.process.communicate(timeout=60)[0].splitlines()
        assert out[-1] == "all"
    finally:
        os.kill(eventually(_exporter_of), signal.SIGINT)


def _exporter_of():
    from gc_otel.config import Config
    from gc_otel.flight.folder import open_folder
    from gc_otel.service import control

    told = control.ask(open_folder(Config.from_env()), {"do": "status"})
    return None if told is None else told["pid"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["no-such-command"], 127, "gc-otel: no-such-command: command not found.\n"),
        (["./no-such-file"], 127, "gc-otel: ./no-such-file: command not found.\n"),
        ([str(PROGRAMS / "tell.py")], 126, f"gc-otel: {PROGRAMS / 'tell.py'}: permission denied.\n"),
        ([str(PROGRAMS)], 126, f"gc-otel: {PROGRAMS}: is a folder.\n"),
        ([], 2, "gc-otel: there is no COMMAND to run. For example: gc-otel run -- python app.py\n"),
    ],
)
def test_what_cannot_be_started(run, flight_dir, words, code, says):
    """One line, and the exit code that a shell would give; nothing was started."""
    assert run(*words).end() == (code, "", says)
    assert not list(flight_dir.iterdir())


def test_what_the_kernel_refuses(run, tmp_path):
    """A file that says it is executable and is not: 126, and no exporter stays."""
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF nonsense")
    file.chmod(0o755)
    code, out, errors = run(file).end()
    assert (code, out) == (126, "")
    assert f"gc-otel: {file}: Exec format error.\n" in errors


def test_a_script_that_ends_in_python(run, tmp_path, pids, eventually):
    """A shell stands between, and replaces itself or waits."""
    script = tmp_path / "start.sh"
    script.write_text(
        f"#!/bin/sh\ncd /\n{sys.executable} {PROGRAMS / 'tell.py'} 4\nexec {sys.executable} {PROGRAMS / 'tell.py'} 5\n"
    )
    script.chmod(0o755)
    started = run(script, stdin=subprocess.DEVNULL)
    first, second = json.loads(started.line()), json.loads(started.line())
    assert first["recording"]["run_mode"]
    assert second["recording"]["run_mode"]
    assert (first["pid"] == started.process.pid, second["pid"] == started.process.pid) == (False, True)
    assert started.process.wait(60) == 5


def test_a_program_that_replaces_itself(python, flight_dir, pids, eventually):
    """After an exec the process has one file, the new program's, and nobody is said to have died."""
    started = python("exec_itself.py", PROGRAMS / "tell.py")
    address = started.address()
    first, second = started.line(), json.loads(started.line())
    assert first != second["recording"]["path"]
    assert [str(path) for path in flight_dir.glob("*.flight")] == [second["recording"]["path"]]
    eventually(lambda: pids(address) == {second["pid"]})
    assert started.end()[0] == 0


class TestOneExporterForAFolder:
    """Joining, and what stands in the way."""

    def test_a_second_program_joins(self, python, pids, page, eventually):
        """It says where, both are on one page, and the exporter goes with the last of them."""
        first = python("tell.py", options=("--port", "0", "--linger", "0"))
        address = first.address()
        first_pid = json.loads(first.line())["pid"]
        second = python("tell.py", options=("--port", "1"))
        line = second.process.stderr.readline()
        assert line == (
            f"gc-otel: metrics at {address} (joined the exporter of this folder, which serves there and not on port 1)\n"
        )
        second_pid = json.loads(second.line())["pid"]
        eventually(lambda: pids(address) == {first_pid, second_pid})
        assert first.end()[0] == 0
        eventually(lambda: second_pid in pids(address) and first_pid not in pids(address))
        assert second.end()[0] == 0
        eventually(lambda: page(address) == "", "the exporter outlives both")

    def test_one_after_the_other(self, python):
        """A program that comes while the exporter of the one before is ending has one of its own, or joins in time."""
        for _ in range(4):
            started = python("ask.py")
            assert json.loads(started.line())["answer"].startswith("HTTP/1.")
            assert started.end()[0] == 0

    def test_all_at_once(self, python, pids, eventually):
        """Four launchers at the same time: one exporter, which has all four."""
        several = [python("tell.py") for _ in range(4)]
        address = {each.address() for each in several}
        assert len(address) == 1
        expected = {json.loads(each.line())["pid"] for each in several}
        eventually(lambda: pids(next(iter(address))) == expected)
        assert [each.end()[0] for each in several] == [0] * 4

    def test_a_port_of_somebody_else(self, python, flight_dir):
        """One line, exit 2, the program not started; --if-busy=run starts it, recorded and without an exporter."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = str(taken.getsockname()[1])
            code, out, errors = python("tell.py", options=("--port", number)).end()
            assert (code, out) == (2, "")
            assert errors == (
                f"gc-otel: port {number} is in use on 127.0.0.1. Choose another with --port, or let --port 0 choose one. "
                "With --if-busy=run the program starts all the same.\n"
            )
            started = python("tell.py", "6", options=("--port", number, "--if-busy", "run"))
            told = json.loads(started.line())
            assert told["recording"]["run_mode"]
            assert "GC_OTEL_PORT" not in told["env"]
            code, _, errors = started.end()
        assert (code, errors) == (
            6,
            f"gc-otel: port {number} is in use on 127.0.0.1. The program runs, recorded and without an exporter.\n",
        )


class TestThePortOfTheProgramsOwnExporter:
    """OTEL_EXPORTER_PROMETHEUS_PORT is the program's."""

    def test_ours_moves_away(self, python):
        """Without a word of the user's on ours, and says so."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            number = other.getsockname()[1]
        started = python("tell.py", options=("--linger", "0"), env={"OTEL_EXPORTER_PROMETHEUS_PORT": "9464"})
        line = started.process.stderr.readline()
        assert "(9464 is the port of the program's own exporter)" in line
        assert ":9464/" not in line
        assert started.end()[0] == 0
        assert number > 0

    def test_the_users_word_stands(self, python):
        """Who gives both the same port is told."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            number = str(other.getsockname()[1])
        started = python(
            "tell.py", options=("--linger", "0", "--port", number), env={"OTEL_EXPORTER_PROMETHEUS_PORT": number}
        )
        assert started.process.stderr.readline() == (
            f"gc-otel: metrics at http://127.0.0.1:{number}/metrics "
            "(the program's own exporter is set to the same port: give it another)\n"
        )
        assert started.end()[0] == 0


@pytest.mark.parametrize("name", ["GC_OTEL_ENABLED", "OTEL_SDK_DISABLED"])
def test_switched_off(python, flight_dir, name):
    """The program runs as if we were not there, and one line says why."""
    started = python("tell.py", env={name: "false" if name.startswith("GC") else "true"})
    told = json.loads(started.line())
    assert told["recording"] is None
    assert started.end() == (0, "", f"gc-otel: recording is switched off by {name}. The program runs unrecorded.\n")
    assert not list(flight_dir.iterdir())


def test_an_unfit_folder_stops_no_program(python, flight_dir):
    """It is said, and the program runs unrecorded."""
    flight_dir.chmod(0o755)
    started = python("tell.py", "3")
    assert json.loads(started.line())["recording"] is None
    code, _, errors = started.end()
    assert code == 3
    assert "is open to others" in errors
    assert "The program runs unrecorded." in errors


def test_a_launcher_with_threads_begins_again(python, tmp_path, pids, eventually):
    """Start-up code of others (OpenTelemetry's, ddtrace's) runs threads in the launcher, where no exporter can be cloned."""
    (tmp_path / "sitecustomize.py").write_text(
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    import gc_otel

    path = os.pathsep.join((str(tmp_path), str(Path(gc_otel.__file__).parents[1])))
    started = python("tell.py", "5", env={"PYTHONPATH": path})
    address = started.address()
    told = json.loads(started.line())
    assert told["pid"] == started.process.pid
    eventually(lambda: pids(address) == {told["pid"]})
    assert started.end()[0] == 5


def test_pid_1(plain_env, tmp_path):
    """In a container the program is PID 1, which adopts every orphan: its waitpid(-1) still meets its own children only."""
    unshare = shutil.which("unshare")
    isolate = [unshare or "unshare", "--pid", "--fork", "--mount-proc"]
    if unshare is None or subprocess.run([*isolate, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare --pid is refused here: it needs root")
    command = [
        sys.executable,
        "-m",
        "gc_otel.cli",
        "run",
        "--port",
        "0",
        "--",
        sys.executable,
        PROGRAMS / "children.py",
        "page",
    ]
    done = subprocess.run(
        [*isolate, *command],
        env=plain_env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["waited"], told["then"], told["pid"], told["pids"]) == ([3], "none", 1, [1])


def test_closed_standard_descriptors(plain_env):
    """A program that is started without 0, 1 and 2 gets none, and ours go elsewhere."""
    script = f'exec {sys.executable} -m gc_otel.cli run --linger 0 --port 0 -- /bin/sh -c "ls /proc/self/fd >$OUT" <&- >&- 2>&-'
    plain_env["OUT"] = str(Path(plain_env["GC_OTEL_DIR"]) / "out")
    subprocess.run(["/bin/sh", "-c", script], env=plain_env, check=True, timeout=60)
    # ls opens the folder and takes the lowest free one; 1 is the redirection.
    assert Path(plain_env["OUT"]).read_text().split() == ["0", "1"]


def test_the_c_locale_stays_the_programs(run):
    """CPython gives itself an LC_CTYPE in the C locale (PEP 538); a program that is no Python must not inherit the launcher's."""
    env = {"LC_ALL": None, "LC_CTYPE": None, "LANG": None}
    started = run("env", env=env)
    code, out, _ = started.end()
    assert code == 0
    assert not [line for line in out.splitlines() if line.startswith("LC_")]
