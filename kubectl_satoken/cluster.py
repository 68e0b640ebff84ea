"""The World from the API server, and the transport under it.

The only module that imports ``kubernetes``, and only when a command connects. JSON in and out as
plain dicts: typed models, and the parts of the client that serialise for them, load pydantic, which
alone doubles the time of a short command.
"""

import json
import os
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader, find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from . import __version__
from .env import Env
from .errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeconfigError,
    NotFound,
    SatokenError,
    ServerError,
    TooManyRequests,
    TooOld,
    Unauthorized,
    Unreachable,
)
from .world import KINDS, Kind, Object, Ref, Unseen, Want

if TYPE_CHECKING:
    from .discovery import Discovered
    from .kubeconfig import Target

CONNECTIONS = 8
CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 30.0  # seconds between two pieces of an answer
TRIES = 4
LONGEST_WAIT = 30.0  # seconds; a longer Retry-After is not waited for
PATIENCE = 0.015  # seconds without an answer after which the other reads go out as well
PAGE = 500  # objects, as kubectl's --chunk-size

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


# --- the official client, without what nobody here uses -------------------------------------------

UNUSED = {
    f"kubernetes.{name}"
    for name in ("config", "dynamic", "informer", "leaderelection", "stream", "watch")
}


class Deferred(PathFinder):
    """Lets ``import kubernetes`` leave its unused parts unloaded, which Python 3.15 does itself."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in UNUSED:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def official_client(host: str) -> Any:
    """An ``ApiClient`` for the host that leaves proxies, credentials and TLS to us."""
    if sys.version_info < (3, 15):
        sys.meta_path.insert(0, Deferred)
    try:
        from kubernetes.client import ApiClient, Configuration
    finally:
        if Deferred in sys.meta_path:
            sys.meta_path.remove(Deferred)
    try:
        # "" keeps the client from looking for proxies, which kubeconfig.py has done as kubectl does
        configuration = Configuration(
            host=host, connection_pool_maxsize=CONNECTIONS, proxy="", no_proxy=""
        )
    except TypeError:  # before 37
        configuration = Configuration(host=host)
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.proxy = None
    return ApiClient(configuration)


def pool_manager(target: "Target") -> Any:
    """The connections to the target's API server, perhaps through its proxy.

    The TLS context is our own because from Python 3.13 on the client's refuses certificate
    authorities without key usage or key identifiers, which kubectl accepts. Retries and redirects
    are off: `Api.request` knows which requests are safe to repeat, and no API server redirects.
    """
    import urllib3

    options: dict[str, Any] = {"maxsize": CONNECTIONS, "retries": False}
    if target.server.lower().startswith("https:"):
        from .kubeconfig import tls_context

        options["ssl_context"] = tls_context(target)
        if target.tls_server_name:
            options["server_hostname"] = target.tls_server_name
    if target.insecure:  # asked for in so many words; kubectl does not warn either
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if not target.proxy_url:
        return urllib3.PoolManager(**options)
    proxy = urlsplit(target.proxy_url)
    if proxy.scheme.startswith("socks"):
        if find_spec("socks") is None:  # urllib3 would warn before it fails
            raise KubeconfigError(
                "the proxy of this cluster is a SOCKS proxy, for which PySocks is needed",
                "install the Python package PySocks beside kubectl-satoken",
            )
        from urllib3.contrib.socks import SOCKSProxyManager

        # with socks5 kubectl lets the proxy resolve names, which urllib3 calls socks5h
        return SOCKSProxyManager(re.sub(r"^socks5:", "socks5h:", target.proxy_url), **options)
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(without_login(target.proxy_url), **options)


def without_login(url: str) -> str:
    """The URL without the user name and password it may hold."""
    return re.sub(r"//[^/@]*@", "//", url, count=1)


# --- text that others wrote -----------------------------------------------------------------------

# Not compiled here, since few commands come to need them. A JWT, the same in base64 (as the data of
# a Secret has it), and the value of an Authorization header:
TOKENS = r"eyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?|ZXlK[A-Za-z0-9+/=]{20,}|(?<=Bearer )\S+|(?<=Basic )\S+"
WARNING = r'299 \S+ "((?:[^"\\]|\\.)*)"'  # RFC 7234 5.5; the API server sends only 299


def one_line(text: str, limit: int = 256) -> str:
    """Foreign text as one short line without tokens, markup or control characters."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
    if title:
        text = title[1]
    elif "<" in text:
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.I | re.S)
    text = "".join(c if c.isprintable() else " " for c in re.sub(TOKENS, "***", text))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def header(name: str, value: str) -> str:
    """A header's value as ``http.client`` wants it: UTF-8 bytes as Latin-1 characters.

    Checked here since ``http.client`` would put the value, which may be a token, in its error.
    """
    if any(c < " " and c != "\t" or c == "\x7f" for c in value):
        raise KubeconfigError(
            f"the {name} header cannot be sent: it would hold a control character",
            "look for a line break inside the token or the user name in the kubeconfig",
        )
    return value.encode().decode("latin-1")


