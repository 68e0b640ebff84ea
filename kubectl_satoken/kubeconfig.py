"""The effective kubeconfig: which API server, as whom, through what; exactly as kubectl sees it.

Follows client-go's ``tools/clientcmd``, also where that is odd, because a command that is typed
beside kubectl must never reach another cluster, or reach it as somebody else.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote

from .credentials import Certificate, Credentials, TokenFile, basic, bearer
from .documents import read_text, unreadable
from .env import Env
from .errors import KubeconfigError, UsageError
from .kubeconfig_files import read_config
from .urls import split_url
from .world import Sealed

# What the kubelet mounts into pods.
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Without any of these there is no proxy to look for.
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


class Overrides(NamedTuple):
    """The flags of the command line that kubectl has too; empty where not given."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    user: str = ""
    namespace: str = ""
    as_user: str = ""
    as_groups: tuple[str, ...] = ()
    as_uid: str = ""
    as_user_extra: tuple[str, ...] = ()  # key=value
    server: str = ""
    token: Sealed | None = None
    certificate_authority: str = ""
    client_certificate: str = ""
    client_key: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool | None = None
    request_timeout: str = ""


class Impersonation(NamedTuple):
    """Whom to act as."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def headers(self) -> list[tuple[str, str]]:
        """The request headers, of which some repeat."""
        found = [("Impersonate-User", self.user)]
        if self.uid:
            found.append(("Impersonate-Uid", self.uid))
        found += [("Impersonate-Group", group) for group in self.groups]
        for key, values in self.extra:
            name = "Impersonate-Extra-" + quote(key, safe="!#$&'*+-.^_`|~")
            found += [(name, value) for value in values]
        return found


class Target(NamedTuple):
    """Where requests go, and as whom."""

    server: str  # scheme, host, port and path prefix, without a slash at the end
    credentials: Credentials
    ca: str | None = None  # PEM; None: the system's authorities
    insecure: bool = False  # the server's certificate is not checked
    tls_server_name: str | None = None  # the name in the certificate, if not the server's
    proxy_url: str | None = None  # http, https or socks5; may hold a user name and password
    namespace: str = ""  # empty: none set
    namespace_explicit: bool = False  # from the command line
    context: str = ""
    cluster: str = ""
    user: str = ""
    impersonate: Impersonation | None = None
    request_timeout: float | None = None  # seconds; 0: for ever; None: not said
    why_here: str = ""  # a hint for when the server does not answer: kubectl's default was taken

    def __repr__(self) -> str:
        return f"Target(server={self.server!r}, user={self.user!r})"


def load(overrides: Overrides, env: Env, service_account: str = SERVICE_ACCOUNT) -> Target:
    """The target that kubectl would have with these flags. Raises KubeconfigError, UsageError."""
    try:
        return target_of(overrides, env, service_account)
    except KubeconfigError as error:
        if error.message.isprintable():
            raise
        # Names of the file are in messages, and may hold anything.
        message = "".join(each if each.isprintable() else " " for each in error.message)
        raise KubeconfigError(message, error.hint) from error


def target_of(overrides: Overrides, env: Env, service_account: str) -> Target:
    """What `load` returns; the messages of its errors may hold control characters."""
    timeout = parse_seconds(overrides.request_timeout)
    config = read_config(overrides.kubeconfig, env)
    name, context = select_context(config, overrides)
    user_name, user = select_user(config, context, overrides)
    cluster_name, cluster = select_cluster(config, context, overrides, env)
    confirm_usable(config, overrides, user_name, user, cluster_name, cluster)

    in_pod = is_in_pod(env, service_account)
    namespace = overrides.namespace or context.get("namespace", "")
    if not namespace and in_pod:
        namespace = pod_namespace(env, service_account)
    place: dict[str, Any] = {
        "namespace": namespace,
        "namespace_explicit": bool(overrides.namespace),
        "context": name,
        "request_timeout": timeout,
    }

    impersonate = impersonation(user)
    server = parse_server(cluster["server"])
    if in_pod and not (impersonate or timeout) and is_default(cluster, server, env):
        return service_account_target(overrides, env, service_account)._replace(**place)

    secure = server.scheme == "https"
    url = base_url(server)
    ca = read_pem(cluster, "certificate-authority") if secure else None
    insecure = secure and cluster.get("insecure-skip-tls-verify", False)
    proxy = cluster.get("proxy-url") or proxy_for(env, url)  # the former whatever NO_PROXY says
    if secure:
        credentials = choose_credentials(config, user_name, user, cluster, ca, env)
        if server.username is not None:
            credentials = with_login(server, credentials)
    else:
        credentials = Credentials()  # kubectl sends none over plain http
    if insecure and ca is not None:
        raise KubeconfigError(
            "specifying a root certificates file with the insecure flag is not allowed",
            f"cluster {cluster_name} has both a certificate-authority and insecure-skip-tls-verify",
        )
    why_here = ""
    if not overrides.server and "server" not in config["clusters"].get(cluster_name, {}):
        why_here = why_default(config, name, cluster_name)
    return Target(
        server=url,
        credentials=credentials,
        ca=ca,
        insecure=insecure,
        tls_server_name=cluster.get("tls-server-name"),
        proxy_url=proxy,
        cluster=cluster_name,
        user=user_name,
        impersonate=impersonate,
        why_here=why_here,
        **place,
    )


# --- the merged configuration and the flags -------------------------------------------------------


def select_context(config: Mapping[str, Any], overrides: Overrides) -> tuple[str, dict[str, Any]]:
    """The context to use, by name and with the flags in it."""
    name = overrides.context or config["current-context"]
    context = find_entry(config["contexts"], name, bool(overrides.context), "context")
    flags = {"cluster": overrides.cluster, "user": overrides.user}
    return name, {**context, **{field: value for field, value in flags.items() if value}}


def select_user(
    config: Mapping[str, Any], context: Mapping[str, str], overrides: Overrides
) -> tuple[str, dict[str, Any]]:
    """The user of the context, by name and with the flags in it."""
    name = context.get("user", "")
    user = find_entry(config["users"], name, bool(overrides.user), "auth info")
    flags = {
        "client-certificate": overrides.client_certificate,
        "client-key": overrides.client_key,
        "token": overrides.token,
        "as": overrides.as_user,
        "as-uid": overrides.as_uid,
        "as-groups": list(overrides.as_groups),
    }
    for field in ("client-certificate", "client-key"):
        if flags[field]:
            user.pop(f"{field}-data", None)
    user.update({field: value for field, value in flags.items() if value})
    extra: dict[str, list[str]] = {}
    for text in overrides.as_user_extra:
        key, separator, value = text.partition("=")
        if separator:  # kubectl overlooks the others
            extra.setdefault(key, []).append(value)
    if extra:
        user["as-user-extra"] = {**user.get("as-user-extra", {}), **extra}
    return name, user


def select_cluster(
    config: Mapping[str, Any], context: Mapping[str, str], overrides: Overrides, env: Env
) -> tuple[str, dict[str, Any]]:
    """The cluster of the context, by name and with the flags in it."""
    name = context.get("cluster", "")
    cluster = find_entry(config["clusters"], name, bool(overrides.cluster), "cluster")
    cluster.setdefault("server", default_server(env))
    if overrides.server:
        cluster["server"] = overrides.server
    if overrides.insecure_skip_tls_verify or overrides.certificate_authority:
        # Either flag also undoes what the file says about the other.
        for field in (
            "insecure-skip-tls-verify",
            "certificate-authority",
            "certificate-authority-data",
        ):
            cluster.pop(field, None)
        if overrides.insecure_skip_tls_verify:
            cluster["insecure-skip-tls-verify"] = True
        if overrides.certificate_authority:
            cluster["certificate-authority"] = overrides.certificate_authority
    if overrides.server or overrides.tls_server_name:
        # The name belongs to the server in the file.
        cluster.pop("tls-server-name", None)
        if overrides.tls_server_name:
            cluster["tls-server-name"] = overrides.tls_server_name
    return name, cluster


def find_entry(entries: Mapping[str, Any], name: str, required: bool, kind: str) -> dict[str, Any]:
    """The entry, without where it is from; empty if it is missing, as kubectl has it."""
    if name not in entries and required:
        there = ", ".join(sorted(entries)) or "none"
        raise KubeconfigError(f'{kind} "{name}" does not exist', f"in the kubeconfig: {there}")
    return {field: value for field, value in entries.get(name, {}).items() if field != "file"}


def default_server(env: Env) -> str:
    """The server that kubectl asks where none is configured."""
    return env.environ.get("KUBERNETES_MASTER") or "http://localhost:8080"


def is_default(cluster: Mapping[str, Any], server: SplitResult, env: Env) -> bool:
    """Whether the cluster is kubectl's default, so that in a pod nothing was configured."""
    return (
        cluster["server"] == default_server(env)
        and not (cluster.get("proxy-url") or cluster.get("disable-compression"))
        and server.scheme == "http"  # for https, kubectl has asked for a password by now
    )


