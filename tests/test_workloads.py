"""Pod templates by their shape, the pods that come of them, and patches of custom kinds."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_satoken.diagnosis import Report, diagnose, diagnose_objects
from kubectl_satoken.fixes import merged, operations, with_whole_lists
from kubectl_satoken.targets import Target
from kubectl_satoken.workloads import dotted, owner_of, step_into, template_path, template_paths
from tests.checks.given import commands, world
from tests.conftest import Run

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
POD = "spec: {containers: [{name: app, image: app}]}"


def custom(spec: str, *, api: str = "example.com/v1", kind: str = "Fleet") -> dict[str, Any]:
    """An object of a custom kind."""
    text = f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\n{spec}"
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (f"spec: {{template: {{{POD}}}}}", ["spec.template"]),
        (f"spec: {{jobTargetRef: {{template: {{{POD}}}}}}}", ["spec.jobTargetRef.template"]),
        (
            f"spec: {{template: {{spec: {{template: {{{POD}}}}}}}}}",
            ["spec.template.spec.template"],
        ),
        (
            f"spec: {{head: {{template: {{{POD}}}}}, workers: [{{}}, {{template: {{{POD}}}}}]}}",
            ["spec.head.template", "spec.workers[1].template"],
        ),
        (f"spec: {{replicas: {{big-one: {{{POD}}}}}}}", ["spec.replicas[big-one]"]),
        # what only looks so
        ("spec: {containers: [{name: app}]}", []),
        ("spec: {template: {spec: {containers: []}}}", ["spec.template"]),
        ("spec: {pool: {template: {spec: {containers: []}}}}", []),
        ("spec: {pool: {template: {spec: {containers: [{name: '*'}]}}}}", []),
        ("spec: {pool: {template: {spec: {containers: [app]}}}}", []),
        (f"spec: {{manifest: {{apiVersion: v1, kind: Pod, {POD}}}}}", []),
        (f"status: {{template: {{{POD}}}}}", []),
        ("spec: text", []),
    ],
)
def test_templates_are_found_by_their_shape(spec: str, paths: list[str]) -> None:
    assert [dotted(path) for path in template_paths(custom(spec))] == paths


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("kyverno.io/v1", "ClusterPolicy"),
        ("templates.gatekeeper.sh/v1", "ConstraintTemplate"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
    ],
)
def test_what_is_about_the_pods_of_others_has_no_template(api: str, kind: str) -> None:
    rule = f"spec: {{rules: [{{validate: {{pattern: {{{POD}}}}}}}]}}"
    assert list(template_paths(custom(rule, api=api, kind=kind))) == []


def test_a_value_that_holds_itself_is_walked_once() -> None:
    item = custom("spec: {}")
    item["spec"]["a"] = item["spec"]["b"] = [item["spec"]]
    assert list(template_paths(item)) == []


HEAD_AND_WORKERS = """
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: ray, namespace: shop, uid: u-ray}
spec:
  head:
    template:
      metadata: {labels: {part: head}}
      spec: {containers: [{name: head, image: ray}]}
  workers:
  - template:
      metadata: {labels: {part: worker}}
      spec:
        automountServiceAccountToken: false
        containers: [{name: worker, image: ray}]
---
"""


def test_of_several_templates_it_is_the_one_that_is_like_the_pod() -> None:
    (ray,) = [item for item in yaml.safe_load_all(HEAD_AND_WORKERS) if item]
    for part, path in (("head", "spec.head.template"), ("worker", "spec.workers[0].template")):
        pod = {
            "metadata": {"name": "ray-x", "labels": {"part": part, "more": "x"}},
            "spec": {"containers": [{"name": part, "image": "ray"}]},
        }
        assert dotted(template_path(ray, pod)) == path


def of_target(text: str, kind: str, name: str, api: str) -> Report:
    """What doctor says of a custom object in a snapshot."""
    return diagnose([Target(kind, name, api, f"{kind.lower()}s")], "shop", world(text))


def test_a_fault_of_one_of_several_templates_is_told_and_mended_there() -> None:
    report = of_target(HEAD_AND_WORKERS, "RayCluster", "ray", "ray.io/v1")
    (cause,) = [cause for cause in report.causes if cause.finding.severity != "hint"]
    place = cause.finding.object
    assert (place.kind, place.name) == ("RayCluster", "ray")
    assert place.path == "spec.workers[0].template.spec.automountServiceAccountToken"
    assert cause.finding.certainty == "likely"  # what is made of it is up to its controller
    assert commands(cause.finding) == (
        "kubectl -n shop patch raycluster.ray.io ray --type=json -p "
        '\'[{"op":"add","path":"/spec/workers/0/template/spec/automountServiceAccountToken",'
        '"value":true}]\'',
    )


def live(owner: str, name: str, spec: str) -> str:
    """A running pod below a controller, as YAML."""
    return f"""
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
  uid: u-{name}
  labels: {{part: worker}}
  ownerReferences: [{{{owner}, controller: true}}]
