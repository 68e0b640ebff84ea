"""rbac.py knows the subjects of a binding as the API server does, on generated bindings."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_satoken.cluster import Api
from kubectl_satoken.errors import NotFound
from kubectl_satoken.rbac import groups_of, is_subject, user_of
from tests.cluster import Cluster
from tests.scenarios import Stage

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OTHER = "default"
NUMBERS = count()
NAMESPACES = ("NS", OTHER)


@st.composite
def subjects(draw: st.DrawFn) -> dict[str, Any]:
    """Subjects of all kinds, many of them nearly a service account of the namespace NS."""
    kind = draw(st.sampled_from(["ServiceAccount", "User", "Group"]))
    namespace = draw(st.sampled_from(NAMESPACES))
    if kind == "ServiceAccount":
        subject = {"kind": kind, "name": draw(st.sampled_from(["web", "default"]))}
        subject["namespace"] = namespace
        return subject
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind}
    if kind == "User":
        subject["name"] = draw(st.sampled_from([f"system:serviceaccount:{namespace}:web", "web"]))
    else:
        subject["name"] = draw(
            st.sampled_from(
                [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{namespace}",
                    f"system:serviceaccount:{namespace}",
                    "system:authenticated",
                    "system:unauthenticated",
                ]
            )
        )
    return subject


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("rbac"))
    stage.open()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def api(stage: Stage) -> Api:
    return stage.api()


def allowed(api: Api, namespace: str, resource: str) -> bool:
    """What the API server says of a service account web of the namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user_of(namespace, "web"),
            "groups": list(groups_of(namespace)),
            "resourceAttributes": {
                "namespace": namespace,
                "verb": "get",
                "group": "example.org",
                "resource": resource,
            },
        },
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(subject=subjects(), wide=st.booleans())
def test_a_subject_means_a_service_account_exactly_when_the_api_server_says_so(
    subject: dict[str, Any], wide: bool, stage: Stage, api: Api
) -> None:
    subject = {key: value.replace("NS", stage.namespace) for key, value in subject.items()}
    # a resource of its own for each example: nothing of one binding is left for the next
    number = next(NUMBERS)
    resource, name = f"r{number}", f"b{number}"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": ["example.org"], "resources": [resource], "verbs": ["get"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding" if wide else "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [subject],
    }
    where = f"{RBAC}/clusterrolebindings"
    if not wide:
        where = f"{RBAC}/namespaces/{stage.namespace}/rolebindings"
    # one that everybody has, to see when the API server's own view has caught up
    everybody = {**binding, "metadata": {"name": f"{name}-all"}}
    everybody["subjects"] = [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"witness-{number}"}
    ]
    try:
        api.request("POST", f"{RBAC}/clusterroles", role)
        api.request("POST", where, binding)
        api.request("POST", where, everybody)
        wait_for_witness(api, stage.namespace, resource, number)
        inside = "" if wide else stage.namespace
        ours = is_subject(subject, stage.namespace, "web", inside)
        assert ours == allowed(api, stage.namespace, resource)
        if wide:
            assert is_subject(subject, OTHER, "web") == allowed(api, OTHER, resource)
    finally:
        for path in (f"{where}/{name}", f"{where}/{name}-all", f"{RBAC}/clusterroles/{name}"):
            try:
                api.request("DELETE", path)
            except NotFound:
                continue


def wait_for_witness(api: Api, namespace: str, resource: str, number: int) -> None:
    """Waits until the binding that was made after the one in question is in force."""
    import time

    end = time.monotonic() + 10
    while True:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"witness-{number}",
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": "get",
                    "group": "example.org",
                    "resource": resource,
                },
            },
        }
        answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        if answer["status"]["allowed"]:
            return
        assert time.monotonic() < end, "the API server does not see the binding"
        time.sleep(0.01)
