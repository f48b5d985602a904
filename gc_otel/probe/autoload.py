"""Start recording where the environment asks for it, before the program's own first line.

Three things call this, in whatever order and however often: the ``gc_otel.pth`` of an installed
wheel, the ``sitecustomize.py`` that ``gc-otel run`` puts on PYTHONPATH where that is missing, and the entry point
``opentelemetry_pre_instrument``, because OpenTelemetry's own sitecustomize runs no other.
While the environment does not ask, nothing is imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs more than all that is done here; type checkers know the name
if TYPE_CHECKING:
    from typing import Final

    from gc_otel.probe.recording import Probe

VARIABLE: Final = "GC_OTEL_AUTOLOAD"

#: A program that replaces itself (exec) keeps its start; clocks that are read one after the other differ a little.
_SAME_START_NS: Final = 1_000_000_000

_was_asked = False


def start_if_asked() -> None:
    """Record this process in run mode if GC_OTEL_AUTOLOAD says so, once; raises nothing."""
    global _was_asked
    if _was_asked or not os.environ.get(VARIABLE):
        return
    _was_asked = True
    try:
        _start()
    except Exception as error:  # noqa: BLE001 - whatever fails here is ours, and the program has not even begun
        _say(f"gc_otel: this process is not recorded: {type(error).__name__}: {error}")


def _start() -> None:
    if _is_our_own_command():
        return
    from gc_otel.config import Config

    config = Config.from_env()
    if not (config.enabled and config.autoload):
        return
    from gc_otel.errors import NotSupported
    from gc_otel.probe import probe

    if probe.current() is not None:
        return
    try:
        probe.start(config, run_mode=True)
    except NotSupported:
        return  # a sub-interpreter: left alone, as documented
    recording = probe.current()
    if recording is not None:
        try:
            _remove_what_this_process_left(recording)
        except Exception as error:  # noqa: BLE001 - a file that cannot be believed is no reason to say anything here
            recording.note_fault("files of the program before", error)


def _is_our_own_command() -> bool:
    """`gc-otel` itself is not what anyone wants to see in a list of services."""
    arguments: list[str] = getattr(sys, "argv", None) or [""]
    if arguments[0] == "-m":
        # The module's name stands in front of the arguments.
        return sys.orig_argv[-len(arguments)].endswith("gc_otel.cli")
    return os.path.basename(arguments[0]) == "gc-otel"


def _remove_what_this_process_left(recording: Probe) -> None:
    """Files of programs that this process was before it replaced itself (exec), as `opentelemetry-instrument` does.

    Nobody died there: without this they would be taken for the files of a killed process.
    """
    if recording.location is None:
        return
    folder, own_name = os.path.split(recording.location)
    for name in os.listdir(folder):
        if name.startswith(f"{os.getpid()}-") and name.endswith(".flight") and name != own_name:
            _remove_if_left(os.path.join(folder, name), recording)


def _remove_if_left(path: str, recording: Probe) -> None:
    from pathlib import Path  # only after an exec

    from gc_otel.flight import reader
    from gc_otel.flight.file import FlightFile

    with FlightFile(Path(path)) as file:
        theirs, ours = reader.read_identity(file), reader.read_identity(recording.source)
        same_start = abs(theirs.started_unix_ns - ours.started_unix_ns) < _SAME_START_NS
        if not file.is_alive() and same_start and theirs.pid_namespace == ours.pid_namespace:
            os.unlink(path)


def _say(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
    except (OSError, ValueError, AttributeError):  # closed, full, or None: there is nobody to tell
        return
