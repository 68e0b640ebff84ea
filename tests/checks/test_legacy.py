"""Legacy token Secrets, and how they get made."""

import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.manifests import ManifestWorld, parse

from .given import codes, commands, examined, findings, first, the

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


IMMUTABLE = SECRET.replace("type: kub", "immutable: true\ntype: kub", 1)
MANIFEST = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  namespace: shop
  labels: {team: a}
  annotations: {kubernetes.io/service-account.name: web}
"""
WEB = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
"""
# as the API server shows it: only that the field was written
OWNED = """
  managedFields:
  - manager: kubectl-client-side-apply
    fieldsV1: {"f:immutable": {}, "f:type": {}}
"""


def in_files(*documents: str) -> list[Finding]:
    """The findings on the Secret of these manifests; what was not seen is left out."""
    files = ManifestWorld(parse("---".join(documents), "test"), "shop", 0)
    return examine(first(files, "Secret"), files)[0]


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
        pytest.param(SECRET.replace("creationTimestamp", "other"), id="nobody knows when"),
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
    # a Secret of such a name in a manifest is SAT308
    assert codes(POD + "---" + there) == ["SAT308"]
    assert codes(POD.replace("secretName: default", "optional: true, secretName: default")) == []


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/serviceaccount-token", None])
def test_legacy_secret_wrong_type_fires(kind):
    text = SECRET.replace(
        "type: kubernetes.io/service-account-token", f"type: {kind}" if kind else ""
    )
    found = findings(text, "Secret")
    assert [finding.code for finding in found] == ["SAT204"]
    delete, apply = commands(found[0])
    assert delete == "kubectl -n shop delete secret web-token --ignore-not-found"
    assert "type: kubernetes.io/service-account-token\n" in apply


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(SECRET.replace("kubernetes.io/service-account-token", "Opaque"), id="copy"),
        # as OpenShift makes it
        pytest.param(
            SECRET.replace("kubernetes.io/service-account-token", "kubernetes.io/dockercfg"),
            id="dockercfg",
        ),
    ],
)
def test_legacy_secret_wrong_type_quiet(secret, request):
    if request.node.callspec.id == "copy":
        secret = secret.replace("metadata:\n", "data: {token: eA==}\nmetadata:\n", 1)
    assert codes(secret, "Secret") == []


def test_legacy_secret_before_sa_fires_for_the_order():
    finding = the(in_files(MANIFEST, WEB), "SAT205")
    assert finding.certainty == "likely"
    account, secret = commands(finding)
    assert "kind: ServiceAccount" in account
    assert "kind: Secret" in secret
    assert "team: a" in secret


def test_legacy_secret_before_sa_fires_for_a_uid():
    uid = MANIFEST.replace(
        "account.name: web}", "account.name: web, kubernetes.io/service-account.uid: old}"
    )
    finding = the(in_files(WEB, uid), "SAT205")
    assert finding.certainty == "likely"
    assert "uid" not in commands(finding)[0]
    stored = WEB.replace("{name: web", "{uid: new, name: web")
    assert the(in_files(stored, uid), "SAT205").certainty == "certain"
    assert the(in_files(uid), "SAT205").certainty == "possible"
    assert in_files(stored.replace("new", "old"), uid) == []


def test_legacy_secret_before_sa_fires_for_a_name():
    other = WEB.replace("web", "shop-web")
    finding = the(in_files(other, MANIFEST), "SAT205")
    assert finding.certainty == "likely"
    assert "kubernetes.io/service-account.name: shop-web\n" in commands(finding)[1]
    # in a snapshot it is known that there is no such account
    gone = the(findings(MANIFEST, "Secret"), "SAT205")
    assert gone.certainty == "certain"
    assert commands(gone)[0] == "kubectl -n shop create serviceaccount web"


def test_legacy_secret_before_sa_quiet():
    assert in_files(WEB, MANIFEST) == []
    assert in_files(MANIFEST.replace("name: web}", "name: default}")) == []
    assert in_files(MANIFEST) == []  # the account may well be in the cluster
    assert codes(MANIFEST + "---" + WEB, "Secret") == []  # a snapshot has no order
    stored = WEB.replace("{name: web", "{uid: u, name: web")
    assert in_files(MANIFEST, stored) == []


def test_legacy_secret_other_namespace_fires():
    finding = the(in_files(WEB.replace("shop", "pay"), MANIFEST), "SAT207")
    assert finding.certainty == "likely"
    assert "namespace: pay\n" in commands(finding)[0]


@pytest.mark.parametrize("name", ["pay/web", "'system:serviceaccount:pay:web'"])
def test_legacy_secret_other_namespace_fires_for_a_name_that_is_none(name):
    text = MANIFEST.replace("account.name: web}", f"account.name: {name}}}")
    found = in_files(text)
    assert [finding.code for finding in found] == ["SAT207"]
    assert "namespace: pay\n" in commands(found[0])[0]
    assert "kubernetes.io/service-account.name: web\n" in commands(found[0])[0]


def test_legacy_secret_other_namespace_quiet():
    assert in_files(WEB, WEB.replace("shop", "pay"), MANIFEST) == []
    assert in_files(MANIFEST) == []


def test_legacy_secret_immutable_fires():
    found = in_files(WEB, MANIFEST.replace("type:", "immutable: true\ntype:", 1))
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT208", "certain")]
    delete, apply = commands(found[0])
    assert " delete secret web-token" in delete
    assert "immutable" not in apply


def test_legacy_secret_immutable_fires_by_who_wrote_the_field():
    text = SECRET.replace("  uid: secret\n", f"  uid: secret{OWNED}", 1)
    found = findings(text, "Secret")
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT208", "likely")]


def test_legacy_secret_immutable_quiet():
    filled = IMMUTABLE.replace("metadata:\n", "data: {token: eA==}\nmetadata:\n", 1)
    assert codes(filled, "Secret") == []
    assert "SAT208" not in codes(SECRET, "Secret")
    unset = MANIFEST.replace("type:", "immutable: false\ntype:", 1)
    assert in_files(WEB, unset) == []
