"""Whether there is memory for a child that examines this process's heap.

What the process writes while the child lives is copied: at worst the heap, of which a full collection alone
touches two thirds to three quarters.  A memory cgroup counts the copies to the same limit, and what is killed there
when they do not fit may be the process itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gc_otel.errors import NotSupported
from gc_otel.heap import census_child, pages
from gc_otel.heap.render import readable_bytes
from gc_otel.sample.cgroup import CGROUP_V2, limit_files, parse_limit

#: The part of the resident memory that may have to be copied while a child reads it, and while a child holds each object
#: for a moment, as one that counts does where CPython has to walk for it.
COPIED_SHARE: Final = 0.75
COPIED_SHARE_OF_HOLDING: Final = 1.0
#: What the examination itself takes for each object, 73 bytes at worst (trial.c) and what garbage is told in, and there are no
#: more objects than blocks.
BYTES_FOR_BLOCK: Final = 80

_USAGE: Final = {True: "memory.current", False: "memory.usage_in_bytes"}
_RECLAIMABLE: Final = {True: "inactive_file", False: "total_inactive_file"}
_REMEDY: Final = (
    "Ask with --in-process: it takes a tenth of that memory, and stops the process for half a second for each "
    "million objects. Or give the container more memory."
)

_MORE_MEMORY: Final = "Give the container more memory; gc-otel census needs none."


def check_headroom(root: Path = Path("/"), *, rss_bytes: int | None = None) -> None:
    """NotSupported where a child that looks for cycles could cost the process its life."""
    _check_child(root, int(COPIED_SHARE * _known(rss_bytes)) + BYTES_FOR_BLOCK * sys.getallocatedblocks())


def check_headroom_of_census(root: Path = Path("/"), *, rss_bytes: int | None = None) -> None:
    """NotSupported where a child that counts could; OSError where the heap cannot be walked at all."""
    share = COPIED_SHARE_OF_HOLDING if census_child.holds_what_it_counts() else COPIED_SHARE
    _check_child(root, int(share * _known(rss_bytes)))


def _check_child(root: Path, needed_bytes: int) -> None:
    for source, path in limit_files(root):
        folder = os.path.dirname(path)
        if source == CGROUP_V2 and _text(os.path.join(folder, "memory.oom.group")).strip() == "1":
            raise NotSupported(
                f"where memory runs out, everything in {folder} is killed together (memory.oom.group), "
                "and a child may take as much as the heap",
                remedy=_REMEDY,
            )
        left_bytes = _left_bytes(path, v2=source == CGROUP_V2)
        if left_bytes is not None and left_bytes < needed_bytes:
            raise _too_little("a child", needed_bytes, left_bytes, folder, _REMEDY)
    _check_machine(root, "a child", needed_bytes, _REMEDY)


def check_room(needed_bytes: int, what: str, root: Path = Path("/")) -> None:
    """NotSupported where this process itself may not take so much more memory."""
    for source, path in limit_files(root):
        left_bytes = _left_bytes(path, v2=source == CGROUP_V2)
        if left_bytes is not None and left_bytes < needed_bytes:
            raise _too_little(what, needed_bytes, left_bytes, os.path.dirname(path), _MORE_MEMORY)
    _check_machine(root, what, needed_bytes, _MORE_MEMORY)


def _check_machine(root: Path, what: str, needed_bytes: int, remedy: str) -> None:
    for left_bytes in _left_on_machine(root):
        if left_bytes < needed_bytes:
            raise _too_little(what, needed_bytes, left_bytes, "the machine", remedy)


def _too_little(what: str, needed_bytes: int, left_bytes: int, where: str, remedy: str) -> NotSupported:
    return NotSupported(
        f"{what} may need {readable_bytes(needed_bytes)} at worst, and {where} has {readable_bytes(left_bytes)} left",
        remedy=remedy,
    )


def _left_bytes(limit_path: str, *, v2: bool) -> int | None:
    """What the cgroup may still take, its cache of files that could be dropped included; None without a limit."""
    folder = os.path.dirname(limit_path)
    limit_bytes = parse_limit(_text(limit_path))
    used_bytes = parse_limit(_text(os.path.join(folder, _USAGE[v2])))
    if limit_bytes is None or used_bytes is None:
        return None
    for line in _text(os.path.join(folder, "memory.stat")).splitlines():
        name, _, value = line.partition(" ")
        if name == _RECLAIMABLE[v2] and value.isdigit():
            used_bytes -= int(value)
    return max(0, limit_bytes - used_bytes)


def _left_on_machine(root: Path) -> Iterator[int]:
    for line in _text(str(root / "proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _known(rss_bytes: int | None) -> int:
    found = pages.rss_bytes() if rss_bytes is None else rss_bytes
    if found is None:
        raise NotSupported("/proc does not tell how large this process is", remedy=_REMEDY)
    return found


def _text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
