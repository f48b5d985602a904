"""The memory limit that binds this process, as :class:`gc_otel.sample.cgroup.LimitReader` finds it, and without its imports.

In run mode the exporter looks for the limit from outside. From another container (a sidecar) it sees neither the cgroup nor
the pid, so the process writes it itself: two files of /proc at the first look, then one small one for each cgroup above it.
"""

from __future__ import annotations

import os

from gc_otel.sample.cgroup_text import (
    LIMIT_FILES,
    LIMIT_TEXT_BYTES,
    MACHINE,
    RLIMIT_AS,
    UNLIMITED_FROM_BYTES,
    MemoryLimit,
    memory_files,
    parse_limit,
)

_PROC_BYTES_MOST = 1 << 20


class OwnLimit:
    """Reads the limit of the process that calls it.  A forked child makes its own."""

    def __init__(self, proc: str = "/proc/self", root: str = "/") -> None:
        self._proc, self._root = proc, root
        self._files: list[tuple[str, str]] | None = None

    def read(self) -> MemoryLimit | None:
        """The smallest of all that exist, the innermost of equals; None if there is none.  Raises nothing."""
        if self._files is None:
            self._files = self._find()
        limits = [(source, self._limit_bytes(path)) for source, path in self._files or ()]
        limits += [(RLIMIT_AS, _address_space_bytes()), (MACHINE, _machine_bytes())]
        known = [MemoryLimit(limit_bytes, source) for source, limit_bytes in limits if limit_bytes is not None]
        return min(known, key=lambda each: each.limit_bytes, default=None)

    def _find(self) -> list[tuple[str, str]] | None:
        """The limit files that exist; None if /proc would not tell, so that it is asked again."""
        try:
            cgroup = os.fsdecode(_read(f"{self._proc}/cgroup", _PROC_BYTES_MOST))
            mountinfo = os.fsdecode(_read(f"{self._proc}/mountinfo", _PROC_BYTES_MOST))
        except OSError:
            return None
        found = dict.fromkeys(memory_files(self._root, cgroup, mountinfo, LIMIT_FILES))
        return [file for file in found if os.path.exists(file[1])]

    def _limit_bytes(self, path: str) -> int | None:
        try:
            return parse_limit(_read(path, LIMIT_TEXT_BYTES).decode("ascii", "replace"))
        except FileNotFoundError:
            self._files = None  # the cgroup was removed: look again next time
        except OSError:
            pass
        return None


def _read(path: str, bytes_most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        raw = b""
        while len(raw) < bytes_most:
            part = os.read(descriptor, bytes_most - len(raw))
            if not part:
                break
            raw += part
        return raw
    finally:
        os.close(descriptor)


def _address_space_bytes() -> int | None:
    try:
        import resource  # of C, and perhaps not built

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, ValueError):
        return None
    return soft if 0 <= soft < UNLIMITED_FROM_BYTES else None


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
