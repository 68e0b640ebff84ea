"""The service account of the pod is not there, is another than it was, or is the wrong one."""

from collections.abc import Iterator

from ..fixes import dumps, kubectl, patch_pod, restart
from ..mounts import account_of, api_tokens, is_mirror, renewed_after
from ..rbac import bindings_of, once
from ..times import seconds, words
from ..workloads import (
    Owner,
    controller_of,
    creators,
    dotted,
    finished,
    is_live,
    made_before,
    owner_of,
    step_into,
    template_path,
    template_pod,
)
from ..world import Object, Unseen, World, is_custom
from . import Evidence, Finding, Fix, at, check
from .creation import stuck_alias
from .file import LEEWAY
from .kubelet import told
from .network import moment

NOT_FOUND = "error looking up service account"


def missing_account(pod: Object, world: World) -> Evidence | None:
    """The pod's service account as evidence when it is not there."""
    if is_mirror(pod):
        return None
    namespace = pod["metadata"].get("namespace", "")
    name = account_of(pod)
    if world.get("ServiceAccount", namespace, name) is not None:
        return None
    return Evidence("ServiceAccount", namespace, name, "", "not found", here=True)


def account_names(namespace: str, world: World) -> list[str]:
    """The names of the accounts of a namespace, as far as they can be seen."""
    names: list[str] = []
    try:
        for item in world.list("ServiceAccount", namespace):
            names.append(item["metadata"]["name"])  # what came before a break stays
    except Unseen:
        pass
    return names


def near_name(namespace: str, name: str, world: World) -> str:
    """An account of the namespace whose name is nearly the one asked for; empty without one."""
    from difflib import get_close_matches

    names = account_names(namespace, world)
    for other in names:
        if is_in_name(other, name):
            return str(other)
    return next(iter(get_close_matches(name, names, 1, ALIKE)), "")


ALIKE = 0.8


def is_in_name(other: str, name: str) -> bool:
    """Whether one name is the other with a word more before it, as charts make names."""
    return other != "default" and (other.endswith("-" + name) or name.endswith("-" + other))


def is_near(name: str, other: str) -> bool:
    """Whether `near_name` may be this other one."""
    from difflib import get_close_matches

    return is_in_name(other, name) or bool(get_close_matches(name, [other], 1, ALIKE))


def refusal(owner: Owner, world: World) -> Evidence | None:
    """The event by which a controller tells that the API server refused its pods."""
    if owner.object is None:
        return None
    try:
        for creator in creators(owner.object, world):
            for event in world.events(owner.namespace, creator["metadata"]["name"]):
                message = str(event.get("message", ""))
                if event.get("reason") == "FailedCreate" and NOT_FOUND in message:
                    return Evidence(
                        creator["kind"],
                        owner.namespace,
                        creator["metadata"]["name"],
                        "event FailedCreate",
                        message[message.index(NOT_FOUND) :],
                    )
    except Unseen:
        return None
    return None


def create_account(namespace: str, name: str, world: World) -> str:
    """The command that makes a service account."""
    return kubectl(world, namespace, "create", "serviceaccount", name)


@check("SAT104", on="Pod", severity="error", stage="creation")
def sa_not_found(pod: Object, world: World) -> Iterator[Finding]:
    """The pods cannot be made, because their service account is not there.

    ### What goes wrong

    The pod template names a service account that does not exist in its namespace. The API server
    refuses every pod with `error looking up service account NAMESPACE/NAME: serviceaccount "NAME"
    not found`; the ReplicaSet, Job or StatefulSet says so in an event FailedCreate. An account of
    the same name in another namespace does not count (see SAT111).

    Files need not hold every account that they use, so in manifests this is reported only where
    another one has nearly that name.

    ### How to fix it

    Create the service account, or name the one that was meant. Controllers try again by
    themselves, after ever longer pauses; a restart of the rollout makes them try at once.
    """
    # of "default" SAT112 tells more
    if is_live(pod) or account_of(pod) == "default":
        return
    unsure: Unseen | None = None
    try:
        missing = missing_account(pod, world)
    except Unseen as unseen:
        missing = unlisted_account(pod, world)
        if missing is None:
            raise
        unsure = unseen
    if missing is None:
        return
    namespace, name = missing.namespace, missing.name
    owner = owner_of(pod, world)
    if any(namesake(namespace, name, world)):
        if unsure is not None:
            raise unsure
        return  # SAT111 tells more
    if stuck_alias(owner.object if owner is not None else None, pod):
        return  # SAT114 tells more
    evidence = [named_in(pod, owner, name), missing]
    if owner is not None:
        event = refusal(owner, world)
        if event:
            evidence.append(event)
    near = near_name(namespace, name, world)
    if near:
        evidence.append(Evidence("ServiceAccount", namespace, near, "", "is there"))
        fix = patch_pod(
            pod,
            world,
            {"serviceAccountName": near},
            f"name {near}, which is there (or create {name}, if that is what is meant)",
        )
    else:
        fix = Fix(
            "create it, and let the workload try again",
            (create_account(namespace, name, world), *restart(pod, world)),
        )
    yield Finding(
        f"no pod can be made: serviceaccount {name} does not exist in {namespace}"
        if unsure is None
        else f"serviceaccount {name} is not in these files, but {near} is",
        missing,
        tuple(evidence),
        fix,
        certainty="certain" if unsure is None else on_paper(namespace, world),
    )
    if unsure is not None:
        raise unsure  # whether it is in the cluster was not seen


