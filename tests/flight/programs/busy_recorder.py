"""Records made-up collections at an uneven pace until its standard input ends."""

from __future__ import annotations

import gc
import select
import sys

from _flight import make_file, make_recorder, tell

gc.disable()
path, mapping = make_file()
recorder = make_recorder(mapping)
tell(path=str(path))
number = 0
while number % 256 or not select.select([sys.stdin], [], [], 0)[0]:
    number += 1
    generation = number % 3
    recorder.record_phase("start", {"generation": generation, "collected": 0, "uncollectable": 0})
    recorder.record_phase("stop", {"generation": generation, "collected": 1, "uncollectable": 0})
    for _ in range(number * 7919 % 4096):
        pass
