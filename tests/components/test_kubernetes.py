"""What kustomize and Helm make of deploy/kubernetes: the same objects, of known kinds, fit for restricted namespaces."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason=".[test] brings pyyaml for one interpreter")

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes"
OPTIONAL = ("grafana-operator", "example", "instrumentation")
SWITCHED_ON = ("grafanaOperator.enabled=true", "example.enabled=true", "instrumentation.enabled=true")
KUBERNETES = "1.37"

#: Of custom resources whose schema no registry has: what the operators' own definitions know, as far as it is used here.
KNOWN = {
    "GrafanaDashboard": {"instanceSelector", "allowCrossNamespaceImport", "resyncPeriod", "folder", "configMapRef"},
    "Instrumentation": {"exporter", "propagators", "python"},
}

pytestmark = pytest.mark.skipif(not BASE.is_dir(), reason="deploy/ stands in the checkout, not in a wheel")


def objects_of(text):
    """By kind and name."""
    found = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text) if each}
    assert found
    return found


@pytest.fixture
def kustomize(tool, tmp_path):
    """Build an overlay of a user's own: its namespace, its label, the optional parts that it wants."""

    def build(optional=(), namespace="monitoring", release="kube-prometheus-stack", patches=()):
        shutil.copytree(BASE, tmp_path / "base", dirs_exist_ok=True)
        (tmp_path / "overlay").mkdir(exist_ok=True)
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace,
            "resources": ["../base"],
            "components": [f"../base/optional/{each}" for each in optional],
            "labels": [{"pairs": {"app.kubernetes.io/part-of": "gc-otel", "release": release}}],
            "patches": list(patches),
        }
        (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return objects_of(run(tool("kustomize"), "build", tmp_path / "overlay"))

    return build


@pytest.fixture
def helm(tool, tmp_path):
    """Render the chart."""

    def render(*values, namespace="monitoring"):
        options = [word for value in values for word in ("--set", value)]
        return objects_of(run(tool("helm"), "template", "any", BASE, "--namespace", namespace, *options))

    return render


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_base_as_it_is(tool, helm):
    """`kubectl apply -k deploy/kubernetes` and the chart with no value given."""
    by_kustomize = objects_of(run(tool("kustomize"), "build", BASE))
    assert by_kustomize == helm()
    assert sorted(kind for kind, _ in by_kustomize) == [*["ConfigMap"] * 4, "PodMonitor", "PrometheusRule"]


@pytest.mark.parametrize(("namespace", "release"), [("monitoring", "kube-prometheus-stack"), ("observe", "prom")])
def test_kustomize_and_helm_render_the_same_objects(kustomize, helm, namespace, release):
    """With everything that is optional; namespace and release are values."""
    rendered = helm(*SWITCHED_ON, f"release={release}", namespace=namespace)
    assert kustomize(OPTIONAL, namespace, release) == rendered
    for each in rendered.values():
        assert each["metadata"]["namespace"] == namespace
        assert each["metadata"]["labels"]["release"] == release


def test_the_namespace_may_be_another_than_the_release_s(helm):
    """As with a chart that is part of another."""
    assert {each["metadata"]["namespace"] for each in helm("namespace=observe").values()} == {"observe"}


def test_without_a_release_label(helm):
    """Where the operator looks at every object."""
    assert all("release" not in each["metadata"]["labels"] for each in helm("release=").values())


def test_each_part_can_be_left_out(helm):
    """The dashboards where no Grafana runs, and so on."""
    assert {kind for kind, _ in helm("dashboards.enabled=false")} == {"PodMonitor", "PrometheusRule"}
    assert {kind for kind, _ in helm("rules.enabled=false", "podMonitor.enabled=false")} == {"ConfigMap"}


def test_values_reach_their_places(helm):
    """Thresholds, runbooks, what is scraped, and where Grafana looks."""
    rendered = helm(
        "rules.thresholds.gc_share_warning=0.2",
        "rules.runbooksUrl=https://wiki.test/python/",
        "podMonitor.interval=15s",
        "podMonitor.matchLabels.team=shop",
        "dashboards.label=dashboards",
        "dashboards.folder=Runtime",
    )
    rules = [rule for group in rendered["PrometheusRule", "gc-otel"]["spec"]["groups"] for rule in group["rules"]]
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    assert recorded["gc_otel:threshold:gc_share_warning"] == "vector(0.2)"
    assert recorded["gc_otel:threshold:gc_share_critical"] == "vector(0.25)"
    urls = {rule["annotations"]["runbook_url"].rpartition("/")[0] for rule in rules if "alert" in rule}
    assert urls == {"https://wiki.test/python"}
    monitor = rendered["PodMonitor", "gc-otel"]["spec"]
    assert monitor["podMetricsEndpoints"][0]["interval"] == "15s"
    assert monitor["selector"]["matchLabels"] == {"gc-otel/scrape": "true", "team": "shop"}
    metadata = rendered["ConfigMap", "gc-otel-leak"]["metadata"]
    assert (metadata["labels"]["dashboards"], metadata["annotations"]["grafana_folder"]) == ("1", "Runtime")


def test_a_threshold_that_does_not_exist_is_refused(tool):
    """A typing error would leave the alert as it was, and nobody would know."""
    command = [tool("helm"), "template", "any", BASE, "--set", "rules.thresholds.gc_shares=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "there is no threshold gc_shares" in done.stderr


def test_the_chart_is_without_fault(tool):
    """helm lint; its one remark is that there is no icon."""
    said = run(tool("helm"), "lint", "--strict", BASE, *(word for each in SWITCHED_ON for word in ("--set", each)))
    assert "[WARNING]" not in said


def test_kubernetes_own_objects_are_valid(helm):
    """Against the schema of the API, unknown keys refused."""
    validate = pytest.importorskip("kubernetes_validate")
    checked = 0
    for (kind, _), each in helm(*SWITCHED_ON).items():
        if kind in ("ConfigMap", "Deployment"):
            validate.validate(each, KUBERNETES, strict=True)
            checked += 1
    assert checked == 5
    wrong = helm(*SWITCHED_ON)["Deployment", "gc-otel-example"]
    wrong["spec"]["template"]["spec"]["sharePidNamespace"] = True
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, KUBERNETES, strict=True)


def test_the_prometheus_operator_s_objects_are_valid(tool, helm):
    """By types made from its definitions; they drop what they do not know, so what comes back must be what went in."""
    given = [helm()[name, "gc-otel"] for name in ("PodMonitor", "PrometheusRule")]
    wrong = copy.deepcopy(given)
    wrong[0]["spec"]["podMetricsEndpoints"] = wrong[1]["spec"]["groups"] = "none"
    command = [tool("operator-python"), "-c", BY_TYPES_OF_THE_OPERATOR]
    text = json.dumps(given + wrong)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [*given, None, None]


#: Each object as the types read and write it; null where they refuse it.
BY_TYPES_OF_THE_OPERATOR = """
import json, sys
import pydantic
from cloudcoil.models.prometheus_operator import v1

def read(given):
    try:
        return json.loads(getattr(v1, given["kind"]).model_validate(given).model_dump_json(by_alias=True, exclude_unset=True))
    except pydantic.ValidationError:
        return None

print(json.dumps([read(each) for each in json.load(sys.stdin)]))
"""


def test_the_other_operators_know_every_key(helm):
    """Restated: no registry has their definitions."""
    rendered = helm(*SWITCHED_ON)
    for (kind, _), each in rendered.items():
        if kind in KNOWN:
            assert set(each["spec"]) == KNOWN[kind]
    boards = {
        name: each["spec"]["configMapRef"] for (kind, name), each in rendered.items() if kind == "GrafanaDashboard"
    }
    assert len(boards) == 4
    for name, reference in boards.items():
        assert reference["key"] in rendered["ConfigMap", reference["name"]]["data"]
        assert reference["name"] == name
    spec = rendered["Instrumentation", "gc-otel"]["spec"]
    assert set(spec["python"]) == {"image", "env", "resourceRequirements"}
    assert spec["exporter"]["endpoint"].endswith(":4318"), "http/protobuf: gRPC has no wheel that fits every Python"


def test_dashboards_are_what_grafana_looks_for(helm):
    """The sidecar's label; whole JSON that is the dashboard; within a ConfigMap's 1 MiB."""
    maps = {name: each for (kind, name), each in helm().items() if kind == "ConfigMap"}
    for name, each in maps.items():
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((key, text),) = each["data"].items()
        assert (key, json.loads(text)["uid"]) == (f"{name}.json", name)
        assert text == (BASE.parents[1] / "grafana" / "dashboards" / key).read_text()
        assert len(json.dumps(each)) < 1 << 20


def test_rules_are_the_rule_files(helm):
    """All three that are loaded together, group by group."""
    folder = BASE.parents[1] / "grafana" / "rules"
    files = [
        yaml.safe_load((folder / name).read_text()) for name in ("thresholds.yaml", "recording.yaml", "alerts.yaml")
    ]
    assert helm()["PrometheusRule", "gc-otel"]["spec"]["groups"] == [each for file in files for each in file["groups"]]


def test_the_example_is_fit_for_a_restricted_namespace(helm):
    """The rules of Pod Security's level `restricted`, and a read-only root besides."""
    pod = helm(*SWITCHED_ON)["Deployment", "gc-otel-example"]["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all(set(volume) <= {"name", "emptyDir"} for volume in pod["volumes"])
    for container in pod["initContainers"] + pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert "hostPort" not in str(container["ports"])


def test_the_example_s_exporter_meets_its_service(helm):
    """One image, one user, one flight folder in memory, and the service's processes in sight."""
    deployment = helm(*SWITCHED_ON)["Deployment", "gc-otel-example"]["spec"]["template"]
    pod = deployment["spec"]
    (exporter,), (service,) = pod["initContainers"], pod["containers"]
    assert exporter["restartPolicy"] == "Always"
    assert pod["shareProcessNamespace"] is True
    assert exporter["image"] == service["image"]
    folders = {each["value"] for c in (exporter, service) for each in c["env"] if each["name"] == "GC_OTEL_DIR"}
    assert folders == {"/flights/shop"}
    assert exporter["volumeMounts"] == service["volumeMounts"]
    assert next(each for each in pod["volumes"] if each["name"] == "flights")["emptyDir"]["medium"] == "Memory"
    assert {"name": "gc-otel", "containerPort": 9464} in exporter["ports"]
    wanted = helm()["PodMonitor", "gc-otel"]["spec"]
    assert wanted["selector"]["matchLabels"].items() <= deployment["metadata"]["labels"].items()
    assert wanted["jobLabel"] in deployment["metadata"]["labels"]
