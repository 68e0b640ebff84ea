"""Legacy tokens: Secrets of the type kubernetes.io/service-account-token, and how they get made."""

from collections.abc import Iterator

from ..admission import TOKEN_MOUNT_PATH
from ..events import age
from ..fixes import and_manifest, kubectl, patch_pod
from ..managed_fields import writers
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
from ..times import words
from ..token_secrets import (
    LAST_APPLIED,
    UID_ANNOTATION,
    account_named,
    is_empty,
    is_token_type,
    token_secret,
    untyped,
)
from ..workloads import finished
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .account import account_names, near_name
from .mount import without

ACCOUNT_PATH = f"metadata.annotations[{ACCOUNT_ANNOTATION}]"
UID_PATH = f"metadata.annotations[{UID_ANNOTATION}]"

# The token controller fills a Secret within a second; the first retries take a few more.
PATIENCE = 30


def age_of(item: Object, world: World) -> float:
    """How long an object has been stored, in seconds; 0 where that is not known."""
    return age(str(item["metadata"].get("creationTimestamp") or ""), world)


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
    account = account_named(secret)
    # only what an API server has stored can have been left empty
    if not is_token_type(secret) or not account or not metadata.get("uid"):
        return
    old = age_of(secret, world)
    if has_token(secret) or old < PATIENCE or is_immutable(secret):
        return
    here = at(secret, "data", "empty", here=True)
    evidence = [
        at(secret, "type", secret["type"]),
        at(secret, ACCOUNT_PATH, account),
        at(secret, "metadata.creationTimestamp", f"{words(old)} ago"),
        here,
    ]
    namespace = metadata.get("namespace", "")
    if world.get("ServiceAccount", namespace, account) is None:
        evidence.append(Evidence("ServiceAccount", namespace, account, "", "not found"))
    annotate = kubectl(world, namespace, "annotate", "--overwrite", "secret", metadata["name"])
    yield Finding(
        f"secret {metadata['name']} has no token: no controller has filled it in {words(old)}",
        here,
        tuple(evidence),
        Fix(
            "when kube-controller-manager runs with its key and nothing refuses its writes, "
            "make it try again",
            # the value differs each time, so that the Secret changes each time
            (f"{annotate} satoken/retry=$(date +%s)",),
        ),
    )


