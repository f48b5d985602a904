"""Looks for holders and draws them, again and again, beside a thread that makes tuples from iterators."""

from __future__ import annotations

import json
import sys
import threading
import time

from gc_otel.heap.finding import find_types
from gc_otel.heap.paths import search_holders
from gc_otel.heap.picture import picture_of

errors: list[str] = []
ending = threading.Event()


class Held:
    """In every tuple that is being made."""


HELD = [Held() for _ in range(20)]


def produce():
    for number in range(50):
        time.sleep(0)  # let the others look at it half made
        yield HELD[number % 20]


def make_tuples() -> None:
    while not ending.is_set():
        try:
            tuple(produce())
        except SystemError as error:
            errors.append(str(error))


def main() -> None:
    sys.setswitchinterval(0.0005)
    thread = threading.Thread(target=make_tuples)
    thread.start()
    deadline_s = time.monotonic() + 3
    found = 0
    while time.monotonic() < deadline_s:
        name, types = find_types("Held")
        found = search_holders(name, lambda cls: cls is Held, most=3).reached
        picture = picture_of(types, name, backward=True, depth=3, too_many=20, instances=20)
        time.sleep(0)
        assert picture.alive == 20
    ending.set()
    thread.join()
    print(json.dumps({"errors": errors[:3], "found": found}))


main()
