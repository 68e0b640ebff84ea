"""What ends a token: plans, over what can be seen of a cluster.

A token that is bound to a pod or a Secret ends when that object is deleted. One in a Secret of its
own (a legacy token) is refused while its Secret is marked invalid. One that is bound to nothing
ends only with its account (pkg/serviceaccount/claims.go and legacy.go).
"""

from collections.abc import Iterator
from typing import NamedTuple

from .checks.legacy_cleaner import is_openshift, label, listing_account, tracked_since
from .errors import NotFound, UsageError
from .fixes import kubectl, satoken
from .handles import ACCOUNT, LABELS, PURPOSE, RENEWED, handle, left
from .mounts import account_of, is_mirror
from .server import version_of
from .targets import Target, fetch
from .times import date, seconds, words
from .token import LEGACY_ISSUER, Claims, audiences, bound
from .token_secrets import (
    INVALID_SINCE_LABEL,
    LAST_USED_LABEL,
    account_named,
    is_empty,
    is_token_type,
    token_secret,
)
from .workloads import finished, owner_of
from .world import Object, Ref, Unseen, World

CACHE = 10  # seconds for which an API server remembers that a token was good (TokenSuccessCacheTTL)
LEEWAY = 60  # seconds for which it takes a token after the deletionTimestamp of what ends it
GRACE = 30  # seconds; a pod's terminationGracePeriodSeconds by default

# What becomes of a plan.
PLANNED = "planned"
ALREADY = "already"  # there is nothing left to do
IMPOSSIBLE = "impossible"

# What is done.
DELETE = "delete"
INVALIDATE = "invalidate"
RECREATE = "recreate"
RESTORE = "restore"

MARKED_SINCE = (
    1,
    29,
)  # from when on an API server heeds the mark (LegacyServiceAccountTokenCleanUp)


class Plan(NamedTuple):
    """What ends a token, or why nothing does.

    ``subject`` is what ends, in words; ``message`` how, or why not. ``action`` is done to
    ``object``, as it was looked at. ``facts`` are rows for a person. ``wanted`` are the Secrets and
    accounts whose consumers lose the token. ``within`` is after how many seconds at most it is
    refused. ``undo`` are commands that take it back, or keep what is lost; ``renew`` one that makes
    another token; ``further`` what ends it for good, or with others.
    """

    subject: str
    outcome: str
    message: str
    action: str = ""
    object: Object | None = None
    account: Ref | None = None
    facts: tuple[tuple[str, str], ...] = ()
    wanted: tuple[Ref, ...] = ()
    within: int = CACHE
    undo: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    further: tuple[str, ...] = ()


class Wish(NamedTuple):
    """How it is to be done: the grace period of a pod, and whether content may be lost."""

    grace: int | None = None
    content: bool = False


REMEMBERS = f"within {CACHE} s: so long an API server remembers that a token was good"


# --- a token that was given -----------------------------------------------------------------------


def of_token(claims: Claims, subject: str, taken: bool | None, world: World, wish: Wish) -> Plan:
    """What ends a token, by its claims. ``taken`` is the API server's verdict; None if not known.

    Raises SatokenError.
    """
    payload = claims.payload
    account = account_in(payload)
    if account is None:
        return foreign(payload, subject)
    issuer = own_issuer(world)
    if issuer and payload.get("iss") not in (LEGACY_ISSUER, issuer) and not taken:
        return foreign(payload, subject)
    over = expired(payload, world)
    if over and not taken:
        return Plan(subject, ALREADY, over, account=account)
    uid = str(bound(payload, "serviceaccount").get("uid") or "")
    try:
        found = world.get("ServiceAccount", account.namespace, account.name)
    except Unseen:
        found = {"metadata": {"uid": uid}}
    if found is None:
        why = f"serviceaccount {account.name} of namespace {account.namespace} is not there"
        return Plan(subject, ALREADY, why, account=account)
    if uid and found["metadata"].get("uid") != uid:
        why = (
            f"serviceaccount {account.name} is another than the one it was made for (uid {uid}): "
            "it was made anew since, or the token is of another cluster"
        )
        return Plan(subject, ALREADY, why, account=account)
    plan = of_bound(payload, subject, account, world, wish)
    return plan._replace(facts=(("token", about(payload, account, world)), *plan.facts))


