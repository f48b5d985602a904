"""How one object holds another: by an attribute, a key, an item, a variable; in words, without values.

Names that code gave (attributes, globals, variables) are shown.  A key of a dict is data: its
type is shown.  No attribute is looked up in a way that could run code of a class.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from gc_otel.heap.names import derives_from, is_class, is_one_of, mro_of, space_of_type, type_name

_ITEMS: Final = (list, tuple, set, frozenset)
_RUN: Final = (types.FrameType, types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
_WITHOUT_NAMESPACE: Final = (dict, list, tuple, set, frozenset, types.FunctionType)
_MEMBER: Final = types.MemberDescriptorType
_MISSING: Final = object()
_UNKNOWN: Final = "[held]"


def is_namespace_of(holder: object, space: object) -> bool:
    """Whether ``space`` may be the ``__dict__`` of a class or of an object with attributes."""
    return type(space) is dict and not is_one_of(type(holder), _WITHOUT_NAMESPACE)


class EdgeNames:
    """Names edges; remembers what a holder holds, because many edges of one are asked for."""

    def __init__(self) -> None:
        self._known: dict[int, dict[int, str]] = {}
        self._candidates: dict[int, tuple[str, ...]] = {}

    def of(self, holder: object, value: object) -> str:
        """``.items``, ``[str key]``, ``[item]``; ``[held]`` where nothing is known of it."""
        known = self._known.get(id(holder))
        if known is None:
            known = self._known[id(holder)] = {id(held): name for name, held in reversed(list(self._held(holder)))}
        return known.get(id(value), "[variable]" if is_one_of(type(holder), _RUN) else _UNKNOWN)

    def forget(self) -> None:
        """Let go what holders hold: of a large one it is as much again."""
        self._known.clear()

    def attributes_of(self, holder: object, space: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
        """What a dict holds that is taken for the holder's namespace, by name where the code of its class has that name.

        It may be another dict that was put into the object from outside, and then its keys are data.
        """
        holder_is_class = is_class(holder)
        known = frozenset() if holder_is_class else self._known_names(type(holder))
        for key, value in list(dict.items(space)):
            if type(key) is str:
                yield f".{key}" if holder_is_class or key in known else "[attribute]", value

    def _known_names(self, cls: type) -> frozenset[str]:
        spaces = [space_of_type(each) for each in mro_of(cls)]
        annotated = [space.get("__annotations__") for space in spaces]
        return frozenset(
            [
                *self._names_for(cls, mro_of(cls)),
                *(name for space in spaces for name in space if type(name) is str),
                *(name for names in annotated if type(names) is dict for name in names if type(name) is str),
            ]
        )

    def _held(self, holder: Any) -> Iterator[tuple[str, object]]:
        cls = type(holder)
        if derives_from(cls, dict):
            for key, value in list(dict.items(holder)):
                yield f"[{type_name(type(key))} key]", value
                yield "[as key]", key
        elif derives_from(cls, *_ITEMS):
            base = next(kind for kind in _ITEMS if derives_from(cls, kind))
            yield from (("[item]", each) for each in list(base.__iter__(holder)))
        elif is_class(holder):
            yield from ((f".{name}", value) for name, value in space_of_type(holder).items() if type(name) is str)
        else:
            yield from _held_by_builtin(holder)
        yield from self._attributes(holder, mro_of(cls))

    def _attributes(self, holder: Any, mro: tuple[type, ...]) -> Iterator[tuple[str, object]]:
        for name in self._names_for(type(holder), mro):
            value = _value_or_missing(object.__getattribute__, holder, name)
            if value is not _MISSING:
                yield f".{name}", value
        for cls in mro:
            for name, member in space_of_type(cls).items():
                value = _value_or_missing(member.__get__, holder) if type(member) is _MEMBER else _MISSING
                if value is not _MISSING:
                    yield f".{name}", value

    def _names_for(self, cls: type, mro: tuple[type, ...]) -> tuple[str, ...]:
        """Names that methods of the class mention and that no class attribute answers for.

        Asking for such a name finds it in the object or nowhere: no property, no ``__getattr__``.
        The names are the code's, so that no dict has to be made for an object that has none (3.11 on).
        """
        if id(cls) not in self._candidates:
            spaces = [space_of_type(each) for each in mro]
            taken = {name for space in spaces for name in space}
            mentioned = {
                name: None
                for space in spaces
                for value in space.values()
                if type(value) is types.FunctionType
                for name in value.__code__.co_names
            }
            self._candidates[id(cls)] = tuple(name for name in mentioned if name not in taken)
        return self._candidates[id(cls)]


def _value_or_missing(get: Callable[..., object], *arguments: object) -> object:
    try:
        return get(*arguments)
    except AttributeError:
        return _MISSING


def _held_by_builtin(holder: Any) -> Iterator[tuple[str, object]]:
    if type(holder) is types.FunctionType:
        yield ".__closure__", holder.__closure__
        yield ".__defaults__", holder.__defaults__
        yield ".__globals__", holder.__globals__
        yield ".__dict__", holder.__dict__
    elif type(holder) is types.CellType:
        try:
            yield ".cell_contents", holder.cell_contents
        except ValueError:  # empty
            return
    elif type(holder) is types.MethodType:
        yield ".__self__", holder.__self__
        yield ".__func__", holder.__func__
