"""Serve the metrics of all recorded processes of a flight folder.

The first line says where; on a terminal the second is the live page's address (else `gc-otel page` prints it). `gc-otel run` starts such a service by itself; this one is alone and goes on for ever, as a
system service or a sidecar does. There is one for each folder. SIGTERM: it waits for the last recorded process; Ctrl-C, or
a second SIGTERM: it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from typing import TYPE_CHECKING, Final

from gc_otel.cli import say_error
from gc_otel.cli.output import printable
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.settings import PORT_MOST

if TYPE_CHECKING:
    from gc_otel.service.control import Claim

_EXIT_NOT_STARTED: Final = 2


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= PORT_MOST:
        raise ValueError
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError
    return seconds


# argparse names a type by this when a value does not fit.
_port.__name__ = f"port (0 to {PORT_MOST})"
_seconds.__name__ = "number of seconds"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--dir", metavar="DIR", help="flight folder; default: GC_OTEL_DIR, else /dev/shm/gc_otel-UID")
    parser.add_argument("--host", metavar="HOST", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", metavar="N", type=_port, help="port to listen on; 0 chooses one (9464)")
    parser.add_argument(
        "--linger", metavar="N", type=_seconds, help="end N seconds after the last process has gone; default: never"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if sys.platform != "linux":
        raise NotSupported("the exporter service needs Linux", remedy="Library mode publishes on any platform.")
    from gc_otel.otel.prometheus import check_exporter_version
    from gc_otel.service.control import Claim, claimed_elsewhere

    check_exporter_version()
    config = _config(arguments)
    folder = open_folder(config)
    try:
        claim = Claim.take(folder)
    except OSError as error:
        say_error(f"{folder.path} cannot be used: {error.strerror}", "`gc-otel doctor` looks at the folder.")
        return _EXIT_NOT_STARTED
    if claim is None:
        say_error(_who_is_there(folder), "One serves all processes of a folder. Another folder: --dir.")
        return _EXIT_NOT_STARTED
    other = claimed_elsewhere(folder)
    if other is not None:
        claim.release()
        say_error(f"the group has an exporter already, in {other}", "One serves all processes of a group's folder.")
        return _EXIT_NOT_STARTED
    return _serve(claim, config, arguments.linger)


def _config(arguments: argparse.Namespace) -> Config:
    folder = None if arguments.dir is None else os.path.abspath(arguments.dir)
    config = Config.from_env(dir=folder, host=arguments.host, port=arguments.port)
    for problem in config.problems:
        print(printable(str(problem)), file=sys.stderr)
    return config


def _who_is_there(folder: Folder) -> str:
    from gc_otel.service.status import ask_status

    status = ask_status(folder)
    who = "" if status is None else f", process {status.pid}, at {status.address}"
    return printable(f"{folder.path} has an exporter already{who}")


def _serve(claim: Claim, config: Config, linger_s: float | None) -> int:
    from gc_otel.otel.otlp import Push, lines_of, push_or_why_not
    from gc_otel.service.exporter import serve
    from gc_otel.service.page.token import page_address
    from gc_otel.service.port import PortRefused, address_of, listen

    try:
        listening = listen(config.host, config.port)
    except PortRefused as error:
        claim.release()
        say_error(str(error), error.remedy)
        return _EXIT_NOT_STARTED
    print(f"{address_of(listening)}/metrics", flush=True)
    if config.page and sys.stdout.isatty():  # a log must not have the token: there `gc-otel page` tells
        with contextlib.suppress(OSError):
            print(page_address(address_of(listening), claim.folder), flush=True)
    push = push_or_why_not(os.environ)
    if isinstance(push, Push):
        print(printable(f"pushed by OTLP every {push.interval_s:g} s: {push.endpoint}"), flush=True)
    for line in lines_of(push):
        print(printable(f"gc-otel: {line}"), file=sys.stderr)
    return serve(listening, claim.folder, config, claim=claim, linger_s=linger_s, push=push)
