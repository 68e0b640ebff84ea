"""inspect pod/x: the token of a running container, which does not leave it."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.node.test_probe import BARE, MINE, TOOLS, run_pods
from tests.scenarios import AS_WEB, PLACE, Stage

SCHEMA = json.loads((ROOT / "docs" / "inspection.schema.json").read_text())


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def inspect(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    done = stage.satoken("inspect", *words, "-n", stage.namespace)
    assert "eyJ" not in done.stdout + done.stderr
    return done


def inspected(stage: Stage, *words: str) -> Any:
    done = inspect(stage, *words, "-o", "json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def token_in(stage: Stage) -> str:
    return stage.shell(f"kubectl -n $NS exec web -c app -- cat {PLACE}/token").stdout.strip()


def test_a_healthy_token_is_told_and_its_signature_stays(stage: Stage, tmp_path: Path) -> None:
    run_pods(stage, MINE)
    # a kubectl that writes down what it is told and what it says, in the place of the real one
    shim, log = tmp_path / "shim", tmp_path / "said"
    shim.mkdir()
    real = shutil.which("kubectl", path=stage.environ["PATH"])
    (shim / "kubectl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\n{shlex.quote(str(real))} "$@" | tee -a {log}\n'
    )
    (shim / "kubectl").chmod(0o755)
    stage.environ["PATH"] = f"{shim}{os.pathsep}{stage.environ['PATH']}"
    found = inspected(stage, "pod/web")
    assert found["verdict"] == "taken"
    assert found["answer"]["by"] == "a request from the pod (openssl)"
    assert found["source"] == f"pod/web, {PLACE}/token in app"
    assert found["user"] == f"system:serviceaccount:{stage.namespace}:web"
    assert [(one["kind"], one["state"]) for one in found["boundTo"]] == [("Pod", "there")]
    assert found["claims"]["warnAfter"]  # what pods get by themselves is extended
    assert (found["key"]["published"], found["key"]["signatureFits"]) == (True, None)
    assert found["endedBy"]["commands"] == [f"kubectl satoken revoke pod/web -n {stage.namespace}"]
    said = log.read_text()
    assert "payload=" in said
    token = token_in(stage)
    header, payload, signature = token.split(".")
    assert not [at for at in range(0, len(signature) - 20, 10) if signature[at : at + 20] in said]
    text = inspect(stage, "pod", "web").stdout
    assert text.startswith("ok: the API server takes this token: serviceaccount web in ")
    assert payload[:20] not in text


def test_without_a_program_for_a_request_the_verdict_is_not_known(stage: Stage) -> None:
    run_pods(stage, AS_WEB)
    found = inspected(stage, "pod/web")
    assert (found["verdict"], found["answer"], found["faults"]) == ("unknown", None, [])
    assert found["unknown"] == "nothing in the container can make a request"
    assert {one["state"] for one in (*found["boundTo"], found["account"])} == {"there"}


def test_without_a_shell_a_container_beside_it_looks_if_it_may(stage: Stage) -> None:
    run_pods(stage, f"serviceAccountName: web, containers: [{BARE}]")
    done = inspect(stage, "pod/web")
    assert done.returncode == 3
    assert "it has no shell (--probe-image looks from a container beside it)" in done.stderr
    assert "ephemeralContainers" not in stage.get("pod", "web")["spec"]
    found = inspected(stage, "pod/web", "--probe-image", "tools:1")
    assert found["verdict"] == "taken"


def test_a_token_of_an_account_that_was_made_anew_is_refused(stage: Stage) -> None:
    run_pods(stage, MINE)
    stage.shell("kubectl -n $NS delete sa web && kubectl -n $NS create sa web; sleep 11")
    found = inspected(stage, "pod/web")
    assert (found["verdict"], found["answer"]["authenticated"]) == ("refused", False)
    assert found["reason"]["name"] == "token-sa-recreated"


def test_a_container_is_chosen_and_a_token_for_others_is_named(stage: Stage) -> None:
    volume = (
        "volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token, "
        "audience: vault}}, {configMap: {name: kube-root-ca.crt}}]}}]"
    )
    other = TOOLS.replace(
        "{name: app,", f"{{name: other, volumeMounts: [{{name: t, mountPath: {PLACE}}}],"
    )
    run_pods(stage, f"serviceAccountName: web, containers: [{TOOLS}, {other}], {volume}")
    assert inspected(stage, "pod/web")["verdict"] == "taken"
    found = inspected(stage, "pod/web", "-c", "other")
    # the API server refuses it, as it should, and whether Vault takes it cannot be asked from here
    assert (found["verdict"], found["answer"]["authenticated"]) == ("unknown", False)
    text = " ".join(inspect(stage, "pod/web", "-c", "other").stdout.split())
    assert text.startswith("note: this token is for Vault, so the API server refuses it")
    done = inspect(stage, "pod/web", "-c", "none")
    assert done.returncode == 2
    assert "container none is not in pod/web" in done.stderr
    assert "app, other" in done.stderr


def test_what_has_no_token_says_so(stage: Stage) -> None:
    run_pods(stage, f"{AS_WEB}, automountServiceAccountToken: false")
    done = inspect(stage, "pod/web")
    assert done.returncode == 3
    assert "has no token" in done.stderr
    assert f"hint: why: kubectl satoken doctor pod/web -n {stage.namespace}" in done.stderr
    done = inspect(stage, "pod/none")
    assert done.stderr.startswith('error: pods "none" not found')


def test_who_may_not_exec_is_told_so(stage: Stage, node_cluster: Cluster) -> None:
    run_pods(stage, AS_WEB)
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=viewer")
    stage.environ["KUBECONFIG"] = str(node_cluster.user("viewer"))
    done = inspect(stage, "pod/web")
    assert done.returncode == 3
    assert "pods/exec" in done.stderr
