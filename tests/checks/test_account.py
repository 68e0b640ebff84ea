"""The service account of the pod is gone, new, or the wrong one."""

import pytest

from kubectl_satoken.checks import examine
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.targets import pods_for

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


def going(since, held="[example.com/x]"):
    """The account, which is being deleted since a time."""
    text = account("2026-11-01T00:00:00Z")
    return text.replace(
        "name: web,", f'name: web, deletionTimestamp: "{since}", finalizers: {held},', 1
    )


def test_sa_deleted_after_pod_fires_for_an_account_whose_deletion_is_held():
    found = findings(going("2026-11-22T11:55:00Z") + POD + BINDING)
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT105", "certain")]
    assert "is being deleted, for 5m now" in found[0].message
    release, create, anew = commands(found[0])
    assert release.endswith("""patch serviceaccount web -p '{"metadata":{"finalizers":null}}'""")
    assert create == "kubectl -n shop create serviceaccount web"
    assert "replace --force" in anew


def test_sa_deleted_after_pod_quiet_in_the_first_minute_and_without_a_token():
    assert codes(going("2026-11-22T11:59:10Z") + POD + BINDING) == []
    bare = POD.replace("serviceAccountToken: {path: token, expirationSeconds: 3607}", "secret: {}")
    assert "SAT105" not in codes(going("2026-11-22T11:55:00Z") + bare + BINDING)


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


# --- what files alone tell

ON_FILE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
"""

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
"""


def on_file(text: str) -> list[tuple[str, str, str]]:
    """Code, severity and certainty of what is found about creation in plain manifests."""
    cluster = ManifestWorld(parse(text, "test"), "shop", 0)
    pod = next(pods_for(next(cluster.found("Deployment")), cluster))
    found, _, _ = examine(pod, cluster)
    return [
        (one.code, one.severity, one.certainty)
        for one in found
        if one.code in ("SAT104", "SAT111", "SAT112")
    ]


def test_sa_not_found_quiet_where_files_just_do_not_have_the_account():
    assert on_file(ON_FILE) == []
    other = account("2026-11-01T00:00:00Z").replace("name: web", "name: database")
    assert on_file(other + ON_FILE) == []


def test_sa_not_found_fires_as_a_guess_where_files_have_one_of_nearly_that_name():
    near = account("2026-11-01T00:00:00Z").replace("name: web", "name: shop-web")
    assert on_file(near + ON_FILE) == [("SAT104", "hint", "possible")]
    assert on_file(near + NAMESPACE + ON_FILE) == [("SAT104", "error", "likely")]


def test_sa_not_found_quiet_where_another_workload_uses_the_one_of_nearly_that_name():
    near = account("2026-11-01T00:00:00Z").replace("name: web", "name: shop-web")
    user = ON_FILE.replace("name: web, namespace", "name: other, namespace").replace(
        "serviceAccountName: web", "serviceAccountName: shop-web"
    )
    assert on_file(near + ON_FILE + user) == []


def test_sa_in_other_namespace_fires_for_files():
    elsewhere = account("2026-11-01T00:00:00Z").replace("namespace: shop", "namespace: default")
    assert on_file(elsewhere + ON_FILE) == [("SAT111", "error", "likely")]


ELSEWHERE = account("2026-11-01T00:00:00Z").replace("namespace: shop", "namespace: other")

GRANT = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web}
subjects: [{kind: ServiceAccount, name: web, namespace: other}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
"""


def test_sa_in_other_namespace_fires_and_gives_the_rights_of_the_other():
    found = findings(ELSEWHERE + GRANT + DEPLOYMENT + ON_PAPER)
    assert "SAT104" not in [finding.code for finding in found]
    finding = the(found, "SAT111")
    assert finding.message == (
        "no pod can be made: serviceaccount web is in other, but the pods are in shop"
    )
    create, grant, restart = commands(finding)
    assert create == "kubectl -n shop create serviceaccount web"
    assert grant.startswith("kubectl patch clusterrolebinding web --type=json -p ")
    assert restart == "kubectl -n shop rollout restart deployment/web"


USED_THERE = POD.replace("namespace: shop", "namespace: other")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ELSEWHERE + DEPLOYMENT + ON_PAPER + "---" + USED_THERE, id="it is used there"),
        pytest.param(
            ELSEWHERE
            + NAMESPACE.replace(
                "name: shop", 'name: other, deletionTimestamp: "2026-11-22T11:00:00Z"'
            )
            + DEPLOYMENT
            + ON_PAPER,
            id="that namespace goes",
        ),
    ],
)
def test_sa_in_other_namespace_quiet(text):
    found = [finding.code for finding in findings(text)]
    assert "SAT111" not in found
    assert "SAT104" in found


def test_sa_deleted_after_pod_fires_with_the_event_of_the_kubelet_as_evidence():
    event = """
---
apiVersion: v1
kind: Event
metadata: {name: x.1, namespace: shop}
involvedObject: {kind: Pod, name: x, uid: pod-x}
reason: FailedMount
message: 'MountVolume.SetUp failed for volume "t" : failed to fetch token: serviceaccounts "web"
  not found'
lastTimestamp: "2026-11-22T11:59:00Z"
"""
    waiting = POD.replace("spec:\n", "spec:\n  nodeName: n1\n") + "status: {phase: Pending}"
    finding = the(findings(waiting + event), "SAT105")
    assert finding.evidence[-1].path == "event FailedMount"
