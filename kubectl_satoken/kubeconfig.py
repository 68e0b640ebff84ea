"""The effective kubeconfig: which API server, as whom, through what; exactly as kubectl sees it.

Follows client-go's ``tools/clientcmd``, also where that is odd, because a command that is typed
beside kubectl must never reach another cluster, or reach it as somebody else.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .credentials import (
    EXEC_GROUP,
    EXEC_VERSIONS,
    Certificate,
    Credentials,
    ExecPlugin,
    Oidc,
    PluginPolicy,
    TokenFile,
    basic,
    bearer,
    parse_yaml,
    pem_data,
    read_text,
    ssl_context,
    unreadable,
)
from .env import Env
from .errors import KubeconfigError, UsageError
from .world import Sealed

if TYPE_CHECKING:
    import ssl
    from urllib.parse import SplitResult

# What the kubelet mounts into pods.
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
EXEC_EXTENSION = f"{EXEC_GROUP}/exec"
REMOVED_PROVIDERS = {
    "gcp": "use the gke-gcloud-auth-plugin credential plugin instead",
    "azure": "use the kubelogin credential plugin instead",
}


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
        from urllib.parse import quote

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


def tls_context(target: Target) -> "ssl.SSLContext":
    """The TLS of connections to the target, with its client certificate as it is now."""
    return ssl_context(target.ca, target.insecure, target.credentials.certificate())


def load(overrides: Overrides, env: Env, service_account: str = SERVICE_ACCOUNT) -> Target:
    """The target that kubectl would have with these flags. Raises KubeconfigError, UsageError."""
    try:
        return _load(overrides, env, service_account)
    except KubeconfigError as error:
        if error.message.isprintable():
            raise
        # Names of the file are in messages, and may hold anything.
        message = "".join(each if each.isprintable() else " " for each in error.message)
        raise KubeconfigError(message, error.hint) from error


def _load(overrides: Overrides, env: Env, service_account: str) -> Target:
    timeout = _seconds(overrides.request_timeout)
    config = _merged(overrides, env)
    name, context = _context(config, overrides)
    user_name, user = _user(config, context, overrides)
    cluster_name, cluster = _cluster(config, context, overrides, env)
    _confirm_usable(config, overrides, user_name, user, cluster_name, cluster)

    in_pod = _in_pod(env, service_account)
    namespace = overrides.namespace or context.get("namespace", "")
    if not namespace and in_pod:
        namespace = _pod_namespace(env, service_account)
    place: dict[str, Any] = {
        "namespace": namespace,
        "namespace_explicit": bool(overrides.namespace),
        "context": name,
        "request_timeout": timeout,
    }

    impersonate = _impersonation(user)
    server = _server(cluster["server"])
    # What kubectl compares with its defaults to see that nobody has configured anything.
    is_default = (
        cluster["server"] == _default_server(env)
        and not (impersonate or timeout or cluster.get("proxy-url"))
        and not cluster.get("disable-compression")
        and server.scheme == "http"  # for https, kubectl has asked for a password by now
    )
    if in_pod and is_default:
        return _in_cluster(overrides, env, service_account)._replace(**place)

    secure = server.scheme == "https"
    url = _url(server)
    ca = _pem(cluster, "certificate-authority") if secure else None
    insecure = secure and cluster.get("insecure-skip-tls-verify", False)
    proxy = _proxy(cluster, env, url)
    if secure:
        credentials = _credentials(config, user_name, user, cluster, ca, env)
        if server.username is not None:
            credentials = _with_login(server, credentials)
    else:
        credentials = Credentials()  # kubectl sends none over plain http
    if insecure and ca is not None:
        raise KubeconfigError(
            "specifying a root certificates file with the insecure flag is not allowed",
            f"cluster {cluster_name} has both a certificate-authority and insecure-skip-tls-verify",
        )
    why_here = ""
    if not overrides.server and "server" not in config["clusters"].get(cluster_name, {}):
        why_here = _why_default(config, name, cluster_name)
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


# Files


class _Data:
    """The shape of a ``-data`` field: PEM in base64."""


_PEM = _Data()
_EXTENSIONS = [{"name": str, "extension": object}]
_CLUSTER = {
    "server": str,
    "tls-server-name": str,
    "insecure-skip-tls-verify": bool,
    "certificate-authority": str,
    "certificate-authority-data": _PEM,
    "proxy-url": str,
    "disable-compression": bool,
    "extensions": _EXTENSIONS,
}
_EXEC = {
    "command": str,
    "args": [str],
    "env": [{"name": str, "value": str}],
    "apiVersion": str,
    "installHint": str,
    "provideClusterInfo": bool,
    "interactiveMode": str,
}
_USER = {
    "client-certificate": str,
    "client-certificate-data": _PEM,
    "client-key": str,
    "client-key-data": _PEM,
    "token": Sealed,
    "tokenFile": str,
    "as": str,
    "as-uid": str,
    "as-groups": [str],
    "as-user-extra": {None: [str]},
    "username": str,
    "password": Sealed,
    "auth-provider": {"name": str, "config": {None: Sealed}},
    "exec": _EXEC,
}
_CONTEXT = {"cluster": str, "user": str, "namespace": str}
_CONFIG = {
    "kind": str,
    "apiVersion": str,
    "current-context": str,
    "clusters": [{"name": str, "cluster": _CLUSTER}],
    "users": [{"name": str, "user": _USER}],
    "contexts": [{"name": str, "context": _CONTEXT}],
}
_WORDS = {str: "a string", bool: "true or false", Sealed: "a string"}


def _merged(overrides: Overrides, env: Env) -> dict[str, Any]:
    """All files as one: for a name the first file wins, and the first current-context."""
    merged: dict[str, Any] = {
        "current-context": "",
        "clusters": {},
        "users": {},
        "contexts": {},
        "files": _files(overrides, env),
        "read": [],
    }
    for path in merged["files"]:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError as error:
            if overrides.kubeconfig:
                raise KubeconfigError(
                    f"stat {path}: no such file or directory", "--kubeconfig must be there"
                ) from error
            continue
        except OSError as error:
            raise KubeconfigError(f"error loading config file {path}: {error.strerror}") from error
        config = _parsed(path, content)
        merged["read"].append(path)
        merged["current-context"] = merged["current-context"] or config.get("current-context", "")
        for section in ("clusters", "users", "contexts"):
            merged[section] = {**config[section], **merged[section]}
    return merged


def _files(overrides: Overrides, env: Env) -> list[str]:
    if overrides.kubeconfig:
        return [overrides.kubeconfig]
    listed = env.environ.get("KUBECONFIG", "")
    if listed:
        return [path for path in dict.fromkeys(listed.split(os.pathsep)) if path]
    return [os.path.join(_home(env), ".kube", "config")]


def _home(env: Env) -> str:
    home = env.environ.get("HOME", "")
    if os.name != "nt":
        return home
    drive = env.environ.get("HOMEDRIVE", "") + env.environ.get("HOMEPATH", "")
    homes = [home, drive, env.environ.get("USERPROFILE", "")]
    homes = [path for path in homes if path]
    for path in homes:
        if os.path.exists(os.path.join(path, ".kube", "config")):
            return path
    return homes[0] if homes else ""


def _parsed(path: str, content: bytes) -> dict[str, Any]:
    """One file, with its relative paths made absolute, and its lists made maps by name."""
    try:
        config: dict[str, Any] = _typed(parse_yaml(content.decode("utf-8-sig")), _CONFIG, "")
        if config.get("kind", "Config") != "Config" or config.get("apiVersion", "v1") != "v1":
            raise ValueError("it is not of kind Config, apiVersion v1")
        for section, field in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            named: dict[str, Any] = {}
            for entry in config.get(section, ()):
                name = entry.get("name", "")
                if name in named:
                    raise ValueError(f'duplicate name "{name}" in {section}')
                named[name] = {**entry.get(field, {}), "file": path}
            config[section] = named
    except UnicodeDecodeError as error:
        raise KubeconfigError(f"error loading config file {path}: it is not UTF-8 text") from error
    except ValueError as error:
        raise KubeconfigError(
            f"error loading config file {path}: {error}",
            f"kubectl config view --kubeconfig {path} must be able to read it, too",
        ) from error
    folder = os.path.dirname(os.path.abspath(path))
    for cluster in config["clusters"].values():
        _resolve(cluster, folder, "certificate-authority")
    for user in config["users"].values():
        _resolve(user, folder, "client-certificate", "client-key", "tokenFile")
        if os.sep in user.get("exec", {}).get("command", ""):
            _resolve(user["exec"], folder, "command")
    return config


def _resolve(entry: dict[str, Any], folder: str, *fields: str) -> None:
    for field in fields:
        if entry.get(field):
            entry[field] = os.path.normpath(os.path.join(folder, entry[field]))


def _typed(value: Any, shape: Any, where: str) -> Any:
    """The value if it has the shape, without unknown and empty fields. Raises ValueError.

    What JSON calls null is empty, as in Go. The errors name the place, never the value.
    """
    if shape is object:
        return value
    if isinstance(shape, dict):
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f"{where or 'it'} must be a mapping")
        typed = {}
        for key, child in value.items():
            name = str(key).lower() if isinstance(key, bool) else str(key)
            child_shape = shape.get(name, shape.get(None))
            # A pointer in Go: exec: {} is an exec plugin without command, exec: null is none.
            if child_shape is None or child is None:
                continue
            found = _typed(child, child_shape, f"{where}.{name}" if where else name)
            if found or isinstance(found, dict) or None in shape:
                typed[name] = found
        return typed
    if isinstance(shape, list):
        if value is None:
            return []
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list")
        return [_typed(child, shape[0], f"{where}[{i}]") for i, child in enumerate(value)]
    if shape is _PEM:
        try:
            return Sealed(pem_data(_typed(value, str, where), where))
        except KubeconfigError as error:
            raise ValueError(error.message) from error
    kind = str if shape is Sealed else shape
    if value is None:
        return shape("")
    if not isinstance(value, kind):
        quote = ": put it in quotes" if isinstance(value, int | float) and kind is str else ""
        raise ValueError(f"{where} must be {_WORDS[shape]}{quote}")
    return shape(value)


# The merged configuration and the flags


def _context(config: Mapping[str, Any], overrides: Overrides) -> tuple[str, dict[str, Any]]:
    name = overrides.context or config["current-context"]
    context = _entry(config["contexts"], name, bool(overrides.context), "context")
    flags = {"cluster": overrides.cluster, "user": overrides.user}
    return name, {**context, **{field: value for field, value in flags.items() if value}}


def _user(
    config: Mapping[str, Any], context: Mapping[str, str], overrides: Overrides
) -> tuple[str, dict[str, Any]]:
    name = context.get("user", "")
    user = _entry(config["users"], name, bool(overrides.user), "auth info")
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


def _cluster(
    config: Mapping[str, Any], context: Mapping[str, str], overrides: Overrides, env: Env
) -> tuple[str, dict[str, Any]]:
    name = context.get("cluster", "")
    cluster = _entry(config["clusters"], name, bool(overrides.cluster), "cluster")
    cluster.setdefault("server", _default_server(env))
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


def _entry(entries: Mapping[str, Any], name: str, required: bool, kind: str) -> dict[str, Any]:
    """The entry, without where it is from; empty if it is missing, as kubectl has it."""
    if name not in entries and required:
        there = ", ".join(sorted(entries)) or "none"
        raise KubeconfigError(f'{kind} "{name}" does not exist', f"in the kubeconfig: {there}")
    return {field: value for field, value in entries.get(name, {}).items() if field != "file"}


def _default_server(env: Env) -> str:
    return env.environ.get("KUBERNETES_MASTER") or "http://localhost:8080"


def _why_default(config: Mapping[str, Any], context: str, cluster: str) -> str:
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


def _confirm_usable(
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
    wrong += _wrong_with_user(user_name, user)
    wrong += _wrong_with_cluster(cluster_name, cluster)
    if wrong:
        text = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        raise KubeconfigError(
            f"invalid configuration: {text}", "see it with kubectl config view --minify"
        )


def _wrong_with_user(name: str, user: Mapping[str, Any]) -> list[str]:
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
        wrong += _unreadable(user, "client-certificate", f"client-cert {{}} for {name}")
        wrong += _unreadable(user, "client-key", f"client-key {{}} for {name}")
    if "exec" in user:
        wrong += _wrong_with_exec(name, user)
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


def _wrong_with_exec(name: str, user: Mapping[str, Any]) -> list[str]:
    spec, plugin, wrong = user["exec"], f"for {name} to use exec authentication plugin", []
    if "auth-provider" in user:
        wrong.append(
            f"authProvider cannot be provided in combination with an exec plugin for {name}"
        )
    wrong += [
        f"{field} must be specified {plugin}"
        for field in ("command", "apiVersion")
        if not spec.get(field)
    ]
    if any(not entry.get("name") for entry in spec.get("env", ())):
        wrong.append(f"env variable name must be specified {plugin}")
    # Only the older versions have a default.
    if spec.get("apiVersion") in (f"{EXEC_GROUP}/v1alpha1", f"{EXEC_GROUP}/v1beta1"):
        spec.setdefault("interactiveMode", "IfAvailable")
    mode = spec.get("interactiveMode")
    if not mode:
        wrong.append(f"interactiveMode must be specified {plugin}")
    elif mode not in ("Never", "IfAvailable", "Always"):
        wrong.append(f'invalid interactiveMode for {name}: "{mode}"')
    return wrong


def _wrong_with_cluster(name: str, cluster: Mapping[str, Any]) -> list[str]:
    wrong = []
    proxy = cluster.get("proxy-url")
    if proxy and _split(proxy).scheme not in ("http", "https", "socks5"):
        wrong.append(
            f"invalid 'proxy-url' for cluster \"{name}\": "
            "unsupported scheme, must be http, https, or socks5"
        )
    if cluster.get("certificate-authority") and cluster.get("certificate-authority-data"):
        wrong.append(
            f"certificate-authority-data and certificate-authority are both specified for {name}. "
            "certificate-authority-data will override"
        )
    return wrong + _unreadable(
        cluster, "certificate-authority", f"certificate-authority {{}} for {name}"
    )


def _unreadable(entry: Mapping[str, Any], field: str, what: str) -> list[str]:
    path = entry.get(field)
    if not path:
        return []
    try:
        with open(path, "rb"):
            return []
    except (OSError, ValueError) as error:
        return [f"unable to read {what.format(path)} due to {unreadable(error)}"]


# The target


def _split(url: str) -> "SplitResult":
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _server(text: str) -> "SplitResult":
    """The server's URL. Without a scheme it is plain http, as for kubectl."""
    server = _split(text)
    if not server.scheme or not server.netloc:
        server = _split(f"http://{text}")
        if server.path not in ("", "/"):
            server = _split("")
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


