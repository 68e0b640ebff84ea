"""The keys that a cluster publishes (RFC 7517), and whether one of them signed a token.

That needs no right to create TokenReviews, and the token goes nowhere. It needs the Python package
PyJWT with cryptography, which is an extra: without it the signature is not checked, and that is
said.
"""

from typing import TYPE_CHECKING, NamedTuple

from .token import part_bytes
from .world import Object, Sealed, Unseen

if TYPE_CHECKING:
    from .token import Claims
    from .world import World

PATH = "/openid/v1/jwks"

# The algorithms of JWS that a type of key can have (RFC 7518, 3.1).
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
}


class Key(NamedTuple):
    """The key that signed a token: its id and algorithm, as the token's header says.

    ``known`` is whether the cluster publishes one of that id, ``good`` whether the signature fits;
    None where that was not checked, and ``why`` not.
    """

    id: str
    algorithm: str
    known: bool | None = None
    good: bool | None = None
    why: str = ""


def published(world: "World") -> list[Object]:
    """The keys of the cluster. Raises Unseen."""
    document = world.text(PATH)
    if document is None:
        raise Unseen(PATH, "this cluster does not serve it")
    keys = document.get("keys")
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def stated(claims: "Claims", why: str = "") -> Key:
    """The key as the token names it, unchecked."""
    kid, algorithm = claims.header.get("kid"), claims.header.get("alg")
    return Key(
        kid if isinstance(kid, str) else "",
        algorithm if isinstance(algorithm, str) else "",
        why=why,
    )


def check(token: Sealed | None, claims: "Claims", keys: list[Object]) -> Key:
    """Whether one of the published keys signed the token. A token without an id may be of any."""
    key = stated(claims)
    fitting = [one for one in keys if key.id in ("", one.get("kid"))]
    if not fitting:
        return key._replace(known=False, why="none of its keys has that id")
    if key.id:
        key = key._replace(known=True)
    if token is None:
        return key._replace(why="the token stays in its pod")
    if claims.header.get("crit") is not None or claims.header.get("b64") is False:
        return key._replace(good=False, why="its header asks for an extension that nobody knows")
    fitting = [one for one in fitting if key.algorithm in ALGORITHMS.get(str(one.get("kty")), ())]
    if not fitting:
        return key._replace(good=False, why="its algorithm is none of the cluster's keys")
    try:
        import jwt
        from jwt.exceptions import MissingCryptographyError
    except ImportError:
        return key._replace(why="that needs the Python package PyJWT[crypto]")
    signed, _, signature = token.reveal().rpartition(".")
    try:
        proof = part_bytes(signature)
    except ValueError:
        return key._replace(good=False, why="it is not base64url")
    for one in fitting:
        try:
            public = jwt.PyJWK(one, algorithm=key.algorithm)
            # not PyJWS.decode, which refuses idle bits at the end that the API server overlooks
            fits = public.Algorithm.verify(signed.encode("utf-8", "replace"), public.key, proof)
        except MissingCryptographyError:
            return key._replace(why="that needs the Python package cryptography")
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if fits:
            return key._replace(known=True, good=True)
    return key._replace(good=False, why="it was changed after it was signed, or cut off")
