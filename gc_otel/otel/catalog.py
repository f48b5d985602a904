"""THE table of metrics: name, kind, unit, meaning, attributes, and how each is read from a snapshot.

Instruments, the README's table and the tests derive from it.  Names are
OpenTelemetry's semantic conventions where there is one (``semconv``), and in their style
where there is none (``development``: such a name may change when a convention
appears).  The module imports no OpenTelemetry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from gc_otel._version import __version__
from gc_otel.flight import layout
from gc_otel.flight.snapshot import GenerationStats, Interpreter, Memory, Snapshot
from gc_otel.otel import heap_points

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
Attributes = Mapping[str, str | int]
Point = tuple[float, Attributes]
S = TypeVar("S")

GENERATION: Final = "cpython.gc.generation"
_NS_PER_S: Final = 1e9

#: The duration histogram's bounds in seconds.
DURATION_BOUNDS_S: Final = tuple(bound_ns / _NS_PER_S for bound_ns in layout.DURATION_BOUNDS_NS)


@dataclass(frozen=True, slots=True)
class Metric(Generic[S]):
    """One row.  ``read`` gives the points of a snapshot (an ``S``); the histogram is fed apart and has none.

    ``since_recording`` marks totals that begin at zero with the recorder, not with the process.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...]
    read: Callable[[S], Iterable[Point]]
    semconv: bool = False
    since_recording: bool = False


def _no_points(_: Snapshot) -> Iterable[Point]:
    return ()


def _by_generation(pick: Callable[[GenerationStats], int]) -> Callable[[Snapshot], Iterable[Point]]:
    def read(snapshot: Snapshot) -> Iterable[Point]:
        return [(pick(stats), {GENERATION: number}) for number, stats in enumerate(snapshot.collector.generations)]

    return read


def _interpreter_row(pick: Callable[[Interpreter], tuple[int, ...]]) -> Callable[[Snapshot], Iterable[Point]]:
    def read(snapshot: Snapshot) -> Iterable[Point]:
        if snapshot.interpreter is None:
            return []
        return [(value, {GENERATION: number}) for number, value in enumerate(pick(snapshot.interpreter))]

    return read


def _interpreter(pick: Callable[[Interpreter], int | None]) -> Callable[[Snapshot], Iterable[Point]]:
    def read(snapshot: Snapshot) -> Iterable[Point]:
        value = None if snapshot.interpreter is None else pick(snapshot.interpreter)
        return [] if value is None else [(value, {})]

    return read


def _memory(
    pick: Callable[[Memory], int | None],
    attributes: Callable[[Memory], Attributes] = lambda _: {},
    scale: float = 1,
) -> Callable[[Snapshot], Iterable[Point]]:
    def read(snapshot: Snapshot) -> Iterable[Point]:
        if snapshot.memory is None:
            return []
        value = pick(snapshot.memory)
        return [] if value is None else [(value if scale == 1 else value * scale, attributes(snapshot.memory))]

    return read


def _split(attribute: str, **reads: Callable[[Memory], int | None]) -> Callable[[Snapshot], Iterable[Point]]:
    """Points of several memory fields, told apart by one attribute; ``cpu.mode`` is in seconds."""
    scale = 1 / _NS_PER_S if attribute == "cpu.mode" else 1

    def with_value(value: str) -> Callable[[Memory], Attributes]:
        return lambda _: {attribute: value}

    readers = [_memory(pick, with_value(value), scale) for value, pick in reads.items()]

    def read(snapshot: Snapshot) -> Iterable[Point]:
        return [point for each in readers for point in each(snapshot)]

    return read


def _uptime(snapshot: Snapshot) -> Iterable[Point]:
    until_unix_ns = snapshot.identity.exited_unix_ns or time.time_ns()
    # Not negative where the clock was set back since.
    return [(max(0, until_unix_ns - snapshot.identity.started_unix_ns) / _NS_PER_S, {})]


def _overhead(snapshot: Snapshot) -> Iterable[Point]:
    spent_ns = {
        "recorder": snapshot.collector.overhead_ns,
        "monitor": snapshot.interpreter.overhead_ns if snapshot.interpreter is not None else 0,
        "collect": snapshot.published.overhead_ns,
        "census": snapshot.census.cost_ns if snapshot.census is not None else 0,
        "cycles": snapshot.cycles.cost_ns if snapshot.cycles is not None else 0,
        "measure": snapshot.measured.cost_ns if snapshot.measured is not None else 0,
    }
    return [(spent_ns[component] / _NS_PER_S, {"component": component}) for component in layout.OVERHEAD_COMPONENTS]


