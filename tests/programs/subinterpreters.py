"""A sub-interpreter beside a recorder.  Arguments: native|python, then legacy or isolated."""

from __future__ import annotations

import gc
import os
import sys

import _recorded as recorded

try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters

INSIDE = """
import gc, os
import gc_otel
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.probe import probe
try:
    probe.start(Config(dir={folder!r}))
    told = "started"
except NotSupported as error:
    told = "NotSupported: " + error.remedy
garbage = []
garbage.append(garbage)
for _ in range(5):
    gc.collect()
os.write({fd}, (told + "; callbacks " + str(len(gc.callbacks))).encode())
"""


def create(*, isolated: bool) -> object:
    if sys.version_info >= (3, 13):
        return _interpreters.create("isolated" if isolated else "legacy")
    return _interpreters.create(isolated=isolated)


recorded.start()
recorded.wait_for_rounds()
gc.disable()
files_before = [path.name for path in recorded.flight_files()]
before = recorded.snapshot().collector.collections
told = []
for _ in range(3):
    read_fd, write_fd = os.pipe()
    interpreter = create(isolated=sys.argv[2] == "isolated")
    failed = _interpreters.run_string(interpreter, INSIDE.format(folder=os.environ["GC_OTEL_DIR"], fd=write_fd))
    assert failed is None, failed
    told.append(os.read(read_fd, 1000).decode())
    _interpreters.destroy(interpreter)
of_the_others = recorded.snapshot().collector.collections - before
recorded.wait_for_rounds()
gc.collect()
recorded.report(
    told=sorted(set(told)),
    of_the_others=of_the_others,
    goes_on=recorded.snapshot().collector.collections - before,
    same_files=files_before == [path.name for path in recorded.flight_files()],
)
