"""An exporter beside containers: other pid and mount namespaces, one shared folder, and everybody restarts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gc_otel.sample.cgroup import LimitReader
from gc_otel.sample.own_limit import OwnLimit

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
PROGRAM = str(Path(__file__).parent / "programs" / "contained.py")
PATIENCE_S = 60.0

pytestmark = pytest.mark.once


def _container():
    """A command that puts what follows into namespaces of its own, as pid 1; None where the machine forbids it."""
    command = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    for options in ([], ["--user", "--map-root-user"]):
        try:
            done = subprocess.run([*command, *options, "true"], capture_output=True, check=False)
        except OSError:
            return None
        if done.returncode == 0:
            return [*command, *options]
    return None


@pytest.fixture(scope="session")
def container():
    command = _container()
    if command is None:
        assert not IN_CI, "CI needs unshare(1) and the right to use it"
        pytest.skip("this machine does not let us make namespaces")
    return command


class Program:
    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"exit {self.process.wait(PATIENCE_S)}"
        return json.loads(line)

    def collect(self, times):
        """How often it has collected in all."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return self._answer()["collections"]

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def close(self):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def contain(container, plain_env):
    """Starts the program in a container of its own."""
    started = []

    def start(service):
        env = {**plain_env, "OTEL_SERVICE_NAME": service}
        started.append(Program([*container, sys.executable, PROGRAM], env))
        return started[-1]

    yield start
    for each in started:
        each.close()


class Sidecar:
    def __init__(self, env, *options, **given):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gc_otel.cli", "exporter", "--port", "0", *options],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **given,
        )
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate(timeout=PATIENCE_S)
        self.address = line.removesuffix("/metrics")

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def sidecar(plain_env):
    started = []

    def start(*options, env=None, **given):
        started.append(Sidecar({**plain_env, **(env or {})}, *options, **given))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end()


@pytest.fixture
def numbers(page):
    """Values of one name by service (and, with ``by``, another label)."""

    def read(address, name, by="service_name"):
        found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", page(f"{address}/metrics"), flags=re.MULTILINE)
        result = {}
        for labels, value in found:
            label = re.search(rf'{by}="([^"]*)"', labels)
            if label is not None:
                result[label[1]] = result.get(label[1], 0) + float(value)
        return result

    return read


def test_containers_before_and_after_the_sidecar(contain, sidecar, numbers, page, wait_for):
    """Both are pid 1 of their own; each is told apart, with the memory and the limit that it sees itself."""
    before = contain("before")
    assert before.told["pid"] == 1
    before.collect(5)
    beside = sidecar()
    after = contain("after")
    after.collect(7)
    collections = "cpython_gc_collections_total"
    wait_for(lambda: numbers(beside.address, collections) == {"before": 5, "after": 7})
    pids = numbers(beside.address, collections, by="process_pid")
    assert len(pids) == 2
    assert all(re.fullmatch(r"1(@\d+)?", pid) for pid in pids)
    for name in ("process_memory_usage_bytes", "process_memory_limit_bytes", "process_cpu_time_seconds_total"):
        wait_for(lambda name=name: numbers(beside.address, name).keys() >= {"before", "after"})
    limit = OwnLimit().read()
    assert numbers(beside.address, "process_memory_limit_bytes")["before"] == limit.limit_bytes
    assert before.collect(3) == 8
    assert numbers(beside.address, collections)["before"] == 8


def test_a_container_that_restarts(contain, sidecar, numbers, wait_for):
    """The dead one is counted in its service, and the next one is followed; the service's total never falls."""
    beside = sidecar()
    first = contain("shop")
    first.collect(4)
    total = "gc_otel_service_collections_total"
    wait_for(lambda: numbers(beside.address, total) == {"shop": 4})
    first.kill()
    second = contain("shop")
    second.collect(2)
    wait_for(lambda: numbers(beside.address, total) == {"shop": 6})
    wait_for(lambda: numbers(beside.address, "cpython_gc_collections_total") == {"shop": 2})


def test_the_sidecar_is_killed_and_comes_again(contain, sidecar, numbers, wait_for):
    """The program goes on recording; the next sidecar has everything, of the gap too, and no total falls or doubles."""
    one = contain("shop")
    one.collect(4)
    beside = sidecar()
    total, collections = "gc_otel_service_collections_total", "cpython_gc_collections_total"
    wait_for(lambda: numbers(beside.address, total) == {"shop": 4})
    beside.end(signal.SIGKILL)
    assert one.collect(5) == 9
    again = sidecar()
    wait_for(lambda: numbers(again.address, collections) == {"shop": 9})
    assert numbers(again.address, total) == {"shop": 9}
    again.end()
    one.collect(1)
    last = sidecar()
    wait_for(lambda: numbers(last.address, total) == {"shop": 10})


