"""What is said of the end of a token: text for a person, an object for programs."""

from collections.abc import Iterator
from typing import NamedTuple

from .consumers import NAMED, PULL, RUNS_AS, Consumer, Found
from .fixes import kubectl
from .output import indent, name_object, paint, row, wrap
from .revoke import ALREADY, IMPOSSIBLE, PLANNED, RECREATE, Plan
from .token_secrets import LAST_USED_LABEL
from .world import KINDS, Object, Ref, World

REVOKED = "revoked"
UNVERIFIED = "unverified"  # done, and the API server could not be asked about a token
TAKEN = "taken"  # done, and the token is taken all the same

WORDS = {
    PLANNED: ("would revoke", "note"),
    ALREADY: ("already revoked", "ok"),
    IMPOSSIBLE: ("cannot revoke", "error"),
    REVOKED: ("revoked", "ok"),
    UNVERIFIED: ("revoked", "ok"),
    TAKEN: ("not revoked yet", "error"),
}

# Without -o wide.
SHOWN = 10  # consumers
UNSEEN_SHOWN = 6  # types

# What can be done about it, by what is acted on.
UNDO = {"Secret": "to undo it", "Pod": "before, to keep what it is"}

# What kubectl can restart.
RESTARTED = ("Deployment", "DaemonSet", "StatefulSet")


class Seen(NamedTuple):
    """The API server's verdict on the token: by what, whether it is taken, why not, and how many
    seconds after the deed; none where the token was only looked at. ``made``: it is about one that
    was made to see the others end (witness.py)."""

    by: str
    taken: bool
    error: str = ""
    after: float | None = None
    made: bool = False


class Result(NamedTuple):
    """What came of a plan. ``outcome`` is that of the plan or one of the above.

    ``said`` tells what was seen afterwards. ``command`` is what does it; ``notes`` what else is to
    be known. ``refused`` is why it would fail.
    """

    plan: Plan
    found: Found
    outcome: str
    said: str = ""
    seen: Seen | None = None
    notes: tuple[str, ...] = ()
    command: str = ""
    refused: str = ""
    target: Ref | None = None
    dry_run: bool = True


def write(result: Result, world: World, *, wide: bool, colour: bool) -> str:
    """The text for a person: the verdict first, then what it comes to, last what can be run."""
    plan = result.plan
    word, paint_as = WORDS[result.outcome]
    lines = wrap(f"{word}: {plan.subject}: {result.said or plan.message}", "  ")
    lines[0] = lines[0].replace(word, paint(paint_as, colour, word), 1)
    facts = plan.facts
    if result.seen is not None and not result.seen.taken:
        facts = tuple(fact for fact in facts if fact[0] != "stops")
    rows = [*facts, *consumer_rows(result, wide), *note_rows(result, wide)]
    if rows:
        lines.append("")
    lines += [f"  {line}" for head, text in rows for line in row(head, text)]
    for title, commands in closing(result, world):
        lines += ["", f"{title}:"]
        lines += [line for command in commands for line in indent(command)]
    return "".join(f"{line}\n" for line in lines)


def note_rows(result: Result, wide: bool) -> Iterator[tuple[str, str]]:
    """What else is to be known, and what could not be looked at."""
    for note in result.notes:
        yield "note", note
    if result.refused:
        yield "refused", result.refused
    unseen, aside = result.found.unseen, result.found.aside
    if wide or len(unseen) <= UNSEEN_SHOWN:
        yield from (("not seen", f"{each.what}: {each.why}") for each in (*unseen, *aside))
        return
    # pods, then others of Kubernetes itself: there may be hundreds of custom resources
    known = {kind.plural for kind in KINDS.values()}
    names = [each.what for each in unseen]
    names.sort(key=lambda what: (what != "pods", what not in known, what))
    some, more = names[:UNSEEN_SHOWN], len(names) - UNSEEN_SHOWN
    yield "not seen", f"{', '.join(some)} and {more} more types (-o wide tells why)"


def consumer_rows(result: Result, wide: bool) -> Iterator[tuple[str, str]]:
    """Who loses the token."""
    plan = result.plan
    several = len(plan.wanted) > 1
    over = 0
    merged: dict[tuple[str, str], tuple[Consumer, list[str]]] = {}
    for ref in plan.wanted:
        for one in result.found.consumers.get(ref, ()):
            if one.over:
                over += 1
                continue
            first, ways = merged.setdefault((one.api_version, one.resource), (one, []))
            own = dict.fromkeys(str(use) for use in one.uses if use.how != RUNS_AS)
            of = f" (secret/{ref.name})" if several and ref.kind == "Secret" else ""
            ways += [f"{way}{of}" for way in own]
    shown = [in_words(one, ways) for one, ways in merged.values()]
    shown.sort(key=lambda each: ("breaks", "perhaps", "listed").index(each[0]))
    limit = len(shown) if wide else SHOWN
    last = ""
    for head, text in shown[:limit]:
        yield ("" if head == last else head), text
        last = head
    if len(shown) > limit:
        yield "", f"and {len(shown) - limit} more (-o wide shows them)"
    if over:
        yield "ended", f"{over} that used it and have ended"
    yield from outside(result, any(head == "breaks" for head, _ in shown))


