"""The cluster with a node that the tests here share."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, missing_for_node, start


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose pods run."""
    reason = missing_for_node()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    started = start(tmp_path_factory.mktemp("node"), node=True)
    yield started
    started.stop()
