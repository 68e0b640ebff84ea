"""The transport and the World on top of it, against a server that misbehaves."""

import gzip
import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from kubectl_satoken import cluster, errors, live
from kubectl_satoken.credentials import Credentials
from kubectl_satoken.env import Env
from kubectl_satoken.kubeconfig import Impersonation, Target
from kubectl_satoken.world import KINDS, Kind, Sealed, Unseen, Want
from tests import faults
from tests.faults import Reply, status

POD = {"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}
PODS = "/api/v1/namespaces/shop/pods"
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


def api(server: Any, verbosity: int = 0, **fields: Any) -> Any:
    """An Api for a server or a URL, and what it writes to stderr as ``api.heard()``."""
    stderr = io.StringIO()
    fields.setdefault("credentials", Credentials())
    url = server if isinstance(server, str) else server.url
    made = cluster.connect(Target(server=url, **fields), Env(stderr=stderr, environ={}), verbosity)
    made.heard = stderr.getvalue  # type: ignore[attr-defined]
    return made


def world(server: Any, **fields: Any) -> live.ClusterWorld:
    made = api(server, **fields)
    return live.ClusterWorld(made, made.env)


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "path"),
    [
        ("Pod", "shop", "web", "", "/api/v1/namespaces/shop/pods/web"),
        ("Pod", "shop", "", "", "/api/v1/namespaces/shop/pods"),
        ("Pod", "", "", "", "/api/v1/pods"),
        ("ServiceAccount", "a", "b", "token", "/api/v1/namespaces/a/serviceaccounts/b/token"),
        ("Deployment", "a", "b", "", "/apis/apps/v1/namespaces/a/deployments/b"),
        ("Namespace", "", "shop", "", "/api/v1/namespaces/shop"),
        (
            "ClusterRole",
            "ignored",
            "system:node",
            "",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
        ),
        ("ConfigMap", "a", "b c?d", "", "/api/v1/namespaces/a/configmaps/b%20c%3Fd"),
    ],
)
def test_paths(kind: str, namespace: str, name: str, subresource: str, path: str) -> None:
    assert cluster.path_of(KINDS[kind], namespace, name, subresource) == path


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../secrets/x", "a%2fb"])
def test_names_that_would_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(errors.Invalid, match="not a name"):
        cluster.path_of(KINDS["Pod"], "shop", name)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body", "kind", "message"),
    [
        (401, status(401, "Unauthorized", "Unauthorized"), errors.Unauthorized, "provide cred"),
        (403, status(403, "Forbidden", "pods is forbidden"), errors.Forbidden, "pods is forbidden"),
        (
            404,
            status(404, "NotFound", 'pods "web" not found', name="web", kind="pods"),
            errors.NotFound,
            'pods "web" not found',
        ),
        (404, "404 page not found\n", errors.TooOld, "does not know /api/v1/namespaces/shop/pods"),
        (409, status(409, "AlreadyExists", "it exists"), errors.AlreadyExists, "it exists"),
        (409, status(409, "Conflict", "it was modified"), errors.Conflict, "it was modified"),
        (410, status(410, "Expired", "too old"), errors.Expired, "too old"),
        (422, status(422, "Invalid", "spec.x: Required"), errors.Invalid, "spec.x: Required"),
        (400, status(400, "BadRequest", "bad"), errors.Invalid, "bad"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", errors.Invalid, "HTTPS server"),
        (500, status(500, "InternalError", "etcd is down"), errors.ServerError, "etcd is down"),
        (301, "", errors.ApiError, "301 Moved Permanently"),
        (200, '{"kind": "Pod", "meta', errors.ServerError, "was not answered with a JSON object"),
        (200, "[]", errors.ServerError, "not answered with a JSON object: []"),
        (200, "<html><title>Log in</title>", errors.ServerError, "a JSON object: Log in"),
    ],
)
def test_error_answers(code: int, body: Any, kind: type, message: str) -> None:
    elsewhere = (("Location", "http://127.0.0.1:1/"),) if code == 301 else ()
    with faults.serve(Reply(code, body, elsewhere)) as server:
        with pytest.raises(kind) as caught:
            api(server).request("GET", PODS)
        assert len(server.requests) == 1
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert caught.value.code == code


