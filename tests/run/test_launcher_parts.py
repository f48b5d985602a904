"""What `gc-otel run` is made of, each by itself."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from gc_otel import cli
from gc_otel.cli import run as command
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.flight.folder import open_folder
from gc_otel.service import beside, control, launch, port, program


class TestFindTheProgram:
    """As a shell does."""

    @pytest.fixture
    def make(self, tmp_path):
        def file(name, mode=0o755):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("#!/bin/sh\n")
            path.chmod(mode)
            return str(path)

        return file

    def test_the_first_that_can_be_executed(self, make, tmp_path):
        """What cannot be is passed over, also a folder of that name."""
        (tmp_path / "0" / "tool").mkdir(parents=True)
        make("1/tool", 0o644)
        expected = make("2/tool")
        make("3/tool")
        path = os.pathsep.join(str(tmp_path / name) for name in "0123")
        assert program.find("tool", {"PATH": path}) == expected

    def test_an_empty_part_is_the_current_folder(self, make, tmp_path, monkeypatch):
        """As POSIX has it."""
        make("here/tool")
        monkeypatch.chdir(tmp_path / "here")
        assert os.path.abspath(program.find("tool", {"PATH": ":/nowhere"})) == str(tmp_path / "here" / "tool")

    @pytest.mark.parametrize(
        ("name", "code", "says"),
        [
            ("nothing", 127, "nothing: command not found"),
            ("", 127, "the empty command: command not found"),
            ("./nothing", 127, "./nothing: command not found"),
            ("plain", 126, "permission denied"),
            ("dangling", 126, "No such file or directory"),
        ],
    )
    def test_why_there_is_none(self, make, tmp_path, monkeypatch, name, code, says):
        """Not found, or found and of no use."""
        monkeypatch.setattr(os, "access", lambda path, _: not str(path).endswith("plain"))  # the super-user may all
        make("plain", 0o644)
        (tmp_path / "dangling").symlink_to("/no/such/file")
        with pytest.raises(program.CannotExecute) as caught:
            program.find(name, {"PATH": str(tmp_path)})
        assert caught.value.exit_code == code
        assert says in str(caught.value)


class TestEnvironment:
    """What the program gets beyond the caller's."""

    def test_with_a_startup_file_only_settings(self, monkeypatch):
        """PYTHONPATH is not touched where it need not be."""
        monkeypatch.setattr(program, "has_startup_file", lambda _: True)
        assert program.environment({"A": "b"}, dir="/d", port="1") == {
            "A": "b",
            "GC_OTEL_DIR": "/d",
            "GC_OTEL_PORT": "1",
            "GC_OTEL_AUTOLOAD": "true",
        }

    @pytest.mark.parametrize(("given", "then"), [(None, []), ("", []), ("/x", ["/x"]), (":/x", ["", "/x"])])
    def test_without_one_a_folder_on_pythonpath(self, monkeypatch, given, then):
        """First, once, and what was there behind it; an empty part is the current folder."""
        monkeypatch.setattr(program, "has_startup_file", lambda _: False)
        env = {} if given is None else {"PYTHONPATH": given}
        for _ in range(2):
            env = program.environment(env)
            assert env["PYTHONPATH"].split(":") == [str(program.LOADING_FOLDER), *then]

    def test_a_startup_file_counts_where_interpreters_look(self, tmp_path, monkeypatch):
        """Beside the package, and in a site folder."""
        import site

        assert not program.has_startup_file(tmp_path)
        (tmp_path / "gc_otel.pth").touch()
        assert not program.has_startup_file(tmp_path)
        monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])
        assert program.has_startup_file(tmp_path)
        monkeypatch.setattr(site, "getsitepackages", list)
        monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
        monkeypatch.setattr(site, "getusersitepackages", lambda: str(tmp_path))
        assert program.has_startup_file(tmp_path)

    @pytest.mark.parametrize(
        ("initial", "value", "kept"),
        [
            (b"A=b\0", "C.UTF-8", False),
            (b"A=b\0LC_CTYPE=C.UTF-8\0", "C.UTF-8", True),
            (b"A=b\0", "de_DE.UTF-8", True),
            (None, "C.UTF-8", True),
        ],
    )
    def test_a_coerced_locale_is_not_handed_on(self, tmp_path, initial, value, kept):
        """CPython sets LC_CTYPE for itself in the C locale; the program is to see what the user gave."""
        file = tmp_path / "environ"
        if initial is not None:
            file.write_bytes(initial)
        assert ("LC_CTYPE" in program.without_coerced_locale({"LC_CTYPE": value}, file)) is kept


