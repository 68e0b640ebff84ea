"""Custom kinds with pod templates: found by their shape, judged by their pods, and mended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.scenarios import PLACE, Stage, service_account

KINDS = ("rollouts", "Rollout"), ("fleets", "Fleet"), ("rayclusters", "RayCluster")

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %(plural)s.satoken.test}
spec:
  group: satoken.test
  scope: Namespaced
  names: {plural: %(plural)s, singular: %(singular)s, kind: %(kind)s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

# what a Rollout's controller would do
MADE = """kubectl -n $NS get rollout web -o json | python3 -c '
import hashlib, json, sys
rollout = json.load(sys.stdin)
template = rollout["spec"]["template"]
name = "web-" + hashlib.sha256(json.dumps(template).encode()).hexdigest()[:8]
owner = {"apiVersion": "satoken.test/v1", "kind": "Rollout", "name": "web", "controller": True}
owner["uid"] = rollout["metadata"]["uid"]
labels = {"matchLabels": {"app": "web"}}
spec = {"replicas": 2, "selector": labels, "template": template}
metadata = {"name": name, "ownerReferences": [owner]}
made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
print(json.dumps(made))
' | { kubectl -n $NS delete replicaset --all >/dev/null; kubectl -n $NS create -f -; }"""

HIDING = f"""
apiVersion: satoken.test/v1
kind: Rollout
metadata: {{name: web}}
spec:
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      serviceAccountName: web
      containers:
      - name: app
        image: busybox:1
        volumeMounts: [{{name: data, mountPath: /data}}, {{name: data, mountPath: {PLACE}}}]
      volumes: [{{name: data, emptyDir: {{}}}}]
"""

FLEET = """
apiVersion: satoken.test/v1
kind: Fleet
metadata: {name: web}
spec:
  pool:
    template:
      spec:
        template:
          metadata: {labels: {app: web}}
          spec:
            serviceAccountName: webs
            containers: [{name: app, image: 'busybox:1'}]
"""

RAY = f"""
apiVersion: satoken.test/v1
kind: RayCluster
metadata: {{name: web}}
spec:
  head: {{template: {{spec: {{serviceAccountName: web, containers: [{{name: head, image: x}}]}}}}}}
  workers:
  - replicas: 1
    template:
      metadata: {{labels: {{app: web}}}}
      spec:
        serviceAccountName: web
        containers:
        - {{name: worker, image: x, volumeMounts: [{{name: e, mountPath: {PLACE}}}]}}
        volumes: [{{name: e, emptyDir: {{}}}}]
"""


@pytest.fixture(scope="module")
def kinds(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    stage = Stage(cluster, tmp_path_factory.mktemp("kinds"))
    for plural, kind in KINDS:
        words = {"plural": plural, "singular": kind.lower(), "kind": kind}
        stage.kubectl("apply", "-f", "-", stdin=DEFINITION % words)
        stage.until(f"kubectl get {plural}.satoken.test -A")


@pytest.fixture
def stage(kinds: None, cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def mend(stage: Stage, target: str, code: str) -> str:
    """Asks about a target, in which the fault must come first, and applies the printed fix."""
    played = stage.doctor(target)
    first = played.report["findings"][0]
    assert first["code"] == code, played.text
    for command in first["fix"]["commands"]:
        stage.shell(command)
    return played.text


def errors(stage: Stage, target: str) -> list[str]:
    """The codes of the errors and warnings of a target."""
    findings = stage.doctor(target).report["findings"]
    return [one["code"] for one in findings if one["severity"] != "hint"]


def test_a_rollout_is_judged_by_its_pods_and_its_lists_are_mended(stage: Stage) -> None:
    stage.kubectl(
        "-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{HIDING}"
    )
    stage.shell(MADE)
    stage.until("test $(kubectl -n $NS get pods -o name | wc -l) = 2")
    text = mend(stage, "rollout/web", "SAT301")
    assert "SAT301 mount-path-shadowed, certain, 2 pods." in text
    stage.shell(MADE)
    stage.until(f"kubectl -n $NS get pods -o json | grep -c '{PLACE}' | grep -qx 2")
    stage.until("kubectl -n $NS get pods -o json | grep -q kube-api-access")
    assert errors(stage, "rollout/web") == []
    kept = stage.get("rollout", "web")["spec"]["template"]["spec"]["containers"][0]
    assert kept["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_pods_that_a_rollout_cannot_make_are_told_by_its_replica_set(stage: Stage) -> None:
    broken = HIDING.replace("serviceAccountName: web", "serviceAccountName: webs")
    stage.kubectl(
        "-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{broken}"
    )
    stage.shell(MADE)
    stage.until("kubectl -n $NS get events | grep -q FailedCreate")
    text = mend(stage, "rollout/web", "SAT104")
    assert "event FailedCreate" in text
    assert stage.get("rollout", "web")["spec"]["template"]["spec"]["serviceAccountName"] == "web"


def test_a_template_at_any_depth(stage: Stage) -> None:
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{FLEET}")
    played = stage.doctor("fleet/web")
    (finding,) = [one for one in played.report["findings"] if one["severity"] == "error"]
    path = "spec.pool.template.spec.template.spec.serviceAccountName"
    assert path in [one["path"] for one in finding["evidence"]]
    mend(stage, "fleet/web", "SAT104")
    assert errors(stage, "fleet/web") == []
    found = stage.kubectl("-n", stage.namespace, "get", "fleet", "web", "-o", "json")
    assert '"serviceAccountName": "web"' in json.dumps(json.loads(found)["spec"])


def test_a_template_in_a_list(stage: Stage) -> None:
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{RAY}")
    mend(stage, "raycluster/web", "SAT301")
    (workers,) = stage.get("raycluster", "web")["spec"]["workers"]
    assert workers["replicas"] == 1
    assert workers["template"]["spec"]["containers"][0]["volumeMounts"] == []
    assert errors(stage, "raycluster/web") == []


def test_all_of_a_custom_kind(stage: Stage) -> None:
    stage.kubectl(
        "-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{HIDING}"
    )
    stage.shell(MADE)
    stage.until("test $(kubectl -n $NS get pods -o name | wc -l) = 2")
    done = stage.satoken("doctor", "rollouts", "-n", stage.namespace)
    assert done.returncode == 1
    assert "in 2 pods of rollout/web" in done.stdout
