"""Why a program that was started to be recorded is not, said once on its standard error.

What is read of a process: the path of its program, its command line, and of its environment whether a few
variables of ours stand in the way.  Nothing of it is shown but the program's name and those variables' names.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import select
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gc_otel.service.control import Followed

if TYPE_CHECKING:
    from gc_otel.service.recorded import Recorded

#: So long a program may take to begin recording; a slow machine starts Python in two seconds.
PATIENCE_S: Final = 4.0

_PYTHON: Final = re.compile(r"(?:python|pypy)(\d+)?(?:\.(\d+))?[a-z]*\Z")
_OLDEST: Final = (3, 10)
_LINE_BYTES_MOST: Final = select.PIPE_BUF
_READ_BYTES_MOST: Final = 1 << 20
_PROCESSES_MOST: Final = 64

#: Options of CPython's command line that take a value, and those after which the program's own begin.
_WITH_VALUE: Final = frozenset("WX")
_LAST: Final = frozenset("cm")


@dataclass(slots=True)
class _Watched:
    followed: Followed
    due_ns: int
    is_recorded: bool = field(default=False)


class Absence:
    """Watches launchers until they are recorded, or it is time to say why not.  ``found`` is for any thread."""

    def __init__(self, patience_s: float, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._patience_ns = round(patience_s * 1e9)
        self._lock = threading.Lock()
        self._watched: list[_Watched] = []

    def watch(self, followed: Followed) -> None:
        """Expect a flight file of that process, or of one that it started."""
        with self._lock:
            self._watched.append(_Watched(followed, time.monotonic_ns() + self._patience_ns))

    def found(self, recorded: Recorded) -> None:
        """That one is recorded."""
        with self._lock:
            waiting = [each for each in self._watched if not each.is_recorded]
            if not waiting:
                return
            # Of another pid namespace nobody knows whose child it is: nobody is warned in vain.
            lineage = None if recorded.elsewhere else set(self._lineage(recorded.identity.pid))
            for each in waiting:
                each.is_recorded = lineage is None or each.followed.pid in lineage

    def forget(self, followed: Followed) -> None:
        """It has gone."""
        with self._lock:
            self._watched = [each for each in self._watched if each.followed is not followed]

    def due(self) -> list[Followed]:
        """Those whose time is up, and who are not recorded; each once."""
        now_ns = time.monotonic_ns()
        with self._lock:
            over = [each for each in self._watched if each.is_recorded or each.due_ns <= now_ns]
            self._watched = [each for each in self._watched if each not in over]
        return [each.followed for each in over if not each.is_recorded]

    def _lineage(self, pid: int) -> Iterator[int]:
        for _ in range(_PROCESSES_MOST):
            yield pid
            parent = _parent(self._proc, pid)
            if parent is None or parent <= 1:
                return
            pid = parent


def warn(followed: Followed, line: str) -> bool:
    """Say a line on the launcher's standard error, unless that would wait; returns whether it was said.

    A descriptor's flags are the program's as well, so it is asked for room first rather than made
    non-blocking; what fits into PIPE_BUF is written as a whole or not at all.
    """
    if followed.stderr_fd is None:
        return False
    poll = select.poll()
    poll.register(followed.stderr_fd, select.POLLOUT)
    with contextlib.suppress(OSError):
        if any(flags & select.POLLOUT for _, flags in poll.poll(0)):
            raw = f"gc_otel: {line}".encode("utf-8", "replace")[: _LINE_BYTES_MOST - 1]
            return os.write(followed.stderr_fd, raw + b"\n") > 0
    return False


def explain(followed: Followed, proc: Path = Path("/proc")) -> str:
    """One line: what keeps that program from being recorded, and how to mend it."""
    return _printable(_explanation(followed, proc))


def _printable(text: str) -> str:
    """Without control characters: names of files are whatever somebody wrote there."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _explanation(followed: Followed, proc: Path) -> str:
    programs = [program for pid in family(proc, followed.pid) if (program := _look(proc, pid)) is not None]
    pythons = [program for program in programs if program.is_python]
    if not pythons:
        name = programs[0].name if programs else followed.command
        return (
            f"{name} is not recorded: it is no Python interpreter, and has started none so far. What it "
            "starts later is recorded, if it hands its environment on."
        )
    program = pythons[0]
    return f"{program.name} (pid {program.pid}) is not recorded: {_reason(program)}"


@dataclass(frozen=True, slots=True)
class _Program:
    """What there is to know of one process.  ``variables`` holds those of ours and OpenTelemetry's switch, no other."""

    pid: int
    name: str
    arguments: tuple[str, ...]
    variables: dict[str, str] | None
    working_folder: str

    @property
    def is_python(self) -> bool:
        return _PYTHON.match(self.name) is not None

    @property
    def version(self) -> tuple[int, int] | None:
        """As its name tells; None when it does not."""
        found = _PYTHON.match(self.name)
        return (int(found[1]), int(found[2])) if found is not None and found[1] and found[2] else None


def _reason(program: _Program) -> str:
    if program.name.startswith("pypy") or (program.version is not None and program.version < _OLDEST):
        return "gc_otel records CPython 3.10 and later. Run the program with one of those."
    if "S" in flags_of(program.arguments):
        return "its option -S keeps Python from loading gc_otel. Leave -S out."
    if program.variables is not None:
        switch = _switched_off(program.variables)
        if switch is not None:
            return f"{switch}. Unset it for this command."
        if "GC_OTEL_AUTOLOAD" not in program.variables:
            return (
                "it was started without the variables that gc-otel run sets (env -i, sudo, a cleared environment). "
                "Let GC_OTEL_* through."
            )
    folder = environment_of(program.arguments, program.working_folder)
    if folder is not None and not has_gc_otel(folder):
        return f"its Python environment, {folder}, has no gc_otel. Install it there: {folder}/bin/python -m pip install gc_otel"
    return "gc_otel was not loaded, or could not start. Run gc-otel doctor in its Python environment."


def _switched_off(variables: dict[str, str]) -> str | None:
    # The words as gc_otel.config and OpenTelemetry take them; no value is shown.
    if variables.get("GC_OTEL_ENABLED", "").strip().lower() in ("0", "false", "no", "off"):
        return "GC_OTEL_ENABLED turns recording off"
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "OTEL_SDK_DISABLED turns recording off"
    return None


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


def _look(proc: Path, pid: int) -> _Program | None:
    folder = proc / str(pid)
    try:
        arguments = _strings(_read(folder / "cmdline"))
        name = os.path.basename(os.readlink(folder / "exe").removesuffix(" (deleted)"))
    except OSError:
        return None  # gone, or not ours to look at
    working_folder = "/"
    with contextlib.suppress(OSError):
        working_folder = os.readlink(folder / "cwd")
    return _Program(pid, name, tuple(arguments), _variables(folder), working_folder)


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