def why_default(config: Mapping[str, Any], context: str, cluster: str) -> str:
    """Why a server that nobody named is asked."""
    server = "so kubectl's default server was asked"
    if not config["read"]:
        return f"no kubeconfig was found ({', '.join(config['files'])}), {server}"
    if not context:
        return f"the kubeconfig has no current-context, {server}: kubectl config use-context"
    if not cluster:
        return f"context {context} has no cluster, {server}"
    if cluster not in config["clusters"]:
        return f"context {context} names cluster {cluster}, which is not there, {server}"
    return f"cluster {cluster} has no server, {server}"


# --- what kubectl finds wrong ---------------------------------------------------------------------


def confirm_usable(
    config: Mapping[str, Any],
    overrides: Overrides,
    user_name: str,
    user: Mapping[str, Any],
    cluster_name: str,
    cluster: Mapping[str, Any],
) -> None:
    """What kubectl finds wrong in the parts that are used, in its words."""
    wrong = []
    context = overrides.context or config["current-context"]
    if context and context not in config["contexts"]:
        wrong.append(f"context was not found for specified context: {context}")
    wrong += wrong_with_user(user_name, user)
    wrong += wrong_with_cluster(cluster_name, cluster)
    if wrong:
        text = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        raise KubeconfigError(
            f"invalid configuration: {text}", "see it with kubectl config view --minify"
        )


