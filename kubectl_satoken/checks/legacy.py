"""Legacy tokens: Secrets of the type kubernetes.io/service-account-token."""

from collections.abc import Iterator

from ..admission import TOKEN_MOUNT_PATH
from ..fixes import and_manifest, kubectl, patch_pod
from ..mounts import (
    ACCOUNT_ANNOTATION,
    TOKEN_SECRET_TYPE,
    account_of,
    container_paths,
    containers,
    has_token,
    is_mirror,
    looks_generated,
    same_place,
)
from ..times import seconds, words
from ..workloads import finished
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .account import account_names

UID_ANNOTATION = "kubernetes.io/service-account.uid"

# The token controller fills a Secret within a second; the first retries take a few more.
PATIENCE = 30


@check("SAT201", on="Secret", severity="error", stage="token")
def legacy_secret_not_populated(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret is empty: no controller has put a token into it.

    ### What goes wrong

    The Secret has the right type and names its service account, but has no data. Pods that mount it
    find an empty folder or wait for ever (`references non-existent secret key: token`). The token
    controller of kube-controller-manager fills such Secrets within a second, unless it does not
    run, has no private key (`--service-account-private-key-file`), may not write the Secret (a
    quota, a webhook, a policy), or the Secret is immutable. After ten tries it gives up until the
    Secret changes.

    ### How to fix it

    Remove what stops the controller, then change the Secret so that it tries again. For a pod, a
    projected token needs no Secret at all.
    """
    metadata = secret["metadata"]
    account = (metadata.get("annotations") or {}).get(ACCOUNT_ANNOTATION)
    # only what an API server has stored can have been left empty
    if secret.get("type") != TOKEN_SECRET_TYPE or not account or not metadata.get("uid"):
        return
    age = world.now() - seconds(metadata.get("creationTimestamp", ""))
    if has_token(secret) or age < PATIENCE:
        return
    here = at(secret, "data", "empty", here=True)
    evidence = [
        at(secret, "type", secret["type"]),
        at(secret, f"metadata.annotations[{ACCOUNT_ANNOTATION}]", account),
        at(secret, "metadata.creationTimestamp", f"{words(age)} ago"),
        here,
    ]
    namespace = metadata.get("namespace", "")
    if world.get("ServiceAccount", namespace, account) is None:
        evidence.append(Evidence("ServiceAccount", namespace, account, "", "not found"))
    annotate = kubectl(world, namespace, "annotate", "--overwrite", "secret", metadata["name"])
    yield Finding(
        f"secret {metadata['name']} has no token: no controller has filled it in {words(age)}",
        here,
        tuple(evidence),
        Fix(
            "when kube-controller-manager runs with its key and nothing refuses its writes, "
            "make it try again",
            # the value differs each time, so that the Secret changes each time
            (f"{annotate} satoken/retry=$(date +%s)",),
        ),
    )


def account_for_secret(secret: Object, world: World) -> str:
    """The service account that a Secret without annotation seems to be meant for; empty if none.

    The longest account name that the Secret's name begins with, else the only one there is.
    """
    namespace = secret["metadata"].get("namespace", "")
    names = account_names(namespace, world)
    own = secret["metadata"]["name"]
    fitting = [name for name in names if own == name or own.startswith(name + "-")]
    if fitting:
        return str(max(fitting, key=len))
    others = [name for name in names if name != "default"]
    return str(others[0]) if len(others) == 1 else ""


@check("SAT202", on="Secret", severity="error", stage="creation")
def legacy_secret_missing_annotation(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret does not say for which service account it is.

    ### What goes wrong

    A Secret of the type `kubernetes.io/service-account-token` needs the annotation
    `kubernetes.io/service-account.name`. Without it the API server refuses it:
    `metadata.annotations[kubernetes.io/service-account.name]: Required value`. It is an annotation,
    not a label, and `service-account` has a hyphen.

    ### How to fix it

    Add the annotation. The account must be there first, in the same namespace, or the Secret is
    deleted as soon as it is made.
    """
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    if secret.get("type") != TOKEN_SECRET_TYPE or annotations.get(ACCOUNT_ANNOTATION):
        return
    here = at(secret, f"metadata.annotations[{ACCOUNT_ANNOTATION}]", None, here=True)
    evidence = [at(secret, "type", secret["type"]), here]
    for field in ("annotations", "labels"):
        for key, value in (metadata.get(field) or {}).items():
            if key != ACCOUNT_ANNOTATION and "account" in key.lower() and key != UID_ANNOTATION:
                evidence.append(at(secret, f"metadata.{field}[{key}]", value))
    account = account_for_secret(secret, world)
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TOKEN_SECRET_TYPE,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "annotations": {ACCOUNT_ANNOTATION: account or "SERVICE-ACCOUNT"},
        },
    }
    yield Finding(
        f"secret {metadata['name']} is refused: it does not name its service account",
        here,
        tuple(evidence),
        and_manifest(
            world,
            manifest,
            f"name the account ({account} by the Secret's name)"
            if account
            else "name the account: put it in the place of SERVICE-ACCOUNT",
        ),
    )


