"""rbac.py: who is bound, what rules allow, and how it is said."""

import io
import json
from typing import Any

import pytest

from kubectl_satoken.diagnosis import diagnose
from kubectl_satoken.env import Env
from kubectl_satoken.manifests import ManifestWorld
from kubectl_satoken.output import report_object, write_report
from kubectl_satoken.rbac import (
    NAMESPACES_KEPT,
    Attributes,
    allows,
    bindings_of,
    grants,
    in_words,
    known_of,
    rights,
)
from kubectl_satoken.targets import Target
from kubectl_satoken.world import Unseen
from tests.checks.given import world
from tests.conftest import ROOT


def rule(**fields: list[str]) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **fields}


@pytest.mark.parametrize(
    ("granted", "asked"),
    [
        (rule(), Attributes("get", "", "pods")),
        (rule(), Attributes("get", "", "pods", "", "web")),
        (rule(verbs=["*"]), Attributes("frobnicate", "", "pods")),
        (rule(apiGroups=["*"]), Attributes("get", "apps", "pods")),
        (rule(resources=["*"]), Attributes("get", "", "pods", "log")),
        (rule(resources=["*/log"]), Attributes("get", "", "pods", "log")),
        (rule(resources=["pods/log"]), Attributes("get", "", "pods", "log")),
        (rule(resourceNames=["web"]), Attributes("get", "", "pods", "", "web")),
        ({"nonResourceURLs": ["/a"], "verbs": ["get"]}, Attributes("get", path="/a")),
        ({"nonResourceURLs": ["/a/*"], "verbs": ["get"]}, Attributes("get", path="/a/b/c")),
        ({"nonResourceURLs": ["/a**"], "verbs": ["get"]}, Attributes("get", path="/ab")),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, Attributes("get", path="/a")),
    ],
)
def test_what_a_rule_allows(granted: dict[str, Any], asked: Attributes) -> None:
    assert allows([granted], asked)
    assert allows([rule(verbs=["nix"]), granted], asked)


@pytest.mark.parametrize(
    ("granted", "asked"),
    [
        (rule(), Attributes("list", "", "pods")),
        (rule(), Attributes("get", "apps", "pods")),
        (rule(), Attributes("get", "", "pods", "log")),
        (rule(resources=["pods/*"]), Attributes("get", "", "pods", "log")),
        (rule(resources=["*/log"]), Attributes("get", "", "pods")),
        (rule(resources=["*/*"]), Attributes("get", "", "pods", "log")),
        (rule(resources=["po*"]), Attributes("get", "", "pods")),
        (rule(apiGroups=["*.k8s.io"]), Attributes("get", "metrics.k8s.io", "pods")),
        (rule(resourceNames=["web"]), Attributes("get", "", "pods")),
        (rule(resourceNames=["*"]), Attributes("get", "", "pods", "", "web")),
        (rule(), Attributes("get", path="/a")),
        ({"nonResourceURLs": ["*"], "verbs": ["get"]}, Attributes("get", "", "pods")),
        ({"nonResourceURLs": ["/a/*"], "verbs": ["get"]}, Attributes("get", path="/a")),
        ({"nonResourceURLs": ["/a/*/b"], "verbs": ["get"]}, Attributes("get", path="/a/c/b")),
        ({"nonResourceURLs": None, "resources": None, "verbs": ["get"]}, Attributes("get")),
        ({}, Attributes("get", "", "pods")),
    ],
)
def test_what_it_does_not(granted: dict[str, Any], asked: Attributes) -> None:
    assert not allows([granted], asked)


RULES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: many}
rules:
- {apiGroups: [apps], resources: [deployments, deployments/scale], verbs: [get]}
- {apiGroups: [apps], resources: [statefulsets], verbs: [get]}
- {apiGroups: [apps], resources: [daemonsets], verbs: [get]}
---
"""


def binding(name: str, role: str, subject: str, namespace: str = "shop") -> str:
    kind, role = role.split("/")
    own = "RoleBinding" if namespace else "ClusterRoleBinding"
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: {own}
metadata: {{name: {name}{where}}}
subjects: [{{kind: User, name: jane}}, {subject}]
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {role}}}
---
"""


