"""migrate against a real API server: each kind of consumer, in one cluster that has them all.

The pods get ready without a node (tests/migrating.py). Everything is migrated in one run; what must
be held back is held back beside what is not.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml

from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.migrating import pods_run
from tests.scenarios import SLEEP, Stage, template

SCHEMA = json.loads((ROOT / "docs" / "migration.schema.json").read_text())
INVALID = "kubernetes.io/legacy-token-invalid-since"
USED = "kubernetes.io/legacy-token-last-used"
RETIRED, HELD, LEFT = "retired", "held", "left"

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: robots.migrate.example.org}
spec:
  group: migrate.example.org
  scope: Namespaced
  names: {plural: robots, singular: robot, kind: Robot}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


class Fixture(NamedTuple):
    """A token Secret called as the fixture, and what uses it.

    ``secret`` is added to the Secret's metadata, ``manifest`` are the consumers, ``users`` as
    migrate names them. ``outcome`` is what becomes of it, ``why`` (a pattern) what holds it back,
    and ``after`` shell lines that run before migrate looks.
    """

    name: str
    manifest: str
    users: tuple[str, ...]
    outcome: str = RETIRED
    why: str = ""
    secret: str = ""
    events: tuple[str, ...] = ()


def mounting(secret: str, more: str = "", mount: str = "", path: str = "/creds") -> str:
    """A pod spec whose container mounts a Secret."""
    container = SLEEP.replace(
        "{name: app,", f"{{name: app, volumeMounts: [{{name: t, mountPath: {path}{mount}}}],"
    )
    return (
        f"serviceAccountName: web, containers: [{container}], "
        f"volumes: [{{name: t, secret: {{secretName: {secret}{more}}}}}]"
    )


def with_env(env: str) -> str:
    """A pod spec whose container has variables."""
    container = SLEEP.replace("{name: app,", f"{{name: app, {env},")
    return f"serviceAccountName: web, containers: [{container}]"


def key(secret: str, name: str) -> str:
    """A variable from a key of a Secret."""
    return f"{{name: V, valueFrom: {{secretKeyRef: {{name: {secret}, key: {name}}}}}}}"


def labelled(manifest: str, kind: str, entry: str) -> str:
    """A manifest with a label or an annotation at its top."""
    return re.sub(
        r"metadata: \{name: (\S+?)\}",
        rf"metadata: {{name: \1, {kind}: {{{entry}}}}}",
        manifest,
        count=1,
    )


NAME = "downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}"
SOURCES = f"[{{secret: {{name: projected, items: [{{key: token, path: jwt}}]}}}}, {{{NAME}}}]"
PROJECTED = mounting("projected").replace(
    "secret: {secretName: projected}", f"projected: {{defaultMode: 256, sources: {SOURCES}}}"
)
ROBOT = """
apiVersion: migrate.example.org/v1
kind: Robot
metadata: {name: NAME}
spec: SPEC
"""


def robot(name: str, spec: str) -> str:
    return ROBOT.replace("NAME", name).replace("SPEC", spec)


FIXTURES = (
    Fixture("volume", template(mounting("volume"), name="volume"), ("deployment/volume",)),
    Fixture(
        "projected",
        template(PROJECTED, kind="StatefulSet", name="projected"),
        ("statefulset/projected",),
    ),
    Fixture(
        "automount",
        template(
            mounting("automount", path="/var/run/secrets/kubernetes.io/serviceaccount"),
            name="automount",
        ),
        ("deployment/automount",),
    ),
    Fixture(
        "env-other",
        template(with_env(f"env: [{key('env-other', 'namespace')}]"), name="env-other"),
        ("deployment/env-other",),
    ),
    Fixture(
        "env-token",
        template(with_env(f"env: [{key('env-token', 'token')}]"), name="env-token"),
        ("deployment/env-token", "deployment/two"),
        HELD,
        "env V of app: a variable never changes.*let the application read the file",
    ),
    Fixture(
        "env-from",
        template(with_env("envFrom: [{secretRef: {name: env-from}}]"), name="env-from"),
        ("deployment/env-from",),
        HELD,
        "envFrom of app: all keys become variables",
    ),
    Fixture(
        "pulls",
        template(f"imagePullSecrets: [{{name: pulls}}], {with_env('env: []')}", name="pulls"),
        ("deployment/pulls",),
    ),
    Fixture(
        "mixed",
        template(
            mounting("mixed").replace(
                "{name: app,", f"{{name: app, env: [{key('mixed', 'token')}],", 1
            ),
            name="mixed",
        ),
        ("deployment/mixed",),
        HELD,
        "env V of app",
    ),
    Fixture(
        "two",
        template(
            mounting("two").replace(
                "{name: app,", f"{{name: app, env: [{key('env-token', 'token')}],", 1
            ),
            name="two",
        ),
        ("deployment/two",),
    ),
    Fixture(
        "shared",
        "---".join(
            template(mounting("shared"), kind=kind, name=f"shared-{number}")
            for number, kind in enumerate(("Deployment", "StatefulSet", "CronJob", "DaemonSet"))
        ),
        ("cronjob/shared-2", "daemonset/shared-3", "deployment/shared-0", "statefulset/shared-1"),
    ),
    Fixture(
        "zero",
        template(mounting("zero"), name="zero").replace("replicas: 1", "replicas: 0"),
        ("deployment/zero",),
    ),
    Fixture("cron", template(mounting("cron"), kind="CronJob", name="cron"), ("cronjob/cron",)),
    Fixture(
        "outside",
        "",
        (),
        HELD,
        "nothing in the cluster uses it, yet it was used on .*mint web --renew",
        events=(
            "TOKEN=$(kubectl -n $NS get secret outside -o jsonpath='{.data.token}' | base64 -d); "
            'kubectl --token="$TOKEN" --kubeconfig=$WORK/bare auth whoami',
            f"kubectl -n $NS get secret outside -o yaml | grep -q {USED}",
        ),
    ),
    Fixture("nobody", "", ()),
    Fixture(
        "argo",
        labelled(
            template(mounting("argo"), name="argo"),
            "annotations",
            "argocd.argoproj.io/tracking-id: 'shop:apps/Deployment:shop/argo'",
        ),
        ("deployment/argo",),
        HELD,
        "Argo CD keeps it: change the manifest in git",
    ),
    Fixture(
        "helm",
        labelled(
            template(mounting("helm"), name="helm"),
            "annotations",
            "meta.helm.sh/release-name: shop",
        ),
        ("deployment/helm",),
        HELD,
        r"Helm \(release shop\) keeps it: change the chart or its values",
    ),
    Fixture(
        # a chart makes the account as well, and has nothing to do with what is listed in it
        "charted",
        "",
        (),
        events=(
            "kubectl -n $NS apply --server-side --field-manager=helm -f - <<'EOF'\n"
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: charted, labels: "
            "{app.kubernetes.io/managed-by: Helm}}\nEOF",
            """kubectl -n $NS patch sa charted -p '{"secrets":[{"name":"charted"}]}'""",
        ),
    ),
    Fixture(
        "flux",
        labelled(
            template(mounting("flux"), name="flux"),
            "labels",
            "kustomize.toolkit.fluxcd.io/name: apps",
        ),
        ("deployment/flux",),
        HELD,
        r"Flux \(Kustomization apps\) keeps it",
    ),
    Fixture(
        "operated",
        # an operator that owns nothing, and writes the template
        "",
        ("deployment/operated",),
        HELD,
        "shop-operator keeps it: change what shop-operator makes it from",
        events=(
            "kubectl -n $NS apply --server-side --field-manager=shop-operator -f - <<'EOF'\n"
            f"{template(mounting('operated'), name='operated')}EOF",
        ),
    ),
    Fixture(
        "openshift",
        template(mounting("openshift"), name="openshift"),
        ("deployment/openshift",),
        LEFT,
        "OpenShift's internal registry",
        secret="openshift.io/token-secret.name: x",
    ),
    Fixture(
        "odd-label",
        template(mounting("odd-label"), name="odd-label"),
        ("deployment/odd-label",),
        "marked",
        f"its label {USED} is no date: last-week",
        events=(f"kubectl -n $NS label secret odd-label {USED}=last-week",),
    ),
    Fixture(
        "cleaner",
        template(mounting("cleaner"), name="cleaner"),
        ("deployment/cleaner",),
        events=(f"kubectl -n $NS label secret cleaner {INVALID}=2026-01-02 {USED}=2025-01-01",),
    ),
    Fixture(
        "sub-path",
        template(mounting("sub-path", mount="/jwt, subPath: token"), name="sub-path"),
        ("deployment/sub-path",),
        HELD,
        "mounts it by subPath, where a token is never renewed",
    ),
    Fixture(
        "other-account",
        template(
            mounting("other-account").replace(
                "serviceAccountName: web", "serviceAccountName: default"
            ),
            name="other-account",
        ),
        ("deployment/other-account",),
        HELD,
        "the token is of serviceaccount web, and the pods run as default",
    ),
    Fixture(
        "alone",
        template(mounting("alone"), kind="Pod", name="alone"),
        ("pod/alone",),
        HELD,
        "a pod cannot be changed, and nothing would make it anew",
    ),
    Fixture(
        "job",
        template(mounting("job"), kind="Job", name="job"),
        ("job/job",),
        HELD,
        "the template of a Job cannot be changed",
    ),
    Fixture(
        "robot",
        robot("robot", f"{{template: {{spec: {{{mounting('robot')}}}}}}}"),
        ("robot.migrate.example.org/robot",),
    ),
    Fixture(
        "named",
        robot("named", "{credentials: {secretName: named}}"),
        ("robot.migrate.example.org/named",),
        HELD,
        "a custom resource names it; change it at spec.credentials",
    ),
    Fixture(
        "refused",
        template(mounting("refused"), name="refused"),
        ("deployment/refused",),
        HELD,
        "no changes on Fridays",
    ),
)
BY_NAME = {one.name: one for one in FIXTURES}

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: fridays-NS}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}
  validations:
  - expression: object.metadata.name != 'refused' || object.spec == oldObject.spec
    message: no changes on Fridays
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: fridays-NS}
spec: {policyName: fridays-NS, validationActions: [Deny]}
"""


