"""What can go wrong, as one tree.

    GcOtelError
    ├── FlightFileError        a flight file that cannot be trusted
    │   ├── NotAFlightFile     alien, truncated, or of another layout
    │   └── NotConsistent      its writer would not hold still
    ├── FlightFolderError      the folder cannot be used; carries a remedy
    ├── RequestError           a process was asked, and there is no answer
    │   ├── NoSuchProcess      none is recorded under that name, or several are
    │   ├── ProcessEnded       it ended before it answered
    │   ├── NotServed          it answers no requests
    │   ├── NotAnswered        it did not answer in time
    │   └── Refused            it said why it does not
    └── NotSupported           asked for where it cannot work

Every class says, in ``remedy``, what to do next.  None of them ever reaches
the observed program: the probe contains, counts and reports them.
"""

from __future__ import annotations


class GcOtelError(Exception):
    """Base of all errors of this package."""

    remedy = "Run `gc-otel doctor`: it names what is wrong and what to do."

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy


class FlightFileError(GcOtelError):
    """A flight file that cannot be used; other files are not affected."""

    remedy = "The file is skipped. If no living process wrote it, it can be deleted."


class NotAFlightFile(FlightFileError):
    """Alien, truncated, written by another layout, or nonsense inside."""


class NotConsistent(FlightFileError):
    """The writer changed the section during every attempt to copy it, or died inside."""

    remedy = "Read it again; if its process is dead, the numbers shown are those at its death."


class FlightFolderError(GcOtelError):
    """The flight folder cannot be used: recording goes on in private memory."""

    remedy = "Set GC_OTEL_DIR to a folder on tmpfs that this user owns, mode 0700."


class RequestError(GcOtelError):
    """A living process was asked, and there is no answer; nothing of it was changed."""


class NoSuchProcess(RequestError):
    """No recorded process of that pid, or more than one."""

    remedy = "gc-otel ps lists the processes that are recorded."


class ProcessEnded(RequestError):
    """The process has ended, before or while it was asked."""

    remedy = "gc-otel ps --all tells what its flight file has."


class NotServed(RequestError):
    """The process is recorded, and answers no requests."""

    remedy = "Start it again with this version of gc_otel, and without GC_OTEL_REQUESTS=false."


class NotAnswered(RequestError):
    """The process did not answer in time."""

    remedy = "Ask again, with more --patience."


class Refused(RequestError):
    """The process answered that it does not do what it was asked; the remedy is its own."""

    remedy = ""


class NotSupported(GcOtelError):
    """Asked for in a place where it cannot work, such as a sub-interpreter."""

    remedy = "Nothing is recorded here, and nothing else is affected."


class NoSuchEnding(GcOtelError):
    """Nothing is kept of the end of that process."""

    remedy = "`gc-otel postmortem` lists what is kept, `gc-otel ps` those that live."