spec: {{serviceAccountName: default, nodeName: n1, {spec}}}
status: {{phase: Running}}
---
"""


BETWEEN = """
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  uid: u-web-1
  ownerReferences:
  - {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: u-web, controller: true}
spec: {template: {spec: {containers: [{name: app, image: app}]}}}
---
"""

ROLLOUT = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop, uid: u-web}
spec: {template: {spec: {containers: [{name: app, image: app}]}}}
---
"""

HIDDEN = (
    f"containers: [{{name: app, image: app, volumeMounts: [{{name: e, mountPath: {PLACE}}}]}}], "
    "volumes: [{name: e, emptyDir: {}}]"
)


def test_the_pods_of_a_custom_workload_are_those_of_its_replica_sets() -> None:
    below = "apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: u-web-1"
    text = ROLLOUT + BETWEEN + live(below, "web-1-a", HIDDEN) + live(below, "web-1-b", HIDDEN)
    report = of_target(text, "Rollout", "web", "argoproj.io/v1alpha1")
    (cause,) = [cause for cause in report.causes if cause.finding.severity == "error"]
    assert (cause.finding.code, cause.affected) == ("SAT301", 2)
    assert cause.finding.object[:3] == ("Pod", "shop", "web-1-a")


def test_the_pods_of_a_custom_workload_are_those_of_its_custom_parts() -> None:
    part = """
apiVersion: agones.dev/v1
kind: GameServer
metadata:
  name: gs-1
  namespace: shop
  uid: u-gs-1
  ownerReferences: [{apiVersion: agones.dev/v1, kind: Fleet, name: gs, uid: u-gs, controller: true}]
---
"""
    fleet = """
apiVersion: agones.dev/v1
kind: Fleet
metadata: {name: gs, namespace: shop, uid: u-gs}
spec: {template: {spec: {template: {spec: {containers: [{name: app, image: app}]}}}}}
---
"""
    below = "apiVersion: agones.dev/v1, kind: GameServer, name: gs-1, uid: u-gs-1"
    other = below.replace("gs-1", "gs-2")
    text = fleet + part + live(below, "gs-1", HIDDEN) + live(other, "gs-2", HIDDEN)
    report = of_target(text, "Fleet", "gs", "agones.dev/v1")
    (cause,) = [cause for cause in report.causes if cause.finding.severity == "error"]
    assert (cause.finding.code, cause.affected) == ("SAT301", 1)


def test_a_template_at_a_place_of_its_own_counts_only_while_there_are_no_pods() -> None:
    fine = "containers: [{name: worker, image: ray}]"
    owner = "apiVersion: ray.io/v1, kind: RayCluster, name: ray, uid: u-ray"
    text = HEAD_AND_WORKERS + live(owner, "ray-worker-x", fine).replace(
        "serviceAccountName", "automountServiceAccountToken: true, serviceAccountName"
    )
    cluster = world(text)
    codes = [
        cause.finding.code
        for cause in diagnose_objects(cluster.objects(), cluster).causes
        if cause.finding.severity == "error"
    ]
    assert "SAT101" not in codes


def test_evidence_on_a_template_names_the_workload_that_has_it(run: Run) -> None:
    text = yaml.safe_dump(
        custom(
            "spec: {template: {spec: {automountServiceAccountToken: false, "
            "containers: [{name: app, image: app}]}}}",
            api="apps/v1",
            kind="Deployment",
        )
    )
    done = run("doctor", "-f", "-", "-o", "json", stdin=text)
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["object"] == {
        "kind": "Deployment",
        "namespace": "shop",
        "name": "x",
        "path": "spec.template.spec.automountServiceAccountToken",
        "value": False,
    }
    assert {one["kind"] for one in finding["evidence"]} == {"Deployment"}


