"""Holds a flight file until its standard input ends; told so, it first closes descriptors or forks a child."""

from __future__ import annotations

import os
import signal
import sys

from _flight import make_file, tell

path, mapping = make_file()
child_pid = 0
if "closerange" in sys.argv:
    # All but the three standard ones, as a daemon does.
    os.closerange(3, 256)
if "fork" in sys.argv:
    child_pid = os.fork()
    if child_pid == 0:
        sys.stdin.read()  # until the test lets it go, long after its parent's death
        os._exit(0)
tell(path=str(path), child_pid=child_pid)
if child_pid:
    signal.pause()
sys.stdin.read()
