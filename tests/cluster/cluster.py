"""A cluster as the tests have it: started, found again, stopped."""

import atexit
import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.cluster import api, control_plane, node, pki, processes
from tests.cluster.errors import ClusterError, Unavailable
from tests.cluster.processes import Process

STATE = "cluster.json"

# How long a cluster may take to come up, and how long its processes may take to go. Nothing that
# they would still write is wanted.
START_SECONDS = 120.0
GRACE_SECONDS = 1.0

# Everything that a cluster leaves in its folder, and that the next one there must not find.
LEFTOVERS = ("etcd", "logs", "node", "pki", "users", "volume-plugins", "audit.log")

NO_FLAGS: control_plane.Flags = MappingProxyType({})

REPOSITORY = Path(__file__).parents[2]


@dataclass(eq=False)
class Cluster:
    """One running cluster."""

    directory: Path
    server: str  # https://127.0.0.1:PORT
    kubeconfig: Path  # the administrator's
    node_name: str | None = None
    network: int | None = None  # the number of the node's addresses
    etcd: str = ""  # http://127.0.0.1:PORT
    processes: list[Process] = field(default_factory=list, repr=False)
    ready: bool = False  # it has come up
    external: bool = False  # somebody else's: SATOKEN_TEST_KUBECONFIG
    guard: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def ca(self) -> Path:
        """The certificate of the cluster's CA, as PEM."""
        return self.directory / "pki" / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The key of the cluster's CA."""
        return self.own("pki/ca.key")

    @property
    def service_account_key(self) -> Path:
        """The private key that signs the cluster's service account tokens."""
        return self.own("pki/sa.key")

    @property
    def audit_log(self) -> Path:
        """The audit log of the API server: one event as JSON on each line, without bodies."""
        return self.own("audit.log")

    @property
    def logs(self) -> Path:
        """The folder of what the components print."""
        return self.own("logs")

    @property
    def pids(self) -> dict[str, int]:
        """The components and their process ids."""
        return {process.name: process.pid for process in self.processes}

    def own(self, path: str) -> Path:
        """A file of a cluster that we started."""
        if self.external:
            raise Unavailable(f"SATOKEN_TEST_KUBECONFIG: that cluster gives no {path}")
        return self.directory / path

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for a user of that name and in these groups, with no rights of its own.

        By a certificate of the cluster's CA. For somebody else's cluster, whose CA signs nothing
        for us, the administrator impersonates the user.
        """
        users = self.directory / "users"
        users.mkdir(mode=0o700, exist_ok=True)
        parts = [urllib.parse.quote(part, safe="") for part in (name, *groups)]
        path = users / ("+".join(parts) + ".kubeconfig")
        if self.external:
            return impersonate(self.kubeconfig, path, name, groups)
        return pki.write_kubeconfig(path, self.server, self.ca.parent, name, groups)

    def running(self) -> bool:
        """Whether all of its processes are there."""
        return all(processes.alive(process) for process in self.processes)

    def stop(self) -> None:
        """End it. Nothing is left but files; a second time does nothing."""
        atexit.unregister(self.stop)
        if not self.external and (self.directory / STATE).exists():
            inside = [process for process in self.processes if process.name == "node"]
            # The node first, and at once: its containers have nothing to save.
            processes.end(inside[::-1], grace=0)
            processes.end(self.processes, GRACE_SECONDS)
            if self.network is not None:
                node.remove(self.directory, node.Network(self.network))
            (self.directory / STATE).unlink()
        if self.guard and self.guard.stdin:
            self.guard.stdin.close()
            self.guard.wait()
            self.guard = None

    def add(self, process: Process) -> Process:
        """Note a process as soon as it is there: ``stop`` ends what is noted, and nothing else."""
        self.processes.append(process)
        self.save()
        return process

    def save(self) -> None:
        """Write down all that another process needs to stop this cluster."""
        state = {
            "server": self.server,
            "kubeconfig": str(self.kubeconfig),
            "node_name": self.node_name,
            "network": self.network,
            "etcd": self.etcd,
            "processes": [asdict(process) for process in self.processes],
            "ready": self.ready,
        }
        # Whole or not at all, for whoever reads it meanwhile.
        temporary = self.directory / f"{STATE}.new"
        temporary.write_text(json.dumps(state, indent=2))
        temporary.replace(self.directory / STATE)

    def wait(self, what: str, condition: Callable[[], object], limit: float) -> None:
        """Wait for a condition, or raise with the end of a log when a component dies first."""
        while not condition():
            processes.check(self.processes, self.directory / "logs")
            if time.monotonic() > limit:
                raise ClusterError(
                    f"still no {what} after {START_SECONDS:.0f} s; logs: {self.directory}/logs"
                )
            time.sleep(0.1)

    def get(self, path: str) -> Any:
        """What the API server answers the administrator, or None."""
        return api.get(self.server, self.directory, path)

    def store(self, resource: str, item: dict[str, Any]) -> None:
        """Write an object where the API server reads it, past its rules: a time may lie back."""
        metadata = item["metadata"]
        key = f"/registry/{resource}/{metadata['namespace']}/{metadata['name']}"
        kept = {name: value for name, value in metadata.items() if name != "resourceVersion"}
        api.put(self.own_etcd, key, json.dumps({**item, "metadata": kept}))

    @property
    def own_etcd(self) -> str:
        """The address of the cluster's etcd."""
        if not self.etcd:
            raise Unavailable("this cluster gives no etcd")
        return self.etcd


