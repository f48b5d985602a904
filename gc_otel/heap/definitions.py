"""Where a class was defined, as far as its code objects tell; nothing of it is called or looked up on it."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from typing import Final

from gc_otel.heap.names import is_one_of, qualname_of, space_of_module, space_of_type, type_name

_WRAPPERS: Final = (classmethod, staticmethod)


@dataclass(frozen=True)
class Definition:
    """``file`` and ``line`` are None where nothing tells: classes of C, and those without a method before 3.13.

    Before 3.13 the line is that of the first method.
    """

    type: str
    file: str | None
    line: int | None


def definition_of(cls: type) -> Definition:
    """Where it was defined."""
    space = space_of_type(cls)
    codes = [code for value in space.values() if (code := _code_of(value)) is not None]
    own = [code for code in codes if _is_in(code, cls)] or codes
    first = min(own, key=lambda code: code.co_firstlineno, default=None)
    line = space.get("__firstlineno__")
    file = first.co_filename if first is not None else _file_of_module(cls)
    if type(line) is not int:
        line = first.co_firstlineno if first is not None else None
    return Definition(type_name(cls), file, line)


def _code_of(value: object) -> types.CodeType | None:
    if is_one_of(type(value), _WRAPPERS):
        value = value.__func__  # type: ignore[attr-defined]
    elif type(value) is property:
        value = value.fget
    return value.__code__ if type(value) is types.FunctionType else None


def _is_in(code: types.CodeType, cls: type) -> bool:
    """Whether the code was written in the class, rather than put into it by a decorator."""
    qualname = getattr(code, "co_qualname", None)  # 3.11 on
    return qualname is None or qualname.startswith(f"{qualname_of(cls)}.")


def _file_of_module(cls: type) -> str | None:
    name = space_of_type(cls).get("__module__")
    module = sys.modules.get(name) if type(name) is str else None
    if type(module) is not types.ModuleType or name == "builtins":
        return None
    file = space_of_module(module).get("__file__")
    return file if type(file) is str else None