def secret_uses(pod: Object) -> Iterator[tuple[str, str, bool]]:
    """Where a pod takes a Secret that looks like a token from: (secret, path, is the API's place).

    A Secret that is optional may be away. What counts as a token: mounted at the default path, a
    generated name, or the key ``token`` taken from it.
    """
    at_default = {
        mount.get("name")
        for container in containers(pod)
        for mount in container.get("volumeMounts") or []
        if same_place(mount.get("mountPath", "")) == same_place(TOKEN_MOUNT_PATH)
    }
    for index, volume in enumerate(pod["spec"].get("volumes") or []):
        source = volume.get("secret")
        if source and not source.get("optional"):
            name = source.get("secretName", "")
            keys = [item.get("key") for item in source.get("items") or []]
            default = volume["name"] in at_default
            if default or looks_generated(name) or "token" in keys:
                yield name, f"spec.volumes[{index}].secret.secretName", default
    for path, container in container_paths(pod):
        for number, variable in enumerate(container.get("env") or []):
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            name = reference.get("name", "")
            if reference.get("optional") or not name:
                continue
            if reference.get("key") == "token" or looks_generated(name):
                yield name, f"{path}.env[{number}].valueFrom.secretKeyRef.name", False


@check("SAT203", on="Pod", severity="error", stage="kubelet")
def pod_references_missing_token_secret(pod: Object, world: World) -> Iterator[Finding]:
    """The pod takes its token from a Secret that is not there.

    ### What goes wrong

    The template names a token Secret, often one that Kubernetes generated before 1.24
    (`default-token-x7k2p`), and that Secret is gone: removed with its service account, purged as
    unused, or never made, since no token Secret is created by itself any more. The pod waits in
    ContainerCreating: `MountVolume.SetUp failed for volume … : secret "…" not found`.

    ### How to fix it

    Take the volume out and the API server mounts a projected token at the usual place. Only where
    a program needs a token that does not expire, make the Secret by hand.
    """
    if is_mirror(pod) or finished(pod):
        return
    namespace = pod["metadata"].get("namespace", "")
    for name, path, default in secret_uses(pod):
        gone, evidence = is_gone(pod, namespace, name, world)
        if not gone:
            continue
        here = Evidence("Secret", namespace, name, "", "not found", here=True)
        if default:
            fix = unmount(pod, name, world)
        else:
            fix = and_manifest(
                world,
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "type": TOKEN_SECRET_TYPE,
                    "metadata": {
                        "name": name,
                        "namespace": namespace,
                        "annotations": {ACCOUNT_ANNOTATION: account_of(pod)},
                    },
                },
                "make the Secret by hand; better is a projected token, which expires",
            )
        yield Finding(
            f"the token cannot be mounted: secret {name} does not exist",
            here,
            (at(pod, path, name), here, *evidence),
            fix,
        )
        return


def is_gone(pod: Object, namespace: str, name: str, world: World) -> tuple[bool, list[Evidence]]:
    """Whether a Secret is not there, by looking, or by what the kubelet says of it."""
    said = []
    try:
        for event in world.events(namespace, pod["metadata"]["name"]):
            message = str(event.get("message", ""))
            if event.get("reason") in ("FailedMount", "Failed") and (
                f'secret "{name}" not found' in message or f'secrets "{name}" not found' in message
            ):
                said = [at(pod, f"event {event['reason']}", message)]
    except Unseen:
        pass
    try:
        return world.get("Secret", namespace, name) is None, said
    except Unseen:
        if said:
            return True, said
        raise


def unmount(pod: Object, secret: str, world: World) -> Fix:
    """A fix that takes a Secret volume out, so that the API server mounts a projected token."""
    names = [
        volume["name"]
        for volume in pod["spec"].get("volumes") or []
        if (volume.get("secret") or {}).get("secretName") == secret
    ]
    patch: Object = {
        "automountServiceAccountToken": True,
        "volumes": [{"name": name, "$patch": "delete"} for name in names],
    }
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or []:
            mounts = [
                {"mountPath": mount["mountPath"], "$patch": "delete"}
                for mount in container.get("volumeMounts") or []
                if mount.get("name") in names
            ]
            if mounts:
                patch.setdefault(field, []).append(
                    {"name": container["name"], "volumeMounts": mounts}
                )
    return patch_pod(pod, world, patch, "mount the projected token instead (pods are recreated)")