def start(
    directory: Path,
    *,
    node: bool = False,
    issuer: str | Sequence[str] | None = None,
    api_audiences: str | Sequence[str] | None = None,
    max_token_expiration: str | None = None,
    extend_token_expiration: bool | None = None,
    controllers: str | Sequence[str] | None = None,
    apiserver_flags: control_plane.Flags = NO_FLAGS,
    controller_manager_flags: control_plane.Flags = NO_FLAGS,
    keep: bool = False,
    data: Path | None = None,
) -> Cluster:
    """Start a cluster with its files in a folder, and return when it can be used.

    It ends with this process, however that ends, unless it is to be kept. Flags that have no
    parameter of their own go to ``apiserver_flags`` and ``controller_manager_flags``, by name and
    without dashes; None takes one of the defaults away. ``controllers`` of ``[]`` starts no
    kube-controller-manager. ``data`` is what etcd begins with: the folder ``etcd`` of another one.
    """
    listed = control_plane.listed
    own_flags: control_plane.Flags = {
        "service-account-issuer": issuer,
        "api-audiences": ",".join(listed(api_audiences) or []) or None,
        "service-account-max-token-expiration": max_token_expiration,
        "service-account-extend-token-expiration": (
            None if extend_token_expiration is None else str(extend_token_expiration).lower()
        ),
    }
    given = {name: value for name, value in own_flags.items() if value is not None}
    apiserver = {**given, **apiserver_flags}
    controllers = listed(controllers)
    existing = os.environ.get("SATOKEN_TEST_KUBECONFIG")
    if existing:
        if node or apiserver or controller_manager_flags or controllers is not None:
            raise Unavailable("SATOKEN_TEST_KUBECONFIG: that cluster has a node and flags already")
        return adopt(directory, Path(existing))
    return launch(directory, node, apiserver, controller_manager_flags, controllers, keep, data)


def launch(
    directory: Path,
    with_node: bool,
    apiserver_flags: control_plane.Flags,
    controller_manager_flags: control_plane.Flags,
    controllers: Sequence[str] | None,
    keep: bool,
    data: Path | None = None,
) -> Cluster:
    """Start a cluster of our own."""
    reason = node.missing_for_node() if with_node else None
    if reason:
        raise Unavailable(reason)
    directory = directory.absolute()
    prepare(directory)
    if data is not None:
        shutil.copytree(data, directory / "etcd")
    limit = time.monotonic() + START_SECONDS
    port, etcd_port, kubelet_port = control_plane.free_ports(3)
    network = node.reserve_network() if with_node else None
    cluster = Cluster(
        directory,
        f"https://127.0.0.1:{port}",
        directory / "admin.kubeconfig",
        node.NAME if with_node else None,
        network.number if network else None,
        f"http://127.0.0.1:{etcd_port}",
    )
    cluster.save()
    if not keep:
        cluster.guard = start_guard(directory)
        atexit.register(cluster.stop)
    try:
        write_credentials(cluster, network)
        start_control_plane(cluster, etcd_port, network, apiserver_flags)
        if network:
            for process in node.start_runtime(directory, network):
                cluster.add(process)
        cluster.wait("ready API server", lambda: cluster.get("/readyz") == "ok", limit)
        start_controllers(cluster, controllers, controller_manager_flags)
        if network:
            start_node(cluster, network, kubelet_port)
        wait_until_usable(cluster, controllers, limit)
        cluster.ready = True
        cluster.save()
    except BaseException:
        cluster.stop()
        raise
    return cluster