def wrong_with_user(name: str, user: Mapping[str, Any]) -> list[str]:
    """What kubectl finds wrong in a user, and gives an exec plugin its default mode."""
    wrong = []
    if user.get("client-certificate") or user.get("client-certificate-data"):
        if user.get("client-certificate") and user.get("client-certificate-data"):
            wrong.append(
                f"client-cert-data and client-cert are both specified for {name}. "
                "client-cert-data will override"
            )
        if user.get("client-key") and user.get("client-key-data"):
            wrong.append(
                f"client-key-data and client-key are both specified for {name}; "
                "client-key-data will override"
            )
        if not (user.get("client-key") or user.get("client-key-data")):
            wrong.append(
                f"client-key-data or client-key must be specified for {name} "
                "to use the clientCert authentication method"
            )
        wrong += wrong_with_file(user, "client-certificate", "client-cert", name)
        wrong += wrong_with_file(user, "client-key", "client-key", name)
    if "exec" in user:
        from .exec_plugin import wrong_with_exec

        wrong += wrong_with_exec(name, user)
    login = user.get("username") or user.get("password")
    if user.get("token") and login:
        wrong.append(
            f"more than one authentication method found for {name}; "
            "found [token basicAuth], only one is allowed"
        )
    if not user.get("as") and any(
        user.get(field) for field in ("as-uid", "as-groups", "as-user-extra")
    ):
        wrong.append(
            f"requesting uid, groups or user-extra for {name} without impersonating a user"
        )
    return wrong


