"""What speaks against a token, in the order in which the API server looks.

That is the order of pkg/serviceaccount/jwt.go, claims.go and legacy.go. It tells why a token is
refused also where the API server keeps that to itself.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .errors import one_line
from .foreign import audience_system, issuer_system
from .rbac import USER_PREFIX
from .times import moment, words
from .token import audiences
from .token_secrets import INVALID_SINCE_LABEL
from .token_ties import Look, Tie, Who, text
from .world import Object

# pkg/serviceaccount/claims.go, and go-jose's DefaultLeeway
LEEWAY = 60


# What the API server's words on a token can stand for.
UNCLEAR = "token-claims-not-validated"


class Fault(NamedTuple):
    """Why a token is not taken: its name, as ``explain`` knows it, and in words.

    Not ``certain`` is what the cluster shows only in part.
    """

    name: str
    text: str
    certain: bool = True


def faults_of(
    payload: Object,
    who: Who,
    wanted: tuple[str, ...],
    known: set[str] | None,
    issuer: str,
    look: Look,
    now: float,
) -> Iterator[Fault]:
    """What speaks against a token, in the order in which the API server looks."""
    if who.kind == "opaque":
        return
    local, account, ties, key = look
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
        yield from legacy_faults(payload, who, look.secret)
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


def legacy_faults(payload: Object, who: Who, secret: Tie | None) -> Iterator[Fault]:
    """What has become of the Secret that it is of."""
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
