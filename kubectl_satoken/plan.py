"""From an inventory of legacy tokens to the ordered steps that replace them.

Pure functions: what is written to a cluster, and in which order, can be printed before it is done.
A step names an object as it was looked at and what changes in it (see changes.py); each can be
taken back until the last, which deletes the Secret.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .changes import Change, Key
from .checks.legacy_cleaner import DAY, label
from .consumers import FINISHED, LISTED, PULL, Consumer, name_in
from .inventory import (
    ANOTHER,
    MARKED_ANNOTATION,
    MISSING,
    Account,
    Inventory,
    Token,
    Workload,
    noted_changes,
)
from .server import Version
from .times import date, day, seconds, timestamp
from .token_secrets import INVALID_SINCE_LABEL, LAST_USED_LABEL
from .world import KINDS, Kind, Object, Ref

# What a step does, in the order in which it is done.
PATCH = "patch"  # the template of a workload, for all Secrets at once
ROLLOUT = "rollout"  # waits until no pod that uses one of the Secrets is left
VERIFY = "verify"  # that its pods have a token that the API server takes
UNLIST = "unlist"  # takes the Secrets out of an account's secrets and imagePullSecrets
INVALIDATE = "invalidate"  # marks a Secret: the API server refuses its token; can be taken back
WAIT = "wait"  # until nobody has tried to use it for the grace period
DELETE = "delete"  # the Secret; only a new token can follow

# The stages of --stage: each does what those before it do as well.
INVENTORY, PATCHING, INVALIDATING, RETIRING = "inventory", "patch", "invalidate", "retire"
STAGES = (INVENTORY, PATCHING, INVALIDATING, RETIRING)
STAGE_OF = {
    PATCH: PATCHING,
    ROLLOUT: PATCHING,
    VERIFY: PATCHING,
    UNLIST: INVALIDATING,
    INVALIDATE: INVALIDATING,
    WAIT: RETIRING,
    DELETE: RETIRING,
}
WRITES = (PATCH, UNLIST, INVALIDATE, DELETE)

GRACE = 7 * DAY  # seconds; how long a token is watched, marked invalid, before it is deleted

# From when on an API server heeds the mark (LegacyServiceAccountTokenCleanUp).
HEEDED_SINCE = (1, 29)


def resource(kind: str, api_version: str, name: str) -> str:
    """An object as kubectl takes it."""
    return Consumer(kind, api_version, "", name).resource


class Subject(NamedTuple):
    """An object as it was when the plan was made: what a write is for, and no other."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def resource(self) -> str:
        """The object as kubectl takes it: ``deployment/web``, ``rollout.argoproj.io/web``."""
        return resource(self.kind.kind, self.kind.api_version, self.name)


