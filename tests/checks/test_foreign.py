"""Tokens for others than the API server."""

import pytest

from kubectl_satoken.checks import Finding

from . import given
from .given import commands, examined

ARN = "arn:aws:iam::123456789012:role/web"
ROLE = f"eks.amazonaws.com/role-arn: '{ARN}'"
CLIENT = "azure.workload.identity/client-id: 0a1b2c3d"


def found(text: str) -> list[Finding]:
    return [one for one in given.findings(text) if one.code.startswith("SAT85")]


def codes(text: str) -> list[str]:
    return [one.code for one in found(text)]


def pod(
    metadata: str = "",
    spec: str = "",
    container: str = "",
    *,
    live: bool = True,
) -> str:
    uid = 'uid: p, creationTimestamp: "2026-11-20T00:00:00Z", ' if live else ""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop, {uid}{metadata}}}
spec:
  serviceAccountName: web
  {spec}
  containers:
  - {{name: app, image: app, {container}}}
"""


def account(annotations: str = "", fields: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web, namespace: shop, uid: sa, annotations: {{{annotations}}}, {fields}}}
"""


def given_token(audience: str, volume: str) -> str:
    """A pod as a webhook has left it."""
    return pod(
        spec=f"volumes: [{{name: {volume}, projected: {{sources: [{{serviceAccountToken: "
        f"{{path: token, audience: '{audience}'}}}}]}}}}]",
        container=f"volumeMounts: [{{name: {volume}, mountPath: /tokens}}]",
    )


def test_webhook_token_not_injected_fires_on_a_role_for_aws():
    (finding,) = found(pod() + account(ROLE))
    assert (finding.code, finding.severity, finding.certainty) == ("SAT851", "error", "likely")
    assert (finding.object.kind, finding.object.value) == ("ServiceAccount", ARN)
    (command,) = commands(finding)
    assert "replace --force" in command


def test_webhook_token_not_injected_fires_and_knows_that_the_pod_is_older():
    fields = (
        "managedFields: [{time: '2026-11-21T00:00:00Z', fieldsV1: {'f:metadata': {'f:annotations': "
        "{'f:eks.amazonaws.com/role-arn': {}}}}}]"
    )
    (finding,) = found(pod() + account(ROLE, fields))
    assert finding.message.endswith("has a role, but only since after the pod was made")


def test_webhook_token_not_injected_fires_and_names_a_webhook_that_is_not_there():
    text = pod() + account(ROLE)
    (finding,) = found(text + webhook("other"))
    assert finding.fix.summary.startswith("install amazon-eks-pod-identity-webhook")
    (finding,) = found(text + webhook("pod-identity-webhook"))
    assert finding.fix.summary.startswith("make the pods anew")
    # which there are is not seen
    seen, _ = examined(text, unseen=("MutatingWebhookConfiguration",))
    (finding,) = [one for one in seen if one.code == "SAT851"]
    assert finding.fix.summary.startswith("make the pods anew")


def webhook(name: str) -> str:
    return f"""
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {{name: {name}}}
webhooks: [{{name: {name}}}]
"""


def test_webhook_token_not_injected_fires_on_azure_and_vault():
    (finding,) = found(pod('labels: {azure.workload.identity/use: "true"}') + account())
    assert "no token for Azure was injected" in finding.message
    (finding,) = found(pod('annotations: {vault.hashicorp.com/agent-inject: "true"}') + account())
    assert "no Vault agent was injected" in finding.message


@pytest.mark.parametrize("live", [True, False])
def test_webhook_token_not_injected_fires_on_a_misspelt_annotation(live):
    text = pod(live=live) + account(f"eks.amazonaws.com/role_arn: '{ARN}'")
    (finding,) = found(text)
    assert finding.message.endswith("nobody reads: eks.amazonaws.com/role_arn")
    annotate, *rest = commands(finding)
    assert annotate == (
        "kubectl -n shop annotate serviceaccount web "
        f"eks.amazonaws.com/role-arn={ARN} eks.amazonaws.com/role_arn-"
    )
    assert len(rest) == int(live)


def test_webhook_token_not_injected_fires_on_an_annotation_of_the_pod():
    (finding,) = found(pod(f"annotations: {{{ROLE}}}") + account())
    assert finding.object.kind == "Pod"
    assert f"eks.amazonaws.com/role-arn={ARN}" in commands(finding)[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(given_token("sts.amazonaws.com", "aws-iam-token") + account(ROLE), id="IRSA"),
        pytest.param(
            given_token("pods.eks.amazonaws.com", "eks-pod-identity-token") + account(ROLE),
            id="EKS Pod Identity goes first",
        ),
        pytest.param(
            pod(container="env: [{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /t}]") + account(ROLE),
            id="by hand",
        ),
        pytest.param(pod(live=False) + account(ROLE), id="not made yet"),
        pytest.param(pod() + account(), id="no role"),
        pytest.param(pod() + account(f"iam.amazonaws.com/role: '{ARN}'"), id="kube2iam"),
        pytest.param(
            pod("annotations: {eks.amazonaws.com/skip-containers: 'app, other'}") + account(ROLE),
            id="left out",
        ),
        pytest.param(
            pod().replace("spec:\n", "status: {phase: Succeeded}\nspec:\n") + account(ROLE),
            id="ended",
        ),
        pytest.param(
            pod("annotations: {vault.hashicorp.com/agent-inject: 'false'}") + account(),
            id="no Vault",
        ),
        pytest.param(
            pod(
                "annotations: {vault.hashicorp.com/agent-inject: 'true', "
                "vault.hashicorp.com/agent-inject-status: injected}"
            )
            + account(),
            id="Vault",
        ),
    ],
)
def test_webhook_token_not_injected_quiet(text):
    assert "SAT851" not in codes(text)


