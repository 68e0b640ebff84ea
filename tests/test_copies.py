"""Copies of legacy tokens, wherever people keep them."""

import base64
import json
from typing import Any

import pytest

from kubectl_satoken.copies import Copy, copies_in
from kubectl_satoken.world import Ref

SECRET = Ref("Secret", "shop", "web-token")


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(payload: Any) -> str:
    return f"{part({'alg': 'RS256', 'kid': 'k'})}.{part(payload)}.c2lnbmF0dXJl"


LEGACY = {
    "iss": "kubernetes/serviceaccount",
    "kubernetes.io/serviceaccount/namespace": "shop",
    "kubernetes.io/serviceaccount/secret.name": "web-token",
    "sub": "system:serviceaccount:shop:web",
}
TOKEN = jwt(LEGACY)
BOUND = jwt({"iss": "https://kubernetes.default.svc", "kubernetes.io": {"namespace": "shop"}})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def found(kind: str, data: Any, **more: Any) -> list[Copy]:
    metadata = {"namespace": "ci", "name": "login"}
    return [*copies_in({"kind": kind, "metadata": metadata, "data": data, **more})]


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"  {TOKEN}\n",
        f"users:\n- name: ci\n  user: {{token: {TOKEN}}}\n",
        f'curl -H "Authorization: Bearer {TOKEN}" https://example.org',
        f"# Zugang für den Bau\n{TOKEN}",
        encoded(TOKEN),
        json.dumps({"auth": {"token": encoded(TOKEN)}}),
    ],
    ids=["alone", "padded", "kubeconfig", "script", "with umlauts", "encoded", "in JSON"],
)
def test_a_copy_is_found_wherever_it_stands(text: str) -> None:
    place = Ref("Secret", "ci", "login")
    assert found("Secret", {"config": encoded(text)}) == [Copy(place, "config", SECRET)]
    place = Ref("ConfigMap", "ci", "login")
    assert found("ConfigMap", {"config": text}) == [Copy(place, "config", SECRET)]


@pytest.mark.parametrize(
    "text", [BOUND, "", "eyJ.eyJ.x", f"{part([1])}.{part([1])}.x", jwt({"iss": "else"})]
)
def test_other_tokens_are_no_copies(text: str) -> None:
    assert not found("Secret", {"token": encoded(text)})
    assert not found("ConfigMap", {"token": text})


def test_the_token_secrets_themselves_are_not_read() -> None:
    data = {"token": encoded(TOKEN)}
    assert not found("Secret", data, type="kubernetes.io/service-account-token")
    assert not found("Secret", {"release": "x"}, type="helm.sh/release.v1")


def test_what_is_no_text_is_passed_over() -> None:
    assert not found("Secret", {"a": "****", "b": encoded("x") + "!", "c": "/w=="})
    assert found("ConfigMap", None, binaryData={"b": encoded(TOKEN)})


def test_two_copies_under_one_key_are_one() -> None:
    other = jwt({**LEGACY, "kubernetes.io/serviceaccount/secret.name": "a"})
    names = [one.secret.name for one in found("ConfigMap", {"x": f"{TOKEN} {TOKEN} {other}"})]
    assert names == ["a", "web-token"]


def test_what_is_said_holds_no_token() -> None:
    [copy] = found("ConfigMap", {"config": TOKEN})
    assert str(copy) == "configmap/login in namespace ci has a copy under config"
