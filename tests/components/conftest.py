"""Real servers on loopback, each ended by its pid when its test is over."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gc_otel

PROGRAMS = Path(__file__).parent / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])
_PATIENCE_S = 20.0


def _is_setting(name: str) -> bool:
    return name.startswith(("OTEL_", "PYTHON", "GC_OTEL_")) and name not in ("GC_OTEL_DIR", "GC_OTEL_DIR_ON_DISK")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("component")


@pytest.fixture
def need_module() -> Callable[[str], None]:
    """Skip without an importable module; fail in CI."""

    def need(name: str) -> None:
        if importlib.util.find_spec(name) is None:
            assert not IN_CI, f"CI needs {name}"
            pytest.skip(f"{name} is not installed")

    return need


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture
def program_env(flight_dir: Path) -> dict[str, str]:
    """The environment of a program under test: it finds this gc_otel, and no setting of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    path = os.pathsep.join(part for part in (_IMPORTABLE, os.environ.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": path}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a server, its output in a file; ended by SIGTERM, at worst by SIGKILL, after the test."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{Path(command[0]).name}.log").open("wb") as log:
            servers.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log))
        return servers[-1]

    yield start
    for server in servers:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture
def program(program_env: dict[str, str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Start a script of tests/components/programs; the JSON line that it prints. It lives until the test is over."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, *args: object) -> dict[str, Any]:
        command = [sys.executable, str(PROGRAMS / name), *map(str, args)]
        running.append(
            subprocess.Popen(command, env=program_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        line = running[-1].stdout.readline()  # type: ignore[union-attr]
        assert line, f"{name} said nothing, exit {running[-1].wait(timeout=30)}"
        told: dict[str, Any] = json.loads(line)
        return told

    yield start
    for each in running:
        try:
            each.communicate("\n", timeout=30)
        except subprocess.TimeoutExpired:
            each.kill()
            each.communicate()


def fetch(url: str, **query: str) -> str:
    """The body of an answer."""
    full = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(full, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture
def poll() -> Callable[..., Any]:
    """Ask until ``holds`` says yes to the answer, 20 s at most; the answer."""

    def ask(get: Callable[[], Any], holds: Callable[[Any], object]) -> Any:
        deadline_s = time.monotonic() + _PATIENCE_S
        answer: Any = None
        while time.monotonic() < deadline_s:
            try:
                answer = get()
            except (urllib.error.URLError, ConnectionError) as error:
                answer = str(error)  # not up yet
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
            else:
                if holds(answer):
                    return answer
            time.sleep(0.1)
        pytest.fail(f"after {_PATIENCE_S:g} s: {answer}")

    return ask


@pytest.fixture
def page() -> Callable[..., str]:
    return fetch


@pytest.fixture
def by_generation() -> Callable[[str, str], dict[str, float]]:
    """An instant query to a Prometheus API: value by generation."""

    def query(api: str, expression: str) -> dict[str, float]:
        answer = json.loads(fetch(f"{api}/api/v1/query", query=expression, nocache="1"))
        return {each["metric"]["cpython_gc_generation"]: float(each["value"][1]) for each in answer["data"]["result"]}

    return query


@pytest.fixture
def receiver() -> Iterator[Any]:
    """The small OTLP/HTTP receiver of tests/otel."""
    path = Path(__file__).parents[1] / "otel" / "_receiver.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Receiver() as started:
        yield started