def in_words(one: Consumer, ways: list[str]) -> tuple[str, str]:
    """A consumer and how it uses it, under the head that tells what becomes of it."""
    if one.kind == "ServiceAccount":
        return "listed", f"{one.resource} has it in its {', '.join(ways)}"
    state = [one.state] if one.state else []
    if one.pods and one.kind != "Pod":
        state.append(f"{one.pods} pod{'s' * (one.pods != 1)}")
    if not one.uses and one.revisions:
        state.append("an older revision only")
    elif not one.uses and one.pods and one.kind != "Pod":
        state.append("its pods only, not its template")
    text = one.resource + (f" ({', '.join(state)})" if state else "")
    if ways:
        text += f": {', '.join(ways)}"
    if one.controller:
        text += f"; it belongs to {one.controller}"
    certain = not one.uses or any(use.how != NAMED for use in one.uses)
    return ("breaks" if certain else "perhaps"), text


def uses_it(result: Result) -> bool:
    """Whether anything in the cluster uses the token still."""
    return any(
        not one.over and (one.kind != "ServiceAccount" or any(use.how == PULL for use in one.uses))
        for ref in result.plan.wanted
        for one in result.found.consumers.get(ref, ())
    )


def outside(result: Result, used: bool) -> Iterator[tuple[str, str]]:
    """Whether somebody outside the cluster has a legacy token, by its label."""
    plan = result.plan
    last = last_used(plan)
    if last is None or used:
        return
    if not last:
        if not result.found.unseen:
            yield "breaks", "nothing that is known of"
        return
    where = "something outside the cluster" if not result.found.unseen else "something"
    yield (
        "breaks",
        f"{where} used the token on {last}, and nothing that was looked at does",
    )


def last_used(plan: Plan) -> str | None:
    """When a legacy token was last used; None for a plan about something else."""
    item = plan.object
    if item is None or plan.action != "invalidate":
        return None
    return str((item["metadata"].get("labels") or {}).get(LAST_USED_LABEL) or "")


def closing(result: Result, world: World) -> Iterator[tuple[str, list[str]]]:
    """The commands at the end, each list after its title."""
    plan = result.plan
    if result.command:
        yield "to do it", [result.command]
    if plan.action == RECREATE and not result.refused:
        lines = restarts(result, world)
        if lines:
            yield "then, for the pods to get new tokens", lines
    kind = plan.object["kind"] if plan.object else ""
    # what is to be kept of a pod, only while it is there
    if plan.undo and (kind != "Pod" or result.outcome == PLANNED):
        yield UNDO.get(kind, UNDO["Secret"]), [*plan.undo]
    if plan.renew:
        recreated = plan.action == RECREATE
        title = "for such a Secret with a new token" if recreated else "for another token"
        yield title, [*plan.renew]
    if plan.further:
        title = "this ends all of them" if result.outcome == IMPOSSIBLE else "to end it for good"
        yield title, [*plan.further]


def restarts(result: Result, world: World) -> list[str]:
    """The commands after which pods have tokens of the account as it is now."""
    lines = []
    for one in result.found.consumers.get(result.plan.wanted[0], ()):
        if one.pods and one.kind in RESTARTED and KINDS[one.kind].api_version == one.api_version:
            lines.append(kubectl(world, one.namespace, "rollout", "restart", one.resource))
        elif one.pods and one.kind == "Pod":
            lines.append(f"# {one.resource} has to be made anew by hand")
        elif one.pods:
            lines.append(f"# the pods of {one.resource} have to be deleted")
    return lines


# --- for programs ---------------------------------------------------------------------------------


def revocation_object(result: Result) -> Object:
    """`kind: Revocation` of satoken/v1, described in docs/revocation.schema.json."""
    plan, seen = result.plan, result.seen
    item = plan.object
    return {
        "apiVersion": "satoken/v1",
        "kind": "Revocation",
        "dryRun": result.dry_run,
        "outcome": result.outcome,
        "target": name_object(result.target) if result.target else None,
        "subject": plan.subject,
        "message": result.said or plan.message,
        "action": plan.action or None,
        "object": {
            "kind": item["kind"],
            "namespace": item["metadata"].get("namespace", ""),
            "name": item["metadata"]["name"],
            "uid": item["metadata"].get("uid") or None,
        }
        if item
        else None,
        "account": name_object(plan.account) if plan.account else None,
        "withinSeconds": plan.within if plan.outcome != IMPOSSIBLE else None,
        "consumers": [
            consumer_object(ref, one)
            for ref in plan.wanted
            for one in result.found.consumers.get(ref, ())
        ],
        "facts": [{"name": head, "text": text} for head, text in plan.facts],
        "notes": list(result.notes),
        "undo": list(plan.undo),
        "renew": list(plan.renew),
        "further": list(plan.further),
        "review": {
            "by": seen.by,
            "taken": seen.taken,
            "error": seen.error,
            "afterSeconds": None if seen.after is None else round(seen.after, 1),
            "made": seen.made,
        }
        if seen
        else None,
        "refused": result.refused or None,
        "skipped": [
            {"what": each.what, "why": each.why}
            for each in (*result.found.unseen, *result.found.aside)
        ],
    }


def consumer_object(ref: Ref, one: Consumer) -> Object:
    """A consumer for programs, with what it uses."""
    return {
        "of": name_object(ref),
        "kind": one.kind,
        "apiVersion": one.api_version,
        "namespace": one.namespace,
        "name": one.name,
        "uses": [
            {
                "how": use.how,
                "path": use.path,
                "part": use.part or None,
                "container": use.container or None,
            }
            for use in one.uses
        ],
        "pods": one.pods,
        "endedPods": one.ended,
        "revisions": one.revisions,
        "state": one.state or None,
        "controller": one.controller or None,
        "over": one.over,
    }
