"""Exec plugins: programs that a kubeconfig names to get a credential from, and who may run them."""

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NamedTuple

from .credentials import Certificate, Credentials, bearer
from .documents import parse_yaml, read_text, typed, unreadable
from .env import Env
from .errors import KubeconfigError
from .kubeconfig_files import home
from .urls import split_url
from .world import Sealed

EXEC_GROUP = "client.authentication.k8s.io"
EXEC_VERSIONS = (f"{EXEC_GROUP}/v1", f"{EXEC_GROUP}/v1beta1")
EXEC_EXTENSION = f"{EXEC_GROUP}/exec"
PLUGIN_DOCS = (
    "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
    "#client-go-credential-plugins"
)
PREFERENCE = {
    "kind": str,
    "apiVersion": str,
    "credentialPluginPolicy": str,
    "credentialPluginAllowlist": [{"command": str}],
}


def wrong_with_exec(name: str, user: Mapping[str, Any]) -> list[str]:
    """What kubectl finds wrong in a user with an exec plugin, which gets its default mode here."""
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


def prepare(
    spec: Mapping[str, Any], cluster: Mapping[str, Any], ca: str | None, env: Env
) -> "ExecPlugin":
    """The plugin of a user, not run yet. Raises KubeconfigError."""
    return ExecPlugin(printable(spec), cluster_info(spec, cluster, ca), read_policy(env), env)


def confirm_version(spec: Mapping[str, Any]) -> None:
    """Raises KubeconfigError unless kubectl speaks the plugin's version of the API."""
    if spec["apiVersion"] not in EXEC_VERSIONS:
        raise KubeconfigError(
            f'exec plugin: invalid apiVersion "{spec["apiVersion"]}"',
            f"update the plugin, or the kubeconfig it wrote: kubectl takes {EXEC_VERSIONS[0]}",
        )


def printable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The exec plugin's entry, its hint made safe for a terminal."""
    hint = "".join(
        character if character.isprintable() or character.isspace() else f"U+{ord(character):04X}"
        for character in spec.get("installHint", "")
    )
    return {**spec, "installHint": hint}


def cluster_info(
    spec: Mapping[str, Any], cluster: Mapping[str, Any], ca: str | None
) -> dict[str, Any] | None:
    """What a plugin that asks for it is told of the cluster: only the fields of its API."""
    if not spec.get("provideClusterInfo"):
        return None
    info = {
        "server": without_query(cluster["server"]),
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


def without_query(server: str) -> str:
    """The server as plugins are told of it: as it was written, but for a query after a path."""
    parts = split_url(server)
    return parts._replace(query="", fragment="").geturl() if len(parts.path) > 1 else server


class PluginPolicy(NamedTuple):
    """Which exec plugins the user lets kubectl run."""

    kind: str = ""  # AllowAll, DenyAll, Allowlist; empty: AllowAll
    allowed: tuple[str, ...] = ()
    file: str = ""


def read_policy(env: Env) -> PluginPolicy:
    """What the user's kuberc says about exec plugins: a plugin denied to kubectl is so to us."""
    asked = env.environ.get("KUBERC", "")
    if asked == "off" or env.environ.get("KUBECTL_KUBERC", "").lower() == "false":
        return PluginPolicy()
    file = asked or os.path.join(home(env), ".kube", "kuberc")
    preference: dict[str, Any] = {}
    if asked or os.path.exists(file):
        for text in f"\n{read_text(file, 'kuberc')}".split("\n---"):
            try:
                found = typed(parse_yaml(text), PREFERENCE, "")
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


class ExecPlugin(Credentials):
    """What a client-go credential plugin says, each time it is needed."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        cluster: Mapping[str, Any] | None,
        policy: PluginPolicy,
        env: Env,
    ) -> None:
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
        command = [self._executable(), *self._spec.get("args", ())]
        interactive = self._interactive()
        self._env.stderr.flush()
        try:
            done = subprocess.run(
                command,
                # A plugin without a terminal must not eat the manifest that is piped to us.
                stdin=self._env.stdin if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file_number(self._env.stderr),  # where people are asked to log in
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


def file_number(stream: Any) -> int | None:
    """The stream's file descriptor; None, which means the inherited one, if it has none."""
    try:
        number: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number
