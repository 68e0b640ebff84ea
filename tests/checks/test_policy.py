"""A policy took the token out of the pod."""

import pytest

from kubectl_satoken.checks import examine

from .given import codes, commands, examined, findings, first, the, world

STRIPPED = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:00:00Z",
           labels: {app: web}}
spec:
  serviceAccountName: default
  containers: [{name: app, image: app}]
---
"""

ASKED = STRIPPED.replace("spec:\n", "spec:\n  automountServiceAccountToken: true\n")

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: injector}
webhooks:
- name: inject.example.com
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
---
"""

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: strip}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations: [{jsonPatch: {expression: 'object.spec.volumes.filter(v, "kube-api-access-")'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: strip}
spec:
  policyName: strip
  matchResources: {namespaceSelector: {matchLabels: {strict: "yes"}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {strict: "yes"}}
---
"""

PATCHES = (
    "metadata: {annotations: {policies.kyverno.io/last-applied-patches: "
    '"remove-vol-volmount.remove-serviceaccount-token.kyverno.io: removed /spec/volumes/0\\n"}, '
)


def test_token_stripped_by_policy_fires_and_names_the_policy():
    found = findings(STRIPPED + POLICY)
    finding = the(found, "SAT110")
    assert "MutatingAdmissionPolicy strip" in finding.message
    assert "SAT103" not in [one.code for one in found]
    assert '"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"' in commands(finding)[0]


def test_token_stripped_by_policy_fires_and_tells_kyvernos_exemption():
    finding = the(findings(STRIPPED.replace("metadata: {", PATCHES)), "SAT110")
    assert "Kyverno policy remove-serviceaccount-token" in finding.message
    assert finding.fix is not None
    assert "corp.org/can-use-serviceaccount" in finding.fix.summary


def test_token_stripped_by_policy_fires_in_a_sweep_as_a_fault_only_where_a_token_was_asked_for():
    for text, severity in ((STRIPPED + POLICY, "hint"), (ASKED + POLICY, "error")):
        cluster = world(text)
        found, _, _ = examine(first(cluster, "Pod"), cluster, asked=False)
        assert the(found, "SAT110").severity == severity


def test_token_stripped_by_policy_fires_for_a_pod_that_asked_and_names_webhooks_as_possible():
    finding = the(findings(ASKED + WEBHOOK), "SAT110")
    assert finding.message.endswith("by a webhook or policy")
    assert [one.value for one in finding.evidence if one.path == "webhooks[0].rules"] == [
        "inject.example.com"
    ]


def test_token_stripped_by_policy_fires_though_policies_cannot_be_seen():
    found, skipped = examined(ASKED, unseen=("MutatingAdmissionPolicy",))
    assert "SAT110" in [finding.code for finding in found]
    assert ("SAT110", "mutatingadmissionpolicies") in skipped


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STRIPPED + WEBHOOK, id="a webhook that does something else"),
        pytest.param(STRIPPED + POLICY.replace('"yes"}}\n---', '"no"}}\n---'), id="elsewhere"),
        pytest.param(
            STRIPPED.replace("default", "web")
            + POLICY
            + "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n"
            "automountServiceAccountToken: false\n",
            id="the account says so",
        ),
        pytest.param(STRIPPED.replace(", uid: pod-x", "") + POLICY, id="the pod is not made yet"),
    ],
)
def test_token_stripped_by_policy_quiet(text):
    assert "SAT110" not in codes(text)


def test_token_stripped_by_policy_quiet_on_a_healthy_pod_which_asks_for_no_policies():
    healthy = STRIPPED.replace(", uid: pod-x", "")
    _, skipped = examined(healthy, unseen=("MutatingAdmissionPolicy",))
    assert "SAT110" not in [code for code, _ in skipped]
