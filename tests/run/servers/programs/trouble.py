"""Programs that meet trouble: ``trouble.py WAY [FOLDER]``; each says what happened in lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import still

WORKERS = 64


def say(told: dict[str, Any]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def full_folder(folder: str) -> None:
    """The filesystem of the flight folder is filled by somebody else; this process and a child of it go on."""
    say(still.tell())
    sys.stdin.readline()
    filler = os.open(Path(folder).parent / "filler", os.O_WRONLY | os.O_CREAT)
    written = 0
    try:
        for size in (65536, 4096, 1):
            while True:
                try:
                    written += os.write(filler, b"x" * size)
                except OSError:
                    break
        told = still.tell()
        pid = os.fork()
        if pid == 0:
            still.tell()
            sys.exit(9)
        say({**told, "filled": written, "child": pid, "child_exit": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
        sys.stdin.readline()
    finally:
        os.close(filler)


def truncated_file(_: str) -> None:
    say(still.tell())
    sys.stdin.readline()
    still.tell()


def many_die(_: str) -> None:
    """Workers that tell and wait; a line kills all of them at once."""
    children: list[int] = []
    for _number in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, children[0] if children else 0)
            say(still.tell())
            signal.pause()
        os.setpgid(pid, children[0] if children else pid)
        children.append(pid)
    sys.stdin.readline()
    os.killpg(children[0], signal.SIGKILL)
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    say(still.tell())
    sys.stdin.readline()


def same_pid_again(_: str) -> None:
    """Two children that get the same pid, one after the other; to be run in a pid namespace of its own."""
    pid = os.getpid() + 1000
    for code in (3, 4):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        child = os.fork()
        if child == 0:
            say(still.tell())
            sys.stdin.readline()
            os._exit(code)
        assert child == pid
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code


WAYS = {each.__name__: each for each in (full_folder, truncated_file, many_die, same_pid_again)}

if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
