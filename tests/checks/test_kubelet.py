"""What the kubelet says of a pod that waits."""

import pytest

from kubectl_satoken.checks.kubelet import TEXTS, room

from .given import codes, commands, examined, findings, the

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:50:00Z"}
spec:
  nodeName: n1
  serviceAccountName: web
  containers:
  - name: app
    image: app
    volumeMounts:
    - {name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}
  volumes:
  - name: kube-api-access-x
    projected:
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
status: {phase: Pending}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, creationTimestamp: "2026-11-01T00:00:00Z"}
---
"""

EVENT = """
apiVersion: v1
kind: Event
metadata: {name: NAME, namespace: shop}
involvedObject: {kind: Pod, name: web-0, uid: UID}
reason: REASON
message: |-
  MESSAGE
source: {component: kubelet, host: n1}
firstTimestamp: "2026-11-22T11:51:00Z"
lastTimestamp: "LAST"
count: COUNT
---
"""


def said(
    message: str,
    *,
    name: str = "one",
    last: str = "2026-11-22T11:59:00Z",
    count: int = 9,
    uid: str = "pod-x",
    reason: str = "FailedMount",
) -> str:
    """An event of the kubelet."""
    event = EVENT
    for word, value in (
        ("NAME", name),
        ("UID", uid),
        ("REASON", reason),
        ("LAST", last),
        ("COUNT", str(count)),
        ("MESSAGE", message),
    ):
        event = event.replace(word, value, 1)
    return event


def fetch(error: str) -> str:
    """What the kubelet says when it gets no token."""
    return (
        f'MountVolume.SetUp failed for volume "kube-api-access-x" : failed to fetch token: {error}'
    )


NO_RELATION = fetch(
    'serviceaccounts "web" is forbidden: User "system:node:NODE" cannot create resource '
    '"serviceaccounts/token" in API group "" in the namespace "shop": no relationship found '
    "between node 'NODE' and this object"
)
OTHER_NODE = fetch(
    'serviceaccounts "web" is forbidden: node requested token bound to a pod scheduled on a '
    "different node"
)
MISMATCH = fetch(
    'serviceaccounts "web" is forbidden: the UID in the bound object reference (old) does not '
    "match the UID in record. The object might have been deleted and then recreated"
)
GONE = fetch('pods "web-0" not found')
AUDIENCE = fetch(
    'serviceaccounts "web" is forbidden: audience "vault" not found in pod spec volume, '
    "system:node:n1 is not authorized to request tokens for this audience"
)
AUDIENCE_37 = fetch(
    'serviceaccounts "web" is forbidden: system:node:n1 is not authorized to request tokens for '
    'audience "vault"'
)
AUDIENCE_ERROR = fetch(
    'serviceaccounts "web" is forbidden: audience "vault" not found in pod spec volume, error '
    "authorizing system:node:n1 to request tokens for this audience: clusterroles not found"
)
AUDIENCE_UNKNOWN = fetch(
    'serviceaccounts "web" is forbidden: error validating audience "vault": '
    'csidriver.storage.k8s.io "x" not found'
)
UNREGISTERED = (
    'MountVolume.SetUp failed for volume "kube-api-access-x" : object "shop"/"kube-root-ca.crt" '
    "not registered"
)
NO_API = fetch("the API server does not have TokenRequest endpoints enabled")
TIMEOUT = fetch('Post "https://10.0.0.1/api/v1/x/token": context deadline exceeded')
SIGNER = fetch("Internal error occurred: failed to generate token: while signing jwt: no key")
DENIED = fetch('admission webhook "no.example.com" denied the request: no')
CSI = (
    'MountVolume.SetUp failed for volume "s" : kubernetes.io/csi: mounter.SetUpAt failed to get '
    "service accoount token attributes: cannot"
)
PULL = 'Failed to pull image "x": failed to get service account token: serviceaccounts "web" gone'

ALL = {
    "SAT601": NO_RELATION.replace("NODE", "n1"),
    "SAT602": OTHER_NODE,
    "SAT603": MISMATCH,
    "SAT604": GONE,
    "SAT605": AUDIENCE,
    "SAT606": UNREGISTERED,
    "SAT607": NO_API,
    "SAT608": TIMEOUT,
    "SAT609": SIGNER,
    "SAT610": DENIED,
    "SAT611": CSI,
    "SAT612": PULL,
}

OURS = {f"SAT6{number:02}" for number in range(1, 14)}


def ours(text: str) -> list[str]:
    """The codes of this family that are found."""
    return [code for code in codes(text) if code in OURS]


@pytest.mark.parametrize(("code", "message"), ALL.items())
def test_each_text_has_its_room(code, message):
    found = room(message)
    assert found is not None
    assert found[0] == code
    assert ours(POD + said(message)) == [code]
    assert {code for code, _ in TEXTS} <= OURS | {"SAT105", "SAT305"}


@pytest.mark.parametrize(("code", "message"), ALL.items())
@pytest.mark.parametrize(
    ("pod", "event"),
    [
        pytest.param("phase: Running", {}, id="the pod runs"),
        pytest.param("phase: Succeeded", {}, id="the pod has ended"),
        pytest.param("phase: Pending", {"last": "2026-11-22T11:40:00Z"}, id="it is long ago"),
    ],
)
def test_nothing_is_made_of_what_is_over(code, message, pod, event):
    assert ours(POD.replace("phase: Pending", pod) + said(message, **event)) == []


@pytest.mark.parametrize(("code", "message"), ALL.items())
def test_only_the_last_word_on_a_volume_counts(code, message):
    volume = message.partition(" : ")[0]
    later = said(f"{volume} : something else", name="two", last="2026-11-22T11:59:30Z")
    if " : " in message:
        assert ours(POD + said(message) + later) == []


def test_no_events_are_read_for_a_pod_that_runs_or_is_with_no_kubelet():
    for pod in (POD.replace("Pending", "Running"), POD.replace("  nodeName: n1\n", "")):
        found, skipped = examined(pod, unseen=("Event",))
        assert not OURS & {finding.code for finding in found}
        assert not OURS & {code for code, _ in skipped}


def test_kubelet_token_no_relationship_fires_and_compares_the_nodes():
    finding = the(findings(POD + said(NO_RELATION.replace("NODE", "n2"))), "SAT601")
    assert finding.message.endswith("it goes by node n2, but the pod is on n1")
    assert "replace --force" in commands(finding)[0]


def test_kubelet_token_no_relationship_fires_and_asks_the_authorizer():
    finding = the(findings(POD + said(NO_RELATION.replace("NODE", "n1"))), "SAT601")
    assert commands(finding)[0] == (
        "kubectl -n shop auth can-i create serviceaccounts/web --subresource=token "
        "--as=system:node:n1 --as-group=system:nodes"
    )


def test_kubelet_token_no_relationship_quiet_while_it_may_pass():
    for count, last in ((2, "2026-11-22T11:59:00Z"), (9, "2026-11-22T11:51:30Z")):
        event = said(NO_RELATION.replace("NODE", "n1"), count=count, last=last)
        assert ours(POD + event) == []


def test_kubelet_token_other_node_fires():
    finding = the(findings(POD + said(OTHER_NODE)), "SAT602")
    assert "scheduled on a different node" in finding.object.value


def test_kubelet_token_other_node_quiet():
    assert ours(POD) == []


def test_kubelet_token_pod_uid_mismatch_fires():
    the(findings(POD + said(MISMATCH, uid="old")), "SAT603")


def test_kubelet_token_pod_uid_mismatch_quiet_for_what_was_said_before_the_pod_was_made():
    late = POD.replace("T11:50:00Z", "T11:59:30Z")
    assert ours(late + said(MISMATCH, uid="old")) == []


def test_kubelet_token_pod_uid_mismatch_quiet_where_the_kubelet_was_right():
    assert ours(POD + said(MISMATCH.replace("(old)", "(pod-x)"))) == []


def test_kubelet_token_pod_gone_fires():
    the(findings(POD + said(GONE, uid="old")), "SAT604")


def test_kubelet_token_pod_gone_quiet_for_another_pod():
    assert ours(POD + said(GONE).replace("name: web-0, uid", "name: web-1, uid")) == []


@pytest.mark.parametrize("message", [AUDIENCE, AUDIENCE_37, AUDIENCE_ERROR])
def test_node_audience_restricted_fires(message):
    finding = the(findings(POD + said(message)), "SAT605")
    assert finding.message == 'the kubelet may not fetch a token for audience "vault"'
    (command,) = commands(finding)
    assert "- request-serviceaccounts-token-audience" in command
    assert "name: system:nodes" in command


def test_node_audience_restricted_fires_where_it_could_not_be_validated():
    finding = the(findings(POD + said(AUDIENCE_UNKNOWN)), "SAT605")
    assert finding.certainty == "likely"
    assert commands(finding) == ("kubectl -n shop get csidrivers,persistentvolumeclaims",)


def test_node_audience_restricted_quiet():
    assert ours(POD + said("Back-off restarting failed container", reason="BackOff")) == []


def test_not_registered_transient_fires_where_it_stays():
    finding = the(findings(POD + said(UNREGISTERED)), "SAT606")
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD + said(UNREGISTERED, count=1), id="once"),
        pytest.param(
            POD.replace("uid: pod-x", 'uid: pod-x, deletionTimestamp: "2026-11-22T11:58:00Z"')
            + said(UNREGISTERED),
            id="the pod goes",
        ),
    ],
)
def test_not_registered_transient_quiet(text):
    assert ours(text) == []


def test_tokenrequest_api_missing_fires():
    finding = the(findings(POD + said(NO_API)), "SAT607")
    assert commands(finding) == ("kubectl -n shop create token web > /dev/null",)


def test_tokenrequest_api_missing_quiet():
    assert ours(POD) == []


def test_kubelet_apiserver_unreachable_fires_with_the_condition_of_the_node():
    node = """
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {conditions: [{type: Ready, status: Unknown}]}
"""
    finding = the(findings(POD + said(TIMEOUT) + node), "SAT608")
    assert finding.message.endswith("does not reach the API server: context deadline exceeded")
    assert "Unknown" in [one.value for one in finding.evidence]


def test_kubelet_apiserver_unreachable_quiet():
    other = 'MountVolume.SetUp failed for volume "d" : rpc error: connection refused'
    assert ours(POD + said(other)) == []


def test_external_signer_failing_fires():
    finding = the(findings(POD + said(SIGNER)), "SAT609")
    assert finding.message == "the API server cannot sign tokens: while signing jwt: no key"


def test_external_signer_failing_quiet():
    assert ours(POD) == []


WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
- name: other.example.com
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
- name: no.example.com
  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"]}]
---
"""

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: guard}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [serviceaccounts/*]}
    excludeResourceRules: [{apiGroups: [apps]}]
---
"""


def test_tokenrequest_denied_by_admission_fires_and_exempts_the_webhook():
    finding = the(findings(POD + said(DENIED) + WEBHOOK), "SAT610")
    assert (finding.object.name, finding.object.path) == ("guard", "webhooks[1].rules")
    (command,) = commands(finding)
    assert "patch validatingwebhookconfiguration guard --type=json" in command
    assert '"path":"/webhooks/1/matchConditions"' in command


def test_tokenrequest_denied_by_admission_fires_for_a_webhook_that_does_not_answer():
    # its last words look like those of a node whose network is broken
    message = fetch(
        'Internal error occurred: failed calling webhook "no.example.com": failed to call webhook: '
        'Post "https://guard.x.svc:443/?timeout=5s": context deadline exceeded'
    )
    finding = the(findings(POD + said(message) + WEBHOOK), "SAT610")
    assert "does not answer" in finding.message
    assert "patch validatingwebhookconfiguration guard --type=json" in commands(finding)[0]
    assert ours(POD + said(message)) == ["SAT610"]


def test_tokenrequest_denied_by_admission_fires_and_exempts_the_policy():
    message = fetch("ValidatingAdmissionPolicy 'guard' with binding 'b' denied request: no")
    (command,) = commands(the(findings(POD + said(message) + POLICY), "SAT610"))
    assert '"path":"/spec/matchConstraints/excludeResourceRules/-"' in command


def test_tokenrequest_denied_by_admission_fires_though_webhooks_cannot_be_seen():
    found, skipped = examined(POD + said(DENIED), unseen=("ValidatingWebhookConfiguration",))
    assert the(found, "SAT610").object.path == "event FailedMount"
    assert ("SAT610", "validatingwebhookconfigurations") in skipped


def test_tokenrequest_denied_by_admission_quiet():
    assert ours(POD + WEBHOOK + POLICY) == []


CSI_POD = POD.replace("  volumes:\n", "  volumes:\n  - {name: s, csi: {driver: d.example}}\n")

DRIVER = """
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: d.example}
spec: {SPEC}
---
"""


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        ("attachRequired: false", '\'{"spec":{"tokenRequests":[{"audience":""}]'),
        (
            "tokenRequests: [{audience: v}], serviceAccountTokenInSecrets: true",
            '"serviceAccountTokenInSecrets":false',
        ),
        ("tokenRequests: [{audience: v}]", "kubectl get csidriver d.example -o yaml"),
    ],
)
def test_csi_token_request_failing_fires(spec, command):
    text = CSI_POD + said(CSI) + DRIVER.replace("SPEC", spec)
    finding = the(findings(text), "SAT611")
    assert finding.message.startswith("CSI driver d.example gets no token")
    assert command in commands(finding)[0]


def test_csi_token_request_failing_fires_without_a_known_driver():
    assert the(findings(POD + said(CSI)), "SAT611").message.startswith("a CSI driver")


def test_csi_token_request_failing_quiet():
    assert ours(CSI_POD + DRIVER.replace("SPEC", "attachRequired: false")) == []


def test_image_pull_token_failing_fires():
    finding = the(findings(POD + said(PULL, reason="Failed")), "SAT612")
    assert finding.certainty == "likely"
    gone = POD.replace("serviceAccountName: web", "serviceAccountName: gone")
    text = gone + said(PULL, reason="Failed")
    assert commands(the(findings(text), "SAT612"))[0].endswith("create serviceaccount gone")


def test_image_pull_token_failing_quiet():
    other = 'Failed to pull image "x": unauthorized'
    assert ours(POD + said(other, reason="Failed")) == []


RUNNING = POD.replace("Pending", "Running").replace(
    "  volumes:\n", "  volumes:\n  - {name: d, persistentVolumeClaim: {claimName: data}}\n"
)

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shopMORE}
spec: {accessModes: [ReadWriteOnce], volumeName: pv, resources: {requests: {storage: 1Gi}}}
status: {phase: PHASE}
---
"""
GOING = ', deletionTimestamp: "2026-11-22T11:00:00Z"'
HELD = ", finalizers: [kubernetes.io/pvc-protection]"


def claim(more: str = "", phase: str = "Bound") -> str:
    return CLAIM.replace("MORE", more).replace("PHASE", phase)


def test_volume_error_blocks_rotation_fires_for_a_claim_that_goes():
    finding = the(findings(RUNNING + claim(GOING)), "SAT613")
    assert (finding.severity, finding.object.path) == ("warning", "metadata.deletionTimestamp")
    lines = commands(finding)
    assert "Retain" in lines[0]
    assert "kind: PersistentVolumeClaim" in lines[3]


def test_volume_error_blocks_rotation_fires_for_a_lost_or_missing_claim():
    assert "has lost its volume" in the(findings(RUNNING + claim(phase="Lost")), "SAT613").message
    assert "is gone" in the(findings(RUNNING), "SAT613").message
    unbound = claim(phase="Pending").replace("volumeName: pv, ", "")
    assert "is not bound" in the(findings(RUNNING + unbound), "SAT613").message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RUNNING + claim(), id="it is bound"),
        pytest.param(RUNNING + claim(GOING + HELD), id="it is protected still"),
        pytest.param(RUNNING.replace("Running", "Pending"), id="the pod does not run yet"),
        pytest.param(
            RUNNING.replace("uid: pod-x", f"uid: pod-x{GOING}") + claim(GOING),
            id="the pod goes too",
        ),
    ],
)
def test_volume_error_blocks_rotation_quiet(text):
    assert ours(text) == []


def test_volume_error_blocks_rotation_quiet_without_a_claim_and_asks_for_none():
    _, skipped = examined(POD.replace("Pending", "Running"), unseen=("PersistentVolumeClaim",))
    assert "SAT613" not in [code for code, _ in skipped]


def test_the_kubelets_word_tells_of_an_account_that_may_not_be_seen():
    event = said(fetch('serviceaccounts "web" not found'))
    found, _ = examined(POD + event, unseen=("ServiceAccount",))
    seen = "SAT105" in [finding.code for finding in found]
    assert not seen  # the account is in the files
    alone = POD[: POD.index("---")] + "---" + event
    found, _ = examined(alone, unseen=("ServiceAccount",))
    finding = the(found, "SAT105")
    assert finding.certainty == "likely"
    assert finding.evidence[-1].path == "event FailedMount"
