"""The error texts as the real API server and kubectl write them, put to `kubectl satoken explain`.

Each is provoked: tokens are minted and then something about them is deleted, made anew or tampered
with, requests are refused, objects are not admitted.
"""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.cluster import Cluster
from tests.scenarios import TOKEN_SECRET, Stage, review, service_account, template

POD = template("serviceAccountName: web, containers: [{name: app, image: app}]", kind="Pod")


@pytest.fixture(scope="module")
def opened(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("explain"))
    stage.open()
    yield stage
    stage.close()


@pytest.fixture
def stage(opened: Stage) -> Stage:
    """The namespace, with a service account and a pod that are new."""
    opened.shell("kubectl -n $NS delete --ignore-not-found --force pod/web secret/web-token")
    opened.shell("kubectl -n $NS delete --ignore-not-found sa/web")
    opened.kubectl("-n", opened.namespace, "apply", "-f", "-", stdin=service_account())
    opened.kubectl("-n", opened.namespace, "apply", "-f", "-", stdin=POD)
    return opened


def explained(stage: Stage, text: str, *flags: str) -> list[dict[str, Any]]:
    """What explain finds in a text that is piped into it."""
    done = subprocess.run(
        ["kubectl-satoken", "explain", "-", "-o", "json", *flags],
        env=stage.environ,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    matches: list[dict[str, Any]] = json.loads(done.stdout)["matches"]
    assert done.returncode == (0 if matches else 1), text
    return matches


def first(stage: Stage, text: str) -> str:
    """The name of the rule that a text belongs to; empty when it is unknown."""
    matches = explained(stage, text)
    return str(matches[0]["name"]) if matches else ""


def refused(stage: Stage, line: str, **more: str) -> str:
    """What a shell line prints that fails."""
    done = stage.shell(line, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def mint(stage: Stage, *flags: str) -> str:
    return stage.kubectl("-n", stage.namespace, "create", "token", "web", *flags).strip()


def bound(stage: Stage) -> str:
    return mint(stage, "--bound-object-kind", "Pod", "--bound-object-name", "web")


def of_secret(stage: Stage) -> str:
    """The token of a new token Secret."""
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=TOKEN_SECRET)
    stage.until("kubectl -n $NS get secret web-token -o jsonpath='{.data.token}' | grep -q .")
    return base64.b64decode(stage.get("secret", "web-token")["data"]["token"]).decode()


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(token: str, index: int) -> Any:
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def signed_again(stage: Stage, token: str, **changes: Any) -> str:
    """A token with other claims, signed by the key of the cluster."""
    key = serialization.load_pem_private_key(stage.cluster.service_account_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    body = f"{encoded(part(token, 0))}.{encoded({**part(token, 1), **changes})}"
    return f"{body}.{encoded(key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


# --- why the API server refuses a token -----------------------------------------------------------


def expired(stage: Stage) -> str:
    now = int(time.time())
    return signed_again(stage, mint(stage), iat=now - 7200, nbf=now - 7200, exp=now - 3600)


def of_the_future(stage: Stage) -> str:
    now = int(time.time())
    return signed_again(stage, mint(stage), iat=now + 3600, nbf=now + 3600, exp=now + 7200)


def for_vault(stage: Stage) -> str:
    return mint(stage, "--audience", "vault")


def without_account(stage: Stage) -> str:
    token = mint(stage)
    stage.shell("kubectl -n $NS delete pod web --force; kubectl -n $NS delete sa web")
    return token


def account_anew(stage: Stage) -> str:
    token = mint(stage)
    stage.shell("kubectl -n $NS delete sa web; kubectl -n $NS create sa web")
    return token


def without_pod(stage: Stage) -> str:
    token = bound(stage)
    stage.shell("kubectl -n $NS delete pod web --force")
    return token


def pod_anew(stage: Stage) -> str:
    token = without_pod(stage)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=POD)
    return token


def tampered(stage: Stage) -> str:
    head, _, signature = mint(stage).split(".")
    return f"{head}.{encoded({**part(mint(stage), 1), 'sub': 'x'})}.{signature}"


def of_another_key(stage: Stage) -> str:
    head, payload, signature = mint(stage).split(".")
    return f"{encoded({**part(head + '.', 0), 'kid': 'another'})}.{payload}.{signature}"


def of_another_issuer(stage: Stage) -> str:
    return signed_again(stage, mint(stage), iss="https://elsewhere.example")


def no_token_at_all(stage: Stage) -> str:
    return "ZXlKaGJHY2lPaUpTVXpJMU5pSjkK"


def secret_deleted(stage: Stage) -> str:
    token = of_secret(stage)
    stage.shell("kubectl -n $NS delete secret web-token")
    return token


def secret_edited(stage: Stage) -> str:
    token = of_secret(stage)
    other = base64.b64encode(token.encode() + b"\n").decode()
    stage.shell(f'kubectl -n $NS patch secret web-token -p \'{{"data":{{"token":"{other}"}}}}\'')
    return token


def marked_invalid(stage: Stage) -> str:
    token = of_secret(stage)
    # only a Secret that its service account lists counts as generated
    stage.shell("""kubectl -n $NS patch sa web -p '{"secrets":[{"name":"web-token"}]}'""")
    stage.shell(
        "kubectl -n $NS label secret web-token kubernetes.io/legacy-token-invalid-since=2026-01-01"
    )
    return token


def account_of_legacy_anew(stage: Stage) -> str:
    token = of_secret(stage)
    changed = {**part(token, 1), "kubernetes.io/serviceaccount/service-account.uid": "x"}
    again = signed_again(stage, token, **changed)
    other = base64.b64encode(again.encode()).decode()
    stage.shell(f'kubectl -n $NS patch secret web-token -p \'{{"data":{{"token":"{other}"}}}}\'')
    return again


def without_claims(stage: Stage) -> str:
    token = of_secret(stage)
    return signed_again(stage, token, **{"kubernetes.io/serviceaccount/secret.name": ""})


REFUSED = {
    "token-expired": expired,
    "token-clock-skew": of_the_future,
    "token-wrong-audience": for_vault,
    "token-sa-deleted": without_account,
    "token-sa-recreated": account_anew,
    "token-bound-object-gone": without_pod,
    "token-bound-pod-recreated": pod_anew,
    "token-unknown-signing-key": tampered,
    "token-unknown-signing-key (no such key)": of_another_key,
    "invalid-bearer-token": of_another_issuer,
    "invalid-bearer-token (still base64)": no_token_at_all,
    "legacy-secret-deleted": secret_deleted,
    "legacy-secret-content-changed": secret_edited,
    "legacy-token-marked-invalid": marked_invalid,
    "token-sa-recreated (legacy)": account_of_legacy_anew,
    "legacy-token-malformed-claims": without_claims,
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_reason_of_a_token_review_is_known(case: str, stage: Stage) -> None:
    token = REFUSED[case](stage)
    text = review(stage, token)
    assert text, "the token is good"
    assert [match["name"] for match in explained(stage, text)] == [case.partition(" ")[0]], text
    # as kube-apiserver logs it, with the token beside it by mistake
    log = f'E1122 10:00:00.1 1 authentication.go:75] "Unable to authenticate" err="{text}" {token}'
    matches = explained(stage, log)
    assert matches[0]["name"] == case.partition(" ")[0]
    for piece in token.split("."):
        assert piece not in json.dumps(matches)


def test_what_kubectl_says_of_a_401_tells_no_reason(stage: Stage) -> None:
    lines = (
        "server=$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')",
        "kubectl --kubeconfig=/dev/null --server=$server --insecure-skip-tls-verify --token=x "
        "-n $NS get pods",
    )
    text = refused(stage, "; ".join(lines))
    (match,) = explained(stage, text)
    assert (match["name"], match["generic"]) == ("unauthorized", True)


# --- why it refuses a request -----------------------------------------------------------------


AS_WEB = "--as=system:serviceaccount:$NS:web"
REQUESTS = {
    "kubectl -n $NS get pods": "rbac-not-granted",
    "kubectl -n $NS get secret web-token": "rbac-not-granted",
    "kubectl -n $NS scale deployment web --replicas=1": "rbac-not-granted",
    "kubectl get --raw /api/v1/namespaces/$NS/pods/web/log": "rbac-not-granted",
    "kubectl -n $NS delete configmap kube-root-ca.crt": "rbac-not-granted",
    "kubectl get nodes": "rbac-cluster-scoped-needs-crb",
    "kubectl get pods -A": "rbac-cluster-scoped-needs-crb",
    "kubectl get --raw /metrics": "rbac-nonresourceurls",
    "kubectl get --raw /api/v1/nodes/n1/proxy/metrics": "kubelet-api-403",
    "kubectl -n $NS create token web": "tokenrequest-rbac-missing",
}


@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_403_is_known_and_the_printed_lines_grant_it(request_line: str, stage: Stage) -> None:
    text = refused(stage, f"{request_line} {AS_WEB}")
    (match,) = explained(stage, text)
    assert match["name"] == REQUESTS[request_line], text
    assert match["next"][0] == f"kubectl satoken doctor sa/web -n {stage.namespace}"
    if request_line.endswith("create token web"):
        return
    try:
        for line in match["grant"]:
            stage.shell(line)
        end = time.monotonic() + 10
        while "forbidden: User" in stage.shell(f"{request_line} {AS_WEB}", check=False).stderr:
            assert time.monotonic() < end
            time.sleep(0.3)
    finally:
        for line in match["grant"][::-1]:
            stage.shell(line.partition(" --")[0].replace(" create ", " delete "))


def test_the_lines_to_run_next_can_be_run(stage: Stage) -> None:
    text = refused(stage, f"kubectl -n $NS get pods {AS_WEB}")
    (match,) = explained(stage, text)
    done = stage.shell(match["next"][0], check=False)
    assert done.returncode in (0, 1)
    assert "serviceaccount/web" in done.stdout


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("kubectl -n $NS get pods --as=system:anonymous", "no-token-sent"),
        ("kubectl get --raw /openid/v1/jwks --as=system:anonymous", "jwks-discovery"),
        ("kubectl -n $NS get pods --as=system:serviceaccount:$NS:default", "unexpected-default-sa"),
        ("kubectl -n $NS get pods --as=jane", "user-not-allowed"),
        (
            "kubectl -n $NS get secrets --as=system:serviceaccount:kube-system:job-controller",
            "sa-is-not-the-requester",
        ),
        (
            "kubectl -n kube-system get cm extension-apiserver-authentication " + AS_WEB,
            "aggregated-api-403",
        ),
        (
            "kubectl create --raw /api/v1/namespaces/$NS/serviceaccounts/web/token "
            "--as=system:node:n1 --as-group=system:nodes -f <(echo "
            """'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}')""",
            "kubelet-token-no-relationship",
        ),
        ("kubectl -n $NS create token web --duration=1m", "tokenrequest-rejected"),
        (
            "kubectl -n $NS create token web --bound-object-kind=Pod --bound-object-name=web "
            "--bound-object-uid=x",
            "tokenrequest-rejected",
        ),
        (
            "kubectl -n $NS create token default --bound-object-kind=Pod --bound-object-name=web",
            "tokenrequest-rejected",
        ),
    ],
)
def test_other_refusals_are_known(line: str, name: str, stage: Stage) -> None:
    text = refused(stage, line)
    assert first(stage, text) == name, text


