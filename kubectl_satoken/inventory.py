"""The legacy tokens of a cluster, and all that uses them: each kind of object is listed once.

Secrets are read without their values. Objects are looked at one by one and let go; what is kept is
a few lines for each token and for each workload that uses one, so that memory does not grow with
the pods of a cluster.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .changes import Change, as_json, changed, merge_patch
from .checks.legacy_cleaner import DAY, PERIOD, is_openshift, label
from .consumers import (
    FINISHED,
    LISTED,
    NAMED,
    PULL,
    WITH_TEMPLATE,
    Consumer,
    Reader,
    Search,
    is_built_in,
    name_in,
    state_of,
    together,
    uses_of,
)
from .convert import Obstacle, TokenSecret, projection_for, projections_for
from .fixes import JOB_GENERATED, dumps, kubectl, pipe, quote
from .keepers import Keeper, is_applied, keeper_of, robot_of
from .managed_fields import entries
from .mounts import account_of
from .times import day, seconds
from .token_secrets import INVALID_SINCE_LABEL, LAST_USED_LABEL, UID_ANNOTATION, account_named
from .workloads import controller_of, template_path
from .world import KINDS, Kind, Object, Ref, Unseen, World

# The moment when a Secret was marked invalid, beside the label, which knows only the day. It is
# written and taken back with the label, by the same step.
MARKED_ANNOTATION = "satoken/invalid-since"

# What was changed in a workload or an account, for an undo that has no journal: the changes of each
# step (without this one), as JSON. It is written and taken back with them, in the same patch.
MIGRATED_ANNOTATION = "satoken/migrated"

# What a Secret's account is.
THERE, MISSING, ANOTHER, UNKNOWN = "there", "not there", "another", "not seen"

# How many keys the token controller puts into a Secret.
USUAL_KEYS = 3


class Token(NamedTuple):
    """A token Secret, without its values.

    ``account_state`` is one of the above. ``listed`` are the accounts that name it, which makes it
    count as auto-generated where its own does. ``used`` and ``invalid`` are the labels as they are,
    ``marked`` the annotation of ours. ``untouchable`` tells why nothing is done to it, and
    ``keeper`` who would make it anew.
    """

    ref: Ref
    uid: str
    resource_version: str
    created: str
    account: str
    keys: int
    used: str = ""
    invalid: str = ""
    marked: str = ""
    leaving: bool = False
    account_uid: str = ""
    account_state: str = UNKNOWN
    listed: tuple[str, ...] = ()
    untouchable: str = ""
    keeper: Keeper | None = None

    @property
    def generated(self) -> bool:
        """Whether the API server takes it for auto-generated: its account names it."""
        return self.account_state == THERE and self.account in self.listed

    @property
    def secret(self) -> TokenSecret:
        """What a conversion must know of it."""
        return TokenSecret(self.ref.name, self.account, self.keys > USUAL_KEYS)


class Account(NamedTuple):
    """A service account that has, or names, a token Secret.

    ``names`` are the entries of its ``secrets`` and ``imagePullSecrets`` that name one: the field,
    the entry as it is, its place.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    automount: bool | None
    names: tuple[tuple[str, Object, int], ...]
    keeper: Keeper | None
    remembered: str


class Workload(NamedTuple):
    """What makes pods, or is one, and uses token Secrets in its template.

    ``changes`` replace those of them that are ``converted`` (paths below the object), with a reason
    for each; ``obstacles`` are why the others stay. ``fixed`` tells why it cannot be changed, and
    ``commands`` replace it all the same, by hand. ``applied``: a person keeps its manifest in a
    file. ``by_hand`` are the commands without which its pods stay as they are.
    """

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str
    secrets: tuple[Ref, ...]
    converted: tuple[Ref, ...]
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]
    keeper: Keeper | None
    applied: bool = False
    state: str = ""
    fixed: str = ""
    commands: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()


class Blind(NamedTuple):
    """What could not be looked at: a type in words, why, and whether Kubernetes' own pods or
    workloads are among it; or whether, ``aside``, it could only name a Secret, for a controller
    whose attempts to use the token would be seen."""

    what: str
    why: str
    essential: bool
    aside: bool = False


class Inventory(NamedTuple):
    """All that was found.

    ``migrated`` are the Secrets that a workload used before, as it says, and when that ended at the
    latest (seconds since the epoch). ``copies`` are the places
    with a copy of a Secret's token, in words; empty where nobody has looked for them.
    """

    tokens: dict[Ref, Token]
    accounts: dict[Ref, Account]
    consumers: dict[Ref, list[Consumer]]
    workloads: list[Workload]
    migrated: dict[Ref, float]
    blind: tuple[Blind, ...]
    copies: dict[Ref, tuple[str, ...]] = {}


# --- the Secrets ----------------------------------------------------------------------------------


