"""Snapshots: what was read comes back as it was, and nothing secret is in them."""

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from kubectl_satoken.commands.snapshot import write
from kubectl_satoken.diagnosis import diagnose, diagnose_objects
from kubectl_satoken.env import Env
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.output import report_object
from kubectl_satoken.snapshot import (
    Recorder,
    clean,
    clean_object,
    key_of,
    read_namespace,
    read_targets,
    snapshot_object,
)
from kubectl_satoken.targets import Target
from kubectl_satoken.world import Object, Unseen, Want, World
from tests.conftest import ROOT, Run

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"


def shop() -> ManifestWorld:
    """The example, in the order in which an API server lists."""
    (snapshot,) = parse((ROOT / "examples" / "shop.yaml").read_text(), "shop")
    snapshot["items"].sort(key=key_of)
    return ManifestWorld([snapshot], "default", 0)


def text_of(snapshot: Object) -> str:
    out = io.StringIO()
    write(snapshot, Env(io.StringIO(), out, io.StringIO(), {}))
    return out.getvalue()


def replayed(recorder: Recorder, targets: Iterable[Target] = (), where: str = "") -> ManifestWorld:
    """The World of a snapshot, by way of a file."""
    text = text_of(snapshot_object(recorder, list(targets), where, None))
    return ManifestWorld(parse(text, "a snapshot"), "default", 0)


def answer(ask: Any, *words: Any, **options: Any) -> Any:
    """What a World says, as something that can be compared."""
    try:
        value = ask(*words, **options)
        return list(value) if isinstance(value, Iterator) else value
    except Unseen as unseen:
        return ("unseen", unseen.what, unseen.why)


def pod(name: str, namespace: str = "shop", **fields: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "app", "image": "app"}], **fields},
    }


def event(name: str, about: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": about},
        "reason": "FailedMount",
        "message": "no",
    }


class Odd:
    """A World in which every kind of answer occurs."""

    source = "cluster"
    flags: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def now(self) -> float:
        return 1_800_000_000.0

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        self.asked.append(("get", kind, namespace, name))
        if name == "forbidden":
            raise Unseen(f"{kind.lower()}/{name}", "forbidden to you: needs get")
        if name == "gone":
            return None
        item = pod(name, namespace)
        return {**item, "kind": kind, "apiVersion": api_version or "v1"}

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        self.asked.append(("list", kind, namespace, metadata))
        if kind == "Secret":
            raise Unseen("secrets", "forbidden to you: needs list secrets")
        if metadata:
            item = pod("web-1", namespace or "shop")
            return iter([{"apiVersion": "apps/v1", "kind": kind, "metadata": item["metadata"]}])
        return iter([{**pod(name, namespace or "shop"), "kind": kind} for name in ("b", "a")])

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        self.asked.append(("events", namespace, name))
        if name == "forbidden":
            raise Unseen("events", "forbidden to you: needs list events")
        return iter([event(f"{name}.1", name)])

    def text(self, path: str) -> Object | None:
        self.asked.append(("text", path))
        if path == "/forbidden":
            raise Unseen(path, "forbidden to you: needs get /forbidden")
        return None if path == "/gone" else {"gitVersion": "v1.36.3"}

    def applied_before(self, one: Object, other: Object) -> bool:
        return False

    def prepare(self, wants: Iterable[Want]) -> None:
        self.asked.append(("prepare", *wants))


