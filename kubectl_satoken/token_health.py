"""What a token is, whether it would be taken, why not, and what would end it.

The API server's own verdict counts, where there is one. Its reason is compared with what the claims
and the cluster show, in the order in which the API server looks (pkg/serviceaccount/jwt.go,
claims.go, legacy.go), so that it can be told also where the API server keeps it to itself.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import jwks
from .checks import Fix, Skipped
from .errors import ApiError, Forbidden, one_line
from .fixes import kubectl, satoken
from .foreign import audience_system, issuer_system
from .rbac import USER_PREFIX, rights
from .server import api_audiences
from .times import lifetime, moment, seconds, words
from .token import LEGACY_ISSUER, audiences, bound
from .token_secrets import INVALID_SINCE_LABEL
from .world import Object, Unseen

if TYPE_CHECKING:
    from .token_source import Given
    from .world import World

# pkg/serviceaccount/claims.go, and go-jose's DefaultLeeway
LEEWAY = 60
# seconds for which the API server remembers that it took a token
CACHED = 10

# What is asked of the API server: a review for these audiences, its own if there are none.
Ask = Callable[[Sequence[str]], Object]


class Who(NamedTuple):
    """Whose token it is.

    ``kind`` is bound (by TokenRequest), legacy (of a Secret), foreign (a JWT that is not of a
    service account) or opaque (no JWT). ``system`` says who issued it, where that can be told.
    """

    kind: str
    system: str = ""
    namespace: str = ""
    account: str = ""
    uid: str = ""


class Tie(NamedTuple):
    """An object that the token depends on, and what has become of it.

    ``state`` is there, gone, going (its deletion has begun), other (made anew: ``found`` is its uid
    now) or unseen (``why``).
    """

    kind: str
    name: str
    uid: str
    state: str
    found: str = ""
    why: str = ""
    since: float = 0
    object: Object | None = None

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class Fault(NamedTuple):
    """Why a token is not taken: its name, as ``explain`` knows it, and in words.

    Not ``certain`` is what the cluster shows only in part.
    """

    name: str
    text: str
    certain: bool = True


class Health(NamedTuple):
    """What is known of a token.

    ``verdict`` is taken, refused, healthy (not for the API server, but taken for its audience) or
    unknown. ``answer`` is the API server's verdict, ``own`` that for the token's own audiences.
    ``reason`` says why it is refused, ``faults`` all that speaks against it. ``issuer`` is that of
    the cluster, ``local`` whether the token is of it. ``unknown`` says why there is no verdict.
    """

    who: Who
    wanted: tuple[str, ...]
    verdict: str
    answer: Object | None
    own: Object | None
    issuer: str
    local: bool
    account: Tie | None
    ties: tuple[Tie, ...]
    key: jwks.Key
    faults: tuple[Fault, ...]
    reason: Fault | None
    fix: Fix | None
    may: tuple[str, ...]
    may_unseen: str
    revoke: Fix
    unknown: str
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def text(value: object) -> str:
    """A claim that is a string; empty for any other."""
    return value if isinstance(value, str) else ""


def examine(
    given: "Given",
    world: "World | None",
    ask: Ask | None,
    now: float,
    wanted: tuple[str, ...] = (),
    why_offline: str = "",
) -> Health:
    """Everything that can be told of a token.

    Without a ``world`` only what it says of itself, ``why_offline`` says why. Without ``ask`` the
    API server's verdict is what came with the token, if anything. ``wanted`` are the audiences that
    it must be for; those of the API server if empty. Raises what says that no read works
    (Unreachable, Unauthorized).
    """
    skipped: list[Skipped] = []
    payload = given.claims.payload
    who = identify(given)
    issuer = issuer_of(world, skipped) if world else ""
    answer, unknown = answered(given, ask, wanted, why_offline)
    taken = bool(answer and answer["authenticated"])
    local = who.kind == "legacy" or (
        issuer == text(payload.get("iss")) if issuer else who.kind == "bound"
    )
    local = local or (taken and who.kind == "bound")
    account = None
    ties: tuple[Tie, ...] = ()
    if local and who.account and world is not None:
        account = tie(world, who.namespace, "ServiceAccount", who.account, who.uid, skipped)
        ties = tuple(ties_of(payload, world, who, skipped))
    elif who.kind in ("bound", "legacy"):
        why = why_offline or "it is of another cluster"
        ties = tuple(
            Tie(kind, name, uid, "unseen", why=why) for kind, name, uid in bindings(payload, who)
        )
    key = key_of(given, world if local else None, why_offline, skipped)
    known = api_audiences(world) if world else None
    faults = tuple(faults_of(payload, who, wanted, known, issuer, local, key, account, ties, now))
    reason = reason_of(answer, faults, key) if not taken else None
    own = None
    if answer and not taken and is_elsewhere(who, payload, wanted, known, reason):
        own, why = asked(ask, audiences(payload))
        if own is None:
            unknown = why
        elif not own["authenticated"]:
            reason = reason_of(own, faults, key)
    verdict = verdict_of(who, answer, own, faults, reason, payload, wanted, known)
    if verdict in ("taken", "healthy"):
        reason = None
    may, may_unseen = may_of(world, who, account, skipped)
    notes = tuple(notes_of(given, verdict, faults, payload, now, world is not None))
    return Health(
        who,
        wanted,
        verdict,
        answer,
        own,
        issuer,
        local,
        account,
        ties,
        key,
        faults,
        reason,
        fix_of(reason, who, account, ties, world, verdict, wanted) if world else None,
        may,
        may_unseen,
        ending(who, ties, faults, local, world, payload),
        unknown,
        notes,
        tuple(dict.fromkeys(skipped)),
    )


# --- what it is -----------------------------------------------------------------------------------


def identify(given: "Given") -> Who:
    """Whose token it is, by what it says."""
    if given.opaque:
        return Who("opaque", given.opaque)
    payload = given.claims.payload
    issuer = text(payload.get("iss"))
    own = bound(payload, "serviceaccount")
    name, uid = text(own.get("name")), text(own.get("uid"))
    if issuer == LEGACY_ISSUER:
        namespace = text(payload.get("kubernetes.io/serviceaccount/namespace"))
        return Who("legacy", "", namespace, name, uid)
    private = payload.get("kubernetes.io")
    if isinstance(private, dict) and name:
        system = issuer_system(issuer, cluster=True)
        return Who("bound", system, text(private.get("namespace")), name, uid)
    return Who("foreign", issuer_system(issuer, cluster=False))


def bindings(payload: Object, who: Who) -> Iterator[tuple[str, str, str]]:
    """What a token is bound to besides its account: kind, name, uid.

    The node of a pod is only named, it does not end the token.
    """
    pod = bound(payload, "pod")
    for kind in ("Secret", "Pod", "Node"):
        one = bound(payload, kind.lower())
        if one and not (kind == "Node" and pod) and text(one.get("name")):
            yield kind, text(one.get("name")), text(one.get("uid"))


def ties_of(payload: Object, world: "World", who: Who, skipped: list[Skipped]) -> Iterator[Tie]:
    """What has become of what a token is bound to."""
    for kind, name, uid in bindings(payload, who):
        yield tie(world, "" if kind == "Node" else who.namespace, kind, name, uid, skipped)


def tie(
    world: "World", namespace: str, kind: str, name: str, uid: str, skipped: list[Skipped]
) -> Tie:
    """What has become of an object. An empty uid is any."""
    if not name or (not namespace and kind != "Node"):
        return Tie(kind, name, uid, "unseen", why="the token does not say which it is")
    try:
        item = world.get(kind, namespace, name)
    except Unseen as unseen:
        skipped.append(Skipped("", "inspect", unseen.what, unseen.why))
        return Tie(kind, name, uid, "unseen", why=unseen.why)
    if item is None:
        return Tie(kind, name, uid, "gone")
    found = str(item["metadata"].get("uid") or "")
    if uid and found != uid:
        return Tie(kind, name, uid, "other", found, object=item)
    going = item["metadata"].get("deletionTimestamp")
    if going:
        return Tie(kind, name, uid, "going", found, "", seconds(going), item)
    return Tie(kind, name, uid, "there", found, object=item)


def issuer_of(world: "World", skipped: list[Skipped]) -> str:
    """The issuer that the cluster says it is; empty where it does not say so to us."""
    try:
        document = world.text("/.well-known/openid-configuration")
    except Unseen as unseen:
        skipped.append(Skipped("", "inspect", unseen.what, unseen.why))
        return ""
    return text((document or {}).get("issuer"))


def key_of(
    given: "Given", world: "World | None", why_offline: str, skipped: list[Skipped]
) -> jwks.Key:
    """The key that signed it, and whether the signature fits."""
    if given.opaque:
        return jwks.Key("", "")
    if world is None:
        why = "no cluster was asked" if why_offline else "the keys of its issuer are not here"
        return jwks.stated(given.claims, why)
    try:
        return jwks.check(given.token, given.claims, jwks.published(world))
    except Unseen as unseen:
        skipped.append(Skipped("", "inspect", unseen.what, unseen.why))
        return jwks.stated(given.claims, f"{unseen.what} not seen")


# --- whether it is taken --------------------------------------------------------------------------


def answered(
    given: "Given", ask: Ask | None, wanted: tuple[str, ...], why_offline: str
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
    return asked(ask, wanted) if ask is not None else (None, why_offline)


def asked(ask: Ask | None, wanted: Sequence[str]) -> tuple[Object | None, str]:
    """A verdict, or why there is none."""
    if ask is None:
        return None, "the token stays in its pod"
    try:
        return ask(wanted), ""
    except Forbidden:
        return None, "only a TokenReview tells, which is forbidden to you"
    except ApiError as error:
        return None, one_line(error.message)


# What the API server's words on a token can stand for.
UNCLEAR = "token-claims-not-validated"
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


def for_api(payload: Object, known: set[str] | None) -> bool:
    """Whether a token is for the API server. One without audiences is.

    Where the API server's audiences are not known, they are taken to be those that most have.
    """
    own = audiences(payload)
    if not own or known is not None:
        return not own or bool(known and known & set(own))
    return text(payload.get("iss")) in own or any(
        name.startswith("https://kubernetes.") or issuer_system(name, cluster=True) for name in own
    )


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


def faults_of(
    payload: Object,
    who: Who,
    wanted: tuple[str, ...],
    known: set[str] | None,
    issuer: str,
    local: bool,
    key: jwks.Key,
    account: Tie | None,
    ties: Sequence[Tie],
    now: float,
) -> Iterator[Fault]:
    """What speaks against a token, in the order in which the API server looks."""
    if who.kind == "opaque":
        return
    own_issuer = payload.get("iss")
    if issuer and not local:
        shown = one_line(str(own_issuer)) if own_issuer else "nobody"
        yield Fault("token-unknown-issuer", f"it was issued by {shown}, not by this cluster", False)
    elif key.known is False:
        yield Fault(
            "token-unknown-signing-key",
            "it is signed with a key that the cluster does not publish",
            False,
        )
    elif key.good is False:
        yield Fault("token-unknown-signing-key", f"its signature does not fit: {key.why}")
    if local or who.kind == "legacy":
        yield from shape_faults(payload, who)
    own = audiences(payload)
    if wanted and not set(wanted) & set(own or known or wanted):
        yield Fault("token-wrong-audience", f"it is for {listed(own)}, not for {listed(wanted)}")
    elif not wanted and who.kind == "bound" and not for_api(payload, known):
        yield Fault("token-wrong-audience", f"it is for {listed(own)}, not the API server", False)
    if who.kind != "legacy":  # whose times the API server does not look at
        yield from time_faults(payload, now)
    if who.kind == "legacy":
        yield from legacy_faults(payload, who, ties)
    yield from account_faults(who, account, now)
    if who.kind == "bound":
        yield from tie_faults(ties, now)


def shape_faults(payload: Object, who: Who) -> Iterator[Fault]:
    """Claims of a service account's token that are not of the type that they must have."""
    private = payload.get("kubernetes.io")
    typed: list[tuple[str, object, type | tuple[type, ...]]] = [
        *((name, payload.get(name), (int, float)) for name in ("exp", "nbf", "iat")),
        *((name, payload.get(name), str) for name in ("sub", "jti")),
        ("aud", payload.get("aud"), (str, list)),
    ]
    if who.kind != "legacy":
        typed.append(("kubernetes.io", private, dict))
    if isinstance(private, dict):
        typed.append(("kubernetes.io warnafter", private.get("warnafter"), (int, float)))
        typed.append(("kubernetes.io namespace", private.get("namespace"), str))
        for kind in ("serviceaccount", "pod", "secret", "node"):
            one = private.get(kind)
            typed.append((f"kubernetes.io {kind}", one, dict))
            if isinstance(one, dict):
                typed += [(f"kubernetes.io {kind} {name}", one.get(name), str) for name in one]
    listed_audiences = payload.get("aud")
    if isinstance(listed_audiences, list):
        typed += [("aud", name, str) for name in listed_audiences]
    for name, value, kinds in typed:
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            yield Fault(UNCLEAR, f"its claim {one_line(name)} is not of the type that it must have")
            return
    if who.kind == "foreign":
        yield Fault(UNCLEAR, "it does not say which service account it is of")


