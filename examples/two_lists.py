"""Two lists that hold each other: dropping both frees nothing until a collection runs.

python examples/two_lists.py [BYTES_IN_EACH]
"""

from __future__ import annotations

import gc
import sys

import gc_otel


def make_cycle(size_bytes: int) -> None:
    """Two lists with some weight, each in the other, and both forgotten."""
    one, other = [bytearray(size_bytes)], [bytearray(size_bytes)]
    one.append(other)
    other.append(one)
    picture = gc_otel.show_refs([one], filter=lambda value: type(value) is list)
    print(f"arrows between them: {picture.count('[item]')}")


def main(size_bytes: int) -> None:
    """Show the memory and the garbage before and after a collection."""
    make_cycle(1)  # what is loaded at first use leaves garbage of its own
    gc_otel.show_memory("loaded")
    gc.disable()
    gc.collect()
    gc_otel.show_memory("before")
    make_cycle(size_bytes)
    gc_otel.show_memory("forgotten, and still there")
    print(gc_otel.find_cycles())
    gc.collect()
    gc_otel.show_memory("after gc.collect()")
    print(gc_otel.find_cycles())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000_000)
