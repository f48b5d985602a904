"""A list of ten million integers, made and dropped: the memory goes up, and comes back at once.

No collector is needed for it: the last reference goes, and with it the list and every integer.

    python examples/ten_million_integers.py [HOW_MANY]
"""

from __future__ import annotations

import gc
import sys

import gc_otel


def main(how_many: int) -> None:
    """Show the memory before, with the list, and after it."""
    gc.disable()  # so that nobody can say the collector did it
    gc_otel.show_memory("before")
    numbers = list(range(how_many))
    gc_otel.show_memory(f"with {len(numbers):,} integers")
    census = {each.name: each for each in gc_otel.take_census().types}
    print(f"the census says: int ~{census['int'].objects:,}")
    del numbers
    gc_otel.show_memory("after del")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