def test_the_details_of_a_status_are_kept() -> None:
    body = status(409, "Conflict", "uid differs", name="web", kind="pods")
    with faults.serve(Reply(409, body)) as server, pytest.raises(errors.Conflict) as caught:
        api(server).request("DELETE", PODS + "/web", {"preconditions": {"uid": "1"}})
    assert caught.value.reason == "Conflict"
    assert caught.value.details == {"name": "web", "kind": "pods"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "<html><head><style>b{}</style><title>502 Bad\nGateway</title></head><body>nginx",
            "502 Bad Gateway",
        ),
        ("<html><body><h1>Sorry</h1>\n<p>we are\tclosed</p>", "Sorry we are closed"),
        ("upstream\x1b[31m reset\r\n", "upstream [31m reset"),
        ("", "502 Bad Gateway"),
        (f"the token {JWT} is bad", "the token *** is bad"),
        ("x" * 5_000_000, "x" * 255 + "…"),
        (b"\xff\xfe\x00", "502 Bad Gateway"),
    ],
    ids=["html with title", "html", "control characters", "empty", "token", "huge", "binary"],
)
def test_errors_that_kubernetes_did_not_write_become_one_line(
    body: str | bytes, message: str
) -> None:
    with faults.serve(Reply(502, body)) as server, pytest.raises(errors.ServerError) as caught:
        api(server).request("POST", PODS, {})
    assert message in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [JWT, f"Bearer {JWT}", "Authorization: Bearer opaque-token", "ZXlKaGJHY2lPaUpTVXpJMU5pSXM="],
)
def test_tokens_in_a_status_are_not_repeated(text: str) -> None:
    body = status(400, "BadRequest", f"cannot read {text} here")
    with faults.serve(Reply(400, body)) as server, pytest.raises(errors.Invalid) as caught:
        api(server).request("POST", PODS, {})
    assert text.split()[-1] not in str(caught.value)
    assert "cannot read" in str(caught.value)
    assert "here" in str(caught.value)


# --- repeating ------------------------------------------------------------------------------------

BUSY = Reply(429, status(429, "TooManyRequests"), (("Retry-After", "0"),))
OK = Reply(200, POD)


@pytest.mark.parametrize(
    ("method", "replies", "sent", "outcome"),
    [
        ("GET", [BUSY, OK], 2, POD),
        ("GET", [Reply(429), OK], 2, POD),
        ("GET", [Reply(502), Reply(503), Reply(504), OK], 4, POD),
        ("GET", [Reply(503)], 4, errors.ServerError),
        ("GET", [BUSY], 4, errors.TooManyRequests),
        ("GET", [Reply(500, status(500, "InternalError", "no"))], 1, errors.ServerError),
        ("GET", [Reply(500, status(500, "ServerTimeout", retryAfterSeconds=0)), OK], 2, POD),
        ("GET", [Reply(429, headers=(("Retry-After", "3600"),))], 1, errors.TooManyRequests),
        ("GET", [Reply(cut="before"), OK], 2, POD),
        ("GET", [Reply(200, POD, cut="within"), OK], 2, POD),
        ("GET", [Reply(cut="before")], 4, errors.Unreachable),
        ("POST", [BUSY, OK], 2, POD),
        ("POST", [Reply(429)], 1, errors.TooManyRequests),
        ("POST", [Reply(503, headers=(("Retry-After", "0"),))], 1, errors.ServerError),
        ("POST", [Reply(504)], 1, errors.ServerError),
        ("POST", [Reply(500, status(500, "ServerTimeout", retryAfterSeconds=0))], 1, None),
        ("POST", [Reply(cut="before")], 1, errors.Unreachable),
        ("POST", [Reply(200, POD, cut="within")], 1, errors.Unreachable),
        ("DELETE", [Reply(cut="before")], 1, errors.Unreachable),
        ("PATCH", [BUSY, OK], 2, POD),
    ],
)
def test_what_is_repeated(method: str, replies: list[Reply], sent: int, outcome: Any) -> None:
    body = None if method == "GET" else {"a": 1}
    with faults.serve(*replies) as server:
        if isinstance(outcome, dict):
            assert api(server).request(method, PODS, body) == outcome
        else:
            with pytest.raises(outcome or errors.ServerError):
                api(server).request(method, PODS, body)
        assert len(server.requests) == sent
        assert {each.body for each in server.requests} == {b'{"a": 1}' if body else b""}


def test_retry_after_is_waited_for_and_a_long_wait_is_told() -> None:
    busy = Reply(429, headers=(("Retry-After", "1"),))
    with faults.serve(busy, OK) as server:
        client = api(server)
        started = time.monotonic()
        client.request("GET", PODS)
        assert 1 <= time.monotonic() - started < 2.5
    assert client.heard() == "the server is busy, trying again in 1 s\n"


def test_no_wait_goes_past_the_request_timeout() -> None:
    busy = Reply(429, headers=(("Retry-After", "3"),))
    with faults.serve(busy) as server:
        started = time.monotonic()
        with pytest.raises(errors.TooManyRequests):
            api(server, request_timeout=2.0).request("GET", PODS)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "slow",
    [Reply(200, POD, delay=3), Reply(200, POD, drip=0.1), Reply(200, POD, drip=0.5)],
    ids=["no answer", "a trickle", "a slower trickle"],
)
def test_the_request_timeout_is_for_the_whole_answer(slow: Reply) -> None:
    with faults.serve(slow) as server:
        started = time.monotonic()
        with pytest.raises(errors.Unreachable, match=r"no answer within 1 s \(--request-timeout"):
            api(server, request_timeout=1.0).request("GET", PODS)
        assert time.monotonic() - started < 2.5
        assert len(server.requests) == 1


