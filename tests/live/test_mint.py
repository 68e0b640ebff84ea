"""mint against a real API server: each form used by a real client, each refusal as it comes."""

import base64
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster, start

JWT = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")

PYTHON_CLIENT = """
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
body = client.V1SelfSubjectReview()
print(client.AuthenticationV1Api().create_self_subject_review(body).status.user_info.username)
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-0}
spec:
  serviceAccountName: web
  nodeName: mint-node
  containers:
  - name: app
    image: app
    volumeMounts: [{name: vault, mountPath: /vault}, {name: tokens, mountPath: /tokens}]
  volumes:
  - name: vault
    projected:
      sources: [{serviceAccountToken: {path: vault, audience: vault, expirationSeconds: 900}}]
  - name: tokens
    projected:
      sources:
      - {serviceAccountToken: {path: sts, audience: sts, expirationSeconds: 7200}}
      - {serviceAccountToken: {path: again, audience: sts, expirationSeconds: 7200}}
  - name: unused
    projected:
      sources: [{serviceAccountToken: {path: token, audience: nobody}}]
"""


class Desk:
    """A namespace with the account web, a private folder, and who works there."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"mint-{uuid.uuid4().hex[:8]}"
        folder.chmod(0o700)
        (folder / "cache").mkdir()
        own = folder / "own.kubeconfig"
        own.write_bytes(cluster.kubeconfig.read_bytes())
        own.chmod(0o600)
        self.environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "KUBECONFIG": str(own),
        }
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("config", "set-context", "--current", f"--namespace={self.namespace}")
        self.kubectl("create", "serviceaccount", "web")

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:web"

    @property
    def context(self) -> str:
        return f"{self.namespace}/web@{self.config()['clusters'][0]['name']}"

    def config(self) -> Any:
        return yaml.safe_load(Path(self.environ["KUBECONFIG"]).read_text())

    def run(
        self,
        *words: str,
        stdin: str | None = None,
        check: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            words,
            env={**self.environ, **(environ or {})},
            cwd=self.folder,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        return self.run("kubectl", *words, stdin=stdin, check=check).stdout

    def mint(
        self, *words: str, check: bool = True, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        return self.run("kubectl-satoken", "mint", *words, check=check, environ=environ)

    def shell(self, line: str) -> "subprocess.CompletedProcess[str]":
        return self.run("bash", "-c", line)

    def whoami(self, *words: str, environ: Mapping[str, str] | None = None) -> str:
        """Who a kubeconfig is, by kubectl."""
        asked = ("kubectl", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", *words)
        return self.run(*asked, environ=environ).stdout

    def claims(self, *words: str) -> Any:
        return json.loads(self.mint(*words, "-o", "claims").stdout)

    def requests(self) -> int:
        """How many tokens the API server was asked for so far, in this namespace."""
        found = 0
        for line in self.cluster.audit_log.read_text().splitlines():
            if self.namespace in line and '"subresource":"token"' in line and '"create"' in line:
                found += json.loads(line)["stage"] == "ResponseComplete"
        return found

    def review(self, token: str) -> Any:
        """What the API server says of a token now."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        asked = json.dumps({**body, "spec": {"token": token}})
        return json.loads(self.kubectl("create", "-f", "-", "-o", "json", stdin=asked))["status"]


@pytest.fixture
def desk(cluster: Cluster, tmp_path: Path, installed: Path) -> Iterator[Desk]:
    opened = Desk(cluster, tmp_path)
    yield opened
    # a test may have left another context in use
    admin = {"KUBECONFIG": str(cluster.kubeconfig)}
    opened.run("kubectl", "delete", "namespace", opened.namespace, "--wait=false", environ=admin)


# --- as kubectl create token ----------------------------------------------------------------------

