"""What is said of a migration: text for a person, an object for programs, patches for git."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .apply import Event
from .audit_log import Usage
from .changes import Change, Key, text
from .consumers import RUNS_AS, Consumer
from .errors import visible
from .inventory import (
    ANOTHER,
    MIGRATED_ANNOTATION,
    MISSING,
    THERE,
    Inventory,
    Token,
    cleaner_will,
)
from .output import WIDTH, indent, row, wrap
from .plan import PATCH, UNLIST, Plan, Step, Subject, abroad, is_user
from .times import date, seconds, words
from .world import KINDS, Object, Ref

SHOWN = 4  # consumers of a Secret in the table, without -o wide

# The annotation is ours, for an undo; whoever patches by other means has no use for it.
OURS = (MIGRATED_ANNOTATION,)


class Result(NamedTuple):
    """A migration as it was planned: ``stage`` is the last, ``since`` the day from which on uses
    are noted (None: not known). ``command`` does it; ``everywhere``: for all namespaces. ``usage``
    is what the audit log tells, ``events`` what became of the steps (None: nothing was done)."""

    found: Inventory
    plan: Plan
    stage: str
    grace: float
    now: float
    since: float | None = None
    command: str = ""
    everywhere: bool = False
    usage: Usage | None = None
    events: tuple[Event, ...] | None = None


# --- for a person ---------------------------------------------------------------------------------


def rows(result: Result, *, wide: bool) -> tuple[list[str], list[list[str]]]:
    """The table of the Secrets: headers and lines."""
    headers = ["SECRET", "ACCOUNT", "AGE", "MADE", "LAST USED", "USED BY"]
    if wide:
        headers[5:5] = ["INVALID SINCE", "CLEANER"]
    if result.everywhere:
        headers.insert(0, "NAMESPACE")
    lines = []
    for ref, token in sorted(result.found.tokens.items()):
        users = [one for one in result.found.consumers.get(ref, ()) if is_user(one)]
        line = [
            ref.name,
            account_words(token),
            words(result.now - seconds(token.created)) if token.created else "?",
            made(token),
            token.used or "-",
            used_by([abroad(one, ref.namespace) for one in users], wide),
        ]
        if wide:
            line[5:5] = [token.invalid or "-", cleaner_words(token, result)]
        elif token.invalid:
            line[4] += f" (invalid since {token.invalid})"
        if result.everywhere:
            line.insert(0, ref.namespace)
        lines.append(line)
    return headers, lines


def made(token: Token) -> str:
    """How a Secret came about, as far as its account tells."""
    if token.account_state != THERE:
        return "?"
    return "auto" if token.generated else "by hand"


def account_words(token: Token) -> str:
    """The account of a Secret, and what is odd about it."""
    odd = {MISSING: " (not there)", ANOTHER: " (made anew)"}
    return token.account + odd.get(token.account_state, "")


def used_by(users: Sequence[str], wide: bool) -> str:
    """Who uses a Secret, in one line."""
    names = [*users]
    if not wide and len(names) > SHOWN:
        names[SHOWN - 1 :] = [f"{len(names) - SHOWN + 1} more"]
    return ", ".join(names) or "-"


def cleaner_words(token: Token, result: Result) -> str:
    """What the cleaner will do, and when."""
    consumers = result.found.consumers.get(token.ref, ())
    does, when = cleaner_will(token, consumers, result.since, result.now)
    return f"{does} on {date(when)}" if when else does


def step_lines(step: Step, result: Result, *, wide: bool) -> list[str]:
    """A step: what, to what and why; what changes."""
    lines = indented(f"{step.action} {named(step.subject, result)}: {step.why}")
    if wide or step.action == PATCH:
        lines += [line for change in step.changes for line in diff(change)]
    return lines + hand_lines(step, "its pods do not follow by themselves, it needs")


def held_lines(result: Result) -> Iterator[str]:
    """What cannot be done for want of something else: each Secret once, and why."""
    held: dict[Ref, dict[str, None]] = {}
    for step in result.plan.steps:
        for ref in step.secrets:
            if step.blocked and step.action != UNLIST:
                held.setdefault(ref, {}).update(dict.fromkeys(step.blocked))
    for ref, reasons in sorted(held.items()):
        yield from indented(f"{ref}{namespace_of(ref, result)}")
        for reason in reasons:
            yield from indented(reason, 4)
        for step in result.plan.steps:
            if step.blocked and ref in step.secrets and step.action == PATCH:
                yield from hand_lines(step, "by hand, with new pods in the place of the old")


def hand_lines(step: Step, title: str) -> list[str]:
    """The commands that a person runs."""
    if not step.by_hand:
        return []
    return [
        *indented(f"{title}:", 4),
        *("    " + line for command in step.by_hand for line in indent(command)),
    ]


def indented(text: str, depth: int = 2) -> list[str]:
    """Text in lines of at most 80 columns, all of them further in."""
    return [" " * depth + line for line in wrap(text, "  ", WIDTH - depth)]


def named(subject: Subject, result: Result) -> str:
    """An object, with its namespace where there are several."""
    everywhere = result.everywhere and subject.namespace
    return subject.resource + (f" -n {subject.namespace}" if everywhere else "")


def diff(change: Change) -> list[str]:
    """A change as the lines that go and those that come."""
    if change.path[-1] in OURS:
        return []
    from difflib import ndiff

    before, after = dumped(change.before), dumped(change.after)
    lines = [line for line in ndiff(before, after) if not line.startswith("?")]
    return [f"      @ {text(change.path)}", *(f"      {line}" for line in lines)]


def dumped(value: Any) -> list[str]:
    """A value in lines of YAML; none for what is not there."""
    import yaml

    if value is None:
        return []
    dump = yaml.safe_dump(value, sort_keys=False, default_flow_style=False)
    return [visible(line) for line in dump.splitlines() if line != "..."]


def closing(result: Result) -> Iterator[str]:
    """What else is to be known."""
    for ref, why in result.plan.left:
        yield from row("left alone", f"{ref}{namespace_of(ref, result)}: {why}")
    for one in result.found.blind:
        yield from row("not seen", f"{one.what}: {one.why}")
    for head, who in used_lines(result):
        yield from row(head, who)


def used_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Who has used the tokens, by the audit log."""
    usage = result.usage
    if usage is None:
        return
    for ref, users in usage.users.items():
        if ref.kind == "Secret" and ref not in result.found.tokens:
            continue
        for user in users[:SHOWN]:
            said = f"{ref}{namespace_of(ref, result)} by {user.address} ({user.agent})"
            yield "used", f"{said}, last {user.last}, {user.requests} requests"
        if len(users) > SHOWN:
            yield "", f"and {len(users) - SHOWN} more"
    yield "audit log", f"from {usage.since} to {usage.until}: of another time it says nothing"
    if usage.unread:
        yield "not read", f"{usage.unread} lines of it tell of a legacy token, and are no event"


