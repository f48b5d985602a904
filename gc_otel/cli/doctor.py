"""Say what is found, what works, what was dropped and why, and what to do about it.

The exit code is 1 when something failed, and 0 when there are warnings only.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import Final

from gc_otel.cli.checks import Check
from gc_otel.cli.output import Style, print_json, printable

_COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}
_STATUS_COLUMNS: Final = max(map(len, _COLORS))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print an object with all checks and their counts")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    checks = examine()
    counts = Counter(check.status for check in checks)
    if arguments.json:
        print_json(
            {
                "checks": [asdict(check) for check in checks],
                "counts": {status: counts[status] for status in _COLORS},  # type: ignore[index]
            }
        )
    else:
        _print(checks)
        print(
            f"\n{counts['ok']} ok, {counts['warn']} {'warning' if counts['warn'] == 1 else 'warnings'}, {counts['fail']} failed"
        )
    return 1 if counts["fail"] else 0


def examine() -> list[Check]:
    """All checks, in the order in which they are shown."""
    from gc_otel.cli.checks.endings import check_endings
    from gc_otel.cli.checks.exporter import check_exporter
    from gc_otel.cli.checks.flight import check_files, check_folder, check_process
    from gc_otel.cli.checks.installation import check_installation, check_memory_limit, check_settings
    from gc_otel.cli.checks.opentelemetry import Installed, check_opentelemetry
    from gc_otel.config import Config
    from gc_otel.service.fleet import read_fleet

    config = Config.from_env()
    checks = [*check_installation(config), *check_settings(config)]
    folder_checks, folder = check_folder(config)
    checks += folder_checks
    fleet = read_fleet(folder)
    if folder is not None:
        checks += check_files(fleet)
        checks += check_exporter(folder)
        checks += check_endings(folder)
    checks += check_memory_limit()
    checks += check_opentelemetry(Installed.look())
    for process in fleet.processes:
        if process.alive:
            checks += check_process(process)
    return checks


def _print(checks: list[Check]) -> None:
    style = Style()
    for group, members in groupby(checks, key=lambda check: check.group):
        print(style("bold", printable(group)))
        for check in members:
            print(f"  {style(_COLORS[check.status], check.status.ljust(_STATUS_COLUMNS))}  {printable(check.finding)}")
            if check.remedy:
                print(f"  {' ' * _STATUS_COLUMNS}  -> {printable(check.remedy)}")
