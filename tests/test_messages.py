"""The table of error texts: each is found in any log, and each leads to the right place."""

import re
from typing import Any

import pytest

from kubectl_satoken import messages
from kubectl_satoken.checks import all_checks
from kubectl_satoken.messages import EXAMPLES, MESSAGES, Finder, Surroundings, said
from tests.conftest import ROOT

FINDER = Finder()
LINES = [(message.name, line) for message in MESSAGES for line in said(message)]


def names(line: str) -> list[str]:
    return [match.message.name for match in FINDER.find(messages.plain(line))]


@pytest.mark.parametrize(("name", "line"), LINES, ids=lambda value: value[:60])
def test_every_text_is_found(name: str, line: str) -> None:
    assert names(line)[0] == name


def escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', '\\"')


NOISE = {
    "a time before": lambda line: f"2026-11-22T10:00:00.123Z stderr F {line}",
    "klog": lambda line: f"E1122 10:00:00.123456       1 reflector.go:158] {line}",
    "klog with an error field": lambda line: (
        f'E1122 10:00:00.1 1 reflector.go:158] "Unhandled" err="{escaped(line)}" logger="x"'
    ),
    "JSON": lambda line: f'{{"level":"error","msg":"failed","error":"{escaped(line)}","n":1}}',
    "JSON in JSON": lambda line: f'{{"log":"{escaped(escaped(line))}"}}',
    "JSON of Go": lambda line: (
        line.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
    ),
    "HTML": lambda line: f"<p>{line.replace('&', '&amp;').replace(chr(34), '&#34;')}</p>",
    "colours": lambda line: f"\x1b[31mERROR\x1b[0m {line}\x1b[0m",
    "the end of an error chain": lambda line: f"failed to list *v1.Pod: {line}",
}


@pytest.mark.parametrize("noise", NOISE)
def test_every_text_is_found_in_noise(noise: str) -> None:
    for name, line in LINES:
        assert names(NOISE[noise](line))[0] == name, NOISE[noise](line)


def test_every_pattern_is_that_of_an_example() -> None:
    for message in MESSAGES:
        for text in message.texts:
            if not isinstance(text, str):
                piece, pattern = text
                lines = EXAMPLES[message.name]
                assert any(piece in line and re.search(pattern, line) for line in lines), pattern


def test_the_table_is_in_order() -> None:
    all_names = [message.name for message in MESSAGES]
    assert len(set(all_names)) == len(all_names)
    assert set(EXAMPLES) <= set(all_names)
    for message in MESSAGES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", message.name)
        assert message.title.endswith(".")
        assert len(message.title) <= 80, message.title
        assert len(message.meaning) > 40
        assert len(message.fix) > 20
        assert message.look in ("pod", "account", "secret", "")
        # generic ones come last, so that they hide nothing
    generic = [message.generic for message in MESSAGES]
    assert generic == sorted(generic)


#: Rules of the catalogue's master table, each with a text of its own words.
MASTER = [
    ("token-expired", "[invalid bearer token, service account token has expired]"),
    ("token-expired", "Token has expired."),
    ("token-clock-skew", "service account token is not valid yet"),
    ("token-sa-deleted", '[invalid bearer token, serviceaccounts "web" not found]'),
    ("token-sa-deleted", "ServiceAccount shop/web has been deleted"),
    ("token-sa-recreated", "service account UID (a-b) does not match claim (c-d)"),
    (
        "token-bound-object-gone",
        "[invalid bearer token, service account token has been invalidated]",
    ),
    ("legacy-secret-deleted", "[invalid bearer token, Token has been invalidated]"),
    ("legacy-secret-content-changed", "Token does not match server's copy"),
    ("token-unknown-signing-key", "[invalid bearer token, invalid signature, no keys found]"),
    ("token-unknown-signing-key", "go-jose/go-jose: error in cryptographic primitive"),
    ("invalid-bearer-token", "invalid bearer token"),
    ("kube-root-ca-missing", 'configmap "kube-root-ca.crt" not found'),
    ("kube-root-ca-bad-data", "configmap references non-existent config key: ca.crt"),
    (
        "kubelet-token-other-node",
        'failed to fetch token: pods "p" is forbidden: node requested '
        "token bound to a pod scheduled on a different node",
    ),
    ("legacy-secret-not-populated", "references non-existent secret key: token"),
    ("volume-error-blocks-rotation", "error processing PVC shop/data: PVC is being deleted"),
    ("kubelet-refresh-failing", "Couldn't update token"),
]


@pytest.mark.parametrize(("name", "line"), MASTER)
def test_the_master_table(name: str, line: str) -> None:
    assert names(line) == [name]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET /api/v1/pods 200 OK",
        "the token was renewed",
        'level=info msg="leader election" token=abc',
        'pods "web" not found',
        'User "jane" logged in',
        "dial tcp 52.1.2.3:5432: i/o timeout",
        "permission denied for table users",
        "open /etc/app/config.yaml: no such file or directory",
        "secret rotation finished, 401 objects",
    ],
)
def test_other_lines_are_left_alone(line: str) -> None:
    assert names(line) == []


def test_one_line_may_tell_of_two_faults() -> None:
    line = (
        '[failed to fetch token: serviceaccounts "web" not found, configmap "kube-root-ca.crt" '
        "not found]"
    )
    assert names(line) == ["kubelet-token-sa-missing", "kube-root-ca-missing"]


# --- what to do next --------------------------------------------------------------------------


def following(line: str, around: dict[str, str] | None = None, **options: Any) -> list[str]:
    match = FINDER.find(messages.plain(line))[0]
    fields = messages.with_names(match.fields, around or {})
    return list(
        messages.next_commands(
            match.message, fields, options.get("namespace", ""), options.get("flags", ())
        )
    )


