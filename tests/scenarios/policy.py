"""A policy takes the token out of pods, or switches it off in workloads."""

from tests.scenarios import AS_WEB, POD_IS_THERE, Scenario, service_account, template

BINDING = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: strip-NS}
spec:
  policyName: strip-NS
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
---
"""

# As Kyverno's remove-serviceaccount-token does. The API server adds the volume again after a policy
# has changed the pod, so this one must look again, too.
STRIPS = f"""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: strip-NS}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        !has(object.spec.volumes) ? [] :
        [JSONPatch{{op: "replace", path: "/spec/containers/0/volumeMounts",
          value: object.spec.containers[0].volumeMounts.filter(
            m, !m.name.startsWith("kube-api-access-"))}},
         JSONPatch{{op: "replace", path: "/spec/volumes",
          value: object.spec.volumes.filter(v, !v.name.startsWith("kube-api-access-"))}}]
---
{BINDING}"""

# A policy takes a moment until it is enforced.
STRIPPED = (
    "until ! kubectl -n $NS run probe --image=x --dry-run=server -o yaml | "
    "grep -q kube-api-access; do sleep 0.2; done"
)

CLEANUP = (
    "kubectl delete mutatingadmissionpolicybinding strip-$NS",
    "kubectl delete mutatingadmissionpolicy strip-$NS",
)


def deployed(spec: str, kind: str = "Deployment") -> str:
    """A shell line that applies a workload."""
    return f"kubectl -n $NS apply -f - <<'EOF'\n{template(spec, kind=kind)}EOF"


SCENARIOS = [
    *(
        Scenario(
            f"token-stripped-by-policy{name}",
            "SAT110",
            "pod",
            f"{service_account()}---{STRIPS}",
            (STRIPPED, deployed(f"{flag}{AS_WEB}", kind)),
            wait=POD_IS_THERE,
            certainty="likely",
            restore=CLEANUP,
            where=("live",),
        )
        for name, flag, kind in (
            ("", "", "Deployment"),
            ("-though-asked-for", "automountServiceAccountToken: true, ", "Deployment"),
            ("-alone", "", "Pod"),
        )
    ),
]
