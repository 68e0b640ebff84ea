"""can-i on a real API server: the answer is its own, whoever asks, and so are the reasons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.scenarios import Stage

SIX = (Path(__file__).parent / "six_bindings.yaml").read_text()

USERS = """
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: users-view, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ci-view}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: users-edit, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ci-edit}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: users-admin, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ci-admin}]
"""


class Asked:
    """What can-i said: the answer as an object, the exit status, what it told besides."""

    def __init__(self, stage: Stage, user: str, *words: str) -> None:
        with stage.acting(user):
            done = stage.satoken("can-i", *words, "-o", "json")
        self.status, self.stderr, self.stdout = done.returncode, done.stderr, done.stdout
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr
        self.answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}

    @property
    def bindings(self) -> set[str]:
        """The names of the bindings that grant it."""
        return {one["binding"]["name"] for one in self.answer["grantedBy"]}


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("can-i"))
    stage.open()
    stage.kubectl("create", "namespace", f"{stage.namespace}-b")
    for text in (SIX, USERS):
        named = text.replace("NS", stage.namespace)
        stage.kubectl("apply", "-f", "-", stdin=named)
    user = f"system:serviceaccount:{stage.namespace}:app"
    stage.until(f"kubectl auth can-i get pods/log -n $NS --as={user}")
    yield stage
    stage.forget_roles()
    stage.kubectl("delete", "namespace", f"{stage.namespace}-b", "--wait=false")
    stage.close()


def namespaced(stage: Stage, *words: str) -> list[str]:
    return [*words, "-n", stage.namespace]


# --- the six bindings of which no other tool finds all --------------------------------------------


@pytest.mark.parametrize(
    ("question", "bindings"),
    [
        ("list pods", {"own", "user-form"}),
        ("get configmaps web", {"names", "user-form"}),
        ("get configmaps", {"user-form"}),
        ("list nodes", {"NS-six-nodes"}),
        ("get /metrics", {"NS-six-nodes"}),
        ("create pods/exec", {"user-form"}),
        ("create pods/exec web", {"user-form"}),
    ],
)
def test_every_binding_that_grants_it_is_told(
    question: str, bindings: set[str], stage: Stage
) -> None:
    asked = Asked(stage, "", *namespaced(stage, "sa/app", *question.split()))
    assert (asked.status, asked.answer["allowed"]) == (0, True), asked.stdout
    assert asked.bindings == {name.replace("NS", stage.namespace) for name in bindings}
    assert asked.answer["via"] == "SubjectAccessReview"
    assert asked.answer["otherAuthorizer"] is None
    # the API server names one of them
    assert any(f'"{name}' in asked.answer["reason"] for name in asked.bindings)


def test_a_binding_in_another_namespace_counts_there(stage: Stage) -> None:
    words = (f"sa/{stage.namespace}:app", "get", "secrets", "-n", f"{stage.namespace}-b")
    asked = Asked(stage, "", *words)
    assert (asked.status, asked.bindings) == (0, {"other-namespace"})
    user = f"system:serviceaccount:{stage.namespace}:app"
    assert Asked(stage, "", user, *words[1:]).answer == asked.answer


def test_a_list_has_all_six(stage: Stage) -> None:
    done = stage.satoken("can-i", "sa/app", "--list", "-A", "-n", stage.namespace, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    names = {rule["binding"]["name"] for rule in found["rules"]}
    wanted = {"own", "other-namespace", "names", "user-form", f"{stage.namespace}-six-nodes"}
    assert names >= wanted
    assert found["complete"] is True
    # the sixth gives nothing, and is what the review complains about
    no = Asked(stage, "", *namespaced(stage, "sa/app", "list", "nodes", "-A")).answer
    assert no["allowed"]
    no = Asked(stage, "", *namespaced(stage, "sa/app", "delete", "nodes")).answer
    assert not no["allowed"]


def test_a_list_is_what_the_api_server_lists(stage: Stage) -> None:
    """The rights by bindings and those by SelfSubjectRulesReview are the same."""

    def rights(*words: str) -> set[tuple[str, ...]]:
        done = stage.satoken("can-i", "sa/app", "--list", *namespaced(stage, *words), "-o", "json")
        assert done.returncode == 0, done.stderr
        found = set()
        for rule in json.loads(done.stdout)["rules"]:
            for verb in rule["verbs"]:
                for url in rule.get("nonResourceURLs") or []:
                    # a RoleBinding gives no URLs
                    if rule.get("namespace") is None:
                        found.add((verb, url))
                for group in rule.get("apiGroups") or []:
                    for resource in rule.get("resources") or []:
                        names = tuple(rule.get("resourceNames") or [])
                        found.add((verb, group, resource, *names))
        return found

    assert rights() == rights("--via=impersonation") == rights("--via=token")


# --- who asks -------------------------------------------------------------------------------------

IMPERSONATED = "impersonated SelfSubjectAccessReview"


@pytest.mark.parametrize(
    ("user", "via"),
    [("ci-admin", "LocalSubjectAccessReview"), ("ci-edit", IMPERSONATED)],
)
@pytest.mark.parametrize(("question", "status"), [("list pods", 0), ("delete nodes", 1)])
def test_a_user_of_the_namespace_gets_an_answer(
    user: str, via: str, question: str, status: int, stage: Stage
) -> None:
    asked = Asked(stage, user, *namespaced(stage, "sa/app", *question.split()))
    assert asked.status == status, asked.stdout + asked.stderr
    # what is in no namespace cannot be asked by a local review
    assert asked.answer["via"] == (IMPERSONATED if "nodes" in question else via)
    # what could not be looked at for the reasons is said, and is no part of the answer; by the API
    # server's reason no ClusterRoleBinding allows what the first RoleBinding does
    enough = (user, question) == ("ci-admin", "list pods")
    assert any("rolebindings" in skip["what"] for skip in asked.answer["skipped"]) != enough


def test_view_gets_what_can_be_computed_or_is_told_why_not(stage: Stage) -> None:
    asked = Asked(stage, "ci-view", *namespaced(stage, "sa/app", "list", "pods"))
    assert asked.status == 3
    assert "not all that counts could be seen" in asked.stderr
    assert "rolebindings" in asked.stderr
    assert "impersonate serviceaccount app" in asked.stderr


def test_a_reader_of_rbac_gets_a_computed_answer(stage: Stage) -> None:
    """Who may read RBAC objects and ask nothing."""
    name = f"{stage.namespace}-reader"
    rules = "--verb=get,list", "--resource=roles,rolebindings,clusterroles,clusterrolebindings"
    stage.kubectl("create", "clusterrole", name, *rules)
    stage.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", "--user=ci-reader")
    try:
        stage.until("kubectl auth can-i list clusterroles --as=ci-reader")
        for question, allowed in (("list pods", True), ("delete nodes", False)):
            asked = Asked(stage, "ci-reader", *namespaced(stage, "sa/app", *question.split()))
            assert asked.answer["allowed"] is allowed, asked.stderr
            assert (asked.answer["via"], asked.answer["computed"]) == ("RBAC objects", True)
            # whether the account exists could not be seen, and that is said
            assert any("exists was not seen" in note for note in asked.answer["notes"])
    finally:
        stage.kubectl("delete", "clusterrole,clusterrolebinding", name)


CONSTRAINED = """
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NS-constrained}
  rules:
  - apiGroups: [authentication.k8s.io]
    resources: [serviceaccounts]
    verbs: ["impersonate:serviceaccount"]
  - apiGroups: [authorization.k8s.io]
    resources: [selfsubjectaccessreviews]
    verbs: ["impersonate-on:serviceaccount:create"]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: NS-constrained}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-constrained}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ci-constrained}]
