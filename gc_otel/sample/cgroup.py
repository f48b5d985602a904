"""The memory limit that binds a process: cgroup v2, cgroup v1, RLIMIT_AS, or the machine itself.

What /proc and cgroupfs mean is told in cgroups(7), cgroup_namespaces(7), proc(5) and the
kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import EllipsisType
from typing import Final

from gc_otel.sample.cgroup_text import (
    CGROUP_V1,
    CGROUP_V2,
    LIMIT_FILES,
    LIMIT_TEXT_BYTES,
    MACHINE,
    RLIMIT_AS,
    UNLIMITED_FROM_BYTES,
    CgroupMount,
    MemoryLimit,
    below_mount,
    memory_files,
    parse_cgroup,
    parse_limit,
    parse_mountinfo,
)

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = [
    "CGROUP_V1",
    "CGROUP_V2",
    "MACHINE",
    "RLIMIT_AS",
    "CgroupMount",
    "LimitReader",
    "MemoryLimit",
    "below_mount",
    "find_memory_files",
    "find_memory_limit",
    "limit_files",
    "parse_cgroup",
    "parse_limit",
    "parse_mountinfo",
]

# Where a foreign process's root is read, a FIFO in place of the file must not block the reader.
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)


def find_memory_files(pid: int | str, root: Path, names_by_source: Mapping[str, str]) -> list[tuple[str, str]]:
    """(source, path) of the files of those names in the memory cgroups of a process, the innermost of each hierarchy first.

    OSError where /proc does not tell.
    """
    process = root / "proc" / str(pid)
    cgroup = _read_text(process / "cgroup")
    own_mounts = _read_text(root / "proc" / "self" / "mountinfo")
    mounts = _read_text(process / "mountinfo")
    # Paths in /proc/PID/cgroup are relative to the reader's cgroup namespace, so the reader's
    # mounts come first; those of a process in another container (a shared pid namespace,
    # as in a sidecar) are reached through its own root.
    files = list(memory_files(str(root), cgroup, own_mounts, names_by_source))
    if mounts != own_mounts:
        files += memory_files(str(process / "root"), cgroup, mounts, names_by_source)
    return [file for file in dict.fromkeys(files) if os.path.exists(file[1])]


def _read_limit(path: str) -> int | None:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        return parse_limit(os.read(descriptor, LIMIT_TEXT_BYTES).decode("ascii", "replace"))
    finally:
        os.close(descriptor)


def _address_space_bytes(pid: int | str) -> int | None:
    """The soft RLIMIT_AS; of another process on Linux only, with the rights that prlimit(2) asks for."""
    try:
        if pid in ("self", os.getpid()):
            soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        else:
            soft, _ = resource.prlimit(int(pid), resource.RLIMIT_AS)
    except (AttributeError, OSError, ValueError):
        return None
    return soft if 0 <= soft < UNLIMITED_FROM_BYTES else None


def _machine_bytes() -> int | None:
    import psutil

    try:
        return int(psutil.virtual_memory().total)
    except (OSError, ValueError, LookupError, NotImplementedError):
        return None


class LimitReader:
    """Resolves once which files limit a process, and afterwards reads only those.

    ``pid`` is a number or "self".  ``root`` is where /proc and the mount points are looked for.
    ``rlimit_as_bytes`` and ``machine_bytes`` replace what the system says; None: no such limit.

    A process that moves to another cgroup is followed when its old one is removed.
    """

    def __init__(
        self,
        pid: int | str = "self",
        *,
        root: Path = Path("/"),
        rlimit_as_bytes: int | EllipsisType | None = ...,
        machine_bytes: int | EllipsisType | None = ...,
    ) -> None:
        self._pid = pid
        self._root = root
        self._rlimit_as_bytes = rlimit_as_bytes
        self._machine_bytes = _machine_bytes() if machine_bytes is ... else machine_bytes
        self._files: list[tuple[str, str]] | None = None

    def read(self) -> MemoryLimit | None:
        """The smallest limit of all that exist, the innermost of equals; None if there is none. Raises nothing."""
        limits = [MemoryLimit(limit, source) for source, limit in self._limits() if limit is not None]
        return min(limits, key=lambda limit: limit.limit_bytes, default=None)

    def files(self) -> list[tuple[str, str]]:
        """(source, path) of the files that limit it, from its own cgroup up."""
        return self._resolve() or []

    def _limits(self) -> Iterator[tuple[str, int | None]]:
        if self._files is None:
            self._files = self._resolve()
        for source, path in self._files or ():
            yield source, self._read_file(path)
        rlimit = self._rlimit_as_bytes
        yield RLIMIT_AS, _address_space_bytes(self._pid) if rlimit is ... else rlimit
        yield MACHINE, self._machine_bytes

    def _read_file(self, path: str) -> int | None:
        try:
            return _read_limit(path)
        except FileNotFoundError:
            self._files = None  # the cgroup was removed: look again next time
        except OSError:
            pass
        return None

    def _resolve(self) -> list[tuple[str, str]] | None:
        """The limit files that exist; None if /proc would not tell, so that it is asked again."""
        try:
            return find_memory_files(self._pid, self._root, LIMIT_FILES)
        except OSError:
            return None


def _read_text(path: Path) -> str:
    return os.fsdecode(path.read_bytes())


def limit_files(root: Path = Path("/")) -> list[tuple[str, str]]:
    """(source, path) of the limit files of this process, from its own cgroup up; empty where /proc does not tell."""
    return LimitReader(root=root, machine_bytes=None).files()


def find_memory_limit(
    pid: int | str = "self",
    *,
    root: Path = Path("/"),
    rlimit_as_bytes: int | EllipsisType | None = ...,
    machine_bytes: int | EllipsisType | None = ...,
) -> MemoryLimit | None:
    """The memory limit that binds a process now; arguments and result as in :class:`LimitReader`. Raises nothing."""
    return LimitReader(pid, root=root, rlimit_as_bytes=rlimit_as_bytes, machine_bytes=machine_bytes).read()
