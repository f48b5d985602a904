"""The Leak hunt dashboard's texts, in Markdown."""

from __future__ import annotations

from typing import Final

READ_ME: Final = """\
**1. Is it one?** Look at *Memory floor*: only what stays after every trough counts. Steps and warm-ups flatten; a leak holds its slope \
for hours, in *Growth* as a level line above zero. `Growth over` and `Floor of` set the time that is looked at.

**2. Of what kind?** Compare *What grew* with `Blocks / h` in *Suspects*:

| RSS | blocks | unattributed | then |
|---|---|---|---|
| rises | rise | near zero | **objects are kept**: a cache, a list, a registry without a bound |
| rises | flat | rises | **native**: an extension, large buffers, or an allocator that keeps freed pages |
| sawtooth | sawtooth | near zero | **cycles**: memory waits for a full collection; see *Collected objects* |
| rises | rise | – | with *Automatic collection* off: cycles that nobody collects |

**3. How long have you got?** *Limit reached in*, and only if 1 says leak. Recycling workers (`--max-requests`) buys time, and hides nothing here.
"""

DO_NEXT: Final = """\
On the host or in the container of the worst process (the first row of the table):

- `gc-otel ps --all` lists the processes with RSS, blocks, share of time in GC and longest pause; the dead are listed too.
- `gc-otel doctor` says what is recorded, what is missing, and why.
- `gc-otel config` shows the settings; `GC_OTEL_MEMORY_DETAIL` adds PSS and USS where it is off.

**Objects are kept**: which deploy did it begin with? Compare two processes of different age: growth per request, not per hour, points at traffic. \
**Native**: set `MALLOC_ARENA_MAX=2`, or try jemalloc; if growth ends, it was the allocator. \
**Cycles**: look for callbacks, exceptions kept with their traceback, and parent references; `weakref` breaks them.
"""