"""


def test_who_may_play_the_account_for_this_one_request_gets_its_answer(stage: Stage) -> None:
    """Constrained impersonation, KEP-5284: no right to impersonate in general."""
    stage.kubectl("apply", "-f", "-", stdin=CONSTRAINED.replace("NS", stage.namespace))
    try:
        stage.until(
            "kubectl auth can-i impersonate-on:serviceaccount:create "
            "selfsubjectaccessreviews.authorization.k8s.io --as=ci-constrained"
        )
        for question, allowed in (("list pods", True), ("delete nodes", False)):
            asked = Asked(stage, "ci-constrained", *namespaced(stage, "sa/app", *question.split()))
            assert asked.status == (0 if allowed else 1), asked.stderr
            assert asked.answer["via"] == IMPERSONATED
        # the review of all rights is another request, which was not granted
        words = namespaced(stage, "sa/app", "--list", "--via=impersonation")
        refused = Asked(stage, "ci-constrained", *words)
        assert refused.status == 3
        assert "impersonate" in refused.stderr
    finally:
        stage.kubectl("delete", "clusterrole,clusterrolebinding", f"{stage.namespace}-constrained")


def test_a_way_can_be_forced(stage: Stage) -> None:
    ways = {
        "review": "SubjectAccessReview",
        "impersonation": IMPERSONATED,
        "token": "SelfSubjectAccessReview with a token of the account",
        "rbac": "RBAC objects",
    }
    for way, via in ways.items():
        words = namespaced(stage, "sa/app", "list", "pods", f"--via={way}")
        assert Asked(stage, "", *words).answer["via"] == via
        words = namespaced(stage, "sa/app", "delete", "nodes", f"--via={way}")
        assert Asked(stage, "", *words).status == 1
    refused = Asked(stage, "ci-edit", *namespaced(stage, "sa/app", "list", "pods", "--via=review"))
    assert refused.status == 3
    assert "subjectaccessreviews" in refused.stderr


def test_who_plays_somebody_cannot_play_the_account(stage: Stage) -> None:
    words = namespaced(stage, "sa/app", "list", "pods", "--as=ci-edit", "--via=impersonation")
    asked = Asked(stage, "", *words)
    assert asked.status == 3
    assert "you play somebody else already" in asked.stderr


def test_me_is_who_asks(stage: Stage) -> None:
    asked = Asked(stage, "ci-edit", *namespaced(stage, "me", "list", "pods"))
    assert (asked.status, asked.answer["account"]) == (0, None)
    assert asked.answer["via"] == "SelfSubjectAccessReview"
    assert 'RoleBinding "users-edit/' in asked.answer["reason"]
    assert Asked(stage, "ci-edit", *namespaced(stage, "me", "list", "nodes")).status == 1


# --- whom it is about -----------------------------------------------------------------------------


def test_pods_and_workloads_stand_for_their_account(stage: Stage) -> None:
    image = "--image=registry.k8s.io/pause"
    stage.kubectl("-n", stage.namespace, "create", "deployment", "web", image)
    patch = '{"spec":{"template":{"spec":{"serviceAccountName":"app"}}}}'
    stage.kubectl("-n", stage.namespace, "patch", "deployment", "web", "-p", patch)
    for target in ("deploy/web", "deployments.apps/web"):
        asked = Asked(stage, "", *namespaced(stage, target, "create", "pods/exec"))
        assert asked.answer["account"]["name"] == "app"
        assert f"{target} runs as serviceaccount app" in asked.answer["notes"]
    asked = Asked(stage, "", *namespaced(stage, "configmap/kube-root-ca.crt", "list", "pods"))
    assert asked.status == 2
    assert "has no service account" in asked.stderr


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("sa/ap", "did you mean app?"),
        ("sa/nobody", "create serviceaccount nobody makes it"),
        ("sa/NS-b:app", "did you mean sa/NS:app?"),
    ],
)
def test_an_account_that_is_not_there_is_said_first(target: str, hint: str, stage: Stage) -> None:
    words = namespaced(stage, target.replace("NS", stage.namespace), "list", "pods")
    asked = Asked(stage, "", *words)
    assert (asked.status, asked.stdout) == (3, "")
    assert 'serviceaccounts "' in asked.stderr
    assert "not found" in asked.stderr
    assert hint.replace("NS", stage.namespace) in asked.stderr


# --- as kubectl -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "list pods",
        "get pods/log",
        "delete pods/web",
        "get configmaps/other",
        "create deployments.apps",
        "update deploy/scale",
        "list nodes",
        "get /metrics",
        "get /metrics/cadvisor",
        "list gadgets",
        "watch events.events.k8s.io",
        "escalate roles",
    ],
)
def test_the_answer_and_the_status_are_kubectls(question: str, stage: Stage) -> None:
    words = question.split()
    ours = stage.satoken("can-i", *namespaced(stage, "sa/app", *words), "-o", "name")
    user = f"system:serviceaccount:{stage.namespace}:app"
    main, slash, below = words[1].partition("/")
    if main and slash and below in ("log", "scale"):
        words = [words[0], main, f"--subresource={below}"]
    line = " ".join(["kubectl auth can-i", *words, "-n", stage.namespace, f"--as={user}"])
    theirs = stage.shell(line, check=False)
    assert ours.stdout.split()[0] == theirs.stdout.split()[0]
    assert ours.returncode == theirs.returncode


def test_what_a_rolebinding_says_of_nodes_is_not_believed(stage: Stage) -> None:
    """kubectl sends a namespace with what is in none, and is told yes; the request is refused."""
    words = ["--verb=list", "--resource=persistentvolumes"]
    stage.kubectl("create", "clusterrole", f"{stage.namespace}-pv", *words)
    try:
        account = f"--serviceaccount={stage.namespace}:app"
        role = f"--clusterrole={stage.namespace}-pv"
        stage.kubectl("-n", stage.namespace, "create", "rolebinding", "pv", role, account)
        user = f"system:serviceaccount:{stage.namespace}:app"
        stage.until(f"kubectl auth can-i list pv -n $NS --as={user}")
        assert stage.shell(f"kubectl get pv --as={user}", check=False).returncode == 1
        asked = Asked(stage, "", *namespaced(stage, "sa/app", "list", "pv"))
        assert (asked.status, asked.answer["question"]["namespace"]) == (1, None)
    finally:
        stage.kubectl("delete", "clusterrole", f"{stage.namespace}-pv")
        stage.kubectl("-n", stage.namespace, "delete", "rolebinding", "pv")


DELEGATE = """
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NS-delegate}
  rules:
  - {apiGroups: [''], resources: [users], verbs: [impersonate]}
  - {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [create]}
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    verbs: [bind]
    resourceNames: [view]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: delegate, namespace: NS}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-delegate}
  subjects: [{kind: ServiceAccount, name: delegate}]
