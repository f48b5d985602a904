"""What /proc tells a process about itself, by two small files and without psutil.

In run mode the exporter service samples from outside, more and better. What is read here
goes into the history of the flight file, so that the file of a process that
was killed tells how its memory went, even where no exporter was there to look.
Nothing is imported for it: this is all that an observed process pays.
"""

from __future__ import annotations

import os

_NS_PER_S = 1_000_000_000
_FILE_BYTES_MOST = 4096

# Of proc(5), counted behind the program's name: fields 10, 12, 14, 15 and 20.
_MINOR_FAULTS, _MAJOR_FAULTS, _USER_TICKS, _SYSTEM_TICKS, _THREADS = 7, 9, 11, 12, 17


class OwnSample:
    """The fields of :class:`gc_otel.sample.process.ProcessSample`; None for what these files do not have."""

    __slots__ = (
        "cpu_system_ns",
        "cpu_user_ns",
        "file_descriptors",
        "involuntary_switches",
        "major_faults",
        "minor_faults",
        "rss_bytes",
        "threads",
        "vms_bytes",
        "voluntary_switches",
    )

    def __init__(self, statm: bytes, stat: bytes, page_bytes: int, tick_ns: int) -> None:
        vms_pages, rss_pages = statm.split()[:2]
        # The name may hold blanks and parentheses; nothing behind it does.
        fields = stat.rpartition(b")")[2].split()
        self.rss_bytes: int | None = int(rss_pages) * page_bytes
        self.vms_bytes: int | None = int(vms_pages) * page_bytes
        self.cpu_user_ns: int | None = int(fields[_USER_TICKS]) * tick_ns
        self.cpu_system_ns: int | None = int(fields[_SYSTEM_TICKS]) * tick_ns
        self.threads: int | None = int(fields[_THREADS])
        self.minor_faults: int | None = int(fields[_MINOR_FAULTS])
        self.major_faults: int | None = int(fields[_MAJOR_FAULTS])
        self.file_descriptors: int | None = None
        self.voluntary_switches: int | None = None
        self.involuntary_switches: int | None = None


class OwnSampler:
    """Samples the process that calls it, forked children included.

    OSError, ValueError or IndexError where /proc fails: the monitor notes it and tries again with its next round.
    """

    def __init__(self, proc: str = "/proc/self") -> None:
        self._statm, self._stat = f"{proc}/statm", f"{proc}/stat"
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._tick_ns = _NS_PER_S // os.sysconf("SC_CLK_TCK")

    def sample(self) -> OwnSample:
        """Memory, CPU time, threads and faults."""
        return OwnSample(_read(self._statm), _read(self._stat), self._page_bytes, self._tick_ns)

    def detail(self) -> None:
        """Never: what costs is the exporter's to ask."""


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _FILE_BYTES_MOST)
    finally:
        os.close(descriptor)
