"""Auto-generated legacy tokens, and what becomes of them."""

import pytest

from kubectl_satoken.checks import examine
from kubectl_satoken.checks.legacy_cleaner import pod_secrets

from .given import codes, commands, examined, findings, first, the, world

SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
dataCount: 3
metadata:
  name: web-token-x7k2p
  namespace: shop
  uid: secret
  creationTimestamp: "2022-01-01T00:00:00Z"
  labels: {}
  annotations:
    kubernetes.io/service-account.name: web
    kubernetes.io/service-account.uid: sa-web
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web}
secrets: [{name: web-dockercfg-abcde}, {name: web-token-x7k2p}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-apiserver-legacy-service-account-token-tracking, namespace: kube-system}
data: {since: "2023-05-01"}
---
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod}
spec:
  containers:
  - name: app
    image: app
    envFrom: [{secretRef: {name: web-token-x7k2p}}]
status: {phase: Succeeded}
"""


def labelled(**labels: str) -> str:
    keys = {"used": "last-used", "invalid": "invalid-since"}
    text = ", ".join(
        f"kubernetes.io/legacy-token-{keys[key]}: '{value}'" for key, value in labels.items()
    )
    return SECRET.replace("labels: {}", f"labels: {{{text}}}")


def in_sweep(text: str) -> list[tuple[str, str]]:
    """Codes and severities of what a sweep has to say of the Secret."""
    cluster = world(text)
    found, skipped, _ = examine(first(cluster, "Secret"), cluster, asked=False)
    assert not skipped
    return [(finding.code, finding.severity) for finding in found]


# --- marked invalid


def test_legacy_token_marked_invalid_fires():
    text = labelled(invalid="2026-10-01", used="2025-03-01")
    finding = the(findings(text, "Secret"), "SAT210")
    assert finding.severity == "error"
    assert commands(finding) == (
        "kubectl -n shop label secret web-token-x7k2p kubernetes.io/legacy-token-invalid-since-",
    )
    assert in_sweep(text) == [("SAT210", "hint")]


def test_legacy_token_marked_invalid_fires_louder_where_somebody_still_tries():
    text = labelled(invalid="2026-10-01", used="2026-11-20")
    finding = the(findings(text, "Secret"), "SAT210")
    assert finding.message.endswith("and somebody still tries to use it (2026-11-20)")
    assert in_sweep(text) == [("SAT210", "error")]


def test_legacy_token_marked_invalid_quiet():
    assert codes(labelled(used="2026-11-21"), "Secret") == []
    assert codes(labelled(invalid=""), "Secret") == []
    opaque = labelled(invalid="2026-10-01").replace("kubernetes.io/service-account-token", "Opaque")
    assert codes(opaque, "Secret") == []


# --- to be purged


@pytest.mark.parametrize(
    ("text", "on"),
    [
        pytest.param(labelled(used="2025-12-30"), "2026-12-31", id="used long ago"),
        pytest.param(
            SECRET.replace("2023-05-01", "2025-12-30"), "2026-12-31", id="never since tracking"
        ),
        pytest.param(
            SECRET.replace("2022-01-01T00", "2026-01-30T08"), "2027-01-30", id="made later"
        ),
        pytest.param(labelled(used="2025-12-30", invalid="soon"), "2026-12-31", id="odd mark"),
    ],
)
def test_legacy_token_to_be_purged_fires(text, on):
    finding = the(findings(text, "Secret"), "SAT211")
    assert f"will be marked invalid on {on}, with the default period" in finding.message
    assert commands(finding) == (
        "kubectl -n shop patch serviceaccount web --type=json -p "
        """'[{"op":"test","path":"/secrets/1/name","value":"web-token-x7k2p"},"""
        """{"op":"remove","path":"/secrets/1"}]'""",
    )
    assert ("SAT211", "hint") in in_sweep(text)


