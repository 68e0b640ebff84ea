"""inspect against the API server's own verdict, on tokens of which one thing at a time is wrong."""

import base64
import hmac
import io
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

from kubectl_satoken.cli import run as run_program
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
            *("kubectl-satoken", "inspect", *words, "-n", self.namespace),
            stdin=token,
            environ=environ,
        )
        assert "Traceback" not in done.stderr
        if token:
            assert_not_echoed(token, done.stdout + done.stderr)
        return done

    def within(
        self, *words: str, token: str, environ: Any = None
    ) -> "subprocess.CompletedProcess[str]":
        """The same in this process, which is quicker."""
        out, err = io.StringIO(), io.StringIO()
        env = Env(io.StringIO(token), out, err, environ or self.environ)
        status = run_program(["inspect", *words, "-n", self.namespace], env)
        assert_not_echoed(token, out.getvalue() + err.getvalue())
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    def inspected(
        self, *words: str, token: str | None = None, environ: Any = None, quick: bool = False
    ) -> Any:
        run: Any = self.within if quick else self.inspect
        done = run(*words, "-o", "json", token=token, environ=environ)
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
    seen = lab.inspected("-", token=token, environ=lab.viewer, quick=True)
    assert (seen["verdict"], seen["answer"]["by"]) == ("taken", "SelfSubjectReview")
    assert {skip["what"] for skip in seen["skipped"]} >= {"/openid/v1/jwks", "rolebindings"}
    # and without the cluster nobody knows
    assert lab.inspected("-", "--offline", token=token, quick=True)["verdict"] == "unknown"


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
    if found["reason"] and found["reason"]["name"] in (KEY, UNCLEAR):
        # nobody is to make an account anew for the sake of what anybody can make up
        assert found["endedBy"]["summary"].startswith("nothing: ")
        assert found["endedBy"]["commands"] == []
    # by its claims and by what may be seen, where the API server does not say why
    seen = lab.inspected("-", token=token, environ=lab.viewer, quick=True)
    assert seen["verdict"] in ("refused", "unknown")
    assert seen["answer"]["error"] is None
    if seen["reason"] is not None:
        assert seen["reason"]["name"].startswith(case.reason), seen["reason"]
    alone = lab.inspected("-", "--offline", token=token, quick=True)
    assert (alone["verdict"] == "refused") == case.offline


# --- what has become of things, for real ----------------------------------------------------------

POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
"""

#: how each kind is made
THINGS = {
    "pod": f"kubectl -n $NS apply -f - <<'EOF'{POD}EOF",
    "secret": "kubectl -n $NS create secret generic NAME",
    "node": 'printf \'{"apiVersion":"v1","kind":"Node","metadata":{"name":"%s"}}\' NAME | '
    "kubectl apply -f -",
}


@pytest.mark.parametrize("kind", THINGS)
def test_a_token_ends_with_what_it_is_bound_to_and_so_does_its_successor(
    kind: str, lab: Lab
) -> None:
    name = f"{lab.namespace}-{kind}"
    make = THINGS[kind].replace("NAME", name).replace("$NS", lab.namespace)
    what = f"{kind}/{name}"
    lab.shell(make)
    end = f"kubectl -n {lab.namespace} delete {what}"
    token, second = (
        lab.shell(f"kubectl satoken mint web -n {lab.namespace} --bound-to {what}").strip()
        for _ in range(2)
    )
    found = lab.inspected("-", token=token)
    assert found["verdict"] == "taken"
    assert [(one["kind"].lower(), one["state"]) for one in found["boundTo"]] == [(kind, "there")]
    assert what in found["endedBy"]["summary"]
    lab.shell(end)
    # the API server remembers for some seconds that it took the first, but not the second
    assert lab.inspected("-", token=second)["reason"] == {
        "name": GONE,
        "message": f"{what}, to which it is bound, is gone",
        "certain": True,
    }
    soon = lab.inspected("-", token=token)
    assert soon["verdict"] == "refused" or "within 10 seconds" in soon["notes"][0]
    assert soon["endedBy"]["summary"] == "nothing: it has ended already"
    lab.shell(make)
    anew = lab.inspected("-", token=second)
    wanted = "token-bound-pod-recreated" if kind == "pod" else GONE
    assert anew["reason"]["name"] == wanted
    assert anew["reason"]["message"] == f"it is bound to an earlier {what}, made anew since"
    (one,) = anew["boundTo"]
    assert (one["state"], one["uid"] != one["uidNow"]) == ("other", True)
    mended = lab.shell(" && ".join(anew["fix"]["commands"])).strip()
    assert lab.inspected("-", token=mended)["verdict"] == "taken"
    lab.shell(end)


def test_an_account_that_is_deleted_and_made_again_ends_its_tokens(lab: Lab) -> None:
    lab.kubectl("create", "serviceaccount", "brief")
    token = lab.kubectl("create", "token", "brief").strip()
    lab.kubectl("delete", "serviceaccount", "brief")
    gone = lab.inspected("-", token=token)
    assert gone["reason"]["name"] == "token-sa-deleted"
    assert gone["account"]["state"] == "gone"
    create, mint = gone["fix"]["commands"]
    lab.shell(create)
    anew = lab.inspected("-", token=token)
    assert anew["reason"]["name"] == "token-sa-recreated"
    assert anew["reason"]["message"] == "it is for an earlier serviceaccount brief, made anew since"
    assert anew["fix"]["commands"] == [mint]
    made = lab.shell(mint).strip()
    found = lab.inspected("-", token=made)
    assert found["verdict"] == "taken"
    # bound to nothing: what is said to end it does, and nothing less
    assert "only making serviceaccount brief anew" in found["endedBy"]["summary"]
    other = lab.kubectl("create", "token", "brief").strip()
    lab.kubectl("delete", "serviceaccount", "brief")
    lab.kubectl("create", "serviceaccount", "brief")
    assert lab.inspected("-", token=other)["verdict"] == "refused"


def test_values_that_would_go_with_a_token_are_told(lab: Lab) -> None:
    lab.kubectl("create", "secret", "generic", "full", "--from-literal=a=b")
    made = lab.shell(f"kubectl satoken mint web -n {lab.namespace} --bound-to secret/full")
    assert lab.inspected("-", token=made.strip())["endedBy"] == {
        "summary": "deleting secret/full, to which it is bound, with the values in it",
        "commands": [f"kubectl satoken revoke secret/full --delete-content -n {lab.namespace}"],
        "recreates": False,
    }


def test_a_mark_that_makes_a_secrets_token_invalid_is_taken_off_as_printed(lab: Lab) -> None:
    label = "kubernetes.io/legacy-token-invalid-since"
    token = lab.legacy("aged")
    assert verdict(lab, token)["authenticated"]
    found = lab.inspected("-", token=token)
    assert (found["verdict"], found["type"]) == ("taken", "legacy")
    assert found["endedBy"]["summary"] == "marking secret/aged invalid, or deleting it"
    lab.kubectl("label", "secret", "aged", f"{label}=2026-01-01")
    time.sleep(11)  # so long it is remembered that it was taken
    marked = lab.inspected("-", token=token)
    assert marked["reason"]["name"] == "legacy-token-marked-invalid"
    assert marked["reason"]["message"] == "secret/aged is marked invalid since 2026-01-01"
    lab.shell(" && ".join(marked["fix"]["commands"]))
    assert lab.inspected("-", token=token)["verdict"] == "taken"


def test_a_new_token_is_what_mends_an_expired_one(lab: Lab) -> None:
    found = lab.inspected("-", token=lab.token(exp=now() - 3600))
    assert found["reason"]["message"].startswith("it expired 1h")
    made = lab.shell(" && ".join(found["fix"]["commands"])).strip()
    assert lab.inspected("-", token=made)["verdict"] == "taken"


def test_what_is_being_deleted_ends_a_token_after_a_minute(lab: Lab) -> None:
    uid = lab.get("pod", "held")["metadata"]["uid"]
    account = lab.get("serviceaccount", "going")["metadata"]["uid"]
    if time.time() < lab.deleted_at + 50:
        found = lab.inspected("-", token=lab.bound(pod={"name": "held", "uid": uid}))
        assert (found["verdict"], found["boundTo"][0]["state"]) == ("taken", "going")
    time.sleep(max(0, lab.deleted_at + 65 - time.time()))
    token = lab.bound(pod={"name": "held", "uid": uid})
    assert not verdict(lab, token)["authenticated"]
    found = lab.inspected("-", token=token)
    assert found["reason"]["name"] == GONE
    assert found["reason"]["message"] == "pod/held, to which it is bound, is being deleted"
    token = lab.bound(serviceaccount={"name": "going", "uid": account})
    assert not verdict(lab, token)["authenticated"]
    found = lab.inspected("-", token=token)
    assert found["reason"]["name"] == "token-sa-deleted"
    assert found["reason"]["message"] == "serviceaccount going is being deleted"


# --- a token of a Secret: to be asked is a use of it ----------------------------------------------

LAST_USED = "kubernetes.io/legacy-token-last-used"


def unused(lab: Lab, secret: str, **claims: Any) -> str:
    """A token that no API server has seen."""
    token = lab.legacy(secret, **claims)
    assert LAST_USED not in (lab.get("secret", secret)["metadata"].get("labels") or {})
    return token


def label_of(lab: Lab, secret: str) -> str | None:
    return (lab.get("secret", secret)["metadata"].get("labels") or {}).get(LAST_USED)


def test_the_day_of_last_use_is_left_alone_where_all_can_be_seen(lab: Lab) -> None:
    token = unused(lab, "idle")
    for words, given in ((["-"], token), (["secret/idle"], None)):
        found = lab.inspected(*words, token=given)
        assert (found["verdict"], found["answer"]["by"]) == ("taken", "what it looks at")
        assert found["notes"] == ["never used since that is written down"]
    assert label_of(lab, "idle") is None
    text = " ".join(lab.inspect("-", token=token).stdout.split())
    assert "it was not asked, which is a use of the token (--verify)" in text
    asked = lab.inspected("-", "--verify", token=token)
    assert (asked["verdict"], asked["answer"]["by"]) == ("taken", "TokenReview")
    assert "to ask the API server was a use of it" in asked["notes"][1]
    today = label_of(lab, "idle")
    assert today == time.strftime("%Y-%m-%d", time.gmtime())
    # now it makes no difference
    again = lab.inspected("-", token=token)
    assert again["answer"]["by"] == "TokenReview"
    assert again["notes"] == [f"last used on {today}"]


def test_a_marked_token_is_not_used_either_and_refused_all_the_same(lab: Lab) -> None:
    token = unused(lab, "stale")
    mark = "kubernetes.io/legacy-token-invalid-since=2026-01-01"
    lab.kubectl("label", "secret", "stale", mark)
    found = lab.inspected("-", token=token)
    assert (found["verdict"], found["answer"]["by"]) == ("refused", "what it looks at")
    assert found["reason"]["name"] == "legacy-token-marked-invalid"
    assert label_of(lab, "stale") is None
    said = verdict(lab, token)
    assert not said["authenticated"]
    assert "has been marked invalid" in said["error"]


@pytest.mark.parametrize("what", ["another content", "another key", "another account"])
def test_a_token_of_a_secret_that_is_refused_anyway_is_asked_about(what: str, lab: Lab) -> None:
    secret = what.replace(" ", "-")
    if what == "another account":
        token = unused(lab, secret, **{f"{PREFIX}service-account.uid": ELSE})
    else:
        unused(lab, secret)
        signer = OTHER if what == "another key" else lab.signer
        token = signer.sign(lab.legacy_claims(secret, jti="x")).reveal()
    found = lab.inspected("-", token=token)
    assert (found["verdict"], found["answer"]["by"]) == ("refused", "TokenReview")
    assert found["answer"]["error"] == verdict(lab, token)["error"]
    assert label_of(lab, secret) is None  # refused before that is written


def test_who_may_not_see_the_secret_is_told_that_asking_was_a_use(lab: Lab) -> None:
    token = unused(lab, "hidden")
    found = lab.inspected("-", token=token, environ=lab.viewer)
    assert (found["verdict"], found["answer"]["by"]) == ("taken", "SelfSubjectReview")
    assert found["notes"] == [
        "to ask the API server was a use of it: its Secret has today's date as last-used"
    ]
    assert label_of(lab, "hidden")


# --- where it is read from ------------------------------------------------------------------------


def test_the_token_of_a_secret_is_read_from_there(lab: Lab) -> None:
    stored = lab.stored("web-token")
    for words in (["secret/web-token"], ["secret", "web-token"]):
        done = lab.inspect(*words, "-o", "json", "-v=9")
        assert_not_echoed(stored, done.stdout + done.stderr)
        found = json.loads(done.stdout)
        assert (found["verdict"], found["type"]) == ("taken", "legacy")
        assert found["source"] == "secret/web-token, key token"
        assert found["object"]["name"] == "web-token"
    done = lab.inspect("secret/handle")
    assert done.returncode == 3
    assert done.stderr.startswith("error: secret/handle is empty\nhint: why: ")
    done = lab.inspect("secret/nope")
    assert done.stderr.startswith('error: secrets "nope" not found')
    done = lab.inspect("secret/web-token", environ=lab.viewer)
    assert done.returncode == 3
    assert "secrets" in done.stderr
    assert "forbidden" in done.stderr


def test_a_secret_with_its_token_in_a_wrong_form_is_read_and_said_to_be_so(lab: Lab) -> None:
    inner = base64.b64encode(lab.token().encode()).decode()
    lab.kubectl("create", "secret", "generic", "twice", f"--from-literal=token={inner}")
    found = lab.inspected("secret/twice")
    assert found["verdict"] == "taken"
    assert "no API server takes it like that" in found["notes"][0]


def test_a_handle_says_that_the_token_is_not_in_it(lab: Lab) -> None:
    made = lab.run(
        *("kubectl-satoken", "mint", "web", "-n", lab.namespace, "--revocable"),
    )
    found = lab.inspected("-", token=made.stdout.strip())
    (tie,) = found["boundTo"]
    assert found["endedBy"]["summary"] == f"deleting secret/{tie['name']}, to which it is bound"
    done = lab.inspect(f"secret/{tie['name']}")
    assert done.returncode == 3
    assert "it is a handle of mint --revocable" in done.stderr


def test_a_file_and_other_forms_are_read(lab: Lab) -> None:
    token = lab.kubectl("create", "token", "web").strip()
    file = lab.folder / "token"
    file.write_text(token)
    found = lab.inspected(str(file))
    assert (found["verdict"], found["source"]) == ("taken", f"file {file}")
    for form in ("header", "env", "kubeconfig", "exec-credential", "json", "secret"):
        made = lab.run(*("kubectl-satoken", "mint", "web", "-n", lab.namespace, "-o", form)).stdout
        done = lab.run("kubectl-satoken", "inspect", "-", "-o", "json", stdin=made)
        assert not JWT.search(done.stdout + done.stderr)
        assert json.loads(done.stdout)["verdict"] == "taken", form


def test_on_a_terminal_it_is_asked_for_and_not_shown(lab: Lab) -> None:
    import pty
    import select

    token = lab.kubectl("create", "token", "web").strip()
    pid, terminal = pty.fork()
    if not pid:
        words = ("kubectl-satoken", "inspect", "-", "-n", lab.namespace)
        os.execvpe(words[0], words, lab.environ | {"NO_COLOR": "1"})
    seen, typed = b"", False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
        if b"not shown" in seen and not typed:
            time.sleep(0.2)
            os.write(terminal, token.encode() + b"\n")
            typed = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "ok: the API server takes this token" in seen.decode()
    assert_not_echoed(token, seen.decode())


def test_an_audience_is_asked_about_as_a_token_review_does(lab: Lab) -> None:
    token = lab.token(aud=["vault", "sts"])
    for audiences, taken in ((["vault"], True), (["x", "sts"], True), (["x"], False)):
        review = by_token_review(lab.api, Sealed(token), audiences)
        words = [word for one in audiences for word in ("--audience", one)]
        found = lab.inspected("-", *words, token=token)
        assert review["authenticated"] == taken
        assert (found["verdict"] == "taken") == taken
        if not taken:
            assert found["reason"]["name"] == "token-wrong-audience"
    # who may make no TokenReview is told what the claims say
    seen = lab.inspected("-", "--audience", "x", token=token, environ=lab.viewer)
    assert (seen["verdict"], seen["answer"]) == ("refused", None)
    seen = lab.inspected("-", "--audience", "sts", token=token, environ=lab.viewer)
    assert (seen["verdict"], seen["answer"]) == ("unknown", None)
    assert "only a TokenReview tells" in seen["unknown"]


# --- what is no token, or no cluster --------------------------------------------------------------

BROKEN = {
    "a letter in the payload": lambda token: changed(token, 1, lambda text: "*" + text[1:]),
    "the header cut": lambda token: changed(token, 0, lambda text: text[:-2]),
    "the payload cut": lambda token: changed(token, 1, lambda text: text[:-3]),
    "the payload in the other base64": lambda token: changed(token, 1, lambda text: text + "="),
    "a part too many": lambda token: token + ".AAAA",
    "a part too few": lambda token: token.rpartition(".")[0],
    "parts in another order": lambda token: ".".join(token.split(".")[i] for i in (0, 2, 1)),
    "only its beginning": lambda token: token[:120],
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_refused_by_both(how: str, lab: Lab) -> None:
    token = BROKEN[how](lab.token())
    assert verdict(lab, token)["error"] == "invalid bearer token"
    done = lab.inspect("-", token=token)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: stdin: not a token: ")


def test_without_a_cluster_the_claims_are_told(lab: Lab) -> None:
    environ = lab.environ | {"KUBECONFIG": "/nonexistent"}
    token = lab.token("pod")
    found = lab.inspected("-", token=token, environ=environ)
    assert (found["verdict"], found["answer"]) == ("unknown", None)
    assert "connection refused" in found["unknown"]
    assert found["key"]["why"] == "no cluster was asked"
    assert found["boundTo"][0]["state"] == "unseen"
    assert found["endedBy"]["commands"] == [f"kubectl satoken revoke pod/app -n {lab.namespace}"]
    old = lab.inspected("-", token=lab.token(exp=now() - 90), environ=environ)
    assert (old["verdict"], old["reason"]["name"]) == ("refused", "token-expired")


def test_a_token_speaks_for_itself_where_the_users_own_credentials_are_refused(lab: Lab) -> None:
    config = json.loads(lab.run("kubectl", "config", "view", "--raw", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": "nobody's"}
    file = lab.folder / "refused.kubeconfig"
    file.write_text(json.dumps(config))
    environ = lab.environ | {"KUBECONFIG": str(file)}
    good = lab.inspected("-", token=lab.token(), environ=environ)
    assert (good["verdict"], good["answer"]["by"]) == ("taken", "SelfSubjectReview")
    assert (
        lab.inspected("-", token=OTHER.sign(lab.claims()).reveal(), environ=environ)["verdict"]
        == "refused"
    )
    assert lab.inspect("secret/web-token", environ=environ).returncode == 3


# --- for a person ---------------------------------------------------------------------------------


def test_the_text_has_the_verdict_first_and_fits_a_terminal(lab: Lab) -> None:
    tokens = {case.name: case.make(lab) for case in (*TAKEN, *REFUSED)}
    for name, token in tokens.items():
        done = lab.within("-", "-o", "wide", token=token)
        word = "ok: " if done.returncode == 0 else "error: "
        assert done.stdout.startswith(word), (name, done.stdout)
        assert done.stderr == ""
        for line in done.stdout.splitlines():
            command = line.strip().startswith("kubectl")
            assert len(line) <= 80 or command or len(line.split()[-1]) > 60, (name, line)


def test_who_may_only_view_is_told_what_was_not_seen(lab: Lab) -> None:
    done = lab.inspect("-", token=lab.token("secret"), environ=lab.viewer)
    text = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert "answer taken, by SelfSubjectReview" in text
    assert "alive serviceaccount/web: there, with the uid of the token" in text
    assert "secret/handle: not seen: forbidden to you: needs get secrets" in text
    assert "may not known: rolebindings not seen" in text
    assert "signature not checked: /openid/v1/jwks not seen" in text


# --- nothing gets out -----------------------------------------------------------------------------


def test_no_token_gets_out_of_inspect(lab: Lab) -> None:
    """Neither in output, logs, arguments of processes, files, nor in the traceback of a bug."""
    import threading

    tokens = [lab.stored("web-token"), lab.token(), lab.token(aud=["vault"]), lab.token(exp=9)]
    shown = lab.token(jti="shown")
    (lab.folder / "file").write_text(tokens[1])
    before = {path for path in lab.folder.rglob("*") if path.is_file()}
    stop: list[bool] = []
    seen: set[str] = set()

    def watch() -> None:
        while not stop:
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes().decode(errors="replace"))
                    except OSError:
                        continue
            time.sleep(0.005)

    scratch = lab.folder / "tmp"
    scratch.mkdir()
    environ = lab.environ | {"TMPDIR": str(scratch), "SATOKEN_TRACEBACK": "1"}
    viewer = lab.viewer | {"TMPDIR": str(scratch), "SATOKEN_TRACEBACK": "1"}
    watcher = threading.Thread(target=watch)
    watcher.start()
    heard = []
    try:
        for who in (environ, viewer):
            for words, token in (
                *((["-"], token) for token in tokens),
                (["-", "--audience", "sts"], tokens[1]),
                (["-", "--offline", "-o", "wide"], tokens[1]),
                (["-", "-o", "yaml"], tokens[2]),
                (["-", "-s", "https://127.0.0.1:1"], tokens[1]),
                (["-"], tokens[1] + "x" * 9000),
                (["-"], tokens[1][:-400]),
                (["-"], f"{tokens[0]} {tokens[1]}"),
                (["file"], None),
                (["secret/web-token"], None),
                (["pod/app"], None),
                # our own doing, and not repeated
                ([shown], None),
                (["-", "-o", shown], "x"),
            ):
                done = lab.run(
                    *("kubectl-satoken", "inspect", "-n", lab.namespace, "-v=9", *words),
                    stdin=token,
                    environ=who,
                )
                heard.append(done.stdout + done.stderr)
        broken = (
            "import sys, kubectl_satoken.token_health as health\n"
            "def fail(given, *more):\n"
            "    text = given.token.reveal()\n"
            "    raise RuntimeError('broken')\n"
            "health.examine = fail\n"
            "sys.argv[:] = ['kubectl-satoken', 'inspect', '-']\n"
            "from kubectl_satoken.__main__ import main\n"
            "main()\n"
        )
        done = lab.run(sys.executable, "-c", broken, stdin=tokens[1], environ=environ)
        assert "RuntimeError" in done.stderr
        heard.append(done.stdout + done.stderr)
    finally:
        stop.append(True)
        watcher.join()
    for token in (*tokens, shown):
        for text in heard:
            assert_not_echoed(token, text)
    assert any("inspect" in text for text in seen)
    for token in tokens:
        assert not [text for text in seen if token in text]
    assert list(scratch.iterdir()) == []
    assert {path for path in lab.folder.rglob("*") if path.is_file()} == before


def test_without_the_library_the_signature_is_not_checked_and_that_is_said(lab: Lab) -> None:
    """PyJWT is an extra; cryptography, which it needs, may be missing beside it."""
    token = lab.token()
    for gone in ("jwt", "cryptography"):
        code = (
            f"import sys; sys.modules[{gone!r}] = None\n"
            "sys.argv[:] = ['kubectl-satoken', 'inspect', '-', '-o', 'json']\n"
            "from kubectl_satoken.__main__ import main\n"
            "main()\n"
        )
        done = lab.run(sys.executable, "-c", code, stdin=token)
        found = json.loads(done.stdout)
        assert (found["verdict"], found["key"]["signatureFits"]) == ("taken", None)
        assert found["key"]["published"] is True
        assert found["key"]["why"].startswith("that needs the Python package ")