def test_a_binding_to_nothing_is_known(stage: Stage) -> None:
    stage.shell(
        "kubectl -n $NS create rolebinding b --clusterrole=not-there --serviceaccount=$NS:web"
    )
    end = time.monotonic() + 10
    while True:
        text = refused(stage, f"kubectl -n $NS get pods {AS_WEB}")
        (match,) = explained(stage, text)
        if match["name"] == "rbac-binding-missing-role":
            break
        assert time.monotonic() < end, text
        time.sleep(0.3)
    stage.shell("kubectl -n $NS delete rolebinding b")
    assert match["next"][1] == f"kubectl -n {stage.namespace} get clusterrole not-there"


PROJECTED = (
    "containers: [{name: a, image: a}], volumes: [{name: t, projected: {sources: "
    "[{serviceAccountToken: {%s}}]}}]"
)
OBJECTS = {
    "sa-not-found": template(
        "serviceAccountName: nobody, containers: [{name: a, image: a}]", kind="Pod", name="odd"
    ),
    "projection-expiration-out-of-range": template(
        PROJECTED % "path: token, expirationSeconds: 60", kind="Pod", name="odd"
    ),
    "projection-bad-path": template(PROJECTED % "path: /token", kind="Pod", name="odd"),
    "projection-unknown-field-audiences": template(
        PROJECTED % "path: token, audiences: [vault]", kind="Pod", name="odd"
    ),
    "legacy-secret-missing-annotation": """
apiVersion: v1
kind: Secret
metadata: {name: odd}
type: kubernetes.io/service-account-token
""",
    "legacy-base64": """
apiVersion: v1
kind: Secret
metadata: {name: odd}
data: {token: "not base64!"}
""",
    "rbac-subject-invalid": """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: odd}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: web}]
""",
    "rbac-roleref-kind-confusion": """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: odd}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: view}
""",
    "rbac-nonresourceurls": """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: odd}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
""",
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_not_admitted_is_known(name: str, stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "object.yaml"
    file.write_text(OBJECTS[name])
    text = refused(stage, f"kubectl -n $NS create --dry-run=server -f {file}")
    assert first(stage, text) == name, text


def test_an_event_of_a_controller_is_known_and_names_the_account(stage: Stage) -> None:
    manifest = template("serviceAccountName: nobody, containers: [{name: a, image: a}]", name="odd")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=manifest)
    events = stage.until("kubectl -n $NS get events | grep 'error looking up'")
    stage.shell("kubectl -n $NS delete deployment odd")
    (match,) = explained(stage, events)
    assert match["name"] == "sa-not-found"
    assert match["next"][0] == f"kubectl satoken doctor sa/nobody -n {stage.namespace}"


def test_an_event_of_the_kubelet_is_known_and_names_the_pod(stage: Stage) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web.1"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "web",
            "namespace": stage.namespace,
            "uid": stage.get("pod", "web")["metadata"]["uid"],
        },
        "reason": "FailedMount",
        "type": "Warning",
        "source": {"component": "kubelet"},
        "message": 'MountVolume.SetUp failed for volume "kube-api-access-x2k9p" : failed to fetch '
        'token: serviceaccounts "web" not found',
        "count": 1,
    }
    stage.kubectl("-n", stage.namespace, "create", "-f", "-", stdin=json.dumps(event))
    doctor = f"kubectl satoken doctor pod/web -n {stage.namespace}"
    for line in (
        "kubectl -n $NS describe pod web",
        "kubectl -n $NS get events",
        "kubectl get events -A | grep -E '^NAMESPACE|FailedMount'",
        "kubectl get --raw /api/v1/namespaces/$NS/events",
        "kubectl -n $NS get events -o json",
    ):
        flags = ("-n", stage.namespace) if line.endswith("$NS get events") else ()
        matches = explained(stage, stage.shell(line).stdout, *flags)
        (match,) = [one for one in matches if one["name"] == "kubelet-token-sa-missing"]
        assert match["next"][0] == doctor, line
    stage.shell("kubectl -n $NS delete event web.1")