def user_agent() -> str:
    """As kubectl names itself: program, version, system and architecture in Go's words."""
    machine = (os.uname().machine if hasattr(os, "uname") else "unknown").lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"kubectl-satoken/{__version__} ({sys.platform}/{machine})"


# --- errors ---------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What came back: HTTP status and its phrase, headers, the whole body."""

    status: int
    phrase: str
    headers: Any
    body: bytes


def status_of(answer: Answer) -> Object:
    """The ``Status`` in the body of an answer, or an empty dict when there is none."""
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


def nothing_sent(error: BaseException) -> bool:
    """Whether a request failed before any of it left, so that even a write may be repeated."""
    from urllib3.exceptions import NewConnectionError

    return isinstance(error, NewConnectionError) and isinstance(
        error.__cause__, ConnectionRefusedError
    )


def broke_off(error: BaseException) -> bool:
    """Whether a connection was cut in the middle of a request or an answer."""
    from urllib3.exceptions import ProtocolError

    return isinstance(error, ProtocolError)


def pause(answer: Answer, method: str, attempt: int) -> float | None:
    """Seconds after which to repeat a request that was answered so, or None for not at all.

    A write is repeated only after a 429, which says that nothing was done, and only when the server
    asks for it. Full seconds come from the server, jitter from us.
    """
    asked = answer.headers.get("Retry-After") if answer.headers else None
    if asked is None and answer.status in (429, 500):
        asked = (status_of(answer).get("details") or {}).get("retryAfterSeconds")
    seconds = float(asked) if asked is not None and re.fullmatch(r"\d{1,6}", str(asked)) else None
    if method not in ("GET", "HEAD"):
        if answer.status != 429 or seconds is None:
            return None
    elif answer.status == 500:
        if seconds is None:
            return None
    elif answer.status not in (429, 502, 503, 504):
        return None
    if seconds is None:
        return backoff(attempt)
    return None if seconds > LONGEST_WAIT else seconds + jitter(0, 0.2)


def backoff(attempt: int) -> float:
    """Seconds to wait after the given attempt (1, 2, …): doubling, with jitter."""
    return jitter(0.05, 0.1) * (1 << attempt - 1)


def jitter(least: float, most: float) -> float:
    """Some seconds, so that many clients do not come back at the same moment."""
    import random  # loads hashlib, which a request that succeeds does not need

    return random.uniform(least, most)


# --- requests -------------------------------------------------------------------------------------


def connect(target: "Target", env: Env, verbosity: int = 0) -> "Api":
    """The API server of a kubeconfig. Sends nothing yet, but may run an exec plugin for a client
    certificate. Raises KubeconfigError."""
    return Api(target, env, verbosity)


