"""Starts a process beside itself, then waits for whatever there is to wait for; says what both of them saw."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from gc_otel.service import launch

signals: list[int] = []
signal.signal(signal.SIGCHLD, lambda number, _: signals.append(number))
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.umask(0o022)
read_fd, write_fd = os.pipe()


def is_pipe(number: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("pipe:")
    except OSError:
        return False


def look() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    signal.raise_signal(signal.SIGUSR1)  # by the thread id that the C library keeps
    thread_ids: list[int] = []
    thread = threading.Thread(target=lambda: thread_ids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    mask = os.umask(0)
    told = {
        "pid": os.getpid(),
        "native_id": threading.get_native_id(),
        "thread_is_new": thread_ids[0] != os.getpid(),
        "is_main_thread": threading.current_thread() is threading.main_thread(),
        "session": os.getsid(0),
        "folder": os.getcwd(),
        "umask": mask,
        "name": Path("/proc/self/comm").read_text().strip(),
        "standard": [os.path.realpath(f"/proc/self/fd/{number}") for number in range(3)],
        "pipes": [number for number in range(256) if is_pipe(number)],
        "handlers": [int(signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)],
        "pipe_ignored": signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "raised": len(seen),
        "child": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
    }
    os.write(write_fd, json.dumps(told).encode())
    if "fail" in sys.argv:
        raise SystemExit("this must not be seen: its standard error is /dev/null")


blocked_before = len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
pid = launch.start_beside(look, keep=[write_fd])
os.close(write_fd)
theirs = json.loads(os.read(read_fd, 65536))
met = []
try:
    met.append(os.waitpid(-1, 0)[0])
except ChildProcessError:
    met.append("none")
wall = 0x40000000  # __WALL: who asks for it does meet it
code = os.waitstatus_to_exitcode(os.waitpid(pid, wall)[1])
ours = {
    "pid": pid,
    "write_fd": write_fd,
    "met": met,
    "signals": len(signals),
    "code": code,
    "blocked_more": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())) - blocked_before,
}
print(json.dumps({"theirs": theirs, "ours": ours}))
