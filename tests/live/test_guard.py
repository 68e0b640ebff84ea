"""The policies of --guard on a real API server: what they refuse, and what they let pass."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.scenarios import TOKEN_SECRET, Stage, applied, service_account, template

NEW = TOKEN_SECRET.replace("web-token", "new-token")
MESSAGE = "never expires"

CONTAINER = "name: app, image: 'busybox:1'"
INIT = f"initContainers: [{{{CONTAINER.replace('app', 'init')}, FROM}}]"
REFERENCE = "env: [{name: T, valueFrom: {secretKeyRef: {name: SECRET, key: token}}}]"

# Each way in which a pod can take a Secret, as a pod spec without braces.
USES = {
    "volume": f"containers: [{{{CONTAINER}}}], "
    "volumes: [{name: t, secret: {secretName: SECRET}}]",
    "projected": f"containers: [{{{CONTAINER}}}], "
    "volumes: [{name: t, projected: {sources: [{secret: {name: SECRET}}]}}]",
    "env": f"containers: [{{{CONTAINER}, {REFERENCE}}}]",
    "envFrom": f"containers: [{{{CONTAINER}, envFrom: [{{secretRef: {{name: SECRET}}}}]}}]",
    "init container": f"containers: [{{{CONTAINER}}}], {INIT.replace('FROM', REFERENCE)}",
}
NONE = f"containers: [{{{CONTAINER}}}]"
KINDS = (
    *("Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController"),
    *("Job", "CronJob"),
)


def using(how: str, secret: str = "web-token", **options: str) -> str:
    """A workload whose pods take a Secret."""
    return template(USES[how].replace("SECRET", secret), **options)


class Guarded:
    """A namespace with a token Secret from before, and what --guard prints for one mode."""

    def __init__(self, stage: Stage, mode: str) -> None:
        self.stage = stage
        done = stage.satoken("migrate", f"--guard={mode}")
        assert (done.returncode, done.stderr) == (0, "")
        self.text = done.stdout
        self.pods = "pods" in mode

    def printed(self, word: str) -> str:
        """The command that the comments give after a word."""
        found = re.search(rf"^#   {word} +(.*)$", self.text, re.M)
        assert found
        return found[1]

    def open(self) -> None:
        """Applies it as it was printed, and waits until it is in force."""
        self.stage.shell(self.printed("apply"))
        self.await_word(NEW, MESSAGE)
        if self.pods:
            self.await_word(using("volume"), MESSAGE)

    def close(self) -> None:
        """Takes it away as it was printed, and waits until it is."""
        self.stage.shell(self.printed("remove"))
        assert not self.stage.shell("kubectl get validatingadmissionpolicies -o name").stdout
        self.stage.until(f"! {{ {self.create(NEW)} 2>&1 | grep -q '{MESSAGE}'; }}")

    def create(self, manifest: str, *words: str) -> str:
        """A shell line that creates objects, all but for storing them."""
        path = Path(self.stage.environ["WORK"]) / f"{abs(hash(manifest))}.yaml"
        path.write_text(manifest)
        return " ".join(("kubectl -n $NS create --dry-run=server -f", str(path), *words))

    def await_word(self, manifest: str, word: str) -> None:
        self.stage.until(f"{self.create(manifest)} 2>&1 | grep -q '{word}'")

    def says(self, line: str) -> str:
        """What a shell line that must succeed says on stderr."""
        return self.stage.shell(line).stderr

    def refuses(self, line: str) -> str:
        """What a shell line says that the API server must refuse for the policy's reason."""
        done = self.stage.shell(line, check=False)
        assert done.returncode, f"let pass: {line}\n{done.stdout}"
        assert "(Forbidden)" in done.stderr
        assert MESSAGE in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("guard"))
    stage.open()
    stage.shell(applied(service_account() + "---" + TOKEN_SECRET))
    stage.shell(applied(using("volume", name="before")))
    stage.until("kubectl -n $NS get pod -l app=before -o name | grep -q pod/")
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def denied(stage: Stage) -> Iterator[Guarded]:
    yield from in_force(stage, "deny,pods")


def in_force(stage: Stage, mode: str) -> Iterator[Guarded]:
    guarded = Guarded(stage, mode)
    guarded.open()
    yield guarded
    guarded.close()


def test_the_first_stage_warns_and_lets_pass(stage: Stage) -> None:
    for guarded in in_force(stage, "warn,pods"):
        for manifest in (NEW, using("volume"), using("env", kind="CronJob")):
            warning = guarded.says(guarded.create(manifest))
            assert warning.startswith("Warning: Validation failed for ValidatingAdmissionPolicy")
            assert MESSAGE in warning
        assert guarded.says(guarded.create(template(NONE))) == ""
        # and the second stage is what it prints to go on with
        stage.shell(guarded.printed("next"))
        for manifest in (NEW, using("volume")):
            guarded.await_word(manifest, "Forbidden")
            guarded.refuses(guarded.create(manifest))