QUESTIONS: dict[str, Any] = {
    "an object": lambda world: answer(world.get, "Pod", "shop", "web"),
    "one that is not there": lambda world: answer(world.get, "Pod", "shop", "gone"),
    "one that may not be seen": lambda world: answer(world.get, "Secret", "shop", "forbidden"),
    "one without a namespace": lambda world: answer(world.get, "Node", "", "n1"),
    "one of another type": lambda world: answer(
        world.get, "Rollout", "shop", "web", "argoproj.io/v1alpha1"
    ),
    "one of another type that is not there": lambda world: answer(
        world.get, "Rollout", "shop", "gone", "argoproj.io/v1alpha1"
    ),
    "what every namespace has, and this one not": lambda world: answer(
        world.get, "ConfigMap", "shop", "gone"
    ),
    "a list": lambda world: sorted(map(str, answer(world.list, "ServiceAccount", "shop"))),
    "a list of all namespaces": lambda world: sorted(map(str, answer(world.list, "Role"))),
    "a list that may not be seen": lambda world: answer(world.list, "Secret", "shop"),
    "a list of metadata": lambda world: answer(world.list, "ReplicaSet", "shop", metadata=True),
    "events": lambda world: answer(world.events, "shop", "web"),
    "events that may not be seen": lambda world: answer(world.events, "shop", "forbidden"),
    "a document": lambda world: answer(world.text, "/version"),
    "a document that is not there": lambda world: answer(world.text, "/gone"),
    "a document that may not be seen": lambda world: answer(world.text, "/forbidden"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_comes_back_as_it_was(question: str) -> None:
    ask = QUESTIONS[question]
    world = Odd()
    recorder = Recorder(world)
    expected = ask(world)
    assert ask(recorder) == expected
    asked = list(world.asked)
    assert ask(recorder) == expected
    assert world.asked == asked, "it was asked once more"
    assert ask(replayed(recorder)) == expected


def test_all_answers_together_come_back_as_they_were() -> None:
    recorder = Recorder(Odd())
    for ask in QUESTIONS.values():
        ask(recorder)
    again = replayed(recorder)
    for name, ask in QUESTIONS.items():
        assert ask(again) == ask(Odd()), name
    assert again.now() == Odd().now()
    assert again.snapshot


def test_what_was_not_asked_is_not_known() -> None:
    recorder = Recorder(Odd())
    list(recorder.list("ReplicaSet", "shop", metadata=True))
    recorder.get("Pod", "shop", "web")
    again = replayed(recorder)
    for words in (("Pod", "shop", "other"), ("ConfigMap", "shop", "kube-root-ca.crt")):
        assert answer(again.get, *words)[0] == "unseen"
    assert answer(again.list, "Pod", "shop")[0] == "unseen"
    # metadata does not pass for the whole
    assert answer(again.get, "ReplicaSet", "shop", "web-1") == (
        "unseen",
        "replicaset web-1",
        "the snapshot has only its metadata",
    )
    assert answer(again.list, "ReplicaSet", "shop")[0] == "unseen"


def test_a_whole_list_answers_for_its_objects() -> None:
    world = Odd()
    recorder = Recorder(world)
    list(recorder.list("Pod", ""))
    asked = list(world.asked)
    assert recorder.get("Pod", "shop", "a") is not None
    assert recorder.get("Pod", "shop", "gone") is None
    assert [one["metadata"]["name"] for one in recorder.list("Pod", "shop")] == ["a", "b"]
    assert [one["metadata"]["name"] for one in recorder.list("Pod", "", metadata=True)] == [
        "a",
        "b",
    ]
    assert world.asked == asked
    assert snapshot_object(recorder, [], "", None)["absent"] == []


def report(world: World, targets: list[Target], namespace: str) -> Object:
    if targets:
        return report_object(diagnose(targets, namespace, world))
    assert isinstance(world, ManifestWorld)
    return report_object(diagnose_objects(world.objects(), world))


TARGETS = [
    (Target("Deployment", "web", "apps/v1", "deployments"), "shop"),
    (Target("Deployment", "cart", "apps/v1", "deployments"), "shop"),
    (Target("Deployment", "report", "apps/v1", "deployments"), "shop"),
    (Target("CronJob", "backup", "batch/v1", "cronjobs"), "shop"),
    (Target("Pod", "api-0", "v1", "pods"), "shop"),
    (Target("ServiceAccount", "web", "v1", "serviceaccounts"), "shop"),
    (Target("Deployment", "ledger", "apps/v1", "deployments"), "pay"),
    (Target("Secret", "ci-token-new", "v1", "secrets"), "pay"),
    (Target("Deployment", "indexer", "apps/v1", "deployments"), "search"),
]


@pytest.mark.parametrize(("target", "namespace"), TARGETS, ids=lambda value: str(value))
def test_a_snapshot_of_a_target_has_the_same_findings(target: Target, namespace: str) -> None:
    world = shop()
    expected = report(world, [target], namespace)
    recorder = Recorder(world)
    read_targets([target], namespace, recorder)
    again = replayed(recorder, [target], namespace)
    assert report(again, [target], namespace) == expected
    assert again.targets == [{"kind": target.kind, "namespace": namespace, "name": target.name}]


def test_a_snapshot_of_a_namespace_has_the_same_findings() -> None:
    for namespace in ("shop", "pay", "search"):
        world = shop()
        recorder = Recorder(world)
        read_namespace(namespace, recorder)
        again = replayed(recorder)
        for target, where in TARGETS:
            if where == namespace:
                assert report(again, [target], where) == report(shop(), [target], where)


def test_a_snapshot_of_all_has_the_same_findings() -> None:
    recorder = Recorder(shop())
    read_namespace("", recorder)
    expected = report(shop(), [], "")
    found = report(replayed(recorder), [], "")
    # the order of the file is another
    assert found["findings"]
    assert sorted(map(json.dumps, found["findings"])) == sorted(
        map(json.dumps, expected["findings"])
    )


def test_doctor_asks_what_the_snapshot_was_made_for(run: Run, tmp_path: Any) -> None:
    target, namespace = TARGETS[1]
    recorder = Recorder(shop())
    read_targets([target], namespace, recorder)
    file = tmp_path / "snapshot.yaml"
    file.write_text(text_of(snapshot_object(recorder, [target], namespace, None)))
    done = run("doctor", "-f", str(file), "-o", "json")
    asked = run("doctor", "-f", str(file), "deploy/cart", "-n", "shop", "-o", "json")
    assert done.stderr == ""
    assert done == asked
    assert [one["name"] for one in done.object["targets"]] == ["cart"]
    assert done.object["source"] == "snapshot"


@pytest.mark.parametrize(
    ("flags", "scope", "namespaces"),
    [([], None, {"shop", "pay", "search"}), (["-n", "pay"], "pay", {"pay"})],
)
def test_a_snapshot_of_all_is_swept_as_a_cluster_is(
    flags: list[str], scope: str | None, namespaces: set[str], run: Run, tmp_path: Any
) -> None:
    text = (ROOT / "examples" / "shop.yaml").read_text()
    file = tmp_path / "snapshot.yaml"
    file.write_text(text.replace("kind: Snapshot\n", "kind: Snapshot\nsource: cluster\n"))
    done = run("doctor", "-f", str(file), *flags, "-o", "json").object
    assert (done["source"], done["swept"]["namespace"]) == ("snapshot", scope)
    told = {one["target"]["namespace"] for one in done["findings"] if one["severity"] == "error"}
    assert told <= namespaces
    assert "pay" in told
    assert ("search" in told) == (not flags)
    # with manifests besides it is a question about all that is there
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n")
    both = run("doctor", "-f", str(file), "-f", str(manifest), "-o", "json").object
    assert "swept" not in both
    assert "x" in [one["name"] for one in both["targets"]]


# --- what must not be in it -----------------------------------------------------------------------

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIDeyJhbGciOiJAAAA\n-----END CERTIFICATE-----\n"

SECRETS: dict[str, Any] = {
    "env password": pod(
        "x", containers=[{"name": "a", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]
    ),
    "env token": pod(
        "x", containers=[{"name": "a", "env": [{"name": "API_TOKEN", "value": "hunter2"}]}]
    ),
    "env key": pod(
        "x",
        containers=[{"name": "a", "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2"}]}],
    ),
    "env lower case": pod(
        "x", initContainers=[{"name": "a", "env": [{"name": "mysqlPassword", "value": "hunter2"}]}]
    ),
    "env address": pod(
        "x",
        containers=[
            {
                "name": "a",
                "env": [{"name": "DATABASE", "value": "postgres://app:hunter2@db:5432/x"}],
            }
        ],
    ),
    "env proxy": pod(
        "x",
        containers=[
            {"name": "a", "env": [{"name": "HTTPS_PROXY", "value": "http://me:hunter2@proxy:3128"}]}
        ],
    ),
    "env query": pod(
        "x",
        containers=[
            {
                "name": "a",
                "env": [{"name": "HOOK", "value": "https://x.example/?a=1&token=hunter2&b=2"}],
            }
        ],
    ),
    "env jwt in prose": pod(
        "x", containers=[{"name": "a", "env": [{"name": "NOTE", "value": f"use {JWT} here"}]}]
    ),
    "args with =": pod("x", containers=[{"name": "a", "args": ["--db-password=hunter2"]}]),
    "args behind": pod("x", containers=[{"name": "a", "args": ["--password", "hunter2"]}]),
    "command in a shell": pod(
        "x",
        containers=[
            {
                "name": "a",
                "command": [
                    "sh",
                    "-c",
                    "export API_TOKEN=hunter2; run --secret-key hunter2 --password='hunter2'",
                ],
            }
        ],
    ),
    "header": pod(
        "x", containers=[{"name": "a", "command": ["curl", "-H", "Authorization: Bearer hunter2"]}]
    ),
    "annotation": {"kind": "Pod", "metadata": {"name": "x", "annotations": {"a": JWT}}},
    "last applied": {
        "kind": "Pod",
        "metadata": {
            "name": "x",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
                    pod(
                        "x",
                        containers=[
                            {"name": "a", "env": [{"name": "PASSWORD", "value": "hunter2"}]}
                        ],
                    )
                )
            },
        },
    },
    "last applied of a ConfigMap": {
        "kind": "ConfigMap",
        "metadata": {
            "name": "x",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
                    {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "hunter2"}}
                )
            },
        },
    },
    "last applied that is no object": {
        "kind": "Pod",
        "metadata": {
            "name": "x",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"},
        },
    },
    "Secret": {
        "kind": "Secret",
        "metadata": {
            "name": "x",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"hunter2"}}',
                "openshift.io/token-secret.value": JWT,
            },
        },
        "data": {"a": "hunter2"},
        "stringData": {"a": "hunter2"},
    },
    "ConfigMap": {
        "kind": "ConfigMap",
        "metadata": {"name": "x"},
        "data": {"a": "hunter2"},
        "binaryData": {"b": "hunter2"},
    },
    "ConfigMap with a key": {
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt"},
        "data": {"ca.crt": PEM.replace("MIIEow", "hunter2")},
    },
    "event": {**event("x", "x"), "message": f"Bearer hunter2, {JWT}"},
    "another type": {
        "kind": "Database",
        "metadata": {"name": "x"},
        "spec": {"password": "hunter2", "auth": {"clientSecret": "hunter2"}},
    },
    "cron template": {
        "kind": "CronJob",
        "metadata": {"name": "x"},
        "spec": {
            "jobTemplate": {
                "spec": {
                    "template": pod(
                        "x",
                        containers=[{"name": "a", "env": [{"name": "TOKEN", "value": "hunter2"}]}],
                    )
                }
            }
        },
    },
    "token twice in base64": pod(
        "x",
        containers=[
            {
                "name": "a",
                "env": [{"name": "A", "value": "ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZXlKemRXSQ=="}],
            }
        ],
    ),
}


