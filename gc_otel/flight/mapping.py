"""The memory of a flight file, mapped without C of ours.

The twin of ``_native/mapping.c``, by ctypes rather than by :mod:`mmap`: that
module keeps a duplicate of the descriptor (below 3.13 always), and when a daemon has closed
all descriptors and reused the number, its ``close()`` closes somebody else's
file.  A mapping made here has no descriptor, and carries the file's lock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from typing import Final

from gc_otel.flight import layout

_MADV_DONTFORK: Final = 10  # asm-generic/mman-common.h; mmap.MADV_DONTFORK is missing on some builds
_MADV_WIPEONFORK: Final = 18  # Linux 4.14
_MAP_POPULATE: Final = 0x8000
_MAP_FAILED: Final = ctypes.c_void_p(-1).value
_LINUX: Final = sys.platform == "linux"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def _map(fd: int, size_bytes: int, flags: int) -> int:
    address = _libc.mmap(None, size_bytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
    if address is None or address == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), "mmap failed")
    return int(address)


def _advise(address: int, size_bytes: int, advice: int) -> bool:
    return _LINUX and _libc.madvise(address, size_bytes, advice) == 0


class PythonMapping:
    """Same interface as the native ``Mapping``; ``fd`` -1 maps private memory.

    The cells are absent in a forked child (MADV_DONTFORK), whose guard page is
    empty (MADV_WIPEONFORK): ask ``alive`` before touching them.  Views
    handed out keep the memory mapped; it is unmapped with the last of them.
    """

    def __init__(self, fd: int) -> None:
        self._guard = _Guard()
        flags = mmap.MAP_SHARED if fd >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        address = _map(fd, layout.FILE_BYTES, flags | (_MAP_POPULATE if _LINUX else 0))
        self._memory: _Memory | None = _Memory.at(address, self._guard)
        _advise(address, layout.FILE_BYTES, _MADV_DONTFORK)

    @property
    def alive(self) -> bool:
        """Whether this process may touch the cells."""
        return self._memory is not None and self._guard.intact()

    def view(self) -> memoryview:
        """A writable memoryview of bytes; BufferError when closed or inherited."""
        if self._memory is None or not self._guard.intact():
            raise BufferError("this mapping is closed, or belongs to another process")
        return memoryview(self._memory).cast("B")

    def close(self) -> None:
        """Give the memory up; the last view unmaps it."""
        self._memory = None


class _Guard:
    """A word that reads 0 in every forked child."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._word: ctypes.c_uint64 | None = None
        self._address = 0
        if _LINUX:
            address = _map(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if _advise(address, mmap.PAGESIZE, _MADV_WIPEONFORK):
                self._address = address
                self._word = ctypes.c_uint64.from_address(address)
                self._word.value = 1
            else:
                _libc.munmap(address, mmap.PAGESIZE)

    def intact(self) -> bool:
        if self._word is not None:
            return self._word.value != 0
        return os.getpid() == self._pid

    # Defaults, because at exit the module's globals may be None already.
    def __del__(self, munmap: Callable[[int, int], int] = _libc.munmap, page_bytes: int = mmap.PAGESIZE) -> None:
        if self._address:
            self._word = None
            munmap(self._address, page_bytes)


class _Memory(ctypes.Array):  # type: ignore[type-arg]  # ctypes.Array takes its item type as an attribute
    """The mapped bytes; unmapped when the last view of them has gone."""

    _type_ = ctypes.c_ubyte
    _length_ = layout.FILE_BYTES
    _guard: _Guard
    _address: int

    @classmethod
    def at(cls, address: int, guard: _Guard) -> _Memory:
        memory = cls.from_address(address)
        memory.remember(address, guard)
        return memory

    def remember(self, address: int, guard: _Guard) -> None:
        self._address, self._guard = address, guard

    def __del__(self, munmap: Callable[[int, int], int] = _libc.munmap) -> None:
        # In a forked child the range is not ours: something else may live there by now.
        if self._guard.intact():
            munmap(self._address, self._length_)
