"""Start a program recorded, with its metrics on one address.

COMMAND is any Python program as you start it, or a script that ends in one. It is the process that your shell
started: signals, exit code, terminal and standard input are its own. The exporter runs beside it, for this program and
all others of the same folder, and ends when the last of them has gone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gc_otel.cli import say_error
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError

if TYPE_CHECKING:
    from gc_otel.flight.folder import Folder
    from gc_otel.service.beside import Exporter

EXIT_REFUSED: Final = 2


def _as_setting(name: str) -> Callable[[str], Any]:
    """Takes what the setting of that name takes."""

    def take(text: str) -> Any:
        config = Config.from_env({}, **{name: text})
        for problem in config.problems:
            raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {problem.allowed}")
        return getattr(config, name)

    return take


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.usage = "gc-otel run [OPTION ...] [--] COMMAND [ARGUMENT ...]"
    parser.add_argument(
        "--host",
        metavar="H",
        type=_as_setting("host"),
        help="where the exporter listens (GC_OTEL_HOST, else 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=_as_setting("port"),
        help="its port; 0 chooses one and says it (GC_OTEL_PORT, else 9464)",
    )
    parser.add_argument("--dir", metavar="DIR", help="folder of the flight files (GC_OTEL_DIR)")
    parser.add_argument(
        "--linger", metavar="N", type=_as_setting("linger"), help="seconds that the exporter goes on after the last (2)"
    )
    parser.add_argument(
        "--if-busy",
        choices=("exit", "run"),
        help="when the port belongs to something else: exit with 2 (exit), or start the program, recorded and "
        "without an exporter (run)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="do not say where the metrics are; warnings are still said"
    )
    parser.add_argument("words", metavar="COMMAND", nargs=argparse.REMAINDER, help="the program and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Become the program; what returns is the exit code of not having become it."""
    from gc_otel.service import launch, program

    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        say_error("there is no COMMAND to run", "For example: gc-otel run -- python app.py")
        return EXIT_REFUSED
    reason = launch.why_not()
    if reason is not None:
        say_error(
            f"gc-otel run cannot be used here: {reason}",
            "Use library mode: GcInstrumentor().instrument() in the program.",
        )
        return EXIT_REFUSED
    try:
        path = program.find(words[0], os.environ)
        env = _prepare(arguments, words)
        if env is None:
            return EXIT_REFUSED
        program.become(path, words, env)
    except program.CannotExecute as error:
        say_error(str(error), error.remedy)
        return error.exit_code


def _prepare(arguments: argparse.Namespace, words: list[str]) -> dict[str, str] | None:
    """See to it that there is an exporter; the program's environment, or None when it is not to be started."""
    from gc_otel.flight.folder import open_folder
    from gc_otel.service import beside, launch, program

    config = _config(arguments)
    if not config.enabled:
        say_error(f"recording is switched off by {config.sources['enabled']}", "The program runs unrecorded.")
        return program.without_coerced_locale(os.environ)
    try:
        folder = open_folder(config)
    except FlightFolderError as error:
        say_error(f"{error}", f"{error.remedy} The program runs unrecorded.")
        return program.without_coerced_locale(os.environ)
    if not launch.is_alone():
        _start_again_alone(arguments, words)
    settings = {"dir": folder.root}
    try:
        exporter = beside.find_or_start(folder, config, command=os.path.basename(words[0]))
    except beside.NoExporter as error:
        if arguments.if_busy != "run":
            hint = "" if arguments.if_busy else " With --if-busy=run the program starts all the same."
            say_error(str(error), f"{error.remedy}{hint}")
            return None
        say_error(str(error), "The program runs, recorded and without an exporter.")
    else:
        if not arguments.quiet:
            _say_where(exporter, config)
            _say_page(exporter, config, folder)
        settings |= {"host": exporter.host, "port": str(exporter.port)}
    return program.environment(os.environ, **settings)


def _config(arguments: argparse.Namespace) -> Config:
    folder = None if arguments.dir is None else os.path.abspath(arguments.dir)
    return Config.from_env(host=arguments.host, port=arguments.port, dir=folder, linger=arguments.linger)


def _say_where(exporter: Exporter, config: Config) -> None:
    """Said where it is not what was asked for, or not known to the user otherwise."""
    from gc_otel.cli.output import printable

    if sys.stderr is not None and (exporter.note or config.port != exporter.port):
        note = f" ({exporter.note})" if exporter.note else ""
        print(printable(f"gc-otel: metrics at {exporter.address}/metrics{note}"), file=sys.stderr, flush=True)


def _say_page(exporter: Exporter, config: Config, folder: Folder) -> None:
    """Only on a terminal: what goes elsewhere is kept as a log, where the token must not stand."""
    from gc_otel.cli.output import printable
    from gc_otel.service.page.token import page_address

    if config.page and sys.stderr is not None and sys.stderr.isatty():
        try:
            said = page_address(exporter.address, folder)
        except OSError as error:
            said = f"is for nobody: {error}"
        print(printable(f"gc-otel: page {said}"), file=sys.stderr, flush=True)


def _start_again_alone(arguments: argparse.Namespace, words: list[str]) -> None:
    """Other people's start-up code runs threads in this interpreter, such as OpenTelemetry's: begin again without any.

    The program is not touched by that: it gets the environment as it is.
    """
    from gc_otel.service import program

    if _was_started_again():
        raise program.CannotExecute("something starts threads in every process here", EXIT_REFUSED)
    options = ["--quiet"] if arguments.quiet else []
    for name in ("host", "port", "dir", "linger", "if_busy"):
        value = getattr(arguments, name)
        if value is not None:
            options += ["--" + name.replace("_", "-"), str(value)]
    path = [str(Path(__file__).parents[2]), *map(os.path.abspath, sys.path)]
    code = "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from gc_otel.cli import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", code, os.pathsep.join(path), "run", *options, "--", *words]
    program.become(sys.executable, command, program.without_coerced_locale(os.environ))


def _was_started_again() -> bool:
    return bool(sys.flags.isolated and sys.flags.no_site)
