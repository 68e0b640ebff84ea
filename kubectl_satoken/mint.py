"""Asks the API server for a token: one of the two places that write.

A TokenRequest stores nothing. What it gives is a token, so it comes sealed.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .errors import ApiError, Forbidden, Invalid, ServerError, TooOld
from .world import KINDS, Object, Sealed

if TYPE_CHECKING:
    from .cluster import Api
    from .token import Claims
    from .world import World

YEAR = 365 * 86400  # seconds; who holds a token as long as that never has to ask again

# The server's own words for it, which are shown as they come (storage/token.go).
SHORTENED = "Warning: requested expiration of "


class Bound(NamedTuple):
    """What a token is bound to: it ends when that object does. An empty uid is that of now."""

    kind: str  # Pod, Secret or Node
    name: str
    uid: str = ""

    @property
    def ref(self) -> Object:
        """The boundObjectRef of a TokenRequest."""
        ref = {"apiVersion": "v1", "kind": self.kind, "name": self.name}
        return {**ref, "uid": self.uid} if self.uid else ref

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class Ask(NamedTuple):
    """A token that is asked for. No audiences: those of the API server; no seconds: its default."""

    namespace: str
    account: str
    audiences: tuple[str, ...] = ()
    seconds: int | None = None
    bound: Bound | None = None


class Minted(NamedTuple):
    """A token, and what the API server granted: ``spec`` and ``status`` without the token.

    ``metadata`` names the account: name, namespace, uid, and when the token was made.
    """

    token: Sealed
    spec: Object
    status: Object
    metadata: Object = {}


def mint(api: "Api", ask: Ask) -> Minted:
    """The token that is asked for. Raises ApiError."""
    return request_token(
        api,
        ask.namespace,
        ask.account,
        audiences=list(ask.audiences),
        seconds=ask.seconds,
        bound=ask.bound.ref if ask.bound else None,
    )


def request_token(
    api: "Api",
    namespace: str,
    account: str,
    *,
    audiences: list[str] | None = None,
    seconds: int | None = None,
    bound: Object | None = None,
) -> Minted:
    """A token of a service account, by the API's TokenRequest. Raises ApiError.

    ``audiences`` empty means those of the API server; ``seconds`` the server's default;
    ``bound`` is a boundObjectRef (apiVersion, kind, name, uid).
    """
    from .cluster import path_of

    spec: Object = {"audiences": audiences or []}
    if seconds is not None:
        spec["expirationSeconds"] = seconds
    if bound:
        spec["boundObjectRef"] = bound
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = path_of(KINDS["ServiceAccount"], namespace, account, "token")
    answer = api.request("POST", path, body)
    status = dict(answer.get("status") or {})
    token = status.pop("token", "")
    if not isinstance(token, str) or not token:
        raise ServerError("the answer to a TokenRequest holds no token", code=200)
    metadata = {k: v for k, v in (answer.get("metadata") or {}).items() if k != "managedFields"}
    return Minted(Sealed(token), dict(answer.get("spec") or {}), status, metadata)


# --- what is worth a word about a token that was granted ------------------------------------------


def notes(ask: Ask, minted: Minted, claims: "Claims | None", said: set[str]) -> Iterator[str]:
    """What differs from what was asked, or will surprise. ``said`` is what was printed before."""
    from .times import date, lifetime, seconds

    granted = int(minted.spec.get("expirationSeconds") or 0)
    asked = ask.seconds
    warned = any(line.startswith(SHORTENED) for line in said)
    if asked and granted < asked and not warned:
        yield (
            f"the server shortened its life to {lifetime(granted)}, {lifetime(asked)} was asked "
            "for: --service-account-max-token-expiration of kube-apiserver, or the signer, says so"
        )
    if asked and granted > asked:
        yield (
            f"the server extended its life to {lifetime(granted)}, {lifetime(asked)} was asked for"
        )
    if granted >= YEAR:
        try:
            until = date(seconds(str(minted.status.get("expirationTimestamp"))))
        except ValueError:
            until = ""
        yield (
            f"valid until {until}: {granted / YEAR:.3g} years in which nothing but the end of "
            f"{ask.bound or f'serviceaccount {ask.account} itself'} ends it; "
            "-o kubeconfig --renew needs no long life"
        )
    if claims is None:
        return
    payload = claims.payload
    real = life_of(payload)
    if granted and real and real > granted + 60:
        yield (
            f"the API server takes it for {lifetime(real)}, though it says {lifetime(granted)}: "
            "tokens of pods that ask for the usual lifetime are extended "
            "(--service-account-extend-token-expiration), others that verify it see that, too"
        )
    issuer = payload.get("iss")
    if ask.audiences and issuer and issuer not in ask.audiences:
        wanted = ", ".join(ask.audiences)
        yield (
            f"it is for {wanted}: the API server refuses it, "
            f"unless that is among its --api-audiences (usually {issuer})"
        )


def life_of(payload: Object) -> int:
    """The seconds between the times that a token says of itself; 0 where it does not."""
    try:
        return int(payload["exp"]) - int(payload["iat"])
    except (KeyError, TypeError, ValueError):
        return 0


# --- why there is no token ------------------------------------------------------------------------


def explained(error: ApiError, ask: Ask, world: "World") -> ApiError:
    """The same error with kubectl's words before it, and what can be done about it."""
    from .denied import grant

    hint = error.hint
    message = error.message
    if isinstance(error, TooOld) or error.code == 405:
        error = TooOld(message, code=error.code)
        message = "this API server makes no tokens (TokenRequest is not served)"
        hint = (
            "it is older than Kubernetes 1.22 or runs without --service-account-signing-key-file; "
            "what there is then is a Secret of type kubernetes.io/service-account-token"
        )
    elif f'serviceaccounts "{ask.account}" not found' in message:
        hint = hint_for_missing(ask, world)
    elif isinstance(error, Forbidden) and 'resource "serviceaccounts/token"' in message:
        hint = grant(message, f"mint-{ask.account}", world)
    elif "denied" in message and ("admission webhook" in message or "Policy" in message):
        hint = hint_for_policy(message, world)
    elif isinstance(error, Invalid) and "less than 10 minutes" in message:
        hint = "--duration=10m is the least that the API server grants"
    error.message = f"failed to create token: {message}"
    error.hint = hint
    return error


def hint_for_missing(ask: Ask, world: "World") -> str:
    """What may be meant by an account that does not exist."""
    from .checks.account import namespaces_with, near_name
    from .fixes import kubectl

    near = near_name(ask.namespace, ask.account, world)
    if near:
        return f"did you mean {near}?"
    elsewhere, _ = namespaces_with(ask.account, world)
    if elsewhere:
        return f"namespace {elsewhere[0]} has one of that name: -n {elsewhere[0]}"
    return f"{kubectl(world, ask.namespace, 'create', 'serviceaccount', ask.account)} makes it"


def hint_for_policy(message: str, world: "World") -> str:
    """Where the rule is that refused a token, and how to see it."""
    import re

    from .fixes import kubectl

    policy = re.search(r"ValidatingAdmissionPolicy '([^']*)'", message)
    if policy:
        shown = kubectl(world, "", "get", "validatingadmissionpolicy", policy[1], "-o", "yaml")
        return f"a policy of this cluster, not RBAC, says no; its rule: {shown}"
    shown = kubectl(world, "", "get", "validatingwebhookconfigurations", "-o", "wide")
    return f"a webhook of this cluster, not RBAC, says no; which there are: {shown}"
