"""A page of many processes, whose text stays what it is but for the numbers at the ends of its lines.

For each metric of each resource its :class:`gc_otel.otel.forms.Form` is kept, and filled with the numbers of every page that has
others.  Put together by metric it is what the libraries write for all resources at once, because a family's samples
stand in the order of its resources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opentelemetry.sdk.metrics.export import ResourceMetrics
from opentelemetry.sdk.resources import Resource

from gc_otel.otel.forms import Form, Forms, Render, numbers_of, points_of


@dataclass(slots=True)
class _Piece:
    """A form, filled."""

    form: Form
    numbers: list[float]
    samples: str


class Pieces:
    """The kept text of one format.  ``render`` gives the page of these resources alone; whoever calls holds the page's lock."""

    def __init__(self, render: Render) -> None:
        self._render = render
        # By identity: a resource is equal to another one by all that it says, which takes long to ask.
        self._kept: dict[int, tuple[Resource, dict[str, _Piece]]] = {}

    @property
    def resources(self) -> list[Resource]:
        """All that are on the last page."""
        return [resource for resource, _ in self._kept.values()]

    def page(self, resource_metrics: Iterable[ResourceMetrics]) -> str:
        """The page of all of them, without an end mark; UnknownForm where the libraries have to write it.

        One after the other: as many points as 1,000 processes have would be looked through by the collector again and again.
        """
        before, self._kept = self._kept, {}
        heads: dict[str, str] = {}
        samples: dict[str, list[str]] = {}
        forms = Forms(self._render)
        for each in resource_metrics:
            resource, known = before.get(id(each.resource), (None, {}))
            pieces = _pieces(each, known if resource is each.resource else {}, forms)
            self._kept[id(each.resource)] = each.resource, pieces
            for name, piece in pieces.items():
                heads.setdefault(name, piece.form.head)
                samples.setdefault(name, []).append(piece.samples)
        return "".join(part for name, head in heads.items() for part in (head, *samples[name]))


def _pieces(each: ResourceMetrics, known: dict[str, _Piece], forms: Forms) -> dict[str, _Piece]:
    metrics = {metric.name: metric for scope in each.scope_metrics for metric in scope.metrics}
    attributes = {name: [point.attributes for point in points_of(metric)] for name, metric in metrics.items()}
    unknown = {
        name for name, theirs in attributes.items() if name not in known or known[name].form.attributes != theirs
    }
    new = forms.of(each, unknown) if unknown else {}
    return {
        name: _filled(new[name], numbers_of(metric)) if name in new else _refilled(known[name], numbers_of(metric))
        for name, metric in metrics.items()
    }


def _filled(form: Form, numbers: list[float]) -> _Piece:
    return _Piece(form, numbers, form.fill(numbers))


def _refilled(known: _Piece, numbers: list[float]) -> _Piece:
    return known if known.numbers == numbers else _filled(known.form, numbers)