class Api:
    """One API server, as one user."""

    def __init__(self, target: "Target", env: Env, verbosity: int = 0) -> None:
        self.target = target
        self.env = env
        self.verbosity = verbosity
        self.namespace: str = target.namespace or "default"
        self.server = target.server.rstrip("/")
        self.client = official_client(self.server)
        self.certificate = target.credentials.certificate()
        self.client.rest_client.pool_manager = pool_manager(target)
        self.lock = threading.Lock()
        self.credentials_age = 0  # how often the credentials were renewed
        self.said: set[str] = set()
        self.discovered: Discovered | None = None
        host = urlsplit(self.server).hostname or ""
        self.loopback = host == "localhost" or host == "::1" or host.startswith("127.")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Iterable[tuple[str, str]] = (),
        content_type: str | None = None,
        accept: str | None = None,
        raw: bool = False,
    ) -> Any:
        """Sends one request and returns the JSON of the answer; its bytes when ``raw``.

        ``path`` starts with a slash and is percent-encoded already (see `path_of`). Repeats what
        may be repeated. Raises the ApiError that the answer stands for, or Unreachable.
        """
        url = self.server + path
        query = list(query)
        if query:
            url += "?" + urlencode(query)
        timeout = self.target.request_timeout or None
        patient = self.target.request_timeout == 0  # kubectl's word for no limit
        deadline = None if timeout is None else time.monotonic() + timeout
        refreshed = False
        attempt = 0
        while True:
            attempt += 1
            left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            limits = (left, left) if left or patient else (CONNECT_TIMEOUT, READ_TIMEOUT)
            age = self.credentials_age
            headers = self.headers(accept or JSON, content_type, body is not None)
            wait: float | None
            try:
                answer = self.send(method, url, headers, body, limits, deadline)
            except (self.http_error, OSError) as error:
                safe = nothing_sent(error) or (method in ("GET", "HEAD") and broke_off(error))
                wait = backoff(attempt) if safe else None
                failure: SatokenError = unreachable(error, self.target, timeout)
                failure.__cause__ = error
            else:
                self.warn(answer.headers)
                if answer.status == 401 and not refreshed and self.refresh(age):
                    refreshed = True
                    continue
                if 200 <= answer.status < 300:
                    return answer.body if raw else self.parse(answer, method, url)
                wait = pause(answer, method, attempt)
                failure = api_error(answer, method, url)
            if wait is None or attempt == TRIES:
                raise failure
            if deadline is not None and time.monotonic() + wait >= deadline:
                raise failure
            if wait >= 1:
                self.say(f"the server is busy, trying again in {wait:.0f} s")
            time.sleep(wait)

    def pages(
        self,
        path: str,
        query: Iterable[tuple[str, str]] = (),
        accept: str | None = None,
        limit: int = PAGE,
    ) -> Iterator[Object]:
        """The pages of a list, each a List or Table as the server wrote it.

        The server forgets what a continue token stands for after some minutes. It then offers one
        that goes on with the newest objects, which is taken; without it the list is read again and
        what was yielded is left out. Lists come in the order of their keys, which is why the last
        key is enough to know.
        """
        first = [*query, ("limit", str(limit))]
        token = last = skip = ""
        restarts = 0
        while True:
            where = [*first, ("continue", token)] if token else first
            try:
                page = self.request("GET", path, query=where, accept=accept)
            except Expired as error:
                if not token or restarts == 3:
                    raise
                restarts += 1
                token = str(error.details.get("continue") or "")
                skip = "" if token else last
                self.say("the list took long to read; going on with the objects of now")
                continue
            entries = page.get("rows") if page.get("kind") == "Table" else page.get("items")
            entries = entries or []
            if skip:
                entries[:] = [entry for entry in entries if key_of(entry) > skip]
            if entries:
                last = max(last, key_of(entries[-1]))
            yield page
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    # --- below: the parts of a request

    def headers(self, accept: str, content_type: str | None, has_body: bool) -> Any:
        """Who we are, what we send and what we want."""
        from urllib3 import HTTPHeaderDict  # a dict cannot repeat Impersonate-Group

        headers = HTTPHeaderDict()
        headers["User-Agent"] = user_agent()
        headers["Accept"] = accept
        if not self.loopback:  # compressing costs the server more than the loopback does
            headers["Accept-Encoding"] = "gzip"
        if content_type or has_body:
            headers["Content-Type"] = content_type or JSON
        with self.lock:  # an exec plugin is to run once, not once for each thread
            authorization = self.target.credentials.authorization()
            certificate = self.target.credentials.certificate()
            if certificate != self.certificate:  # an exec plugin's has been renewed
                self.certificate = certificate
                self.client.rest_client.pool_manager = pool_manager(self.target)
        if authorization is not None:
            headers["Authorization"] = header("Authorization", authorization.reveal())
        if self.target.impersonate is not None:
            for name, value in self.target.impersonate.headers():
                headers.add(name, header(name, value))
        return headers

    def send(
        self,
        method: str,
        url: str,
        headers: Any,
        body: Any,
        limits: tuple[float | None, float | None],
        deadline: float | None,
    ) -> Answer:
        """One request over the wire. Raises what urllib3 raises."""
        from kubernetes.client.exceptions import ApiException

        rest = self.client.rest_client
        old = "_preload_content" in rest.request.__code__.co_varnames  # before 37
        started = time.monotonic()
        try:
            response = rest.request(
                method,
                url,
                headers=headers,
                body=body,
                _request_timeout=limits,
                **({"_preload_content": False} if old else {}),
            )
            response = getattr(response, "response", response)
            content = read(response, deadline)
            answer = Answer(response.status, response.reason or "", response.headers, content)
        except ApiException as error:
            if not error.status:  # the client wraps TLS errors, and only them
                raise (error.__context__ or error) from None
            # the versions before 37 raise for every status that is not 2xx
            body_read: Any = error.body  # typed as str too, but we asked for the bytes
            answer = Answer(error.status, error.reason or "", error.headers, body_read or b"")
        if self.verbosity >= 6:
            self.trace(method, url, headers, answer, time.monotonic() - started)
        return answer

    @property
    def http_error(self) -> type[Exception]:
        """What urllib3 raises."""
        from urllib3.exceptions import HTTPError

        return HTTPError

    def refresh(self, age: int) -> bool:
        """Renews the credentials after a 401, once for all threads that got one with the same."""
        with self.lock:
            if self.credentials_age == age:
                if not self.target.credentials.refresh_after_401():
                    return False
                self.credentials_age += 1
            return True

    def parse(self, answer: Answer, method: str, url: str) -> Any:
        """The JSON of an answer."""
        if not answer.body:
            return {}
        try:
            document = json.loads(answer.body)
            if isinstance(document, dict):
                return document
        except ValueError:
            pass
        text = one_line(answer.body[:2000].decode("utf-8", "replace"))
        raise ServerError(
            f"{method} {without_login(url)} was not answered with a JSON object: {text}",
            "is there a proxy or a login page before the API server?",
            code=answer.status,
        )

    def warn(self, headers: Any) -> None:
        """Shows the server's warnings, each once, as kubectl does."""
        for line in headers.getlist("Warning") if headers else ():
            for text in re.findall(WARNING, line.encode("latin-1").decode("utf-8", "replace")):
                self.say("Warning: " + one_line(re.sub(r"\\(.)", r"\1", text), 1024))

    def say(self, text: str) -> None:
        """Writes a line to stderr, unless it has been written before."""
        with self.lock:
            if text in self.said:
                return
            self.said.add(text)
        self.env.stderr.write(text + "\n")

    def trace(self, method: str, url: str, headers: Any, answer: Answer, seconds: float) -> None:
        """What -v shows: from 6 on the request, from 8 on headers and bodies.

        Never credentials, nor bodies that may hold them.
        """
        lines = [
            f"{method} {without_login(url)} {answer.status} {answer.phrase} "
            f"in {seconds * 1000:.0f} milliseconds"
        ]
        if self.verbosity >= 8:
            hidden = ("authorization", "proxy-authorization", "cookie")
            for name, value in headers.items():
                lines.append(f"  {name}: {'***' if name.lower() in hidden else value}")
            for name, value in (answer.headers or {}).items():
                lines.append(f"  < {name}: {'***' if name.lower() == 'set-cookie' else value}")
            if re.search(r"/secrets|/token|tokenreviews", url):
                lines.append("  (the body may hold a secret and is not shown)")
            else:
                limit = 1024 if self.verbosity == 8 else 1 << 20
                lines.append("  " + one_line(answer.body.decode("utf-8", "replace"), limit))
        self.env.stderr.write("\n".join(lines) + "\n")