def made_anew(secret: Object, account: str, world: World, summary: str) -> Fix:
    """A fix that deletes a Secret and makes it again, for what cannot be changed in one."""
    metadata = secret["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    made = and_manifest(world, token_secret(namespace, name, account, secret), summary)
    delete = kubectl(world, namespace, "delete", "secret", name, "--ignore-not-found")
    return made._replace(commands=(delete, *made.commands))


def is_immutable(secret: Object) -> bool:
    """Whether a Secret says that it is immutable; of a stored one, whether it says anything of it.

    The value itself comes with no Secret from a cluster, but who wrote it does.
    """
    return secret.get("immutable") is True or (
        "immutable" not in secret and any(writers(secret, "f:immutable"))
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
    if not is_token_type(secret) or account_named(secret):
        return
    here = at(secret, ACCOUNT_PATH, None, here=True)
    evidence = [at(secret, "type", secret["type"]), here]
    for field in ("annotations", "labels"):
        for key, value in (metadata.get(field) or {}).items():
            if key != ACCOUNT_ANNOTATION and "account" in key.lower() and key != UID_ANNOTATION:
                evidence.append(at(secret, f"metadata.{field}[{key}]", value))
    account = account_for_secret(secret, world)
    manifest = token_secret(
        metadata.get("namespace", ""), metadata["name"], account or "SERVICE-ACCOUNT"
    )
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
            name = source.get("secretName") or ""
            keys = [item.get("key") for item in source.get("items") or []]
            default = volume["name"] in at_default
            if name and (default or looks_generated(name) or "token" in keys):
                yield name, f"spec.volumes[{index}].secret.secretName", default
    for path, container in container_paths(pod):
        for number, variable in enumerate(container.get("env") or []):
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            name = reference.get("name") or ""
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
                token_secret(namespace, name, account_of(pod)),
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
    patch = {"automountServiceAccountToken": True, **without(pod["spec"], names)}
    return patch_pod(pod, world, patch, "mount the projected token instead (pods are recreated)")


@check("SAT204", on="Secret", severity="error", stage="creation")
def legacy_secret_wrong_type(secret: Object, world: World) -> Iterator[Finding]:
    """The Secret names its service account, but its type is not that of a token.

    ### What goes wrong

    The token controller fills only Secrets of the type `kubernetes.io/service-account-token`. One
    without `type` becomes `Opaque`, and one with a misspelt type is taken as it is: both stay empty
    for ever, annotation or not. The type of a Secret cannot be changed later:
    `type: Invalid value: "kubernetes.io/service-account-token": field is immutable`.

    ### How to fix it

    Delete the Secret and make it again with the right type.
    """
    account = account_named(secret)
    if is_token_type(secret) or not account or not untyped(secret) or not is_empty(secret):
        return
    kind = secret.get("type")
    here = at(secret, "type", kind, here=True)
    yield Finding(
        f"secret {here.name} never gets a token: its type is {kind or 'Opaque'}, "
        f"not {TOKEN_SECRET_TYPE}",
        here,
        (here, at(secret, ACCOUNT_PATH, account), at(secret, "data", "empty")),
        made_anew(
            secret, account, world, "make it anew with the right type, which cannot be changed"
        ),
    )


@check("SAT205", on="Secret", severity="error", stage="creation")
def legacy_secret_before_sa(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret is deleted as soon as it is made: its account is not there yet.

    ### What goes wrong

    The token controller deletes a token Secret whose service account it does not find, within a
    second and without a word: `kubectl apply` says `created`, and then the Secret is `not found`.
    That happens when the Secret stands before its account in the files (kubectl applies them in
    their order; Helm and kustomize sort them), when the annotation has the name wrong, and when a
    copied annotation `kubernetes.io/service-account.uid` is not the uid of the present account.

    ### How to fix it

    Make the account first, name it as it is called, and leave the annotation with the uid out: the
    controller writes it.
    """
    metadata = secret["metadata"]
    account = account_named(secret)
    # one that is stored has survived, and what its uid says SAT209 judges
    if not is_token_type(secret) or not account or metadata.get("uid") or is_foreign(account):
        return
    namespace = metadata.get("namespace", "")
    uid = (metadata.get("annotations") or {}).get(UID_ANNOTATION)
    unseen: Unseen | None = None
    try:
        found = world.get("ServiceAccount", namespace, account)
    except Unseen as reason:
        found, unseen = None, reason
    if found is None:
        if elsewhere(account, namespace, world):
            return  # SAT207
        yield from before_missing(secret, account, uid, unseen, world)
        return
    own = found["metadata"].get("uid")
    if uid and uid != own:
        here = at(secret, UID_PATH, uid, here=True)
        yield Finding(
            f"secret {here.name} is deleted as soon as it is made: the uid in its annotation is "
            f"not that of serviceaccount {account}",
            here,
            (at(secret, ACCOUNT_PATH, account), here, at(found, "metadata.uid", own)),
            without_uid(secret, account, world),
            # an account without a uid in the files may be the one of old in the cluster
            certainty="certain" if own else "likely",
        )
    elif not own and world.applied_before(secret, found):
        here = at(secret, "", "stands before its service account", here=True)
        first = and_manifest(world, without_last_applied(found), "")
        second = and_manifest(world, token_secret(namespace, here.name, account, secret), "")
        yield Finding(
            f"secret {here.name} is deleted as soon as it is made: it stands before its "
            f"serviceaccount {account}",
            here,
            (here, at(secret, ACCOUNT_PATH, account), at(found, "", "comes after it")),
            Fix(
                "make the account first, then the Secret (and put them in this order in the files)",
                (*first.commands, *second.commands),
                f"{first.manifest}---\n{second.manifest}",
            ),
            # where the account is there already, the order does no harm
            certainty="likely",
        )


def before_missing(
    secret: Object, account: str, uid: str | None, unseen: Unseen | None, world: World
) -> Iterator[Finding]:
    """What is to be said of a Secret whose account is not there, or not among the files.

    Raises Unseen where nothing is.
    """
    namespace = secret["metadata"].get("namespace", "")
    near = near_name(namespace, account, world)
    missing = Evidence(
        "ServiceAccount", namespace, account, "", "not in the files" if unseen else "not found"
    )
    here = at(secret, ACCOUNT_PATH, account, here=True)
    if near:
        yield Finding(
            f"secret {here.name} is deleted as soon as it is made: it names serviceaccount "
            f"{account}, and there is {near}",
            here,
            (here, missing, Evidence("ServiceAccount", namespace, near, "", "is there")),
            made_anew(secret, near, world, f"name {near}, if that is what is meant"),
            certainty="likely" if unseen else "certain",
        )
    elif unseen is None:
        create = kubectl(world, namespace, "create", "serviceaccount", account)
        made = and_manifest(world, token_secret(namespace, here.name, account, secret), "")
        yield Finding(
            f"secret {here.name} is deleted as soon as it is made: serviceaccount {account} does "
            f"not exist in {namespace}",
            here,
            (here, missing),
            made._replace(
                summary="make the account first, then the Secret",
                commands=(create, *made.commands),
            ),
        )
    elif uid:
        here = at(secret, UID_PATH, uid, here=True)
        yield Finding(
            f"secret {here.name} is deleted as soon as it is made, unless serviceaccount {account} "
            "still has this uid",
            here,
            (at(secret, ACCOUNT_PATH, account), here),
            without_uid(secret, account, world),
            certainty="possible",
        )
    else:
        raise unseen


def without_uid(secret: Object, account: str, world: World) -> Fix:
    """A fix that makes a Secret without the annotation that only the controller should write."""
    namespace, name = secret["metadata"].get("namespace", ""), secret["metadata"]["name"]
    return and_manifest(
        world,
        token_secret(namespace, name, account, secret),
        f"leave the annotation {UID_ANNOTATION} out (and the data, if any)",
    )


def without_last_applied(item: Object) -> Object:
    """An object for kubectl apply: without what kubectl itself has left in it."""
    metadata = dict(item["metadata"])
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if key != LAST_APPLIED
    }
    if annotations:
        metadata["annotations"] = annotations
    return {**item, "metadata": metadata}


def is_foreign(account: str) -> bool:
    """Whether what should be an account's name is more than that: ``other/web``, a user name."""
    return "/" in account or ":" in account


def elsewhere(account: str, namespace: str, world: World) -> Object | None:
    """An account of that name in another namespace, where such a search asks no cluster."""
    if world.source != "manifests":
        return None
    try:
        for item in world.list("ServiceAccount"):
            metadata = item["metadata"]
            if metadata["name"] == account and metadata.get("namespace", "") != namespace:
                return item
    except Unseen:
        pass
    return None


@check("SAT207", on="Secret", severity="error", stage="creation")
def legacy_secret_other_namespace(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret is in another namespace than its service account.

    ### What goes wrong

    A token Secret and its service account must share a namespace: the annotation
    `kubernetes.io/service-account.name` takes a bare name and knows no other form. The token
    controller does not find the account beside the Secret and deletes the Secret within a second.

    ### How to fix it

    Make the Secret in the namespace of the account. Pods of another namespace cannot mount it:
    give them an account of their own and bind the rights to it, for a RoleBinding takes accounts
    of any namespace.
    """
    metadata = secret["metadata"]
    account = account_named(secret)
    if not is_token_type(secret) or not account or metadata.get("uid"):
        return
    namespace = metadata.get("namespace", "")
    here = at(secret, ACCOUNT_PATH, account, here=True)
    name = here.name
    if is_foreign(account):
        where, bare = account.replace("/", ":").split(":")[-2:]
        yield Finding(
            f"secret {name} is deleted as soon as it is made: {account} is not the name of a "
            f"serviceaccount in {namespace}",
            here,
            (here,),
            in_namespace(secret, where or namespace, bare, world),
        )
        return
    unseen = False
    try:
        if world.get("ServiceAccount", namespace, account) is not None:
            return
    except Unseen:
        unseen = True  # SAT205 tells what is not known
    other = elsewhere(account, namespace, world)
    if other is None:
        return
    where = other["metadata"].get("namespace", "")
    yield Finding(
        f"secret {name} is deleted as soon as it is made: serviceaccount {account} is in {where}, "
        f"not in {namespace}",
        at(secret, "metadata.namespace", namespace, here=True),
        (
            at(secret, "metadata.namespace", namespace, here=True),
            here._replace(here=False),
            at(other, "metadata.namespace", where),
        ),
        in_namespace(secret, where, account, world),
        certainty="likely" if unseen else "certain",
    )


def in_namespace(secret: Object, namespace: str, account: str, world: World) -> Fix:
    """A fix that makes a Secret in the namespace of its account."""
    return and_manifest(
        world,
        token_secret(namespace, secret["metadata"]["name"], account, secret),
        f"make it in {namespace}, where its account is (pods elsewhere need one of their own)",
    )


@check("SAT208", on="Secret", severity="error", stage="creation")
def legacy_secret_immutable(secret: Object, world: World) -> Iterator[Finding]:
    """The token Secret is empty and immutable, so it can never be filled.

    ### What goes wrong

    The token controller fills a Secret by an update. One that was made with `immutable: true` and
    without a token refuses that for ever: ``data: Forbidden: field is immutable when `immutable` is
    set``. Immutability cannot be taken back either.

    ### How to fix it

    Delete the Secret and make it again without `immutable`. It may be set when the token is in; but
    then a new certificate authority of the cluster does not get into it.
    """
    metadata = secret["metadata"]
    account = account_named(secret)
    if not is_token_type(secret) or not account or has_token(secret) or not is_immutable(secret):
        return
    stored = bool(metadata.get("uid"))
    here = at(secret, "immutable", True if "immutable" in secret else "set", here=True)
    by = next(writers(secret, "f:immutable"), "")
    evidence = [here, at(secret, "data", "empty"), at(secret, ACCOUNT_PATH, account)]
    if by:
        evidence.insert(1, at(secret, "metadata.managedFields[f:immutable]", by))
    yield Finding(
        f"secret {here.name} can never get a token: it is immutable and empty",
        here,
        tuple(evidence),
        made_anew(secret, account, world, "make it anew without immutable, which cannot be unset"),
        # of a stored one only this is known, that somebody has said something of immutable
        certainty="likely" if stored and "immutable" not in secret else "certain",
    )
