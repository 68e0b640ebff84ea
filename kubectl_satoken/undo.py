"""Takes the steps of a migration back, the last first, so that no pod gets a refused token.

The token is accepted again before any template brings its Secret back. After the Secret was deleted
it is made anew: under the same name, with another token.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .apply import (
    BACK,
    BEGUN,
    METADATA,
    UNCLEAR,
    Event,
    Gone,
    Site,
    Stopped,
    await_ready,
    current,
    insist,
    label,
    read_step,
    restore,
    ticks,
    where,
)
from .changes import Change, Moved
from .cluster import path_of
from .consumers import name_in
from .errors import AlreadyExists, Forbidden, NotFound, SatokenError
from .fixes import satoken
from .inventory import MARKED_ANNOTATION, by_hand, formerly_used, remembered
from .journal import UNDONE, Journal
from .plan import DELETE, INVALIDATE, PATCH, UNLIST, Step, Subject
from .token_secrets import INVALID_SINCE_LABEL, account_named, is_empty, is_token_type
from .world import KINDS, Kind, Object, Ref

FILLED = 60.0  # seconds in which kube-controller-manager fills a token Secret
SETTLE = 15.0  # seconds in which an API server forgets what it thought of a token


class Back(NamedTuple):
    """A step that is to be taken back. ``number`` is its own in the journal, or None where only the
    cluster tells of it; ``manifest`` makes its Secret again."""

    step: Step
    manifest: Object | None = None
    number: int | None = None


def to_undo(secrets: Iterable[Ref], journal: Journal) -> list[Back]:
    """The steps in a journal that have to be taken back for some Secrets, the last first.

    A template that was changed for several Secrets at once takes the others with it: its pods would
    come back to a Secret that is refused. Raises SatokenError.
    """
    wanted = set(secrets)
    standing = [
        Back(read_step(entry), entry.step.get("manifest"), entry.number)
        for entry in journal.standing()
    ]
    while True:
        found = [back for back in standing if wanted & {*back.step.secrets}]
        more = {ref for back in found for ref in back.step.secrets} - wanted
        if not more:
            return found[::-1]
        wanted |= more


def noted(secrets: Iterable[Ref], items: Iterable[tuple[Kind, Object]]) -> list[Back]:
    """The same for where there is no journal: what the objects of the cluster say themselves.

    ``items`` are workloads, accounts, and Secrets as metadata, with their types.
    """
    wanted = set(secrets)
    found: list[Step] = []
    for kind, item in items:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        subject = Subject(
            kind, namespace, metadata["name"], metadata["uid"], metadata["resourceVersion"]
        )
        if kind == KINDS["Secret"]:
            ref = Ref("Secret", namespace, metadata["name"])
            # a mark of others, as of revoke, has no such note: it is theirs to take back
            if MARKED_ANNOTATION in (metadata.get("annotations") or {}):
                found.append(Step(INVALIDATE, subject, (ref,), "", marks_on(item)))
            continue
        changes = remembered(item)
        account = kind == KINDS["ServiceAccount"]
        names = {name_in(one.before) for one in changes} if account else formerly_used(item)
        if names:
            action = UNLIST if account else PATCH
            refs = tuple(Ref("Secret", namespace, name) for name in sorted(names))
            found.append(Step(action, subject, refs, "", changes))
    order = (INVALIDATE, UNLIST, PATCH)
    found.sort(key=lambda step: order.index(step.action))
    while True:
        chosen = [step for step in found if wanted & {*step.secrets}]
        more = {ref for step in chosen for ref in step.secrets} - wanted
        if not more:
            return [Back(step) for step in chosen]
        wanted |= more


def marks_on(secret: Object) -> tuple[Change, ...]:
    """The changes that have marked a Secret invalid."""
    metadata = secret["metadata"]
    moment = (metadata.get("annotations") or {}).get(MARKED_ANNOTATION)
    return (
        Change(
            ("metadata", "labels", INVALID_SINCE_LABEL),
            None,
            label(secret, INVALID_SINCE_LABEL) or None,
        ),
        Change(("metadata", "annotations", MARKED_ANNOTATION), None, moment),
    )


def undo(backs: Sequence[Back], at: Site) -> Iterator[Event]:
    """Takes steps back, in the order in which they are given.

    A Secret that cannot be brought back stops it, since no pod must get it then; of the others each
    is tried. Raises Stopped, for the first that failed.
    """
    failed: Stopped | None = None
    for back in backs:
        step = back.step
        yield Event(step, BEGUN)
        try:
            said = undo_one(back, backs, at)
        except Moved as error:
            stopped = Stopped(
                step,
                f"{step.subject.resource}: {error}: somebody else has changed it since, so it is "
                "left as it is",
                "put that place right by hand, then do the same again",
            )
        except Unready as error:
            stopped = Stopped(step, f"{step.subject.resource} does not get ready again: {error}")
            done(back, at)
        except SatokenError as error:
            stopped = Stopped(
                step, f"undo {step.action} of {step.subject.resource}: {error.message}", error.hint
            )
        else:
            done(back, at)
            yield Event(step, BACK, said)
            continue
        if step.action in (DELETE, INVALIDATE):
            raise stopped
        failed = failed or stopped
    if failed is not None:
        raise failed


def done(back: Back, at: Site) -> None:
    """Notes that a step was taken back."""
    if back.number is not None:
        at.journal.mark(back.number, UNDONE)


class Unready(Exception):
    """Why the pods of a template that is as it was before are not ready."""


def undo_one(back: Back, backs: Sequence[Back], at: Site) -> str:
    """Takes one step back; returns a word for a person. Raises Moved, Unready and SatokenError."""
    step = back.step
    if step.action in (DELETE, INVALIDATE):
        same, said = ensure_secret(step.subject, back.manifest, at)
        if same and step.action == DELETE:  # it never came to that
            return ""
        if same:
            restore(step, at)
        refused = await_accepted(step.subject, at)
        if not refused:
            return said
        said = f"the API server does not take its token: {refused}"
        if any({*one.step.secrets} & {*step.secrets} for one in backs if one.step.action == PATCH):
            raise SatokenError(said)
        return said
    try:
        restore(step, at)
    except (NotFound, Gone) as error:
        return f"nothing to take back: {error}"
    if step.action != PATCH:
        return ""
    todo = by_hand(current(step.subject, at), at.world())
    if todo:
        return f"its pods are replaced by hand: {'; '.join(todo)}"
    failed = await_ready(step.subject, at)
    if failed:
        raise Unready(failed)
    return ""


def ensure_secret(subject: Subject, manifest: Object | None, at: Site) -> tuple[bool, str]:
    """Makes a Secret again that is not there. Whether it is the same still, and what there is to
    say. Raises SatokenError where it cannot be made, or is not filled."""
    try:
        current(subject, at)
        return True, ""
    except (NotFound, Gone):
        pass
    said = ""

    def once() -> None:
        nonlocal said
        try:
            at.api.request("GET", where(subject), accept=METADATA)
        except NotFound:
            if not manifest:
                raise
            said = "made anew, with a new token: who has a copy of the old one needs this one"
            path = path_of(KINDS["Secret"], subject.namespace)
            at.api.request("POST", path, manifest, accept=METADATA)

    # another undo may be quicker, and an answer that was lost tells nothing
    insist(at, once, AlreadyExists, *UNCLEAR)
    await_filled(subject, account_named(manifest) if manifest else "", at)
    return False, said


def await_filled(subject: Subject, account: str, at: Site) -> None:
    """Waits until the token controller has filled a Secret, which somebody else may have made: for
    the ``account`` of the old one, if that is known. Raises SatokenError."""
    for _ in ticks(at, FILLED):
        secret = at.world().get("Secret", subject.namespace, subject.name)
        if secret is None:
            continue
        own = account_named(secret) if is_token_type(secret) else ""
        if not own or own != (account or own):
            what = f"a token of serviceaccount {own}" if own else "no token Secret"
            raise SatokenError(
                f"somebody has made another secret/{subject.name} since, which is {what}",
                "delete it, or give it another name, then do the same again",
            )
        if not is_empty(secret):
            return
    why = satoken(at.world(), subject.namespace, "doctor", f"secret/{subject.name}")
    raise SatokenError(
        f"secret/{subject.name} is not filled by kube-controller-manager", f"why: {why}"
    )


def await_accepted(subject: Subject, at: Site) -> str:
    """Waits until the API server takes the token of a Secret again; returns why it does not.

    Nothing where it may not be asked. Raises SatokenError.
    """
    from copy import copy

    from .review import review
    from .token_source import from_secret

    api = copy(at.api)
    api.namespace = subject.namespace
    error = ""
    for _ in ticks(at, SETTLE):
        try:
            given = from_secret(api, subject.name)
            verdict = review(api, given.token) if given.token else {"authenticated": True}
        except Forbidden:
            return ""
        if verdict["authenticated"]:
            return ""
        error = str(verdict["error"] or "unauthorized")
    return error