REFUSED = [
    [],
    ["a", "b"],
    [""],
    ["nope"],
    ["web", "-n", "nowhere"],
    ["web", "--duration", "x"],
    ["web", "--duration", ""],
    ["web", "--duration", "10"],
    ["web", "--duration", "100d"],
    ["web", "--duration", "1.5s"],
    ["web", "--duration=-1h"],
    ["web", "--duration", "1m"],
    ["web", "--duration", "9999999h"],
    ["web", "--audience", ""],
    ["web", "--bound-object-kind", "pod"],
    ["web", "--bound-object-kind", "Pod"],
    ["web", "--bound-object-name", "x"],
    ["web", "--bound-object-uid", "x"],
    ["web", "--bound-object-kind", "Pod", "--bound-object-name", "x"],
    ["web", "--bound-object-kind", "Node", "--bound-object-name", "x"],
    ["web", "--bound-object-kind", "Secret", "--bound-object-name", "s", "--bound-object-uid", "1"],
    ["web", "--as", "nobody"],
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_kubectl_refuses_is_refused_in_its_words(words: list[str], desk: Desk) -> None:
    desk.kubectl("create", "secret", "generic", "s")
    theirs = desk.run("kubectl", "create", "token", *words, check=False)
    ours = desk.mint(*words, check=False)
    assert theirs.returncode == 1
    assert ours.returncode in (2, 3)
    assert ours.stdout == theirs.stdout == ""
    assert ours.stderr.splitlines()[0] == theirs.stderr.splitlines()[0]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--duration", "0"],
        ["--duration", "1h30m"],
        ["--audience", "a", "--audience", "b,c"],
        ["--bound-object-kind", "Secret", "--bound-object-name", "s"],
    ],
    ids=" ".join,
)
def test_what_kubectl_grants_is_granted(words: list[str], desk: Desk) -> None:
    desk.kubectl("create", "secret", "generic", "s")
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        theirs = read(desk.kubectl("create", "token", "web", *words, "-o", form))
        ours = read(desk.mint("web", *words, "-o", form).stdout)
        for made in (ours, theirs):
            assert JWT.fullmatch(made["status"].pop("token"))
            made["status"].pop("expirationTimestamp")
            made["metadata"].pop("creationTimestamp")
        assert ours == theirs


def test_the_token_alone_without_a_line_break(desk: Desk) -> None:
    for target in (["web"], ["sa/web"], ["serviceaccount", "web"]):
        token = desk.mint(*target).stdout
        assert JWT.fullmatch(token)
        assert desk.review(token)["user"]["username"] == desk.user


# --- bound ----------------------------------------------------------------------------------------


def test_bound_to_an_object_as_it_is_now(desk: Desk) -> None:
    desk.kubectl("create", "secret", "generic", "s")
    desk.kubectl("apply", "-f", "-", stdin=POD)
    node = f"node-{desk.namespace}"
    desk.kubectl(
        "create", "-f", "-", stdin=f"{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
    )
    for kind, name in (("secret", "s"), ("pod", "web-0"), ("node", node)):
        uid = desk.kubectl("get", kind, name, "-o", "jsonpath={.metadata.uid}")
        found = desk.claims("web", "--bound-to", f"{kind}/{name}")
        assert found["kubernetes.io"][kind] == {"name": name, "uid": uid}
    desk.kubectl("delete", "node", node)
    desk.kubectl("create", "serviceaccount", "other")
    before = desk.requests()
    done = desk.mint("other", "--bound-to", "pod/web-0", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: pod/web-0 runs as serviceaccount web, not other\n"
        f"hint: kubectl satoken mint web --bound-to pod/web-0 -n {desk.namespace}\n"
    )
    assert desk.requests() == before
    assert JWT.fullmatch(desk.shell(done.stderr.partition("hint: ")[2]).stdout)


def test_who_may_not_look_binds_by_name(desk: Desk) -> None:
    desk.kubectl("create", "secret", "generic", "s")
    role = ["--verb=create", "--resource=serviceaccounts/token"]
    desk.kubectl("create", "role", "mint", *role)
    desk.kubectl("create", "rolebinding", "mint", "--role=mint", "--user=jane")
    uid = desk.kubectl("get", "secret", "s", "-o", "jsonpath={.metadata.uid}")
    done = desk.mint("web", "--bound-to", "secret/s", "-o", "claims", "--as", "jane")
    assert json.loads(done.stdout)["kubernetes.io"]["secret"]["uid"] == uid
    assert done.stderr == (
        "note: secret/s is bound by name only: "
        f"forbidden to you: needs get secrets in namespace {desk.namespace}\n"
    )


