"""What can go wrong, as one tree.

    GcOtelError
    ├── FlightFileError        a flight file that cannot be trusted
    │   ├── NotAFlightFile     alien, truncated, or of another layout
    │   └── NotConsistent      its writer would not hold still
    ├── FlightFolderError      the folder cannot be used; carries a remedy
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


class NotSupported(GcOtelError):
    """Asked for in a place where it cannot work, such as a sub-interpreter."""

    remedy = "Nothing is recorded here, and nothing else is affected."