class TestPort:
    """The listening socket."""

    def test_it_listens(self):
        """On a port of its own choice with 0."""
        with port.listen("127.0.0.1", 0) as listening:
            number = listening.getsockname()[1]
            assert port.address_of(listening) == f"http://127.0.0.1:{number}"
            socket.create_connection(("127.0.0.1", number)).close()
            with pytest.raises(port.PortRefused, match=f"port {number} is in use on 127.0.0.1"):
                port.listen("127.0.0.1", number)

    def test_ipv6(self):
        """An address with colons stands in brackets."""
        try:
            listening = port.listen("::1", 0)
        except port.PortRefused:
            pytest.skip("no IPv6 here")
        with listening:
            assert port.address_of(listening).startswith("http://[::1]:")

    @pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
    def test_an_address_of_another_machine(self, host):
        """Refused with its reason."""
        with pytest.raises(port.PortRefused):
            port.listen(host, 0)

    def test_the_next_free_one(self, monkeypatch):
        """Those that are taken are passed over; with all taken, any."""
        with port.listen("127.0.0.1", 0) as first:
            number = first.getsockname()[1]
            with port.listen_above("127.0.0.1", number - 1) as second:
                assert second.getsockname()[1] > number
            monkeypatch.setattr(port, "_MOVES_MOST", 1)
            with port.listen_above("127.0.0.1", number - 1) as any_other:
                assert any_other.getsockname()[1] != number

    @pytest.mark.parametrize(
        ("env", "answer"),
        [
            ({}, None),
            ({"OTEL_METRICS_EXPORTER": "otlp"}, None),
            ({"OTEL_METRICS_EXPORTER": "otlp, prometheus"}, 9464),
            ({"OTEL_EXPORTER_PROMETHEUS_PORT": "9999"}, 9999),
            ({"OTEL_EXPORTER_PROMETHEUS_PORT": "x", "OTEL_METRICS_EXPORTER": "prometheus"}, 9464),
        ],
    )
    def test_the_port_of_the_app(self, env, answer):
        """As OpenTelemetry's variables say."""
        assert port.port_of_the_app(env) == answer


