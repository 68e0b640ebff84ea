"""The service account of the pod is gone, new, or the wrong one."""

import pytest

from .given import codes, commands, examined, findings, the

ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "CREATED"}
---
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:00:00Z"}
spec:
  serviceAccountName: web
  containers:
  - name: app
    image: app
    volumeMounts:
    - {name: kube-api-access-abcde, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}
  volumes:
  - name: kube-api-access-abcde
    projected:
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
"""

BINDING = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
subjects: [{kind: ServiceAccount, name: web}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: deploy-web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
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
"""


def account(created: str) -> str:
    return ACCOUNT.replace("CREATED", created)


def test_sa_not_found_fires():
    finding = the(findings(DEPLOYMENT + ON_PAPER), "SAT104")
    assert finding.message == "no pod can be made: serviceaccount web does not exist in shop"
    assert commands(finding) == (
        "kubectl -n shop create serviceaccount web",
        "kubectl -n shop rollout restart deployment/web",
    )


def test_sa_not_found_fires_with_the_event_of_the_replica_set_as_evidence():
    refused = """
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  uid: rs
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: deploy-web, controller: true}
spec: {template: {spec: {containers: [{name: app}]}}}
---
apiVersion: v1
kind: Event
metadata: {name: web-1.1, namespace: shop}
involvedObject: {kind: ReplicaSet, name: web-1}
reason: FailedCreate
message: 'Error creating: pods "web-1-" is forbidden: error looking up service account shop/web:
  serviceaccount "web" not found'
"""
    finding = the(findings(DEPLOYMENT + ON_PAPER + refused), "SAT104")
    event = next(one for one in finding.evidence if one.path == "event FailedCreate")
    assert (event.kind, event.name) == ("ReplicaSet", "web-1")
    assert event.value == (
        'error looking up service account shop/web: serviceaccount "web" not found'
    )


@pytest.mark.parametrize("other", ["my-web", "webb"])
def test_sa_not_found_fires_and_names_an_account_of_nearly_that_name(other):
    text = DEPLOYMENT + account("2026-11-01T00:00:00Z").replace("name: web", f"name: {other}")
    (command,) = commands(the(findings(text + ON_PAPER), "SAT104"))
    assert f'"serviceAccountName":"{other}"' in command


def test_sa_not_found_quiet():
    assert codes(account("2026-11-01T00:00:00Z") + DEPLOYMENT + ON_PAPER + BINDING) == []


def test_sa_not_found_is_skipped_where_accounts_cannot_be_seen():
    found, skipped = examined(DEPLOYMENT + ON_PAPER, unseen=("ServiceAccount",))
    assert "SAT104" not in [finding.code for finding in found]
    assert ("SAT104", "serviceaccount web") in skipped


def test_sa_deleted_after_pod_fires():
    found = findings(POD)
    assert [finding.code for finding in found] == ["SAT105"]
    assert commands(found[0])[0] == "kubectl -n shop create serviceaccount web"
    assert "replace --force" in commands(found[0])[1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD + "status: {phase: Failed}", id="the pod has ended"),
        pytest.param(account("2026-11-01T00:00:00Z") + POD + BINDING, id="the account is there"),
    ],
)
def test_sa_deleted_after_pod_quiet(text):
    assert codes(text) == []


def test_sa_recreated_token_stale_fires():
    found = findings(account("2026-11-22T11:30:00Z") + POD + BINDING)
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT106", "likely")]
    assert "made again 30m ago" in found[0].message


@pytest.mark.parametrize(
    ("created", "pod"),
    [
        pytest.param("2026-11-22T10:59:59Z", POD, id="the account is older than the pod"),
        pytest.param(
            "2026-11-22T11:05:00Z", POD, id="the kubelet has fetched a new token since then"
        ),
        pytest.param(
            "2026-11-22T11:59:00Z",
            POD.replace(
                "serviceAccountToken: {path: token, expirationSeconds: 3607}", "secret: {}"
            ),
            id="the pod has no token",
        ),
    ],
)
def test_sa_recreated_token_stale_quiet(created, pod):
    text = account(created) + pod + BINDING
    assert "SAT106" not in codes(text)


def test_unexpected_default_sa_fires():
    pod = POD.replace("serviceAccountName: web", "serviceAccountName: default").replace(
        "name: x,", "name: x, labels: {app: web},"
    )
    found = findings(account("2026-11-01T00:00:00Z") + pod)
    assert [(finding.code, finding.severity) for finding in found] == [("SAT107", "warning")]
    assert '"serviceAccountName":"web"' in commands(found[0])[0]


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (
            DEPLOYMENT.replace("spec:\n  template", "spec:\n  serviceAccountName: web\n  template"),
            "spec.serviceAccountName",
        ),
        (
            DEPLOYMENT.replace("  template:\n", "  template:\n    serviceAccountName: web\n"),
            "spec.template.serviceAccountName",
        ),
    ],
)
def test_unexpected_default_sa_fires_for_a_name_at_the_wrong_level(manifest, path):
    manifest = manifest.replace("spec: {serviceAccountName: web,", "spec: {")
    pod = ON_PAPER.replace("spec: {serviceAccountName: web,", "spec: {")
    finding = the(findings(account("2026-11-01T00:00:00Z") + manifest + pod), "SAT107")
    assert (finding.certainty, finding.severity) == ("certain", "error")
    assert finding.object.path == path


def test_unexpected_default_sa_fires_for_a_misspelt_name():
    pod = ON_PAPER.replace("serviceAccountName: web", "serviceaccountName: web")
    manifest = DEPLOYMENT.replace("serviceAccountName: web", "serviceaccountName: web")
    finding = the(findings(account("2026-11-01T00:00:00Z") + manifest + pod), "SAT107")
    assert finding.object.path == "spec.template.spec.serviceaccountName"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD.replace("serviceAccountName: web", ""), id="no other account is there"),
        pytest.param(
            account("2026-11-01T00:00:00Z").replace("name: web", "name: other")
            + POD.replace("serviceAccountName: web", ""),
            id="the other account is for something else",
        ),
        pytest.param(
            account("2026-11-01T00:00:00Z")
            + POD.replace("serviceAccountName: web", "").replace("name: x", "name: web")
            + BINDING.replace("name: web}]", "name: default}]"),
            id="default was given rights",
        ),
    ],
)
def test_unexpected_default_sa_quiet(text):
    assert codes(text) == []