class Step(NamedTuple):
    """One thing to do.

    ``subject`` is what is written to or waited for; ``secrets`` the token Secrets it is for.
    ``changes`` is what a write changes in it (empty for ROLLOUT, VERIFY, WAIT and DELETE): undo is
    ``changes.undone(step.changes)``. ``until`` is for WAIT: the moment (seconds since the epoch)
    before which the Secret is not deleted, as far as it is known now. ``why`` tells a person.
    ``blocked`` are reasons why it must not be done now: such a step is shown and never run.
    ``by_hand`` is for ROLLOUT: the commands without which the pods are not replaced (a workload
    that does not replace its pods by itself); and for a PATCH that is blocked, what does it all the
    same.
    """

    action: str
    subject: Subject
    secrets: tuple[Ref, ...]
    why: str
    changes: tuple[Change, ...] = ()
    until: float = 0.0
    blocked: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Names the step in a journal, the same in each run: action, resource, namespace, uid."""
        subject = self.subject
        return f"{self.action} {subject.resource} {subject.namespace} {subject.uid}"


class Plan(NamedTuple):
    """All steps, in order, and the state they start from.

    A step that is not ``blocked`` can be run when all before it are done or were not needed.
    ``left`` are the Secrets that nothing is done with, each with the reason.
    """

    steps: tuple[Step, ...]
    left: tuple[tuple[Ref, str], ...]


class Wish(NamedTuple):
    """How it is to be done: the grace period in seconds, the last stage, the version of the API
    server, and the day from which on it notes uses; None where that is not known. ``only`` are the
    workloads that may be changed, as kubectl takes them; empty for all."""

    grace: float = GRACE
    stage: str = RETIRING
    version: Version | None = None
    since: float | None = None
    only: frozenset[str] = frozenset()


def make(found: Inventory, wish: Wish, now: float) -> Plan:
    """The steps by which the tokens of an inventory are replaced."""
    tokens = {ref: found.tokens[ref] for ref in sorted(found.tokens)}
    left = tuple((ref, why) for ref, token in tokens.items() if (why := left_alone(token)))
    # what uses a Secret that goes away needs another token all the more
    tokens = {ref: token for ref, token in tokens.items() if not token.untouchable}
    workloads = sorted(found.workloads, key=lambda one: (one.namespace, one.kind.kind, one.name))
    steps = [step for one in workloads if is_meant(one, wish) for step in replace(one, tokens)]
    tokens = {ref: token for ref, token in tokens.items() if not token.leaving}
    using: dict[Ref, list[Workload]] = {}
    for one in workloads:
        for ref in one.secrets:
            using.setdefault(ref, []).append(one)
    remaining = {
        ref: (*in_the_way(token, using.get(ref, ()), found, wish, now), *kept_lists(ref, found))
        for ref, token in tokens.items()
    }
    for _, account in sorted(found.accounts.items()):
        steps += unlist(account, tokens, remaining)
    for ref, token in tokens.items():
        steps += retire(token, remaining[ref], found, wish, now)
    stages = STAGES[: STAGES.index(wish.stage) + 1]
    return Plan(tuple(step for step in steps if STAGE_OF[step.action] in stages), left)


def left_alone(token: Token) -> str:
    """Why nothing is done with a Secret; empty if something is."""
    return "it is being deleted" if token.leaving else token.untouchable


# --- the workloads --------------------------------------------------------------------------------


def replace(workload: Workload, tokens: dict[Ref, Token]) -> Iterator[Step]:
    """The steps that give a workload projected tokens, and see that its pods have them."""
    if workload.state == FINISHED:
        return
    subject = subject_of(workload, workload.kind)
    kept = tuple(f"{subject.resource}: {why}" for why in kept_from(workload))
    converted = () if kept else workload.converted
    secrets, others = (
        tuple(ref for ref in workload.secrets if (ref in converted) == wanted and ref in tokens)
        for wanted in (True, False)
    )
    if others:
        names = {ref.name for ref in others}
        whom = abroad(subject, others[0].namespace)
        why = tuple(f"{whom}: {one}" for one in workload.obstacles if one.use.name in names)
        yield Step(
            PATCH,
            subject,
            others,
            f"uses {', '.join(sorted(names))}",
            workload.changes if kept else (),
            blocked=kept + why,
            by_hand=workload.commands if kept else (),
        )
    if not secrets:
        return
    names_of = ", ".join(ref.name for ref in secrets)
    reason = "; ".join(workload.reasons[:-1])
    if workload.applied:
        reason += "; kubectl apply made it: change its manifest as well (-f DIR)"
    yield Step(PATCH, subject, secrets, reason, workload.changes)
    if workload.kind.kind == "PodTemplate":
        return
    reason = f"until no pod of it uses {names_of} any more"
    yield Step(ROLLOUT, subject, secrets, reason, by_hand=workload.by_hand)
    yield Step(VERIFY, subject, secrets, "that the API server takes the tokens of its pods")


def abroad(whom: Subject | Consumer, namespace: str) -> str:
    """An object as kubectl takes it, with its namespace where that is another than the Secret's."""
    elsewhere = whom.namespace not in ("", namespace)
    return f"{whom.resource} in namespace {whom.namespace}" if elsewhere else whom.resource


def is_meant(workload: Workload, wish: Wish) -> bool:
    """Whether a workload may be changed, by what was asked for."""
    return not wish.only or subject_of(workload, workload.kind).resource in wish.only


def kept_from(workload: Workload) -> Iterator[str]:
    """Why a workload must not be patched, each with what to do instead."""
    if workload.fixed:
        yield workload.fixed
    if workload.keeper is not None:
        yield f"{workload.keeper.who} keeps it: change {workload.keeper.where}"


def subject_of(item: Workload | Account | Token, kind: Kind) -> Subject:
    """What a step is for."""
    if isinstance(item, Token):
        return Subject(kind, item.ref.namespace, item.ref.name, item.uid, item.resource_version)
    return Subject(kind, item.namespace, item.name, item.uid, item.resource_version)


