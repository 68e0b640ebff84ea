"""The control plane that the tests here share."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, Unavailable, start


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane with everything as it is by default."""
    try:
        started = start(tmp_path_factory.mktemp("cluster"))
    except Unavailable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    yield started
    started.stop()
