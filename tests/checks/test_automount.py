"""No token is mounted because of a flag."""

import pytest

from .given import codes, commands, examined, findings, the

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:00:00Z"}
spec:
  serviceAccountName: default
  automountServiceAccountToken: false
  containers: [{name: app, image: app}]
"""

DEPLOYED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: deploy-web}
spec:
  template:
    spec: {containers: [{name: app, image: app}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  uid: rs-web-1
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: deploy-web, controller: true}
spec:
  template:
    spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1-x
  namespace: shop
  uid: pod-x
  creationTimestamp: "2026-11-22T11:00:00Z"
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs-web-1, controller: true}
spec:
  serviceAccountName: default
  automountServiceAccountToken: false
  containers: [{name: app, image: app}]
"""

HEALTHY = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec: {containers: [{name: app, image: app}]}
"""

ACCOUNT_OFF = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, creationTimestamp: "2026-11-01T00:00:00Z"}
automountServiceAccountToken: false
---
"""

BINDING = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
subjects: [{kind: ServiceAccount, name: web}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
"""

MANUAL_VOLUME = """
  volumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token}}]}
"""


def with_account(pod: str, account: str) -> str:
    return pod.replace("serviceAccountName: default", f"serviceAccountName: {account}")


def test_a_pod_of_the_usual_kind_has_no_finding():
    assert codes(HEALTHY) == []


def test_automount_disabled_pod_fires():
    finding = the(findings(POD), "SAT101")
    assert finding.certainty == "certain"
    assert finding.object.path == "spec.automountServiceAccountToken"
    assert finding.object.value is False


def test_automount_disabled_pod_fires_with_a_fix_for_the_deployment():
    (command,) = commands(the(findings(DEPLOYED), "SAT101"))
    assert command == (
        "kubectl -n shop patch deployment web -p "
        '\'{"spec":{"template":{"spec":{"automountServiceAccountToken":true}}}}\''
    )


def test_automount_disabled_pod_fires_with_a_restart_where_the_template_is_mended():
    mended = DEPLOYED.replace(
        "    spec: {containers: [{name: app, image: app}]}",
        "    spec: {automountServiceAccountToken: true, containers: [{name: app, image: app}]}",
        1,
    )
    assert commands(the(findings(mended), "SAT101")) == (
        "kubectl -n shop rollout restart deployment/web",
    )


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(
            POD.replace("image: app}", "image: app, volumeMounts: [{name: token, mountPath: "
                        "/var/run/secrets/kubernetes.io/serviceaccount}]}") + MANUAL_VOLUME,
            id="a volume of one's own is mounted instead",
        ),
        pytest.param(POD + "status: {phase: Succeeded}", id="the pod has ended"),
        pytest.param(
            POD.replace("uid: pod-x", 'uid: pod-x, annotations: {kubernetes.io/config.mirror: ""}'),
            id="the pod mirrors a static one",
        ),
        pytest.param(HEALTHY, id="nothing is said"),
    ],
)  # fmt: skip
def test_automount_disabled_pod_quiet(pod):
    assert "SAT101" not in codes(pod)


def test_automount_disabled_sa_fires():
    pod = with_account(POD.replace("  automountServiceAccountToken: false\n", ""), "web")
    found = findings(ACCOUNT_OFF + pod + BINDING)
    finding = the(found, "SAT102")
    assert [one.code for one in found] == ["SAT102"]
    assert (finding.object.kind, finding.object.name, finding.object.value) == (
        "ServiceAccount",
        "web",
        False,
    )


def test_automount_disabled_sa_fires_on_a_pod_on_paper():
    assert codes(ACCOUNT_OFF + HEALTHY.replace("spec: {", "spec: {serviceAccountName: web, ")) == [
        "SAT102"
    ]


def test_automount_disabled_sa_quiet_where_the_pod_overrides_it():
    pod = HEALTHY.replace(
        "spec: {", "spec: {serviceAccountName: web, automountServiceAccountToken: true, "
    )
    assert codes(ACCOUNT_OFF + pod + BINDING) == []


def test_automount_disabled_sa_is_skipped_where_accounts_cannot_be_seen():
    pod = with_account(POD.replace("  automountServiceAccountToken: false\n", ""), "web")
    found, skipped = examined(pod, unseen=("ServiceAccount",))
    assert "SAT102" not in [finding.code for finding in found]
    assert ("SAT102", "serviceaccount web") in skipped


def test_automount_changed_after_admission_fires():
    pod = POD.replace("  automountServiceAccountToken: false\n", "")
    finding = the(findings(pod), "SAT103")
    assert finding.certainty == "likely"  # nothing shows that the account was changed


def test_automount_changed_after_admission_fires_and_is_certain_when_the_account_changed_later():
    account = """
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  creationTimestamp: "2026-11-01T00:00:00Z"
  managedFields:
  - manager: kubectl
    time: "2026-11-22T11:30:00Z"
    fieldsV1: {f:automountServiceAccountToken: {}}
automountServiceAccountToken: true
---
"""
    pod = with_account(POD.replace("  automountServiceAccountToken: false\n", ""), "web")
    assert the(findings(account + pod + BINDING), "SAT103").certainty == "certain"


def test_automount_changed_after_admission_quiet_where_the_pod_itself_asked_for_it():
    pod = POD.replace("automountServiceAccountToken: false", "automountServiceAccountToken: true")
    assert codes(pod) == ["SAT110"]


def test_automount_changed_after_admission_quiet():
    assert codes(HEALTHY) == []
    assert codes(POD) == ["SAT101"]


def test_automount_disabled_pod_fires_and_names_the_policy_engine_that_set_it():
    managed = DEPLOYED.replace(
        "metadata: {name: web, namespace: shop, uid: deploy-web}",
        """metadata:
  name: web
  namespace: shop
  uid: deploy-web
  managedFields:
  - manager: kyverno-background-controller
    fieldsV1: {f:spec: {f:template: {f:spec: {f:automountServiceAccountToken: {}}}}}""",
        1,
    )
    finding = the(findings(managed), "SAT101")
    assert finding.message.endswith("which a policy has set")
    assert "kyverno-background-controller" in [one.value for one in finding.evidence]
    assert '"volumes"' in commands(finding)[0]  # the flag would be set again


def test_automount_changed_after_admission_quiet_for_an_api_server_without_the_plugin():
    pod = POD.replace("  serviceAccountName: default\n  automountServiceAccountToken: false\n", "")
    assert "SAT103" not in codes(pod)


def test_automount_disabled_sa_fires_and_names_the_policy_engine_that_set_it():
    account = ACCOUNT_OFF.replace(
        "metadata: {name: web,",
        "metadata: {managedFields: [{manager: kyverno, fieldsV1: "
        "{f:automountServiceAccountToken: {}}}], name: web,",
    )
    pod = with_account(POD.replace("  automountServiceAccountToken: false\n", ""), "web")
    finding = the(findings(account + pod + BINDING), "SAT102")
    assert "kyverno" in [one.value for one in finding.evidence]