@pytest.mark.parametrize("case", SECRETS)
def test_nothing_secret_stays(case: str) -> None:
    text = json.dumps(clean_object(SECRETS[case]))
    assert "hunter2" not in text
    assert "eyJ" not in text.replace("MIIDeyJ", "")
    assert "ZXlK" not in text
    assert '"x"' in text or "kube-root-ca" in text


KEPT: list[Any] = [
    *(
        {"name": "a", "env": [{"name": name, "value": value}]}
        for name, value in (
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/pods.eks.amazonaws.com/t"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token"),
            ("USE_TOKEN", "true"),
            ("API_TOKEN", "$(OTHER)"),
            ("NO_PROXY", "10.0.0.0/8,.svc"),
            ("HTTPS_PROXY", "http://proxy:3128"),
        )
    ),
    {
        "name": "a",
        "command": [
            "kube-apiserver",
            "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
            "--service-account-signing-key-file=/etc/kubernetes/pki/sa.key",
            "--service-account-max-token-expiration=24h",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--api-audiences=a,b",
            "--authentication-token-webhook-cache-ttl=10s",
            "--enable-bootstrap-token-auth=true",
            "--token-auth-file=/etc/tokens.csv",
        ],
    },
    {"name": "a", "args": ["--token-file", "/var/run/secrets/x/token", "--verbose"]},
    {"name": "a", "command": ["sh", "-c", "cat /var/run/secrets/x/token; curl -H $TOKEN"]},
    {
        "name": "a",
        "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}],
    },
]


