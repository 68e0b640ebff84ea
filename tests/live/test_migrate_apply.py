"""migrate --apply and --undo against a real API server: what goes wrong on the way, and who else is
at work at the same time. That runs are killed is for test_migrate_crash.py."""

import json
import random
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.migrating import (
    gate,
    pods_run,
    rolled_out,
    run_through,
    secret,
    set_out,
    state,
    workload,
)
from tests.scenarios import PLACE, Stage

JWT = re.compile(r"eyJ[\w-]{10,}|ZXlK[\w-]{10,}")
APPLY = ("--apply", "--yes", "--grace", "0s")
UNDO = ("--undo", "--yes")
INVALID = "kubernetes.io/legacy-token-invalid-since"
USED = "kubernetes.io/legacy-token-last-used"

# Gives up on a rollout as quickly as the controller can tell.
IMPATIENT = "progressDeadlineSeconds: 4,"


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    stage.close()


def migrate(stage: Stage, *words: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    done = stage.satoken("migrate", "-n", stage.namespace, *words)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert not JWT.search(done.stdout + done.stderr)
    return done


def hint(done: "subprocess.CompletedProcess[str]", which: str) -> str:
    """The command that a stopped run prints, to go on or to go back."""
    found = re.search(rf"to go {which}: (kubectl satoken migrate [^;\n]*)", done.stderr)
    assert found, done.stderr
    return found[1]


def token_secret(stage: Stage) -> Any:
    return stage.get("secret", "web-token")["metadata"]


def legacy(pod: Any) -> bool:
    """Whether a pod mounts a Secret."""
    return any("secret" in volume for volume in pod["spec"].get("volumes") or [])


def versions(stage: Stage) -> Any:
    kinds = "serviceaccounts,secrets,deployments,statefulsets,cronjobs,replicasets,pods"
    return sorted(
        (item["kind"], item["metadata"]["name"], item["metadata"]["resourceVersion"])
        for item in stage.get(kinds)["items"]
    )


def journal(stage: Stage) -> Path:
    (path,) = (Path(stage.environ["HOME"]) / ".local" / "state").rglob("*.jsonl")
    return path


# --- there and back -------------------------------------------------------------------------------


def test_there_and_back_and_there_again(stage: Stage) -> None:
    set_out(
        stage,
        secret(),
        workload(replicas=2),
        workload("db", kind="StatefulSet", replicas=2, place="/creds"),
        workload("zero", replicas=0),
    )
    with pods_run(stage, steady=("web", "db")) as watch:
        rolled_out(stage, "deployment/web", "statefulset/db")
        before = state(stage)
        watch.start()
        done = migrate(stage, "sa/web", *APPLY)
        assert "the API server takes the tokens of 2 pods" in done.stdout
        after = state(stage)
        assert "secrets/web-token" not in after
        assert not any(legacy(pod) for pod in stage.get("pods")["items"])

        versions_before = versions(stage)
        again = stage.satoken("migrate", "-n", stage.namespace, "sa/web", *APPLY)
        assert again.returncode == 0
        assert versions(stage) == versions_before, "a second time nothing is done"

        undone = migrate(stage, "sa/web", *UNDO)
        assert "made anew, with a new token" in undone.stdout
        assert state(stage) == before
        assert "there is nothing to take back" in migrate(stage, "sa/web", *UNDO).stderr
        rolled_out(stage, "deployment/web", "statefulset/db")
        migrate(stage, "sa/web", *APPLY)
        assert state(stage) == after
    assert watch.asked["legacy"]
    assert watch.asked["bound"]
    content = journal(stage).read_text()
    assert not JWT.search(content)
    assert stat.S_IMODE(journal(stage).stat().st_mode) == 0o600


def test_stage_by_stage(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        watch.start()
        migrate(stage, "deploy/web", "--stage", "patch", "--apply", "--yes")
        assert INVALID not in token_secret(stage).get("labels", {})
        assert stage.get("serviceaccount", "web")["secrets"] == [{"name": "web-token"}]
        migrate(stage, "deploy/web", "--stage", "invalidate", "--apply", "--yes")
        assert INVALID in token_secret(stage)["labels"]
        assert "secrets" not in stage.get("serviceaccount", "web")
        waits = migrate(stage, "deploy/web", "--apply", "--yes")
        assert "it is deleted after" in waits.stdout
        assert token_secret(stage)
        migrate(stage, "deploy/web", *UNDO)
        assert state(stage) == before
        watch.stop()
        assert watch.asked["legacy"]


def test_who_tries_to_use_a_marked_token_keeps_it(stage: Stage) -> None:
    set_out(stage, secret())
    value = stage.get("secret", "web-token")["data"]["token"]
    migrate(stage, "secret/web-token", *APPLY, "--stage", "invalidate")
    stage.shell(
        f"kubectl -n $NS annotate --overwrite secret web-token "
        f"satoken/invalid-since=2020-01-01T00:00:00Z && "
        f"kubectl -n $NS label --overwrite secret web-token {INVALID}=2020-01-01"
    )
    # a year of grace is over, but somebody knocks
    token = stage.shell(f"echo {value} | base64 -d").stdout
    stage.shell(
        f"kubectl --kubeconfig=/dev/null --server={stage.cluster.server} "
        f"--certificate-authority={stage.cluster.ca} --token={token} get pods",
        check=False,
    )
    stage.until(f"kubectl -n $NS get secret web-token -o yaml | grep -q {USED}")
    held = migrate(stage, "secret/web-token", "--apply", "--yes")
    assert "it is deleted after" in held.stdout
    assert token_secret(stage)
    stage.shell(f"kubectl -n $NS label secret web-token --overwrite {USED}=2020-01-02")
    migrate(stage, "secret/web-token", "--apply", "--yes")
    assert stage.get("secrets")["items"] == []


# --- what does not get ready ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_rollout_that_does_not_get_ready_is_taken_back(stage: Stage, kind: str) -> None:
    more = IMPATIENT if kind == "Deployment" else ""
    words = () if kind == "Deployment" else ("--timeout", "4s")
    set_out(stage, secret(), workload("good"), workload("web", kind=kind, more=more))
    steady = ("good", "web") if kind == "Deployment" else ("good",)
    whom = f"{kind.lower()}/web"

    def broken(pod: Any) -> bool:
        return not legacy(pod) and pod["metadata"]["labels"]["app"] == "web"

    with pods_run(stage, steady=steady, never=broken) as watch:
        rolled_out(stage, "deployment/good", whom)
        before = state(stage)
        watch.start()
        done = migrate(stage, "sa/web", *APPLY, *words, status=3)
        assert f"{whom} did not get ready without its Secret" in done.stderr
        assert "its template is as it was before, and its pods are ready" in done.stderr
        found = state(stage)
        assert found[f"{kind.lower()}s/web"] == before[f"{kind.lower()}s/web"]
        assert found["serviceaccounts/web"] == before["serviceaccounts/web"]
        assert INVALID not in token_secret(stage).get("labels", {})
        assert "projected" in str(found["deployments/good"]) or not legacy(
            {"spec": found["deployments/good"]["spec"]["template"]["spec"]}
        )
        stage.shell(hint(done, "back"))
        assert state(stage) == before
    assert watch.asked["legacy"]


def test_a_rollout_that_a_quota_holds_up_is_taken_back(stage: Stage) -> None:
    set_out(stage, secret(), workload(more=IMPATIENT))
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        stage.shell("kubectl -n $NS create quota one --hard=pods=1")
        stage.until("kubectl -n $NS get quota one -o jsonpath='{.status.used.pods}' | grep -q 1")
        before = state(stage)
        watch.start()
        done = migrate(stage, "sa/web", *APPLY, status=3)
        assert "its template is as it was before, and its pods are ready" in done.stderr
        assert state(stage) == before


def test_one_that_is_not_ready_is_not_touched(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage, never=lambda pod: True):
        before = versions(stage)
        done = migrate(stage, "sa/web", *APPLY, status=1)
        assert "it is not ready as it is: 0 of 1 pods are available" in done.stdout
        assert versions(stage) == before


def test_who_does_not_want_to_wait_any_longer(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage, steady=("web",), never=lambda pod: not legacy(pod)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        watch.start()
        run = subprocess.Popen(
            ["kubectl-satoken", "migrate", "-n", stage.namespace, "sa/web", *APPLY],
            env=stage.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stdout is not None
        assert any(line == "patch deployment/web done\n" for line in run.stdout)
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=30)
        assert run.returncode == 130, stderr
        done = subprocess.CompletedProcess([], 130, "", stderr)
        assert hint(done, "on").endswith(f"--grace 0s --apply --yes -n {stage.namespace}")
        stage.shell(hint(done, "back"))
        assert state(stage) == before


GHOST = """
apiVersion: v1
kind: Node
metadata: {name: ghost}
"""


def test_a_pod_on_its_way_out_keeps_its_token_until_it_is_gone(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        (old,) = stage.pods()
        name = old["metadata"]["name"]
        hold = '{"metadata":{"finalizers":["example.org/last-words"]}}'
        stage.shell(f"kubectl -n $NS patch pod {name} --type=merge -p '{hold}'")
        # kube-controller-manager takes those away that are on no node
        stage.kubectl("apply", "-f", "-", stdin=GHOST)
        stage.api().request(
            "POST",
            f"/api/v1/namespaces/{stage.namespace}/pods/{name}/binding",
            {"metadata": {"name": name}, "target": {"kind": "Node", "name": "ghost"}},
        )
        watch.start()
        done = migrate(stage, "sa/web", *APPLY, "--timeout", "6s", status=1)
        assert f"rollout deployment/web held back: pod/{name} uses it" in done.stdout
        assert f"waiting for deployment/web: pod/{name} has not ended yet" in done.stderr
        assert INVALID not in token_secret(stage).get("labels", {})
        let_go = '{"metadata":{"finalizers":null}}'
        stage.shell(f"kubectl -n $NS patch pod {name} --type=merge -p '{let_go}'")
        migrate(stage, "sa/web", *APPLY)
        stage.shell("kubectl delete node ghost")
        assert "secrets/web-token" not in state(stage)


@pytest.mark.parametrize("kind", ["StatefulSet", "ReplicaSet"])
def test_pods_that_are_replaced_by_hand_are_waited_for_by_another_run(
    stage: Stage, kind: str
) -> None:
    more = "updateStrategy: {type: OnDelete}," if kind == "StatefulSet" else ""
    set_out(stage, secret(), workload(kind=kind, replicas=2, more=more))
    whom = f"{kind.lower()}/web"
    with pods_run(stage) as watch:
        rolled_out(stage, whom)
        before = state(stage)
        watch.start()
        held = migrate(stage, "sa/web", *APPLY, status=1)
        found = re.search(r"its pods are replaced by hand: (.*)", held.stdout)
        assert found, held.stdout
        assert INVALID not in token_secret(stage).get("labels", {})
        again = migrate(stage, "sa/web", *APPLY, status=1)
        assert found[0] in again.stdout, "and is not taken back for that"
        assert state(stage)["secrets/web-token"] == before["secrets/web-token"]
        stage.shell(found[1])
        migrate(stage, "sa/web", *APPLY)
        assert "secrets/web-token" not in state(stage)
        undone = migrate(stage, "sa/web", *UNDO)
        assert state(stage) == before
        found = re.search(r"its pods are replaced by hand: (.*)", undone.stdout)
        assert found, undone.stdout
        stage.shell(found[1])
        rolled_out(stage, whom)
    assert watch.asked["legacy"]
    assert watch.asked["bound"]


# --- what is refused ------------------------------------------------------------------------------

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [GROUP], apiVersions: [v1], operations: [OPERATION], resources: [RESOURCE]}
  validations: [{expression: "false", message: it is friday}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}
"""


@pytest.mark.parametrize(
    ("group", "operation", "resource"),
    [
        ("apps", "UPDATE", "deployments"),
        ('""', "UPDATE", "serviceaccounts"),
        ('""', "UPDATE", "secrets"),
        ('""', "DELETE", "secrets"),
    ],
)
def test_what_a_policy_refuses_is_known_before_the_first_write(
    stage: Stage, group: str, operation: str, resource: str
) -> None:
    set_out(stage, secret(), workload())
    text = POLICY.replace("NAME", stage.namespace).replace("GROUP", group)
    text = text.replace("OPERATION", operation).replace("RESOURCE", resource)
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        stage.kubectl("apply", "-f", "-", stdin=text)
        tried = {"deployments": "deployment/web", "serviceaccounts": "serviceaccount/web"}
        whom = tried.get(resource, "secret/web-token")
        verb = "delete" if operation == "DELETE" else "annotate x=y"
        try:
            line = f"kubectl -n $NS {verb.split()[0]} {whom} {' '.join(verb.split()[1:])}"
            stage.until(f"! {line} --dry-run=server")
            watch.start()
            done = migrate(stage, "sa/web", *APPLY, status=1)
            assert "it is friday" in done.stdout
            found = state(stage)
            assert "secrets/web-token" in found
            if resource == "deployments":
                assert INVALID not in token_secret(stage).get("labels", {})
                assert found["serviceaccounts/web"]["secrets"]
        finally:
            stage.shell(
                "kubectl delete validatingadmissionpolicybinding,validatingadmissionpolicy $NS"
            )
        # the API server forgets a policy after a moment
        stage.until(f"{line} --dry-run=server")
        migrate(stage, "sa/web", *APPLY)
        assert "secrets/web-token" not in state(stage)


def test_a_refusal_in_the_middle_stops_and_both_ways_lead_on(
    cluster: Cluster, stage: Stage
) -> None:
    """A dry run knows not all: the write itself is refused, at each in turn."""
    set_out(stage, secret(), workload())
    with gate(cluster) as server, pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        through = server.kubeconfig(Path(stage.environ["WORK"]) / "gate", stage.namespace)
        stage.environ["KUBECONFIG"] = str(through)
        watch.start()
        for number in range(1, 5):
            server.at = {len(server.writes) + number: "refuse"}
            done = run_through(server, stage, "sa/web", *APPLY)
            assert done.returncode == 3, (number, done.stdout, done.stderr)
            assert "a policy says no" in done.stderr
            stage.shell(hint(done, "back"))
            assert state(stage) == before, number
        server.at = {len(server.writes) + 3: "refuse"}
        done = run_through(server, stage, "sa/web", *APPLY)
        stage.shell(hint(done, "on"))
        assert "secrets/web-token" not in state(stage)


def test_what_a_label_has_selected_goes_back_by_its_names(cluster: Cluster, stage: Stage) -> None:
    """A Secret that is gone has no label any more, so -l does not go with --undo."""
    set_out(stage, secret(), workload())
    stage.shell("kubectl -n $NS label secret web-token town=$NS")
    everywhere = ("-A", "-l", f"town={stage.namespace}")
    with gate(cluster) as server, pods_run(stage, steady=("web",)):
        rolled_out(stage, "deployment/web")
        before = state(stage)
        through = server.kubeconfig(Path(stage.environ["WORK"]) / "gate", stage.namespace)
        stage.environ["KUBECONFIG"] = str(through)
        for words in (everywhere[1:], everywhere):
            server.at = {len(server.writes) + 2: "refuse"}
            done = run_through(server, stage, *words, *APPLY, "--timeout", "9m")
            assert done.returncode == 3, (done.stdout, done.stderr)
            back = hint(done, "back")
            assert back == (
                "kubectl satoken migrate secret/web-token --timeout 9m --undo --yes "
                f"-n {stage.namespace}"
            )
            stage.shell(back)
            assert state(stage) == before
        stage.shell(hint(done, "on"))
        assert "secrets/web-token" not in state(stage)


LOOK = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: look}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}]
"""


def test_who_may_not_do_it_all_is_told_before_the_first_write(stage: Stage) -> None:
    set_out(stage, secret(), workload(), LOOK)
    stage.shell("kubectl -n $NS create rolebinding look --role=look --user=jane")
    with pods_run(stage):
        rolled_out(stage, "deployment/web")
        before = versions(stage)
        with stage.acting("jane"):
            done = migrate(stage, "sa/web", *APPLY, status=3)
        assert "nothing was changed" in done.stderr
        assert 'User "jane" cannot patch resource "deployments"' in done.stderr
        assert versions(stage) == before


def test_without_a_terminal_and_without_yes_nothing_is_done(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage):
        rolled_out(stage, "deployment/web")
        before = versions(stage)
        migrate(stage, "sa/web", "--apply", status=2)
        assert versions(stage) == before


# --- who else is at work --------------------------------------------------------------------------


def test_two_people_at_once(cluster: Cluster, stage: Stage) -> None:
    set_out(stage, secret(), workload(), workload("api"), workload("zero", replicas=0))
    with pods_run(stage, steady=("web", "api")) as watch:
        rolled_out(stage, "deployment/web", "deployment/api")
        before = state(stage)
        watch.start()
        runs = [
            subprocess.Popen(
                ["kubectl-satoken", "migrate", "-n", stage.namespace, "sa/web", *APPLY],
                env={**stage.environ, "HOME": f"{stage.environ['HOME']}/{name}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("jane", "john")
        ]
        for one in runs:
            stdout, stderr = one.communicate(timeout=120)
            assert "Traceback" not in stderr
            assert one.returncode in (0, 1, 3), (stdout, stderr)
        migrate(stage, "sa/web", *APPLY)
        found = state(stage)
        assert "secrets/web-token" not in found
        # whoever takes it back, by whatever of it is in his journal and in the objects
        stage.environ["HOME"] += "/jane"
        migrate(stage, "sa/web", *UNDO)
        assert state(stage) == before


def test_one_person_goes_where_another_goes_back(stage: Stage) -> None:
    """Who waits for new pods is told at once that there will be none."""
    set_out(stage, secret(), workload())
    with pods_run(stage, steady=("web",), never=lambda pod: not legacy(pod)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        watch.start()
        there = subprocess.Popen(
            ["kubectl-satoken", "migrate", "-n", stage.namespace, "sa/web", *APPLY],
            env=stage.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert there.stdout is not None
        assert any(line == "patch deployment/web done\n" for line in there.stdout)
        own = stage.environ["HOME"]
        stage.environ["HOME"] = f"{own}/john"
        migrate(stage, "sa/web", *UNDO)
        said, _ = there.communicate(timeout=30)
        why = "somebody has changed deployment/web back: it uses web-token again"
        assert f"rollout deployment/web held back: {why}" in " ".join(said.split())
        assert there.returncode == 1
        assert state(stage) == before
        stage.environ["HOME"] = own
        migrate(stage, "sa/web", *UNDO)
        assert state(stage) == before


def test_one_person_twice_is_told(cluster: Cluster, stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with gate(cluster) as server, pods_run(stage):
        rolled_out(stage, "deployment/web")
        stage.environ["KUBECONFIG"] = str(
            server.kubeconfig(Path(stage.environ["WORK"]) / "gate", stage.namespace)
        )
        server.at = {1: "slow"}
        first = subprocess.Popen(
            ["kubectl-satoken", "migrate", "sa/web", *APPLY],
            env=stage.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while not server.writes:
            assert time.monotonic() < end
            time.sleep(0.05)
        second = migrate(stage, "sa/web", *APPLY, status=3)
        assert "another migrate is at work with this journal" in second.stderr
        assert first.wait(60) == 0


def test_what_others_change_meanwhile_stays(stage: Stage) -> None:
    set_out(stage, secret(), workload())
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        watch.start()
        migrate(stage, "sa/web", "--stage", "invalidate", "--apply", "--yes")
        stage.shell(
            "kubectl -n $NS set env deployment/web COLOUR=blue && "
            "kubectl -n $NS scale deployment/web --replicas=2 && "
            "kubectl -n $NS annotate serviceaccount web team=shop"
        )
        rolled_out(stage, "deployment/web")
        migrate(stage, "sa/web", *UNDO)
        after = state(stage)
        spec = after["deployments/web"]["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        assert container.pop("env") == [{"name": "COLOUR", "value": "blue"}]
        assert (spec["replicas"], after["serviceaccounts/web"]["metadata"]["annotations"]) == (
            2,
            {"team": "shop"},
        )
        spec["replicas"] = 1
        del after["serviceaccounts/web"]["metadata"]["annotations"]
        assert after == before


def test_what_others_changed_at_the_same_place_is_not_overwritten(stage: Stage) -> None:
    set_out(stage, secret(), workload(place="/creds"))
    with pods_run(stage):
        rolled_out(stage, "deployment/web")
        migrate(stage, "sa/web", "--stage", "invalidate", "--apply", "--yes")
        stage.shell(
            "kubectl -n $NS patch deployment web -p "
            """'{"spec":{"template":{"spec":{"volumes":[{"name":"token","projected":"""
            """{"defaultMode":256}}]}}}}'"""
        )
        rolled_out(stage, "deployment/web")
        touched = stage.get("deployment", "web")["spec"]
        done = migrate(stage, "sa/web", *UNDO, status=3)
        assert "spec.template.spec.volumes[name=token] is not what it was" in done.stderr
        assert stage.get("deployment", "web")["spec"] == touched
        # the token works all the same, for whoever puts the rest right
        assert INVALID not in token_secret(stage).get("labels", {})
        stage.shell(
            "kubectl -n $NS patch deployment web -p "
            """'{"spec":{"template":{"spec":{"volumes":[{"name":"token","projected":"""
            """{"defaultMode":420}}]}}}}'"""
        )
        migrate(stage, "sa/web", *UNDO)
        rolled_out(stage, "deployment/web")


def test_back_without_a_journal(stage: Stage) -> None:
    set_out(stage, secret(), workload(), workload("zero", replicas=0))
    with pods_run(stage, steady=("web",)) as watch:
        rolled_out(stage, "deployment/web")
        before = state(stage)
        for stages in (("--stage", "patch"), ("--stage", "invalidate"), ("--grace", "0s")):
            if not watch.is_alive():
                watch.start()
            migrate(stage, "sa/web", *stages, "--apply", "--yes")
            journal(stage).unlink()
            migrate(stage, "sa/web", *UNDO)
            assert state(stage) == before, stages
            journal(stage).unlink()
            rolled_out(stage, "deployment/web")


TAKEN = {
    "no token Secret": "generic web-token --from-literal=token=x",
    "an empty one": "generic web-token",
    "of another account": "",
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_name_that_somebody_has_given_to_another_secret(stage: Stage, what: str) -> None:
    """No workload gets it in the place of its own."""
    set_out(stage, secret(), workload(replicas=0))
    before = state(stage)
    migrate(stage, "sa/web", *APPLY)
    after = state(stage)
    if TAKEN[what]:
        stage.shell(f"kubectl -n $NS create secret {TAKEN[what]}")
    else:
        text = secret().replace("service-account.name: web", "service-account.name: default")
        stage.kubectl("-n", stage.namespace, "create", "-f", "-", stdin=text)
    done = migrate(stage, "sa/web", *UNDO, status=3)
    other = "no token Secret" if TAKEN[what] else "a token of serviceaccount default"
    assert f"somebody has made another secret/web-token since, which is {other}" in done.stderr
    assert state(stage)["deployments/web"] == after["deployments/web"]
    stage.shell("kubectl -n $NS delete secret web-token")
    stage.shell(hint(done, "back"))
    assert state(stage) == before


def test_a_workload_that_is_gone_needs_nothing_back(stage: Stage) -> None:
    set_out(stage, secret(), workload(), workload("zero", replicas=0))
    with pods_run(stage):
        rolled_out(stage, "deployment/web")
        before = state(stage)
        migrate(stage, "sa/web", *APPLY)
        stage.shell("kubectl -n $NS delete deployment zero")
        migrate(stage, "sa/web", *UNDO)
        del before["deployments/zero"]
        assert state(stage) == before


# --- jobs -----------------------------------------------------------------------------------------

NIGHTLY = f"""
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        metadata: {{labels: {{app: nightly}}}}
        spec:
          serviceAccountName: web
          restartPolicy: Never
          containers:
          - name: app
            image: app
            volumeMounts: [{{name: token, mountPath: {PLACE}}}]
          volumes: [{{name: token, secret: {{secretName: web-token}}}}]
"""


def test_a_job_that_still_runs_keeps_its_token(stage: Stage) -> None:
    set_out(stage, secret(), NIGHTLY)
    with pods_run(stage) as watch:
        stage.shell("kubectl -n $NS create job tonight --from=cronjob/nightly")
        stage.until("kubectl -n $NS get pods -l app=nightly -o name | grep -q pod/")
        watch.start()
        done = migrate(stage, "sa/web", *APPLY, "--timeout", "2s", status=1)
        assert "uses it and has not ended yet" in done.stdout
        assert INVALID not in token_secret(stage).get("labels", {})
        stage.shell("kubectl -n $NS delete job tonight --wait=true")
        migrate(stage, "sa/web", *APPLY)
        assert "secrets/web-token" not in state(stage)


# --- any shape ------------------------------------------------------------------------------------


def shape(name: str, dice: random.Random) -> str:
    """A Deployment of no pods that uses the Secrets one and two in some way."""
    volumes: list[Any] = []
    mounts: list[Any] = []
    for index in range(dice.randint(1, 3)):
        used = dice.choice(["one", "two"])
        items = dice.choice(
            [None, [{"key": "token", "path": "t"}], [{"key": "ca.crt", "path": "c"}]]
        )
        more: Any = {"items": items} if items else {}
        if dice.random() < 0.3:
            more["defaultMode"] = dice.choice([0o400, 0o440])
        volume: Any = {"secret": {"secretName": used, **more}}
        if dice.random() < 0.3:
            config = {"configMap": {"name": "settings"}}
            own = {key: more[key] for key in ("items",) if key in more}
            volume = {"projected": {"sources": [{"secret": {"name": used, **own}}, config]}}
        volumes.append({"name": f"v{index}", **volume})
        place = PLACE if index == 0 and dice.random() < 0.5 else f"/creds/{index}"
        mounts.append({"name": f"v{index}", "mountPath": place, "readOnly": dice.random() < 0.5})
    volumes.append({"name": "scratch", "emptyDir": {}})
    dice.shuffle(volumes)
    containers: list[Any] = [
        {
            "name": f"c{index}",
            "image": "app",
            "volumeMounts": [*dice.sample(mounts, len(mounts)), *extra],
        }
        for index, extra in enumerate([[{"name": "scratch", "mountPath": "/tmp"}], []])
    ]
    spec: Any = {"serviceAccountName": "web", "containers": containers, "volumes": volumes}
    if dice.random() < 0.3:
        spec["initContainers"] = [{"name": "init", "image": "app", "volumeMounts": mounts[:1]}]
    if dice.random() < 0.3:
        spec["imagePullSecrets"] = [{"name": "one"}, {"name": "registry"}]
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
            },
        }
    )


def test_whatever_is_migrated_is_as_before_when_it_is_taken_back(stage: Stage) -> None:
    dice = random.Random(20261125)
    shapes = [f"\n{shape(f'w{number}', dice)}\n" for number in range(25)]
    set_out(stage, secret("one"), secret("two"), *shapes, listed="one two")
    rolled_out(stage, *(f"deployment/w{number}" for number in range(25)))
    before = state(stage)
    done = stage.satoken("migrate", "-n", stage.namespace, *APPLY)
    assert done.returncode in (0, 1), done.stderr
    after = state(stage)
    changed = [name for name in before if after.get(name) != before[name]]
    assert len(changed) > 15, done.stdout
    migrate(stage, *UNDO)
    assert state(stage) == before
