"""Why a process ended: a closed set of reasons, and the evidence that each needs.

The kernel's word counts most, then the process's own mark in its flight file.  What nobody can know is said to be unknown.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

CLEAN: Final = "clean exit"
EXCEPTION: Final = "unhandled exception"
OOM: Final = "OOM kill"
KILLED: Final = "SIGKILL, cause unknown"
UNKNOWN: Final = "unknown"

_EXIT_CODE: Final = "exit code {}"
_SIGNAL: Final = "signal {}"

#: What CPython exits with after an exception that nobody caught.
_EXCEPTION_CODE: Final = 1
#: CPython 3.8 and later end themselves by SIGINT after a KeyboardInterrupt that nobody caught.
_INTERRUPT: Final = "KeyboardInterrupt"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """What the kernel says, as wait(2) would: ``exit_code`` or ``signal`` is None."""

    exit_code: int | None
    signal: int | None
    core_dumped: bool = False

    @classmethod
    def from_wait_status(cls, status: int) -> ExitStatus:
        """Decode it."""
        number = status & 0x7F
        if number:
            return cls(None, number, bool(status & 0x80))
        return cls(status >> 8 & 0xFF, None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an end.

    ``marked``, ``exit_code`` and ``exception`` are what the process noted itself; ``oom_kill`` says that the kernel has
    counted an OOM kill in its cgroup that no other end explains.
    """

    status: ExitStatus | None
    marked: bool
    exit_code: int | None
    exception: str
    oom_kill: bool


def reason_of(evidence: Evidence) -> str:
    """The reason."""
    if evidence.status is not None:
        return _by_the_kernel(evidence.status, evidence)
    if evidence.exit_code is not None:
        return _by_exit_code(evidence.exit_code, evidence.exception)
    if evidence.marked:
        # No exit code: not glibc, or the Python recorder. sys.exit(3) and a clean exit look the same then.
        if evidence.exception == _INTERRUPT:
            return signal_reason(signal.SIGINT)
        return EXCEPTION if evidence.exception else CLEAN
    return OOM if evidence.oom_kill else UNKNOWN


def _by_the_kernel(status: ExitStatus, evidence: Evidence) -> str:
    if status.signal is None:
        return _by_exit_code(status.exit_code or 0, evidence.exception)
    if status.signal == signal.SIGKILL:
        return OOM if evidence.oom_kill else KILLED
    return signal_reason(status.signal)


def _by_exit_code(code: int, exception: str) -> str:
    if code == 0:
        return CLEAN
    return EXCEPTION if exception and code == _EXCEPTION_CODE else _EXIT_CODE.format(code)


def signal_reason(number: int) -> str:
    """The reason for an end by that signal."""
    return _SIGNAL.format(signal_name(number))


def signal_name(number: int) -> str:
    """Such as ``SIGSEGV``; real-time signals, which have no names, as numbers."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


#: Of these a service's counters begin at zero, so that the first one of each is an increase.
USUAL: Final = (
    CLEAN,
    EXCEPTION,
    OOM,
    KILLED,
    UNKNOWN,
    _EXIT_CODE.format(1),
    signal_reason(signal.SIGTERM),
    signal_reason(signal.SIGSEGV),
    signal_reason(signal.SIGABRT),
)

_OTHERS: Final = frozenset(
    [*(_EXIT_CODE.format(code) for code in range(1, 256)), *(signal_reason(number) for number in range(1, 65))]
)


def is_reason(text: str) -> bool:
    """Whether it is one of the closed set."""
    return text in USUAL or text in _OTHERS
