"""Fixtures for the tests that need no cluster, and a clean environment for all of them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from kubectl_satoken.cli import run as run_program
from kubectl_satoken.env import Env

ROOT = Path(__file__).parent.parent

# What a contributor's shell may hold and what would change what a command does or prints.
SCRUBBED = (
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "LINES",
    "NO_COLOR",
    "POD_NAMESPACE",
    "PYTHONWARNINGS",
    "PYTHON_COLORS",
)


def pytest_configure() -> None:
    """Takes out of the environment what the tests must not depend on."""
    for name in SCRUBBED:
        os.environ.pop(name, None)
    # kubectl and Kubernetes collect their garbage less often: a sixth of their time for some memory
    os.environ.setdefault("GOGC", "400")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadscope, what shares what there is only one of stays with one worker: the node,
    and the bundle. The tests of revoke wait most of the time: two lots of them run beside the rest.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatTheyShare(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            for folder in ("tests/node/", "tests/krew/"):
                if nodeid.startswith(folder):
                    return folder
            if nodeid.startswith("tests/live/test_revoke.py"):
                return f"revoke {crc32(nodeid.encode()) % 2}"
            return nodeid

    return ByWhatTheyShare(config, log)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Result(NamedTuple):
    """What a command did."""

    status: int
    stdout: str
    stderr: str

    @property
    def object(self) -> Any:
        """What stdout holds as JSON."""
        return json.loads(self.stdout)


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in this process: ``run("doctor", "-f", "-", stdin="...")``.

    Nothing of the environment gets in: ``environ`` is all of it, with a home that is empty.
    """
    home = str(tmp_path)

    def run_command(
        *argv: str,
        stdin: str = "",
        now: float | None = None,
        environ: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> Result:
        stdout = Terminal() if terminal else io.StringIO()
        stderr = io.StringIO()
        full = {"HOME": home, "PATH": os.environ["PATH"], **(environ or {})}
        env = Env(io.StringIO(stdin), stdout, stderr, full, now)
        status = run_program([str(word) for word in argv], env)
        return Result(int(status), stdout.getvalue(), stderr.getvalue())

    return run_command


@pytest.fixture(scope="session")
def installed() -> Path:
    """The console script as ``pip install`` put it there, from the sources that are here."""
    script = Path(sys.executable).parent / "kubectl-satoken"
    if not script.exists():
        pytest.fail(f"{script} is missing: run `make install`")
    package = ROOT / "kubectl_satoken"
    place = Path(
        subprocess.run(
            [sys.executable, "-c", "import kubectl_satoken; print(kubectl_satoken.__path__[0])"],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    if place != package and sources(place) != sources(package):
        pytest.fail(f"what is installed in {place} is not what is here: run `make install`")
    return script


def sources(package: Path) -> dict[str, bytes]:
    """The modules of a package."""
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*.py")}