# --- the Secrets ----------------------------------------------------------------------------------


def in_the_way(
    token: Token, workloads: Iterable[Workload], found: Inventory, wish: Wish, now: float
) -> Iterator[str]:
    """Why a Secret must not be marked invalid, after all that can be patched was.

    ``workloads`` are those whose templates use it.
    """
    known = set()
    for workload in workloads:
        subject = subject_of(workload, workload.kind)
        known.add(subject.resource)
        whom = abroad(subject, token.ref.namespace)
        if workload.state == FINISHED:
            continue
        if not is_meant(workload, wish):
            yield f"{whom} uses it as well: it is to be migrated first"
            continue
        obstacles = (str(one) for one in workload.obstacles if one.use.name == token.ref.name)
        for why in [*kept_from(workload), *obstacles][:1]:
            yield f"{whom}: {why}"
    for consumer in found.consumers.get(token.ref, ()):
        if consumer.resource not in known and is_user(consumer):
            yield f"{consumer.resource} still has pods that use it: they must be made anew"
    for blind in found.blind:
        if blind.essential:
            yield f"{blind.what} may use it, and could not be looked at: {blind.why}"
    for copy in found.copies.get(token.ref, ()):
        yield f"{copy}: give whoever reads it another token, and take it out there"
    yield from from_outside(token, found, wish, now)


def kept_lists(ref: Ref, found: Inventory) -> Iterator[str]:
    """The accounts that name a Secret, and would name it again."""
    for name in found.tokens[ref].listed:
        account = found.accounts[Ref("ServiceAccount", ref.namespace, name)]
        if account.keeper is not None:
            who, where = account.keeper
            yield f"serviceaccount/{name} names it, and {who} keeps that: change {where}"


def is_user(consumer: Consumer) -> bool:
    """Whether something needs a Secret still: by its template, its pods, or Jobs that will have
    some. Old revisions need nothing unless somebody goes back to them."""
    return bool(
        consumer.pods
        or (consumer.uses and consumer.state != FINISHED)
        or (consumer.kind == "CronJob" and consumer.revisions)
    )


def from_outside(token: Token, found: Inventory, wish: Wish, now: float) -> Iterator[str]:
    """That somebody may use a token whom the cluster does not show."""
    consumers = found.consumers.get(token.ref, ())
    if token.invalid or any(is_user(one) for one in consumers):
        return
    outside = (
        f"it was used on {token.used}: somebody outside does; give them one that is renewed "
        f"(kubectl satoken mint {token.account} --renew)"
    )
    if token.ref in found.migrated:
        since = found.migrated[token.ref]
        # a day that began after that: an earlier use may have been the last of what was migrated
        if (day(token.used) or 0.0) > since:
            yield f"nothing in the cluster uses it since {date(since)}, yet {outside}"
        return
    if consumers:
        return  # it may have been they, until lately
    used = last_use(token.used, now)
    if used is not None and now - used < wish.grace:
        yield f"nothing in the cluster uses it, yet {outside}"
    elif used is None and token.created and now - seconds(token.created) < wish.grace:
        yield (
            "nothing in the cluster uses it, and it is so new that somebody outside may be about to"
        )
    elif used is None and wish.since is not None and now - wish.since < wish.grace:
        yield f"whether somebody outside uses it is noted only since {date(wish.since)}"


def unlist(
    account: Account, tokens: dict[Ref, Token], remaining: dict[Ref, tuple[str, ...]]
) -> Iterator[Step]:
    """The step that takes Secrets out of what an account names."""
    for ready in (True, False):
        changes = []
        secrets: list[Ref] = []
        for field, entry, place in reversed(account.names):
            ref = Ref("Secret", account.namespace, name_in(entry))
            if ref in tokens and bool(remaining[ref]) != ready:
                changes.append(Change((field, Key("name", ref.name)), entry, None, place))
                secrets.append(ref)
        if not changes:
            continue
        subject = subject_of(account, KINDS["ServiceAccount"])
        blocked = []
        if not ready:
            blocked = [f"{ref.name}: {why}" for ref in secrets for why in remaining[ref][:1]]
        why = (
            f"takes {', '.join(ref.name for ref in secrets)} out of {' and '.join(fields(changes))}"
        )
        yield Step(
            UNLIST,
            subject,
            tuple(dict.fromkeys(secrets)),
            why,
            noted_changes(account.remembered, changes),
            0.0,
            tuple(blocked),
        )


