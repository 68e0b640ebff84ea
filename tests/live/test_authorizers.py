"""can-i where RBAC is not the only authorizer: before it is a webhook that knows of no objects."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import faults
from tests.cluster import Cluster, Unavailable, start
from tests.scenarios import Stage

ALLOWED = "tenants may watch their gadgets"
FROZEN = "the shop is frozen until monday"


def decide(request: faults.Request) -> faults.Reply:
    """Allows gadgets, denies what deletes secrets, and has no opinion on the rest."""
    review = json.loads(request.body)
    asked = review["spec"].get("resourceAttributes") or {}
    status: dict[str, Any] = {"allowed": False}
    if review["spec"]["user"].startswith("system:serviceaccount:s-"):
        if asked.get("resource") == "gadgets":
            status = {"allowed": True, "reason": ALLOWED}
        elif (asked.get("verb"), asked.get("resource")) == ("delete", "secrets"):
            status = {"allowed": False, "denied": True, "reason": FROZEN}
    return faults.Reply(
        200, {"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status}
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A control plane with the webhook before RBAC, and an account that may edit."""
    folder = tmp_path_factory.mktemp("authorizers")
    with faults.serve(decide) as webhook:
        kubeconfig, config = folder / "webhook.kubeconfig", folder / "authorization.yaml"
        kubeconfig.write_text(
            f"""
apiVersion: v1
kind: Config
clusters: [{{name: webhook, cluster: {{server: "{webhook.url}"}}}}]
contexts: [{{name: webhook, context: {{cluster: webhook, user: ""}}}}]
current-context: webhook
"""
        )
        config.write_text(
            f"""
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: tenants
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    authorizedTTL: 1s
    unauthorizedTTL: 1s
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: "{kubeconfig}"}}
- type: Node
  name: node
- type: RBAC
  name: rbac
"""
        )
        flags = {"authorization-mode": None, "authorization-config": str(config)}
        try:
            cluster: Cluster = start(folder / "cluster", apiserver_flags=flags)
        except Unavailable as reason:
            pytest.skip(str(reason))
        stage = Stage(cluster, folder)
        stage.open()
        stage.kubectl("-n", stage.namespace, "create", "serviceaccount", "web")
        account = f"--serviceaccount={stage.namespace}:web"
        stage.kubectl(
            "-n", stage.namespace, "create", "rolebinding", "web", "--clusterrole=edit", account
        )
        user = f"system:serviceaccount:{stage.namespace}:web"
        stage.until(f"kubectl -n $NS auth can-i list secrets --as={user}")
        yield stage
        cluster.stop()


def can_i(stage: Stage, *words: str) -> dict[str, Any]:
    done = stage.satoken("can-i", "sa/web", *words, "-n", stage.namespace, "-o", "json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if answer["allowed"] else 1)
    return answer


def test_what_another_authorizer_allows_is_its_own(stage: Stage) -> None:
    answer = can_i(stage, "watch", "gadgets.example.org")
    assert (answer["allowed"], answer["grantedBy"], answer["misses"]) == (True, [], [])
    assert answer["otherAuthorizer"] == f"another authorizer says: {ALLOWED}"


def test_what_another_authorizer_denies_no_binding_helps(stage: Stage) -> None:
    answer = can_i(stage, "delete", "secrets")
    assert (answer["allowed"], answer["denied"], answer["misses"]) == (False, True, [])
    # RBAC would have allowed it, which is said, too
    assert [one["binding"]["name"] for one in answer["grantedBy"]] == ["web"]
    assert answer["otherAuthorizer"] == f"another authorizer says: {FROZEN}"
    done = stage.satoken("can-i", "sa/web", "delete", "secrets", "-n", stage.namespace)
    assert FROZEN in done.stdout
    assert "which no binding can change" in done.stdout
    assert "the least that grants it" not in done.stdout


def test_what_rbac_allows_is_rbacs(stage: Stage) -> None:
    answer = can_i(stage, "list", "secrets")
    assert (answer["allowed"], answer["otherAuthorizer"]) == (True, None)
    assert [one["binding"]["name"] for one in answer["grantedBy"]] == ["web"]


def test_a_list_says_that_an_authorizer_cannot_be_listed(stage: Stage) -> None:
    words = ("can-i", "sa/web", "--list", "--via=impersonation", "-n", stage.namespace)
    done = stage.satoken(*words)
    assert done.returncode == 3
    assert "not seen" in done.stderr
