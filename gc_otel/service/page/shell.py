"""The one HTML document of the page, empty: scripts fill it.  Also as one file that needs no server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any, Final

from gc_otel._version import __version__
from gc_otel.service.page import assets

_DOCUMENT: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="gc_otel {version}">{head}
<title>gc_otel</title>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<div id="page"></div>
<noscript><p class="plain">This page needs JavaScript. `gc-otel ps` and `gc-otel top` show the same in a terminal.</p></noscript>
{foot}
</body>
</html>
"""

_REFUSED: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{style}">
<title>gc_otel</title>
</head>
<body>
<main class="plain"><h1>{title}</h1><p>{remedy}</p></main>
</body>
</html>
"""

#: Nothing inline, nothing from elsewhere, no string that becomes markup or code.
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
#: Of every answer of the page and its API.
HEADERS: Final = (
    ("Content-Security-Policy", CSP),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def document() -> bytes:
    """The page's shell."""
    head = [f'\n<link rel="stylesheet" href="{assets.url(name)}">' for name in assets.STYLES]
    head.append(f'\n<link rel="icon" href="{assets.url(assets.ICON)}">')
    head += [
        f'\n<link rel="preload" href="{assets.url(name)}" as="font" type="font/woff2" crossorigin>'
        for name in assets.FONTS
    ]
    head += [f'\n<script defer src="{assets.url(name)}"></script>' for name in assets.SCRIPTS]
    return _DOCUMENT.format(version=__version__, head="".join(head), foot="").encode()


def refused(title: str, remedy: str) -> bytes:
    """Why the page is not shown."""
    return _REFUSED.format(style=assets.url("page.css"), title=html.escape(title), remedy=html.escape(remedy)).encode()


def self_contained(frozen: dict[str, Any]) -> bytes:
    """The page as one file with the answers ``frozen`` by path, to be opened from a disk; it can ask nobody for more.

    A policy of its own names its scripts and styles by their hashes.
    """
    styles = ["".join(_style(name) for name in assets.STYLES)]
    scripts = [_closed(assets.assets()[name].body.decode()) for name in assets.SCRIPTS]
    data = json.dumps(frozen, separators=(",", ":"), allow_nan=False)
    # In a script element only an end tag ends it, and <!-- changes how it is read: neither can stand in JSON so written.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "font-src data:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = f'\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    head += "".join(f"\n<style>{style}</style>" for style in styles)
    foot = f'<script type="application/json" id="frozen">{data}</script>\n'
    foot += "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        _DOCUMENT.replace("{head}", "\0head")
        .replace("{foot}", "\0foot")
        .format(version=__version__)
        .replace("\0head", head)
        .replace("\0foot", foot)
        .encode()
    )


def _style(name: str) -> str:
    text = assets.assets()[name].body.decode()
    for font in assets.FONTS:
        data = base64.b64encode(assets.assets()[font].body).decode()
        text = text.replace(font, f"data:font/woff2;base64,{data}")
    return text


def _closed(script: str) -> str:
    """Our own and vendored scripts; none has an end tag in it, which is made sure of."""
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script that would end the element that it stands in")
    return script


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