def read(response: Any, deadline: float | None) -> bytes:
    """The whole body. The deadline is for all of it, while a socket's timeout is for each piece."""
    if deadline is None:
        return bytes(response.data)
    from urllib3.exceptions import ReadTimeoutError

    pieces = []
    while piece := response.read1(1 << 16):
        pieces.append(piece)
        if time.monotonic() > deadline:
            response.close()
            raise ReadTimeoutError(None, "", "deadline")  # type: ignore[arg-type]
    return b"".join(pieces)


def key_of(entry: Object) -> str:
    """What the server sorts a list by."""
    metadata = (entry.get("object") or entry).get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def path_of(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of an object, or without a name of a list, or with neither of all namespaces."""
    parts = ["apis" if kind.group else "api", *kind.api_version.split("/")]
    if kind.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts += [kind.plural, *filter(None, (name, subresource))]
    for part in parts:
        if part in (".", "..") or "/" in part or "%" in part:  # the API server's own rule
            raise Invalid(f'"{one_line(part)}" is not a name that an object can have')
    return "/" + "/".join(quote(part, safe=":") for part in parts)


# --- the World ------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a read came to: a value, or the error to raise whenever it is asked for."""

    value: Any
    error: Exception | None = None


Objects = list[Object]
Listed = dict[str, dict[str, Object]]  # namespace, name


class ClusterWorld:
    """The World of a live cluster. What was read once is not read again."""

    source = "cluster"

    def __init__(self, api: Api, env: Env) -> None:
        self.api = api
        self.env = env
        self.flags: tuple[str, ...] = ()
        self.memo: dict[tuple[str, Want], Outcome] = {}

    def now(self) -> float:
        """The time to judge by."""
        return self.env.now()

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        """The object, or None when it is not there. Raises Unseen, and what says that no read works
        (Unreachable, Unauthorized).

        A list that was read already answers, too.
        """
        known = known_kind(kind, api_version)
        if known is not None:
            # a Want of kind Event without a version is for the events about that name
            api_version = known.api_version if kind == "Event" else ""
            if not known.namespaced:
                namespace = ""
            for scope in (namespace, ""):
                listed = self.memo.get(("", Want(kind, scope)))
                if listed is not None and listed.error is None:
                    found: Object | None = listed.value.get(namespace, {}).get(name)
                    return found
        value: Object | None = self.recall(Want(kind, namespace, name), api_version)
        return value

    def list(self, kind: str, namespace: str = "") -> Iterator[Object]:
        """All objects of a kind, of one namespace or (empty) of all. Raises Unseen before yielding.

        The pods of all namespaces are not kept, so that memory stays small.
        """
        everywhere = self.memo.get(("", Want(kind)))
        if everywhere is None and kind == "Pod" and not namespace:
            return self.stream(KINDS[kind])
        if everywhere is not None and everywhere.error is None and namespace:
            return iter([*everywhere.value.get(namespace, {}).values()])
        return flat(self.recall(Want(kind, namespace)))

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        """The events about the objects of that name. Raises Unseen."""
        return flat(self.recall(Want("Event", namespace, name)))

    def text(self, path: str) -> Object | None:
        """A non-resource document. Raises Unseen."""
        value: Object | None = self.recall(Want("", "", path))
        return value

    def prepare(self, wants: Iterable[Want]) -> None:
        """Reads what will be asked for, where that is quicker. Never raises: errors wait.

        The first read goes out alone. When its answer takes longer than `PATIENCE`, the server is
        far, and the others go out at once on connections of their own: one round of waiting for
        all. When it is quick, the others are left for whoever asks, on the same connection: to a
        near server the TLS handshakes are the dear part, and some reads turn out not to be needed.
        """
        todo = deque(want for want in dict.fromkeys(wants) if ("", want) not in self.memo)
        if len(todo) < 2:
            return
        answers: SimpleQueue[tuple[Want, Outcome]] = SimpleQueue()
        pending = set(todo)
        far = threading.Event()

        def take() -> None:
            while todo:
                try:
                    want = todo.popleft()
                except IndexError:  # another thread was quicker
                    return
                answers.put((want, self.attempt(want)))
                if not far.is_set():
                    return

        def start(threads: int) -> None:
            for _ in range(threads):
                threading.Thread(target=take, daemon=True).start()

        start(1)
        since = idle_clock()
        while pending:
            left = None if far.is_set() else PATIENCE - (idle_clock() - since)
            if left is not None and left <= 0:
                far.set()
                start(min(len(todo), CONNECTIONS - 1))
                continue
            try:
                want, outcome = answers.get(timeout=left)
            except Empty:
                continue
            pending.discard(want)
            self.memo["", want] = outcome
            if outcome.error is not None and not isinstance(outcome.error, Unseen):
                # no read will fare better, so nobody waits for the others to find that out
                todo.clear()
                for other in pending:
                    self.memo["", other] = outcome
                return
            if not far.is_set():
                return

    # --- below: reading

    def recall(self, want: Want, api_version: str = "") -> Any:
        key = (api_version, want)
        if key not in self.memo:
            self.memo[key] = self.attempt(want, api_version)
        outcome = self.memo[key]
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value

    def attempt(self, want: Want, api_version: str = "") -> Outcome:
        try:
            return Outcome(self.read(want, api_version))
        except Exception as error:
            return Outcome(None, error)

    def read(self, want: Want, api_version: str = "") -> Any:
        if not want.kind:
            return self.read_document(want.name)
        if want.kind == "Event" and want.name and not api_version:
            about = [("fieldSelector", f"involvedObject.name={want.name}")]
            return by_name(self.pages(KINDS["Event"], want.namespace, about))
        kind = self.kind(want.kind, api_version)
        if kind is None:
            if want.name:
                return None
            raise Unseen(want.kind, "this cluster has no such type")
        if want.name:
            return self.read_object(kind, want.namespace, want.name)
        return by_name(self.pages(kind, want.namespace))

    def kind(self, kind: str, api_version: str) -> Kind | None:
        """The resource type of a kind. Raises Unseen when discovery fails."""
        known = known_kind(kind, api_version)
        if known is not None:
            return known
        from . import discovery

        try:
            return discovery.of_kind(self.api, kind, api_version)
        except ApiError as error:
            raise unseen(error, kind, "get", Kind("", "", "/apis", False), "") from error

    def read_object(self, kind: Kind, namespace: str, name: str) -> Object | None:
        what = str(Ref(kind.kind, namespace, name))
        secret = kind == KINDS["Secret"]
        try:
            thing: Object = self.api.request(
                "GET", path_of(kind, namespace, name), accept=TABLE if secret else JSON
            )
        except (NotFound, TooOld):
            return None
        except ApiError as error:
            raise unseen(error, what, "get", kind, namespace) from error
        if not secret:
            return thing
        rows = secrets_of(thing)
        return rows[0] if rows else None

    def read_document(self, path: str) -> Object | None:
        try:
            document: Object = self.api.request("GET", path)
        except (NotFound, TooOld):
            return None
        except ApiError as error:
            raise unseen(error, path, "get", Kind("", "", path, False), "") from error
        return document

    def pages(
        self, kind: Kind, namespace: str, query: Iterable[tuple[str, str]] = ()
    ) -> Iterator[Objects]:
        """The objects of a list, page by page, each with the kind that lists leave out."""
        secret = kind == KINDS["Secret"]
        path = path_of(kind, namespace)
        try:
            for page in self.api.pages(path, query, accept=TABLE if secret else JSON):
                if secret:
                    yield secrets_of(page)
                    continue
                yield [
                    {"kind": kind.kind, "apiVersion": kind.api_version, **item}
                    for item in page.get("items") or ()
                ]
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, namespace) from error

    def stream(self, kind: Kind) -> Iterator[Object]:
        pages = self.pages(kind, "")
        first = next(pages, [])  # now, so that Unseen is raised here

        def rest() -> Iterator[Object]:
            yield from first
            for page in pages:
                yield from page

        return rest()


