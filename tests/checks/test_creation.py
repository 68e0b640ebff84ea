"""No pod can be made, or it is made without what a service account brings."""

import pytest

from .given import codes, commands, examined, findings, the

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: deploy-web
  annotations: {deployment.kubernetes.io/revision: "2"}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
status: {replicas: 1}
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
---
"""

ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
---
"""

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

# --- SAT108

NO_ACCOUNT = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:00:00Z"}
spec: {containers: [{name: app, image: app}]}
---
"""

API_SERVER = """
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver-n1, namespace: kube-system, labels: {component: kube-apiserver}}
spec:
  containers:
  - {name: x, command: [kube-apiserver, "--disable-admission-plugins=A,ServiceAccount"]}
---
"""


def test_sa_admission_plugin_disabled_fires():
    found = findings(NO_ACCOUNT)
    finding = the(found, "SAT108")
    assert finding.certainty == "likely"
    assert '"serviceAccountName":"default"' in commands(finding)[0]
    assert "SAT103" not in [one.code for one in found]


def test_sa_admission_plugin_disabled_fires_and_is_certain_where_the_flag_is_seen():
    finding = the(findings(NO_ACCOUNT + API_SERVER), "SAT108")
    assert finding.certainty == "certain"
    assert finding.evidence[-1].value == "A,ServiceAccount"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(NO_ACCOUNT.replace(", uid: pod-x", ""), id="the pod is not made yet"),
        pytest.param(
            NO_ACCOUNT.replace(
                "uid: pod-x", "uid: x, annotations: {kubernetes.io/config.mirror: x}"
            ),
            id="a static pod",
        ),
        pytest.param(
            NO_ACCOUNT.replace("spec: {", "spec: {serviceAccountName: default, "), id="on"
        ),
    ],
)
def test_sa_admission_plugin_disabled_quiet(text):
    assert "SAT108" not in codes(text)


# --- SAT109

MIRROR = """
apiVersion: v1
kind: Pod
metadata:
  name: agent-n1
  namespace: shop
  uid: pod-x
  labels: {app: agent}
  annotations: {kubernetes.io/config.mirror: x, kubernetes.io/config.source: file}
spec:
  nodeName: n1
  containers: [{name: app, image: app}]
"""


def test_static_pod_no_token_fires():
    finding = the(findings(MIRROR), "SAT109")
    (command,) = commands(finding)
    assert "kind: DaemonSet" in command
    assert "name: agent\n" in command
    assert "kubernetes.io/hostname: n1" in command


@pytest.mark.parametrize(
    "more",
    [
        "  volumes: [{name: k, hostPath: {path: /etc/kubernetes/pki}}]\n",
        "  initContainers: [{name: i, command: [proxy, --kubeconfig=/x]}]\n",
        "status: {phase: Failed}\n",
    ],
)
def test_static_pod_no_token_quiet(more):
    assert "SAT109" not in codes(MIRROR + more)


def test_static_pod_no_token_quiet_for_a_pod_of_the_api():
    assert "SAT109" not in codes(NO_ACCOUNT)


# --- SAT112

NO_DEFAULT = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: fresh}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: fresh, creationTimestamp: "CREATED"MORE}
---
"""


def no_default(created: str, more: str = "") -> str:
    return NO_DEFAULT.replace("CREATED", created).replace("MORE", more)


def test_default_sa_race_fires_and_waits():
    found = findings(no_default("2026-11-22T11:59:30Z"))
    (command,) = commands(the(found, "SAT112"))
    assert command == "kubectl -n fresh wait --for=create serviceaccount/default --timeout=60s"
    assert "SAT104" not in [one.code for one in found]


def test_default_sa_race_fires_and_makes_it_where_it_stays_away():
    finding = the(findings(no_default("2026-11-22T10:00:00Z")), "SAT112")
    assert commands(finding) == ("kubectl -n fresh create serviceaccount default",)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            no_default("2026-11-22T10:00:00Z", ', deletionTimestamp: "2026-11-22T11:00:00Z"'),
            id="the namespace goes",
        ),
        pytest.param(no_default("2026-11-22T10:00:00Z").replace("fresh", "shop"), id="it is there"),
    ],
)
def test_default_sa_race_quiet(text):
    assert "SAT112" not in codes(text)


# --- SAT113