class TestBeside:
    """What stands in the way of an exporter."""

    @pytest.fixture
    def folder(self, flight_dir):
        return open_folder(Config.from_env())

    def test_no_pidfd(self, folder, monkeypatch):
        """An old kernel, or a sandbox."""

        def refuse(_):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(beside.NoExporter, match="pidfd_open"):
            beside.find_or_start(folder, Config.from_env(), command="x")

    def test_an_exporter_that_does_not_answer(self, folder, monkeypatch):
        """The folder is claimed, and nobody talks on its socket."""
        claim = control.Claim.take(folder)
        monkeypatch.setattr(control, "join", lambda *_, **__: None)
        with pytest.raises(beside.NoExporter, match="does not answer"):
            beside.find_or_start(folder, Config.from_env(), command="x")
        claim.release()

    def test_a_folder_that_cannot_be_claimed(self, folder, monkeypatch):
        """Its disk is full, or somebody put a folder where the lock should be."""
        (folder.path / control.LOCK_NAME).mkdir()
        with pytest.raises(beside.NoExporter, match="Is a directory"):
            beside.find_or_start(folder, Config.from_env(), command="x")

    @pytest.mark.parametrize("error", [NotSupported("it has threads"), OSError(errno.EAGAIN, "no more processes")])
    def test_a_clone_that_is_refused_leaves_the_folder_free(self, folder, monkeypatch, error):
        """The claim and the port are given back."""

        def refuse(*_, **__):
            raise error

        monkeypatch.setattr(launch, "start_beside", refuse)
        with pytest.raises(beside.NoExporter, match="no exporter can be started"):
            beside.find_or_start(folder, Config.from_env(port=0), command="x")
        assert not control.is_claimed(folder)

    def test_an_exporter_that_lacks_a_library_says_so(self, folder, monkeypatch):
        """On the launcher's standard error, which is all that anybody sees of it."""
        read_fd, write_fd = os.pipe()
        follow = control.Followed(0, write_fd, 1, "x")
        monkeypatch.setitem(sys.modules, "gc_otel.service.http", None)
        monkeypatch.delattr("gc_otel.service.http", raising=False)  # where another test has imported it
        claim = control.Claim.take(folder)
        with port.listen("127.0.0.1", 0) as listening:
            beside._serve(listening, claim, Config.from_env(), follow)
        claim.release()
        os.close(write_fd)
        with os.fdopen(read_fd) as stream:
            line = stream.read()
        assert line.startswith("gc_otel: there is no exporter, and the program goes on: ModuleNotFoundError: ")
        assert line.endswith("Run `gc-otel doctor`.\n")

    def test_without_standard_error(self, monkeypatch):
        """There is nobody to warn."""
        monkeypatch.setattr(sys, "stderr", None)
        assert beside._copy_of_stderr() is None

    def test_standard_error_that_is_closed(self, monkeypatch):
        """Neither."""

        def refuse(*_):
            raise OSError(errno.EBADF, "Bad file descriptor")

        monkeypatch.setattr(beside.fcntl, "fcntl", refuse)
        assert beside._copy_of_stderr() is None


class TestLaunch:
    """Where a process cannot be cloned."""

    @pytest.mark.parametrize(
        ("platform", "machine", "says"), [("darwin", "arm64", "Linux"), ("linux", "s390x", "not made for s390x")]
    )
    def test_elsewhere(self, monkeypatch, platform, machine, says):
        """Another system, another processor."""
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))
        assert says in launch.why_not()
        with pytest.raises(NotSupported, match=says):
            launch.start_beside(lambda: None, keep=())

    def test_without_proc(self, monkeypatch, tmp_path):
        """A bare chroot: whether this process has threads cannot be seen."""
        monkeypatch.setattr(launch, "_THREADS", str(tmp_path / "task"))
        assert launch.why_not() == "it needs /proc"

    def test_without_pidfd(self, monkeypatch):
        """A Python built against an old libc."""
        monkeypatch.delattr(os, "pidfd_open")
        assert "pidfd_open" in launch.why_not()

    def test_beside_other_threads_nothing_is_cloned(self):
        """Their locks would be held for ever in the child."""
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            assert not launch.is_alone()
            with pytest.raises(NotSupported, match="threads"):
                launch.start_beside(lambda: None, keep=())
        finally:
            end.set()
            thread.join()

    def test_the_standard_descriptors_are_not_for_keeping(self):
        """They become /dev/null."""
        with pytest.raises(ValueError, match="0, 1 and 2"):
            launch._close_all_but([2, 5])

    def test_where_the_thread_id_is_not_known(self):
        """An old kernel, or a C library that has something else there: nothing is written."""
        assert launch._thread_id_address(SimpleNamespace(prctl=lambda *_: -1)) == 0


