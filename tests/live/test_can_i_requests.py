"""How much can-i asks of an API server, as that saw it, by question, answer and who asks."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.live.test_can_i import USERS
from tests.scenarios import Stage

# An account with a Role, with a ClusterRole in its namespace, and with one everywhere.
WORKER = """
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ServiceAccount
  metadata: {name: worker, namespace: NS}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: worker, namespace: NS}
  rules: [{apiGroups: [''], resources: [pods], verbs: [list]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NS-maps}
  rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NS-wide}
  rules:
  - {apiGroups: [''], resources: [nodes, services], verbs: [list]}
  - {nonResourceURLs: [/NS], verbs: [get]}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: worker, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: worker}
  subjects: [{kind: ServiceAccount, name: worker}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: maps, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-maps}
  subjects: [{kind: ServiceAccount, name: worker}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: NS-wide}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-wide}
  subjects: [{kind: ServiceAccount, name: worker, namespace: NS}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: NS-full}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ci-full}]
"""

ANSWER = ("create subjectaccessreviews",)
REFUSED = ("create subjectaccessreviews 403",)
LOCAL = (*REFUSED, "create localsubjectaccessreviews NS")
REFUSED_TWICE = (*REFUSED, "create localsubjectaccessreviews NS 403")
PLAYED = ("create selfsubjectaccessreviews",)
NOT_PLAYED = ("create selfsubjectaccessreviews 403",)
WIDE = ("list clusterrolebindings", "list clusterroles")
NO_WIDE = ("list clusterrolebindings 403",)
NO_NARROW = ("list rolebindings NS 403",)
NO_OTHER = (*NO_WIDE, "list rolebindings 403")
ALL = (*ANSWER, *WIDE, "list rolebindings", "list roles NS")

# Of each question what the server sees besides the GET of the account. The answer is yes to those
# that list, and to get configmaps and /NS; no to the others.
SEEN: dict[str, dict[str, tuple[str, ...]]] = {
    "ci-full": {
        # by a RoleBinding, whose own role need not be read for what is printed
        "list pods": (*ANSWER, "list rolebindings NS", "get clusterroles"),
        "get configmaps": (*ANSWER, "list rolebindings NS", "get roles NS"),
        "list pods -o json": (*ANSWER, "list rolebindings NS", "get clusterroles", "get roles NS"),
        # by a ClusterRoleBinding in a namespace, and of what is in none
        "list services": (*ANSWER, *WIDE, "list rolebindings NS", "get roles NS"),
        "list nodes": (*ANSWER, *WIDE),
        "list services -A": (*ANSWER, *WIDE),
        "get /NS": (*ANSWER, *WIDE),
        "delete pods": ALL,
        "delete nodes": ALL,
        "get /NS/other": ALL,
        "delete pods --grant": (*ANSWER, "get roles NS 404", "get rolebindings NS 404"),
        "list pods -q": ANSWER,
        "delete nodes -o name": ANSWER,
    },
    "ci-view": {
        "list pods": (*REFUSED_TWICE, *NOT_PLAYED, *NO_WIDE, *NO_NARROW),
        "delete pods": (*REFUSED_TWICE, *NOT_PLAYED, *NO_WIDE, *NO_NARROW),
        "list nodes": (*REFUSED, *NOT_PLAYED, *NO_WIDE),
        "delete nodes": (*REFUSED, *NOT_PLAYED, *NO_WIDE),
        "get /NS": (*REFUSED, *NOT_PLAYED, *NO_WIDE),
        "get /NS/other": (*REFUSED, *NOT_PLAYED, *NO_WIDE),
    },
    "ci-edit": {
        "list pods": (*REFUSED_TWICE, *PLAYED, *NO_NARROW),
        "list services": (*REFUSED_TWICE, *PLAYED, *NO_NARROW, *NO_WIDE),
        "list nodes": (*REFUSED, *PLAYED, *NO_WIDE),
        "get /NS": (*REFUSED, *PLAYED, *NO_WIDE),
        "delete pods": (*REFUSED_TWICE, *PLAYED, *NO_OTHER, *NO_NARROW),
        "delete nodes": (*REFUSED, *PLAYED, *NO_OTHER, *NO_NARROW),
        "get /NS/other": (*REFUSED, *PLAYED, *NO_OTHER, *NO_NARROW),
        "list pods -q": (*REFUSED_TWICE, *PLAYED),
    },
    # the admin of the namespace
    "ci-admin": {
        "list pods": (*LOCAL, "list rolebindings NS", "get clusterroles 403"),
        "get configmaps": (*LOCAL, "list rolebindings NS", "get roles NS"),
        "list services": (
            *(*LOCAL, "list rolebindings NS", *NO_WIDE),
            *("get roles NS", "get clusterroles 403"),
        ),
        "list nodes": (*REFUSED, *PLAYED, *NO_WIDE),
        "get /NS": (*REFUSED, *PLAYED, *NO_WIDE),
        "delete pods": (
            *(*LOCAL, *NO_OTHER, "list rolebindings NS"),
            *("list roles NS", "list clusterroles 403", "get clusterroles 403"),
        ),
        "list pods -q": LOCAL,
    },
}


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("requests"))
    stage.open()
    for text in (USERS, WORKER):
        stage.kubectl("apply", "-f", "-", stdin=text.replace("NS", stage.namespace))
    stage.until("kubectl auth can-i '*' '*' --as=ci-full")
    user = f"system:serviceaccount:{stage.namespace}:worker"
    stage.until(f"kubectl auth can-i list nodes --as={user}")
    yield stage
    stage.forget_roles()
    stage.close()


def seen(stage: Stage, user: str, question: str) -> list[str]:
    """What the API server saw of one question: verb, resource, namespace, status if it refused."""
    log = stage.cluster.audit_log
    before = log.stat().st_size
    words = question.replace("NS", stage.namespace).split()
    with stage.acting(user):
        done = stage.satoken("can-i", "sa/worker", *words, "-n", stage.namespace)
    assert "Traceback" not in done.stderr
    found = []
    for line in log.read_bytes()[before:].splitlines():
        event = json.loads(line)
        if event["user"]["username"] != user or event["stage"] != "ResponseComplete":
            continue
        if event["requestURI"] in ("/api", "/apis"):
            continue  # discovery, which is remembered
        about, code = event["objectRef"], event["responseStatus"]["code"]
        where = "NS" if about.get("namespace") else ""
        status = str(code) if code >= 400 else ""
        found.append(" ".join(filter(None, (event["verb"], about["resource"], where, status))))
    return found


@pytest.mark.parametrize(("user", "question"), [(u, q) for u, some in SEEN.items() for q in some])
def test_a_question_costs_no_request_too_many(user: str, question: str, stage: Stage) -> None:
    found = seen(stage, user, question)
    assert sorted(found) == sorted(["get serviceaccounts NS", *SEEN[user][question]])


@pytest.mark.parametrize(("user", "most"), [("ci-full", 6), ("ci-view", 6), ("ci-edit", 7)])
def test_no_question_costs_more_than_this(user: str, most: int) -> None:
    assert max(1 + len(found) for found in SEEN[user].values()) == most


def test_a_yes_costs_no_more_than_four_requests_unless_what_grants_it_counts_everywhere() -> None:
    for question in ("list pods", "get configmaps", "list nodes", "list services -A", "get /NS"):
        assert 1 + len(SEEN["ci-full"][question]) == 4, question
