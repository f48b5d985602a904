"""The census that is always on: taken by the monitor's thread, by budget, into the flight file.

Budget: a thousandth of a core, CPU time.  The native walk holds the GIL, so one that would hold it for longer than 50 ms
is made rarer still, in proportion; one that would take more than a second is not made.  How long it
would take is foretold from the blocks that the allocator has given out, by the rate of the census before.

Safe beside the program: the native walk is one C call that never gives the GIL away (``_native/heap.c``); without it
nothing is held across two bytecodes (``heap/types_only.py``).  A fork or an exit waits for the walk that it meets,
which is what holds the GIL anyway, and for the naming of types behind it: milliseconds.  What it
imports, it imports when the first census is due: a program that ends before pays nothing.
"""

from __future__ import annotations

import gc
import struct
import sys
import time

from gc_otel.flight import layout
from gc_otel.flight.layout import CENSUS, CENSUS_TYPE, GARBAGE_TYPE
from gc_otel.flight.recorder import MappingLike, gc_mode
from gc_otel.probe.series import Series

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from gc_otel.heap.census import Census

_NS_PER_S: Final = 1_000_000_000
_LEAST_INTERVAL_NS: Final = 60 * _NS_PER_S
_FIRST_AFTER_NS: Final = 15 * _NS_PER_S
_COST_DIVISOR: Final = 1000  # of a core
_HOLD_MOST_NS: Final = 50_000_000
_REFUSED_NS: Final = _NS_PER_S
#: Before the first census: nanoseconds of walking for each allocated block, and of naming for each census.
_FORETOLD_BLOCK_NS: Final = 60
_FORETOLD_NAMING_NS: Final = 5_000_000
_UNKNOWN_BLOCKS: Final = 1_000_000
_GARBAGE_MOST: Final = 100_000

_HEAD: Final = struct.Struct(f"{CENSUS.stride_cells - 1}Q")  # all but the sequence
_TYPE_ROW: Final = struct.Struct("5Q")
_ROW_BYTES: Final = CENSUS_TYPE.stride_cells * layout.CELL_BYTES


