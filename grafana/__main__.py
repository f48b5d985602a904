"""Write the generated files, or compare them with those that are there."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


def generate() -> Iterator[tuple[Path, str]]:
    """Path and contents of every generated file."""
    from grafana import fleet, leak, process, promtest, rulefiles, service

    for module in (fleet, service, process, leak):
        board = module.build()
        yield HERE / "dashboards" / f"{board.uid}.json", board.render()
    for name, contents in (rulefiles.files() | promtest.files()).items():
        yield HERE / "rules" / name, contents


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; 1 when a file is missing, other, or too many."""
    made = dict(generate())
    if "--check" not in arguments:
        for path, contents in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(contents)
        return 0
    there = {path for folder in {path.parent for path in made} for path in folder.iterdir()}
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
