"""The columns of `gc-otel top`, once: heading, text, what they sort by, the key for it, and when there is room for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gc_otel.cli.output import UNKNOWN, bytes_text, count_text, pause_text, share_text, time_text
from gc_otel.cli.terminal.draw import sparkline
from gc_otel.service.watching import View

#: From here on a value is marked, by a sign and not by colour alone.
_SHARE_IN_GC_HIGH: Final = 0.1
_MEMORY_SHARE_HIGH: Final = 0.9
_SIGN: Final = "!"

_SERVICE_LETTERS_MOST: Final = 24
SPARKLINE_COLUMNS: Final = 16


@dataclass(frozen=True, slots=True)
class Column:
    """``rank``: the first to go where the terminal is narrow is the highest.  ``key`` sorts by ``order``, largest first if ``falls``.

    ``is_high`` says which values are marked.
    """

    name: str
    heading: str
    text: Callable[[View], str]
    order: Callable[[View], float | str | None]
    rank: int
    columns: int
    help: str
    key: str = ""
    falls: bool = True
    right: bool = True
    is_high: Callable[[View], bool] = lambda _: False


def _pause(name: str) -> Callable[[View], int | None]:
    def read(view: View) -> int | None:
        value: int | None = None if view.lately is None else getattr(view.lately.pauses, name)
        return value

    return read


def _pause_text(name: str) -> Callable[[View], str]:
    read = _pause(name)

    def text(view: View) -> str:
        duration_ns = read(view)
        is_estimate = duration_ns is not None and view.lately is not None and view.lately.pauses.is_estimate
        return f"{'~' if is_estimate else ''}{pause_text(duration_ns)}"

    return text


def _share_in_gc(view: View) -> float | None:
    return None if view.lately is None else view.lately.share_in_gc


def _rate_text(view: View) -> str:
    rates = () if view.lately is None else view.lately.collections_per_s
    return " ".join(f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}" for rate in rates) or UNKNOWN


def _memory_text(view: View) -> str:
    share = view.memory_share
    return UNKNOWN if share is None else f"{share * 100:.0f} %"


def growth_text(bytes_per_h: float | None) -> str:
    """Such as ``+1.2 MiB``; what is less than a page an hour is none."""
    if bytes_per_h is None:
        return UNKNOWN
    size = round(bytes_per_h)
    return "0 B" if abs(size) < 4096 else f"{'+' if size > 0 else '-'}{bytes_text(abs(size))}"


def _name_text(view: View) -> str:
    name = view.snapshot.identity.service_name
    return name if len(name) <= _SERVICE_LETTERS_MOST else name[: _SERVICE_LETTERS_MOST - 1] + "…"


def state_text(view: View) -> str:
    """In a word or two."""
    if view.is_gone:
        return view.process.state
    collecting_ns = view.process.collecting_ns
    return view.process.state if collecting_ns is None else f"collecting {collecting_ns / 1e9:.1f} s"


def _is_above(read: Callable[[View], float | None], bound: float) -> Callable[[View], bool]:
    return lambda view: (read(view) or 0) >= bound


COLUMNS: Final = (
    Column(
        "pid",
        "PID",
        lambda view: f"{view.label}{'*' if view.process.elsewhere else ''}{'†' if view.is_gone else ''}",
        lambda view: view.snapshot.identity.pid,
        0,
        7,
        "process id; † has ended; * counted in another pid namespace, such as a container's",
        key="i",
        falls=False,
    ),
    Column(
        "service",
        "SERVICE",
        _name_text,
        lambda view: view.snapshot.identity.service_name,
        1,
        10,
        "service.name",
        key="n",
        falls=False,
        right=False,
    ),
    Column("p50", "P50", _pause_text("p50_ns"), _pause("p50_ns"), 9, 8, "median pause of the last minute; ~ an estimate"),
    Column("p99", "P99", _pause_text("p99_ns"), _pause("p99_ns"), 2, 8, "99 % of its pauses were no longer", key="p"),
    Column("max", "MAX", _pause_text("max_ns"), _pause("max_ns"), 7, 8, "its longest pause", key="x"),
    Column(
        "share_in_gc",
        "IN GC",
        lambda view: share_text(_share_in_gc(view)),
        _share_in_gc,
        3,
        8,
        "share of the last minute in collections",
        key="g",
        is_high=_is_above(_share_in_gc, _SHARE_IN_GC_HIGH),
    ),
    Column(
        "collections",
        "COLL/S",
        _rate_text,
        lambda view: view.collections_per_s,
        8,
        12,
        "collections a second, by generation",
        key="c",
    ),
    Column("rss", "RSS", lambda view: bytes_text(view.rss_bytes), lambda view: view.rss_bytes, 4, 9, "resident set size", key="r"),
    Column("uss", "USS", lambda view: bytes_text(view.uss_bytes), lambda view: view.uss_bytes, 12, 9, "what would come back if it ended", key="u"),
    Column(
        "limit",
        "LIMIT",
        _memory_text,
        lambda view: view.memory_share,
        6,
        6,
        "RSS in percent of the memory limit that binds",
        key="l",
        is_high=_is_above(lambda view: view.memory_share, _MEMORY_SHARE_HIGH),
    ),
    Column(
        "history",
        "RSS, LAST HOUR",
        lambda view: sparkline([point.rss_bytes for point in view.points], SPARKLINE_COLUMNS),
        lambda _: None,
        10,
        SPARKLINE_COLUMNS,
        "its shape between its least and its largest",
        right=False,
    ),
    Column(
        "growth",
        "GROWTH/H",
        lambda view: growth_text(view.growth_bytes_per_h),
        lambda view: view.growth_bytes_per_h,
        5,
        10,
        "robust slope of RSS over the hour; - below a minute of history",
        key="h",
    ),
    Column("blocks", "BLOCKS", lambda view: count_text(view.allocated_blocks), lambda view: view.allocated_blocks, 11, 10, "sys.getallocatedblocks()", key="b"),
    Column("uptime", "UPTIME", lambda view: time_text(view.process.uptime_ns), lambda view: view.process.uptime_ns, 13, 7, "age of the process", key="t"),
    Column("state", "STATE", state_text, lambda view: view.process.state, 14, 10, "running, collecting, exited or died", right=False),
)  # fmt: skip

BY_NAME: Final = {column.name: column for column in COLUMNS}
SORTED_BY: Final = tuple(column.name for column in COLUMNS if column.key)

_GAP_COLUMNS: Final = 2


def cell(column: Column, view: View) -> str:
    """Its text, marked where it is high."""
    text = column.text(view)
    return f"{_SIGN}{text}" if column.is_high(view) and not view.is_gone else text


def fitting(width: int, views: Sequence[View]) -> tuple[Column, ...]:
    """The columns that there is room for, the most telling first, in their own order; pid and service always."""
    left, kept = width, set()
    for column in sorted(COLUMNS, key=lambda each: each.rank):
        widths = [len(column.heading) + 2, column.columns, *(len(cell(column, view)) for view in views)]
        needed = max(widths) + _GAP_COLUMNS
        if column.rank > 1 and needed > left:
            continue
        left -= needed
        kept.add(column.name)
    return tuple(column for column in COLUMNS if column.name in kept)


def ordered(views: Sequence[View], by: str, *, reverse: bool = False) -> list[View]:
    """Sorted by a column; those who have ended, and unknown values, last whichever way."""
    column = BY_NAME[by]
    falls = column.falls != reverse

    def known(view: View) -> bool:
        return column.order(view) is not None

    # Two stable sorts: equal values stay in the order of pids.
    by_pid = sorted(views, key=lambda view: view.snapshot.identity.pid)
    sortable = sorted(filter(known, by_pid), key=column.order, reverse=falls)  # type: ignore[arg-type]  # of one type, and known
    rest = [view for view in by_pid if not known(view)]
    return sorted([*sortable, *rest], key=lambda view: view.is_gone)
