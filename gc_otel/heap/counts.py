"""What was counted by type, with names: plain containers by their owner, types of one name in one row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gc_otel.heap.counting import ChargeRow, TypeRow
from gc_otel.heap.names import PLAIN, container_name, is_class, is_one_of, type_name

_LEAST_SHARE: Final = 0.5  # less of an object than this is rounding


@dataclass(frozen=True)
class TypeCount:
    """One type, module-qualified, or plain containers named by their owner: ``dict of app.Session``.

    ``estimated`` where shares or a sample are part of the figure.
    """

    name: str
    objects: int
    size_bytes: int
    estimated: bool = False


def named_counts(
    types: list[TypeRow], charges: list[ChargeRow], names: list[str], *, sampled: bool, more: Iterable[TypeCount] = ()
) -> tuple[TypeCount, ...]:
    """Rows of types, the largest first; a charge's owner is a type, or the place of its name in ``names``."""
    return _merge(_named_types(types), _charged(types, charges, names, sampled=sampled), more)


def _named_types(types: Iterable[TypeRow]) -> Iterable[TypeCount]:
    """Every type whose name says enough."""
    for cls, objects, size_bytes, leaf_objects, leaf_bytes in types:
        if not is_one_of(cls, PLAIN) and (objects or leaf_objects >= _LEAST_SHARE):
            yield TypeCount(
                type_name(cls), objects + round(leaf_objects), size_bytes + round(leaf_bytes), leaf_objects > 0
            )


def _charged(
    types: Iterable[TypeRow], charges: list[ChargeRow], names: list[str], *, sampled: bool
) -> Iterable[TypeCount]:
    """Plain containers by owner.  The sum is what was counted: shares that a sample made too large are
    scaled, and what nobody was found to hold (a running frame, C code) keeps the plain name.
    """
    totals = {row[0]: (row[1] + row[3], row[2] + row[4]) for row in types if is_one_of(row[0], PLAIN)}
    for kind, (objects, size_bytes) in totals.items():
        found = [(owner, max(0.0, many), max(0.0, size)) for of, owner, many, size in charges if of is kind]
        scale = _scale(objects, sum(many for _, many, _ in found)) if sampled else 1.0
        scale_bytes = _scale(size_bytes, sum(size for _, _, size in found)) if sampled else 1.0
        rest_objects, rest_bytes = round(objects), round(size_bytes)
        for owner, many, size in found:
            if many < _LEAST_SHARE:
                continue
            named = owner if is_class(owner) else names[owner]  # type: ignore[index]  # no class, so a place
            row = TypeCount(
                container_name(kind, named),
                round(many * scale),
                round(size * scale_bytes),
                estimated=True,
            )
            rest_objects, rest_bytes = rest_objects - row.objects, rest_bytes - row.size_bytes
            yield row
        if rest_objects > 0:
            yield TypeCount(kind.__name__, rest_objects, max(0, rest_bytes), estimated=True)


def _scale(counted: float, charged: float) -> float:
    return counted / charged if charged > counted else 1.0


def _merge(*rows: Iterable[TypeCount]) -> tuple[TypeCount, ...]:
    """Types of the same name are one row: a class that is made anew at each call has many."""
    merged: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in (row for some in rows for row in some):
        total = merged[each.name]
        total[0] += each.objects
        total[1] += each.size_bytes
        total[2] |= each.estimated
    counts = (TypeCount(name, many, size, bool(about)) for name, (many, size, about) in merged.items())
    return tuple(sorted(counts, key=lambda row: (-row.size_bytes, -row.objects, row.name)))
