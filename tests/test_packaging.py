"""What users install: the wheel, the console script, the manifest for krew."""

import email
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from kubectl_satoken import __version__
from tests.conftest import ROOT

PACKAGE = ROOT / "kubectl_satoken"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building writes beside the sources."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("kubectl_satoken", "tests", "man"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


def test_the_wheel_has_all_modules_the_manual_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    manual = f"kubectl_satoken-{__version__}.data/data/share/man/man1"
    modules = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    assert names == modules | {f"{manual}/{path.name}" for path in (ROOT / "man").glob("*.1")}


def test_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name == f"kubectl_satoken-{__version__}-py3-none-any.whl"


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"kubectl_satoken-{__version__}.dist-info"
        about = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        points = archive.read(f"{folder}/entry_points.txt").decode()
        names = archive.namelist()
    assert about["Version"] == __version__
    assert about["Requires-Python"] == ">=3.11"
    assert about["License-Expression"] == "Apache-2.0"
    needs = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[^\w-]", line)[0] for line in needs} == {
        "PyYAML",
        "kubernetes",
        "tabulate",
        "urllib3",
    }
    assert "kubectl-satoken = kubectl_satoken.__main__:main" in points
    assert "kubectl_complete-satoken = kubectl_satoken.__main__:complete" in points
    assert f"{folder}/licenses/LICENSE" in names


def test_every_module_that_we_import_is_asked_for() -> None:
    text = (ROOT / "setup.cfg").read_text()
    asked = text.partition("install_requires =")[2].partition("\n\n")[0]
    # without it signatures are not checked, and that is said
    asked += text.partition("\nsignature =")[2].partition("\ntest =")[0]
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        for name in ("tabulate", "jwt", "durationpy"):
            if re.search(rf"^\s*(import|from) {name}\b", source, re.MULTILINE):
                assert name in asked.lower(), f"{path.name} imports {name}"


def test_the_console_script_works(installed: Path) -> None:
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout) == (0, f"kubectl-satoken {__version__}\n")


def test_kubectl_finds_it(installed: Path) -> None:
    kubectl = shutil.which("kubectl", path=str(installed.parent)) or shutil.which("kubectl")
    assert kubectl, "run `make install`"
    path = f"{installed.parent}:/usr/bin:/bin"
    done = subprocess.run(
        [kubectl, "satoken", "doctor", "-f", ROOT / "examples" / "shop.yaml", "sts/api", "-nshop"],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": path, "HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: ")


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kubectl_satoken", "--version"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout == f"kubectl-satoken {__version__}\n"


def manifest() -> dict:  # type: ignore[type-arg]
    """The manifest for krew, but for the checksums."""
    return yaml.safe_load((ROOT / "plugin.yaml").read_text())  # type: ignore[no-any-return]


def test_the_manifest_is_one_that_krew_takes() -> None:
    plugin = manifest()
    assert plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert plugin["kind"] == "Plugin"
    assert plugin["metadata"] == {"name": "satoken"}
    spec = plugin["spec"]
    assert spec["version"] == f"v{__version__}"
    # krew's own review asks for these
    assert len(spec["shortDescription"]) <= 50
    assert not spec["shortDescription"].endswith(".")
    assert "kubectl" not in spec["shortDescription"].lower()
    assert all(len(line) <= 80 for line in spec["description"].splitlines())


def test_the_manifest_names_each_platform_once() -> None:
    platforms = manifest()["spec"]["platforms"]
    selectors = [tuple(sorted(one["selector"]["matchLabels"].items())) for one in platforms]
    assert len(set(selectors)) == len(selectors)
    for one in platforms:
        labels = one["selector"]["matchLabels"]
        assert one["uri"].endswith(f"{labels['os']}-{labels['arch']}.tar.gz")
        assert f"/v{__version__}/" in one["uri"]
        assert one["bin"] == "kubectl-satoken/kubectl-satoken"


WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_and_forms_can_be_read_and_run_what_is_there(path: Path) -> None:
    text = path.read_text()
    assert isinstance(yaml.safe_load(text), dict)
    for target in re.findall(r"run: make (\w+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for program in re.findall(r"(?:run: |python3 )((?:krew|\.ci)/\w+)", text):
        assert (ROOT / program).exists(), program


def test_a_release_builds_what_the_manifest_names() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    built = {one["platform"] for one in jobs["bundle"]["strategy"]["matrix"]["include"]}
    labels = [one["selector"]["matchLabels"] for one in manifest()["spec"]["platforms"]]
    assert built == {f"{one['os']}-{one['arch']}" for one in labels}
