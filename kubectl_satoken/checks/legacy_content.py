"""Legacy tokens that are there, and are not what they should be."""

from collections.abc import Iterator

from ..admission import ROOT_CA_CONFIG_MAP
from ..fixes import dumps, kubectl, pipe
from ..managed_fields import writers
from ..mounts import (
    account_of,
    at_default_path,
    containers,
    has_token,
    looks_generated,
    volumes,
)
from ..token_secrets import (
    ENCODED,
    PADDED,
    PLAIN,
    UID_ANNOTATION,
    account_named,
    accounts_in_name,
    garbled_in,
    is_token_type,
    token_form,
)
from ..workloads import finished
from ..world import Object, Unseen, World
from . import Finding, Fix, at, check
from .legacy import ACCOUNT_PATH, PATIENCE, UID_PATH, age_of, made_anew


def impostors(secret: Object, account: str, world: World) -> Iterator[Object]:
    """The live pods that have a Secret's token as their own, and run as another account."""
    namespace, name = secret["metadata"].get("namespace", ""), secret["metadata"]["name"]
    for pod in world.list("Pod", namespace):
        if account_of(pod) == account or finished(pod):
            continue
        by_name = volumes(pod)
        for container in containers(pod):
            for mount in container.get("volumeMounts") or []:
                volume = by_name.get(mount.get("name", "")) or {}
                if at_default_path(mount) and (
                    (volume.get("secret") or {}).get("secretName") == name
                ):
                    yield pod


