"""Ends in good order after SIGTERM, but not before it has been told to."""

from __future__ import annotations

import os
import signal
import sys

told, tell = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: os.write(tell, b"."))
print(os.getpid(), flush=True)
os.read(told, 1)
print("ending", flush=True)
sys.stdin.readline()