def named_in(pod: Object, owner: Owner | None, name: str) -> Evidence:
    """Where a pod's account is named: in its owner's template, or in itself."""
    if owner is None:
        return at(pod, "spec.serviceAccountName", name)
    path = dotted((*owner.template, "spec"))
    namespace = pod["metadata"].get("namespace", "")
    return Evidence(owner.kind, namespace, owner.name, f"{path}.serviceAccountName", name)


def unlisted_account(pod: Object, world: World) -> Evidence | None:
    """The pod's account as evidence when files have another of nearly its name, used by nobody."""
    if world.source != "manifests" or is_mirror(pod):
        return None
    namespace = pod["metadata"].get("namespace", "")
    name = account_of(pod)
    near = near_name(namespace, name, world)
    if not near or near in named_accounts(namespace, world):
        return None
    return Evidence("ServiceAccount", namespace, name, "", "not in these files", here=True)


def named_accounts(namespace: str, world: World) -> set[str]:
    """The accounts that the workloads of a namespace name, as far as they can be seen."""
    names: set[str] = set()
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"):
        try:
            for item in world.list(kind, namespace):
                pod = item if kind == "Pod" else template_pod(item)
                if pod is not None:
                    names.add(account_of(pod))
        except Unseen:
            continue  # what came before a break stays
    return names


def on_paper(namespace: str, world: World) -> str:
    """How sure it is that what is not in files is missing: more where they make the namespace."""
    try:
        return "likely" if world.get("Namespace", "", namespace) is not None else "possible"
    except Unseen:
        return "possible"


def namesake(namespace: str, name: str, world: World) -> Iterator[str]:
    """The other namespaces with an account of that name that no pod there uses.

    One that is used belongs to another copy of the application. What cannot be seen does not count.
    """
    if name == "default":
        return
    found, _ = namespaces_with(name, world)
    for where in found:
        if where != namespace and not is_ending(where, world) and not is_used(where, name, world):
            yield where


def namespaces_with(name: str, world: World) -> tuple[list[str], bool]:
    """The namespaces that have an account of a name, and whether all could be seen."""

    def make() -> tuple[dict[str, list[str]], bool]:
        found: dict[str, list[str]] = {}
        try:
            for item in world.list("ServiceAccount", metadata=True):
                metadata = item["metadata"]
                found.setdefault(metadata["name"], []).append(metadata.get("namespace", ""))
        except Unseen:
            return found, False  # what came before a break stays
        return found, True

    found, complete = once(world, "accounts by name", "", make)
    return found.get(name, []), complete


def is_ending(namespace: str, world: World) -> bool:
    """Whether a namespace is seen to be on its way out."""
    try:
        item = world.get("Namespace", "", namespace)
    except Unseen:
        return False
    return item is not None and bool(item["metadata"].get("deletionTimestamp"))


def is_used(namespace: str, name: str, world: World) -> bool:
    """Whether an account is used by pods, or in files by workloads; yes where that is not seen."""
    if world.source == "manifests":
        return name in named_accounts(namespace, world)
    try:
        return any(account_of(pod) == name for pod in world.list("Pod", namespace))
    except Unseen:
        return True


