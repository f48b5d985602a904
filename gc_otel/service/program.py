"""The program that ``gc-otel run`` becomes: where it is, its environment, and the exec."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from gc_otel.errors import GcOtelError
from gc_otel.service.launch import flush_output

#: What a shell answers for a command that is not there, and for one that cannot be executed.
EXIT_NOT_FOUND: Final = 127
EXIT_NOT_EXECUTABLE: Final = 126

STARTUP_FILE: Final = "gc_otel.pth"
_PACKAGE: Final = Path(__file__).parents[1]
#: Its one file is a sitecustomize.py.
LOADING_FOLDER: Final = _PACKAGE / "probe" / "loading"


class CannotExecute(GcOtelError):
    """The command cannot be started; ``exit_code`` is what a shell would answer."""

    remedy = ""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def find(name: str, env: Mapping[str, str]) -> str:
    """The file to execute, by PATH as a shell finds it; CannotExecute says why there is none."""
    if "/" in name:
        candidates = [name]
    else:
        # An empty part of PATH is the current folder.
        candidates = [os.path.join(folder or os.curdir, name) for folder in os.get_exec_path(env)]
    refused = ""
    for path in candidates if name else ():
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
        if not refused and os.path.lexists(path):
            refused = _why_not_executable(path)
    if refused:
        raise CannotExecute(refused, EXIT_NOT_EXECUTABLE)
    raise CannotExecute(f"{name or 'the empty command'}: command not found", EXIT_NOT_FOUND)


def _why_not_executable(path: str) -> str:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path}: is a folder" if is_folder else f"{path}: permission denied"


def environment(env: Mapping[str, str], **settings: str) -> dict[str, str]:
    """The environment to be recorded in: the caller's, these settings, and what loads the recorder.

    ``settings`` are names of :mod:`gc_otel.config`, in small letters.
    """
    ours = {f"GC_OTEL_{name.upper()}": value for name, value in settings.items()}
    result = {**without_coerced_locale(env), **ours, "GC_OTEL_AUTOLOAD": "true"}
    if not has_startup_file(_PACKAGE.parent):
        given = env.get("PYTHONPATH", "")
        # An empty part, but not an empty variable, is the current folder.
        parts = [part for part in given.split(os.pathsep) if part != str(LOADING_FOLDER)] if given else []
        result["PYTHONPATH"] = os.pathsep.join([str(LOADING_FOLDER), *parts])
    return result


def has_startup_file(folder: Path) -> bool:
    """Whether interpreters of this installation run our gc_otel.pth: it is there, where they look for such files.

    It is not with an editable installation, `pip install --target`, or a checkout on PYTHONPATH.
    """
    import site

    sites = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return (folder / STARTUP_FILE).is_file() and any(
        os.path.realpath(each) == os.path.realpath(folder) for each in sites
    )


def without_coerced_locale(env: Mapping[str, str], initial: Path = Path("/proc/self/environ")) -> dict[str, str]:
    """Without the LC_CTYPE that this interpreter gave itself in the C locale (PEP 538): the program is to decide anew."""
    kept = dict(env)
    try:
        was_given = any(each.startswith(b"LC_CTYPE=") for each in initial.read_bytes().split(b"\0"))
    except OSError:
        return kept
    if not was_given and kept.get("LC_CTYPE", "").upper() in ("C.UTF-8", "C.UTF8", "UTF-8"):
        del kept["LC_CTYPE"]
    return kept


def become(path: str, words: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by the program; CannotExecute when the kernel refuses."""
    flush_output()
    # Python ignores these two for itself, and what is ignored stays so through an exec.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        os.execve(path, list(words), env)  # noqa: S606 - no shell: these words are the user's own command
    except OSError as error:
        for number, handler in before.items():
            signal.signal(number, handler)
        raise CannotExecute(f"{path}: {error.strerror}", EXIT_NOT_EXECUTABLE) from error
