"""The kubelet cannot get a token for the pod, or cannot mount it: what its events say.

A new text goes into TEXTS, beside the code of the check that explains it; a check of its own is a
function below, which asks ``told`` whether the kubelet has said so of a pod that still waits.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..events import KUBELET_PATIENCE, about, is_fresh, keeps_on, last_seen, newest
from ..fixes import and_manifest, dumps, kubectl, restart
from ..mounts import account_of, is_mirror, volume_tokens, volumes
from ..server import version_of
from ..workloads import is_live
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .policy import covers

if TYPE_CHECKING:
    import re

FETCH = "failed to fetch token: "

# The texts of the kubelet's events, each with the check that it belongs to; the first that matches
# counts. What is quoted comes from pkg/kubelet/token, pkg/volume/csi, pkg/credentialprovider and
# plugin/pkg/{admission/noderestriction,auth/authorizer/node} of Kubernetes 1.32 to 1.37.
TEXTS = (
    (
        "SAT605",
        r'audience "(?P<audience>[^"]*)" not found in pod spec volume, '
        r"(error authorizing )?(?P<node>system:node:\S+) ",
    ),
    (
        "SAT605",
        r"(?P<node>system:node:\S+) is not authorized to request tokens for "
        r'audience "(?P<audience>[^"]*)"',
    ),
    ("SAT605", r'error validating audience "(?P<audience>[^"]*)": (?P<why>.*)'),
    ("SAT605", r"node may only request 0 or 1 audiences(?P<audience>)"),
    ("SAT601", r"no relationship found between node '(?P<node>[^']+)' and this object"),
    ("SAT602", r"node requested token bound to a pod scheduled on a different node"),
    (
        "SAT603",
        r"the UID in the bound object reference \((?P<uid>[^)]*)\) "
        r"does not match the UID in record",
    ),
    (
        "SAT610",
        r"failed to (fetch|get \S+ account) token.*admission webhook \"(?P<name>[^\"]+)\" denied",
    ),
    (
        "SAT610",
        r"failed to (fetch|get \S+ account) token.*"
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'.* denied request",
    ),
    (
        "SAT610",
        r"failed to (fetch|get \S+ account) token.*failed calling webhook \"(?P<name>[^\"]+)\"",
    ),
    ("SAT611", r"failed to get service acc?o?ount token attributes: (?P<why>.*)"),
    ("SAT611", r"(?P<why>.*csi\.storage\.k8s\.io/serviceAccount\.tokens.*)"),
    ("SAT612", r"failed to get service account( token)?: (?P<why>.*)"),
    ("SAT604", FETCH + r'pods "(?P<pod>[^"]+)" not found'),
    ("SAT105", FETCH + r'serviceaccounts "(?P<account>[^"]+)" not found'),
    ("SAT607", r"the API server does not have TokenRequest endpoints enabled"),
    ("SAT607", FETCH + r"the server could not find the requested resource"),
    ("SAT609", r"failed to generate token: (?P<why>.*)"),
    (
        "SAT608",
        FETCH + r".*(?P<why>context deadline exceeded|EOF|connection refused|i/o timeout|"
        r"no such host|no route to host|x509: .*|TLS handshake timeout|connection reset by peer)",
    ),
    ("SAT606", r'object "[^"]*"/"(?P<name>[^"]+)" not registered'),
    ("SAT606", r"failed to sync (configmap|secret) cache(?P<name>)"),
    ("SAT305", r'configmap "(?P<name>kube-root-ca\.crt|openshift-service-ca\.crt)" not found'),
    ("SAT305", r"configmap references non-existent config key: (?P<name>ca\.crt|service-ca\.crt)"),
)

REASONS = ("FailedMount", "FailedAttachVolume", "Failed", "ErrImagePull")

# What a container waits for while the kubelet has not got so far as to start it.
NOT_STARTED = (
    "ContainerCreating",
    "PodInitializing",
    "ImagePullBackOff",
    "ErrImagePull",
    "CreateContainerConfigError",
    "CreateContainerError",
)


class Told(NamedTuple):
    """What the kubelet said: its words as evidence, the event, and the parts of its text."""

    evidence: Evidence
    event: Object
    match: "re.Match[str]"

    def part(self, name: str) -> str:
        """A named part of the text; empty where it has none."""
        return str(self.match.groupdict().get(name) or "")


def waits(pod: Object) -> bool:
    """Whether a pod is with a kubelet that has not started all of its containers.

    Only then is what the kubelet has said before still so.
    """
    status = pod.get("status") or {}
    phase = status.get("phase")
    waiting = phase in (None, "", "Pending")
    if phase == "Running":
        # nearly every pod, and asked of it a dozen times; its init containers have ended
        for container in status.get("containerStatuses") or ():
            state = container.get("state")
            if state and "waiting" in state:
                waiting = waiting or (state["waiting"] or {}).get("reason") in NOT_STARTED
    return waiting and is_live(pod) and not is_mirror(pod) and bool(pod["spec"].get("nodeName"))


def room(message: str) -> "tuple[str, re.Match[str]] | None":
    """The code of the check that a text of the kubelet belongs to, and what was found in it."""
    import re

    for code, pattern in TEXTS:
        match = re.search(pattern, message, re.DOTALL)
        if match is not None:
            return code, match
    return None


def told(pod: Object, world: World, code: str, *, any_uid: bool = False) -> Told | None:
    """The kubelet's last word on a waiting pod, where it belongs to a check and is recent.

    With ``any_uid`` also what is said of an older pod of its name since this one was made. Nothing
    is read for a pod that
    runs. What cannot be seen was not said.
    """
    if not waits(pod):
        return None
    namespace = pod["metadata"].get("namespace", "")
    made = str(pod["metadata"].get("creationTimestamp") or "")
    events: list[Object] = []
    try:
        for event in world.events(namespace, pod["metadata"]["name"]):
            events.append(event)
    except Unseen:
        pass  # what came before a break was said
    volumes_seen = set()
    for event in newest([one for one in events if one.get("reason") in REASONS]):
        kind = (event.get("involvedObject") or {}).get("kind", "Pod")
        if kind != "Pod" or not is_fresh(event, world, KUBELET_PATIENCE):
            continue
        if not about(event, pod["metadata"]["uid"]) and not (any_uid and last_seen(event) > made):
            continue
        message = str(event.get("message") or "")
        # of a volume only the last word counts: what was said before is over
        volume = message.partition(" : ")[0]
        if volume in volumes_seen:
            continue
        found = room(message)
        if found is None:
            if "timed out waiting" not in message:
                volumes_seen.add(volume)
            continue
        volumes_seen.add(volume)
        if found[0] == code:
            evidence = at(pod, f"event {event['reason']}", message, here=True)
            return Told(evidence, event, found[1])
    return None


def node_of(pod: Object) -> str:
    """The node that a pod is bound to."""
    return str(pod["spec"].get("nodeName") or "")


def may_fetch(pod: Object, world: World, node: str) -> str:
    """The command that asks the Node authorizer what the kubelet of a node asks it."""
    return kubectl(
        world,
        pod["metadata"].get("namespace", ""),
        "auth",
        "can-i",
        "create",
        f"serviceaccounts/{account_of(pod)}",
        "--subresource=token",
        f"--as=system:node:{node}",
        "--as-group=system:nodes",
    )


def mintable(pod: Object, world: World) -> str:
    """The command that has the API server make a token for the pod's account, and drops it."""
    namespace = pod["metadata"].get("namespace", "")
    return kubectl(world, namespace, "create", "token", account_of(pod)) + " > /dev/null"


