"""The memory limit that binds a process: cgroup v2, cgroup v1, RLIMIT_AS, or the machine itself.

What /proc and cgroupfs mean is told in cgroups(7), cgroup_namespaces(7), proc(5) and the
kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Final

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CGROUP_V2: Final = "cgroup-v2"
CGROUP_V1: Final = "cgroup-v1"
RLIMIT_AS: Final = "rlimit-as"
MACHINE: Final = "machine"

# memory.high is left out: it throttles and reclaims, and never kills.
_LIMIT_FILES: Final = {CGROUP_V2: "memory.max", CGROUP_V1: "memory.limit_in_bytes"}

# cgroup v1 has no word for "no limit": it shows LONG_MAX cut to whole pages, 0x7FFFFFFFFFFFF000 on x86-64.
_UNLIMITED_FROM_BYTES: Final = 2**62
_UNLIMITED_DIGITS: Final = len(str(_UNLIMITED_FROM_BYTES))

_LIMIT_TEXT_BYTES: Final = 64
# Where a foreign process's root is read, a FIFO in place of the file must not block the reader.
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """``limit_bytes`` (0 is possible), and who set it: a name of ``layout.LIMIT_SOURCES``."""

    limit_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class CgroupMount:
    """One line of mountinfo: ``root`` within the hierarchy of ``source`` is seen at ``point``."""

    source: str
    root: str
    point: str


def parse_limit(text: str) -> int | None:
    """Bytes that a limit file speaks of; None for "max", the huge values of v1, and garbage."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > _UNLIMITED_DIGITS:
        return None
    limit_bytes = int(text)
    return limit_bytes if limit_bytes < _UNLIMITED_FROM_BYTES else None


def parse_cgroup(text: str) -> dict[str, str]:
    """The text of /proc/PID/cgroup as ``{source: path}``, with the hierarchies that can limit memory."""
    paths: dict[str, str] = {}
    # Not splitlines(): a cgroup's name may hold any character but "/" and a newline.
    for line in text.split("\n"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if hierarchy == "0" and not controllers:
            paths[CGROUP_V2] = path
        elif "memory" in controllers.split(","):
            paths[CGROUP_V1] = path
    return paths


def parse_mountinfo(text: str) -> list[CgroupMount]:
    """The cgroup mounts that can limit memory, from the text of /proc/PID/mountinfo; lines of garbage are skipped."""
    return [mount for line in text.split("\n") if (mount := _parse_mount(line)) is not None]


def _parse_mount(line: str) -> CgroupMount | None:
    # ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL ...] - TYPE DEVICE SUPER_OPTIONS
    before, dash, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")
    if not dash or len(fields) < 6 or len(kind) < 3:
        return None
    if kind[0] == "cgroup2":
        return CgroupMount(CGROUP_V2, _unescape(fields[3]), _unescape(fields[4]))
    if kind[0] == "cgroup" and "memory" in kind[2].split(","):
        return CgroupMount(CGROUP_V1, _unescape(fields[3]), _unescape(fields[4]))
    return None


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def below_mount(path: str, mount_root: str) -> tuple[str, ...] | None:
    """Names from a mount whose root is ``mount_root`` down to the cgroup ``path``; None if it is not in there.

    Both are relative to the cgroup namespace of whoever reads /proc, and begin with ``/..``
    where they lie outside of it (cgroup_namespaces(7)).  A mount from further up than the path
    gives ``()``: the names between are hidden, but its limits bind, as it is an ancestor.
    """
    inside, top = _names(path), _names(mount_root)
    rest = inside[len(top) :]
    if inside[: len(top)] == top and ".." not in rest:
        return rest
    is_ancestor = set(top) == {".."} and len(top) > _leading_dots(inside)
    # Anything else is a neighbour's cgroup: its limit would be a wrong answer, and no answer is better.
    return () if is_ancestor else None


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def _leading_dots(names: tuple[str, ...]) -> int:
    return next((at for at, name in enumerate(names) if name != ".."), len(names))


def _memory_files(
    root: Path, cgroup: str, mountinfo: str, names_by_source: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """(source, path) of every file of those names that may exist, from the leaf up to the mount point.

    In v1, parents bind only with ``memory.use_hierarchy``, which systemd and every container
    runtime set, and without which Linux 5.11 and later cannot run.
    """
    paths = parse_cgroup(cgroup)
    for mount in parse_mountinfo(mountinfo):
        path = paths.get(mount.source)
        names = None if path is None else below_mount(path, mount.root)
        if names is None:
            continue
        base = root.joinpath(*_names(mount.point))
        for depth in range(len(names), -1, -1):
            yield mount.source, str(base.joinpath(*names[:depth], names_by_source[mount.source]))


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
    files = list(_memory_files(root, cgroup, own_mounts, names_by_source))
    if mounts != own_mounts:
        files += _memory_files(process / "root", cgroup, mounts, names_by_source)
    return [file for file in dict.fromkeys(files) if os.path.exists(file[1])]


def _read_limit(path: str) -> int | None:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        return parse_limit(os.read(descriptor, _LIMIT_TEXT_BYTES).decode("ascii", "replace"))
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
    return soft if 0 <= soft < _UNLIMITED_FROM_BYTES else None


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
            return find_memory_files(self._pid, self._root, _LIMIT_FILES)
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
