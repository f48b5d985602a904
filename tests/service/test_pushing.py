"""Pushing by OTLP beside the page: the same numbers, whatever the receiver does, and nothing lost or counted twice."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from itertools import pairwise

import pytest

from gc_otel.errors import NotSupported
from gc_otel.otel.catalog import CATALOG
from gc_otel.otel.otlp import push_of
from gc_otel.service.pushing import STATE_NAME
from gc_otel.service.status import ask_status

pytestmark = pytest.mark.once

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


@pytest.fixture
def pushing(receiver, exporter, monkeypatch):
    """Starts an exporter that pushes to the receiver so often, cumulative or by differences."""

    def start(interval_s=0.1, preference="cumulative", endpoint=None):
        endpoint = endpoint or receiver.endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", f"{interval_s * 1000:g}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
        return exporter(push=push_of(os.environ), linger_s=0.0)

    return start


def end(served, *made):
    """All programs end, and with them the exporter."""
    for each in made:
        each.die()
    served.launcher.kill()
    return served.ended()


def of_pid(sent, pid):
    return [each for each in sent if each.resource.get("process.pid") == pid]


def of_exporter(sent):
    return [each for each in sent if each.resource["service.name"] == "gc_otel-exporter"]


def collections(each):
    return each.total("cpython.gc.collections")


def test_the_push_says_what_the_page_says(pushing, make, receiver, page_at, values_of, monkeypatch):
    """Every metric of every process: the same values by both ways, one resource each, buckets included."""
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.namespace=eu,k8s.pod.name=shop-1,service.instance.id=same-for-all,service.name=no,k8s.container.name=no",
    )
    made = [make(), make(service_name="other")]
    for number, each in enumerate(made):
        each.beat()
        each.collect(generation=number, times=3 + number)
    served = pushing()
    page = page_at(f"{served.address}/metrics")
    sent = receiver.wait_for(lambda sent: all(of_pid(sent, each.pid) for each in made))
    instances = set()
    for each in made:
        one = of_pid(sent, each.pid)[-1]
        instances.add(one.resource["service.instance.id"])
        assert one.resource["k8s.pod.name"] == "shop-1"
        assert one.resource["service.namespace"] == "eu"
        assert "k8s.container.name" not in one.resource
        assert one.resource["service.name"] == ("other" if each is made[1] else "shop")
        assert one.received() == collections(one) > 0
        compare(one, page, each.pid, values_of)
    own = of_exporter(sent)[-1]
    instances.add(own.resource["service.instance.id"])
    assert len(instances) == 3
    assert "same-for-all" not in instances
    assert 'k8s_pod_name="shop-1"' in page


#: What goes on between the page and the push: these are compared by being there.
MOVING = {"process.cpu.time", "process.uptime", "process.context_switches", "gc_otel.overhead.time"}


def compare(one, page, pid, values_of):
    names = set(re.findall(r"^# TYPE (\S+)", page, flags=re.MULTILINE))
    for metric in CATALOG:
        points = list(one.points(metric.name))
        family = next((name for name in names if re.fullmatch(_family(metric), name)), None)
        on_page = {} if family is None else _of_pid(values_of(page, _sample(metric, family)), pid)
        assert len(points) == len(on_page), metric.name
        if metric.kind == "histogram":
            buckets = _of_pid(values_of(page, f"{family}_bucket"), pid)
            for attributes, point in points:
                generation = f'cpython_gc_generation="{attributes["cpython.gc.generation"]}"'
                mine = [value for labels, value in buckets.items() if generation in labels]
                assert [sum(point.bucket_counts[: at + 1]) for at in range(len(mine))] == sorted(mine)
            points = [(attributes, point.count) for attributes, point in points]
        if metric.name not in MOVING:
            assert sorted(value for _, value in points) == sorted(on_page.values()), metric.name


def _family(metric):
    return re.escape(metric.name.replace(".", "_")) + r"(_total|_seconds|_bytes|_seconds_total)?"


def _sample(metric, family):
    return f"{family}_count" if metric.kind == "histogram" else family


def _of_pid(values, pid):
    return {labels: value for labels, value in values.items() if f'process_pid="{pid}"' in labels}


@pytest.mark.parametrize("status", [400, 503])
def test_differences_add_up_over_refused_pushes(pushing, make, receiver, folder, status):
    """What was refused is in the next one that is taken; the sum is what the flight file counted, buckets included."""
    one, other = make(), make(service_name="bank")
    one.collect(times=5)
    other.collect(times=50)
    receiver.refuse(status, times=2)
    served = pushing(preference="delta")
    receiver.wait_for_refused(2)
    one.collect(times=7)
    sent = receiver.wait_for(lambda sent: sum(map(collections, of_pid(sent, one.pid))) == 12)
    one.collect(generation=2, times=4)
    sent = receiver.wait_for(lambda sent: sum(map(collections, of_pid(sent, one.pid))) == 16)
    mine = of_pid(sent, one.pid)
    assert sum(each.received() for each in mine) == 16
    assert all(each.metrics["cpython.gc.collections"].sum.aggregation_temporality == 1 for each in mine)
    assert all(each.metrics["process.memory.usage"].sum.aggregation_temporality == 2 for each in mine)
    starts = [each.metrics["cpython.gc.collections"].sum.data_points[0] for each in mine]
    assert all(now.start_time_unix_nano == then.time_unix_nano for then, now in pairwise(starts))
    status_now = ask_status(folder).push
    assert (status_now.preference, status_now.refused >= 1) == ("delta", True)
    end(served, one, other)
    assert sum(map(collections, of_pid(receiver.sent, one.pid))) == 16
    for service, total in (("shop", 16), ("bank", 50)):
        theirs = [each for each in receiver.sent if each.resource["service.name"] == service]
        assert sum(each.total("gc_otel.service.collections") for each in theirs) == total
        assert len({each.resource["service.instance.id"] for each in theirs}) == 2


@pytest.fixture
def push_once(receiver, command, monkeypatch):
    """Runs `gc-otel exporter` until it is ended by SIGINT: by differences, and with its last push only."""
    for name, value in (
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "3600000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ):
        monkeypatch.setenv(name, value)

    def run(page_at, pid):
        process, address = command()
        assert f'process_pid="{pid}"' in page_at(f"{address}/metrics")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

    return run


def test_differences_go_on_where_the_exporter_before_ended(push_once, make, receiver, folder, page_at):
    """A new exporter over a process that lives on sends what is new, and not its whole life again."""
    one = make()
    one.collect(times=5)
    push_once(page_at, one.pid)
    one.collect(times=3)
    push_once(page_at, one.pid)
    assert [collections(each) for each in of_pid(receiver.sent, one.pid)] == [5, 3]
    (folder.path / STATE_NAME).write_text('{"x": [1]}')
    push_once(page_at, one.pid)
    assert [collections(each) for each in of_pid(receiver.sent, one.pid)] == [5, 3, 8]


def test_low_memory_is_cumulative_counters_and_differences_of_histograms(pushing, make, receiver):
    """As the SDK has it for observable counters."""
    one = make()
    one.collect(times=5)
    served = pushing(preference="lowmemory")
    receiver.wait_for(lambda sent: len(of_pid(sent, one.pid)) >= 2)
    end(served, one)
    mine = of_pid(receiver.sent, one.pid)
    assert [collections(each) for each in mine] == [5] * len(mine)
    assert sum(each.received() for each in mine) == 5


def test_the_last_numbers_of_the_dead_are_pushed(pushing, make, receiver, page_at, eventually):
    """Also of one that is on no page any more, and of one whose pid has another process since."""
    one = make()
    served = pushing(interval_s=HOUR_S)
    eventually(lambda: f'process_pid="{one.pid}"' in page_at(f"{served.address}/metrics"), "not found")
    one.collect(times=9)
    one.die(leaving_file=False)
    eventually(lambda: f'process_pid="{one.pid}"' not in page_at(f"{served.address}/metrics"), "still there")
    other = make(pid=one.pid)
    other.collect(times=2)
    eventually(lambda: f'process_pid="{one.pid}"' in page_at(f"{served.address}/metrics"), "not found")
    end(served, other)
    assert sorted(map(collections, of_pid(receiver.sent, one.pid))) == [2, 9]


def test_many_deaths_are_not_kept_waiting(pushing, make, receiver, page_at, values_of, monkeypatch):
    """There is room for so many: they are pushed before it is full, whatever the interval."""
    monkeypatch.setattr("gc_otel.service.pushing._ENDED_MOST", 3)
    made = [make() for _ in range(3)]
    served = pushing(interval_s=HOUR_S)
    page_at(f"{served.address}/metrics")
    for each in made:
        each.collect(times=2)
        each.die()
    receiver.wait_for(lambda sent: all(of_pid(sent, each.pid) for each in made))


def test_a_receiver_that_is_down_is_counted_and_harms_no_page(pushing, make, folder, page_at, values_of, eventually):
    """Refused pushes are on the page and in the status, with the reason, and once in the log."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        served = pushing(endpoint=f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}")
        one = make()
        key = '{outcome="refused",service_name="gc_otel-exporter"}'
        eventually(
            lambda: values_of(page_at(f"{served.address}/metrics"), "gc_otel_exporter_pushes_total")[key] >= 2,
            "nothing was refused",
        )
        status = ask_status(folder).push
        assert status.refused >= 2
        assert "127.0.0.1" in status.reason
        assert "secret" not in status.reason
        assert " at 0x" not in status.reason
        assert not any("push" in each.text for each in ask_status(folder).faults)
        assert end(served, one) == 0