WEB = "{kind: ServiceAccount, name: web, namespace: shop}"
EVERYBODY = "{kind: Group, name: 'system:authenticated'}"


def test_grants_are_the_bindings_with_their_roles() -> None:
    cluster = world(
        RULES
        + binding("a", "Role/reader", WEB)
        + binding("b", "Role/gone", "{kind: User, name: 'system:serviceaccount:shop:web'}")
        + binding("c", "ClusterRole/many", "{kind: Group, name: 'system:serviceaccounts:shop'}")
        + binding("d", "ClusterRole/many", "{kind: ServiceAccount, name: other}")
        + binding("e", "ClusterRole/many", WEB, "elsewhere")
        + binding("f", "ClusterRole/many", WEB, "")
    )
    found = {grant.binding["metadata"]["name"]: grant for grant in grants(cluster, "shop", "web")}
    assert sorted(found) == ["a", "b", "c", "f"]
    assert found["a"].rules == [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
    ]
    assert (found["b"].rules, found["b"].unseen) == (None, None)
    assert [found[name].own for name in "abcf"] == [True, True, False, True]
    assert [found[name].wide for name in "abcf"] == [False, False, False, True]
    assert {grant.number for grant in found.values()} == {1}
    elsewhere = grants(cluster, "shop", "web", ("shop", "elsewhere"))
    assert sorted(grant.binding["metadata"]["name"] for grant in elsewhere) == list("abcef")
    everywhere = grants(cluster, "shop", "web", ("",))
    assert sorted(grant.binding["metadata"]["name"] for grant in everywhere) == list("abcef")


def test_a_role_that_cannot_be_seen_is_not_a_missing_one() -> None:
    cluster = world(binding("a", "Role/reader", WEB), unseen=("Role",))
    (grant,) = grants(cluster, "shop", "web")
    assert grant.rules is None
    assert grant.unseen is not None


def test_bindings_that_cannot_be_seen_are_said_after_those_that_can() -> None:
    cluster = world(RULES + binding("f", "ClusterRole/many", WEB, ""), unseen=("RoleBinding",))
    found = grants(cluster, "shop", "web")
    assert next(found).binding["metadata"]["name"] == "f"
    with pytest.raises(Unseen, match="rolebindings"):
        next(found)


def test_what_every_account_has_is_nothing() -> None:
    cluster = world(
        binding("system:discovery", "ClusterRole/system:discovery", EVERYBODY, "")
        + binding("system:basic-user", "Role/reader", EVERYBODY)
        + RULES
    )
    assert [one["kind"] for one in bindings_of(cluster, "shop", "web")] == ["RoleBinding"]
    assert list(rights(cluster, "shop", "web")) == [
        "get,list pods,pods/log in shop (role/reader)",
    ]


def test_rights_are_short_phrases() -> None:
    cluster = world(
        RULES
        + binding("a", "Role/reader", WEB)
        + binding("b", "Role/gone", WEB)
        + binding("v", "ClusterRole/view", WEB)
        + binding("c", "ClusterRole/many", WEB, ""),
        unseen=("ClusterRole",),
    )
    assert list(rights(cluster, "shop", "web")) == [
        "get,list pods,pods/log in shop (role/reader)",
        "view in shop (rolebinding/v)",
        "many everywhere (clusterrolebinding/c)",
    ]
    assert list(rights(cluster, "shop", "other")) == []
    with pytest.raises(Unseen):
        list(rights(world("", unseen=("ClusterRoleBinding",)), "shop", "web"))