def _url(parts: "SplitResult") -> str:
    """The URL without login, query, fragment and slash at the end."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _without_query(server: str) -> str:
    """The server as plugins are told of it: as it was written, but for a query after a path."""
    parts = _split(server)
    return parts._replace(query="", fragment="").geturl() if len(parts.path) > 1 else server


def _pem(entry: Mapping[str, Any], field: str) -> str | None:
    data = entry.get(f"{field}-data")
    if data:
        text: str = data.reveal()
        return text
    path = entry.get(field)
    return read_text(path, field) if path else None


def _with_login(server: "SplitResult", credentials: Credentials) -> Credentials:
    """Go lets user:password@ of the URL win over every other Authorization."""
    from urllib.parse import unquote

    login = basic(unquote(server.username or ""), Sealed(unquote(server.password or "")))
    return Credentials(login, credentials.certificate())


def _credentials(
    config: Mapping[str, Any],
    name: str,
    user: Mapping[str, Any],
    cluster: Mapping[str, Any],
    ca: str | None,
    env: Env,
) -> Credentials:
    certificate = None
    chain = _pem(user, "client-certificate")
    if chain is not None:
        certificate = Certificate(chain, Sealed(_pem(user, "client-key") or ""))
    token, token_file = user.get("token"), user.get("tokenFile")
    login = user.get("username")
    plugin, provider = user.get("exec"), user.get("auth-provider")

    # These are refused even where another credential goes before them.
    if plugin is not None and plugin["apiVersion"] not in EXEC_VERSIONS:
        raise KubeconfigError(
            f'exec plugin: invalid apiVersion "{plugin["apiVersion"]}"',
            f"update the plugin, or the kubeconfig it wrote: kubectl takes {EXEC_VERSIONS[0]}",
        )
    oidc = None
    if provider is not None:
        oidc = _auth_provider(config, name, provider, certificate, env)

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
        told = _exec_cluster(plugin, cluster, ca)
        return ExecPlugin(_plugin(plugin), told, _plugin_policy(env), env)
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


def _plugin(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The exec plugin's entry, its hint made safe for a terminal."""
    hint = "".join(
        character if character.isprintable() or character.isspace() else f"U+{ord(character):04X}"
        for character in spec.get("installHint", "")
    )
    return {**spec, "installHint": hint}