def namespace_of(ref: Ref, result: Result) -> str:
    """The namespace, where there are several."""
    return f" -n {ref.namespace}" if result.everywhere else ""


def write(result: Result, *, wide: bool) -> str:
    """The steps and what else is to be known; the table comes before it."""
    lines: list[str] = []
    steps = [step for step in result.plan.steps if not step.blocked]
    if steps:
        lines += ["", "steps:"]
        lines += [line for step in steps for line in step_lines(step, result, wide=wide)]
    held = list(held_lines(result))
    if held:
        lines += ["", "needs a person first:", *held]
    rest = [f"  {line}" for line in closing(result)]
    if rest:
        lines += ["", *rest]
    if result.command:
        lines += ["", "to do it:", *indent(result.command)]
    return "".join(f"{line}\n" for line in lines)


# --- for programs ---------------------------------------------------------------------------------


def as_object(result: Result) -> Object:
    """``kind: Migration`` of satoken/v1, described in docs/migration.schema.json."""
    found = result.found
    return {
        "apiVersion": "satoken/v1",
        "kind": "Migration",
        "stage": result.stage,
        "graceSeconds": int(result.grace),
        "secrets": [secret_object(token, result) for _, token in sorted(found.tokens.items())],
        "steps": [step_object(step) for step in result.plan.steps],
        "left": [
            {"namespace": ref.namespace, "name": ref.name, "why": why}
            for ref, why in result.plan.left
        ],
        "notSeen": [{"what": one.what, "why": one.why} for one in found.blind],
        **({} if result.usage is None else {"auditLog": usage_object(result)}),
        **({} if result.events is None else {"results": results(result.events)}),
    }


def usage_object(result: Result) -> Object:
    """What the audit log tells, for programs."""
    usage = result.usage
    assert usage is not None
    return {
        "since": usage.since,
        "until": usage.until,
        "unread": usage.unread,
        "users": [
            {
                "kind": ref.kind,
                "namespace": ref.namespace,
                "name": ref.name,
                "address": user.address,
                "agent": user.agent,
                "first": user.first,
                "last": user.last,
                "requests": user.requests,
            }
            for ref, users in usage.users.items()
            if ref.kind != "Secret" or ref in result.found.tokens
            for user in users
        ],
    }


def results(events: Iterable[Event]) -> list[Object]:
    """What became of steps, for programs."""
    return [
        {
            "action": event.step.action,
            "object": subject_object(event.step.subject),
            "state": event.state,
            "message": event.message or None,
        }
        for event in events
    ]


