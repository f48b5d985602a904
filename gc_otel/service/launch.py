"""HAZARD ZONE 3: the exporter beside a program that must not notice it.

``gc-otel run`` becomes the program (exec), so whatever it starts before is the program's own
child, and meets its ``waitpid(-1)``.  A double fork does not help where the program is PID 1 of a
container: there every orphan is adopted by it, and it waits for the exporter, which waits for it.
A child whose exit signal is 0 (raw ``clone``) is not waited for without ``__WALL`` and
sends no SIGCHLD.  An exec would set the signal back to SIGCHLD, so the child goes on as this image.

What a raw ``clone`` leaves undone, and why that is safe here:

- *Handlers of pthread_atfork, malloc's locks.*  Another thread could hold a lock that nobody in the child
  releases: so there is no other thread, which is checked, not assumed.
- *CPython's own.*  PyOS_BeforeFork and its two sisters do what ``os.fork()`` does around its fork: the import
  lock, the GIL, the thread's id.  ctypes' PyDLL keeps the GIL between them, and all signals are blocked, so no
  handler runs in between.
- *glibc's copy of the thread id*, which the child would keep from its parent.  The kernel writes the new one
  where glibc told it to look for it (PR_GET_TID_ADDRESS), as for a real fork; glibc's own does the same.  Where the
  kernel does not tell, or the C library keeps something else there (musl), it stays stale, and only what signals
  the own main thread (``raise``) goes wrong: nothing in the exporter does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

from gc_otel.errors import NotSupported

#: The number of clone(2).  Its order of arguments differs, but not in the first three, and of the others only
#: the address for the thread id is read with these flags: it is given in both places.
_CLONE_NUMBERS: Final = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
_CLONE_CHILD_CLEARTID: Final = 0x00200000
_CLONE_CHILD_SETTID: Final = 0x01000000
_PR_SET_NAME: Final = 15
_THREADS: Final = "/proc/self/task"
_PR_GET_TID_ADDRESS: Final = 40  # Linux 3.5, with CONFIG_CHECKPOINT_RESTORE

#: As `ps -o comm` and `top` show it: 15 letters at most.
COMMAND_NAME: Final = b"gc-otel-export"


def why_not() -> str | None:
    """Why no exporter can be started beside a program here, or None."""
    if sys.platform != "linux":
        return "it needs Linux"
    if os.uname().machine not in _CLONE_NUMBERS:
        return f"it is not made for {os.uname().machine}"
    if not os.path.isdir(_THREADS):
        return "it needs /proc"
    if not hasattr(os, "pidfd_open"):
        return "this Python was built without pidfd_open()"
    return None


def is_alone() -> bool:
    """Whether this process has one thread only, as a raw clone demands."""
    return len(os.listdir(_THREADS)) == 1


def flush_output() -> None:
    """What is in a buffer would be written twice, or by nobody."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def start_beside(serve: Callable[[], object], *, keep: Collection[int]) -> int:
    """Run ``serve`` in a process of its own session that nobody waits for; its pid.

    It has the descriptors ``keep`` and nothing else of this process: 0, 1 and 2 are /dev/null, the
    folder is /, signals are at their defaults.  It ends when ``serve`` returns or raises.

    NotSupported where it cannot be had, or where this process has other threads; OSError when the kernel refuses.
    """
    reason = why_not()
    if reason is not None:
        raise NotSupported(f"no exporter can be started beside a program: {reason}")
    if not is_alone():
        raise NotSupported("no exporter can be started from a process that has threads")
    flush_output()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = _clone()
        if pid == 0:
            _be_the_exporter(serve, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _clone() -> int:
    libc = ctypes.PyDLL(None, use_errno=True)
    flags, address = 0, _thread_id_address(libc)
    if address:
        flags = _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    number = ctypes.c_long(_CLONE_NUMBERS[os.uname().machine])
    arguments = [ctypes.c_long(flags), *map(ctypes.c_void_p, (0, 0, address, address))]
    # Looked up before: nothing but the calls stands between the three.
    call, before, in_child, in_parent = (
        libc.syscall,
        ctypes.pythonapi.PyOS_BeforeFork,
        ctypes.pythonapi.PyOS_AfterFork_Child,
        ctypes.pythonapi.PyOS_AfterFork_Parent,
    )
    call.restype = ctypes.c_long
    before()
    pid = int(call(number, *arguments))
    if pid == 0:
        in_child()
        return 0
    number_of_error = ctypes.get_errno()
    in_parent()
    if pid < 0:
        raise OSError(number_of_error, os.strerror(number_of_error))
    return pid


def _thread_id_address(libc: Any) -> int:
    """Where the C library keeps this thread's id; 0 where that is not known."""
    address = ctypes.c_void_p()
    if libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0 or not address.value:
        return 0
    # musl has the kernel clear a lock of its own there.
    is_id = ctypes.c_int.from_address(address.value).value == os.getpid()
    return address.value if is_id else 0


def _be_the_exporter(serve: Callable[[], object], keep: Collection[int]) -> NoReturn:
    """The rest of the child's life; it never returns into the launcher's frames."""
    code = 1
    try:
        _detach(keep)
        serve()
        code = 0
    finally:
        # Not sys.exit: what the launcher registered to be done at its exit is not the exporter's to do.
        os._exit(code)


def _detach(keep: Collection[int]) -> None:
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    _close_all_but(keep)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor != nowhere:
            os.dup2(nowhere, descriptor)
    if nowhere > 2:
        os.close(nowhere)
    _default_signals()
    ctypes.CDLL(None).prctl(_PR_SET_NAME, COMMAND_NAME, 0, 0, 0)


def _close_all_but(keep: Collection[int]) -> None:
    if min(keep, default=3) < 3:
        raise ValueError("0, 1 and 2 are not kept: give a copy of them")
    first = 0
    for descriptor in sorted(keep):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _descriptors_most())


def _descriptors_most() -> int:
    opened = map(int, os.listdir("/proc/self/fd"))
    return max(opened, default=0) + 1


def _default_signals() -> None:
    """As in a fresh interpreter: a broken pipe is an error where it is written, everything else is the kernel's default.

    What the launcher's caller ignores (`nohup`) is the program's to inherit, not the exporter's.
    """
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        try:
            signal.signal(number, signal.SIG_IGN if number in (signal.SIGPIPE, signal.SIGXFSZ) else signal.SIG_DFL)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", errno.EINVAL) != errno.EINVAL:  # the C library keeps two for itself
                raise
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
