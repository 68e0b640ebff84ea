"""CPythons by version, and environments in which this package is installed.

Starting fast is a promise for each supported Python, so the tests and `bench/startup` need
several of them, one of them newer than most machines have. `find` takes the one that is there;
where there is none, on Debian, it unpacks the one of Debian's unstable suite into the
user's cache, without root and without touching the system:

    python3.15 = find("3.15")
    bin = venv(python3.15, ".")          # pip install . and what it depends on
    subprocess.run([bin / "kubectl-satoken", "--version"])

Everything made here is kept in ${XDG_CACHE_HOME:-~/.cache}/kubectl-satoken and may be deleted.
`python -m tests.interpreters 3.15 [REQUIREMENT ...]` does the same by hand. POSIX only.
"""

import contextlib
import fcntl
import functools
import glob
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# Raised whenever unpack() or venv() changes what it makes, so that caches of before are not used.
RECIPE = "2"

# patchelf: see relocate(). The wheel is how pip gets into an environment, as ensurepip would do it.
DEBIAN_PACKAGES = ("patchelf", "python3-pip-whl")

# What Debian calls a machine and the folder of its libraries, and the loader in there.
DEBIAN_MACHINES = {
    "x86_64": ("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "aarch64": ("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}

# What the binary is also kept as, before relocate() ties it to its place.
PLAIN = "{binary}.plain"

KEEP_SECONDS = 14 * 24 * 3600  # since an environment, 150 MB, was last asked for

PROBE = (
    "import platform, sys; print(platform.python_implementation(), platform.python_version(), "
    "getattr(sys, '_base_executable', sys.executable), sys.base_prefix, sep='\\n')"
)


class Interpreter(NamedTuple):
    version: str  # 3.15.2
    argv: tuple[str, ...]  # what starts it
    prefix: Path  # its sys.base_prefix

    @property
    def minor(self) -> str:
        """The part of the version that file names carry: 3.15."""
        return ".".join(self.version.split(".")[:2])


@functools.cache
def find(wanted: str) -> Interpreter | None:
    """The CPython of a version ("3.15") or at a path ("/usr/bin/python3.11"), or None."""
    if os.sep in wanted:
        return probe(wanted)
    for candidate in candidates(wanted):
        found = probe(candidate)
        if found and found.minor == wanted:
            return found
    return debian(wanted)


def candidates(wanted: str) -> Iterator[str]:
    """Where a Python of this version may be, the nearest first."""
    yield sys.executable
    for folder in os.get_exec_path():
        yield os.path.join(folder, f"python{wanted}")
    home = os.path.expanduser("~")
    pyenv = os.environ.get("PYENV_ROOT") or f"{home}/.pyenv"
    for pattern in (
        f"{pyenv}/versions/{wanted}.*",
        f"{home}/.local/share/uv/python/cpython-{wanted}.*",
        f"/Library/Frameworks/Python.framework/Versions/{wanted}",
        f"/opt/python{wanted}",
    ):
        for root in sorted(glob.glob(pattern), reverse=True):
            yield f"{root}/bin/python{wanted}"


def probe(path: str) -> Interpreter | None:
    """What is at a path, if it is a CPython that starts (a pyenv shim may not)."""
    if not os.access(path, os.X_OK):
        return None
    done = subprocess.run([path, "-c", PROBE], env=clean(), capture_output=True, text=True)
    if done.returncode:
        return None
    # The base executable, so that neither a shim nor the environment of the tests is in the way.
    implementation, version, executable, prefix = done.stdout.splitlines()
    if implementation != "CPython":
        return None
    return Interpreter(version, (executable,), Path(prefix))


# --- Debian's unstable suite -----------------------------------------------------------------


def debian(minor: str) -> Interpreter | None:
    """The interpreter of Debian's unstable suite, unpacked into the cache; None off Debian."""
    if sys.platform != "linux" or platform.machine() not in DEBIAN_MACHINES:
        return None
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    root = cache() / f"python{minor}" / digest(RECIPE, minor, *DEBIAN_PACKAGES)
    with locked(root):
        stamp = root / "ready"
        if not stamp.exists():
            mirror = debian_mirror()
            if mirror is None:
                return None
            shutil.rmtree(root, ignore_errors=True)
            try:
                unpack(mirror, minor, root)
            except subprocess.CalledProcessError as error:
                shutil.rmtree(root, ignore_errors=True)
                tell(f"no Python {minor} from Debian unstable: {error.cmd[0]} failed")
                return None
            stamp.touch()
    return probe(str(root / "usr" / "bin" / f"python{minor}"))


def debian_mirror() -> str | None:
    """The mirror this machine's apt takes Debian from: only that one is known to be reachable."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    if release.get("ID") != "debian":
        return None
    suites = {release.get("VERSION_CODENAME"), "stable", "testing", "unstable", "sid"}
    columns = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(["apt-get", "indextargets", *columns], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        address, suite, component = line.split()
        if component == "main" and suite in suites:
            return address
    return None


def unpack(mirror: str, minor: str, root: Path) -> None:
    """Debian's packages of an interpreter and of all it needs, glibc too, below a folder."""
    tell(f"fetching Python {minor} from Debian unstable into {root}")
    apt = root / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()  # nothing counts as installed, so everything needed is fetched
    keyrings = sorted(Path("/usr/share/keyrings").glob("debian-archive-keyring.*"))
    # The suite's Release file is valid for a week only, and clocks and mirrors are what they are.
    options = ["check-valid-until=no"] + [f"signed-by={keyring}" for keyring in keyrings[:1]]
    (apt / "sources.list").write_text(f"deb [{' '.join(options)}] {mirror} sid main\n")
    settings = {
        "Dir::State": apt,
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "APT::Architecture": DEBIAN_MACHINES[platform.machine()][0],
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # apt's own user cannot write below a home
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": "3",
    }
    get = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    quietly([*get, "update"])
    quietly([*get, "install", "--yes", "--download-only", f"python{minor}", *DEBIAN_PACKAGES])
    for package in sorted(apt.glob("archives/*.deb")):
        quietly(["dpkg-deb", "-x", package, root])
    shutil.rmtree(apt)
    relocate(root, root / "usr" / "bin" / f"python{minor}")
    # The packages compile when they are installed; we, now: a program should not be timed doing it.
    python = str(root / "usr" / "bin" / f"python{minor}")
    quietly([python, "-m", "compileall", "-q", "-j", "2", root / "usr" / "lib" / f"python{minor}"])


def relocate(root: Path, binary: Path) -> None:
    """Make a binary run with the loader and the libraries beside it.

    The suite's glibc is newer than the machine's, and a program that is started as an argument of
    another loader has that loader as its sys.executable: no environments, no console scripts.
    Two runs, in this order: patchelf's other orders give a binary that crashes, and so does the
    patchelf of Debian 12.
    """
    shutil.copy2(binary, PLAIN.format(binary=binary))
    _, folder, name = DEBIAN_MACHINES[platform.machine()]
    libraries = root / "usr" / "lib" / folder
    loader = libraries / name
    patchelf = [str(loader), "--library-path", str(libraries), str(root / "usr/bin/patchelf")]
    # RPATH, not RUNPATH: extension modules look for their libraries there too.
    quietly([*patchelf, "--force-rpath", "--set-rpath", libraries, binary])
    quietly([*patchelf, "--set-interpreter", loader, binary])
    quietly([binary, "-c", "import ctypes, lzma, ssl, sqlite3, zlib"])


# --- environments ----------------------------------------------------------------------------


def venv(interpreter: Interpreter, *what: str | Path) -> Path:
    """The bin folder of an environment with these requirements installed by pip, as users do it.

    What is a folder is built and installed from a copy, and again when a file of it changed; for
    anything else an environment is made once.
    """
    folders = [Path(item).resolve() for item in what if Path(item).is_dir()]
    others = [str(item) for item in what if not Path(item).is_dir()]
    metadata = [digest_of(folder, only_metadata=True) for folder in folders]
    key = digest(RECIPE, *interpreter.argv, interpreter.version, *sorted(others), *metadata)
    # A short path: past 127 bytes pip starts console scripts through /bin/sh.
    home = cache() / "venv" / f"{interpreter.minor}-{key}"
    python = home / "bin" / f"python{interpreter.minor}"
    with locked(home):
        stamp = home / "ready"
        content = digest(*(digest_of(folder) for folder in folders))
        if not stamp.exists():
            tell(f"making an environment of Python {interpreter.version} in {home}")
            forget_old(home.parent)
            shutil.rmtree(home, ignore_errors=True)
            quietly([*interpreter.argv, "-m", "venv", "--without-pip", home])
            install(interpreter, python, [*others, *folders])
        elif stamp.read_text() != content:
            stamp.unlink()  # if this fails, the next call begins anew
            install(interpreter, python, folders, "--no-deps", "--force-reinstall")
        stamp.write_text(content)
    return python.parent


def forget_old(folder: Path) -> None:
    """Remove environments that nobody asked for in weeks: each change of setup.cfg leaves some."""
    for stamp in folder.glob("*/ready"):
        if time.time() - stamp.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(stamp.parent, ignore_errors=True)


def install(
    interpreter: Interpreter, python: Path, what: Sequence[str | Path], *flags: str
) -> None:
    """pip install into an environment, of folders through a copy: a build litters its source."""
    with tempfile.TemporaryDirectory(prefix="kubectl-satoken-build-") as scratch:
        sources: list[str | Path] = []
        for number, item in enumerate(what):
            if isinstance(item, Path):
                copy = Path(scratch) / str(number)
                shutil.copytree(item, copy, ignore=unbuilt)
                item = copy
            sources.append(item)
        options = ["--quiet", "--no-input", "--disable-pip-version-check", *flags]
        quietly([*pip(interpreter, python), "install", *options, *sources])


def pip(interpreter: Interpreter, python: Path) -> list[str | Path]:
    """The pip that comes with an interpreter, or else ours, working on an environment.

    Run from its wheel, so that the environment holds what was asked for and nothing else.
    """
    library = interpreter.prefix / "lib" / f"python{interpreter.minor}"
    for folder in (library / "ensurepip" / "_bundled", interpreter.prefix / "share/python-wheels"):
        for wheel in folder.glob("pip-*.whl"):
            return [python, wheel / "pip"]
    return [sys.executable, "-m", "pip", "--python", python]


def unbuilt(folder: str, names: list[str]) -> set[str]:
    """What of a source folder has no part in what is installed."""
    out = {"__pycache__", "build", "dist", "tests", "bench", "docs", "node_modules", "venv"}
    return {name for name in names if name.startswith(".") or name in out or ".egg-info" in name}


def digest_of(folder: Path, only_metadata: bool = False) -> str:
    """A digest of what is installed from a folder, or of the files that say what it depends on."""
    parts = []
    for parent, folders, files in os.walk(folder):
        hidden = unbuilt(parent, [*folders, *files])
        folders[:] = sorted(name for name in folders if name not in hidden and not only_metadata)
        for name in sorted(files):
            if name in hidden or only_metadata and not name.startswith(("setup.", "pyproject.")):
                continue
            path = Path(parent, name)
            parts += [str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()]
    return digest(*parts)


# --- small things ----------------------------------------------------------------------------


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubectl-satoken"


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One builder at a time; the others wait, and then find it built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clean() -> dict[str, str]:
    """The environment without what would lead one Python to the modules of another."""
    misleading = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH")
    return {name: value for name, value in os.environ.items() if name not in misleading}


def quietly(command: Sequence[str | Path]) -> None:
    """Run a command; what it printed is shown only if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=clean(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        tell(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, [str(word) for word in command])


def tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    interpreter = find(sys.argv[1])
    if interpreter is None:
        sys.exit(f"no Python {sys.argv[1]} on this machine, and none to fetch")
    print(venv(interpreter, *sys.argv[2:]) if sys.argv[2:] else " ".join(interpreter.argv))
