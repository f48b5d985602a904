"""Who this process is, for the header of its flight file."""

from __future__ import annotations

import os
import sys
import time

from gc_otel.config import Config
from gc_otel.flight import layout
from gc_otel.flight.recorder import gc_mode

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from gc_otel.flight.file import HeaderFields

_START_TIME_FIELD = 19  # of /proc/PID/stat, counted from the state, which follows the name in brackets


def header_fields(config: Config, *, recorder: str, duration_clock: str, forked: bool = False) -> HeaderFields:
    """The header's fields; names of things only, never arguments or environment."""
    now_ns = time.time_ns()
    return {
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "pid_namespace": _pid_namespace(),
        "created_unix_ns": now_ns,
        "started_unix_ns": process_start_unix_ns() or now_ns,
        "monotonic_to_unix_ns": now_ns - time.monotonic_ns(),
        "python_hexversion": sys.hexversion,
        "recorder_kind": layout.RECORDER_KINDS.index(recorder),
        "duration_clock": layout.DURATION_CLOCKS.index(duration_clock),
        "gc_mode": layout.GC_MODES.index(gc_mode()),
        "state": layout.STATES.index("running"),
        "exited_unix_ns": 0,
        "service_name": config.service_name,
        "service_version": config.service_version,
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "program": _program(),
        "instance_id": _random_uuid(),
        "origin": layout.ORIGINS.index("forked" if forked else "started"),
        "exit_code": layout.ABSENT,
    }


def _random_uuid() -> str:
    """Version 4 of RFC 9562; the module uuid would cost 10 ms."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return layout.ABSENT


def _program() -> str:
    name = os.path.basename(getattr(sys, "argv", [""])[0] or sys.executable or "python")
    return _module_name() if name == "-m" else name


def _module_name() -> str:
    """``python -m NAME``: it stands in front of the program's arguments, which must not be taken for it."""
    given, at = sys.orig_argv, len(sys.orig_argv) - len(sys.argv)
    if at > 0 and given[at + 1 :] == sys.argv[1:]:
        option, word = given[at - 1], given[at]
        if option.startswith("-") and not option.startswith("--") and option.endswith("m"):  # -m NAME, -Im NAME
            return f"python -m {word}"
        if word.startswith("-m"):
            return f"python -m {word[2:]}"
    return "python -m"


def process_start_unix_ns(stat: str | os.PathLike[str] = "/proc/self/stat") -> int | None:
    """When the process began, or None where /proc does not tell; good to one clock tick (10 ms)."""
    try:
        with open(stat, errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        since_boot_ns = int(fields[_START_TIME_FIELD]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - since_boot_ns
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.time_ns() - age_ns
