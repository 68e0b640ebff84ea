"""Secrets that hold, or should hold, the token of a service account; of none the values are kept.

A Secret from a cluster comes without its data (see live.py). One from a file has it, so `redacted`
leaves of each value its size, and of the one under the key ``token`` what form it has.
"""

from collections.abc import Iterator
from typing import Any

from .mounts import ACCOUNT_ANNOTATION, EMPTY, TOKEN_SECRET_TYPE, containers
from .world import Object

UID_ANNOTATION = "kubernetes.io/service-account.uid"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# Annotations of Secrets that have a copy of their values: of the whole, and (up to OpenShift 4.15)
# of the token in a dockercfg Secret.
VALUE_ANNOTATIONS = (LAST_APPLIED, "openshift.io/token-secret.value")

# Labels of the API server and of the cleaner (pkg/serviceaccount/legacy.go).
LAST_USED_LABEL = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE_LABEL = "kubernetes.io/legacy-token-invalid-since"

# What belongs to one stored Secret and must not go into another.
OWN_ANNOTATIONS = (ACCOUNT_ANNOTATION, UID_ANNOTATION, LAST_APPLIED)
OWN_LABELS = (LAST_USED_LABEL, INVALID_SINCE_LABEL)

# How people call the Secret with the token of an account.
ENDINGS = (
    "-token",
    "-sa-token",
    "-token-secret",
    "-secret",
    ".service-account-token",
    "-service-account-token",
)

# The forms that the text under the key ``token`` can have.
PLAIN = "a token as it is"
PADDED = "a token with quotes, spaces or line breaks around it"
ENCODED = "a token in base64"
PADDED_ENCODED = "a token with quotes, spaces or line breaks around it, in base64"
TWICE_ENCODED = "a token in base64 in base64"
BASE64 = "something in base64"
OTHER = "something else"
FORMS = (EMPTY, PLAIN, PADDED, ENCODED, PADDED_ENCODED, TWICE_ENCODED, BASE64, OTHER)

# By field, the forms that are no token any more when the API server has taken them: it decodes
# ``data`` once, and takes ``stringData`` as it stands.
GARBLED = {
    "data": (PLAIN, PADDED, PADDED_ENCODED, TWICE_ENCODED),
    "stringData": (PADDED, ENCODED, PADDED_ENCODED, TWICE_ENCODED),
}


def redacted(document: Object) -> Object:
    """A Secret without its values, nor the copies in annotations, and any other object as it is."""
    if str(document.get("kind", "")).lower() != "secret" and "stringData" not in document:
        return document
    clean = dict(document)
    for field in ("data", "stringData"):
        values = document.get(field)
        if isinstance(values, dict):
            clean[field] = {
                key: form_of(value) if key == "token" else size_of(value)
                for key, value in values.items()
            }
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(annotations, dict) and isinstance(metadata, dict):
        kept = {key: value for key, value in annotations.items() if key not in VALUE_ANNOTATIONS}
        clean["metadata"] = {**metadata, "annotations": kept}
    return clean


def size_of(value: Any) -> int:
    """How long a value is as it is written."""
    return value if isinstance(value, int) else len(str(value or ""))


def form_of(value: Any) -> str:
    """What form a text has that should be a token: one of the above."""
    if value is None or value == "":
        return EMPTY
    if not isinstance(value, str):
        return OTHER
    if value in FORMS:
        return value  # a snapshot of what was redacted already
    if is_jwt(value):
        return PLAIN
    if is_jwt(bare(value)):
        return PADDED
    decoded = unbase64(value)
    if decoded is None:
        return OTHER
    if is_jwt(decoded):
        return ENCODED
    if is_jwt(bare(decoded)):
        return PADDED_ENCODED
    inner = unbase64(decoded)
    if inner is not None and is_jwt(bare(inner)):
        return TWICE_ENCODED
    return BASE64


