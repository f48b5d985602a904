"""The Leak hunt dashboard's texts, in Markdown."""

from __future__ import annotations

from typing import Final

READ_ME: Final = """\
**1. Is it one?** Look at *Memory floor*: only what stays after every trough counts. Steps and warm-ups flatten; a leak holds its slope \
for hours, in *Growth* as a level line above zero. `Growth over` and `Floor of` set the time that is looked at.

**2. Of what kind?** Compare *What grew* with `Blocks / h` in *Suspects*:

| RSS | blocks | unattributed | then |
|---|---|---|---|
| rises | rise | near zero | **objects are kept**: a cache, a list, a registry without a bound; see *Types by growth* |
| rises | flat | rises | **native**: an extension, large buffers, or an allocator that keeps freed pages |
| sawtooth | sawtooth | near zero | **cycles**: memory waits for a full collection; see *Collected objects*, *Garbage cycles by signature* |
| rises | rise | – | with *Automatic collection* off: cycles that nobody collects |

**3. How long have you got?** *Limit reached in*, and only if 1 says leak. Recycling workers (`--max-requests`) buys time, and hides nothing here.
"""

DO_NEXT: Final = """\
On the host or in the container of the worst process (the first row of the table):

- `gc-otel ps --all` lists the processes with RSS, blocks, share of time in GC and longest pause; the dead are listed too. `gc-otel top` goes on showing them.
- `gc-otel census PID` names the types on its heap, and with `--diff SECONDS` those that grow.
- `gc-otel why PID TYPE` shows who holds the objects of a type, and how.
- `gc-otel cycles PID` names the garbage cycles that wait for a collection.
- `gc-otel doctor` says what is recorded, what is missing, and why.

**Objects are kept**: *Types by growth* says which, `gc-otel census PID --diff 60` says it of now. Which deploy did it begin with? Compare two processes of different age: growth per \
request, not per hour, points at traffic. \
**Native**: set `MALLOC_ARENA_MAX=2`, or try jemalloc; if growth ends, it was the allocator. \
**Cycles**: *Garbage cycles by signature*; look for callbacks, exceptions kept with their traceback, and parent references; `weakref` breaks them. \
**Killed already**: *Deaths by reason* on the Python service dashboard; `gc-otel postmortem` has its last numbers, and how it ended.
"""
