"""Pictures of who holds whom, drawn by objgraph: dot always, other formats where Graphviz is installed.

objgraph labels a node with the object's ``repr()`` and an edge with the key, and collects garbage first.
Ours does neither: an instance of it, loaded beside the one that the program may use, gets
labels without values and a collector that is left alone.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
import types
from collections.abc import Callable
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, Final

from gc_otel.errors import NotSupported
from gc_otel.heap.edges import EdgeNames
from gc_otel.heap.names import is_one_of, referents, type_name

_SIZED: Final = (dict, list, tuple, set, frozenset, str, bytes)
_TIMEOUT_S: Final = 120


def show_refs(
    objects: object,
    *,
    filename: str | os.PathLike[str] | None = None,
    max_depth: int = 3,
    too_many: int = 10,
    filter: Callable[[Any], bool] | None = None,  # noqa: A002 - objgraph's name for it
) -> str:
    """Draw what the objects (a list of them, or one) hold, and return the dot source.

    ``filename`` ends in ``.dot``, or in ``.svg``, ``.png``, ``.pdf`` where Graphviz's ``dot`` is on PATH (else
    NotSupported).  At most ``max_depth`` steps, ``too_many`` edges of each object, objects that ``filter``
    accepts.  Types, lengths and attribute names are shown, no values.
    """
    return _show("show_refs", objects, filename, max_depth=max_depth, too_many=too_many, filter=filter)


def show_backrefs(
    objects: object,
    *,
    filename: str | os.PathLike[str] | None = None,
    max_depth: int = 3,
    too_many: int = 10,
    filter: Callable[[Any], bool] | None = None,  # noqa: A002 - objgraph's name for it
) -> str:
    """Draw what holds the objects, and return the dot source; arguments as of ``show_refs()``.

    Each object drawn costs a pass over the whole heap: ``find_holders()`` scales better.
    """
    return _show("show_backrefs", objects, filename, max_depth=max_depth, too_many=too_many, filter=filter)


def _show(function: str, objects: object, filename: str | os.PathLike[str] | None, **options: Any) -> str:
    path = None if filename is None else Path(filename)
    if path is not None:
        check_format(path)
    output = StringIO()
    getattr(_objgraph(), function)(objects, output=output, extra_ignore=(id(output), id(options)), **options)
    source = output.getvalue()
    if path is not None:
        write(source, path)
    return source


def check_format(path: Path) -> None:
    """Before the work, not after it."""
    if not path.suffix:
        raise ValueError(f"the filename tells the format: {path}.dot, .svg or .png")
    if path.suffix != ".dot" and shutil.which("dot") is None:
        raise NotSupported(
            f"{path.suffix[1:]} is drawn by Graphviz, whose program `dot` is not on PATH",
            remedy="Install it (apt-get install graphviz, brew install graphviz), or ask for a .dot file.",
        )


def write(source: str, path: Path) -> None:
    """Write the dot source in the format that the name of the file tells; NotSupported when Graphviz fails."""
    if path.suffix == ".dot":
        path.write_text(source, encoding="utf-8")
        return
    command = ["dot", f"-T{path.suffix[1:]}", f"-o{path}"]
    done = subprocess.run(  # noqa: S603 - a fixed program; the arguments are the caller's own path
        command, input=source, encoding="utf-8", capture_output=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode != 0:
        raise NotSupported(
            f"Graphviz could not make {path.name}: {done.stderr.strip()}",
            remedy="Ask for a format that `dot -T?` lists, or for a .dot file.",
        )


@lru_cache(maxsize=1)
def _objgraph() -> Any:
    """An objgraph of our own, in no ``sys.modules``; the names replaced are its private ones, and a test watches them."""
    spec = importlib.util.find_spec("objgraph")
    if spec is None or spec.loader is None:
        raise NotSupported(
            "objgraph is not installed", remedy="Install gc_otel with its dependencies: pip install gc_otel"
        )
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._obj_label = _node_label  # noqa: SLF001
    module._edge_label = _edge_label  # noqa: SLF001
    module.gc = types.SimpleNamespace(
        collect=lambda: 0, get_referents=referents, get_referrers=gc.get_referrers, get_objects=gc.get_objects
    )
    return module


def _node_label(obj: Any, *_: object) -> str:
    lines = [type_name(type(obj))]
    if is_one_of(type(obj), _SIZED):
        lines.append(f"len {len(obj):,}")
    elif type(obj) is types.ModuleType:
        lines.append(_word(types.ModuleType.__getattribute__(obj, "__name__")))
    elif type(obj) is types.FunctionType:
        lines.append(_word(obj.__qualname__))
    elif type(obj) is type:
        lines.append(type_name(obj))
    elif type(obj) is types.FrameType:
        lines.append(f"{obj.f_code.co_name}:{obj.f_lineno}")
    return "\\n".join(_word(line) for line in lines)


def _word(text: object) -> str:
    """What cannot end a label of dot."""
    return str(text).replace("\\", "/").replace('"', "'").replace("\n", " ") if type(text) is str else ""


def _edge_label(source: Any, target: Any, *_: object) -> str:
    name = EdgeNames().of(source, target)
    return "" if name == "[held]" else f' [label="{_word(name)}"]'
