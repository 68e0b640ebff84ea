"""Asks the API server for a token: one of the two places that write.

A TokenRequest stores nothing. What it gives is a token, so it comes sealed.
"""

from typing import NamedTuple

from .cluster import Api, path_of
from .errors import ServerError
from .world import KINDS, Object, Sealed


class Minted(NamedTuple):
    """A token, and what the API server granted: ``spec`` and ``status`` without the token."""

    token: Sealed
    spec: Object
    status: Object


def request_token(
    api: Api,
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
    return Minted(Sealed(token), dict(answer.get("spec") or {}), status)
