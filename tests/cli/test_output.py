"""Units, tables and colour."""

from __future__ import annotations

import io

import pytest

from gc_otel.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (50_541_363, "48.2 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**63, "8388608.0 TiB"),
    ],
)
def test_bytes(value, text):
    """Bytes in powers of 1024."""
    assert output.bytes_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0.00 ms"),
        (210_000, "0.21 ms"),
        (12_440_000, "12.4 ms"),
        (150_000_000, "150 ms"),
        (1_250_000_000, "1.25 s"),
    ],
)
def test_pauses(value, text):
    """Pauses with as many digits as they deserve."""
    assert output.pause_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.9, "0s"), (59, "59s"), (61, "1m 1s"), (7_260, "2h 1m"), (90_000, "1d 1h")],
)
def test_long_times(seconds, text):
    """The two largest units."""
    assert output.time_text(None if seconds is None else int(seconds * 1e9)) == text


@pytest.mark.parametrize(("share", "text"), [(None, "-"), (0.0123, "1.23 %"), (0.25, "25.0 %")])
def test_shares(share, text):
    """Parts of one as percent."""
    assert output.share_text(share) == text


def test_counts():
    """Thousands are separated, and what is not known is a dash."""
    assert (output.count_text(1_234_567), output.count_text(None)) == ("1,234,567", "-")


def test_a_table_is_aligned_and_harmless():
    """Columns line up, and no control character passes."""
    lines = output.table(("A", "LONG"), [["1", "x"], ["100", "\x1b[2J"]], right=frozenset({"A"}))
    assert lines == ["  A  LONG", "  1  x", "100  \ufffd[2J"]


@pytest.mark.parametrize(
    ("terminal", "env", "colored"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, terminal, env, colored):
    """Only on a terminal, not where NO_COLOR says otherwise, not on a dumb one."""
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    style = output.Style(Terminal() if terminal else io.StringIO())
    assert style("red", "x") == ("\x1b[31mx\x1b[0m" if colored else "x")
    assert style("", "x") == "x"
