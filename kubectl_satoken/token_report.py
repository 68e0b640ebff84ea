"""How the health of a token looks: for a person, and for programs. The token itself never shows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .checks import Fix
from .errors import one_line, redact
from .foreign import audience_system
from .output import RIGHTS_SHOWN, fix_object, indent, painted, row, wrap
from .times import lifetime, moment, timestamp, words
from .token import audiences
from .token_faults import Fault, warn_after
from .token_health import COMPUTED, Health, user_of
from .token_ties import Tie, text
from .world import Object

if TYPE_CHECKING:
    from .env import Env
    from .token_source import Given

WORDS = {"taken": "ok", "healthy": "ok", "refused": "error", "unknown": "note"}

# The claims that are shown as what they mean; further ones are for -o wide and programs.
USUAL = ("iss", "sub", "aud", "iat", "nbf", "exp", "jti", "kubernetes.io")


# --- for a person ---------------------------------------------------------------------------------


def write(given: "Given", health: Health, env: "Env", *, colour: bool, wide: bool) -> None:
    """Writes the verdict, then what it rests on, then what can be done."""
    word = WORDS[health.verdict]
    lines = painted(wrap(f"{word}: {headline(given, health, env.now())}", "  "), word, colour)
    lines.append("")
    for head, line in rows(given, health, env.now(), wide):
        lines += [f"  {each}" for each in row(head, line)]
    lines += action("ends by", health.revoke, bare=True)
    if health.fix is not None:
        lines += ["", *action("fix", health.fix)]
    if health.reason is not None and health.verdict == "refused" and health.reason.name:
        lines += ["", f"More: kubectl satoken explain {health.reason.name}"]
    env.stdout.write("".join(f"{line}\n" for line in lines))


def action(head: str, fix: Fix, *, bare: bool = False) -> list[str]:
    """Something to do, with its commands below it; ``bare`` as a row of the table."""
    if bare:
        lines = [f"  {each}" for each in row(head, fix.summary)]
    else:
        lines = wrap(f"{head}: {fix.summary}", "  ")
    for command in fix.commands:
        lines += [f"  {each}" for each in indent(command)] if bare else indent(command)
    return lines


def headline(given: "Given", health: Health, now: float) -> str:
    """The verdict in a sentence."""
    whose = subject(given, health)
    expiry = moment(given.claims.payload.get("exp"))
    until = f", for {words(expiry - now)} more" if expiry is not None and expiry > now else ""
    whom = ", ".join(one_line(one) for one in health.wanted) or "the API server"
    if health.verdict == "taken":
        return f"{whom} takes this token: {whose}{until}"
    if health.verdict == "healthy":
        names = for_whom(audiences(given.claims.payload))
        return f"this token is good, for {names} and not for the API server: {whose}{until}"
    if health.verdict == "refused":
        would = "does not take" if health.answer is not None else "would not take"
        because = ", and does not say why"
        if health.reason is not None:
            because = f": {health.reason.text}"
        elif health.answer is not None and health.answer["by"] == "TokenReview":
            because = ": none of its authenticators knows it"
        return f"{whom} {would} this token{because}"
    if health.answer is not None:
        names = for_whom(audiences(given.claims.payload))
        return (
            f"this token is for {names}, so the API server refuses it; whether it is good there is "
            f"not known: {health.unknown}"
        )
    faults = "nothing in it speaks against that" if not health.faults else health.faults[0].text
    if health.who.kind == "opaque":
        faults = f"it is {health.who.system}, which says nothing of itself"
    return f"whether {whom} takes this token is not known: {health.unknown}; {faults}"


def subject(given: "Given", health: Health) -> str:
    """Whose token it is, in words."""
    who = health.who
    if who.account:
        return f"serviceaccount {one_line(who.account)} in {one_line(who.namespace) or 'nowhere'}"
    user = one_line(user_of(health))
    if who.kind == "opaque":
        return f"{who.system}, of {user}" if user else who.system
    return f"user {user or one_line(text(given.claims.payload.get('sub'))) or 'without a name'}"


def for_whom(names: list[str]) -> str:
    """Audiences in words: the system where it is known."""
    return ", ".join(audience_system(name) or one_line(name) for name in names)


def rows(given: "Given", health: Health, now: float, wide: bool) -> Iterator[tuple[str, str]]:
    """The table of facts: head and text."""
    payload = given.claims.payload
    yield "from", given.source
    yield "who", one_line(user_of(health) or text(payload.get("sub"))) or "it does not say"
    yield "kind", kind(health)
    if health.who.kind != "opaque":
        yield "for", audience_words(health, audiences(payload))
        yield "issuer", issuer_words(health, text(payload.get("iss")))
        for index, line in enumerate(times(payload, now)):
            yield "" if index else "times", line
        yield "key", key_words(health)
    for index, line in enumerate(alive(health, now)):
        yield "" if index else "alive", line
    if health.answer is not None or health.verdict != "unknown":  # or the headline says it
        yield "answer", answer_words(health)
    for index, line in enumerate(may(health)):
        yield "" if index else "may", line
    if wide:
        for name, value in payload.items():
            if name not in USUAL:
                yield "claim", f"{one_line(name)}: {one_line(str(value))}"
        identity = text(payload.get("jti"))
        if identity:
            yield "id", f"{one_line(identity)} (credential-id in the audit log)"
    for note in health.notes:
        yield "note", note
    for skip in health.skipped:
        yield "not seen", f"{skip.what}: {skip.why}"


def kind(health: Health) -> str:
    """What kind of token it is."""
    who = health.who
    if who.kind == "opaque":
        return f"{who.system}; it is no JWT and says nothing of itself"
    if who.kind == "legacy":
        names = [str(one) for one in health.look.ties]
        return f"legacy: of {names[0] if names else 'a Secret'}, and never expires"
    if who.kind == "foreign":
        return f"of {who.system}" if who.system else "not of a service account of Kubernetes"
    bound = " and ".join(str(one) for one in health.look.ties)
    of = f", of {who.system}" if who.system else ""
    if bound:
        return f"bound to {bound}{of}"
    return f"of a TokenRequest, bound to its account alone{of}"


def audience_words(health: Health, names: list[str]) -> str:
    """For whom it is."""
    if not names:
        api = health.who.kind == "legacy"
        return "the API server (it names no audience)" if api else "it does not say"
    shown = []
    for name in names:
        system = audience_system(name)
        own = name == health.issuer
        shown.append(one_line(name) + (f" ({system})" if system else " (this API server)" * own))
    return ", ".join(shown)


def issuer_words(health: Health, issuer: str) -> str:
    """Who issued it."""
    if not issuer:
        return "it does not say"
    name = one_line(issuer)
    if health.who.kind == "legacy":
        return f"{name}, as for every token of a Secret"
    if not health.issuer:
        return name  # what could not be read of the cluster is listed as not seen
    return (
        f"{name} (this cluster)"
        if issuer == health.issuer
        else (f"{name}; this cluster is {one_line(health.issuer)}")
    )


def times(payload: Object, now: float) -> Iterator[str]:
    """The times of a token, in words and as they are."""
    issued, valid, expires = (moment(payload.get(name)) for name in ("iat", "nbf", "exp"))
    if issued is not None:
        ago = f"{words(now - issued)} ago" if issued <= now else f"in {words(issued - now)}"
        yield f"issued {ago}, {timestamp(issued)}"
    if valid is not None and valid != issued:
        since = "since" if valid <= now else "from"
        yield f"valid {since} {timestamp(valid)}"
    if expires is None:
        yield "it never expires" if payload.get("exp") is None else "it ends at no time that is one"
    else:
        far = f"in {words(expires - now)}" if expires > now else f"{words(now - expires)} ago"
        tense = "expires" if expires > now else "expired"
        yield f"{tense} {far}, {timestamp(expires)}"
    warn = warn_after(payload)
    if warn is not None and expires is not None and issued is not None:
        far = f"in {words(warn - now)}" if warn > now else f"since {words(now - warn)}"
        yield (
            f"extended: made for {lifetime(warn - issued)}, taken for {lifetime(expires - issued)} "
            f"for clients that keep the first; to be renewed {far}"
        )


def key_words(health: Health) -> str:
    """The key, and whether the signature fits."""
    key = health.look.key
    name = f"{one_line(key.algorithm) or 'no algorithm'}, id {one_line(key.id) or 'none'}"
    if key.good:
        return f"{name}: published by the cluster, the signature fits"
    if key.good is False:
        return f"{name}: the signature does not fit: {key.why}"
    if key.known is False:
        return f"{name}: {key.why}"
    known = "published by the cluster, " if key.known else ""
    return f"{name}: {known}signature not checked: {key.why}"


def alive(health: Health, now: float) -> Iterator[str]:
    """What has become of the account and of what the token is bound to."""
    for one in (*([health.look.account] if health.look.account else ()), *health.look.ties):
        yield f"{one_line(str(one))}: {state(one, now)}"


def state(one: Tie, now: float) -> str:
    """What has become of an object, in words."""
    if one.state == "there":
        return "there, with the uid of the token" if one.uid else "there"
    if one.state == "gone":
        return "not there"
    if one.state == "other":
        return f"made anew: its uid is {one.found}, the token says {one_line(one.uid)}"
    if one.state == "going":
        return f"being deleted since {words(now - one.since)}"
    return f"not seen: {one.why}"


def answer_words(health: Health) -> str:
    """What the API server says, and how it was asked."""
    answer = health.answer
    if answer is None:
        return f"the API server was not asked: {health.unknown}"
    said = "taken" if answer["authenticated"] else "refused"
    if answer["by"] == COMPUTED:
        return f"{said}, by {COMPUTED}; it was not asked, which is a use of the token (--verify)"
    error = one_line(str(answer.get("error") or ""), 1024)
    line = f"{said}, by {answer['by']}"
    if error and error != "401":
        line += f": {error}"
    elif not answer["authenticated"] and answer["by"] != "TokenReview":
        line += ", which does not tell why (a TokenReview would)"
    if health.own is not None:
        mine = "taken" if health.own["authenticated"] else "refused"
        line += f"; for its own audience: {mine}"
    return line


def may(health: Health) -> list[str]:
    """What its account may do, in a line or two."""
    if health.look.account is None or health.look.account.state in ("gone", "other"):
        return []
    shown = [one_line(phrase) for phrase in health.may[:RIGHTS_SHOWN]]
    if len(health.may) > RIGHTS_SHOWN:
        shown[-1] += f", and {len(health.may) - RIGHTS_SHOWN} more"
    if health.may_unseen:
        shown.append(f"{'maybe more' if shown else 'not known'}: {health.may_unseen} not seen")
    return shown or [f"nothing in {one_line(health.who.namespace)} but discovery"]


# --- for programs ---------------------------------------------------------------------------------


def inspection_object(given: "Given", health: Health) -> Object:
    """What is known of a token: `kind: Inspection`, described in docs/inspection.schema.json."""
    answer, account = health.answer, health.look.account
    return {
        "apiVersion": "satoken/v1",
        "kind": "Inspection",
        "source": redact(given.source),
        "object": reference(given.object),
        "verdict": health.verdict,
        "wanted": [redact(one) for one in health.wanted],
        "reason": fault_object(health.reason) if health.reason else None,
        "faults": [fault_object(one) for one in health.faults],
        "unknown": redact(health.unknown) or None,
        "type": health.who.kind,
        "system": health.who.system or None,
        "user": redact(user_of(health)) or None,
        "claims": claims_object(given, health) if health.who.kind != "opaque" else None,
        "key": {
            "id": redact(health.look.key.id) or None,
            "algorithm": redact(health.look.key.algorithm) or None,
            "published": health.look.key.known,
            "signatureFits": health.look.key.good,
            "why": health.look.key.why or None,
        },
        "account": tie_object(account, health.who.namespace) if account else None,
        "boundTo": [tie_object(one, health.who.namespace) for one in health.look.ties],
        "answer": answer_object(answer) if answer else None,
        "ownAudience": answer_object(health.own) if health.own else None,
        "may": [redact(phrase) for phrase in health.may],
        "mayUnseen": health.may_unseen or None,
        "endedBy": fix_object(health.revoke),
        "fix": fix_object(health.fix) if health.fix else None,
        "notes": [redact(note) for note in health.notes],
        "skipped": [{"what": skip.what, "why": redact(skip.why)} for skip in health.skipped],
    }


def reference(item: Object | None) -> Object | None:
    """The Secret or pod that a token was read from."""
    if item is None:
        return None
    metadata = item["metadata"]
    return {
        "kind": item.get("kind", "Pod"),
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
    }


def fault_object(fault: Fault) -> Object:
    """Why a token is refused."""
    return {"name": fault.name, "message": redact(fault.text), "certain": fault.certain}


def claims_object(given: "Given", health: Health) -> Object:
    """The claims, with times as Kubernetes writes them."""
    payload = given.claims.payload
    moments = {
        "issuedAt": moment(payload.get("iat")),
        "notBefore": moment(payload.get("nbf")),
        "expires": moment(payload.get("exp")),
        "warnAfter": warn_after(payload),
    }
    return {
        "issuer": redact(text(payload.get("iss"))) or None,
        "subject": redact(text(payload.get("sub"))) or None,
        "audiences": [redact(one) for one in audiences(payload)],
        "id": redact(text(payload.get("jti"))) or None,
        **{name: timestamp(when) if when is not None else None for name, when in moments.items()},
    }


def tie_object(one: Tie, namespace: str) -> Object:
    """What has become of an object."""
    return {
        "kind": one.kind,
        "namespace": "" if one.kind == "Node" else redact(namespace),
        "name": redact(one.name),
        "uid": redact(one.uid) or None,
        "state": one.state,
        "uidNow": one.found or None,
        "why": redact(one.why) or None,
    }


def answer_object(answer: Object) -> Object:
    """A verdict of the API server."""
    error = str(answer.get("error") or "")
    return {
        "by": answer["by"],
        "authenticated": answer["authenticated"],
        "user": redact(str(answer.get("user") or "")) or None,
        "audiences": [str(one) for one in answer.get("audiences") or []],
        "error": redact(error) or None,
    }