def fields(changes: Iterable[Change]) -> list[str]:
    """The lists that changes are in, each once."""
    return sorted({str(change.path[0]) for change in changes}, key=(LISTED, PULL).index)


def retire(
    token: Token, remaining: tuple[str, ...], found: Inventory, wish: Wish, now: float
) -> Iterator[Step]:
    """The steps that end a token: marked invalid, watched, deleted."""
    subject = subject_of(token, KINDS["Secret"])
    secrets = (token.ref,)
    heeded = wish.version is None or wish.version >= HEEDED_SINCE
    blocked = list(remaining)
    if not heeded:
        major, minor = wish.version or HEEDED_SINCE
        blocked.append(
            f"this API server ({major}.{minor}) does not heed the mark, 1.29 and later do"
        )
    if not token.invalid:
        why = "marks it invalid: the API server refuses the token, until the label is taken off"
        if any(is_user(one) for one in found.consumers.get(token.ref, ())):
            why += "; whether somebody outside uses it as well, only --audit-log can tell"
        if token.account_state in (MISSING, ANOTHER):
            why = (
                f"marks it invalid: its account is {token.account_state}, so it is refused already"
            )
        yield Step(INVALIDATE, subject, secrets, why, marks(token, now), 0.0, tuple(blocked))
    for blind in found.blind:
        if not blind.essential and not blind.aside:
            blocked.append(f"{blind.what} could not be looked at: {blind.why}")
    if token.keeper is not None:
        blocked.append(
            f"{token.keeper.who} keeps it and would make it anew: change {token.keeper.where}"
        )
    for name, text in ((LAST_USED_LABEL, token.used), (INVALID_SINCE_LABEL, token.invalid)):
        if text and day(text) is None:
            blocked.append(f"its label {name} is no date: {text}")
    until = 0.0
    if not blocked:
        marked = marked_on(token.invalid, token.marked, now) if token.invalid else now
        until = end_of_grace(marked or now, last_use(token.used, now), wish.grace)
    if blocked or until > now or not token.invalid:
        why = "that nobody tries to use it"
        if until > now:
            why += f" until {date(until)}"
        yield Step(WAIT, subject, secrets, why, (), until, tuple(blocked))
    yield Step(
        DELETE, subject, secrets, "deletes it; there is no way back", (), 0.0, tuple(blocked)
    )


def marks(token: Token, now: float) -> tuple[Change, ...]:
    """The changes that mark a Secret invalid."""
    moment = timestamp(now)
    return (
        Change(("metadata", "labels", INVALID_SINCE_LABEL), None, date(now)),
        Change(("metadata", "annotations", MARKED_ANNOTATION), token.marked or None, moment),
    )


# --- when a Secret may be deleted -----------------------------------------------------------------


def not_before(secret: Object, grace: float, now: float) -> float:
    """The moment before which a Secret must not be deleted, by its labels as they are now.

    That is the grace period (seconds) after it was marked invalid and after the last attempt to use
    it, both with the day as a whole where only that is known; infinity while it is not marked, or
    where a label is no date.
    """
    annotations = secret["metadata"].get("annotations") or {}
    used, invalid = label(secret, LAST_USED_LABEL), label(secret, INVALID_SINCE_LABEL)
    marked = marked_on(invalid, str(annotations.get(MARKED_ANNOTATION) or ""), now)
    if marked is None or (used and day(used) is None):
        return float("inf")
    return end_of_grace(marked, last_use(used, now), grace)


def end_of_grace(marked: float, used: float | None, grace: float) -> float:
    """The grace period after the mark and the last use."""
    return max(marked, used or 0.0) + grace


def last_use(text: str, now: float) -> float | None:
    """When a token was used last, at the latest: the end of that day, or now. None: not known."""
    begins = day(text)
    return None if begins is None else min(begins + DAY, now)


def marked_on(invalid: str, moment: str, now: float) -> float | None:
    """When a Secret was marked invalid, at the latest; None while it is not, or is not known.

    The annotation tells the moment, unless the label was set on another day since.
    """
    begins = day(invalid)
    if begins is None:
        return None
    try:
        exact = seconds(moment)
    except ValueError:
        exact = 0.0
    return exact if begins <= exact <= now and exact < begins + DAY else min(begins + DAY, now)
