"""A healthy cluster whose pods run yields no finding."""

import json
from pathlib import Path

from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.scenarios import Stage

HEALTHY = ROOT / "tests" / "healthy.yaml"


def test_all_that_runs_on_a_node_is_well(node_cluster: Cluster, tmp_path: Path) -> None:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    text = HEALTHY.read_text().replace("NS", stage.namespace)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    try:
        stage.until("test $(kubectl -n $NS get pods -o name | wc -l) -ge 21", 90)
        phases = "{.items[*].status.phase}"
        stage.until(f"! kubectl -n $NS get pods -o jsonpath='{phases}' | grep -q Pending", 180)
        # every namespace, but those that other tests may have left faults in
        for namespace in (stage.namespace, "kube-system", "default"):
            done = stage.satoken("doctor", "-n", namespace, "-o", "json")
            found = json.loads(done.stdout)["findings"]
            assert [one["message"] for one in found if one["severity"] != "hint"] == []
            assert done.returncode == 0
    finally:
        stage.shell(
            "kubectl delete --wait=false $("
            "kubectl get clusterrole,clusterrolebinding -o name | grep $NS-)"
        )
        stage.close()
