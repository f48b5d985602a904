"""A supervisor: starts a child, then waits for whatever there is to wait for. With "page" it looks at /metrics first."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import urllib.request

signals: list[int] = []
signal.signal(signal.SIGCHLD, lambda number, _: signals.append(number))


def pids_on_the_page() -> list[int]:
    address = f"http://{os.environ['GC_OTEL_HOST']}:{os.environ['GC_OTEL_PORT']}/metrics"
    deadline_s = time.monotonic() + 50
    while time.monotonic() < deadline_s:
        with urllib.request.urlopen(address, timeout=50) as answer:
            found = re.findall(
                r'^cpython_gc_collections_total\{.*process_pid="(\d+)"', answer.read().decode(), re.MULTILINE
            )
        if found:
            return sorted(set(map(int, found)))
        time.sleep(0.05)
    return []


told: dict[str, object] = {"pid": os.getpid(), "pids": pids_on_the_page()} if "page" in sys.argv else {}
pid = os.fork()
if pid == 0:
    os._exit(3)
waited = [os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1])]
try:
    told["then"] = str(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    told["then"] = "none"
print(json.dumps({**told, "waited": waited, "signals": len(signals)}), flush=True)