def test_the_user_of_a_403_is_asked_about_in_its_own_namespace() -> None:
    line = (
        'pods is forbidden: User "system:serviceaccount:ci:deployer" cannot list resource "pods" '
        'in API group "" in the namespace "shop"'
    )
    assert following(line)[0] == "kubectl satoken doctor sa/deployer -n ci"
    assert following(line, flags=("--context", "a b"))[0] == (
        "kubectl satoken doctor sa/deployer -n ci --context 'a b'"
    )


@pytest.mark.parametrize(
    ("line", "names", "command"),
    [
        ("token: Token has expired.", {}, "kubectl satoken doctor pod/NAME"),
        (
            "token: Token has expired.",
            {"pod": "web-0", "namespace": "shop"},
            "kubectl satoken doctor pod/web-0 -n shop",
        ),
        (
            "error looking up service account shop/web: x",
            {},
            "kubectl satoken doctor sa/web -n shop",
        ),
        (
            "the token in secret shop/s for service account shop/web has been marked invalid",
            {},
            "kubectl satoken doctor secret/s -n shop",
        ),
        (
            "service account UID (a) does not match claim (b)",
            {"pod": "web-0", "namespace": "shop"},
            "kubectl satoken doctor pod/web-0 -n shop",
        ),
    ],
)
def test_the_names_of_the_match_are_filled_in(
    line: str, names: dict[str, str], command: str
) -> None:
    assert following(line, names)[0] == command


@pytest.mark.parametrize(
    ("what", "commands"),
    [
        (
            'cannot list resource "deployments" in API group "apps" in the namespace "shop"',
            [
                "kubectl -n shop create role web-list-deployments --verb=list "
                "--resource=deployments.apps",
                "kubectl -n shop create rolebinding web-list-deployments "
                "--role=web-list-deployments --serviceaccount=shop:web",
            ],
        ),
        (
            'cannot create resource "pods/exec" in API group "" in the namespace "pay"',
            [
                "kubectl -n pay create role web-create-pods-exec --verb=create "
                "--resource=pods/exec",
                "kubectl -n pay create rolebinding web-create-pods-exec "
                "--role=web-create-pods-exec --serviceaccount=shop:web",
            ],
        ),
        (
            'cannot list resource "nodes" in API group "" at the cluster scope',
            [
                "kubectl create clusterrole web-list-nodes --verb=list --resource=nodes",
                "kubectl create clusterrolebinding web-list-nodes --clusterrole=web-list-nodes "
                "--serviceaccount=shop:web",
            ],
        ),
        (
            'cannot get path "/metrics"',
            [
                "kubectl create clusterrole web-get-metrics --verb=get --non-resource-url=/metrics",
                "kubectl create clusterrolebinding web-get-metrics --clusterrole=web-get-metrics "
                "--serviceaccount=shop:web",
            ],
        ),
    ],
)
def test_what_would_allow_it_is_the_least_role(what: str, commands: list[str]) -> None:
    line = f'x is forbidden: User "system:serviceaccount:shop:web" {what}'
    match = FINDER.find(line)[0]
    fields = messages.with_names(match.fields, {})
    assert list(messages.grant_commands(match.message, fields, ())) == commands


def test_nobody_is_told_to_grant_rights_to_those_without_a_token() -> None:
    line = 'x is forbidden: User "system:anonymous" cannot get path "/metrics"'
    match = FINDER.find(line)[0]
    assert match.message.name == "no-token-sent"
    fields = messages.with_names(match.fields, {})
    assert messages.grant_commands(match.message, fields, ()) == ()


def test_describe_names_the_pod() -> None:
    around = Surroundings()
    for line in ("Name:             web-6d4", "Namespace:        shop", "Service Account:  web"):
        around.heading(line)
    assert around.of("  Warning  FailedMount  2s  kubelet  x") == {
        "pod": "web-6d4",
        "namespace": "shop",
    }
    around.heading("Name:                   web")  # a deployment, described after it
    around.heading("Namespace:              shop")
    assert around.of("  Warning  FailedCreate  2s  x") == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2s  Warning  FailedMount  pod/web-0  MountVolume.SetUp failed", {"pod": "web-0"}),
        ('E1122 kubelet.go] "x" pod="shop/web-0"', {"pod": "web-0", "namespace": "shop"}),
        (
            'MountVolume.SetUp failed for volume "v" pod "web-0" (UID: "x")',
            {"pod": "web-0"},
        ),
        (
            '"involvedObject":{"kind":"Pod","name":"web-0","namespace":"shop"}',
            {"pod": "web-0", "namespace": "shop"},
        ),
    ],
)
def test_a_line_may_name_the_pod(line: str, expected: dict[str, str]) -> None:
    assert Surroundings().of(line) == expected


def test_events_of_all_namespaces_begin_with_theirs() -> None:
    around = Surroundings()
    around.heading("NAMESPACE   LAST SEEN   TYPE      REASON        OBJECT      MESSAGE")
    assert around.of("shop        2s          Warning   FailedMount   pod/web-0   x") == {
        "pod": "web-0",
        "namespace": "shop",
    }


def test_every_check_that_speaks_of_a_message_goes_by_its_name() -> None:
    """A message whose check is there is explained by the page of the check."""
    known = {one.name for one in all_checks()}
    assert known & {message.name for message in MESSAGES}


def test_the_document_is_made_of_the_table() -> None:
    text = (ROOT / "docs" / "messages.md").read_text()
    for message in MESSAGES:
        assert f"## {message.name}\n" in text