def test_a_slow_receiver_delays_no_page(pushing, make, receiver, page_at, eventually):
    """It holds a push, and pages are rendered meanwhile; when it is slower than the timeout, the push is refused."""
    one = make()
    receiver.hold()
    served = pushing()
    eventually(lambda: receiver.headers, "nothing was sent")
    for times in range(1, 4):
        one.collect()
        page = page_at(f"{served.address}/metrics")
        assert re.search(rf'_count\{{cpython_gc_generation="0",process_pid="{one.pid}".*\}} {times}\.0', page)
    assert receiver.sent == []
    receiver.release()
    receiver.wait_for(lambda sent: of_pid(sent, one.pid) and collections(of_pid(sent, one.pid)[-1]) == 3)


def test_the_end_does_not_wait_for_a_receiver_that_hangs(pushing, make, receiver, monkeypatch, eventually):
    """The exporter ends all the same."""
    monkeypatch.setattr("gc_otel.service.pushing._STOP_S", 0.2)
    one = make()
    receiver.hold()
    served = pushing()
    eventually(lambda: receiver.headers, "nothing was sent")
    assert end(served, one) == 0
    receiver.release()
    for thread in threading.enumerate():
        if thread.name == "gc_otel-pushing":
            thread.join(20)


def test_headers_and_compression_are_those_of_the_variables(pushing, make, receiver, monkeypatch):
    """The library reads them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    one = make()
    pushing()
    receiver.wait_for(lambda sent: of_pid(sent, one.pid))
    headers = {name.lower(): value for name, value in receiver.headers[0].items()}
    assert (headers["x-tenant"], headers["content-encoding"]) == ("shop", "gzip")


def test_what_is_asked_for_and_cannot_be_is_told(exporter, folder):
    """The service serves its page, and says in its status why nothing is pushed."""
    exporter(push=NotSupported("no library", remedy="Install it."))
    status = ask_status(folder).push
    assert (status.endpoint, status.reason, status.remedy) == ("", "no library", "Install it.")


def test_a_certificate_that_is_not_there_is_a_reason(pushing, folder, eventually, monkeypatch):
    """What the library raises is contained and named."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        served = pushing(endpoint=f"https://127.0.0.1:{listening.getsockname()[1]}")
        status = eventually(lambda: ask_status(folder).push if ask_status(folder).push.refused else None, "nothing")
        assert status.reason
        end(served)


