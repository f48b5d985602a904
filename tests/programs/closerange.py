"""A program that closes every descriptor it does not know, and uses their numbers.  Argument: native|python."""

from __future__ import annotations

import gc
import os
import tempfile

import _recorded as recorded

stop = recorded.start()
recorded.wait_for_rounds()
gc.disable()
os.closerange(3, 4096)
with tempfile.TemporaryDirectory() as folder:
    numbers = [os.open(f"{folder}/{n}", os.O_RDWR | os.O_CREAT) for n in range(20)]
    inodes = [os.fstat(number).st_ino for number in numbers]
    before = recorded.snapshot().collector.collections
    gc.collect()
    recorded.wait_for_rounds()
    seen = recorded.file_of(os.getpid())
    stop()
    gc.collect()
    written = [os.write(number, b"mine") for number in numbers]
    recorded.report(
        numbers=numbers,
        recorded_since=seen["collections"] - before,
        alive=seen["alive"],
        same_files=inodes == [os.fstat(number).st_ino for number in numbers],
        written=sorted(set(written)),
        contents=sorted({os.pread(number, 10, 0).decode() for number in numbers}),
        mappings=recorded.own_mappings(),
        files=[path.name for path in recorded.flight_files()],
    )