@pytest.mark.parametrize("container", KEPT, ids=lambda value: str(value)[13:70])
def test_what_the_checks_read_stays(container: Object) -> None:
    item = pod("x", containers=[container])
    assert clean_object(item) == item


def test_what_is_public_stays() -> None:
    for name in ("kube-root-ca.crt", "openshift-service-ca.crt"):
        item = {"kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": CERTIFICATE}}
        assert clean_object(item) == item
    other = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b", "ca.crt": ""}}
    assert clean_object(other)["data"] == {"a": "***", "ca.crt": "***"}
    volume = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    assert clean(volume) == volume
    fields = {"f:data": {"f:token": {}, ".": {}}}
    assert clean(fields) == fields


def test_the_original_is_not_changed() -> None:
    for item in SECRETS.values():
        before = json.dumps(item)
        clean_object(item)
        assert json.dumps(item) == before


def test_the_file_is_what_any_reader_of_yaml_reads() -> None:
    recorder = Recorder(Odd())
    for ask in QUESTIONS.values():
        ask(recorder)
    odd = pod("odd")
    odd["metadata"]["annotations"] = {
        "a": "\x07 bell, \u2028 line, 2026-11-22, yes, 0x1f, 1:30, ~, é",
        "b": "x: {y}\n# z\n\ttab",
    }
    recorder.items["Pod", "shop", "odd"] = odd
    snapshot = snapshot_object(recorder, [], "", [])
    text = text_of(snapshot)
    assert yaml.safe_load(text) == snapshot
    assert "&id" not in text
    assert replayed(recorder).get("Pod", "shop", "odd") == odd