_PREFERENCE = {
    "kind": str,
    "apiVersion": str,
    "credentialPluginPolicy": str,
    "credentialPluginAllowlist": [{"command": str}],
}


def _plugin_policy(env: Env) -> PluginPolicy:
    """What the user's kuberc says about exec plugins: a plugin denied to kubectl is so to us."""
    asked = env.environ.get("KUBERC", "")
    if asked == "off" or env.environ.get("KUBECTL_KUBERC", "").lower() == "false":
        return PluginPolicy()
    file = asked or os.path.join(_home(env), ".kube", "kuberc")
    preference: dict[str, Any] = {}
    if asked or os.path.exists(file):
        for text in f"\n{read_text(file, 'kuberc')}".split("\n---"):
            try:
                found = _typed(parse_yaml(text), _PREFERENCE, "")
            except ValueError:
                continue  # kubectl takes the first that it can read
            group, _, version = found.get("apiVersion", "").partition("/")
            if (group, found.get("kind")) == ("kubectl.config.k8s.io", "Preference"):
                preference = found if version == "v1beta1" else {}
                break
    policy = PluginPolicy(
        preference.get("credentialPluginPolicy", ""),
        tuple(
            entry.get("command", "") for entry in preference.get("credentialPluginAllowlist", ())
        ),
        file,
    )
    known = policy.kind in ("", "AllowAll", "DenyAll", "Allowlist")
    if not known or (policy.kind == "Allowlist") != bool(policy.allowed) or "" in policy.allowed:
        raise KubeconfigError(
            f"misconfigured credential plugin allowlist: plugin policy in {file}",
            "credentialPluginPolicy is AllowAll, DenyAll, or Allowlist with a list of commands",
        )
    return policy


