"""Whose token it is, what it is bound to, and what has become of that."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from . import jwks
from .checks import Skipped
from .foreign import issuer_system
from .times import seconds
from .token import LEGACY_ISSUER, bound
from .token_secrets import LAST_USED_LABEL
from .world import Object, Unseen

if TYPE_CHECKING:
    from .token_source import Given
    from .world import World

CONFIGURATION = "/.well-known/openid-configuration"


def text(value: object) -> str:
    """A claim that is a string; empty for any other."""
    return value if isinstance(value, str) else ""


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


class Look(NamedTuple):
    """What there is in the cluster of what a token names: its account, what it is bound to, its
    key. It is ``local`` if it is of this cluster, as far as is known."""

    local: bool
    account: Tie | None
    ties: tuple[Tie, ...]
    key: jwks.Key

    @property
    def secret(self) -> Tie | None:
        """The Secret that it is of, or bound to."""
        return next((one for one in self.ties if one.kind == "Secret"), None)


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


def look_at(
    given: "Given",
    world: "World | None",
    who: Who,
    local: bool,
    why_offline: str,
    skipped: list[Skipped],
) -> Look:
    """What there is in the cluster of what a token names, if it is ``local``."""
    payload = given.claims.payload
    key = key_of(given, world if local else None, why_offline, skipped)
    if local and who.account and world is not None:
        account = tie(world, who.namespace, "ServiceAccount", who.account, who.uid, skipped)
        found = [
            tie(world, "" if kind == "Node" else who.namespace, kind, name, uid, skipped)
            for kind, name, uid in bindings(payload, who)
        ]
        return Look(local, account, tuple(found), key)
    why = why_offline or "it is of another cluster"
    unseen = [Tie(kind, name, uid, "unseen", why=why) for kind, name, uid in bindings(payload, who)]
    return Look(local, None, tuple(unseen) if who.account else (), key)


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
        document = world.text(CONFIGURATION)
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


def last_used(secret: Tie) -> str:
    """The day on which the token of a Secret was last used, as its label says; empty if never."""
    metadata = (secret.object or {}).get("metadata") or {}
    return text((metadata.get("labels") or {}).get(LAST_USED_LABEL))
