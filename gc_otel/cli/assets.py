"""Write what Grafana, Prometheus, Alertmanager and Kubernetes need: dashboards, rules, runbooks of this version.

Files that are there already and say something else are kept, and the exit code is 1: thresholds.yaml is
made to be edited.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gc_otel.cli.output import Style, print_json, printable
from gc_otel.errors import GcOtelError

#: Where the alerts' runbook_url points as long as nobody says where they are read.  The name belongs to nobody.
RUNBOOKS_URL: Final = "https://gc-otel.example/runbooks"

#: The uid of the Prometheus data source in Grafana-managed alerts.
DATASOURCE_UID: Final = "prometheus"

_TEST_SUFFIX: Final = "_test.yaml"
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_ROOT: Final = _PACKAGE.parent
#: Where a checkout has them, by the name of the folder that is written.
_CHECKOUT: Final = {
    "dashboards": _ROOT / "grafana" / "dashboards",
    "rules": _ROOT / "grafana" / "rules",
    "alerting": _ROOT / "grafana" / "alerting",
    "runbooks": _ROOT / "docs" / "runbooks",
    "alertmanager": _ROOT / "deploy" / "alertmanager",
    "kubernetes": _ROOT / "deploy" / "kubernetes",
}
#: A wheel carries copies (setup.py makes them).
_INSTALLED: Final = {kind: _PACKAGE / "_assets" / kind for kind in _CHECKOUT}


@dataclass(frozen=True, slots=True)
class Written:
    """One file: ``status`` is written, unchanged, or kept (it is there and says something else)."""

    path: Path
    status: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("action", choices=("export",), help="what to do")
    parser.add_argument("dir", metavar="DIR", help=f"write below this folder: {', '.join(_CHECKOUT)}")
    parser.add_argument("--runbooks", metavar="URL", help="where your people read the runbooks; the alerts link there")
    parser.add_argument(
        "--datasource", metavar="UID", help="of Prometheus in your Grafana, for Grafana-managed alerts (prometheus)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that say something else")
    parser.add_argument("--json", action="store_true", help="print a list of objects with path and status")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    replaced = {RUNBOOKS_URL: (arguments.runbooks or RUNBOOKS_URL).rstrip("/")}
    if arguments.datasource:
        replaced |= {f"asourceUid: '{DATASOURCE_UID}'": f"asourceUid: '{arguments.datasource}'"}
    try:
        done = [_write(path, text, force=arguments.force) for path, text in _files(Path(arguments.dir), replaced)]
    except OSError as error:
        raise GcOtelError(
            f"cannot write below {arguments.dir}: {error.strerror}", remedy="Name a folder that this user may write to."
        ) from error
    if arguments.json:
        print_json([{"path": str(each.path), "status": each.status} for each in done])
    else:
        _print(done, Path(arguments.dir), named=arguments.runbooks is not None)
    return 1 if any(each.status == "kept" for each in done) else 0


def sources() -> dict[str, Path]:
    """Folder by kind; GcOtelError where neither a wheel nor a checkout has them."""
    for folders in (_INSTALLED, _CHECKOUT):
        if all(folder.is_dir() for folder in folders.values()):
            return folders
    raise GcOtelError(
        "this installation has no dashboards and rules",
        remedy="Install gc_otel from a wheel, or run this in a checkout.",
    )


def _files(below: Path, replaced: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for kind, folder in sources().items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.endswith(_TEST_SUFFIX):
                text = path.read_text(encoding="utf-8")
                for before, after in replaced.items():
                    text = text.replace(before, after)
                yield below / kind / path.relative_to(folder), text


def _write(path: Path, text: str, *, force: bool) -> Written:
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    if before == text:
        return Written(path, "unchanged")
    if before is not None and not force:
        return Written(path, "kept")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Written(path, "written")


def _print(done: list[Written], below: Path, *, named: bool) -> None:
    style = Style()
    for each in done:
        color = "yellow" if each.status == "kept" else "dim" if each.status == "unchanged" else ""
        print(style(color, f"{each.status:9}  {printable(os.path.relpath(each.path, below))}"))
    if any(each.status == "kept" for each in done):
        print(style("yellow", "\nKept what says something else than this version: compare, or give --force."))
    if not named:
        print(
            f"\nThe alerts' runbook_url points to {RUNBOOKS_URL}, which is nowhere: publish runbooks/, and give --runbooks URL."
        )
    print("\nNext: load rules/*.yaml in Prometheus (rule_files; native-histograms.yaml only with native histograms),")
    print("and import dashboards/*.json in Grafana. thresholds.yaml is the one file to edit. Kubernetes: kubernetes/")
    print(
        "is a Helm chart, and what `kubectl apply -k` takes. alerting/ is for Grafana's own ruler, instead of rules/."
    )
