"""The forms in which a minted token leaves; each comes sealed, for whoever writes it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .errors import KubeconfigError
from .world import Object, Sealed

if TYPE_CHECKING:
    from .kubeconfig import Target
    from .mint import Ask, Minted
    from .token import Claims
    from .token_cache import Kept

EXEC_GROUP = "client.authentication.k8s.io"
EXEC_VERSIONS = (f"{EXEC_GROUP}/v1", f"{EXEC_GROUP}/v1beta1")

# What the plugin is told by the client that runs it.
EXEC_INFO = "KUBERNETES_EXEC_INFO"


def token_text(token: Sealed, *, terminal: bool) -> Sealed:
    """The token alone; as kubectl create token, with a line break only on a terminal."""
    return Sealed(f"{token.reveal()}\n") if terminal else token


def request_text(minted: "Minted", form: str) -> Sealed:
    """The TokenRequest as the API server answered it, as JSON or YAML."""
    request = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": minted.metadata,
        "spec": minted.spec,
        "status": {"token": minted.token.reveal(), **minted.status},
    }
    return Sealed(document(request, form))


def claims_text(claims: "Claims") -> Sealed:
    """What the token says of itself, without its signature: nobody can use it as a token."""
    return Sealed(json.dumps(claims.payload, indent=2) + "\n")


def header_text(token: Sealed) -> Sealed:
    """A line for ``curl -H @-``, which keeps the token out of the arguments of curl."""
    return Sealed(f"Authorization: Bearer {token.reveal()}\n")


def env_text(token: Sealed, target: "Target", namespace: str) -> Sealed:
    """Lines for a shell, with the names that Terraform's kubernetes provider reads."""
    from shlex import quote

    values = {
        "KUBE_HOST": target.server,
        "KUBE_CLUSTER_CA_CERT_DATA": target.ca or "",
        "KUBE_TLS_SERVER_NAME": target.tls_server_name or "",
        "KUBE_INSECURE": "true" if target.insecure else "",
        "KUBE_PROXY_URL": target.proxy_url or "",
        "KUBE_NAMESPACE": namespace,
        "KUBE_TOKEN": token.reveal(),
    }
    lines = [f"export {name}={quote(value)}\n" for name, value in values.items() if value]
    return Sealed("".join(lines))


def secret_text(minted: "Minted", ask: "Ask", target: "Target") -> Sealed:
    """An Opaque Secret with what the kubelet would mount: token, ca.crt, namespace."""
    values = {"token": minted.token.reveal(), "namespace": ask.namespace}
    if target.ca:
        values["ca.crt"] = target.ca
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{ask.account[:247].rstrip('.-')}-token",
            "namespace": ask.namespace,
            "annotations": {
                "satoken/account": ask.account,
                "satoken/expires": minted.status.get("expirationTimestamp") or "",
            },
        },
        "type": "Opaque",
        "stringData": values,
    }
    return Sealed(document(secret, "yaml"))


def credential_text(kept: "Kept", version: str) -> Sealed:
    """An ExecCredential. It expires when a new token is to be asked for, before the token does."""
    moment = datetime.fromtimestamp(int(kept.renew), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    credential = {
        "kind": "ExecCredential",
        "apiVersion": version,
        "spec": {"interactive": False},
        "status": {"expirationTimestamp": moment, "token": kept.token.reveal()},
    }
    return Sealed(json.dumps(credential) + "\n")


def exec_version(environ: Mapping[str, str]) -> str:
    """The version of the API that the client speaks; the newest where no client runs us.

    Raises KubeconfigError for one that we do not speak.
    """
    text = environ.get(EXEC_INFO)
    if not text:
        return EXEC_VERSIONS[0]
    try:
        info = json.loads(text)
        kind, version = info["kind"], info["apiVersion"]
    except (ValueError, TypeError, KeyError):
        kind = version = None
    if kind != "ExecCredential":
        raise KubeconfigError(f"{EXEC_INFO} is not an ExecCredential")
    if version not in EXEC_VERSIONS:
        raise KubeconfigError(
            f"{EXEC_INFO} asks for an ExecCredential of another API version",
            f"the apiVersion of the exec plugin in the kubeconfig must be {EXEC_VERSIONS[0]}",
        )
    return str(version)


def document(value: Object, form: str) -> str:
    """An object as JSON, with the indent of kubectl, or as YAML."""
    if form == "json":
        return json.dumps(value, indent=4) + "\n"
    from .kubeconfig_merge import dumped

    return dumped(value)