def _exec_cluster(
    spec: Mapping[str, Any], cluster: Mapping[str, Any], ca: str | None
) -> dict[str, Any] | None:
    """What a plugin that asks for it is told of the cluster: only the fields of its API."""
    if not spec.get("provideClusterInfo"):
        return None
    from base64 import b64encode

    info = {
        "server": _without_query(cluster["server"]),
        "tls-server-name": cluster.get("tls-server-name"),
        "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify"),
        "certificate-authority-data": b64encode(ca.encode()).decode() if ca else None,
        "proxy-url": cluster.get("proxy-url"),
        "disable-compression": cluster.get("disable-compression"),
    }
    info = {field: value for field, value in info.items() if value}
    info["config"] = None
    for extension in cluster.get("extensions", ()):
        if extension.get("name") == EXEC_EXTENSION:
            info["config"] = extension.get("extension")
    return info


def _impersonation(user: Mapping[str, Any]) -> Impersonation | None:
    if not user.get("as"):
        return None
    return Impersonation(
        user["as"],
        user.get("as-uid", ""),
        tuple(user.get("as-groups", ())),
        tuple((key, tuple(values)) for key, values in user.get("as-user-extra", {}).items()),
    )


def _seconds(text: str) -> float | None:
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


# In a pod


def _in_pod(env: Env, folder: str) -> bool:
    return bool(
        env.environ.get("KUBERNETES_SERVICE_HOST")
        and env.environ.get("KUBERNETES_SERVICE_PORT")
        and os.path.exists(f"{folder}/token")
        and not os.path.isdir(f"{folder}/token")
    )