def join(
    cluster: Cluster, directory: Path, apiserver_flags: control_plane.Flags = NO_FLAGS
) -> Cluster:
    """Start one more API server on the data of a cluster, as a control plane has several.

    Its certificates are the cluster's, its flags may differ. It ends before the cluster does.
    """
    etcd_port = int(cluster.own_etcd.rpartition(":")[2])
    directory = directory.absolute()
    prepare(directory)
    shutil.copytree(cluster.directory / "pki", directory / "pki")
    (port,) = control_plane.free_ports(1)
    other = Cluster(directory, f"https://127.0.0.1:{port}", directory / "admin.kubeconfig")
    other.save()
    other.guard = start_guard(directory)
    atexit.register(other.stop)
    try:
        pki.write_kubeconfig(
            other.kubeconfig, other.server, directory / "pki", "admin", ["system:masters"]
        )
        flags = control_plane.kube_apiserver(
            directory, port, etcd_port, "10.96.0.0/24", apiserver_flags
        )
        start_component(other, "kube-apiserver", flags)
        limit = time.monotonic() + START_SECONDS
        other.wait("ready API server", lambda: other.get("/readyz") == "ok", limit)
        other.ready = True
        other.save()
    except BaseException:
        other.stop()
        raise
    return other


def prepare(directory: Path) -> None:
    """Make the folder, or clear it of a cluster that ended without being stopped."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    former = load(directory)
    if former and former.processes and former.running():
        raise ClusterError(f"{directory}: a cluster runs there already")
    if former:
        former.stop()
    for name in LEFTOVERS:
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_credentials(cluster: Cluster, network: node.Network | None) -> None:
    """Make all keys and certificates, and a kubeconfig for everyone who needs one."""
    folder = cluster.directory / "pki"
    # The first address of kube-apiserver's default range is there even without a node.
    services = ["10.96.0.1", *([network.service] if network else [])]
    pki.create(folder, services, node.NAME, network.node if network else "127.0.0.1")
    users: Mapping[str, tuple[str, Sequence[str]]] = {
        "admin": ("admin", ["system:masters"]),
        "kube-controller-manager": ("system:kube-controller-manager", []),
        "kube-scheduler": ("system:kube-scheduler", []),
        "kubelet": (f"system:node:{node.NAME}", ["system:nodes"]),
    }
    for file, (name, groups) in users.items():
        path = cluster.directory / f"{file}.kubeconfig"
        pki.write_kubeconfig(path, cluster.server, folder, name, groups)


def start_control_plane(
    cluster: Cluster,
    etcd_port: int,
    network: node.Network | None,
    overrides: control_plane.Flags,
) -> None:
    """Start etcd and kube-apiserver, which waits for it."""
    services = network.services if network else "10.96.0.0/24"
    port = int(cluster.server.rpartition(":")[2])
    components = {
        "etcd": control_plane.etcd(cluster.directory, etcd_port),
        "kube-apiserver": control_plane.kube_apiserver(
            cluster.directory, port, etcd_port, services, overrides
        ),
    }
    for name, flags in components.items():
        start_component(cluster, name, flags)


def start_controllers(
    cluster: Cluster, controllers: Sequence[str] | None, overrides: control_plane.Flags
) -> None:
    """Start kube-controller-manager, and for a node kube-scheduler.

    After the API server: a kube-controller-manager waits for it for ten seconds and no longer.
    """
    if controllers != []:
        named = {"controllers": ",".join(controllers)} if controllers else {}
        flags = control_plane.kube_controller_manager(cluster.directory, {**named, **overrides})
        start_component(cluster, "kube-controller-manager", flags)
    if cluster.node_name:
        start_component(cluster, "kube-scheduler", control_plane.kube_scheduler(cluster.directory))


def start_component(cluster: Cluster, name: str, flags: Sequence[str]) -> None:
    """Start a component of the control plane, if there is one of that name."""
    program = control_plane.program(name)
    if program:
        log = cluster.directory / "logs" / f"{name}.log"
        cluster.add(processes.spawn(name, [*program, *flags], log))


def start_node(cluster: Cluster, network: node.Network, port: int) -> None:
    """Start the kubelet in the namespace of containerd, and the way of pods to the API server."""
    init = cluster.pids["node"]
    cluster.add(node.start_service(cluster.directory, network, cluster.server))
    cluster.add(node.start_kubelet(cluster.directory, network, port, init))


def wait_until_usable(cluster: Cluster, controllers: Sequence[str] | None, limit: float) -> None:
    """Wait for all that a pod in the namespace ``default`` needs, where anybody makes it."""
    if "kube-controller-manager" in cluster.pids:
        if control_plane.runs(controllers, control_plane.SERVICE_ACCOUNT_CONTROLLER):
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            cluster.wait("default service account", lambda: cluster.get(path), limit)
        if control_plane.runs(controllers, control_plane.ROOT_CA_CONTROLLER):
            root_ca = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
            cluster.wait("kube-root-ca.crt", lambda: cluster.get(root_ca), limit)
    if cluster.node_name:
        lifecycle = control_plane.runs(controllers, control_plane.NODE_LIFECYCLE_CONTROLLER)
        cluster.wait("ready node", lambda: node_is_ready(cluster, lifecycle), limit)


def node_is_ready(cluster: Cluster, taints_are_removed: bool) -> bool:
    """Whether pods can be put on the node."""
    found = cluster.get(f"/api/v1/nodes/{cluster.node_name}")
    if not found or (taints_are_removed and found["spec"].get("taints")):
        return False
    conditions = found["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def find(directory: Path) -> Cluster | None:
    """The cluster that runs in a folder, whoever started it; None if there is none."""
    cluster = load(directory)
    return cluster if cluster and cluster.ready and cluster.running() else None


def load(directory: Path) -> Cluster | None:
    """What is left of a cluster in a folder, running or not."""
    directory = directory.absolute()
    try:
        state = json.loads((directory / STATE).read_text())
    except FileNotFoundError:
        return None
    return Cluster(
        directory,
        state["server"],
        Path(state["kubeconfig"]),
        state["node_name"],
        state["network"],
        state["etcd"],
        [Process(**process) for process in state["processes"]],
        state["ready"],
    )


def start_guard(directory: Path) -> "subprocess.Popen[bytes]":
    """Start a process that stops the cluster when this one ends without doing it.

    It reads from a pipe that nobody writes to: the kernel closes it when we are gone, killed or
    not. PR_SET_PDEATHSIG would ask less, but it is the end of a thread that sets it off, and it
    cleans nothing up.
    """
    command = [sys.executable, "-m", "tests.cluster", "guard", "--dir", str(directory)]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def adopt(directory: Path, kubeconfig: Path) -> Cluster:
    """Somebody else's cluster, with a folder of ours for what is made for it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster, _ = current(kubeconfig)
    adopted = Cluster(
        directory.absolute(), cluster["server"], kubeconfig, ready=True, external=True
    )
    adopted.ca.parent.mkdir(mode=0o700, exist_ok=True)
    if "certificate-authority-data" in cluster:
        adopted.ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return adopted


