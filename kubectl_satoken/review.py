"""Asks the API server whether it takes a token, and whose it is."""

from collections.abc import Sequence

from .cluster import Api, connect
from .credentials import Credentials, bearer
from .errors import ApiError, Forbidden, Unauthorized
from .world import Object, Sealed

TOKEN_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"
SELF_SUBJECT_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def with_token(api: Api, token: Sealed) -> Api:
    """The same API server, as whoever a token is."""
    # no client certificate and no impersonation: they would answer for the token
    target = api.target._replace(credentials=Credentials(bearer(token)), impersonate=None)
    return connect(target, api.env, api.verbosity)


def afresh(api: Api) -> Api:
    """The same API server by a connection of its own: behind one address there may be several."""
    other = connect(api.target, api.env, api.verbosity)
    other.said = api.said
    return other


def review(api: Api, token: Sealed, audiences: Sequence[str] = ()) -> Object:
    """The API server's verdict: by, authenticated, user, uid, audiences, error.

    By TokenReview, which tells why a token is refused, or where that is forbidden by using the
    token to ask who it is, which tells only that. Raises ApiError when neither can be asked.

    ``audiences`` are those that it must be for, one of them; the API server's own if empty. Of
    others only a TokenReview tells.
    """
    try:
        return by_token_review(api, token, audiences)
    except Forbidden:
        if audiences:
            raise
        return by_using_it(api, token)


def by_token_review(api: Api, token: Sealed, audiences: Sequence[str] = ()) -> Object:
    """The verdict of a TokenReview, which needs the right to create tokenreviews."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token.reveal(), "audiences": [*audiences]},
    }
    status = api.request("POST", TOKEN_REVIEW, body).get("status") or {}
    user = status.get("user") or {}
    return {
        "by": "TokenReview",
        "authenticated": bool(status.get("authenticated")),
        "user": user.get("username", ""),
        "audiences": status.get("audiences") or [],
        "error": status.get("error", ""),
    }


def by_using_it(api: Api, token: Sealed) -> Object:
    """The verdict of a SelfSubjectReview made with the token, which needs no right."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    verdict: Object = {"by": "SelfSubjectReview", "authenticated": False, "audiences": []}
    try:
        answer = with_token(api, token).request("POST", SELF_SUBJECT_REVIEW, body)
    except Unauthorized:
        return {**verdict, "user": "", "error": ""}
    except ApiError as error:
        if isinstance(error, Forbidden) and "system:anonymous" not in error.message:
            return {**verdict, "authenticated": True, "user": "", "error": ""}
        raise
    user = ((answer.get("status") or {}).get("userInfo") or {}).get("username", "")
    return {**verdict, "authenticated": user != "system:anonymous", "user": user, "error": ""}
