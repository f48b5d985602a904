"""Draw what holds a few objects of a type in a process that runs now, or with --refs what they hold.

The ending of the file tells the format: .html is one page that needs nothing else (drag, zoom, click); .dot is
the source of Graphviz; .svg and .png are drawn by Graphviz where it is installed. No values are shown without
--values, and then those of builtin numbers and texts only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gc_otel.cli import asking
from gc_otel.errors import GcOtelError, Refused
from gc_otel.heap import graph as graphviz
from gc_otel.heap.drawing import to_dot, to_html
from gc_otel.heap.picture import Picture

_FORMATS = (".html", ".svg", ".png", ".dot", ".json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    asking.add_process(parser)
    parser.add_argument("type", metavar="TYPE", help="as gc-otel census shows it; the last part is enough")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        type=Path,
        required=True,
        help="a name that ends in .html, .svg, .png, .dot or .json",
    )
    parser.add_argument("--refs", action="store_true", help="draw what the objects hold, not what holds them")
    parser.add_argument("--depth", metavar="N", type=asking.positive, default=3, help="steps from the objects (3)")
    parser.add_argument("--too-many", metavar="N", type=asking.positive, default=10, help="arrows of each object (10)")
    parser.add_argument("--instances", metavar="N", type=asking.positive, default=3, help="objects to begin with (3)")
    parser.add_argument("--values", action="store_true", help="show values of builtin numbers and texts")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    path: Path = arguments.output
    if path.suffix not in _FORMATS:
        raise GcOtelError(f"{path} does not tell a format", remedy=f"Let it end in one of {', '.join(_FORMATS)}.")
    if path.suffix in (".svg", ".png"):
        graphviz.check_format(path)
    answer = asking.ask(
        arguments,
        "graph",
        {
            "type": arguments.type,
            "direction": "refs" if arguments.refs else "backrefs",
            "depth": arguments.depth,
            "too_many": arguments.too_many,
            "instances": arguments.instances,
            "values": arguments.values,
        },
    )
    try:
        picture = Picture.from_dict(answer)
    except (LookupError, TypeError, ValueError) as error:
        raise Refused(
            f"the answer cannot be read: {error}", remedy="Use the gc-otel of the process's own version."
        ) from error
    try:
        _write(path, picture, f"{picture.type} in process {arguments.process}")
    except OSError as error:
        raise GcOtelError(f"{path} cannot be written: {error.strerror}", remedy="Name another file.") from error
    print(f"{path}: {len(picture.nodes)} objects, {len(picture.edges)} arrows, {picture.alive:,} {picture.type} alive")
    return 0


def _write(path: Path, picture: Picture, title: str) -> None:
    if path.suffix == ".html":
        path.write_text(to_html(picture, title=title), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(picture.as_dict(), indent=2) + "\n", encoding="utf-8")
    else:
        graphviz.write(to_dot(picture), path)
