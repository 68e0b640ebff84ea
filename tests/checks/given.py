"""Worlds for the tests of checks: YAML in, findings out.

A world is a snapshot in which everything was seen, unless a test says otherwise; the namespace is
``shop`` and the time noon.
"""

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.targets import admitted
from kubectl_satoken.world import Object, Unseen

NOON = "2026-11-22T12:00:00Z"
KINDS = (
    "Pod",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Event",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Service",
    "NetworkPolicy",
    "EndpointSlice",
    "Namespace",
    "Node",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "CSIDriver",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
)

# What every namespace has.
USUAL = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop, uid: sa-default,
           creationTimestamp: "2026-11-01T00:00:00Z"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: shop, uid: cm-root}
data: {ca.crt: "-----BEGIN CERTIFICATE----- of the cluster"}
---
"""

# A Deployment that lacks a pod, the pod as its template has it, and their account.
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: deploy-web
  annotations: {deployment.kubernetes.io/revision: "2"}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
status: {replicas: 1}
---
"""

ON_PAPER = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: deploy-web, controller: true}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
"""

ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
---
"""

ISSUER = {
    "/.well-known/openid-configuration": {"issuer": "https://issuer.example"},
    "/openid/v1/jwks": {"keys": [{"kid": "k1"}]},
}


def world(
    text: str, *, unseen: tuple[str, ...] = (), usual: bool = True, issuer: bool = True
) -> ManifestWorld:
    """A snapshot of these objects; the kinds in ``unseen`` could not be looked at."""
    items = parse((USUAL if usual else "") + text, "test")
    return ManifestWorld(
        [
            {
                "apiVersion": "satoken/v1",
                "kind": "Snapshot",
                "time": NOON,
                "seen": [{"kind": kind} for kind in KINDS if kind not in unseen],
                "unseen": [{"kind": kind, "why": "forbidden"} for kind in unseen],
                "documents": ISSUER if issuer else {},
                "items": items,
            }
        ],
        "shop",
        0,
    )


def findings(text: str, kind: str = "Pod", *, unseen: tuple[str, ...] = ()) -> list[Finding]:
    """The findings on the first object of a kind, which must be seen in full."""
    found, skipped = examined(text, kind, unseen=unseen)
    assert not skipped, skipped
    return found


def examined(
    text: str,
    kind: str = "Pod",
    *,
    unseen: tuple[str, ...] = (),
    usual: bool = True,
    issuer: bool = True,
) -> tuple[list[Finding], list[tuple[str, str]]]:
    """The findings on the first object of a kind, and (code, what) of what was skipped."""
    cluster = world(text, unseen=unseen, usual=usual, issuer=issuer)
    item = first(cluster, kind)
    if kind == "Pod":
        item = admitted(item, cluster)
    found, skipped, ran = examine(item, cluster)
    assert ran
    return found, [(skip.code, skip.what) for skip in skipped]


def first(cluster: ManifestWorld, kind: str) -> Object:
    """The first object of a kind, whether the kind was seen in full or not."""
    return next(cluster.found(kind))


def codes(text: str, kind: str = "Pod", *, unseen: tuple[str, ...] = ()) -> list[str]:
    """The codes of the findings, in the order of causes."""
    return [finding.code for finding in findings(text, kind, unseen=unseen)]


def the(found: list[Finding], code: str) -> Finding:
    """The one finding of that code."""
    matching = [finding for finding in found if finding.code == code]
    assert len(matching) == 1, f"{code} not once in {[finding.code for finding in found]}"
    return matching[0]


def commands(finding: Finding) -> tuple[str, ...]:
    """The commands of a finding's fix."""
    assert finding.fix is not None
    return finding.fix.commands


__all__ = ["Unseen", "codes", "commands", "examined", "findings", "the", "world"]