def account_in(payload: Object) -> Ref | None:
    """The account that a token names; None for one of somebody else."""
    from .rbac import USER_PREFIX

    subject = str(payload.get("sub") or "")
    name = str(bound(payload, "serviceaccount").get("name") or "")
    namespace, _, last = subject.removeprefix(USER_PREFIX).partition(":")
    if not subject.startswith(USER_PREFIX) or not name or name != last:
        return None
    return Ref("ServiceAccount", namespace, name)


def own_issuer(world: World) -> str:
    """The issuer of this cluster's tokens; empty where it cannot be seen."""
    try:
        return str((world.text("/.well-known/openid-configuration") or {}).get("issuer") or "")
    except Unseen:
        return ""


def foreign(payload: Object, subject: str) -> Plan:
    """The plan for a token that others made."""
    issuer = str(payload.get("iss") or "")
    who = f"its issuer {issuer}" if issuer else "whoever made it"
    why = f"it is no token of this cluster's service accounts: only {who} can end it"
    return Plan(subject, IMPOSSIBLE, why)


def expired(payload: Object, world: World) -> str:
    """That a token has expired, in words; empty if not."""
    until = payload.get("exp")
    if not isinstance(until, int | float) or world.now() - until <= LEEWAY:
        return ""
    return f"it expired {words(world.now() - until)} ago"


def about(payload: Object, account: Ref, world: World) -> str:
    """Whose a token is, for whom, and for how long still."""
    until = payload.get("exp")
    ends = "never expires"
    if isinstance(until, int | float):
        span = until - world.now()
        ends = f"expires by itself in {words(span)}" if span > 0 else "has expired"
    whom = audiences(payload)
    for_whom = f", for {', '.join(whom)}" if whom else ""
    return f"of serviceaccount {account.name} in namespace {account.namespace}{for_whom}; {ends}"


def of_bound(payload: Object, subject: str, account: Ref, world: World, wish: Wish) -> Plan:
    """What ends a token, by what it is bound to."""
    if payload.get("iss") == LEGACY_ISSUER:
        name = str(bound(payload, "secret").get("name") or "")
        secret = seen(world, "Secret", account.namespace, name)
        if secret is None:
            return Plan(subject, ALREADY, f"secret/{name}, which it is from, is not there")
        return of_legacy(secret, subject, world)
    for kind in ("Pod", "Secret"):
        reference = bound(payload, kind.lower())
        if not reference:
            continue
        name, uid = str(reference.get("name") or ""), str(reference.get("uid") or "")
        metadata = {"namespace": account.namespace, "name": name, "uid": uid}
        known: Object = {"kind": kind, "apiVersion": "v1", "metadata": metadata}
        try:
            item = world.get(kind, account.namespace, name)
        except Unseen as unseen:
            # the uid in the token is enough to delete no other
            blind = (("not seen", f"{unseen.what}: {unseen.why}"),)
            if kind == "Pod":
                plan = of_pod({**known, "spec": {"nodeName": "?"}}, subject, world, wish)
            else:
                plan = of_bound_secret(known, subject, world, wish)
            return plan._replace(facts=(*plan.facts, *blind), account=account)
        if item is None or item["metadata"].get("uid") != uid:
            said = f"{kind.lower()}/{name}, which it is bound to, {gone_or_other(item)}"
            return Plan(subject, ALREADY, said, account=account)
        act = of_pod if kind == "Pod" else of_bound_secret
        return act(item, subject, world, wish)._replace(account=account)
    return unbound(payload, subject, account, world)


def gone_or_other(item: Object | None) -> str:
    """What became of the object that a token is bound to."""
    return "is not there" if item is None else "is another than the one it was bound to"


