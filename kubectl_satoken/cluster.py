"""The API server: requests, retries, pages.

The only module that imports ``kubernetes``, and only when a command connects. JSON in and out as
plain dicts: typed models, and the parts of the client that serialise for them, load pydantic, which
alone doubles the time of a short command.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

from . import __version__
from .env import Env
from .errors import Expired, Invalid, KubeconfigError, SatokenError, ServerError, one_line
from .failures import CONNECT_TIMEOUT, READ_TIMEOUT, Answer, api_error, status_of, unreachable
from .tls import ssl_context
from .urls import without_login
from .world import Kind, Object

if TYPE_CHECKING:
    from .discovery import Discovered
    from .kubeconfig import Target

CONNECTIONS = 8
TRIES = 4
LONGEST_WAIT = 30.0  # seconds; a longer Retry-After is not waited for
PAGE = 500  # objects, as kubectl's --chunk-size

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

# Makes something of an answer, its method and URL; raises ServerError.
Read = Callable[[Answer, str, str], Any]


# --- the official client, without what nobody here uses -------------------------------------------

UNUSED = {
    f"kubernetes.{name}"
    for name in ("config", "dynamic", "informer", "leaderelection", "stream", "watch")
}


class Deferred:
    """Lets ``import kubernetes`` leave its unused parts unloaded, which Python 3.15 does itself."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in UNUSED:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class Settings:
    """What the client's transport reads of a ``Configuration``; only the host is not a default.

    ``Configuration`` itself loads logging, typing_extensions and inspect, which is a tenth of a
    short command. Proxies, credentials and TLS are ours: see `pool_manager`.
    """

    verify_ssl = True
    connection_pool_maxsize = CONNECTIONS
    proxy = ""
    no_proxy = ""
    keep_alive = False
    ssl_ca_cert = cert_file = key_file = ca_cert_data = None
    assert_hostname = retries = tls_server_name = socket_options = proxy_headers = None

    def __init__(self, host: str) -> None:
        self.host = host


def official_client(host: str) -> Any:
    """The transport of the official client, ``RESTClientObject``, before it knows its connections.

    ``ApiClient`` around it would add what typed models need: their formats, their thread pool.
    """
    if sys.version_info < (3, 15):
        sys.meta_path.insert(0, Deferred)
    try:
        from kubernetes.client.rest import RESTClientObject
    finally:
        if Deferred in sys.meta_path:
            sys.meta_path.remove(Deferred)
    try:
        return RESTClientObject(Settings(host))
    except AttributeError:  # a version that reads more than those we know
        from kubernetes.client import Configuration

        return RESTClientObject(Configuration(host=host))


def tls_context(target: "Target") -> Any:
    """What connections to the target trust; None for one without TLS. Raises KubeconfigError."""
    if not target.server.lower().startswith("https:"):
        return None
    return ssl_context(target.ca, target.insecure, target.credentials.certificate())


def pool_manager(target: "Target", context: Any) -> Any:
    """The connections to the target's API server, perhaps through its proxy.

    The TLS context is our own because from Python 3.13 on the client's refuses certificate
    authorities without key usage or key identifiers, which kubectl accepts. Retries and redirects
    are off: `Api.request` knows which requests are safe to repeat, and no API server redirects.
    """
    import urllib3

    options: dict[str, Any] = {"maxsize": CONNECTIONS, "retries": False}
    if context is not None:
        options["ssl_context"] = context
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


Result = TypeVar("Result")


def begin(do: Callable[[], Result]) -> Callable[[], Result]:
    """Has a thread do something; what is returned waits for it, and raises what went wrong."""
    outcome: list[Result | BaseException] = []

    def run() -> None:
        try:
            outcome.append(do())
        except BaseException as error:  # for who waits
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait() -> Result:
        thread.join()
        result = outcome.pop()
        if isinstance(result, BaseException):
            raise result
        return result

    return wait


# --- headers --------------------------------------------------------------------------------------

# RFC 7234 5.5; the API server sends only 299. Not compiled here, since few commands need it.
WARNING = r'299 \S+ "((?:[^"\\]|\\.)*)"'


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


# --- retries --------------------------------------------------------------------------------------


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

    erase = ""  # what takes away the line of progress that the cursor is on

    def __init__(self, target: "Target", env: Env, verbosity: int = 0) -> None:
        self.target = target
        self.env = env
        self.verbosity = verbosity
        self.namespace: str = target.namespace or "default"
        self.server = target.server.rstrip("/")
        self.certificate = target.credentials.certificate()
        # OpenSSL takes as long for it as a near server for an answer
        context = begin(lambda: tls_context(target))
        self.client = official_client(self.server)
        self.client.pool_manager = pool_manager(target, context())
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
        accept: str = JSON,
        read: Read | None = None,
    ) -> Any:
        """Sends one request and returns the JSON of the answer, or what ``read`` makes of it.

        ``path`` starts with a slash and is percent-encoded already (see `path_of`). Repeats what
        may be repeated. Raises the ApiError that the answer stands for, or Unreachable.
        """
        from urllib3.exceptions import HTTPError

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
            headers = self.headers(accept, content_type, body is not None)
            wait: float | None
            try:
                answer = self.send(method, url, headers, body, limits, deadline)
            except (HTTPError, OSError) as error:
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
                    return (read or parse)(answer, method, url)
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
        accept: str = JSON,
        limit: int = PAGE,
        read: Read | None = None,
        key: Callable[[Any], str] | None = None,
    ) -> Iterator[Object]:
        """The pages of a list, each a List or Table as the server wrote it.

        ``read`` makes a page of an answer that is no JSON, and ``key`` is then what its items are
        sorted by.

        The server forgets what a continue token stands for after some minutes. It then offers one
        that goes on with the newest objects, which is taken; without it the list is read again and
        what was yielded is left out. Lists come in the order of their keys, which is why the last
        key is enough to know.
        """
        first = [*query, ("limit", str(limit))]
        token = last = skip = ""
        restarts = 0
        key = key or key_of
        while True:
            where = [*first, ("continue", token)] if token else first
            try:
                page = self.request("GET", path, query=where, accept=accept, read=read)
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
                entries[:] = [entry for entry in entries if key(entry) > skip]
            if entries:
                last = max(last, key(entries[-1]))
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
                self.client.pool_manager = pool_manager(self.target, tls_context(self.target))
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

        old = "_preload_content" in self.client.request.__code__.co_varnames  # before 37
        started = time.monotonic()
        try:
            response = self.client.request(
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

    def refresh(self, age: int) -> bool:
        """Renews the credentials after a 401, once for all threads that got one with the same."""
        with self.lock:
            if self.credentials_age == age:
                if not self.target.credentials.refresh_after_401():
                    return False
                self.credentials_age += 1
            return True

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
        self.env.stderr.write(f"{self.erase}{text}\n")

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
            elif answer.body.startswith(b"k8s\0"):
                lines.append(f"  (protobuf, {len(answer.body)} bytes)")
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


def parse(answer: Answer, method: str, url: str) -> Any:
    """The JSON of an answer. Raises ServerError when it is something else."""
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
