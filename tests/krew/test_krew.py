"""The plugin installed, upgraded and removed by the real krew, and used through kubectl."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_satoken import __version__
from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.krew.conftest import Bundle

Done = subprocess.CompletedProcess[str]


class Workstation:
    """A user's: krew and kubectl, an empty home, and no Python."""

    def __init__(self, folder: Path, krew: Path, kubectl: Path) -> None:
        self.root = folder / "krew"
        self.folder = folder
        self.tools = folder / "tools"
        self.tools.mkdir()
        (self.tools / "kubectl").symlink_to(kubectl)
        for tool in krew.iterdir():
            (self.tools / tool.name).symlink_to(tool)
        # krew fetches an index by it
        (self.tools / "git").symlink_to(shutil.which("git") or "/nonexistent")
        (folder / "home").mkdir()
        self.env = {
            "HOME": str(folder / "home"),
            "KREW_ROOT": str(self.root),
            "PATH": f"{self.root}/bin:{self.tools}",
        }

    def run(self, *words: str | Path, **environ: str) -> Done:
        program = shutil.which(words[0], path=self.env["PATH"])
        assert program, words[0]
        return subprocess.run(
            [program, *words[1:]],
            env=self.env | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def krew(self, *words: str | Path) -> Done:
        done = self.run("kubectl", "krew", *words)
        assert done.returncode == 0, done.stderr
        return done

    def publish(self, manifest: str) -> None:
        """Puts a manifest into the index ``ours``, which is added when it is new."""
        index = self.folder / "index"
        new = not index.exists()
        (index / "plugins").mkdir(parents=True, exist_ok=True)
        (index / "plugins" / "satoken.yaml").write_text(manifest)
        git = ["git", "-C", str(index), "-c", "user.name=x", "-c", "user.email=x"]
        for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
            subprocess.run([*git, *words], check=True)
        if new:
            self.krew("index", "add", "ours", f"file://{index}")

    def store(self) -> list[str]:
        """The versions of the plugin that krew has on disk."""
        folder = self.root / "store" / "satoken"
        return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.fixture
def workstation(tmp_path: Path, krew: Path, installed: Path) -> Workstation:
    kubectl = shutil.which("kubectl", path=f"{installed.parent}:{os.environ['PATH']}")
    assert kubectl, "run `make install`"
    made = Workstation(tmp_path, krew, Path(kubectl))
    assert not shutil.which("python3", path=made.env["PATH"])
    return made


@pytest.fixture(scope="module")
def served(bundle: Bundle) -> Iterator[str]:
    """The address where the archive is, as a release has one."""
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=bundle.dist)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def manifest(bundle: Bundle, served: str) -> str:
    """The manifest with that address."""
    build = [sys.executable, ROOT / "krew" / "build", "--manifest", "--base-url", served]
    rendered = bundle.manifest.read_text()
    subprocess.run([*build, "--dist", bundle.dist], check=True)
    text = bundle.manifest.read_text()
    bundle.manifest.write_text(rendered)
    return text


def test_it_is_installed_used_and_removed(
    workstation: Workstation, bundle: Bundle, cluster: Cluster
) -> None:
    workstation.publish(bundle.manifest.read_text())  # krew removes nothing without an index
    told = workstation.krew(
        "install", f"--manifest={bundle.manifest}", f"--archive={bundle.archive}"
    )
    assert "Installed plugin: satoken" in told.stderr
    assert "kubectl satoken doctor pod/NAME" in told.stderr
    assert (workstation.root / "bin" / "kubectl-satoken").is_symlink()

    done = workstation.run("kubectl", "satoken", "--version")
    assert done.stdout == f"kubectl-satoken {__version__}\n", done.stderr
    shop = ROOT / "examples" / "shop.yaml"
    done = workstation.run("kubectl", "satoken", "doctor", "-f", shop, "deploy/web", "-n", "shop")
    assert (done.returncode, "SAT102" in done.stdout) == (1, True), done.stderr
    config = str(cluster.kubeconfig)
    done = workstation.run("kubectl", "satoken", "doctor", "sa/default", KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert "no fault found" in done.stdout

    workstation.krew("uninstall", "satoken")
    assert workstation.store() == []
    done = workstation.run("kubectl", "satoken", "--version")
    assert 'unknown command "satoken"' in done.stderr


def test_it_is_upgraded_from_an_index(workstation: Workstation, manifest: str) -> None:
    def version(name: str) -> str:
        return re.sub(r"version: .*", f"version: {name}", manifest)

    workstation.publish(version("v0.0.1"))
    workstation.krew("install", "ours/satoken")
    assert workstation.store() == ["v0.0.1"]
    workstation.publish(version("v0.0.2"))
    workstation.krew("upgrade", "satoken")
    assert workstation.store() == ["v0.0.2"]
    done = workstation.run("kubectl", "satoken", "--version")
    assert done.stdout == f"kubectl-satoken {__version__}\n", done.stderr


def test_the_link_that_completion_prints_completes(
    workstation: Workstation, bundle: Bundle
) -> None:
    workstation.krew("install", f"--manifest={bundle.manifest}", f"--archive={bundle.archive}")
    before = workstation.run("kubectl", "__complete", "satoken", "doct")
    assert "doctor" not in before.stdout
    guide = workstation.run("kubectl", "satoken", "completion").stdout
    (line,) = re.findall(r"^  (ln .*)$", guide, re.MULTILINE)
    subprocess.run(["/bin/sh", "-c", line], env=workstation.env | {"PATH": "/bin"}, check=True)
    done = workstation.run("kubectl", "__complete", "satoken", "doct")
    assert done.stdout.startswith("doctor\tTell why a pod has no working token"), done.stderr
    assert done.stdout.endswith(":4\n")


def test_an_archive_that_was_tampered_with_is_refused(
    workstation: Workstation, bundle: Bundle, tmp_path: Path
) -> None:
    other = tmp_path / bundle.archive.name
    other.write_bytes(bundle.archive.read_bytes() + b"x")
    words = ("install", f"--manifest={bundle.manifest}", f"--archive={other}")
    done = workstation.run("kubectl", "krew", *words)
    assert done.returncode
    assert "checksum" in done.stderr


def test_the_manifest_passes_the_review_of_krew(workstation: Workstation, manifest: str) -> None:
    """It installs each platform of the manifest, and looks for the licence."""
    path = workstation.folder / "satoken.yaml"
    path.write_text(manifest)
    done = workstation.run("validate-krew-manifest", f"-manifest={path}")
    assert done.returncode == 0, done.stderr
    assert "all 1 spec.platforms installed fine" in done.stderr


def test_the_manifest_of_all_platforms_passes_the_review_of_krew(
    workstation: Workstation,
) -> None:
    path = workstation.folder / "satoken.yaml"
    text = (ROOT / "plugin.yaml").read_text()
    path.write_text(re.sub("sha256: .*", f"sha256: {'a' * 64}", text))
    done = workstation.run("validate-krew-manifest", "-skip-install", f"-manifest={path}")
    assert done.returncode == 0, done.stderr
