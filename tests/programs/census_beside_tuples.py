"""Takes the census of types in a thread, again and again, beside one that makes tuples from iterators."""

from __future__ import annotations

import json
import sys
import threading
import time

from gc_otel.heap.types_only import take_types

errors: list[str] = []
ending = threading.Event()


def produce():
    for number in range(50):
        yield [number for _ in range(200)]


def make_tuples() -> None:
    while not ending.is_set():
        try:
            tuple(produce())
        except SystemError as error:
            errors.append(str(error))


class Counted:
    pass


def main() -> None:
    sys.setswitchinterval(0.0005)
    kept = [Counted() for _ in range(1234)]
    thread = threading.Thread(target=make_tuples)
    thread.start()
    deadline_s = time.monotonic() + 2
    while time.monotonic() < deadline_s:
        census = take_types()
    ending.set()
    thread.join()
    found = {each.name: each for each in census.types}["__main__.Counted"]
    print(json.dumps({"errors": errors[:3], "counted": found.objects == len(kept)}))


main()
