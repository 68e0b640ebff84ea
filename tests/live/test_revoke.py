"""revoke against a real API server: each kind of token is ended, and nothing else is touched."""

import base64
import json
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests import faults
from tests.cluster import Cluster, start
from tests.conftest import ROOT
from tests.live.test_mint import JWT, Desk

SCHEMA = json.loads((ROOT / "docs" / "revocation.schema.json").read_text())
INVALID = "kubernetes.io/legacy-token-invalid-since"

LEGACY = """
apiVersion: v1
kind: Secret
metadata: {name: web-token, annotations: {kubernetes.io/service-account.name: web}}
type: kubernetes.io/service-account-token
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-0}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
"""

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
"""

# every way in which a Secret can be used, each by a workload of another kind
CONSUMERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: zero}
spec:
  replicas: 0
  selector: {matchLabels: {app: zero}}
  template:
    metadata: {labels: {app: zero}}
    spec:
      containers: [{name: app, image: app, volumeMounts: [{name: t, mountPath: /t}]}]
      volumes: [{name: t, secret: {secretName: web-token}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: app, image: app, envFrom: [{secretRef: {name: web-token}}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      imagePullSecrets: [{name: web-token}]
      containers: [{name: app, image: app}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: app, image: app}]
      volumes: [{name: p, projected: {sources: [{secret: {name: web-token}}]}}]
---
apiVersion: v1
kind: PodTemplate
metadata: {name: stamp}
template:
  metadata: {labels: {app: stamp}}
  spec:
    initContainers:
    - name: init
      image: app
      env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web-token, key: token}}}]
    containers: [{name: app, image: app}]
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  containers:
  - name: app
    image: app
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web-token, key: token}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: bystander}
spec:
  replicas: 1
  selector: {matchLabels: {app: bystander}}
  template:
    metadata: {labels: {app: bystander}}
    spec: {containers: [{name: app, image: app}]}
"""

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: robots.revoke.example.org}
spec:
  group: revoke.example.org
  names: {kind: Robot, plural: robots, singular: robot}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

ROBOTS = """
apiVersion: revoke.example.org/v1
kind: Robot
metadata: {name: r2}
spec:
  arms:
  - template:
      spec:
        serviceAccountName: web
        containers: [{name: app, image: app, envFrom: [{secretRef: {name: web-token}}]}]
---
apiVersion: revoke.example.org/v1
kind: Robot
metadata: {name: named}
spec: {tokenSecretRef: {name: web-token}, serviceAccountName: web}
"""


def flat(text: str) -> str:
    """Text without its line breaks, so that it does not matter where they are."""
    return " ".join(text.split())


