"""The plugin inside a pod, with nothing but what the kubelet put there."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests
from tests.cluster import Cluster
from tests.scenarios import Stage

# The image has no Python: the pod borrows the host's, read-only, at the same paths.
BORROWED = ("/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix)


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def borrowing_pod() -> dict[str, object]:
    """A pod that can run the installed plugin."""
    places = [place for place in dict.fromkeys(BORROWED) if Path(place).is_dir()]
    # a folder that lies within another comes with it
    places = [
        place
        for place in places
        if not any(place != other and Path(place).is_relative_to(other) for other in places)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "serviceAccountName": "web",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "app",
                    "image": "busybox:1",
                    "imagePullPolicy": "Never",
                    "command": ["/bin/busybox", "sleep", "3600"],
                    "volumeMounts": [
                        {"name": f"v{index}", "mountPath": place, "readOnly": True}
                        for index, place in enumerate(places)
                    ],
                }
            ],
            "volumes": [
                {"name": f"v{index}", "hostPath": {"path": place}}
                for index, place in enumerate(places)
            ],
        },
    }


def test_without_a_kubeconfig_it_is_the_pods_own_service_account(stage: Stage) -> None:
    assert tests.__file__
    stage.shell("kubectl -n $NS create serviceaccount web")
    stage.shell("kubectl -n $NS create rolebinding web --clusterrole=view --serviceaccount=$NS:web")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=json.dumps(borrowing_pod()))
    stage.until("kubectl -n $NS wait --for=condition=Ready pod/web --timeout=60s")

    plugin = Path(sys.executable).parent / "kubectl-satoken"
    within = f"kubectl -n $NS exec web -- env HOME=/nonexistent {plugin}"
    done = stage.shell(f"{within} doctor pod/web -o json", check=False)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    # its namespace is that of the pod, and its rights are those of the account: view
    assert report["targets"] == [{"kind": "Pod", "namespace": stage.namespace, "name": "web"}]
    assert report["tokens"][0]["user"] == f"system:serviceaccount:{stage.namespace}:web"
    assert {skip["what"] for skip in report["skipped"]} == {"rolebindings"}
    assert done.returncode == 0

    refused = stage.shell(f"{within} doctor pod/x -n kube-system", check=False)
    assert refused.returncode == 3
    assert "forbidden" in refused.stderr
