"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: programs and flags."""

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import build
from tests.cluster.errors import ClusterError

# A list gives the flag once for each of its values, None takes the flag away.
Flags = Mapping[str, str | Sequence[str] | None]

ISSUER = "https://kubernetes.default.svc.cluster.local"

# Everything, without bodies: those of TokenRequests hold tokens.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

# The controllers that a pod waits for, by both of their names.
SERVICE_ACCOUNT_CONTROLLER = ("serviceaccount-controller", "serviceaccount")
NODE_LIFECYCLE_CONTROLLER = ("node-lifecycle-controller", "nodelifecycle")
ROOT_CA_CONTROLLER = ("root-ca-certificate-publisher-controller", "root-ca-cert-publisher")


def program(component: str) -> list[str] | None:
    """The command that runs a component, without flags; None where there is none.

    ``KUBEBUILDER_ASSETS`` is envtest's convention, a folder of Kubernetes' own binaries. It has no
    kube-controller-manager as a rule.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return [str(build.binaries() / "kube"), component]
    path = Path(assets) / component
    if path.exists():
        return [str(path)]
    if component in ("etcd", "kube-apiserver"):
        raise ClusterError(f"KUBEBUILDER_ASSETS: {path} is missing")
    return None


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has; held together, so that none is given twice."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def etcd(directory: Path, port: int) -> list[str]:
    """Flags of etcd: fast rather than safe, and found by nobody but the API server."""
    return flags(
        {
            "data-dir": str(directory / "etcd"),
            "listen-client-urls": f"http://127.0.0.1:{port}",
            "advertise-client-urls": f"http://127.0.0.1:{port}",
            "listen-peer-urls": "http://127.0.0.1:0",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
    )


def kube_apiserver(
    directory: Path, port: int, etcd_port: int, services: str, overrides: Flags
) -> list[str]:
    """Flags of kube-apiserver."""
    pki = directory / "pki"
    (directory / "audit-policy.yaml").write_text(json.dumps(AUDIT_POLICY))
    return flags(
        {
            "etcd-servers": f"http://127.0.0.1:{etcd_port}",
            "bind-address": "127.0.0.1",
            # Not the address of the default route: there may be none.
            "advertise-address": "127.0.0.1",
            "secure-port": str(port),
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": services,
            "client-ca-file": f"{pki}/ca.crt",
            "tls-cert-file": f"{pki}/apiserver.crt",
            "tls-private-key-file": f"{pki}/apiserver.key",
            "cert-dir": f"{pki}/apiserver",
            "service-account-issuer": ISSUER,
            "service-account-signing-key-file": f"{pki}/sa.key",
            "service-account-key-file": f"{pki}/sa.pub",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "audit-log-path": str(directory / "audit.log"),
            "audit-policy-file": str(directory / "audit-policy.yaml"),
            "kubelet-certificate-authority": f"{pki}/ca.crt",
            "kubelet-client-certificate": f"{pki}/apiserver-kubelet-client.crt",
            "kubelet-client-key": f"{pki}/apiserver-kubelet-client.key",
            "kubelet-preferred-address-types": "InternalIP",
        },
        overrides,
    )


def kube_controller_manager(directory: Path, overrides: Flags) -> list[str]:
    """Flags of kube-controller-manager, which makes default service accounts and legacy tokens."""
    pki = directory / "pki"
    return flags(
        {
            "kubeconfig": f"{directory}/kube-controller-manager.kubeconfig",
            "use-service-account-credentials": "true",
            "service-account-private-key-file": f"{pki}/sa.key",
            "root-ca-file": f"{pki}/ca.crt",
            "cluster-signing-cert-file": f"{pki}/ca.crt",
            "cluster-signing-key-file": f"{pki}/ca.key",
            "leader-elect": "false",
            "secure-port": "0",
            # It makes this folder, and the default one is the system's.
            "flex-volume-plugin-dir": str(directory / "volume-plugins"),
        },
        overrides,
    )


def kube_scheduler(directory: Path) -> list[str]:
    """Flags of kube-scheduler."""
    return flags(
        {
            "kubeconfig": f"{directory}/kube-scheduler.kubeconfig",
            "leader-elect": "false",
            "secure-port": "0",
        }
    )


def flags(defaults: Flags, overrides: Flags | None = None) -> list[str]:
    """Flags as arguments."""
    given = {name.lstrip("-"): value for name, value in (overrides or {}).items()}
    arguments = []
    for name, value in {**defaults, **given}.items():
        values = [value] if isinstance(value, str) else value or []
        arguments += [f"--{name}={each}" for each in values]
    return arguments


def runs(controllers: Sequence[str] | None, names: Sequence[str]) -> bool:
    """Whether ``--controllers`` lets a controller run that goes by these names."""
    if controllers is None:
        return True
    if any(name in controllers for name in names):
        return True
    return "*" in controllers and not any(f"-{name}" in controllers for name in names)


def listed(value: str | Sequence[str] | None) -> list[str] | None:
    """A flag's value, given as a list or as the command line has it, as a list."""
    if value is None:
        return None
    return re.split(r"\s*,\s*", value) if isinstance(value, str) else list(value)