def unbound(payload: Object, subject: str, account: Ref, world: World) -> Plan:
    """What is to be said of a token that cannot be ended alone."""
    node = bound(payload, "node")
    if node:
        name = str(node.get("name") or "")
        try:
            item = world.get("Node", "", name)
        except Unseen:
            item = {"metadata": node}
        if item is None or item["metadata"].get("uid") != node.get("uid"):
            said = f"node/{name}, which it is bound to, {gone_or_other(item)}"
            return Plan(subject, ALREADY, said, account=account)
    whole = satoken(world, account.namespace, "revoke", f"sa/{account.name}")
    if node:
        why = (
            f"it is bound to node/{node.get('name')}, which is not deleted for a token: all pods "
            "of the node would be lost"
        )
    else:
        why = "it is bound to nothing"
    return Plan(
        subject,
        IMPOSSIBLE,
        f"{why}; before it expires only making serviceaccount {account.name} anew ends it, and "
        "every other token of it as well",
        account=account,
        wanted=(account,),
        further=(whole,),
    )


def leaving(item: Object, subject: str, said: str, account: Ref | None, world: World) -> Plan:
    """The plan for what ends with an object that is on its way out: it is taken for a while."""
    ends = seconds(item["metadata"]["deletionTimestamp"]) + LEEWAY
    within = max(0, int(ends - world.now())) + CACHE
    facts = (("stops", f"within {within} s, or {CACHE} s after it is gone"),)
    return Plan(subject, ALREADY, said, "", item, account, facts, within=within)


def it_is(subject: str) -> str:
    """How to go on about what ends."""
    return "they are" if subject.startswith("the tokens ") else "it is"


def seen(world: World, kind: str, namespace: str, name: str) -> Object | None:
    """An object; None if it is not there. Raises Forbidden where it cannot be looked at."""
    try:
        return fetch(Target(kind, name, "v1", f"{kind.lower()}s"), namespace, world)
    except NotFound:
        return None


# --- Secrets --------------------------------------------------------------------------------------


def of_secret(namespace: str, name: str, world: World, wish: Wish) -> Plan:
    """What ends the token of a Secret: in it, or bound to it. Raises SatokenError."""
    secret = fetch(Target("Secret", name, "v1", "secrets"), namespace, world)
    if is_token_type(secret):
        return of_legacy(secret, f"the token in secret/{name}", world)
    return of_bound_secret(secret, f"what is bound to secret/{name}", world, wish)


def of_handle(namespace: str, name: str, world: World, wish: Wish) -> Plan:
    """What ends the token of a handle. Raises SatokenError for what is none."""
    secret = fetch(Target("Secret", name, "v1", "secrets"), namespace, world)
    if not is_handle(secret):
        raise UsageError(
            f"{name} is no handle of mint --revocable",
            f"mint --list lists them; for the Secret of that name say secret/{name}",
        )
    return of_bound_secret(secret, f"the token of handle {name}", world, wish)


