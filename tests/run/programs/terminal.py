"""A program at a terminal: survives one Ctrl-C, then reads a line."""

from __future__ import annotations

import os
import sys
import time

try:
    print("ready", os.isatty(0), os.getpgrp() == os.tcgetpgrp(0), flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print("read", sys.stdin.readline().strip(), flush=True)
