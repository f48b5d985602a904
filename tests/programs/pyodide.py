"""The Python recorder on an interpreter that collects incrementally (CPython 3.14.2 on wasm, without mmap or threads)."""

import gc
import sys

from gc_otel.flight import layout, reader
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.flight.recorder import gc_mode


class HeapMapping:
    """Cells in an ordinary bytearray."""

    alive = True

    def __init__(self) -> None:
        self._memory = bytearray(layout.FILE_BYTES)

    def view(self) -> memoryview:
        return memoryview(self._memory)


class Source:
    atomic = True

    def __init__(self, mapping: HeapMapping) -> None:
        self._mapping = mapping

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        return bytes(self._mapping.view()[offset_bytes : offset_bytes + size_bytes])


class Node:
    """Something for cycles."""


assert gc_mode() == "incremental", (sys.version, gc_mode())
mapping = HeapMapping()
recorder = PythonRecorder(mapping, thread_id=lambda: 1)
expected = [0, 0, 0]


def count(phase: str, info: dict[str, int]) -> None:
    """The oracle: get_stats() counts only completed cycles here, not each increment."""
    if phase == "stop":
        expected[info["generation"]] += 1


recorder.install()
gc.callbacks.append(count)
kept = []
for _ in range(20_000):
    node = Node()
    node.self = node
    kept.append([node])
for generation in (0, 1, 2):
    gc.collect(generation)
gc.callbacks.remove(count)
assert recorder.uninstall()
assert recorder.faults == 0, recorder.faults

collector = reader.read_collector(Source(mapping))
recorded = [stats.collections for stats in collector.generations]
explicit = [stats.explicit_collections for stats in collector.generations]
print(sys.version.split()[0], "recorded", recorded, "called back", expected, "explicit", explicit)
assert recorded == expected
assert explicit == [1, 1, 1], explicit
assert recorded[1] > 1, "no automatic increments were seen"
print("1 passed, 0 failed")
