"""The starter itself: what the other tests take for granted."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError, Unavailable, find, start, status
from tests.cluster.cluster import REPOSITORY

AUDIENCES = ["https://first.example", "https://second.example"]


@pytest.fixture(scope="module", autouse=True)
def own_clusters(cluster: Cluster) -> Iterator[None]:
    """These tests start clusters of our own, whatever stands in for them elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SATOKEN_TEST_KUBECONFIG", raising=False)
        patch.delenv("KUBEBUILDER_ASSETS", raising=False)
        yield


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, own_clusters: None) -> Iterator[Cluster]:
    """A second cluster, with everything as it is not by default."""
    started = start(
        tmp_path_factory.mktemp("other"),
        issuer="https://issuer.example",
        api_audiences=AUDIENCES,
        max_token_expiration="2h",
        extend_token_expiration=False,
        controllers=["*", "-root-ca-certificate-publisher-controller"],
        apiserver_flags={"v": "1"},
    )
    yield started
    started.stop()


def kubectl(cluster: Cluster, *arguments: str, config: Path | None = None) -> str:
    """What kubectl prints."""
    command = ["kubectl", "--kubeconfig", str(config or cluster.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def claims(token: str) -> Any:
    """What a token says, unproved."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def processes_of(directory: Path) -> list[str]:
    """The command lines of all processes that know a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def starter(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the starter by hand."""
    command = [sys.executable, "-m", "tests.cluster", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_two_clusters_have_an_issuer_each(cluster: Cluster, other: Cluster) -> None:
    first = claims(kubectl(cluster, "create", "token", "default"))
    second = claims(kubectl(other, "create", "token", "default"))
    assert first["iss"] == "https://kubernetes.default.svc.cluster.local"
    assert first["aud"] == [first["iss"]]
    assert second["iss"] == "https://issuer.example"
    assert second["aud"] == AUDIENCES


def test_token_lifetime_is_limited(cluster: Cluster, other: Cluster) -> None:
    for each, hours in ((cluster, 10), (other, 2)):
        token = claims(kubectl(each, "create", "token", "default", "--duration=10h"))
        assert token["exp"] - token["iat"] == hours * 3600


def test_controllers_are_chosen(cluster: Cluster, other: Cluster) -> None:
    assert "kube-root-ca.crt" in kubectl(cluster, "get", "configmaps")
    assert "kube-root-ca.crt" not in kubectl(other, "get", "configmaps")


def test_legacy_secret_gets_its_token(cluster: Cluster) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "test-cluster-legacy",
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    manifest = cluster.directory / "secret.json"
    manifest.write_text(json.dumps(secret))
    kubectl(cluster, "create", "-f", str(manifest))
    where = "--for=jsonpath={.data.token}"
    kubectl(cluster, "wait", where, "secret/test-cluster-legacy", "--timeout=20s")
    kubectl(cluster, "delete", "secret", "test-cluster-legacy")


def test_user_is_known_and_may_do_nothing(cluster: Cluster) -> None:
    jane = cluster.user("jane", ["dev", "ops"])
    assert jane.stat().st_mode & 0o777 == 0o600
    review = json.loads(kubectl(cluster, "auth", "whoami", "-o", "json", config=jane))
    assert review["status"]["userInfo"]["username"] == "jane"
    assert review["status"]["userInfo"]["groups"] == ["dev", "ops", "system:authenticated"]
    with pytest.raises(subprocess.CalledProcessError) as forbidden:
        kubectl(cluster, "get", "pods", config=jane)
    assert 'User "jane" cannot list resource "pods"' in forbidden.value.stderr


def test_user_may_have_any_name(cluster: Cluster) -> None:
    for name in ("admin", "ca", "../x.y", "system:serviceaccount:shop:web"):
        config = cluster.user(name)
        assert config.parent == cluster.directory / "users"
        shown = kubectl(cluster, "auth", "whoami", "-o", "json", config=config)
        assert json.loads(shown)["status"]["userInfo"]["username"] == name
    assert "default" in kubectl(cluster, "get", "namespaces")


def test_audit_log_is_written(cluster: Cluster) -> None:
    audited = cluster.user("audited")
    kubectl(cluster, "auth", "whoami", config=audited)
    # an event is written when the answer is out, and a line may be half there
    limit = time.monotonic() + 10
    mine: list[dict[str, Any]] = []
    while not mine and time.monotonic() < limit:
        lines = cluster.audit_log.read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if '"audited"' in line and line.endswith("\n")]
        mine = [event for event in whole if event["user"]["username"] == "audited"]
        time.sleep(0.1)
    assert [event["responseStatus"]["code"] for event in mine][-1] == 201
    assert all("responseObject" not in event for event in mine)


def test_crash_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as crash:
        start(tmp_path, apiserver_flags={"no-such-flag": "1"})
    assert "kube-apiserver ended with status 1" in str(crash.value)
    assert "unknown flag: --no-such-flag" in str(crash.value)
    assert processes_of(tmp_path) == []
    assert find(tmp_path) is None


def test_by_hand(tmp_path: Path) -> None:
    nothing = starter("status", "--dir", str(tmp_path))
    assert (nothing.returncode, nothing.stdout) == (1, f"no cluster in {tmp_path}\n")

    up = starter("up", "--dir", str(tmp_path))
    assert up.returncode == 0, up.stderr
    assert up.stdout == f"export KUBECONFIG={tmp_path}/admin.kubeconfig\n"
    again = starter("up", "--dir", str(tmp_path))
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"error: {tmp_path}: a cluster runs there already\n"

    found = find(tmp_path)
    assert found
    shown = starter("status", "--dir", str(tmp_path))
    assert shown.returncode == 0
    for name, pid in found.pids.items():
        assert f"{name:23}  {pid:>7}  running" in shown.stdout
    assert list(found.pids) == ["etcd", "kube-apiserver", "kube-controller-manager"]

    assert starter("down", "--dir", str(tmp_path)).returncode == 0
    assert processes_of(tmp_path) == []
    assert starter("status", "--dir", str(tmp_path)).returncode == 1
    assert starter("down", "--dir", str(tmp_path)).returncode == 0


def test_cluster_ends_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from tests.cluster import start\n"
        "start(pathlib.Path(sys.argv[1]), controllers=[])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY)
    assert killed.returncode == -9
    limit = time.monotonic() + 20
    while processes_of(tmp_path) and time.monotonic() < limit:
        time.sleep(0.1)
    assert processes_of(tmp_path) == []
    assert status(tmp_path) == (False, f"no cluster in {tmp_path}")


def test_envtest_binaries_stand_in(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = os.readlink(f"/proc/{cluster.pids['etcd']}/exe")
    assets = tmp_path / "assets"
    assets.mkdir()
    for component in ("etcd", "kube-apiserver"):
        script = assets / component
        script.write_text(f'#!/bin/sh\nexec {kube} {component} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    started = start(tmp_path / "cluster")
    try:
        assert list(started.pids) == ["etcd", "kube-apiserver"]
        assert "default" in kubectl(started, "get", "namespaces")
    finally:
        started.stop()
    started.stop()
    assert processes_of(tmp_path / "cluster") == []


def test_existing_cluster_stands_in(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATOKEN_TEST_KUBECONFIG", str(cluster.kubeconfig))
    existing = start(tmp_path)
    assert existing.server == cluster.server
    assert existing.ca.read_bytes() == cluster.ca.read_bytes()
    jane = existing.user("jane", ["dev"])
    review = json.loads(kubectl(existing, "auth", "whoami", "-o", "json", config=jane))
    assert review["status"]["userInfo"]["groups"] == ["dev", "system:authenticated"]
    with pytest.raises(Unavailable, match="that cluster has"):
        start(tmp_path, issuer="https://issuer.example")
    existing.stop()
    assert cluster.running()
