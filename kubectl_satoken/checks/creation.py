"""No pod can be made, or it is made without what a service account brings.

What keeps pods from being made is told by the controllers' events FailedCreate; DENIALS names who
refused. Whether the account itself is there is for account.py.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..admission import TOKEN_MOUNT_PATH, token_volume
from ..events import CONTROLLER_PATIENCE, about, age, is_fresh, last_seen, newest
from ..fixes import and_manifest, dumps, kubectl, patch_pod, restart
from ..mounts import account_of, containers, default_mount, has_token, is_mirror
from ..server import flags_of
from ..workloads import Owner, creators, finished, is_live, owner_of, template_path
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check

if TYPE_CHECKING:
    import re

ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
REVISION = "deployment.kubernetes.io/revision"

# strconv.ParseBool
TRUE_WORDS = ("1", "t", "T", "true", "TRUE", "True")

# What other checks know better: the account is not there (SAT104, SAT112), has no Secret (SAT115),
# or may not use one (SAT113).
OTHERS = (
    "error looking up service account",
    "No API token found for service account",
    "does not reference that",
)


def mount_by_hand(pod: Object, names: list[str]) -> Object:
    """A patch of the pod spec that mounts a complete token volume in these containers.

    Its name is not that of the volume that the API server adds, so nobody takes it for that.
    """
    patch: Object = {"volumes": [token_volume("api-token")]}
    mount = {"name": "api-token", "mountPath": TOKEN_MOUNT_PATH, "readOnly": True}
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            if container["name"] in names:
                change = {"name": container["name"], "volumeMounts": [mount]}
                patch.setdefault(field, []).append(change)
    return patch


@check("SAT108", on="Pod", severity="error", stage="creation")
def sa_admission_plugin_disabled(pod: Object, world: World) -> Iterator[Finding]:
    """The API server gives no service account to pods: its plugin is off.

    ### What goes wrong

    The pod is stored without `serviceAccountName`, and no token volume was added. Every API server
    fills in `default`, unless its admission plugin `ServiceAccount` is switched off
    (`--disable-admission-plugins=ServiceAccount`). Then no pod of the cluster gets a token by
    itself, and missing service accounts are not noticed.

    ### How to fix it

    Take `ServiceAccount` out of that flag of kube-apiserver, and make the pods anew. Until then a
    pod gets a token when it names its account and mounts a projected volume of its own.
    """
    if not is_live(pod) or is_mirror(pod) or finished(pod):
        return
    spec = pod["spec"]
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        return
    names = [item["name"] for item in containers(pod) if default_mount(item) is None]
    if not names:
        return
    here = at(pod, "spec.serviceAccountName", None, here=True)
    evidence = [here]
    off = [
        value
        for value in flags_of(world, "disable-admission-plugins")
        if "ServiceAccount" in value.split(",")
    ]
    if off:
        evidence.append(
            Evidence("Pod", "kube-system", "kube-apiserver", "--disable-admission-plugins", off[0])
        )
    yield Finding(
        "no token was added: the API server's admission plugin ServiceAccount is switched off",
        here,
        tuple(evidence),
        patch_pod(
            pod,
            world,
            {"serviceAccountName": "default", **mount_by_hand(pod, names)},
            "have the plugin switched on (kube-apiserver --disable-admission-plugins) and make "
            "the pods anew; until then, name the account and mount its token by hand",
        ),
        certainty="certain" if off else "likely",
    )


# Host paths that hold credentials, as the static pods of control planes mount them.
HOST_CREDENTIALS = ("/etc/kubernetes", "/var/lib/rancher", "/var/lib/kubelet", "/etc/rancher")


def brings_credentials(pod: Object) -> bool:
    """Whether a pod takes its credentials from the host: a kubeconfig, or certificates."""
    for volume in pod["spec"].get("volumes") or []:
        path = str((volume.get("hostPath") or {}).get("path") or "")
        if path.startswith(HOST_CREDENTIALS) or any(
            word in path for word in ("kubeconfig", "pki", "certs", "ssl")
        ):
            return True
    for container in containers(pod):
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if any("kubeconfig" in str(word) for word in words):
            return True
    return False


@check("SAT109", on="Pod", severity="error", stage="creation", deliberate=True)
def static_pod_no_token(pod: Object, world: World) -> Iterator[Finding]:
    """A static pod cannot have a token.

    ### What goes wrong

    The pod is run by the kubelet from a file on its node, and what the API server shows is only a
    mirror of it. A static pod may use no service account, Secret or ConfigMap; a kubelet of 1.34 or
    later refuses a file that names one (`static pods may not reference serviceaccounts`), older
    ones cannot make the mirror (`a mirror pod may not reference service accounts`).

    ### How to fix it

    Run it as a DaemonSet or Deployment, or give it a kubeconfig from the host. Static pods with a
    kubeconfig or certificates from the host, as control planes have them, are not reported.
    """
    if not is_live(pod) or not is_mirror(pod) or finished(pod) or brings_credentials(pod):
        return
    metadata, spec = pod["metadata"], pod["spec"]
    annotations = metadata.get("annotations") or {}
    node = str(spec.get("nodeName") or "")
    here = at(pod, "metadata.annotations[kubernetes.io/config.mirror]", "set", here=True)
    evidence = [here]
    if annotations.get("kubernetes.io/config.source"):
        source = annotations["kubernetes.io/config.source"]
        evidence.append(at(pod, "metadata.annotations[kubernetes.io/config.source]", source))
    evidence.append(at(pod, "spec.nodeName", node))
    name = metadata["name"].removesuffix(f"-{node}")
    labels = metadata.get("labels") or {"app": name}
    kept = {
        key: value
        for key, value in spec.items()
        if key
        in ("containers", "initContainers", "volumes", "hostNetwork", "hostPID", "securityContext")
    }
    daemon_set = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": metadata.get("namespace", "")},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {**kept, "nodeSelector": {"kubernetes.io/hostname": node}},
            },
        },
    }
    yield Finding(
        f"{metadata['name']} is a static pod of node {node}, and those have no service account",
        here,
        tuple(evidence),
        and_manifest(
            world,
            daemon_set,
            f"run it as a DaemonSet on that node, and remove its file from {node} "
            "(or give it a kubeconfig from the host)",
        ),
    )


@check("SAT112", on="Pod", severity="error", stage="creation")
def default_sa_race(pod: Object, world: World) -> Iterator[Finding]:
    """The namespace has no service account `default` (yet).

    ### What goes wrong

    `default` is made by kube-controller-manager a moment after the namespace. Who makes a pod at
    once is refused: `error looking up service account NAMESPACE/default: serviceaccount "default"
    not found`. Where it stays away, that controller (`serviceaccount-controller`) does not run or
    may not write, or the namespace is being deleted.

    ### How to fix it

    Wait for it: `kubectl wait --for=create serviceaccount/default`. Where it does not come, make it
    by hand, and look after kube-controller-manager.
    """
    if is_live(pod) or is_mirror(pod) or account_of(pod) != "default":
        return
    namespace = pod["metadata"].get("namespace", "")
    if world.get("ServiceAccount", namespace, "default") is not None:
        return
    here = Evidence("ServiceAccount", namespace, "default", "", "not found", here=True)
    evidence = [here]
    young = False
    try:
        item = world.get("Namespace", "", namespace)
    except Unseen:
        item = None
    if item is not None:
        if item["metadata"].get("deletionTimestamp"):
            return  # nothing can be made there any more, and SAT116 says so
        created = str(item["metadata"].get("creationTimestamp") or "")
        evidence.append(at(item, "metadata.creationTimestamp", created))
        young = bool(created) and age(created, world) < 60
    retry = restart(pod, world)
    if young:
        line = kubectl(
            world, namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"
        )
        fix = Fix("wait for it, and let the workload try again", (line, *retry))
    else:
        line = kubectl(world, namespace, "create", "serviceaccount", "default")
        fix = Fix("make it by hand, and see why kube-controller-manager does not", (line, *retry))
    yield Finding(
        f"no pod can be made: {namespace} has no serviceaccount default"
        + (" yet" if young else ", which kube-controller-manager should have made"),
        here,
        tuple(evidence),
        fix,
        certainty="likely",
    )


class Use(NamedTuple):
    """A Secret that a pod uses: where, its name, and the list of the account that must have it."""

    path: str
    secret: str
    field: str


def uses(pod: Object) -> Iterator[Use]:
    """The Secrets whose use an account can be told to limit; projected ones are not among them.

    The source is limitSecretReferences in plugin/pkg/admission/serviceaccount/admission.go.
    """
    spec = pod["spec"]
    for index, volume in enumerate(spec.get("volumes") or []):
        if volume.get("secret"):
            name = str(volume["secret"].get("secretName") or "")
            yield Use(f"spec.volumes[{index}].secret.secretName", name, "secrets")
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            for number, variable in enumerate(container.get("env") or []):
                ref = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if ref:
                    path = f"spec.{field}[{index}].env[{number}].valueFrom.secretKeyRef.name"
                    yield Use(path, str(ref.get("name") or ""), "secrets")
            for number, source in enumerate(container.get("envFrom") or []):
                if isinstance(source, dict) and isinstance(source.get("secretRef"), dict):
                    path = f"spec.{field}[{index}].envFrom[{number}].secretRef.name"
                    yield Use(path, str(source["secretRef"].get("name") or ""), "secrets")
    for index, secret in enumerate(spec.get("imagePullSecrets") or []):
        path = f"spec.imagePullSecrets[{index}].name"
        yield Use(path, str(secret.get("name") or ""), "imagePullSecrets")


def is_token(namespace: str, secret: str, world: World) -> bool:
    """Whether a Secret is seen to hold a token."""
    try:
        item = world.get("Secret", namespace, secret)
    except Unseen:
        return False
    return (
        item is not None
        and item.get("type") == "kubernetes.io/service-account-token"
        and has_token(item)
    )


@check("SAT113", on="Pod", severity="error", stage="creation")
def enforce_mountable_secrets(pod: Object, world: World) -> Iterator[Finding]:
    """The pod uses a Secret that its service account does not allow.

    ### What goes wrong

    The service account is annotated `kubernetes.io/enforce-mountable-secrets: "true"`, and the pod
    uses a Secret that is not among the account's `secrets` (for pulling images: its
    `imagePullSecrets`). The API server refuses the pod: `volume with secret.secretName="NAME" is
    not allowed because service account ACCOUNT does not reference that secret`.

    ### How to fix it

    Add the Secret to the account's list. A token Secret must not stand there, since Kubernetes
    would take it for one of its own and remove it when it is not used for a year: for such a one
    take the annotation off. It is deprecated since 1.32; separate namespaces do the same better.
    """
    if is_live(pod) or is_mirror(pod):
        return
    wanted = list(uses(pod))
    if not wanted:
        return
    namespace, name = pod["metadata"].get("namespace", ""), account_of(pod)
    account = world.get("ServiceAccount", namespace, name)
    if account is None:
        return
    annotation = str((account["metadata"].get("annotations") or {}).get(ENFORCE_ANNOTATION, ""))
    if annotation not in TRUE_WORDS:
        return
    missing = [
        use
        for use in wanted
        if use.secret
        and use.secret not in {item.get("name") for item in account.get(use.field) or []}
    ]
    if not missing:
        return
    here = at(account, missing[0].field, "does not have it", here=True)
    evidence = [at(pod, use.path, use.secret) for use in missing]
    evidence += [at(account, f"metadata.annotations[{ENFORCE_ANNOTATION}]", annotation), here]
    if any(use.field == "secrets" and is_token(namespace, use.secret, world) for use in missing):
        fix = Fix(
            "take the annotation off (it is deprecated, and a token Secret must not be listed)",
            (
                kubectl(
                    world, namespace, "annotate", "serviceaccount", name, f"{ENFORCE_ANNOTATION}-"
                ),
                *restart(pod, world),
            ),
        )
    else:
        lists: Object = {}
        for use in missing:
            # the API server merges the lists of an account by name
            if {"name": use.secret} not in lists.setdefault(use.field, []):
                lists[use.field].append({"name": use.secret})
        fix = Fix(
            "allow the account to use it",
            (
                kubectl(world, namespace, "patch", "serviceaccount", name, "-p", dumps(lists)),
                *restart(pod, world),
            ),
        )
    first = missing[0]
    yield Finding(
        f"no pod can be made: serviceaccount {name} does not allow secret {first.secret} "
        f"({ENFORCE_ANNOTATION})",
        here,
        tuple(evidence),
        fix,
    )


def field_owners(workload: Object, field: str) -> list[str]:
    """The managers that have set a field of a workload's pod spec, by its managedFields."""
    path = [f"f:{part}" for part in (*template_path(workload), "spec")]
    found = []
    for entry in workload["metadata"].get("managedFields") or []:
        fields: object = entry.get("fieldsV1")
        for part in path:
            fields = fields.get(part) if isinstance(fields, dict) else None
        if isinstance(fields, dict) and f"f:{field}" in fields:
            found.append(str(entry.get("manager") or ""))
    return found


