"""Bad input: one clear line and the right status, never a traceback.

Objects that are right are taken, one field of them is made wrong, and doctor reads them: it may
find faults, or refuse the file in a line that names it, and nothing else.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, Run
from tests.scenarios import scenarios

EXAMPLES = 1500


# A kind of its own, with its templates at places of their own.
CUSTOM = """
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: ray, namespace: shop}
spec:
  head: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: head, image: x}]}}}
  workers:
  - template:
      spec:
        containers: [{name: worker, image: x, volumeMounts: [{name: e, mountPath: /run}]}]
        volumes: [{name: e, emptyDir: {}}]
"""


def documents() -> list[dict[str, Any]]:
    """Objects of all kinds that checks look at, healthy and not."""
    texts = [(ROOT / "tests" / "healthy.yaml").read_text()]
    texts += [scenario.manifest for scenario in scenarios("live")]
    found = []
    for text in texts:
        for document in yaml.safe_load_all(text.replace("NS", "shop")):
            if document:
                document["metadata"].setdefault("namespace", "shop")
                found.append(document)
    found += [item for item in yaml.safe_load_all(CUSTOM) if item]
    for item in yaml.safe_load_all((ROOT / "examples" / "shop.yaml").read_text()):
        found += item.get("items") or []
    unique = {json.dumps(item, sort_keys=True): item for item in found}
    return list(unique.values())


DOCUMENTS = documents()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields below a value."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        yield (*path, key)
        yield from paths(each, (*path, key))


WRONG = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2**70,
        1.5,
        float("inf"),
        "",
        "x",
        "\u202e\u0000\x1b[31m",
        "2026-13-45T99:00:00Z",
        "{{ .Values.name }}",
        [],
        {},
        [[]],
        [None],
        ["x"],
        [{}],
        {"": None},
        {"name": None},
        {"x": ["y"]},
    ]
)


def pod_beside(item: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A pod that has to do with an object, so that the checks look at it: of its account, say."""
    name = item["metadata"]["name"]
    accounts = {
        "RoleBinding": name,
        "ServiceAccount": name,
        "Secret": (item["metadata"].get("annotations") or {}).get(
            "kubernetes.io/service-account.name", "web"
        ),
    }
    for subject in item.get("subjects") or []:
        accounts[item["kind"]] = subject["name"].rpartition(":")[2]
    spec = {
        "serviceAccountName": accounts.get(item["kind"], "web"),
        "containers": [{"name": "app", "image": "x"}],
    }
    if item["kind"] == "Secret":
        spec["volumes"] = [{"name": "s", "secret": {"secretName": name}}]
    metadata = {"name": "beside", "namespace": namespace, "labels": {"app": "fenced"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@st.composite
def broken(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few objects, with some field of one of them made wrong, taken out, or doubled."""
    chosen = copy.deepcopy(draw(st.lists(st.sampled_from(DOCUMENTS), min_size=1, max_size=3)))
    item = chosen[0]
    namespace = item["metadata"].get("namespace")
    chosen.append(pod_beside(item, namespace if isinstance(namespace, str) else "shop"))
    for _ in range(draw(st.integers(1, 3))):
        every = list(paths(item))
        if not every:
            break
        *above, last = draw(st.sampled_from(every))
        place: Any = item
        for key in above:
            place = place[key]
        action = draw(st.integers(0, 4))
        if action == 0:
            del place[last]
        elif action == 1 and isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
        else:
            place[last] = copy.deepcopy(draw(WRONG))
    return chosen


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck])
@given(objects=broken(), form=st.sampled_from([None, "json", "wide", "yaml"]))
def test_a_wrong_field_is_one_clear_line(
    objects: list[dict[str, Any]], form: str | None, run: Run
) -> None:
    text = "\n---\n".join(json.dumps(each) for each in objects)
    words = ["doctor", "-f", "-", "-n", "shop", *(["-o", form] if form else [])]
    result = run(*words, stdin=text)
    if result.status == 3:
        assert result.stdout == ""
        first, *rest = result.stderr.splitlines()
        assert first.startswith("error: "), result.stderr
        assert "bug in kubectl-satoken" not in first, result.stderr
        assert "standard input" in first or "nothing to look at" in first, first
        assert len(rest) <= 1, result.stderr
    else:
        assert result.status in (0, 1), result.stderr
        assert result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "\x00\x01\x02",
        "a: [b",
        "kind: Pod\n\tapiVersion: v1",
        "just words",
        "- a\n- b",
        "42",
        "{{- if .Values.enabled }}\nkind: Pod\n{{- end }}",
        "<html><body>login</body></html>",
        "kind: Pod\napiVersion: v1",
        "kind: [Pod]\napiVersion: v1\nmetadata: {name: x}",
        "%YAML 9.9\n---\nkind: Pod",
        "!!python/object/apply:os.system ['true']",
        "&a [*a]",
        "kind: Pod\nkind: Pod",
    ],
)
def test_what_is_no_manifest_is_one_clear_line(text: str, run: Run) -> None:
    result = run("doctor", "-f", "-", stdin=text)
    assert (result.status, result.stdout) == (3, "")
    assert result.stderr.startswith("error: ")
    assert "bug" not in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def bomb(field: str) -> str:
    """Nine lists of nine aliases each: a billion of items, were they ever written out."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for upper, lower in zip("bcdefghi", "abcdefgh", strict=True):
        lines.append(f"{upper}: &{upper} [{', '.join(['*' + lower] * 9)}]")
    return "\n".join(
        [*lines, "apiVersion: v1", "kind: Pod", "metadata: {name: x}", f"spec: {field}"]
    )


@pytest.mark.parametrize(
    "field",
    [
        "{containers: [{name: a, image: b}]}",
        "{containers: *i}",
        "{containers: [{name: a, command: *i}]}",
        "{containers: [{name: a, image: b}], volumes: *i}",
        "{containers: [{name: a, image: b}], serviceAccountName: *i}",
        "{containers: [{name: a, image: b, env: [{name: HTTPS_PROXY, value: *i}]}]}",
    ],
)
def test_a_bomb_of_aliases_does_not_go_off(field: str, run: Run) -> None:
    for form in ("json", "yaml", "wide"):
        result = run("doctor", "-f", "-", "-o", form, stdin=bomb(field))
        assert result.status in (0, 1, 3)
        assert len(result.stdout) < 100_000
        assert "Traceback" not in result.stderr


def test_a_file_with_many_objects_is_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "many.json"
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}
    items = [{**one, "metadata": {"name": f"x{number}"}} for number in range(20_000)]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    result = run("doctor", "-f", str(file))
    assert result.status == 3
    assert result.stderr.startswith("error: nothing to look at in ")


def test_a_binary_file_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(bytes(range(256)) * 100)
    result = run("doctor", "-f", str(file))
    assert (result.status, result.stdout) == (3, "")
    assert result.stderr == f"error: cannot read {file}: not UTF-8 text\n"


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("volumes: [{name: t}, {name: t}], containers: []", "volumes[1].name"),
        ("containers: [{name: t}, {name: t}]", "containers[1].name"),
        ("initContainers: [{name: t}], containers: [{name: t}]", "containers[0].name"),
    ],
)
def test_a_name_that_is_there_twice_is_refused_as_the_api_server_does(
    spec: str, place: str, run: Run
) -> None:
    meta = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: "
    result = run("doctor", "-f", "-", stdin=f"{meta}{{{spec}}}")
    assert (result.status, result.stdout) == (3, "")
    assert result.stderr == (
        f'error: standard input, document 1, Pod x: spec.{place} is there twice: "t"\n'
    )