DUE = labelled(used="2025-12-30")
GOING = '  uid: secret\n  deletionTimestamp: "2026-11-22T11:00:00Z"\n'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(labelled(used="2026-11-21"), id="in use"),
        pytest.param(labelled(used="2026-3-1"), id="a day the cleaner cannot read"),
        pytest.param(DUE.replace("{name: web-token-x7k2p}", "{name: other}"), id="by hand"),
        pytest.param(DUE.replace("account.uid: sa-web", "account.uid: old"), id="not its account"),
        pytest.param(DUE + POD, id="a pod has it, though it has ended"),
        pytest.param(DUE.replace("  uid: secret\n", GOING), id="going"),
        pytest.param(SECRET, id="long due, so another period"),
        pytest.param(
            DUE.replace("2023-05-01", "2026-01-01").replace("2025-12-30", "2024-12-30") + POD,
            id="tracked for a short time and used",
        ),
        pytest.param(
            DUE.replace("2022-01-01", "2026-11-01").replace("2025-12-30", "2026-11-02"), id="young"
        ),
    ],
)
def test_legacy_token_to_be_purged_quiet(text):
    assert "SAT211" not in codes(text, "Secret")


def test_legacy_token_to_be_purged_reads_nothing_for_one_in_use():
    unseen = ("ServiceAccount", "ConfigMap", "Pod")
    _, skipped = examined(labelled(used="2026-11-21"), "Secret", unseen=unseen)
    assert "SAT211" not in [code for code, _ in skipped]
    _, skipped = examined(DUE, "Secret", unseen=("Pod",))
    assert ("SAT211", "pods") in skipped


def test_the_secrets_of_a_pod_are_counted_as_the_cleaner_counts_them():
    pod = {
        "spec": {
            "imagePullSecrets": [{"name": "a"}],
            "containers": [
                {
                    "envFrom": [{"secretRef": {"name": "b"}}, {"configMapRef": {"name": "no"}}],
                    "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "c"}}}],
                }
            ],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "d"}}]}],
            "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "e"}}]}],
            "volumes": [
                {"secret": {"secretName": "f"}},
                {"projected": {"sources": [{"secret": {"name": "g"}}]}},
                {"csi": {"nodePublishSecretRef": {"name": "h"}}},
                {"azureFile": {"secretName": "i"}},
                {"rbd": {"secretRef": {"name": "j"}}},
                {"configMap": {"name": "no"}},
            ],
        }
    }
    assert sorted(filter(None, pod_secrets(pod))) == list("abcdefghij")


# --- the ConfigMap of the tracking


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            SECRET.replace("token-tracking", "other"),
            "create configmap kube-apiserver-legacy-service-account-token-tracking "
            "--from-literal=since=2026-11-22",
        ),
        (
            SECRET.replace("2023-05-01", "yesterday"),
            "patch configmap kube-apiserver-legacy-service-account-token-tracking "
            """-p '{"data":{"since":"2026-11-22"}}'""",
        ),
    ],
)
def test_legacy_tracking_configmap_missing_fires(text, command):
    finding = the(findings(text, "Secret"), "SAT214")
    assert finding.severity == "hint"
    assert commands(finding) == (f"kubectl -n kube-system {command}",)


def test_legacy_tracking_configmap_missing_quiet():
    missing = SECRET.replace("token-tracking", "other")
    assert "SAT214" not in codes(SECRET, "Secret")
    assert codes(missing.replace("web-token-x7k2p", "web-token"), "Secret") == []
    assert codes(missing.replace(", {name: web-token-x7k2p}", ""), "Secret") == []
    by_hand, skipped = examined(
        SECRET.replace(", {name: web-token-x7k2p}", ""), "Secret", unseen=("ConfigMap",)
    )
    assert (by_hand, skipped) == ([], [])


# --- the account's secrets

ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web}
secrets: [{name: web-dockercfg-abcde}, {name: web-token}]
imagePullSecrets: [{name: registry}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/dockercfg
metadata: {name: web-dockercfg-abcde, namespace: shop}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/dockerconfigjson
metadata: {name: registry, namespace: shop}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  namespace: shop
  annotations: {kubernetes.io/service-account.name: web}
---
"""


def account(text: str, *, unseen: tuple[str, ...] = ()) -> tuple[list[str], list[tuple[str, str]]]:
    """The codes of the findings on the account web, and what was skipped."""
    found, skipped = examined(text, "ServiceAccount", usual=False, unseen=unseen)
    return [finding.code for finding in found], skipped


def test_manual_token_in_sa_secrets_fires():
    found, _ = examined(ACCOUNT, "ServiceAccount", usual=False)
    finding = the(found, "SAT212")
    assert finding.severity == "hint"
    assert commands(finding) == (
        "kubectl -n shop patch serviceaccount web --type=json -p "
        """'[{"op":"test","path":"/secrets/1/name","value":"web-token"},"""
        """{"op":"remove","path":"/secrets/1"}]'""",
    )