def test_a_pod_gets_what_the_kubelet_asks_for(desk: Desk) -> None:
    desk.kubectl("apply", "-f", "-", stdin=POD)
    pod = json.loads(desk.kubectl("get", "pod", "web-0", "-o", "json"))
    # the admission has added the volume of the API server's own token
    (own,) = (v["name"] for v in pod["spec"]["volumes"] if v["name"].startswith("kube-api"))
    for words, audience, life in (
        (["--audience", "vault"], ["vault"], 900),
        (["--volume", "tokens"], ["sts"], 7200),
        (["--volume", own], None, 3607),
    ):
        made = json.loads(desk.mint("pod/web-0", *words, "-o", "json").stdout)
        assert made["metadata"]["name"] == "web"
        spec = made["spec"]
        assert spec["expirationSeconds"] == life
        assert spec["boundObjectRef"] == {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "web-0",
            "uid": pod["metadata"]["uid"],
        }
        issuer = desk.claims("web")["aud"]
        assert spec["audiences"] == (audience or issuer)
    # the audience that its token has, though no volume names it
    made = json.loads(desk.mint("pod/web-0", "--audience", *issuer, "-o", "json").stdout)
    assert (made["spec"]["audiences"], made["spec"]["expirationSeconds"]) == (issuer, 3607)
    done = desk.mint("pod/web-0", "--audience", "nobody", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    done = desk.mint("pod/web-0", check=False)
    assert done.returncode == 2
    assert "pod/web-0 has 3 tokens: say which by --audience or --volume" in done.stderr
    assert "volume vault: vault, for vault, 15m" in done.stderr
    assert "nobody" not in done.stderr, "no container mounts it, so the kubelet does not ask"
    # extended, as for the pod itself
    done = desk.mint("pod", "web-0", "--volume", own, "-o", "claims")
    real = json.loads(done.stdout)
    assert real["exp"] - real["iat"] > 30_000_000
    assert "note: the API server takes it for 365d, though it says 1h" in done.stderr


def test_a_pod_on_no_node_has_none(desk: Desk) -> None:
    desk.kubectl("apply", "-f", "-", stdin=POD.replace("  nodeName: mint-node\n", ""))
    done = desk.mint("pod/web-0", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: pod/web-0 is on no node yet")
    _, _, command = done.stderr.partition("hint: for a token of its account: ")
    assert JWT.fullmatch(desk.shell(command).stdout)
    done = desk.mint("pod/web-0", "--duration=1h", check=False)
    _, _, command = done.stderr.partition("hint: for another token of its account: ")
    assert JWT.fullmatch(desk.shell(command).stdout)


def test_a_workload_is_told_its_account(desk: Desk) -> None:
    desk.kubectl("create", "deployment", "shop", "--image=app")
    desk.kubectl("set", "serviceaccount", "deployment", "shop", "web")
    done = desk.mint("deploy/shop", check=False)
    assert done.returncode == 2
    _, _, command = done.stderr.partition("hint: it runs as serviceaccount web: ")
    assert JWT.fullmatch(desk.shell(command).stdout)


# --- each form, used by a client ------------------------------------------------------------------


def test_kubeconfig_by_kubectl_and_python(desk: Desk) -> None:
    file = desk.folder / "web.kubeconfig"
    done = desk.mint("web", "-o", "kubeconfig", "--out", "web.kubeconfig")
    assert (done.stdout, done.stderr) == ("", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    alone = {"KUBECONFIG": str(file)}
    assert desk.whoami(environ=alone) == desk.user
    view = json.loads(desk.run("kubectl", "config", "view", "-o", "json", environ=alone).stdout)
    assert view["current-context"] == desk.context
    assert view["contexts"][0]["context"]["namespace"] == desk.namespace
    python = [sys.executable, "-c", PYTHON_CLIENT, str(file)]
    assert desk.run(*python).stdout == f"{desk.user}\n"


def test_the_cluster_stanza_stays_as_it_is(desk: Desk, cluster: Cluster) -> None:
    config = desk.config()
    stanza = config["clusters"][0]["cluster"]
    pem = base64.b64decode(stanza.pop("certificate-authority-data"))
    (desk.folder / "ca.crt").write_bytes(pem)
    port = cluster.server.rpartition(":")[2]
    stanza |= {
        "server": f"https://localhost:{port}",
        "certificate-authority": "ca.crt",
        "tls-server-name": "kubernetes.default.svc",
        "disable-compression": True,
        "proxy-url": "http://proxy.example:3128",
        "extensions": [{"name": "e", "extension": {"a": 1}}],
    }
    flags = ["--server", cluster.server, "--tls-server-name", "kubernetes.default.svc"]
    (desk.folder / "odd.kubeconfig").write_text(yaml.safe_dump(config))
    without = {**config}
    del stanza["proxy-url"]
    (desk.folder / "near.kubeconfig").write_text(yaml.safe_dump(without))
    near = ("--kubeconfig", "near.kubeconfig")
    made = yaml.safe_load(desk.mint("web", "-o", "kubeconfig", *near).stdout)
    found = {**made["clusters"][0]["cluster"]}
    assert base64.b64decode(found.pop("certificate-authority-data")) == pem
    assert found == {k: v for k, v in stanza.items() if k != "certificate-authority"}
    (desk.folder / "made").write_text(yaml.safe_dump(made))
    assert desk.whoami("--kubeconfig", "made") == desk.user
    # kubectl itself, asked to put the files into it
    flat = desk.kubectl("config", "view", "--flatten", "--minify", "--raw", "-o", "json", *near)
    theirs = json.loads(flat)["clusters"][0]["cluster"]
    assert theirs.pop("certificate-authority-data") == base64.b64encode(pem).decode()
    assert theirs == found
    # the flags of the command line are part of what is meant
    made = yaml.safe_load(desk.mint("web", "-o", "kubeconfig", *near, *flags).stdout)
    assert made["clusters"][0]["cluster"]["server"] == cluster.server
    insecure = ("--insecure-skip-tls-verify", "-o", "kubeconfig")
    made = yaml.safe_load(desk.mint("web", *insecure, *near).stdout)
    assert made["clusters"][0]["cluster"]["insecure-skip-tls-verify"] is True
    assert "certificate-authority-data" not in made["clusters"][0]["cluster"]


def test_merge_loses_nothing(desk: Desk) -> None:
    own = Path(desk.environ["KUBECONFIG"])
    own.write_text(f"# mine\n{own.read_text()}# the end\n")
    before = json.loads(desk.kubectl("config", "view", "--raw", "-o", "json"))
    done = desk.mint("web", "--merge")
    assert f"note: context {desk.context} is in {own}\n" in done.stderr
    assert own.read_text().startswith("# mine\n")
    assert "# the end\n" in own.read_text()
    after = json.loads(desk.kubectl("config", "view", "--raw", "-o", "json"))
    assert after["current-context"] == before["current-context"]
    for section in ("clusters", "users", "contexts"):
        assert [each for each in after[section] if each not in before[section]] == [
            each for each in after[section] if each["name"] == desk.context
        ]
        assert [each for each in before[section] if each not in after[section]] == []
    assert after["clusters"] == before["clusters"], "the cluster is there already"
    assert desk.whoami("--context", desk.context) == desk.user
    assert desk.whoami() != desk.user
    backup = Path(f"{own}.satoken-backup")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    theirs = desk.kubectl("config", "view", "--raw", "-o", "json", "--kubeconfig", str(backup))
    assert json.loads(theirs) == before
    # again: ours is replaced, nothing is there twice, kubectl can still write it
    desk.mint("web", "--merge")
    again = json.loads(desk.kubectl("config", "view", "--raw", "-o", "json"))
    assert [each["name"] for each in again["users"]] == [each["name"] for each in after["users"]]
    assert again["users"] != after["users"]
    assert own.read_text().startswith("# mine\n")
    desk.kubectl("config", "rename-context", desk.context, "renamed")
    assert desk.whoami("--context", "renamed") == desk.user


def test_merge_waits_for_the_lock_of_kubectl(desk: Desk) -> None:
    own = Path(desk.environ["KUBECONFIG"])
    before = own.read_bytes()
    Path(f"{own}.lock").touch()
    # so does kubectl
    assert desk.run("kubectl", "config", "use-context", "x", check=False).returncode
    done = desk.mint("web", "--merge", check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {own}.lock is there: another kubectl is writing")
    assert own.read_bytes() == before
    Path(f"{own}.lock").unlink()


def test_renew_by_kubectl_and_python(desk: Desk) -> None:
    file = desk.folder / "web.kubeconfig"
    desk.mint("web", "--renew", "--out", str(file))
    text = file.read_text()
    assert not JWT.search(text)
    assert "client-key" not in text
    # KUBECONFIG of who uses it is this file, which must not be what the plugin reads
    alone = {"KUBECONFIG": str(file)}
    asked = desk.requests()
    assert desk.whoami(environ=alone) == desk.user
    assert desk.run(sys.executable, "-c", PYTHON_CLIENT, str(file)).stdout == f"{desk.user}\n"
    assert desk.whoami(environ=alone) == desk.user
    assert desk.requests() == asked, "the token of --renew itself was kept for them"


def test_renew_within_the_kubeconfig_that_is_in_use(desk: Desk) -> None:
    desk.mint("web", "--renew", "--merge", "--audience", desk.claims("web")["iss"])
    assert desk.whoami("--context", desk.context) == desk.user
    desk.kubectl("config", "use-context", desk.context)
    assert desk.whoami() == desk.user
    done = desk.mint("web", "--renew", "--merge", check=False)
    assert done.returncode in (2, 3)
    assert "token" in done.stderr or "renew itself" in done.stderr


def test_renew_acts_as_who_minted(desk: Desk) -> None:
    role = ["--verb=create", "--resource=serviceaccounts/token", "--resource-name=web"]
    desk.kubectl("create", "role", "mint", *role)
    desk.kubectl("create", "rolebinding", "mint", "--role=mint", "--user=jane")
    made = desk.mint("web", "--renew", "--as=jane", "--as-group=dev").stdout
    (desk.folder / "jane").write_text(made)
    assert desk.whoami("--kubeconfig", "jane") == desk.user
    for cached in (desk.folder / "cache").rglob("*.json"):
        cached.unlink()
    assert desk.whoami("--kubeconfig", "jane") == desk.user
    log = desk.cluster.audit_log.read_text().splitlines()
    events = [json.loads(line) for line in log if '"subresource":"token"' in line]
    last = [e for e in events if e["objectRef"]["namespace"] == desk.namespace][-1]
    assert last["impersonatedUser"]["username"] == "jane"


def test_renew_hands_no_token_on(desk: Desk) -> None:
    token = desk.mint("web").stdout
    done = desk.mint("web", "--renew", "--token", token, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert token not in done.stderr


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_exec_credential_in_the_version_of_the_client(version: str, desk: Desk) -> None:
    file = desk.folder / "web.kubeconfig"
    text = desk.mint("web", "--renew").stdout
    wanted = f"client.authentication.k8s.io/{version}"
    file.write_text(text.replace("client.authentication.k8s.io/v1", wanted))
    assert desk.whoami("--kubeconfig", str(file)) == desk.user
    info = json.dumps({"kind": "ExecCredential", "apiVersion": wanted, "spec": {}})
    made = desk.mint("web", "-o", "exec-credential", KUBERNETES_EXEC_INFO=info)
    assert json.loads(made.stdout)["apiVersion"] == wanted


def test_a_kept_credential_sends_no_request(desk: Desk) -> None:
    first = desk.mint("web", "-o", "exec-credential")
    asked = desk.requests()
    again = desk.mint("web", "-o", "exec-credential", "-v", "6")
    assert again.stdout == first.stdout
    assert again.stderr == "", "-v 6 shows each request"
    assert desk.requests() == asked
    # another lifetime, audience or user is another token
    for words in (
        ["--duration=20m"],
        ["--audience=vault"],
        ["--as=x", "--as-group=system:masters"],
    ):
        other = desk.mint("web", "-o", "exec-credential", *words)
        assert other.stdout != first.stdout
    assert desk.requests() == asked + 3
    (kept, *_) = (desk.folder / "cache" / "kubectl-satoken" / "tokens").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_credential_that_was_refused_is_made_anew(desk: Desk) -> None:
    """client-go asks again after a 401, and must not get what is kept.

    It does so for its next request: the one that was refused is not sent again.
    """
    (desk.folder / "web").write_text(desk.mint("web", "--renew").stdout)
    assert desk.whoami("--kubeconfig", "web") == desk.user
    desk.kubectl("delete", "serviceaccount", "web")
    desk.kubectl("create", "serviceaccount", "web")
    time.sleep(11)  # the API server remembers for ten seconds whom it took
    refused = desk.run("kubectl", "auth", "whoami", "--kubeconfig", "web", check=False)
    assert "(Unauthorized)" in refused.stderr
    assert desk.whoami("--kubeconfig", "web") == desk.user


def test_header_and_env_by_curl(desk: Desk) -> None:
    place = f"{desk.cluster.server}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = """-d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'"""
    post = f"-sS -X POST -H 'Content-Type: application/json' {body}"
    line = (
        f"kubectl satoken mint web -o header | curl --cacert {desk.cluster.ca} -H @- {post} {place}"
    )
    assert json.loads(desk.shell(line).stdout)["status"]["userInfo"]["username"] == desk.user
    lines = (
        'eval "$(kubectl satoken mint web -o env)"\n'
        'curl --cacert <(printf %s "$KUBE_CLUSTER_CA_CERT_DATA") '
        '-H @<(printf "Authorization: Bearer %s" "$KUBE_TOKEN") '
        f'{post} "$KUBE_HOST/apis/authentication.k8s.io/v1/selfsubjectreviews"\n'
        'echo; echo "$KUBE_NAMESPACE"'
    )
    answer, namespace = desk.shell(lines).stdout.strip().rsplit("\n", 1)
    assert json.loads(answer)["status"]["userInfo"]["username"] == desk.user
    assert namespace == desk.namespace


def test_secret_is_what_the_kubelet_would_mount(desk: Desk) -> None:
    desk.shell("kubectl satoken mint web -o secret | kubectl apply -f -")
    data = json.loads(desk.kubectl("get", "secret", "web-token", "-o", "json"))["data"]
    found = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert desk.review(found["token"])["user"]["username"] == desk.user
    assert found["namespace"] == desk.namespace
    assert found["ca.crt"] == desk.cluster.ca.read_text()


def test_claims_hold_no_token(desk: Desk) -> None:
    done = desk.mint("web", "-o", "claims")
    assert not JWT.search(done.stdout + done.stderr)
    assert json.loads(done.stdout)["sub"] == desk.user


# --- what has to be said --------------------------------------------------------------------------


def test_what_may_surprise_is_said(desk: Desk) -> None:
    assert desk.mint("web").stderr == ""
    issuer = desk.claims("web")["iss"]
    done = desk.mint("web", "--audience", "vault")
    assert done.stderr == (
        "note: it is for vault: the API server refuses it, "
        f"unless that is among its --api-audiences (usually {issuer})\n"
    )
    assert not desk.review(done.stdout).get("authenticated")
    assert desk.mint("web", "--audience", issuer, "--audience", "vault").stderr == ""
    done = desk.mint("web", "--duration", "999999h", "-o", "claims")
    assert done.stderr.startswith("note: valid until 2140-")
    assert "114 years in which nothing but the end of serviceaccount web itself" in done.stderr


def test_a_shortened_life_is_said_once(tmp_path: Path, installed: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "desk").mkdir()
    short = start(tmp_path / "cluster", max_token_expiration="2h")
    try:
        desk = Desk(short, tmp_path / "desk")
        done = desk.mint("web", "--duration", "10h", "-o", "claims")
        found = json.loads(done.stdout)
        assert found["exp"] - found["iat"] == 7200
        assert (
            done.stderr
            == "Warning: requested expiration of 36000 seconds shortened to 7200 seconds\n"
        )
        # the date of a handle is that of the token
        desk.mint("web", "--duration", "10h", "--revocable")
        (handle,) = json.loads(desk.mint("--list", "-o", "json").stdout)["items"]
        created, expires = (
            time.mktime(time.strptime(handle[field], "%Y-%m-%dT%H:%M:%SZ"))
            for field in ("created", "expires")
        )
        assert 7190 <= expires - created <= 7230
    finally:
        short.stop()


def test_verify_asks_the_api_server(desk: Desk) -> None:
    done = desk.mint("web", "--verify")
    assert done.stderr == f"note: verified by TokenReview: {desk.user}\n"
    done = desk.mint("web", "--verify", "--audience", "vault")
    assert done.stderr.endswith(f"note: verified by TokenReview for vault: {desk.user}\n")
    role = ["--verb=create", "--resource=serviceaccounts/token"]
    desk.kubectl("create", "role", "mint", *role)
    desk.kubectl("create", "rolebinding", "mint", "--role=mint", "--user=jane")
    done = desk.mint("web", "--verify", "--as=jane")
    assert done.stderr == f"note: verified by SelfSubjectReview: {desk.user}\n"
    done = desk.mint("web", "--verify", "--as=jane", "--audience=vault", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "error: the token could not be verified: " in done.stderr


def test_an_account_that_is_nearly_right(desk: Desk) -> None:
    desk.kubectl("create", "serviceaccount", "frontend")
    done = desk.mint("frontent", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        'error: failed to create token: serviceaccounts "frontent" not found\n'
        "hint: did you mean frontend?\n"
    )


@pytest.mark.parametrize("who", ["jane", "system:serviceaccount:{}:robot"])
def test_the_right_that_is_missing_can_be_granted_as_printed(who: str, desk: Desk) -> None:
    who = who.format(desk.namespace)
    done = desk.mint("web", "--as", who, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    (hint,) = (line for line in done.stderr.splitlines() if line.startswith("hint: "))
    desk.shell(hint.partition("who may grant it: ")[2])
    assert JWT.fullmatch(desk.mint("web", "--as", who).stdout)
    # and no more than that
    desk.kubectl("create", "serviceaccount", "other")
    assert desk.mint("other", "--as", who, check=False).returncode == 3


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      resources: [serviceaccounts/token]
      operations: [CREATE]
  validations:
  - expression: "object.spec.expirationSeconds <= 7200"
    message: no token may live longer than two hours
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
"""


def test_a_policy_is_named(desk: Desk) -> None:
    desk.kubectl("apply", "-f", "-", stdin=POLICY.format(name=desk.namespace))
    try:
        until = time.monotonic() + 30
        while (done := desk.mint("web", "--duration=9h", check=False)).returncode == 0:
            assert time.monotonic() < until
            time.sleep(0.5)
        assert "no token may live longer than two hours" in done.stderr
        hint = done.stderr.splitlines()[1]
        assert hint.startswith("hint: a policy of this cluster, not RBAC, says no; its rule: ")
        shown = desk.shell(hint.partition("its rule: ")[2]).stdout
        assert "object.spec.expirationSeconds <= 7200" in shown
        assert desk.mint("web", "--duration=2h").returncode == 0
    finally:
        kind = "validatingadmissionpolicy"
        desk.kubectl("delete", f"{kind},{kind}binding", desk.namespace)


# --- tokens that can be ended ---------------------------------------------------------------------


def test_deleting_the_handle_ends_the_token(desk: Desk) -> None:
    done = desk.mint("web", "--revocable", "--purpose", "nightly build, 'all'")
    token = done.stdout
    assert desk.review(token)["authenticated"]
    (handle,) = json.loads(desk.mint("--list", "-o", "json").stdout)["items"]
    assert (handle["account"], handle["purpose"]) == ("web", "nightly build, 'all'")
    assert handle["owner"] == desk.whoami()
    secret = json.loads(desk.kubectl("get", "secret", handle["name"], "-o", "json"))
    assert "data" not in secret
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kubectl-satoken"
    header, row = desk.mint("--list").stdout.splitlines()
    assert header.split() == ["NAME", "ACCOUNT", "OWNER", "PURPOSE", "AGE", "EXPIRES"]
    assert row.split()[:2] == [handle["name"], "web"]
    assert desk.namespace in desk.mint("--list", "-A").stdout
    # never used at the API server, it is refused at once
    (line,) = (one for one in done.stderr.splitlines() if "this ends the token: " in one)
    other = desk.mint("web", "--revocable")
    desk.shell(line.partition("this ends the token: ")[2])
    until = time.monotonic() + 70
    while (verdict := desk.review(token)).get("authenticated"):
        assert time.monotonic() < until
        time.sleep(1)
    assert "invalidated" in verdict["error"]
    assert desk.review(other.stdout)["authenticated"], "only its own"
    desk.mint("--list", "-A", "--no-headers")


def test_a_renewing_kubeconfig_ends_with_its_handle(desk: Desk) -> None:
    (desk.folder / "ci").write_text(desk.mint("web", "--renew", "--revocable").stdout)
    assert desk.whoami("--kubeconfig", "ci") == desk.user
    (handle,) = json.loads(desk.mint("--list", "-o", "json").stdout)["items"]
    assert handle["expires"] == "renewed"
    assert "with the handle" in desk.mint("--list").stdout
    desk.kubectl("delete", "secret", handle["name"])
    # made anew by somebody: the name alone is not enough
    desk.kubectl("create", "secret", "generic", handle["name"])
    time.sleep(11)
    done = desk.run("kubectl", "--kubeconfig", "ci", "auth", "whoami", check=False)
    assert done.returncode
    assert "does not match the UID in record" in done.stderr


def test_no_handle_is_left_of_a_token_that_was_not_made(desk: Desk) -> None:
    assert desk.mint("nope", "--revocable", check=False).returncode == 3
    assert desk.mint("web", "--revocable", "--duration=1m", check=False).returncode == 3
    assert desk.mint("--list").stdout == ""
    done = desk.mint("web", "--revocable", "--as=jane", check=False)
    assert "error: failed to create the token's Secret: secrets is forbidden" in done.stderr
    hint = done.stderr.splitlines()[-1]
    desk.shell(hint.partition("who may grant it: ")[2])
    done = desk.mint("web", "--revocable", "--as=jane", check=False)
    assert "failed to create token" in done.stderr


# --- nothing gets out -----------------------------------------------------------------------------

EVERY_FORM = ("token", "json", "yaml", "kubeconfig", "exec-credential", "env", "header", "secret")


def seen_in_processes(stop: list[bool], found: set[str], home: Path) -> None:
    """Adds the tokens that stand in the arguments of a process with this home, until told to stop.

    Other tests, which may run at the same time, hand tokens to kubectl.
    """
    mark = f"HOME={home}\0".encode()
    while not stop:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace")
                    own = mark in (entry / "environ").read_bytes()
                except OSError:
                    continue
                if own:
                    found.update(JWT.findall(words))
        time.sleep(0.005)


def test_no_token_gets_where_it_does_not_belong(desk: Desk) -> None:
    import threading

    stop: list[bool] = []
    in_arguments: set[str] = set()
    watch = threading.Thread(target=seen_in_processes, args=(stop, in_arguments, desk.folder))
    watch.start()
    scratch = desk.folder / "tmp"
    scratch.mkdir()
    environ = {"TMPDIR": str(scratch)}
    heard = []
    try:
        for form in EVERY_FORM:
            for words in ([], ["--verify"], ["--revocable"]):
                if form == "exec-credential" and "--revocable" in words:
                    continue
                done = desk.mint("web", "-o", form, "-v=9", *words, **environ)
                assert JWT.search(done.stdout)
                heard.append(done.stderr)
            done = desk.mint("web", "-o", form, "--out", "made", "-v=9", **environ)
            assert done.stdout == ""
            heard.append(done.stderr)
        for words in (
            ["--renew", "-v=9"],
            ["--renew", "--merge", "-v=9"],
            ["-o", "claims", "-v=9"],
        ):
            done = desk.mint("web", *words, **environ)
            assert not JWT.search(done.stdout)
            heard.append(done.stderr)
        desk.whoami("--context", desk.context)
        for words in (["--duration=1m"], ["--out", "/nonexistent/x"], ["--out", "."]):
            heard.append(desk.mint("web", *words, check=False, SATOKEN_TRACEBACK="1").stderr)
    finally:
        stop.append(True)
        watch.join()
    assert heard
    assert not [text for text in heard if JWT.search(text)]
    assert not in_arguments
    assert list(scratch.iterdir()) == []
    # in files: what --out made, what is kept, and nothing else
    with_token = {
        path.relative_to(desk.folder).parts[0]
        for path in desk.folder.rglob("*")
        if path.is_file() and JWT.search(path.read_text(errors="replace"))
    }
    assert with_token == {"made", "cache"}
    for path in desk.folder.rglob("*"):
        if path.is_file() and JWT.search(path.read_text(errors="replace")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_bug_shows_no_token(desk: Desk) -> None:
    """A traceback has no values, even where the failing code holds the token."""
    broken = (
        "import sys, kubectl_satoken.token_output as forms\n"
        "def fail(token, **more):\n"
        "    text = token.reveal()\n"
        "    raise RuntimeError('broken')\n"
        "forms.token_text = fail\n"
        "sys.argv[:] = ['kubectl-satoken', 'mint', 'web']\n"
        "from kubectl_satoken.__main__ import main\n"
        "main()\n"
    )
    for environ in ({}, {"SATOKEN_TRACEBACK": "1"}):
        done = desk.run(sys.executable, "-c", broken, check=False, environ=environ)
        assert done.returncode != 0
        assert "RuntimeError" in done.stderr
        assert not JWT.search(done.stdout + done.stderr)


def test_killed_at_any_point_the_old_file_or_the_new_one_is_there(desk: Desk) -> None:
    own = Path(desk.environ["KUBECONFIG"])
    chance = random.Random(6)
    command = [str(Path(sys.executable).parent / "kubectl-satoken"), "mint", "web", "--merge"]
    old = own.read_bytes()
    began = time.monotonic()
    desk.run(*command)
    whole = time.monotonic() - began
    outcomes = set()
    for _ in range(30):
        before = own.read_bytes()
        process = subprocess.Popen(
            command,
            env=desk.environ,
            cwd=desk.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # most of the time near the end, where the files are written; a busy machine is slower
        time.sleep(chance.uniform(0.4, 1.5) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = own.read_bytes()
        outcomes.add(after == before)
        assert json.loads(desk.kubectl("config", "view", "-o", "json"))["users"]
        assert desk.whoami("--context", desk.context) == desk.user
        for path in desk.folder.iterdir():
            if path.is_file() and path.suffix != ".lock" and JWT.search(path.read_text()):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
        Path(f"{own}.lock").unlink(missing_ok=True)
    assert old
    assert outcomes == {True, False}, "some were killed before, and some were not"