# --- unreachable ----------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with faults.serve(OK) as server:
        pass
    started = time.monotonic()
    for method in ("GET", "POST"):
        with pytest.raises(errors.Unreachable) as caught:
            api(server).request(method, PODS)
        assert caught.value.message == f"could not reach {server.url}: connection refused"
        assert caught.value.hint == "is the cluster running, and the port right?"
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://no-such-host.invalid", "could not reach https://no-such-host.invalid: no such"),
        ("http://me:hunter2@127.0.0.1:1", "could not reach http://127.0.0.1:1: connection refused"),
        ("http://127.0.0.1:1/prefix/", "could not reach http://127.0.0.1:1/prefix/: connection"),
    ],
)
def test_unreachable_in_words(url: str, message: str) -> None:
    with pytest.raises(errors.Unreachable) as caught:
        api(url).request("GET", PODS)
    assert caught.value.message.startswith(message)
    assert "hunter2" not in str(caught.value)


def test_why_the_server_was_chosen_is_the_better_hint() -> None:
    with pytest.raises(errors.Unreachable) as caught:
        api("http://127.0.0.1:1", why_here="no kubeconfig was found").request("GET", PODS)
    assert caught.value.hint == "no kubeconfig was found"


def certificate(folder: Path, name: str, days: int) -> tuple[ssl.SSLContext, str]:
    """The TLS of a server with a certificate that signs itself, and the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name[0].isdigit():
        names = [x509.IPAddress(ip_address(name))]
    end = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, pem.decode()


@pytest.mark.parametrize(
    ("name", "days", "trusted", "fields", "message"),
    [
        ("127.0.0.1", 10, True, {}, None),
        ("127.0.0.1", 10, False, {}, "its certificate is signed by an unknown authority (x509: "),
        ("127.0.0.1", -1, True, {}, "its certificate has expired (x509: "),
        ("127.0.0.1", 60, True, {}, "its certificate is not yet valid (x509: "),
        ("127.0.0.2", 10, True, {}, "its certificate is for another address (x509: "),
        ("kubernetes", 10, True, {"tls_server_name": "kubernetes"}, None),
        ("kubernetes", 10, True, {"tls_server_name": "k8s"}, "its certificate is for another name"),
        ("127.0.0.2", -1, False, {"insecure": True, "ca": None}, None),
    ],
)
def test_certificates(
    tmp_path: Path, name: str, days: int, trusted: bool, fields: Any, message: str | None
) -> None:
    tls, own = certificate(tmp_path, name, days)
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", name, days)[1]
    with faults.serve(OK, tls=tls) as server:
        url = server.url.replace("http:", "https:")
        client = api(url, **{"ca": own if trusted else other, **fields})
        if message is None:
            assert client.request("GET", PODS) == POD
            return
        with pytest.raises(errors.Unreachable) as caught:
            client.request("GET", PODS)
        assert caught.value.message.startswith(f"could not reach {url}: {message}")
        assert caught.value.hint
        assert server.requests == []


def test_an_https_address_of_a_plain_http_server() -> None:
    with faults.serve(OK) as server, pytest.raises(errors.Unreachable, match="not speak TLS"):
        api(server.url.replace("http:", "https:")).request("GET", PODS)


# --- who and what is sent -------------------------------------------------------------------------


class Renewable(Credentials):
    """Credentials whose first token is refused."""

    def __init__(self, *tokens: str) -> None:
        super().__init__()
        self.tokens = list(tokens)

    def authorization(self) -> Sealed:
        return Sealed(f"Bearer {self.tokens[0]}")

    def refresh_after_401(self) -> bool:
        if len(self.tokens) > 1:
            self.tokens.pop(0)
            return True
        return False


def guard(request: faults.Request) -> Reply:
    """Lets only one token in."""
    return OK if request.all("Authorization") == ["Bearer good"] else Reply(401, status(401))


@pytest.mark.parametrize(
    ("tokens", "sent"),
    [(("good",), 1), (("old", "good"), 2), (("old",), 1), (("old", "older", "good"), 2)],
)
def test_credentials_are_renewed_once(tokens: tuple[str, ...], sent: int) -> None:
    with faults.serve(guard) as server:
        client = api(server, credentials=Renewable(*tokens))
        if "good" in tokens[:2]:
            assert client.request("GET", PODS) == POD
        else:
            with pytest.raises(errors.Unauthorized, match="provide credentials"):
                client.request("GET", PODS)
        assert len(server.requests) == sent


def test_threads_with_the_same_refused_token_renew_it_once() -> None:
    slowly = faults.Reply(200, POD, delay=0.05)

    def answer(request: faults.Request) -> Reply:
        return slowly if guard(request) is OK else Reply(401, status(401), delay=0.05)

    credentials = Renewable("old", "good", "never")
    with faults.serve(answer) as server:
        seen = world(server, credentials=credentials)
        seen.prepare([Want("Pod", "shop", f"p{n}") for n in range(6)])
        assert [seen.get("Pod", "shop", f"p{n}") for n in range(6)] == [POD] * 6
    assert credentials.tokens == ["good", "never"]


def test_impersonation_repeats_the_headers_of_groups_and_extra() -> None:
    who = Impersonation("jöhn", "42", ("dev", "ops, eu"), (("scopes/a", ("x", "y")),))
    with faults.serve(OK) as server:
        api(server, impersonate=who).request("GET", PODS)
        request = server.requests[0]
    assert request.all("Impersonate-User") == ["jöhn".encode().decode("latin-1")]
    assert request.all("Impersonate-Uid") == ["42"]
    assert request.all("Impersonate-Group") == ["dev", "ops, eu"]
    assert request.all("Impersonate-Extra-scopes%2fa") == ["x", "y"]


def test_a_token_that_no_header_can_hold_is_not_shown() -> None:
    with faults.serve(OK) as server:
        client = api(server, credentials=Renewable(f"{JWT}\nx: y"))
        with pytest.raises(errors.KubeconfigError, match="Authorization header") as caught:
            client.request("GET", PODS)
        assert server.requests == []
    assert JWT not in repr(caught.value)


@pytest.mark.parametrize(
    ("method", "body", "content_type", "sent"),
    [
        ("POST", {"ä": 1}, None, "application/json"),
        ("PATCH", {"a": None}, "application/merge-patch+json", None),
        ("PATCH", {"a": None}, "application/strategic-merge-patch+json", None),
        ("PATCH", [{"op": "remove", "path": "/a"}], "application/json-patch+json", None),
        ("PATCH", {"a": [1]}, "application/apply-patch+yaml", None),
        ("DELETE", {"preconditions": {"uid": "1"}}, None, "application/json"),
    ],
)
def test_bodies(method: str, body: Any, content_type: str | None, sent: str | None) -> None:
    with faults.serve(OK) as server:
        api(server).request(method, PODS, body, content_type=content_type)
        request = server.requests[0]
    assert json.loads(request.body) == body
    assert request.all("Content-Type") == [sent or content_type]
    assert re.fullmatch(r"kubectl-satoken/\S+ \(\w+/\w+\)", request.all("User-Agent")[0])


def test_queries_and_prefixes() -> None:
    with faults.serve(OK) as server:
        query = [("fieldSelector", "a=b,c=d"), ("dryRun", "All")]
        assert api(server.url + "/k8s/c1").request("GET", PODS, query=query) == POD
        path = f"/k8s/c1{PODS}?fieldSelector=a%3Db%2Cc%3Dd&dryRun=All"
        assert server.requests[0].path == path


def test_compressed_answers_are_read_and_asked_for_beyond_the_loopback() -> None:
    body = gzip.compress(json.dumps(POD).encode())
    with faults.serve(Reply(200, body, (("Content-Encoding", "gzip"),))) as server:
        client = api(server)
        assert client.request("GET", PODS) == POD
        client.loopback = False
        assert client.request("GET", PODS) == POD
        assert [each.all("Accept-Encoding") for each in server.requests] == [["identity"], ["gzip"]]


def test_the_login_of_a_proxy() -> None:
    with faults.serve(OK) as proxy:
        proxy_url = proxy.url.replace("//", "//me:p%40ss@")
        assert api("http://cluster.invalid", proxy_url=proxy_url).request("GET", PODS) == POD
        assert proxy.requests[0].path == f"http://cluster.invalid{PODS}"
        assert proxy.requests[0].all("Proxy-Authorization") == ["Basic bWU6cEBzcw=="]
    with pytest.raises(errors.Unreachable) as caught:
        api("https://cluster.invalid", proxy_url=proxy_url).request("GET", PODS)
    assert caught.value.message == (
        f"could not reach https://cluster.invalid through the proxy {proxy.url}: connection refused"
    )


@pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_needs_its_package() -> None:
    with pytest.raises(errors.KubeconfigError, match="PySocks is needed"):
        api("http://cluster.invalid", proxy_url="socks5://127.0.0.1:1")


# --- what is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "heard"),
    [
        (['299 - "policy/v1 is old"'], ["policy/v1 is old"]),
        (['299 - "a"', '299 - "a"', '299 - "b"'], ["a", "b"]),
        (['299 - "a, \\"quoted\\" \\\\ b", 299 kube "c" "Wed, 21 Oct 2015 07:28:00 GMT"'], None),
        (['199 - "not for us"', "nonsense", '299 - "unfinished'], []),
        (['299 - "über".'.encode().decode("latin-1")], ["über"]),
        (['299 - "red\x1b[31m"'], ["red [31m"]),
    ],
)
def test_warnings_are_shown_once_each(headers: list[str], heard: list[str] | None) -> None:
    if heard is None:
        heard = ['a, "quoted" \\ b', "c"]
    reply = Reply(200, POD, tuple(("Warning", each) for each in headers))
    with faults.serve(reply) as server:
        client = api(server)
        client.request("GET", PODS)
        client.request("GET", PODS)
    assert client.heard() == "".join(f"Warning: {text}\n" for text in heard)


def test_warnings_of_refused_requests_are_shown() -> None:
    reply = Reply(403, status(403, "Forbidden"), (("Warning", '299 - "soon gone"'),))
    with faults.serve(reply) as server:
        client = api(server)
        with pytest.raises(errors.Forbidden):
            client.request("GET", PODS)
    assert client.heard() == "Warning: soon gone\n"


@pytest.mark.parametrize("verbosity", [5, 6, 8, 9])
def test_verbosity_shows_requests_and_no_credentials(verbosity: int) -> None:
    login = (("Set-Cookie", "session=hunter2"),)
    secret = Reply(200, {"status": {"token": "hunter2"}}, login)
    with faults.serve(Reply(200, {"note": f"is {JWT}"}), secret, secret) as server:
        client = api(server, verbosity, credentials=Renewable("hunter2"))
        client.request("GET", PODS, query=[("limit", "1")])
        client.request("POST", "/api/v1/namespaces/a/serviceaccounts/b/token", {"spec": {}})
        client.request("GET", "/api/v1/namespaces/a/secrets/b")
    heard = client.heard()
    assert "hunter2" not in heard
    assert JWT not in heard
    lines = re.findall(r"^(GET|POST) (\S+) 200 OK in \d+ milliseconds$", heard, re.M)
    assert len(lines) == (3 if verbosity >= 6 else 0)
    assert ("is ***" in heard) == (verbosity >= 8)


# --- pages ----------------------------------------------------------------------------------------


def item(number: int) -> Any:
    return {"metadata": {"namespace": "shop", "name": f"p{number:02}", "uid": str(number)}}


def page(*numbers: int, more: str = "") -> Reply:
    items = [item(number) for number in numbers]
    return Reply(200, {"kind": "PodList", "metadata": {"continue": more}, "items": items})


def expired(token: str = "") -> Reply:
    body = status(410, "Expired", "The provided continue parameter is too old")
    return Reply(410, {**body, "metadata": {"continue": token} if token else {}})


@pytest.mark.parametrize(
    ("replies", "numbers", "tokens"),
    [
        ([page()], [], [None]),
        ([page(1, 2)], [1, 2], [None]),
        ([page(1, 2, more="a"), page(3, more="b"), page()], [1, 2, 3], [None, "a", "b"]),
        (
            [page(1, 2, more="a"), expired("new"), page(3, 4)],
            [1, 2, 3, 4],
            [None, "a", "new"],
        ),
        (
            # 1 went, 3 came; what was seen is not seen twice
            [page(1, 2, more="a"), expired(), page(2, 3, more="b"), page(4)],
            [1, 2, 3, 4],
            [None, "a", None, "b"],
        ),
        (
            [page(1, 2, more="a"), expired(), page(1, more="b"), expired(), page(1, 2, 3)],
            [1, 2, 3],
            [None, "a", None, "b", None],
        ),
    ],
)
def test_pages(replies: list[Reply], numbers: list[int], tokens: list[str | None]) -> None:
    with faults.serve(*replies) as server:
        client = api(server)
        pages = list(client.pages(PODS, [("labelSelector", "a=b")], limit=2))
        asked = [each.path for each in server.requests]
    assert [each["metadata"]["uid"] for one in pages for each in one["items"]] == [
        str(number) for number in numbers
    ]
    assert asked == [
        f"{PODS}?labelSelector=a%3Db&limit=2" + (f"&continue={token}" if token else "")
        for token in tokens
    ]
    assert ("going on with" in client.heard()) == (
        len(tokens) > len(set(tokens)) or "new" in tokens
    )


def test_a_list_that_expires_again_and_again_is_given_up() -> None:
    def answer(request: faults.Request) -> Reply:
        return expired() if "continue" in request.path else page(1, more="a")

    with faults.serve(answer) as server, pytest.raises(errors.Expired):
        list(api(server).pages(PODS))


# --- the World ------------------------------------------------------------------------------------

TABLE = {
    "kind": "Table",
    "columnDefinitions": [{"name": name} for name in ("Age", "Data", "Name", "Type")],
    "rows": [
        {
            "cells": ["5d", 3, "web-token", "kubernetes.io/service-account-token"],
            "object": {
                "kind": "PartialObjectMetadata",
                "metadata": {
                    "name": "web-token",
                    "namespace": "shop",
                    "annotations": {
                        "kubernetes.io/service-account.name": "web",
                        "kubectl.kubernetes.io/last-applied-configuration": '{"data": "hunter2"}',
                    },
                },
            },
        }
    ],
}
SECRET = {
    "kind": "Secret",
    "apiVersion": "v1",
    "metadata": {
        "name": "web-token",
        "namespace": "shop",
        "annotations": {"kubernetes.io/service-account.name": "web"},
    },
    "type": "kubernetes.io/service-account-token",
    "dataCount": 3,
}


def test_secrets_come_without_values() -> None:
    with faults.serve(Reply(200, TABLE)) as server:
        assert world(server).get("Secret", "shop", "web-token") == SECRET
        assert list(world(server).list("Secret", "shop")) == [SECRET]
        for request in server.requests:
            assert request.all("Accept") == ["application/json;as=Table;v=v1;g=meta.k8s.io"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {"kind": "SecretList", "items": [{"data": {"token": "hunter2"}}]}),
        Reply(200, {**TABLE, "columnDefinitions": [{"name": "Name"}, {"name": "Age"}]}),
        Reply(406, status(406, "NotAcceptable", "only json")),
    ],
)
def test_secrets_that_only_come_whole_are_not_seen(reply: Reply) -> None:
    with faults.serve(reply) as server:
        with pytest.raises(Unseen):
            list(world(server).list("Secret", "shop"))
        with pytest.raises(Unseen):
            world(server).get("Secret", "shop", "web-token")


FORBIDDEN = Reply(403, status(403, "Forbidden", "x is forbidden", name="web"))


@pytest.mark.parametrize(
    ("read", "what", "why"),
    [
        (lambda w: w.get("Pod", "shop", "web"), "pod/web", "needs get pods in namespace shop"),
        (lambda w: w.list("RoleBinding", "shop"), "rolebindings", "list rolebindings in namespace"),
        (lambda w: w.list("Pod"), "pods", "needs list pods in all namespaces"),
        (lambda w: w.list("Secret"), "secrets", "needs list secrets in all namespaces"),
        (lambda w: w.get("ClusterRole", "", "a"), "clusterrole/a", "needs get clusterroles"),
        (lambda w: w.events("shop", "web"), "events", "needs list events in namespace shop"),
        (lambda w: w.text("/version"), "/version", "forbidden to you: needs get /version"),
    ],
)
def test_what_is_forbidden_is_unseen(read: Any, what: str, why: str) -> None:
    with faults.serve(FORBIDDEN) as server, pytest.raises(Unseen) as caught:
        read(world(server))
    assert caught.value.what == what
    assert why in caught.value.why
    assert caught.value.why.startswith("forbidden to you: needs ")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(503), Unseen),
        (Reply(500, "boom"), Unseen),
        (Reply(200, "<html>"), Unseen),
        (Reply(429), Unseen),
        (Reply(401, status(401)), errors.Unauthorized),
        (Reply(cut="before"), errors.Unreachable),
    ],
)
def test_a_failing_server_is_never_an_empty_one(reply: Reply, error: type) -> None:
    with faults.serve(reply) as server:
        seen = world(server)
        for _ in range(2):  # the second time from memory
            with pytest.raises(error):
                seen.get("Pod", "shop", "web")
            with pytest.raises(error):
                list(seen.list("ServiceAccount", "shop"))
        with pytest.raises(error):
            list(seen.list("Pod"))


def test_what_is_not_there() -> None:
    gone = Reply(404, status(404, "NotFound", 'pods "web" not found', name="web", kind="pods"))
    with faults.serve(gone, Reply(404, "404 page not found\n")) as server:
        seen = world(server)
        assert seen.get("Pod", "shop", "web") is None
        assert seen.get("Pod", "shop", "web") is None
        assert len(server.requests) == 1
        assert seen.get("CronJob", "shop", "web") is None
        assert seen.text("/.well-known/openid-configuration") is None
        with pytest.raises(Unseen, match="cronjobs: this cluster does not serve them"):
            seen.list("CronJob", "shop")


def test_lists_name_the_kind_that_the_server_leaves_out_and_answer_gets() -> None:
    with faults.serve(page(1, 2)) as server:
        seen = world(server)
        pods = list(seen.list("Pod", "shop"))
        assert pods[0] == {"kind": "Pod", "apiVersion": "v1", **item(1)}
        assert seen.get("Pod", "shop", "p02") == pods[1]
        assert seen.get("Pod", "shop", "p03") is None
        assert seen.get("Pod", "shop", "p02", "v1") == pods[1]
        assert list(seen.list("Pod", "shop")) == pods
        assert len(server.requests) == 1


def test_the_list_of_all_namespaces_answers_for_each() -> None:
    with faults.serve(page(1, 2)) as server:
        seen = world(server)
        assert len(list(seen.list("ServiceAccount"))) == 2
        assert len(list(seen.list("ServiceAccount", "shop"))) == 2
        assert list(seen.list("ServiceAccount", "other")) == []
        assert seen.get("ServiceAccount", "shop", "p01") is not None
        assert len(server.requests) == 1


def test_all_pods_are_read_page_by_page_and_not_kept() -> None:
    with faults.serve(page(1, more="a"), page(2)) as server:
        seen = world(server)
        pods = seen.list("Pod")
        assert len(server.requests) == 1
        assert next(pods)["metadata"]["name"] == "p01"
        assert [each["metadata"]["name"] for each in pods] == ["p02"]
        assert seen.memo == {}


def test_events_about_an_object() -> None:
    with faults.serve(page(1)) as server:
        seen = world(server)
        assert [each["kind"] for each in seen.events("shop", "web")] == ["Event"]
        assert len(list(seen.events("shop", "web"))) == 1
        assert [each.path for each in server.requests] == [
            "/api/v1/namespaces/shop/events?fieldSelector=involvedObject.name%3Dweb&limit=500"
        ]


# --- the wave -------------------------------------------------------------------------------------

WANTS = [
    Want("Pod", "shop", "web"),
    Want("ServiceAccount", "shop"),
    Want("Event", "shop", "web"),
    Want("", "", "/version"),
    Want("RoleBinding", "shop"),
    Want("ClusterRoleBinding"),
]


def some(request: faults.Request) -> Reply:
    """A small cluster that forbids role bindings."""
    if "/rolebindings" in request.path:
        return FORBIDDEN
    if request.path == "/version":
        return Reply(200, {"major": "1"})
    return OK if request.path.endswith("/web") else page(1)


def check(seen: live.ClusterWorld) -> None:
    """Reads all of WANTS."""
    assert seen.get("Pod", "shop", "web") == POD
    assert len(list(seen.list("ServiceAccount", "shop"))) == 1
    assert len(list(seen.events("shop", "web"))) == 1
    assert seen.text("/version") == {"major": "1"}
    assert len(list(seen.list("ClusterRoleBinding"))) == 1
    with pytest.raises(Unseen, match="rolebindings: forbidden to you"):
        seen.list("RoleBinding", "shop")


def test_a_near_server_gets_one_connection() -> None:
    with faults.serve(some) as server:
        seen = world(server)
        seen.patience = 10  # a busy machine is no far server
        seen.prepare([*WANTS, *WANTS])
        # what nobody asks for in the end is not read
        assert len(server.requests) == 1
        check(seen)
        assert len(server.requests) == len(WANTS)
        assert len({each.connection for each in server.requests}) == 1


def test_a_far_server_gets_all_at_once() -> None:
    with faults.serve(lambda request: some(request)._replace(delay=0.3)) as server:
        seen = world(server)
        started = time.monotonic()
        seen.prepare(WANTS)
        assert time.monotonic() - started < 1.6  # one after the other would be 1.8
        assert len({each.connection for each in server.requests}) == len(WANTS)
        check(seen)
        assert len(server.requests) == len(WANTS)
        seen.get("Pod", "shop", "other")
        assert len({each.connection for each in server.requests}) == len(WANTS)


def test_never_more_than_eight_connections() -> None:
    with faults.serve(OK._replace(delay=0.1)) as server:
        world(server).prepare([Want("Pod", "shop", str(number)) for number in range(30)])
        assert len(server.requests) == 30
        assert len({each.connection for each in server.requests}) == 8


def test_one_want_is_read_when_it_is_asked_for() -> None:
    with faults.serve(some) as server:
        seen = world(server)
        seen.prepare(WANTS[:1])
        assert server.requests == []


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (Reply(401, status(401), delay=0.1), errors.Unauthorized),
        (Reply(cut="before", delay=0.1), errors.Unreachable),
    ],
)
def test_nobody_waits_for_the_rest_when_nothing_works(first: Reply, error: type) -> None:
    def answer(request: faults.Request) -> Reply:
        return first if request.path.endswith("/web") else Reply(200, {}, delay=5)

    with faults.serve(answer) as server:
        seen = world(server)
        started = time.monotonic()
        seen.prepare(WANTS)
        for read in (
            lambda: seen.get("Pod", "shop", "web"),
            lambda: seen.list("RoleBinding", "shop"),
            lambda: seen.text("/version"),
        ):
            with pytest.raises(error):
                read()
        assert time.monotonic() - started < 2.5


PATIENT = """
import sys
from kubectl_satoken import cluster, live
from kubectl_satoken.credentials import Credentials
from kubectl_satoken.env import Env
from kubectl_satoken.kubeconfig import Target
from kubectl_satoken.world import Want
env = Env()
api = cluster.connect(Target(server=sys.argv[1], credentials=Credentials()), env)
live.ClusterWorld(api, env).prepare([Want("Pod", "shop", str(n)) for n in range(9)])
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGINT to send")
def test_an_interrupt_ends_a_wave_at_once() -> None:
    with faults.serve(Reply(200, {}, delay=60)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", PATIENT, server.url],
            cwd=Path(__file__).parents[1],
            stderr=subprocess.PIPE,
        )
        for _ in range(1000):
            if len(server.requests) == 8:
                break
            time.sleep(0.01)
        assert len(server.requests) == 8
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=10)[1]
        assert time.monotonic() - interrupted < 5
    assert process.returncode == -signal.SIGINT
    assert stderr.rstrip().endswith(b"KeyboardInterrupt")


