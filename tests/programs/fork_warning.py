"""Twenty forks of a program without threads of its own, run with -W error.  Argument: native|python."""

from __future__ import annotations

import os

import _recorded as recorded

recorded.start()
recorded.wait_for_rounds()
codes = set()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    codes.add(recorded.exit_code(pid))
recorded.wait_for_rounds()
recorded.report(codes=sorted(codes))
