"""What the kernel's texts say of memory limits; see :mod:`gc_otel.sample.cgroup`, which reads them.

The observed process reads its own limit by this (:mod:`gc_otel.sample.own_limit`): nothing dear is imported.
"""

from __future__ import annotations

from gc_otel.record import Record

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

CGROUP_V2: Final = "cgroup-v2"
CGROUP_V1: Final = "cgroup-v1"
RLIMIT_AS: Final = "rlimit-as"
MACHINE: Final = "machine"

# memory.high is left out: it throttles and reclaims, and never kills.
LIMIT_FILES: Final[Mapping[str, str]] = {CGROUP_V2: "memory.max", CGROUP_V1: "memory.limit_in_bytes"}

# cgroup v1 has no word for "no limit": it shows LONG_MAX cut to whole pages, 0x7FFFFFFFFFFFF000 on x86-64.
UNLIMITED_FROM_BYTES: Final = 2**62
_UNLIMITED_DIGITS: Final = len(str(UNLIMITED_FROM_BYTES))

LIMIT_TEXT_BYTES: Final = 64


class MemoryLimit(Record):
    """``limit_bytes`` (0 is possible), and who set it: a name of ``layout.LIMIT_SOURCES``."""

    limit_bytes: int
    source: str


class CgroupMount(Record):
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
    return limit_bytes if limit_bytes < UNLIMITED_FROM_BYTES else None


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
    """Blanks and the like are written as a backslash and three octal digits."""
    first, *rest = text.split("\\")
    return first + "".join(_unescaped(part) for part in rest)


def _unescaped(part: str) -> str:
    digits = part[:3]
    is_octal = len(digits) == 3 and not digits.strip("01234567")
    return chr(int(digits, 8)) + part[3:] if is_octal else "\\" + part


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


def memory_files(
    root: str, cgroup: str, mountinfo: str, names_by_source: Mapping[str, str]
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
        base = (root.rstrip("/"), *_names(mount.point))
        for depth in range(len(names), -1, -1):
            yield mount.source, "/".join((*base, *names[:depth], names_by_source[mount.source]))
