"""What can go wrong, as types: one clear line, a hint, an exit status.

The API errors carry the names of the reasons that Kubernetes itself gives in a ``Status`` body
(``metav1.StatusReason``), so that a reader who knows kubectl knows them.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses of every command."""

    OK = 0
    FINDINGS = 1  # findings at or above --fail-on, or the answer is no
    USAGE = 2  # the same as argparse's own
    FAILED = 3  # could not: kubeconfig, network, forbidden, bad manifest
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


# Whatever looks like a JWT, also in base64 once more, as a Secret has it; and credentials of HTTP.
SECRETS = r"eyJ[\w-]{4,}(?:\.[\w-]*){0,2}|ZXlK[A-Za-z0-9+/=]{20,}|(?<=Bearer )\S+|(?<=Basic )\S+"


def redact(text: str) -> str:
    """Text without anything in it that looks like a token."""
    import re

    return re.sub(SECRETS, "***", text)


def one_line(text: str, limit: int = 256) -> str:
    """Text that others wrote as one short line without tokens, markup or control characters."""
    import re

    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
    if title:
        text = title[1]
    elif "<" in text:
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.I | re.S)
    text = "".join(each if each.isprintable() else " " for each in redact(text))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def visible(text: str) -> str:
    """Text that is safe on a terminal: what does not print stands as its escape, as ``\\x1b``.

    That covers control characters, line breaks, marks that turn the direction of writing, and
    surrogates that no encoding takes.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class SatokenError(Exception):
    """An error for the person at the terminal: one line, perhaps a hint, never a traceback.

    The message names the thing and the rule, in lower case and without a full stop; the hint says
    what to do next. Neither may hold a token or any other credential.
    """

    status = ExitStatus.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SatokenError):
    """The command line is wrong."""

    status = ExitStatus.USAGE


class KubeconfigError(SatokenError):
    """The kubeconfig, or a credential it names, cannot be used."""


class ManifestError(SatokenError):
    """A manifest cannot be read."""


class Unreachable(SatokenError):
    """The API server did not answer: refused, timed out, unknown host, certificate not trusted."""


class ApiError(SatokenError):
    """The API server answered with an error.

    ``code`` is the HTTP status, ``reason`` the ``reason`` of the Status body (may be empty),
    ``details`` its ``details``.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        code: int = 0,
        reason: str = "",
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.code = code
        self.reason = reason
        self.details = details or {}


class Unauthorized(ApiError):
    """401: the API server does not accept the credentials."""


class Forbidden(ApiError):
    """403: known, but not allowed (RBAC, another authorizer, or an admission plugin)."""


class NotFound(ApiError):
    """404: the object, or the resource type, is not there."""


class AlreadyExists(ApiError):
    """409: an object of that name is there already."""


class Conflict(ApiError):
    """409: the object was changed, or replaced, since it was read."""


class Invalid(ApiError):
    """422 or 400: the API server refuses the object or the request."""


class Expired(ApiError):
    """410: a continue token or resourceVersion is too old."""


class TooManyRequests(ApiError):
    """429: asked to slow down, and still so after the retries."""


class ServerError(ApiError):
    """5xx: the API server, or something before it, failed."""


class TooOld(ApiError):
    """The API server does not know this API: the cluster is too old, or has it switched off."""
