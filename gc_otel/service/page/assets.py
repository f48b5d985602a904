"""The page's own files: scripts, styles, fonts.  They hold nothing of anybody, and want no token.

Their address has their contents' hash, so a browser keeps them for ever and never shows an old one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"

#: In the order in which they are loaded: each uses only what stands before it.
SCRIPTS: Final = (
    "vendor/uPlot.iife.min.js",
    "vendor/dagre.min.js",
    "dom.js",
    "format.js",
    "words.js",
    "source.js",
    "hint.js",
    "table.js",
    "charts.js",
    "treemap.js",
    "canvas.js",
    "graph.js",
    "objects.js",
    "holders.js",
    "markdown.js",
    "fleet.js",
    "live.js",
    "pauses.js",
    "verdict.js",
    "process.js",
    "heap.js",
    "runbook.js",
    "page.js",
)
STYLES: Final = ("vendor/uPlot.min.css", "page.css")
FONTS: Final = ("vendor/inter-latin-wght-normal.woff2", "vendor/jetbrains-mono-latin-wght-normal.woff2")
ICON: Final = "icon.svg"

_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    name: str
    body: bytes
    content_type: str


@cache
def assets() -> dict[str, Asset]:
    """All of them by name; read once."""
    return {name: _read(name) for name in (*SCRIPTS, *STYLES, *FONTS, ICON)}


def _read(name: str) -> Asset:
    path = FOLDER / name
    return Asset(name, path.read_bytes(), _TYPES[path.suffix])


@cache
def version() -> str:
    """Changes when any of them does."""
    digest = hashlib.sha256()
    for name, asset in sorted(assets().items()):
        digest.update(f"{name} {len(asset.body)}\n".encode())
        digest.update(asset.body)
    return digest.hexdigest()[:16]


def url(name: str) -> str:
    """Where it is."""
    return f"/static/{version()}/{name}"
