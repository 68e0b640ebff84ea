"""What words on a command line ask of RBAC."""

import pytest

from kubectl_satoken.errors import UsageError
from kubectl_satoken.kinds import Type
from kubectl_satoken.question import in_words, parse
from kubectl_satoken.world import Kind

VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


def kind(name: str, api_version: str, plural: str, *short: str, namespaced: bool = True) -> Kind:
    return Kind(name, api_version, plural, namespaced, short)


RBAC = "rbac.authorization.k8s.io"
TYPES = (
    Type(kind("Pod", "v1", "pods", "po"), "pod", VERBS, ("exec", "log", "status")),
    Type(kind("Namespace", "v1", "namespaces", "ns", namespaced=False), "namespace", VERBS),
    Type(kind("Node", "v1", "nodes", "no", namespaced=False), "node", VERBS, ("proxy",)),
    Type(kind("Event", "v1", "events", "ev"), "event", VERBS),
    Type(kind("Deployment", "apps/v1", "deployments", "deploy"), "deployment", VERBS, ("scale",)),
    Type(kind("Event", "events.k8s.io/v1", "events", "ev"), "event", VERBS),
    Type(kind("ServiceAccount", "v1", "serviceaccounts", "sa"), "serviceaccount", VERBS),
    Type(kind("ClusterRole", f"{RBAC}/v1", "clusterroles", namespaced=False), "clusterrole", VERBS),
    Type(kind("Widget", "example.org/v1", "widgets"), "widget", VERBS),
)


@pytest.mark.parametrize(
    ("words", "namespace", "asked"),
    [
        ("list pods", "shop", ("list", "", "pods", "", "", "")),
        ("list po", "shop", ("list", "", "pods", "", "", "")),
        ("list deploy", "shop", ("list", "apps", "deployments", "", "", "")),
        ("list deployments.apps", "shop", ("list", "apps", "deployments", "", "", "")),
        ("list deployments.v1.apps", "shop", ("list", "apps", "deployments", "", "", "")),
        ("list events", "shop", ("list", "", "events", "", "", "")),
        ("create events.events.k8s.io", "shop", ("create", "events.k8s.io", "events", "", "", "")),
        ("get pods web", "shop", ("get", "", "pods", "", "web", "")),
        ("get pods/web", "shop", ("get", "", "pods", "", "web", "")),
        ("get pods/log", "shop", ("get", "", "pods", "log", "", "")),
        ("get pods/log web", "shop", ("get", "", "pods", "log", "web", "")),
        ("patch deploy/scale web", "shop", ("patch", "apps", "deployments", "scale", "web", "")),
        # a subresource that the type does not have, with a name: that is what was said
        ("get pods/logs web", "shop", ("get", "", "pods", "logs", "web", "")),
        # what is in no namespace is asked for without one, as a real request would be
        ("list nodes", "", ("list", "", "nodes", "", "", "")),
        ("create namespaces shop", "", ("create", "", "namespaces", "", "shop", "")),
        # one namespace by its name is in that namespace
        ("get ns other", "other", ("get", "", "namespaces", "", "other", "")),
        ("get namespaces", "", ("get", "", "namespaces", "", "", "")),
        ("get /metrics", "", ("get", "", "", "", "", "/metrics")),
        # so is what has no objects, but for accounts; a ClusterRole is bound in a namespace
        ("impersonate users", "", ("impersonate", "", "users", "", "", "")),
        ("impersonate sa", "shop", ("impersonate", "", "serviceaccounts", "", "", "")),
        (
            "approve signers.certificates.k8s.io",
            "",
            ("approve", "certificates.k8s.io", "signers", "", "", ""),
        ),
        ("bind clusterroles view", "shop", ("bind", RBAC, "clusterroles", "", "view", "")),
        ("* *", "shop", ("*", "", "*", "", "", "")),
        ("get *.apps", "shop", ("get", "apps", "*", "", "", "")),
        ("get *.*", "shop", ("get", "*", "*", "", "", "")),
        # what the server does not have is taken as it stands, as kubectl does
        ("get gadgets.example.org", "shop", ("get", "example.org", "gadgets", "", "", "")),
        ("get gadgets/status", "shop", ("get", "", "gadgets", "status", "", "")),
    ],
)
def test_words_are_read_as_rbac_has_them(
    words: str, namespace: str, asked: tuple[str, ...]
) -> None:
    question = parse(words.split(), TYPES, "shop").question
    assert (question.namespace, tuple(question.asked)) == (namespace, asked)


def test_all_namespaces_are_asked_about_without_one() -> None:
    assert parse(["list", "pods"], TYPES, "shop", everywhere=True).question.namespace == ""


def test_a_subresource_may_be_a_flag() -> None:
    asked = parse(["get", "pods", "web"], TYPES, "shop", subresource="log").question.asked
    assert (asked.resource, asked.subresource, asked.name) == ("pods", "log", "web")
    asked = parse(["get", "pods/web"], TYPES, "shop", subresource="log").question.asked
    assert (asked.subresource, asked.name) == ("log", "web")


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("get pods/log", "pods/log is read as the subresource; the object is pods log"),
        ("get gadgets", "the server doesn't have a resource type 'gadgets'"),
    ],
)
def test_how_words_were_read_is_said_where_it_is_not_plain(words: str, note: str) -> None:
    assert parse(words.split(), TYPES, "shop").notes == (note,)


@pytest.mark.parametrize(
    "words",
    ["get pods", "get pods web", "get pods/web", "get pods/log web", "get /x", "* *"]
    + ["impersonate users", "bind clusterroles view"],
)
def test_nothing_is_said_of_what_is_plain(words: str) -> None:
    assert parse(words.split(), TYPES, "shop").notes == ()


@pytest.mark.parametrize(
    "words",
    ["", "get", "get pods web more", "get /metrics web", "get pods/", "get /a b", "get pods/a/b"],
)
def test_what_is_no_question_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        parse(words.split(), TYPES, "shop")


def test_a_subresource_cannot_be_named_twice() -> None:
    with pytest.raises(UsageError, match="named twice"):
        parse(["get", "pods/log", "web"], TYPES, "shop", subresource="exec")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("list deploy", "list deployments.apps in namespace shop"),
        ("get pods/log web", "get pods/log web in namespace shop"),
        ("patch deploy/scale", "patch deployments.apps/scale in namespace shop"),
        ("list nodes", "list nodes"),
        ("get /metrics", "get /metrics"),
    ],
)
def test_a_question_is_said_in_words(words: str, sentence: str) -> None:
    assert in_words(parse(words.split(), TYPES, "shop").question) == sentence
