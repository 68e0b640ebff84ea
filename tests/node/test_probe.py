"""doctor --probe: what is really in the running container."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.scenarios import AS_WEB, PLACE, Stage, service_account, template

TOOLS = "{name: app, image: 'tools:1', imagePullPolicy: Never, command: [sleep, '3600']}"
BARE = "{name: app, image: 'bare:1', imagePullPolicy: Never}"
MINE = f"serviceAccountName: web, containers: [{TOOLS}]"


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def run_pods(stage: Stage, spec: str, kind: str = "Pod", more: str = "") -> None:
    """Makes a workload named web, and waits until its container runs."""
    text = f"{service_account()}---{more}{template(spec, kind=kind)}"
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    wait(stage)


def wait(stage: Stage) -> None:
    running = "{.items[*].status.containerStatuses[*].state.running}"
    ask = f"kubectl -n $NS get pods -l app=web -o jsonpath='{running}'"
    going = "{.items[*].metadata.deletionTimestamp}"
    stage.until(
        f"{ask} | grep -q startedAt && "
        f"! kubectl -n $NS get pods -l app=web -o jsonpath='{going}' | grep -q :"
    )


def probe(stage: Stage, target: str = "pod/web", *words: str) -> Any:
    done = probed(stage, target, "-o", "json", *words)
    return json.loads(done.stdout)


def probed(stage: Stage, target: str, *words: str) -> "subprocess.CompletedProcess[str]":
    done = stage.satoken("doctor", target, "-n", stage.namespace, "--probe", *words)
    # claims are no secret, but nothing of a token is printed, not even they
    assert "eyJ" not in done.stdout + done.stderr
    return done


def codes(report: Any) -> list[str]:
    return [one["code"] for one in report["findings"] if one["severity"] != "hint"]


def mend(stage: Stage, finding: Any) -> None:
    for command in finding["fix"]["commands"]:
        stage.shell(command)
    wait(stage)


def test_a_healthy_pod_reads_its_token_and_is_taken(stage: Stage) -> None:
    run_pods(stage, MINE)
    report = probe(stage)
    assert codes(report) == []
    (used,) = report["used"]
    assert (used["taken"], used["by"]) == (True, "a request from the pod (openssl)")
    text = " ".join(probed(stage, "pod/web").stdout.split())
    assert "probe of web app: token there, " in text
    assert "a request from there was taken" in text


def test_what_has_no_program_for_a_request_says_so(stage: Stage) -> None:
    run_pods(stage, AS_WEB)
    text = " ".join(probed(stage, "pod/web").stdout.split())
    assert "token there" in text
    assert "no curl, python3 or openssl there for a request" in text


def test_without_a_certificate_there_is_no_request_to_make_with_the_token(stage: Stage) -> None:
    volume = "{name: t, projected: {sources: [{serviceAccountToken: {path: mine}}]}}"
    told = "env: [{name: TOKEN, value: /tokens/mine}]"
    app = TOOLS.replace(
        "{name: app,", f"{{name: app, {told}, volumeMounts: [{{name: t, mountPath: /tokens}}],"
    )
    mine = f"serviceAccountName: web, containers: [{app}], volumes: [{volume}]"
    run_pods(stage, f"automountServiceAccountToken: false, {mine}")
    text = " ".join(probed(stage, "pod/web").stdout.split())
    assert "token there, " in text
    assert "no ca.crt there for a request" in text
    assert "the token itself was not used" in text


def test_without_a_shell_an_ephemeral_container_looks(stage: Stage) -> None:
    run_pods(stage, f"serviceAccountName: web, containers: [{BARE}]")
    report = probe(stage, "pod/web", "--probe-image", "tools:1")
    assert codes(report) == []
    assert [one["taken"] for one in report["used"]] == [True]


def test_a_workload_is_probed_in_one_of_its_pods(stage: Stage) -> None:
    run_pods(stage, MINE, kind="Deployment")
    stage.shell(
        "kubectl -n $NS scale deploy/web --replicas=3 && "
        "kubectl -n $NS rollout status deploy/web --timeout=60s"
    )
    assert len(probe(stage, "deploy/web")["used"]) == 1


def test_a_token_that_may_not_be_read_is_given_to_the_users_group(stage: Stage) -> None:
    # two users, so the kubelet does not make the file the property of one
    volume = (
        "volumes: [{name: t, projected: {defaultMode: 256, sources: [{serviceAccountToken: "
        "{path: token}}, {configMap: {name: kube-root-ca.crt}}, {downwardAPI: {items: "
        "[{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}}]"
    )
    mount = f"volumeMounts: [{{name: t, mountPath: {PLACE}}}]"
    app = TOOLS.replace(
        "{name: app,", f"{{name: app, securityContext: {{runAsUser: 1000}}, {mount},"
    )
    other = TOOLS.replace("{name: app,", "{name: other, securityContext: {runAsUser: 2000},")
    run_pods(
        stage, f"serviceAccountName: web, containers: [{app}, {other}], {volume}", "Deployment"
    )
    finding = probe(stage, "deploy/web")["findings"][0]
    assert (finding["code"], finding["certainty"]) == ("SAT818", "certain")
    mend(stage, finding)
    stage.shell("kubectl -n $NS rollout status deploy/web --timeout=60s")
    wait(stage)
    after = probe(stage, "deploy/web")
    assert "SAT818" not in [one["code"] for one in after["findings"]]
    assert {one["taken"] for one in after["used"]} == {True}


def test_a_token_for_another_service_is_refused(stage: Stage) -> None:
    volume = (
        "volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token, "
        "audience: vault}}, {configMap: {name: kube-root-ca.crt}}]}}]"
    )
    app = TOOLS.replace(
        "{name: app,", f"{{name: app, volumeMounts: [{{name: t, mountPath: {PLACE}}}],"
    )
    run_pods(stage, f"serviceAccountName: web, containers: [{app}], {volume}")
    report = probe(stage)
    assert [one["taken"] for one in report["used"]] == [False]
    # the volume says it all: SAT808 is for a token that is not what its volume asks for
    assert codes(report) == ["SAT304"]
    mend(stage, report["findings"][0])
    report = probe(stage)
    assert codes(report) == []
    assert [one["taken"] for one in report["used"]] == [True]


def test_a_token_that_another_volume_hides_hangs_under_it(stage: Stage) -> None:
    # a ConfigMap at the token's place
    mount = f"volumeMounts: [{{name: t, mountPath: {PLACE}}}]"
    app = TOOLS.replace("{name: app,", f"{{name: app, {mount},")
    volume = "volumes: [{name: t, configMap: {name: c}}]"
    more = "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n---\n"
    run_pods(stage, f"serviceAccountName: web, containers: [{app}], {volume}", more=more)
    shadow, missing = probe(stage)["findings"][:2]
    assert (shadow["code"], missing["code"], missing["root"]) == ("SAT301", "SAT817", "SAT301")


def test_a_token_without_its_certificate(stage: Stage) -> None:
    alone = "{name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}"
    mount = f"volumeMounts: [{{name: t, mountPath: {PLACE}}}]"
    app = TOOLS.replace("{name: app,", f"{{name: app, {mount},")
    run_pods(
        stage, f"serviceAccountName: web, containers: [{app}], volumes: [{alone}]", "Deployment"
    )
    report = probe(stage, "deploy/web")
    assert {"SAT310", "SAT821"} <= set(codes(report))
    assert "SAT819" not in codes(report)
    # the fix of what is wrong in the volume mends both
    mend(stage, next(one for one in report["findings"] if one["code"] == "SAT310"))
    stage.shell("kubectl -n $NS rollout status deploy/web --timeout=60s")
    wait(stage)
    assert codes(probe(stage, "deploy/web")) == []


def test_an_environment_that_names_no_api_server(stage: Stage) -> None:
    empty = "env: [{name: KUBERNETES_SERVICE_HOST, value: ''}]"
    app = TOOLS.replace("{name: app,", f"{{name: app, {empty},")
    run_pods(stage, f"serviceAccountName: web, containers: [{app}]")
    report = probe(stage)
    # the pod's own env says it all
    assert codes(report) == ["SAT901", "SAT820"]
    assert report["findings"][1]["root"] == "SAT901"
    mend(stage, report["findings"][0])
    report = probe(stage)
    assert (codes(report), [one["taken"] for one in report["used"]]) == ([], [True])


def test_who_may_not_exec_is_told_so(stage: Stage, node_cluster: Cluster) -> None:
    run_pods(stage, AS_WEB)
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=viewer")
    stage.environ["KUBECONFIG"] = str(node_cluster.user("viewer"))
    done = probed(stage, "pod/web", "-o", "json")
    report = json.loads(done.stdout)
    assert any("pods/exec" in skip["why"] for skip in report["skipped"])
    assert done.returncode == 0
    assert probed(stage, "pod/web", "--strict").returncode == 3


def test_a_token_on_the_command_line_is_not_handed_on(stage: Stage) -> None:
    done = stage.satoken("doctor", "pod/web", "--probe", "--token", "x")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --token cannot be handed on to kubectl exec")
