"""No pod can be made, or it is made without what a service account brings.

Whether the account itself is there is for account.py; what the controllers say of pods that they
cannot make is for refused.py.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..admission import TOKEN_MOUNT_PATH, token_volume
from ..events import age
from ..fixes import and_manifest, dumps, kubectl, patch_pod, restart
from ..managed_fields import writers
from ..mounts import account_of, container_paths, containers, default_mount, has_token, is_mirror
from ..server import flags_of
from ..token_secrets import LAST_APPLIED, is_token_type
from ..workloads import dotted, finished, is_live, owner_of, template_path
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .mount import grouped

ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"

# strconv.ParseBool
TRUE_WORDS = ("1", "t", "T", "true", "TRUE", "True")


def mount_by_hand(pod: Object, names: list[str]) -> Object:
    """A patch of the pod spec that mounts a complete token volume in these containers.

    Its name is not that of the volume that the API server adds, so nobody takes it for that.
    """
    mount = {"name": "api-token", "mountPath": TOKEN_MOUNT_PATH, "readOnly": True}
    mounts = grouped(pod, {name: {"volumeMounts": [mount]} for name in names})
    return {"volumes": [token_volume("api-token")], **mounts}


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
    for where, container in container_paths(pod):
        for number, variable in enumerate(container.get("env") or []):
            ref = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if ref:
                path = f"{where}.env[{number}].valueFrom.secretKeyRef.name"
                yield Use(path, str(ref.get("name") or ""), "secrets")
        for number, source in enumerate(container.get("envFrom") or []):
            if isinstance(source, dict) and isinstance(source.get("secretRef"), dict):
                path = f"{where}.envFrom[{number}].secretRef.name"
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
    return item is not None and is_token_type(item) and has_token(item)


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


def field_owners(workload: Object, field: str) -> set[str]:
    """The managers that have set a field of a workload's pod spec."""
    path = (f"f:{part}" for part in (*template_path(workload), "spec", field))
    return set(writers(workload, *path))


def appliers(workload: Object) -> set[str]:
    """The managers that apply a workload on the client's side: who wrote what was last applied."""
    return set(writers(workload, "f:metadata", "f:annotations", f"f:{LAST_APPLIED}"))


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
    if not isinstance(applied, str) or not owners & appliers(workload):
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
    path = dotted((*owner.template, "spec"))
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
