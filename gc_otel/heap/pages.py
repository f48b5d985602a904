"""The memory of this process as the kernel keeps book of it: pages that are resident, and pages that are its own.

Three system calls and nothing more: `measure()` does it around every block.
"""

from __future__ import annotations

import os
from typing import Final

#: One line of cache, 64 bytes, stands for a page: of more than this no processor keeps them.
LOOKED_AT_MOST_BYTES: Final = 1 << 32

_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
_SIZES: Final = "/proc/self/statm"
_ROLLUP: Final = "/proc/self/smaps_rollup"
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)


def rss_bytes() -> int | None:
    """Resident memory, or None where /proc does not tell."""
    try:
        return int(_read(_SIZES, 256).split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def uss_bytes() -> int | None:
    """What would be free if the process ended, or None where /proc does not tell; the kernel looks at each page."""
    try:
        lines = _read(_ROLLUP, 8192).splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) for line in lines if line.startswith((b"Private_Clean:", b"Private_Dirty:"))]
    return sum(found) * 1024 if found else None


def have_looked_at() -> None:
    """Have the kernel read what it keeps of each page, while other threads run: a clone right after it is shorter.

    A clone reads all of it with the GIL held, one line of memory for each page, and that these are not in the processor's
    cache is a third of what it takes with a hundred thousand objects, and less with more (``python -m benchmarks --only
    census``).  read(2) is called without the GIL.
    """
    size_bytes = rss_bytes()
    if size_bytes is not None and size_bytes <= LOOKED_AT_MOST_BYTES:
        uss_bytes()


def _read(path: str, most: int) -> bytes:
    descriptor = os.open(path, _FLAGS)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)