def test_what_only_looks_like_a_template_is_no_reason_to_refuse_a_file(run: Run) -> None:
    odd = custom("spec: {pool: {template: {spec: {containers: [{name: a, volumeMounts: x}]}}}}")
    done = run("doctor", "-f", "-", stdin=yaml.safe_dump(odd))
    assert done.status == 3
    assert done.stderr.startswith("error: nothing to look at")


def test_a_custom_kind_may_have_the_account_in_a_field_of_its_own(run: Run) -> None:
    flink = custom(f"spec: {{serviceAccount: flink, podTemplate: {{{POD}}}}}")
    done = run("doctor", "-f", "-", "-o", "json", stdin=yaml.safe_dump(flink))
    assert [one["code"] for one in json.loads(done.stdout)["findings"]] == []


# --- patches


BASE = {
    "serviceAccountName": "web",
    "volumes": [{"name": "a", "emptyDir": {}}, {"name": "t", "projected": {"sources": [{"x": 1}]}}],
    "containers": [
        {
            "name": "app",
            "image": "busybox:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "t", "mountPath": "/t"}],
        },
        {"name": "side", "image": "busybox:1"},
    ],
}

PATCHES: list[dict[str, Any]] = [
    {"automountServiceAccountToken": True},
    {"serviceAccountName": None},
    {"securityContext": {"fsGroup": 2000}},
    {"containers": [{"name": "app", "volumeMounts": [{"mountPath": "/a", "$patch": "delete"}]}]},
    {"containers": [{"name": "app", "env": [{"name": "B", "$patch": "delete"}]}]},
    {"containers": [{"name": "side", "volumeMounts": [{"name": "t", "mountPath": "/t"}]}]},
    {"volumes": [{"name": "t", "projected": {"sources": [{"y": 2}, {"z": 3}]}}]},
    {"volumes": [{"name": "a", "$patch": "delete"}, {"name": "n", "secret": {"secretName": "s"}}]},
]


def by_kubectl(patch: dict[str, Any], kind: str, tmp_path: Path) -> Any:
    """What kubectl makes of a pod with the base as its spec."""
    file = tmp_path / "pod.json"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": BASE}
    file.write_text(json.dumps(pod))
    text = json.dumps(patch)
    line = f"kubectl patch --local -f {file} -o json --type={kind} -p {shlex.quote(text)}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    return unordered(json.loads(done.stdout)["spec"])


def unordered(value: Any) -> Any:
    """A pod spec in which the order of what has names does not count, and defaults are gone."""
    if isinstance(value, dict):
        return {
            key: unordered(item)
            for key, item in value.items()
            if item not in ({}, None) and key not in ("resources", "emptyDir", "sources")
        }
    if isinstance(value, list):
        return sorted((unordered(item) for item in value), key=json.dumps)
    return value


@pytest.mark.parametrize("patch", PATCHES, ids=json.dumps)
def test_a_patch_for_a_custom_kind_does_what_the_strategic_one_does(
    patch: dict[str, Any], tmp_path: Path
) -> None:
    expected = by_kubectl({"spec": patch}, "strategic", tmp_path)
    plain = with_whole_lists(BASE, patch)
    assert by_kubectl({"spec": plain}, "merge", tmp_path) == expected
    assert unordered(merged(BASE, patch)) == expected
    json_patch = operations({"spec": BASE}, {"spec": plain}, ())
    assert by_kubectl(json_patch, "json", tmp_path) == expected  # type: ignore[arg-type]


def test_a_patch_in_a_list_makes_what_is_not_there() -> None:
    patch = {"metadata": {"labels": {"a/b": "x"}}, "spec": {"hostUsers": None}}
    assert operations({"spec": {}}, patch, ("spec", "0")) == [
        {"op": "add", "path": "/spec/0/metadata", "value": {"labels": {"a/b": "x"}}}
    ]
    template = {"metadata": {"labels": {"c": "y"}}, "spec": {"hostUsers": True}}
    assert operations(template, patch, ("a/b",)) == [
        {"op": "add", "path": "/a~1b/metadata/labels", "value": {"c": "y", "a/b": "x"}},
        {"op": "remove", "path": "/a~1b/spec/hostUsers"},
    ]


