"""Why a program that was started to be recorded is not, said once on its standard error.

Nothing that is read of a process is shown but the name of its program, the folder of its Python environment, and the
names of variables of ours.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gc_otel.service.control import Followed
from gc_otel.service.onlooker import Program, environment_of, family, flags_of, has_gc_otel, lineage, look
from gc_otel.service.saying import say_without_waiting

if TYPE_CHECKING:
    from gc_otel.service.recorded import Recorded

#: So long a program may take to begin recording; a slow machine starts Python in two seconds.
PATIENCE_S: Final = 4.0

_OLDEST: Final = (3, 10)


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
            pids = None if recorded.elsewhere else set(lineage(self._proc, recorded.identity.pid))
            for each in waiting:
                each.is_recorded = pids is None or each.followed.pid in pids

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


def warn(followed: Followed, line: str) -> bool:
    """Say a line on the launcher's standard error, unless that would wait; returns whether it was said."""
    return followed.stderr_fd is not None and say_without_waiting(followed.stderr_fd, f"gc_otel: {line}")


def explain(followed: Followed, proc: Path = Path("/proc")) -> str:
    """One line: what keeps that program from being recorded, and how to mend it."""
    return _printable(_explanation(followed, proc))


def _printable(text: str) -> str:
    """Without control characters: names of files are whatever somebody wrote there."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _explanation(followed: Followed, proc: Path) -> str:
    programs = [program for pid in family(proc, followed.pid) if (program := look(proc, pid)) is not None]
    pythons = [program for program in programs if program.is_python]
    if not pythons:
        name = programs[0].name if programs else followed.command
        return (
            f"{name} is not recorded: it is no Python interpreter, and has started none so far. What it "
            "starts later is recorded, if it hands its environment on."
        )
    program = pythons[0]
    return f"{program.name} (pid {program.pid}) is not recorded: {_reason(program)}"


def _reason(program: Program) -> str:
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
