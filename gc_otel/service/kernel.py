"""What the kernel says of a process that has ended and is not our child.

While it is a zombie, /proc/PID/stat tells its exit status; when its parent has waited for it, the pidfd does
(``PIDFD_GET_INFO``, Linux 6.15).  On older kernels a parent that is faster than we are takes the status with it.
"""

from __future__ import annotations

import os
import select
import struct
from pathlib import Path
from typing import Final

from gc_otel.service.reasons import ExitStatus

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

# include/uapi/linux/pidfd.h: struct pidfd_info begins with a u64 mask and a u64 cgroupid, then eleven u32 ids,
# then the s32 exit_code; 64 bytes in its first version. ioctl number: _IOWR(0xFF, 11, struct pidfd_info).
_INFO_BYTES: Final = 64
_EXIT_CODE_AT: Final = 16 + 11 * 4
_PIDFD_INFO_EXIT: Final = 1 << 3
_PIDFD_GET_INFO: Final = 3 << 30 | _INFO_BYTES << 16 | 0xFF << 8 | 11

# /proc/PID/stat, counted from the state, which follows the name in brackets (proc_pid_stat(5)).
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19
_EXIT_CODE_FIELD: Final = 49


def has_ended(pidfd: int) -> bool:
    """What a pidfd says; False without one.  A lock can outlive its process: in a child that shares its memory (vfork)."""
    if pidfd < 0:
        return False
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """When the process began, in clock ticks since the boot: it tells a pid's owners apart."""
    fields = _stat(pid, proc)
    return int(fields[_START_TIME_FIELD]) if fields is not None else None


def exit_status(pidfd: int, pid: int, ticks: int | None, proc: Path = Path("/proc")) -> ExitStatus | None:
    """The status of a process whose pidfd has said that it ended, or None where the kernel does not tell any more.

    ``ticks`` is its :func:`start_ticks`.
    """
    # A zombie may be waited for between the two questions: the third then has the answer.
    status = _by_pidfd(pidfd)
    if status is None:
        status = _of_zombie(pid, ticks, proc)
    if status is None:
        status = _by_pidfd(pidfd)
    return None if status is None else ExitStatus.from_wait_status(status)


def _by_pidfd(pidfd: int) -> int | None:
    if pidfd < 0:
        return None
    info = bytearray(struct.pack("=Q", _PIDFD_INFO_EXIT).ljust(_INFO_BYTES, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:  # ENOTTY, EINVAL: an older kernel
        return None
    (mask,) = struct.unpack_from("=Q", info)
    return int(struct.unpack_from("=i", info, _EXIT_CODE_AT)[0]) if mask & _PIDFD_INFO_EXIT else None


def _of_zombie(pid: int, ticks: int | None, proc: Path) -> int | None:
    fields = _stat(pid, proc)
    if fields is None or ticks is None or fields[_STATE_FIELD] != "Z" or int(fields[_START_TIME_FIELD]) != ticks:
        return None
    return int(fields[_EXIT_CODE_FIELD])


def _stat(pid: int, proc: Path) -> list[str] | None:
    try:
        text = os.fsdecode((proc / str(pid) / "stat").read_bytes())
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    is_whole = len(fields) > _EXIT_CODE_FIELD and all(
        fields[at].isdecimal() for at in (_START_TIME_FIELD, _EXIT_CODE_FIELD)
    )
    return fields if is_whole else None
