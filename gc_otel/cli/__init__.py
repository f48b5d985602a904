"""The command line ``gc-otel``: one module per command, loaded when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from gc_otel._version import __version__
from gc_otel.errors import GcOtelError

#: What a shell reports for a program that SIGINT ended, and for one that SIGPIPE ended.
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE_CLOSED: Final = 141

_HELP_COLUMNS_MOST: Final = 100
_HELP_INDENT_COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Command:
    """A command: ``module`` has ``configure(parser)`` and ``run(arguments) -> int``."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """Where it is."""
        return f"{__name__}.{self.name}"


COMMANDS: Final = (
    Command("run", "start a program recorded, with its metrics on one address"),
    Command("exporter", "serve the metrics of all recorded processes of a flight folder"),
    Command("page", "print where the live page is, with the token that opens it"),
    Command("ps", "list the recorded processes of this user"),
    Command("top", "watch the recorded processes: pauses, time in GC, memory and its growth"),
    Command("census", "what is on the heap of a process that runs now: types, objects, bytes, and what grows"),
    Command("cycles", "which garbage cycles a process has now, exactly, found in a child of it that nobody notices"),
    Command("why", "who holds the objects of a type in a process that runs now"),
    Command("graph", "the same as a picture: what holds a few objects, or what they hold"),
    Command("postmortem", "list the processes that have ended, and show how one of them did"),
    Command("doctor", "say what is found, what works, what was dropped and why, and what to do about it"),
    Command("config", "list every setting, its value and where it came from"),
    Command("assets", "write dashboards, alert rules and runbooks for Grafana and Prometheus"),
    Command("demo", "start a small HTTP service with its own traffic, recorded, to look at"),
)


def make_parser(*, columns: int | None = None, only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line.  ``columns`` fixes the width of the help, and leaves colour out of it.

    ``only``: with no command but that one, so that a launcher does not wait for the modules of all others.
    """

    def formatter(prog: str) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(prog, max_help_position=_HELP_INDENT_COLUMNS, width=columns or _help_columns())

    parser = argparse.ArgumentParser(
        prog="gc-otel",
        usage="gc-otel [--help] [--version] COMMAND ...",
        description="A flight recorder for CPython's garbage collector and memory.",
        formatter_class=formatter,
        allow_abbrev=False,
        add_help=False,
    )
    _add_help(parser)
    parser.add_argument("--version", action="version", version=f"gc-otel {__version__}", help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", prog="gc-otel")
    parsers = [parser]
    for command in COMMANDS:
        if only not in (None, command.name):
            continue
        module = import_module(command.module)
        child = commands.add_parser(
            command.name,
            help=command.summary,
            description=module.__doc__,
            formatter_class=formatter,
            allow_abbrev=False,
            add_help=False,
        )
        module.configure(child)
        _add_help(child)
        child.set_defaults(run=module.run)
        parsers.append(child)
    if columns is not None:
        for each in parsers:
            each.color = False  # type: ignore[attr-defined, unused-ignore]  # 3.14 and later colour their help
    return parser


def _add_help(parser: argparse.ArgumentParser) -> None:
    # Only long options: CPython 3.13 writes those with a short form in another way.
    parser.add_argument("--help", action="help", help="show this help")


def _help_columns() -> int:
    import shutil

    return min(_HELP_COLUMNS_MOST, shutil.get_terminal_size().columns - 2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``gc-otel`` and return its exit code."""
    _never_fail_to_encode()
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser(only=_command_of(argv))
    try:
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return 0
        code = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a closed pipe is still ours to notice
    except GcOtelError as error:
        say_error(str(error), error.remedy)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return EXIT_PIPE_CLOSED
    return code


def _command_of(argv: Sequence[str]) -> str | None:
    """The command that these arguments begin with; None where they begin with something else."""
    return next((command.name for command in COMMANDS if [command.name] == list(argv[:1])), None)


def say_error(message: str, remedy: str) -> None:
    """The one line on standard error that ends a command in vain."""
    from gc_otel.cli.output import printable

    if sys.stderr is not None:  # print() would take standard output for it
        print(printable(f"gc-otel: {message.rstrip('.')}. {remedy}".rstrip()), file=sys.stderr)


def _never_fail_to_encode() -> None:
    """A service's name may hold letters that the terminal's encoding does not."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Whoever read our output has gone: the interpreter's last flush must not complain about it."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # standard output is an object of a caller's
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
