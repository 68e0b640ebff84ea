"""Tokens for others than the API server, and those who check ours."""

from tests.scenarios import AS_WEB, PLAIN, POD_IS_THERE, Scenario, service_account, template

ROLE = "arn:aws:iam::123456789012:role/web"
AWS_FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
THERE = f"until {POD_IS_THERE}; do sleep 0.1; done"

# Plays amazon-eks-pod-identity-webhook in one namespace: volume, mounts and variables as it does.
WEBHOOK = f"""cat <<'EOF' | sed s/NS/$NS/ | kubectl apply -f -
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: irsa-NS}}
spec:
  paramKind: {{apiVersion: v1, kind: ServiceAccount}}
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: NS}}}}
    resourceRules:
    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}
  matchConditions:
  - name: has-role
    expression: >-
      has(params.metadata.annotations) &&
      'eks.amazonaws.com/role-arn' in params.metadata.annotations
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{{op: "add", path: "/spec/volumes/-", value: {{"name": dyn("aws-iam-token"),
          "projected": dyn({{"sources": [{{"serviceAccountToken": {{"path": dyn("token"),
            "audience": dyn("sts.amazonaws.com"), "expirationSeconds": dyn(86400)}}}}]}})}}}},
        JSONPatch{{op: "add", path: "/spec/containers/0/env",
          value: [{{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "{AWS_FOLDER}/token"}}]}},
        JSONPatch{{op: "add", path: "/spec/containers/0/volumeMounts/-",
          value: {{"name": "aws-iam-token", "mountPath": "{AWS_FOLDER}"}}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: irsa-NS}}
spec: {{policyName: irsa-NS, paramRef: {{name: web, parameterNotFoundAction: Deny}}}}
EOF"""

# A pod as the webhook would leave it.
PROBE = (
    "kubectl -n $NS run probe --image=x --dry-run=server -o yaml "
    """--overrides='{"spec":{"serviceAccountName":"web"}}' | grep -q sts.amazonaws.com"""
)
ANNOTATE = "kubectl -n $NS annotate serviceaccount web eks.amazonaws.com"
WEBHOOK_WORKS = f"until {PROBE}; do sleep 0.2; done"
NO_WEBHOOK = ("kubectl delete mutatingadmissionpolicybinding,mutatingadmissionpolicy irsa-$NS",)
AWS_TOKEN = "kubectl -n $NS get pod -l app=web -o yaml | grep -q 'audience: sts.amazonaws.com'"


def annotated(key: str, value: str) -> str:
    """The account of the workload, with an annotation."""
    return f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web, annotations: {{{key}: '{value}'}}}}
---
"""


AZURE = annotated("azure.workload.identity/client-id", "0a1b2c3d-0000-0000-0000-000000000000")
AZURE_LABEL = (
    "kubectl -n $NS get pod -l azure.workload.identity/use=true,app=web -o name | grep -q pod/"
)

SCENARIOS = [
    Scenario(
        "webhook-token-not-injected",
        "SAT851",
        "pod",
        service_account() + "---" + template(AS_WEB),
        (
            THERE,
            f"{ANNOTATE}/role-arn={ROLE}",
            WEBHOOK,
            WEBHOOK_WORKS,
        ),
        proof=AWS_TOKEN,
        certainty="likely",
        restore=NO_WEBHOOK,
        where=("live",),
    ),
    Scenario(
        "webhook-token-not-injected-misspelt",
        "SAT851",
        "pod",
        annotated("eks.amazonaws.com/rolearn", ROLE) + template(AS_WEB),
        (
            THERE,
            WEBHOOK,
            f"{ANNOTATE}/role-arn={ROLE}",
            WEBHOOK_WORKS,
            f"{ANNOTATE}/role-arn-; while {PROBE}; do sleep 0.2; done",
        ),
        proof=AWS_TOKEN,
        certainty="likely",
        restore=NO_WEBHOOK,
        where=("live",),
    ),
    Scenario(
        "azure-label-misplaced",
        "SAT852",
        "pod",
        AZURE
        + template(AS_WEB).replace(
            "metadata: {name: web}",
            "metadata: {name: web, labels: {azure.workload.identity/use: 'true'}}",
        ),
        wait=POD_IS_THERE,
        proof=AZURE_LABEL,
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        "external-tokenreviewer-broken",
        "SAT853",
        "pod",
        service_account()
        + "---"
        + template(
            AS_WEB.replace(
                PLAIN,
                "containers: [{name: proxy, image: 'quay.io/brancz/kube-rbac-proxy:v0.18.0'}]",
            )
        ),
        wait=POD_IS_THERE,
        proof="kubectl auth can-i create tokenreviews.authentication.k8s.io "
        "--as=system:serviceaccount:$NS:web && "
        "kubectl auth can-i create subjectaccessreviews.authorization.k8s.io "
        "--as=system:serviceaccount:$NS:web",
        certainty="likely",
        restore=("kubectl delete clusterrolebinding $NS-web-auth-delegator",),
        where=("live",),
    ),
]
