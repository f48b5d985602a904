"""What /proc tells of a process, to somebody who wonders why it is not recorded.

Of its environment only the variables of ours, and OpenTelemetry's switch, are kept.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PYTHON: Final = re.compile(r"(?:python|pypy)(\d+)?(?:\.(\d+))?[a-z]*\Z")
_READ_BYTES_MOST: Final = 1 << 20
_PROCESSES_MOST: Final = 64

#: Options of CPython's command line that take a value, and those after which the program's own begin.
_WITH_VALUE: Final = frozenset("WX")
_LAST: Final = frozenset("cm")


@dataclass(frozen=True, slots=True)
class Program:
    """What there is to know of one process.  ``variables`` holds those of ours and OpenTelemetry's switch, no other."""

    pid: int
    name: str
    arguments: tuple[str, ...]
    variables: dict[str, str] | None
    working_folder: str

    @property
    def is_python(self) -> bool:
        """Whether its name is that of a Python interpreter."""
        return _PYTHON.match(self.name) is not None

    @property
    def version(self) -> tuple[int, int] | None:
        """As its name tells; None when it does not."""
        found = _PYTHON.match(self.name)
        return (int(found[1]), int(found[2])) if found is not None and found[1] and found[2] else None


def flags_of(arguments: Sequence[str]) -> str:
    """The letters of the interpreter's own options, as in ``python -Sx -W error app.py``: ``Sx``."""
    letters = ""
    rest = iter(arguments[1:])
    for argument in rest:
        if not argument.startswith("-") or argument in ("-", "--"):
            break
        if argument.startswith("--"):
            continue
        for at, letter in enumerate(argument[1:], 1):
            if letter in _LAST:
                return letters
            if letter in _WITH_VALUE:
                if at + 1 == len(argument):
                    next(rest, None)
                break
            letters += letter
    return letters


def environment_of(arguments: Sequence[str], working_folder: str) -> str | None:
    """The folder of the Python environment that a command line names by the path of its interpreter."""
    if not arguments or "/" not in arguments[0]:
        return None
    folder, name = os.path.split(os.path.normpath(os.path.join(working_folder, arguments[0])))
    return os.path.dirname(folder) if os.path.basename(folder) == "bin" and _PYTHON.match(name) else None


def has_gc_otel(environment: str) -> bool:
    """Whether gc_otel is installed there, as far as names of files tell."""
    escaped = glob.escape(environment)
    patterns = ("lib*/python3*/site-packages", "lib*/python3*/dist-packages", "local/lib/python3*/dist-packages")
    return any(glob.glob(f"{escaped}/{pattern}/*gc_otel*") for pattern in patterns)


def lineage(proc: Path, pid: int) -> Iterator[int]:
    """The process and those that it descends from, but for the first of all."""
    for _ in range(_PROCESSES_MOST):
        yield pid
        parent = _parent(proc, pid)
        if parent is None or parent <= 1:
            return
        pid = parent


def family(proc: Path, pid: int) -> Iterator[int]:
    """The process and what it started, parents before children, as /proc shows them now.

    This exporter is not among them, though it is a child of the program that its launcher became.
    """
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(proc):
            known = name.isdigit() and int(name) != os.getpid()
            parent = _parent(proc, int(name)) if known else None
            if parent is not None:
                children.setdefault(parent, []).append(int(name))
    waiting = [pid]
    for _ in range(_PROCESSES_MOST):
        if not waiting:
            return
        each = waiting.pop(0)
        yield each
        waiting += sorted(children.get(each, ()))


def _parent(proc: Path, pid: int) -> int | None:
    try:
        return int(_read(proc / str(pid) / "stat").rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def look(proc: Path, pid: int) -> Program | None:
    """One process; None when it has gone, or is another user's."""
    folder = proc / str(pid)
    try:
        arguments = _strings(_read(folder / "cmdline"))
        name = os.path.basename(os.readlink(folder / "exe").removesuffix(" (deleted)"))
    except OSError:
        return None
    working_folder = "/"
    with contextlib.suppress(OSError):
        working_folder = os.readlink(folder / "cwd")
    return Program(pid, name, tuple(arguments), _variables(folder), working_folder)


def _variables(folder: Path) -> dict[str, str] | None:
    """What it was started with; None when that may not be read."""
    try:
        pairs = (entry.partition("=") for entry in _strings(_read(folder / "environ")))
    except OSError:
        return None
    return {name: value for name, _, value in pairs if name.startswith("GC_OTEL_") or name == "OTEL_SDK_DISABLED"}


def _strings(raw: bytes) -> list[str]:
    return [os.fsdecode(each) for each in raw.removesuffix(b"\0").split(b"\0")] if raw else []


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_READ_BYTES_MOST)
