"""A Python that was made to be moved, as the release takes one, from a Go module that holds some.

The releases of python-build-standalone are files of a host that not every machine may reach; Go's
proxy is reached where krew could be built. The module has them file by file, for five platforms:
of its 150 MB the user's cache gets what is for this one.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import interpreters
from tests.cluster import build
from tests.cluster.errors import ClusterError, Unavailable

SOURCES = Path(__file__).parent
MODULE = "github.com/kluctl/go-embed-python"
PIP = "pip==26.3"  # which comes with the releases, but not in the module


def folder() -> Path:
    """The folder of the interpreter.

    Raises ClusterError where it cannot be fetched, Unavailable where there is none to fetch.
    """
    build.cache().mkdir(parents=True, exist_ok=True)
    with build.lock(build.cache() / "lock"):
        go = build.find_go()
    key = interpreters.digest((SOURCES / "go.sum").read_text(), Path(__file__).read_text())
    found = interpreters.cache() / "standalone" / key
    with interpreters.locked(found):
        if not found.is_dir():
            interpreters.forget_old(found.parent)
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=found.parent) as scratch:
                fetch(go, Path(scratch), Path(scratch) / "result")
                (Path(scratch) / "result").rename(found)
        (found / "ready").touch()
    return found


def fetch(go: str, scratch: Path, target: Path) -> None:
    """Downloads the module, which go.sum must know, and takes what is for this platform."""
    interpreters.tell("fetching a Python that can be moved (once; 110 MB)")
    env = os.environ | {
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOMODCACHE": str(scratch / "modules"),  # Go's own would keep all of it
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    command = [go, "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd=SOURCES, env=env, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    platform = subprocess.run([go, "env", "GOOS", "GOARCH"], capture_output=True, text=True)
    data = Path(json.loads(done.stdout)["Dir"]) / "python" / "internal" / "data"
    source = data / "-".join(platform.stdout.split())
    if not source.is_dir():
        raise Unavailable(f"{MODULE} has no Python for {source.name}")
    unpack(source, target)
    (library,) = target.glob("lib/python3.[0-9]*")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    wheels = library / "ensurepip" / "_bundled"
    try:
        interpreters.quietly([*pip, "--only-binary=:all:", "--dest", wheels, PIP])
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"{PIP} could not be fetched: {error}") from error


def unpack(source: Path, target: Path) -> None:
    """Puts the files of one platform back as they were: some are compressed, links are listed."""
    target.mkdir()
    for entry in json.loads((source / "files.json").read_text())["files"]:
        path = target / entry["name"]
        if "symlink" in entry:
            path.symlink_to(entry["symlink"])
            continue
        if (source / entry["name"]).is_dir():
            path.mkdir()
        elif entry.get("compressed"):
            with gzip.open(source / f"{entry['name']}.gz") as content, path.open("wb") as file:
                shutil.copyfileobj(content, file)
        else:
            shutil.copyfile(source / entry["name"], path)
        path.chmod(entry["perm"] & 0o777)
