"""A picture as the source of Graphviz, and as one page of HTML that needs nothing else: no script of others, no host.

Columns are steps from the objects asked for, so that arrows run from left to right, from holder to held.
"""

from __future__ import annotations

import json
from collections import defaultdict
from html import escape
from typing import Final

from gc_otel.heap.picture import Picture, PictureNode
from gc_otel.heap.render import readable_bytes

_WIDTH: Final = 250
_HEIGHT: Final = 46
_GAP_X: Final = 130
_GAP_Y: Final = 20
_LETTERS: Final = 36
_ROUNDS: Final = 6
#: With more, names lie upon each other: they are shown of the object that was clicked.
_NAMED_EDGES_MOST: Final = 60


def to_dot(picture: Picture) -> str:
    """For `dot`."""
    lines = ["digraph objects {", '  rankdir=LR; node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    asked = set(picture.asked)
    for node in picture.nodes:
        label = "\\n".join(_quoted(line) for line in _lines(node))
        lines.append(
            f'  n{node.number} [label="{label}", fillcolor="{"#ffd9b3" if node.number in asked else "#eef2f7"}"];'
        )
    lines += [f'  n{edge.holder} -> n{edge.held} [label="{_quoted(edge.name)}"];' for edge in picture.edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """What cannot end a label."""
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("\\", "/").replace('"', "'")


def _lines(node: PictureNode) -> list[str]:
    about = [readable_bytes(node.size_bytes)]
    if node.length is not None:
        about.insert(0, f"len {node.length:,}")
    if node.left_out:
        about.append(f"+{node.left_out:,} not shown")
    return [node.value or node.name or node.type, *([node.type] if node.value or node.name else []), ", ".join(about)]


def to_html(picture: Picture, *, title: str) -> str:
    """One file: pan by dragging, zoom by wheel or pinch, click an object for what is known of it."""
    places = _places(picture)
    data = [
        {
            "number": node.number,
            "type": node.type,
            "name": node.name,
            "value": node.value,
            "length": node.length,
            "size": f"{readable_bytes(node.size_bytes)} ({node.size_bytes:,} bytes)",
            "references": node.references,
            "left_out": node.left_out,
        }
        for node in picture.nodes
    ]
    arrows = [{"holder": edge.holder, "held": edge.held, "name": edge.name} for edge in picture.edges]
    drawn = "".join([*_edges(picture, places), *_nodes(picture, places)])
    left, top, width, height = _bounds(places)
    kind = "what holds them" if picture.direction == "backrefs" else "what they hold"
    head = f"{len(picture.asked)} of {picture.alive:,} objects of {picture.type}, and {kind}"
    # Inside of a script the only thing that ends it is its closing tag.
    inside = json.dumps({"nodes": data, "edges": arrows, "direction": picture.direction}).replace("<", "\\u003c")
    return _PAGE.format(
        title=escape(title),
        head=escape(head),
        many="many" if len(picture.edges) > _NAMED_EDGES_MOST else "",
        view=f"{left} {top} {width} {height}",
        drawn=drawn,
        data=inside,
    )


def _places(picture: Picture) -> dict[int, tuple[float, float]]:
    """The middle of each box: a column for each step, in it near to what it is connected with."""
    columns: defaultdict[int, list[int]] = defaultdict(list)
    for node in picture.nodes:
        columns[-node.steps if picture.direction == "backrefs" else node.steps].append(node.number)
    neighbours: defaultdict[int, list[int]] = defaultdict(list)
    for edge in picture.edges:
        neighbours[edge.holder].append(edge.held)
        neighbours[edge.held].append(edge.holder)
    rows = {number: float(row - len(column) / 2) for column in columns.values() for row, number in enumerate(column)}
    for _ in range(_ROUNDS):
        for column in columns.values():
            wished = {
                number: sum(rows[each] for each in neighbours[number]) / len(neighbours[number])
                if neighbours[number]
                else rows[number]
                for number in column
            }
            column.sort(key=lambda number: (wished[number], number))
            middle = sum(wished.values()) / len(column)
            for row, number in enumerate(column):
                rows[number] = middle + row - (len(column) - 1) / 2
    return {
        number: (at * (_WIDTH + _GAP_X), rows[number] * (_HEIGHT + _GAP_Y))
        for at, column in columns.items()
        for number in column
    }


def _bounds(places: dict[int, tuple[float, float]]) -> tuple[int, int, int, int]:
    xs, ys = [x for x, _ in places.values()] or [0.0], [y for _, y in places.values()] or [0.0]
    left, top = min(xs) - _WIDTH, min(ys) - 2 * _HEIGHT
    return int(left), int(top), int(max(xs) + _WIDTH - left), int(max(ys) + 2 * _HEIGHT - top)


def _nodes(picture: Picture, places: dict[int, tuple[float, float]]) -> list[str]:
    asked, drawn = set(picture.asked), []
    for node in picture.nodes:
        x, y = places[node.number]
        first, *others = _lines(node)
        second = ", ".join(others[-1:]) if len(others) == 1 else f"{others[0]}, {others[1]}"
        classes = "node asked" if node.number in asked else "node root" if node.name else "node"
        drawn.append(
            f'<g class="{classes}" id="n{node.number}" tabindex="0" role="button" '
            f'transform="translate({x - _WIDTH / 2:.0f} {y - _HEIGHT / 2:.0f})">'
            f"<title>{escape(node.value or node.name or node.type)}</title>"
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
            f'<text x="10" y="19">{escape(_cut(first))}</text>'
            f'<text class="about" x="10" y="36">{escape(_cut(second))}</text></g>'
        )
    return drawn


def _cut(text: str) -> str:
    """The end of a name tells more than its beginning."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return clean if len(clean) <= _LETTERS else "\N{HORIZONTAL ELLIPSIS}" + clean[1 - _LETTERS :]


def _edges(picture: Picture, places: dict[int, tuple[float, float]]) -> list[str]:
    drawn, pairs = [], {(edge.holder, edge.held) for edge in picture.edges}
    for edge in picture.edges:
        (x1, y1), (x2, y2) = places[edge.holder], places[edge.held]
        bend = 14 if (edge.held, edge.holder) in pairs else 0
        path, middle = _path(x1, y1, x2, y2, bend)
        label = f'<text x="{middle[0]:.0f}" y="{middle[1]:.0f}">{escape(_cut(edge.name))}</text>' if edge.name else ""
        drawn.append(
            f'<g class="edge" data-holder="{edge.holder}" data-held="{edge.held}">'
            f'<path d="{path}" marker-end="url(#arrow)"/>{label}</g>'
        )
    return drawn


def _path(x1: float, y1: float, x2: float, y2: float, bend: float) -> tuple[str, tuple[float, float]]:
    """From box to box, and where its name goes; two that hold each other have two arrows apart."""
    half = _WIDTH / 2
    if (x1, y1) == (x2, y2):
        x, y = x1 + half, y1
        return f"M{x} {y - 10} c60 -40 60 60 2 24", (x + 55, y)
    if x1 < x2:
        start, end = (x1 + half, y1 - bend), (x2 - half, y2 - bend)
        reach = (end[0] - start[0]) / 2
        path = f"M{start[0]} {start[1]} C{start[0] + reach} {start[1]} {end[0] - reach} {end[1]} {end[0] - 2} {end[1]}"
        return path, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 4)
    if x1 > x2:
        start, end = (x1 - half, y1 + bend), (x2 + half, y2 + bend)
        path = (
            f"M{start[0]} {start[1]} C{start[0] - 50} {start[1] + 30} {end[0] + 50} {end[1] + 30} {end[0] + 2} {end[1]}"
        )
        return path, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 34)
    side = half if y1 < y2 else -half
    out = 70 if y1 < y2 else -70
    path = f"M{x1 + side} {y1} C{x1 + side + out} {y1} {x2 + side + out} {y2} {x2 + side} {y2}"
    return path, (x1 + side + out, (y1 + y2) / 2)


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ --back: #ffffff; --ink: #1d2733; --dim: #5b6875; --line: #8a97a5; --box: #eef2f7; --asked: #ffd9b3; --root: #d5ecd9; --lit: #c2410c; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: #14191f; --ink: #e6ebf0; --dim: #9aa7b4; --line: #6b7885; --box: #232c36; --asked: #6b3f16; --root: #1f4a2b; --lit: #fb923c; }}
}}
* {{ box-sizing: border-box; }}
html, body {{ margin: 0; height: 100%; background: var(--back); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }}
body {{ display: flex; flex-direction: column; }}
header {{ display: flex; flex-wrap: wrap; gap: 12px; align-items: baseline; padding: 10px 16px; border-bottom: 1px solid var(--line); }}
header h1 {{ font-size: 15px; margin: 0; }}
header span {{ color: var(--dim); }}
header button {{ margin-left: auto; font: inherit; padding: 2px 12px; color: inherit; background: var(--box); border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }}
main {{ flex: 1; display: flex; min-height: 0; }}
svg {{ flex: 1; min-width: 0; cursor: grab; touch-action: none; }}
aside {{ width: 300px; padding: 14px 16px; border-left: 1px solid var(--line); overflow: auto; overflow-wrap: anywhere; }}
aside dt {{ color: var(--dim); }} aside dd {{ margin: 0 0 8px; }} aside a {{ color: var(--lit); cursor: pointer; }}
@media (max-width: 700px) {{ main {{ flex-direction: column; }} aside {{ width: auto; max-height: 40%; border-left: 0; border-top: 1px solid var(--line); }} }}
.node rect {{ fill: var(--box); stroke: var(--line); }} .node text {{ fill: var(--ink); font-size: 13px; }}
.node .about {{ fill: var(--dim); font-size: 11px; }} .node {{ cursor: pointer; outline: none; }}
.node.asked rect {{ fill: var(--asked); }} .node.root rect {{ fill: var(--root); }}
.node:focus-visible rect, .node.lit rect {{ stroke: var(--lit); stroke-width: 2.5; }}
.edge path {{ fill: none; stroke: var(--line); stroke-width: 1.4; }} .edge text {{ fill: var(--dim); font-size: 11px; text-anchor: middle; }}
.many .edge:not(.lit) text {{ display: none; }}
.edge.lit path {{ stroke: var(--lit); stroke-width: 2.2; }} .edge.lit text {{ fill: var(--lit); }}
#arrow path {{ fill: context-stroke; }}
</style>
</head>
<body>
<header><h1>{head}</h1><span>arrows run from holder to held; drag to move, wheel to zoom, click an object</span><button type="button" id="fit">Show all</button></header>
<main>
<svg id="picture" class="{many}" viewBox="{view}" role="img" aria-label="{head}">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>
{drawn}
</svg>
<aside id="about" aria-live="polite"><p>Click an object to see its type and size.</p></aside>
</main>
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("picture"), about = document.getElementById("about");
const whole = svg.getAttribute("viewBox").split(" ").map(Number);
let view = [...whole], held = null, moved = false;
const fingers = new Map();
const show = () => svg.setAttribute("viewBox", view.join(" "));
const scale = () => Math.max(view[2] / svg.clientWidth, view[3] / svg.clientHeight);
function zoom(factor, x, y) {{
  const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
  const width = view[2] * factor;
  if (width < 80 || width > whole[2] * 8) return;
  view = [point.x - (point.x - view[0]) * factor, point.y - (point.y - view[1]) * factor, width, view[3] * factor];
  show();
}}
svg.addEventListener("wheel", event => {{ event.preventDefault(); zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, event.clientX, event.clientY); }}, {{ passive: false }});
svg.addEventListener("pointerdown", event => {{ fingers.set(event.pointerId, [event.clientX, event.clientY]); moved = false; }});
svg.addEventListener("pointermove", event => {{
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  if (fingers.size === 1) {{
    if (!moved && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return;
    if (!moved) svg.setPointerCapture(event.pointerId);
    moved = true;
    view[0] -= (now[0] - before[0]) * scale(); view[1] -= (now[1] - before[1]) * scale(); show();
  }} else {{
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const factor = Math.hypot(before[0] - other[0], before[1] - other[1]) / Math.max(1, Math.hypot(now[0] - other[0], now[1] - other[1]));
    moved = true; zoom(factor, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }}
  fingers.set(event.pointerId, now);
}});
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, event => fingers.delete(event.pointerId));
document.getElementById("fit").addEventListener("click", () => {{ view = [...whole]; show(); }});
function add(list, word, value) {{
  if (value === null || value === "" || value === 0) return;
  const term = document.createElement("dt"), text = document.createElement("dd");
  term.textContent = word; text.textContent = value; list.append(term, text);
}}
function neighbours(list, word, edges, end) {{
  if (!edges.length) return;
  const term = document.createElement("dt"); term.textContent = word; list.append(term);
  for (const edge of edges) {{
    const item = document.createElement("dd"), link = document.createElement("a"), node = data.nodes[edge[end]];
    link.textContent = (edge.name ? edge.name + "  " : "") + (node.name || node.type);
    link.addEventListener("click", () => pick(edge[end])); item.append(link); list.append(item);
  }}
}}
function pick(number) {{
  const node = data.nodes[number], list = document.createElement("dl");
  for (const each of document.querySelectorAll(".lit")) each.classList.remove("lit");
  document.getElementById("n" + number).classList.add("lit");
  for (const edge of document.querySelectorAll(`.edge[data-holder="${{number}}"], .edge[data-held="${{number}}"]`)) edge.classList.add("lit");
  add(list, "type", node.type); add(list, "name", node.name); add(list, "value", node.value);
  add(list, "length", node.length); add(list, "own memory", node.size);
  add(list, "references to it", node.references === null ? "not counted (immortal)" : node.references);
  add(list, data.direction === "backrefs" ? "holders not shown" : "held, not shown", node.left_out);
  neighbours(list, "held by", data.edges.filter(edge => edge.held === number), "holder");
  neighbours(list, "holds", data.edges.filter(edge => edge.holder === number), "held");
  about.replaceChildren(list);
}}
for (const each of document.querySelectorAll(".node")) {{
  const number = Number(each.id.slice(1));
  each.addEventListener("click", () => {{ if (!moved) pick(number); }});
  each.addEventListener("keydown", event => {{ if (event.key === "Enter" || event.key === " ") {{ event.preventDefault(); pick(number); }} }});
}}
</script>
</body>
</html>
"""
