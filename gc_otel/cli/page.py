"""Print where the live page is, with the token that opens it.

The page shows what the exporter service of a flight folder reads: the fleet, each process, its heap, and those that have
ended. Who has this address can look at it: the token is in the folder's page.token, and deleting that file makes another.
"""

from __future__ import annotations

import argparse
import os

from gc_otel.cli.output import print_json, printable
from gc_otel.config import Config
from gc_otel.errors import GcOtelError
from gc_otel.flight.folder import Folder
from gc_otel.service import fleet


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--dir", metavar="DIR", help="flight folder; default: GC_OTEL_DIR, else /dev/shm/gc_otel-UID")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gc_otel.service.page.token import page_address
    from gc_otel.service.status import ask_status

    folder = _folder(arguments.dir)
    status = None if folder is None else ask_status(folder)
    if folder is None or status is None:
        raise GcOtelError(
            "there is no exporter service, and so no page",
            remedy="`gc-otel run -- COMMAND` starts one beside a program, `gc-otel exporter` one alone.",
        )
    try:
        url = page_address(status.address, folder)
    except OSError as error:
        raise GcOtelError(
            f"the token cannot be read: {error}", remedy="`gc-otel doctor` looks at the folder."
        ) from error
    if arguments.json:
        print_json({"page_url": url, "exporter_pid": status.pid})
    else:
        print(printable(url))
    return 0


def _folder(given: str | None) -> Folder | None:
    if given is not None:
        return fleet.given_folder(os.path.abspath(given))
    return fleet.find_folder(Config.from_env())
