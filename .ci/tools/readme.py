"""Runs the README's commands, as they stand there, in the tree given as argument.

Every ```console block's lines that begin with "$ " are commands.  Each block
runs in one shell, in a venv of its own made fresh, as a new user would have it.  A
command that goes on until it is interrupted (`gc-otel demo`) is left running
until its /metrics answers and one line of numbers has come, then gets the Ctrl-C
that the README speaks of, and must end with 0.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

DEADLINE_S = 1800
ENDLESS = re.compile(r"gc-otel demo\s*$")
ADDRESS = re.compile(r"http://\S+/metrics")


def commands(readme: str) -> list[list[str]]:
    """The commands of each console block that is marked to be run."""
    blocks = re.findall(r"<!-- ci -->\s*```console\n(.*?)```", readme, flags=re.DOTALL)
    return [[line[2:] for line in block.splitlines() if line.startswith("$ ")] for block in blocks]


def fresh_environment(folder: Path) -> dict[str, str]:
    """A new venv, activated as a user's shell would have it."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return {**os.environ, "VIRTUAL_ENV": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def run_endless(command: str, tree: Path, env: dict[str, str]) -> None:
    """Run, look at it as a user would, interrupt it as the terminal does: the whole group."""
    child = subprocess.Popen(
        command, shell=True, cwd=tree, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    watchdog = threading.Timer(DEADLINE_S, child.kill)
    watchdog.start()
    assert child.stdout is not None
    address, numbers = "", ""
    for line in child.stdout:
        print(line, end="")
        address = address or (found.group() if (found := ADDRESS.search(line)) else "")
        if address and "RSS" in line and "http" not in line:
            numbers = line
            break
    assert numbers, f"{command!r} ended without a line of numbers"
    with urllib.request.urlopen(address, timeout=10) as page:
        assert b"cpython_gc_collections_total" in page.read()
    for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
        os.kill(int(pid), signal.SIGINT)  # not the shell, which would end by the signal too
    for line in child.stdout:
        print(line, end="")
    status = child.wait()
    watchdog.cancel()
    assert status == 0, f"{command!r} ended with {status} after Ctrl-C"


def main(tree: Path) -> None:
    """Run all blocks; any failure ends with a traceback or the command's own words."""
    blocks = commands((tree / "README.md").read_text())
    assert len(blocks) >= 2, "the README has lost its commands"
    for block in blocks:
        with tempfile.TemporaryDirectory() as folder:
            env = fresh_environment(Path(folder) / "venv")
            for command in block:
                print(f"$ {command}", flush=True)
                if ENDLESS.search(command):
                    run_endless(command, tree, env)
                else:
                    subprocess.run(command, shell=True, cwd=tree, env=env, check=True, timeout=DEADLINE_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
