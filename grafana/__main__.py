"""Write the generated files, or compare them with those that are there."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
DEPLOY = HERE.parent / "deploy"


def generate() -> Iterator[tuple[Path, str]]:
    """Path and contents of every generated file; a folder that has one has no others."""
    from grafana import fleet, inhibition, leak, managed, process, promtest, rulefiles, service

    for module in (fleet, service, process, leak):
        board = module.build()
        # kustomize and helm read nothing above their own folder: a copy.
        for folder in (HERE / "dashboards", DEPLOY / "kubernetes" / "dashboards"):
            yield folder / f"{board.uid}.json", board.render()
    for name, contents in (rulefiles.files() | promtest.files()).items():
        yield HERE / "rules" / name, contents
    for name, contents in managed.files().items():
        yield HERE / "alerting" / name, contents
    yield DEPLOY / "kubernetes" / "rules" / "prometheusrule.yaml", rulefiles.prometheus_rule()
    yield DEPLOY / "alertmanager" / "inhibit-rules.yaml", inhibition.snippet()
    yield DEPLOY / "compose" / "alertmanager" / "alertmanager.yml", inhibition.example()


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; 1 when a file is missing, other, or too many."""
    made = dict(generate())
    if "--check" not in arguments:
        for path, contents in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents)
        return 0
    there = {path for folder in {path.parent for path in made} if folder.is_dir() for path in folder.iterdir()}
    differ = sorted(there ^ set(made))
    for path in differ:
        print(f"{path}: {'not generated' if path in there else 'missing'}")
    for path, contents in made.items():
        before = path.read_text() if path in there else ""
        lines = list(difflib.unified_diff(before.splitlines(True), contents.splitlines(True), str(path), "generated"))
        sys.stdout.writelines(lines)
        if lines:
            differ.append(path)
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
