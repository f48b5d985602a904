"""What the kernel tells of this process's memory, and what is told where it does not."""

from __future__ import annotations

import os

import psutil
import pytest

from gc_otel.errors import NotSupported
from gc_otel.heap import pages
from gc_otel.probe.headroom import check_headroom_of_census

MIB = 2**20

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="no Linux /proc here")


@needs_proc
def test_sizes_are_those_of_psutil() -> None:
    """Within what one process allocates between two looks."""
    found = psutil.Process().memory_full_info()
    assert pages.rss_bytes() == pytest.approx(found.rss, abs=MIB)
    assert pages.uss_bytes() == pytest.approx(found.uss, abs=MIB)


@pytest.mark.parametrize("text", [None, "", "12", "a b c"])
def test_nothing_is_told_where_the_kernel_tells_nothing(monkeypatch, tmp_path, text) -> None:
    """No size is no size; and a child is refused, which needs one."""
    file = tmp_path / "told"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(pages, "_SIZES", str(file))
    monkeypatch.setattr(pages, "_ROLLUP", str(file))
    assert pages.rss_bytes() is None
    assert pages.uss_bytes() is None
    pages.have_looked_at()
    with pytest.raises(NotSupported, match="how large this process is"):
        check_headroom_of_census()


@pytest.mark.parametrize(("resident_bytes", "times"), [(MIB, 1), (pages.LOOKED_AT_MOST_BYTES + 1, 0), (None, 0)])
def test_only_what_fits_a_cache_is_looked_at(monkeypatch, resident_bytes, times) -> None:
    """Of more it would cost, and bring nothing."""
    looked = []
    monkeypatch.setattr(pages, "rss_bytes", lambda: resident_bytes)
    monkeypatch.setattr(pages, "uss_bytes", lambda: looked.append(True))
    pages.have_looked_at()
    assert len(looked) == times