@check("SAT111", on="Pod", severity="error", stage="creation")
def sa_in_other_namespace(pod: Object, world: World) -> Iterator[Finding]:
    """The service account is there, but in another namespace than the pods.

    ### What goes wrong

    A pod can only run as a service account of its own namespace; the name of a namespace cannot
    even be given. An account of that name exists elsewhere, here it does not, and every pod is
    refused with `error looking up service account NAMESPACE/NAME: serviceaccount "NAME" not found`.
    The one that is there is used by no pod, so it seems to be meant for these. Often
    `metadata.namespace` is missing from its manifest, or is another one in that of the workload.

    ### How to fix it

    Create the account in the namespace of the pods too and add it to the bindings of the other, or
    move the workload.
    """
    if is_live(pod) or is_mirror(pod):
        return
    namespace, name = pod["metadata"].get("namespace", ""), account_of(pod)
    unsure: Unseen | None = None
    try:
        if world.get("ServiceAccount", namespace, name) is not None:
            return
    except Unseen as unseen:
        if world.source != "manifests":
            raise
        unsure = unseen
    others = sorted(set(namesake(namespace, name, world)))
    if not others:
        if unsure is not None:
            raise unsure
        return
    missing = Evidence("ServiceAccount", namespace, name, "", "not found", here=True)
    if unsure is not None:
        missing = missing._replace(value="not in these files")
    owner = owner_of(pod, world)
    evidence = [named_in(pod, owner, name), missing]
    evidence += [Evidence("ServiceAccount", one, name, "", "is there") for one in others[:3]]
    event = refusal(owner, world) if owner is not None else None
    if event:
        evidence.append(event)
    commands = [create_account(namespace, name, world)]
    summary = f"create it in {namespace} as well (or move the workload to {others[0]})"
    if len(others) == 1:
        grants = list(grant_alike(others[0], name, namespace, world))
        commands += grants
        if grants:
            summary = f"create it in {namespace} as well, with the rights that the other has"
    yield Finding(
        f"no pod can be made: serviceaccount {name} is in {others[0]}, but the pods are in "
        f"{namespace}",
        missing,
        tuple(evidence),
        Fix(summary, (*commands, *restart(pod, world))),
        certainty="certain" if unsure is None else "likely",
    )


def grant_alike(other: str, name: str, namespace: str, world: World) -> Iterator[str]:
    """The commands that add an account to the bindings that its namesake elsewhere is named in."""
    try:
        found = list(bindings_of(world, other, name))
    except Unseen:
        return
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    patch = dumps([{"op": "add", "path": "/subjects/-", "value": subject}])
    for binding in found:
        if not any(
            item.get("kind") == "ServiceAccount" and item.get("name") == name
            for item in binding.get("subjects") or []
        ):
            continue  # a group: the other account is in another one
        kind = binding["kind"].lower()
        where = binding["metadata"].get("namespace", "")
        words = ("patch", kind, binding["metadata"]["name"], "--type=json", "-p", patch)
        yield kubectl(world, where, *words)


@check("SAT105", on="Pod", severity="error", stage="token")
def sa_deleted_after_pod(pod: Object, world: World) -> Iterator[Finding]:
    """The service account was deleted while the pod was there.

    ### What goes wrong

    The pod was admitted, then its service account was deleted. Its token is refused with 401
    Unauthorized a few seconds later, the kubelet cannot fetch another
    (`failed to fetch token: serviceaccounts "NAME" not found`), and no new pod of the workload can
    be made.

    An account whose deletion is held by a finalizer is still there, and new pods get tokens for it.
    They are refused like the old ones, from a minute after the deletion began
    (`service account NAMESPACE/NAME has been deleted`).

    ### How to fix it

    Create the account again, with its bindings if they went too, and make the pods anew: a token
    names the uid of its account, so the old ones stay refused. Where a finalizer holds the old
    account, see first to what it stands for.
    """
    if not is_live(pod) or finished(pod):
        return
    said = None
    try:
        missing = missing_account(pod, world)
    except Unseen:
        said = None if is_mirror(pod) else told(pod, world, "SAT105")
        if said is None:
            raise
        name = account_of(pod)
        missing = Evidence(
            "ServiceAccount", pod["metadata"].get("namespace", ""), name, "", "not found", here=True
        )
        unsure = True
    else:
        unsure = False
    if missing is None:
        yield from account_is_going(pod, world)
        return
    token = api_tokens(pod, world)
    evidence = [at(pod, "spec.serviceAccountName", missing.name), missing]
    said = said or told(pod, world, "SAT105")
    if said is not None:
        evidence.append(said.evidence._replace(here=False))
    yield Finding(
        f"the token is refused: serviceaccount {missing.name} was deleted after the pod was made"
        if token
        else f"serviceaccount {missing.name} is gone: no pod like this one can be made any more",
        missing,
        tuple(evidence),
        account_again(pod, world),
        # the kubelet's word may be older than an account that was made since
        certainty="likely" if unsure else "certain",
    )


