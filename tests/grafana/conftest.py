"""The files that ship: from the tree, or from the wheel that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gc_otel.cli.assets import sources

_IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
_NEEDED = ("promql_parser", "yaml")

# The files are the same on every interpreter: .[test] brings the parsers for one of them.
if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
    assert not _IN_CI or sys.version_info[:2] != (3, 11), f"CI needs {missing}"
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def lang() -> Any:
    """The module _promql beside this file."""
    spec = importlib.util.spec_from_file_location("_promql", Path(__file__).parent / "_promql.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_promql"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that is not a row."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


@pytest.fixture(scope="session")
def dashboards() -> dict[str, dict[str, Any]]:
    """By uid."""
    files = sorted(sources()["dashboards"].glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in files}


@pytest.fixture(scope="session")
def panels(dashboards) -> list[tuple[str, dict[str, Any]]]:
    """Uid and panel, rows left out."""
    return [(uid, panel) for uid, dashboard in dashboards.items() for panel in panels_of(dashboard)]


@pytest.fixture(scope="session")
def targets(panels) -> list[tuple[str, dict[str, Any], str]]:
    """Uid, panel and target of every query."""
    return [(uid, panel, target) for uid, panel in panels for target in panel.get("targets", [])]


@pytest.fixture(scope="session")
def groups() -> dict[str, list[dict[str, Any]]]:
    """Rule groups by file."""
    import yaml

    files = sorted(path for path in sources()["rules"].glob("*.yaml") if not path.name.endswith("_test.yaml"))
    return {path.name: yaml.safe_load(path.read_text())["groups"] for path in files}


@pytest.fixture(scope="session")
def rules(groups) -> list[tuple[str, dict[str, Any]]]:
    """File and rule."""
    return [(file, rule) for file, of_file in groups.items() for group in of_file for rule in group["rules"]]


@pytest.fixture(scope="session")
def alerts(rules) -> list[dict[str, Any]]:
    return [rule for _, rule in rules if "alert" in rule]


@pytest.fixture(scope="session")
def runbooks() -> dict[str, Path]:
    return {path.stem: path for path in sources()["runbooks"].glob("*.md")}
