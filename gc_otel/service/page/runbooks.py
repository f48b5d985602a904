"""The runbooks that belong to this version: copies in a wheel, the originals in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = (_PACKAGE / "_assets" / "runbooks", _PACKAGE.parent / "docs" / "runbooks")


@cache
def _files() -> dict[str, Path]:
    for folder in _FOLDERS:
        if folder.is_dir():
            return {path.stem: path for path in folder.glob("*.md")}
    return {}


def names() -> list[str]:
    """All of them."""
    return list(_files())


def text_of(name: str) -> str | None:
    """The text of one, or None."""
    path = _files().get(name)
    return None if path is None else path.read_text(encoding="utf-8")