@pytest.mark.parametrize(
    "fields",
    [
        "absent: [x]",
        "absent: [{kind: Pod}]",
        "targets: [{kind: Pod}]",
        "targets: {a: b}",
        "partial: [5]",
        "partial: [{kind: Pod}]",
        "partial: [{kind: Pod, metadata: {name: 5}}]",
        "unseen: [{kind: Pod, name: 5}]",
        "seen: [{kind: Pod, metadata: perhaps}]",
    ],
)
def test_misshapen_snapshots_are_errors_and_not_tracebacks(fields: str, run: Run) -> None:
    done = run("doctor", "-f", "-", stdin=f"apiVersion: satoken/v1\nkind: Snapshot\n{fields}\n")
    assert done.status == 3
    assert done.stderr.startswith("error: standard input")


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-A", "pod/x"], "a resource cannot be retrieved by name across all namespaces"),
        (["--nonsense"], "unknown flag: --nonsense"),
        (["-o", "json"], "unknown flag: -o"),
    ],
)
def test_usage_errors(argv: list[str], message: str, run: Run) -> None:
    done = run("snapshot", *argv)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {message}"


def test_without_a_cluster_it_says_so(run: Run) -> None:
    done = run("snapshot", "pod/x")
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")


def test_help(run: Run) -> None:
    done = run("help", "snapshot")
    assert done.status == 0
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
