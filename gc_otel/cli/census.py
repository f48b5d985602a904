"""Count what is on the heap of a process that runs now, by type; nothing is collected or stopped.

Plain dicts, lists and sets are named by their owner. An estimate is marked with ~; memory that no type explains is
shown as unattributed. The process must be recorded (gc-otel run). A child of it, which it does not notice, counts, and it
pauses only to be cloned: some 5 ms for each million objects. Where there can be no child, or no room for one, and with
--in-process, it counts itself, and holds its GIL for some 25 ms for each million objects.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from gc_otel.cli import asking
from gc_otel.cli.output import print_json, print_lines
from gc_otel.errors import Refused
from gc_otel.heap.census import Census
from gc_otel.heap.render import MOST_ROWS, render_census, render_growth


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    asking.add_process(parser)
    parser.add_argument(
        "--diff", metavar="N", type=asking.seconds, help="look again after N seconds, and show what grew, per hour"
    )
    parser.add_argument("--top", metavar="N", type=asking.positive, default=MOST_ROWS, help=f"rows shown ({MOST_ROWS})")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="look into every holder of strings and numbers in the process itself too: three to five times as long",
    )
    parser.add_argument("--in-process", action="store_true", help="count in the process itself, without a child")
    parser.add_argument("--json", action="store_true", help="print one object; units are in the names")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    first = _ask(arguments)
    if arguments.diff is None:
        census = _census_of(first)
        _print(arguments, first, render_census(census, most=arguments.top))
        return 0
    asking.wait(arguments.diff)
    difference = _census_of(_ask(arguments)).since(_census_of(first))
    _print(arguments, asdict(difference), render_growth(difference, most=arguments.top))
    return 0


def _ask(arguments: argparse.Namespace) -> dict[str, Any]:
    exact = {"sample_every": 1} if arguments.exact else {}
    return asking.ask(arguments, "census", {**exact, "in_process": arguments.in_process})


def _census_of(answer: dict[str, Any]) -> Census:
    try:
        return Census.from_dict(answer)
    except (LookupError, TypeError, ValueError) as error:
        raise Refused(
            f"process gave a census that cannot be read: {error}", remedy="Use the gc-otel of its own version."
        ) from error


def _print(arguments: argparse.Namespace, answer: dict[str, Any], text: str) -> None:
    if arguments.json:
        print_json(answer)
    else:
        print_lines(text)
