"""The kubelet cannot get a token: its events by hand, its requests by impersonation.

A pod is bound to a node that is only a name. What the kubelet would ask is asked in its stead as
``system:node:NAME``, and the API server answers it as it does any kubelet.
"""

from tests.scenarios import SLEEP, Scenario, service_account, template

VOLUME = "kube-api-access-x"

EVENT = """
apiVersion: v1
kind: Event
metadata: {name: web.1}
involvedObject: {apiVersion: v1, kind: Pod, name: web, namespace: $NS, uid: $POD}
type: Warning
reason: REASON
message: |-
  MESSAGE
source: {component: kubelet, host: n1-$NS}
firstTimestamp: $FIRST
lastTimestamp: $NOW
count: 9
"""


def on_node(more: str = "", node: str = "n1-NS") -> str:
    """A pod that is bound to a node that is not there."""
    spec = f"nodeName: {node}, serviceAccountName: web, containers: [{SLEEP}]"
    return f"{service_account()}---{template(spec + more, kind='Pod')}"


def says(message: str, reason: str = "FailedMount", uid: str = "") -> str:
    """A shell line by which the kubelet says something of the pod, for two minutes already."""
    event = EVENT.replace("REASON", reason).replace("MESSAGE", message)
    pod = uid or "$(kubectl -n $NS get pod web -o jsonpath={.metadata.uid})"
    return (
        f"POD={pod}; NOW=$(date -u +%FT%TZ); FIRST=$(date -u -d '2 minutes ago' +%FT%TZ); "
        f"kubectl -n $NS create -f - <<EOF\n{event}EOF"
    )


def fails_to_fetch(message: str, uid: str = "") -> str:
    """A shell line by which the kubelet says that it got no token."""
    return says(
        f'MountVolume.SetUp failed for volume "{VOLUME}" : failed to fetch token: {message}',
        uid=uid,
    )


def fetches(node: str, audience: str = "", uid: str = "") -> str:
    """A shell line that asks for the pod's token as the kubelet of a node does, and drops it."""
    pod = uid or "$(kubectl -n $NS get pod web -o jsonpath={.metadata.uid})"
    request = (
        '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":'
        f'[{audience}],"boundObjectRef":{{"apiVersion":"v1","kind":"Pod","name":"web",'
        f'"uid":"POD"}}}}}}'
    )
    return (
        f"echo '{request}' | sed s/POD/{pod}/ | kubectl create --raw "
        "/api/v1/namespaces/$NS/serviceaccounts/web/token -f - "
        f"--as=system:node:{node} --as-group=system:nodes > /dev/null"
    )


def binds(node: str) -> str:
    """A shell line that binds the new pod to a node, as the scheduler does."""
    binding = (
        '{"apiVersion":"v1","kind":"Binding","metadata":{"name":"web"},'
        f'"target":{{"apiVersion":"v1","kind":"Node","name":"\'{node}\'"}}}}'
    )
    return (
        "until [ -z $(kubectl -n $NS get pod web -o jsonpath={.metadata.deletionTimestamp}) ]; "
        f"do sleep 0.2; done; echo '{binding}' | "
        "kubectl create --raw /api/v1/namespaces/$NS/pods/web/binding -f -"
    )


NO_RELATION = (
    'serviceaccounts "web" is forbidden: User "system:node:n2-$NS" cannot create resource '
    '"serviceaccounts/token" in API group "" in the namespace "$NS": no relationship found '
    "between node 'n2-$NS' and this object"
)

OLD_UID = "11111111-2222-3333-4444-555555555555"

# What the kubelet holds the pod for: an older one, until it sees the new.
HELD = "$(cat $WORK/uid)"

GONE = '[ "$(kubectl -n $NS get pod web -o jsonpath={.metadata.uid})" != "$(cat $WORK/uid)" ]'

NOTE_UID = "kubectl -n $NS get pod web -o jsonpath={.metadata.uid} > $WORK/uid"

# Whether the kubelet has said it of the pod that is there now.
SAYS_NO_MORE = (
    "! kubectl -n $NS get events -o jsonpath={.items[*].involvedObject.uid} | "
    "grep -q $(kubectl -n $NS get pod web -o jsonpath={.metadata.uid})"
)

NO_TOKENS = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-tokens-NS}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: ['serviceaccounts/*']}
  validations: [{expression: 'false', message: not now}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-tokens-NS}
spec:
  policyName: no-tokens-NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
