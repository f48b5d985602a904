"""Show who holds the objects of a type in a process that runs now: the shortest ways to them from something with a name.

Ways that look alike are one, with the number of objects at each step; where one object holds many, they
accumulate. No values: types, lengths, and the names that code gave. It takes about a second for each million
objects, during which the process goes on.
"""

from __future__ import annotations

import argparse

from gc_otel.cli import asking
from gc_otel.cli.output import print_json, print_lines
from gc_otel.errors import Refused
from gc_otel.heap.paths import Holders
from gc_otel.heap.render import render_holders


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    asking.add_process(parser)
    parser.add_argument("type", metavar="TYPE", help="as gc-otel census shows it; the last part is enough")
    parser.add_argument("--top", metavar="N", type=asking.positive, default=10, help="roots shown (10)")
    parser.add_argument("--json", action="store_true", help="print one object; units are in the names")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    answer = asking.ask(arguments, "why", {"type": arguments.type, "most": arguments.top})
    if arguments.json:
        print_json(answer)
        return 0
    try:
        holders = Holders.from_dict(answer)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise Refused(
            f"the answer cannot be read: {error}", remedy="Use the gc-otel of the process's own version."
        ) from error
    print_lines(render_holders(holders))
    return 0