"""


def test_the_namespace_counts_where_the_request_has_one(stage: Stage) -> None:
    """A ClusterRole is bound in the namespace of the binding; nobody is played in one."""
    stage.kubectl("apply", "-f", "-", stdin=DELEGATE.replace("NS", stage.namespace))
    stage.kubectl("-n", stage.namespace, "create", "serviceaccount", "delegate")
    token = stage.kubectl("-n", stage.namespace, "create", "token", "delegate").strip()
    as_account = f"kubectl --kubeconfig=$WORK/none --token={token} --server={stage.cluster.server}"
    as_account += " --insecure-skip-tls-verify"
    (Path(stage.environ["WORK"]) / "none").write_text("")
    words = ("sa/delegate", "bind", "clusterroles")
    stage.until("kubectl satoken can-i sa/delegate create rolebindings -n $NS -q")
    for name, status in (("view", 0), ("edit", 1)):
        assert Asked(stage, "", *namespaced(stage, *words, name)).status == status
        made = f"{as_account} -n $NS create rolebinding by-delegate --clusterrole={name} --user=x"
        assert stage.shell(made, check=False).returncode == status
    whole = Asked(stage, "", *namespaced(stage, *words, "view", "-A"))
    assert (whole.status, whole.answer["question"]["namespace"]) == (1, None)
    asked = Asked(stage, "", *namespaced(stage, "sa/delegate", "impersonate", "users"))
    assert (asked.status, asked.answer["question"]["namespace"]) == (1, None)
    refused = stage.shell(f"{as_account} -n $NS get pods --as=x", check=False)
    assert "cannot impersonate" in refused.stderr
    found = json.loads(stage.satoken("who-can", *words[1:], "view", "-A", "-o", "json").stdout)
    assert "delegate" in {one["name"] for one in found["subjects"]}
    found = json.loads(stage.satoken("who-can", "impersonate", "users", "-o", "json").stdout)
    assert "delegate" not in {one["name"] for one in found["subjects"]}


def test_quiet_prints_nothing(stage: Stage) -> None:
    for question, status in (("list pods", 0), ("delete nodes", 1)):
        done = stage.satoken("can-i", *namespaced(stage, "sa/app", *question.split()), "-q")
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