def anew(pod: Object, world: World) -> tuple[str, ...]:
    """The commands that make the pod anew."""
    return tuple(restart(pod, world))


@check("SAT601", on="Pod", severity="error", stage="kubelet")
def kubelet_token_no_relationship(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet may not fetch the token: no pod ties its node to the account.

    ### What goes wrong

    `failed to fetch token: serviceaccounts "NAME" is forbidden: … no relationship found between
    node 'NODE' and this object`. A kubelet may fetch tokens only for pods that are bound to its
    node. In the first seconds of a pod, or when an API server starts, this passes by itself and is
    not reported. Where it stays, the kubelet goes by another node name than the pod is bound to, or
    the API server does not follow the pods any more.

    ### How to fix it

    See whether the node may fetch it now. If not: compare the name in the kubelet's client
    certificate with the node of the pod, and restart the kubelet or the API server.
    """
    said = told(pod, world, "SAT601")
    if said is None or not keeps_on(said.event):
        return
    node, own = said.part("node"), node_of(pod)
    place = at(pod, "spec.nodeName", own, here=node != own)
    yield Finding(
        f"the kubelet may not fetch the token: it goes by node {node}, but the pod is on {own}"
        if node != own
        else f"the kubelet may not fetch the token: the API server sees no such pod on {node}",
        place if node != own else said.evidence,
        (said.evidence._replace(here=node == own), place),
        Fix(
            "make the pod anew, so that it is bound to the node by its present name (or give the "
            f"kubelet back the name {own})",
            anew(pod, world),
            recreates=True,
        )
        if node != own
        else Fix(
            f"see whether the kubelet of {node} may fetch it now; if so make the pod anew, if not "
            "restart that kubelet, or the API server",
            (may_fetch(pod, world, node), *anew(pod, world)),
            recreates=True,
        ),
        certainty="likely",
    )


@check("SAT602", on="Pod", severity="error", stage="kubelet")
def kubelet_token_other_node(pod: Object, world: World) -> Iterator[Finding]:
    """A kubelet asks for the token of a pod that is on another node.

    ### What goes wrong

    `failed to fetch token: … node requested token bound to a pod scheduled on a different node`.
    The node still runs a pod that was deleted and made again elsewhere under the same name (a
    StatefulSet after a forced deletion), or its view of the cluster is old.

    ### How to fix it

    Make the pod anew. If the old one stays on the other node, restart the kubelet there.
    """
    said = told(pod, world, "SAT602")
    if said is None:
        return
    place = at(pod, "spec.nodeName", node_of(pod))
    host = str((said.event.get("source") or {}).get("host") or "another node")
    yield Finding(
        f"the kubelet of {host} may not fetch the token: the pod is on {node_of(pod)}",
        said.evidence,
        (said.evidence, place),
        Fix(
            f"make the pod anew (if the old one stays on {host}, restart its kubelet)",
            anew(pod, world),
            recreates=True,
        ),
        certainty="likely",
    )


@check("SAT603", on="Pod", severity="error", stage="kubelet")
def kubelet_token_pod_uid_mismatch(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet asks for the token of an older pod of that name.

    ### What goes wrong

    `failed to fetch token: … the UID in the bound object reference (…) does not match the UID in
    record`. The pod was deleted and made again under the same name, and the node still holds the
    old one: after a forced deletion, or while the kubelet is behind.

    ### How to fix it

    Make the pod anew, so that the kubelet lets go of the old one.
    """
    said = told(pod, world, "SAT603", any_uid=True)
    if said is None:
        return
    if said.part("uid") == pod["metadata"]["uid"]:
        return  # it was the API server that was behind
    uid = at(pod, "metadata.uid", pod["metadata"]["uid"])
    yield Finding(
        "the kubelet cannot fetch the token: it holds an older pod of this name",
        said.evidence,
        (said.evidence, uid),
        Fix("make the pod anew", anew(pod, world), recreates=True),
        certainty="likely",
    )


@check("SAT604", on="Pod", severity="error", stage="kubelet")
def kubelet_token_pod_gone(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet asks for the token of a pod that the API server does not know.

    ### What goes wrong

    `failed to fetch token: pods "NAME" not found`. The node runs a pod that was deleted by force,
    or the API server that it asks is behind the others. The new pod of the same name waits for the
    old one to go.

    ### How to fix it

    Make the pod anew. If the old one stays on the node, restart the kubelet there.
    """
    said = told(pod, world, "SAT604", any_uid=True)
    if said is None:
        return
    yield Finding(
        "the kubelet cannot fetch the token: it asks for a pod that is gone from the API server",
        said.evidence,
        (said.evidence, at(pod, "metadata.uid", pod["metadata"]["uid"])),
        Fix(
            f"make the pod anew (if the old one stays on {node_of(pod)}, restart its kubelet)",
            anew(pod, world),
            recreates=True,
        ),
        certainty="likely",
    )


@check("SAT605", on="Pod", severity="error", stage="kubelet")
def node_audience_restricted(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet may not fetch a token for that audience.

    ### What goes wrong

    `audience "NAME" not found in pod spec volume, system:node:NODE is not authorized to request
    tokens for this audience` (1.37: `is not authorized to request tokens for audience "NAME"`).
    Since 1.33 a node gets tokens only for audiences that stand in a projected volume of the pod, or
    in the `tokenRequests` of a CSI driver that the pod uses. Image credential providers and old
    drivers ask for others; `error validating audience` says that the driver, claim or volume by
    which this is decided could not be looked up.

    ### How to fix it

    Allow the nodes to ask for that audience for this service account.
    """
    said = told(pod, world, "SAT605")
    if said is None:
        return
    namespace, name = pod["metadata"].get("namespace", ""), account_of(pod)
    audience, why = said.part("audience"), said.part("why")
    if why or not audience:
        yield Finding(
            f'the kubelet may not fetch a token: audience "{audience}" could not be validated'
            if why
            else "the kubelet may not fetch a token: it asks for several audiences at once",
            said.evidence,
            (said.evidence,),
            Fix(
                "put back the CSI driver, claim or volume that its words name; this shows them"
                if why
                else "have the node's CSI driver or credential provider ask for one; "
                "this shows the drivers",
                (kubectl(world, namespace, "get", "csidrivers,persistentvolumeclaims"),),
            ),
            certainty="likely",
        )
        return
    role_name = f"node-token-audience-{name}"
    metadata = {"name": role_name, "namespace": namespace}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [
            {
                "apiGroups": [""],
                "resources": [audience],
                "resourceNames": [name],
                "verbs": ["request-serviceaccounts-token-audience"],
            }
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role_name},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
        ],
    }
    yield Finding(
        f'the kubelet may not fetch a token for audience "{audience}"',
        said.evidence,
        (said.evidence, Evidence("ServiceAccount", namespace, name, "", "whose token it is")),
        and_manifest(
            world,
            {"apiVersion": "v1", "kind": "List", "items": [role, binding]},
            "allow the nodes to ask for it (the kubelet tries again within two minutes)",
        ),
    )


