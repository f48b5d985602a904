"""A recorded program that collects when it is told to, and says how often.  First line: its pid, as it sees it."""

import gc
import json
import os
import sys

from gc_otel.config import Config
from gc_otel.probe import probe

gc.disable()
if len(sys.argv) > 1:  # as another user: what is imported late must be readable then
    user, group = map(int, sys.argv[1].split(":"))
    config = Config.from_env(dir=os.environ["GC_OTEL_TEST_WARM"])
    probe.start(config, run_mode=True)()
    os.setgroups([group])
    os.setgid(user)
    os.setuid(user)
probe.start(Config.from_env(sample_interval=0.1), run_mode=True)
current = probe.current()
print(json.dumps({"pid": os.getpid(), "path": str(current.location)}), flush=True)
collections = 0
for line in sys.stdin:
    for _ in range(int(line)):
        gc.collect()
        collections += 1
    print(json.dumps({"collections": collections}), flush=True)