def wrong_with_cluster(name: str, cluster: Mapping[str, Any]) -> list[str]:
    """What kubectl finds wrong in a cluster."""
    wrong = []
    proxy = cluster.get("proxy-url")
    if proxy and split_url(proxy).scheme not in ("http", "https", "socks5"):
        wrong.append(
            f"invalid 'proxy-url' for cluster \"{name}\": "
            "unsupported scheme, must be http, https, or socks5"
        )
    if cluster.get("certificate-authority") and cluster.get("certificate-authority-data"):
        wrong.append(
            f"certificate-authority-data and certificate-authority are both specified for {name}. "
            "certificate-authority-data will override"
        )
    field = "certificate-authority"
    return wrong + wrong_with_file(cluster, field, field, name)


def wrong_with_file(entry: Mapping[str, Any], field: str, what: str, name: str) -> list[str]:
    """Why the file in a field cannot be read; ``what`` is kubectl's word for the field."""
    path = entry.get(field)
    if not path:
        return []
    try:
        with open(path, "rb"):
            return []
    except (OSError, ValueError) as error:
        return [f"unable to read {what} {path} for {name} due to {unreadable(error)}"]


# --- the target -----------------------------------------------------------------------------------


def parse_server(text: str) -> SplitResult:
    """The server's URL. Without a scheme it is plain http, as for kubectl."""
    server = split_url(text)
    if not server.scheme or not server.netloc:
        server = split_url(f"http://{text}")
        if server.path not in ("", "/"):
            server = split_url("")
    if server.scheme not in ("", "http", "https"):
        raise KubeconfigError(
            f'unsupported protocol scheme "{server.scheme}"',
            "cluster.server of the kubeconfig, or --server, is like https://host:6443",
        )
    if not server.hostname:
        raise KubeconfigError(
            "host must be a URL or a host:port pair",
            "cluster.server of the kubeconfig, or --server, is like https://host:6443",
        )
    return server


