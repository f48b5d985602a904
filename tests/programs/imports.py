"""Imports much while young collections come often, and tells which of them were taken for asked for: ``imports.py KIND``.

Imports make objects and free them at once, so from 3.12 on many a collection begins when the count is below the threshold again.
"""

from __future__ import annotations

import gc
import importlib

import _recorded as recorded

MANY = [
    "asyncio",
    "email.message",
    "http.client",
    "unittest",
    "xml.dom.minidom",
    "xmlrpc.client",
    "decimal",
    "fractions",
    "statistics",
    "concurrent.futures",
    "multiprocessing",
    "sqlite3",
    "logging.config",
    "pydoc",
    "doctest",
    "argparse",
]


def main() -> None:
    below = 0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal below
        below += phase == "start" and gc.get_count()[0] <= gc.get_threshold()[0]

    recorded.start()
    gc.callbacks.append(note)
    gc.set_threshold(20, 3, 3)
    for name in MANY:
        importlib.import_module(name)
    gc.disable()
    gc.callbacks.remove(note)
    generations = recorded.snapshot().collector.generations
    recorded.report(
        collections=[each.collections for each in generations],
        explicit=[each.explicit_collections for each in generations],
        began_below=below,
    )


main()