def token_of(secret: Object) -> Token:
    """What is known of a token Secret by itself."""
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    untouchable = ""
    if is_openshift(secret):
        untouchable = "it belongs to OpenShift's internal registry, which makes and renews it"
    return Token(
        Ref("Secret", metadata.get("namespace", ""), metadata["name"]),
        str(metadata.get("uid") or ""),
        str(metadata.get("resourceVersion") or ""),
        str(metadata.get("creationTimestamp") or ""),
        account_named(secret),
        int(secret.get("dataCount") or 0),
        label(secret, LAST_USED_LABEL),
        label(secret, INVALID_SINCE_LABEL),
        str(annotations.get(MARKED_ANNOTATION) or ""),
        bool(metadata.get("deletionTimestamp")),
        str(annotations.get(UID_ANNOTATION) or ""),
        untouchable=untouchable,
        keeper=keeper_of(secret),
    )


def is_referred_to(consumers: Iterable[Consumer]) -> bool:
    """Whether a pod in any phase refers to a Secret, which keeps the cleaner from it."""
    return any(consumer.pods or consumer.ended for consumer in consumers)


def cleaner_will(
    token: Token, consumers: Iterable[Consumer], since: float | None, now: float
) -> tuple[str, float]:
    """What the cleaner of kube-controller-manager will do to a Secret, in words, and when: seconds
    since the epoch, 0 for never. With the default period (a year).

    ``since`` is the day from which on uses are noted, None where that is not known.
    """
    if token.leaving:
        return "it is being deleted", 0.0
    if not token.generated:
        return "leaves it: made by hand", 0.0
    if is_referred_to(consumers):
        return "leaves it while a pod refers to it", 0.0
    if since is None:
        return "not known: nothing tells since when uses are noted", 0.0
    used, invalid = day(token.used), day(token.invalid)
    if token.used and used is None:
        return "leaves it: the label of its last use is no date", 0.0
    # days count as a whole, so the year begins with the next one
    idle = max(
        seconds(token.created) if token.created else 0.0,
        since + DAY,
        *([used + DAY] if used is not None else []),
    )
    if invalid is not None:
        return "deletes it", max(idle, invalid + DAY) + PERIOD
    return "marks it invalid", max(idle + PERIOD, now)


# --- what uses them -------------------------------------------------------------------------------


def in_order(kinds: Iterable[Kind]) -> list[Kind]:
    """The kinds in the order in which they are read: accounts first, pods last."""
    ends = {KINDS["ServiceAccount"]: -1, KINDS["Pod"]: 1}
    return sorted(kinds, key=lambda kind: ends.get(kind, 0))


def take(secrets: Iterable[Object], kinds: Iterable[Kind], read: Reader, world: World) -> Inventory:
    """The inventory of some token Secrets.

    ``read`` yields the objects of a kind, of the namespaces that matter, and raises Unseen where it
    cannot; each kind is read once.
    """
    stock = Stock({(token := token_of(secret)).ref: token for secret in secrets}, world)
    blind = []
    aside = []
    for kind in in_order(kinds):
        try:
            for item in read(kind):
                stock.add(item, kind)
        except Unseen as unseen:
            if not kind.namespaced:
                aside.append(unseen)
                continue
            essential = kind.kind in (*WITH_TEMPLATE, "Pod", "ServiceAccount") and (
                KINDS.get(kind.kind) == kind
            )
            blind.append(Blind(unseen.what, unseen.why, essential))
    blind += [Blind(one.what, one.why, essential=False, aside=True) for one in together(aside)]
    return stock.inventory(blind)


