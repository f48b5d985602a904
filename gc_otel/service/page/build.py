"""The page's parts put together, as an exporter has them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gc_otel.config import Config
from gc_otel.flight.folder import Folder
from gc_otel.service import asking
from gc_otel.service.following import Following
from gc_otel.service.ledger import Ledger
from gc_otel.service.page.access import Access
from gc_otel.service.page.api import Api
from gc_otel.service.page.app import PageApp
from gc_otel.service.page.errands import Errands
from gc_otel.service.page.subjects import Subjects
from gc_otel.service.page.token import token_of
from gc_otel.service.sampling import Sampling

#: Exact cycles of a large heap take a child of the process its time.
_PATIENCE_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Page:
    """``app`` serves it; :meth:`close` lets go of its threads."""

    app: PageApp
    errands: Errands

    def close(self) -> None:
        """Take no more requests to processes."""
        self.errands.close()


def make_page(
    folder: Folder,
    config: Config,
    following: Following,
    sampling: Sampling,
    *,
    ledger: Ledger,
    listening: socket.socket,
) -> Page | None:
    """None where the settings want no page."""
    if not config.page:
        return None
    errands = Errands(ask, ledger.note_fault)
    api = Api(
        Subjects(folder, following, sampling),
        errands,
        unreadable=lambda: len(following.unreadable()),
        note_fault=ledger.note_fault,
    )
    port = listening.getsockname()[1]
    access = Access(lambda: token_of(folder), port=port, hosts=(*config.page_hosts, config.host))
    return Page(PageApp(api, access), errands)


def ask(path: Path, verb: str, arguments: Mapping[str, Any], on_progress: Callable[[Any], None]) -> Mapping[str, Any]:
    """Ask a process; a GcOtelError says why it gives no answer."""
    return asking.ask(
        path, verb, arguments, patience_s=_PATIENCE_S, on_progress=lambda progress: on_progress(asdict(progress))
    )
