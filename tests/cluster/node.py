"""A node on this machine: containerd, a kubelet, and an image for pods.

All of it runs in a mount and a process namespace of its own. Whatever a kubelet and containerd
mount, start or write to the kernel's settings, for them alone or for good, is seen nowhere else,
and ends when the first process of the namespace is killed: no container, shim or mount can be
forgotten. Two things lie outside, and are taken back by ``remove``: two addresses of the loopback
interface (the node's and that of the Service ``kubernetes``) and the containers' cgroups. Inside of
a container with cgroup v2 a third one stays: see ``make_room``.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, debian, processes
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process

NAME = "node-1"

# busybox with apiget in it. It is on the node already, and a tag other than "latest" is not pulled
# where it is: a pod may say ``image: busybox:1`` and nothing else.
IMAGE = "busybox:1"
PAUSE = "pause:1"
# the same with openssl, a program that can make an HTTPS request
TOOLS = "tools:1"
# no shell: sleep, and nothing else
BARE = "bare:1"

# Private addresses that nobody is likely to have: the second number of Services, and of pods.
SERVICES, PODS = 231, 232

# What the kubelet and a CNI plugin set for the whole machine: it gets files to write to instead.
SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

# Where containerd, the kubelet and libcni keep their files: each of these folders gets one of our
# own on top of it. Some of the paths are built in, the others could be set; but messages have the
# usual paths in them like this, and sockets never too long ones.
FOLDERS = (
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)

# The first process of the namespace. The mounts are shared inside, as mountPropagation needs; they
# stay apart from the machine's, since unshare has made the tree private before. The shell reaps
# what its namespace leaves behind, while it waits for its sleep.
INIT = """
mount --make-rshared /
for folder in {folders}; do
    mkdir -p $folder "{node}/own$folder"
    mount --bind "{node}/own$folder" $folder
done
for setting in {settings}; do
    [ -e /proc/sys/$setting ] || continue
    mkdir -p "{node}/own/${{setting%/*}}"
    cat /proc/sys/$setting > "{node}/own/$setting"
    mount --bind "{node}/own/$setting" /proc/sys/$setting
done
touch "{node}/ready"
while :; do sleep 3600; done
"""

CONTAINERD = """
version = 2
disabled_plugins = [
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/{pause}"
  # Without CAP_SYS_RESOURCE, as in most containers, nobody may lower the score.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{node}/cni"
"""


@dataclass(frozen=True)
class Network:
    """The addresses of one node: the number tells those of two on the same machine apart."""

    number: int

    @property
    def services(self) -> str:
        """The range of Service addresses."""
        return f"10.{SERVICES}.{self.number}.0/24"

    @property
    def service(self) -> str:
        """The address of the Service ``kubernetes``, always the first of the range."""
        return f"10.{SERVICES}.{self.number}.1"

    @property
    def dns(self) -> str:
        """The address that a DNS server would have."""
        return f"10.{SERVICES}.{self.number}.10"

    @property
    def pods(self) -> str:
        """The range of pod addresses."""
        return f"10.{PODS}.{self.number}.0/24"

    @property
    def node(self) -> str:
        """The address of the node, and of the pods' gateway: a kubelet refuses a loopback one."""
        return f"10.{PODS}.{self.number}.1"


def missing_for_node() -> str | None:
    """Why no node can run here, or None if it can."""
    if platform.system() != "Linux":
        return f"a node needs Linux, this is {platform.system()}"
    for variable in ("SATOKEN_TEST_KUBECONFIG", "KUBEBUILDER_ASSETS"):
        if os.environ.get(variable):
            return f"a node needs the cluster that we build, and {variable} is set"
    if os.geteuid() != 0:
        return "a node needs root"
    missing = debian.missing()
    if missing:
        return f"missing: {', '.join(missing)} (python -m tests.cluster deps)"
    trial = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if trial.returncode:
        return f"a node needs namespaces: {trial.stderr.strip()}"
    return None


UNSHARE = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]


def reserve_network() -> Network:
    """Take the first addresses that are free, for as long as the node lives.

    Adding an address fails where it is there already, so that two starters never share one.
    """
    for number in range(256):
        network = Network(number)
        if routed(network):
            continue
        if not add_address(network.service):
            continue
        if add_address(network.node):
            return network
        delete_address(network.service)
    raise ClusterError(f"all of 10.{SERVICES}.0.0/16 and 10.{PODS}.0.0/16 is in use")


def routed(network: Network) -> bool:
    """Whether the machine has a route to these addresses: then they are somebody's."""
    command = ["ip", "route", "show", "to", "match"]
    for address in (network.service, network.node):
        answer = subprocess.run([*command, address], capture_output=True, text=True, check=True)
        if any(line and not line.startswith("default") for line in answer.stdout.splitlines()):
            return True
    return False


