"""How often the kernel's OOM killer has killed in a process's memory cgroup, v1 and v2.

The victim's own cgroup is charged, whichever limit was hit: its own, one further up, or the machine's memory.  See
``memory.events`` in the kernel's Documentation/admin-guide/cgroup-v2.rst and ``memory.oom_control`` in
cgroup-v1/memory.rst (``oom_kill`` since Linux 4.13).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from gc_otel.sample.cgroup import CGROUP_V1, CGROUP_V2, find_memory_files

_COUNTER_FILES: Final = {CGROUP_V2: "memory.events", CGROUP_V1: "memory.oom_control"}
_COUNTER: Final = "oom_kill"
_TEXT_BYTES: Final = 4096
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)


def parse_oom_kills(text: str) -> int | None:
    """The counter in the text of either file; None where there is none, as before Linux 4.13."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == _COUNTER and value.isascii() and value.isdecimal():
            return int(value)
    return None


class OomCounter:
    """The counter of the innermost cgroup that has one.  Close it.

    The file is opened while the process lives: its path may go through the process's own root, and the cgroup of
    a container is out of sight when its last process has gone.
    """

    def __init__(self, path: str) -> None:
        """OSError where it cannot be opened."""
        self._fd = os.open(path, _OPEN_FLAGS)
        status = os.fstat(self._fd)
        #: What no two cgroups share.
        self.key = status.st_dev, status.st_ino

    def read(self) -> int | None:
        """How often until now; None where nobody can tell: the cgroup has been removed, or has no such counter."""
        try:
            return parse_oom_kills(os.pread(self._fd, _TEXT_BYTES, 0).decode("ascii", "replace"))
        except OSError:
            return None

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def find_oom_counter(pid: int | str, *, root: Path = Path("/")) -> OomCounter | None:
    """The counter of a living process's memory cgroup, or None where there is none to be seen."""
    try:
        files = find_memory_files(pid, root, _COUNTER_FILES)
    except OSError:
        return None
    for _, path in files:
        try:
            counter = OomCounter(path)
        except OSError:
            continue
        if counter.read() is not None:
            return counter
        counter.close()
    return None
