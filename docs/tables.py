"""The tables of the README, made from the code that they describe.

python docs/tables.py            write them into README.md
python docs/tables.py --check    exit 1 when README.md has other ones
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gc_otel.otel.catalog import CATALOG, Metric
from gc_otel.otel.exporter_catalog import EXPORTER_CATALOG
from gc_otel.otel.service_catalog import SERVICE_CATALOG
from gc_otel.settings import SETTINGS, render

README = Path(__file__).parent.parent / "README.md"


def metrics_table() -> str:
    """One row per metric of the catalogue."""
    return _metrics_table(CATALOG)


def exporter_metrics_table() -> str:
    """One row per metric of the exporter service's own."""
    return _metrics_table(EXPORTER_CATALOG)


def _metrics_table(metrics: Iterable[Metric[Any]]) -> str:
    rows = ["| metric | kind, unit | attributes | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        name = f"`{metric.name}`" + ("" if metric.semconv else " *")
        attributes = ", ".join(f"`{each}`" for each in metric.attributes)
        rows.append(f"| {name} | {metric.kind}, `{metric.unit}` | {attributes} | {metric.description} |")
    return "\n".join(rows)


def service_metrics_table() -> str:
    """One row per metric of a service as a whole."""
    return _metrics_table(SERVICE_CATALOG)


def settings_table() -> str:
    """One row per setting."""
    rows = ["| variable | takes | default | |", "|---|---|---|---|"]
    rows += [f"| `{each.variable}` | {each.allowed} | {render(each.default)} | {each.help} |" for each in SETTINGS]
    return "\n".join(rows)


TABLES = {
    "metrics": metrics_table,
    "service metrics": service_metrics_table,
    "exporter metrics": exporter_metrics_table,
    "settings": settings_table,
}


def with_tables(text: str) -> str:
    """The text with every `<!-- table NAME -->` block made anew."""
    for name, make in TABLES.items():
        begin, end = f"<!-- table {name} -->", f"<!-- end of table {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no {begin}")
        table = f"{begin}\n{make()}\n{end}"
        text = pattern.sub(lambda _, table=table: table, text)
    return text


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    before = README.read_text()
    after = with_tables(before)
    if "--check" not in arguments:
        README.write_text(after)
        return 0
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "README.md", "made"))
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
