"""No token is mounted because it is switched off, or was when the pod was made."""

from collections.abc import Iterator

from ..admission import TOKEN_MOUNT_PATH, should_automount
from ..fixes import patch_pod, restart
from ..managed_fields import entries
from ..mounts import (
    account_of,
    api_tokens,
    container_paths,
    containers,
    default_mount,
    is_mirror,
    volume_tokens,
)
from ..workloads import finished, is_live, owner_of
from ..world import Object, World
from . import Evidence, Finding, Fix, at, check
from .creation import mount_by_hand
from .policy import set_by_engine, strippers


def bare_containers(pod: Object, world: World) -> list[str]:
    """The containers with nothing at the default path, in a pod without any token for the API.

    Empty also when a volume for it is there and only the mount is missing (SAT302).
    """
    if is_mirror(pod) or finished(pod) or api_tokens(pod, world):
        return []
    for volume in pod["spec"].get("volumes") or []:
        if any(not audience and not secret for _, audience, _, secret in volume_tokens(volume)):
            return []
    return [item["name"] for item in containers(pod) if default_mount(item) is None]


def no_mount(pod: Object, names: list[str]) -> Iterator[Evidence]:
    """The evidence that the containers have nothing where the token should be."""
    for path, container in container_paths(pod):
        if container["name"] in names:
            value = f"nothing at {TOKEN_MOUNT_PATH} in {container['name']}"
            yield at(pod, f"{path}.volumeMounts", value)


def account_flag(pod: Object, world: World) -> tuple[Object | None, Evidence]:
    """The pod's service account, and its automount flag as evidence."""
    namespace = pod["metadata"].get("namespace", "")
    account = world.get("ServiceAccount", namespace, account_of(pod))
    value = (account or {}).get("automountServiceAccountToken")
    return account, Evidence(
        "ServiceAccount", namespace, account_of(pod), "automountServiceAccountToken", value
    )


@check("SAT101", on="Pod", severity="error", stage="mount", deliberate=True)
def automount_disabled_pod(pod: Object, world: World) -> Iterator[Finding]:
    """The pod itself says that no token is to be mounted.

    ### What goes wrong

    `spec.automountServiceAccountToken: false` in the pod, or in the template it was made from. The
    containers have nothing at `/var/run/secrets/kubernetes.io/serviceaccount`: programs say
    `open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory`, or send
    no token and are refused as `system:anonymous`.

    The flag of the pod wins over that of its service account. It counts only when a pod is made.

    ### How to fix it

    Set it to `true` in the template, or leave it off and mount a projected volume of your own with
    token, `ca.crt` and `namespace` only in the container that needs it. If a policy engine or a
    chart sets the flag, change it there.
    """
    if pod["spec"].get("automountServiceAccountToken") is not False:
        return
    names = bare_containers(pod, world)
    if not names:
        return
    here = at(pod, "spec.automountServiceAccountToken", False, here=True)
    owner = owner_of(pod, world)
    engine = set_by_engine(owner.object if owner is not None else None) or set_by_engine(pod)
    yield Finding(
        "no token is mounted: the pod says automountServiceAccountToken: false"
        + (", which a policy has set" if engine else ""),
        here,
        (here, *((engine,) if engine else ()), *no_mount(pod, names)),
        # a policy would set the flag again; it leaves a volume of one's own alone
        patch_pod(
            pod,
            world,
            mount_by_hand(pod, names),
            "mount the token by a volume of your own, since the policy would set the flag again "
            "(or have the workload exempted; its pods are recreated)",
        )
        if engine
        else patch_pod(
            pod,
            world,
            {"automountServiceAccountToken": True},
            "have the token mounted in the pods of this workload (they are recreated)",
        ),
    )


@check("SAT102", on="Pod", severity="error", stage="mount", deliberate=True)
def automount_disabled_sa(pod: Object, world: World) -> Iterator[Finding]:
    """The service account says that no token is to be mounted.

    ### What goes wrong

    `automountServiceAccountToken: false` on the service account, and nothing in the pod that
    overrides it. The containers have nothing at
    `/var/run/secrets/kubernetes.io/serviceaccount`, so programs say
    `open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory`.

    Hardening guides set this on `default`; older Terraform providers set it on every account.

    ### How to fix it

    Set `automountServiceAccountToken: true` in the pod template: the pod's word wins, and other
    users of the account keep what they have. Running pods get a token only when recreated.
    """
    if pod["spec"].get("automountServiceAccountToken") is not None:
        return
    names = bare_containers(pod, world)
    if not names:
        return
    account, flag = account_flag(pod, world)
    if account is None or flag.value is not False:
        return
    here = flag._replace(here=True)
    engine = set_by_engine(account)
    yield Finding(
        f"no token is mounted: serviceaccount {flag.name} says automountServiceAccountToken: false",
        here,
        (
            at(pod, "spec.automountServiceAccountToken"),
            here,
            *((engine,) if engine else ()),
            *no_mount(pod, names),
        ),
        patch_pod(
            pod,
            world,
            {"automountServiceAccountToken": True},
            "mount it for this workload only (its pods are recreated)",
        ),
    )


def changed_since(pod: Object, account: Object) -> str:
    """When the account's automount flag was set after the pod was made; empty if it was not.

    A flag that was taken away leaves no trace.
    """
    changed = max(
        (
            str(entry.get("time") or "")
            for entry in entries(account, "f:automountServiceAccountToken")
        ),
        default="",
    )
    return changed if changed > str(pod["metadata"].get("creationTimestamp") or "") else ""


@check("SAT103", on="Pod", severity="error", stage="mount")
def automount_changed_after_admission(pod: Object, world: World) -> Iterator[Finding]:
    """The pod was made before automounting was switched on.

    ### What goes wrong

    By the flags of pod and service account the token would be mounted, but the pod has none. The
    flags are read once, when a pod is made: a service account or template that was changed since
    then does not change pods that are there. A webhook or policy that takes the volume out again
    looks the same; then a new pod has no token either.

    ### How to fix it

    Make the pod anew. If the new one has no token either, look for a mutating webhook or policy.
    """
    if not is_live(pod):
        return
    names = bare_containers(pod, world)
    if not names:
        return
    account, flag = account_flag(pod, world)
    if account is None or not should_automount(account, pod):
        return
    if not pod["spec"].get("serviceAccountName"):
        return  # SAT108: nobody has looked at the flags
    if pod["spec"].get("automountServiceAccountToken"):
        # the pod itself asked for it when it was made: that a flag was changed is not the reason
        return
    created = pod["metadata"].get("creationTimestamp", "")
    changed = changed_since(pod, account)
    if not changed and strippers(pod, world):
        return  # SAT110 names who takes it out
    evidence = [
        at(pod, "metadata.creationTimestamp", created),
        at(
            pod,
            "spec.automountServiceAccountToken",
            pod["spec"].get("automountServiceAccountToken"),
        ),
        flag._replace(here=True),
    ]
    if changed:
        evidence.append(at(account, "metadata.managedFields[*].time", changed))
    yield Finding(
        "no token is mounted, though pod and service account allow it now: "
        "the pod was made before that",
        flag._replace(here=True),
        (*evidence, *no_mount(pod, names)),
        Fix("make the pod anew", tuple(restart(pod, world)), recreates=True),
        # a flag that was taken away leaves no trace, and a policy may have taken the volume out
        certainty="certain" if changed else "likely",
    )
