"""revoke where pods run: the token in a container ends, and the next pod has one that works."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.node.test_probe import MINE, run_pods, wait
from tests.scenarios import Stage

TOKEN = "cat /var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def revoke(
    stage: Stage, *words: str, token: str | None = None
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["kubectl-satoken", "revoke", *words],
        env=stage.environ,
        input=token,
        stdin=subprocess.DEVNULL if token is None else None,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "eyJ" not in done.stdout + done.stderr
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done


def pod_of(stage: Stage) -> str:
    """The name of the one pod."""
    name = stage.shell("kubectl -n $NS get pods -l app=web -o name").stdout
    return name.strip()


def answers(stage: Stage) -> str:
    """What the API server answers a container that asks who it is: 201, or 401."""
    line = f"kubectl -n $NS exec {pod_of(stage)} -- apiget whoami"
    done = stage.shell(line, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]


def test_the_token_of_a_running_pod(stage: Stage) -> None:
    run_pods(stage, MINE, kind="Deployment")
    old = pod_of(stage)
    token = stage.shell(f"kubectl -n $NS exec {old} -- {TOKEN}").stdout
    assert answers(stage) == "201"
    dry = revoke(stage, "-", token=token)
    assert "deployment/web makes another, with a token of its own" in " ".join(dry.stdout.split())
    assert pod_of(stage) == old
    done = revoke(stage, "-", "--yes", "-o", "json", token=token)
    found = json.loads(done.stdout)
    assert (found["outcome"], found["object"]["kind"]) == ("revoked", "Pod")
    assert found["review"]["afterSeconds"] < 20
    wait(stage)
    assert pod_of(stage) != old
    assert answers(stage) == "201", "the pod that was made in its place has a token of its own"
    assert revoke(stage, "-", "--yes", token=token).stdout.startswith("already revoked: ")


def test_a_running_pod_by_its_name(stage: Stage) -> None:
    """The token that is made to see it lasts as long as that in the container, and no longer."""
    run_pods(stage, MINE, kind="Deployment")
    old = pod_of(stage)
    token = stage.shell(f"kubectl -n $NS exec {old} -- {TOKEN}").stdout
    done = revoke(stage, old, "-n", stage.namespace, "--yes", "--grace-period=3", "-o", "json")
    found = json.loads(done.stdout)
    assert found["outcome"] == "revoked"
    review = found["review"]
    assert (review["by"], review["taken"], review["made"]) == ("TokenReview", False, True)
    assert review["afterSeconds"] > 2, "not before the container has ended"
    assert f"until the API server refuses a token bound to {old} (up to " in done.stderr
    assert revoke(stage, "-", token=token).stdout.startswith("already revoked: ")
    wait(stage)
    assert answers(stage) == "201"


def test_the_account_of_a_running_pod(stage: Stage) -> None:
    run_pods(stage, MINE, kind="Deployment")
    assert answers(stage) == "201"
    done = revoke(stage, "sa/web", "-n", stage.namespace, "--yes")
    said = " ".join(done.stdout.split())
    assert "get 401 Unauthorized, until they are made anew" in said
    assert "the API server refuses a token of the old account" in said
    stage.until(
        f"kubectl -n $NS exec {pod_of(stage)} -- apiget whoami 2>&1 | grep -q -e '^401' -e ' 401'"
    )
    (restart,) = (line for line in done.stdout.splitlines() if "rollout restart" in line)
    stage.shell(restart)
    stage.shell("kubectl -n $NS rollout status deploy/web --timeout=60s")
    wait(stage)
    assert answers(stage) == "201"
