"""What psutil tells about one process, source by source: one that fails does not take the others with it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

DETAIL_BEAT_MIN_NS: Final = 30_000_000_000
#: The beat of ``detail()`` in multiples of its cost: 1 in 2000 is 0.05 % of a core.
DETAIL_BEAT_COSTS: Final = 2_000

_NS_PER_SECOND: Final = 1_000_000_000
# A program that leaks descriptors or runs out of memory must not lose its memory metrics for good by that.
_PASSING_ERRNOS: Final = frozenset({errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_T = TypeVar("_T")
_D = TypeVar("_D")


class ProcessGone(LookupError):
    """The process has ended, or its number belongs to another one now; ``pid`` is that number."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} is gone")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one moment; None where the source of a number is disabled.

    CPU times, switches and faults count from the start of the process, over all of its
    threads and without its children.  CPU times advance in clock ticks, 10 ms on Linux.
    ``file_descriptors`` of the own process include the one that counts them.
    """

    rss_bytes: int | None
    vms_bytes: int | None
    cpu_user_ns: int | None
    cpu_system_ns: int | None
    threads: int | None
    file_descriptors: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None
    minor_faults: int | None
    major_faults: int | None


@dataclass(frozen=True, slots=True)
class MemoryDetail:
    """What the kernel must walk all pages for; None where the platform does not tell (pss and swap: Linux only)."""

    uss_bytes: int | None
    pss_bytes: int | None
    swap_bytes: int | None


class _Process(Protocol):
    """The part of ``psutil.Process`` that is used, besides ``num_fds`` and ``memory_footprint``, which not all have."""

    @property
    def pid(self) -> int: ...
    def oneshot(self) -> AbstractContextManager[None]: ...
    def is_running(self) -> bool: ...
    def status(self) -> str: ...
    def memory_info(self) -> Any: ...
    def memory_full_info(self) -> Any: ...
    def cpu_times(self) -> Any: ...
    def num_threads(self) -> int: ...
    def num_ctx_switches(self) -> Any: ...


def parse_faults(stat: bytes) -> tuple[int, int]:
    """Minor and major faults from /proc/PID/stat (fields 10 and 12 of proc(5)); ValueError, IndexError for garbage."""
    # The second field, the program's name, may hold blanks and parentheses; nothing behind it does.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[7]), int(fields[9])


class ProcessSampler:
    """Samples one process: ``pid``, or the pid of ``process``, or without either the own one.

    A source (memory, cpu, threads, descriptors, switches, faults, detail) that fails is
    disabled: ``on_disabled(source, error)`` is called once, and its fields are None from then on.
    Only a shortage of descriptors or memory is forgiven: its fields are None in that sample.

    A sampler of the own process goes on as one of the child after a fork: the parent's ``psutil.Process``
    would tell the parent's numbers there.  To be used by one thread at a time.

    ``clock_ns`` times the beat of :meth:`detail`, ``cost_clock_ns`` its cost; by default that is CPU
    time, since a wall clock would count preemption and a stopped process as cost.

    Raises :class:`ProcessGone` if there is no such process.
    """

    def __init__(
        self,
        pid: int | None = None,
        *,
        process: _Process | None = None,
        on_disabled: Callable[[str, Exception], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        cost_clock_ns: Callable[[], int] = time.thread_time_ns,
        proc_root: Path = Path("/proc"),
    ) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        # Where a sandbox's /proc lacks what psutil parses, it raises IndexError, KeyError or ValueError.
        self._failures = (psutil.AccessDenied, NotImplementedError, OSError, AttributeError, LookupError, ValueError)
        self._open: Callable[[int], _Process] = psutil.Process
        self._clock_ns = clock_ns
        self._cost_clock_ns = cost_clock_ns
        self._proc_root = proc_root
        self._on_disabled = on_disabled
        self._disabled: dict[str, str] = {}
        self._detail_due_ns = 0
        self._maker_pid = os.getpid()
        given = process.pid if process is not None else self._maker_pid
        self._pid = given if pid is None else pid
        self._own = self._pid == self._maker_pid
        self._process = self._find() if process is None else process

    @property
    def pid(self) -> int:
        """The process that is sampled."""
        return self._pid

    @property
    def disabled(self) -> Mapping[str, str]:
        """Source and reason of what failed and is not tried again; a live, read-only view."""
        return MappingProxyType(self._disabled)

    def sample(self) -> ProcessSample:
        """All cheap numbers, for 0.1 to 0.3 ms; ProcessGone if the process has ended or its pid is another's now."""
        self._follow_fork()
        with self._process.oneshot():
            self._raise_if_gone()
            nothing = (None, None)
            rss, vms = self._attempt("memory", self._memory, nothing)
            user, system = self._attempt("cpu", self._cpu, nothing)
            threads = self._attempt("threads", self._threads, None)
            descriptors = self._attempt("descriptors", self._descriptors, None)
            voluntary, involuntary = self._attempt("switches", self._switches, nothing)
            minor, major = self._attempt("faults", self._faults, nothing)
        return ProcessSample(rss, vms, user, system, threads, descriptors, voluntary, involuntary, minor, major)

    def detail(self) -> MemoryDetail | None:
        """The dear numbers if they are due, else None; ProcessGone as in :meth:`sample`.

        The kernel walks the page tables for them and holds the lock of the process's
        memory map meanwhile, so its mmap() and munmap() wait.  They are due every 30 s, or
        every 2000 times their last cost, whichever is longer.
        """
        self._follow_fork()
        if "detail" in self._disabled or self._clock_ns() < self._detail_due_ns:
            return None
        began_ns = self._cost_clock_ns()
        self._raise_if_gone()
        detail = self._attempt("detail", self._detail, None)
        cost_ns = self._cost_clock_ns() - began_ns
        self._detail_due_ns = self._clock_ns() + max(DETAIL_BEAT_MIN_NS, cost_ns * DETAIL_BEAT_COSTS)
        return detail

    def _follow_fork(self) -> None:
        pid = os.getpid()
        if pid == self._maker_pid:
            return
        self._maker_pid = pid
        if self._own:
            self._pid = pid
            self._process = self._find()
            self._detail_due_ns = 0

    def _find(self) -> _Process:
        try:
            return self._open(self._pid)
        except self._gone:
            raise ProcessGone(self._pid) from None

    def _raise_if_gone(self) -> None:
        """Asked beforehand: a zombie answers with zeros and AccessDenied, a reused pid with another's numbers."""
        if self._own:
            return
        try:
            gone = not self._process.is_running() or self._process.status() == "zombie"
        except self._gone:
            gone = True
        except self._failures:
            return
        if gone:
            raise ProcessGone(self._pid)

    def _attempt(self, source: str, read: Callable[[], _T], otherwise: _D) -> _T | _D:
        if source in self._disabled:
            return otherwise
        try:
            return read()
        except self._gone:
            raise ProcessGone(self._pid) from None
        except self._failures as error:
            self._raise_if_gone()
            if getattr(error, "errno", None) not in _PASSING_ERRNOS:
                self._disabled[source] = f"{type(error).__name__}: {error}"
                self._on_disabled(source, error)
            return otherwise

    def _memory(self) -> tuple[int, int]:
        info = self._process.memory_info()
        # On its way out: the kernel has taken its memory back, and does not call it a zombie yet.
        if info.rss == 0 and not self._own:
            raise self._gone(self._pid)
        return info.rss, info.vms

    def _cpu(self) -> tuple[int, int]:
        times = self._process.cpu_times()
        return round(times.user * _NS_PER_SECOND), round(times.system * _NS_PER_SECOND)

    def _threads(self) -> int:
        return self._process.num_threads()

    def _descriptors(self) -> int:
        return int(self._process.num_fds())  # type: ignore[attr-defined]

    def _switches(self) -> tuple[int, int]:
        switches = self._process.num_ctx_switches()
        return switches.voluntary, switches.involuntary

    def _faults(self) -> tuple[int, int]:
        if self._own and resource is not None:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return usage.ru_minflt, usage.ru_majflt
        return parse_faults((self._proc_root / str(self._pid) / "stat").read_bytes())

    def _detail(self) -> MemoryDetail:
        # psutil 8 deprecates memory_full_info (its pull request 2737).
        read = getattr(self._process, "memory_footprint", None) or self._process.memory_full_info
        info = read()
        return MemoryDetail(*(getattr(info, name, None) for name in ("uss", "pss", "swap")))
