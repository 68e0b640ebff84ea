"""Tokens as people have them: each form that is taken, each that is refused, none that is shown."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_satoken.env import Env
from kubectl_satoken.errors import SatokenError, UsageError
from kubectl_satoken.token import Malformed
from kubectl_satoken.token_source import LIMIT, Broken, Where, found, parse, read


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def jwt(payload: object = None, header: object = None, signature: bytes = b"s" * 256) -> str:
    header = {"alg": "RS256", "kid": "k"} if header is None else header
    payload = {"iss": "me", "sub": "system:serviceaccount:shop:web"} if payload is None else payload
    return ".".join((part(header), part(payload), part(signature)))


TOKEN = jwt()
BASE64 = base64.b64encode(TOKEN.encode()).decode()
WRAPPED = "\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76))

KUBECONFIG = f"""
apiVersion: v1
kind: Config
users:
- name: web
  user: {{token: {TOKEN}}}
"""

SECRET = f"""
apiVersion: v1
kind: Secret
metadata:
  name: web-token
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{{"data":{{"token":"{BASE64}"}}}}'
data:
  ca.crt: {base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()}
  token: {BASE64}
"""


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (TOKEN, ""),
        (TOKEN + "\n", ""),
        (f"  {TOKEN}\r\n", ""),
        (f"\ufeff{TOKEN}", ""),
        (f"Bearer {TOKEN}\n", "Bearer"),
        (f"'{TOKEN}'", "quotes"),
        (f'"{TOKEN}"\n', "quotes"),
        (BASE64, "in base64"),
        (WRAPPED, "in base64"),
        (base64.b64encode(BASE64.encode()).decode(), "in base64 of base64"),
        (base64.b64encode(f"{TOKEN}\n".encode()).decode(), "in base64"),
        (f"{TOKEN[:80]}\n{TOKEN[80:160]}\n  {TOKEN[160:]}\n", "broken into lines"),
        (f"Authorization: Bearer {TOKEN}\n", "a header"),
        (f"export TOKEN={TOKEN}\nexport SERVER=https://a\n", "variables of a shell"),
        (f"see {TOKEN}\nand so on\n", "other text"),
        (json.dumps({"kind": "TokenRequest", "status": {"token": TOKEN}}), "JSON"),
        (json.dumps({"status": {"token": TOKEN}}, indent=2), "JSON"),
        (KUBECONFIG, "a kubeconfig"),
        (SECRET, "a manifest of kind Secret"),
    ],
)
def test_a_token_is_found_in_what_is_around_it(text: str, note: str) -> None:
    found_one = found(text.encode(), "stdin")
    assert found_one.token is not None
    assert found_one.token.reveal() == TOKEN
    assert found_one.claims.payload["iss"] == "me"
    assert len(found_one.notes) == bool(note)
    assert not note or note in found_one.notes[0]


def test_what_a_windows_shell_writes_is_read() -> None:
    assert found(TOKEN.encode("utf-16"), "file t").claims.payload["iss"] == "me"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n\t", "it is empty"),
        (b"''", "it is empty"),
        (b"\x7fELF\x02\x01\x00\x00", "it is binary"),
        (b"\xff\xfe\x00", "it is binary"),
        (bytes(range(256)), "it is binary"),
        (b"a" * (LIMIT + 1), "larger than 1 MiB"),
        (b"hello", "it is not a token: one word"),
        (b"hello there", "it is text, and there is no token in it"),
        (b"apiVersion: v1\nkind: Config\nusers: []\n", "a kubeconfig, and there is no token"),
        (b'{\n "kind": "Pod" }', "a manifest of kind Pod"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "PEM, a certificate or key"),
        (b"export CA='-----BEGIN CERTIFICATE-----\nMIIE\n'\n", "variables of a shell"),
        (b"<!DOCTYPE html><html><title>Sign in</title>", "a web page"),
        (f"{TOKEN} {jwt({'iss': 'other'})}".encode(), "there are 2 tokens in it"),
        (f"{TOKEN}\n{jwt({'iss': 'other'})}".encode(), "there are 2 tokens in it"),
        (b"eyJhbGciOiJSU0EifQ.a.b.c.d", "an encrypted token (JWE)"),
    ],
)
def test_what_is_no_token_is_said_to_be_none(content: bytes, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        found(content, "stdin")
    assert message in caught.value.message
    assert caught.value.message.startswith("stdin: ")
    assert not isinstance(caught.value, Broken)
    assert "eyJ" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOKEN.rpartition(".")[0], "2 parts where a JWT has 3"),
        (TOKEN + ".more", "4 parts where a JWT has 3"),
        (".".join((TOKEN.split(".")[0], "%%%", "s")), "its payload is not base64url of JSON"),
        (".".join((TOKEN.split(".")[0], TOKEN.split(".")[1][:-3], "s")), "its payload is not base"),
        (jwt([1]), "its payload is not an object"),
        (jwt(b"[" * 100000), "its payload is not base64url of JSON"),
        (jwt(b'{"exp": ' + b"9" * 5000 + b"}"), "its payload is not base64url of JSON"),
        (jwt().replace("eyJ", "eyJ=", 1), "its header is not base64url of JSON"),
    ],
)
def test_a_token_that_was_broken_is_one_that_is_not_taken(text: str, message: str) -> None:
    with pytest.raises(Broken) as caught:
        found(text.encode(), "stdin")
    assert message in caught.value.message
    assert caught.value.status == 1


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("abcdef.0123456789abcdef", "bootstrap"),
        ("k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8_QWN0aW9uPUdldENhbGxlcklkZW50aXR5", "AWS"),
        ("ya29.a0AfH6SMBx-0123456789abcdef", "Google"),
        ("sha256~0123456789abcdefghijklmnopqrstuvwxyz", "OpenShift"),
        ("hvs.CAESIJ0123456789abcdefghij", "Vault"),
        ("ghp_0123456789abcdefghij0123456789abcdef", "GitHub"),
        ("glpat-0123456789abcdefghij", "GitLab"),
    ],
)
def test_tokens_that_say_nothing_are_known_by_their_look(text: str, system: str) -> None:
    one = found(f"{text}\n".encode(), "stdin")
    assert system in one.opaque
    assert one.claims == ({}, {})
    with pytest.raises(UsageError, match="command line"):
        parse([text])


@pytest.mark.parametrize("word", [TOKEN, BASE64, f"Bearer {TOKEN}", TOKEN[:40], f"x={TOKEN}"])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([word])
    assert "command line" in caught.value.message
    assert "-" in caught.value.hint
    assert "eyJ" not in str(caught.value)
    assert word[:12] not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["-"], ("Stdin", "")),
        (["token.txt"], ("File", "token.txt")),
        (["/var/run/secrets/kubernetes.io/serviceaccount/token"], ("File", None)),
        (["./secret/x"], ("File", "./secret/x")),
        (["secret/x"], ("Secret", "x")),
        (["secrets/x"], ("Secret", "x")),
        (["secret", "x"], ("Secret", "x")),
        (["pod/x"], ("Pod", "x")),
        (["po", "x"], ("Pod", "x")),
    ],
)
def test_where_it_is(words: list[str], where: tuple[str, str | None]) -> None:
    kind, name = where
    assert parse(words) == Where(kind, words[0] if name is None else name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a token is needed"),
        (["a", "b"], "one token at a time"),
        (["pod", "a", "b"], "one token at a time"),
        (["pod/"], "needs one name"),
        (["pod/a/b"], "needs one name"),
        (["sa/web"], "holds no token"),
        (["deploy", "web"], "holds no token"),
        ([""], "the name of the file is empty"),
    ],
)
def test_what_names_no_token_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(words)


def test_a_file_is_read_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    env = Env(io.StringIO())
    assert read(Where("File", str(file)), env).source == f"file {file}"
    for name in (str(tmp_path / "none"), str(tmp_path), "no\0name"):
        with pytest.raises(SatokenError, match="cannot read .*(no such file|directory|invalid)"):
            read(Where("File", name), env)
    # a token of a kind that nobody knows
    with pytest.raises(SatokenError) as caught:
        read(Where("File", "Zm9vYmFy" * 12), env)
    assert "Zm9v" not in caught.value.message


class Answers:
    """An API server that has one Secret."""

    namespace = "shop"

    def __init__(self, data: dict[str, str], **metadata: Any) -> None:
        self.data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.metadata = metadata

    def request(self, method: str, path: str) -> Any:
        assert (method, path) == ("GET", "/api/v1/namespaces/shop/secrets/x")
        return {"metadata": {"name": "x", **self.metadata}, "data": dict(self.data)}


def from_secret(data: dict[str, str], **metadata: Any) -> Any:
    api: Any = Answers(data, **metadata)
    return read(Where("Secret", "x"), Env(io.StringIO()), api)


def test_a_secret_gives_its_token_and_keeps_its_values() -> None:
    one = from_secret(
        {"token": TOKEN, "ca.crt": "PEM"},
        annotations={"kubectl.kubernetes.io/last-applied-configuration": BASE64, "a": "b"},
    )
    assert one.token.reveal() == TOKEN
    assert one.source == "secret/x, key token"
    assert one.object["dataCount"] == 2
    assert "data" not in one.object
    assert one.object["metadata"]["annotations"] == {"a": "b"}


def test_a_secret_of_another_kind_gives_the_one_token_that_it_holds() -> None:
    config = json.dumps({"bearerToken": TOKEN, "tlsClientConfig": {}})
    one = from_secret({"config": config, "name": "prod"})
    assert one.token.reveal() == TOKEN
    assert one.source == "secret/x, key config"


@pytest.mark.parametrize(
    ("data", "metadata", "message"),
    [
        ({}, {}, "secret/x is empty"),
        (
            {},
            {
                "labels": {
                    "app.kubernetes.io/managed-by": "kubectl-satoken",
                    "app.kubernetes.io/component": "token-handle",
                }
            },
            "it is a handle of mint --revocable",
        ),
        ({"password": "x"}, {}, "none of its keys hold one: password"),
        ({"a": TOKEN, "b": TOKEN}, {}, "2 of its keys hold one: a, b"),
        ({"token": ""}, {}, "secret/x, key token: it is empty"),
    ],
)
def test_a_secret_without_a_token_says_so(data: Any, metadata: Any, message: str) -> None:
    with pytest.raises(SatokenError) as caught:
        from_secret(data, **metadata)
    assert message in caught.value.message


def echoed(text: str, content: bytes) -> bool:
    """Whether a text has 8 characters in a row of what was read."""
    raw = content.decode("latin-1")
    known = "manifest of kind a kubeconfig, and there is no token in it"
    return any(
        text[at : at + 8] in raw and text[at : at + 8] not in known
        for at in range(len(text) - 7)
        if text[at : at + 8].strip()
    )


WORDS = st.sampled_from(
    [TOKEN, BASE64, WRAPPED, *TOKEN.split("."), "Bearer ", "kind: Secret\n", '{"', "'", ".", "\n"]
)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=6).map(
            lambda words: "".join(words).encode("utf-8", "surrogatepass")
        ),
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)).map(
            lambda value: jwt(value, value).encode()
        ),
    )
)
def test_whatever_is_read_is_a_token_or_one_line_that_repeats_nothing(content: bytes) -> None:
    try:
        one = found(content, "stdin")
    except Malformed as error:
        said = error.message.removeprefix("stdin: ")
        assert "\n" not in said
        assert not echoed(said, content)
    else:
        assert "eyJ" not in repr(one.notes) + repr(one.token)
