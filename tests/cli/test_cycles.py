"""`gc-otel cycles` names the garbage of another process."""

from __future__ import annotations

import sys

import pytest

from gc_otel.service import asking

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.skipif(not HAS_GIL, reason="refused without a GIL")
def test_cycles_of_a_process(call, record):
    """By consent in the process itself, which works with every recorder."""
    process = record("python")
    assert "no garbage cycles" not in call("cycles", str(process.pid), "--in-process").out
    process.tell("knot")
    said = call("cycles", str(process.pid), "--in-process", "--top", "1000")
    (row,) = [line for line in said.out.splitlines() if line.startswith("__main__.Knot  ")]
    assert row.split()[1:3] == ["5", "5"]
    assert "all of it a pause of the process" in said.out
    found = call("cycles", str(process.pid), "--in-process", "--json").json
    (group,) = [group for group in found["groups"] if group["signature"] == "__main__.Knot"]
    assert (group["cycles"], group["objects"]) == (5, 5)
    assert found["child_cpu_ns"] is None


def test_an_answer_that_is_none_is_an_error(call, monkeypatch):
    """Whatever the other side wrote."""
    monkeypatch.setattr(asking, "ask", lambda *_, **__: {"groups": 7})
    said = call("cycles", "1")
    assert said.code == 1
    assert "cannot be read" in said.err