def warn_after(payload: Object) -> float | None:
    """Until when an extended token should have been renewed; None for any other."""
    private = payload.get("kubernetes.io")
    return moment(private.get("warnafter")) if isinstance(private, dict) else None


def listed(names: Sequence[str]) -> str:
    """Audiences, with whom they stand for."""
    shown = []
    for name in names:
        system = audience_system(name)
        shown.append(f"{system} ({one_line(name)})" if system else one_line(name))
    return ", ".join(shown) or "nobody"


def time_faults(payload: Object, now: float) -> Iterator[Fault]:
    """What the times of a token say; the leeway is the API server's."""
    expiry = moment(payload.get("exp"))
    if expiry is not None and now > expiry + LEEWAY:
        yield Fault("token-expired", f"it expired {words(now - expiry)} ago")
    ahead = [when - now for key in ("nbf", "iat") if (when := moment(payload.get(key))) is not None]
    if ahead and max(ahead) > LEEWAY:
        yield Fault("token-clock-skew", f"it is of the future: it is valid in {words(max(ahead))}")


def account_faults(who: Who, account: Tie | None, now: float) -> Iterator[Fault]:
    """What has become of its account."""
    if account is None:
        return
    name = f"serviceaccount {who.account}"
    if account.state == "gone":
        yield Fault("token-sa-deleted", f"{name} is not in namespace {who.namespace}")
    elif account.state == "other":
        yield Fault("token-sa-recreated", f"it is for an earlier {name}, made anew since")
    elif account.state == "going" and (who.kind == "legacy" or now > account.since + LEEWAY):
        yield Fault("token-sa-deleted", f"{name} is being deleted")


