"""The id-token of auth-provider oidc: refreshed when it has expired, and written back.

New tokens go into the kubeconfig that the old ones came from, as kubectl does it.
"""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from ssl import SSLContext
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, unquote, urlencode

import urllib3

from .credentials import Certificate, Credentials, basic, bearer
from .documents import parse_yaml, pem_data, read_text
from .env import Env
from .errors import KubeconfigError
from .proxy import environment_proxy
from .tls import ssl_context
from .world import Sealed

# How much earlier an id-token counts as expired, for clocks that differ.
OIDC_LEEWAY_SECONDS = 10
REMOVED_PROVIDERS = {
    "gcp": "use the gke-gcloud-auth-plugin credential plugin instead",
    "azure": "use the kubelogin credential plugin instead",
}


def auth_provider(
    config: Mapping[str, Any],
    name: str,
    provider: Mapping[str, Any],
    certificate: Certificate | None,
    env: Env,
) -> "Oidc":
    """The credentials of an auth-provider; kubectl has but one left. Raises KubeconfigError."""
    kind = provider.get("name", "")
    if kind in REMOVED_PROVIDERS:
        raise KubeconfigError(f"the {kind} auth plugin has been removed", REMOVED_PROVIDERS[kind])
    if kind != "oidc":
        raise KubeconfigError(f'no Auth Provider found for name "{kind}"')

    def persist(changed: Mapping[str, Sealed]) -> None:
        file = config["users"].get(name, {}).get("file")
        if file:
            write_tokens(file, name, changed)

    def proxy(url: str) -> str | None:
        return environment_proxy(env.environ, url)

    return Oidc(provider.get("config", {}), persist, proxy, certificate, env)


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
            raise oidc_error(issuer, "its discovery document has no token_endpoint")
        answer = self._exchange(endpoint, refresh_token)
        id_token, rotated = answer.get("id_token"), answer.get("refresh_token")
        if not isinstance(id_token, str):
            raise oidc_error(
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
        ca = self._get("idp-certificate-authority-data")
        path = self._get("idp-certificate-authority")
        pem = None
        if ca:
            pem = pem_data(ca, "idp-certificate-authority-data")
        elif path:
            pem = read_text(path, "idp-certificate-authority")
        content = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        pool = pool_for(self._proxy(url), ssl_context(pem))
        try:
            response = pool.request(
                method, url, body=body or None, headers={**content, **(headers or {})}, timeout=30
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise oidc_error(url, cause_of(error)) from error
        finally:
            pool.clear()
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if response.status // 100 != 2:
            words = f"{response.status} {response.reason or ''}".strip()
            reason = answer.get("error") if isinstance(answer, dict) else None
            raise oidc_error(url, f"{words}: {reason}" if isinstance(reason, str) else words)
        if not isinstance(answer, dict):
            raise oidc_error(url, "its answer is not a JSON object")
        return answer


def pool_for(proxy: str | None, context: SSLContext) -> urllib3.PoolManager:
    """Connections to a provider, perhaps through a proxy."""
    if proxy is None:
        return urllib3.PoolManager(ssl_context=context)
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, ssl_context=context, proxy_headers=headers)


def oidc_error(url: str, why: str) -> KubeconfigError:
    """The error of a token that could not be refreshed."""
    return KubeconfigError(
        f"auth-provider oidc: failed to refresh token: {url}: {why}",
        "log in again with the tool that wrote auth-provider oidc to the kubeconfig",
    )


def cause_of(error: Exception) -> str:
    """The cause of a urllib3 error in one line, without object addresses."""
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(">: ")[2].partition("\n")[0]


def write_tokens(path: str, user: str, changed: Mapping[str, Sealed]) -> None:
    """Writes refreshed tokens back to where they came from, under kubectl's own lock."""
    lock = f"{path}.lock"
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0))
    except OSError as error:
        raise KubeconfigError(
            f"could not persist new tokens: {lock}: {error.strerror}",
            f"another kubectl is writing {path}; if none is, remove the lock file",
        ) from error
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        # In place, as kubectl does: the file keeps its mode, its owner and its links.
        with open(path, "r+", encoding="utf-8", newline="") as file:
            file.write(with_tokens(text, user, changed))
            file.truncate()
    except OSError as error:
        raise KubeconfigError(f"could not persist new tokens: {path}: {error.strerror}") from error
    finally:
        os.unlink(lock)


def with_tokens(text: str, user: str, changed: Mapping[str, Sealed]) -> str:
    """The text with the tokens changed; the rest of it, with its comments, stays as it was.

    Where that is not possible (aliases, odd layouts) all of it is written anew, as JSON, which
    every reader of a kubeconfig takes.
    """
    wanted = parse_yaml(text)
    tokens = {field: value.reveal() for field, value in changed.items()}
    for entry in wanted["users"]:
        if entry.get("name", "") == user:
            entry["user"]["auth-provider"].setdefault("config", {}).update(tokens)
    edited = text
    try:
        for field, token in tokens.items():
            edited = with_field(edited, user, field, json.dumps(token))
        if parse_yaml(edited) == wanted:
            return edited
    except (ValueError, TypeError):
        pass
    return json.dumps(wanted, indent=2) + "\n"


def with_field(text: str, user: str, field: str, value: str) -> str:
    """The text with a field of the user's auth-provider config set, where that is easy."""
    import yaml

    start: int
    end: int
    root = next(yaml.compose_all(text, Loader=yaml.SafeLoader))
    _, users = child_of(root, "users")
    for item in getattr(users, "value", ()):
        _, name = child_of(item, "name")
        if getattr(name, "value", None) == user:
            config = item
            for step in ("user", "auth-provider", "config"):
                _, config = child_of(config, step)
            _, old = child_of(config, field)
            if old is not None:
                start, end = old.start_mark.index, old.end_mark.index
                before = " " if text[start - 1] == ":" else ""
                after = "\n" if text[start:end].endswith("\n") else ""
                value = f"{before}{value}{after}"
                return text[:start] + value + text[end:]
            if getattr(config, "value", None):
                first = config.value[0][0].start_mark
                start = first.index
                value = f'"{field}": {value}' + (
                    ", " if config.flow_style else "\n" + " " * first.column
                )
                return text[:start] + value + text[start:]
    return text


def child_of(node: Any, key: str) -> tuple[Any, Any]:
    """The key and the value of a mapping node, as nodes."""
    for name, value in getattr(node, "value", ()) or ():
        if name.value == key:
            return name, value
    return None, None
