"""Fixes as they are printed for a shell and for kubectl apply, run on a real control plane."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.scenarios import AS_WEB, OFF, PLAIN, TOKEN_SECRET, Stage, service_account, template


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


TWO = f"""
{OFF}
---
{template(AS_WEB, kind="Pod")}
---
{template(f"serviceAccountName: absent, {PLAIN}", name="report")}
"""
TARGETS = "pod/web deploy/report -n $NS"


def codes(stage: Stage, words: str) -> set[str]:
    """The codes of the faults, hints left out."""
    done = stage.shell(f"kubectl satoken doctor {words} -o json", check=False)
    found = json.loads(done.stdout)["findings"]
    return {one["code"] for one in found if one["severity"] != "hint"}


def test_a_script_of_fixes_mends_two_faults_at_once(stage: Stage) -> None:
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=TWO)
    stage.until("kubectl -n $NS get events | grep -q FailedCreate")
    assert codes(stage, TARGETS) == {"SAT102", "SAT104"}

    # as one pipe, the way it is meant: what mends is read by sh while it runs
    done = stage.shell(f"kubectl satoken doctor {TARGETS} -o fix | sh")
    assert done.stderr == ""
    stage.until("kubectl -n $NS get pod -l app=report -o name | grep -q pod/")
    assert codes(stage, TARGETS) == set()
    assert stage.shell(f"kubectl satoken doctor {TARGETS} -o fix").stdout == ""
    assert stage.shell(f"kubectl satoken doctor {TARGETS} -o name --fail-on error").stdout == ""


def test_a_stream_of_manifests_mends_two_faults_at_once(stage: Stage) -> None:
    wrong = TOKEN_SECRET.replace("service-account.name", "serviceaccount.name")
    manifest = Path(stage.environ["WORK"]) / "secrets.yaml"
    manifest.write_text(
        "---".join(
            [
                service_account(),
                service_account("api"),
                wrong,
                wrong.replace("web", "api"),
            ]
        )
    )
    refused = stage.shell(f"kubectl -n $NS apply -f {manifest}", check=False)
    assert refused.stderr.count("Required value") == 2
    words = f"-f {manifest} -n $NS"
    assert codes(stage, words) == {"SAT202"}
    stage.shell(f"kubectl satoken doctor {words} -o fix-yaml | kubectl apply -f -")
    for name in ("web", "api"):
        stage.until(
            f"kubectl -n $NS get secret {name}-token -o jsonpath={{.data.token}} | grep -q ."
        )
        assert codes(stage, f"secret/{name}-token -n $NS") == set()


def test_what_is_ignored_in_the_cluster_does_not_count(stage: Stage) -> None:
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{OFF}---{template(AS_WEB)}")
    stage.until("kubectl -n $NS get pod -l app=web -o name | grep -q pod/")
    asked = "kubectl satoken doctor deploy/web -n $NS"
    assert stage.shell(asked, check=False).returncode == 1
    baseline = Path(stage.environ["WORK"]) / "baseline.json"
    stage.shell(f"{asked} -o json > {baseline} || true")
    known = stage.shell(f"{asked} --baseline {baseline}")
    assert "1 finding (-o wide shows it)" in known.stdout

    stage.shell(
        "kubectl -n $NS annotate serviceaccount web 'satoken/ignore=SAT102 asks nothing of the API'"
    )
    ignored = stage.shell(f"{asked} -o wide")
    assert "asks nothing of the API (by serviceaccount/web)" in " ".join(ignored.stdout.split())
