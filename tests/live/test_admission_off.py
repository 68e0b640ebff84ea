"""doctor against an API server whose ServiceAccount admission is switched off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, Unavailable, start
from tests.live.test_doctor import Kubelet
from tests.scenarios import PLAIN, POD_IS_THERE, Scenario, Stage, play, template


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane without the admission plugin."""
    flags = {"disable-admission-plugins": "ServiceAccount"}
    try:
        started = start(tmp_path_factory.mktemp("careless"), apiserver_flags=flags)
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield started
    started.stop()


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_a_pod_without_an_account_gets_one_and_its_token(
    careless: Cluster, kind: str, tmp_path: Path
) -> None:
    stage = Stage(careless, tmp_path)
    stage.open()
    scenario = Scenario(
        "sa-admission-plugin-disabled",
        "SAT108",
        "pod",
        template(PLAIN, kind=kind),
        wait=POD_IS_THERE,
        certainty="likely",
    )
    play(scenario, stage, Kubelet().works)
    stage.close()
