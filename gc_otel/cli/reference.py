"""The help of all commands as one text: ``python -m gc_otel.cli.reference > docs/cli.txt``.

The same on every interpreter: the width is fixed, nothing is coloured, and no
option has a short form.
"""

from __future__ import annotations

import argparse
from typing import Final

from gc_otel.cli import make_parser

_COLUMNS: Final = 100


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
    print(reference(), end="")
