"""Whether a token is taken, and if not, why: the API server's verdict, and what is seen beside it.

The API server's own verdict counts, where there is one. Its reason is compared with what the claims
and the cluster show, so that it can be told also where the API server keeps it to itself.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import jwks
from .checks import Fix, Skipped
from .errors import ApiError, Forbidden, one_line
from .rbac import USER_PREFIX, rights
from .server import api_audiences
from .times import date, lifetime, moment, words
from .token import audiences
from .token_faults import UNCLEAR, Fault, faults_of, for_api, warn_after
from .token_remedies import ending, fix_of
from .token_ties import (
    CONFIGURATION,
    Look,
    Tie,
    Who,
    bindings,
    identify,
    issuer_of,
    last_used,
    look_at,
    text,
)
from .world import Object, Sealed, Unseen, Want

if TYPE_CHECKING:
    from .token_source import Given
    from .world import World

# seconds for which the API server remembers that it took a token
CACHED = 10
DAY = 86400

# What is asked of the API server: a review for these audiences, its own if there are none.
Ask = Callable[[Sequence[str]], Object]


class Server(NamedTuple):
    """What can be had of the API server: its verdict, and (of a Secret's namespace and name, None
    where that may not be read) the token that it has stored. ``verify``: whatever that writes.
    """

    ask: Ask
    stored: Callable[[str, str], Sealed | None]
    verify: bool = False


class Health(NamedTuple):
    """What is known of a token.

    ``verdict`` is taken, refused, healthy (not for the API server, but taken for its audience) or
    unknown. ``answer`` is the API server's verdict, or that which it must come to (see `spare`),
    ``own`` that for the token's own audiences. ``reason`` says why it is refused, ``faults`` all
    that speaks against it. ``issuer`` is that of the cluster. ``unknown`` says why there is no
    verdict.
    """

    who: Who
    wanted: tuple[str, ...]
    verdict: str
    answer: Object | None
    own: Object | None
    issuer: str
    look: Look
    faults: tuple[Fault, ...]
    reason: Fault | None
    fix: Fix | None
    may: tuple[str, ...]
    may_unseen: str
    revoke: Fix
    unknown: str
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def examine(
    given: "Given",
    world: "World | None",
    server: Server | None,
    now: float,
    wanted: tuple[str, ...] = (),
    why_offline: str = "",
) -> Health:
    """Everything that can be told of a token.

    Without a ``world`` only what it says of itself; ``why_offline`` says why. Without a ``server``
    the verdict is what came with the token, if anything. ``wanted`` are the audiences that it must
    be for; those of the API server if empty. Raises what says that no read works (Unreachable,
    Unauthorized).
    """
    skipped: list[Skipped] = []
    payload = given.claims.payload
    who = identify(given)
    if world is not None:
        world.prepare(wants(payload, who))
    issuer = issuer_of(world, skipped) if world else ""
    known = audiences_of(world, issuer, payload, wanted) if world else None
    local = who.kind == "legacy" or (
        issuer == text(payload.get("iss")) if issuer else who.kind == "bound"
    )
    look = look_at(given, world, who, local, why_offline, skipped)
    faults = tuple(faults_of(payload, who, wanted, known, issuer, look, now))
    unknown = ""
    answer = spare(given, who, look, faults, server, wanted, now) if server else None
    if answer is None:
        answer, unknown = answered(given, server, wanted, why_offline)
    taken = bool(answer and answer["authenticated"])
    if taken and who.kind == "bound" and not local:  # of an issuer that is not the first
        look = look_at(given, world, who, True, why_offline, skipped)
        faults = tuple(faults_of(payload, who, wanted, known, issuer, look, now))
    reason = reason_of(answer, faults, look.key) if not taken else None
    own = None
    if answer and not taken and is_elsewhere(who, payload, wanted, known, reason):
        own, why = asked(server, audiences(payload))
        if own is None:
            unknown = why
        elif not own["authenticated"]:
            reason = reason_of(own, faults, look.key)
    verdict = verdict_of(who, answer, own, faults, reason, payload, wanted, known)
    if verdict in ("taken", "healthy"):
        reason = None
    may, may_unseen = may_of(world, who, look.account, skipped)
    return Health(
        who,
        wanted,
        verdict,
        answer,
        own,
        issuer,
        look,
        faults,
        reason,
        fix_of(reason, who, look, world, verdict, wanted) if world else None,
        may,
        may_unseen,
        ending(who, look, faults, reason, world, payload),
        unknown,
        (
            *given.notes,
            *notes_of(verdict, faults, payload, now),
            *(used_notes(look, answer, now) if who.kind == "legacy" else ()),
        ),
        tuple(dict.fromkeys(skipped)),
    )


def wants(payload: Object, who: Who) -> Iterator[Want]:
    """What is read in any case, so that it can be fetched at once."""
    yield Want("", "", CONFIGURATION)
    if who.kind in ("bound", "legacy") and who.namespace and who.account:
        yield Want("", "", jwks.PATH)
        yield Want("ServiceAccount", who.namespace, who.account)
        for kind, name, _ in bindings(payload, who):
            yield Want(kind, "" if kind == "Node" else who.namespace, name)
        yield Want("RoleBinding", who.namespace)
        yield Want("ClusterRoleBinding")


def audiences_of(
    world: "World", issuer: str, payload: Object, wanted: tuple[str, ...]
) -> set[str] | None:
    """The audiences of the API server, as far as they count; None when they are not known."""
    own = audiences(payload)
    if issuer and not wanted and (not own or issuer in own):
        return {issuer}  # the flags of the API server, where they can be seen, can only add to it
    return api_audiences(world)


def answered(
    given: "Given", server: Server | None, wanted: tuple[str, ...], why_offline: str
) -> tuple[Object | None, str]:
    """The API server's verdict, or why there is none."""
    if given.token is None:
        if wanted:
            return None, "the token stays in its pod, and a request from there has no audience"
        if given.reviews:
            return given.reviews[0], ""
        return None, given.unreached or "nothing in the container can make a request"
    if not given.sendable:
        return None, f"{given.opaque} is not for an API server, so it was not sent there"
    return asked(server, wanted) if server is not None else (None, why_offline)