STRICT = ACCOUNT.replace(
    "uid: sa-web", 'uid: sa-web, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}'
)
SECRET = "volumes: [{name: s, secret: {secretName: creds}}]"
USING = ON_PAPER.replace("image: app}]", "image: app}], " + SECRET)
TOKEN = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: creds, namespace: shop, annotations: {kubernetes.io/service-account.name: web}}
data: {token: eA==}
---
"""


@pytest.mark.parametrize(
    ("pod", "field"),
    [
        (USING, "secrets"),
        (
            ON_PAPER.replace("image: app}", "image: app, envFrom: [{secretRef: {name: creds}}]}"),
            "secrets",
        ),
        (
            ON_PAPER.replace(
                "image: app}",
                "image: app, env: [{name: A, valueFrom: {secretKeyRef: {name: creds, key: a}}}]}",
            ),
            "secrets",
        ),
        (
            ON_PAPER.replace("image: app}]", "image: app}], imagePullSecrets: [{name: creds}]"),
            "imagePullSecrets",
        ),
    ],
)
def test_enforce_mountable_secrets_fires(pod, field):
    finding = the(findings(STRICT + DEPLOYMENT + pod), "SAT113")
    assert commands(finding)[0] == (
        f'kubectl -n shop patch serviceaccount web -p \'{{"{field}":[{{"name":"creds"}}]}}\''
    )


def test_enforce_mountable_secrets_fires_and_takes_the_annotation_off_for_a_token():
    finding = the(findings(STRICT + DEPLOYMENT + USING + TOKEN), "SAT113")
    assert commands(finding)[0] == (
        "kubectl -n shop annotate serviceaccount web kubernetes.io/enforce-mountable-secrets-"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ACCOUNT + USING, id="not strict"),
        pytest.param(STRICT.replace('"true"', '"no"') + USING, id="strict is not true"),
        pytest.param(STRICT + ON_PAPER, id="no Secret"),
        pytest.param(STRICT.replace("---", "secrets: [{name: creds}]\n---") + USING, id="listed"),
        pytest.param(
            STRICT
            + USING.replace("secret: {secretName: creds}", "projected: {sources: "
                            "[{secret: {name: creds}}]}"),
            id="projected ones are not looked at",
        ),
        pytest.param(STRICT + USING.replace("namespace: shop", "namespace: shop\n  uid: pod-x", 1),
                     id="the pod was let in"),
    ],
)  # fmt: skip
def test_enforce_mountable_secrets_quiet(text):
    assert "SAT113" not in codes(text)


# --- SAT114

FIELDS = "{f:spec: {f:template: {f:spec: {f:serviceAccountName: {}, f:serviceAccount: {}}}}%s}"
NOTE = ", f:metadata: {f:annotations: {f:kubectl.kubernetes.io/last-applied-configuration: {}}}"


def stuck(applied: str, *managed: str) -> str:
    """The Deployment as applied, with who has set what."""
    spec = "containers: [{name: app, image: app}]"
    both = DEPLOYMENT.replace(
        "spec: {serviceAccountName", "spec: {serviceAccount: web, serviceAccountName"
    )
    text = f'{{"spec":{{"template":{{"spec":{{{applied}"containers":[]}}}}}}}}'
    assert spec in both
    fields = "".join(f"  - {entry}\n" for entry in managed)
    return both.replace(
        '  annotations: {deployment.kubernetes.io/revision: "2"}\n',
        "  annotations:\n"
        f"    kubectl.kubernetes.io/last-applied-configuration: '{text}'\n"
        f"  managedFields:\n{fields}",
    )


CLIENT = f"{{manager: kubectl-client-side-apply, operation: Update, fieldsV1: {FIELDS % NOTE}}}"
BY_SET = (
    f"{{manager: kubectl-client-side-apply, operation: Update, fieldsV1: {{f:spec: {{}}{NOTE}}}}}",
    f"{{manager: kubectl-set, operation: Update, fieldsV1: {FIELDS % ''}}}",
)
SERVER = "{manager: kubectl, operation: Apply, fieldsV1: {f:spec: {f:template: {}}}}"


@pytest.mark.parametrize("managed", [CLIENT, SERVER])
def test_serviceaccount_alias_stuck_fires(managed):
    finding = the(findings(ACCOUNT + stuck("", managed) + ON_PAPER), "SAT114")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    assert '{"serviceAccountName":null,"serviceAccount":null}' in commands(finding)[0]


def test_serviceaccount_alias_stuck_fires_as_the_reason_why_an_account_is_missing():
    found = findings(stuck("", CLIENT) + ON_PAPER)
    assert the(found, "SAT114").severity == "error"
    assert "SAT104" not in [one.code for one in found]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(stuck('"serviceAccountName":"web",', CLIENT), id="the manifest names it"),
        pytest.param(stuck("", *BY_SET), id="somebody else has set it"),
        pytest.param(DEPLOYMENT, id="nobody notes down who set what"),
    ],
)
def test_serviceaccount_alias_stuck_quiet(text):
    assert "SAT114" not in codes(ACCOUNT + text + ON_PAPER)


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
