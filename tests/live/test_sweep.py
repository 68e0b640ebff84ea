"""doctor -A and -n against a real control plane."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_satoken.pod_reader import PROTOBUF, PodReader
from tests.cluster import Cluster
from tests.live.test_api import connect, kubectl
from tests.live.test_world import world
from tests.scenarios import Stage

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"

OBJECTS = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{a: b}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shadowed}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: shadowed}}}}
  template:
    metadata: {{labels: {{app: shadowed}}}}
    spec:
      serviceAccountName: web
      containers: [{{name: app, image: app, volumeMounts: [{{name: s, mountPath: {PLACE}}}]}}]
      volumes: [{{name: s, configMap: {{name: settings}}}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: cannot-start}}
spec:
  selector: {{matchLabels: {{app: cannot-start}}}}
  serviceName: x
  template:
    metadata: {{labels: {{app: cannot-start}}}}
    spec: {{serviceAccountName: never-made, containers: [{{name: app, image: app}}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: app, image: app}}]}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: fine}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: fine}}}}
  template:
    metadata: {{labels: {{app: fine}}}}
    spec: {{containers: [{{name: app, image: app}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: rich, annotations: {{note: 'a "quote", ünïcode ☃'}}}}
spec:
  serviceAccountName: web
  hostAliases: [{{ip: 10.0.0.1, hostnames: [a, b]}}]
  dnsConfig: {{nameservers: [10.0.0.2], options: [{{name: ndots, value: "2"}}, {{name: x}}]}}
  securityContext: {{runAsUser: 0, fsGroup: 5, sysctls: [], supplementalGroups: [1, 2, 70000]}}
  tolerations: [{{operator: Exists, tolerationSeconds: 5, effect: NoExecute}}]
  initContainers:
  - {{name: sidecar, image: x, restartPolicy: Always, env: [{{name: EMPTY, value: ""}}]}}
  containers:
  - name: app
    image: app
    command: [sh, -c, "echo kube-api-access-abcde"]
    env:
    - {{name: A, valueFrom: {{secretKeyRef: {{name: s, key: token, optional: true}}}}}}
    - {{name: B, valueFrom: {{resourceFieldRef: {{resource: limits.cpu, divisor: 1m}}}}}}
    envFrom: [{{prefix: X_, configMapRef: {{name: settings, optional: false}}}}]
    resources: {{limits: {{cpu: 1500m, memory: 1Gi}}}}
    livenessProbe: {{httpGet: {{port: http, path: /}}, periodSeconds: 7}}
    readinessProbe: {{tcpSocket: {{port: 8080}}}}
    ports: [{{name: http, containerPort: 8080}}]
    lifecycle: {{preStop: {{exec: {{command: ["true"]}}}}}}
    securityContext: {{privileged: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: all, mountPath: /all, readOnly: true}}]
  volumes:
  - name: all
    projected:
      defaultMode: 0440
      sources:
      - serviceAccountToken: {{path: t, audience: vault, expirationSeconds: 600}}
      - secret: {{name: s, items: [{{key: a, path: b, mode: 0}}], optional: true}}
      - downwardAPI: {{items: [{{path: l, fieldRef: {{fieldPath: metadata.labels}}}}]}}
  - {{name: e, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}
  - {{name: h, hostPath: {{path: /x}}}}
  - {{name: c, csi: {{driver: x.example, volumeAttributes: {{a: b}}}}}}
"""


YEARLY = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: yearly}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          serviceAccountName: never-made
          restartPolicy: Never
          containers: [{name: app, image: app}]