def test_a_path_leads_into_lists() -> None:
    value = {"a": [{"b": 1}]}
    assert step_into(value, ("a", "0", "b")) == 1
    assert step_into(value, ("a", "1", "b")) is None
    assert step_into(value, ("a", "b")) is None


def test_the_owner_of_a_pod_knows_its_template() -> None:
    owner = "apiVersion: ray.io/v1, kind: RayCluster, name: ray, uid: u-ray"
    cluster = world(HEAD_AND_WORKERS + live(owner, "w", "containers: [{name: worker, image: ray}]"))
    found = owner_of(next(cluster.list("Pod", "shop")), cluster)
    assert found is not None
    assert found.template == ("spec", "workers", "0", "template")
    assert found.resource == "raycluster.ray.io"


def test_a_replica_set_that_cannot_be_read_is_that_of_a_deployment_by_its_name() -> None:
    owner = "apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4, uid: u"
    text = live(owner, "web-5d4-x", "containers: [{name: app, image: app}]")
    for label, expected in (("pod-template-hash: 5d4", "deployment"), ("x: y", "replicaset")):
        cluster = world(text.replace("part: worker", label), unseen=("ReplicaSet",))
        found = owner_of(next(cluster.list("Pod", "shop")), cluster)
        assert found is not None
        assert (found.resource, found.object) == (expected, None)
        assert found.name == ("web" if expected == "deployment" else "web-5d4")


VOLCANO = """
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: train, namespace: shop, uid: u-train}
spec:
  tasks:
  - template:
      spec:
        automountServiceAccountToken: false
        containers: [{name: worker, image: x}]
---
"""


def test_a_kind_that_only_has_the_name_of_a_built_in_one_is_custom() -> None:
    report = of_target(VOLCANO, "Job", "train", "batch.volcano.sh/v1alpha1")
    (cause,) = [cause for cause in report.causes if cause.finding.severity != "hint"]
    (command,) = commands(cause.finding)
    assert command.startswith("kubectl -n shop patch job.batch.volcano.sh train --type=json -p ")
    assert report.kinds == (("Job", "batch.volcano.sh/v1alpha1"),)


def test_a_bomb_of_aliases_in_a_custom_kind_does_not_go_off(run: Run) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for upper, lower in zip("bcdefghi", "abcdefgh", strict=True):
        lines.append(f"{upper}: &{upper} [{', '.join(['*' + lower] * 9)}]")
    lines += ["apiVersion: example.com/v1", "kind: Fleet", "metadata: {name: x}"]
    pool = f"pool: {{{POD}, more: *i}}, other: {{{POD}, labels: *i}}"
    done = run("doctor", "-f", "-", stdin="\n".join([*lines, f"spec: {{x: *i, {pool}}}"]))
    assert done.status == 0
    assert "fleet/x" in done.stdout


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: u-deploy}
spec: {template: {spec: {containers: [{name: app, image: app}]}}}
---
"""


@pytest.mark.parametrize(
    ("workload", "kind", "api", "command"),
    [
        (
            DEPLOYMENT,
            "Deployment",
            "apps/v1",
            "kubectl -n shop rollout restart deployment/web",
        ),
        (ROLLOUT, "Rollout", "argoproj.io/v1alpha1", "kubectl -n shop delete pod web-1-a"),
    ],
)
def test_a_template_that_was_mended_since_needs_no_patch(
    workload: str, kind: str, api: str, command: str
) -> None:
    uid = "u-deploy" if kind == "Deployment" else "u-web"
    between = BETWEEN.replace("argoproj.io/v1alpha1", api).replace("Rollout", kind)
    between = between.replace("uid: u-web,", f"uid: {uid},")
    below = "apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: u-web-1"
    report = of_target(workload + between + live(below, "web-1-a", HIDDEN), kind, "web", api)
    (cause,) = [cause for cause in report.causes if cause.finding.severity == "error"]
    assert cause.finding.fix is not None
    assert cause.finding.fix.summary.endswith(": the template says so already")
    assert commands(cause.finding) == (command,)