def tie_faults(ties: Sequence[Tie], now: float) -> Iterator[Fault]:
    """What has become of the object that it is bound to."""
    for one in ties:
        if one.state == "gone":
            yield Fault("token-bound-object-gone", f"{one}, to which it is bound, is gone")
        elif one.state == "other":
            name = f"token-bound-{'pod-recreated' if one.kind == 'Pod' else 'object-gone'}"
            yield Fault(name, f"it is bound to an earlier {one}, made anew since")
        elif one.state == "going" and now > one.since + LEEWAY:
            yield Fault("token-bound-object-gone", f"{one}, to which it is bound, is being deleted")


def legacy_faults(payload: Object, who: Who, ties: Sequence[Tie]) -> Iterator[Fault]:
    """What has become of the Secret that it is of."""
    secret = next((one for one in ties if one.kind == "Secret"), None)
    same = payload.get("sub") == f"{USER_PREFIX}{who.namespace}:{who.account}"
    if secret is None or not same or not (who.namespace and who.account and who.uid):
        yield Fault("legacy-token-malformed-claims", "it lacks what a token of a Secret must say")
        return
    if secret.state in ("gone", "going"):
        yield Fault("legacy-secret-deleted", f"{secret}, whose token it is, is {secret.state}")
    if secret.object is None:
        return
    since = (secret.object["metadata"].get("labels") or {}).get(INVALID_SINCE_LABEL)
    if since:
        yield Fault(
            "legacy-token-marked-invalid", f"{secret} is marked invalid since {one_line(since)}"
        )