class TestTheCommand:
    """`gc-otel run` in this process, which does not become anything."""

    @pytest.fixture
    def become(self, monkeypatch, flight_dir):
        """What it would have become."""
        became = []

        def execve(path, words, env):
            became.append((path, words, env, signal.getsignal(signal.SIGPIPE)))
            raise OSError(errno.ENOEXEC, "Exec format error")

        monkeypatch.setattr(os, "execve", execve)
        monkeypatch.setattr(launch, "is_alone", lambda: True)
        return became

    def test_elsewhere_it_points_to_library_mode(self, monkeypatch, capsys):
        """Exit 2, one line."""
        monkeypatch.setattr(sys, "platform", "darwin")
        assert cli.main(["run", "--", "true"]) == 2
        assert capsys.readouterr().err == (
            "gc-otel: gc-otel run cannot be used here: it needs Linux. "
            "Use library mode: GcInstrumentor().instrument() in the program.\n"
        )

    def test_all_its_options(self, become, monkeypatch, flight_dir, capsys):
        """They reach the exporter's side as settings, and the program's words stay as they are."""
        asked = []

        def find_or_start(folder, config, *, command):
            asked.append((folder.path, config.host, config.port, config.linger, command))
            return beside.Exporter("http://[::1]:1234", "a note")

        monkeypatch.setattr(beside, "find_or_start", find_or_start)
        options = ["--host", "::1", "--port", "9", "--dir", str(flight_dir), "--linger", "7"]
        before = signal.getsignal(signal.SIGPIPE)
        code = cli.main(["run", *options, "--if-busy", "run", "--", "sh", "--port", "--", "x"])
        assert code == 126
        assert asked == [(flight_dir, "::1", 9, 7.0, "sh")]
        ((path, words, env, sigpipe),) = become
        assert os.path.basename(path) == "sh"
        assert words == ["sh", "--port", "--", "x"]
        assert (env["GC_OTEL_HOST"], env["GC_OTEL_PORT"], env["GC_OTEL_DIR"]) == ("::1", "1234", str(flight_dir))
        assert (sigpipe, signal.getsignal(signal.SIGPIPE)) == (signal.SIG_DFL, before)
        assert capsys.readouterr().err.splitlines()[0] == "gc-otel: metrics at http://[::1]:1234/metrics (a note)"

    @pytest.mark.parametrize("words", [["sh", "-c", "x"], ["--", "sh", "-c", "x"]])
    def test_the_two_dashes_may_be_left_out(self, become, monkeypatch, words):
        """Options behind COMMAND are its own."""
        monkeypatch.setattr(beside, "find_or_start", lambda *_, **__: beside.Exporter("http://127.0.0.1:9464"))
        cli.main(["run", *words])
        assert become[0][1] == ["sh", "-c", "x"]

    @pytest.mark.parametrize(
        "option", [["--port", "65536"], ["--port", "x"], ["--linger", "-1"], ["--linger", "inf"], ["--host", " "]]
    )
    def test_nonsense_is_refused(self, option, capsys):
        """By name."""
        with pytest.raises(SystemExit) as end:
            cli.main(["run", *option, "--", "true"])
        assert end.value.code == 2
        assert "cannot be used: it takes a" in capsys.readouterr().err.replace("takes seconds", "takes a number")

    def test_threads_that_nobody_can_end(self, become, monkeypatch, capsys):
        """Begun again without start-up code, and still not alone: one line, nothing started."""
        monkeypatch.setattr(launch, "is_alone", lambda: False)
        assert (
            cli.main(["run", "--port", "0", "--quiet", "--if-busy", "exit", "--", "sh"]) == 126
        )  # the execve above refuses
        path, words, _, _ = become[0]
        assert (path, words[1:4]) == (sys.executable, ["-I", "-S", "-c"])
        assert words[6:] == ["run", "--quiet", "--port", "0", "--if-busy", "exit", "--", "sh"]
        assert Path(words[5].split(os.pathsep)[0]) == Path(command.__file__).parents[2]
        assert not command._was_started_again()
        monkeypatch.setattr(command, "_was_started_again", lambda: True)
        assert cli.main(["run", "--", "sh"]) == 2
        assert "starts threads in every process here" in capsys.readouterr().err


def test_the_launcher_imports_nothing_heavy(plain_env):
    """It stands between the user and his program; what the exporter needs is imported in the exporter."""
    code = (
        "import json, os, sys\n"
        "from gc_otel import cli\n"
        "from gc_otel.service import launch\n"
        "launch.start_beside = lambda serve, keep: 0\n"
        "def execve(*_):\n"
        "    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), flush=True)\n"
        "    os._exit(0)\n"
        "os.execve = execve\n"
        "cli.main(['run', '--port', '0', '--', 'true'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=plain_env, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded & {"opentelemetry", "psutil", "waitress", "prometheus_client", "asyncio"} == set()
    assert "gc_otel" in loaded
