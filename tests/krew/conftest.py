"""The bundle that krew installs, built from the sources that are here."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import Cluster, ClusterError, Unavailable
from tests.conftest import ROOT
from tests.krew import tools
from tests.live.conftest import cluster

__all__ = ["cluster"]

NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

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


def build(root: Path, dist: Path, *options: str | Path) -> Bundle:
    """Runs krew/build of a source tree."""
    done = subprocess.run(
        [sys.executable, root / "krew" / "build", "--dist", dist, *options],
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
    with unpack(bundle) as program:
        yield program


@contextlib.contextmanager
def unpack(bundle: Bundle) -> Iterator[Path]:
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


@pytest.fixture(scope="session")
def web(cluster: Cluster, installed: Path) -> str:
    """A pod in a cluster whose service account says that it gets no token."""
    manifest = """
    apiVersion: v1
    kind: ServiceAccount
    metadata: {name: web}
    automountServiceAccountToken: false
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: web}
    spec:
      serviceAccountName: web
      containers: [{name: app, image: app, imagePullPolicy: Never}]
    """
    kubectl = shutil.which("kubectl", path=str(installed.parent)) or "kubectl"
    subprocess.run(
        [kubectl, "--kubeconfig", cluster.kubeconfig, "apply", "-f", "-"],
        input=re.sub("^    ", "", manifest, flags=re.MULTILINE),
        check=True,
        text=True,
    )
    return "pod/web"


def call(program: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Runs the program with nothing in the environment, unless ``env`` says otherwise."""
    options = {"env": {}, "cwd": "/", "capture_output": True, "text": True, **options}
    return subprocess.run([program, *words], stdin=subprocess.DEVNULL, **options)