def test_azure_label_misplaced_fires():
    (finding,) = found(pod() + account(CLIENT))
    assert (finding.code, finding.severity, finding.certainty) == ("SAT852", "error", "likely")
    assert finding.object.value is None
    (command,) = commands(finding)
    assert '{"metadata":{"labels":{"azure.workload.identity/use":"true"}}' in command


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ('labels: {azure.workload.identity/use: "True"}', 'says True, not "true"'),
        ('annotations: {azure.workload.identity/use: "true"}', "is no label"),
    ],
)
def test_azure_label_misplaced_fires_with_what_was_meant(metadata, words):
    (finding,) = found(pod(metadata, live=False) + account(CLIENT))
    assert words in finding.message


def test_azure_label_misplaced_fires_on_a_label_of_the_deployment():
    owner = (
        "ownerReferences: [{kind: Deployment, name: web, apiVersion: apps/v1, uid: d, "
        "controller: true}]"
    )
    deployment = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d, labels: {azure.workload.identity/use: "true"}}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app}]}}}
"""
    (finding,) = found(pod(owner) + account(CLIENT) + deployment)
    assert "the label of the Deployment is not that of its pods" in finding.message
    assert commands(finding)[0].startswith("kubectl -n shop patch deployment web -p ")


@pytest.mark.parametrize(
    ("kind", "version", "template", "wanted"),
    [
        (
            "Job",
            "batch/v1",
            "template",
            '"template":{"metadata":{"labels":{"controller-uid":null,'
            '"batch.kubernetes.io/controller-uid":null,"azure.workload.identity/use":"true"}}',
        ),
        (
            "Rollout",
            "argoproj.io/v1alpha1",
            "template",
            '--type=merge -p \'{"spec":{"template":{"metadata":{"labels":'
            '{"azure.workload.identity/use":"true"}}}}}\'',
        ),
    ],
)
def test_azure_label_misplaced_fires_with_a_fix_for_every_maker(kind, version, template, wanted):
    maker = f"""
---
apiVersion: {version}
kind: {kind}
metadata: {{name: web, namespace: shop, uid: d}}
spec: {{{template}: {{spec: {{containers: [{{name: app}}]}}}}}}
"""
    owner = (
        f"ownerReferences: [{{kind: {kind}, name: web, apiVersion: {version}, uid: d, "
        "controller: true}]"
    )
    (finding,) = found(pod(owner) + account(CLIENT) + maker)
    assert wanted in commands(finding)[0]


def test_azure_label_misplaced_quiet():
    label = 'labels: {azure.workload.identity/use: "true"}'
    assert "SAT852" not in codes(pod(label) + account(CLIENT))
    assert codes(pod() + account()) == []
    azure = given_token("api://AzureADTokenExchange", "azure-identity-token")
    assert codes(azure + account(CLIENT)) == []


DELEGATOR = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:auth-delegator}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: KIND
metadata: {name: reviewer NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
"""
BOUND = DELEGATOR.replace("KIND", "ClusterRoleBinding").replace("NAMESPACE", "")
PROXY = pod().replace("image: app", "image: 'quay.io/brancz/kube-rbac-proxy:v0.18.0@sha256:abc'")


def test_external_tokenreviewer_broken_fires():
    (finding,) = found(PROXY + account())
    assert (finding.code, finding.severity, finding.certainty) == ("SAT853", "error", "likely")
    assert "may not create tokenreviews and subjectaccessreviews" in finding.message
    assert commands(finding) == (
        "kubectl create clusterrolebinding shop-web-auth-delegator "
        "--clusterrole=system:auth-delegator --serviceaccount=shop:web",
    )


def test_external_tokenreviewer_broken_fires_on_a_rolebinding_and_on_half_a_role():
    inside = DELEGATOR.replace("KIND", "RoleBinding").replace("NAMESPACE", ", namespace: shop")
    assert "SAT853" in codes(PROXY + account() + inside)
    half = BOUND.replace("resources: [subjectaccessreviews]", "resources: [other]")
    (finding,) = found(PROXY + account() + half)
    assert "may not create subjectaccessreviews" in finding.message


def test_external_tokenreviewer_broken_quiet():
    assert codes(PROXY + account() + BOUND) == []
    assert codes(pod() + account()) == []
    other = PROXY.replace("name: app,", "name: app, args: ['--oidc-issuer=https://x'],")
    assert codes(other + account()) == []
    _, skipped = examined(PROXY + account(), unseen=("ClusterRoleBinding",))
    assert ("SAT853", "clusterrolebindings") in skipped