@check("SAT606", on="Pod", severity="warning", stage="kubelet")
def not_registered_transient(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet has lost sight of a ConfigMap or Secret of the pod.

    ### What goes wrong

    `object "NAMESPACE"/"kube-root-ca.crt" not registered`, or `failed to sync configmap cache`.
    This is said in passing when a pod starts or ends, or the kubelet is restarted, and is not
    reported then. Repeated for minutes on a pod that is to start, the kubelet does not recover by
    itself.

    ### How to fix it

    Make the pod anew; if that does not help, restart the kubelet of its node.
    """
    if pod["metadata"].get("deletionTimestamp"):
        return
    said = told(pod, world, "SAT606")
    if said is None or not keeps_on(said.event):
        return
    name = said.part("name")
    yield Finding(
        f"the kubelet has lost sight of {name or 'the volume sources'}, and so cannot mount the "
        "volume",
        said.evidence,
        (said.evidence, at(pod, "spec.nodeName", node_of(pod))),
        Fix(
            f"make the pod anew (if that does not help, restart the kubelet of {node_of(pod)})",
            anew(pod, world),
            recreates=True,
        ),
        certainty="likely",
    )


@check("SAT607", on="Pod", severity="error", stage="kubelet")
def tokenrequest_api_missing(pod: Object, world: World) -> Iterator[Finding]:
    """The API server makes no tokens on request.

    ### What goes wrong

    `failed to fetch token: the API server does not have TokenRequest endpoints enabled`. Kubelets
    fetch tokens by the subresource `serviceaccounts/token`. An API server without
    `--service-account-issuer` and `--service-account-signing-key-file` does not have it; both are
    needed since 1.20.

    ### How to fix it

    Give kube-apiserver these flags. The kubelet tries again within two minutes.
    """
    said = told(pod, world, "SAT607")
    if said is None:
        return
    yield Finding(
        "the kubelet cannot fetch the token: the API server has no TokenRequest",
        said.evidence,
        (said.evidence,),
        Fix(
            "give kube-apiserver --service-account-issuer and --service-account-signing-key-file; "
            "this is silent when tokens can be made",
            (mintable(pod, world),),
        ),
    )


@check("SAT608", on="Pod", severity="error", stage="kubelet")
def kubelet_apiserver_unreachable(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet does not reach the API server to fetch the token.

    ### What goes wrong

    `failed to fetch token: Post "https://…/serviceaccounts/NAME/token": context deadline exceeded`,
    or `EOF`, `connection refused`, `i/o timeout`, `x509: …`. The node's way to the API server is
    broken, or was for a while: that is a fault of the node, and other pods on it have it too.

    ### How to fix it

    See whether the node is Ready, and look after its network, its proxy and the certificates of its
    kubelet.
    """
    said = told(pod, world, "SAT608")
    if said is None:
        return
    node = node_of(pod)
    evidence = [said.evidence]
    try:
        item = world.get("Node", "", node)
    except Unseen:
        item = None
    for condition in ((item or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready":
            path = "status.conditions[Ready].status"
            evidence.append(Evidence("Node", "", node, path, str(condition.get("status"))))
    yield Finding(
        f"the kubelet of {node} does not reach the API server: {said.part('why')}",
        said.evidence,
        tuple(evidence),
        Fix(
            f"look after {node}: its network, proxy and the kubelet's certificates; "
            "this waits until it is Ready",
            (kubectl(world, "", "wait", "--for=condition=Ready", f"node/{node}", "--timeout=60s"),),
        ),
        certainty="likely",
    )


@check("SAT609", on="Pod", severity="error", stage="kubelet")
def external_signer_failing(pod: Object, world: World) -> Iterator[Finding]:
    """The API server cannot sign tokens.

    ### What goes wrong

    `failed to fetch token: Internal error occurred: failed to generate token: …`. The signer of the
    API server fails: mostly an external one (`--service-account-signing-endpoint`) that does not
    answer, or whose keys are not accepted. No token of the cluster can be made.

    ### How to fix it

    Mend the signer that kube-apiserver uses. Any request for a token fails as long as it is broken.
    """
    said = told(pod, world, "SAT609")
    if said is None:
        return
    yield Finding(
        f"the API server cannot sign tokens: {said.part('why').strip()}",
        said.evidence,
        (said.evidence,),
        Fix(
            "mend the signer (kube-apiserver --service-account-signing-endpoint); "
            "this is silent when tokens can be made",
            (mintable(pod, world),),
        ),
    )


# A lone * means every resource, but no subresource.
TOKEN_RESOURCES = ("*/*", "serviceaccounts/*", "*/token", "serviceaccounts/token")

# In the language of webhooks and policies: everything but requests for tokens.
NO_TOKENS = "!(request.resource.resource == 'serviceaccounts' && request.subResource == 'token')"


class Denier(NamedTuple):
    """A webhook or policy that looks at requests for tokens: evidence, and how to exempt them."""

    name: str
    evidence: Evidence
    command: str


def deniers(world: World) -> Iterator[Denier]:
    """The webhooks and policies that can deny requests for tokens. Raises Unseen."""
    exempt: object
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for item in world.list(kind):
            for index, webhook in enumerate(item.get("webhooks") or []):
                if not covers(webhook.get("rules"), TOKEN_RESOURCES):
                    continue
                path = f"webhooks[{index}]"
                exempt = {"name": "no-token-requests", "expression": NO_TOKENS}
                yield denier(
                    world, item, str(webhook.get("name")), f"{path}.rules",
                    f"/webhooks/{index}/matchConditions", exempt, webhook.get("matchConditions"),
                )  # fmt: skip
    version = version_of(world)
    if version is not None and version < (1, 30):
        return  # not served yet
    for item in world.list("ValidatingAdmissionPolicy"):
        constraints = (item.get("spec") or {}).get("matchConstraints") or {}
        if not covers(constraints.get("resourceRules"), TOKEN_RESOURCES):
            continue
        exempt = {
            "apiGroups": [""],
            "apiVersions": ["*"],
            "operations": ["*"],
            "resources": ["serviceaccounts/token"],
        }
        yield denier(
            world, item, item["metadata"]["name"], "spec.matchConstraints.resourceRules",
            "/spec/matchConstraints/excludeResourceRules", exempt,
            constraints.get("excludeResourceRules"),
        )  # fmt: skip


def denier(
    world: World, item: Object, name: str, place: str, path: str, exempt: object, there: object
) -> Denier:
    """A denier with the JSON patch that adds its exemption to a list, or makes the list."""
    operation = {"op": "add", "path": f"{path}/-" if there else path}
    operation["value"] = exempt if there else [exempt]  # type: ignore[assignment]
    words = ("patch", item["kind"].lower(), item["metadata"]["name"], "--type=json", "-p")
    command = kubectl(world, "", *words, dumps([operation]))
    return Denier(name, at(item, place, "covers serviceaccounts/token"), command)


def deniers_of(name: str, world: World) -> tuple[list[Denier], Unseen | None]:
    """The denier of that name, or else all that it may be, and what could not be looked at."""
    found: list[Denier] = []
    unsure: Unseen | None = None
    try:
        found.extend(deniers(world))
    except Unseen as unseen:
        unsure = unseen
    return [one for one in found if one.name == name] or found, unsure


def exempt_tokens(named: list[Denier], world: World, then: str) -> Fix:
    """The fix that has requests for tokens pass by a denier; ``then`` is what comes of it."""
    if named:
        return Fix(f"exempt requests for tokens from it ({then})", (named[0].command,))
    shown = kubectl(
        world, "", "get",
        "validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations",
    )  # fmt: skip
    return Fix("have its owner exempt serviceaccounts/token; this shows them all", (shown,))


@check("SAT610", on="Pod", severity="error", stage="kubelet")
def tokenrequest_denied_by_admission(pod: Object, world: World) -> Iterator[Finding]:
    """A webhook or policy denies the kubelet's request for the token.

    ### What goes wrong

    `failed to fetch token: admission webhook "NAME" denied the request: …`, or
    `ValidatingAdmissionPolicy 'NAME' … denied request`. Its rules cover
    `serviceaccounts/token` (often by `*/*`), so the kubelet's requests go through it, and it takes
    them for something that it should refuse. `failed calling webhook "NAME"`: there is nobody who
    would answer, and its `failurePolicy` is Fail.

    ### How to fix it

    Exempt the subresource from the webhook or policy.
    """
    said = told(pod, world, "SAT610")
    if said is None:
        return
    name = said.part("name")
    named, unsure = deniers_of(name, world)
    yield Finding(
        f"{name} denies the kubelet's request for the token"
        if "failed calling webhook" not in said.match[0]
        else f"the kubelet gets no token: webhook {name}, which would be asked, does not answer",
        named[0].evidence._replace(here=True) if named else said.evidence,
        (said.evidence._replace(here=not named), *(one.evidence for one in named)),
        exempt_tokens(named, world, "the kubelet tries again within two minutes"),
        certainty="likely",
    )
    if unsure is not None:
        raise unsure


def driver_of(pod: Object, message: str, world: World) -> str:
    """The CSI driver of the volume that a message is about; empty where it cannot be seen."""
    import re

    match = re.search(r'for volume "([^"]+)"', message)
    name = match[1] if match else ""
    volume = volumes(pod).get(name)
    if volume is not None and volume.get("csi"):
        return str(volume["csi"].get("driver") or "")
    try:
        # the volume of a claim is named by its PersistentVolume
        item = world.get("PersistentVolume", "", name) if name and volume is None else None
    except Unseen:
        item = None
    csi = ((item or {}).get("spec") or {}).get("csi") or {}
    if csi:
        return str(csi.get("driver") or "")
    drivers = {
        str(one["csi"].get("driver") or "") for one in volumes(pod).values() if one.get("csi")
    }
    return drivers.pop() if len(drivers) == 1 else ""


@check("SAT611", on="Pod", severity="error", stage="kubelet")
def csi_token_request_failing(pod: Object, world: World) -> Iterator[Finding]:
    """A CSI driver does not get the token that it wants for the pod.

    ### What goes wrong

    The kubelet fetches tokens for CSI drivers that ask for them (`CSIDriver.spec.tokenRequests`).
    Either that fails (`failed to get service accoount token attributes: …`, so spelt), or the
    driver finds no token: its CSIDriver asks for none, or has `serviceAccountTokenInSecrets: true`,
    by which the token comes in another place than an older driver looks in. This is no token of the
    program in the pod, but without it the volume is not mounted.

    ### How to fix it

    Correct `tokenRequests` or `serviceAccountTokenInSecrets` of the CSIDriver.
    """
    said = told(pod, world, "SAT611")
    if said is None:
        return
    driver = driver_of(pod, str(said.event.get("message") or ""), world)
    evidence = [said.evidence]
    try:
        item = world.get("CSIDriver", "", driver) if driver else None
    except Unseen:
        item = None
    spec = (item or {}).get("spec") or {}
    who = f"CSI driver {driver}" if driver else "a CSI driver"
    if item is not None and spec.get("serviceAccountTokenInSecrets") and spec.get("tokenRequests"):
        evidence.append(at(item, "spec.serviceAccountTokenInSecrets", True))
        patch = dumps({"spec": {"serviceAccountTokenInSecrets": False}})
        fix = Fix(
            "give it the token where older drivers look for it (or bring the driver up to date)",
            (kubectl(world, "", "patch", "csidriver", driver, "-p", patch),),
        )
    elif item is not None and not spec.get("tokenRequests"):
        evidence.append(at(item, "spec.tokenRequests", None))
        patch = dumps({"spec": {"tokenRequests": [{"audience": ""}], "requiresRepublish": True}})
        fix = Fix(
            "have the kubelet give it a token (the audience is that of the API server here; "
            "the driver's manual says which it needs)",
            (kubectl(world, "", "patch", "csidriver", driver, "-p", patch),),
        )
    else:
        words = ("get", "csidriver", *([driver] if driver else []), "-o", "yaml")
        if item is not None:
            evidence.append(at(item, "spec.tokenRequests", spec.get("tokenRequests")))
        fix = Fix(
            "see what it asks for, and whether that is allowed", (kubectl(world, "", *words),)
        )
    yield Finding(
        f"{who} gets no token for the pod, so its volume is not mounted",
        said.evidence,
        tuple(evidence),
        fix,
        certainty="likely",
    )


@check("SAT612", on="Pod", severity="error", stage="kubelet")
def image_pull_token_failing(pod: Object, world: World) -> Iterator[Finding]:
    """The kubelet gets no token with which to pull the image.

    ### What goes wrong

    `failed to get service account token: …` while an image is pulled. The node has a credential
    provider that is given a token of the pod's service account (`tokenAttributes` in its
    configuration, 1.33 and later), and the kubelet cannot fetch that one: the account is gone, or
    the node may not ask for that audience. This is no token of the program in the pod.

    ### How to fix it

    Create the account if it is gone, and allow the nodes to ask for the provider's audience.
    """
    said = told(pod, world, "SAT612")
    if said is None:
        return
    namespace, name = pod["metadata"].get("namespace", ""), account_of(pod)
    evidence = [said.evidence]
    try:
        gone = world.get("ServiceAccount", namespace, name) is None
    except Unseen:
        gone = False
    if gone:
        evidence.append(Evidence("ServiceAccount", namespace, name, "", "not found"))
        fix = Fix(
            "create the account",
            (
                kubectl(world, namespace, "create", "serviceaccount", name),
                *anew(pod, world),
            ),
            recreates=True,
        )
    else:
        fix = Fix(
            f"its words say why; this asks what the kubelet of {node_of(pod)} asks",
            (may_fetch(pod, world, node_of(pod)),),
        )
    yield Finding(
        f"the kubelet gets no token to pull the image with: {said.part('why').strip()}",
        said.evidence,
        tuple(evidence),
        fix,
        certainty="likely",
    )


PROTECTION = "kubernetes.io/pvc-protection"


def broken_claim(claim: Object, version: tuple[int, int] | None) -> tuple[str, object, str] | None:
    """What is wrong with a claim of a running pod: path, value, and in words; None if nothing is.

    The kubelet passes over the volume then, and refreshes no other of the pod
    (desired_state_of_world_populator.go); since 1.36 not where the claim is still protected.
    """
    metadata, status = claim["metadata"], claim.get("status") or {}
    if metadata.get("deletionTimestamp"):
        held = PROTECTION in (metadata.get("finalizers") or [])
        if not held or (version is not None and version < (1, 36)):
            return "metadata.deletionTimestamp", metadata["deletionTimestamp"], "is being deleted"
        return None
    if status.get("phase") == "Lost":
        return "status.phase", "Lost", "has lost its volume"
    if status.get("phase") == "Pending" and not (claim.get("spec") or {}).get("volumeName"):
        return "status.phase", "Pending", "is not bound"
    return None


def runs(pod: Object) -> bool:
    """Whether a live pod has been started and is not on its way out."""
    return (
        is_live(pod)
        and (pod.get("status") or {}).get("phase") == "Running"
        and not pod["metadata"].get("deletionTimestamp")
    )


@check("SAT613", on="Pod", severity="warning", stage="kubelet")
def volume_error_blocks_rotation(pod: Object, world: World) -> Iterator[Finding]:
    """A broken claim of the running pod keeps its token from being renewed.

    ### What goes wrong

    The kubelet refreshes the volumes of a pod only while each of them can be processed. A
    PersistentVolumeClaim of the pod is being deleted, has lost its volume, or is not bound any
    more: then the token is not renewed either, and is refused with 401 Unauthorized when it
    expires. (Since 1.36 a claim that is being deleted does no harm while it is protected by the
    finalizer `kubernetes.io/pvc-protection`.)

    ### How to fix it

    Make the claim anew and bind it to the same volume, which is to be retained, then make the pod
    anew.
    """
    if not runs(pod) or is_mirror(pod):
        return
    claims = {
        str(volume["persistentVolumeClaim"].get("claimName") or ""): index
        for index, volume in enumerate(pod["spec"].get("volumes") or [])
        if isinstance(volume.get("persistentVolumeClaim"), dict)
    }
    if not claims or not any(
        lifetime is not None
        for volume in pod["spec"].get("volumes") or []
        for *_, lifetime, _ in volume_tokens(volume)
    ):
        return
    namespace = pod["metadata"].get("namespace", "")
    known = {
        item["metadata"]["name"]: item for item in world.list("PersistentVolumeClaim", namespace)
    }
    for name, index in claims.items():
        used = at(pod, f"spec.volumes[{index}].persistentVolumeClaim.claimName", name)
        claim = known.get(name)
        if claim is None:
            here = Evidence("PersistentVolumeClaim", namespace, name, "", "not found", here=True)
            words = "is gone"
        else:
            if broken_claim(claim, None) is None and not claim["metadata"].get("deletionTimestamp"):
                continue
            broken = broken_claim(claim, version_of(world))
            if broken is None:
                continue
            here, words = at(claim, broken[0], broken[1], here=True), broken[2]
        yield Finding(
            f"the token will not be renewed: persistentvolumeclaim {name} {words}, and that stops "
            "all volumes of the pod",
            here,
            (used, here),
            mend_claim(pod, name, claim, world),
            certainty="likely",
        )
        return


def mend_claim(pod: Object, name: str, claim: Object | None, world: World) -> Fix:
    """The commands that make a claim anew on the volume that it had, without losing that."""
    namespace = pod["metadata"].get("namespace", "")
    volume = str(((claim or {}).get("spec") or {}).get("volumeName") or "")
    if claim is None or not volume or not claim["metadata"].get("deletionTimestamp"):
        return Fix(
            "see what became of its volume, and make the claim anew; then make the pod anew",
            (kubectl(world, namespace, "describe", "persistentvolumeclaim", name),),
        )
    spec = {
        key: value
        for key, value in claim["spec"].items()
        if key in ("accessModes", "resources", "storageClassName", "volumeMode", "volumeName")
    }
    made = and_manifest(
        world,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        },
        "",
    )
    retain = dumps({"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    release = dumps({"metadata": {"finalizers": None}})
    return Fix(
        "keep the volume, let the claim go (its finalizers with it), make it anew on the same "
        "volume, then make the pod anew",
        (
            kubectl(world, "", "patch", "persistentvolume", volume, "-p", retain),
            kubectl(world, namespace, "patch", "persistentvolumeclaim", name, "-p", release),
            kubectl(
                world, "", "patch", "persistentvolume", volume, "-p",
                dumps({"spec": {"claimRef": None}}),
            ),
            *made.commands,
            *anew(pod, world),
        ),
        manifest=made.manifest,
        recreates=True,
    )  # fmt: skip
