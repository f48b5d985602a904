"""Daemonising: fork, setsid, fork, closerange.  Arguments: native|python and a folder for two FIFOs."""

from __future__ import annotations

import gc
import json
import os
import sys

import _recorded as recorded

from gc_otel.probe import probe

recorded.start()
told_path, end_path = (os.path.join(sys.argv[2], name) for name in ("told", "end"))
for path in (told_path, end_path):
    os.mkfifo(path)


def become_daemon() -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0)
    os.closerange(0, 4096)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    gc.collect()
    recorded.wait_for_rounds()
    told = {"pid": os.getpid(), "name": probe.current().path.name, "epoch": probe.current().epoch}
    with open(told_path, "w") as pipe:
        pipe.write(json.dumps(told))
    with open(end_path) as pipe:
        pipe.read()
    sys.exit(0)


child = os.fork()
if child == 0:
    become_daemon()
code = recorded.exit_code(child)
with open(told_path) as pipe:
    daemon = json.loads(pipe.read())
first = recorded.file_of(daemon["pid"])
recorded.wait_until(lambda: recorded.file_of(daemon["pid"])["beat"] > first["beat"], "the daemon's monitor is dead")
between = recorded.file_of(child)
with open(end_path, "w") as pipe:
    pipe.write("end")
recorded.wait_until(lambda: not recorded.has_file(daemon["pid"]), "the daemon's file is not removed")
recorded.report(
    pid=os.getpid(),
    child=child,
    child_exit=code,
    child_alive=between["alive"] if between else False,
    daemon=daemon,
    seen=first,
    own=recorded.file_of(os.getpid()),
)