@pytest.mark.parametrize(
    ("granted", "words"),
    [
        (rule(verbs=["get", "list"]), "get,list pods"),
        (
            rule(apiGroups=["apps"], resources=["deployments", "deployments/scale"]),
            "get deployments.apps,deployments.apps/scale",
        ),
        (rule(resourceNames=["web", "db"]), "get pods named web,db"),
        ({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}, "get /metrics"),
    ],
)
def test_a_rule_in_words(granted: dict[str, Any], words: str) -> None:
    assert in_words(granted) == words


def test_a_sweep_keeps_the_bindings_of_few_namespaces() -> None:
    cluster = world("".join(binding("a", "Role/reader", WEB, f"n{number}") for number in range(9)))
    for number in range(9):
        assert len(list(grants(cluster, "shop", "web", (f"n{number}",)))) == 1
    kept = [key for key in known_of(cluster)["subjects"] if key[0] == "RoleBinding"]
    assert len(kept) == NAMESPACES_KEPT
    assert kept[-1] == ("RoleBinding", "n8")


# --- what doctor says of it

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: u2}
---
"""


def told(cluster: ManifestWorld, source: str = "cluster") -> tuple[list[str], dict[str, Any]]:
    """The rows on rights of a healthy pod's table, and the same for programs."""
    report = diagnose([Target("Pod", "x")], "shop", cluster)
    report = report._replace(source=source, causes=[], skipped=[])
    screen = io.StringIO()
    write_report(report, Env(stdout=screen), colour=False, wide=False)
    lines = screen.getvalue().splitlines()
    rows: list[str] = []
    for line in lines:
        if line.startswith("  may ") or (rows and not line[:12].strip()):
            rows.append(line)
        elif rows:
            break
    (rights_of_web,) = report_object(report)["rights"]
    if source == "cluster":
        assert lines[-1] == "  ask       kubectl satoken can-i sa/web --list -n shop"
    assert all(len(line) <= 80 for line in lines)
    return rows, rights_of_web


def test_doctor_says_what_the_account_may_do() -> None:
    rows, rights_of_web = told(
        world(
            POD
            + RULES
            + binding("a", "Role/reader", WEB)
            + binding("v", "ClusterRole/view", WEB)
            + binding("e", "ClusterRole/edit", WEB)
            + binding("c", "ClusterRole/many", WEB, "")
        )
    )
    assert rows == [
        "  may       many everywhere (clusterrolebinding/c)",
        "            get,list pods,pods/log in shop (role/reader), and 2 more",
    ]
    assert rights_of_web == {
        "target": {"kind": "Pod", "namespace": "shop", "name": "x"},
        "user": "system:serviceaccount:shop:web",
        "may": [
            "many everywhere (clusterrolebinding/c)",
            "get,list pods,pods/log in shop (role/reader)",
            "view in shop (rolebinding/v)",
            "edit in shop (rolebinding/e)",
        ],
        "unseen": None,
    }


def test_doctor_says_nothing_only_where_all_was_seen() -> None:
    assert told(world(POD))[0] == ["  may       nothing in shop but discovery"]
    rows, rights_of_web = told(world(POD, unseen=("RoleBinding", "ClusterRoleBinding")))
    assert rows == ["  may       not known: rolebindings not seen"]
    assert (rights_of_web["may"], rights_of_web["unseen"]) == ([], "rolebindings")
    some = POD + binding("v", "ClusterRole/view", WEB)
    assert told(world(some, unseen=("ClusterRoleBinding",)))[0] == [
        "  may       view in shop (rolebinding/v)",
        "            maybe more: clusterrolebindings not seen",
    ]
    assert told(world(POD, unseen=("RoleBinding",)), "manifests")[0] == []


def test_the_schema_has_the_rights() -> None:
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    assert set(told(world(POD))[1]) == set(schema["$defs"]["rights"]["required"])
    assert "rights" in schema["required"]


def test_where_only_some_checks_were_asked_for_nothing_more_is_read() -> None:
    report = diagnose([Target("Pod", "x")], "shop", world(POD), wanted=frozenset({"SAT301"}))
    assert report.rights == ()
