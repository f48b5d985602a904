"""A real OTLP receiver: VictoriaMetrics."""

from __future__ import annotations


def test_otlp_into_victoria_metrics(tool, serve, program, free_port, poll, page, by_generation, tmp_path):
    """Pushed by OTLP/HTTP it has the same numbers as CPython, under the names that Prometheus would show."""
    port = free_port()
    serve(
        tool("victoria-metrics"),
        f"-storageDataPath={tmp_path}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
        "-inmemoryDataFlushInterval=1s",
    )
    api = f"http://127.0.0.1:{port}"
    poll(lambda: page(f"{api}/health"), lambda text: text == "OK")
    told = program("recorded.py", "push", f"{api}/opentelemetry/v1/metrics")["collections"]
    for name in ("cpython_gc_collections_total", "cpython_gc_duration_seconds_count"):
        poll(lambda name=name: by_generation(api, f'{name}{{service_name="shop"}}'), told.__eq__)
    assert min(told.values()) > 0
