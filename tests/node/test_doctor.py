"""doctor on pods that really run: the printed fix mends each fault, in the pod's own eyes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.scenarios import (
    PLACE,
    PLAIN,
    Scenario,
    Stage,
    play,
    review,
    scenarios,
    template,
    wait_for_token,
    wrong_inside,
)


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def works(stage: Stage, scenario: Scenario) -> str:
    """What is wrong with the token as the running container sees it; empty when it works."""
    if scenario.target.startswith("secret/"):
        token = stage.get(scenario.target).get("data", {}).get("token", "")
        return review_secret(stage, token)
    pods = stage.pods()
    if not pods:
        return "no pod"
    name = pods[-1]["metadata"]["name"]
    # the container's own shell prints it: busybox has no printenv
    source = """sh -c 'printf %s "$TOKEN"'""" if scenario.secret else f"cat {PLACE}/token"
    ask = "/apis"
    if scenario.asks:
        ask = f"/api/v1/namespaces/{stage.namespace}/pods"
    return wrong_inside(stage, name, source, ask)


def review_secret(stage: Stage, token: str) -> str:
    """What is wrong with the token in a Secret's data."""
    from base64 import b64decode

    return review(stage, b64decode(token).decode()) if token else "the secret is empty"


@pytest.mark.parametrize("scenario", scenarios("node"), ids=lambda scenario: scenario.name)
def test_the_printed_fix_makes_the_token_work(scenario: Scenario, stage: Stage) -> None:
    play(scenario, stage, works)


def test_a_running_pod_of_the_usual_kind_is_healthy(stage: Stage) -> None:
    manifest = template(PLAIN, kind="Pod")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=manifest)
    usual = Scenario("usual", "", "pod/web", "")
    wait_for_token(stage, usual, works)
    played = stage.doctor("pod/web")
    assert (played.status, played.report["findings"]) == (0, [])
    assert played.report["skipped"] == []
    (token,) = played.report["tokens"]
    assert token["user"] == f"system:serviceaccount:{stage.namespace}:default"
    assert (token["container"], token["path"]) == ("app", f"{PLACE}/token")
    assert token["lifetimeSeconds"] == 3607
    assert token["audience"] is None
    assert played.text.startswith("ok: pod/web has a working token\n")