"""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[str]:
    name = f"sweep-{uuid.uuid4().hex[:8]}"
    kubectl(cluster.kubeconfig, "create", "namespace", name)
    kubectl(cluster.kubeconfig, "-n", name, "wait", "--for=create", "sa/default", "--timeout=30s")
    apply = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "-n", name, "apply", "-f", "-"]
    subprocess.run(apply, input=OBJECTS, text=True, check=True, capture_output=True)
    end = time.monotonic() + 30
    while True:
        pods = json.loads(
            kubectl(cluster.kubeconfig, "-n", name, "get", "pods", "-o", "json").stdout
        )["items"]
        events = kubectl(cluster.kubeconfig, "-n", name, "get", "events", "-o", "name").stdout
        if len(pods) >= 8 and "cannot-start" in events:
            break
        assert time.monotonic() < end, events
        time.sleep(0.2)
    yield name
    kubectl(cluster.kubeconfig, "delete", "namespace", name, "--wait=false")


def doctor(kubeconfig: Any, *argv: str, status: int | None = None) -> Any:
    done = subprocess.run(
        ["kubectl-satoken", "doctor", *argv],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if status is not None:
        assert done.returncode == status, done.stderr
    return done


def found(done: Any) -> dict[tuple[str, str], int]:
    """Errors and warnings: code and the workloads they are on, with the number of pods."""
    report = json.loads(done.stdout)
    return {
        (one["code"], target["name"]): one["affected"]
        for one in report["findings"]
        if one["severity"] != "hint"
        for target in one.get("targets", [one["target"]])
    }


FAULTS = {("SAT301", "shadowed"): 4, ("SAT104", "cannot-start"): 0}


@pytest.mark.parametrize("scope", [["-A"], [], ["pods,sts"], ["deploy,sts"], ["sa,sts"]])
def test_a_sweep_finds_each_fault_once_and_nothing_else(
    cluster: Cluster, shop: str, scope: list[str]
) -> None:
    done = doctor(cluster.kubeconfig, *scope, "-n", shop, "-o", "json", status=1)
    there = found(done)
    if scope == ["-A"]:  # others may have something there
        there = {key: number for key, number in there.items() if key in FAULTS}
    assert there == FAULTS


def test_a_selector_selects_pods(cluster: Cluster, shop: str) -> None:
    done = doctor(cluster.kubeconfig, "-n", shop, "-l", "app in (shadowed)", "-o", "json", status=1)
    assert found(done) == {("SAT301", "shadowed"): 4}
    counts = json.loads(done.stdout)["swept"]["counts"]
    assert counts == {"pods": 4, "workloads": 1, "serviceAccounts": 1, "secrets": 0}
    done = doctor(cluster.kubeconfig, "-n", shop, "-l", "app=fine", status=0)
    assert done.stdout.startswith("ok: no fault found; 3 pods, 1 workload")
    done = doctor(cluster.kubeconfig, "-n", shop, "-l", "app=(", status=2)
    assert done.stderr.startswith("error: the label selector is wrong: unable to parse")


def test_a_user_of_one_namespace_sweeps_that(cluster: Cluster, shop: str) -> None:
    jane = f"jane-{shop}"
    create = ("-n", shop, "create", "rolebinding", "jane", "--clusterrole=view", f"--user={jane}")
    kubectl(cluster.kubeconfig, *create)
    done = doctor(cluster.user(jane), "-A", status=3)
    assert done.stderr == (
        "error: pods cannot be listed: forbidden to you: needs list pods in all namespaces\n"
        "hint: -n NAMESPACE looks at one namespace only\n"
    )
    done = doctor(cluster.user(jane), "-n", shop, "-o", "json", status=1)
    assert found(done) == FAULTS
    skipped = {one["what"] for one in json.loads(done.stdout)["skipped"]}
    assert "secrets" in skipped or "rolebindings" in skipped


def test_a_user_who_may_see_pods_only_is_told_what_was_not_seen(
    cluster: Cluster, shop: str
) -> None:
    kube, jim = cluster.kubeconfig, f"jim-{shop}"
    pods = ("--verb=get,list", "--resource=pods,serviceaccounts")
    kubectl(kube, "-n", shop, "create", "role", "pods", *pods)
    kubectl(kube, "-n", shop, "create", "rolebinding", "jim", "--role=pods", f"--user={jim}")
    done = doctor(cluster.user(jim), "-n", shop, "-o", "json", status=1)
    report = json.loads(done.stdout)
    skipped = {one["what"] for one in report["skipped"]}
    assert {"deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "secrets"} <= skipped
    # whose ReplicaSet it is, which cannot be read, is told by the names
    (finding,) = [one for one in report["findings"] if one["code"] == "SAT301"]
    assert finding["target"]["kind"] == "Deployment"
    assert f"-n {shop} patch deployment shadowed " in finding["fix"]["commands"][0]


def test_a_cron_job_is_looked_at_before_its_first_run(cluster: Cluster, tmp_path: Path) -> None:
    stage = Stage(cluster, tmp_path)
    stage.open()
    try:
        stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=YEARLY)
        done = doctor(cluster.kubeconfig, "-n", stage.namespace, "-o", "json", status=1)
        assert found(done) == {("SAT104", "yearly"): 0}
        (finding,) = json.loads(done.stdout)["findings"]
        for command in finding["fix"]["commands"]:
            stage.shell(command)
        healed = doctor(cluster.kubeconfig, "-n", stage.namespace, "-o", "json", status=0)
        assert found(healed) == {}
        stage.shell("kubectl -n $NS create job now --from=cronjob/yearly")
        stage.until("kubectl -n $NS get pods -o json | grep -q kube-api-access")
    finally:
        stage.close()


def test_protobuf_and_json_are_the_same_pods(cluster: Cluster, shop: str) -> None:
    api = connect(cluster.kubeconfig)
    for path in (f"/api/v1/namespaces/{shop}/pods", "/api/v1/pods"):
        expected = [
            {**item, "kind": "Pod", "apiVersion": "v1"}
            for item in api.request("GET", path)["items"]
        ]
        answers: list[bytes] = []

        def keep(answer: Any, method: str, url: str, answers: list[bytes] = answers) -> Any:
            answers.append(answer.body)
            return {}

        api.request("GET", path, accept=PROTOBUF, read=keep)
        reader = PodReader()
        read = [reader.pod(data) for data in reader.page(answers[0])["items"]]
        assert read == expected
        assert [json.loads(json.dumps(one)) for one in read] == expected


def test_a_whole_list_is_that_of_many_pages(
    cluster: Cluster, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubectl_satoken import sweep_world
    from kubectl_satoken.world import KINDS

    monkeypatch.setattr(sweep_world, "PODS_IN_A_PAGE", 3)
    api = connect(cluster.kubeconfig)
    seen = sweep_world.SweepWorld(api, api.env, shop)
    there = world(cluster.kubeconfig).list("Pod", shop)
    assert [pod["metadata"]["name"] for pod in seen.each(KINDS["Pod"])] == [
        pod["metadata"]["name"] for pod in there
    ]


def test_what_the_sweep_answers_is_what_the_cluster_has(cluster: Cluster, shop: str) -> None:
    from kubectl_satoken.sweep_world import AT_ONCE, SweepWorld
    from kubectl_satoken.world import KINDS

    plain = world(cluster.kubeconfig)
    for scope in ("", shop):
        api = connect(cluster.kubeconfig)
        seen = SweepWorld(api, api.env, scope)
        for kind in sorted(AT_ONCE):
            assert list(seen.list(kind, shop)) == list(plain.list(kind, shop))
            for item in plain.list(kind, shop):
                name = item["metadata"]["name"]
                assert seen.get(kind, shop, name) == item
            assert seen.get(kind, shop, "nope") is None
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            list(seen.some(KINDS[kind], lambda item: False))
            for item in plain.list(kind, shop):
                found = seen.get(kind, shop, item["metadata"]["name"])
                assert json.loads(json.dumps(found)) == item
            assert seen.get(kind, shop, "nope") is None
        seen.asked = 1000
        made = list(plain.list("ReplicaSet", shop))
        assert made
        for item in made:
            reference = {"kind": "ReplicaSet", "apiVersion": "apps/v1", **item["metadata"]}
            above = seen.controller(reference, shop)
            expected = (item["metadata"].get("ownerReferences") or [None])[0]
            if expected is not None:
                expected.pop("blockOwnerDeletion", None)
            assert above == expected
            reference["uid"] = "of another"
            assert seen.controller(reference, shop) is None
        root = seen.get("ConfigMap", shop, "kube-root-ca.crt")
        assert root == plain.get("ConfigMap", shop, "kube-root-ca.crt")
        assert seen.get("ConfigMap", shop, "settings") == plain.get("ConfigMap", shop, "settings")
        about = [event["metadata"]["name"] for event in seen.events(shop, "cannot-start")]
        assert about
        assert set(about) <= {
            event["metadata"]["name"] for event in plain.events(shop, "cannot-start")
        }
