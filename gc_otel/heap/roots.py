"""Where a search for holders begins: what is alive by itself and has a name.

Modules (their globals), frames of running threads, asyncio tasks that are not done, and
contexts with their variables.  Classes are found in the modules.
"""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gc_otel.heap.names import modules, mro_of, space_of_module

_OWN_FOLDER: Final = __file__.rpartition("roots.py")[0]
_LOCALS_ARE_A_COPY: Final = sys.version_info < (3, 13)


@dataclass(frozen=True)
class Root:
    """A name, and what it holds directly: pairs of how (``.PENDING``, ``local orders``) and the object."""

    name: str
    held: list[tuple[str, object]]


def find_roots() -> Iterator[Root]:
    """The roots, in the order in which a holder of equal distance is preferred."""
    for name, module in modules():
        held = [(f".{key}", value) for key, value in list(space_of_module(module).items()) if type(key) is str]
        yield Root(f"module {name}", held)
    yield from _tasks_and_contexts()
    yield from _frames()


def _frames() -> Iterator[Root]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - documented, and the only way to them
        frame: types.FrameType | None = innermost
        while frame is not None:
            code = frame.f_code
            if not code.co_filename.startswith(_OWN_FOLDER):
                thread = names.get(ident, str(ident))
                place = f"{code.co_name}() {code.co_filename}:{frame.f_lineno}"
                yield Root(f"thread {thread}, {place}", _locals_of(frame))
            frame = frame.f_back
    del innermost  # of this thread it is this very frame: a cycle


def _locals_of(frame: types.FrameType) -> list[tuple[str, object]]:
    """The frame's variables by name.

    Before 3.13 asking for them leaves a copy in the frame, which would keep the values alive until the frame
    ends: it is emptied, unless the program itself holds it (by ``locals()``) or it is the namespace of a module
    or class body.
    """
    space: Any = frame.f_locals
    held = [(f"local {name}", value) for name, value in list(space.items()) if type(name) is str]
    if _LOCALS_ARE_A_COPY and frame.f_code.co_flags & 1 and sys.getrefcount(space) <= _REFERENCES_OF_COPY:
        space.clear()
    return held


def _references_of_copy() -> int:
    """How many references the copy has when nobody else holds it: the frame's, a local, an argument."""
    space = sys._getframe().f_locals  # noqa: SLF001 - the frame of this very function
    return sys.getrefcount(space)


_REFERENCES_OF_COPY: Final = _references_of_copy()


def _tasks_and_contexts() -> Iterator[Root]:
    """Found on the heap, because each loop and each thread knows only its own."""
    asyncio = sys.modules.get("asyncio")
    task_types = _task_types(asyncio) if asyncio is not None else ()
    for value in gc.get_objects():
        mro = mro_of(type(value))
        if contextvars.Context in mro:
            held = [
                (f"contextvar {_name(variable)}", content) for variable, content in contextvars.Context.items(value)
            ]
            yield Root("context", held)
        elif any(task in mro for task in task_types):
            base = next(task for task in task_types if task in mro)
            if not base.done(value):
                yield Root(
                    f"asyncio task {_coroutine_name(base.get_coro(value))}", [("coroutine", base.get_coro(value))]
                )


def _task_types(asyncio: types.ModuleType) -> tuple[Any, ...]:
    tasks = sys.modules.get("asyncio.tasks", asyncio)
    found = (getattr(tasks, name, None) for name in ("_CTask", "_PyTask"))
    return tuple({id(each): each for each in found if isinstance(each, type)}.values())


def _name(variable: contextvars.ContextVar[Any]) -> str:
    return variable.name


def _coroutine_name(coroutine: object) -> str:
    if type(coroutine) not in (types.CoroutineType, types.GeneratorType):
        return "of a coroutine of its own kind"
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    line = getattr(frame, "f_lineno", None) or getattr(code, "co_firstlineno", 0)
    return f"{getattr(code, 'co_name', '?')}() {getattr(code, 'co_filename', '?')}:{line}"