@pytest.fixture
def certificates(tmp_path):
    """Makes a certificate of this host, signed by itself: the paths of it and of its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        assert not IN_CI, "CI needs openssl"
        pytest.skip("no openssl to make a certificate with")

    def make(name):
        certificate, key = str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        subprocess.run(
            [openssl, "req", *kind, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
        return certificate, key

    return make


def test_tls_with_a_certificate_that_is_trusted(pushing, make, receiver, certificates, monkeypatch):
    """The same numbers as without."""
    certificate, key = certificates("receiver")
    receiver.speak_tls(certificate, key)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # the library's library obeys these first: docs/otlp.md
        monkeypatch.delenv(name, raising=False)
    one = make()
    one.collect(times=3)
    pushing()
    receiver.wait_for(lambda sent: of_pid(sent, one.pid) and collections(of_pid(sent, one.pid)[-1]) == 3)


def test_tls_with_a_certificate_that_is_not(
    pushing, make, receiver, certificates, folder, eventually, page_at, monkeypatch
):
    """Nothing is sent, it is counted and named, and the page is as ever."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")  # the library names the cause before it tries again
    receiver.speak_tls(*certificates("receiver"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates("another")[0])
    one = make()
    one.collect(times=3)
    served = pushing()
    status = eventually(lambda: ask_status(folder).push if ask_status(folder).push.refused else None, "nothing")
    assert "certificate" in status.reason.lower()
    assert (status.taken, receiver.sent, receiver.headers) == (0, [], [])
    assert f'process_pid="{one.pid}"' in page_at(f"{served.address}/metrics")
    end(served, one)


def test_the_variables_are_read_by_the_command(receiver, command, make, monkeypatch):
    """`gc-otel exporter` with the standard variables, as a process."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    one = make()
    one.collect(times=4)
    process, _ = command()
    assert process.stdout.readline() == f"pushed by OTLP every 0.1 s: {receiver.endpoint}/v1/metrics\n"
    receiver.wait_for(lambda sent: of_pid(sent, one.pid) and collections(of_pid(sent, one.pid)[-1]) == 4)