def idle_clock() -> float:
    """Seconds that this process has not been computing: waiting, that is, for an answer.

    The wall clock alone would take our own loading of modules for a slow network.
    """
    return time.monotonic() - time.process_time()


def known_kind(kind: str, api_version: str) -> Kind | None:
    """The built-in type of that name, unless it is of another API group. Any version will do."""
    known = KINDS.get(kind)
    if known is None or (api_version and known.group != api_version.rpartition("/")[0]):
        return None
    return known


def by_name(pages: Iterable[Objects]) -> Listed:
    listed: Listed = {}
    for page in pages:
        for thing in page:
            metadata = thing.get("metadata") or {}
            listed.setdefault(metadata.get("namespace", ""), {})[metadata.get("name", "")] = thing
    return listed


def flat(listed: Listed) -> Iterator[Object]:
    return (thing for things in listed.values() for thing in things.values())


def secrets_of(table: Object) -> list[Object]:
    """Secrets from a server-side table: metadata, type and the number of keys, no values.

    kubectl apply leaves a copy of the whole object in an annotation; it is dropped at once.
    """
    columns = [column.get("name") for column in table.get("columnDefinitions") or ()]
    if table.get("kind") != "Table" or "Type" not in columns or "Data" not in columns:
        raise Unseen("secrets", "the server does not list them without their values")
    kind, data = columns.index("Type"), columns.index("Data")
    secrets = []
    for row in table.get("rows") or ():
        metadata = (row.get("object") or {}).get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
        secrets.append(
            {
                "kind": "Secret",
                "apiVersion": "v1",
                "metadata": metadata,
                "type": row["cells"][kind],
                "dataCount": int(row["cells"][data]),
            }
        )
    return secrets


def unseen(error: ApiError, what: str, verb: str, kind: Kind, namespace: str) -> Unseen | ApiError:
    """Why something could not be looked at. Unauthorized stays: no read would fare better."""
    if isinstance(error, Unauthorized):
        return error
    if isinstance(error, Forbidden):
        where = ""
        if kind.namespaced:
            where = f" in namespace {namespace}" if namespace else " in all namespaces"
        return Unseen(what, f"forbidden to you: needs {verb} {kind.plural}{where}")
    if isinstance(error, TooOld):
        return Unseen(what, "this cluster does not serve them")
    return Unseen(what, error.message)
