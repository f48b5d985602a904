"""The cells of a flight file, named once.

A flight file is a row of unsigned 64-bit cells in the byte order of the
machine, cut into blocks.  Every block has one writer (named beside it) and, where more
than one cell must be read together, begins with a ``sequence`` cell: odd
while the writer is inside, so that a reader who sees the same even number
before and after its copy has a consistent one (a seqlock).

This module is the only place that knows an offset: ``layout_header`` makes ``gc_otel/_native/layout.h`` from it.
"""

from __future__ import annotations

from gc_otel.record import Record

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from typing import Final

CELL_BYTES: Final = 8
PAGE_BYTES: Final = 4096

#: First cell of every flight file: ``GCOTEL`` and two bytes that tell byte order and width.
MAGIC: Final = int.from_bytes(b"GCOTEL\x01\x02", "big")

#: Raised whenever a block moves or a cell changes its meaning.
LAYOUT_VERSION: Final = 4

#: Written where a number is not known (a source that failed, a limit that is not set).
ABSENT: Final = 2**64 - 1

GENERATIONS: Final = 3
LATEST_EVENTS: Final = 512
LONGEST_EVENTS: Final = 32
HISTORY_ENTRIES: Final = 720  # one hour at the default of one entry every 5 s
FAULT_ENTRIES: Final = 16
FAULT_TEXT_BYTES: Final = 240

#: Rows of the census, of gc.garbage and of the cycle sampler, and how many of them have series of their own.
CENSUS_TYPES: Final = 64
GARBAGE_TYPES: Final = 8
CYCLE_SIGNATURES: Final = 48
SERIES: Final = 10
TYPE_NAME_BYTES: Final = 112
SIGNATURE_BYTES: Final = 192

#: Blocks of code that ``measure`` tells apart; a slot is a name, with or without an overlap.
MEASURED_NAMES: Final = 32
MEASURE_SLOTS: Final = 44
MEASURE_NAME_BYTES: Final = 64

#: Upper bounds of the histograms of ``measure``, in the order of their fields; one more bucket holds what is larger.
MEASURE_BOUNDS: Final = {
    "blocks": (-1_000, 0, 100, 1_000, 10_000, 100_000, 1_000_000),
    "rss_bytes": (-(2**20), 0, 2**16, 2**20, 2**24, 2**28, 2**30),
    "uss_bytes": (-(2**20), 0, 2**16, 2**20, 2**24, 2**28, 2**30),
    "collections": (0, 1, 2, 5, 10, 100, 1_000),
    "gc_ns": (0, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000),
}
MEASURE_BUCKETS: Final = 8

#: Upper bounds of the duration histogram, nanoseconds; one more bucket holds what is longer.
#: Young collections take 10 us to 500 us, full ones 1 ms to seconds (measured on
#: CPython 3.9 to 3.15), so the bounds are densest there.
DURATION_BOUNDS_NS: Final = (
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
    10_000_000_000,
)
BUCKETS: Final = len(DURATION_BOUNDS_NS) + 1

#: Why an event is missing from what was published.
DROP_REASONS: Final = ("self", "limit", "no_start", "unseen")

#: The parts of this tool whose own time is measured.
OVERHEAD_COMPONENTS: Final = ("recorder", "monitor", "collect", "census", "cycles", "measure")

EXPLICIT_FLAG: Final = 1  # the program called gc.collect()
OWN_FLAG: Final = 2  # caused by this tool's own publishing
FLAGS_SHIFT: Final = 8  # an event's kind is generation | flags << FLAGS_SHIFT


class Field(Record):
    """``cells`` cells in a row, named together."""

    name: str
    doc: str
    cells: int = 1