class Stock:
    """What was found so far."""

    def __init__(self, tokens: dict[Ref, Token], world: World) -> None:
        self.tokens = tokens
        self.world = world
        self.search = Search(tokens, world)
        self.accounts: dict[Ref, Account] = {}
        self.workloads: list[Workload] = []
        self.migrated: dict[Ref, float] = {}
        self.owners = {
            Ref("ServiceAccount", token.ref.namespace, token.account) for token in tokens.values()
        }

    def inventory(self, blind: Sequence[Blind]) -> Inventory:
        """All of it."""
        seen_accounts = not any(one.what == "serviceaccounts" for one in blind)
        listed: dict[Ref, list[str]] = {}
        for account in self.accounts.values():
            for field, entry, _ in account.names:
                if field == LISTED:
                    ref = Ref("Secret", account.namespace, name_in(entry))
                    listed.setdefault(ref, []).append(account.name)
        tokens = {
            ref: token._replace(
                account_state=self.account_state(token) if seen_accounts else UNKNOWN,
                listed=tuple(listed.get(ref, ())),
            )
            for ref, token in self.tokens.items()
        }
        return Inventory(
            tokens,
            self.accounts,
            self.search.found(),
            self.workloads,
            self.migrated,
            tuple(blind),
        )

    def account_state(self, token: Token) -> str:
        """What the account of a token is."""
        account = self.accounts.get(Ref("ServiceAccount", token.ref.namespace, token.account))
        if account is None:
            return MISSING
        return ANOTHER if token.account_uid not in ("", account.uid) else THERE

    def add(self, item: Object, kind: Kind) -> None:
        """Notes what an object has to do with the tokens."""
        if kind == KINDS["ServiceAccount"]:
            self.add_account(item)
            return
        if kind == KINDS["Pod"]:
            item = self.without_pulls(item)
        self.search.take(item)
        if kind == KINDS["Pod"] or item["kind"] in ("ReplicaSet", "Job"):
            owner = controller_of(item)
            if owner is not None and owner["kind"] != "Node":
                return  # it counts under what made it
        namespace = item["metadata"].get("namespace", "")
        for secret in formerly_used(item):
            ref = Ref("Secret", namespace, secret)
            ended = noted_at(item, self.world.now())
            self.migrated[ref] = max(ended, self.migrated.get(ref, ended))
        used = {
            ref: self.tokens[ref]
            for use in uses_of(item)
            if use.kind == "Secret"
            for ref in self.search.meant(use, namespace)
        }
        if used:
            self.workloads.append(self.workload(item, kind, used))

    def without_pulls(self, pod: Object) -> Object:
        """A pod without token Secrets among its imagePullSecrets.

        They are no login to a registry, and it may have them from its account alone: nothing is
        lost with them.
        """
        namespace = pod["metadata"].get("namespace", "")
        pulls = [
            one
            for one in pod["spec"].get("imagePullSecrets") or []
            if (token := self.tokens.get(Ref("Secret", namespace, name_in(one)))) is None
            or token.secret.extra
        ]
        return {**pod, "spec": {**pod["spec"], "imagePullSecrets": pulls}}

    def add_account(self, item: Object) -> None:
        """Notes an account that has a token, or names one."""
        metadata = item["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        ref = Ref("ServiceAccount", namespace, name)
        names = tuple(
            (field, entry, index)
            for field in (LISTED, PULL)
            for index, entry in enumerate(item.get(field) or [])
            if Ref("Secret", namespace, name_in(entry)) in self.tokens
        )
        if names or ref in self.owners:
            self.accounts[ref] = Account(
                namespace,
                name,
                str(metadata.get("uid") or ""),
                str(metadata.get("resourceVersion") or ""),
                item.get("automountServiceAccountToken"),
                names,
                # who makes the account seldom cares what Kubernetes has listed in it
                robot_of(item, "f:secrets") or robot_of(item, "f:imagePullSecrets"),
                note_in(item),
            )

    def workload(self, item: Object, kind: Kind, used: dict[Ref, Token]) -> Workload:
        """What is to be done to an object that uses token Secrets."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        pod = kind == KINDS["Pod"]
        path = () if pod else template_path(item)
        names = {ref.name for ref in used}
        why = "its controller may read it" if is_built_in(item) else "a custom resource names it"
        obstacles = [
            Obstacle(use, why, f"change it at {use.path}")
            for use in uses_of(item)
            if use.how == NAMED and use.name in names
        ]
        changes: tuple[Change, ...] = ()
        reasons: tuple[str, ...] = ()
        converted: tuple[Ref, ...] = ()
        if path or pod:
            spec = item
            for field in (*path, "spec"):
                spec = spec[field]
            account = self.account_for(namespace, spec)
            whole = []
            for token in used.values():
                # one that cannot be replaced everywhere stays everywhere
                left = projection_for(spec, token.secret, account).obstacles
                obstacles += left
                if not any(one.use.name == token.ref.name for one in obstacles):
                    whole.append(token)
            converted = tuple(token.ref for token in whole)
            done = projections_for(spec, [token.secret for token in whole], account)
            changes = tuple(change.below(*path, "spec") for change in done.changes)
            reasons = done.reasons
        else:
            obstacles += [
                Obstacle(use, "a custom resource has it in a place of its own", f"see {use.path}")
                for use in uses_of(item)
                if use.how != NAMED and use.name in names
            ]
        fixed = not_changeable(item)
        commands = replacing(item, changes, self.world) if fixed and changes else ()
        if changes and not fixed:
            changes = noted_changes(note_in(item), changes)
            reasons = (*reasons, f"annotation {MIGRATED_ANNOTATION}: what --undo takes back")
        return Workload(
            kind,
            namespace,
            metadata["name"],
            str(metadata.get("uid") or ""),
            str(metadata.get("resourceVersion") or ""),
            tuple(used),
            converted,
            changes,
            reasons,
            tuple(obstacles),
            keeper_of(item, *fields_of_template(path)),
            is_applied(item),
            state_of(item),
            fixed,
            commands,
            by_hand(item, self.world),
        )

    def account_for(self, namespace: str, spec: Object) -> Object | None:
        """What a conversion must know of the account that pods run as; None where not known."""
        account = self.accounts.get(Ref("ServiceAccount", namespace, account_of({"spec": spec})))
        if account is None:
            return None
        return (
            {} if account.automount is None else {"automountServiceAccountToken": account.automount}
        )


def fields_of_template(path: Sequence[str]) -> tuple[str, ...]:
    """The place of a pod template in managedFields."""
    return tuple(f"f:{field}" for field in path)


def not_changeable(item: Object) -> str:
    """Why the pod spec of an object cannot be changed; empty where it can."""
    if not is_built_in(item):
        return ""
    if item["kind"] == "Pod":
        if any(one["kind"] == "Node" for one in item["metadata"].get("ownerReferences") or []):
            return "a static pod is a file on its node"
        return "a pod cannot be changed, and nothing would make it anew"
    if item["kind"] == "Job" and state_of(item) != FINISHED:
        return "the template of a Job cannot be changed"
    return "it has ended" if item["kind"] == "Job" else ""


def replacing(item: Object, changes: Sequence[Change], world: World) -> tuple[str, ...]:
    """The commands by which a person replaces a pod or a Job by a changed one."""
    new = changed(item, changes)
    patch = merge_patch(item, new)
    namespace, name = item["metadata"].get("namespace", ""), item["metadata"]["name"]
    kind = item["kind"].lower()
    if item["kind"] == "Pod":
        if any(one["kind"] == "Node" for one in item["metadata"].get("ownerReferences") or []):
            return ()
        patch["spec"]["nodeName"] = None
    else:
        generated: Object = dict.fromkeys(JOB_GENERATED)
        patch["metadata"] = {"labels": generated}
        patch["spec"]["selector"] = None
        patch["spec"]["template"]["metadata"] = {"labels": generated}
    return (
        pipe(
            kubectl(world, namespace, "get", kind, name, "-o", "json"),
            f"kubectl patch --local -f - --type=merge -o json -p {quote(dumps(patch))}",
            kubectl(world, namespace, "replace", "--force", "-f", "-"),
        ),
    )


def by_hand(item: Object, world: World) -> tuple[str, ...]:
    """The commands without which a workload's pods stay as they are after its template changed."""
    metadata, spec = item["metadata"], item.get("spec") or {}
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if not is_built_in(item):
        return ()
    if item["kind"] == "Deployment" and spec.get("paused"):
        return (kubectl(world, namespace, "rollout", "resume", f"deployment/{name}"),)
    never = item["kind"] in ("ReplicaSet", "ReplicationController")
    if never or (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        selector = spec.get("selector") or {}
        labels = (
            selector if item["kind"] == "ReplicationController" else selector.get("matchLabels")
        )
        words = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        return (kubectl(world, namespace, "delete", "pod", "-l", words),) if words else ()
    return ()


# --- what was done before -------------------------------------------------------------------------


def note_in(item: Object) -> str:
    """The annotation that says what was changed in an object; empty without one."""
    return str((item["metadata"].get("annotations") or {}).get(MIGRATED_ANNOTATION) or "")


def noted_at(item: Object, now: float) -> float:
    """When an object was last changed by a migration: the time of the note, or now."""
    path = ("f:metadata", "f:annotations", f"f:{MIGRATED_ANNOTATION}")
    times = [seconds(entry["time"]) for entry in entries(item, *path) if entry.get("time")]
    return max(times, default=now)


def remembered(item: Object) -> tuple[Change, ...]:
    """The changes that a workload or an account says were made in it, without the annotation that
    says so; none where it has none, or one that nobody can read."""
    return read_note(note_in(item))


def read_note(note: str) -> tuple[Change, ...]:
    """The changes in such an annotation."""
    import json

    from .changes import from_json

    try:
        return from_json(json.loads(note or "[]"))
    except ValueError:
        return ()


def noted_changes(note: str, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes, and the one that notes them in the object, which has this note already."""
    after = dumps(as_json((*read_note(note), *changes)))
    return (*changes, Change(("metadata", "annotations", MIGRATED_ANNOTATION), note or None, after))


def formerly_used(item: Object) -> set[str]:
    """The Secrets that an object used before they were replaced, as it says."""
    from .consumers import secret_uses

    found = set()
    for change in remembered(item):
        # a volume, a variable or a pull secret as it was: each alone is a piece of a pod spec
        field = next((part for part in reversed(change.path) if isinstance(part, str)), "")
        piece: Object = {field: [change.before or {}]}
        spec = {"containers": [piece]} if field == "env" else piece
        found |= {use.name for use in secret_uses(spec)} - {""}
    return found