---
"""

DRIVER = """
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: csi.NS.example}
spec: {SPEC}
---
"""

# A claim that is bound to its volume by hand, in a pod that is said to run.
CLAIM = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-NS}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: ''
  claimRef: {namespace: NS, name: data}
  hostPath: {path: /tmp/satoken-data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, finalizers: [example.com/backup]}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  storageClassName: ''
  volumeName: pv-NS
---
"""

CLAIM_IS_BOUND = "kubectl -n $NS get pvc data -o jsonpath={.status.phase} | grep -q Bound"

CSI_WORDS = (
    'MountVolume.SetUp failed for volume "s" : rpc error: code = InvalidArgument desc = '
    "csi.storage.k8s.io/serviceAccount.tokens is missing"
)

CSI_VOLUME = ", volumes: [{name: s, csi: {driver: csi.NS.example}}]"

SCENARIOS = [
    Scenario(
        "kubelet-token-no-relationship",
        "SAT601",
        "pod/web",
        on_node(),
        (fails_to_fetch(NO_RELATION),),
        # the node goes by another name now, and the scheduler knows it by that
        after=(binds("n2-$NS"),),
        certainty="likely",
        proof=fetches("n2-$NS"),
        where=("live",),
    ),
    Scenario(
        "kubelet-token-other-node",
        "SAT602",
        "pod/web",
        on_node(),
        (
            # n2 still has a pod of its own there, so the Node authorizer lets it ask
            "kubectl -n $NS run other --image=x "
            """--overrides='{"spec":{"nodeName":"'n2-$NS'","serviceAccountName":"web"}}'""",
            fails_to_fetch(
                'serviceaccounts "web" is forbidden: node requested token bound to a pod '
                "scheduled on a different node"
            ),
        ),
        after=(binds("n2-$NS"),),
        certainty="likely",
        proof=fetches("n2-$NS"),
        where=("live",),
    ),
    Scenario(
        "kubelet-token-pod-uid-mismatch",
        "SAT603",
        "pod/web",
        on_node(),
        (
            f"echo {OLD_UID} > $WORK/uid; sleep 1.1",
            fails_to_fetch(
                f'serviceaccounts "web" is forbidden: the UID in the bound object reference '
                f"({OLD_UID}) does not match the UID in record. The object might have been deleted "
                "and then recreated",
                uid=OLD_UID,
            ),
        ),
        # the kubelet sees the new pod
        after=(binds("n1-$NS"), NOTE_UID),
        certainty="likely",
        proof=fetches("n1-$NS", uid=HELD),
        where=("live",),
    ),
    Scenario(
        "kubelet-token-pod-gone",
        "SAT604",
        "pod/web",
        on_node(),
        (
            f"echo {OLD_UID} > $WORK/uid; sleep 1.1",
            fails_to_fetch('pods "web" not found', uid=OLD_UID),
        ),
        after=(binds("n1-$NS"), NOTE_UID),
        certainty="likely",
        proof=fetches("n1-$NS", uid=HELD),
        where=("live",),
    ),
    Scenario(
        "node-audience-restricted",
        "SAT605",
        "pod/web",
        on_node(),
        (
            fails_to_fetch(
                'serviceaccounts "web" is forbidden: audience "https://vault.example" not found '
                "in pod spec volume, system:node:n1-$NS is not authorized to request tokens for "
                "this audience"
            ),
        ),
        # the authorizer sees a new role a moment later
        proof=fetches("n1-$NS", '"https://vault.example"'),
        after=("sleep 1", "kubectl -n $NS delete event web.1"),
        where=("live",),
    ),
    Scenario(
        "not-registered-transient",
        "SAT606",
        "pod/web",
        on_node(),
        (
            NOTE_UID,
            says(
                f'MountVolume.SetUp failed for volume "{VOLUME}" : object '
                '"$NS"/"kube-root-ca.crt" not registered'
            ),
        ),
        certainty="likely",
        proof=SAYS_NO_MORE,
        where=("live",),
    ),
    *(
        Scenario(
            name,
            code,
            "pod/web",
            on_node(),
            (fails_to_fetch(message),),
            # the admin mends the API server, and the kubelet gets on
            undo=("kubectl -n $NS delete event web.1",),
            proof=f"{SAYS_NO_MORE} && {fetches('n1-$NS')}",
            where=("live",),
        )
        for name, code, message in (
            (
                "tokenrequest-api-missing",
                "SAT607",
                "the API server does not have TokenRequest endpoints enabled",
            ),
            (
                "external-signer-failing",
                "SAT609",
                "Internal error occurred: failed to generate token: while signing jwt: rpc error",
            ),
        )
    ),
    Scenario(
        "kubelet-apiserver-unreachable",
        "SAT608",
        "pod/web",
        on_node(node="n-NS") + "---\napiVersion: v1\nkind: Node\nmetadata: {name: n-NS}\n",
        (
            fails_to_fetch(
                'Post "https://10.0.0.1:6443/api/v1/namespaces/$NS/serviceaccounts/web/token": '
                "context deadline exceeded"
            ),
        ),
        undo=(
            "kubectl patch node n-$NS --subresource=status -p "
            '\'{"status":{"conditions":[{"type":"Ready","status":"True"}]}}\'',
            "kubectl -n $NS delete event web.1",
        ),
        certainty="likely",
        proof="kubectl get node n-$NS "
        "-o 'jsonpath={.status.conditions[?(@.type==\"Ready\")].status}' | grep -q True",
        restore=("kubectl delete node n-$NS",),
        where=("live",),
    ),
    Scenario(
        "tokenrequest-denied-by-admission",
        "SAT610",
        "pod/web",
        NO_TOKENS + on_node(),
        (
            f"while {fetches('n1-$NS')}; do sleep 0.3; done",
            fails_to_fetch(
                "serviceaccounts \"web\" is forbidden: ValidatingAdmissionPolicy 'no-tokens-$NS' "
                "with binding 'no-tokens-$NS' denied request: not now"
            ),
        ),
        after=("kubectl -n $NS delete event web.1",),
        certainty="likely",
        proof=fetches("n1-$NS"),
        restore=(
            "kubectl delete validatingadmissionpolicybinding no-tokens-$NS",
            "kubectl delete validatingadmissionpolicy no-tokens-$NS",
        ),
        where=("live",),
    ),
    *(
        Scenario(
            f"csi-token-request-failing-{name}",
            "SAT611",
            "pod/web",
            DRIVER.replace("SPEC", spec) + on_node(CSI_VOLUME),
            (says(CSI_WORDS),),
            after=("kubectl -n $NS delete event web.1",),
            certainty="likely",
            proof="kubectl get csidriver csi.$NS.example -o yaml | grep -q 'audience: ' && "
            "! kubectl get csidriver csi.$NS.example -o yaml | "
            "grep -q 'serviceAccountTokenInSecrets: true'",
            restore=("kubectl delete csidriver csi.$NS.example",),
            where=("live",),
        )
        for name, spec in (
            ("without-requests", "volumeLifecycleModes: [Ephemeral]"),
            (
                "in-secrets",
                "volumeLifecycleModes: [Ephemeral], tokenRequests: [{audience: vault}], "
                "serviceAccountTokenInSecrets: true",
            ),
        )
    ),
    Scenario(
        "image-pull-token-failing",
        "SAT612",
        "pod/web",
        on_node(),
        (
            NOTE_UID,
            "kubectl -n $NS delete serviceaccount web",
            says(
                'Failed to pull image "registry.example/app": failed to get service account token: '
                'serviceaccounts "web" not found',
                reason="Failed",
            ),
        ),
        after=(binds("n1-$NS"),),
        certainty="likely",
        proof=fetches("n1-$NS"),
        where=("live",),
    ),
    Scenario(
        "volume-error-blocks-rotation",
        "SAT613",
        "pod/web",
        CLAIM
        + on_node(", volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]").replace(
            "{name: app,", "{name: app, volumeMounts: [{name: d, mountPath: /data}],"
        ),
        (
            f"until {CLAIM_IS_BOUND}; do sleep 0.2; done",
            "kubectl -n $NS patch pod web --subresource=status -p "
            '\'{"status":{"phase":"Running"}}\'',
            "kubectl -n $NS delete pvc data --wait=false",
            "kubectl -n $NS patch pvc data --type=merge -p "
            '\'{"metadata":{"finalizers":["example.com/backup"]}}\'',
        ),
        certainty="likely",
        proof=f"[ -z $(kubectl -n $NS get pvc data -o jsonpath={{.metadata.deletionTimestamp}}) ] "
        f"&& {CLAIM_IS_BOUND}",
        restore=("kubectl delete pv pv-$NS --wait=false",),
        where=("live",),
    ),
]
