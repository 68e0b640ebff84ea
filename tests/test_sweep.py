"""A sweep: what is looked at, what is joined, what is said when it breaks off."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kubectl_satoken import sweep as module
from kubectl_satoken.cli import run as run_program
from kubectl_satoken.diagnosis import Report
from kubectl_satoken.env import Env
from kubectl_satoken.errors import SatokenError, ServerError
from kubectl_satoken.output import report_object, write_names, write_report
from kubectl_satoken.pod_reader import (
    BOOL,
    DEFERRED,
    INLINE,
    MAP,
    MESSAGE,
    NUMBER,
    SCHEMA,
    STRING,
    TIME,
    PodReader,
    Type,
)
from kubectl_satoken.progress import ERASE, Progress
from kubectl_satoken.sweep import lacks_pods, of_kinds, sweep
from kubectl_satoken.sweep_world import Shelf, Stock
from kubectl_satoken.times import seconds
from kubectl_satoken.world import KINDS, Object, Unseen
from tests import faults
from tests.checks.given import world
from tests.conftest import ROOT, Result, Terminal
from tests.test_pod_reader import field, varint

WEB = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
"""
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
SHADOWED = f"""
  serviceAccountName: web
  containers: [{{name: app, volumeMounts: [{{name: e, mountPath: {PLACE}}}]}}]
  volumes: [{{name: e, configMap: {{name: x}}}}]
"""
ADMITTED = f"""
  serviceAccountName: ACCOUNT
  containers: [{{name: app, volumeMounts: [{{name: kube-api-access-abcde, mountPath: {PLACE}}}]}}]
  volumes:
  - name: kube-api-access-abcde
    projected:
      sources:
      - serviceAccountToken: {{path: token, expirationSeconds: 3607}}
      - configMap: {{name: kube-root-ca.crt, items: [{{key: ca.crt, path: ca.crt}}]}}
"""


def deployment(name: str, spec: str, replicas: tuple[str, ...] = ("a",), pods: int = 2) -> str:
    """A Deployment, its ReplicaSets, and so many pods of each."""
    text = f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop, uid: d-{name}}}
spec:
  template:
    spec: {{serviceAccountName: web, containers: [{{name: app}}]}}
"""
    for one in replicas:
        text += f"""
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: {name}-{one}, namespace: shop, uid: rs-{name}-{one}, ownerReferences: [
  {{apiVersion: apps/v1, kind: Deployment, name: {name}, uid: d-{name}, controller: true}}]}}
spec: {{template: {{spec: {{containers: [{{name: app}}]}}}}}}
"""
        for number in range(pods):
            text += f"""
---
apiVersion: v1
kind: Pod
metadata:
  {{name: {name}-{one}-{number}, namespace: shop, uid: p-{name}-{one}-{number},
   labels: {{pod-template-hash: {one}}}, creationTimestamp: "2026-11-22T11:00:00Z",
   ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {name}-{one},
   uid: rs-{name}-{one}, controller: true}}]}}
