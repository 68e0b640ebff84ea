"""Copies of legacy tokens in other Secrets and in ConfigMaps: alone, in a kubeconfig, in a script.

To find them values are read, one object after the other; what is kept is where a token was, and
which one it is by its claims. The token itself is not.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .cluster import path_of
from .errors import ApiError
from .live import unseen
from .mounts import TOKEN_SECRET_TYPE
from .token import LEGACY_ISSUER, Malformed, bound, decode_parts
from .world import KINDS, Object, Ref

if TYPE_CHECKING:
    from .cluster import Api

# Header and payload of a JWT, in the middle of whatever; the signature is not looked at.
PARTS = re.compile(r"\b(eyJ[\w-]{8,})\.(eyJ[\w-]{8,})\.[\w-]+")
# The same in base64 once more, as people keep it.
ENCODED = re.compile(r"\bZXlK[A-Za-z0-9+/]{40,}={0,2}")

# The releases of Helm are packed manifests: what they make is looked at itself.
NOT_READ = (TOKEN_SECRET_TYPE, "helm.sh/release.v1")

PAGE = 100  # objects, of up to a megabyte each


class Copy(NamedTuple):
    """Where a copy is (its object and key), and of which Secret it is."""

    place: Ref
    key: str
    secret: Ref

    def __str__(self) -> str:
        return f"{self.place} in namespace {self.place.namespace} has a copy under {self.key}"


def copies(api: "Api", namespace: str) -> Iterator[Copy]:
    """The copies of legacy tokens in a namespace, or in all. Raises Unseen."""
    for kind in (KINDS["Secret"], KINDS["ConfigMap"]):
        try:
            for page in api.pages(path_of(kind, namespace), limit=PAGE):
                for item in page.get("items") or ():
                    yield from copies_in({**item, "kind": kind.kind})
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, namespace) from None


def copies_in(item: Object) -> Iterator[Copy]:
    """The copies in one object, each once."""
    if item.get("type") in NOT_READ:
        return
    metadata = item["metadata"]
    place = Ref(item["kind"], metadata.get("namespace", ""), metadata["name"])
    encoded = item["kind"] == "Secret"
    for field in ("data", "binaryData"):
        for key, value in (item.get(field) or {}).items():
            text = str(value)
            if encoded or field == "binaryData":
                text = decoded(text)
            for secret in sorted(secrets_named(text)):
                yield Copy(place, key, secret)


def secrets_named(text: str) -> set[Ref]:
    """The Secrets whose legacy tokens stand in a text."""
    found = set()
    inner = (decoded(match[0]) for match in ENCODED.finditer(text))
    for one in (text, *inner):
        for match in PARTS.finditer(one):
            try:
                payload = decode_parts(match[1], match[2]).payload
            except Malformed:
                continue
            name = str(bound(payload, "secret").get("name") or "")
            if payload.get("iss") == LEGACY_ISSUER and name:
                namespace = str(payload.get("kubernetes.io/serviceaccount/namespace") or "")
                found.add(Ref("Secret", namespace, name))
    return found


def decoded(text: str) -> str:
    """What a text in base64 says, whatever is in it; empty where it is none."""
    import base64
    import binascii

    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
