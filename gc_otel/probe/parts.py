"""What a recording is made of, in C or in Python, sampled here or from outside.

Imported inside: psutil, re and what else they bring cost more than all the rest, and a process whose memory
is sampled from outside needs none of it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from gc_otel.flight.recorder import MappingLike, Recorder
    from gc_otel.probe.monitor import Sampler
    from gc_otel.sample.cgroup import MemoryLimit


def map_memory(native: ModuleType | None, fd: int) -> MappingLike:
    """The cells of that file, or private ones for -1."""
    if native is not None:
        mapping: MappingLike = native.Mapping(fd)
        return mapping
    from gc_otel.flight.mapping import PythonMapping

    return PythonMapping(fd)


def make_recorder(native: ModuleType | None, mapping: MappingLike) -> Recorder:
    """It is not in gc.callbacks yet."""
    if native is not None:
        recorder: Recorder = native.Recorder(mapping)
        return recorder
    from gc_otel.flight.python_recorder import PythonRecorder

    return PythonRecorder(mapping)


def make_limit_reader(*, run_mode: bool) -> Callable[[], MemoryLimit | None]:
    """The memory limit of this process."""
    if run_mode:
        from gc_otel.sample.own_limit import OwnLimit

        return OwnLimit().read
    from gc_otel.sample.cgroup import LimitReader

    return LimitReader().read


def make_sampler(note_fault: Callable[[str, Exception], None], *, run_mode: bool) -> Sampler:
    """Of all that is known of this process, or of the few numbers that its history must have."""
    if run_mode:
        from gc_otel.sample.own import OwnSampler

        return OwnSampler()
    from gc_otel.sample.process import ProcessSampler

    return ProcessSampler(on_disabled=lambda source, error: note_fault(f"source {source}", error))
