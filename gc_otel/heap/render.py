"""Text for people: tables of a census, cycles, and the tree of who holds what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gc_otel.heap.census import Census, CensusDifference
    from gc_otel.heap.cycles import Cycles
    from gc_otel.heap.merging import HolderStep
    from gc_otel.heap.paths import Holders

MOST_ROWS: Final = 20
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def readable_bytes(value: float) -> str:
    """``1.5 MiB``."""
    magnitude, unit = abs(value), 0
    while magnitude >= 1024 and unit < len(_UNITS) - 1:
        magnitude, unit = magnitude / 1024, unit + 1
    sign = "-" if value < 0 else ""
    return f"{sign}{magnitude:,.0f} B" if unit == 0 else f"{sign}{magnitude:.1f} {_UNITS[unit]}"


def columns(rows: list[tuple[str, ...]], *, left: int) -> list[str]:
    """Aligned lines; the first ``left`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def render_census(census: Census, *, most: int = MOST_ROWS) -> str:
    """The largest types, what is left, and how it was counted; ``~`` stands before an estimate."""
    rows: list[tuple[str, ...]] = [("type", "objects", "bytes")]
    for each in census.types[:most]:
        about = "~" if each.estimated else ""
        rows.append((each.name, f"{about}{each.objects:,}", about + readable_bytes(each.size_bytes)))
    rest = census.types[most:]
    if rest:
        size = readable_bytes(sum(each.size_bytes for each in rest))
        rows.append((f"{len(rest):,} other types", f"{sum(each.objects for each in rest):,}", size))
    rows.append(("all types", f"{census.objects:,}", readable_bytes(census.size_bytes)))
    if census.unattributed_bytes is not None:
        rows.append(("unattributed (no type explains it)", "", readable_bytes(census.unattributed_bytes)))
    return "\n".join([*columns(rows, left=1), *_how_counted(census)])


def _how_counted(census: Census) -> Iterator[str]:
    every = census.sampled_every
    how = f"one holder in {every} looked into" if every > 1 else "every holder looked into"
    took = f"{census.duration_ns / 1e6:,.1f} ms"
    if census.child_cpu_ns is not None:
        yield f"{took}, {_in_child(census)}, {how}"
        return
    yield f"{took}, {census.walker} walk, {how}"
    if census.no_child_because is not None:
        yield f"counted in the process itself: {census.no_child_because}"


def render_growth(difference: CensusDifference, *, most: int = MOST_ROWS) -> str:
    """What grew most, by bytes."""
    grown = [each for each in difference.types if each.size_bytes > 0 or each.objects > 0]
    if not grown:
        return f"nothing grew in {difference.seconds:,.1f} s"
    rows: list[tuple[str, ...]] = [("type", "objects", "bytes", "objects/h", "bytes/h")]
    for each in grown[:most]:
        new = " (new)" if each.is_new else ""
        rates = f"{each.objects_per_hour:+,.0f}", readable_bytes(each.size_bytes_per_hour)
        rows.append((each.name + new, f"{each.objects:+,}", readable_bytes(each.size_bytes), *rates))
    return "\n".join(columns(rows, left=1))


def render_cycles(cycles: Cycles, *, most: int = MOST_ROWS) -> str:
    """The signatures with the most bytes, where their classes are, and all garbage in a line."""
    rows: list[tuple[str, ...]] = [("cycle", "cycles", "objects", "bytes")]
    rows += [
        (each.signature, f"{each.cycles:,}", f"{each.objects:,}", readable_bytes(each.size_bytes))
        for each in cycles.groups[:most]
    ]
    lines = columns(rows, left=1) if cycles.groups else ["no garbage cycles"]
    if cycles.groups[most:]:
        lines.append(f"{len(cycles.groups) - most:,} other signatures")
    lines += _places(cycles, most)
    lines += [f"uncollectable: {each.type} x {each.objects:,}" for each in cycles.uncollectable]
    garbage = f"{cycles.garbage_objects:,} of {cycles.tracked_objects:,} tracked objects are garbage"
    took = f"{cycles.duration_ns / 1e6:,.1f} ms, {_walk(cycles)}"
    return "\n".join([*lines, f"{garbage}, {readable_bytes(cycles.garbage_bytes)}; {took}"])


def _places(cycles: Cycles, most: int) -> Iterator[str]:
    """Each class of the rows shown, once."""
    places = {place.type: place for each in cycles.groups[:most] for place in each.classes if place.file is not None}
    for name, place in places.items():
        line = "" if place.line is None else f":{place.line}"
        yield f"{name} is defined in {place.file}{line}"


def _walk(cycles: Cycles) -> str:
    if cycles.walker != "child":
        return f"{cycles.walker} walk, all of it a pause of the process"
    return _in_child(cycles)


def _in_child(found: Census | Cycles) -> str:
    cpu_ms, memory = (found.child_cpu_ns or 0) / 1e6, readable_bytes(found.child_memory_bytes or 0)
    pause_ms = (found.pause_ns or 0) / 1e6
    return f"in a child ({cpu_ms:,.0f} ms of CPU, {memory}); the process paused for {pause_ms:,.1f} ms"


def render_holders(holders: Holders) -> str:
    """The merged ways as a tree, names first, with the number of objects at each step."""
    unreached = holders.instances - holders.reached
    head = f"{holders.type}: {holders.instances:,} alive"
    if unreached:
        head += f", {unreached:,} of them held by nothing that has a name (garbage, or C code)"
    lines = [head]
    for root in holders.roots:
        lines.append(f" {root.edge}")
        lines += _branches(root.children, " ")
    if holders.roots_left_out:
        lines.append(f" {holders.roots_left_out:,} more roots hold fewer")
    lines.append(f"{holders.examined_objects:,} objects examined in {holders.duration_ns / 1e6:,.0f} ms")
    return "\n".join(lines)


def _branches(steps: tuple[HolderStep, ...], indent: str) -> Iterator[str]:
    for step in steps:
        length = "" if step.length is None else f"  len {step.length:,}"
        times = f" \u00d7{step.objects:,}" if step.objects > 1 else ""
        mark = "      \u2190 accumulation point" if step.is_accumulation_point else ""
        yield f"{indent}\u2514 {step.edge}  {step.type}{times}{length}{mark}"
        yield from _branches(step.children, indent + "   ")
        if step.children_left_out:
            yield f"{indent}   \u2514 {step.children_left_out:,} other ways with fewer"