class LiveCensus:
    """Takes a census when one is due.  ``take`` is for tests; None: this interpreter has none that is safe."""

    def __init__(
        self,
        mapping: MappingLike,
        *,
        wanted: bool = True,
        take: Callable[[], Census] | None,
        allocated_blocks: Callable[[], int | None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._view = mapping.view()
        self._take = take if wanted else None
        self._allocated_blocks = allocated_blocks
        self._clock_ns, self._cpu_ns = clock_ns, cpu_ns
        self._series = Series()
        self._before: dict[str, tuple[int, int]] = {}
        self._head = dict.fromkeys((field.name for field in CENSUS.fields[1:]), 0)
        self._head["rss_bytes"] = layout.ABSENT
        self._block_ns = 0.0  # hold of the last census for each block, once there is one
        self._naming_ns = _FORETOLD_NAMING_NS
        self._began_ns = clock_ns()
        self._told_garbage = -1
        if take is None and wanted:
            self._say("unsupported")
        else:
            self._say("waiting" if wanted else "off")

    def round(self, goes_on: Callable[[], bool]) -> None:
        """Take one if it is due, unless the thread is wanted elsewhere; say what is in gc.garbage."""
        began_ns = self._cpu_ns()
        self._look_at_garbage()
        if self._take is None or not self._is_due() or not goes_on():
            return
        census = self._take()
        # Naming is Python, which others interrupt; and on a busy machine much of a duration is waiting for a core.
        walk_ns = census.duration_ns if census.pause_ns is None else census.pause_ns
        hold_ns = min(walk_ns, self._cpu_ns() - began_ns)
        self._write(census, hold_ns)
        cost_ns = self._cpu_ns() - began_ns
        self._block_ns = hold_ns / max(1, self._allocated_blocks() or _UNKNOWN_BLOCKS)
        self._naming_ns = max(0, cost_ns - hold_ns)
        self._head["cost_ns"] += cost_ns
        self._put_head()

    def _is_due(self) -> bool:
        """Whether the budget allows one now; how often that is, is foretold from the heap as it is now."""
        blocks = self._allocated_blocks() or _UNKNOWN_BLOCKS
        hold_ns = blocks * (self._block_ns or _FORETOLD_BLOCK_NS)
        last_ns = self._head["taken_ns"]
        if hold_ns > _REFUSED_NS:
            due_ns = layout.ABSENT
        else:
            interval_ns = interval_after(hold_ns, hold_ns + self._naming_ns)
            due_ns = last_ns + interval_ns if last_ns else self._began_ns + max(_FIRST_AFTER_NS, interval_ns // 4)
        state = "costly" if hold_ns > _HOLD_MOST_NS else "on" if last_ns else "waiting"
        if self._head["due_ns"] != due_ns or self._head["state"] != layout.CENSUS_STATES.index(state):
            self._head["due_ns"] = due_ns
            self._say(state)
        return self._clock_ns() >= due_ns

    def _say(self, state: str) -> None:
        self._head["state"] = layout.CENSUS_STATES.index(state)
        self._put_head()

    def _put_head(self) -> None:
        self._begin()
        _HEAD.pack_into(self._view, CENSUS.offset_bytes + layout.CELL_BYTES, *self._head.values())
        self._end()

    def _begin(self) -> None:
        (sequence,) = struct.unpack_from("Q", self._view, CENSUS.offset_bytes)
        struct.pack_into("Q", self._view, CENSUS.offset_bytes, sequence | 1)

    def _end(self) -> None:
        (sequence,) = struct.unpack_from("Q", self._view, CENSUS.offset_bytes)
        struct.pack_into("Q", self._view, CENSUS.offset_bytes, (sequence | 1) + 1)

    def _write(self, census: Census, hold_ns: int) -> None:
        types = _by_shown_name(census)
        chosen = self._series.choose({name: size for name, (_, size, _) in types.items()})
        shown = _rows_to_show(list(types), chosen, self._series.grown(layout.CENSUS_TYPES // 4))
        head = self._head
        head["walker"] = layout.RECORDER_KINDS.index(census.walker)
        head["censuses"] += 1
        head["previous_taken_ns"], head["taken_ns"] = head["taken_ns"], census.monotonic_ns
        head["previous_objects"], head["previous_size_bytes"] = head["objects"], head["size_bytes"]
        head["objects"], head["size_bytes"] = census.objects, census.size_bytes
        head["hold_ns"], head["sampled_every"] = hold_ns, census.sampled_every
        head["tracked_objects"] = census.tracked_objects
        head["rss_bytes"] = layout.ABSENT if census.rss_bytes is None else census.rss_bytes
        head["types"] = len(shown)
        self._begin()
        for entry, name in enumerate(shown):
            objects, size, estimated = types[name]
            flags = layout.CENSUS_SERIES * (name in chosen) | layout.CENSUS_ESTIMATED * estimated
            before = self._before.get(name, (layout.ABSENT, layout.ABSENT))
            self._put_row(CENSUS_TYPE.offset_bytes + entry * _ROW_BYTES, name, (flags, objects, size, *before))
        self._before = {name: (objects, size) for name, (objects, size, _) in types.items()}
        self._say("costly" if hold_ns > _HOLD_MOST_NS else "on")

    def _put_row(self, at: int, name: str, numbers: tuple[int, ...]) -> None:
        raw = name.encode("utf-8", "replace").ljust(layout.TYPE_NAME_BYTES, b"\0")
        self._view[at : at + layout.TYPE_NAME_BYTES] = raw
        struct.pack_into(f"{len(numbers)}Q", self._view, at + layout.TYPE_NAME_BYTES, *numbers)

    def _look_at_garbage(self) -> None:
        """``gc.garbage`` by type, when its length has changed.  Its types are held here, never its objects."""
        many = len(gc.garbage)
        if many == self._told_garbage:
            return
        self._told_garbage = many
        kinds: dict[str, int] = {}
        if 0 < many <= _GARBAGE_MOST:
            from gc_otel.heap.names import type_name

            for kind in list(map(type, gc.garbage)):
                name = shown_name(type_name(kind))
                kinds[name] = kinds.get(name, 0) + 1
        rows = sorted(kinds.items(), key=lambda each: -each[1])[: layout.GARBAGE_TYPES]
        self._head["garbage_objects"], self._head["garbage_types"] = many, len(rows)
        self._begin()
        for entry, (name, count) in enumerate(rows):
            at = GARBAGE_TYPE.offset_bytes + entry * GARBAGE_TYPE.stride_cells * layout.CELL_BYTES
            self._put_row(at, name, (count,))
        self._put_head()


def interval_after(hold_ns: float, cost_ns: float) -> int:
    """How long to wait after a census that held the GIL for so long and cost so much CPU time."""
    rarer = max(1.0, hold_ns / _HOLD_MOST_NS)
    return max(_LEAST_INTERVAL_NS, round(cost_ns * _COST_DIVISOR * rarer))


def shown_name(name: str) -> str:
    """The name as the file has it: what is too long loses its middle, because its end says most."""
    raw = name.encode("utf-8", "replace")
    if len(raw) <= layout.TYPE_NAME_BYTES:
        return name
    mark = b"..."
    first = layout.TYPE_NAME_BYTES // 3
    last = layout.TYPE_NAME_BYTES - first - len(mark)
    return raw[:first].decode("utf-8", "ignore") + "..." + raw[-last:].decode("utf-8", "ignore")


def _by_shown_name(census: Census) -> dict[str, tuple[int, int, bool]]:
    """Objects, bytes and whether estimated; names that are cut alike are one row."""
    rows: dict[str, tuple[int, int, bool]] = {}
    for each in census.types:
        name = shown_name(each.name)
        objects, size, estimated = rows.get(name, (0, 0, False))
        rows[name] = objects + each.objects, size + each.size_bytes, estimated or each.estimated
    return rows


def _rows_to_show(largest: list[str], chosen: list[str], grown: list[str]) -> list[str]:
    """Those with a series, then the fastest growing, then the largest, as many as there are rows."""
    return list(dict.fromkeys([*chosen, *grown, *largest]))[: layout.CENSUS_TYPES]


def census_taker(*, native: bool) -> Callable[[], Census] | None:
    """What takes a census in a thread beside the program, or None where nothing safe does.

    Without a GIL the walk would stop the world for as long as it takes: refused.
    """
    if gc_mode() == "freethreaded":
        return None
    if native:

        def take() -> Census:
            from gc_otel.heap.census import take_census

            return take_census()

        return take
    if sys.version_info < (3, 12):
        return None

    def take_without_c() -> Census:
        from gc_otel.heap.types_only import take_types

        return take_types()

    return take_without_c