spec: {spec}
"""
    return text


# Checks whose findings do not change when others are added.
SOME = frozenset(("SAT101", "SAT104", "SAT105", "SAT301", "SAT302", "SAT501"))


def swept(text: str, **options: Any) -> Report:
    """A sweep of all pods, accounts and Secrets of a snapshot."""
    cluster = world(text)
    kinds = ("ServiceAccount", "Secret", "Pod")
    return sweep((item for kind in kinds for item in cluster.list(kind)), cluster, **options)


def codes(report: Report) -> list[tuple[str, int]]:
    return [(cause.finding.code, cause.affected) for cause in report.causes]


# --- what is joined -------------------------------------------------------------------------------


def test_many_replicas_of_one_fault_are_one_finding_of_the_topmost_owner() -> None:
    report = swept(WEB + deployment("a", SHADOWED, ("x", "y"), 40))
    (cause,) = [cause for cause in report.causes if cause.finding.severity != "hint"]
    assert (cause.finding.code, cause.affected) == ("SAT301", 80)
    assert cause.targets == (("Deployment", "shop", "a"),)
    assert cause.finding.target == ("Deployment", "shop", "a")
    assert cause.pods == ("a-x-0", "a-x-1", "a-x-2")
    assert report.swept is not None
    assert report.swept.counts["workloads"] == 1
    assert report.swept.counts["pods"] == 80
    assert report.targets == []


def test_one_root_in_many_workloads_is_one_finding_with_what_mends_each() -> None:
    gone = ADMITTED.replace("ACCOUNT", "gone")
    report = swept(WEB + deployment("a", gone) + deployment("b", gone))
    (cause,) = [cause for cause in report.causes if cause.finding.code == "SAT105"]
    assert cause.affected == 4
    assert cause.targets == (("Deployment", "shop", "a"), ("Deployment", "shop", "b"))
    assert cause.finding.target == ("ServiceAccount", "shop", "gone")
    assert cause.finding.fix is not None
    assert cause.finding.fix.commands == (
        "kubectl -n shop create serviceaccount gone",
        "kubectl -n shop rollout restart deployment/a",
        "kubectl -n shop rollout restart deployment/b",
    )


def encoded(type_: Type, value: Object) -> bytes:
    """An object in protobuf, as far as the ones here go."""
    data = b""
    for tag, one in sorted(type_.fields.items()):
        number = tag >> 3
        if one.code == INLINE:
            data += field(number, encoded(one.sub, value))
            continue
        parts = value.get(one.name)
        if parts is None:
            continue
        if one.code == MAP:
            for name, text in parts.items():
                data += field(number, field(1, name.encode()) + field(2, text.encode()))
            continue
        for part in parts if one.repeated else [parts]:
            if one.code in (NUMBER, BOOL):
                data += varint(tag) + varint(int(part))
            elif one.code == STRING:
                data += field(number, part.encode())
            elif one.code == TIME:
                data += field(number, b"\x08" + varint(int(seconds(part))))
            else:
                assert one.code in (MESSAGE, DEFERRED) or one.name == "spec", one.name
                inner = one.sub if isinstance(one.sub, Type) else SCHEMA["PodSpec"]
                data += field(number, encoded(inner, part))
    return data


IGNORED = {"satoken/ignore": "SAT301 meant so"}
YOUNG = WEB.replace("2026-11-01T00:00:00Z", "2026-11-22T11:30:00Z")


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("accounts", [WEB, YOUNG, ""])
def test_pods_that_are_like_others_come_to_what_each_by_itself_comes_to(
    number: int, accounts: str
) -> None:
    chance = random.Random(number)
    specs = [SHADOWED, ADMITTED.replace("ACCOUNT", "web"), ADMITTED.replace("ACCOUNT", "gone")]
    text = accounts + "".join(
        deployment(name, chance.choice(specs), ("x", "y")[: chance.randint(1, 2)], 4)
        for name in "abcd"
    )
    cluster = world(text)
    pods = [json.loads(json.dumps(pod)) for pod in cluster.list("Pod")]
    for pod in pods:
        odd = chance.random()
        pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "app"}]}
        if odd < 0.1:
            pod["metadata"]["annotations"] = IGNORED
        elif odd < 0.2:
            pod["status"]["phase"] = chance.choice(("Succeeded", "Pending"))
        elif odd < 0.3:
            pod["metadata"]["creationTimestamp"] = "2026-11-22T11:45:00Z"
        elif odd < 0.4:
            pod["metadata"]["deletionTimestamp"] = "2026-11-22T11:45:00Z"
        elif odd < 0.5:
            pod["spec"]["nodeName"] = "n1"
            pod["status"]["podIP"] = "10.0.0.7"
    reader = PodReader()
    sketches = []
    for pod in pods:
        data = b"".join(
            field(place, encoded(SCHEMA[type_], pod[name]))
            for place, type_, name in (
                (1, "ObjectMeta", "metadata"),
                (2, "PodSpec", "spec"),
                (3, "PodStatus", "status"),
            )
        )
        sketches.append(reader.sketch(data))
    alone = [{**sketch.whole()} for sketch in sketches]  # which know of no likes
    assert [pod["metadata"]["name"] for pod in alone] == [pod["metadata"]["name"] for pod in pods]
    one, other = sweep(alone, cluster), sweep(sketches, cluster)
    assert one.causes == other.causes
    assert sorted(one.ignored, key=repr) == sorted(other.ignored, key=repr)
    assert one.swept == other.swept
    assert one.checked == other.checked
    assert {(skip.code, skip.why) for skip in one.skipped} == {
        (skip.code, skip.why) for skip in other.skipped
    }


def test_the_same_fault_of_two_workloads_is_two_findings() -> None:
    report = swept(WEB + deployment("a", SHADOWED) + deployment("b", SHADOWED))
    assert codes(report).count(("SAT301", 2)) == 2


def test_what_may_be_meant_so_is_a_hint() -> None:
    off = (
        "{serviceAccountName: web, automountServiceAccountToken: false, containers: [{name: app}]}"
    )
    report = swept(WEB + deployment("a", off))
    assert {
        cause.finding.severity for cause in report.causes if cause.finding.code == "SAT101"
    } == {"hint"}


def test_a_healthy_pod_is_no_finding() -> None:
    report = swept(WEB + deployment("a", ADMITTED.replace("ACCOUNT", "default")), wanted=SOME)
    assert codes(report) == []


def test_a_workload_without_pods_is_judged_by_its_template() -> None:
    cluster = world(WEB.replace("web", "other") + deployment("a", SHADOWED, ()))
    report = sweep(cluster.list("Deployment"), cluster)
    assert ("SAT104", 0) in codes(report)


def test_where_there_are_thousands_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAUSES", {"error": 2, "warning": 2, "hint": 2})
    text = "".join(deployment(name, SHADOWED) for name in "abcde")
    report = swept(WEB + text)
    assert [code for code, _ in codes(report)].count("SAT301") == 2
    assert report.swept is not None
    assert report.swept.omitted["SAT301"] == 3
    assert "and 3 more with SAT301 mount-path-shadowed, counted only" in shown(report)


def test_only_the_checks_that_are_wanted_run() -> None:
    report = swept(WEB + deployment("a", SHADOWED), wanted=frozenset(["SAT501"]))
    assert all(code == "SAT501" for code, _ in codes(report))


@pytest.mark.parametrize(
    ("kind", "spec", "status", "lacking"),
    [
        ("Deployment", {"replicas": 3}, {"replicas": 3}, False),
        ("Deployment", {"replicas": 3}, {"replicas": 2}, True),
        ("Deployment", {}, {}, True),
        ("Deployment", {"replicas": 0}, {}, False),
        ("Deployment", {"replicas": None}, {"replicas": 1}, False),
        (
            "Deployment",
            {"replicas": 1},
            {"replicas": 1, "conditions": [{"type": "ReplicaFailure", "status": "True"}]},
            True,
        ),
        ("StatefulSet", {"replicas": 2}, {"replicas": 1}, True),
        ("DaemonSet", {}, {"desiredNumberScheduled": 2, "currentNumberScheduled": 2}, False),
        ("DaemonSet", {}, {"desiredNumberScheduled": 2, "currentNumberScheduled": 0}, True),
        ("DaemonSet", {}, {}, False),
        ("Job", {}, {}, True),
        ("Job", {"suspend": True}, {}, False),
        ("Job", {}, {"active": 1}, False),
        ("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, False),
        ("Job", {}, {"conditions": [{"type": "Failed", "status": "False"}]}, True),
    ],
)
def test_which_workloads_lack_pods(kind: str, spec: Object, status: Object, lacking: bool) -> None:
    assert lacks_pods({"kind": kind, "spec": spec, "status": status}) is lacking


# --- what breaks off ------------------------------------------------------------------------------


def breaking(error: BaseException, text: str) -> Report:
    """A sweep that ends with an error after the last pod."""
    cluster = world(text)

    def items() -> Iterator[Object]:
        yield from cluster.list("Pod")
        raise error

    return sweep(items(), cluster)


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (ServerError("no more"), "no more"),
        (Unseen("pods", "the server is down"), "pods cannot be listed: the server is down"),
    ],
)
def test_what_was_found_stays(error: BaseException, broken: str) -> None:
    report = breaking(error, WEB + deployment("a", SHADOWED))
    assert ("SAT301", 2) in codes(report)
    assert report.swept is not None
    assert report.swept.broken == broken
    assert "not to the end" in " ".join(shown(report).split())
    assert report_object(report)["swept"]["complete"] is False


def test_an_error_before_anything_was_looked_at_is_raised() -> None:
    with pytest.raises(SatokenError, match="pods cannot be listed: forbidden"):
        breaking(Unseen("pods", "forbidden"), WEB)


def test_what_may_not_be_listed_is_told_beside_what_was_found() -> None:
    cluster = world(WEB + deployment("a", SHADOWED))
    missed = Unseen("cronjobs", "forbidden to you")
    report = sweep([missed, *cluster.list("Pod")], cluster)
    assert ("SAT301", 2) in codes(report)
    assert "not seen  cronjobs: forbidden to you\n" in shown(report)
    assert report.swept is not None
    assert report.swept.broken == ""


# --- how it looks ---------------------------------------------------------------------------------


def shown(report: Report, *, wide: bool = False) -> str:
    env = Env(stdout=io.StringIO())
    write_report(report, env, colour=False, wide=wide)
    assert isinstance(env.stdout, io.StringIO)
    return env.stdout.getvalue()


def test_the_text_names_what_is_at_fault_and_where() -> None:
    gone = ADMITTED.replace("ACCOUNT", "gone")
    text = WEB + "".join(deployment(name, gone) for name in "abcdef")
    lines = shown(swept(text, wanted=SOME)).splitlines()
    words = " ".join(" ".join(lines).split())
    assert "in 12 pods of 6 workloads: deployment/a in shop, deployment/b in shop," in words
    assert "deployment/d in shop and 2 more" in words
    assert "  ... and 3 more like these (-o wide shows them)" in lines
    assert "12 pods, 6 workloads, 2 service accounts, 0 token Secrets" in "\n".join(lines)
    assert "  kubectl -n shop rollout restart deployment/f" in shown(
        swept(text, wanted=SOME), wide=True
    )


def test_hints_are_counted() -> None:
    off = (
        "{serviceAccountName: web, automountServiceAccountToken: false, containers: [{name: app}]}"
    )
    report = swept(WEB + deployment("a", off), wanted=SOME)
    assert "SAT101" not in shown(report)
    assert shown(report).startswith("ok: no fault found; 2 pods")
    assert "1 hint (-o wide shows it)" in " ".join(shown(report).split())
    assert "SAT101" in shown(report, wide=True)


def test_nothing_to_look_at_is_not_called_fine() -> None:
    report = sweep(iter(()), world(""))
    assert shown(report) == "note: nothing to look at in all namespaces\n"


def test_progress_is_a_line_on_a_terminal_that_goes_away() -> None:
    terminal = Terminal()
    with Progress(Env(stderr=terminal, environ={})) as progress:
        progress.tell({"pods": 1234}, 1)
        progress.tell({"pods": 1235}, 1)
    assert terminal.getvalue() == f"{ERASE}1,234 pods looked at, 1 fault{ERASE}"


def test_progress_of_other_things_is_counted_by_type() -> None:
    terminal = Terminal()
    with Progress(Env(stderr=terminal, environ={})) as progress:
        progress.count("ingresses", 1)
        progress.due = 0.001
        progress.count("pods", 2000)
    assert terminal.getvalue() == (
        f"{ERASE}ingresses: 1 looked at{ERASE}pods: 2,000 looked at{ERASE}"
    )


@pytest.mark.parametrize(
    ("stderr", "environ"), [(io.StringIO(), {}), (Terminal(), {"TERM": "dumb"})]
)
def test_no_progress_elsewhere(stderr: io.StringIO, environ: dict[str, str]) -> None:
    with Progress(Env(stderr=stderr, environ=environ)) as progress:
        progress.tell({"pods": 1234}, 1)
    assert stderr.getvalue() == ""


# --- what is kept ---------------------------------------------------------------------------------


def thing(namespace: str, name: str, **fields: Any) -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, **fields}


def test_a_shelf_has_what_was_put_on_it() -> None:
    first = [thing("a", "x"), thing("a", "y"), thing("b", "x", data="\ud800")]
    second = [thing("b", "y"), thing("c", "z"), thing("a", "late")]
    shelf = Shelf([first, second])
    assert shelf.count == 6
    assert list(shelf.open("a")) == ["x", "y", "late"]
    assert list(shelf.open("b")) == ["x", "y"]
    assert shelf.open("b")["x"]["data"] == "\ud800"
    assert shelf.open("nope") == {}
    assert shelf.open("c")["z"] == thing("c", "z")
    assert len(list(shelf)) == 6
    assert len(shelf.opened) == 2


def test_a_shelf_of_events_is_asked_by_what_they_are_about() -> None:
    events = [
        thing("a", f"e{number}", involvedObject={"name": name}) for number, name in enumerate("xyx")
    ]
    shelf = Shelf([events])
    assert [event["metadata"]["name"] for event in shelf.about("a", "x")] == ["e0", "e2"]
    assert shelf.about("a", "z") == []
    assert shelf.about("b", "x") == []


def test_names_have_the_group_of_what_is_not_built_in_and_stand_once() -> None:
    rollout = deployment("a", SHADOWED).replace("Deployment", "Rollout")
    rollout = rollout.replace("kind: Rollout, name", "kind: ROLLOUT, name")
    rollout = rollout.replace("apps/v1\nkind: Rollout", "argoproj.io/v1alpha1\nkind: Rollout")
    rollout = rollout.replace("apiVersion: apps/v1, kind: ROLLOUT", ARGO)
    report = swept(WEB + rollout + rollout.replace("shop", "other"), wanted=frozenset(["SAT301"]))
    stdout = io.StringIO()
    write_names(report, ("error",), Env(io.StringIO(), stdout, io.StringIO(), {}))
    assert stdout.getvalue() == "rollout.argoproj.io/a\n"


ARGO = "apiVersion: argoproj.io/v1alpha1, kind: Rollout"


def test_a_stock_has_what_was_put_into_it() -> None:
    kind = KINDS["Deployment"]
    made = [
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": number, "template": {"spec": {"nodeName": "n"}}},
        }
        for number, (namespace, name) in enumerate(
            (namespace, name) for namespace in ("a", "b", "c", "d") for name in ("x", "y", "x-y")
        )
    ]
    stock = Stock()
    for item in made:
        metadata = item["metadata"]
        stock.put(metadata["namespace"], encoded(SCHEMA["Deployment"], item))
        assert stock.get(kind, metadata["namespace"], "nope") is None
    stock.close()
    for item in [*made, *reversed(made)]:
        found = stock.get(kind, item["metadata"]["namespace"], item["metadata"]["name"])
        assert found is not None
        spec = found["spec"]
        assert (found["kind"], found["apiVersion"]) == ("Deployment", "apps/v1")
        assert found["metadata"] == item["metadata"]
        assert spec["replicas"] == item["spec"]["replicas"]
        assert spec["template"]["spec"]["nodeName"] == "n"
    assert stock.get(kind, "e", "x") is None


# --- the whole way, against a server that misbehaves ----------------------------------------------


def doctor(server: faults.Server, *argv: str) -> Result:
    stdout, stderr = io.StringIO(), io.StringIO()
    env = Env(io.StringIO(), stdout, stderr, {"HOME": "/nonexistent"})
    status = run_program(["doctor", f"--server={server.url}", *argv], env)
    return Result(int(status), stdout.getvalue(), stderr.getvalue())


def shadowed(name: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {
            "serviceAccountName": "default",
            "containers": [{"name": "app", "volumeMounts": [{"name": "e", "mountPath": PLACE}]}],
            "volumes": [{"name": "e", "configMap": {"name": "x"}}],
        },
    }


def listing(items: list[Object], kind: str = "PodList", more: str = "") -> faults.Reply:
    body = {"kind": kind, "apiVersion": "v1", "metadata": {"continue": more}, "items": items}
    return faults.Reply(200, body, (("Content-Type", "application/json"),))


class Cluster:
    """Answers lists: pods in pages of one, everything else empty."""

    def __init__(self, *names: str) -> None:
        self.pods = [shadowed(name) for name in names]
        self.odd: dict[str, faults.Reply] = {}  # by the end of a path, or by continue token
        self.asked: list[str] = []

    def __call__(self, request: faults.Request) -> faults.Reply:
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        plural = url.path.rpartition("/")[2]
        self.asked.append(url.path)
        token = query.get("continue", "")
        if plural == "pods":
            if token in self.odd:
                return self.odd.pop(token)
            number = int(token.lstrip("now") or 0)
            last = number + 1 >= len(self.pods)
            return listing(self.pods[number : number + 1], more="" if last else str(number + 1))
        if plural in self.odd:
            return self.odd[plural]
        if plural == "secrets":
            columns = [{"name": "Name"}, {"name": "Type"}, {"name": "Data"}]
            return faults.Reply(200, {"kind": "Table", "columnDefinitions": columns, "rows": []})
        return listing([], "List")


def test_a_sweep_reads_all_pages() -> None:
    cluster = Cluster("a", "b", "c")
    with faults.serve(cluster) as server:
        done = doctor(server, "-A", "-o", "json", "--only=SAT301")
    assert done.object["swept"]["counts"]["pods"] == 3
    assert [one["target"]["name"] for one in done.object["findings"]] == ["a", "b", "c"]
    assert (done.status, done.stderr) == (1, "")
    assert not [path for path in cluster.asked if path.count("/") > 4], "something one by one"


def test_a_continue_token_that_is_too_old_is_followed_by_the_one_of_now() -> None:
    cluster = Cluster("a", "b", "c")
    body = faults.status(410, "Expired", "too old")
    body["metadata"] = {"continue": "now2"}
    cluster.odd["2"] = faults.Reply(410, body)
    with faults.serve(cluster) as server:
        done = doctor(server, "-A", "-o", "json", "--only=SAT301")
    assert [one["target"]["name"] for one in done.object["findings"]] == ["a", "b", "c"]
    assert done.stderr == "the list took long to read; going on with the objects of now\n"


def test_a_connection_that_breaks_off_leaves_what_was_found() -> None:
    cluster = Cluster("a", "b", "c")
    cluster.odd["2"] = faults.Reply(500, faults.status(500, "InternalError", "etcd is gone"))
    with faults.serve(cluster) as server:
        done = doctor(server, "-A", "--only=SAT301")
    assert done.status == 3
    assert "pod/b" in done.stdout
    assert "etcd is gone" in done.stderr
    assert "not to the end" in " ".join(done.stdout.split())


def test_ctrl_c_prints_what_was_found_so_far() -> None:
    cluster = Cluster("a", "b", "c")
    cluster.odd["2"] = listing([], more="")._replace(delay=20)
    with (
        faults.serve(cluster) as server,
        subprocess.Popen(
            [sys.executable, "-m", "kubectl_satoken", "doctor", f"--server={server.url}", "-A"],
            env={"HOME": "/nonexistent", "PATH": os.defpath},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        end = time.monotonic() + 20
        while "2" in cluster.odd:  # until the last page is asked for
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1)  # the two before it are being judged
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "pod/b" in stdout
    assert "not to the end" in " ".join(stdout.split())
    assert stderr == "interrupted: this is what was found until then\n"


FORBIDDEN = faults.Reply(403, faults.status(403, "Forbidden", "no"))


def test_pods_that_may_not_be_listed_are_said_with_the_right_that_is_missing() -> None:
    cluster = Cluster("a")
    cluster.odd[""] = FORBIDDEN
    with faults.serve(cluster) as server:
        done = doctor(server, "-A")
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr == (
        "error: pods cannot be listed: forbidden to you: needs list pods in all namespaces\n"
        "hint: -n NAMESPACE looks at one namespace only\n"
    )


def test_what_else_may_not_be_listed_is_not_seen_and_asked_once() -> None:
    cluster = Cluster("a", "b", "c")
    cluster.odd["secrets"] = cluster.odd["serviceaccounts"] = FORBIDDEN
    with faults.serve(cluster) as server:
        done = doctor(server, "-A", "-o", "json")
    assert done.object["swept"]["counts"]["pods"] == 3
    assert {one["what"] for one in done.object["skipped"]} >= {"serviceaccounts"}, "not fine"
    assert len(cluster.asked) == len(set(cluster.asked)) + 2, "the pages of pods alone"


def test_a_wrong_selector_is_a_usage_error() -> None:
    cluster = Cluster("a")
    cluster.odd[""] = faults.Reply(400, faults.status(400, "BadRequest", "unable to parse"))
    with faults.serve(cluster) as server:
        done = doctor(server, "-A", "-l", "a=(")
    assert done.status == 2
    assert done.stderr.startswith("error: the label selector is wrong: unable to parse")


def test_the_selector_is_the_servers_to_read() -> None:
    cluster = Cluster("a")
    with faults.serve(cluster) as server:
        doctor(server, "-n", "shop", "-l", "app in (a, b)")
    first = server.requests[0].path
    assert urlsplit(first).path == "/api/v1/namespaces/shop/pods"
    assert parse_qs(urlsplit(first).query)["labelSelector"] == ["app in (a, b)"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-A", "pod/x"], "a resource cannot be retrieved by name across all namespaces"),
        (["-l", "a=b", "pod", "x"], "name cannot be provided when a selector is specified"),
        (["-A", "-f", "x.yaml"], "-A and -l need a cluster, not files"),
        (["configmaps"], "configmaps have no pod template, so they have no token"),
    ],
)
def test_usage(argv: list[str], message: str) -> None:
    cluster = Cluster("a")
    cluster.odd["configmaps"] = listing([thing("shop", "x")], "ConfigMapList")
    with faults.serve(cluster) as server:
        done = doctor(server, *argv)
    assert done.status == 2
    assert done.stderr.startswith(f"error: {message}")


def test_kinds_are_known() -> None:
    assert {*module.WORKLOADS, *module.NEAREST} <= KINDS.keys()


def test_json_has_the_workloads() -> None:
    gone = ADMITTED.replace("ACCOUNT", "gone")
    value = report_object(swept(WEB + deployment("a", gone) + deployment("b", gone)))
    (finding,) = [one for one in value["findings"] if one["code"] == "SAT105"]
    assert [one["name"] for one in finding["targets"]] == ["a", "b"]
    json.dumps(value)


# --- all of some types

OF_SECRETS = f"""
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  namespace: shop
  uid: secret
  creationTimestamp: "2026-11-22T11:50:00Z"
  annotations: {{kubernetes.io/service-account.name: web}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web, namespace: shop, uid: sts}}