def dropped(snapshot: Snapshot) -> dict[str, int]:
    """Events missing from the published histogram, by reason."""
    interpreter = snapshot.interpreter
    return {
        "self": snapshot.published.dropped_self,
        "limit": snapshot.published.dropped_limit,
        "no_start": sum(stats.no_start for stats in snapshot.collector.generations),
        "unseen": sum(interpreter.unseen) if interpreter is not None else 0,
    }


def _dropped(snapshot: Snapshot) -> Iterable[Point]:
    return [(count, {"reason": reason}) for reason, count in dropped(snapshot).items()]


def _info(snapshot: Snapshot) -> Iterable[Point]:
    identity = snapshot.identity
    attributes = {
        "gc_otel.version": __version__,
        "gc_otel.recorder": identity.recorder,
        "gc_otel.duration.clock": identity.duration_clock,
        "cpython.gc.mode": identity.gc_mode,
    }
    return [(1, attributes)]


CATALOG: Final[tuple[Metric[Snapshot], ...]] = (
    Metric(
        "cpython.gc.collections",
        "counter",
        "{collection}",
        "Collections since recording began.",
        (GENERATION,),
        _by_generation(lambda stats: stats.collections),
        semconv=True,
        since_recording=True,
    ),
    Metric(
        "cpython.gc.duration",
        "histogram",
        "s",
        "How long collections took. On builds with a GIL nothing else ran meanwhile: a pause of the whole process.",
        (GENERATION,),
        _no_points,
        since_recording=True,
    ),
    Metric(
        "cpython.gc.collected_objects",
        "counter",
        "{object}",
        "Objects freed by the collector. Objects, not cycles; the same code counts differently on other versions.",
        (GENERATION,),
        _by_generation(lambda stats: stats.collected),
        semconv=True,
        since_recording=True,
    ),
    Metric(
        "cpython.gc.uncollectable_objects",
        "counter",
        "{object}",
        "Objects found unreachable and not freed: they stay in gc.garbage. Anything above zero is a leak.",
        (GENERATION,),
        _by_generation(lambda stats: stats.uncollectable),
        semconv=True,
        since_recording=True,
    ),
    Metric(
        "cpython.gc.explicit_collections",
        "counter",
        "{collection}",
        "Collections that the program asked for by gc.collect(); the others were CPython's own decision. "
        "Exact but for gc.collect(0), and gc.collect(1) where one is due: after a long time without, "
        "up to 63 may be taken for automatic; from CPython 3.12 on a gc.collect() just where a full one is due, too.",
        (GENERATION,),
        _by_generation(lambda stats: stats.explicit_collections),
        since_recording=True,
    ),
    Metric(
        "cpython.gc.threshold",
        "gauge",
        "{count}",
        "gc.get_threshold(): a generation is collected when its pending count exceeds this.",
        (GENERATION,),
        _interpreter_row(lambda interpreter: interpreter.thresholds),
    ),
    Metric(
        "cpython.gc.pending",
        "gauge",
        "{count}",
        "gc.get_count(): for generation 0 net allocations, for the others collections of the next younger one.",
        (GENERATION,),
        _interpreter_row(lambda interpreter: interpreter.pending),
    ),
    Metric(
        "cpython.gc.enabled",
        "gauge",
        "1",
        "1 while automatic collection is enabled, 0 after gc.disable().",
        (),
        _interpreter(lambda interpreter: int(interpreter.gc_enabled)),
    ),
    Metric(
        "cpython.gc.garbage",
        "gauge",
        "{object}",
        "len(gc.garbage): what the collector gave up on, or was told to keep.",
        (),
        heap_points.garbage,
    ),
    Metric(
        "cpython.gc.cycles",
        "counter",
        "{cycle}",
        "Estimate: garbage cycles that young collections freed, by the types around them, such as app.Node -> dict. "
        "Ten shapes have a series, the rest is other. From sampled collections of generations 0 and 1; cycles that "
        "live until a full collection are not in it.",
        (heap_points.CYCLE,),
        heap_points.cycles,
        since_recording=True,
    ),
    Metric(
        "cpython.heap.objects",
        "gauge",
        "{object}",
        "Objects by type at the last census; plain containers are named by their owner. The ten largest or fastest "
        "growing types, the rest is other. Strings and other untracked objects are estimated from a sample.",
        (heap_points.TYPE,),
        heap_points.by_type(lambda row: row.objects),
    ),
    Metric(
        "cpython.heap.size",
        "gauge",
        "By",
        "The shallow bytes of these objects: without what they refer to.",
        (heap_points.TYPE,),
        heap_points.by_type(lambda row: row.size_bytes),
    ),
    Metric(
        "cpython.heap.unattributed",
        "gauge",
        "By",
        "Resident memory at the census that its types do not explain: buffers of extensions, code, free blocks.",
        (),
        heap_points.of_census(lambda census: census.unattributed_bytes),
    ),
    Metric(
        "gc_otel.census.duration",
        "gauge",
        "s",
        "How long the walk of the last census took; the native one holds the GIL meanwhile.",
        (),
        heap_points.of_census(lambda census: census.hold_ns / _NS_PER_S),
    ),
    Metric(
        "cpython.memory.allocated_blocks",
        "gauge",
        "{block}",
        "sys.getallocatedblocks(): small blocks that Python objects hold. Growing with it, memory is Python's; "
        "growing without it, look at extensions, large buffers and the allocator.",
        (),
        _interpreter(lambda interpreter: interpreter.allocated_blocks),
    ),
    Metric(
        "process.memory.usage",
        "updowncounter",
        "By",
        "Resident set size: physical memory in use, pages shared with others included.",
        (),
        _memory(lambda memory: memory.rss_bytes),
        semconv=True,
    ),
    Metric(
        "process.memory.virtual",
        "updowncounter",
        "By",
        "Committed virtual memory: address space, not memory in use.",
        (),
        _memory(lambda memory: memory.vms_bytes),
        semconv=True,
    ),
    Metric(
        "process.memory.uss",
        "updowncounter",
        "By",
        "Unique set size: what would come back if this process ended. Sampled more rarely.",
        (),
        _memory(lambda memory: memory.uss_bytes),
    ),
    Metric(
        "process.memory.pss",
        "updowncounter",
        "By",
        "Proportional set size: shared pages divided among those who share them. Sampled more rarely.",
        (),
        _memory(lambda memory: memory.pss_bytes),
    ),
    Metric(
        "process.memory.swap",
        "updowncounter",
        "By",
        "Memory swapped out. Sampled more rarely.",
        (),
        _memory(lambda memory: memory.swap_bytes),
    ),
    Metric(
        "process.memory.limit",
        "updowncounter",
        "By",
        "The memory limit that binds first: of the cgroup, of RLIMIT_AS, or the machine's memory.",
        ("process.memory.limit.source",),
        _memory(
            lambda memory: memory.limit_bytes,
            lambda memory: {"process.memory.limit.source": memory.limit_source},
        ),
    ),
    Metric(
        "process.cpu.time",
        "counter",
        "s",
        "CPU time of the process.",
        ("cpu.mode",),
        _split("cpu.mode", user=lambda memory: memory.cpu_user_ns, system=lambda memory: memory.cpu_system_ns),
        semconv=True,
    ),
    Metric(
        "process.thread.count",
        "updowncounter",
        "{thread}",
        "Operating-system threads.",
        (),
        _memory(lambda memory: memory.threads),
        semconv=True,
    ),
    Metric(
        "process.unix.file_descriptor.count",
        "updowncounter",
        "{file_descriptor}",
        "Open file descriptors.",
        (),
        _memory(lambda memory: memory.file_descriptors),
        semconv=True,
    ),
    Metric(
        "process.context_switches",
        "counter",
        "{context_switch}",
        "Context switches: voluntary ones wait for something, involuntary ones were pushed aside.",
        ("process.context_switch.type",),
        _split(
            "process.context_switch.type",
            voluntary=lambda memory: memory.voluntary_switches,
            involuntary=lambda memory: memory.involuntary_switches,
        ),
        semconv=True,
    ),
    Metric(
        "process.paging.faults",
        "counter",
        "{fault}",
        "Page faults: major ones waited for a disk.",
        ("system.paging.fault.type",),
        _split(
            "system.paging.fault.type",
            minor=lambda memory: memory.minor_faults,
            major=lambda memory: memory.major_faults,
        ),
        semconv=True,
    ),
    Metric("process.uptime", "gauge", "s", "Time since the process began.", (), _uptime, semconv=True),
    Metric(
        "gc_otel.overhead.time",
        "counter",
        "s",
        "What gc_otel itself spent: CPU time of monitor, collect, census, cycle sampler and measure; for the recorder "
        "an estimate from one collection in 64.",
        ("component",),
        _overhead,
        since_recording=True,
    ),
    Metric(
        "gc_otel.events.dropped",
        "counter",
        "{event}",
        "Collections missing from cpython.gc.duration: caused by publishing itself (self), too many between two "
        "collects (limit), begun before recording (no_start), or not shown to the recorder (unseen).",
        ("reason",),
        _dropped,
        since_recording=True,
    ),
    Metric(
        "gc_otel.recorder.info",
        "gauge",
        "1",
        "Always 1: which recorder, its clock, and how this interpreter's collector works.",
        ("gc_otel.version", "gc_otel.recorder", "gc_otel.duration.clock", "cpython.gc.mode"),
        _info,
    ),
)

DURATION: Final = next(metric for metric in CATALOG if metric.kind == "histogram")