def impersonate(kubeconfig: Path, path: Path, name: str, groups: Sequence[str]) -> Path:
    """A kubeconfig for the same cluster whose user poses as another one."""
    cluster, user = current(kubeconfig)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": name, "user": {**user, "as": name, "as-groups": list(groups)}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    }
    pki.write_private(path, json.dumps(config, indent=2).encode())
    return path


def current(kubeconfig: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user of a kubeconfig's current context, with every file inside.

    kubectl does it, so that it is read as kubectl reads it.
    """
    command = ["kubectl", "config", "view", "--kubeconfig", str(kubeconfig)]
    command += ["--minify", "--flatten", "--raw", "--output=json"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise ClusterError(f"{' '.join(command)}: {answer.stderr.strip()}")
    config = json.loads(answer.stdout)
    return config["clusters"][0]["cluster"], config["users"][0]["user"]


def status(directory: Path) -> tuple[bool, str]:
    """Whether a cluster runs in a folder, and a line for each of its components."""
    cluster = load(directory)
    if cluster is None:
        return False, f"no cluster in {directory}"
    lines = [f"server      {cluster.server}", f"kubeconfig  {cluster.kubeconfig}"]
    if cluster.node_name:
        lines.append(f"node        {cluster.node_name}")
    width = max((len(process.name) for process in cluster.processes), default=0)
    for process in cluster.processes:
        state = "running" if processes.alive(process) else "ended"
        lines.append(f"{process.name:{width}}  {process.pid:>7}  {state}")
    return cluster.running(), "\n".join(lines)
