"""who-can on a real API server: everybody it names may, by the server's own word."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.live.test_can_i import SIX, USERS
from tests.scenarios import Stage

SCHEMA = json.loads((ROOT / "docs" / "whocan.schema.json").read_text())


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("who-can"))
    stage.open()
    stage.kubectl("create", "namespace", f"{stage.namespace}-b")
    for text in (SIX, USERS):
        stage.kubectl("apply", "-f", "-", stdin=text.replace("NS", stage.namespace))
    stage.until("kubectl auth can-i list pods -n $NS --as=system:serviceaccount:$NS:app")
    yield stage
    stage.forget_roles()
    stage.kubectl("delete", "namespace", f"{stage.namespace}-b", "--wait=false")
    stage.close()


def told(stage: Stage, *words: str) -> dict[str, Any]:
    done = stage.satoken("who-can", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def as_user(one: dict[str, Any]) -> str:
    """The flags with which kubectl plays a subject."""
    name = one["name"]
    if one["kind"] == "ServiceAccount":
        return f"--as=system:serviceaccount:{one['namespace']}:{name}"
    return f"--as={name}" if one["kind"] == "User" else f"--as=nobody --as-group={name}"


@pytest.mark.parametrize("question", ["list pods", "get secrets", "list nodes", "create pods/exec"])
def test_everybody_who_is_named_may(question: str, stage: Stage) -> None:
    found = told(stage, *question.split(), "-n", stage.namespace)
    assert len(found["subjects"]) > 3
    verb, what = question.split()
    what, _, below = what.partition("/")
    flag = f" --subresource={below}" if below else ""
    for one in found["subjects"]:
        if not one["names"]:
            line = f"kubectl auth can-i {verb} {what}{flag} -n $NS {as_user(one)}"
            assert stage.shell(line, check=False).stdout == "yes\n", one


def test_all_namespaces_have_the_rolebindings_of_each(stage: Stage) -> None:
    found = told(stage, "get", "secrets", "-A")
    mine = {
        (one["where"], one["binding"]["name"], one["said"])
        for one in found["subjects"]
        if one["kind"] == "ServiceAccount" and one["namespace"] == stage.namespace
    }
    user = f"user system:serviceaccount:{stage.namespace}:app"
    assert mine == {
        (f"{stage.namespace}-b", "other-namespace", None),
        (stage.namespace, "user-form", user),
    }
    dangling = {"kind": "RoleBinding", "namespace": stage.namespace, "name": "dangling"}
    assert dangling in found["dangling"]


def test_accounts_behind_a_group_are_named_on_demand(stage: Stage) -> None:
    place = ("-n", stage.namespace)
    groups = told(stage, "get", "configmaps", "web", *place)["subjects"]
    assert f"system:serviceaccounts:{stage.namespace}" in {one["name"] for one in groups}
    found = told(stage, "get", "configmaps", "web", *place, "--expand")["subjects"]
    behind = {
        one["name"]
        for one in found
        if one["said"] == f"group system:serviceaccounts:{stage.namespace}"
    }
    assert behind == {"app", "default"}
    for name in behind:
        user = f"system:serviceaccount:$NS:{name}"
        stage.shell(f"kubectl auth can-i get configmaps/web -n $NS --as={user}")


@pytest.mark.parametrize(
    ("question", "group"),
    [("get /healthz", "authenticated"), ("get /openid/v1/jwks", "serviceaccounts")],
)
def test_everybody_is_no_part_of_kubernetes(question: str, group: str, stage: Stage) -> None:
    done = stage.satoken("who-can", *question.split())
    assert f"system:{group} " in done.stdout
    assert "only parts of Kubernetes" not in done.stdout


def test_a_url_is_granted_by_cluster_wide_bindings_only(stage: Stage) -> None:
    found = told(stage, "get", "/metrics")["subjects"]
    assert {one["where"] for one in found} == {None}
    assert "system:serviceaccounts" in {one["name"] for one in found}


def test_the_admin_of_a_namespace_is_told_what_was_not_seen(stage: Stage) -> None:
    done = as_other(stage, "ci-admin", "list", "pods", "-n", stage.namespace)
    assert done.returncode == 0, done.stderr
    assert "app" in done.stdout
    assert "clusterrolebindings: forbidden to you: needs list clusterrolebindings" in " ".join(
        done.stderr.split()
    )
    strict = as_other(stage, "ci-admin", "list", "pods", "-n", stage.namespace, "--strict")
    assert strict.returncode == 3


@pytest.mark.parametrize("user", ["ci-view", "ci-edit"])
def test_who_may_read_no_rbac_is_told_so(user: str, stage: Stage) -> None:
    done = as_other(stage, user, "list", "pods", "-n", stage.namespace)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: nothing of RBAC can be seen: clusterroles: forbidden")


def as_other(stage: Stage, user: str, *words: str) -> Any:
    with stage.acting(user):
        done = stage.satoken("who-can", *words)
    assert "Traceback" not in done.stderr
    return done


def test_each_list_is_read_once(stage: Stage) -> None:
    done = stage.satoken("who-can", "get", "secrets", "-A", "-v=6")
    lines = [line for line in done.stderr.splitlines() if "rbac.authorization.k8s.io/v1/" in line]
    kinds = [line.split("/v1/")[1].split("?")[0].split()[0] for line in lines]
    assert sorted(kinds) == ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