# --- what else there is to say --------------------------------------------------------------------


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


def notes_of(
    given: "Given",
    verdict: str,
    faults: Sequence[Fault],
    payload: Object,
    now: float,
    connected: bool,
) -> Iterator[str]:
    """What should be said besides."""
    yield from given.notes
    if verdict in ("taken", "healthy"):
        for fault in faults:
            if fault.certain and fault.name != "token-wrong-audience":
                yield f"{fault.text}: the API server refuses it within {CACHED} seconds or so"
                break
    warn = warn_after(payload) if connected else None
    if verdict == "taken" and warn is not None and now > warn:
        yield (
            f"it should have been renewed {words(now - warn)} ago: whoever uses it does not read "
            "its file again (client-caches-token)"
        )
    expiry, issued = moment(payload.get("exp")), moment(payload.get("iat"))
    if verdict == "taken" and expiry and issued and expiry - issued > 2 * 365 * 86400:
        yield f"it lives {lifetime(expiry - issued)}, which is very long"


# How a new token is had; of other reasons the message says what to do.
ANEW = (
    "token-expired",
    "token-sa-recreated",
    "token-bound-object-gone",
    "token-bound-pod-recreated",
    "token-unknown-signing-key",
    "token-wrong-audience",
    "legacy-secret-deleted",
    "legacy-secret-content-changed",
)


