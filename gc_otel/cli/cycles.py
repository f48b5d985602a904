"""Find the garbage cycles that a process has now: by signature, with objects, bytes, and where their classes are defined.

A child of the process, which it does not notice, reads the heap that both share; the process itself pauses only to be
cloned, some 5 ms for each million objects. Nothing is collected, no finalizer runs. Refused where memory is short. With
--in-process the process examines itself, and stops meanwhile.
"""

from __future__ import annotations

import argparse

from gc_otel.cli import asking
from gc_otel.cli.output import print_json, print_lines
from gc_otel.errors import Refused
from gc_otel.heap.cycles import Cycles
from gc_otel.heap.render import MOST_ROWS, render_cycles


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    asking.add_process(parser)
    parser.add_argument("--top", metavar="N", type=asking.positive, default=MOST_ROWS, help=f"rows shown ({MOST_ROWS})")
    parser.add_argument(
        "--in-process",
        action="store_true",
        help="examine the heap in the process itself: half a second for each million objects, and it does nothing else",
    )
    parser.add_argument("--json", action="store_true", help="print one object; units are in the names")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    answer = asking.ask(arguments, "cycles", {"in_process": arguments.in_process})
    if arguments.json:
        print_json(answer)
        return 0
    try:
        cycles = Cycles.from_dict(answer)
    except (LookupError, TypeError, ValueError) as error:
        raise Refused(
            f"the answer cannot be read: {error}", remedy="Use the gc-otel of the process's own version."
        ) from error
    print_lines(render_cycles(cycles, most=arguments.top))
    return 0
