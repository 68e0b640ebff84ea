"""What an API server's answers mean that are no success, and its silence, in words and types."""

import json
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from .errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    TooOld,
    Unauthorized,
    Unreachable,
    one_line,
)
from .urls import without_login
from .world import Object

if TYPE_CHECKING:
    from .kubeconfig import Target

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 30.0  # seconds between two pieces of an answer


class Answer(NamedTuple):
    """What came back: HTTP status and its phrase, headers, the whole body."""

    status: int
    phrase: str
    headers: Any
    body: bytes


def status_of(answer: Answer) -> Object:
    """The ``Status`` in the body of an answer, or an empty dict when there is none."""
    if answer.body.startswith(b"k8s\0"):  # who asks for protobuf is refused in it
        from .pod_reader import Broken
        from .pod_reader import status_of as read

        try:
            return read(answer.body)
        except Broken:
            return {}
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def api_error(answer: Answer, method: str, url: str) -> ApiError:
    """The error that an answer stands for, by the reason of its Status, else by its HTTP status."""
    status = status_of(answer)
    details = status.get("details") or {}
    reason = str(status.get("reason") or "")
    message = one_line(str(status.get("message") or ""), 1024)
    hint = ""
    kind: type[ApiError] = ApiError
    match answer.status:
        case 401:
            kind = Unauthorized
            message = "the server has asked for the client to provide credentials"
            hint = "the token or certificate in the kubeconfig may have expired; log in again"
        case 403:
            kind = Forbidden
        case 404 if details.get("name") or details.get("kind"):
            kind = NotFound
        case 404:
            # the API server has no handler for this path, which is not about an object
            kind = TooOld
            message = f"the server does not know {urlsplit(url).path}"
            hint = "the cluster may be too old for this API, or have it switched off"
        case 409:
            kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        case 410:
            kind = Expired
            # not in the details, but the one thing to go on with
            details = {**details, "continue": (status.get("metadata") or {}).get("continue")}
        case 429:
            kind = TooManyRequests
            hint = "the server is busy; try again later"
        case code if 400 <= code < 500:
            kind = Invalid
        case code if code >= 500:
            kind = ServerError
    if not message:
        text = one_line(answer.body.decode("utf-8", "replace"))
        message = f"{method} {without_login(url)} was answered with {answer.status} {answer.phrase}"
        message = message.rstrip() + (f": {text}" if text else "")
        if b"<html" in answer.body[:1000].lower():
            hint = "Kubernetes does not answer so: is there a proxy or a login page before it?"
        elif b"HTTP request to an HTTPS server" in answer.body[:1000]:
            hint = "the server in the kubeconfig must begin with https://"
        elif 300 <= answer.status < 400:
            hint = "API servers do not redirect: is the server in the kubeconfig right?"
    return kind(message, hint, code=answer.status, reason=reason, details=details)


CERTIFICATE_FAULTS = {  # OpenSSL's X509_V_ERR_*: what it is, what to do
    9: ("is not yet valid", "is the clock of this machine right?"),
    10: ("has expired", "renew it; or is the clock of this machine wrong?"),
    62: ("is for another name", "see tls-server-name in the kubeconfig"),
    64: ("is for another address", "see tls-server-name in the kubeconfig"),
}
UNKNOWN_AUTHORITY = (
    "is signed by an unknown authority",
    "certificate-authority-data in the kubeconfig must be the authority of this cluster",
)


def unreachable(error: BaseException, target: "Target", timeout: float | None) -> Unreachable:
    """Why there was no answer, in the words of a person. ``error`` is from urllib3 or below."""
    from urllib3 import exceptions as http_errors

    chain: list[BaseException] = []
    link: Any = error
    while isinstance(link, BaseException) and link not in chain:
        chain.append(link)
        inner = next((arg for arg in link.args if isinstance(arg, BaseException)), None)
        link = link.__cause__ or getattr(link, "reason", None) or inner or link.__context__
    hint = ""
    cause = next((each for each in chain if isinstance(each, OSError)), chain[-1])
    limit = "" if timeout is None else f" (--request-timeout {timeout:g}s)"
    if any(isinstance(each, http_errors.NameResolutionError) for each in chain):
        why, hint = "no such host", "is the name right, and is a VPN needed?"
    elif isinstance(cause, ssl.SSLCertVerificationError):
        fault, hint = CERTIFICATE_FAULTS.get(cause.verify_code, UNKNOWN_AUTHORITY)
        why = f"its certificate {fault} (x509: {cause.verify_message})"
    elif isinstance(cause, ssl.SSLError):
        why = f"tls: {cause.reason or one_line(str(cause))}".replace("_", " ").lower()
        if cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            why, hint = "it does not speak TLS", "should the server in the kubeconfig be http://?"
        elif "ALERT" in (cause.reason or ""):
            hint = "the server does not accept the client certificate"
    elif any(isinstance(each, ConnectionRefusedError) for each in chain):
        why, hint = "connection refused", "is the cluster running, and the port right?"
    elif any(isinstance(each, http_errors.ReadTimeoutError) for each in chain):
        why = f"no answer within {READ_TIMEOUT if timeout is None else timeout:g} s{limit}"
    elif any(
        isinstance(each, http_errors.ConnectTimeoutError)
        and not isinstance(each, http_errors.NewConnectionError)
        for each in chain
    ):
        why = f"no connection within {CONNECT_TIMEOUT if timeout is None else timeout:g} s{limit}"
        hint = "is a VPN or a proxy needed?"
    elif any(isinstance(each, http_errors.ProtocolError | ConnectionError) for each in chain):
        why = "the connection broke off"
    else:
        why = one_line((getattr(cause, "strerror", None) or str(cause)).lower())
    through = ""
    if target.proxy_url and (
        target.proxy_url.startswith("socks")
        or any(isinstance(each, http_errors.ProxyError) for each in chain)
    ):
        through = f" through the proxy {without_login(target.proxy_url)}"
        hint = "see proxy-url in the kubeconfig, and HTTPS_PROXY"
    message = f"could not reach {without_login(target.server)}{through}: {why}"
    return Unreachable(message, target.why_here or hint)
