"""migrate where pods really run: each asks the API server with the token that it finds, all the
time, and is never refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.migrating import Watch, rolled_out, secret, set_out, state, workload
from tests.scenarios import PLACE, Stage


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


class Inside(Watch):
    """Looks from inside of the pods: what client-go would read, and use, right now."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, ("web",))
        self.stage = stage

    def wrong(self, pod: Any) -> str:
        legacy = any("secret" in volume for volume in pod["spec"]["volumes"])
        name = pod["metadata"]["name"]
        done = self.stage.shell(f"kubectl -n $NS exec {name} -c app -- apiget whoami", check=False)
        if done.returncode == 0:
            self.asked["legacy" if legacy else "bound"] += 1
            return ""
        return done.stderr or done.stdout or "refused"


def test_running_pods_always_have_a_token_that_is_taken(stage: Stage) -> None:
    set_out(stage, secret(), workload(replicas=2), workload("agent", kind="DaemonSet"))
    rolled_out(stage, "deployment/web", "daemonset/agent")
    before = state(stage)
    watch = Inside(stage)
    watch.start()
    try:
        there = stage.satoken("migrate", "sa/web", "-n", stage.namespace, *APPLY)
        assert there.returncode == 0, there.stdout + there.stderr
        for whom, pods in (("daemonset/agent", "1 pod"), ("deployment/web", "2 pods")):
            said = f"verify {whom} done: the API server takes the tokens of {pods}\n"
            assert said in there.stdout
        after = state(stage)
        assert "secrets/web-token" not in after
        asked = watch.asked.copy()
        assert asked["legacy"]
        rolled_out(stage, "deployment/web")
        for pod in stage.pods():
            files = stage.shell(
                f"kubectl -n $NS exec {pod['metadata']['name']} -c app -- ls {PLACE}"
            ).stdout.split()
            assert files == ["ca.crt", "namespace", "token"]

        back = stage.satoken("migrate", "sa/web", "-n", stage.namespace, "--undo", "--yes")
        assert back.returncode == 0, back.stdout + back.stderr
        assert state(stage) == before
        assert watch.asked["bound"]
    finally:
        watch.stop()
    assert watch.faults == []


APPLY = ("--apply", "--yes", "--grace", "0s")