@check("SAT206", on="Secret", severity="warning", stage="access")
def legacy_secret_wrong_sa_name(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret is for another service account than its name or its pods say.

    ### What goes wrong

    The annotation `kubernetes.io/service-account.name` names an account that is there, but not the
    one that was meant. The token works, as somebody else: what it asks is refused with 403 for
    `system:serviceaccount:NAMESPACE:default` or whoever it is, or it may do more than it should.

    ### How to fix it

    Delete the Secret and make it again with the right name. To change the annotation alone is no
    way: it no longer fits the uid beside it, and the token controller deletes the Secret.
    """
    metadata = secret["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    account = account_named(secret)
    if not is_token_type(secret) or not account or name.startswith(account):
        return
    for other in accounts_in_name(name):
        if account.startswith(f"{other}-"):
            continue  # vault-token for vault-auth beside vault: somebody's shortening
        if name.startswith(f"{other}-token-") and not looks_generated(name):
            continue  # vault-token-reviewer need not be vault's
        try:
            found = world.get("ServiceAccount", namespace, other) if other else None
            own = world.get("ServiceAccount", namespace, account) if found else None
        except Unseen:
            continue  # a name is a guess only, so not to know whose it is leaves nothing out
        if found is None or own is None:
            continue
        here = at(secret, ACCOUNT_PATH, account, here=True)
        yield Finding(
            f"the token in secret {name} is for serviceaccount {account}, and by the Secret's name "
            f"it should be for {other}",
            here,
            (here, at(found, "metadata.name", other)),
            made_anew(secret, other, world, f"make it anew for {other}, if that is meant"),
            certainty="likely",
        )
        return
    if not has_token(secret):
        return
    for pod in impostors(secret, account, world):
        here = at(secret, ACCOUNT_PATH, account, here=True)
        runs_as = account_of(pod)
        yield Finding(
            f"the token in secret {name} is for serviceaccount {account}, and pod "
            f"{pod['metadata']['name']}, which has it as its own, runs as {runs_as}",
            here,
            (here, at(pod, "spec.serviceAccountName", runs_as)),
            made_anew(secret, runs_as, world, f"make it anew for {runs_as}, if that is meant"),
            certainty="likely",
        )
        return


# Under what name the token controller writes: kube-controller-manager, or the one program that it
# is built into (k3s, RKE2's and MicroK8s' all-in-one, MicroShift, k0s, old hyperkube).
CONTROLLERS = {
    "kube-controller-manager",
    "k3s",
    "rke2",
    "k0s",
    "kubelite",
    "microshift",
    "hyperkube",
}


@check("SAT209", on="Secret", severity="warning", stage="token")
def legacy_copied_token_data(secret: Object, world: World) -> Iterator[Finding]:
    """The token in the Secret was put there by somebody, and is probably refused.

    ### What goes wrong

    The token controller fills an empty Secret and never overwrites a token that is in it. A Secret
    that was copied or restored with its data (Velero, a GitOps repository, another cluster) keeps
    the token of old, which names the uid of another account or the name of another Secret, or is
    signed with another key: 401 Unauthorized (`Token has been invalidated`, `ServiceAccount UID (…)
    does not match claim (…)`, `invalid signature, no keys found`).

    ### How to fix it

    Take the token out of the Secret, and the controller puts a good one in. Leave Secrets of this
    type out of backups and repositories, or keep them there without data.
    """
    metadata = secret["metadata"]
    account = account_named(secret)
    if not is_token_type(secret) or not account or not has_token(secret):
        return
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if not metadata.get("uid"):
        yield from token_in_manifest(secret, account, world)
        return
    pasted = [each for each in writers(secret, "f:data", "f:token") if each]
    by_hand = bool(pasted) and not CONTROLLERS.intersection(pasted)
    uid = (metadata.get("annotations") or {}).get(UID_ANNOTATION)
    if age_of(secret, world) < PATIENCE:
        return
    found = world.get("ServiceAccount", namespace, account) if by_hand or uid else None
    own = found["metadata"].get("uid") if found else None
    if uid and own and uid != own and found is not None:
        here = at(secret, UID_PATH, uid, here=True)
        yield Finding(
            f"the token in secret {name} is refused: it is for a serviceaccount {account} of "
            "another uid, which is gone",
            here,
            (here, at(found, "metadata.uid", own)),
            made_anew(secret, account, world, "make the Secret anew, without data"),
            certainty="likely",
            severity="error",
        )
        return
    if not by_hand or is_restored(secret, pasted, uid, own) or is_controller(pasted, secret, world):
        return
    here = at(secret, "metadata.managedFields[f:data.f:token]", pasted[0], here=True)
    patch = dumps([{"op": "remove", "path": "/data/token"}])
    yield Finding(
        f"the token in secret {name} was put there by {pasted[0]}, not by the token controller",
        here,
        (at(secret, ACCOUNT_PATH, account), here),
        Fix(
            "take it out, and the token controller makes a good one (whoever has a copy needs it)",
            (kubectl(world, namespace, "patch", "secret", name, "--type=json", "-p", patch),),
        ),
        certainty="likely",
    )


def is_restored(secret: Object, pasted: list[str], uid: str | None, own: str | None) -> bool:
    """Whether a Secret was put back as it was: with the uid of the account that is still there."""
    path = ("f:metadata", "f:annotations", f"f:{UID_ANNOTATION}")
    return bool(uid) and uid == own and not set(pasted).isdisjoint(writers(secret, *path))


def is_controller(managers: list[str], secret: Object, world: World) -> bool:
    """Whether those who wrote a token are this cluster's controllers under another name.

    The ConfigMap with the certificate authority, in every namespace, is written by them, too.
    """
    namespace = secret["metadata"].get("namespace", "")
    try:
        published = world.get("ConfigMap", namespace, ROOT_CA_CONFIG_MAP)
    except Unseen:
        return False
    return published is not None and not set(managers).isdisjoint(
        writers(published, "f:data", "f:ca.crt")
    )


def token_in_manifest(secret: Object, account: str, world: World) -> Iterator[Finding]:
    """What is to be said of a token Secret in a file that brings a token along."""
    name = secret["metadata"]["name"]
    for field, form in (("data", ENCODED), ("stringData", PLAIN)):
        if token_form(secret, field) != form:
            continue
        here = at(secret, f"{field}.token", f"{form} (not shown)", here=True)
        yield Finding(
            f"the manifest of secret {name} brings a token along, which the token controller will "
            "not replace",
            here,
            (at(secret, ACCOUNT_PATH, account), here),
            made_anew(
                secret,
                account,
                world,
                "leave the data out; deleting the Secret revokes a token that was in it",
            ),
            certainty="likely",
        )
        return


@check("SAT215", on="Secret", severity="error", stage="creation")
def legacy_base64(secret: Object, world: World) -> Iterator[Finding]:
    """The token in the manifest is in base64 at the wrong place, or not at the right.

    ### What goes wrong

    `data` takes values in base64, once; `stringData` takes them as they are. A token that stands
    in `data` as it is, is refused: `illegal base64 data at input byte …`. One in `stringData` in
    base64 (`ZXlK…`), or with quotes or a line break around it, is stored as it stands and is no
    token any more: 401 Unauthorized, or an invalid header in the client.

    ### How to fix it

    In a Secret of the type `kubernetes.io/service-account-token` leave the token out: the token
    controller puts one in. In any other use `stringData` and the bare token.
    """
    field = garbled_in(secret)
    if not field:
        return
    form = token_form(secret, field)
    namespace, name = secret["metadata"].get("namespace", ""), secret["metadata"]["name"]
    here = at(secret, f"{field}.token", f"{form} (not shown)", here=True)
    refused = field == "data" and form in (PLAIN, PADDED)
    account = account_named(secret)
    if is_token_type(secret) and account:
        fix = made_anew(
            secret, account, world, "leave the token out: the token controller makes it"
        )
    else:
        create = ("create", "secret", "generic", name, "--from-file=token=/dev/stdin")
        fix = Fix(
            "give the bare token, as one line without an end of line (printf %s, not echo)",
            (
                pipe(
                    kubectl(world, namespace, *create, "--dry-run=client", "-o", "yaml"),
                    kubectl(world, namespace, "apply", "-f", "-"),
                ),
            ),
        )
    yield Finding(
        f"the API server refuses secret {name}: its data.token is not in base64"
        if refused
        else f"what secret {name} is to hold is no token: {field}.token is {form}",
        here,
        (at(secret, "type", secret.get("type")), here),
        fix,
    )
