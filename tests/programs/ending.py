"""Record, and end in the way that is asked for; a reader that was told the file's name holds it open meanwhile.

Usage: ending.py KIND HOW [run].  With "run" in run mode.  Prints the flight file's path, and ends when standard input does.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading

from gc_otel.config import Config
from gc_otel.probe import probe


class Lost(Exception):
    """What nobody catches."""


def keep_as_last(*, deeper: bool) -> None:
    """What pytest and interactive consoles do with what they have caught."""
    if deeper:
        keep_as_last(deeper=False)
        return
    try:
        raise Lost("secret")
    except Lost as error:
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__


def end(how: str) -> None:
    """Not to be returned from, but with ``return`` and ``thread``."""
    if how == "exception":
        raise Lost("secret")
    if how == "builtin exception":
        raise ValueError("secret")
    if how == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    if how.startswith("exit "):
        sys.exit(int(how[5:]))
    if how == "C exit":
        ctypes.CDLL(None).exit(6)
    if how.startswith("_exit "):
        os._exit(int(how[6:]))
    if how == "abort":
        os.abort()
    if how == "segmentation fault":
        ctypes.string_at(0)
    if how == "in a collection":
        gc.callbacks.append(lambda phase, info: os.kill(os.getpid(), signal.SIGKILL) if phase == "start" else None)
        gc.collect(1)
    if how == "exec":
        os.execvp("sleep", ["sleep", "600"])
    if how == "stop":
        stop()
        signal.pause()
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
        signal.pause()
    if how == "forked":
        if os.fork() == 0:
            sys.exit(5)
        os.wait()
    if how == "thread":
        thread = threading.Thread(target=end, args=("exception",))
        thread.start()
        thread.join()
    if how == "caught":
        keep_as_last(deeper=True)
        sys.exit(1)


gc.disable()
stop = probe.start(Config.from_env({**os.environ, "GC_OTEL_RECORDER": sys.argv[1]}), run_mode=sys.argv[3:] == ["run"])
recording = probe.current()
assert recording is not None
gc.collect()
print(recording.path, flush=True)
sys.stdin.read()
end(sys.argv[2])
