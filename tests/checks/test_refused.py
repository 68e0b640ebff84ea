"""The pods of a workload are refused: what the controllers say, and who it was."""

import pytest

from .given import ACCOUNT, DEPLOYMENT, ON_PAPER, codes, commands, examined, findings, the

REPLICA_SET = """
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-REVISION
  namespace: shop
  uid: rs-REVISION
  annotations: {deployment.kubernetes.io/revision: "REVISION"}
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: deploy-web, controller: true}
spec: {template: {spec: {containers: [{name: app}]}}}
---
"""

EVENT = """
apiVersion: v1
kind: Event
metadata: {name: NAME, namespace: shop}
involvedObject: {kind: ReplicaSet, name: web-REVISION, uid: rs-REVISION}
reason: REASON
message: >-
  MESSAGE
lastTimestamp: "LAST"
---
"""


def replica_set(revision: int = 2) -> str:
    return REPLICA_SET.replace("REVISION", str(revision))


def event(
    message: str,
    *,
    reason: str = "FailedCreate",
    last: str = "2026-11-22T11:55:00Z",
    revision: int = 2,
    name: str = "one",
) -> str:
    """An event of the ReplicaSet."""
    text = EVENT
    for word, value in (
        ("NAME", name),
        ("REVISION", str(revision)),
        ("REASON", reason),
        ("LAST", last),
        ("MESSAGE", message),
    ):
        text = text.replace(word, value)
    return text


WORLD = ACCOUNT + DEPLOYMENT + ON_PAPER + replica_set()
REFUSED = 'Error creating: pods "web-1-" is forbidden: '

# --- SAT115

OLD = (
    REFUSED + 'No API token found for service account "web", retry after the token is automatically'
    " created and added to the service account"
)


def test_old_admission_needs_secret_fires():
    found = findings(WORLD + event(OLD))
    finding = the(found, "SAT115")
    assert "SAT116" not in [one.code for one in found]
    assert commands(finding)[-1] == "kubectl -n shop rollout restart deployment/web"


def test_old_admission_needs_secret_quiet():
    assert "SAT115" not in codes(WORLD + event(OLD, last="2026-11-22T11:00:00Z"))


# --- SAT116

