"""The roles in docs/rbac/ of what is asked about pods that run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.live.test_rights import enough_and_no_more
from tests.rights import PARTS
from tests.scenarios import Stage


@pytest.fixture
def stage(node_cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(node_cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.node])
def test_a_role_is_enough_and_none_of_it_too_much(name: str, stage: Stage) -> None:
    enough_and_no_more(name, stage)
