"""The reference count of an object without the references that asking for it makes."""

from __future__ import annotations

import dis
import sys
import types
from functools import lru_cache
from typing import Final

_BORROWS: Final = sys.version_info >= (3, 14)
_IMMORTAL: Final = 2**31  # on 64-bit builds with immortal objects the sign bit of 32 says it
_HAS_IMMORTAL: Final = sys.version_info >= (3, 12)
#: The parameter and getrefcount()'s argument; before 3.11 the caller's stack kept one more.
_OWN_REFERENCES: Final = 2 if sys.version_info >= (3, 11) else 3


def refcount(obj: object) -> int | None:
    """How many references to ``obj`` there are, the one made by passing it here left out.

    None for an immortal object (None, small ints, interned names; 3.12 and later): it is not counted, and never
    freed.  From 3.14 on a function's variable is lent to a call without being counted, and a
    variable of a module is not: which it was is read from the caller's code, so call it directly, as
    ``refcount(name)``.  On a free-threaded build counts of objects that several threads use are not exact.
    """
    count = sys.getrefcount(obj)
    if _HAS_IMMORTAL and count >= _IMMORTAL:
        return None
    if not _BORROWS:
        return count - _OWN_REFERENCES
    frame = sys._getframe(1)  # noqa: SLF001 - only the caller's code tells
    return count - (0 if _argument_is_lent(frame.f_code, frame.f_lasti) else 1)


@lru_cache(maxsize=256)
def _argument_is_lent(code: types.CodeType, at: int) -> bool:
    """Whether the instruction before the call put the argument there without counting a reference."""
    before = None
    for instruction in dis.get_instructions(code):
        if instruction.offset >= at:
            break
        if instruction.opname not in ("CACHE", "EXTENDED_ARG", "NOP", "KW_NAMES", "PRECALL"):
            before = instruction.opname
    return before is not None and before.startswith("LOAD_FAST_BORROW")