def asked(server: Server | None, wanted: Sequence[str]) -> tuple[Object | None, str]:
    """A verdict, or why there is none."""
    if server is None:
        return None, "the token stays in its pod"
    try:
        return server.ask(wanted), ""
    except Forbidden:
        return None, "only a TokenReview tells, which is forbidden to you"
    except ApiError as error:
        return None, one_line(error.message)


# What the API server's words on a token can stand for, of the messages that explain knows.
REFUSALS = (
    "token-expired",
    "token-clock-skew",
    "token-wrong-audience",
    "token-sa-recreated",
    "token-bound-pod-recreated",
    "token-bound-object-gone",
    "token-node-binding-disabled",
    "token-sa-deleted",
    "legacy-secret-deleted",
    "legacy-secret-content-changed",
    "legacy-token-marked-invalid",
    "legacy-token-malformed-claims",
    "token-unknown-signing-key",
    "token-unknown-issuer",
)

COMPUTED = "what it looks at"  # in the place of who gave a verdict


def spare(
    given: "Given",
    who: Who,
    look: Look,
    faults: Sequence[Fault],
    server: Server,
    wanted: tuple[str, ...],
    now: float,
) -> Object | None:
    """The verdict that the API server must come to on a token of a Secret, without asking; or None.

    To be asked is a use of the token to it, which it writes into a label of the Secret, once a day.
    The cluster removes such tokens when they were not used for long: so the date is left alone
    where all that the API server looks at can be seen.
    """
    secret = look.secret
    if who.kind != "legacy" or server.verify or given.token is None or wanted:
        return None
    if secret is None or secret.object is None or is_recent(last_used(secret), now):
        return None
    sure = [fault.name for fault in faults if fault.certain]
    if sure and sure[0] != "legacy-token-marked-invalid":
        return None  # it is refused before that is written
    if look.account is None or look.account.state != "there" or not look.key.good:
        return None
    if server.stored(who.namespace, secret.name) != given.token:
        return None
    return {"by": COMPUTED, "authenticated": not sure, "user": "", "audiences": [], "error": ""}


def is_recent(day: str, now: float) -> bool:
    """Whether a day is today, or tomorrow by a clock that is ahead: no other is written then."""
    return day in (date(now), date(now + DAY))


