"""Fuzzing of the whole exporter: a hostile flight file among honest ones, and whatever bytes a client may send.

``GCOTEL_FUZZ_EXAMPLES`` sets the number of examples, for a long night.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gc_otel.flight import layout, source
from gc_otel.service.http import App, Server
from gc_otel.service.port import listen

pytestmark = [pytest.mark.once, pytest.mark.fuzz]

EXAMPLES = int(os.environ.get("GCOTEL_FUZZ_EXAMPLES", "0"))
EXTREMES = (0, 1, 2, 511, 513, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

CELLS = [
    block.cell(field.name, entry) + part
    for block in (layout.HEADER, layout.GC, layout.GENERATION, layout.MONITOR, layout.MEMORY, layout.PUBLISHED)
    for entry in {0, block.entries - 1}
    for field in block.fields
    for part in {0, field.cells - 1}
]
TEXTS = [field.name for field in layout.HEADER.fields if field.cells > 1]


@st.composite
def hostile(draw: Any) -> dict[int, bytes]:
    """Bytes by offset: numbers anywhere, texts of any kind, anything anywhere."""
    cells = draw(
        st.dictionaries(st.sampled_from(CELLS), st.sampled_from(EXTREMES) | st.integers(0, 2**64 - 1), max_size=8)
    )
    texts = draw(
        st.dictionaries(
            st.sampled_from(TEXTS), st.text(max_size=20) | st.sampled_from(['"', "\\", "\n", "{}"]), max_size=2
        )
    )
    ranges = draw(
        st.lists(st.tuples(st.integers(0, layout.FILE_BYTES - 64), st.binary(min_size=1, max_size=64)), max_size=2)
    )
    written = {cell * layout.CELL_BYTES: struct.pack("=Q", value) for cell, value in cells.items()}
    for name, text in texts.items():
        room = layout.text_bytes(layout.HEADER, name)
        raw = text.encode("utf-8", "surrogatepass")[:room].ljust(room, b"\0")
        written[layout.HEADER.cell(name) * layout.CELL_BYTES] = raw
    return {**written, **dict(ranges)}


@contextlib.contextmanager
def planted(path: Path, valid: bytes, patches: dict[int, bytes]) -> Any:
    """Such a file, alive: somebody holds its lock."""
    raw = bytearray(valid)
    for offset, patch in patches.items():
        raw[offset : offset + len(patch)] = patch
    path.with_suffix(".made").write_bytes(raw[: layout.FILE_BYTES])
    path.with_suffix(".made").rename(path)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    path.unlink()


@settings(FUZZ, max_examples=EXAMPLES // 4 or 100)
@given(patches=hostile())
def test_a_hostile_file_leaves_the_others_alone(service, make, monkeypatch, patches):
    """It is passed over or shown; the page stays well formed, honest series stay, and it can be pushed."""
    monkeypatch.setattr(source, "_PATIENCE_S", 0)  # a writer that never ends is waited for elsewhere
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
    from opentelemetry.sdk.metrics.export import MetricsData

    if not hasattr(service, "honest"):
        service.honest, donor = make(), make()
        service.honest.collect(times=5)
        donor.beat()
        donor.collect(times=7)
        service.valid = donor.path.read_bytes()
        donor.die(leaving_file=False)
    honest = service.honest
    with planted(honest.path.with_name("7-7.flight"), service.valid, patches):
        for accept, parse in (("", parse_text), (OPENMETRICS, parse_openmetrics)):
            families = list(parse(service.page(accept)))
            samples = [sample for family in families for sample in family.samples]
            keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
            assert len(keys) == len(set(keys))
            counted = [
                sample.value
                for sample in samples
                if sample.name == "cpython_gc_collections_total" and sample.labels["process_pid"] == str(honest.pid)
            ]
            assert sum(counted) == 5
        service.sampling.round()
        encode_metrics(MetricsData(list(service.metrics.to_push().resource_metrics)))
    service.following.refresh()
    service.following.forget(service.following.shown())
    # It may claim the pid of a process that cannot be sampled, or numbers that no total can take: that is told as such.
    texts = [fault.text for fault in service.ledger.faults]
    assert all("holds impossible counters" in text or ", source " in text for text in texts), texts
    service.ledger._faults.clear()


def test_the_file_that_the_others_are_made_from_is_shown(service, make):
    """Else the test above would see nothing."""
    donor = make()
    donor.collect(times=7)
    valid = donor.path.read_bytes()
    donor.die(leaving_file=False)
    with planted(donor.path.with_name("7-7.flight"), valid, {}):
        assert f'process_pid="{donor.pid}"' in service.page()


# HTTP.

REQUEST_PARTS = (
    *(b"GET /metrics HTTP/1.1\r\n", b"GET /healthz HTTP/1.0\r\n", b"HEAD / HTTP/1.1\r\n", b"POST /metrics HTTP/1.1\r\n"),
    *(b"Host: a\r\n", b"Host:\r\n", b"Accept: application/openmetrics-text;version=x\r\n", b"Accept-Encoding: gzip;q=\r\n"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999\r\n", b"Content-Length: 1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"ffffffff\r\n", b"0\r\n\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    *(b"\r\n", b"\n", b"\0", b"\r", b" ", b": \r\n", b"X: " + b"a" * 20000 + b"\r\n", b"GET " + b"/" * 9000 + b" HTTP/1.1\r\n"),
    *(b"GET /%00%ff%zz?a=%s HTTP/1.1\r\n", b"GET http://[::1 HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00"),
)  # fmt: skip


@pytest.fixture
def served():
    """A server of a page that is as large as a small one of ours."""
    from gc_otel.otel.prometheus import PLAIN_TEXT, Rendered

    faults: list[BaseException] = []
    app = App(
        lambda _: Rendered(1, PLAIN_TEXT, b"a 1\n" * 2000),
        health=lambda: None,
        readiness=lambda: None,
        note_fault=lambda where, error: faults.append(error),
        is_loopback=True,
    )
    listening = listen("127.0.0.1", 0)
    server = Server(app, listening)
    yield server, f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.stop()
    assert faults == []


@settings(FUZZ, max_examples=EXAMPLES // 4 or 100)
@given(parts=st.lists(st.sampled_from(REQUEST_PARTS) | st.binary(max_size=60), max_size=8), closes=st.booleans())
def test_no_bytes_stop_the_server(served, connect, page_at, parts, closes):
    """Halves, pipelines, garbage, whatever their order; the connection is closed or left half open: the next scrape is served."""
    server, address = served
    connection = connect(address)
    with contextlib.suppress(OSError):  # refused in the middle of it
        for part in parts:
            connection.sendall(part)
    if closes:
        connection.close()
    assert page_at(f"{address}/metrics") == "a 1\n" * 2000
    assert server.alive
