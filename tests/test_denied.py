"""What the 403s in a log ask for."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_satoken.denied import needs, read
from kubectl_satoken.question import in_words

WEB = "system:serviceaccount:shop:web"
WHO = f'User "{WEB}" cannot'
LIST = f'pods is forbidden: {WHO} list resource "pods" in API group "" in the namespace "shop"'
GET = (
    f'pods "web-1" is forbidden: {WHO} get resource "pods/log" in API group "" in the namespace '
    '"shop"'
)
WIDE = f'nodes is forbidden: {WHO} list resource "nodes" in API group "" at the cluster scope'
URL = f'forbidden: {WHO} get path "/metrics"'
CUSTOM = (
    f'widgets.example.org "w" is forbidden: {WHO} patch resource "widgets/status" in API group '
    '"example.org" in the namespace "dev"'
)


def said(*lines: str) -> list[str]:
    return [in_words(one.question) for one in read(lines)]


def named(verb: str, resource: str, *names: str, group: str = "") -> Iterator[str]:
    full = resource.partition("/")[0] + (f".{group}" if group else "")
    for name in names:
        what = f'{full} "{name}"' if name else full
        yield (
            f'{what} is forbidden: {WHO} {verb} resource "{resource}" in API group "{group}" in '
            'the namespace "shop"'
        )


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (LIST, "list pods in namespace shop"),
        (GET, "get pods/log web-1 in namespace shop"),
        (WIDE, "list nodes"),
        (URL, "get /metrics"),
        (CUSTOM, "patch widgets.example.org/status w in namespace dev"),
        (
            f'{LIST}: RBAC: role.rbac.authorization.k8s.io "x" not found',
            "list pods in namespace shop",
        ),
        (f"Error from server (Forbidden): {LIST}", "list pods in namespace shop"),
        # Kubernetes writes < and > and & as HTML has them
        (f'forbidden: {WHO} get path "/a&lt;b&amp;c"', "get /a<b&c"),
        (
            f'userextras.authentication.k8s.io "a@b" is forbidden: {WHO} impersonate resource '
            '"userextras/scopes" in API group "authentication.k8s.io" at the cluster scope',
            "impersonate userextras.authentication.k8s.io/scopes a@b",
        ),
        (
            f"selfsubjectaccessreviews.authorization.k8s.io is forbidden: {WHO} "
            'impersonate-on:serviceaccount:create resource "selfsubjectaccessreviews" in API group '
            '"authorization.k8s.io" at the cluster scope',
            "impersonate-on:serviceaccount:create selfsubjectaccessreviews.authorization.k8s.io",
        ),
        (
            f"Forbidden (user={WEB}, verb=get, resource=nodes, subresource(s)=[metrics proxy])",
            "get nodes/metrics",
        ),
        (f"Forbidden (user={WEB}, verb=get, resource=nodes, subresource=proxy)", "get nodes/proxy"),
    ],
)
def test_the_messages_of_kubernetes_are_read(message: str, asked: str) -> None:
    (found,) = read(["nothing", message])
    assert (found.user, found.line) == (WEB, 2)
    assert in_words(found.question) == asked
    # whatever logs make of them
    for line in (
        json.dumps({"msg": message}),
        json.dumps({"log": json.dumps({"err": message})}),
        json.dumps({"log": json.dumps({"log": json.dumps({"err": message})})}),
        f"E1122 12:00:00.000000       1 main.go:42] {json.dumps('sync failed: ' + message)}",
        f"HTTP response body: {{'message': {message!r}}}".replace("'", '"'),
        f"\x1b[31mERROR\x1b[0m {message}\x1b[0m",
        json.dumps({"msg": message}).replace('\\"', "\\u0022"),
        f"\ud800\x00\x07 {message} \x00",
    ):
        assert said(line) == [asked], line


def test_all_of_several_in_a_line_are_read_with_their_own_names() -> None:
    assert said(f"[{LIST}, {GET}, {URL}, {WIDE}]") == [
        "list pods in namespace shop",
        "get pods/log web-1 in namespace shop",
        "get /metrics",
        "list nodes",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "forbidden",
        "403 Forbidden",
        "forbidden: User ",
        'pods "web" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        'pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1',
        f'clusterroles "r" is forbidden: user "{WEB}" (groups=["a"]) is attempting to grant RBAC',
        'nodes "n1" is forbidden: node "n2" is not allowed to modify node "n1"',
        LIST[:-20],
        # nobody's request has a wildcard in it, or a name that no object can have: it is made up
        LIST.replace("list", "*"),
        LIST.replace('"pods"', '"*"'),
        LIST.replace('group ""', 'group "*"'),
        LIST.replace('namespace "shop"', 'namespace "*"'),
        LIST.replace('namespace "shop"', 'namespace "shop\x1b"'),
        GET.replace("web-1", "*"),
        GET.replace("pods/log", "pods/*"),
        URL.replace("/metrics", "/*"),
        URL.replace("/metrics", "metrics"),
        URL.replace("/metrics", "/\x07"),
        f"Forbidden (user={WEB}, verb=get, resource=, subresource=)",
        f"Forbidden (user={WEB}, verb=get, resource=services, subresource=proxy)",
        "\\" * 100 + LIST,
    ],
)
def test_what_no_role_would_help_is_left_alone(line: str) -> None:
    assert said(line) == []


PARTS = [
    "forbidden: User ",
    '"',
    "\\",
    " cannot ",
    "list ",
    "/",
    "*",
    "\x00",
    "\ud800",
    LIST,
    GET,
    URL,
]


@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=3)))
def test_no_text_is_too_odd(parts: list[str]) -> None:
    for one in read(["".join(parts)]):
        in_words(one.question).encode()


@pytest.mark.parametrize(
    "line",
    [
        "a." * 100 + f'{"x" * 300} is forbidden: User "{"x" * 50}',
        "forbidden: User ",
        "\\" * 31 + '"forbidden: User ',
        f'{"a" * 600}" is forbidden: User "x" cannot {"resource " * 200}',
        "&" * 500 + LIST,
    ],
)
def test_a_line_of_megabytes_takes_no_longer_than_many_lines(line: str) -> None:
    start = time.process_time()
    list(read([line * (3_000_000 // len(line))]))
    assert time.process_time() - start < 3


def test_an_informer_that_may_not_list_will_want_to_watch() -> None:
    reflector = (
        f'reflector.go:227] "Failed to watch" err={json.dumps("failed to list *v1.Pod: " + LIST)}'
    )
    assert said(reflector) == ["list pods in namespace shop", "watch pods in namespace shop"]
    questions, notes = needs(read([reflector]))
    assert [question.asked.verb for question in questions] == ["list", "watch"]
    assert notes == [
        "watch pods in namespace shop: not refused yet, but whoever lists for an informer watches "
        "next"
    ]
    watch = LIST.replace("list", "watch")
    assert needs(read([reflector, watch])).notes == []


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        # the same object each time: a lock, settings
        (
            [*named("get", "leases", "lock", "lock"), *named("update", "leases", "lock")],
            ["get leases lock", "update leases lock"],
        ),
        (named("get", "configmaps", "settings"), ["get configmaps settings"]),
        (
            named("patch", "deployments/scale", "web", group="apps"),
            ["patch deployments.apps/scale web"],
        ),
        # several, or also without a name
        (named("get", "configmaps", "a", "b"), ["get configmaps"]),
        (named("list", "configmaps", "a", ""), ["list configmaps"]),
        # one of many whose names are made
        (named("get", "pods", "web-6d4-x2x"), ["get pods"]),
        (named("get", "pods/log", "web-6d4-x2x"), ["get pods/log"]),
        (named("create", "pods/exec", "web-6d4-x2x"), ["create pods/exec"]),
        (named("patch", "events", "web.17ab"), ["patch events"]),
        (named("delete", "jobs", "backup-28", group="batch"), ["delete jobs.batch"]),
        # Secrets are not given all for some
        (named("get", "secrets", "b", "a", "b"), ["get secrets a", "get secrets b"]),
        (named("get", "secrets", "a", ""), ["get secrets"]),
        # server-side apply names what it would create; RBAC is not told of others
        (named("create", "configmaps", "a"), ["create configmaps"]),
        (named("create", "serviceaccounts/token", "a"), ["create serviceaccounts/token a"]),
    ],
)
def test_names_are_kept_where_they_will_be_the_same_tomorrow(
    lines: list[str], wanted: list[str]
) -> None:
    questions = needs(read(lines)).questions
    assert [in_words(question) for question in questions] == [
        f"{text} in namespace shop" for text in wanted
    ]


def test_it_is_said_where_names_are_not_kept() -> None:
    notes = needs(read([*named("get", "pods", "a"), *named("get", "configmaps", "a", "b")])).notes
    assert notes == [
        "get configmaps in namespace shop: was asked for 2 names, and is granted for all: it goes "
        "by what changes",
        "get pods in namespace shop: had a name, and is granted for all: their names change",
    ]


def test_only_what_the_user_was_refused_is_needed() -> None:
    other = WIDE.replace("shop:web", "shop:api")
    assert [in_words(question) for question in needs(read([LIST, other]), WEB).questions] == [
        "list pods in namespace shop"
    ]
    assert len(needs(read([LIST, other])).questions) == 2
