"""Rights of the service account."""

import pytest

from .given import codes, commands, examined, findings

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
"""

BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: KIND
metadata: {name: b, namespace: shop}
subjects: [SUBJECT]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
"""


def binding(kind: str, subject: str) -> str:
    return BINDING.replace("KIND", kind).replace("SUBJECT", subject)


def test_rbac_no_binding_fires():
    found = findings(POD)
    assert [(finding.code, finding.severity) for finding in found] == [("SAT501", "hint")]
    assert commands(found[0]) == (
        "kubectl -n shop create rolebinding web-view --clusterrole=view --serviceaccount=shop:web",
    )


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("RoleBinding", "{kind: ServiceAccount, name: web, namespace: other}"),
        ("RoleBinding", "{kind: ServiceAccount, name: web2}"),
        ("RoleBinding", "{kind: User, name: web}"),
        ("RoleBinding", "{kind: Group, name: 'system:serviceaccounts:other'}"),
        ("ClusterRoleBinding", "{kind: ServiceAccount, name: web}"),
    ],
)
def test_rbac_no_binding_fires_beside_bindings_of_others(kind, subject):
    assert codes(POD + binding(kind, subject)) == ["SAT501"]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("RoleBinding", "{kind: ServiceAccount, name: web}"),
        ("RoleBinding", "{kind: ServiceAccount, name: web, namespace: shop}"),
        ("RoleBinding", "{kind: User, name: 'system:serviceaccount:shop:web'}"),
        ("RoleBinding", "{kind: Group, name: 'system:serviceaccounts:shop'}"),
        ("ClusterRoleBinding", "{kind: Group, name: 'system:serviceaccounts'}"),
        ("ClusterRoleBinding", "{kind: Group, name: 'system:authenticated', namespace: x}"),
        ("ClusterRoleBinding", "{kind: ServiceAccount, name: web, namespace: shop}"),
    ],
)
def test_rbac_no_binding_quiet(kind, subject):
    assert codes(POD + binding(kind, subject)) == []


def test_rbac_no_binding_quiet_for_default():
    pod = POD.replace("serviceAccountName: web, ", "").replace("name: web", "name: other")
    assert codes(pod) == []


def test_rbac_no_binding_quiet_for_an_identity_of_a_cloud():
    role = 'annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/web"}'
    assert codes(POD.replace("name: web, namespace", f"name: web, {role}, namespace")) == []


def test_rbac_no_binding_is_skipped_where_bindings_cannot_be_seen():
    found, skipped = examined(POD, unseen=("ClusterRoleBinding",))
    assert found == []
    assert skipped == [("SAT501", "clusterrolebindings")]
