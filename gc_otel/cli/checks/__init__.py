"""What `gc-otel doctor` looks at, one module per subject; each gives checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of finding and, unless all is well, one line of remedy."""

    group: str
    status: Status
    finding: str
    remedy: str = ""


def ok(group: str, finding: str) -> Check:
    """All is well."""
    return Check(group, "ok", finding)


def warn(group: str, finding: str, remedy: str) -> Check:
    """It works, and not as well as it could."""
    return Check(group, "warn", finding, remedy)


def fail(group: str, finding: str, remedy: str) -> Check:
    """It does not work."""
    return Check(group, "fail", finding, remedy)