def account_is_going(pod: Object, world: World) -> Iterator[Finding]:
    """The finding on a pod whose account is there yet, and has been going away for too long."""
    account = world.get("ServiceAccount", pod["metadata"].get("namespace", ""), account_of(pod))
    going = moment(account["metadata"].get("deletionTimestamp")) if account else None
    if account is None or going is None or world.now() - going <= LEEWAY:
        return
    if not api_tokens(pod, world):
        return
    here = at(
        account, "metadata.deletionTimestamp", account["metadata"]["deletionTimestamp"], here=True
    )
    holders = ", ".join(account["metadata"].get("finalizers") or [])
    evidence = [at(pod, "spec.serviceAccountName", here.name), here]
    if holders:
        evidence.append(at(account, "metadata.finalizers", holders))
    yield Finding(
        f"the token is refused: serviceaccount {here.name} is being deleted, "
        f"for {words(world.now() - going)} now",
        here,
        tuple(evidence),
        account_again(pod, world, holders or "its finalizers"),
    )


def account_again(pod: Object, world: World, holders: str = "") -> Fix:
    """The fix that makes a pod's account again, then the pod.

    ``holders`` are the finalizers that keep the old account, in words; empty where it is gone.
    """
    namespace, name = pod["metadata"].get("namespace", ""), account_of(pod)
    summary = "create the account again, then make the pods anew"
    commands: list[str] = []
    if holders:
        summary = (
            f"when what holds it is done, or gone for good ({holders}), let it go, and {summary}"
        )
        release = '{"metadata":{"finalizers":null}}'
        commands.append(kubectl(world, namespace, "patch", "serviceaccount", name, "-p", release))
    if not (holders and name == "default"):  # which is made anew by itself
        commands.append(create_account(namespace, name, world))
    return Fix(summary, (*commands, *restart(pod, world)), recreates=True)


# the kubelet looks once in a sync period whether a token is to be renewed
REFRESH_SLACK = 180


@check("SAT106", on="Pod", severity="error", stage="token")
def sa_recreated_token_stale(pod: Object, world: World) -> Iterator[Finding]:
    """The service account was deleted and made again after the pod got its token.

    ### What goes wrong

    A token names the uid of its service account. When the account is replaced by another of the
    same name, tokens made before are refused with 401 Unauthorized (`service account UID (…) does
    not match claim (…)`). The kubelet does not notice: it replaces the token only when 80 % of its
    life have passed, that is up to 48 minutes for the usual token.

    ### How to fix it

    Make the pods anew. Look for what deletes the account: a Helm hook, a redeployment that deletes
    and applies, a restored backup.
    """
    if not is_live(pod) or finished(pod):
        return
    tokens = [file for file in api_tokens(pod, world) if file.lifetime is not None]
    if not tokens:
        return
    namespace = pod["metadata"].get("namespace", "")
    account = world.get("ServiceAccount", namespace, account_of(pod))
    if account is None:
        return
    made = account["metadata"].get("creationTimestamp", "")
    if not made:
        return
    lifetime = min(file.lifetime or 0 for file in tokens)
    refreshed = renewed_after(lifetime) + REFRESH_SLACK
    age = world.now() - seconds(made)
    # most accounts are old, and then it does not matter when the pod was made
    if age > refreshed or not made_before(pod, made):
        return
    here = at(account, "metadata.creationTimestamp", made, here=True)
    yield Finding(
        f"the token is stale: serviceaccount {here.name} was made again {words(age)} ago, "
        "after the pod got its token",
        here,
        (
            at(
                pod,
                "metadata.creationTimestamp",
                # past what likeness.py counts as read, as at() does it
                dict.get(pod["metadata"], "creationTimestamp"),
            ),
            here,
            at(account, "metadata.uid", account["metadata"].get("uid")),
        ),
        Fix("make the pods anew", tuple(restart(pod, world)), recreates=True),
        # a kubelet that was restarted since then has fetched a new token
        certainty="likely",
    )


USUAL = ("spec", "template")  # elsewhere, a custom kind may well have a field of that name
MISPLACED_AT = (("spec",), ("spec", "template"), ("spec", "jobTemplate"), ("metadata",), ())


