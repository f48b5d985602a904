"""A real Prometheus over made series: blocks made by promtool, a server over them, and the rules that ship."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gc_otel.cli.assets import sources

RULES = ("thresholds.yaml", "recording.yaml", "alerts.yaml")


def tool(name: str) -> str | None:
    """The path of a command, from GCOTEL_CI_COMPONENTS or PATH."""
    folders = os.pathsep.join(part for part in (os.environ.get("GCOTEL_CI_COMPONENTS"), os.environ["PATH"]) if part)
    return shutil.which(name, path=folders)


def groups() -> dict[str, list[dict[str, str]]]:
    """Rules by the name of their group, in the order in which they are loaded."""
    files = [yaml.safe_load((sources()["rules"] / name).read_text()) for name in RULES]
    return {group["name"]: group["rules"] for file in files for group in file["groups"]}


def blocks(promtool: str, folder: Path, lines: Iterator[str]) -> None:
    """Put OpenMetrics text into the folder's database."""
    with (folder / "made.om").open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", folder / "made.om", folder / "data"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "made.om").unlink()


@contextlib.contextmanager
def prometheus(program: str, folder: Path) -> Iterator[str]:
    """A server over the blocks; its API's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "prometheus.yml").write_text("global: {}\n")
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        "--query.max-samples=500000000",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                break
            if time.monotonic() > deadline_s:
                raise TimeoutError((folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        server.terminate()
        server.wait()


def ask(api: str, kind: str, **query: object) -> list[Any]:
    """The result of a query."""
    body = urllib.parse.urlencode({**query, "timeout": "120s"}).encode()
    with urllib.request.urlopen(f"{api}/{kind}", data=body, timeout=180) as answer:
        return list(json.loads(answer.read())["data"]["result"])


def levels(wanted: str = "") -> list[list[dict[str, str]]]:
    """Recording rules in the order in which they can be made of a history: each level reads what those before it record.

    ``wanted``: only those whose name begins like that, and thresholds.
    """
    rules = {rule["record"]: rule for of_group in groups().values() for rule in of_group if "record" in rule}
    left = {name: rule for name, rule in rules.items() if name.startswith((wanted, "gc_otel:"))}
    made: list[list[dict[str, str]]] = []
    while left:
        free = [rule for name, rule in left.items() if not (_reads(rule) & set(left)) - {name}]
        made.append(free)
        left = {name: rule for name, rule in left.items() if rule not in free}
    return made


def _reads(rule: dict[str, str]) -> set[str]:
    return set(re.findall(r"\b[a-z_]+:[a-z_0-9]+:[a-z_0-9]+", rule["expr"]))


def record(server: str, promtool: str, folder: Path, span: tuple[int, int], step_s: int, *, wanted: str = "") -> None:
    """What the recording rules make of the folder's series over ``span``, seconds since the epoch, as blocks beside them."""
    times = ["--start", str(span[0]), "--end", str(span[1]), "--eval-interval", f"{step_s}s"]
    for rules in levels(wanted):
        (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "made", "rules": rules}]}))
        with prometheus(server, folder) as api:
            url = api.removesuffix("/api/v1")
            command = [promtool, "tsdb", "create-blocks-from", "rules", "--url", url, *times]
            command += ["--output-dir", str(folder / "data"), str(folder / "rules.yaml")]
            subprocess.run(command, check=True, capture_output=True)