# --- types that are not built in ------------------------------------------------------------------


def test_a_custom_resource_is_found_by_discovery() -> None:
    groups = {
        "kind": "APIGroupDiscoveryList",
        "items": [
            {
                "metadata": {"name": "argoproj.io"},
                "versions": [
                    {
                        "version": "v1alpha1",
                        "resources": [
                            {
                                "resource": "rollouts",
                                "responseKind": {"kind": "Rollout"},
                                "scope": "Namespaced",
                                "verbs": ["get"],
                            }
                        ],
                    }
                ],
            }
        ],
    }
    rollout = {"kind": "Rollout", "metadata": {"name": "web"}}

    def answer(request: faults.Request) -> Reply:
        if request.path == "/apis":
            return Reply(200, groups)
        if request.path == "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web":
            return Reply(200, rollout)
        return Reply(404, status(404, "NotFound", "", name="x"))

    with faults.serve(answer) as server:
        seen = world(server)
        assert seen.get("Rollout", "shop", "web", "argoproj.io/v1alpha1") == rollout
        assert seen.get("Rollout", "shop", "web", "other.io/v1") is None
        assert seen.get("Deployment", "shop", "web", "other.io/v1") is None
        assert [each.path for each in server.requests].count("/apis") == 1


def test_a_kind_that_discovery_cannot_tell_is_unseen() -> None:
    with faults.serve(FORBIDDEN) as server, pytest.raises(Unseen):
        world(server).get("Rollout", "shop", "web", "argoproj.io/v1alpha1")


