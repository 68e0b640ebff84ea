"""Secrets from files: their values go at once, and what is left still tells what is wrong."""

import base64
import json
from pathlib import Path

import pytest

from kubectl_satoken.env import Env
from kubectl_satoken.errors import ManifestError
from kubectl_satoken.manifests import ManifestWorld, parse, read
from kubectl_satoken.mounts import EMPTY, has_token
from kubectl_satoken.token_secrets import (
    BASE64,
    ENCODED,
    OTHER,
    PADDED,
    PADDED_ENCODED,
    PLAIN,
    TWICE_ENCODED,
    form_of,
    garbled_in,
    meant_as_token,
    redacted,
    taken_secrets,
)

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (JWT, PLAIN),
        (f"{JWT}\n", PADDED),
        (f'"{JWT}"', PADDED),
        (f"Bearer {JWT}", PADDED),
        (encoded(JWT), ENCODED),
        (f"{encoded(JWT)[:40]}\n{encoded(JWT)[40:]}\n", ENCODED),
        (encoded(f"{JWT}\n"), PADDED_ENCODED),
        (encoded(encoded(JWT)), TWICE_ENCODED),
        (encoded("s.vault"), BASE64),
        ("s.vault", OTHER),
        (7, OTHER),
        (["a"], OTHER),
        ("", EMPTY),
        (None, EMPTY),
    ],
)
def test_the_form_of_a_token(value: object, form: str) -> None:
    assert form_of(value) == form


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "s",
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "hunter2",
            "openshift.io/token-secret.value": "hunter2",
            "other": "kept",
        },
    },
    "data": {"token": encoded(JWT), "password": "hunter2", "none": None},
    "stringData": {"password": "hunter2", "odd": ["hunter2"]},
}


@pytest.mark.parametrize(
    "document",
    [
        SECRET,
        {**SECRET, "kind": "secret"},
        {"apiVersion": "v1", "kind": "List", "items": [SECRET]},
        {"apiVersion": "v1", "kind": "SecretList", "items": [{**SECRET, "kind": "Secret"}]},
        {"apiVersion": "satoken/v1", "kind": "Snapshot", "items": [SECRET]},
    ],
    ids=["alone", "misspelt", "list", "typed list", "snapshot"],
)
def test_no_value_comes_through(document: dict[str, object]) -> None:
    (item,) = parse(json.dumps(document), "test")
    files = ManifestWorld([item], "shop", 0)
    told = str(list(files.objects())) + str(item)
    assert "hunter2" not in told
    assert JWT not in told
    assert encoded(JWT) not in told
    assert "kept" in told


def test_what_is_left_of_a_secret() -> None:
    clean = redacted(SECRET)
    assert clean["data"] == {"token": ENCODED, "password": 7, "none": 0}
    assert redacted(clean) == clean
    assert SECRET["data"]["password"] == "hunter2"  # type: ignore[index]
    assert redacted({"kind": "ConfigMap", "data": {"a": "b"}})["data"] == {"a": "b"}


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_values_of_a_wrong_type_are_no_part_of_the_message(field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(json.dumps({**SECRET, field: ["hunter2"]}), "test")
    assert caught.value.message == f"test, document 1, Secret s: {field} must be a map"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("metadata: {annotations: {kubernetes.io/service-account.name: [a]}}", "a string"),
        ("metadata: {annotations: {kubernetes.io/service-account.uid: 7}}", "a string"),
        ("immutable: 'yes'", "true or false"),
        ("metadata: {managedFields: [{manager: []}]}", "a string"),
    ],
)
def test_fields_of_a_wrong_type_are_one_line(change: str, path: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\n{change.replace('{', '{name: s, ', 1)}\n"
    if "metadata" not in change:
        text += "metadata: {name: s}\n"
    with pytest.raises(ManifestError, match=f"must be {path}"):
        parse(text, "test")


@pytest.mark.parametrize("field", ["secrets", "imagePullSecrets"])
@pytest.mark.parametrize("value", ["{}", "[a]", "[{name: {}}]"])
def test_secrets_of_an_account_of_a_wrong_type_are_one_line(field: str, value: str) -> None:
    text = f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: a}}\n{field}: {value}\n"
    with pytest.raises(ManifestError, match=field):
        parse(text, "test")


def test_a_secret_is_filled() -> None:
    assert has_token(redacted(SECRET))
    assert has_token({"dataCount": 3})
    assert not has_token({"dataCount": 0})
    assert not has_token({"dataCount": None})  # null, as in a file that was written by hand
    assert not has_token(redacted({"kind": "Secret", "data": {"token": "", "ca.crt": "x"}}))
    assert not has_token(redacted({"kind": "Secret", "data": None}))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"type": "kubernetes.io/service-account-token"}, True),
        ({"type": "Opaque"}, False),
        ({}, False),
        ({"stringData": {"token": encoded(JWT)}}, True),
        ({"data": {"token": encoded(JWT)}}, False),
        ({"annotated": True}, True),
        ({"annotated": True, "type": "kubernetes.io/dockercfg"}, False),
        ({"annotated": True, "type": "kubernetes.io/serviceaccount-token"}, True),
    ],
)
def test_what_is_meant_as_a_token(more: dict[str, object], expected: bool) -> None:
    annotations = {"kubernetes.io/service-account.name": "a"} if more.pop("annotated", 0) else {}
    secret = {"kind": "Secret", "metadata": {"name": "s", "annotations": annotations}, **more}
    assert meant_as_token(redacted(secret)) == expected


def test_what_is_garbled_is_told_by_field() -> None:
    assert garbled_in(redacted({"kind": "Secret", "stringData": {"token": JWT}})) == ""
    assert garbled_in(redacted({"kind": "Secret", "data": {"token": JWT}})) == "data"
    # one from a cluster shows nothing of its data
    assert garbled_in({"kind": "Secret", "dataCount": 3}) == ""


def test_the_secrets_that_a_pod_takes_tokens_from() -> None:
    env = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "c", "key": "token"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "no", "key": "password"}}},
    ]
    pod = {
        "spec": {
            "containers": [{"name": "app", "env": env}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "a"}},
                {"name": "b", "projected": {"sources": [{"secret": {"name": "b"}}]}},
            ],
        }
    }
    assert list(taken_secrets(pod)) == ["a", "b", "c"]


def test_objects_are_in_the_order_in_which_kubectl_applies_them(tmp_path: Path) -> None:
    one = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s}\n"
    for place in ("b.yaml", "a/z.yaml", "c/a.yaml", "a.yaml"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(one % place.replace("/", "-"))
    files = read([str(tmp_path)], "shop", Env(), recursive=True)
    objects = list(files.objects())
    names = [item["metadata"]["name"] for item in objects]
    # as filepath.Walk goes, which kubectl uses
    assert names == ["a-z.yaml", "a.yaml", "b.yaml", "c-a.yaml"]
    assert files.applied_before(objects[0], objects[1])
    assert not files.applied_before(objects[1], objects[0])
    assert not files.applied_before(objects[0], objects[0])
    stored = {"apiVersion": "satoken/v1", "kind": "Snapshot", "items": objects}
    snapshot = ManifestWorld([stored], "shop", 0)
    assert not snapshot.applied_before(*list(snapshot.objects())[:2])
