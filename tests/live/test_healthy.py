"""A healthy cluster yields no finding."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.scenarios import Stage

HEALTHY = ROOT / "tests" / "healthy.yaml"


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    text = HEALTHY.read_text().replace("NS", stage.namespace)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    stage.until("test $(kubectl -n $NS get pods -o name | wc -l) -ge 19")
    stage.until("kubectl -n $NS get secret ci-robot -o jsonpath={.data.token} | grep -q .")
    yield stage
    stage.shell(
        "kubectl delete --wait=false $("
        "kubectl get clusterrole,clusterrolebinding -o name | grep $NS-)"
    )
    stage.close()


def faults(text: str) -> list[str]:
    """The errors and warnings of a report."""
    return [
        f"{one['code']} {one['object']['kind']}/{one['object']['name']}: {one['message']}"
        for one in json.loads(text)["findings"]
        if one["severity"] != "hint"
    ]


def test_twenty_workloads_as_they_are_found_in_clusters(stage: Stage) -> None:
    done = stage.satoken("doctor", "-n", stage.namespace, "-o", "json")
    assert faults(done.stdout) == []
    assert done.returncode == 0


def test_the_same_in_files(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "healthy.yaml"
    file.write_text(HEALTHY.read_text().replace("NS", stage.namespace))
    done = stage.satoken("doctor", "-f", str(file), "-n", stage.namespace, "-o", "json")
    assert faults(done.stdout) == []


def test_kube_system_and_everything_else_that_a_new_cluster_has(
    cluster: Cluster, tmp_path: Path
) -> None:
    stage = Stage(cluster, tmp_path)
    for namespace in ("kube-system", "kube-public", "kube-node-lease", "default"):
        done = stage.satoken("doctor", "-n", namespace, "-o", "json")
        assert faults(done.stdout) == []