def is_jwt(text: str) -> bool:
    """Whether a text looks like a JSON Web Token: three parts in base64url, the first an object."""
    parts = text.split(".")
    return (
        len(parts) == 3
        and text.startswith("eyJ")
        and all(
            part and part.isascii() and part.replace("-", "").replace("_", "").isalnum()
            for part in parts
        )
    )


def bare(text: str) -> str:
    """A text without what people leave around a token: quotes, white space, ``Bearer``."""
    return text.strip().strip("'\"").strip().removeprefix("Bearer ").strip()


def unbase64(text: str) -> str | None:
    """What a text in base64 says; None when it is not that. Line breaks in it do not count."""
    import base64
    import binascii

    try:
        plain = "".join(text.split("\n")).replace("\r", "")
        return base64.b64decode(plain, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None


def token_form(secret: Object, field: str) -> str:
    """The form of the token in ``data`` or ``stringData`` of a Secret from a file; empty if none.

    Secrets from a cluster show none.
    """
    return str((secret.get(field) or {}).get("token") or "")


def garbled_in(secret: Object) -> str:
    """The field of a Secret in a file where the token is in a wrong form; empty if none is."""
    for field, forms in GARBLED.items():
        if token_form(secret, field) in forms:
            return field
    return ""


def taken_secrets(pod: Object) -> Iterator[str]:
    """The Secrets from which a pod may take a token: mounted, or their key ``token`` in a variable.

    What they hold is not known yet.
    """
    for volume in pod["spec"].get("volumes") or []:
        name = (volume.get("secret") or {}).get("secretName")
        if name:
            yield name
        for source in (volume.get("projected") or {}).get("sources") or []:
            name = (source.get("secret") or {}).get("name")
            if name:
                yield name
    for container in containers(pod):
        for variable in container.get("env") or []:
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if reference.get("key") == "token" and reference.get("name"):
                yield reference["name"]


def account_named(secret: Object) -> str:
    """The service account that a Secret's annotation names; empty if none."""
    return str((secret["metadata"].get("annotations") or {}).get(ACCOUNT_ANNOTATION) or "")


def is_token_type(secret: Object) -> bool:
    """Whether a Secret is of the type that the token controller fills."""
    return secret.get("type") == TOKEN_SECRET_TYPE


def untyped(secret: Object) -> bool:
    """Whether a Secret's type is no type: Opaque, or the one for tokens misspelt."""
    kind = str(secret.get("type") or "Opaque")
    plain = kind.lower().replace("-", "").replace("_", "")
    return kind == "Opaque" or ("serviceaccount" in plain and kind != TOKEN_SECRET_TYPE)


def meant_as_token(secret: Object) -> bool:
    """Whether a Secret is one for a token, or looks as if it were to be one."""
    return (
        is_token_type(secret)
        or (bool(account_named(secret)) and untyped(secret))
        or bool(garbled_in(secret))
    )


def is_empty(secret: Object) -> bool:
    """Whether a Secret has no data at all."""
    if "dataCount" in secret:
        return int(secret["dataCount"] or 0) == 0
    return not (secret.get("data") or secret.get("stringData"))


def accounts_in_name(secret: str) -> Iterator[str]:
    """The accounts that a Secret of this name would be for, going by its name alone."""
    yield secret
    for ending in ENDINGS:
        if secret.endswith(ending):
            yield secret.removesuffix(ending)
    yield secret.rpartition("-token-")[0]


def token_secret(namespace: str, name: str, account: str, like: Object | None = None) -> Object:
    """The manifest of a token Secret, with the labels and annotations of the one it is like."""
    metadata = like["metadata"] if like else {}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key not in OWN_ANNOTATIONS and not key.startswith("satoken/")
    }
    labels = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key not in OWN_LABELS
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TOKEN_SECRET_TYPE,
        "metadata": {
            "name": name,
            "namespace": namespace,
            **({"labels": labels} if labels else {}),
            "annotations": {ACCOUNT_ANNOTATION: account, **annotations},
        },
    }