def add_address(address: str) -> bool:
    """Make this machine answer to an address; False where it does already."""
    command = ["ip", "address", "add", f"{address}/32", "dev", "lo"]
    answer = subprocess.run(command, capture_output=True, text=True)
    # By the age of the kernel: "File exists", or "Address already assigned".
    taken = "exists" in answer.stderr or "already" in answer.stderr
    if answer.returncode and not taken:
        raise ClusterError(f"{' '.join(command)}: {answer.stderr.strip()}")
    return answer.returncode == 0


def delete_address(address: str) -> None:
    """Take back ``add_address``; no matter if that has been done."""
    command = ["ip", "address", "del", f"{address}/32", "dev", "lo"]
    subprocess.run(command, capture_output=True)


def start_runtime(directory: Path, network: Network) -> Iterator[Process]:
    """Start containerd with the images in it, yielding each process as it is there."""
    node = directory / "node"
    (node / "cni").mkdir(parents=True)
    plugins = debian.find("containernetworking-plugins")
    assert plugins
    configuration = CONTAINERD.format(
        node=node, pause=PAUSE, snapshotter=snapshotter(directory), plugins=plugins.parent
    )
    (node / "containerd.toml").write_text(configuration)
    (node / "cni" / "pods.conflist").write_text(json.dumps(cni(network)))
    script = INIT.format(node=node, folders=" ".join(FOLDERS), settings=" ".join(SETTINGS))
    logs = directory / "logs"

    make_room(Path("/sys/fs/cgroup"))
    # --kill-child, so that the namespace ends with its creator, too.
    command = [*UNSHARE, "--kill-child", "sh", "-euc", script]
    unshare = processes.spawn("unshare", command, logs / "unshare.log")
    yield unshare
    while not (node / "ready").exists():
        processes.check([unshare], logs)
        time.sleep(0.01)
    init = init_pid(unshare)
    yield processes.named("node", init)

    containerd = [str(debian.find("containerd")), "--config", f"{node}/containerd.toml"]
    runtime = processes.spawn("containerd", enter(init, containerd), logs / "containerd.log")
    yield runtime
    write_images(node / "images.tar")
    while not (node / "own" / "run" / "containerd" / "containerd.sock").exists():
        processes.check([unshare, runtime], logs)
        time.sleep(0.02)
    load = ["ctr", "--namespace", "k8s.io", "images", "import", f"{node}/images.tar"]
    answer = subprocess.run(enter(init, load), capture_output=True, text=True)
    if answer.returncode:
        raise ClusterError(f"{' '.join(load)}: {answer.stderr.strip()}")


def start_kubelet(directory: Path, network: Network, port: int, init: int) -> Process:
    """Start the kubelet: the API server has to answer by now."""
    node = directory / "node"
    (node / "kubelet.yaml").write_text(json.dumps(kubelet_configuration(directory, network, port)))
    command = [
        str(build.binaries() / "kube"),
        "kubelet",
        f"--config={node}/kubelet.yaml",
        f"--kubeconfig={directory}/kubelet.kubeconfig",
        f"--hostname-override={NAME}",
        f"--node-ip={network.node}",
    ]
    return processes.spawn("kubelet", enter(init, command), directory / "logs" / "kubelet.log")


def start_service(directory: Path, network: Network, server: str) -> Process:
    """Make the Service ``kubernetes`` reach the API server, for pods and for the machine."""
    command = [str(build.binaries() / "kube"), "service", f"{network.service}:443"]
    command.append(server.removeprefix("https://"))
    return processes.spawn("service", command, directory / "logs" / "service.log")


def remove(directory: Path, network: Network) -> None:
    """Take back what lies outside of the namespace, after its end."""
    delete_address(network.service)
    delete_address(network.node)
    root = Path("/sys/fs/cgroup")
    # One in each controller's folder with cgroup v1, one in all with v2.
    for parent in [*root.glob("k8s.io"), *root.glob("*/k8s.io")]:
        for container in containers(directory):
            remove_cgroup(parent / container)
        # Another node's containers may be in it.
        with contextlib.suppress(OSError):
            parent.rmdir()


def make_room(root: Path) -> None:
    """Let containers have cgroups where version 2 would refuse them.

    It lets a cgroup hand controllers down only while no process is in it. The machine's root alone
    is exempt, and has no ``cgroup.type``. What a container sees as the root has both: its processes
    go to a cgroup beside those of the node, as they do for Docker in Docker, and they stay there.
    """
    if not (root / "cgroup.type").exists():
        return
    beside = root / "init"
    # Again until there are none: they may start others meanwhile.
    for _ in range(10):
        pids = (root / "cgroup.procs").read_text().split()
        if not pids:
            return
        try:
            beside.mkdir(exist_ok=True)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    (beside / "cgroup.procs").write_text(pid)
        except OSError as error:  # as in a container without privileges
            raise ClusterError(f"{root} cannot be written to: {error.strerror}") from error
    raise ClusterError(f"{root}/cgroup.procs: processes that do not move to {beside}")