def _pod_namespace(env: Env, folder: str) -> str:
    namespace = env.environ.get("POD_NAMESPACE", "")
    if not namespace and os.path.exists(f"{folder}/namespace"):
        namespace = read_text(f"{folder}/namespace", "namespace").strip()
    return namespace


def _in_cluster(overrides: Overrides, env: Env, folder: str) -> Target:
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
    return Target(
        server, credentials, ca, proxy_url=environment_proxy(env.environ, server), user="in-cluster"
    )


# Proxies


def _proxy(cluster: Mapping[str, Any], env: Env, url: str) -> str | None:
    """The kubeconfig's proxy, whatever NO_PROXY says; else that of the environment."""
    return cluster.get("proxy-url") or environment_proxy(env.environ, url)


def environment_proxy(environ: Mapping[str, str], url: str) -> str | None:
    """The proxy that the environment sets for the URL, by the rules of Go."""
    target = _split(url)
    name = "HTTPS_PROXY" if target.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or not _proxied(environ, target):
        return None
    parts = _split(proxy)
    if not parts.scheme or not parts.netloc:
        proxy = f"http://{proxy}"
        parts = _split(proxy)
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise KubeconfigError(f"invalid proxy address in {name}", "it is like http://host:port")
    return proxy


def _proxied(environ: Mapping[str, str], target: "SplitResult") -> bool:
    from contextlib import suppress
    from ipaddress import ip_address, ip_network

    host = (target.hostname or "").lower()
    port = str(target.port or (443 if target.scheme == "https" else 80))
    if host == "localhost":
        return False
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return False
    for rule in (environ.get("NO_PROXY") or environ.get("no_proxy") or "").lower().split(","):
        rule = rule.strip()
        if rule == "*":
            return False
        try:
            network = ip_network(rule, strict=False) if "/" in rule else None
        except ValueError:
            network = None
        if network is not None:
            if address in network:
                return False
            continue
        name, rule_port = _host_and_port(rule)
        if not name or (rule_port and rule_port != port):
            continue
        if address is not None:
            with suppress(ValueError):  # names are not for addresses
                if ip_address(name) == address:
                    return False
            continue
        name = name.removeprefix("*") if name.startswith("*.") else name
        # example.com is itself and all below it, .example.com only what is below it.
        if host.endswith(name if name.startswith(".") else f".{name}") or host == name:
            return False
    return True


