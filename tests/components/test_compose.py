"""deploy/compose: what compose itself says of it, and its services started as plain processes on the files that ship."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from gc_otel.service import program

yaml = pytest.importorskip("yaml", reason=".[test] brings pyyaml for one interpreter")

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
FILES = (("compose.yaml",), ("compose.yaml", "compose.otel.yaml"))

#: Ends by itself, or has nothing to ask: why there is no health check.
NO_HEALTH = {
    "rules": "runs once",
    "visitors": "asks, and answers nobody",
    "collector": "its image has no program but itself",
}

#: Of one process, target_info included.
SERIES_MOST = 150

pytestmark = pytest.mark.skipif(not COMPOSE.is_dir(), reason="deploy/ stands in the checkout, not in a wheel")


@pytest.fixture(params=FILES, ids=["scraped", "by OTLP"])
def stack(request, tool):
    """As docker-compose resolves it."""
    files = [word for name in request.param for word in ("--file", str(COMPOSE / name))]
    done = subprocess.run(
        [tool("docker-compose"), *files, "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sorted({name for names in FILES for name in names}))
def test_the_schema_has_nothing_to_say(name):
    """The compose specification's, unknown keys refused."""
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE / name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_every_version_is_pinned(stack):
    """To a patch release; the one image without is built here."""
    for name, service in stack["services"].items():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
    dockerfile = (COMPOSE / "shop" / "Dockerfile").read_text()
    assert re.search(r"PYTHON_IMAGE=python:\d+\.\d+\.\d+-", dockerfile)
    assert all("==" in each for each in re.findall(r"flask\S*|gunicorn==\S*", dockerfile.partition("useradd")[0]))


def test_every_service_has_limits_and_a_health_check(stack):
    """And no rights that it does not need; its ports are this machine's alone."""
    for name, service in stack["services"].items():
        assert int(service["mem_limit"]) <= 512 << 20
        check = service.get("healthcheck", {})
        assert (bool(check) and not check.get("disable")) or name in NO_HEALTH, name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


def test_what_is_mounted_is_there(stack):
    """A folder that is missing would be made by Docker, empty, and belong to root."""
    for service in stack["services"].values():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume
    flights = stack["volumes"]["flights"]["driver_opts"]
    assert flights["type"] == "tmpfs"
    assert "mode=0700" in flights["o"]


def test_the_exporter_sees_the_shop(stack):
    """The same user, folder and pid namespace."""
    shop, exporter = stack["services"]["shop"], stack["services"]["exporter"]
    assert exporter["pid"] == "service:shop"
    assert exporter["user"] == shop["user"]
    assert exporter["environment"]["GC_OTEL_DIR"] == shop["environment"]["GC_OTEL_DIR"]
    assert exporter["volumes"] == shop["volumes"]