def undone_object(events: Iterable[Event]) -> Object:
    """What was taken back: ``kind: MigrationUndo`` of satoken/v1."""
    return {"apiVersion": "satoken/v1", "kind": "MigrationUndo", "results": results(events)}


def secret_object(token: Token, result: Result) -> Object:
    """A token Secret for programs."""
    consumers = result.found.consumers.get(token.ref, ())
    does, when = cleaner_will(token, consumers, result.since, result.now)
    return {
        "namespace": token.ref.namespace,
        "name": token.ref.name,
        "uid": token.uid,
        "account": token.account,
        "accountState": token.account_state,
        "generated": token.generated if token.account_state == THERE else None,
        "listedBy": list(token.listed),
        "created": token.created or None,
        "lastUsed": token.used or None,
        "invalidSince": token.invalid or None,
        "cleaner": {"does": does, "on": date(when) if when else None},
        "untouchable": token.untouchable or None,
        "keptBy": token.keeper.who if token.keeper else None,
        "usedBy": [consumer_object(one) for one in consumers],
        "copies": list(result.found.copies.get(token.ref, ())),
    }


def consumer_object(one: Consumer) -> Object:
    """Who uses a Secret, for programs."""
    return {
        "kind": one.kind,
        "apiVersion": one.api_version,
        "name": one.name,
        "pods": one.pods,
        "state": one.state or None,
        "uses": [
            {"how": use.how, "path": use.path, "container": use.container or None}
            for use in one.uses
            if use.how != RUNS_AS
        ],
        "current": is_user(one),
    }


def subject_object(subject: Subject) -> Object:
    """An object for programs."""
    return {
        "kind": subject.kind.kind,
        "apiVersion": subject.kind.api_version,
        "namespace": subject.namespace,
        "name": subject.name,
        "uid": subject.uid,
        "resourceVersion": subject.resource_version,
    }


def step_object(step: Step) -> Object:
    """A step for programs."""
    subject = step.subject
    return {
        "action": step.action,
        "object": subject_object(subject),
        "secrets": [ref.name for ref in step.secrets],
        "why": step.why,
        "changes": [
            {"path": text(change.path), "before": change.before, "after": change.after}
            for change in step.changes
        ],
        "until": date(step.until) if step.until not in (0.0, float("inf")) else None,
        "blocked": list(step.blocked),
        "byHand": list(step.by_hand),
    }


# --- patches --------------------------------------------------------------------------------------


def patches(steps: Iterable[Step]) -> Iterator[Object]:
    """The changes of each step as a strategic merge patch, with the name of its object.

    kustomize takes them, and ``kubectl patch --patch-file``. Only for Kubernetes' own types: lists
    of others cannot be merged.
    """
    for step in steps:
        changes = [change for change in step.changes if change.path[-1] not in OURS]
        subject = step.subject
        if not changes or step.blocked or step.action not in (PATCH, UNLIST):
            continue
        if KINDS.get(subject.kind.kind) != subject.kind:
            continue
        patch: Object = {
            "apiVersion": subject.kind.api_version,
            "kind": subject.kind.kind,
            "metadata": {"name": subject.name, "namespace": subject.namespace},
        }
        for change in changes:
            put(patch, change.path, change)
        yield patch


def put(patch: Object, path: Sequence[str | Key], change: Change) -> None:
    """Puts a change into a strategic merge patch."""
    field, rest = path[0], path[1:]
    assert isinstance(field, str)
    if not rest:
        patch[field] = change.after
        return
    key = rest[0]
    if isinstance(key, str):
        put(patch.setdefault(field, {}), rest, change)
        return
    entries: list[Object] = patch.setdefault(field, [])
    entry = next((one for one in entries if one.get(key.field) == key.value), None)
    if entry is None:
        entry = {key.field: key.value}
        entries.append(entry)
    if len(rest) > 1:
        put(entry, rest[1:], change)
    else:
        entry.update(entry_patch(change, key))


def entry_patch(change: Change, key: Key) -> Object:
    """What makes an entry of a list what it is after a change."""
    if change.after is None:
        return {"$patch": "delete"}
    before, after = change.before or {}, change.after
    patch: Object = {field: None for field in before if field not in after}
    for field, value in after.items():
        if field == key.field or before.get(field) == value:
            continue
        old = before.get(field)
        if isinstance(old, dict) and isinstance(value, dict) and field == "valueFrom":
            value = {**dict.fromkeys(old), **value}
        elif isinstance(old, dict) and isinstance(value, dict):
            value = {**value, "$patch": "replace"}
        patch[field] = value
    return patch