def test_kinds_are_those_of_the_world() -> None:
    assert live.known_kind("Service", "serving.knative.dev/v1") is None
    assert live.known_kind("CronJob", "batch/v1beta1") == KINDS["CronJob"]
    assert isinstance(live.known_kind("Pod", ""), Kind)


# --- pages that are parsed later ------------------------------------------------------------------

ROLES = KINDS["Role"]
LISTED = {"name": "r", "namespace": "shop"}


def begins(metadata: dict[str, Any], name: str) -> bytes:
    """A page as the API server writes it: its own metadata before the items."""
    own = {"kind": "RoleList", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    page = {**own, "items": [{"metadata": {**LISTED, "name": name}}]}
    return json.dumps(page, separators=(",", ":")).encode()


@pytest.mark.parametrize("indent", [None, 1], ids=["as-it-is", "in-another-form"])
def test_pages_are_the_same_however_late_they_are_parsed(indent: int | None) -> None:
    pages = [begins({"continue": "eyJ2"}, "one"), begins({}, "two")]
    if indent:  # as a proxy may write it: then it is parsed at once
        pages = [json.dumps(json.loads(page), indent=indent).encode() for page in pages]
    with faults.serve(*(Reply(200, page) for page in pages)) as server:
        here = world(server)
        found = [
            (item["kind"], item["apiVersion"], item["metadata"]["name"])
            for page in here.unopened(ROLES, "shop")
            for item in here.opened(ROLES, page)
        ]
        asked = [each.path.partition("?")[2] for each in server.requests]
    assert found == [("Role", ROLES.api_version, "one"), ("Role", ROLES.api_version, "two")]
    assert asked == ["limit=500", "limit=500&continue=eyJ2"]


@pytest.mark.parametrize("manager", ["kubectl", "a[b]", "a]", "a}]}", 'a"}]},"x":[', "[{"])
def test_a_page_is_parsed_without_who_wrote_it_and_with_all_else(manager: str) -> None:
    entry = {"manager": manager, "fieldsType": "FieldsV1", "fieldsV1": {"f:rules": {}}}
    label = {"a": ',"managedFields":[{}]'}
    metadata = {**LISTED, "labels": label, "managedFields": [entry, entry]}
    own = json.loads(begins({}, "one"))
    own["items"] = [{"metadata": metadata, "rules": [1]}, {"metadata": LISTED, "rules": [2]}]
    body = json.dumps(own, separators=(",", ":")).encode()
    with faults.serve(Reply(200, body)) as server:
        here = world(server)
        (page,) = here.unopened(ROLES, "shop")
        first, second = here.opened(ROLES, page)
    first["metadata"].pop("managedFields", None)
    assert first["metadata"] == {**LISTED, "labels": label}
    assert (first["rules"], second["rules"], second["metadata"]) == ([1], [2], LISTED)


def test_a_page_that_breaks_off_is_unseen_when_it_is_parsed() -> None:
    broken = begins({}, "one")[:-3]
    with faults.serve(Reply(200, broken)) as server:
        here = world(server)
        (page,) = here.unopened(ROLES, "shop")
        with pytest.raises(Unseen, match="^roles: "):
            here.opened(ROLES, page)


# --- several objects by one list ------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 0.2])
@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        # a short list is read for all, and no object by itself
        (page(1, 2), ["/roles"]),
        # of a long one no second page is read, nor any where it is forbidden
        (page(1, 2, more="c"), ["/roles", "/p01", "/p03"]),
        (FORBIDDEN, ["/roles", "/p01", "/p03"]),
    ],
)
def test_objects_that_will_be_asked_for_are_read_by_a_short_list(
    listed: Reply, sent: list[str], delay: float
) -> None:
    def roles(request: faults.Request) -> Reply:
        name = request.path.partition("?")[0].rpartition("/")[2]
        found = {"roles": listed, "p01": Reply(200, item(1))}.get(name, Reply(404))
        return found._replace(delay=delay)

    names = ("p01", "p03")
    with faults.serve(roles) as server:
        seen = world(server)
        seen.prepare([Want("Role", "shop", short=True), Want("ClusterRole", "", "gone")])
        seen.prepare([Want("Role", "shop", name) for name in names])
        assert [seen.get("Role", "shop", name) is not None for name in names] == [True, False]
        assert [seen.get("Role", "shop", name) is not None for name in names] == [True, False]
        paths = [one.path.partition("?")[0].rpartition("shop")[2] for one in server.requests]
        own = [
            path.removeprefix("/roles") or "/roles" for path in paths if path.startswith("/roles")
        ]
        assert sorted(own) == sorted(sent)