def reason_of(answer: Object | None, faults: Sequence[Fault], key: jwks.Key) -> Fault | None:
    """Why it is refused: by the API server's words, or else by what is seen."""
    from .checks.rejected import reason_of as named
    from .messages import find_message

    error = str((answer or {}).get("error") or "")
    name = named(error)
    rest = re.sub(r"^\[|\]$|invalid bearer token(, )?", "", error)
    if name not in REFUSALS and rest and (answer or {}).get("by") == "TokenReview":
        return Fault(UNCLEAR, f"the API server cannot make out what it says: {one_line(rest)}")
    if name not in REFUSALS:
        sure = [fault for fault in faults if fault.certain]
        # a TokenReview that names none says that no authenticator took it for its own
        first = faults if answer and answer["by"] == "TokenReview" else sure or faults
        return first[0] if first else None
    for fault in faults:
        if fault.name == name:
            return fault._replace(certain=True)
    message = find_message(name)
    assert message is not None
    said = message.title[0].lower() + message.title[1:].rstrip(".")
    if name == "token-unknown-signing-key" and key.known:
        said = "its signature does not fit: it was changed after it was signed"
    return Fault(name, said)


def is_elsewhere(
    who: Who, payload: Object, wanted: tuple[str, ...], known: set[str] | None, reason: Fault | None
) -> bool:
    """Whether a token that is refused is for somebody else than the API server."""
    own = audiences(payload)
    if wanted or who.kind != "bound" or not own or not all(own):
        return False
    if reason is not None:
        return reason.name == "token-wrong-audience"
    return not for_api(payload, known)


def verdict_of(
    who: Who,
    answer: Object | None,
    own: Object | None,
    faults: Sequence[Fault],
    reason: Fault | None,
    payload: Object,
    wanted: tuple[str, ...],
    known: set[str] | None,
) -> str:
    """What it comes to."""
    if answer and answer["authenticated"]:
        return "taken"
    if own is not None and own["authenticated"]:
        return "healthy"
    if answer is not None:
        others = [fault for fault in faults if fault.name != "token-wrong-audience"]
        if own is None and is_elsewhere(who, payload, wanted, known, reason) and not others:
            return "unknown"  # refused as it should be
        return "refused"
    return "refused" if any(fault.certain for fault in faults) else "unknown"


def may_of(
    world: "World | None", who: Who, account: Tie | None, skipped: list[Skipped]
) -> tuple[tuple[str, ...], str]:
    """What its account may do, and what of that is not seen."""
    if world is None or account is None or account.state in ("gone", "other"):
        return (), ""
    may: list[str] = []
    try:
        for phrase in rights(world, who.namespace, who.account):
            may.append(phrase)
    except Unseen as unseen:
        skipped.append(Skipped("", "inspect", unseen.what, unseen.why))
        return tuple(may), unseen.what
    may.sort(key=lambda phrase: " everywhere " not in phrase)  # the widest first
    return tuple(may), ""


def notes_of(verdict: str, faults: Sequence[Fault], payload: Object, now: float) -> Iterator[str]:
    """What should be said besides."""
    if verdict in ("taken", "healthy"):
        for fault in faults:
            if fault.certain and fault.name != "token-wrong-audience":
                yield f"{fault.text}: the API server refuses it within {CACHED} seconds or so"
                break
    warn = warn_after(payload)
    if verdict == "taken" and warn is not None and now > warn:
        yield (
            f"it should have been renewed {words(now - warn)} ago: whoever uses it does not read "
            "its file again (client-caches-token)"
        )
    expiry, issued = moment(payload.get("exp")), moment(payload.get("iat"))
    if verdict == "taken" and expiry and issued and expiry - issued > 2 * 365 * 86400:
        yield f"it lives {lifetime(expiry - issued)}, which is very long"


def used_notes(look: Look, answer: Object | None, now: float) -> Iterator[str]:
    """When the token of a Secret was last used, and whether asking was a use."""
    secret = look.secret
    if secret is None or secret.object is None:
        if answer is not None and answer["authenticated"]:
            yield "to ask the API server was a use of it: its Secret has today's date as last-used"
        return
    used = last_used(secret)
    yield f"last used on {one_line(used)}" if used else "never used since that is written down"
    asked_now = answer is not None and answer["by"] != COMPUTED and answer["authenticated"]
    if asked_now and not is_recent(used, now):
        yield f"to ask the API server was a use of it: {secret} has today's date as last-used now"


def user_of(health: Health) -> str:
    """The user name that the API server gives the token, or that it will be."""
    said = str((health.own or health.answer or {}).get("user") or "")
    if said:
        return said
    if health.who.account:
        return f"{USER_PREFIX}{health.who.namespace}:{health.who.account}"
    return ""