def appliers(workload: Object) -> list[str]:
    """The managers that apply a workload on the client's side: who wrote what was last applied."""
    found = []
    for entry in workload["metadata"].get("managedFields") or []:
        fields = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
        if f"f:{LAST_APPLIED}" in (fields.get("f:annotations") or {}):
            found.append(str(entry.get("manager") or ""))
    return found


def stuck_alias(workload: Object | None, pod: Object) -> Evidence | None:
    """What shows that a template's account was taken out of its manifest, and yet is there.

    The API server keeps the deprecated ``serviceAccount`` beside ``serviceAccountName``. Who takes
    the one out leaves the other, and that fills the first again.
    """
    name = pod["spec"].get("serviceAccountName")
    if workload is None or not workload["metadata"].get("uid") or name in (None, "", "default"):
        return None
    path = template_path(workload)
    stored: object = workload
    for field in (*path, "spec"):
        stored = stored.get(field) if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or not stored.get("serviceAccount"):
        return None
    managed = workload["metadata"].get("managedFields") or []
    owners = field_owners(workload, "serviceAccountName")
    applied = (workload["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if not owners and not field_owners(workload, "serviceAccount"):
        # whoever writes a field is noted down, so nobody wants this one
        if any(entry.get("operation") == "Apply" for entry in managed):
            return at(workload, "metadata.managedFields", "nobody sets serviceAccountName")
        return None
    if not isinstance(applied, str) or not set(owners) & set(appliers(workload)):
        return None
    if '"serviceAccount' in applied:
        import json

        try:
            there: object = json.loads(applied)
        except ValueError:
            return None
        for field in (*path, "spec"):
            there = there.get(field) if isinstance(there, dict) else None
        if not isinstance(there, dict):
            return None
        if there.get("serviceAccountName") or there.get("serviceAccount"):
            return None
    return at(workload, f"metadata.annotations[{LAST_APPLIED}]", "names no service account")


@check("SAT114", on="Pod", severity="warning", stage="creation")
def serviceaccount_alias_stuck(pod: Object, world: World) -> Iterator[Finding]:
    """The service account was taken out of the manifest, but not out of the workload.

    ### What goes wrong

    The pod template still has the service account that the manifest no longer names. The API server
    keeps a second, deprecated field `serviceAccount` beside `serviceAccountName`; `kubectl apply`
    and Helm remove only the one that they set, and the other fills it in again. New pods run as the
    old account, or cannot be made when that is gone.

    ### How to fix it

    Set both fields to null once, or name the account in the manifest: `serviceAccountName:
    default`.
    """
    if is_live(pod) or is_mirror(pod) or not pod["spec"].get("serviceAccount"):
        return
    owner = owner_of(pod, world)
    shown = stuck_alias(owner.object if owner is not None else None, pod)
    if owner is None or shown is None:
        return
    name = account_of(pod)
    try:
        gone = world.get("ServiceAccount", shown.namespace, name) is None
    except Unseen:
        gone = False
    path = ".".join((*template_path(owner.object or {}), "spec"))
    here = Evidence(
        owner.kind, shown.namespace, owner.name, f"{path}.serviceAccount", name, here=True
    )
    evidence = [shown, here]
    if gone:
        evidence.append(Evidence("ServiceAccount", shown.namespace, name, "", "not found"))
    yield Finding(
        f"pods still run as {name}, which was taken out of the manifest"
        if not gone
        else f"no pod can be made: serviceaccount {name} is gone, and though the manifest does not "
        "name it any more the template does",
        here,
        tuple(evidence),
        patch_pod(
            pod,
            world,
            {"serviceAccountName": None, "serviceAccount": None},
            "remove both fields, so that pods run as default",
        ),
        severity="error" if gone else "",
    )


# --- what the controllers say


def lacks_pods(workload: Object) -> bool:
    """Whether a workload has fewer pods, or fewer of its present template, than it wants."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    kind = workload.get("kind")
    if kind == "CronJob":
        return bool(status.get("active"))
    if kind == "Job":
        ended = any(
            condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        )
        return not ended and not spec.get("suspend") and not status.get("active")
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        return bool(wanted > (status.get("currentNumberScheduled") or 0))
    wanted = spec.get("replicas", 1)
    if not isinstance(wanted, int):
        return False
    if (
        kind == "StatefulSet"
        and spec.get("podManagementPolicy") != "Parallel"
        and (status.get("readyReplicas") or 0) < (status.get("replicas") or 0)
    ):
        return False  # it makes the next only when all before are ready
    have = status.get("updatedReplicas" if kind == "Deployment" else "replicas") or 0
    return bool(wanted > have)


def makers(workload: Object, world: World) -> Iterator[Object]:
    """The objects that make a workload's pods now: of a Deployment only its present ReplicaSet."""
    revision = (workload["metadata"].get("annotations") or {}).get(REVISION)
    for item in creators(workload, world):
        own = (item["metadata"].get("annotations") or {}).get(REVISION)
        if item is workload or workload["kind"] != "Deployment" or own == revision:
            yield item


def refused(pod: Object, world: World) -> Evidence | None:
    """The last word of a controller that cannot make the pods of a template; None if it can.

    Only while pods are lacking, and nothing was made since.
    """
    if is_live(pod):
        return None
    owner = owner_of(pod, world)
    if owner is None or owner.object is None or not owner.object["metadata"].get("uid"):
        return None
    if not lacks_pods(owner.object):
        return None
    return refused_by_event(owner.object, world) or refused_by_condition(owner)


def refused_by_event(workload: Object, world: World) -> Evidence | None:
    """The newest event FailedCreate of who makes the pods, unless one was made after it."""
    found: list[tuple[str, Evidence]] = []
    namespace = workload["metadata"].get("namespace", "")
    for maker in makers(workload, world):
        metadata = maker["metadata"]
        events = [
            event
            for event in world.events(namespace, metadata["name"])
            if event.get("reason") in ("FailedCreate", "SuccessfulCreate")
            and about(event, metadata.get("uid", ""))
        ]
        for event in newest(events)[:1]:
            if event["reason"] == "FailedCreate" and is_fresh(event, world, CONTROLLER_PATIENCE):
                message = str(event.get("message") or "")
                evidence = at(maker, "event FailedCreate", message, here=True)
                found.append((last_seen(event), evidence))
    return max(found, default=("", None), key=lambda item: item[0])[1]


def refused_by_condition(owner: Owner) -> Evidence | None:
    """The condition ReplicaFailure, by which ReplicaSets and Deployments say the same."""
    workload = owner.object or {}
    for number, condition in enumerate((workload.get("status") or {}).get("conditions") or []):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            path = f"status.conditions[{number}].message"
            return at(workload, path, str(condition.get("message") or ""), here=True)
    return None


@check("SAT115", on="Pod", severity="error", stage="creation")
def old_admission_needs_secret(pod: Object, world: World) -> Iterator[Finding]:
    """The API server waits for a token Secret that nobody makes.

    ### What goes wrong

    An API server of 1.20 or older, or one with a feature switched off, mounts tokens from Secrets
    and refuses pods until the service account has one: `No API token found for service account
    "NAME", retry after the token is automatically created and added to the service account`. The
    token controller of kube-controller-manager makes it; here it does not.

    ### How to fix it

    Get kube-controller-manager going, with `--service-account-private-key-file`, and bring the
    cluster to a version in which no Secret is needed.
    """
    word = refused(pod, world)
    if word is None or "No API token found for service account" not in word.value:
        return
    name = account_of(pod)
    account = Evidence("ServiceAccount", word.namespace, name, "secrets", "has no token Secret")
    jsonpath = "jsonpath={.secrets[*].name}"
    yield Finding(
        f"no pod can be made: the API server wants a token Secret for serviceaccount {name}, and "
        "kube-controller-manager makes none",
        word,
        (word, account),
        Fix(
            "have kube-controller-manager's token controller mended "
            "(--service-account-private-key-file); this shows the Secret when it is there",
            (
                kubectl(world, word.namespace, "get", "serviceaccount", name, "-o", jsonpath),
                *restart(pod, world),
            ),
        ),
    )


class Denial(NamedTuple):
    """Who refuses pods: the pattern of its words, what it is called, and what mends it."""

    pattern: str
    who: str
    mend: str


# Each with the name of a function below that makes the fix. The first that matches counts.
DENIALS = (
    Denial(r'admission webhook "(?P<name>[^"]+)" denied the request', "webhook", "webhook"),
    Denial(r'failed calling webhook "(?P<name>[^"]+)"', "webhook", "webhook_down"),
    Denial(r'violates PodSecurity "(?P<name>[^"]+)": (?P<what>.*)', "Pod Security", "security"),
    Denial(
        r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.*?), used: (?P<used>.*?), "
        r"limited: (?P<hard>.*)",
        "resourcequota",
        "quota",
    ),
    Denial(r"failed quota: (?P<name>[^:]+): must specify", "resourcequota", "quota_unspecified"),
    Denial(r"in namespace (?P<name>\S+) because it is being terminated", "namespace", "ending"),
    Denial(
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'( with binding '[^']+')? denied request",
        "validatingadmissionpolicy",
        "policy",
    ),
    Denial(
        r"unable to validate against any security context constraint(?P<name>)",
        "the admission of security context constraints",
        "constraints",
    ),
    Denial(
        r"(?P<name>)(maximum|minimum) \S+ usage per (Container|Pod)", "limitrange", "limit_range"
    ),
    Denial(r"(?P<name>)is forbidden: ", "admission", "anything"),
)


@check("SAT116", on="Pod", severity="error", stage="creation")
def admission_denied_as_403(pod: Object, world: World) -> Iterator[Finding]:
    """The pods are refused, by a webhook, a policy or a quota.

    ### What goes wrong

    The controller may not make the pods: the API server answers 403 Forbidden, and that is no
    question of rights. An admission webhook, a ValidatingAdmissionPolicy, the Pod Security of the
    namespace, a quota, a limit range or a security context constraint says no, or the namespace is
    being deleted. The last event FailedCreate has its words.

    ### How to fix it

    Change what is objected to, or who objects. Controllers try again by themselves, after ever
    longer pauses; a restart of the rollout makes them try at once.
    """
    import re

    word = refused(pod, world)
    if word is None or any(text in word.value for text in OTHERS):
        return
    for denial in DENIALS:
        match = re.search(denial.pattern, word.value, re.DOTALL)
        if match is None:
            continue
        name = match["name"]
        fix, more = MENDS[denial.mend](pod, world, match)
        who = f"{denial.who} {name}" if name else denial.who
        yield Finding(
            f"no pod can be made: {who} "
            + (
                "does not answer"
                if denial.mend == "webhook_down"
                else "is being deleted"
                if denial.mend == "ending"
                else "refuses them"
            ),
            word,
            (word, *more),
            fix,
        )
        return


Mended = tuple[Fix, list[Evidence]]


def again(pod: Object, world: World) -> tuple[str, ...]:
    """The commands that make the controller try at once."""
    return tuple(restart(pod, world))


def namespace_of(pod: Object) -> str:
    """The namespace of a pod."""
    return str(pod["metadata"].get("namespace", ""))


def webhook_object(name: str, world: World) -> tuple[Object, int] | None:
    """The configuration that has the webhook of that name, and its place there; None if unseen."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        try:
            for item in world.list(kind):
                for index, webhook in enumerate(item.get("webhooks") or []):
                    if webhook.get("name") == name:
                        return item, index
        except Unseen:
            continue
    return None


def show_webhook(name: str, world: World) -> tuple[str, list[Evidence]]:
    """The command that shows a webhook's configuration, and the evidence for it."""
    found = webhook_object(name, world)
    if found is None:
        kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
        return kubectl(world, "", "get", kinds, "-o", "wide"), []
    item, index = found
    shown = kubectl(world, "", "get", item["kind"].lower(), item["metadata"]["name"], "-o", "yaml")
    return shown, [at(item, f"webhooks[{index}].name", name)]


def mend_webhook(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A webhook says no: only its own words tell what would please it."""
    line, evidence = show_webhook(match["name"], world)
    return Fix(
        "change what it objects to (its words are above), or have its owner let these pods pass; "
        "this shows what it looks at",
        (line, *again(pod, world)),
    ), evidence


def mend_webhook_down(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A webhook cannot be reached: its service and pods are the place to look."""
    line, evidence = show_webhook(match["name"], world)
    lines = [line]
    found = webhook_object(match["name"], world)
    if found is not None:
        item, index = found
        service = (item["webhooks"][index].get("clientConfig") or {}).get("service") or {}
        if service:
            path = f"webhooks[{index}].clientConfig.service"
            where = str(service.get("namespace") or "")
            evidence.append(at(item, path, f"{where}/{service.get('name')}"))
            selector = f"kubernetes.io/service-name={service.get('name')}"
            lines.append(kubectl(world, where, "get", "pods,endpointslices", "-l", selector))
    return Fix(
        "get the webhook's service going; this shows it, and whether any pod stands behind it",
        (*lines, *again(pod, world)),
    ), evidence


# What the level "restricted" asks of a pod that can be given to any, by the words of its check.
RESTRICTED: dict[str, Object] = {
    "allowPrivilegeEscalation != false": {"allowPrivilegeEscalation": False},
    "unrestricted capabilities": {"capabilities": {"drop": ["ALL"]}},
    "runAsNonRoot != true": {"runAsNonRoot": True},
    "seccompProfile": {"seccompProfile": {"type": "RuntimeDefault"}},
}


def mend_security(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """Pod Security says no: what it wants can be set where that forbids nothing in particular."""
    import re

    namespace = namespace_of(pod)
    label = Evidence(
        "Namespace", "", namespace, "metadata.labels[pod-security.kubernetes.io/enforce]",
        match["name"],
    )  # fmt: skip
    # each objection is its name, then details in brackets
    parts = re.sub(r"\([^()]*(\([^()]*\)[^()]*)*\)", "", match["what"])
    objections = [part.strip() for part in parts.split(",") if part.strip()]
    wanted: Object = {}
    for objection in objections:
        change = RESTRICTED.get(objection)
        if change is None:
            line = kubectl(
                world, "", "get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}"
            )
            return Fix(
                f"take out of the pod template what it objects to ({', '.join(objections)}), or "
                "have the namespace's level changed; this shows it",
                (line, *again(pod, world)),
            ), [label]
        wanted |= change
    patch: Object = {}
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            own = {"name": container["name"], "securityContext": wanted}
            patch.setdefault(field, []).append(own)
    return patch_pod(
        pod, world, patch, "give the containers what it asks for (the program must bear it)"
    ), [label]


def mend_quota(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A quota is used up: it can be raised by what is asked, where that is counted in units."""
    namespace = namespace_of(pod)
    name = match["name"]
    asked, used = (amounts(match[part]) for part in ("asked", "used"))
    evidence = [Evidence("ResourceQuota", namespace, name, "spec.hard", match["hard"])]
    hard: dict[str, str] = {}
    for resource, amount in asked.items():
        if not amount.isdigit() or not used.get(resource, "").isdigit():
            return Fix(
                "free some of it, or have the quota raised; this shows what is used",
                (kubectl(world, namespace, "describe", "resourcequota", name), *again(pod, world)),
            ), evidence
        hard[resource] = str(int(amount) + int(used[resource]))
    line = kubectl(
        world, namespace, "patch", "resourcequota", name, "-p", dumps({"spec": {"hard": hard}})
    )
    return Fix(
        "raise the quota by what is asked, or free some of it", (line, *again(pod, world))
    ), evidence


def amounts(text: str) -> dict[str, str]:
    """The amounts of a quota's words: ``pods=1,limits.cpu=2``."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def mend_quota_unspecified(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A quota wants every container to say what it uses."""
    namespace, name = namespace_of(pod), match["name"]
    return Fix(
        "give the containers the requests and limits that it counts (or have a LimitRange do it); "
        "this shows them",
        (kubectl(world, namespace, "describe", "resourcequota", name), *again(pod, world)),
    ), [Evidence("ResourceQuota", namespace, name, "", "is there")]


def mend_ending(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """The namespace is being deleted: nothing can be made there any more."""
    namespace = namespace_of(pod)
    path = 'jsonpath={range .status.conditions[*]}{.type}: {.message}{"\\n"}{end}'
    return Fix(
        "deploy it elsewhere, or again when the namespace is gone; this shows what holds it up",
        (kubectl(world, "", "get", "namespace", namespace, "-o", path),),
    ), [Evidence("Namespace", "", namespace, "status.phase", "Terminating")]


def mend_policy(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A ValidatingAdmissionPolicy says no."""
    name = match["name"]
    line = kubectl(world, "", "get", "validatingadmissionpolicy", name, "-o", "yaml")
    return Fix(
        "change what it objects to (its words are above), or have its owner let these pods pass; "
        "this shows what it asks for",
        (line, *again(pod, world)),
    ), [Evidence("ValidatingAdmissionPolicy", "", name, "", "denies them")]


def mend_constraints(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """OpenShift's constraints fit none: the account may use no other."""
    namespace, name = namespace_of(pod), account_of(pod)
    review = f"system:serviceaccount:{namespace}:{name}"
    lines = [
        kubectl(
            world, namespace, "auth", "can-i", "use", f"securitycontextconstraints/{one}", "--as",
            review,
        )
        for one in ("restricted-v2", "nonroot-v2", "anyuid")
    ]  # fmt: skip
    return Fix(
        "ask for less in the pod template, or have the service account allowed to use a constraint "
        "that fits; this shows which of the usual ones it may use",
        (*lines, *again(pod, world)),
    ), [Evidence("ServiceAccount", namespace, name, "", "the constraints are looked up for it")]


def mend_limit_range(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A LimitRange allows less, or wants more."""
    namespace = namespace_of(pod)
    return Fix(
        "set requests and limits within the range; this shows it",
        (kubectl(world, namespace, "describe", "limitrange"), *again(pod, world)),
    ), []


def mend_anything(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """Something else says no; a dry run of the same pod gets the same answer."""
    owner = owner_of(pod, world)
    if owner is None:
        return Fix("see its words above"), []
    line = kubectl(world, namespace_of(pod), "describe", f"{owner.resource}/{owner.name}")
    return Fix("change what it objects to (its words are above)", (line, *again(pod, world))), []


MENDS = {
    "webhook": mend_webhook,
    "webhook_down": mend_webhook_down,
    "security": mend_security,
    "quota": mend_quota,
    "quota_unspecified": mend_quota_unspecified,
    "ending": mend_ending,
    "policy": mend_policy,
    "constraints": mend_constraints,
    "limit_range": mend_limit_range,
    "anything": mend_anything,
}
