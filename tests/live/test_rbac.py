"""rbac.py decides as the API server does, on generated bindings, roles and questions."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_satoken.cluster import Api
from kubectl_satoken.errors import NotFound
from kubectl_satoken.manifests import ManifestWorld
from kubectl_satoken.rbac import Attributes, Question, allows, grants, is_subject
from kubectl_satoken.rbac_words import RESOURCES
from tests.cluster import Cluster
from tests.live.reviews import review, reviewed
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
    question = Question(namespace, Attributes("get", "example.org", resource))
    return bool(reviewed(api, namespace, "web", question)["allowed"])


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


# --- rules

VERBS = ("get", "create", "*", "GET")
GROUPS = ("", "apps", "*", "core")
ENTRIES = ("pods", "pods/log", "*", "*/log", "pods/*", "*/*", "deployments")
PATHS = ("/a", "/a/", "/a/b", "/a*", "/a/*", "/*/b", "*", "a")


def some(words: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=2, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule that the API server takes, on resources or on other URLs."""
    if draw(st.integers(0, 3)) == 0:
        return {"verbs": draw(some(VERBS)), "nonResourceURLs": draw(some(PATHS))}
    rule = {
        "verbs": draw(some(VERBS)),
        "apiGroups": draw(some(GROUPS)),
        "resources": draw(some(ENTRIES)),
    }
    if draw(st.booleans()):
        rule["resourceNames"] = draw(some(("x", "y", "*")))
    return rule


@st.composite
def questions(draw: st.DrawFn) -> Attributes:
    """A question about a resource or another URL."""
    verb = draw(st.sampled_from(("get", "create")))
    if draw(st.integers(0, 3)) == 0:
        return Attributes(verb, path=draw(st.sampled_from(("/a", "/a/", "/a/b", "/ab", "/c/b"))))
    return Attributes(
        verb,
        draw(st.sampled_from(("", "apps"))),
        draw(st.sampled_from(("pods", "deployments"))),
        draw(st.sampled_from(("", "log"))),
        draw(st.sampled_from(("", "x"))),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    roles=st.lists(st.lists(rules(), max_size=2), min_size=1, max_size=2),
    shapes=st.lists(st.sampled_from(["crb", "rb-cluster", "rb-role", "dangling"]), min_size=2),
    asked=st.lists(questions(), min_size=8, max_size=8),
    somewhere=st.sampled_from(("NS", OTHER, "")),
)
def test_rules_allow_exactly_what_the_api_server_allows(
    roles: list[list[dict[str, Any]]],
    shapes: list[str],
    asked: list[Attributes],
    somewhere: str,
    stage: Stage,
    api: Api,
) -> None:
    # an account of its own for each example: nothing of one is left for the next
    number = next(NUMBERS)
    account, where = f"a{number}", somewhere.replace("NS", stage.namespace)
    subject = {"kind": "ServiceAccount", "name": account, "namespace": stage.namespace}
    made: list[tuple[str, dict[str, Any]]] = []
    for index, (role_rules, shape) in enumerate(zip(roles, shapes, strict=False)):
        name = f"r{number}-{index}"
        if shape == "rb-role":
            role_rules = [rule for rule in role_rules if "nonResourceURLs" not in rule]
        kind = "Role" if shape == "rb-role" else "ClusterRole"
        inside = f"{RBAC}/namespaces/{stage.namespace}"
        role = {"kind": kind, "metadata": {"name": name}, "rules": role_rules}
        if shape != "dangling":
            made.append((f"{inside}/roles" if kind == "Role" else f"{RBAC}/clusterroles", role))
        wide = shape in ("crb", "dangling")
        binding = {
            "kind": "ClusterRoleBinding" if wide else "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [subject],
        }
        made.append((f"{RBAC}/clusterrolebindings" if wide else f"{inside}/rolebindings", binding))
    witness = {
        "kind": "ClusterRole",
        "metadata": {"name": f"w{number}"},
        "rules": [{"apiGroups": ["example.org"], "resources": [f"w{number}"], "verbs": ["get"]}],
    }
    seen = {
        "kind": "RoleBinding",
        "metadata": {"name": f"w{number}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"w{number}",
        },
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"witness-{number}"}
        ],
    }
    # the API server watches each of the four kinds by itself, so each gets its last word
    closing = [
        (f"{RBAC}/clusterroles", witness),
        (f"{RBAC}/namespaces/{stage.namespace}/rolebindings", seen),
    ]
    done: list[str] = []
    items: list[dict[str, Any]] = []
    try:
        for path, item in [*made, *closing]:
            body = {"apiVersion": "rbac.authorization.k8s.io/v1", **item}
            items.append(api.request("POST", path, body))
            done.append(f"{path}/{item['metadata']['name']}")
        wait_for_witness(api, stage.namespace, f"w{number}", number)
        snapshot = {
            "apiVersion": "satoken/v1",
            "kind": "Snapshot",
            "seen": [
                {"kind": kind}
                for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
            ],
            "items": items,
        }
        world = ManifestWorld([snapshot], stage.namespace, 0)
        scope = (where,) if where else ()

        def ours(question: Attributes) -> bool:
            """Our answer; a URL is asked of no namespace."""
            held = grants(world, stage.namespace, account, () if question.path else scope)
            return any(allows(grant.rules or [], question) for grant in held)

        wanted = [ours(question) for question in asked]
        end = time.monotonic() + 10
        while True:
            answers = [
                reviewed(api, stage.namespace, account, Question(where, one))["allowed"]
                for one in asked
            ]
            # what is allowed may take a moment; what is not never comes
            if answers == wanted or time.monotonic() > end:
                break
        assert answers == wanted
    finally:
        for path in done:
            try:
                api.request("DELETE", path)
            except NotFound:
                continue


def test_the_table_of_resources_is_that_of_the_api_server(stage: Stage) -> None:
    wrong = []
    custom = stage.shell("kubectl get crd -o name").stdout  # other tests make some
    for line in stage.shell("kubectl api-resources --no-headers").stdout.splitlines():
        name, *short, version, namespaced, _ = line.split()
        entry = f"{'/'.join([name, *','.join(short).split(',')])}".rstrip("/")
        entry += "" if namespaced == "true" else "!"
        group = version.rpartition("/")[0]
        if f"/{name}.{group}\n" not in custom and entry not in RESOURCES.get(group, "").split():
            wrong.append(f"{group}: {entry}")
    assert wrong == []


def wait_for_witness(api: Api, namespace: str, resource: str, number: int) -> None:
    """Waits until the binding that was made after the one in question is in force."""
    end = time.monotonic() + 10
    question = Question(namespace, Attributes("get", "example.org", resource))
    while not review(api, f"witness-{number}", (), question)["allowed"]:
        assert time.monotonic() < end, "the API server does not see the binding"
        time.sleep(0.01)
