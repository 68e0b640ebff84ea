"""kubectl satoken who-can, from the outside: with files, and with words that are wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "whocan.schema.json").read_text())
ANSWER = json.loads((ROOT / "docs" / "answer.schema.json").read_text())

BINDING = "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {metadata}\n"
REF = "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name}}}\n"
GROUP = "apiGroup: rbac.authorization.k8s.io"


def binding(name: str, role: str, *subjects: str, namespace: str = "", more: str = "") -> str:
    """A binding; ``role`` is KIND/NAME."""
    kind, _, role_name = role.partition("/")
    place = f", namespace: {namespace}" if namespace else ""
    metadata = f"{{name: {name}{place}{more}}}"
    whole = BINDING.format(
        kind="RoleBinding" if namespace else "ClusterRoleBinding", metadata=metadata
    )
    return f"---\n{whole}{REF.format(kind=kind, name=role_name)}subjects: [{', '.join(subjects)}]\n"


def role(kind: str, name: str, rule: str, namespace: str = "") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    metadata = f"{{name: {name}{place}}}"
    return f"---\n{BINDING.format(kind=kind, metadata=metadata)}rules: [{rule}]\n"


READ = '{apiGroups: [""], resources: [secrets], verbs: [get, list]}'
SOME = '{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [one, two]}'
BOOTSTRAP = ", labels: {kubernetes.io/bootstrapping: rbac-defaults}"

WORLD = "".join(
    (
        role("ClusterRole", "read", READ),
        role("Role", "some", SOME, "shop"),
        binding("wide", "ClusterRole/read", "{kind: ServiceAccount, name: ops, namespace: it}"),
        binding("own", "ClusterRole/read", "{kind: ServiceAccount, name: web}", namespace="shop"),
        binding("other", "ClusterRole/read", f"{{kind: User, name: eve, {GROUP}}}", namespace="b"),
        binding(
            "as-user",
            "Role/some",
            f"{{kind: User, name: 'system:serviceaccount:shop:job', {GROUP}}}",
            f"{{kind: Group, name: 'system:serviceaccounts:shop', {GROUP}}}",
            namespace="shop",
        ),
        binding("gone", "Role/none", "{kind: ServiceAccount, name: web}", namespace="shop"),
        binding(
            "system:built-in",
            "ClusterRole/read",
            "{kind: ServiceAccount, name: gc, namespace: kube-system}",
            "{kind: ServiceAccount, name: added, namespace: shop}",
            more=BOOTSTRAP,
        ),
        "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n",
        "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: job, namespace: shop}\n",
    )
)
SEEN = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount")


@pytest.fixture
def world(tmp_path: Path) -> str:
    """A snapshot, of which everything was seen."""
    path = tmp_path / "world.yaml"
    items = list(yaml.safe_load_all(WORLD))
    snapshot = {
        "apiVersion": "satoken/v1",
        "kind": "Snapshot",
        "seen": [{"kind": kind} for kind in SEEN],
        "items": items,
    }
    path.write_text(yaml.safe_dump(snapshot))
    return str(path)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_everybody_in_a_namespace_by_which_binding(world: str, run: Run) -> None:
    done = run("who-can", "list", "secrets", "-n", "shop", "-f", world)
    assert done.status == 0
    read = "clusterrole/read"
    assert rows(done.stdout) == [
        ["KIND", "NAMESPACE", "NAME", "WHERE", "BINDING", "ROLE"],
        ["ServiceAccount", "it", "ops", "*", "clusterrolebinding/wide", read],
        # somebody was added to a binding of Kubernetes' own
        ["ServiceAccount", "shop", "added", "*", "clusterrolebinding/system:built-in", read],
        ["ServiceAccount", "shop", "web", "shop", "rolebinding/own", read],
    ]
    assert "rolebinding/gone in shop refers to a role that does not exist" in done.stderr
    assert "1 part of Kubernetes may, as in every cluster: -o wide" in done.stderr
    wide = run("who-can", "list", "secrets", "-n", "shop", "-f", world, "-o", "wide")
    assert ["ServiceAccount", "kube-system", "gc"] in [row[:3] for row in rows(wide.stdout)]


def test_all_namespaces_have_the_bindings_of_each(world: str, run: Run) -> None:
    done = run("who-can", "list", "secrets", "-A", "-f", world, "-o", "name")
    assert done.stdout.split() == [
        "serviceaccount/it:ops",
        "serviceaccount/kube-system:gc",
        "serviceaccount/shop:added",
        "user/eve",
        "serviceaccount/shop:web",
    ]


def test_those_who_may_for_some_names_are_told_with_them(world: str, run: Run) -> None:
    done = run("who-can", "get", "secrets", "-n", "shop", "-f", world, "--expand")
    assert rows(done.stdout)[0][-2:] == ["ONLY", "SAID"]
    limited = [row for row in rows(done.stdout) if "one,two" in row]
    assert {(row[2], " ".join(row[row.index("one,two") + 1 :])) for row in limited} == {
        ("job", "group system:serviceaccounts:shop"),
        ("job", "user system:serviceaccount:shop:job"),
        ("web", "group system:serviceaccounts:shop"),
    }
    named = run("who-can", "get", "secrets", "two", "-n", "shop", "-f", world, "-o", "name")
    assert "group/system:serviceaccounts:shop" in named.stdout.split()
    other = run("who-can", "get", "secrets", "three", "-n", "shop", "-f", world, "-o", "name")
    assert "group/system:serviceaccounts:shop" not in other.stdout.split()


@pytest.mark.parametrize("words", ["get secrets", "get secrets -A", "get /metrics", "list nodes"])
def test_for_programs_it_is_as_its_schema_says(words: str, world: str, run: Run) -> None:
    place = () if "-A" in words else ("-n", "shop")
    done = run("who-can", *words.split(), *place, "-f", world, "-o", "json")
    jsonschema.validate(done.object, SCHEMA)
    again = run("who-can", *words.split(), *place, "-f", world, "-o", "yaml")
    assert yaml.safe_load(again.stdout) == done.object


def test_what_two_schemas_have_in_common_is_the_same() -> None:
    for name in ("name", "question"):
        assert SCHEMA["$defs"][name] == ANSWER["$defs"][name]


def test_a_verb_that_no_request_has_is_said_to_be_none(world: str, run: Run) -> None:
    result = run("who-can", "LIST", "secrets", "-f", world, "-n", "shop")
    assert (result.status, result.stdout) == (
        0,
        "nobody may LIST secrets in namespace shop, by RBAC\n",
    )
    assert "note      no request has the verb LIST, but list\n" in result.stderr
    assert "no request" not in run("who-can", "list", "secrets", "-f", world).stderr


def test_nobody_is_said_in_a_sentence(world: str, run: Run) -> None:
    done = run("who-can", "delete", "nodes", "-f", world)
    assert (done.status, done.stdout) == (0, "nobody may delete nodes, by RBAC\n")


def test_of_plain_files_it_is_said_that_there_may_be_more(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(WORLD)
    done = run("who-can", "list", "secrets", "-n", "shop", "-f", str(path))
    assert done.status == 0
    assert "computed from files; the cluster may have other bindings" in done.stderr
    names = [row[2] for row in rows(done.stdout)[1:]]
    assert names == ["ops", "added", "web"]
    assert run("who-can", "list", "secrets", "-f", str(path), "--strict").status == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "a question is VERB TYPE"),
        ("list", "a question is VERB TYPE"),
        ("list pods a b", "a question is VERB TYPE"),
        ("list pods -n a -A", "-n and -A cannot be used together"),
        ("list pods --frob", "unknown flag: --frob"),
        ("list pods -o fancy", "argument -o/--output: invalid choice"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(
    words: str, error: str, world: str, run: Run
) -> None:
    done = run("who-can", *words.split(), "-f", world)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}"), done.stderr
