"""Prints the table: ``python -m benchmarks [--quick] [--full] [--only NAME,NAME] [--json FILE]``, from the root of the checkout."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from benchmarks import (
    always_on,
    brief,
    callback,
    census,
    collect,
    fleet,
    footprint,
    growth,
    handler,
    holders,
    rules,
    run_footprint,
    run_service,
    sampling,
    scrape,
    service,
    truth,
)
from benchmarks.result import NO_VERDICT, Result, Row

_ALL: Final = (
    callback,
    truth,
    handler,
    service,
    run_service,
    collect,
    footprint,
    run_footprint,
    sampling,
    scrape,
    fleet,
    brief,
    census,
    holders,
    always_on,
    rules,
    growth,
)
BENCHMARKS: Final = {each.NAME: each for each in _ALL}

_WITH_FULL: Final = (census.NAME, holders.NAME, service.NAME, run_service.NAME)

_HEADINGS: Final = ("", "median", "spread", "ratio", "target", "")


def main() -> int:
    """Run what is asked for; exit 0 whatever the figures are."""
    options = _arguments()
    results = []
    print(f"CPython {platform.python_version()} on {platform.system()} {platform.machine()}", flush=True)
    for name in options.only or BENCHMARKS:
        more = {"full": True} if options.full and name in _WITH_FULL else {}
        result = BENCHMARKS[name].run(quick=options.quick, **more)
        if options.quick:
            result = replace(result, rows=tuple(replace(row, verdict=NO_VERDICT) for row in result.rows))
        results.append(result)
        print("\n".join(("", f"## {result.name}: {result.title}", "", *_table(result))), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(_as_json(results, quick=options.quick), indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What gc_otel costs.")
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, no verdicts: whether it runs, not how fast it is"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="census, holders: a heap of ten million objects too (3 GB); service, run-service: up to thirty-two times as many requests",
    )
    parser.add_argument(
        "--only", action="extend", type=_names, metavar="NAME[,NAME...]", help=f"some of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise argparse.ArgumentTypeError(f"no benchmark is called {', '.join(unknown)}: {', '.join(BENCHMARKS)}")
    return names


def _as_json(results: Iterable[Result], *, quick: bool) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "quick": quick,
        "results": [asdict(result) for result in results],
    }


def _table(result: Result) -> list[str]:
    """Markdown, aligned, so that README can show it as it is."""
    headings = (*_HEADINGS[:2], result.spread, *_HEADINGS[3:])
    cells = [headings, *(_cells(row, of_ratio="ratio" in result.spread) for row in result.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _cells(row: Row, *, of_ratio: bool) -> tuple[str, ...]:
    value = "" if row.value is None else f"{_number(row.value)} {row.unit}"
    number = "{:.3f}".format if of_ratio else _number
    spread = "" if row.low is None or row.high is None else f"{number(row.low)} to {number(row.high)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    return row.label, value, spread, ratio, row.target, ", ".join(part for part in (row.verdict, row.note) if part)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