def fix_of(
    reason: Fault | None,
    who: Who,
    account: Tie | None,
    ties: Sequence[Tie],
    world: "World",
    verdict: str,
    wanted: tuple[str, ...],
) -> Fix | None:
    """What to do about a token that is refused."""
    if reason is None or verdict != "refused":
        return None
    flags = [word for one in wanted for word in ("--audience", one)]
    new = satoken(world, who.namespace, "mint", who.account, *flags)
    if reason.name == "token-sa-deleted" and account is not None and account.state == "gone":
        create = kubectl(world, who.namespace, "create", "serviceaccount", who.account)
        return Fix("make the account again (its bindings hold again), then a token", (create, new))
    if reason.name == "legacy-token-marked-invalid":
        secret = next((one for one in ties if one.kind == "Secret"), None)
        if secret is not None:
            label = f"{INVALID_SINCE_LABEL}-"
            free = kubectl(world, who.namespace, "label", "secret", secret.name, label)
            return Fix("take the mark off to gain time, and move to tokens that expire", (free,))
    if reason.name in ANEW and account is not None and account.state not in ("gone", "going"):
        return Fix("take a new token", (new,))
    from .messages import find_message

    message = find_message(reason.name)
    return Fix(message.fix[0].lower() + message.fix[1:].rstrip(".")) if message else None


def ending(
    who: Who,
    ties: Sequence[Tie],
    faults: Sequence[Fault],
    local: bool,
    world: "World | None",
    payload: Object,
) -> Fix:
    """What would end the token: in words, and the command where there is one."""
    if who.kind == "opaque":
        return Fix("whoever issued it")
    if who.kind == "foreign":
        by = who.system or "its issuer"
        return Fix(f"{by} alone: Kubernetes cannot end it before it expires")
    if any(fault.certain and fault.name in GONE for fault in faults):
        return Fix("nothing: it has ended already")
    if not local:
        return Fix(f"only its own cluster can: {one_line(text(payload.get('iss'))) or 'unknown'}")

    def revoke(target: str) -> tuple[str, ...]:
        namespace = who.namespace
        if world is None:
            scope = f" -n {namespace}" if is_name(namespace) else ""
            return (f"kubectl satoken revoke {target}{scope}",) if is_name(target) else ()
        return (satoken(world, namespace, "revoke", target),)

    for one in ties:
        if one.kind == "Secret" and who.kind == "legacy":
            return Fix(f"marking {one} invalid, or deleting it", revoke(str(one)))
        if one.kind == "Node":
            return Fix(
                f"the end of {one}, or that of serviceaccount {who.account}, which ends all of "
                "its tokens",
                revoke(f"sa/{who.account}"),
            )
        return Fix(f"deleting {one}, to which it is bound", revoke(str(one)))
    return Fix(
        f"only making serviceaccount {who.account} anew, which ends all of its tokens: "
        "it is bound to nothing else",
        revoke(f"sa/{who.account}"),
    )


# The reasons by which a token has ended for good.
GONE = (
    "token-expired",
    "token-sa-deleted",
    "token-sa-recreated",
    "token-bound-object-gone",
    "token-bound-pod-recreated",
    "legacy-secret-deleted",
)


def is_name(word: str) -> bool:
    """Whether a word needs no quotes in a shell."""
    return (
        bool(word)
        and word.isascii()
        and word.replace("-", "").replace(".", "").replace("/", "").isalnum()
    )


def user_of(health: Health) -> str:
    """The user name that the API server gives the token, or that it will be."""
    said = str((health.own or health.answer or {}).get("user") or "")
    if said:
        return said
    if health.who.account:
        return f"{USER_PREFIX}{health.who.namespace}:{health.who.account}"
    return ""
