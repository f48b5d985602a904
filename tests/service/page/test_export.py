"""What is kept of a view: the API's own answers under their paths, as JSON and inside one file."""

from __future__ import annotations

import json


def test_a_process_with_what_it_had_answered(desk, make, eventually):
    """All that its page asks for, and no more than its page."""
    living = make()
    living.collect(0, 3)
    desk.following.refresh()
    taken = desk.post(f"/api/v1/processes/{living.pid}/heap/census").json
    eventually(lambda: desk.get(f"/api/v1/answers/{taken['id']}").json["state"] == "done", "no answer")
    kept = desk.get(f"/export/process/{living.pid}.json?view=heap")
    assert kept.headers["Content-Disposition"].startswith(f'attachment; filename="gc_otel-process-{living.pid}-')
    base = f"/api/v1/processes/{living.pid}"
    wanted = {base, f"{base}/history", f"{base}/collections", f"{base}/heap", f"/api/v1/answers/{taken['id']}"}
    assert set(kept.json["answers"]) == wanted
    assert kept.json["location"] == f"/process/{living.pid}/heap"
    page = desk.get(f"/export/process/{living.pid}.html").body.decode()
    data = json.loads(page.partition('id="frozen">')[2].partition("</script>")[0])
    assert wanted <= set(data["answers"])
    assert data["answers"]["/api/v1/runbooks/PythonGcDisabled"]["text"].startswith("# PythonGcDisabled")


def test_the_fleet(desk, make):
    """And nothing of who is not there."""
    make().collect()
    desk.following.refresh()
    assert list(desk.get("/export/fleet.json").json["answers"]) == ["/api/v1/processes"]
    assert desk.get("/export/fleet.html").headers["Content-Disposition"].endswith('.html"')
    assert desk.get("/export/process/999999999.json").code == 404
    assert desk.token not in desk.get("/export/fleet.html").body.decode()
