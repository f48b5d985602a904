"""The Leak hunt dashboard's part about what grew: objects of which type, garbage cycles, or bytes that Python does not count."""

from __future__ import annotations

from typing import Final

from grafana.board import Board, link_to_process
from grafana.labels import BY_PROCESS, PROCESS_LEGEND, counted, pick
from grafana.names import GENERATION, label
from grafana.panels import Builder, bars, graph, queries, query, rising

#: Over how long growth is looked at: hours for a verdict, minutes to watch a leak that was made on purpose.
WINDOW: Final = "$window"

#: The largest block that sys.getallocatedblocks() counts: more than this a block, and it was no small object.
LARGEST_BLOCK_BYTES: Final = 512

_HOUR: Final = 3600
_MIB: Final = 1 << 20
_TYPE: Final = label("cpython.type")
_CYCLE: Final = label("cpython.gc.cycle")
_NO_CENSUS: Final = "no census"


def put(board: Board) -> None:
    """Add the rows."""
    board.row("Of what kind?")
    board.put(12, 9, _what_grew(), _bytes_per_block())
    board.put(12, 8, _collected(), _threads())
    board.row("Which objects?")
    board.put(12, 10, _types_by_size(), _types_by_growth())
    board.put(8, 9, _cycles(), _uncounted(), _objects())


def growth(metric: str) -> str:
    """Bytes or blocks a second of each process that was there when the window began: a start is no growth."""
    old = f"sum by ({BY_PROCESS}) ({pick('process.uptime')} offset {WINDOW})"
    return f"(sum by ({BY_PROCESS}) (deriv({pick(metric)}[{WINDOW}])) and {old})"


def unattributed() -> str:
    """Growth beyond what the new blocks explain at the process's own bytes per block, at most the largest block's."""
    resident = f"sum by ({BY_PROCESS}) ({pick('process.memory.usage')})"
    blocks = f"(sum by ({BY_PROCESS}) ({pick('cpython.memory.allocated_blocks')}) > 0)"
    of_a_block = f"clamp_max({resident} / {blocks}, {LARGEST_BLOCK_BYTES})"
    return (
        f"({growth('process.memory.usage')} - {of_a_block} * clamp_min({growth('cpython.memory.allocated_blocks')}, 0))"
    )


def _what_grew() -> Builder:
    by_blocks = f"sum(clamp_min({growth('process.memory.usage')} - clamp_min({unattributed()}, 0), 0)) * {_HOUR}"
    return graph(
        "What grew",
        "Growth per hour, over the chosen time, of all selected processes that grow, parted by what explains it: as many new blocks as the process has "
        "bytes for each, or nothing that Python counts. Mostly unattributed: native memory, large buffers, or the allocator. Look next at: Bytes per block.",
        "bytes",
        *queries(
            (by_blocks, "objects, by their blocks"),
            (f"sum(clamp_min({unattributed()}, 0)) * {_HOUR}", "unattributed"),
        ),
        stacked=True,
    )


def _bytes_per_block() -> Builder:
    rss, blocks = pick("process.memory.usage"), pick("cpython.memory.allocated_blocks")
    return graph(
        "Bytes per block",
        "RSS divided by allocated blocks. Level: memory and objects grow together. Rising: bytes without objects, native memory, large buffers or "
        "fragmentation. Falling: many small objects. Look next at: What grew.",
        "bytes",
        *queries((f"topk(10, sum by ({BY_PROCESS}) ({rss}) / (sum by ({BY_PROCESS}) ({blocks}) > 0))", PROCESS_LEGEND)),
        decimals=0,
        many=True,
    ).data_links([link_to_process()])


def _collected() -> Builder:
    objects = counted("cpython.gc.collected_objects", "gc_otel.service.collected_objects", GENERATION)
    return graph(
        "Collected objects",
        "Garbage cycles, in objects freed by the collector a second. Much of it in generation 2: cycles live until the full collection, and memory "
        "saws. Zero while memory rises: somebody holds it. Look next at: Garbage cycles by signature.",
        "cps",
        *queries((objects, f"generation {{{{{GENERATION}}}}}")),
    )


def _threads() -> Builder:
    return graph(
        "Threads and descriptors",
        "What often leaks together with memory: a thread brings its stack, a descriptor a connection with its buffers. Rising with the floor, they show "
        "the way. Look next at: the Python process dashboard.",
        "short",
        *queries(
            (f"sum({pick('process.thread.count')})", "threads"),
            (f"sum({pick('process.unix.file_descriptor.count')})", "file descriptors"),
        ),
    )


def _types_by_size() -> Builder:
    return graph(
        "Types by size",
        "What the objects on the heap take, by type, of all selected processes: the ten largest that the census names, and the others together. "
        "A type that climbs with the memory floor is what is kept. Look next at: Types by growth.",
        "bytes",
        *queries((f"sum by ({_TYPE}) ({pick('cpython.heap.size')})", f"{{{{{_TYPE}}}}}")),
        stacked=True,
        many=True,
    ).no_value(_NO_CENSUS)


def _types_by_growth() -> Builder:
    """A sum over processes: one that was not there when the window began is no growth."""
    old = f"sum by ({BY_PROCESS}) ({pick('process.uptime')} offset {WINDOW})"
    each = f"sum by ({BY_PROCESS}, {_TYPE}) (deriv({pick('cpython.heap.size')}[{WINDOW}]))"
    grown = f"sum by ({_TYPE}) ({each} and on ({BY_PROCESS}) {old}) * {_HOUR}"
    target = query(f"sort_desc(topk(10, {grown} > 0))", f"{{{{{_TYPE}}}}}", instant=True)
    return bars(
        "Types by growth",
        "Bytes an hour by which each type grew over the chosen time. The first is the suspect: `gc-otel census PID --diff 60` on the host says more. "
        "Containers (dict, list) grow because of what is in them: look for the type of your own below them.",
        "bytes",
        target,
        steps=rising(2 * _MIB, 20 * _MIB),
    ).no_value("nothing grows, or no census")


def _uncounted() -> Builder:
    expr = f"topk(10, sum by ({BY_PROCESS}) ({pick('cpython.heap.unattributed')}))"
    panel = graph(
        "Unattributed bytes",
        "RSS less what the census counted: the interpreter and its code, free memory that the allocator keeps, and everything native. Level at some ten MiB is normal; "
        "rising with RSS, the leak is outside of Python's objects. Look next at: Bytes per block.",
        "bytes",
        *queries((expr, PROCESS_LEGEND)),
        many=True,
        narrow=True,
    )
    return panel.data_links([link_to_process()]).no_value(_NO_CENSUS)


def _cycles() -> Builder:
    return graph(
        "Garbage cycles by signature",
        "Cycles that only the collector could free, a second, by the types along them; estimated from a sample of young collections. The largest is the code to look at: a "
        "parent reference that could be weak, a callback, an exception kept with its traceback. Compare with Collected objects.",
        "cps",
        *queries((f"sum by ({_CYCLE}) (rate({pick('cpython.gc.cycles')}[$__rate_interval]))", f"{{{{{_CYCLE}}}}}")),
        stacked=True,
    ).no_value("no sampling of cycles")


def _objects() -> Builder:
    return graph(
        "Types by number",
        "How many objects of each type are alive. Many and small: a registry or a cache of your own type; few and large: buffers. "
        "Compare with Types by size.",
        "short",
        *queries((f"sum by ({_TYPE}) ({pick('cpython.heap.objects')})", f"{{{{{_TYPE}}}}}")),
        stacked=True,
    ).no_value(_NO_CENSUS)
