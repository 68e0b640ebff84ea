"""The task pages in docs/, played from top to bottom, each on a cluster of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pages
from tests.cluster import Cluster, start


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that nobody has used: pages look at all of it."""
    cluster = start(tmp_path / "cluster")
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("path", pages.PAGES, ids=[path.stem for path in pages.PAGES])
def test_a_page_shows_what_its_commands_print(path: Path, fresh: Cluster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shell = pages.shell_for(fresh.kubeconfig, home)
    pages.prepared(shell)
    page = path.read_text()
    assert pages.steady(pages.played(page, shell)) == pages.steady(page), "run make pages"
