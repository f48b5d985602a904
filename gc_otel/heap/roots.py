"""Where a search for holders begins: what is alive by itself and has a name.

Modules (their globals), frames of running threads, asyncio tasks that are not done,
contexts with their variables, and what modules of C keep beside their globals.  Classes are found in the modules.

``threading`` is not imported: before 3.13 it takes the thread that imports it first for the main one.
"""

from __future__ import annotations

import contextvars
import gc
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gc_otel.heap.names import derives_from, is_one_of, modules, space_of_module
from gc_otel.heap.tracked import all_types, can_list, select_objects

_OWN_FOLDER: Final = __file__.rpartition("roots.py")[0]
_INSTANCES_MOST: Final = 100_000
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
    yield from _states_of_extensions()


def _states_of_extensions() -> Iterator[Root]:
    """What C code of a module holds.  Not on 3.12, where _asyncio's state shows objects that are freed already."""
    if sys.version_info[:2] == (3, 12):
        return
    for name, module in modules():
        space = space_of_module(module)
        if type(space.get("__file__")) is str and space["__file__"].endswith((".py", ".pyc")):
            continue
        held = [("held by C code", value) for value in gc.get_referents(module) if value is not space]
        if held:
            yield Root(f"C extension {name}", held)


def _thread_names() -> dict[int, str]:
    """As threading knows them, without its lock: the program may be inside, or it may be gevent's."""
    threading = sys.modules.get("threading")
    threads = dict(getattr(threading, "_active", {}))
    return {ident: str(getattr(thread, "_name", ident)) for ident, thread in threads.items()}


def _frames() -> Iterator[Root]:
    names = _thread_names()
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
    if not is_one_of(
        type(space), _NAMESPACES
    ):  # of a class body with a namespace of its own: reading it would run its code
        return []
    held = [(f"local {name}", value) for name, value in list(space.items()) if type(name) is str]
    if _LOCALS_ARE_A_COPY and frame.f_code.co_flags & 1 and sys.getrefcount(space) <= _REFERENCES_OF_COPY:
        space.clear()
    return held


def _type_of_locals() -> type:
    """Of a function's namespace: a dict, and from 3.13 on a view of the frame."""
    return type(sys._getframe().f_locals)  # noqa: SLF001 - the frame of this very function


def _references_of_copy() -> int:
    """How many references the copy has when nobody else holds it: the frame's, a local, an argument."""
    space = sys._getframe().f_locals  # noqa: SLF001 - the frame of this very function
    return sys.getrefcount(space)


_NAMESPACES: Final = (dict, _type_of_locals())
_REFERENCES_OF_COPY: Final = _references_of_copy()


def _tasks_and_contexts() -> Iterator[Root]:
    """Found on the heap, because each loop and each thread knows only its own."""
    asyncio = sys.modules.get("asyncio")
    task_types = _task_types(asyncio) if asyncio is not None else ()
    for value in _instances_of((contextvars.Context, *task_types)):
        if derives_from(type(value), contextvars.Context):
            held = [
                (f"contextvar {_name(variable)}", content) for variable, content in contextvars.Context.items(value)
            ]
            yield Root("context", held)
        else:
            base = next(task for task in task_types if derives_from(type(value), task))
            if not base.done(value):
                yield Root(
                    f"asyncio task {_coroutine_name(base.get_coro(value))}", [("coroutine", base.get_coro(value))]
                )


def _instances_of(bases: tuple[Any, ...]) -> list[Any]:
    """Of these classes and their subclasses; none where objects cannot be listed."""
    if not can_list():
        return []
    return select_objects([cls for cls in all_types() if derives_from(cls, *bases)], _INSTANCES_MOST)[0]


def _task_types(asyncio: types.ModuleType) -> tuple[Any, ...]:
    tasks = sys.modules.get("asyncio.tasks", asyncio)
    found = (getattr(tasks, name, None) for name in ("_CTask", "_PyTask"))
    return tuple({id(each): each for each in found if isinstance(each, type)}.values())


def _name(variable: contextvars.ContextVar[Any]) -> str:
    return variable.name


def _coroutine_name(coroutine: object) -> str:
    if not is_one_of(type(coroutine), (types.CoroutineType, types.GeneratorType)):
        return "of a coroutine of its own kind"
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    line = getattr(frame, "f_lineno", None) or getattr(code, "co_firstlineno", 0)
    return f"{getattr(code, 'co_name', '?')}() {getattr(code, 'co_filename', '?')}:{line}"
