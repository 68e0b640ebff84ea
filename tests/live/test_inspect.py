"""inspect against the API server's own verdict, on tokens of which one thing at a time is wrong."""

import base64
import hmac
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from cryptography.hazmat.primitives import serialization

from kubectl_satoken.cluster import Api, connect
from kubectl_satoken.env import Env
from kubectl_satoken.kubeconfig import Overrides, load
from kubectl_satoken.review import by_token_review
from kubectl_satoken.world import Object, Sealed
from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.signing import cluster_signer, encoded, foreign_signer

SCHEMA = json.loads((ROOT / "docs" / "inspection.schema.json").read_text())
JWT = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")

MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: going, finalizers: [test/held]}
---
apiVersion: v1
kind: Secret
metadata: {name: handle}
---
apiVersion: v1
kind: Secret
metadata: {name: web-token, annotations: {kubernetes.io/service-account.name: web}}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: Secret
metadata:
  name: marked
  annotations: {kubernetes.io/service-account.name: web}
  labels: {kubernetes.io/legacy-token-invalid-since: "2026-01-01"}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: Pod
metadata: {name: app}
spec: {serviceAccountName: web, nodeName: NODE, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: held, finalizers: [test/held]}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Node
metadata: {name: NODE}
"""


class Lab:
    """A namespace with what tokens can be bound to, and the cluster's own key."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"inspect-{uuid.uuid4().hex[:8]}"
        self.node = f"{self.namespace}-node"
        self.signer = cluster_signer(cluster)
        self.environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "KUBECONFIG": str(cluster.kubeconfig),
        }
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("apply", "-f", "-", stdin=MANIFEST.replace("NODE", self.node))
        for what in ("serviceaccount/going", "pod/held"):
            self.kubectl("delete", what, "--wait=false")
        self.deleted_at = time.time()
        self.uids = {
            kind: self.get(kind, name)["metadata"]["uid"]
            for kind, name in (
                ("serviceaccount", "web"),
                ("pod", "app"),
                ("secret", "handle"),
                ("node", self.node),
            )
        }
        self.issuer = json.loads(self.kubectl("get", "--raw", "/.well-known/openid-configuration"))[
            "issuer"
        ]
        self.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer")
        self.viewer = self.environ | {"KUBECONFIG": str(cluster.user("viewer"))}

    def close(self) -> None:
        for what in ("serviceaccount/going", "pod/held"):
            self.kubectl("patch", what, "-p", '{"metadata":{"finalizers":null}}', check=False)
        self.kubectl("delete", "node", self.node, check=False)
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def run(
        self, *words: str, stdin: str | None = None, environ: Any = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            env=environ or self.environ,
            cwd=self.folder,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        done = self.run("kubectl", "-n", self.namespace, *words, stdin=stdin)
        assert not check or done.returncode == 0, (words, done.stderr)
        return done.stdout

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def shell(self, line: str) -> str:
        done = self.run("sh", "-ec", line)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    def inspect(
        self, *words: str, token: str | None = None, environ: Any = None
    ) -> "subprocess.CompletedProcess[str]":
        done = self.run(
            *("kubectl", "satoken", "inspect", *words, "-n", self.namespace),
            stdin=token,
            environ=environ,
        )
        assert "Traceback" not in done.stderr
        if token:
            assert_not_echoed(token, done.stdout + done.stderr)
        return done

    def inspected(self, *words: str, token: str | None = None, environ: Any = None) -> Any:
        done = self.inspect(*words, "-o", "json", token=token, environ=environ)
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
        jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
        status = {"taken": 0, "healthy": 0, "refused": 1, "unknown": 3}
        assert done.returncode == status[found["verdict"]]
        return found

    @property
    def api(self) -> Api:
        env = Env(environ=self.environ)
        return connect(load(Overrides(), env), env)

    def claims(self, tie: str = "", **changes: Any) -> Object:
        """The claims of a good token of web, bound to one of the above; None takes a claim out."""
        now = int(time.time())
        private: Object = {
            "namespace": self.namespace,
            "serviceaccount": {"name": "web", "uid": self.uids["serviceaccount"]},
        }
        names = {"pod": "app", "secret": "handle", "node": self.node}
        if tie:
            private[tie] = {"name": names[tie], "uid": self.uids[tie]}
        claims = {
            "iss": self.issuer,
            "aud": [self.issuer],
            "sub": f"system:serviceaccount:{self.namespace}:web",
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + 3600,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, tie: str = "", **changes: Any) -> str:
        return self.signer.sign(self.claims(tie, **changes)).reveal()

    def bound(self, **ties: Any) -> str:
        """A token with changes in what it is bound to."""
        private = {**self.claims()["kubernetes.io"], **ties}
        return self.token(**{"kubernetes.io": private})

    def bound_for(self, audiences: list[str], **ties: Any) -> str:
        private = {**self.claims()["kubernetes.io"], **ties}
        return self.token(aud=audiences, **{"kubernetes.io": private})

    def legacy_claims(self, secret: str, **changes: Any) -> Object:
        prefix = "kubernetes.io/serviceaccount/"
        claims = {
            "iss": "kubernetes/serviceaccount",
            "sub": f"system:serviceaccount:{self.namespace}:web",
            f"{prefix}namespace": self.namespace,
            f"{prefix}secret.name": secret,
            f"{prefix}service-account.name": "web",
            f"{prefix}service-account.uid": self.uids["serviceaccount"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def legacy(self, secret: str, **changes: Any) -> str:
        """A token of a Secret of ours, which has the token as the API server wants it."""
        token = self.signer.sign(self.legacy_claims(secret, **changes)).reveal()
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "stringData": {"token": token},
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        return token

    def stored(self, secret: str) -> str:
        """The token that the cluster puts into a Secret."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            data = self.get("secret", secret).get("data") or {}
            if "token" in data:
                return base64.b64decode(data["token"]).decode()
            time.sleep(0.2)
        raise AssertionError(f"{secret} was not filled")


def assert_not_echoed(token: str, text: str) -> None:
    """Nothing of a token is in a text, not even its beginning, in any of its parts."""
    assert not JWT.search(text)
    for part in token.split("."):
        for start in range(0, max(1, len(part) - 16), 8):
            piece = part[start : start + 16]
            assert len(piece) < 12 or piece not in text, f"part of a token at {start}"


@pytest.fixture(scope="module")
def lab(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(cluster, tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


# --- the cases ------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A token, and what it comes to: the reason why it is refused, none if it is taken.

    ``offline`` is whether it is refused by its claims alone. ``elsewhere``: it is good for another.
    """

    name: str
    make: Callable[[Lab], str]
    reason: str = ""
    offline: bool = False
    elsewhere: bool = False


def changed(token: str, part: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def recoded(token: str, part: int, **changes: Any) -> str:
    """A token with other fields in its header (0) or payload (1), and the signature it had."""

    def change(text: str) -> str:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return encoded({**value, **changes})

    return changed(token, part, change)


def flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def now() -> int:
    return int(time.time())


def idle(text: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) ^ 1]


def headed(lab: Lab, **header: Any) -> str:
    return lab.signer.sign(lab.claims(), header).reveal()


def secret_signed(lab: Lab) -> str:
    """A token whose HMAC is made with the public key, as an attacker would."""
    key = lab.signer.key.public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{encoded({'alg': 'HS256', 'kid': lab.signer.kid})}.{encoded(lab.claims())}"
    return f"{signed}.{encoded(hmac.digest(pem, signed.encode(), 'sha256'))}"


def flip(at: int) -> Callable[[str], str]:
    return lambda text: flipped(text, at)


OTHER = foreign_signer()
ELSE = str(uuid.uuid4())  # a uid of nothing that is there
PREFIX = "kubernetes.io/serviceaccount/"
NO = {"name": "no", "uid": ELSE}

TAKEN = [
    Case("unbound", lambda lab: lab.token()),
    Case("bound to a pod", lambda lab: lab.token("pod")),
    Case("bound to a secret", lambda lab: lab.token("secret")),
    Case("bound to a node", lambda lab: lab.token("node")),
    Case(
        "of a pod whose node is gone",
        lambda lab: lab.bound(
            pod={"name": "app", "uid": lab.uids["pod"]}, node={"name": "none", "uid": ELSE}
        ),
    ),
    Case("made by the API server", lambda lab: lab.kubectl("create", "token", "web").strip()),
    Case("of a Secret", lambda lab: lab.stored("web-token")),
    Case("of an opaque Secret", lambda lab: lab.legacy("own")),
    Case("for two, one is the API server", lambda lab: lab.token(aud=["vault", lab.issuer])),
    Case("with an audience that is a string", lambda lab: lab.token(aud=lab.issuer)),
    Case("without an audience", lambda lab: lab.token(aud=None)),
    Case("with an empty list of audiences", lambda lab: lab.token(aud=[])),
    Case("without an id", lambda lab: lab.token(jti=None)),
    Case("without times but its end", lambda lab: lab.token(iat=None, nbf=None)),
    Case("without an end", lambda lab: lab.token(exp=None)),
    Case("within the leeway after its end", lambda lab: lab.token(exp=now() - 30)),
    Case("within the leeway before its time", lambda lab: lab.token(nbf=now() + 30)),
    Case("with an end that is a fraction", lambda lab: lab.token(exp=now() + 100.5)),
    Case("with a subject of somebody else", lambda lab: lab.token(sub="system:admin")),
    Case(
        "extended, to be renewed later",
        lambda lab: lab.token(
            "pod",
            exp=now() + 365 * 86400,
            **{"kubernetes.io": {**lab.claims("pod")["kubernetes.io"], "warnafter": now() + 999}},
        ),
    ),
    Case(
        "extended, and not renewed",
        lambda lab: lab.token(
            "pod",
            exp=now() + 365 * 86400,
            **{"kubernetes.io": {**lab.claims("pod")["kubernetes.io"], "warnafter": now() - 999}},
        ),
    ),
    Case("without a key id", lambda lab: lab.signer.sign(lab.claims(), {"kid": None}).reveal()),
    Case("signed with RS512", lambda lab: lab.signer.sign(lab.claims(), {"alg": "RS512"}).reveal()),
    Case("signed with PS256", lambda lab: lab.signer.sign(lab.claims(), {"alg": "PS256"}).reveal()),
    Case("with a type", lambda lab: lab.signer.sign(lab.claims(), {"typ": "JWT"}).reveal()),
    Case("with a null in what it is bound to", lambda lab: lab.bound(pod=None)),
    Case("in the claim of no compression", lambda lab: headed(lab, zip="DEF")),
    Case("of a Secret, with an end that has passed", lambda lab: lab.legacy("ended", exp=5)),
    # the last letter of a signature has bits that mean nothing
    Case("with idle bits set", lambda lab: changed(lab.token(), 2, lambda text: idle(text))),
]


KEY = "token-unknown-signing-key"
UNCLEAR = "token-claims-not-validated"
GONE = "token-bound-object-gone"

REFUSED = [
    # times
    Case("expired an hour ago", lambda lab: lab.token(exp=now() - 3600), "token-expired", True),
    Case("expired just now", lambda lab: lab.token(exp=now() - 75), "token-expired", True),
    Case("expired long ago", lambda lab: lab.token(exp=1_000_000_000), "token-expired", True),
    Case("expired before time began", lambda lab: lab.token(exp=-1), "token-expired", True),
    Case("not valid yet", lambda lab: lab.token(nbf=now() + 3600), "token-clock-skew", True),
    Case("issued in the future", lambda lab: lab.token(iat=now() + 3600), "token-clock-skew", True),
    # for others
    Case("for vault", lambda lab: lab.token(aud=["vault"]), "token-wrong-audience", elsewhere=True),
    Case(
        "for a string",
        lambda lab: lab.token("pod", aud="sts.amazonaws.com"),
        "token-wrong-audience",
        elsewhere=True,
    ),
    Case("for vault, expired", lambda lab: lab.token(aud=["v"], exp=9), "token-expired", True),
    Case(
        "for vault, of a deleted account",
        lambda lab: lab.bound_for(["vault"], serviceaccount={"name": "none", "uid": ELSE}),
        "token-sa-deleted",
    ),
    # of others
    Case("of another cluster", lambda lab: lab.token(iss="https://other"), "token-unknown-issuer"),
    Case("with a slash", lambda lab: lab.token(iss=lab.issuer + "/"), "token-unknown-issuer"),
    Case("without an issuer", lambda lab: lab.token(iss=None), "token-unknown-issuer"),
    Case(
        "of an EKS cluster",
        lambda lab: OTHER.sign(
            lab.claims(iss="https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF")
        ).reveal(),
        "token-unknown-issuer",
    ),
    Case(
        "of a Google account",
        lambda lab: OTHER.sign(
            {"iss": "https://accounts.google.com", "sub": "1234", "email": "a@b", "exp": now() + 99}
        ).reveal(),
        "token-unknown-issuer",
    ),
    Case(
        "of a job of GitHub",
        lambda lab: OTHER.sign(
            {"iss": "https://token.actions.githubusercontent.com", "sub": "repo:a/b", "aud": "x"}
        ).reveal(),
        "token-unknown-issuer",
    ),
    # keys
    Case("signed by another key", lambda lab: OTHER.sign(lab.claims()).reveal(), KEY),
    Case(
        "signed by another key in the name of ours",
        lambda lab: OTHER.sign(lab.claims(), {"kid": lab.signer.kid}).reveal(),
        KEY,
    ),
    Case(
        "signed by another key in nobody's name",
        lambda lab: OTHER.sign(lab.claims(), {"kid": None}).reveal(),
        KEY,
    ),
    Case("with an unknown key id", lambda lab: headed(lab, kid="nobody"), KEY),
    # tampered
    Case("another key id put in", lambda lab: recoded(lab.token(), 0, kid="x"), KEY),
    Case("a field put into the header", lambda lab: recoded(lab.token(), 0, typ="x"), KEY),
    Case("another account put in", lambda lab: recoded(lab.token(), 1, sub="system:admin"), KEY),
    Case("a longer life put in", lambda lab: recoded(lab.token(), 1, exp=now() + 9999999), KEY),
    Case("another uid put in", lambda lab: recoded(lab.token(), 1, jti="x"), KEY),
    Case("a letter of the signature", lambda lab: changed(lab.token(), 2, flip(50)), KEY),
    Case("the first of the signature", lambda lab: changed(lab.token(), 2, flip(0)), KEY),
    Case("the signature cut", lambda lab: lab.token()[:-20], KEY),
    Case("the signature longer", lambda lab: lab.token() + "AAAA", KEY),
    Case(
        "the signature of another",
        lambda lab: changed(lab.token(), 2, lambda _: lab.token("pod").split(".")[2]),
        KEY,
    ),
    Case("no signature", lambda lab: changed(lab.token(), 2, lambda _: ""), KEY),
    Case("no signature of none", lambda lab: recoded(lab.token(), 0, alg="none"), KEY),
    Case("no algorithm", lambda lab: recoded(lab.token(), 0, alg=None), KEY),
    Case("signed with the public key", secret_signed, KEY),
    Case("a signature of other letters", lambda lab: changed(lab.token(), 2, lambda _: "%"), KEY),
    Case("an extension that must be known", lambda lab: headed(lab, crit=["x"], x=1), KEY),
    # claims of the wrong type, signed by the cluster all the same
    *(
        Case(f"with {name} {value!r}", lambda lab, n=name, v=value: lab.token(**{n: v}), UNCLEAR, o)
        for name, value, o in (
            ("exp", "tomorrow", True),
            ("exp", True, True),
            ("iat", {}, True),
            ("aud", 5, True),
            ("aud", [5], True),
            ("sub", 5, True),
            ("jti", 5, True),
            ("kubernetes.io", "x", False),
            ("kubernetes.io", [], False),
            ("kubernetes.io", None, False),
        )
    ),
    *(
        Case(f"of {kind} {value!r}", lambda lab, k=kind, v=value: lab.bound(**{k: v}), UNCLEAR, o)
        for kind, value, o in (
            ("namespace", 5, True),
            ("serviceaccount", "web", False),
            ("serviceaccount", {"uid": "x"}, False),
            ("serviceaccount", {"name": "../x", "uid": "x"}, False),
            ("pod", "app", True),
            ("pod", {"name": 5, "uid": "x"}, True),
            ("warnafter", "x", True),
        )
    ),
    Case("with an end that is no time", lambda lab: lab.token(exp=10**30), "token-expired"),
    Case("with an empty audience", lambda lab: lab.token(aud=""), "token-wrong-audience"),
    Case("with an issuer that is none", lambda lab: lab.token(iss=5), "token-unknown-issuer"),
    # the account
    Case(
        "of an account that is gone",
        lambda lab: lab.bound(serviceaccount={"name": "none", "uid": ELSE}),
        "token-sa-deleted",
    ),
    Case(
        "of an account in a namespace that is gone",
        lambda lab: lab.bound(namespace="nowhere"),
        "token-sa-deleted",
    ),
    Case(
        "of an account made anew",
        lambda lab: lab.bound(serviceaccount={"name": "web", "uid": ELSE}),
        "token-sa-recreated",
    ),
    Case(
        "of another account's uid",
        lambda lab: lab.bound(serviceaccount={"name": "other", "uid": lab.uids["serviceaccount"]}),
        "token-sa-recreated",
    ),
    # what it is bound to
    Case("of a pod that is gone", lambda lab: lab.bound(pod={"name": "none", "uid": ELSE}), GONE),
    Case(
        "of a pod made anew",
        lambda lab: lab.bound(pod={"name": "app", "uid": ELSE}),
        "token-bound-pod-recreated",
    ),
    Case("of a pod without a uid", lambda lab: lab.bound(pod={"name": "app"}), "token-bound-pod-"),
    Case(
        "of a secret that is gone", lambda lab: lab.bound(secret={"name": "no", "uid": "x"}), GONE
    ),
    Case(
        "of a secret made anew", lambda lab: lab.bound(secret={"name": "handle", "uid": "x"}), GONE
    ),
    Case("of a node that is gone", lambda lab: lab.bound(node={"name": "no", "uid": "x"}), GONE),
    Case("of a node made anew", lambda lab: lab.bound(node={"name": lab.node, "uid": "x"}), GONE),
    Case(
        "of a secret and a pod, which is gone",
        lambda lab: lab.bound(
            secret={"name": "handle", "uid": lab.uids["secret"]}, pod={"name": "no", "uid": "x"}
        ),
        GONE,
    ),
    # of Secrets
    Case("marked invalid", lambda lab: lab.stored("marked"), "legacy-token-marked-invalid"),
    Case(
        "of a Secret that is gone",
        lambda lab: lab.signer.sign(lab.legacy_claims("none")).reveal(),
        "legacy-secret-deleted",
    ),
    Case(
        "not what its Secret has",
        lambda lab: lab.signer.sign(lab.legacy_claims("web-token", jti="x")).reveal(),
        "legacy-secret-content-changed",
    ),
    Case(
        "of a Secret, for an account made anew",
        lambda lab: lab.legacy("anew", **{f"{PREFIX}service-account.uid": ELSE}),
        "token-sa-recreated",
    ),
    Case(
        "of a Secret, for an account that is gone",
        lambda lab: lab.legacy(
            "left",
            sub=f"system:serviceaccount:{lab.namespace}:none",
            **{f"{PREFIX}service-account.name": "none"},
        ),
        "token-sa-deleted",
    ),
    *(
        Case(
            f"of a Secret, without {name or 'sub'}",
            lambda lab, name=name: lab.signer.sign(
                lab.legacy_claims("web-token", **{f"{PREFIX}{name}" if name else "sub": None})
            ).reveal(),
            "legacy-token-malformed-claims",
            True,
        )
        for name in ("", "namespace", "secret.name", "service-account.name", "service-account.uid")
    ),
    Case(
        "of a Secret, with another subject",
        lambda lab: lab.signer.sign(
            lab.legacy_claims("web-token", sub="system:serviceaccount:a:b")
        ).reveal(),
        "legacy-token-malformed-claims",
        True,
    ),
    Case("of a Secret, tampered", lambda lab: recoded(lab.stored("web-token"), 1, a="b"), KEY),
]


def verdict(lab: Lab, token: str) -> Any:
    return by_token_review(lab.api, Sealed(token))


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_what_the_api_server_takes_is_said_to_be_taken(case: Case, lab: Lab) -> None:
    token = case.make(lab)
    assert verdict(lab, token)["authenticated"]
    found = lab.inspected("-", token=token)
    assert found["verdict"] == "taken"
    assert found["user"] == f"system:serviceaccount:{lab.namespace}:web"
    assert found["answer"]["by"] == "TokenReview"
    assert (found["reason"], found["fix"]) == (None, None)
    assert found["key"]["signatureFits"] is True
    assert [fault for fault in found["faults"] if fault["certain"]] == []
    # who may only view has the same verdict, by the token itself
    seen = lab.inspected("-", token=token, environ=lab.viewer)
    assert (seen["verdict"], seen["answer"]["by"]) == ("taken", "SelfSubjectReview")
    assert {skip["what"] for skip in seen["skipped"]} >= {"/openid/v1/jwks", "rolebindings"}
    # and without the cluster nobody knows
    assert lab.inspected("-", "--offline", token=token)["verdict"] == "unknown"


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_the_api_server_refuses_is_refused_for_its_reason(case: Case, lab: Lab) -> None:
    token = case.make(lab)
    said = verdict(lab, token)
    assert not said["authenticated"]
    found = lab.inspected("-", token=token)
    assert found["answer"]["authenticated"] is False
    assert found["answer"]["error"] == said["error"]
    if case.elsewhere:
        assert found["verdict"] == "healthy"
        assert found["ownAudience"]["authenticated"] is True
    else:
        assert found["verdict"] == "refused"
        assert found["reason"]["name"].startswith(case.reason), (said["error"], found["reason"])
    # by its claims and by what may be seen, where the API server does not say why
    seen = lab.inspected("-", token=token, environ=lab.viewer)
    assert seen["verdict"] in ("refused", "unknown")
    assert seen["answer"]["error"] is None
    if seen["reason"] is not None:
        assert seen["reason"]["name"].startswith(case.reason), seen["reason"]
    alone = lab.inspected("-", "--offline", token=token)
    assert (alone["verdict"] == "refused") == case.offline
