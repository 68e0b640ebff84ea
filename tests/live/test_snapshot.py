"""Snapshots of a real cluster: the same findings with and without it, and nothing secret."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.scenarios import TOKEN_SECRET, Scenario, Stage, scenarios, service_account, template

# Faults of several kinds: what they turn on is a service account, a mount, a Secret, a list of
# metadata, an object that is not there, an event.
NAMES = (
    "automount-disabled-sa",
    "automount-disabled-pod",
    "mount-path-shadowed",
    "sa-not-found",
    "pod-references-missing-token-secret",
    "kube-root-ca-missing",
    "sa-recreated-token-stale",
    "rbac-no-binding",
    "legacy-secret-not-populated",
)
WEB = template("serviceAccountName: web, containers: [{name: a, image: a}]", kind="Pod")
CHOSEN = [scenario for scenario in scenarios("live") if scenario.name in NAMES]


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def build(stage: Stage, scenario: Scenario) -> str:
    """Makes a fault, and names the target."""
    text = scenario.manifest.replace("NS", stage.namespace)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    for line in scenario.events:
        if line != "wait-for-pod":
            stage.shell(line)
    if scenario.wait:
        stage.until(scenario.wait)
    if scenario.target == "pod":
        return f"pod/{stage.pods()[-1]['metadata']['name']}"
    return scenario.target


def snapshot(stage: Stage, *words: str) -> Path:
    done = stage.satoken("snapshot", *words)
    assert done.returncode == 0, done.stderr
    file = Path(stage.environ["WORK"]) / "snapshot.yaml"
    file.write_text(done.stdout)
    return file


def report(stage: Stage, *words: str) -> dict[str, Any]:
    """What doctor says, but for where it looked."""
    done = stage.satoken("doctor", *words, "-o", "json")
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    # ages differ by the seconds between the two
    text = re.sub(r"\b\d+[smh](?= ago|\")", "AGE", done.stdout)
    found: dict[str, Any] = json.loads(text)
    found.pop("source")
    return found


def same(stage: Stage, target: str, *flags: str) -> dict[str, Any]:
    """The report on a target, which is the same without the cluster."""
    file = snapshot(stage, target, "-n", stage.namespace, *flags)
    live = report(stage, target, "-n", stage.namespace, *flags)
    assert report(stage, "-f", str(file)) == live
    assert report(stage, "-f", str(file), target, "-n", stage.namespace) == live
    return live


def test_the_scenarios_are_there() -> None:
    assert len(CHOSEN) >= 6


@pytest.mark.parametrize("scenario", CHOSEN, ids=[scenario.name for scenario in CHOSEN])
def test_a_fault_is_found_without_the_cluster(scenario: Scenario, stage: Stage) -> None:
    target = build(stage, scenario)
    try:
        live = same(stage, target)
        assert scenario.code in [finding["code"] for finding in live["findings"]]
        in_namespace(stage, scenario)
    finally:
        for line in scenario.restore:
            stage.shell(line)


def in_namespace(stage: Stage, scenario: Scenario) -> None:
    """A snapshot of the whole namespace has what a sweep through it finds."""
    file = snapshot(stage, "-n", stage.namespace)
    assert report(stage, "-f", str(file)) == report(stage, "-n", stage.namespace)
    # whoever asks the same of the file as of the cluster gets the same
    target = scenario.target
    if target == "pod":
        target = f"pod/{stage.pods()[-1]['metadata']['name']}"
    live = report(stage, target, "-n", stage.namespace)
    again = report(stage, "-f", str(file), target, "-n", stage.namespace)
    assert again["findings"] == live["findings"]
    assert again["skipped"] == live["skipped"]


def test_a_healthy_pod_is_healthy_without_the_cluster(stage: Stage) -> None:
    manifest = f"{service_account()}---{WEB}"
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=manifest)
    live = same(stage, "pod/web")
    assert [one["severity"] for one in live["findings"] if one["severity"] == "error"] == []
    assert live["tokens"]


def test_what_a_viewer_may_not_see_is_not_seen_in_the_snapshot(stage: Stage) -> None:
    manifest = f"{service_account()}---{WEB}"
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=manifest)
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=vera")
    stage.environ["KUBECONFIG"] = str(stage.cluster.user("vera"))
    stage.until("kubectl -n $NS get pods")
    live = same(stage, "pod/web")
    assert live["skipped"]
    done = stage.satoken("snapshot", "pod/web", "-n", stage.namespace)
    assert "could not be read; the file says which, and why" in done.stderr
    unseen = yaml.safe_load(done.stdout)["unseen"]
    assert "RoleBinding" in {one["kind"] for one in unseen}
    assert all("forbidden to you" in one["why"] for one in unseen)
    file = snapshot(stage, "-n", stage.namespace)
    again = report(stage, "-f", str(file), "pod/web", "-n", stage.namespace)
    assert again["skipped"] == live["skipped"]
    swept = report(stage, "-n", stage.namespace)
    assert swept["skipped"]
    assert report(stage, "-f", str(file)) == swept
    done = stage.satoken("snapshot", "-A")
    assert (done.returncode, done.stdout) == (3, "")
    assert "pods cannot be listed: forbidden to you" in done.stderr


IDLE = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: idlers.satoken.test}
spec:
  group: satoken.test
  scope: Namespaced
  names: {plural: idlers, singular: idler, kind: Idler}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

# Of these a sweep asks nobody: a custom kind without pods, what is scaled to nothing, what has
# ended, what is the controller of one pod and not of the other.
QUIET = """
apiVersion: satoken.test/v1
kind: Idler
metadata: {name: idle}
spec: {template: {spec: {serviceAccountName: gone, containers: [{name: a, image: a}]}}}
---
apiVersion: satoken.test/v1
kind: Idler
metadata: {name: busy}
spec: {template: {spec: {serviceAccountName: gone, containers: [{name: a, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: nobody}
spec:
  replicas: 0
  selector: {matchLabels: {app: nobody}}
  template:
    metadata: {labels: {app: nobody}}
    spec: {serviceAccountName: gone, containers: [{name: a, image: a}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: later}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate:
    spec:
      template:
        spec: {serviceAccountName: gone, restartPolicy: Never, containers: [{name: a, image: a}]}
"""

OWNED = """uid=$(kubectl -n $NS get idler busy -o jsonpath={.metadata.uid})
kubectl -n $NS apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata:
  name: busy-1
  ownerReferences:
  - {apiVersion: satoken.test/v1, kind: Idler, name: busy, uid: $uid, controller: true}
spec: {containers: [{name: a, image: a}]}
EOF"""


def test_what_a_sweep_tells_its_snapshot_tells(stage: Stage) -> None:
    stage.kubectl("apply", "-f", "-", stdin=IDLE)
    stage.until("kubectl get idlers.satoken.test -A")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=QUIET)
    stage.shell(OWNED)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{WEB}")
    stage.kubectl(
        "-n",
        stage.namespace,
        "apply",
        "-f",
        "-",
        stdin=template("containers: [{name: a, image: a}]", name="more").replace(
            "replicas: 1", "replicas: 3"
        ),
    )
    stage.until("test $(kubectl -n $NS get pods -o name | wc -l) = 5")
    swept = report(stage, "-n", stage.namespace)
    assert "SAT104" in [one["code"] for one in swept["findings"]]
    file = snapshot(stage, "-n", stage.namespace)
    assert report(stage, "-f", str(file)) == swept
    plain = [
        stage.satoken("doctor", *words).stdout
        for words in (("-n", stage.namespace), ("-f", str(file)))
    ]
    assert plain[0] == plain[1]
    # of a snapshot of all the same may be asked
    everything = snapshot(stage, "-A")
    assert report(stage, "-f", str(everything), "-n", stage.namespace) == swept
    swept = report(stage, "-A")
    assert report(stage, "-f", str(snapshot(stage, "-A"))) == swept


PLANTED = """
apiVersion: v1
kind: Secret
metadata: {name: planted}
stringData: {password: swordfish-secret, other: TOKEN}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: planted, annotations: {note: TOKEN}}
data: {password: swordfish-config}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {note: "Bearer TOKEN"}}
    spec:
      serviceAccountName: web
      containers:
      - name: app
        image: app
        command: [sh, -c, "export API_TOKEN=swordfish-shell; exec app"]
        args: [--password, swordfish-behind, --db-password=swordfish-flag]
        env:
        - {name: DB_PASSWORD, value: swordfish-env}
        - {name: PLAIN, value: TOKEN}
        - {name: URL, value: "postgres://app:swordfish-url@db/x"}
        volumeMounts: [{name: c, mountPath: /c}]
      volumes: [{name: c, configMap: {name: planted}}]
"""


def secrets_of(stage: Stage) -> list[str]:
    """Everything that must not be in a snapshot of the namespace."""
    values = ["swordfish"]
    for item in stage.get("secrets")["items"]:
        for value in (item.get("data") or {}).values():
            if len(value) > 20 and not base64.b64decode(value).startswith(b"-----BEGIN CERT"):
                values += [value, base64.b64decode(value).decode()]
    return values


@pytest.mark.parametrize("words", ["deploy/web", "sa/web", "secret/web-token", "", "-A"])
def test_no_token_and_no_secret_is_in_a_snapshot(words: str, stage: Stage) -> None:
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=service_account())
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=TOKEN_SECRET)
    stage.until("kubectl -n $NS get secret web-token -o jsonpath='{.data.token}' | grep -q .")
    token = base64.b64decode(stage.get("secret", "web-token")["data"]["token"]).decode()
    planted = PLANTED.replace("TOKEN", token).replace(f"API_{token}", "API_TOKEN")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=planted)
    stage.until("kubectl -n $NS get pod -l app=web -o name | grep -q pod/")
    for claims in ([], ["--claims"]):
        text = snapshot(stage, *filter(None, [words]), "-n", stage.namespace, *claims).read_text()
        for value in [*secrets_of(stage), *token.split(".")]:
            assert value not in text
        # Two parts and a dot: the base64 of a certificate holds an "eyJ" now and then.
        assert not re.search(r"eyJ[\w-]+\.", text)
        assert "kube-root-ca.crt" in text or words.startswith("secret") or words.startswith("sa")
        if claims:
            (found,) = [
                one
                for one in yaml.safe_load(text)["claims"]
                if one["name"] == "web-token" and one["namespace"] == stage.namespace
            ]
            assert set(found["header"]) == {"alg", "kid"}
            assert found["payload"]["sub"] == f"system:serviceaccount:{stage.namespace}:web"
            assert found["payload"]["kubernetes.io/serviceaccount/secret.name"] == "web-token"
        else:
            assert "claims" not in yaml.safe_load(text)


def test_a_viewer_cannot_have_claims(stage: Stage) -> None:
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=vera")
    stage.environ["KUBECONFIG"] = str(stage.cluster.user("vera"))
    stage.until("kubectl -n $NS get pods")
    done = stage.satoken("snapshot", "--claims", "-n", stage.namespace)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: --claims: ")


def test_what_is_not_there(stage: Stage) -> None:
    done = stage.satoken("snapshot", "pod/nope", "-n", stage.namespace)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == 'error: pods "nope" not found\n'


def test_a_pod_that_could_not_be_made(stage: Stage) -> None:
    """Only the events of its maker tell of it."""
    manifest = template("serviceAccountName: nobody, containers: [{name: a, image: a}]")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=manifest)
    stage.until("kubectl -n $NS get events | grep 'error looking up'")
    (replicas,) = stage.get("replicasets")["items"]
    live = same(stage, f"pod/{replicas['metadata']['name']}-x2k9p")
    assert live["findings"][0]["name"] == "sa-not-found"
