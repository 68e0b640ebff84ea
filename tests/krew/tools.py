"""krew and its validate-krew-manifest, built from their published module, once.

They are kept in the user's cache, as the test cluster is: see tests/cluster/build.py.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import interpreters
from tests.cluster import build
from tests.cluster.errors import ClusterError

SOURCES = Path(__file__).parent
TOOLS = ("krew", "validate-krew-manifest")


def folder() -> Path:
    """The folder with ``kubectl-krew`` and ``validate-krew-manifest``.

    Raises ClusterError where they cannot be built, Unavailable where there is no Go for it.
    """
    build.cache().mkdir(parents=True, exist_ok=True)
    with build.lock(build.cache() / "lock"):
        go = build.find_go()
    modules = b"".join((SOURCES / name).read_bytes() for name in ("go.mod", "go.sum"))
    key = hashlib.sha256(build.go_version(go).encode() + modules).hexdigest()[:12]
    found = interpreters.cache() / "krew" / key
    with interpreters.locked(found):
        if not found.is_dir():
            compile_tools(go, found)
    return found


def compile_tools(go: str, target: Path) -> None:
    """Builds both and moves them to the folder as a whole."""
    build.say("building krew (once; half a minute on two cores)")
    env = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as temporary:
        result = Path(temporary) / "result"
        packages = [f"sigs.k8s.io/krew/cmd/{tool}" for tool in TOOLS]
        command = [go, "build", "-ldflags", "-s -w", "-o", f"{result}/", *packages]
        result.mkdir()
        if subprocess.run(command, cwd=SOURCES, env=env, stdout=sys.stderr).returncode:
            raise ClusterError(f"krew could not be built: {' '.join(command)}")
        (result / "krew").rename(result / "kubectl-krew")
        result.rename(target)
