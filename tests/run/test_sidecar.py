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


def test_the_own_limit_is_the_one_that_is_seen_from_outside():
    """Both readers have one answer for this process."""
    assert OwnLimit().read() == LimitReader().read()