def is_handle(secret: Object) -> bool:
    """Whether a Secret was made by mint --revocable."""
    labels = secret["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in LABELS.items())


def of_bound_secret(secret: Object, subject: str, world: World, wish: Wish) -> Plan:
    """The plan that deletes a Secret to which tokens are bound."""
    metadata = secret["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    ref = Ref("Secret", namespace, name)
    if metadata.get("deletionTimestamp"):
        return leaving(secret, subject, f"secret/{name} is being deleted", None, world)
    facts: list[tuple[str, str]] = []
    renew: tuple[str, ...] = ()
    account = None
    if is_handle(secret):
        one = handle(secret)
        account = Ref("ServiceAccount", namespace, one.account)
        made_for = f", for {one.purpose}" if one.purpose else ""
        ends = "renewed while the handle is there"
        if one.expires != RENEWED:
            ends = f"expires {left(one.expires, world.now())}"
        owner = one.owner or "somebody"
        facts.append(
            ("handle", f"made by {owner} for serviceaccount {one.account}{made_for}; {ends}")
        )
        facts.append(("breaks", f"whoever has the token, or the kubeconfig, that {owner} made"))
        if one.account:
            how = ("--renew", "--revocable") if one.expires == RENEWED else ("--revocable",)
            renew = (satoken(world, namespace, "mint", one.account, *how),)
    elif "type" not in secret or not is_empty(secret):
        holds = holding(secret)
        if not wish.content:
            return Plan(
                subject,
                IMPOSSIBLE,
                f"only deleting secret/{name} ends it, and that {holds}: say --delete-content if "
                "that is meant",
                facts=(("note", copied(namespace, name, world)),),
                wanted=(ref,),
            )
        facts.append(("loses", f"secret/{name} {holds}"))
        tells = satoken(world, namespace, "inspect", f"secret/{name}")
        facts.append(("stays", f"a token that was only copied into it; before, {tells} tells"))
    else:
        facts.append(("note", "which tokens are bound to a Secret is written nowhere"))
    return Plan(
        subject,
        PLANNED,
        f"by deleting secret/{name}, which {it_is(subject)} bound to",
        DELETE,
        secret,
        account,
        (*facts, ("stops", REMEMBERS)),
        (ref,),
        renew=renew,
    )


def holding(secret: Object) -> str:
    """What would be lost with a Secret, in words."""
    if "type" not in secret:  # all that is known of it stands in the token
        return "may hold more than a token, and cannot be looked at"
    count = int(secret.get("dataCount") or len(secret.get("data") or ()))
    return f"holds {count} value{'s' * (count != 1)}, lost with it"


def copied(namespace: str, name: str, world: World) -> str:
    """How to end a token that was copied into a Secret."""
    read = kubectl(world, namespace, "get", "secret", name, "-o", "jsonpath={.data.token}")
    ends = satoken(world, "", "revoke", "-")
    return f"if a token is copied into it, that is ended by {read} | base64 -d | {ends}"


def of_legacy(secret: Object, subject: str, world: World) -> Plan:
    """The plan that marks the token of a Secret invalid."""
    metadata = secret["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    own = account_named(secret)
    account = Ref("ServiceAccount", namespace, own)
    undo = kubectl(world, namespace, "label", "secret", name, f"{INVALID_SINCE_LABEL}-")
    gone = kubectl(world, namespace, "delete", "secret", name)
    refs = (Ref("Secret", namespace, name),)
    since = label(secret, INVALID_SINCE_LABEL)
    facts = [("secret", f"{origin(secret, world)}, token of serviceaccount {own}")]
    facts.append(used_fact(label(secret, LAST_USED_LABEL), world))
    base = Plan(subject, ALREADY, "", account=account, facts=tuple(facts))
    if metadata.get("deletionTimestamp"):
        going = leaving(secret, subject, f"secret/{name} is being deleted", account, world)
        return going._replace(facts=(*facts, *going.facts))
    if since:
        said = f"secret/{name} is marked invalid since {since}"
        return base._replace(message=said, undo=(undo,), further=(gone,), wanted=refs)
    if is_empty(secret):
        return base._replace(message=f"secret/{name} is empty: there is no token in it")
    version = version_of(world)
    if version is not None and version < MARKED_SINCE:
        major, minor = version
        said = (
            f"this API server ({major}.{minor}) does not heed the mark, as those from 1.29 on do; "
            f"only deleting secret/{name} ends it"
        )
        return base._replace(outcome=IMPOSSIBLE, message=said, wanted=refs, further=(gone,))
    facts.append(("stops", REMEMBERS))
    if version is None:
        facts.append(("note", "its version could not be seen; before 1.29 the mark has no effect"))
    return Plan(
        subject,
        PLANNED,
        f"by marking secret/{name} invalid, which can be taken back",
        INVALIDATE,
        secret,
        account,
        (*facts, ("later", afterwards(secret, world))),
        refs,
        undo=(undo,),
        further=(gone,),
    )


def origin(secret: Object, world: World) -> str:
    """How a token Secret came to be, as the API server judges it."""
    if is_openshift(secret):
        return "made by OpenShift for its internal registry, which it may make anew"
    try:
        listed = listing_account(secret, world)
    except Unseen:
        return "made by hand or generated (the account cannot be seen)"
    return "generated (its account lists it)" if listed else "made by hand"


def afterwards(secret: Object, world: World) -> str:
    """What becomes of a Secret that is marked."""
    try:
        listed = listing_account(secret, world)
    except Unseen:
        listed = None
    if listed:
        return (
            "kube-controller-manager deletes it a year after the mark (by default), if no pod "
            "refers to it and nobody tries to use it"
        )
    return "the Secret stays, and its token refused, until somebody deletes it"


def used_fact(used: str, world: World) -> tuple[str, str]:
    """When a token was last used, by its label, as a row for a person."""
    return "used", f"last on {used} (UTC)" if used else f"never{recorded(world)}"


def without_own_use(plan: Plan, used: str, world: World) -> Plan:
    """A plan as if the API server had not been asked about the token, which it notes as a use:
    ``used`` is the label as it was before."""
    facts = tuple(used_fact(used, world) if fact[0] == "used" else fact for fact in plan.facts)
    item = plan.object
    if item is not None and item["kind"] == "Secret":
        metadata = item["metadata"]
        labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != LAST_USED_LABEL}
        labels |= {LAST_USED_LABEL: used} if used else {}
        item = {**item, "metadata": {**metadata, "labels": labels}}
    return plan._replace(facts=facts, object=item)


def recorded(world: World) -> str:
    """Since when the use of legacy tokens is written down."""
    try:
        since = tracked_since(world)
    except Unseen:
        return ", as far as is written down"
    return f" since {date(since)}, when writing that down began" if since else ", as far as known"


# --- pods -----------------------------------------------------------------------------------------


def of_pod(pod: Object, subject: str, world: World, wish: Wish) -> Plan:
    """The plan that deletes a pod. Its tokens are bound to it."""
    metadata = pod["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    if is_mirror(pod):
        said = f"pod/{name} mirrors a static pod of a node, which has no token"
        return Plan(subject, ALREADY, said)
    blind = "containers" not in pod["spec"]
    account = None if blind else Ref("ServiceAccount", namespace, account_of(pod))
    grace = grace_of(pod, wish)
    until = metadata.get("deletionTimestamp")
    if until:
        said = f"pod/{name} is being deleted, and its tokens end with it"
        return leaving(pod, subject, said, account, world)
    facts: list[tuple[str, str]] = []
    undo: tuple[str, ...] = ()
    if not blind:
        facts += pod_facts(pod, world)
        if not metadata.get("ownerReferences"):
            keep = kubectl(world, namespace, "get", "pod", name, "-o", "yaml")
            undo = (f"{keep} > {name}.yaml",)
    stops = REMEMBERS
    if grace:
        stops = (
            f"when the pod is gone, for which it has {grace} s, at the latest {LEEWAY} s after "
            f"that; an API server remembers it {CACHE} s longer"
        )
    facts.append(("stops", stops))
    return Plan(
        subject,
        PLANNED,
        f"by deleting pod/{name}, which {it_is(subject)} bound to",
        DELETE,
        pod,
        account,
        tuple(facts),
        within=(grace + LEEWAY if grace else 0) + CACHE,
        undo=undo,
    )


def grace_of(pod: Object, wish: Wish) -> int:
    """The seconds that a pod gets to end: none where nothing of it runs."""
    spec = pod["spec"]
    if not spec.get("nodeName") or finished(pod):
        return 0
    if wish.grace is not None:
        return wish.grace
    own = spec.get("terminationGracePeriodSeconds")
    return GRACE if own is None else int(own)


def pod_facts(pod: Object, world: World) -> Iterator[tuple[str, str]]:
    """What deleting a pod comes to."""
    from .consumers import secret_uses

    metadata = pod["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    owner = owner_of(pod, world)
    reference = next(iter(metadata.get("ownerReferences") or ()), None)
    if owner is not None:
        made = f"{owner.resource}/{owner.name}"
        yield "breaks", f"pod/{name}; {made} makes another, with a token of its own"
    elif reference is not None:
        made = f"{reference['kind'].lower()}/{reference['name']}"
        yield "breaks", f"pod/{name}, which {made} may make again"
    else:
        yield "breaks", f"pod/{name}, which nothing makes again: it is lost"
    for secret in dict.fromkeys(use.name for use in secret_uses(pod["spec"])):
        try:
            item = world.get("Secret", namespace, secret)
        except Unseen:
            continue
        if item is not None and is_token_type(item):
            command = satoken(world, namespace, "revoke", f"secret/{secret}")
            yield "stays", f"the token in secret/{secret}, which it uses too: {command}"


def of_pod_named(namespace: str, name: str, world: World, wish: Wish) -> Plan:
    """What ends the tokens of a pod. Raises SatokenError."""
    pod = fetch(Target("Pod", name, "v1", "pods"), namespace, world)
    return of_pod(pod, f"the tokens of pod/{name}", world, wish)


# --- accounts -------------------------------------------------------------------------------------


def of_account(namespace: str, name: str, world: World) -> Plan:
    """The plan that makes an account anew, which ends all its tokens. Raises SatokenError."""
    account = fetch(Target("ServiceAccount", name, "v1", "serviceaccounts"), namespace, world)
    ref = Ref("ServiceAccount", namespace, name)
    subject = f"all tokens of serviceaccount {name}"
    metadata = account["metadata"]
    if metadata.get("deletionTimestamp"):
        return leaving(account, subject, "it is being deleted", ref, world)
    if metadata.get("finalizers"):
        held = ", ".join(metadata["finalizers"])
        return Plan(
            subject,
            IMPOSSIBLE,
            f"only making it anew ends them, and its finalizers ({held}) hold it back when it is "
            "deleted: between the two no pod of it would have a token",
            account=ref,
            wanted=(ref,),
        )
    facts: list[tuple[str, str]] = []
    wanted = [ref]
    renew: list[str] = []
    try:
        for secret in world.list("Secret", namespace):
            own = secret["metadata"]
            if is_token_type(secret) and account_named(secret) == name:
                wanted.append(Ref("Secret", namespace, own["name"]))
                facts.append(("loses", f"secret/{own['name']}, which is deleted with the account"))
                renew += made_again(secret, account, world)
            elif is_handle(secret) and (own.get("annotations") or {}).get(ACCOUNT) == name:
                purpose = (own.get("annotations") or {}).get(PURPOSE)
                why = f" ({purpose})" if purpose else ""
                facts.append(("handle", f"{own['name']}{why} is of no use then"))
    except Unseen as unseen:
        facts.append(("not seen", f"its token Secrets and handles: {unseen.why}"))
    kept = "labels, annotations, automountServiceAccountToken, imagePullSecrets; bindings of RBAC "
    facts += [
        ("keeps", f"{kept}go by its name and stay"),
        (
            "then",
            "its running pods have tokens of the old account and get 401 Unauthorized, until they "
            "are made anew, or the kubelet renews the token (48 minutes at most as a rule)",
        ),
        ("stops", REMEMBERS),
    ]
    if namespace == "kube-system":
        facts.append(("note", "accounts of kube-system are those of controllers, which may stop"))
    if metadata.get("ownerReferences"):
        maker = metadata["ownerReferences"][0]
        facts.append(("note", f"it belongs to {maker['kind'].lower()}/{maker['name']}"))
    return Plan(
        subject,
        PLANNED,
        "by deleting the account and making it again",
        RECREATE,
        account,
        ref,
        tuple(facts),
        tuple(wanted),
        renew=tuple(renew),
    )


def made_again(secret: Object, account: Object, world: World) -> Iterator[str]:
    """The command that makes a token Secret again, with a new token, if it was made by hand."""
    from .fixes import and_manifest

    name = secret["metadata"]["name"]
    listed = any(reference.get("name") == name for reference in account.get("secrets") or [])
    if not listed and not is_openshift(secret):
        metadata = account["metadata"]
        manifest = token_secret(metadata["namespace"], name, metadata["name"], secret)
        yield from and_manifest(world, manifest, "").commands


def manifest_of(account: Object, world: World) -> Object:
    """The account as it is to be made again: without the Secrets that go with the old one.

    Raises Unseen where it cannot be told which these are.
    """
    from .writes import again

    manifest = again(account)
    namespace = account["metadata"]["namespace"]
    for field in ("secrets", "imagePullSecrets"):
        kept = []
        for reference in account.get(field) or []:
            secret = world.get("Secret", namespace, str(reference.get("name") or ""))
            if secret is None or not (is_token_type(secret) or is_openshift(secret)):
                kept.append(reference)
        manifest.pop(field, None)
        if kept:
            manifest[field] = kept
    return manifest


def interrupted(manifest: Object, file: str) -> Plan:
    """The plan that makes an account that an earlier run has deleted and not made again."""
    metadata = manifest["metadata"]
    name = metadata["name"]
    return Plan(
        f"all tokens of serviceaccount {name}",
        PLANNED,
        f"an earlier run, cut short, has deleted the account: it is made again from {file}",
        RESTORE,
        manifest,
        Ref("ServiceAccount", metadata["namespace"], name),
    )
