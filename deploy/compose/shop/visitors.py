"""visitors.py URL: ten requests a second, for ever; a shop that restarts is waited for."""

from __future__ import annotations

import contextlib
import sys
import time
import urllib.request

REQUESTS_PER_SECOND = 10

while True:
    with contextlib.suppress(OSError):  # a worker was killed, or the shop is not up yet
        urllib.request.urlopen(sys.argv[1], timeout=5).close()
    time.sleep(1 / REQUESTS_PER_SECOND)
