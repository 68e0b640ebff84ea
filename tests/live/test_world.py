"""The World of a real cluster: what is there, what is not, and what could not be looked at."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from kubectl_satoken import errors
from kubectl_satoken.credentials import Credentials
from kubectl_satoken.live import ClusterWorld
from kubectl_satoken.world import KINDS, Sealed, Unseen, Want
from tests.live.test_api import connect, crossing, kubectl

VALUE = "aHVudGVyMg=="  # hunter2
APPLIED = "c3dvcmRmaXNo"  # swordfish


@pytest.fixture(scope="module")
def shop(cluster: Any) -> Iterator[str]:
    """A namespace with one of most things."""
    name = f"world-{uuid.uuid4().hex[:8]}"
    kubectl(cluster.kubeconfig, "create", "namespace", name)
    objects: list[Any] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "created", "labels": {"a": "b"}},
            "type": "example.com/two",
            "data": {"x": VALUE, "y": VALUE},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "web-token",
                "annotations": {"kubernetes.io/service-account.name": "web"},
            },
            "type": "kubernetes.io/service-account-token",
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "reader",
            },
            "subjects": [
                {"kind": "User", "name": "jane"},
                {"kind": "ServiceAccount", "name": "web", "namespace": name},
            ],
        },
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "web.1"},
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": name},
            "reason": "FailedMount",
            "message": "no",
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "a", "image": "a"}]},
                },
            },
        },
    ]
    created = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl(cluster.kubeconfig, "-n", name, "create", "-f", "-", stdin=created)
    applied = {**objects[1], "metadata": {"name": "applied"}, "data": {"z": APPLIED}}
    kubectl(cluster.kubeconfig, "-n", name, "apply", "-f", "-", stdin=applied)
    yield name
    kubectl(cluster.kubeconfig, "delete", "namespace", name, "--wait=false")


def world(kubeconfig: Any, **fields: Any) -> ClusterWorld:
    api = connect(kubeconfig, **fields)
    return ClusterWorld(api, api.env)


def theirs(cluster: Any, *arguments: str) -> Any:
    out = kubectl(cluster.kubeconfig, "get", *arguments, "-o", "json", "--show-managed-fields")
    return json.loads(out.stdout)


def test_what_is_there_is_what_kubectl_gets(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig)
    for kind, name in [
        ("ServiceAccount", "web"),
        ("Role", "reader"),
        ("RoleBinding", "reader"),
        ("Deployment", "web"),
        ("ConfigMap", "kube-root-ca.crt"),
    ]:
        assert seen.get(kind, shop, name) == theirs(cluster, kind, name, "-n", shop)
    assert seen.get("Namespace", "", shop) == theirs(cluster, "ns", shop)
    assert seen.get("ClusterRole", "", "view") == theirs(cluster, "clusterrole", "view")


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"Secret", "Event"}))
def test_lists_are_those_of_kubectl(cluster: Any, shop: str, kind: str) -> None:
    plural = KINDS[kind].plural

    def listed(*where: str) -> Any:
        items = theirs(cluster, plural, *where)["items"]
        for item in items:
            if KINDS[kind].group == KINDS["Role"].group:  # nobody asks who wrote them
                item["metadata"].pop("managedFields", None)
        return items

    end = time.monotonic() + 30
    while True:  # what earlier tests have left may be on its way out just now
        seen = world(cluster.kubeconfig)
        ours, wanted = list(seen.list(kind)), listed("-A")
        if ours == wanted or time.monotonic() > end:
            break
    assert ours == wanted
    if KINDS[kind].namespaced:
        there = listed("-n", shop)
        assert list(seen.list(kind, shop)) == there
        assert list(world(cluster.kubeconfig).list(kind, shop)) == there


def test_a_list_of_metadata_is_that_and_no_more(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig)
    (found,) = seen.list("Deployment", shop, metadata=True)
    (whole,) = theirs(cluster, "deployments", "-n", shop)["items"]
    assert found["metadata"] == whole["metadata"]
    assert set(found) == {"kind", "apiVersion", "metadata"}
    assert found["kind"] == "Deployment"
    # it does not pass for the whole object later, while a whole list does for metadata
    assert seen.get("Deployment", shop, "web") == whole
    assert list(seen.list("Deployment", shop)) == [whole]
    assert list(seen.list("Deployment", shop, metadata=True)) == [whole]


def test_what_is_not_there(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig)
    for kind in KINDS:
        assert seen.get(kind, shop, "nope") is None
        assert seen.get(kind, "no-such-namespace", "nope") is None
    assert seen.get("Rollout", shop, "web", "argoproj.io/v1alpha1") is None
    assert list(seen.list("ServiceAccount", "no-such-namespace")) == []
    assert seen.text("/nope") is None
    event = theirs(cluster, "event", "web.1", "-n", shop)
    assert seen.get("Event", shop, "web.1") == event
    document = seen.text("/.well-known/openid-configuration")
    assert document is not None
    assert document["issuer"]


def test_types_that_are_not_built_in(cluster: Any) -> None:
    seen = world(cluster.kubeconfig)
    theirs_of = theirs(cluster, "priorityclass", "system-node-critical")
    for version in ("v1", "v1beta1"):
        api_version = f"scheduling.k8s.io/{version}"
        assert seen.get("PriorityClass", "", "system-node-critical", api_version) == theirs_of


def test_no_value_of_a_secret_crosses_the_wire(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig)
    bodies = crossing(seen.api)
    (created,) = [
        each for each in seen.list("Secret", shop) if each["metadata"]["name"] == "created"
    ]
    assert world(cluster.kubeconfig).get("Secret", shop, "created") == created
    there = theirs(cluster, "secret", "created", "-n", shop)
    assert created == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": there["metadata"],
        "type": "example.com/two",
        "dataCount": 2,
    }
    token = seen.get("Secret", shop, "web-token")
    assert token is not None
    assert token["type"] == "kubernetes.io/service-account-token"
    assert token["dataCount"] == 3
    legacy = theirs(cluster, "secret", "web-token", "-n", shop)["data"]
    assert bodies
    for body in bodies:
        for value in legacy.values():
            assert value.encode() not in body
        assert VALUE.encode() not in body
    # what kubectl apply notes in an annotation does cross; it goes no further
    assert APPLIED.encode() in bodies[0]
    applied = seen.get("Secret", shop, "applied")
    assert applied is not None
    assert applied["dataCount"] == 1
    assert APPLIED not in repr(applied)
    assert APPLIED not in repr(seen.memo)


def test_events(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig)
    assert [event["reason"] for event in seen.events(shop, "web")] == ["FailedMount"]
    assert [event["kind"] for event in seen.events(shop, "web")] == ["Event"]
    assert list(seen.events(shop, "other")) == []


def test_a_user_with_few_rights(cluster: Any, shop: str) -> None:
    """jane may get pods in the namespace, and nothing else."""
    seen = world(cluster.user("jane"))
    assert seen.get("Pod", shop, "web") is None
    expected = {
        ("list", "Pod"): f"forbidden to you: needs list pods in namespace {shop}",
        ("get", "Secret"): f"forbidden to you: needs get secrets in namespace {shop}",
        ("list", "Secret"): f"forbidden to you: needs list secrets in namespace {shop}",
        ("list", "RoleBinding"): f"forbidden to you: needs list rolebindings in namespace {shop}",
        ("list", "ClusterRole"): "forbidden to you: needs list clusterroles",
        ("get", "Node"): "forbidden to you: needs get nodes",
    }
    for (verb, kind), why in expected.items():
        with pytest.raises(Unseen) as caught:
            seen.get(kind, shop, "x") if verb == "get" else seen.list(kind, shop)
        assert caught.value.why == why
    with pytest.raises(Unseen, match="pods: forbidden to you: needs list pods in all namespaces"):
        seen.list("Pod")
    with pytest.raises(Unseen):
        seen.text("/metrics")


def test_a_forbidden_wave_answers_each(cluster: Any, shop: str) -> None:
    seen = world(cluster.user("jane"))
    bodies = crossing(seen.api)
    seen.prepare(
        [Want("Pod", shop, "web"), Want("ServiceAccount", shop), Want("RoleBinding", shop)]
    )
    assert seen.get("Pod", shop, "web") is None
    for kind in ("ServiceAccount", "RoleBinding"):
        with pytest.raises(Unseen):
            seen.list(kind, shop)
    assert len(bodies) == 3


def test_bad_credentials_are_no_matter_of_not_seeing(cluster: Any, shop: str) -> None:
    seen = world(cluster.kubeconfig, credentials=Credentials(Sealed("Bearer nonsense")))
    seen.prepare([Want("Pod", shop, "web"), Want("ServiceAccount", shop)])
    for _ in range(2):
        with pytest.raises(errors.Unauthorized):
            seen.list("ServiceAccount", shop)
        with pytest.raises(errors.Unauthorized):
            seen.get("Pod", shop, "web")