class Office(Desk):
    """A desk from which tokens are revoked."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        super().__init__(cluster, folder)
        self.heard: list[str] = []

    def revoke(
        self,
        *words: str,
        stdin: str | None = None,
        check: bool = True,
        status: int = 0,
        **environ: str,
    ) -> "subprocess.CompletedProcess[str]":
        done = self.run(
            "kubectl-satoken", "revoke", *words, stdin=stdin, check=False, environ=environ
        )
        self.heard += [done.stdout, done.stderr]
        assert not JWT.search(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        assert not check or done.returncode == status, (words, done.stdout, done.stderr)
        if "-o" not in words:
            for line in done.stdout.splitlines():
                # but for a command, which is one line that can be pasted, and what has no space
                long = len(line) > 80 and " " in line.strip()
                assert not long or line.startswith(("  kubectl ", "  ... ", "  #")), line
        return done

    def revocation(self, *words: str, stdin: str | None = None, status: int = 0) -> Any:
        done = self.revoke(*words, "-o", "json", stdin=stdin, status=status)
        found = json.loads(done.stdout)
        jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
        return found

    def state(self) -> Any:
        """All that a plan could change, with the versions."""
        kinds = "serviceaccounts,secrets,pods,deployments,replicasets,nodes"
        found = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        return sorted(
            (one["kind"], one["metadata"]["name"], one["metadata"]["resourceVersion"])
            for one in found
            if one["kind"] != "Node"
        )

    def taken(self, token: str) -> bool:
        return bool(self.review(token).get("authenticated"))

    def uid(self, kind: str, name: str) -> str:
        return self.kubectl("get", kind, name, "-o", "jsonpath={.metadata.uid}")

    def legacy(self, manifest: str = LEGACY, name: str = "web-token") -> str:
        """The token of a Secret that is made for it."""
        self.kubectl("apply", "-f", "-", stdin=manifest)
        self.kubectl("wait", "--for=jsonpath={.data.token}", f"secret/{name}", "--timeout=30s")
        return self.legacy_token(name)

    def legacy_token(self, name: str) -> str:
        value = self.kubectl("get", "secret", name, "-o", "jsonpath={.data.token}", check=False)
        return base64.b64decode(value).decode()

    def ended(self, token: str, *words: str, stdin: str | None = None, within: int = 16) -> str:
        """Does it and sees that the token is refused afterwards; returns what was said."""
        assert self.taken(token)
        before = self.state()
        dry = self.revoke(*words, stdin=stdin)
        assert dry.stdout.startswith("would revoke: "), dry.stdout
        assert self.state() == before, "a dry run changes nothing"
        assert self.taken(token)
        began = time.monotonic()
        done = self.revoke(*words, "--yes", stdin=stdin)
        assert time.monotonic() - began < within
        assert done.stdout.startswith("revoked: "), done.stdout
        assert not self.taken(token)
        again = self.revoke(*words, "--yes", stdin=stdin, check=False)
        if stdin is not None:
            assert again.returncode == 0
            assert again.stdout.startswith("already revoked: ")
        return done.stdout

    def ended_for(self, audience: str, token: str) -> None:
        """Ends a token that is not for the API server."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        asked = json.dumps({**body, "spec": {"token": token, "audiences": [audience]}})

        def taken() -> bool:
            answer = self.kubectl("create", "-f", "-", "-o", "json", stdin=asked)
            return bool(json.loads(answer)["status"].get("authenticated"))

        assert taken()
        found = self.revocation("-", "--yes", stdin=token)
        assert found["outcome"] == "revoked"
        assert not taken()

    def until(self, what: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end
            time.sleep(0.5)


@pytest.fixture
def office(cluster: Cluster, tmp_path: Path, installed: Path) -> Iterator[Office]:
    opened = Office(cluster, tmp_path)
    yield opened
    opened.kubectl("delete", "namespace", opened.namespace, "--wait=false")


# --- what is ended by deleting --------------------------------------------------------------------


def test_a_token_that_is_bound_to_a_pod(office: Office) -> None:
    office.kubectl("apply", "-f", "-", stdin=POD)
    token = office.mint("web", "--bound-to", "pod/web-0").stdout
    other = office.mint("web").stdout
    said = office.ended(token, "-", stdin=token)
    assert "pod/web-0 was deleted, and the API" in said
    assert "nothing makes again: it is lost" in flat(said)
    assert office.taken(other), "only its own"
    assert office.kubectl("get", "pods", "-o", "name") == ""


def test_the_tokens_of_a_pod_by_its_name(office: Office) -> None:
    office.kubectl("apply", "-f", "-", stdin=SHOP)
    office.until(lambda: office.kubectl("get", "pods", "-o", "name").count("pod/") == 1)
    (pod,) = office.kubectl("get", "pods", "-o", "name").split()
    token = office.mint("web", "--bound-to", pod).stdout
    assert office.taken(token)
    before = office.state()
    dry = office.revoke(pod)
    assert office.state() == before
    assert "deployment/shop makes another, with a token of its own" in flat(dry.stdout)
    assert f"by deleting {pod}, which they are bound to" in flat(dry.stdout)
    done = office.revoke(pod, "--yes")
    assert f"{pod} was deleted, and the API server refuses a token bound to it" in flat(done.stdout)
    assert f"was made for this, bound to {pod}" in flat(done.stdout)
    assert not office.taken(token)
    office.until(lambda: office.kubectl("get", "pods", "-o", "name").count("pod/") == 1)
    assert office.kubectl("get", "pods", "-o", "name").strip() != pod
    office.revoke(pod, "--yes", status=3)


def test_a_token_that_is_bound_to_a_secret(office: Office) -> None:
    office.kubectl("create", "secret", "generic", "lock")
    token = office.mint("web", "--bound-to", "secret/lock").stdout
    office.ended(token, "-", stdin=token)
    assert office.kubectl("get", "secrets", "-o", "name") == ""
    office.kubectl("create", "secret", "generic", "lock")
    token = office.mint("web", "--bound-to", "secret/lock").stdout
    assert office.taken(token)
    assert "written nowhere" in flat(office.revoke("secret/lock").stdout)
    found = office.revocation("secret/lock", "--yes")
    assert (found["outcome"], found["review"]["made"]) == ("revoked", True)
    assert not office.taken(token)


def test_a_secret_that_holds_something_is_not_lost_by_the_way(office: Office) -> None:
    office.kubectl("create", "secret", "generic", "full", "--from-literal=password=x")
    token = office.mint("web", "--bound-to", "secret/full").stdout
    before = office.state()
    for words, stdin in ((["-"], token), (["secret/full"], None)):
        for yes in ([], ["--yes"]):
            done = office.revoke(*words, *yes, stdin=stdin, status=3)
            assert done.stdout.startswith("cannot revoke: ")
            assert "say --delete-content if that is meant" in flat(done.stdout)
    assert office.state() == before
    said = flat(office.ended(token, "-", "--delete-content", stdin=token))
    assert "loses secret/full holds 1 value, lost with it" in said
    assert "stays a token that was only copied into it; before, kubectl satoken inspect" in said


def test_a_handle_by_its_name(office: Office) -> None:
    token = office.mint("web", "--revocable", "--purpose", "nightly build").stdout
    (handle,) = json.loads(office.mint("--list", "-o", "json").stdout)["items"]
    assert office.taken(token)
    before = office.state()
    dry = office.revoke(handle["name"])
    assert office.state() == before
    assert "for nightly build; expires in 59m" in flat(dry.stdout)
    done = office.revoke(handle["name"], "--yes")
    assert "was deleted, and the API server refuses a token bound to it" in flat(done.stdout)
    assert not office.taken(token)
    assert office.mint("--list").stdout == ""
    done = office.revoke(handle["name"], "--yes", status=3)
    assert done.stderr == (
        f"error: no handle, and no file, is called {handle['name']}\n"
        "hint: kubectl satoken mint --list lists the handles\n"
    )
    # the command that makes another
    (line,) = (each for each in dry.stdout.splitlines() if "mint web" in each)
    assert JWT.fullmatch(office.shell(line).stdout)
    office.kubectl("create", "secret", "generic", "none")
    done = office.revoke("none", status=2)
    assert "none is no handle of mint --revocable" in done.stderr


def test_a_handle_by_its_token_in_a_file(office: Office) -> None:
    token = office.mint("web", "--revocable").stdout
    (office.folder / "leaked.txt").write_text(f"{token}\n")
    office.ended(token, "leaked.txt")
    done = office.revoke("leaked.txt", "--yes")
    assert done.stdout.startswith("already revoked: ")


def test_a_renewing_kubeconfig_ends_with_its_handle(office: Office) -> None:
    (office.folder / "ci").write_text(office.mint("web", "--renew", "--revocable").stdout)
    assert office.whoami("--kubeconfig", "ci") == office.user
    (handle,) = json.loads(office.mint("--list", "-o", "json").stdout)["items"]
    dry = office.revoke(handle["name"]).stdout
    assert "renewed while the handle is there" in flat(dry)
    assert f"kubectl satoken mint web --renew --revocable -n {office.namespace}" in dry
    office.revoke(handle["name"], "--yes")
    assert office.run("kubectl", "--kubeconfig", "ci", "auth", "whoami", check=False).returncode


def test_a_pod_that_does_not_end_is_no_use_after_a_minute(office: Office) -> None:
    """Its node is gone: it stays, but its token is refused 60 s after its time is over."""
    node = f"node-{office.namespace}"
    manifest = f"{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
    office.kubectl("create", "-f", "-", stdin=manifest)
    try:
        bound_to_it = POD.replace("serviceAccountName", f"nodeName: {node}, serviceAccountName")
        office.kubectl("apply", "-f", "-", stdin=bound_to_it)
        token = office.mint("web", "--bound-to", "pod/web-0").stdout
        dry = office.revocation("-", "--grace-period=2", stdin=token)
        assert dry["withinSeconds"] == 72
        found = office.revocation("-", "--grace-period=2", "--yes", stdin=token)
        assert found["outcome"] == "revoked"
        assert 50 < found["review"]["afterSeconds"] < 77
        assert office.uid("pod", "web-0"), "the pod itself is there still"
        office.kubectl("delete", "pod", "web-0", "--force", "--grace-period=0")
    finally:
        office.kubectl("delete", "node", node)


# --- what is marked -------------------------------------------------------------------------------


def works_again_as_printed(office: Office, said: str, token: str) -> None:
    """Runs the command that is said to undo it."""
    (undo,) = (line for line in said.splitlines() if line.endswith(f"{INVALID}-"))
    office.shell(undo)
    office.until(lambda: office.taken(token), 5)


def test_a_legacy_token_made_by_hand(office: Office) -> None:
    token = office.legacy()
    said = office.ended(token, "-", stdin=token)
    assert "made by hand" in said
    assert "was marked invalid, and the API server refuses it" in flat(said)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    secret = json.loads(office.kubectl("get", "secret", "web-token", "-o", "json"))
    assert secret["metadata"]["labels"][INVALID] == today
    assert "has been marked invalid" in office.review(token)["error"]
    works_again_as_printed(office, said, token)
    # the same by the name of the Secret, whose token is read to see the end of it
    said = office.ended(token, "secret/web-token")
    assert "and the API server refuses it" in flat(said)
    assert office.revoke("secret/web-token").stdout.startswith("already revoked: ")
    works_again_as_printed(office, said, token)


def test_a_legacy_token_that_was_generated(office: Office) -> None:
    token = office.legacy()
    office.kubectl("patch", "sa", "web", "-p", '{"secrets":[{"name":"web-token"}]}')
    dry = office.revocation("secret/web-token")
    (listing,) = dry["consumers"]
    assert (listing["kind"], listing["uses"][0]["how"]) == ("ServiceAccount", "secrets")
    said = flat(office.ended(token, "secret/web-token"))
    assert "generated (its account lists it)" in said
    assert "kube-controller-manager deletes it a year after the mark (by default)" in said
    assert office.kubectl("get", "secret", "web-token", "-o", "name"), "it is only marked"


def test_a_dry_run_does_not_use_a_legacy_token(office: Office) -> None:
    """To ask about it is to use it, and the API server writes that down."""
    token = office.legacy()
    before = office.state()
    office.revoke("-", stdin=token)
    office.revoke("secret/web-token")
    assert office.state() == before
    shown = office.kubectl("get", "secret", "web-token", "-o", "jsonpath={.metadata.labels}")
    assert shown == ""


@pytest.mark.parametrize("how", ["-", "secret/web-token"])
def test_to_ask_about_a_legacy_token_is_not_taken_for_the_use_of_somebody_else(
    how: str, office: Office
) -> None:
    token = office.legacy()
    found = office.revocation(how, "--yes", stdin=token if how == "-" else None)
    assert found["outcome"] == "revoked"
    (used,) = (fact["text"] for fact in found["facts"] if fact["name"] == "used")
    assert used.startswith("never since ")
    office.kubectl("label", "secret", "web-token", f"{INVALID}-")
    office.until(lambda: office.taken(token), 5)
    # that was somebody else
    done = office.revoke(how, "--yes", stdin=token if how == "-" else None)
    assert "something outside the cluster used the token on" in flat(done.stdout)


def test_an_empty_token_secret_has_none(office: Office) -> None:
    office.kubectl("apply", "-f", "-", stdin=LEGACY + "immutable: true\n")
    done = office.revoke("secret/web-token", check=False)
    assert done.stdout.startswith("already revoked: ")
    assert "there is no token in it" in flat(done.stdout)


# --- what cannot be ended alone -------------------------------------------------------------------


def test_a_token_that_is_bound_to_nothing(office: Office) -> None:
    token = office.mint("web").stdout
    before = office.state()
    for yes in ([], ["--yes"]):
        done = office.revoke("-", *yes, stdin=token, status=3)
        assert done.stdout.startswith("cannot revoke: the token (stdin): it is bound to nothing;")
        assert f"  kubectl satoken revoke sa/web -n {office.namespace}\n" in done.stdout
    assert office.state() == before
    assert office.taken(token)


def test_a_token_that_is_bound_to_a_node(office: Office) -> None:
    node = f"node-{office.namespace}"
    manifest = f"{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
    office.kubectl("create", "-f", "-", stdin=manifest)
    try:
        token = office.mint("web", "--bound-to", f"node/{node}").stdout
        for yes in ([], ["--yes"]):
            done = office.revoke("-", *yes, stdin=token, status=3)
            assert f"bound to node/{node}, which is not deleted" in flat(done.stdout)
        assert office.uid("node", node)
        assert office.taken(token)
    finally:
        office.kubectl("delete", "node", node)
    office.until(lambda: not office.taken(token), 12)
    assert office.revoke("-", stdin=token).stdout.startswith("already revoked: ")


def test_tokens_that_others_made(office: Office) -> None:
    def jwt(**payload: Any) -> str:
        parts = ({"alg": "RS256", "kid": "x"}, payload)
        texts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
        return b".".join([*texts, b"c2ln"]).decode()

    done = office.revoke("-", "--yes", stdin=jwt(iss="https://login.example", sub="jane"), status=3)
    assert "only its issuer https://login.example can end it" in flat(done.stdout)
    done = office.revoke("-", stdin="hvs." + "x" * 40, status=3)
    assert "it is a token of Vault, and only its issuer can end it" in flat(done.stdout)
    # of another cluster, whose accounts have the same names
    claims = json.loads(office.mint("web", "-o", "claims").stdout)
    done = office.revoke("-", "--yes", stdin=jwt(**{**claims, "iss": "https://other"}), status=3)
    assert done.stdout.startswith("cannot revoke: ")
    done = office.revoke("-", stdin="nothing of the kind", status=3)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_who_may_not_ask_is_told_that_the_token_may_be_forged(office: Office) -> None:
    """Of a token for others only a TokenReview tells, which few may make."""
    office.kubectl("apply", "-f", "-", stdin=POD)
    user = f"jane-{uuid.uuid4().hex[:6]}"
    office.kubectl("create", "rolebinding", user, "--clusterrole=edit", f"--user={user}")
    environ = {"KUBECONFIG": str(office.cluster.user(user))}
    token = office.mint("web", "--bound-to", "pod/web-0", "--audience", "vault").stdout
    done = office.revoke("-", stdin=token, **environ)
    assert "could not be asked whether the token is genuine" in flat(done.stdout)
    done = office.revoke("-", stdin=token)
    assert "genuine" not in done.stdout
    office.ended_for("vault", token)


def test_a_forged_token_cannot_have_a_pod_deleted(office: Office) -> None:
    """Whoever knows a uid can write it into a token, but not sign that."""
    office.kubectl("apply", "-f", "-", stdin=POD)
    real = office.mint("web", "--bound-to", "pod/web-0").stdout
    head, _, tail = real.rpartition(".")
    forged = f"{head}.{tail[:10]}{'A' if tail[10] != 'A' else 'B'}{tail[11:]}"
    before = office.state()
    done = office.revoke("-", "--yes", stdin=forged)
    assert "the API server refuses it already" in flat(done.stdout)
    assert office.state() == before
    assert office.taken(real)


# --- what has ended -------------------------------------------------------------------------------


def test_a_pod_and_an_account_that_were_made_anew(office: Office) -> None:
    office.kubectl("apply", "-f", "-", stdin=POD)
    of_pod = office.mint("web", "--bound-to", "pod/web-0").stdout
    of_account = office.mint("web").stdout
    office.kubectl("delete", "pod", "web-0")
    office.kubectl("apply", "-f", "-", stdin=POD)
    before = office.state()
    done = office.revoke("-", "--yes", stdin=of_pod)
    assert "is another than the one it was bound to" in flat(done.stdout)
    office.kubectl("delete", "sa", "web")
    before = office.state()
    done = office.revoke("-", "--yes", stdin=of_account)
    assert done.stdout.startswith("already revoked: ")
    assert "is not there" in done.stdout
    office.kubectl("create", "sa", "web")
    before = office.state()
    done = office.revoke("-", "--yes", stdin=of_account)
    assert "serviceaccount web is another than the one it was made for" in flat(done.stdout)
    assert office.state() == before, "the new one has nothing to do with it"


def test_it_waits_for_what_somebody_else_has_ended(office: Office) -> None:
    office.kubectl("create", "secret", "generic", "lock")
    token = office.mint("web", "--bound-to", "secret/lock").stdout
    assert office.taken(token)
    office.kubectl("delete", "secret", "lock")
    found = office.revocation("-", "--yes", stdin=token)
    assert found["outcome"] == "already"
    assert found["review"]["taken"] is False


# --- a whole account ------------------------------------------------------------------------------

ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata:
  name: ci
  labels: {team: build}
  annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/ci", note: "a: b"}
automountServiceAccountToken: false
imagePullSecrets: [{name: registry}, {name: not-there-yet}]
secrets: [{name: ci-token}, {name: mountable}]
"""


def test_all_tokens_of_an_account(office: Office) -> None:
    for name in ("registry", "mountable"):
        office.kubectl("create", "secret", "generic", name)
    office.kubectl("apply", "-f", "-", stdin=ACCOUNT)
    office.kubectl("create", "rolebinding", "ci", "--clusterrole=view", "--serviceaccount",
                   f"{office.namespace}:ci")  # fmt: skip
    legacy = office.legacy(LEGACY.replace("web", "ci"), "ci-token")
    by_hand = LEGACY.replace("web-token", "by-hand").replace("web}", "ci, note: x}")
    by_hand = office.legacy(by_hand, "by-hand")
    office.kubectl("apply", "-f", "-", stdin=SHOP.replace("web", "ci"))
    office.until(lambda: office.kubectl("get", "pods", "-o", "name").count("pod/") == 1)
    handle = office.mint("ci", "--revocable").stdout
    unbound = office.mint("ci", "--duration=24h").stdout
    tokens = (legacy, by_hand, handle, unbound)
    assert all(map(office.taken, tokens))
    before, state = json.loads(office.kubectl("get", "sa", "ci", "-o", "json")), office.state()
    dry = office.revocation("sa/ci")
    assert office.state() == state
    assert dry["action"] == "recreate"
    runs = {one["name"] for one in dry["consumers"] if one["uses"][:1]}
    assert "shop" in runs
    done = office.revoke("sa/ci", "--yes")
    text = flat(done.stdout)
    assert "secret/ci-token, which is deleted with the account" in text
    assert "secret/by-hand, which is deleted with the account" in text
    gone = ("secret/ci-token", "secret/by-hand")
    office.until(lambda: not {*gone} & {*office.kubectl("get", "secrets", "-o", "name").split()})
    assert "get 401 Unauthorized, until they are made anew" in text
    assert "the API server refuses a token of the old account" in text
    assert not any(map(office.taken, tokens))
    after = json.loads(office.kubectl("get", "sa", "ci", "-o", "json"))
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    for field in ("labels", "annotations"):
        assert after["metadata"][field] == before["metadata"][field]
    assert after["automountServiceAccountToken"] is False
    assert after["imagePullSecrets"] == before["imagePullSecrets"]
    assert after["secrets"] == [{"name": "mountable"}]
    new = office.mint("ci").stdout
    assert office.taken(new)
    (office.folder / "new").write_text(new)
    may = office.shell(
        f"kubectl auth can-i list pods --as system:serviceaccount:{office.namespace}:ci"
    )
    assert may.stdout == "yes\n"
    # nothing is kept once it is there
    assert not [*office.folder.rglob("revoked/*")]
    # the pods get new ones as printed
    (restart,) = (line for line in done.stdout.splitlines() if "rollout restart" in line)
    office.shell(restart)
    # and so does the Secret that somebody made
    heredoc = re.search(r"^kubectl apply -f - <<'EOF'$.*?^EOF$", done.stdout, re.M | re.S)
    assert heredoc
    assert "ci-token" not in heredoc[0], "nobody made that by hand"
    office.shell(heredoc[0])
    office.until(lambda: office.legacy_token("by-hand") != "")
    assert office.taken(office.legacy_token("by-hand"))
    notes = "jsonpath={.metadata.annotations.note}"
    assert office.kubectl("get", "secret", "by-hand", "-o", notes) == "x"
    # kubectl apply still knows the account
    office.kubectl("apply", "-f", "-", stdin=ACCOUNT)


def test_the_account_that_a_controller_makes_again_by_itself(office: Office) -> None:
    office.until(lambda: bool(office.kubectl("get", "sa", "default", check=False)))
    office.kubectl("label", "sa", "default", "team=build")
    office.kubectl(
        "patch", "sa", "default", "-p",
        '{"automountServiceAccountToken":false,"imagePullSecrets":[{"name":"registry"}]}',
    )  # fmt: skip
    token = office.mint("default").stdout
    assert office.taken(token)
    for _ in range(3):
        uid = office.uid("sa", "default")
        office.revoke("sa/default", "--yes")
        after = json.loads(office.kubectl("get", "sa", "default", "-o", "json"))
        assert after["metadata"]["uid"] != uid
        assert after["metadata"]["labels"] == {"team": "build"}
        assert after["automountServiceAccountToken"] is False
        assert after["imagePullSecrets"] == [{"name": "registry"}]
    assert not office.taken(token)


def test_an_account_that_is_held_back_is_left_alone(office: Office) -> None:
    office.kubectl("patch", "sa", "web", "-p", '{"metadata":{"finalizers":["example.org/hold"]}}')
    try:
        before = office.state()
        done = office.revoke("sa/web", "--yes", status=3)
        assert "its finalizers (example.org/hold) hold it back" in flat(done.stdout)
        assert office.state() == before
    finally:
        office.kubectl("patch", "sa", "web", "-p", '{"metadata":{"finalizers":null}}')


# --- what is seen by a token that is made for it ---


def test_nothing_is_made_before_it_is_done(office: Office) -> None:
    """A dry run asks for no token, and what does it for one."""
    office.kubectl("apply", "-f", "-", stdin=POD)
    office.kubectl("create", "secret", "generic", "lock")
    for word in ("pod/web-0", "secret/lock", "sa/web"):
        office.revoke(word)
        office.revoke(word, "-o", "json")
    time.sleep(1)
    assert office.requests() == 0, "of the audit log"
    for number, word in enumerate(("pod/web-0", "secret/lock", "sa/web"), 1):
        done = office.revoke(word, "--yes", "-v=6")
        assert "/token 201 Created" in done.stderr
        office.until(lambda number=number: office.requests() == number, 5)  # type: ignore[misc]


@pytest.mark.parametrize(
    "word", ["pod/web-0", "secret/lock", "sa/web", "handle", "a token for others"]
)
def test_it_is_seen_with_the_roles_of_an_editor(
    word: str, office: Office, users: dict[str, str]
) -> None:
    """He may make no TokenReview: the token asks who it is, itself, until it is refused."""
    environ = {"KUBECONFIG": users["edit"]}
    office.kubectl("apply", "-f", "-", stdin=POD)
    office.kubectl("create", "secret", "generic", "lock")
    stdin = None
    if word == "handle":
        office.mint("web", "--revocable")
        (handle,) = json.loads(office.mint("--list", "-o", "json").stdout)["items"]
        word = handle["name"]
    elif word == "a token for others":
        word = "-"
        stdin = office.mint("web", "--bound-to", "pod/web-0", "--audience", "vault").stdout
    words = (word, "-n", office.namespace, "--yes", "-o", "json")
    done = office.revoke(*words, stdin=stdin, **environ)
    found = json.loads(done.stdout)
    assert found["outcome"] == "revoked"
    review = found["review"]
    assert (review["by"], review["taken"], review["made"]) == ("SelfSubjectReview", False, True)
    assert review["afterSeconds"] < 16


@pytest.mark.parametrize("word", ["pod/web-0", "secret/lock", "sa/web"])
def test_who_may_make_no_token_is_told_that_nothing_was_seen(word: str, office: Office) -> None:
    user = f"jane-{uuid.uuid4().hex[:6]}"
    environ = {"KUBECONFIG": str(office.cluster.user(user))}
    what = ("--resource=pods,secrets,serviceaccounts", "--verb=get,list,create,delete")
    office.kubectl("create", "role", user, *what)
    office.kubectl("create", "rolebinding", user, f"--role={user}", f"--user={user}")
    office.kubectl("apply", "-f", "-", stdin=POD)
    office.kubectl("create", "secret", "generic", "lock")
    began = time.monotonic()
    done = office.revoke(word, "-n", office.namespace, "--yes", "-o", "json", **environ)
    assert time.monotonic() - began < 8, "there is nothing to wait for but that it is gone"
    found = json.loads(done.stdout)
    assert (found["outcome"], found["review"]) == ("unverified", None)
    assert found["message"].endswith(
        "(not verified by a review: you may not create serviceaccounts/token)"
    )


def test_a_pod_that_is_being_deleted_has_tokens_that_are_taken_for_a_while(office: Office) -> None:
    node = f"node-{office.namespace}"
    manifest = f"{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
    office.kubectl("create", "-f", "-", stdin=manifest)
    try:
        bound_to_it = POD.replace("serviceAccountName", f"nodeName: {node}, serviceAccountName")
        office.kubectl("apply", "-f", "-", stdin=bound_to_it)
        office.kubectl("delete", "pod", "web-0", "--grace-period=5", "--wait=false")
        dry = office.revocation("pod/web-0")
        assert (dry["outcome"], dry["review"]) == ("already", None)
        assert 60 < dry["withinSeconds"] <= 75
        done = office.revoke("pod/web-0")
        assert "or 10 s after it is gone" in flat(done.stdout)
        found = office.revocation("pod/web-0", "--yes", "--timeout=1s", status=1)
        assert (found["outcome"], found["review"]["made"]) == ("taken", True)
        waiting = subprocess.Popen(
            ["kubectl-satoken", "revoke", "pod/web-0", "--yes"],
            env=office.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "refuses a token bound to pod/web-0 (up to " in waiting.stderr.readline()
        office.kubectl("delete", "pod", "web-0", "--force", "--grace-period=0")
        said, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 0
        assert said.startswith("already revoked: the tokens of pod/web-0: ")
        assert "and the API server refuses a token bound to it" in flat(said)
    finally:
        office.kubectl("delete", "node", node)


def test_a_policy_that_lets_nobody_have_a_token(office: Office) -> None:
    """Then what is to be ended is ended all the same."""

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/serviceaccounts/web/token"):
            said = 'admission webhook "no.example.org" denied the request: eyJabcdef.eyJabcdef.x'
            return faults.Reply(403, faults.status(403, "Forbidden", said))
        return None

    office.kubectl("apply", "-f", "-", stdin=POD)
    with relay(office, meanwhile) as environ:
        done = office.revoke("pod/web-0", "--yes", **environ)
    said = 'no token could be made for that: admission webhook "no.example.org" denied the request'
    assert f"(not verified by a review: {said}" in flat(done.stdout)
    assert office.kubectl("get", "pods", "-o", "name") == ""


@pytest.mark.parametrize("answer", ["refused", "no answer"])
def test_a_token_that_tells_nothing(answer: str, office: Office) -> None:
    """One that is refused from the start, or that cannot be asked about, is no witness."""

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/tokenreviews"):
            if answer == "no answer":
                return faults.Reply(404, faults.status(404, "NotFound", "not served"))
            status = {"authenticated": False, "error": "no key for it"}
            return faults.Reply(201, json.dumps({"status": status}).encode())
        return None

    with relay(office, meanwhile) as environ:
        done = office.revoke("sa/web", "--yes", **environ)
    why = {
        "refused": "a token made for that was refused from the start: no key for it",
        "no answer": "the API server could not be asked: ",
    }[answer]
    said = f"its old tokens are refused within 10 s (not verified by a review: {why}"
    assert said in flat(done.stdout)
    assert "checked" not in done.stdout


def test_a_server_that_is_out_afterwards(office: Office) -> None:
    """It is done, and that is said; what was not seen is, too."""
    asked: list[bool] = []

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/tokenreviews"):
            asked.append(True)
            return faults.Reply(cut="before") if len(asked) > 1 else None
        return None

    with relay(office, meanwhile) as environ:
        done = office.revoke("sa/web", "--yes", **environ)
    said = "the account was made anew; whether a token of the old account is refused was not seen ("
    assert said in flat(done.stdout)
    assert "seen ()" not in flat(done.stdout)


def test_tokens_that_are_taken_all_the_same(office: Office) -> None:
    """As of an API server that does not look up what they are bound to."""

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/tokenreviews"):
            return faults.Reply(201, json.dumps({"status": {"authenticated": True}}).encode())
        return None

    office.kubectl("apply", "-f", "-", stdin=POD)
    with relay(office, meanwhile) as environ:
        done = office.revoke("pod/web-0", "--yes", "--timeout=2s", status=1, **environ)
    assert done.stdout.startswith("not revoked yet: the tokens of pod/web-0: ")
    assert "the API server still takes a token bound to it 2s later" in flat(done.stdout)
    assert "to keep what it is" not in done.stdout, "it is too late for that"


# --- what else happens meanwhile ------------------------------------------------------------------


@contextmanager
def relay(
    office: Office, hook: Callable[[faults.Request], faults.Reply | None]
) -> Iterator[dict[str, str]]:
    """The API server behind a proxy that does something at each request, or answers itself."""
    cluster = office.cluster
    context = ssl.create_default_context(cafile=str(cluster.ca))
    context.load_cert_chain(cluster.own("admin.crt"), cluster.own("admin.key"))
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    opener = urllib.request.build_opener(*handlers)

    def reply(request: faults.Request) -> faults.Reply:
        own = hook(request)
        if own is not None:
            return own
        kept = [(k, v) for k, v in request.headers if k.lower() in ("accept", "content-type")]
        sent = urllib.request.Request(
            cluster.server + request.path, request.body or None, dict(kept), method=request.method
        )
        try:
            with opener.open(sent, timeout=30) as answer:
                status, body, kind = answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            status, body, kind = error.code, error.read(), error.headers["Content-Type"]
        return faults.Reply(status, body, (("Content-Type", kind),))

    with faults.serve(reply) as server:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "relay",
            "clusters": [{"name": "relay", "cluster": {"server": server.url}}],
            "users": [{"name": "relay", "user": {}}],
            "contexts": [
                {
                    "name": "relay",
                    "context": {
                        "cluster": "relay",
                        "user": "relay",
                        "namespace": office.namespace,
                    },
                }
            ],
        }
        path = office.folder / "relay.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        yield {"KUBECONFIG": str(path)}


def is_write(request: faults.Request, method: str, part: str) -> bool:
    """Whether a request is that write, and not only rehearsed."""
    path = request.path.partition("?")[0]
    return (
        request.method == method
        and path.endswith(part)
        and b"dryRun" not in request.body
        and "dryRun" not in request.path
    )


@pytest.mark.parametrize("kind", ["pod", "handle", "legacy", "account"])
def test_what_was_made_anew_in_between_is_left_alone(kind: str, office: Office) -> None:
    name = {"pod": "pods/web-0", "account": "serviceaccounts/web"}.get(kind, "secrets/web-token")
    manifest = {"pod": POD, "legacy": LEGACY, "handle": None}.get(kind)
    words = {"pod": "pod/web-0", "account": "sa/web"}.get(kind, "secret/web-token")
    if kind == "handle":
        office.kubectl("create", "secret", "generic", "web-token")
    elif kind == "legacy":
        office.legacy()
    elif manifest:
        office.kubectl("apply", "-f", "-", stdin=manifest)
    done_once = []

    def meanwhile(request: faults.Request) -> None:
        method = "PATCH" if kind == "legacy" else "DELETE"
        if not done_once and is_write(request, method, name):
            done_once.append(True)
            plural, _, one = name.partition("/")
            office.kubectl("delete", plural, one)
            if kind == "account":
                office.kubectl("create", "sa", "web")
            elif kind == "handle":
                office.kubectl("create", "secret", "generic", "web-token")
            elif kind == "legacy":
                office.legacy()
            else:
                office.kubectl("apply", "-f", "-", stdin=POD)
            done_once.append(office.state())

    with relay(office, meanwhile) as environ:
        done = office.revoke(words, "--yes", status=3, **environ)
    assert "it was changed or made anew since it was looked at, so nothing was done" in done.stderr
    assert done.stdout == ""
    assert office.state() == done_once[1]
    assert not [*office.folder.rglob("revoked/*")]


def test_what_was_changed_in_between_is_not_overwritten(office: Office) -> None:
    seen: list[Any] = []

    def meanwhile(request: faults.Request) -> None:
        if not seen and is_write(request, "DELETE", "serviceaccounts/web"):
            office.kubectl("annotate", "sa", "web", "note=precious")
            seen.append(office.state())

    with relay(office, meanwhile) as environ:
        office.revoke("sa/web", "--yes", status=3, **environ)
    assert office.state() == seen[0]


def test_a_server_that_fails_between_the_two_halves(office: Office) -> None:
    """The account is away then: it is said how it comes back, and the same command does it."""
    office.kubectl("label", "sa", "web", "team=build")
    token = office.mint("web").stdout
    broken = [True]

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if broken and is_write(request, "POST", "/serviceaccounts"):
            return faults.Reply(500, faults.status(500, "InternalError", "out of order"))
        return None

    with relay(office, meanwhile) as environ:
        done = office.revoke("sa/web", "--yes", status=3, **environ)
        assert "note: the account was deleted and is not made again yet" in done.stderr
        (file,) = office.folder.rglob("revoked/*")
        assert file.stat().st_mode & 0o777 == 0o600
        broken.clear()
        dry = office.revoke("sa/web", **environ)
        assert "an earlier run, cut short, has deleted the account" in flat(dry.stdout)
        assert office.kubectl("get", "sa", "web", "-o", "name", check=False) == ""
        again = office.revoke("sa/web", "--yes", **environ)
        assert again.stdout.startswith("revoked: ")
    labels = office.kubectl("get", "sa", "web", "-o", "jsonpath={.metadata.labels.team}")
    assert labels == "build"
    assert not [*office.folder.rglob("revoked/*")]
    office.until(lambda: not office.taken(token), 12)


@pytest.mark.parametrize("arrives", [True, False])
def test_an_answer_that_gets_lost(arrives: bool, office: Office) -> None:
    """Whether the account was deleted is not known then; it is there afterwards in any case."""
    office.kubectl("label", "sa", "web", "team=build")
    uid = office.uid("sa", "web")

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "DELETE", "serviceaccounts/web"):
            if arrives:
                office.kubectl("delete", "sa", "web")
            return faults.Reply(cut="before")
        return None

    with relay(office, meanwhile) as environ:
        done = office.revoke("sa/web", "--yes", status=0 if arrives else 3, **environ)
    assert (office.uid("sa", "web") != uid) == arrives
    labels = office.kubectl("get", "sa", "web", "-o", "jsonpath={.metadata.labels.team}")
    assert labels == "build"
    assert ("the connection broke off" in done.stderr) != arrives
    assert not [*office.folder.rglob("revoked/*")]


def test_a_webhook_that_cannot_be_tried(office: Office) -> None:
    said = 'admission webhook "hook.example.org" does not support dry run'

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if request.method == "PATCH" and "dryRun" in request.path:
            return faults.Reply(400, faults.status(400, "BadRequest", said))
        return None

    office.legacy()
    with relay(office, meanwhile) as environ:
        done = office.revoke("secret/web-token", **environ)
        assert f"whether it may be done could not be tried: {said}" in flat(done.stdout)
        office.revoke("secret/web-token", "--yes", **environ)


def test_the_command_that_is_printed_brings_the_account_back(office: Office) -> None:
    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/serviceaccounts"):
            return faults.Reply(403, faults.status(403, "Forbidden", "no"))
        return None

    office.kubectl("label", "sa", "web", "team=build")
    with relay(office, meanwhile) as environ:
        done = office.revoke("sa/web", "--yes", status=3, **environ)
    (line,) = (one for one in done.stderr.splitlines() if "is not made again yet" in one)
    office.shell(re.sub(r".*this makes it: (.*) \(or the same.*", r"\1", line))
    labels = office.kubectl("get", "sa", "web", "-o", "jsonpath={.metadata.labels.team}")
    assert labels == "build"


def test_killed_between_the_two_halves(office: Office) -> None:
    office.kubectl("label", "sa", "web", "team=build")
    started: list[subprocess.Popen[str]] = []

    def meanwhile(request: faults.Request) -> faults.Reply | None:
        if is_write(request, "POST", "/serviceaccounts") and started:
            started.pop().send_signal(signal.SIGKILL)
            time.sleep(0.2)
            return faults.Reply(cut="before")
        return None

    script = str(Path(sys.executable).parent / "kubectl-satoken")
    with relay(office, meanwhile) as environ:
        process = subprocess.Popen(
            [script, "revoke", "sa/web", "--yes"],
            env={**office.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert office.kubectl("get", "sa", "web", "-o", "name", check=False) == ""
        office.revoke("sa/web", "--yes", **environ)
    labels = office.kubectl("get", "sa", "web", "-o", "jsonpath={.metadata.labels.team}")
    assert labels == "build"


def test_a_token_that_is_taken_all_the_same(tmp_path: Path, installed: Path) -> None:
    """An API server that does not look up what tokens are bound to cannot be helped."""
    (tmp_path / "desk").mkdir()
    blind = start(tmp_path / "cluster", apiserver_flags={"service-account-lookup": "false"})
    try:
        office = Office(blind, tmp_path / "desk")
        token = office.legacy()
        done = office.revoke("-", "--yes", stdin=token, status=1)
        assert done.stdout.startswith("not revoked yet: ")
        assert "--service-account-lookup=false" in done.stdout
    finally:
        blind.stop()


def test_the_wait_can_be_cut_short(office: Office) -> None:
    token = office.mint("web", "--revocable").stdout
    began = time.monotonic()
    found = office.revocation("-", "--yes", "--timeout=1s", stdin=token, status=1)
    assert time.monotonic() - began < 5
    assert (found["outcome"], found["review"]["taken"]) == ("taken", True)
    office.until(lambda: not office.taken(token), 12)


# --- who loses it ---------------------------------------------------------------------------------


def test_all_that_uses_a_secret_is_named(office: Office) -> None:
    token = office.legacy()
    office.kubectl("apply", "-f", "-", stdin=CRD)
    office.kubectl("wait", "--for=condition=Established", "crd/robots.revoke.example.org")
    office.until(
        lambda: "robots" in office.kubectl("api-resources", "--api-group=revoke.example.org")
    )
    office.kubectl("apply", "-f", "-", stdin=f"{CONSUMERS}\n---\n{ROBOTS}")
    office.kubectl("patch", "sa", "web", "-p", '{"secrets":[{"name":"web-token"}]}')
    office.kubectl("patch", "sa", "default", "-p", '{"imagePullSecrets":[{"name":"web-token"}]}')
    found = office.revocation("-", stdin=token)
    ways = {
        (one["kind"], one["name"]): {(use["how"], use["path"]) for use in one["uses"]}
        for one in found["consumers"]
    }
    template = "spec.template.spec"
    assert ways == {
        ("Deployment", "zero"): {("volume", f"{template}.volumes[0].secret.secretName")},
        ("CronJob", "nightly"): {
            ("envFrom", f"spec.jobTemplate.{template}.containers[0].envFrom[0].secretRef.name")
        },
        ("StatefulSet", "db"): {("imagePullSecrets", f"{template}.imagePullSecrets[0].name")},
        ("DaemonSet", "agent"): {
            ("projected volume", f"{template}.volumes[0].projected.sources[0].secret.name")
        },
        ("PodTemplate", "stamp"): {
            ("env", "template.spec.initContainers[0].env[0].valueFrom.secretKeyRef.name")
        },
        ("Pod", "alone"): {
            ("env", "spec.containers[0].env[0].valueFrom.secretKeyRef.name"),
        },
        ("Robot", "r2"): {
            ("envFrom", "spec.arms[0].template.spec.containers[0].envFrom[0].secretRef.name")
        },
        ("Robot", "named"): {("named", "spec.tokenSecretRef")},
        ("ServiceAccount", "web"): {("secrets", "secrets[0].name")},
        ("ServiceAccount", "default"): {("imagePullSecrets", "imagePullSecrets[0].name")},
    }
    zero = next(one for one in found["consumers"] if one["name"] == "zero")
    assert (zero["state"], zero["pods"]) == ("scaled to zero", 0)
    text = office.revoke("-", stdin=token).stdout
    assert "deployment/zero (scaled to zero): volume t" in text
    assert "robot.revoke.example.org/r2: envFrom of app" in text
    runs = office.revocation("sa/web")["consumers"]
    assert {one["name"] for one in runs if one["of"]["kind"] == "ServiceAccount"} == {"r2", "named"}
    office.kubectl("delete", "crd", "robots.revoke.example.org")


def test_use_from_outside_is_told_by_the_label(office: Office) -> None:
    token = office.legacy()
    assert "nothing that is known of" in office.revoke("secret/web-token").stdout
    assert office.taken(token)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    said = flat(office.revoke("secret/web-token").stdout)
    assert f"something outside the cluster used the token on {today}" in said


# --- who may --------------------------------------------------------------------------------------


@pytest.fixture
def users(office: Office) -> dict[str, str]:
    """The kubeconfigs of people with the usual roles in the namespace."""
    found = {}
    for role in ("view", "edit"):
        user = f"{role}-{uuid.uuid4().hex[:6]}"
        office.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
        found[role] = str(office.cluster.user(user))
    return found


def test_who_may_edit_can_revoke(office: Office, users: dict[str, str]) -> None:
    environ = {"KUBECONFIG": users["edit"]}
    scope = ["-n", office.namespace]
    token = office.legacy()
    assert office.taken(token)
    found = office.revoke("secret/web-token", *scope, "--yes", **environ)
    # without TokenReview the token itself is used to ask who it is
    assert "and the API server refuses it" in flat(found.stdout)
    assert not office.taken(token)
    handle = office.mint("web", "--revocable").stdout
    assert office.taken(handle)
    office.revoke("-", *scope, "--yes", stdin=handle, **environ)
    assert not office.taken(handle)
    unbound = office.mint("web").stdout
    assert office.taken(unbound)
    done = office.revoke("sa/web", *scope, "--yes", **environ)
    assert "the API server refuses a token of the old account" in flat(done.stdout)
    assert not office.taken(unbound)


def test_who_may_only_view_is_told_what_is_missing(office: Office, users: dict[str, str]) -> None:
    environ = {"KUBECONFIG": users["view"]}
    scope = ["-n", office.namespace]
    token = office.legacy()
    office.kubectl("apply", "-f", "-", stdin=POD)
    before = office.state()
    done = office.revoke("secret/web-token", *scope, "--yes", status=3, **environ)
    assert "could not be looked at: forbidden to you" in done.stderr
    for yes in ([], ["--yes"]):
        done = office.revoke("pod/web-0", *scope, *yes, status=3, **environ)
        assert 'cannot delete resource "pods"' in done.stderr
    assert office.state() == before
    assert office.taken(token)
    office.kubectl("patch", "sa", "web", "-p", '{"imagePullSecrets":[{"name":"registry"}]}')
    refused = office.revoke("sa/web", *scope, status=3, **environ)
    assert "which Secrets of serviceaccount web go with it cannot be told" in refused.stderr
    assert "--verb=get --resource=secrets --resource-name=registry" in refused.stderr
    # the Role that is printed is enough
    (hint,) = (line for line in done.stderr.splitlines() if line.startswith("hint: "))
    office.shell(hint.partition("who may grant it: ")[2])
    office.revoke("pod/web-0", *scope, "--yes", **environ)
    assert office.kubectl("get", "pods", "-o", "name") == ""


def test_the_roles_that_are_printed_are_enough_one_after_the_other(
    office: Office, users: dict[str, str]
) -> None:
    """Without any right to begin with, what is missing is told until it works."""
    user = f"jane-{uuid.uuid4().hex[:6]}"
    environ = {"KUBECONFIG": str(office.cluster.user(user))}
    token = office.legacy()
    assert office.taken(token)
    granted: list[str] = []
    while len(granted) < 6:
        done = office.revoke(
            "secret/web-token", "-n", office.namespace, "--yes", check=False, **environ
        )
        if done.returncode == 0:
            break
        (hint,) = (line for line in done.stderr.splitlines() if line.startswith("hint: "))
        granted.append(hint.partition("who may grant it: ")[2])
        office.shell(granted[-1])
    assert done.returncode == 0
    assert len(granted) == 2, "to look at it, and to change it"
    assert "not seen pods, cronjobs, daemonsets, deployments, jobs" in flat(done.stdout)
    assert not office.taken(token)


def test_the_uid_in_a_token_is_enough_for_who_may_only_delete(office: Office) -> None:
    user = f"jane-{uuid.uuid4().hex[:6]}"
    environ = {"KUBECONFIG": str(office.cluster.user(user))}
    office.kubectl("create", "role", user, "--verb=delete", "--resource=pods")
    office.kubectl("create", "rolebinding", user, f"--role={user}", f"--user={user}")
    office.kubectl("apply", "-f", "-", stdin=POD)
    token = office.mint("web", "--bound-to", "pod/web-0").stdout
    assert office.taken(token)
    done = office.revoke("-", "--yes", stdin=token, **environ)
    assert done.stdout.startswith("revoked: ")
    assert not office.taken(token)


# --- usage, and that nothing gets out -------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "what is to be revoked: -, FILE, secret/NAME, pod/NAME, sa/NAME"),
        (["deploy/web"], "deploy holds no token that could be read"),
        (["sa/"], "sa/NAME needs one name"),
        (["a", "b"], "one token at a time, got 2 names"),
        (["eyJhbGciOi.eyJhbGciOi.eyJhbGciOi"], "a token does not belong on the command line"),
        (["pod/x", "--grace-period=0"], "--grace-period must be 1 or more"),
        (["pod/x", "--timeout=x"], 'invalid argument "x" for "--timeout" flag'),
    ],
    ids=str,
)
def test_usage(words: list[str], message: str, office: Office) -> None:
    done = office.revoke(*words, status=2)
    assert done.stdout == ""
    assert message in done.stderr
    assert "eyJ" not in done.stderr


def test_no_token_gets_out(office: Office) -> None:
    token = office.legacy()
    (office.folder / "t").write_text(token)
    handle = office.mint("web", "--revocable").stdout
    for form in ("wide", "json", "yaml"):
        office.revoke("-", "-v=9", "-o", form, stdin=token)
        office.revoke("t", "-v=9", "-o", form)
        office.revoke("secret/web-token", "-v=9", "-o", form)
    office.revoke("secret/web-token", "--yes", "-v=9")
    office.revoke("-", "--yes", "-v=9", stdin=handle)
    office.revoke("sa/web", "--yes", "-v=9")
    office.revoke("-", "--yes", "-v=9", stdin=token[:-40], check=False)
    office.revoke("-", stdin=token + "\x00", check=False, SATOKEN_TRACEBACK="1")
    heard = "".join(office.heard)
    assert "GET " in heard
    for one in (token, handle):
        for part in one.split("."):
            assert part not in heard
    (office.folder / "t").unlink()
    for path in office.folder.rglob("*"):
        if path.is_file():
            assert not JWT.search(path.read_text(errors="replace")), path
