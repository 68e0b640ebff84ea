"""The node itself: what the other tests take for granted."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import IMAGE, Cluster, start
from tests.cluster.node import NAME, containers

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def pod(node_cluster: Cluster) -> Iterator[str]:
    """A pod in a network of its own, as plain as can be."""
    run(node_cluster, "test-node-pod")
    yield "test-node-pod"
    kubectl(node_cluster, "delete", "pod", "test-node-pod", "--wait=false")


def run(cluster: Cluster, name: str, **spec: Any) -> None:
    """Create a pod and wait until it is ready."""
    script = "echo I am here; sleep 1000"
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }
    file = cluster.directory / f"{name}.json"
    file.write_text(json.dumps(manifest))
    kubectl(cluster, "create", "-f", str(file))
    kubectl(cluster, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def kubectl(cluster: Cluster, *arguments: str) -> str:
    """What kubectl prints."""
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def who(cluster: Cluster, pod: str) -> Any:
    """Whom the API server takes a pod for, by the token in it."""
    code, _, body = kubectl(cluster, "exec", pod, "--", "apiget", "whoami").partition("\n")
    assert code == "201"
    return json.loads(body)["status"]["userInfo"]


def test_node_is_ready(node_cluster: Cluster) -> None:
    assert node_cluster.node_name == NAME
    node = json.loads(kubectl(node_cluster, "get", "node", NAME, "-o", "json"))
    ready = {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"]
    assert ready == "True"
    assert "taints" not in node["spec"]


def test_pod_has_a_token_that_works(node_cluster: Cluster, pod: str) -> None:
    token = kubectl(node_cluster, "exec", pod, "--", "cat", f"{MOUNT}/token")
    assert token.count(".") == 2
    user = who(node_cluster, pod)
    assert user["username"] == "system:serviceaccount:default:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == [pod]
    code, _, body = kubectl(node_cluster, "exec", pod, "--", "apiget", "/api").partition("\n")
    assert code == "200"
    assert json.loads(body)["kind"] == "APIVersions"


def test_pod_in_the_network_of_the_node_has_a_token_that_works(node_cluster: Cluster) -> None:
    run(node_cluster, "test-node-host", hostNetwork=True)
    assert who(node_cluster, "test-node-host")["username"].endswith(":default")
    kubectl(node_cluster, "delete", "pod", "test-node-host", "--wait=false")


def test_apiget_tells_a_refusal(node_cluster: Cluster, pod: str) -> None:
    command = ["kubectl", "--kubeconfig", str(node_cluster.kubeconfig), "exec", pod, "--"]
    refused = subprocess.run(
        [*command, "apiget", "/api/v1/secrets"], capture_output=True, text=True
    )
    assert (refused.returncode, refused.stdout.split()[0]) == (1, "403")
    missing = subprocess.run(
        [*command, "apiget", "-mount", "/nowhere", "/api"], capture_output=True, text=True
    )
    assert missing.returncode == 3
    assert "apiget: open /nowhere/token: no such file or directory" in missing.stderr


def test_logs(node_cluster: Cluster, pod: str) -> None:
    assert kubectl(node_cluster, "logs", pod) == "I am here\n"


def test_second_node_beside_it_leaves_nothing(node_cluster: Cluster, tmp_path: Path) -> None:
    settings = [Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/kernel/panic")]
    before = [setting.read_text() for setting in settings]
    second = start(tmp_path, node=True)
    try:
        run(second, "test-node-second")
        assert who(second, "test-node-second")["username"].endswith(":default")
        assert second.network != node_cluster.network
        its_containers = containers(tmp_path)
        assert len(its_containers) == 2
    finally:
        second.stop()
    assert [setting.read_text() for setting in settings] == before
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(tmp_path) not in line.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
    addresses = subprocess.run(["ip", "address"], capture_output=True, text=True).stdout
    assert f".{second.network}.1/32" not in addresses
    for container in its_containers:
        assert not list(Path("/sys/fs/cgroup").glob(f"**/{container}"))
    assert node_cluster.running()
