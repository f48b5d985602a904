"""Names of types, modules and their globals, read without running anybody's code.

``cls.__name__`` and friends may be answered by a metaclass.  The getters used here
are those of ``type`` and ``module`` themselves, called on the object.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any, Final, TypeGuard

_SPACE_OF_TYPE: Final = type.__dict__["__dict__"]
_QUALNAME: Final = type.__dict__["__qualname__"]
_MODULE: Final = type.__dict__["__module__"]
_MRO: Final = type.__dict__["__mro__"]
_FLAGS: Final = type.__dict__["__flags__"]
_SPACE_OF_MODULE: Final[Any] = vars(types.ModuleType)["__dict__"]

#: The containers whose type says nothing: they are named by their owner.
PLAIN: Final = (dict, list, set)
_PLAIN_IDENTITIES: Final = frozenset(map(id, PLAIN))
_TYPE_SUBCLASS: Final = 1 << 31
_HOLD_ITEMS: Final = ("dict", "list", "set", "tuple", "frozenset", "collections.deque", "collections.OrderedDict")


def type_name(cls: type) -> str:
    """``app.models.Session``; types of builtins without their module."""
    qualname = _QUALNAME.__get__(cls)
    try:
        module = _MODULE.__get__(cls)
    except AttributeError:  # deleted from the class
        module = None
    if type(module) is not str or module == "builtins":
        return str(qualname)
    return f"{module}.{qualname}"


def qualname_of(cls: type) -> str:
    """``Outer.Inner``, without the module."""
    return str(_QUALNAME.__get__(cls))


def is_one_of(cls: object, kinds: tuple[Any, ...]) -> bool:
    """By identity: a metaclass may have an ``__eq__`` and a ``__hash__`` of its own, which is somebody's code."""
    return any(cls is kind for kind in kinds)


def is_plain(value: object) -> bool:
    """Whether it is exactly a dict, a list or a set; by identity, as above, and in a tenth of the time."""
    return id(type(value)) in _PLAIN_IDENTITIES


def is_class(value: object) -> TypeGuard[type]:
    """Whether its type is ``type`` or derives from it: CPython notes that in a flag."""
    return bool(_FLAGS.__get__(type(value)) & _TYPE_SUBCLASS)


def derives_from(cls: type, *bases: Any) -> bool:
    """Whether any of them is among its bases or itself; by identity too."""
    return any(each is base for each in mro_of(cls) for base in bases)


def mro_of(cls: type) -> tuple[type, ...]:
    """Its bases, itself first, whatever its metaclass says."""
    mro: tuple[type, ...] = _MRO.__get__(cls)
    return mro


def flags_of(cls: type) -> int:
    """CPython's flags of the type."""
    flags: int = _FLAGS.__get__(cls)
    return flags


def space_of_type(cls: type) -> dict[str, Any]:
    """A copy of the class's own attributes."""
    return dict(_SPACE_OF_TYPE.__get__(cls))


def space_of_module(module: types.ModuleType) -> dict[str, Any]:
    """The module's globals: the dict itself."""
    space: dict[str, Any] = _SPACE_OF_MODULE.__get__(module)
    return space


def modules() -> Iterator[tuple[str, types.ModuleType]]:
    """Every real module of ``sys.modules``, by the name it stands under; a lazy stand-in is left alone."""
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if type(name) is str and derives_from(type(module), types.ModuleType) and id(module) not in seen:
            seen.add(id(module))
            yield name, module


def referents(value: object) -> list[Any]:
    """What an object holds; of a module only its globals.

    On 3.12 _asyncio's module state shows freed objects, which a list of them would free again: a hang.
    """
    return [space_of_module(value)] if type(value) is types.ModuleType else gc.get_referents(value)


def named_containers() -> Iterator[tuple[str, object]]:
    """Plain containers bound to a global or to an attribute of a class of a module, with the name."""
    for module_name, module in modules():
        for name, value in list(space_of_module(module).items()):
            if type(name) is not str or name.startswith("__"):
                continue
            if is_plain(value):
                yield f"{module_name}.{name}", value
            elif is_class(value) and _defined_in(value, module_name):
                yield from _named_in_class(value)


def _defined_in(cls: Any, module_name: str) -> bool:
    return type_name(cls).startswith(module_name + ".")


def _named_in_class(cls: type) -> Iterator[tuple[str, object]]:
    for name, value in space_of_type(cls).items():
        if type(name) is str and not name.startswith("__") and is_plain(value):
            yield f"{type_name(cls)}.{name}", value


def container_name(kind: type, owner: type | str) -> str:
    """``dict of app.Session``, ``list in app.cache.PENDING``, ``list in dict``."""
    if is_class(owner):  # isinstance() would ask the class what it is
        name = type_name(owner)
        return f"{kind.__name__} {'in' if name in _HOLD_ITEMS else 'of'} {name}"
    return f"{kind.__name__} in {owner}"
