"""What a flight file says, as frozen data with units in the names.

Nothing here knows where the bytes came from; :mod:`gc_otel.flight.reader` makes these.
``None`` means "not known", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from gc_otel.flight.heap_snapshot import CycleSample, HeapCensus, Measured


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes the file.

    ``exception`` is the class of what ended the main thread, ``exit_code`` what the process gave to exit(): both are
    known only where it noted its own exit (``state`` is ``exited``).
    """

    pid: int
    parent_pid: int
    pid_namespace: int | None
    service_name: str
    service_version: str
    instance_id: str
    program: str
    python_version: str
    recorder: str
    duration_clock: str
    gc_mode: str
    state: str
    created_unix_ns: int
    started_unix_ns: int
    exited_unix_ns: int | None
    monotonic_to_unix_ns: int
    origin: str = "unknown"
    exit_code: int | None = None
    exception: str = ""


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """Totals of one generation since recording began.

    ``buckets[i]`` counts durations up to ``layout.DURATION_BOUNDS_NS[i]``
    (and above the bound before), the last one the rest; they add up to
    ``collections``.  The ``own`` ones are the part that publishing itself caused.
    """

    collections: int
    explicit_collections: int
    collected: int
    uncollectable: int
    candidates: int
    duration_sum_ns: int
    duration_max_ns: int
    no_start: int
    buckets: tuple[int, ...]
    bucket_sum_ns: tuple[int, ...]
    own_buckets: tuple[int, ...]
    own_bucket_sum_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One collection.  ``number`` counts from 1; ``start_ns`` is monotonic."""

    number: int
    start_ns: int
    duration_ns: int
    wall_ns: int
    generation: int
    explicit: bool
    own: bool
    collected: int
    uncollectable: int
    candidates: int
    thread_id: int
    trace_id: int
    span_id: int


@dataclass(frozen=True, slots=True)
class CollectionInProgress:
    """A collection that has started and not stopped."""

    since_ns: int
    generation: int
    thread_id: int


@dataclass(frozen=True, slots=True)
class Collector:
    """The recorder's blocks, copied at one moment.

    ``torn`` is true only for a process that died, or hangs, inside the
    callback: its last collection may be half counted.
    """

    generations: tuple[GenerationStats, ...]
    events: int
    window_max_ns: int
    overhead_ns: int
    in_progress: CollectionInProgress | None
    latest: tuple[Event, ...]
    longest: tuple[Event, ...]
    torn: bool

    @property
    def collections(self) -> int:
        """Collections of all generations."""
        return sum(each.collections for each in self.generations)

    @property
    def duration_sum_ns(self) -> int:
        """Time in collections of all generations."""
        return sum(each.duration_sum_ns for each in self.generations)

    @property
    def duration_max_ns(self) -> int:
        """The longest collection since recording began."""
        return max(each.duration_max_ns for each in self.generations)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What the monitor asked the interpreter, at ``beat_ns`` (monotonic)."""

    beat_ns: int
    interval_ns: int
    allocated_blocks: int | None
    gc_enabled: bool
    thresholds: tuple[int, ...]
    pending: tuple[int, ...]
    unseen: tuple[int, ...]
    overhead_ns: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What the operating system said of the process, at ``sampled_ns`` (monotonic)."""

    sampled_ns: int
    rss_bytes: int | None
    vms_bytes: int | None
    uss_bytes: int | None
    pss_bytes: int | None
    swap_bytes: int | None
    limit_bytes: int | None
    limit_source: str
    cpu_user_ns: int | None
    cpu_system_ns: int | None
    threads: int | None
    file_descriptors: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None
    minor_faults: int | None
    major_faults: int | None


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One entry of the history ring."""

    unix_ns: int
    rss_bytes: int | None
    uss_bytes: int | None
    limit_bytes: int | None
    allocated_blocks: int | None
    collections: int
    duration_sum_ns: int
    window_max_ns: int
    cpu_ns: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of ours that failed and was contained."""

    text: str
    count: int
    last_unix_ns: int


@dataclass(frozen=True, slots=True)
class Published:
    """What the publisher of library mode did."""

    collects: int
    dropped_self: int
    dropped_limit: int
    overhead_ns: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One process, at one moment.

    ``interpreter`` and ``memory`` are None before the first sample; ``census``, ``cycles`` and ``measured`` where
    they could not be read.
    """

    identity: Identity
    collector: Collector
    interpreter: Interpreter | None
    memory: Memory | None
    faults: tuple[Fault, ...]
    published: Published
    census: HeapCensus | None = None
    cycles: CycleSample | None = None
    measured: Measured | None = None