WEBHOOK_SAYS = 'admission webhook "w.example.com" denied the request: no'
WEBHOOK_DOWN = (
    'Error creating: Internal error occurred: failed calling webhook "w.example.com": failed to '
    'call webhook: Post "https://w.hooks.svc:443/": no endpoints available'
)
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hooks}
webhooks:
- {name: a.example.com}
- {name: w.example.com, clientConfig: {service: {namespace: hooks, name: w}}}
---
"""
RESTRICTED = (
    'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" '
    "must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container"
    ' "app" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or '
    'container "app" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container '
    '"app" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)
BASELINE = 'violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
QUOTA = "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"


@pytest.mark.parametrize(
    ("message", "says", "command"),
    [
        (
            WEBHOOK_SAYS,
            "webhook w.example.com refuses them",
            "validatingwebhookconfiguration hooks",
        ),
        (WEBHOOK_DOWN, "webhook w.example.com does not answer", "validatingwebhookconfiguration h"),
        (
            REFUSED + RESTRICTED,
            "Pod Security restricted:latest refuses them",
            '"runAsNonRoot":true',
        ),
        (REFUSED + BASELINE, "Pod Security baseline:latest refuses them", "get namespace shop"),
        (REFUSED + QUOTA, "resourcequota few refuses them", '{"spec":{"hard":{"pods":"3"}}}'),
        (
            REFUSED + "exceeded quota: few, requested: limits.cpu=1500m, used: limits.cpu=1, "
            "limited: limits.cpu=2",
            "resourcequota few refuses them",
            "kubectl -n shop describe resourcequota few",
        ),
        (
            REFUSED + "failed quota: few: must specify limits.cpu for: app",
            "resourcequota few refuses them",
            "kubectl -n shop describe resourcequota few",
        ),
        (
            REFUSED + "unable to create new content in namespace shop because it is being "
            "terminated",
            "namespace shop is being deleted",
            "kubectl get namespace shop",
        ),
        (
            REFUSED + "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            "validatingadmissionpolicy p refuses them",
            "kubectl get validatingadmissionpolicy p -o yaml",
        ),
        (
            REFUSED + "unable to validate against any security context constraint: [provider x]",
            "the admission of security context constraints refuses them",
            "auth can-i use securitycontextconstraints/restricted-v2",
        ),
        (
            REFUSED + "maximum cpu usage per Container is 1, but limit is 2",
            "limitrange refuses them",
            "kubectl -n shop describe limitrange",
        ),
        (
            REFUSED + "no PriorityClass with name x was found",
            "admission refuses them",
            "kubectl -n shop describe deployment/web",
        ),
    ],
)
def test_admission_denied_as_403_fires(message, says, command):
    finding = the(findings(WORLD + WEBHOOK + event(message)), "SAT116")
    assert finding.message == f"no pod can be made: {says}"
    assert command in commands(finding)[0]


def test_admission_denied_as_403_fires_and_shows_what_stands_behind_a_webhook():
    lines = commands(the(findings(WORLD + WEBHOOK + event(WEBHOOK_DOWN)), "SAT116"))
    assert lines[1] == ("kubectl -n hooks get pods,endpointslices -l kubernetes.io/service-name=w")


def test_admission_denied_as_403_fires_though_webhooks_cannot_be_seen():
    found, _ = examined(WORLD + event(WEBHOOK_SAYS), unseen=("ValidatingWebhookConfiguration",))
    assert commands(the(found, "SAT116"))[0].startswith("kubectl get validatingwebhookconf")


def test_admission_denied_as_403_fires_by_the_condition_when_the_event_is_gone():
    text = WORLD.replace(
        "status: {replicas: 1}",
        "status: {conditions: [{type: ReplicaFailure, status: 'True', message: "
        f"'{REFUSED}{QUOTA}'}}]}}",
    )
    assert the(findings(text), "SAT116").object.path == "status.conditions[0].message"


STATEFUL = (
    DEPLOYMENT.replace("Deployment", "StatefulSet").replace("status: {replicas: 1}", "status: {}"),
    ON_PAPER.replace("Deployment", "StatefulSet"),
)


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        ("StatefulSet", "replicas: 2", "{replicas: 1, readyReplicas: 1}"),
        ("DaemonSet", "x: 1", "{desiredNumberScheduled: 2, currentNumberScheduled: 1}"),
        ("Job", "x: 1", "{failed: 1}"),
    ],
)
def test_admission_denied_as_403_fires_for_other_workloads(kind, spec, status):
    workload = DEPLOYMENT.replace("Deployment", kind).replace("replicas: 1\n", f"{spec}\n", 1)
    workload = workload.replace("status: {replicas: 1}", f"status: {status}")
    said = event(REFUSED + QUOTA).replace("ReplicaSet", kind).replace("web-2", "web")
    text = ACCOUNT + workload + ON_PAPER.replace("Deployment", kind)
    assert "SAT116" in codes(text + said.replace(", uid: rs-2", ""))
    full = {
        "StatefulSet": "{replicas: 1, readyReplicas: 0}",
        "DaemonSet": "{desiredNumberScheduled: 2, currentNumberScheduled: 2}",
        "Job": "{active: 1}",
    }[kind]
    assert "SAT116" not in codes(text.replace(status, full) + said.replace(", uid: rs-2", ""))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            WORLD.replace("status: {replicas: 1}", "status: {updatedReplicas: 1}")
            + event(REFUSED + QUOTA),
            id="the pods are there",
        ),
        pytest.param(WORLD + event(REFUSED + QUOTA, last="2026-11-22T11:30:00Z"), id="long ago"),
        pytest.param(
            WORLD
            + event(REFUSED + QUOTA)
            + event("made", reason="SuccessfulCreate", last="2026-11-22T11:56:00Z", name="two"),
            id="one was made since",
        ),
        pytest.param(
            WORLD + replica_set(1) + event(REFUSED + QUOTA, revision=1),
            id="that was the template before",
        ),
        pytest.param(
            WORLD + event(REFUSED + QUOTA).replace("uid: rs-2", "uid: other"),
            id="that was another of its name",
        ),
        pytest.param(
            WORLD + event('Error creating: Pod "web" is invalid: spec.x: Invalid value'),
            id="the pod is wrong",
        ),
        pytest.param(
            WORLD + event(REFUSED + 'volume with secret.secretName="s" is not allowed because '
                          "service account web does not reference that secret"),
            id="that is SAT113",
        ),
    ],
)  # fmt: skip
def test_admission_denied_as_403_quiet(text):
    assert "SAT116" not in codes(text)


def test_admission_denied_as_403_quiet_where_no_pod_is_lacking_and_asks_for_no_events():
    healthy = WORLD.replace("status: {replicas: 1}", "status: {updatedReplicas: 1}")
    _, skipped = examined(healthy, unseen=("Event",))
    assert not {"SAT115", "SAT116"} & {code for code, _ in skipped}