def _host_and_port(rule: str) -> tuple[str, str]:
    if rule.startswith("["):
        host, _, rest = rule[1:].partition("]")
        return host, rest.removeprefix(":")
    host, colon, port = rule.rpartition(":")
    if not colon or ":" in host:  # no port, or an IPv6 address
        return rule, ""
    return host, port


# auth-provider


def _auth_provider(
    config: Mapping[str, Any],
    name: str,
    provider: Mapping[str, Any],
    certificate: Certificate | None,
    env: Env,
) -> Credentials:
    kind = provider.get("name", "")
    if kind in REMOVED_PROVIDERS:
        raise KubeconfigError(f"the {kind} auth plugin has been removed", REMOVED_PROVIDERS[kind])
    if kind != "oidc":
        raise KubeconfigError(f'no Auth Provider found for name "{kind}"')

    def persist(changed: Mapping[str, Sealed]) -> None:
        file = config["users"].get(name, {}).get("file")
        if file:
            _persist(file, name, changed)

    def proxy(url: str) -> str | None:
        return environment_proxy(env.environ, url)

    return Oidc(provider.get("config", {}), persist, proxy, certificate, env)


def _persist(path: str, user: str, changed: Mapping[str, Sealed]) -> None:
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
            file.write(_with_tokens(text, user, changed))
            file.truncate()
    except OSError as error:
        raise KubeconfigError(f"could not persist new tokens: {path}: {error.strerror}") from error
    finally:
        os.unlink(lock)


def _with_tokens(text: str, user: str, changed: Mapping[str, Sealed]) -> str:
    """The text with the tokens changed; the rest of it, with its comments, stays as it was.

    Where that is not possible (aliases, odd layouts) all of it is written anew, as JSON, which
    every reader of a kubeconfig takes.
    """
    import json

    wanted = parse_yaml(text)
    tokens = {field: value.reveal() for field, value in changed.items()}
    for entry in wanted["users"]:
        if entry.get("name", "") == user:
            entry["user"]["auth-provider"].setdefault("config", {}).update(tokens)
    edited = text
    try:
        for field, token in tokens.items():
            edited = _with_field(edited, user, field, json.dumps(token))
        if parse_yaml(edited) == wanted:
            return edited
    except (ValueError, TypeError):
        pass
    return json.dumps(wanted, indent=2) + "\n"


def _with_field(text: str, user: str, field: str, value: str) -> str:
    """The text with a field of the user's auth-provider config set, where that is easy."""
    import yaml

    start: int
    end: int
    root = next(yaml.compose_all(text, Loader=yaml.SafeLoader))
    _, users = _child(root, "users")
    for item in getattr(users, "value", ()):
        _, name = _child(item, "name")
        if getattr(name, "value", None) == user:
            config = item
            for step in ("user", "auth-provider", "config"):
                _, config = _child(config, step)
            _, old = _child(config, field)
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


def _child(node: Any, key: str) -> tuple[Any, Any]:
    """The key and the value of a mapping node, as nodes."""
    for name, value in getattr(node, "value", ()) or ():
        if name.value == key:
            return name, value
    return None, None