def test_manual_token_in_sa_secrets_fires_where_pods_may_need_the_mention():
    text = ACCOUNT.replace(
        "uid: sa-web",
        "uid: sa-web, annotations: {kubernetes.io/enforce-mountable-secrets: 'true'}",
    )
    found, _ = examined(text, "ServiceAccount", usual=False)
    assert the(found, "SAT212").severity == "hint"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ACCOUNT.replace("web-token", "web-token-x7k2p"), id="auto-generated"),
        pytest.param(ACCOUNT.replace(", {name: web-token}", ""), id="not listed"),
        pytest.param(ACCOUNT.replace("service-account-token", "basic-auth"), id="no token"),
        pytest.param(ACCOUNT.replace("account.name: web", "account.name: other"), id="another's"),
    ],
)
def test_manual_token_in_sa_secrets_quiet(text):
    assert account(text) == ([], [])


def test_manual_token_in_sa_secrets_is_skipped_where_secrets_are_not_seen():
    text = ACCOUNT.partition("---")[0]
    assert account(text, unseen=("Secret",)) == (
        [],
        [("SAT212", "secret web-token"), ("SAT213", "secret registry")],
    )
    # of an account in a file it is no news
    assert account(text.replace(", uid: sa-web", ""), unseen=("Secret",)) == ([], [])


def test_sa_secrets_dangling_fires():
    text = ACCOUNT.partition("---")[0]
    found, _ = examined(text, "ServiceAccount", usual=False)
    pull, listed = [finding for finding in found if finding.code == "SAT213"]
    # charts name a pull secret that only private registries need
    assert (pull.severity, listed.severity) == ("hint", "hint")
    assert pull.object.path == "imagePullSecrets[0].name"
    assert '"path":"/imagePullSecrets/0"' in commands(pull)[0]
    # from the end, so that the places stay right
    (command,) = commands(listed)
    assert command.index("/secrets/1") < command.index("/secrets/0")


def test_sa_secrets_dangling_quiet():
    assert "SAT213" not in account(ACCOUNT)[0]
    bare = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop, uid: u}\n"
    assert account(bare, unseen=("Secret",)) == ([], [])


# --- OpenShift

DOCKERCFG = """
apiVersion: v1
kind: Secret
type: kubernetes.io/dockercfg
metadata:
  name: builder-dockercfg-abcde
  namespace: shop
  annotations: {openshift.io/internal-registry-auth-token.service-account: builder}
  ownerReferences: [{apiVersion: v1, kind: ServiceAccount, name: builder, uid: u}]
"""
CREATED_BY = "kubernetes.io/created-by: openshift.io/create-dockercfg-secrets"
COMPANION = SECRET.replace("  annotations:\n", f"  annotations:\n    {CREATED_BY}\n")
BORROWER = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod}
spec:
  serviceAccountName: web
  containers:
  - name: app
    image: app
    volumeMounts: [{name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
  volumes: [{name: t, secret: {secretName: web-token-x7k2p}}]
"""


def test_openshift_legacy_secrets_fires():
    finding = the(findings(DOCKERCFG, "Secret"), "SAT216")
    assert finding.severity == "hint"
    assert commands(finding) == ("kubectl -n shop create token builder",)


def test_openshift_legacy_secrets_fires_for_a_borrowed_token():
    finding = the(findings(COMPANION + BORROWER, "Secret"), "SAT216")
    assert finding.object.kind == "Pod"
    assert '"volumes":[{"name":"t","$patch":"delete"}]' in commands(finding)[0]
    elsewhere = BORROWER.replace("/var/run/secrets/kubernetes.io/serviceaccount", "/tokens")
    finding = the(findings(COMPANION + elsewhere, "Secret"), "SAT216")
    assert "name: web-own-token\n" in commands(finding)[0]


def test_openshift_legacy_secrets_quiet():
    assert codes(COMPANION, "Secret") == []
    assert codes(SECRET + BORROWER, "Secret") == []
    plain = DOCKERCFG.replace("openshift.io/internal-registry-auth-token.", "example.com/")
    assert codes(plain, "Secret") == []