def secret_of(name: str, annotations: str = "") -> str:
    more = f", {annotations}" if annotations else ""
    return f"""
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: {name}
  annotations: {{kubernetes.io/service-account.name: web{more}}}
"""


class Town(NamedTuple):
    """The namespace with all fixtures, before and after they were migrated."""

    stage: Stage
    plan: Any
    text: str
    applied: "subprocess.CompletedProcess[str]"
    secrets: dict[str, Any]
    again: Any


def migrate(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["kubectl-satoken", "migrate", "-n", stage.namespace, *words],
        env=stage.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def town(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    stage = Stage(cluster, tmp_path_factory.mktemp("migrate"))
    stage.open()
    bare = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    bare["users"] = [{"name": one["name"], "user": {}} for one in bare["users"]]
    (Path(stage.environ["WORK"]) / "bare").write_text(yaml.safe_dump(bare))
    stage.kubectl("apply", "-f", "-", stdin=f"{CRD}---{POLICY.replace('NS', stage.namespace)}")
    stage.until("kubectl get robots.migrate.example.org")
    listed = ", ".join(f"{{name: {name}}}" for name in ("volume", "cleaner", "env-token"))
    account = (
        f"\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web}}\nsecrets: [{listed}]\n"
        "imagePullSecrets: [{name: pulls}, {name: registry}]\n"
    )
    secrets = [secret_of(one.name, one.secret) for one in FIXTURES]
    manifests = [one.manifest for one in FIXTURES if one.manifest]
    create(stage, "---".join([account, *secrets]))
    for one in FIXTURES:
        stage.until(f"kubectl -n $NS get secret {one.name} -o yaml | grep -q token:")
    create(stage, "---".join(manifests))
    for one in FIXTURES:
        for line in one.events:
            stage.until(line)
    try:
        with pods_run(stage):
            for name in ("volume", "mixed", "refused", "operated"):
                stage.until(f"kubectl -n $NS rollout status deployment {name} --timeout=2s")
            stage.until("kubectl -n $NS rollout status statefulset shared-1 --timeout=2s")
            plan = migrate(stage, "--grace=1s", "-o", "json")
            assert plan.stderr == ""
            text = migrate(stage, "--grace=1s")
            applied = migrate(stage, "--grace=1s", "--apply", "--yes", "--timeout=60s")
            again = migrate(stage, "--grace=1s", "-o", "json")
        found = {one["metadata"]["name"]: one for one in stage.get("secrets")["items"]}
        yield Town(
            stage, json.loads(plan.stdout), text.stdout, applied, found, json.loads(again.stdout)
        )
    finally:
        name = f"fridays-{stage.namespace}"
        stage.shell(
            f"kubectl delete validatingadmissionpolicy,validatingadmissionpolicybinding {name}"
        )
        stage.close()


def create(stage: Stage, text: str) -> None:
    # not by kubectl apply, which would leave copies of the manifests
    stage.kubectl("-n", stage.namespace, "create", "-f", "-", stdin=text)


def uses(item: Any, secret: str) -> bool:
    """Whether a workload refers to a Secret anywhere in its spec."""
    text = json.dumps(item["spec"], sort_keys=True)
    ways = (
        rf'"secretName": "{secret}"',
        rf'"(secret|secretRef)": \{{[^}}]*"name": "{secret}"',
        rf'"secretKeyRef": \{{[^}}]*"name": "{secret}"',
        rf'"imagePullSecrets": \[[^]]*"{secret}"',
    )
    return any(re.search(way, text) for way in ways)


def about(plan: Any, name: str) -> Any:
    """A Secret in a plan."""
    return next(one for one in plan["secrets"] if one["name"] == name)


def steps(plan: Any, name: str) -> Any:
    """The steps for a Secret."""
    return [one for one in plan["steps"] if name in one["secrets"]]


@pytest.mark.parametrize("name", BY_NAME)
def test_the_inventory_names_all_that_use_a_secret(name: str, town: Town) -> None:
    found = about(town.plan, name)["usedBy"]
    names = []
    for one in found:
        group = one["apiVersion"].rpartition("/")[0]
        kind = one["kind"].lower() + (f".{group}" if "example" in group else "")
        if one["current"]:
            names.append(f"{kind}/{one['name']}")
    assert tuple(names) == BY_NAME[name].users


@pytest.mark.parametrize("name", [one.name for one in FIXTURES if one.outcome == RETIRED])
def test_what_can_be_migrated_is_and_its_secret_is_retired(name: str, town: Town) -> None:
    assert not any(step["blocked"] for step in steps(town.plan, name))
    assert name not in town.secrets, town.applied.stdout
    for user in BY_NAME[name].users:
        assert not uses(town.stage.get(user), name)


@pytest.mark.parametrize("name", [one.name for one in FIXTURES if one.outcome == HELD])
def test_what_needs_a_person_is_told_and_its_secret_is_as_it_was(name: str, town: Town) -> None:
    one = BY_NAME[name]
    if name != "refused":  # what only a dry run tells
        [held, *_] = [step for step in steps(town.plan, name) if step["action"] == "invalidate"]
        assert re.search(one.why, " ".join(held["blocked"]))
    assert re.search(one.why, " ".join(town.applied.stdout.split()))
    assert INVALID not in town.secrets[name]["metadata"].get("labels", {})
    for user in one.users:
        item = town.stage.get(user)
        assert uses(item, name)
        if user == "deployment/two":
            continue
        assert "satoken/migrated" not in item["metadata"].get("annotations", {})


def test_of_two_secrets_of_one_workload_one_can_go_and_the_other_stay(town: Town) -> None:
    spec = town.stage.get("deployment/mixed")["spec"]["template"]["spec"]
    assert "secret" in spec["volumes"][0]
    spec = town.stage.get("deployment/two")["spec"]["template"]["spec"]
    assert "projected" in spec["volumes"][0]
    assert spec["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "env-token"


def test_what_belongs_to_openshift_is_left_alone(town: Town) -> None:
    [left] = [one for one in town.plan["left"] if one["name"] == "openshift"]
    assert "OpenShift's internal registry" in left["why"]
    assert not steps(town.plan, "openshift")
    assert uses(town.stage.get("deployment/openshift"), "openshift")
    assert "openshift" in town.secrets


def test_a_label_that_is_no_date_keeps_a_secret_from_being_deleted(town: Town) -> None:
    assert INVALID in town.secrets["odd-label"]["metadata"]["labels"]
    [last] = [one for one in steps(town.plan, "odd-label") if one["action"] == "delete"]
    assert last["blocked"] == [BY_NAME["odd-label"].why]


def test_the_account_names_only_what_is_still_there(town: Town) -> None:
    account = town.stage.get("serviceaccount/web")
    assert account["secrets"] == [{"name": "env-token"}]
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_files_and_modes_are_as_they_were(town: Town) -> None:
    [volume] = town.stage.get("statefulset/projected")["spec"]["template"]["spec"]["volumes"]
    assert volume["projected"]["defaultMode"] == 256
    first, second = volume["projected"]["sources"]
    assert first == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "jwt"}}
    assert second["downwardAPI"]["items"][0]["path"] == "name"
    spec = town.stage.get("deployment/automount")["spec"]["template"]["spec"]
    assert "volumes" not in spec


def test_the_plan_is_as_its_schema_says(town: Town) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(town.plan)
    jsonschema.Draft202012Validator(SCHEMA).validate(town.again)


def test_after_it_nothing_is_left_to_do_but_for_a_person(town: Town) -> None:
    assert town.applied.returncode == 1, town.applied.stderr
    assert town.applied.stderr == ""
    open_steps = [step for step in town.again["steps"] if not step["blocked"]]
    # what only a dry run tells, and follows
    assert {name for step in open_steps for name in step["secrets"]} == {"refused"}


def test_no_output_holds_a_token(town: Town) -> None:
    for text in (town.text, town.applied.stdout, json.dumps(town.plan)):
        assert "eyJ" not in text
    for path in Path(town.stage.environ["HOME"]).rglob("*.jsonl"):
        assert "eyJ" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600


# --- one by one -----------------------------------------------------------------------------------


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


WEB = "\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n"


def set_out(stage: Stage, *manifests: str, secrets: tuple[str, ...] = ("web-token",)) -> None:
    """Makes the account web with its token Secrets, and then the rest."""
    create(stage, "---".join([WEB, *map(secret_of, secrets)]))
    for name in secrets:
        stage.until(f"kubectl -n $NS get secret {name} -o yaml | grep -q token:")
    if manifests:
        create(stage, "---".join(manifests))


def apply(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    """Migrates all, without waiting for days."""
    return migrate(stage, "--grace=0s", "--apply", "--yes", "--timeout=60s", *words)


def is_there(stage: Stage, name: str = "web-token") -> bool:
    return stage.shell(f"kubectl -n $NS get secret {name}", check=False).returncode == 0


@pytest.mark.parametrize("kind", ["Pod", "Job"])
def test_the_commands_for_what_cannot_be_changed_replace_it(kind: str, stage: Stage) -> None:
    set_out(stage, template(mounting("web-token"), kind=kind))
    with pods_run(stage):
        plan = json.loads(migrate(stage, "-o", "json").stdout)
        [step] = [one for one in plan["steps"] if one["action"] == "patch"]
        text = migrate(stage).stdout
        for command in step["byHand"]:
            for line in command.splitlines():
                assert line.strip() in text
            stage.shell(command)
        assert not uses(stage.get(f"{kind.lower()}/web"), "web-token")
        done = apply(stage)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_there(stage)


@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController"])
def test_pods_that_do_not_follow_their_template_are_replaced_by_hand(
    kind: str, stage: Stage
) -> None:
    set_out(stage, template(mounting("web-token"), kind=kind))
    stage.until("kubectl -n $NS get pods -o name | grep -q pod/")
    with pods_run(stage):
        resource = f"{kind.lower()}/web"
        ready = "jsonpath={.status.readyReplicas}=1"
        stage.until(f"kubectl -n $NS wait {resource} --for={ready} --timeout=2s")
        held = apply(stage)
        assert held.returncode == 1, held.stderr
        command = "kubectl -n $NS delete pod -l app=web".replace("$NS", stage.namespace)
        assert f"its pods are replaced by hand: {command}" in held.stdout
        assert is_there(stage)
        stage.shell(command)
        stage.until(f"kubectl -n $NS wait {resource} --for={ready} --timeout=2s")
        done = apply(stage)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_there(stage)


def test_an_account_that_was_made_anew_takes_its_users_along(stage: Stage) -> None:
    # a finalizer keeps the Secret that the token controller deletes
    set_out(stage, template(mounting("web-token")))
    stage.shell(
        "kubectl -n $NS patch secret web-token --type=merge "
        """-p '{"metadata":{"finalizers":["example.org/keep"]}}'"""
    )
    with pods_run(stage):
        stage.until("kubectl -n $NS rollout status deployment/web --timeout=2s")
        stage.shell("kubectl -n $NS delete serviceaccount web")
        stage.until("kubectl -n $NS get secret web-token -o yaml | grep -q deletionTimestamp")
        create(stage, WEB)
        done = apply(stage)
    stage.shell(
        "kubectl -n $NS patch secret web-token --type=merge "
        """-p '{"metadata":{"finalizers":null}}'"""
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left alone  secret/web-token: it is being deleted" in done.stdout
    assert not uses(stage.get("deployment/web"), "web-token")


def test_the_patches_of_o_yaml_do_what_apply_does(stage: Stage) -> None:
    specs = {
        "one": mounting("web-token", ", defaultMode: 0400"),
        "two": mounting("web-token", path="/var/run/secrets/kubernetes.io/serviceaccount"),
        "three": f"imagePullSecrets: [{{name: web-token}}, {{name: x}}], {with_env('env: []')}",
        "four": with_env(f"env: [{{name: A, value: b}}, {key('web-token', 'ca.crt')}]"),
        "five": PROJECTED.replace("projected, items", "web-token, items"),
    }
    manifests = [template(spec, name=name) for name, spec in specs.items()]
    zero = [one.replace("replicas: 1", "replicas: 0") for one in manifests]
    set_out(stage, *zero, template(mounting("web-token"), kind="CronJob", name="six"))
    names = [f"deployment/{name}" for name in specs] + ["cronjob/six"]
    patches = list(yaml.safe_load_all(migrate(stage, "-o", "yaml").stdout))
    assert len(patches) == len(names)
    before = {name: stage.get(name)["spec"] for name in names}
    for patch in patches:
        file = Path(stage.environ["WORK"]) / "patch.yaml"
        file.write_text(yaml.safe_dump(patch))
        name = f"{patch['kind'].lower()}/{patch['metadata']['name']}"
        stage.shell(f"kubectl -n $NS patch {name} --patch-file={file}")
    patched = {name: stage.get(name)["spec"] for name in names}
    assert not any(uses({"spec": spec}, "web-token") for spec in patched.values())
    for name, spec in before.items():
        body = json.dumps({"spec": spec})
        stage.shell(f"kubectl -n $NS patch {name} --type=merge -p '{body}'")
    assert {name: stage.get(name)["spec"] for name in names} == before
    for name in names[:-1]:
        stage.until(f"kubectl -n $NS rollout status {name} --timeout=2s")
    done = apply(stage, "--stage=patch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: stage.get(name)["spec"] for name in names} == patched


def test_whose_tokens_can_be_said(stage: Stage) -> None:
    set_out(
        stage,
        template(mounting("a")).replace("replicas: 1", "replicas: 0"),
        template(mounting("a"), kind="StatefulSet", name="db"),
        "\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\n",
        template(f"containers: [{SLEEP}]", name="none").replace("replicas: 1", "replicas: 0"),
        secrets=("a", "b"),
    )
    stage.shell("kubectl -n $NS label secret b team=red")

    def names(*words: str) -> list[str]:
        done = migrate(stage, "-o", "json", *words)
        assert done.returncode == 0, done.stderr
        return [one["name"] for one in json.loads(done.stdout)["secrets"]]

    def changed(*words: str) -> list[str]:
        done = migrate(stage, "-o", "json", *words)
        return [
            f"{one['action']} {one['object']['name']}"
            for one in json.loads(done.stdout)["steps"]
            if not one["blocked"] and one["action"] not in ("wait", "delete")
        ]

    assert changed("deploy/web") == ["patch web", "rollout web", "verify web"]
    assert changed("sts/db") == ["patch db", "rollout db", "verify db"]
    everything = ["patch web", "rollout web", "verify web", "patch db", "rollout db", "verify db"]
    assert changed("secret/a") == changed("deploy/web", "sts/db") == [*everything, "invalidate a"]

    assert names() == names("sa/web") == names("secret", "a", "b") == ["a", "b"]
    assert names("deploy/web") == ["a"]
    assert names("secret/b") == names("-l", "team=red") == ["b"]
    assert names("-l", "team=blue") == names("sa/default") == []
    for words, status, error in (
        (("secret/login",), 2, "error: secret/login is no token Secret, but of type Opaque"),
        (("deploy/none",), 2, "error: deployment/none uses no Secret"),
        (
            ("-l", "a in (b"),
            2,
            "error: the label selector is wrong: unable to parse requirement: "
            "found '', expected: ',' or ')'",
        ),
        (("secret/gone",), 3, 'error: secrets "gone" not found'),
        (("deploy/gone",), 3, 'error: deployments.apps "gone" not found'),
        (("zeppelin/x",), 2, 'error: the server doesn\'t have a resource type "zeppelin"'),
    ):
        done = migrate(stage, *words)
        assert (done.returncode, done.stdout) == (status, ""), words
        assert done.stderr.splitlines()[0] == error
    empty = migrate(stage, "-l", "team=blue")
    assert empty.stderr == f"No legacy token Secrets found in {stage.namespace} namespace.\n"


def test_all_namespaces_at_once(cluster: Cluster, stage: Stage, tmp_path: Path) -> None:
    other = Stage(cluster, tmp_path)
    other.open()
    try:
        for one in (stage, other):
            set_out(one, template(mounting("web-token")).replace("replicas: 1", "replicas: 0"))
            one.shell(f"kubectl -n $NS label secret web-token town={stage.namespace}")
        ours = ("-A", "-l", f"town={stage.namespace}")
        text = stage.satoken("migrate", *ours).stdout
        for one in (stage, other):
            assert re.search(rf"^{one.namespace} +web-token +web ", text, re.MULTILINE)
            assert f"patch deployment/web -n {one.namespace}:" in text
        done = stage.satoken("migrate", *ours, "--stage=patch", "--apply", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        for one in (stage, other):
            assert not uses(one.get("deployment/web"), "web-token")
        asked = stage.satoken("migrate", "-A", "--undo")
        assert f"to take back: patch deployment/web -n {stage.namespace}\n" in asked.stdout
        for one in (stage, other):
            back = migrate(one, "--undo", "--yes", "-o", "json")
            assert back.returncode == 0, back.stderr
            jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(back.stdout))
            assert uses(one.get("deployment/web"), "web-token")
    finally:
        other.close()


def test_who_waits_at_a_terminal_sees_how_far_it_has_come(stage: Stage) -> None:
    set_out(stage, template(mounting("web-token")).replace("replicas: 1", "replicas: 0"))
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            ["kubectl-satoken", "migrate", "-A"],
            env={**stage.environ, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        said = terminal.read(4096).decode()
    assert re.match(r"\r\x1b\[Ktoken Secrets: 1 looked at", said)
    assert said.endswith("\r\x1b[K"), "and nothing of it is left"
    assert "deployment/web" in done.stdout
    assert "\x1b" not in done.stdout
    assert migrate(stage).stderr == ""


ISSUERS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: issuers.GROUP, annotations: {cert-manager.io/inject-ca-from-secret: NS/hooked}}
spec:
  group: GROUP
  scope: Cluster
  names: {plural: issuers, singular: issuer, kind: Issuer}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
HOOKS = "---".join(
    f"""
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{name: NS, annotations: {{cert-manager.io/inject-ca-from-secret: NS/hooked}}}}
"""
    for kind in ("Mutating", "Validating")
)
ISSUER = """
apiVersion: GROUP/v1
kind: Issuer
metadata: {name: NS}
spec: {vault: {auth: {kubernetes: {secretRef: {name: issuing, key: token}}}}}
"""


def test_what_is_in_no_namespace_may_name_a_secret(cluster: Cluster, stage: Stage) -> None:
    """Webhooks by an annotation, custom resources by a field; for others it is said."""
    set_out(stage, secrets=("hooked", "issuing", "free"))
    group = f"{stage.namespace}.example.org"

    def filled(text: str) -> str:
        return text.replace("GROUP", group).replace("NS", stage.namespace)

    create(stage, filled(f"{ISSUERS}---{HOOKS}"))
    try:
        stage.until(f"kubectl get issuers.{group}")
        create(stage, filled(ISSUER))
        plan = json.loads(migrate(stage, "-o", "json").stdout)
        users = {
            name: sorted((one["kind"], one["name"]) for one in about(plan, name)["usedBy"])
            for name in ("hooked", "issuing", "free")
        }
        assert users == {
            "hooked": [
                ("CustomResourceDefinition", f"issuers.{group}"),
                ("MutatingWebhookConfiguration", stage.namespace),
                ("ValidatingWebhookConfiguration", stage.namespace),
            ],
            "issuing": [("Issuer", stage.namespace)],
            "free": [],
        }
        done = apply(stage)
        assert done.returncode == 1, done.stderr
        assert [is_there(stage, name) for name in users] == [True, True, False]
        said = " ".join(done.stdout.split())
        assert f"issuer.{group}/{stage.namespace}: named at spec.vault.auth.kubernetes" in said
        everywhere = migrate(stage, "-A").stdout
        assert "-n \n" not in everywhere
        # who sees only the namespace is told, and not held up
        create(stage, secret_of("another"))
        stage.until("kubectl -n $NS get secret another -o yaml | grep -q token:")
        user = f"edit-{stage.namespace}"
        for line in (
            "role look --verb=get,list --resource='*.*'",
            f"rolebinding look --role=look --user={user}",
            f"rolebinding edit --clusterrole=edit --user={user}",
        ):
            stage.shell(f"kubectl -n $NS create {line}")
        stage.environ["KUBECONFIG"] = str(cluster.user(user))
        narrow = apply(stage, "secret/another")
        _, _, unseen = narrow.stdout.partition("not seen")
        assert unseen.startswith("  apiservices, customresourcedefinitions, issuers")
        assert narrow.returncode == 0, narrow.stdout + narrow.stderr
        stage.environ["KUBECONFIG"] = str(cluster.kubeconfig)
        assert not is_there(stage, "another")
    finally:
        stage.environ["KUBECONFIG"] = str(cluster.kubeconfig)
        kinds = "validatingwebhookconfiguration,mutatingwebhookconfiguration"
        stage.shell(f"kubectl delete {kinds} $NS; kubectl delete crd issuers.{group}")


def test_the_audit_log_names_who_is_outside(stage: Stage) -> None:
    set_out(stage)
    token = "$(kubectl -n $NS get secret web-token -o jsonpath='{.data.token}' | base64 -d)"
    server, ca = stage.cluster.server, stage.cluster.ca
    curl = f'curl -sf --cacert {ca} -A backup/1.2 -H "Authorization: Bearer {token}"'
    stage.shell(f"{curl} {server}/version")
    log = stage.cluster.audit_log
    stage.until(f"grep -q backup/1.2 {log}")
    done = migrate(stage, "--grace=0s", f"--audit-log={log}")
    assert re.search(r"used +secret/web-token by 127\.0\.0\.1 \(backup/1\.2\)", done.stdout)
    found = json.loads(migrate(stage, f"--audit-log={log}", "-o", "json").stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert [one["agent"] for one in found["auditLog"]["users"]] == ["backup/1.2"]
    assert "eyJ" not in done.stdout


def test_a_secret_of_which_there_are_copies_is_kept(stage: Stage) -> None:
    set_out(stage, secrets=("copied", "other"))
    token = "$(kubectl -n $NS get secret copied -o jsonpath='{.data.token}' | base64 -d)"
    config = f"kubectl --kubeconfig=$WORK/ci config set-credentials ci --token={token}"
    stage.shell(f"{config} && kubectl -n $NS create configmap ci --from-file=config=$WORK/ci")
    stage.shell(f"kubectl -n $NS create secret generic login --from-literal=jwt={token}")
    done = apply(stage, "--copies")
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    for place in ("secret/login", "configmap/ci"):
        key = "jwt" if "secret" in place else "config"
        assert f"{place} in namespace {stage.namespace} has a copy under {key}: give" in said
    assert is_there(stage, "copied")
    assert not is_there(stage, "other")
    assert "eyJ" not in done.stdout
    found = json.loads(migrate(stage, "--copies", "-o", "json").stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert len(about(found, "copied")["copies"]) == 2


def test_who_began_it_takes_back_what_another_finished(stage: Stage) -> None:
    set_out(stage, template(mounting("web-token")).replace("replicas: 1", "replicas: 0"))
    before = stage.get("deployment/web")["spec"]
    home = stage.environ["HOME"]
    for name, words in (("jane", ("--stage=patch",)), ("john", ())):
        stage.environ["HOME"] = f"{home}/{name}"
        done = apply(stage, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not is_there(stage)
    # her journal knows nothing of the Secret's end
    stage.environ["HOME"] = f"{home}/jane"
    back = migrate(stage, "deploy/web", "--undo", "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert stage.get("deployment/web")["spec"] == before
    assert is_there(stage)