def test_grafana_finds_its_data_and_its_dashboards(stack):
    """Every path and uid of the provisioning exists."""
    grafana = stack["services"]["grafana"]
    mounts = {each["target"]: Path(each["source"]) for each in grafana["volumes"] if each["type"] == "bind"}
    provisioned = yaml.safe_load((COMPOSE / "grafana/provisioning/dashboards/gc_otel.yaml").read_text())["providers"]
    assert [each["options"]["path"] in mounts for each in provisioned] == [True]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounts[str(home.parent)] / home.name).is_file()
    sources = yaml.safe_load((COMPOSE / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    hosts = {each["type"]: re.match(r"http://(\w+):(\d+)$", each["url"]) for each in sources}
    assert {kind: host[1] in stack["services"] for kind, host in hosts.items()} == {
        "prometheus": True,
        "alertmanager": True,
    }
    assert [each["isDefault"] for each in sources if each["type"] == "prometheus"] == [True]


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.otel.yml"])
def test_promtool_finds_no_fault_with_the_configuration(tool, tmp_path, name):
    """With the rules where compose puts them."""
    lay_out_prometheus(tmp_path)
    command = [tool("promtool"), "check", "config", tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == 3


def lay_out_prometheus(folder):
    for path in (COMPOSE / "prometheus").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "gc_otel.cli", "assets", "export", folder / "gc_otel"]
    subprocess.run([*command, "--runbooks", "http://localhost:3000/public/runbooks"], check=True, capture_output=True)


@pytest.fixture
def pod():
    """Services that call each other by name."""
    spec = importlib.util.spec_from_file_location("_pod", Path(__file__).with_name("_pod.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.Pod(["shop", "exporter", "prometheus", "alertmanager"])
    if made.why_not:
        assert not IN_CI, made.why_not
        pytest.skip(f"no namespaces for this user: {made.why_not}")
    yield made
    made.close()


class Services:
    """The stack's services by name, each with its own command and environment; only places are others."""

    def __init__(self, pod, serve, tool, places):
        self._pod, self._serve, self._tool, self._places = pod, serve, tool, places
        self.declared = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]

    def start(self, name, env, *more):
        service = self.declared[name]
        given = {
            key: self._placed(value) for key, value in service.get("environment", {}).items() if "$" not in str(value)
        }
        words = [self._placed(word) for word in service.get("command", [])]
        return self._serve(*self._pod.command(*self._program(name, words), *more), env={**env, **given})

    def _program(self, name, words):
        modules = {"gunicorn": "gunicorn", "gc-otel": "gc_otel.cli"}
        if words[0] in modules:
            return [sys.executable, "-m", modules[words[0]], *words[1:]]
        if words[0] == "python":
            return [sys.executable, *words[1:]]
        return [self._tool(name), *words]

    def _placed(self, word):
        for inside, outside in self._places.items():
            word = str(word).replace(inside, str(outside))
        return word


def test_the_stack_as_plain_processes(pod, serve, tool, poll, program_env, flight_dir, tmp_path, monkeypatch):
    """Shop, exporter, visitors, Prometheus and Alertmanager, on the very files: scraped, ruled, alerted, and the switch works."""
    lay_out_prometheus(tmp_path)
    places = {
        "/etc/prometheus/prometheus.yml": tmp_path / "prometheus.yml",
        "/etc/alertmanager": COMPOSE / "alertmanager",
        "/alertmanager": tmp_path / "alertmanager",
        "=/prometheus": f"={tmp_path / 'data'}",
        "/flights": flight_dir,
    }
    # The first entry's folder is also what the second would match.
    services = Services(pod, serve, tool, places)
    monkeypatch.chdir(COMPOSE / "shop")
    recorded = program.environment({**program_env, "SHOP_SWITCH": str(tmp_path / "switch")}, dir=str(flight_dir))
    services.start("shop", recorded)
    poll(lambda: pod.get("http://shop:8000/health"), "ok\n".__eq__)
    services.start("exporter", program_env)
    services.start("visitors", program_env)
    services.start("alertmanager", program_env, "--cluster.listen-address=")
    services.start("prometheus", program_env)

    def asked(expr):
        answer = json.loads(pod.get(f"http://prometheus:9090/api/v1/query?query={urllib.parse.quote(expr)}"))
        return {json.dumps(each["metric"]): float(each["value"][1]) for each in answer["data"]["result"]}

    assert list(poll(lambda: asked("up"), lambda up: 1.0 in up.values()).values()) == [1.0]
    assert len(asked("process_uptime_seconds")) == 3, "the arbiter and two workers"
    assert len(asked('count(cpython_gc_collections_total{service_name="shop"})')) == 1
    assert 80 < max(asked('count by (process_pid) ({process_pid!=""})').values()) <= SERIES_MOST
    told = json.loads(pod.get("http://prometheus:9090/api/v1/alertmanagers"))["data"]
    assert [each["url"] for each in told["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]
    groups = json.loads(pod.get("http://prometheus:9090/api/v1/rules"))["data"]["groups"]
    assert {group["name"] for group in groups} >= {"gc_otel.thresholds", "gc_otel.services", "gc_otel.alerts"}
    urls = {
        rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"
    }
    assert all(url.startswith("http://localhost:3000/public/runbooks/") for url in urls)

    before = asked("sum(process_memory_usage_bytes)")
    assert pod.get("http://shop:8000/leak/on", "POST") == "the leak is on\n"
    for _ in range(20):
        pod.get("http://shop:8000/")
    grown = poll(lambda: asked("sum(process_memory_usage_bytes)"), lambda now: now["{}"] > before["{}"] + 500_000)
    assert grown
    assert pod.get("http://shop:8000/leak/off", "POST") == "the leak is off\n"
