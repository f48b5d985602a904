"""Collections of a service that has loaded much, with and without ``gc.freeze()``.

A full collection walks all that lives, however long it has lived: a model, routes, a cache.  ``gc.freeze()`` puts what is
there aside, so that a full collection is as short as a young one; nothing in it is looked at again, garbage included.
"""

from __future__ import annotations

import gc
import time


class Route:
    """What a service has many of from its start."""

    def __init__(self, number: int) -> None:
        self.path = f"/orders/{number}"
        self.options = {"methods": ["GET", "POST"]}


def serve(requests: int) -> None:
    """Objects that die by their reference count, and a few cycles."""
    for _ in range(requests):
        order: dict[str, object] = {"lines": [[] for _ in range(20)]}
        order["itself"] = order


def collected(generation: int) -> tuple[float, int]:
    """Milliseconds of one collection, and what it freed."""
    began = time.perf_counter()
    freed = gc.collect(generation)
    return (time.perf_counter() - began) * 1e3, freed


def main() -> None:
    """Print the young and the full collection, before and after."""
    routes = [Route(number) for number in range(100_000)]
    gc.collect()
    for label in ("as loaded", "after gc.freeze()"):
        if label != "as loaded":
            gc.freeze()
        serve(100)
        young_ms, young_freed = collected(0)
        full_ms, _ = collected(2)
        print(f"{label}: young {young_ms:.2f} ms ({young_freed:,} objects freed), full {full_ms:.2f} ms")
    print(f"{gc.get_freeze_count():,} objects put aside, {len(routes):,} routes as alive as before")
    gc.unfreeze()


if __name__ == "__main__":
    main()
