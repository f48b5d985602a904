"""What /proc tells a process about itself, by two small files and without psutil.

In run mode the exporter service samples from outside, more and better. What is read here
goes into the history of the flight file, so that the file of a process that
was killed tells how its memory went, even where no exporter was there to look.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from gc_otel.sample.process import MemoryDetail, ProcessSample

_NS_PER_S: Final = 1_000_000_000
_FILE_BYTES_MOST: Final = 4096

# Of proc(5), counted behind the program's name: fields 10, 12, 14, 15 and 20.
_MINOR_FAULTS, _MAJOR_FAULTS, _USER_TICKS, _SYSTEM_TICKS, _THREADS = 7, 9, 11, 12, 17


class OwnSampler:
    """Samples the process that calls it, forked children included; OSError, ValueError or IndexError where /proc fails.

    The monitor notes such a fault and tries again with its next round.
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._statm, self._stat = f"{proc}/statm", f"{proc}/stat"
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._tick_ns = _NS_PER_S // os.sysconf("SC_CLK_TCK")

    def sample(self) -> ProcessSample:
        """Memory, CPU time, threads and faults, for about 40 us; None for what these files do not have."""
        vms_pages, rss_pages = _read(self._statm).split()[:2]
        # The name may hold blanks and parentheses; nothing behind it does.
        fields = _read(self._stat).rpartition(b")")[2].split()
        return ProcessSample(
            rss_bytes=int(rss_pages) * self._page_bytes,
            vms_bytes=int(vms_pages) * self._page_bytes,
            cpu_user_ns=int(fields[_USER_TICKS]) * self._tick_ns,
            cpu_system_ns=int(fields[_SYSTEM_TICKS]) * self._tick_ns,
            threads=int(fields[_THREADS]),
            file_descriptors=None,
            voluntary_switches=None,
            involuntary_switches=None,
            minor_faults=int(fields[_MINOR_FAULTS]),
            major_faults=int(fields[_MAJOR_FAULTS]),
        )

    def detail(self) -> MemoryDetail | None:
        """Never: what costs is the exporter's to ask."""
        return None


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _FILE_BYTES_MOST)
    finally:
        os.close(descriptor)
