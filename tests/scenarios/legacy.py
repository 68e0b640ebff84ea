"""Tokens from Secrets."""

from tests.scenarios import (
    AT_PLACE,
    POD_IS_THERE,
    SLEEP,
    TOKEN_SECRET,
    Scenario,
    mounted,
    service_account,
    template,
)

# A policy that keeps the token controller from filling Secrets of the namespace.

NO_FILLING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-filling-NS}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [secrets]}
  validations: [{expression: 'false', message: not now}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-filling-NS}
spec:
  policyName: no-filling-NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
---
"""

TOUCH_PROBE = "kubectl -n $NS label --overwrite secret probe at=$(date +%N)"

SCENARIOS = [
    Scenario(
        "legacy-secret-not-populated",
        "SAT201",
        "secret/web-token",
        f"{service_account()}---{NO_FILLING}",
        (
            # a policy takes a moment until it is enforced
            f"kubectl -n $NS create secret generic probe; while {TOUCH_PROBE}; do sleep 0.3; done",
            f"kubectl -n $NS apply -f - <<'EOF'\n{TOKEN_SECRET}EOF",
            "sleep 32",
        ),
        # what kept the controller from it goes away; it has given up by then
        undo=(
            "kubectl delete validatingadmissionpolicybinding no-filling-$NS",
            "kubectl delete validatingadmissionpolicy no-filling-$NS",
            f"until {TOUCH_PROBE}; do sleep 0.3; done",
        ),
    ),
    Scenario(
        "pod-references-missing-token-secret",
        "SAT203",
        "pod",
        template(mounted(AT_PLACE, "{name: t, secret: {secretName: default-token-x7k2p}}")),
        wait=POD_IS_THERE,
    ),
    Scenario(
        "pod-references-missing-token-secret-in-a-variable",
        "SAT203",
        "pod",
        template(
            "containers: ["
            + SLEEP.replace(
                "{name: app,",
                "{name: app, env: [{name: TOKEN, valueFrom: "
                "{secretKeyRef: {name: web-token, key: token}}}],",
            )
            + "]"
        ),
        wait=POD_IS_THERE,
        secret="web-token",
    ),
]
