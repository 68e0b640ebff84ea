"""The bundle that krew installs, built from the sources that are here."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster import ClusterError, Unavailable
from tests.conftest import ROOT
from tests.krew import tools
from tests.live.conftest import cluster

__all__ = ["cluster"]

SOURCES = ("kubectl_satoken", "krew", "tests", "docs", "LICENSE", "plugin.yaml")


class Bundle(NamedTuple):
    """What krew/build made."""

    dist: Path
    told: str  # on stderr

    @property
    def archive(self) -> Path:
        (found,) = self.dist.glob("*.tar.gz")
        return found

    @property
    def manifest(self) -> Path:
        return self.dist / "satoken.yaml"


def build(root: Path, dist: Path) -> Bundle:
    """Runs krew/build of a source tree."""
    done = subprocess.run(
        [sys.executable, root / "krew" / "build", "--dist", dist],
        capture_output=True,
        text=True,
    )
    if "no Python" in done.stderr and os.environ.get("CI") != "true":
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return Bundle(dist, done.stderr)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sources in another folder."""
    copy = tmp_path_factory.mktemp("elsewhere")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="session")
def unpacked(bundle: Bundle) -> Iterator[Path]:
    """The program of the bundle, where every user may start it."""
    with tempfile.TemporaryDirectory(prefix="satoken-") as folder:
        os.chmod(folder, 0o755)
        shutil.unpack_archive(bundle.archive, folder, filter="data")
        yield Path(folder) / "kubectl-satoken" / "kubectl-satoken"


@pytest.fixture(scope="session")
def krew() -> Path:
    """The folder with krew and validate-krew-manifest."""
    try:
        return tools.folder()
    except (ClusterError, Unavailable) as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
