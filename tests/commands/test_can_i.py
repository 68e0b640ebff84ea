"""kubectl satoken can-i, from the outside: with files, and with words that are wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "answer.schema.json").read_text())
RIGHTS = json.loads((ROOT / "docs" / "rights.schema.json").read_text())

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"

SHOP = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
- {apiGroups: [""], resources: [configmaps], verbs: [get], resourceNames: [web]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web-reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web}]
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return str(path)


def test_a_yes_says_by_which_binding(shop: str, run: Run) -> None:
    done = run("can-i", "deploy/web", "list", "pods", "-n", "shop", "-f", shop)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == (
        "yes: serviceaccount web may list pods in namespace shop\n"
        "\n"
        "  by        rolebinding/web-reader in shop of role/reader to serviceaccount web\n"
        "  answered  computed from files; the cluster may have other bindings\n"
        "  note      deploy/web runs as serviceaccount web\n"
    )


def test_a_no_says_what_is_nearly_right_and_what_would_grant_it(shop: str, run: Run) -> None:
    done = run("can-i", "sa/web", "watch", "pods", "-n", "shop", "-f", shop)
    assert done.status == 1
    text = done.stdout
    assert text.startswith("no: serviceaccount web may not watch pods in namespace shop\n")
    assert "nearly: a rule of role reader is about it, but not the verb watch" in text
    assert 'rules[0].verbs  ["get", "list"]  <- here' in text
    assert f"kubectl satoken can-i sa/web watch pods --grant -f {shop} -n shop |" in " ".join(
        text.split()
    )
    assert all(len(line) <= 80 for line in text.splitlines() if shop not in line), text


def test_a_no_to_which_nothing_is_near_says_so(shop: str, run: Run) -> None:
    done = run("can-i", "sa/web", "get", "secrets", "-n", "shop", "-f", shop)
    assert done.status == 1
    assert "  why       nothing that it is bound to comes near that" in done.stdout
    assert "note: nearly" not in done.stdout


def test_words_that_no_server_knows_are_put_right_before_anything_is_granted(
    shop: str, run: Run
) -> None:
    """To grant the verb that was misspelt would help nobody."""
    done = run("can-i", "sa/web", "lst", "pods", "-n", "shop", "-f", shop)
    assert done.status == 1
    first = next(line for line in done.stdout.splitlines() if line.startswith("note: "))
    assert first.startswith("note: the question may be meant otherwise: no request has the verb ")
    assert "the least that grants it" not in done.stdout


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("get configmaps web", True),
        ("get configmaps/web", True),
        ("get configmaps", False),
        ("get pods/log", False),
        ("get pods --subresource=log", False),
        ("get pods/web-0", True),
        ("list pods -A", False),
        ("get /metrics", False),
    ],
)
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_answer_for_programs_is_as_its_schema_says(
    words: str, allowed: bool, form: str, shop: str, run: Run
) -> None:
    done = run("can-i", "sa/web", *words.split(), "-n", "shop", "-f", shop, "-o", form)
    answer = yaml.safe_load(done.stdout)
    jsonschema.validate(answer, SCHEMA)
    assert (answer["allowed"], done.status) == (allowed, 0 if allowed else 1)
    assert answer["computed"] is True
    assert bool(answer["grantedBy"]) is allowed


def test_name_and_quiet_say_no_more_than_they_must(shop: str, run: Run) -> None:
    named = run("can-i", "sa/web", "list", "pods", "-n", "shop", "-f", shop, "-o", "name")
    assert (named.status, named.stdout, named.stderr) == (0, "yes\n", "")
    quiet = run("can-i", "sa/web", "watch", "pods", "-n", "shop", "-f", shop, "-q")
    assert (quiet.status, quiet.stdout, quiet.stderr) == (1, "", "")


def test_a_list_merges_what_is_the_same(shop: str, run: Run) -> None:
    done = run("can-i", "sa/web", "--list", "-n", "shop", "-f", shop)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["RESOURCE", "VERBS", "NAMES", "NAMESPACE", "FROM"],
        ["configmaps", "get", "web", "shop", "rolebinding/web-reader"],
        ["pods", "get,list", "shop", "rolebinding/web-reader"],
    ]
    told = run("can-i", "sa/web", "--list", "-n", "shop", "-f", shop, "-o", "json").object
    jsonschema.validate(told, RIGHTS)


def test_expectations_hold_or_fail_line_by_line(shop: str, run: Run) -> None:
    said = "must list pods\nmust-not get secrets\nmust watch pods\n"
    words = ("can-i", "sa/web", "--expect", "-", "-n", "shop", "-f", shop)
    done = run(*words, stdin=said)
    assert done.status == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:4] for row in rows[1:]] == [
        ["ok", "1", "sa/web", "must"],
        ["ok", "2", "sa/web", "must-not"],
        ["FAILED", "3", "sa/web", "must"],
    ]
    told = run(*words, "-o", "json", stdin=said)
    jsonschema.validate(told.object, SCHEMA)
    assert [one["holds"] for one in told.object["items"]] == [True, True, False]
    assert run(*words, stdin="must list pods\n").status == 0


LOG = """\
E1125 pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in API group "" in the namespace "shop"
E1125 secrets is forbidden: User "system:serviceaccount:shop:web" cannot list resource "secrets" in API group "" in the namespace "shop"
E1125 secrets is forbidden: User "system:serviceaccount:shop:web" cannot list resource "secrets" in API group "" in the namespace "shop"
E1125 nodes is forbidden: User "system:serviceaccount:shop:other" cannot list resource "nodes" in API group "" at the cluster scope
"""  # noqa: E501


def test_a_log_becomes_one_manifest_of_what_is_still_lacking(shop: str, run: Run) -> None:
    words = ("can-i", "deploy/web", "--from-errors", "-", "-n", "shop", "-f", shop)
    done = run(*words, "--grant", stdin=LOG)
    assert done.status == 0
    role, binding = yaml.safe_load_all(done.stdout)
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "shop")
    # the pods are allowed by now, the nodes were refused to somebody else
    assert [rule["resources"] for rule in role["rules"]] == [["secrets"]]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]
    assert "system:serviceaccount:shop:other was refused once" in done.stderr
    assert "warning: " in done.stderr
    assert "secrets" in done.stderr

    told = run(*words, "-o", "json", stdin=LOG)
    jsonschema.validate(told.object, SCHEMA)
    assert told.status == 1
    nothing = run(*words, stdin="all is well\n")
    assert nothing.status == 3
    assert "nothing in standard input was forbidden to" in nothing.stderr


def test_files_need_not_hold_the_account(shop: str, run: Run) -> None:
    """Bindings are often kept apart from what they are for."""
    done = run("can-i", "sa/job", "list", "pods", "-n", "shop", "-f", shop)
    assert done.status == 1
    assert done.stdout.startswith("no: serviceaccount job may not list pods")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "whose rights? name a TARGET"),
        ("sa/web", "a question is VERB TYPE"),
        ("sa/web list", "a question is VERB TYPE"),
        ("sa/web list pods a b", "a question is VERB TYPE"),
        ("sa/web list pods/", "pods/: must be TYPE, TYPE/SUBRESOURCE or TYPE/NAME"),
        ("sa/web get /metrics x", "/metrics: a URL has neither a name nor a subresource"),
        ("sa/a:b:c list pods", "sa/a:b:c: must be sa/NAMESPACE:NAME"),
        ("me list pods", "me is the user of a cluster, not of files"),
        ("sa/web list pods --list", "--list takes a TARGET and no question: list pods"),
        ("sa/web --list --expect=x", "--list and --expect cannot be used together"),
        ("sa/web --list --grant", "--grant needs a question, or --from-errors"),
        ("sa/web list pods --via=token", "--via=token needs a cluster, not files"),
        ("sa/web list pods --via=magic", "argument --via: invalid choice"),
        ("sa/web list pods --frob", "unknown flag: --frob"),
        ("sa/web list pods --grant=all", "argument --grant: invalid choice"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(words: str, error: str, shop: str, run: Run) -> None:
    done = run("can-i", *words.split(), "-n", "shop", "-f", shop)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}"), done.stderr


def test_a_token_in_the_place_of_a_word_is_not_repeated(shop: str, run: Run) -> None:
    for words in ((JWT, "list", "pods"), ("sa/web", "list", JWT), ("sa/web", JWT, "pods")):
        done = run("can-i", *words, "-n", "shop", "-f", shop)
        assert done.status == 2
        assert JWT.split(".")[1] not in done.stdout + done.stderr
