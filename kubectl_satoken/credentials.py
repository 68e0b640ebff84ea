"""Who we are to the API server, at the time of a request, and the TLS that protects it.

Behaves as client-go does: a token file is read again every minute, an exec plugin runs again when
its credential has expired or was refused, an OIDC id-token is refreshed and written back. Secrets
live in memory only; nothing here writes a key or a token to a file of ours, or to a command line.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .env import Env
from .errors import KubeconfigError
from .world import Sealed

if TYPE_CHECKING:
    import ssl

    import urllib3

EXEC_GROUP = "client.authentication.k8s.io"
EXEC_VERSIONS = (f"{EXEC_GROUP}/v1", f"{EXEC_GROUP}/v1beta1")
PLUGIN_DOCS = (
    "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
    "#client-go-credential-plugins"
)

# client-go keeps what it read from a token file for a minute, less ten seconds of leeway.
TOKEN_FILE_SECONDS = 50
# How much earlier an id-token counts as expired, for clocks that differ.
OIDC_LEEWAY_SECONDS = 10

# Where distributions keep their trusted certificates: Debian, RHEL (three), SUSE, Alpine. Only
# looked at when OpenSSL's own default is empty, as it is when our Python was built elsewhere.
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Certificate(NamedTuple):
    """A client certificate, with its chain, and its key; both PEM."""

    chain: str
    key: Sealed


class Credentials:
    """Credentials that do not change; without arguments: none.

    ``certificate()`` may change after ``refresh_after_401()``, and when an exec plugin's credential
    expires: whoever keeps connections compares it and connects anew.
    """

    def __init__(
        self, authorization: Sealed | None = None, certificate: Certificate | None = None
    ) -> None:
        self._authorization = authorization
        self._certificate = certificate

    def authorization(self) -> Sealed | None:
        """The value of the Authorization header. Raises KubeconfigError."""
        return self._authorization

    def certificate(self) -> Certificate | None:
        """The client certificate to connect with. Raises KubeconfigError."""
        return self._certificate

    def refresh_after_401(self) -> bool:
        """Whether the credentials are now others than the refused ones: worth one more try."""
        return False


def bearer(token: Sealed) -> Sealed:
    """The Authorization header of a token. Raises KubeconfigError if no header can hold it."""
    text = token.reveal()
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        raise KubeconfigError(
            'invalid header field value for "Authorization": '
            "the token holds a line break or another control character",
            "a token is one line: look for a newline at its end, where it comes from",
        )
    return Sealed(f"Bearer {text}")


def basic(username: str, password: Sealed) -> Sealed:
    """The Authorization header of a user name and password."""
    from base64 import b64encode

    return Sealed("Basic " + b64encode(f"{username}:{password.reveal()}".encode()).decode())


class TokenFile(Credentials):
    """A token that somebody else keeps fresh in a file, such as the kubelet."""

    def __init__(
        self, path: str, fallback: Sealed | None, certificate: Certificate | None, env: Env
    ) -> None:
        super().__init__(None, certificate)
        self._path = path
        self._fallback = fallback
        self._env = env
        self._read_at = 0.0

    def authorization(self) -> Sealed | None:
        """The token in the file; the last one read, or the one beside it, while it cannot be."""
        now = self._env.now()
        if self._authorization is None or not 0 <= now - self._read_at < TOKEN_FILE_SECONDS:
            try:
                self._authorization = bearer(self._read())
                self._read_at = now
            except KubeconfigError:
                if self._authorization is None:
                    if self._fallback is None:
                        raise
                    return bearer(self._fallback)
        return self._authorization

    def refresh_after_401(self) -> bool:
        """Reads the file again: the kubelet may have written a new token just now."""
        refused, self._read_at = self._authorization, float("-inf")
        return self.authorization() != refused

    def _read(self) -> Sealed:
        try:
            with open(self._path, encoding="utf-8") as file:
                token = Sealed(file.read().strip())
        except (OSError, ValueError) as error:  # UnicodeDecodeError, too
            why = unreadable(error)
            raise KubeconfigError(f"cannot read the token file {self._path}: {why}") from error
        if not token:
            raise KubeconfigError(f"the token file {self._path} is empty")
        return token


class PluginPolicy(NamedTuple):
    """Which exec plugins the user lets kubectl run."""

    kind: str = ""  # AllowAll, DenyAll, Allowlist; empty: AllowAll
    allowed: tuple[str, ...] = ()
    file: str = ""


class ExecPlugin(Credentials):
    """What a client-go credential plugin says, each time it is needed."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        cluster: Mapping[str, Any] | None,
        policy: "PluginPolicy",
        env: Env,
    ) -> None:
        from threading import Lock

        super().__init__()
        self._spec = spec
        self._cluster = cluster  # spec.cluster of the ExecCredential, if the plugin is to know it
        self._policy = policy
        self._env = env
        self._expires = 0.0  # 0: never
        self._fresh = False
        self._lock = Lock()  # a plugin may ask a person: one at a time

    def authorization(self) -> Sealed | None:
        """The plugin's token, if it gives one."""
        self._ensure()
        return self._authorization

    def certificate(self) -> Certificate | None:
        """The plugin's certificate, if it gives one."""
        self._ensure()
        return self._certificate

    def refresh_after_401(self) -> bool:
        """Runs the plugin again."""
        refused = (self._authorization, self._certificate)
        with self._lock:
            if (self._authorization, self._certificate) == refused:
                self._run()
        return True

    def _ensure(self) -> None:
        with self._lock:
            expired = self._expires and self._env.now() > self._expires
            if not self._fresh or expired:
                self._run()

    def _run(self) -> None:
        self._fresh = False
        status = self._status(self._output())
        token, chain, key = (
            status.get(field) or "" for field in ("token", "clientCertificateData", "clientKeyData")
        )
        if not all(isinstance(value, str) for value in (token, chain, key)):
            raise self._error("decoding stdout: status: a credential must be a string")
        if not (token or chain or key):
            raise self._error("exec plugin didn't return a token or cert/key pair")
        if bool(chain) != bool(key):
            raise self._error("exec plugin returned only certificate or key, not both")
        expires = self._expiry(status.get("expirationTimestamp"))
        # One that is born expired is tried all the same, and not asked for again for one request.
        self._expires = expires and max(expires, self._env.now() + 1)
        self._authorization = bearer(Sealed(token)) if token else None
        self._certificate = Certificate(chain, Sealed(key)) if chain else None
        self._fresh = True

    def _output(self) -> bytes:
        import subprocess

        command = [self._executable(), *self._spec.get("args", ())]
        interactive = self._interactive()
        self._env.stderr.flush()
        try:
            done = subprocess.run(
                command,
                # A plugin without a terminal must not eat the manifest that is piped to us.
                stdin=self._env.stdin if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=_file_number(self._env.stderr),  # where people are asked to log in
                env=self._environment(interactive),
                check=False,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            why = unreadable(error)
            raise self._error(f"exec: {command[0]}: {why}", installed=False) from error
        if done.returncode:
            code = max(done.returncode, -1)  # as Go counts: -1 for a signal
            name = self._spec["command"]
            raise self._error(f"exec: executable {name} failed with exit code {code}")
        return done.stdout

    def _executable(self) -> str:
        """The command, looked up in PATH unless it is a path, if it may run."""
        command = os.path.normpath(self._spec["command"])
        if self._policy.kind == "DenyAll":
            raise self._denied(f'plugin "{command}" not allowed: policy set to "DenyAll"')
        found = self._looked_up(command)
        allowed = self._policy.allowed
        if self._policy.kind == "Allowlist" and not {command, found} & {
            *allowed,
            *(
                self._looked_up(entry)
                for entry in allowed
                if found and os.path.basename(entry) == os.path.basename(found)
            ),
        }:
            raise self._denied(
                f'plugin path "{found or command}" is not permitted by the credential plugin '
                "allowlist"
            )
        if found is None:
            raise self._error(f"exec: executable {command} not found", installed=False)
        return found

    def _looked_up(self, command: str) -> str | None:
        """A path as it is; a name as found in PATH, but never in the current folder."""
        import shutil

        if os.sep in command or (os.altsep and os.altsep in command):
            return command
        found = shutil.which(command, path=self._env.environ.get("PATH", ""))
        return found if found and os.path.isabs(found) else None

    def _denied(self, why: str) -> KubeconfigError:
        return KubeconfigError(
            f"getting credentials: {why}",
            f"your kubectl preferences say so: credentialPluginPolicy in {self._policy.file}",
        )

    def _interactive(self) -> bool:
        mode = self._spec["interactiveMode"]
        if mode == "Never":
            return False
        terminal = self._env.stdin.isatty()
        if mode == "Always" and not terminal:
            raise KubeconfigError(
                "exec plugin cannot support interactive mode: standard input is not a terminal",
                f"run it from a terminal: {self._spec['command']} has interactiveMode Always",
            )
        return terminal

    def _environment(self, interactive: bool) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": interactive}
        if self._cluster is not None:
            spec["cluster"] = self._cluster
        info = {"kind": "ExecCredential", "apiVersion": self._spec["apiVersion"], "spec": spec}
        extra = {entry["name"]: entry.get("value", "") for entry in self._spec.get("env", ())}
        return {**self._env.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)}

    def _status(self, output: bytes) -> Mapping[str, Any]:
        """The status of the ExecCredential that was printed, as JSON or YAML."""
        try:
            credential = json.loads(output)
        except ValueError:
            try:
                credential = parse_yaml(output.decode())
            except ValueError:
                credential = None
        if not isinstance(credential, dict) or credential.get("kind") != "ExecCredential":
            raise self._error("decoding stdout: exec plugin didn't print an ExecCredential")
        wanted, got = self._spec["apiVersion"], credential.get("apiVersion")
        if got != wanted:
            other = got if got in EXEC_VERSIONS else "another"
            raise self._error(
                f"exec plugin is configured to use API version {wanted}, "
                f"plugin returned version {other}"
            )
        status = credential.get("status")
        if not isinstance(status, dict):
            raise self._error("exec plugin didn't return a status field")
        return status

    def _expiry(self, timestamp: object) -> float:
        from datetime import UTC, datetime

        if timestamp is None:
            return 0.0
        try:
            moment = datetime.fromisoformat(str(timestamp))
        except ValueError as error:
            raise self._error("decoding stdout: parsing time expirationTimestamp") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()

    def _error(self, why: str, installed: bool = True) -> KubeconfigError:
        command: str = self._spec["command"]
        hint: str = self._spec.get("installHint", "")
        if not hint and installed:
            hint = f"run the credential plugin by itself to see why: {command}"
        elif not hint:
            hint = f"it is a credential plugin that the kubeconfig names, see {PLUGIN_DOCS}"
        return KubeconfigError(f"getting credentials: {why}", hint)