def test_the_second_sidecar_of_a_folder_says_so(sidecar, plain_env):
    """By exit code 2, and where the first one is."""
    first = sidecar()
    done = subprocess.run(
        [sys.executable, "-m", "gc_otel.cli", "exporter", "--port", "0"],
        env=plain_env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"has an exporter already, process {first.process.pid}, at {first.address}" in done.stderr


GROUP, WRITER, READER, STRANGER = 23456, 23457, 23458, 23459


@pytest.fixture
def group_env(plain_env, flight_dir, tmp_path_factory):
    """A root that the group may use, and the environment of its members."""
    if os.getuid() != 0:
        pytest.skip("only root may become other users")
    os.chown(flight_dir, 0, GROUP)
    os.chmod(flight_dir, 0o3770)
    warm = tmp_path_factory.mktemp("warm")
    return {**plain_env, "GC_OTEL_GROUP": str(GROUP), "GC_OTEL_TEST_WARM": str(warm), "GC_OTEL_DIR_ON_DISK": "true"}


@pytest.fixture
def as_user(group_env):
    """Starts the recorded program as that user, a member of that group."""
    started = []

    def start(user, group=GROUP, service="shop"):
        env = {**group_env, "OTEL_SERVICE_NAME": service}
        started.append(Program([sys.executable, PROGRAM, f"{user}:{group}"], env))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_the_group_reads_and_only_the_owner_writes(group_env, as_user, sidecar, numbers, wait_for, flight_dir):
    """Programs of two users on the page of a third, who is in the group; files 0640, folders 2750."""
    one, other = as_user(WRITER), as_user(STRANGER, service="bank")
    one.collect(4)
    other.collect(6)
    path = Path(one.told["path"])
    assert path.parent == flight_dir / str(WRITER)
    status, of_folder = path.stat(), path.parent.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (WRITER, GROUP, 0o640)
    assert (of_folder.st_uid, of_folder.st_gid, of_folder.st_mode & 0o7777) == (WRITER, GROUP, 0o2750)
    beside = sidecar(env=group_env)
    total = "gc_otel_service_collections_total"
    wait_for(lambda: numbers(beside.address, total) == {"shop": 4, "bank": 6})
    one.kill()
    again = as_user(WRITER)
    again.collect(1)
    wait_for(lambda: numbers(beside.address, total) == {"shop": 5, "bank": 6})
    assert numbers(beside.address, "gc_otel_exporter_faults_total") in ({}, {"gc_otel-exporter": 0})


def test_another_user_of_the_group_reads_as_itself(group_env, as_user, flight_dir):
    """Not root: by the rights of a member alone; who is no member, or finds a file that others may write, reads nothing."""
    one = as_user(WRITER)
    one.collect(4)
    seen = _as(READER, GROUP, group_env)
    assert seen == [[one.process.pid, 4]]
    assert _as(READER, STRANGER, group_env) == "FlightFolderError"
    path = Path(one.told["path"])
    path.chmod(0o660)
    assert _as(READER, GROUP, group_env) == []
    path.chmod(0o640)
    path.parent.chmod(0o2770)
    assert _as(READER, GROUP, group_env) == []
    path.parent.chmod(0o2750)
    os.chown(path, STRANGER, GROUP)
    assert _as(READER, GROUP, group_env) == []


def _as(user, group, env):
    """What a reader of that user finds: pids and collections, or the name of its error."""
    done = subprocess.run(
        [sys.executable, str(Path(PROGRAM).with_name("reader.py")), str(user), str(group)],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_users_exporters_of_one_group(group_env, as_user, sidecar, plain_env):
    """The second says so, though its lock is another one."""
    first = sidecar(env=group_env)
    done = subprocess.run(
        [sys.executable, str(Path(PROGRAM).with_name("reader.py")), str(READER), str(GROUP), "exporter"],
        env=group_env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "the group has an exporter already" in done.stderr
    assert first.process.poll() is None


def test_a_group_that_cannot_be(plain_env):
    """It is said on one line, and the program is recorded in private memory."""
    for settings, words in (
        ({"GC_OTEL_GROUP": "no-such-group"}, "there is no group no-such-group"),
        ({"GC_OTEL_GROUP": "a b"}, "it takes a group's name or number"),
    ):
        done = subprocess.run(
            [sys.executable, PROGRAM],
            env={**plain_env, **settings},
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        assert words in done.stderr


def test_the_own_limit_is_the_one_that_is_seen_from_outside():
    """Both readers have one answer for this process."""
    assert OwnLimit().read() == LimitReader().read()
