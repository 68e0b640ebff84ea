"""What a token says of itself: its claims, read without checking its signature.

A service account token is a JWT. Its signature is for the API server to judge; the claims tell who
it is for, until when, and what it is bound to. The layout is that of pkg/serviceaccount/claims.go
(bound tokens) and legacy.go (those from Secrets).
"""

from typing import Any, NamedTuple

from .errors import SatokenError
from .world import Object, Sealed

LEGACY_ISSUER = "kubernetes/serviceaccount"


class Malformed(SatokenError):
    """It is not a JWT; the message says why, and repeats nothing of it."""


class Claims(NamedTuple):
    """Header and payload of a token, as JSON."""

    header: Object
    payload: Object


def decode(token: Sealed) -> Claims:
    """The claims of a token. Raises Malformed."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        raise Malformed(f"not a token: {len(parts)} parts where a JWT has 3")
    return decode_parts(parts[0], parts[1])


def decode_parts(header: str, payload: str) -> Claims:
    """The claims from the first two parts of a token, which are no secret. Raises Malformed."""
    return Claims(part(header, "header"), part(payload, "payload"))


def part(text: str, name: str) -> Object:
    """A part of a JWT: JSON, base64url without padding (RFC 7519)."""
    import json

    try:
        value: Any = json.loads(part_bytes(text).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Malformed(f"not a token: its {name} is not base64url of JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"not a token: its {name} is not an object")
    return value


def part_bytes(text: str) -> bytes:
    """What a part of a JWT encodes. Raises ValueError.

    As strict as Go is: Python would take the other alphabet as well, and overlook the rest.
    """
    from base64 import b64decode

    if any(each in text for each in "+/="):
        raise ValueError("not base64url")
    return b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def bound(payload: Object, kind: str) -> Object:
    """What a token says of an object: ``name`` and ``uid`` of its pod, serviceaccount, secret …

    Empty where it says nothing. ``kind`` is in lower case, as in the claim.
    """
    private = payload.get("kubernetes.io")
    found = private.get(kind) if isinstance(private, dict) else None
    if isinstance(found, dict):
        return found
    prefix = "kubernetes.io/serviceaccount/"
    if kind == "serviceaccount" and f"{prefix}service-account.name" in payload:
        return {
            "name": payload[f"{prefix}service-account.name"],
            "uid": payload.get(f"{prefix}service-account.uid", ""),
        }
    if kind == "secret" and f"{prefix}secret.name" in payload:
        return {"name": payload[f"{prefix}secret.name"], "uid": ""}
    return {}


def audiences(payload: Object) -> list[str]:
    """The audiences of a token: one as a string, or several (RFC 7519, 4.1.3)."""
    value = payload.get("aud")
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, list) else []
