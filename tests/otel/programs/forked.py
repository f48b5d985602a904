"""A provider made before a fork: what parent and child publish afterwards."""

import gc
import json
import os
import sys
import warnings
from pathlib import Path

import psutil
from _collected import collected, report, summary, wait_until
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel.flight.reader import read_interpreter, read_memory
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.probe import probe

RECORDER, ALLOCATED_BYTES = sys.argv[1], int(sys.argv[2])
PARENT_ASKED, CHILD_ASKED = 4, 3
FOLDER = Path(os.environ["GC_OTEL_DIR"])

reader = InMemoryMetricReader()
GcInstrumentor().instrument(meter_provider=MeterProvider([reader]), recorder=RECORDER, sample_interval=0.1)


def ask(count):
    for _ in range(count):
        gc.collect()


def next_sample():
    def sampled_ns():
        memory = read_memory(probe.current().source)
        return memory.sampled_ns if memory is not None else 0

    for _ in range(2):  # the next one may have been begun before what is to be in it: without a GIL it often was
        last_ns = sampled_ns()
        wait_until(lambda last_ns=last_ns: sampled_ns() > last_ns, "no sample")
    wait_until(lambda: read_interpreter(probe.current().source), "no round")


def told():
    metrics = collected(reader)
    return {
        **summary(reader),
        "explicit": metrics["cpython.gc.explicit_collections"]["2"],
        "rss": metrics["process.memory.usage"][""],
        "true_rss": psutil.Process().memory_info().rss,
    }


def child(write):
    held = bytearray(os.urandom(1) * ALLOCATED_BYTES)
    ask(CHILD_ASKED)
    next_sample()
    first = told()
    ask(CHILD_ASKED)
    with os.fdopen(write, "w") as pipe:
        json.dump([first, told(), sorted(int(path.name.partition("-")[0]) for path in FOLDER.glob("*.flight"))], pipe)
    del held


# 3.13.0 counts the threads after the hooks that start ours again: documented, and tested with the probe.
if sys.version_info[:2] == (3, 13):
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
ask(20)
next_sample()
parent_before = told()
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    status = 1
    try:
        os.close(read)
        child(write)
        status = 0
    finally:
        os._exit(status)
os.close(write)
with os.fdopen(read) as pipe:
    child_told, child_again, files = json.load(pipe)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
ask(PARENT_ASKED)
next_sample()
report(
    {
        "child": child_told,
        "child_again": child_again,
        "parent_before": parent_before,
        "parent_after": told(),
        "parent_asked": PARENT_ASKED,
        "child_asked": CHILD_ASKED,
        "files": files,
        "parent_pid": os.getpid(),
        "child_pid": pid,
    }
)
