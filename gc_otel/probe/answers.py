"""The verbs that a process answers, with the arguments that each takes.

Loaded with the first request.  Every answer is made of plain dicts, lists, numbers and texts; docs/requests.md shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from gc_otel.errors import GcOtelError, NotSupported

if TYPE_CHECKING:
    from gc_otel.heap.census import Census

#: Told a phase, and how much of how many is done.
Say = Callable[..., None]

_TEXT_LETTERS_MOST: Final = 1000
#: For each block: there are no more objects than blocks.
_SEARCH_BYTES: Final = 96


class BadRequest(GcOtelError):
    """A verb that is not there, or an argument that it does not take."""

    remedy = "Ask with the gc-otel of the version that records the process."


@dataclass(frozen=True)
class Whole:
    """An integer argument."""

    least: int
    most: int
    default: int

    def check(self, name: str, value: object) -> int:
        """The value; BadRequest."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise BadRequest(f"{name} is a whole number from {self.least} to {self.most}")
        return value


@dataclass(frozen=True)
class Flag:
    """A yes or no."""

    default: bool = False

    def check(self, name: str, value: object) -> bool:
        """The value; BadRequest."""
        if type(value) is not bool:
            raise BadRequest(f"{name} is true or false")
        return value


@dataclass(frozen=True)
class Text:
    """A name; only ever compared with names."""

    default: str = ""

    def check(self, name: str, value: object) -> str:
        """The value; BadRequest."""
        if type(value) is not str or not 0 < len(value) <= _TEXT_LETTERS_MOST:
            raise BadRequest(f"{name} is a text of 1 to {_TEXT_LETTERS_MOST} letters")
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def default(self) -> str:
        """The first."""
        return self.words[0]

    def check(self, name: str, value: object) -> str:
        """The value; BadRequest."""
        if type(value) is not str or value not in self.words:
            raise BadRequest(f"{name} is one of {', '.join(self.words)}")
        return value


@dataclass(frozen=True)
class Verb:
    """``run`` takes the checked arguments and a Say; gives the answer, and the CPU time of children that it made."""

    arguments: Mapping[str, Whole | Flag | Text | Choice]
    run: Callable[[dict[str, Any], Say], tuple[dict[str, Any], int]]


def answer(verb: object, arguments: object, say: Say) -> tuple[dict[str, Any], int]:
    """The answer and its children's CPU time in nanoseconds; GcOtelError says why there is none."""
    known = VERBS.get(verb) if isinstance(verb, str) else None
    if known is None:
        raise BadRequest(f"there is no verb {str(verb)[:40]!r}; there are {', '.join(sorted(VERBS))}")
    return known.run(checked(known, {} if arguments is None else arguments), say)


def checked(verb: Verb, given: object) -> dict[str, Any]:
    """Every argument that the verb has; BadRequest."""
    if not isinstance(given, dict):
        raise BadRequest("arguments are names with values")
    unknown = sorted(set(given) - set(verb.arguments))
    if unknown:
        raise BadRequest(f"there is no argument {str(unknown[0])[:40]!r}")
    return {name: kind.check(name, given.get(name, kind.default)) for name, kind in verb.arguments.items()}


def _census(given: dict[str, Any], say: Say) -> tuple[dict[str, Any], int]:
    from gc_otel.heap.tracked import can_count_types, can_list, need_lists

    say("counting")
    if not can_list():
        if not can_count_types():
            need_lists()
        from gc_otel.heap.types_only import take_types

        return take_types().as_dict(most=given["top"]), 0
    from gc_otel.heap.census import take_census

    if given["in_process"]:
        census = take_census(sample_every=given["sample_every"])
    else:
        census = _census_in_child_if_possible(given["sample_every"], say)
    return census.as_dict(most=given["top"]), census.child_cpu_ns or 0


def _census_in_child_if_possible(sample_every: int, say: Say) -> Census:
    """Where there can be no child, or no room for it, the process counts itself, with less looked into."""
    from gc_otel.heap.census import take_census, take_census_in_child
    from gc_otel.probe.headroom import check_headroom_of_census

    try:
        check_headroom_of_census()
        return take_census_in_child(say, sample_every=sample_every or 1)
    except (NotSupported, OSError) as error:
        return replace(take_census(sample_every=sample_every), no_child_because=str(error))


def _cycles(given: dict[str, Any], say: Say) -> tuple[dict[str, Any], int]:
    from gc_otel.heap.cycles import find_cycles, find_cycles_in_child
    from gc_otel.heap.tracked import need_lists

    if given["in_process"]:
        need_lists()
        say("examining the heap, with everything else stopped")
        return find_cycles().as_dict(most=given["top"]), 0
    from gc_otel.probe.headroom import check_headroom

    check_headroom()
    cycles = find_cycles_in_child(say)
    return cycles.as_dict(most=given["top"]), cycles.child_cpu_ns or 0


def _need_room(bytes_for_block: int) -> None:
    """A search remembers each object that it has seen."""
    from gc_otel.probe.headroom import check_room

    check_room(bytes_for_block * sys.getallocatedblocks(), "the search")


def _why(given: dict[str, Any], say: Say) -> tuple[dict[str, Any], int]:
    from gc_otel.heap.finding import find_types
    from gc_otel.heap.paths import search_holders

    _need_room(_SEARCH_BYTES)
    name, types = find_types(given["type"], say)
    wanted = {id(cls) for cls in types}
    return search_holders(name, lambda cls: id(cls) in wanted, most=given["most"], say=say).as_dict(), 0


def _graph(given: dict[str, Any], say: Say) -> tuple[dict[str, Any], int]:
    from gc_otel.heap.finding import find_types
    from gc_otel.heap.picture import picture_of

    name, types = find_types(given["type"], say)
    picture = picture_of(
        types,
        name,
        backward=given["direction"] == "backrefs",
        depth=given["depth"],
        too_many=given["too_many"],
        instances=given["instances"],
        values=given["values"],
        say=say,
    )
    return picture.as_dict(), 0


VERBS: Final = {
    "graph": Verb(
        {
            "type": Text(),
            "direction": Choice(("backrefs", "refs")),
            "depth": Whole(1, 20, 3),
            "too_many": Whole(1, 100, 10),
            "instances": Whole(1, 20, 3),
            "values": Flag(),
        },
        _graph,
    ),
    "why": Verb({"type": Text(), "most": Whole(1, 100, 10)}, _why),
    "cycles": Verb({"in_process": Flag(), "top": Whole(1, 1000, 1000)}, _cycles),
    "census": Verb(
        {"sample_every": Whole(0, 1_000_000, 0), "in_process": Flag(), "top": Whole(1, 5000, 5000)}, _census
    ),
}
