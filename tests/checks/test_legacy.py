"""Legacy token Secrets."""

import pytest

from .given import codes, commands, examined, findings, the

SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  namespace: shop
  uid: secret
  creationTimestamp: "2026-11-22T11:58:00Z"
  annotations: {kubernetes.io/service-account.name: web}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec:
  containers:
  - name: app
    image: app
    volumeMounts: [{name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
  volumes: [{name: t, secret: {secretName: default-token-x7k2p}}]
"""

GONE = """
---
apiVersion: v1
kind: Event
metadata: {name: x.1, namespace: shop}
involvedObject: {kind: Pod, name: x}
reason: FailedMount
message: 'MountVolume.SetUp failed for volume "t" : secret "default-token-x7k2p" not found'
"""


def test_legacy_secret_not_populated_fires():
    finding = the(findings(SECRET, "Secret"), "SAT201")
    assert finding.message == "secret web-token has no token: no controller has filled it in 2m"
    assert commands(finding) == (
        "kubectl -n shop annotate --overwrite secret web-token satoken/retry=$(date +%s)",
    )


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(SECRET + "", id="filled"),
        pytest.param(SECRET.replace("11:58:00", "11:59:45"), id="the controller gets its time"),
        pytest.param(SECRET.replace("  uid: secret\n", ""), id="not stored yet"),
        pytest.param(SECRET.replace("kubernetes.io/service-account-token", "Opaque"), id="Opaque"),
    ],
)
def test_legacy_secret_not_populated_quiet(secret, request):
    if request.node.callspec.id == "filled":
        secret = secret.replace("metadata:\n", "data: {token: eA==}\nmetadata:\n", 1)
    assert codes(secret, "Secret") == []


@pytest.mark.parametrize(
    ("name", "account"), [("web-token", "web"), ("web", "web"), ("other", "web")]
)
def test_legacy_secret_missing_annotation_fires(name, account):
    text = SECRET.replace("kubernetes.io/service-account.name", "serviceaccount.name").replace(
        "name: web-token", f"name: {name}"
    )
    finding = the(findings(text, "Secret"), "SAT202")
    assert f"kubernetes.io/service-account.name: {account}\n" in commands(finding)[0]
    assert any("serviceaccount.name" in one.path for one in finding.evidence)


def test_legacy_secret_missing_annotation_quiet():
    assert "SAT202" not in codes(SECRET, "Secret")


def test_pod_references_missing_token_secret_fires():
    found = findings(POD)
    assert [finding.code for finding in found] == ["SAT203"]
    (command,) = commands(found[0])
    assert '"volumes":[{"name":"t","$patch":"delete"}]' in command


def test_pod_references_missing_token_secret_fires_by_the_event_where_secrets_are_forbidden():
    found, _ = examined(POD + GONE, unseen=("Secret",))
    assert "SAT203" in [finding.code for finding in found]


def test_pod_references_missing_token_secret_is_skipped_where_nothing_tells():
    found, skipped = examined(POD, unseen=("Secret",))
    assert found == []
    assert ("SAT203", "secret default-token-x7k2p") in skipped


def test_pod_references_missing_token_secret_fires_for_an_environment_variable():
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec:
  containers:
  - name: app
    image: app
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web, key: token}}}]
"""
    finding = the(findings(pod), "SAT203")
    assert "kubernetes.io/service-account.name: default" in commands(finding)[0]
    optional = pod.replace("key: token", "key: token, optional: true")
    assert codes(optional) == []


def test_pod_references_missing_token_secret_quiet():
    there = SECRET.replace("web-token", "default-token-x7k2p").replace(
        "metadata:\n", "data: {token: eA==}\nmetadata:\n", 1
    )
    assert codes(POD + "---" + there) == []
    assert codes(POD.replace("secretName: default", "optional: true, secretName: default")) == []