def containers(directory: Path) -> list[str]:
    """The ids of the containers of a node, pods' sandboxes among them."""
    state = directory / "node" / "own" / "run" / "containerd" / "io.containerd.runtime.v2.task"
    return [path.name for path in state.glob("k8s.io/*")]


def remove_cgroup(folder: Path) -> None:
    """Remove a container's cgroup; the kernel takes a moment to let go of killed processes."""
    limit = time.monotonic() + 2
    while folder.exists() and time.monotonic() < limit:
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.01)


def init_pid(unshare: Process) -> int:
    """The first process of the namespace, as it is known outside."""
    return int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())


def enter(init: int, command: list[str]) -> list[str]:
    """A command that runs another inside the namespace."""
    return ["nsenter", f"--target={init}", "--mount", "--pid", "--", *command]


def snapshotter(directory: Path) -> str:
    """How containerd keeps file systems: an overlay cannot lie on another one."""
    kind = ["stat", "--file-system", "--format=%T", str(directory)]
    answer = subprocess.run(kind, capture_output=True, text=True, check=True).stdout.strip()
    return "native" if answer == "overlayfs" else "overlayfs"


def cni(network: Network) -> dict[str, Any]:
    """Each pod has a network of its own with one cable to the machine."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": network.pods, "gateway": network.node}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": f"satoken-{network.number}",
        "plugins": [{"type": "ptp", "ipam": addresses}],
    }


def kubelet_configuration(directory: Path, network: Network, port: int) -> dict[str, Any]:
    """What the kubelet has to know to live without systemd, registry, DNS and spare disk."""
    pki = directory / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node,
        "port": port,
        "healthzPort": 0,
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "staticPodPath": "",
        "resolvConf": "",
        # Nobody answers there, but without it every pod gets a warning.
        "clusterDNS": [network.dns],
        "clusterDomain": "cluster.local",
        # cgroup v1 and v2, with and without systemd: containerd alone has to do with cgroups.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        # A full disk is no reason to evict the pods of a test, or to delete the one image.
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def write_images(path: Path) -> None:
    """Write the images as one OCI archive."""
    # ctr takes the platform's name from Go.
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    base, more, bare = layer(), tools(), bare_layer()
    shell = {"Cmd": ["sh"]}
    sleep = {"Entrypoint": ["/bin/sleep", "2147483647"]}
    images = (
        (IMAGE, shell, [base]),
        (PAUSE, sleep, [base]),
        (TOOLS, shell, [base, more]),
        (BARE, sleep, [bare]),
    )
    with tarfile.open(path, "w") as archive:
        kind = "application/vnd.oci.image.layer.v1.tar"
        blobs = {each: blob(archive, each, kind) for each in (base, more, bare)}
        manifests = []
        for image, command, layers in images:
            described = [blobs[each] for each in layers]
            config = {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], **command},
                "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in described]},
            }
            manifest = {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(archive, config, "application/vnd.oci.image.config.v1+json"),
                "layers": described,
            }
            found = blob(archive, manifest, manifest["mediaType"])
            name = {"io.containerd.image.name": f"docker.io/library/{image}"}
            manifests.append({**found, "annotations": name})
        add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}))
        add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))


def blob(archive: tarfile.TarFile, content: Any, kind: Any) -> dict[str, Any]:
    """Add something to an archive under its digest, and describe it."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    add(archive, f"blobs/sha256/{digest}", data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def layer() -> bytes:
    """The file system of the images: busybox by all of its names, and apiget."""
    busybox = debian.find("busybox-static")
    assert busybox
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as files:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            files.addfile(entry)
        # as nearly all images have it: the token's path leads through this link
        for folder in ("run", "var"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            files.addfile(entry)
        link = tarfile.TarInfo("var/run")
        link.type, link.linkname = tarfile.SYMTYPE, "../run"
        files.addfile(link)
        add(files, "bin/busybox", busybox.read_bytes(), 0o755)
        add(files, "bin/apiget", (build.binaries() / "apiget").read_bytes(), 0o755)
        add(files, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        add(files, "etc/group", "root:x:0:\nnogroup:x:65534:\n")
        for applet in listed.stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                files.addfile(link)
    return buffer.getvalue()


def bare_layer() -> bytes:
    """A file system in which there is sleep and no shell."""
    busybox = debian.find("busybox-static")
    assert busybox
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as files:
        add(files, "bin/sleep", busybox.read_bytes(), 0o755)
    return buffer.getvalue()


def tools() -> bytes:
    """A layer with openssl and the libraries that it is linked with."""
    openssl = debian.find("openssl")
    assert openssl
    listed = subprocess.run(["ldd", openssl], capture_output=True, text=True, check=True).stdout
    paths = {word for word in listed.split() if word.startswith("/")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as files:
        add(files, "bin/openssl", openssl.read_bytes(), 0o755)
        for path in sorted(paths):
            add(files, path.lstrip("/"), Path(path).read_bytes(), 0o755)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, content: str | bytes, mode: int = 0o644) -> None:
    """Add a file to an archive."""
    data = content.encode() if isinstance(content, str) else content
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
