"""Legacy tokens that are not what they should be."""

import base64
import json

import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.manifests import ManifestWorld, parse

from .given import codes, commands, examined, findings, first, the

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"

SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
dataCount: 3
metadata:
  name: NAME
  namespace: shop
  uid: secret
  creationTimestamp: "2026-11-22T11:00:00Z"
  annotations:
    kubernetes.io/service-account.name: ACCOUNT
    kubernetes.io/service-account.uid: sa-ACCOUNT
  managedFields:
  - manager: kubectl-create
    fieldsV1: {"f:type": {}}
  - manager: kube-controller-manager
    fieldsV1:
      "f:data": {"f:token": {}}
      "f:metadata": {"f:annotations": {"f:kubernetes.io/service-account.uid": {}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web}
---
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod}
spec:
  serviceAccountName: web
  containers:
  - name: app
    image: app
    volumeMounts: [{name: t, mountPath: PATH}]
  volumes: [{name: t, secret: {secretName: ci}}]
"""
WEB_REVIEWER = """
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web-reviewer, namespace: shop, uid: sa-web-reviewer}
"""
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"


def secret(name: str = "web-token", account: str = "web") -> str:
    return SECRET.replace("NAME", name).replace("ACCOUNT", account)


def in_files(field: str, value: str, kind: str = "kubernetes.io/service-account-token") -> Finding:
    """The one finding on a manifest with this token."""
    found = all_in_files(field, value, kind)
    assert len(found) == 1, found
    return found[0]


def all_in_files(field: str, value: str, kind: str) -> list[Finding]:
    text = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web, namespace: shop}}
---
apiVersion: v1
kind: Secret
type: {kind}
metadata:
  name: web-token
  namespace: shop
  annotations: {{kubernetes.io/service-account.name: web}}
{field}:
  token: {json.dumps(value)}
"""
    files = ManifestWorld(parse(text, "test"), "shop", 0)
    found, _, _ = examine(first(files, "Secret"), files)
    assert JWT not in str(found)
    assert encoded(JWT) not in str(found)
    return found


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "name", ["web-token", "web", "web-secret", "web.service-account-token", "web-token-x7k2p"]
)
def test_legacy_secret_wrong_sa_name_fires_by_the_name(name):
    finding = the(findings(secret(name, "default"), "Secret"), "SAT206")
    assert finding.certainty == "likely"
    delete, apply = commands(finding)
    assert delete == f"kubectl -n shop delete secret {name} --ignore-not-found"
    assert "kubernetes.io/service-account.name: web\n" in apply


def test_legacy_secret_wrong_sa_name_fires_by_the_pod():
    text = secret("ci", "default") + POD.replace("PATH", PLACE)
    finding = the(findings(text, "Secret"), "SAT206")
    assert finding.message.endswith("pod x, which has it as its own, runs as web")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(secret(), id="its own"),
        pytest.param(secret("default-token", "default"), id="named after it"),
        pytest.param(secret("other-token", "default"), id="there is no such account"),
        pytest.param(
            secret("web-token", "web-reviewer") + WEB_REVIEWER, id="shortened, beside its stem"
        ),
        pytest.param(
            secret("web-token-reviewer", "default"), id="a word of somebody's after token"
        ),
        pytest.param(
            secret("ci", "default") + POD.replace("PATH", "/tokens"), id="not as the pod's own"
        ),
        pytest.param(secret("ci", "web") + POD.replace("PATH", PLACE), id="the account of the pod"),
    ],
)
def test_legacy_secret_wrong_sa_name_quiet(text):
    assert codes(text, "Secret") == []


def test_legacy_secret_wrong_sa_name_reads_no_pods_where_the_name_fits():
    assert examined(secret(), "Secret", unseen=("Pod",)) == ([], [])
    _, skipped = examined(secret("ci"), "Secret", unseen=("Pod",))
    assert skipped == [("SAT206", "pods")]


COPIED = secret().replace("kube-controller-manager", "velero-server")
BY_HAND = (
    secret()
    .replace("manager: kube-controller-manager\n", "manager: kubectl\n")
    .replace('"f:metadata": {"f:annotations": {"f:kubernetes.io/service-account.uid": {}}}', "{}")
    .replace("      {}\n", "")
)


def test_legacy_copied_token_data_fires_for_another_writer():
    finding = the(findings(BY_HAND, "Secret"), "SAT209")
    assert finding.message == (
        "the token in secret web-token was put there by kubectl, not by the token controller"
    )
    assert commands(finding) == (
        "kubectl -n shop patch secret web-token --type=json "
        """-p '[{"op":"remove","path":"/data/token"}]'""",
    )


def test_legacy_copied_token_data_fires_for_another_uid():
    text = secret().replace("account.uid: sa-web", "account.uid: old")
    finding = the(findings(text, "Secret"), "SAT209")
    assert finding.severity == "error"
    assert "delete secret web-token" in commands(finding)[0]


def test_legacy_copied_token_data_fires_in_a_manifest():
    assert in_files("data", encoded(JWT)).code == "SAT209"
    assert in_files("stringData", JWT).code == "SAT209"


K3S = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-root-ca.crt
  namespace: shop
  managedFields: [{manager: kubectl, fieldsV1: {"f:data": {"f:ca.crt": {}}}}]
data: {ca.crt: certificate}
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(secret(), id="by the controller"),
        pytest.param(COPIED, id="put back for the same account"),
        pytest.param(BY_HAND.replace("T11:00:00Z", "T11:59:50Z"), id="just made"),
        pytest.param(BY_HAND.replace("manager: kubectl\n", "manager: k3s\n"), id="k3s"),
        pytest.param(BY_HAND + "---" + K3S, id="a controller of another name"),
        pytest.param(BY_HAND.replace("managedFields", "other"), id="not known"),
        pytest.param(BY_HAND.replace("creationTimestamp", "other"), id="nobody knows when"),
    ],
)
def test_legacy_copied_token_data_quiet(text):
    assert codes(text, "Secret") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", JWT),
        ("data", f'"{JWT}"'),
        ("data", encoded(JWT + "\n")),
        ("data", encoded(f"Bearer {JWT}")),
        ("data", encoded(encoded(JWT))),
        ("stringData", encoded(JWT)),
        ("stringData", f"'{JWT}'"),
        ("stringData", JWT + "\n"),
        ("stringData", encoded(JWT + "\n")),
    ],
)
def test_legacy_base64_fires(field, value):
    finding = in_files(field, value)
    assert (finding.code, finding.certainty) == ("SAT215", "certain")
    refused = "." in value and field == "data"
    assert refused == finding.message.startswith("the API server refuses")
    assert "\ndata" not in commands(finding)[1]
    opaque = in_files(field, value, "Opaque")
    assert opaque.code == "SAT215"
    assert "--from-file=token=/dev/stdin" in commands(opaque)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", encoded(JWT)),
        ("data", encoded("no token at all")),
        ("stringData", JWT),
        ("stringData", "s.vault-token"),
        ("data", ""),
    ],
)
def test_legacy_base64_quiet(field, value):
    found = all_in_files(field, value, "kubernetes.io/service-account-token")
    assert "SAT215" not in [finding.code for finding in found]