spec:
  template:
    spec:
      serviceAccountName: web
      containers: [{{name: app, volumeMounts: [{{name: t, mountPath: {PLACE}}}]}}]
      volumes: [{{name: t, secret: {{secretName: web-token}}}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  uid: web-0
  ownerReferences:
  - {{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: sts, controller: true}}
spec:
  serviceAccountName: web
  containers: [{{name: app, volumeMounts: [{{name: t, mountPath: {PLACE}}}]}}]
  volumes: [{{name: t, secret: {{secretName: web-token}}}}]
"""


@pytest.mark.parametrize(
    "kinds",
    [
        ["StatefulSet"],
        ["Pod"],
        ["ServiceAccount"],
        ["StatefulSet", "Pod"],
        ["Secret", "ServiceAccount", "StatefulSet", "Pod"],
    ],
    ids=",".join,
)
def test_what_the_pods_of_a_type_use_is_looked_at_with_them_and_once(kinds: list[str]) -> None:
    cluster = world(f"{WEB}---{OF_SECRETS}")
    report = sweep(of_kinds([KINDS[kind] for kind in kinds], cluster), cluster)
    assert "SAT201" in [cause.finding.code for cause in report.causes]
    assert report.swept is not None
    accounts = 2 if "ServiceAccount" in kinds else 1  # there is "default" besides
    assert report.swept.counts == {
        **{"pods": 1, "workloads": 1, "secrets": 1},
        "serviceAccounts": accounts,
    }