def _file_number(stream: Any) -> int | None:
    """The stream's file descriptor; None, which means the inherited one, if it has none."""
    try:
        number: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number


class Oidc(Credentials):
    """The id-token of auth-provider oidc, refreshed with its refresh-token."""

    def __init__(
        self,
        config: Mapping[str, Sealed],
        persist: Callable[[Mapping[str, Sealed]], None],
        proxy: Callable[[str], str | None],
        certificate: Certificate | None,
        env: Env,
    ) -> None:
        from threading import Lock

        super().__init__(None, certificate)
        self._config = dict(config)
        self._persist = persist
        self._proxy = proxy
        self._env = env
        self._lock = Lock()
        for field in ("idp-issuer-url", "client-id"):
            if not self._get(field):
                raise KubeconfigError(f"auth-provider oidc: must provide {field}")

    def authorization(self) -> Sealed | None:
        """The id-token, refreshed first if it has expired."""
        with self._lock:
            token = self._config.get("id-token")
            if not token or self._expired(token):
                token = self._refresh()
            return bearer(token)

    def _get(self, field: str) -> str:
        value = self._config.get(field)
        return value.reveal() if value else ""

    def _expired(self, token: Sealed) -> bool:
        from base64 import urlsafe_b64decode

        try:
            _, payload, _ = token.reveal().split(".")
            claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            expiry = float(claims.get("exp", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise KubeconfigError("auth-provider oidc: the id-token is not a valid JWT") from error
        return self._env.now() + OIDC_LEEWAY_SECONDS >= expiry

    def _refresh(self) -> Sealed:
        refresh_token = self._get("refresh-token")
        if not refresh_token:
            raise KubeconfigError(
                "no valid id-token, and cannot refresh without refresh-token",
                "log in again with the tool that wrote auth-provider oidc to the kubeconfig",
            )
        issuer = self._get("idp-issuer-url")
        discovery = issuer.removesuffix("/") + "/.well-known/openid-configuration"
        endpoint = self._answer("GET", discovery).get("token_endpoint")
        if not isinstance(endpoint, str) or not endpoint:
            raise _oidc_error(issuer, "its discovery document has no token_endpoint")
        answer = self._exchange(endpoint, refresh_token)
        id_token, rotated = answer.get("id_token"), answer.get("refresh_token")
        if not isinstance(id_token, str):
            raise _oidc_error(
                issuer,
                "token response did not contain an id_token: either the scope openid was not "
                "requested upon login, or the provider does not support it in a refresh",
            )
        changed = {"id-token": Sealed(id_token)}
        if isinstance(rotated, str) and rotated and rotated != refresh_token:
            changed["refresh-token"] = Sealed(rotated)
        self._persist(changed)
        self._config.update(changed)
        return changed["id-token"]

    def _exchange(self, endpoint: str, refresh_token: str) -> Mapping[str, Any]:
        """A new token, asking as the OAuth2 library of Go does: first with a header."""
        from urllib.parse import quote_plus, urlencode

        client, secret = self._get("client-id"), self._get("client-secret")
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        header = basic(quote_plus(client), Sealed(quote_plus(secret))).reveal()
        try:
            return self._answer("POST", endpoint, urlencode(form), {"Authorization": header})
        except KubeconfigError:
            form["client_id"] = client
            if secret:
                form["client_secret"] = secret
            return self._answer("POST", endpoint, urlencode(sorted(form.items())))

    def _answer(
        self, method: str, url: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        import urllib3

        ca = self._get("idp-certificate-authority-data")
        path = self._get("idp-certificate-authority")
        pem = None
        if ca:
            pem = pem_data(ca, "idp-certificate-authority-data")
        elif path:
            pem = read_text(path, "idp-certificate-authority")
        content = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        pool = _pool(self._proxy(url), ssl_context(pem))
        try:
            response = pool.request(
                method, url, body=body or None, headers={**content, **(headers or {})}, timeout=30
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise _oidc_error(url, _short(error)) from error
        finally:
            pool.clear()
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if response.status // 100 != 2:
            words = f"{response.status} {response.reason or ''}".strip()
            reason = answer.get("error") if isinstance(answer, dict) else None
            raise _oidc_error(url, f"{words}: {reason}" if isinstance(reason, str) else words)
        if not isinstance(answer, dict):
            raise _oidc_error(url, "its answer is not a JSON object")
        return answer


def _pool(proxy: str | None, context: "ssl.SSLContext") -> "urllib3.PoolManager":
    import urllib3

    if proxy is None:
        return urllib3.PoolManager(ssl_context=context)
    from urllib.parse import unquote

    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, ssl_context=context, proxy_headers=headers)


def _oidc_error(url: str, why: str) -> KubeconfigError:
    return KubeconfigError(
        f"auth-provider oidc: failed to refresh token: {url}: {why}",
        "log in again with the tool that wrote auth-provider oidc to the kubeconfig",
    )


def _short(error: Exception) -> str:
    """The cause of a urllib3 error in one line, without object addresses."""
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(">: ")[2].partition("\n")[0]


# TLS


def ssl_context(
    ca: str | None, insecure: bool = False, certificate: Certificate | None = None
) -> "ssl.SSLContext":
    """A context that trusts what Go would: the PEM certificates of ``ca``, or the system's.

    Not ssl.create_default_context: from Python 3.13 on it refuses authorities without keyUsage or
    key identifiers, of which many clusters have one, and which kubectl takes.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go trusts every certificate in the file, also an intermediate or the server's own.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if ssl.HAS_NEVER_CHECK_COMMON_NAME:
        context.hostname_checks_common_name = False
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        _trust_system(context)
    else:
        _trust(context, ca)
    if certificate is not None:
        _load_certificate(context, certificate)
    return context


def _trust(context: "ssl.SSLContext", ca: str) -> None:
    import re
    import ssl

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = re.findall(f"{begin}.*?{end}", ca, re.DOTALL)
    trusted = 0
    for block in blocks:
        try:
            context.load_verify_locations(cadata=block)
            trusted += 1
        except (ssl.SSLError, ValueError):  # Go skips what it cannot parse, too
            continue
    if not trusted:
        raise KubeconfigError(
            "unable to load root certificates: no certificate in the certificate authority",
            "certificate-authority must be PEM: -----BEGIN CERTIFICATE----- ...",
        )


def _trust_system(context: "ssl.SSLContext") -> None:
    """The system's certificates, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    import ssl

    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if (
        context.cert_store_stats()["x509_ca"]
        or os.environ.get(paths.openssl_cafile_env)
        or os.environ.get(paths.openssl_capath_env)
    ):
        return
    for bundle in CA_BUNDLES:
        if os.path.exists(bundle):
            context.load_verify_locations(cafile=bundle)
            return
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(cafile=certifi.where())


def _load_certificate(context: "ssl.SSLContext", certificate: Certificate) -> None:
    """Gives OpenSSL the key, which it takes from a path only, without a file where it can be."""
    import ssl

    pem = f"{certificate.chain}\n{certificate.key.reveal()}\n".encode()
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        with _readable(pem) as path:
            context.load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError) as error:
        why = "failed to parse the client certificate or its private key: not PEM, or encrypted"
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            why = "private key does not match public key of the client certificate"
        raise KubeconfigError(
            f"tls: {why}", "the key must be an unencrypted PEM block, and belong to the certificate"
        ) from error


class _readable:  # noqa: N801 (used as a function; contextlib costs more than it saves)
    """A path from which the bytes can be read while inside ``with``."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._unlink = ""

    def __enter__(self) -> str:
        if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
            self._number = os.memfd_create("satoken")  # memory, gone with the process
            path = f"/proc/self/fd/{self._number}"
        else:
            from tempfile import mkstemp

            self._number, path = mkstemp()  # for the owner only, and for an instant
            self._unlink = path
        with os.fdopen(os.dup(self._number), "wb") as file:
            file.write(self._content)
        return path

    def __exit__(self, *_: object) -> None:
        os.close(self._number)
        if self._unlink:
            os.unlink(self._unlink)


# Reading what people and programs wrote


def read_text(path: str, what: str) -> str:
    """The text of a file, which may hold a secret. Raises KubeconfigError, naming ``what``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"unable to read {what} {path}: {unreadable(error)}") from error


def unreadable(error: Exception) -> str:
    """Why a file cannot be used. ValueError: its name holds a NUL, or it is not text."""
    return getattr(error, "strerror", None) or "invalid argument"


def pem_data(base64: str, what: str) -> str:
    """The PEM text of a ``-data`` field. Raises KubeconfigError, naming ``what``."""
    from base64 import b64decode

    try:
        # Line breaks are all that Go overlooks.
        data = b64decode(base64.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError as error:
        raise KubeconfigError(f"{what} is not base64", "it is PEM, encoded once more") from error
    return data.decode(errors="replace")


def parse_yaml(text: str) -> Any:
    """The first document of a YAML (or JSON) text, as kubectl's parser would have it.

    Timestamps and base-60 numbers stay strings, ``y`` and ``n`` are booleans. Raises ValueError,
    whose text says where and why, and quotes nothing of the document: it may hold secrets.
    """
    import re

    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    strings = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")

    class Loader(base):  # type: ignore[misc, valid-type]
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag not in strings]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }
        bool_values = {**base.bool_values, "y": True, "n": False}

    def number(loader: Any, node: Any) -> Any:
        if ":" in node.value:
            return loader.construct_scalar(node)
        if node.tag.endswith("int"):
            return loader.construct_yaml_int(node)
        return loader.construct_yaml_float(node)

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
    Loader.add_constructor("tag:yaml.org,2002:int", number)
    Loader.add_constructor("tag:yaml.org,2002:float", number)
    try:
        loader = Loader(text)
        try:
            return loader.get_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or "not YAML"
        raise ValueError(where + re.sub(r"(['\"]).*\1", "...", why)) from None
    except (RecursionError, ValueError, TypeError) as error:  # of the constructors
        raise ValueError("not YAML that kubectl reads") from error