def test_the_api_server_finds_no_fault_with_the_expressions(denied: Guarded) -> None:
    listed = denied.stage.kubectl(
        "get",
        "validatingadmissionpolicies",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.status.typeChecking}{'\\n'}{end}",
    )
    assert listed.splitlines() == [
        "no-new-legacy-token-secrets {}",
        "no-new-use-of-legacy-tokens {}",
    ]


def test_a_new_token_secret_is_refused_and_what_is_said_instead_works(denied: Guarded) -> None:
    said = denied.refuses(denied.create(NEW))
    stage = denied.stage
    [mint] = re.findall(r"(kubectl satoken mint \S+ -n \S+)\.", said)
    assert stage.shell(mint).stdout.startswith("eyJ")
    [label] = re.findall(r"(kubectl label namespace \S+ \S+)$", said.strip())
    try:
        stage.shell(label)
        stage.until(denied.create(NEW))
        stage.until(denied.create(using("volume")))
    finally:
        key = label.split()[-1].partition("=")[0]
        stage.shell(f"kubectl label namespace $NS {key}-")
        denied.await_word(NEW, MESSAGE)
        denied.await_word(using("volume"), MESSAGE)


def test_other_secrets_and_those_that_are_there_are_let_pass(denied: Guarded) -> None:
    opaque = NEW.replace("kubernetes.io/service-account-token", "Opaque")
    assert denied.says(denied.create(opaque)) == ""
    for line in (
        "kubectl -n $NS annotate secret web-token a=b",
        "kubectl -n $NS label secret web-token kubernetes.io/legacy-token-invalid-since=2026-11-01",
        "kubectl -n $NS label secret web-token kubernetes.io/legacy-token-invalid-since-",
        applied(TOKEN_SECRET),
    ):
        assert denied.says(line) == ""


def test_openshift_goes_on_to_make_its_own(denied: Guarded) -> None:
    user = "--as=system:serviceaccount:openshift-infra:serviceaccount-pull-secrets-controller"
    assert denied.says(denied.create(NEW, user, "--as-group=system:masters")) == ""
    denied.refuses(denied.create(NEW, "--as=somebody", "--as-group=system:masters"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_begins_with_a_token_secret_is_refused(denied: Guarded, kind: str) -> None:
    for how in USES:
        said = denied.refuses(denied.create(using(how, kind=kind)))
        assert "secret web-token holds" in said
        assert f"kubectl satoken migrate secret/web-token -n {denied.stage.namespace} shows" in said
    assert denied.says(denied.create(template(NONE, kind=kind))) == ""


def test_secrets_of_other_types_are_mounted_as_ever(denied: Guarded) -> None:
    denied.stage.shell("kubectl -n $NS create secret generic login --from-literal=token=x")
    for how in USES:
        assert denied.says(denied.create(using(how, "login"))) == ""
        # nor is one that is not there yet, of which nobody knows the type
        assert denied.says(denied.create(using(how, "later"))) == ""


def test_a_workload_that_is_there_lives_on(denied: Guarded) -> None:
    stage = denied.stage
    for line in (
        "kubectl -n $NS scale deployment before --replicas=2",
        "kubectl -n $NS set image deployment before app=busybox:2",
        "kubectl -n $NS rollout restart deployment before",
    ):
        assert denied.says(line) == ""
    [newest] = {
        one["metadata"]["labels"]["pod-template-hash"]
        for one in stage.get("replicasets", "-l", "app=before", "--sort-by=.metadata.generation")[
            "items"
        ]
        if "restartedAt" in str(one["spec"]["template"])
    } or {""}
    assert newest
    # pods are made anew, by hand and by a rollout
    stage.shell("kubectl -n $NS delete pod -l app=before --wait=false --grace-period=0 --force")
    stage.until(
        f"kubectl -n $NS get pod -l app=before,pod-template-hash={newest} -o name | grep -q pod/"
    )


def test_a_workload_that_is_there_can_drop_the_secret_but_not_begin_with_one(
    denied: Guarded,
) -> None:
    stage = denied.stage
    stage.shell(applied(template(NONE, name="fresh")))
    patch = "kubectl -n $NS patch deployment %s --dry-run=server -p '%s'"
    spec = '{"spec":{"template":{"spec":{"volumes":%s}}}}'
    begin = spec % '[{"name":"t","secret":{"secretName":"web-token"}}]'
    denied.refuses(patch % ("fresh", begin))
    assert denied.says(patch % ("before", spec % "null")) == ""