def misplaced(workload: Object, pod: Object) -> tuple[str, str] | None:
    """A service account name at a place, or in a spelling, that the API server drops.

    Returns (path, name). Only manifests show it: what is stored has lost it.
    """
    template = template_path(workload, pod)
    if workload.get("kind") != "Pod" and (template == USUAL or not is_custom(workload)):
        for path in MISPLACED_AT:
            place = step_into(workload, path)
            for key in ("serviceAccountName", "serviceAccount"):
                if isinstance(place, dict) and isinstance(place.get(key), str):
                    return ".".join((*path, key)), place[key]
    for key, value in pod["spec"].items():
        plain = key.lower().replace("_", "").replace("-", "")
        if (
            isinstance(value, str)
            and plain in ("serviceaccountname", "serviceaccount")
            and key not in ("serviceAccountName", "serviceAccount")
        ):
            return dotted((*template, "spec", key)), value
    return None


def namesakes(pod: Object, owner: Owner | None) -> set[str]:
    """The names by which a workload's own service account would be known."""
    labels = pod["metadata"].get("labels") or {}
    names = {pod["metadata"]["name"]}
    if owner is not None:
        names.add(owner.name)
    elif (reference := controller_of(pod)) is not None:
        names.add(reference["name"])
    names |= {
        labels[key]
        for key in ("app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "k8s-app")
        if labels.get(key)
    }
    return names


def may_be_meant(pod: Object, world: World) -> bool:
    """Whether an account has a name by which the pod's workload may be known.

    A ReplicaSet, or the Job of a CronJob, has the name of its owner and some more.
    """
    names = namesakes(pod, None)
    maker = (controller_of(pod) or {}).get("name", "")
    return any(
        item["metadata"]["name"] in names or maker.startswith(item["metadata"]["name"] + "-")
        for item in world.list("ServiceAccount", pod["metadata"].get("namespace", ""))
        if item["metadata"]["name"] != "default"
    )


@check("SAT107", on="Pod", severity="warning", stage="access")
def unexpected_default_sa(pod: Object, world: World) -> Iterator[Finding]:
    """The pod runs as `default`, though an account seems to be meant for it.

    ### What goes wrong

    `serviceAccountName` is missing from the pod spec, misspelt, or stands at the wrong level
    (`spec.serviceAccountName` of a Deployment instead of `spec.template.spec`), where the API
    server drops it unless validation is strict. The pod then runs as `default`, and what it asks
    is refused: `User "system:serviceaccount:NAMESPACE:default" cannot …`.

    ### How to fix it

    Set `spec.template.spec.serviceAccountName` (in a Pod `spec.serviceAccountName`, in a CronJob
    `spec.jobTemplate.spec.template.spec.serviceAccountName`).
    """
    if is_mirror(pod) or finished(pod) or account_of(pod) != "default":
        return
    namespace = pod["metadata"].get("namespace", "")
    if is_live(pod) and not may_be_meant(pod, world):
        return  # which spares the reading of its owners
    owner = owner_of(pod, world)
    workload = owner.object if owner is not None and owner.object is not None else pod
    wrong = misplaced(workload, pod)
    if wrong:
        path, name = wrong
        here = at(workload, path, name, here=True)
        yield Finding(
            f"the pod runs as default: {path} is not where the account's name belongs",
            here,
            (here, at(pod, "spec.serviceAccountName", pod["spec"].get("serviceAccountName"))),
            patch_pod(
                pod, world, {"serviceAccountName": name}, f"name {name} in the pod's own spec"
            ),
            severity="error",
        )
        return
    if not api_tokens(pod, world):
        return
    names = namesakes(pod, owner)
    meant = sorted(
        item["metadata"]["name"]
        for item in world.list("ServiceAccount", namespace)
        if item["metadata"]["name"] != "default" and item["metadata"]["name"] in names
    )
    if len(meant) != 1 or any(bindings_of(world, namespace, "default")):
        return
    name = meant[0]
    here = at(pod, "spec.serviceAccountName", "default", here=True)
    yield Finding(
        f"the pod runs as default, though there is a serviceaccount {name}",
        here,
        (here, Evidence("ServiceAccount", namespace, name, "", "is there, not used by this pod")),
        patch_pod(pod, world, {"serviceAccountName": name}, f"run as {name} (pods are recreated)"),
        certainty="likely",
    )
