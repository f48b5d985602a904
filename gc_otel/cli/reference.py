"""The help of all commands as one text: ``python -m gc_otel.cli.reference > docs/cli.txt``.

The width is fixed and nothing is coloured, but argparse lays its columns out
anew from 3.13 on: the document is of one interpreter, and no other prints it.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from gc_otel.cli import make_parser

_COLUMNS: Final = 100
MADE_BY: Final = (3, 11)
"""The interpreter of docs/cli.txt, which the gate compares to the letter."""


def reference() -> str:
    """The text of docs/cli.txt."""
    parser = make_parser(columns=_COLUMNS)
    parts = [("gc-otel", parser), *((f"gc-otel {name}", child) for name, child in _commands(parser).items())]
    return "\n\n".join(f"$ {name} --help\n{each.format_help().rstrip()}" for name, each in parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = parser._actions  # noqa: SLF001 - argparse has no public way to the parsers of commands
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(commands.choices)


if __name__ == "__main__":
    if sys.version_info[:2] != MADE_BY:
        sys.exit("docs/cli.txt is made by Python {}.{}: run this module with it.".format(*MADE_BY))
    print(reference(), end="")
