"""List every setting, its value and where it came from.

A value that cannot be used is named at the end, and the exit code is 1: the program that meets it starts
with the default.
"""

from __future__ import annotations

import argparse
from typing import Final

from gc_otel.cli.output import Style, print_json, printable
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight.folder import default_path
from gc_otel.settings import SETTINGS, Setting, render

_VARIABLE_COLUMNS: Final = max(len(setting.variable) for setting in SETTINGS)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print an object with settings, service and problems")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = Config.from_env()
    if arguments.json:
        print_json(_as_json(config))
    else:
        _print(config)
    return 1 if config.problems else 0


def _print(config: Config) -> None:
    style = Style()
    values = {setting.name: _value_text(setting, config) for setting in SETTINGS}
    columns = max(map(len, values.values()))
    for setting in SETTINGS:
        source = config.sources[setting.name]
        value = style("bold" if source != "default" else "", values[setting.name].ljust(columns))
        print(f"{setting.variable:{_VARIABLE_COLUMNS}}  {value}  {_source_text(setting, source)}")
        print(style("dim", f"    {setting.help}"))
    version = f", version {config.service_version}" if config.service_version else ""
    print(f"\nThe service is {printable(config.service_name + version)}: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.")
    for problem in config.problems:
        print(style("yellow", printable(str(problem))))


def _value_text(setting: Setting, config: Config) -> str:
    value = getattr(config, setting.name)
    if setting.name == "dir" and value is None:
        return _default_folder(config) or render(value)
    return printable(render(value))


def _default_folder(config: Config) -> str | None:
    try:
        return str(default_path(config))
    except FlightFolderError:
        return None


def _source_text(setting: Setting, source: str) -> str:
    return "environment" if source == setting.variable else source


def _as_json(config: Config) -> dict[str, object]:
    return {
        "settings": [
            {
                "variable": setting.variable,
                "value": getattr(config, setting.name),
                "default": setting.default,
                "source": config.sources[setting.name],
                "allowed": setting.allowed,
                "help": setting.help,
            }
            for setting in SETTINGS
        ],
        "flight_folder": str(config.dir) if config.dir is not None else _default_folder(config),
        "service_name": config.service_name,
        "service_version": config.service_version,
        "problems": [
            {"variable": each.variable, "value": each.value, "allowed": each.allowed} for each in config.problems
        ],
    }
