"""The Python service dashboard's part about memory."""

from __future__ import annotations

from grafana.board import Board, link_to_process
from grafana.labels import BY_INSTANCE, BY_PROCESS, INSTANCE_LEGEND, PROCESS_LEGEND, limit_bytes, pick, used_bytes
from grafana.panels import dashed, graph, queries
from grafana.scales import FULL


def put(board: Board) -> None:
    """Add the row."""
    board.row("Memory")
    used, limit = used_bytes(BY_INSTANCE), limit_bytes(BY_INSTANCE)
    forecast = f"predict_linear(({used})[3h:5m], 4 * 3600)"
    panel = graph(
        "Memory against limit",
        "Memory of each target's processes together (shared pages counted once where PSS is sampled) as a share of the limit that kills, the five fullest; and where the "
        "line through the last three hours leads in four. A forecast that stays above 100 %: act. Look next at: Leak hunt.",
        "percentunit",
        *queries(
            (f"topk(5, {used} / {limit})", INSTANCE_LEGEND), (f"max({forecast} / {limit})", "forecast for 4 h later")
        ),
        steps=FULL,
        many=True,
    )
    board.put(
        12,
        9,
        dashed(panel, "forecast for 4 h later", "orange"),
        graph(
            "Resident memory by process",
            "RSS of the ten largest processes. All of them rising alike since a start: the code keeps something. One alone: a job or a "
            "connection of its own. Steps down at blue marks are restarts. Look next at: Allocated blocks by process.",
            "bytes",
            *queries((f"topk(10, sum by ({BY_PROCESS}) ({pick('process.memory.usage')}))", PROCESS_LEGEND)),
            many=True,
        ).data_links([link_to_process()]),
    )
    board.put(
        12,
        8,
        graph(
            "Allocated blocks by process",
            "Small blocks that Python objects hold. Rising with RSS: objects are kept. Flat while RSS rises: an extension, large buffers, or "
            "the allocator. Look next at: the Leak hunt dashboard.",
            "short",
            *queries((f"topk(10, sum by ({BY_PROCESS}) ({pick('cpython.memory.allocated_blocks')}))", PROCESS_LEGEND)),
            many=True,
        ).data_links([link_to_process()]),
        graph(
            "Growth per hour",
            "Slope of each target's memory over the last three hours. It swings around zero in a healthy service, and falls towards "
            "zero in a warm-up; a leak holds its level. Look next at: the Leak hunt dashboard.",
            "bytes",
            *queries((f"topk(10, deriv(({used})[3h:5m]) * 3600)", INSTANCE_LEGEND)),
            lowest=None,
            many=True,
        ),
    )