def base_url(parts: SplitResult) -> str:
    """The URL without login, query, fragment and slash at the end."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def proxy_for(env: Env, url: str) -> str | None:
    """The proxy that the environment sets for the URL."""
    if not any(env.environ.get(name) for name in PROXY_VARIABLES):
        return None
    from .proxy import environment_proxy

    return environment_proxy(env.environ, url)


def read_pem(entry: Mapping[str, Any], field: str) -> str | None:
    """What is in a field, or in the file that it names."""
    data = entry.get(f"{field}-data")
    if data:
        text: str = data.reveal()
        return text
    path = entry.get(field)
    return read_text(path, field) if path else None


def with_login(server: SplitResult, credentials: Credentials) -> Credentials:
    """Go lets user:password@ of the URL win over every other Authorization."""
    login = basic(unquote(server.username or ""), Sealed(unquote(server.password or "")))
    return Credentials(login, credentials.certificate())


def choose_credentials(
    config: Mapping[str, Any],
    name: str,
    user: Mapping[str, Any],
    cluster: Mapping[str, Any],
    ca: str | None,
    env: Env,
) -> Credentials:
    """The one way of all that a user has which kubectl takes. Raises KubeconfigError."""
    certificate = None
    chain = read_pem(user, "client-certificate")
    if chain is not None:
        certificate = Certificate(chain, Sealed(read_pem(user, "client-key") or ""))
    token, token_file = user.get("token"), user.get("tokenFile")
    login = user.get("username")
    plugin, provider = user.get("exec"), user.get("auth-provider")

    # These are refused even where another credential goes before them.
    if plugin is not None:
        from . import exec_plugin

        exec_plugin.confirm_version(plugin)
    oidc = None
    if provider is not None:
        from .oidc import auth_provider

        oidc = auth_provider(config, name, provider, certificate, env)

    if token_file and login:
        raise KubeconfigError("username/password or bearer token may be set, but not both")
    if token_file:
        # The file wins, also over --token, as long as it can be read.
        return TokenFile(token_file, token, certificate, env)
    if token:
        return Credentials(bearer(token), certificate)
    if login:
        password = user.get("password") or Sealed("")
        return Credentials(basic(login, password), certificate)
    if plugin is not None and certificate is None:
        return exec_plugin.prepare(plugin, cluster, ca, env)
    if oidc is not None:
        return oidc
    if certificate is not None:
        return Credentials(None, certificate)
    there = (
        f'user "{name}" has no credentials'
        if name in config["users"]
        else (f'user "{name}" is not in the kubeconfig' if name else "the context names no user")
    )
    raise KubeconfigError(
        f"{there}: no token, client certificate or plugin",
        "kubectl would ask for a username and password here, which no API server takes any more",
    )


def impersonation(user: Mapping[str, Any]) -> Impersonation | None:
    """Whom the user acts as."""
    if not user.get("as"):
        return None
    return Impersonation(
        user["as"],
        user.get("as-uid", ""),
        tuple(user.get("as-groups", ())),
        tuple((key, tuple(values)) for key, values in user.get("as-user-extra", {}).items()),
    )


def parse_seconds(text: str) -> float | None:
    """--request-timeout: seconds, or a duration of Go."""
    import re

    if not text:
        return None
    if text.isascii() and text.removeprefix("+").isdigit():
        return float(text)
    units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    part = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
    match = re.fullmatch(rf"([-+]?)((?:{part})+)", text, re.ASCII)
    if not match:
        raise UsageError(
            "invalid --request-timeout: it must be a single integer in seconds, or an integer "
            "followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
        )
    seconds = sum(
        float(number) * units[unit.replace("μ", "µ")]
        for number, unit in re.findall(part, match[2], re.ASCII)
    )
    return 0.0 if match[1] == "-" else seconds


# --- in a pod -------------------------------------------------------------------------------------


def is_in_pod(env: Env, folder: str) -> bool:
    """Whether this is a pod with a service account, as client-go sees it."""
    return bool(
        env.environ.get("KUBERNETES_SERVICE_HOST")
        and env.environ.get("KUBERNETES_SERVICE_PORT")
        and os.path.exists(f"{folder}/token")
        and not os.path.isdir(f"{folder}/token")
    )


def pod_namespace(env: Env, folder: str) -> str:
    """The namespace of the pod; empty where nobody says it."""
    namespace = env.environ.get("POD_NAMESPACE", "")
    if not namespace and os.path.exists(f"{folder}/namespace"):
        namespace = read_text(f"{folder}/namespace", "namespace").strip()
    return namespace


def service_account_target(overrides: Overrides, env: Env, folder: str) -> Target:
    """The cluster of the pod, as its service account."""
    host = env.environ["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    server = f"https://{host}:{env.environ['KUBERNETES_SERVICE_PORT']}"
    ca_path, ca = overrides.certificate_authority or f"{folder}/ca.crt", None
    if overrides.certificate_authority or os.path.exists(ca_path):
        ca = read_text(ca_path, "certificate-authority")
    if not overrides.certificate_authority and "-----BEGIN CERTIFICATE-----" not in (ca or ""):
        ca = None  # kubectl goes on with the system's authorities
    credentials: Credentials = TokenFile(f"{folder}/token", None, None, env)
    if overrides.token:
        credentials = Credentials(bearer(overrides.token))
    return Target(server, credentials, ca, proxy_url=proxy_for(env, server), user="in-cluster")
