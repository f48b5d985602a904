"""os.fork(): the child records itself from zero, the parent notices nothing.  Argument: native|python."""

from __future__ import annotations

import gc
import json
import os
import sys

import _recorded as recorded

from gc_otel.flight import reader
from gc_otel.probe import probe

recorded.start()
gc.disable()
for _ in range(5):
    gc.collect()
recorded.wait_for_rounds()
parent = probe.current()
before = reader.read_collector(parent.source)
threads_before = len(recorded.thread_ids())
to_parent, to_child = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    known = recorded.collections()
    for _ in range(3):
        gc.collect()
    recorded.wait_for_rounds()
    mine = recorded.snapshot()
    told = {
        "pid": os.getpid(),
        "same_probe": probe.current() is parent,
        "epoch": parent.epoch,
        "name": parent.path.name,
        "identity_pid": mine.identity.pid,
        "parent_pid": mine.identity.parent_pid,
        "collections": mine.collector.collections,
        "counted_by_cpython": recorded.collections() - known,
        "unseen": sum(mine.interpreter.unseen),
        "threads": len(recorded.thread_ids()),
        "sampled_threads": mine.memory.threads,
        "faults": [fault.text for fault in mine.faults],
        "mappings": recorded.own_mappings(),
    }
    os.write(to_parent[1], json.dumps(told).encode())
    os.read(to_child[0], 1)
    sys.exit(3)
child = json.loads(os.read(to_parent[0], 65536))
seen = recorded.file_of(pid)
after = reader.read_collector(parent.source)
recorded.wait_for_rounds()
threads_after = len(recorded.thread_ids())
os.write(to_child[1], b".")
code = recorded.exit_code(pid)
gc.collect()
recorded.report(
    parent_pid=os.getpid(),
    child=child,
    child_seen=seen,
    child_exit=code,
    child_left=recorded.file_of(pid),
    untouched=before == after,
    goes_on=reader.read_collector(parent.source).collections - before.collections,
    threads=[threads_before, threads_after],
    parent=recorded.file_of(os.getpid()),
)
