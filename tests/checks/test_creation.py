"""No pod can be made, or it is made without what a service account brings."""

import pytest

from .given import ACCOUNT, DEPLOYMENT, ON_PAPER, codes, commands, findings, the

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
