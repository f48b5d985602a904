"""Types by the names that people give them: exact, by the last part, or near."""

from __future__ import annotations

from collections.abc import Callable

from gc_otel.errors import GcOtelError
from gc_otel.heap.names import type_name
from gc_otel.heap.tracked import all_types

_NEAR_MOST = 8


class NoSuchType(GcOtelError):
    """No type of that name, or several; the remedy names those that are near."""


def find_types(name: str, say: Callable[..., object] = lambda *_: None) -> tuple[str, list[type]]:
    """The full name, and the types that have it (a class that is made anew at each call has many); NoSuchType."""
    say("looking for the type")
    known: dict[str, list[type]] = {}
    for each in all_types():
        known.setdefault(type_name(each), []).append(each)
    if name in known:
        return name, known[name]
    ending = sorted(each for each in known if each.endswith(f".{name}"))
    if len(ending) == 1:
        return ending[0], known[ending[0]]
    if ending:
        raise NoSuchType(f"{len(ending)} types are called {name}", remedy=f"Name one in full: {_listed(ending)}.")
    near = _near(name, list(known))
    remedy = f"Near are: {_listed(near)}." if near else "gc-otel census lists the types that are there."
    raise NoSuchType(f"there is no type {name}", remedy=remedy)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NEAR_MOST} more" if len(names) > _NEAR_MOST else ""
    return ", ".join(name[:120] for name in names[:_NEAR_MOST]) + more


def _near(name: str, known: list[str]) -> list[str]:
    from difflib import get_close_matches  # only for who has mistyped

    last = name.rpartition(".")[2].lower()
    holding = sorted((each for each in known if last in each.lower()), key=len)
    by_last = {each.rpartition(".")[2].lower(): each for each in sorted(known, reverse=True)}
    close = [by_last[each] for each in get_close_matches(last, by_last, n=_NEAR_MOST, cutoff=0.7)]
    return list(dict.fromkeys([*holding[:_NEAR_MOST], *close]))[:_NEAR_MOST]
