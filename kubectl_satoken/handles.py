"""Handles: Secrets without content that tokens are bound to, so that they can be ended.

A token that is bound to a Secret is refused once that Secret is gone. A handle is made for one
token (or for one kubeconfig that renews itself) and tells who asked for it, for whom and why.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .errors import ApiError, NotFound
from .mint import Bound
from .times import timestamp
from .world import KINDS, Object

if TYPE_CHECKING:
    from .cluster import Api

MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
LABELS = {MANAGED_BY: "kubectl-satoken", COMPONENT: "token-handle"}

OWNER = "satoken/owner"
ACCOUNT = "satoken/account"
PURPOSE = "satoken/purpose"
CREATED = "satoken/created"
EXPIRES = "satoken/expires"

RENEWED = "renewed"  # in the place of a time: as long as the handle is there

DEFAULT_LIFE = 3600  # seconds; what the API server grants who does not ask (defaults.go)


class Handle(NamedTuple):
    """A handle: its Secret, and the times in the annotations as they are."""

    namespace: str
    name: str
    uid: str
    account: str
    owner: str
    purpose: str
    created: str
    expires: str

    @property
    def bound(self) -> Bound:
        """What a token is to be bound to."""
        return Bound("Secret", self.name, self.uid)


def make(
    api: "Api", namespace: str, account: str, purpose: str, expires: str, owner: str, now: float
) -> Handle:
    """Makes a handle for an account. Raises ApiError."""
    from .writes import create

    annotations = {OWNER: owner, ACCOUNT: account, CREATED: timestamp(now), EXPIRES: expires}
    if purpose:
        annotations[PURPOSE] = purpose
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            # names have 253 characters, of which the server adds five
            "generateName": f"{account[:230].rstrip('.-')}-token-",
            "namespace": namespace,
            "labels": LABELS,
            "annotations": annotations,
        },
        "type": "Opaque",
    }
    return handle(create(api, body))


def set_expiry(api: "Api", one: Handle, expires: str) -> None:
    """Writes down when the token that was made expires. Raises ApiError."""
    from .writes import patch

    patch(api, secret_of(one), {"metadata": {"annotations": {EXPIRES: expires}}}, whole=False)


def remove(api: "Api", one: Handle) -> str:
    """Removes a handle whose token was not made; returns why that failed, or nothing."""
    from .writes import delete

    try:
        delete(api, secret_of(one))
    except NotFound:
        pass
    except ApiError as error:
        return error.message
    return ""


def secret_of(one: Handle) -> Object:
    """The Secret of a handle, as far as it takes to write to it."""
    metadata = {"namespace": one.namespace, "name": one.name, "uid": one.uid}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


def handles(api: "Api", namespace: str) -> Iterator[Handle]:
    """The handles of a namespace, or (empty) of all; only their metadata is read.

    Raises ApiError.
    """
    from .cluster import METADATA, path_of

    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    path = path_of(KINDS["Secret"], namespace)
    for page in api.pages(path, [("labelSelector", selector)], accept=METADATA):
        yield from (handle(item) for item in page.get("items") or ())


def handle(secret: Object) -> Handle:
    """A handle from its Secret."""
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    return Handle(
        metadata.get("namespace", ""),
        metadata["name"],
        metadata.get("uid", ""),
        annotations.get(ACCOUNT, ""),
        annotations.get(OWNER, ""),
        annotations.get(PURPOSE, ""),
        annotations.get(CREATED) or metadata.get("creationTimestamp", ""),
        annotations.get(EXPIRES, ""),
    )


def rows(found: Sequence[Handle], now: float, *, everywhere: bool) -> list[list[str]]:
    """The lines of a table, in the order of HEADERS."""
    return [
        [
            *([one.namespace] if everywhere else []),
            one.name,
            one.account,
            one.owner,
            one.purpose or "<none>",
            age(one.created, now),
            left(one.expires, now),
        ]
        for one in found
    ]


HEADERS = ("NAMESPACE", "NAME", "ACCOUNT", "OWNER", "PURPOSE", "AGE", "EXPIRES")


def age(text: str, now: float) -> str:
    """How long ago a time was."""
    from .times import seconds, words

    try:
        return words(now - seconds(text))
    except ValueError:
        return "<unknown>"


def left(text: str, now: float) -> str:
    """How long it is until a token expires."""
    from .times import seconds, words

    if text == RENEWED:
        return "with the handle"
    try:
        span = seconds(text) - now
    except ValueError:
        return "<unknown>"
    return f"in {words(span)}" if span > 0 else f"{words(-span)} ago"


def handle_object(one: Handle) -> Object:
    """A handle for ``-o json``."""
    fields = one._asdict()
    return {field: value for field, value in fields.items() if value}
