"""The pods of a workload are refused."""

from tests.scenarios import AS_WEB, FAILED_CREATE, Scenario, applied, service_account, template

# --- the words of an old API server, of a Deployment for which nothing is made

OLD_WORDS = """
apiVersion: v1
kind: Event
metadata: {name: web.1}
involvedObject: {apiVersion: apps/v1, kind: Deployment, name: web, namespace: $NS}
type: Warning
reason: FailedCreate
message: >-
  Error creating: pods "web-" is forbidden: No API token found for service account "web", retry
  after the token is automatically created and added to the service account
source: {component: replicaset-controller}
firstTimestamp: $NOW
lastTimestamp: $NOW
count: 3
"""

# --- who refuses pods

QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: few}
spec: {hard: {pods: '0'}}
"""

DENIES = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-pods-NS}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: 'false', message: no pods today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-pods-NS}
spec:
  policyName: no-pods-NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
"""

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: down-NS}
webhooks:
- name: down.example.com
  clientConfig: {service: {namespace: NS, name: nobody}}
  rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  failurePolicy: Fail
  sideEffects: None
  timeoutSeconds: 1
  admissionReviewVersions: [v1]
"""

# A policy takes a moment until it is enforced.
UNTIL_REFUSED = "while kubectl -n $NS run probe --image=x --dry-run=server; do sleep 0.2; done"

SCENARIOS = [
    Scenario(
        "old-admission-needs-secret",
        "SAT115",
        "deploy/web",
        f"{service_account()}---{template(AS_WEB).replace('replicas: 1', 'paused: true')}",
        ("NOW=$(date -u +%FT%TZ); kubectl create -n $NS -f - <<EOF\n" + OLD_WORDS + "EOF",),
        # the cluster's admin mends the controller
        undo=("kubectl -n $NS rollout resume deploy/web",),
        where=("live",),
    ),
    *(
        Scenario(
            f"admission-denied-as-403-{name}",
            "SAT116",
            target,
            f"{service_account()}---{denier}",
            (*events, applied(template(AS_WEB, kind=kind))),
            wait=FAILED_CREATE,
            undo=undo,
            restore=restore,
            where=("live",),
        )
        for name, kind, target, denier, events, undo, restore in (
            ("quota", "Deployment", "deploy/web", QUOTA, (), (), ()),
            ("quota-of-a-statefulset", "StatefulSet", "sts/web", QUOTA, (), (), ()),
            (
                "pod-security",
                "Deployment",
                "deploy/web",
                "",
                ("kubectl label namespace $NS pod-security.kubernetes.io/enforce=restricted",),
                (),
                (),
            ),
            (
                "policy",
                "Deployment",
                "deploy/web",
                DENIES,
                (UNTIL_REFUSED,),
                ("kubectl delete validatingadmissionpolicybinding no-pods-$NS", "sleep 2"),
                ("kubectl delete validatingadmissionpolicy no-pods-$NS",),
            ),
            (
                "webhook-down",
                "Deployment",
                "deploy/web",
                WEBHOOK,
                (UNTIL_REFUSED,),
                (
                    "kubectl patch validatingwebhookconfiguration down-$NS --type=json -p "
                    '\'[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]\'',
                    "sleep 2",
                ),
                ("kubectl delete validatingwebhookconfiguration down-$NS",),
            ),
        )
    ),
]
