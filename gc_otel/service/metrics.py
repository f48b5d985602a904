"""What is on /metrics: every process that is followed, and the exporter itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gc_otel.config import Config
from gc_otel.errors import FlightFileError
from gc_otel.otel.exporter_catalog import ExporterNumbers
from gc_otel.otel.producer import Producer, resource_of, surroundings
from gc_otel.otel.prometheus import Page, Rendered
from gc_otel.sample.process import ProcessSampler
from gc_otel.service.following import PAGE, PUSH, Following
from gc_otel.service.ledger import Ledger
from gc_otel.service.pushing import Collected, Pushes
from gc_otel.service.recorded import Recorded
from gc_otel.service.sampling import Sampling
from gc_otel.service.totals import Totals

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import ResourceMetrics
    from opentelemetry.sdk.resources import Resource


class Metrics:
    """Renders the page of all processes."""

    def __init__(
        self, following: Following, sampling: Sampling, totals: Totals, config: Config, ledger: Ledger
    ) -> None:
        self._following = following
        self._sampling = sampling
        self._totals = totals
        self._ledger = ledger
        self._around = surroundings()
        self._producer = Producer(config, ledger.note_fault, around=self._around)
        self._page = Page(self._produce, self._rendered)
        self._resources: WeakKeyDictionary[Recorded, Resource] = WeakKeyDictionary()
        self._own_sampler = ProcessSampler(on_disabled=lambda source, error: ledger.note_fault(f"own {source}", error))
        self._shown: tuple[Recorded, ...] = ()
        self.pushes: Pushes | None = None
        self._began_ns = 0
        self.scrapes = 0
        self._scrape_ns: int | None = None

    def render(self, accept: str) -> Rendered:
        """The page in the format of an Accept header."""
        with self._ledger.spent("scrape"):
            return self._page.render(accept)

    def _produce(self) -> Iterator[ResourceMetrics]:
        # Under the page's lock, as is _rendered.
        self._began_ns = time.monotonic_ns()
        shown = self._refreshed(PAGE)
        # Who ends from here on is shown with the numbers of now, and once more on the next page.
        self._shown = tuple(each for each in shown if each.is_ended)
        return self._points(shown)

    def to_push(self) -> Collected:
        """The same points, for a reader of its own; beside a page that is being rendered."""
        shown = self._refreshed(PUSH)
        ended = [each for each in shown if each.is_ended]
        return Collected(list(self._points(shown)), ended)

    def pushed(self, ended: Sequence[Recorded]) -> None:
        """Their last numbers were in a push that was taken."""
        self._following.forget(ended, reader=PUSH)

    def _refreshed(self, reader: str) -> tuple[Recorded, ...]:
        try:
            self._following.refresh()
        except Exception as error:  # noqa: BLE001 - contained and noted: those that are known are shown all the same
            self._ledger.note_fault(reader, error)
        return self._following.shown(reader)

    def _points(self, shown: Sequence[Recorded]) -> Iterator[ResourceMetrics]:
        for recorded in shown:
            made = self._of_process(recorded)
            if made is not None:
                yield made
        # Saved before anybody sees them, and nobody sees a part of this: what was shown once is never less.
        self._totals.save()
        now_unix_ns = time.time_ns()
        for each in self._totals.services():
            yield self._producer.of_service(each, now_unix_ns=now_unix_ns)
        yield self._producer.of_exporter(self._numbers(), now_unix_ns=now_unix_ns)

    def _of_process(self, recorded: Recorded) -> ResourceMetrics | None:
        try:
            self._sampling.sample_new(recorded)
            snapshot = recorded.snapshot()
            self._totals.count(recorded.path.stem, snapshot.identity.service_name, snapshot.collector)
            return self._producer.of_process(snapshot, self._resource(recorded), now_unix_ns=time.time_ns())
        except (FlightFileError, OSError) as error:
            self._following.distrust(recorded, error)
        except Exception as error:  # noqa: BLE001 - contained and noted: the others are shown all the same
            self._ledger.note_fault(f"process {recorded.identity.pid}", error)
        return None

    def _resource(self, recorded: Recorded) -> Resource:
        resource = self._resources.get(recorded)
        if resource is None:
            resource = self._resources[recorded] = resource_of(
                recorded.identity, pid=recorded.label, around=self._around
            )
        return resource

    def _rendered(self) -> None:
        self.scrapes += 1
        self._scrape_ns = time.monotonic_ns() - self._began_ns
        self._following.forget(self._shown, reader=PAGE)

    def _numbers(self) -> ExporterNumbers:
        return ExporterNumbers(
            processes=len(self._following.living()),
            files_skipped=len(self._following.unreadable()),
            scrapes=self.scrapes,
            scrape_ns=self._scrape_ns,
            faults=self._ledger.faults_in_all,
            pushes=None if self.pushes is None else {"taken": self.pushes.taken, "refused": self.pushes.refused},
            cpu_ns=self._ledger.cpu_ns,
            rss_bytes=self._own_sampler.sample().rss_bytes,
        )