class Block:
    """A run of ``fields`` at ``offset_bytes``, standing ``entries`` times in a row, ``stride_cells`` from one to the next."""

    def __init__(self, name: str, offset_bytes: int, writer: str, fields: tuple[Field, ...], entries: int = 1) -> None:
        self.name = name
        self.offset_bytes = offset_bytes
        self.writer = writer
        self.fields = fields
        self.entries = entries
        self._offsets: dict[str, int] = {}
        self.stride_cells = 0
        for field in fields:
            self._offsets[field.name] = self.stride_cells
            self.stride_cells += field.cells

    @property
    def size_bytes(self) -> int:
        """Bytes that the block uses."""
        return self.stride_cells * self.entries * CELL_BYTES

    def offset_in_entry(self, name: str) -> int:
        """Cells from the start of an entry to the field ``name``; KeyError if there is none."""
        return self._offsets[name]

    def cell(self, name: str, entry: int = 0) -> int:
        """Index, counted in cells from the start of the file, of a field's first cell."""
        return self.offset_bytes // CELL_BYTES + entry * self.stride_cells + self._offsets[name]


def _after(block: Block) -> int:
    """The first page behind a block: writers of different blocks never share a page, WINDOW alone excepted."""
    return -(-(block.offset_bytes + block.size_bytes) // PAGE_BYTES) * PAGE_BYTES


HEADER: Final = Block(
    "header",
    0,
    "the process, before its file is renamed into place; at exit what is said of it",
    (
        Field("magic", "MAGIC"),
        Field("layout_version", "LAYOUT_VERSION"),
        Field("file_bytes", "size of the file"),
        Field("pid", "process id, as the process itself sees it"),
        Field("parent_pid", "the same of its parent at the start"),
        Field("pid_namespace", "inode of the pid namespace, or ABSENT"),
        Field("created_unix_ns", "when recording began"),
        Field("started_unix_ns", "when the process began"),
        Field("monotonic_to_unix_ns", "add to a monotonic clock of this file to get Unix time"),
        Field("python_hexversion", "sys.hexversion"),
        Field("recorder_kind", "index into RECORDER_KINDS"),
        Field("duration_clock", "index into DURATION_CLOCKS"),
        Field("gc_mode", "index into GC_MODES"),
        Field("state", "index into STATES"),
        Field("exited_unix_ns", "when a clean exit was noted, else 0"),
        Field("service_name", "UTF-8, padded with NUL", 16),
        Field("service_version", "UTF-8, padded with NUL", 8),
        Field("python_version", "UTF-8, padded with NUL", 8),
        Field("program", "base name of the program, UTF-8, padded with NUL; never its arguments", 16),
        Field("instance_id", "service.instance.id, UTF-8, padded with NUL", 8),
        Field("origin", "index into ORIGINS"),
        Field("exit_code", "what exit() was given, noted by the native recorder on glibc; else ABSENT"),
        Field("exception", "qualified class of what ended the main thread, never its message; padded with NUL", 16),
    ),
)

RECORDER_KINDS: Final = ("unknown", "native", "python")
DURATION_CLOCKS: Final = ("unknown", "monotonic", "thread_cpu", "cpython")
GC_MODES: Final = ("unknown", "generational", "incremental", "freethreaded")
STATES: Final = ("unknown", "running", "exited", "stopped")
#: Forked children often end by ``os._exit()``, as multiprocessing's do, and leave no mark of their exit.
ORIGINS: Final = ("unknown", "started", "forked")

GC: Final = Block(
    "gc",
    _after(HEADER),
    "the gc callback",
    (
        Field("sequence", "odd while the callback writes"),
        Field("collecting_since_ns", "monotonic start of the collection in progress, else 0"),
        Field("collecting_kind", "its generation and flags"),
        Field("collecting_thread_id", "native id of the thread that runs it"),
        Field("events", "collections recorded in all; index of the next ring entry"),
        Field("longest_entries", "entries in use of the longest table"),
        Field("longest_floor_ns", "shortest duration in the full longest table, else 0"),
        Field("window", "the window that window_max_ns speaks of"),
        Field("window_max_ns", "longest duration since the monitor opened that window"),
        Field("overhead_ns", "estimate, from one collection in 64: the recorder's own time"),
    ),
)

#: Among the callback's cells, since a page of its own would be one more for the callback to have fetched.
WINDOW: Final = Block(
    "window",
    GC.offset_bytes + GC.size_bytes,
    "the monitor thread, a cell at a time; the gc callback reads it",
    (Field("number", "of the window that the monitor opened last"),),
)

GENERATION: Final = Block(
    "generation",
    WINDOW.offset_bytes + WINDOW.size_bytes,
    "the gc callback, under GC.sequence",
    (
        Field("collections", "collections with a known duration"),
        Field("explicit_collections", "those of them that the program asked for"),
        Field("collected", "objects freed"),
        Field("uncollectable", "objects found and not freed"),
        Field("candidates", "objects examined, where CPython tells (3.15)"),
        Field("duration_sum_ns", "sum of durations"),
        Field("duration_max_ns", "longest duration"),
        Field("no_start", "collections that began before the recorder was installed: no duration"),
        Field("buckets", "durations by DURATION_BOUNDS_NS", BUCKETS),
        Field("bucket_sum_ns", "sum of the durations in each bucket", BUCKETS),
        Field("own_buckets", "those of buckets that this tool's own publishing caused", BUCKETS),
        Field("own_bucket_sum_ns", "their sums", BUCKETS),
    ),
    entries=GENERATIONS,
)

_EVENT_FIELDS: Final = (
    Field("number", "1 for the first event of the process; 0 marks an empty entry"),
    Field("start_ns", "monotonic"),
    Field("duration_ns", "by the clock that the header names"),
    Field("wall_ns", "by the monotonic clock"),
    Field("kind", "generation and flags"),
    Field("collected", "objects freed"),
    Field("uncollectable", "objects found and not freed"),
    Field("candidates", "objects examined, where CPython tells"),
    Field("thread_id", "native id of the thread that ran it"),
    Field("trace_id_high", "reserved: trace in progress"),
    Field("trace_id_low", "reserved: trace in progress"),
    Field("span_id", "reserved: span in progress"),
)

LATEST: Final = Block("latest", _after(GENERATION), "the gc callback, under GC.sequence", _EVENT_FIELDS, LATEST_EVENTS)
LONGEST: Final = Block("longest", _after(LATEST), "the gc callback, under GC.sequence", _EVENT_FIELDS, LONGEST_EVENTS)

MONITOR: Final = Block(
    "monitor",
    _after(LONGEST),
    "the monitor thread",
    (
        Field("sequence", "odd while the monitor writes"),
        Field("beat_ns", "monotonic time of its last round"),
        Field("interval_ns", "time between rounds"),
        Field("history_entries", "history entries written in all"),
        Field("allocated_blocks", "sys.getallocatedblocks()"),
        Field("gc_enabled", "gc.isenabled()"),
        Field("threshold", "gc.get_threshold()", GENERATIONS),
        Field("pending", "gc.get_count()", GENERATIONS),
        Field("unseen", "collections that gc.get_stats() knows and the recorder does not", GENERATIONS),
        Field("overhead_ns", "CPU time of the monitor thread, and of the children that it made"),
        Field("requests", "index into REQUESTS, or more: the word on which others ring for the monitor"),
    ),
)

#: Whether the process answers requests.  ``unknown``: a version that does not, or no round yet.
REQUESTS: Final = ("unknown", "off", "served")

MEMORY: Final = Block(
    "memory",
    _after(MONITOR),
    "the monitor thread",
    (
        Field("sequence", "odd while the monitor writes"),
        Field("sampled_ns", "monotonic time of the sample"),
        Field("detail_sampled_ns", "monotonic time of uss, pss and swap"),
        Field("rss_bytes", "resident set size"),
        Field("vms_bytes", "virtual size"),
        Field("uss_bytes", "unique set size"),
        Field("pss_bytes", "proportional set size"),
        Field("swap_bytes", "swapped out"),
        Field("limit_bytes", "the memory limit that binds"),
        Field("limit_source", "index into LIMIT_SOURCES"),
        Field("cpu_user_ns", "CPU time in user mode"),
        Field("cpu_system_ns", "CPU time in system mode"),
        Field("threads", "operating-system threads"),
        Field("file_descriptors", "open descriptors"),
        Field("voluntary_switches", "context switches"),
        Field("involuntary_switches", "context switches"),
        Field("minor_faults", "page faults without I/O"),
        Field("major_faults", "page faults with I/O"),
    ),
)

LIMIT_SOURCES: Final = ("unknown", "cgroup-v2", "cgroup-v1", "rlimit-as", "machine")

HISTORY: Final = Block(
    "history",
    _after(MEMORY),
    "the monitor thread, under MONITOR.sequence",
    (
        Field("unix_ns", "when; 0 marks an empty entry"),
        Field("rss_bytes", "as in memory"),
        Field("uss_bytes", "as in memory"),
        Field("limit_bytes", "as in memory"),
        Field("allocated_blocks", "as in monitor"),
        Field("collections", "total over generations"),
        Field("duration_sum_ns", "total over generations"),
        Field("window_max_ns", "longest collection since the entry before"),
        Field("cpu_ns", "user and system"),
        Field("threads", "as in memory"),
    ),
    entries=HISTORY_ENTRIES,
)

FAULTS: Final = Block(
    "faults",
    _after(HISTORY),
    "any thread that holds the probe's lock",
    (
        Field("count", "how often"),
        Field("last_unix_ns", "when last; 0 marks an empty entry"),
        Field(
            "text",
            "UTF-8, padded with NUL: where, and the exception's class and message",
            FAULT_TEXT_BYTES // CELL_BYTES,
        ),
    ),
    entries=FAULT_ENTRIES,
)

PUBLISHED: Final = Block(
    "published",
    _after(FAULTS),
    "the thread that publishes, under the publisher's lock",
    (
        Field("collects", "how often metrics were collected"),
        Field("dropped_self", "collections caused by publishing, left out of the published histogram"),
        Field("dropped_limit", "collections left out because there were too many since the last collect"),
        Field("overhead_ns", "CPU time spent publishing"),
    ),
)

CENSUS: Final = Block(
    "census",
    _after(PUBLISHED),
    "the monitor thread",
    (
        Field("sequence", "odd while the monitor writes"),
        Field("state", "index into CENSUS_STATES"),
        Field("walker", "index into RECORDER_KINDS"),
        Field("censuses", "how many were taken"),
        Field("taken_ns", "monotonic time of the last one; 0 before the first"),
        Field("previous_taken_ns", "of the one before it, else 0"),
        Field("due_ns", "monotonic time before which there is no other"),
        Field("hold_ns", "how long the walk of the last one took; the native one holds the GIL meanwhile"),
        Field("cost_ns", "CPU time of all of them"),
        Field("sampled_every", "one in so many holders of untracked objects was looked into; 0: none"),
        Field("tracked_objects", "objects that the collector tracks"),
        Field("objects", "all objects counted"),
        Field("size_bytes", "their shallow bytes"),
        Field("previous_objects", "of the census before"),
        Field("previous_size_bytes", "of the census before"),
        Field("rss_bytes", "resident set size at the census, or ABSENT"),
        Field("types", "entries of census_type in use"),
        Field("garbage_objects", "len(gc.garbage)"),
        Field("garbage_types", "entries of garbage_type in use"),
    ),
)

CENSUS_STATES: Final = ("unknown", "off", "waiting", "on", "costly", "unsupported")
CENSUS_ESTIMATED: Final = 1  # shares or a sample are part of the figures
CENSUS_SERIES: Final = 2  # has a series of its own

CENSUS_TYPE: Final = Block(
    "census_type",
    CENSUS.offset_bytes + CENSUS.size_bytes,
    "the monitor thread, under CENSUS.sequence",
    (
        Field("name", "module-qualified, UTF-8, padded with NUL", TYPE_NAME_BYTES // CELL_BYTES),
        Field("flags", "CENSUS_ESTIMATED, CENSUS_SERIES"),
        Field("objects", "objects of the type"),
        Field("size_bytes", "their shallow bytes"),
        Field("previous_objects", "of the census before, or ABSENT"),
        Field("previous_size_bytes", "of the census before, or ABSENT"),
    ),
    entries=CENSUS_TYPES,
)

GARBAGE_TYPE: Final = Block(
    "garbage_type",
    CENSUS_TYPE.offset_bytes + CENSUS_TYPE.size_bytes,
    "the monitor thread, under CENSUS.sequence",
    (
        Field("name", "type of objects in gc.garbage, UTF-8, padded with NUL", TYPE_NAME_BYTES // CELL_BYTES),
        Field("objects", "how many"),
    ),
    entries=GARBAGE_TYPES,
)

CYCLE_SERIES: Final = Block(
    "cycle_series",
    GARBAGE_TYPE.offset_bytes + GARBAGE_TYPE.size_bytes,
    "the monitor thread; an entry is filled once, its base first",
    (
        Field("id", "id of the signature that has this series, else 0"),
        Field("base", "what the signature had before; stays among the others"),
    ),
    entries=SERIES,
)

CYCLES: Final = Block(
    "cycles",
    _after(CYCLE_SERIES),
    "the gc callback",
    (
        Field("sequence", "odd while the callback writes"),
        Field("state", "index into CYCLES_STATES"),
        Field("samples", "collections examined, by generation", GENERATIONS),
        Field("garbage", "objects found to be garbage in them", GENERATIONS),
        Field("skipped", "collections that were due and had more objects than are examined"),
        Field("cycles", "estimate: cycles of all signatures that young collections collected"),
        Field("unnamed", "the part of it that no entry has: signatures that gave way to others"),
        Field("last_id", "ids given to signatures"),
        Field("cost_ns", "time spent examining"),
        Field("longest_ns", "longest examination"),
    ),
)

CYCLES_STATES: Final = ("unknown", "off", "on", "python", "freethreaded", "incremental", "failed")

CYCLE_SIGNATURE: Final = Block(
    "cycle_signature",
    CYCLES.offset_bytes + CYCLES.size_bytes,
    "the gc callback, under CYCLES.sequence",
    (
        Field("id", "unique in this file; 0 marks an empty entry"),
        Field("name", "types around the cycle, UTF-8, padded with NUL", SIGNATURE_BYTES // CELL_BYTES),
        Field("samples", "samples in which it was seen"),
        Field("sampled_cycles", "cycles of it in samples"),
        Field("sampled_objects", "objects in these"),
        Field("cycles", "estimate: cycles of it that young collections collected"),
        Field("last_ns", "monotonic time of the sample that saw it last"),
    ),
    entries=CYCLE_SIGNATURES,
)

MEASURES: Final = Block(
    "measures",
    _after(CYCLE_SIGNATURE),
    "the thread that publishes a measured block, one at a time",
    (
        Field("sequence", "odd while a block is added"),
        Field("slots", "entries of measure_slot in use"),
        Field("cost_ns", "estimate: time that measuring itself took"),
    ),
)

MEASURE_OVERLAPPED: Final = 1  # other threads or tasks ran meanwhile: the differences are not the block's alone
MEASURE_OTHER: Final = 2  # for all names beyond MEASURED_NAMES

MEASURE_SLOT: Final = Block(
    "measure_slot",
    MEASURES.offset_bytes + MEASURES.size_bytes,
    "the thread that publishes a measured block, under MEASURES.sequence",
    (
        Field("name", "as the program gave it, UTF-8, padded with NUL", MEASURE_NAME_BYTES // CELL_BYTES),
        Field("flags", "MEASURE_OVERLAPPED, MEASURE_OTHER"),
        Field("runs", "how often the block ran"),
        *(
            field
            for name in MEASURE_BOUNDS
            for field in (
                Field(f"{name}_buckets", "differences by MEASURE_BOUNDS", MEASURE_BUCKETS),
                Field(f"{name}_sums", "signed sum of those in each bucket", MEASURE_BUCKETS),
            )
        ),
    ),
    entries=MEASURE_SLOTS,
)

BLOCKS: Final = (
    *(HEADER, GC, WINDOW, GENERATION, LATEST, LONGEST, MONITOR, MEMORY, HISTORY, FAULTS, PUBLISHED),
    *(CENSUS, CENSUS_TYPE, GARBAGE_TYPE, CYCLE_SERIES),
    *(CYCLES, CYCLE_SIGNATURE, MEASURES, MEASURE_SLOT),
)
FILE_BYTES: Final = _after(BLOCKS[-1])
FILE_CELLS: Final = FILE_BYTES // CELL_BYTES


def text_bytes(block: Block, name: str) -> int:
    """Bytes that a text field may hold."""
    return next(field.cells for field in block.fields if field.name == name) * CELL_BYTES
