"""The Debian packages that a node and other tests need, and how they get onto a fresh machine."""

import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.errors import Unavailable

# Where each package puts the one file that we look for.
PACKAGES = {
    "containerd": ("/usr/bin/containerd",),
    "runc": ("/usr/sbin/runc", "/usr/bin/runc"),
    "containernetworking-plugins": ("/usr/lib/cni/ptp", "/opt/cni/bin/ptp"),
    "busybox-static": ("/bin/busybox",),
    "openssl": ("/usr/bin/openssl",),
    "iproute2": ("/sbin/ip", "/bin/ip"),
}

# What the other tests need: shells in which TAB is pressed, what krew/build compiles with, and a
# reader of manual pages that is strict.
OTHERS = {
    "mandoc": ("/usr/bin/mandoc",),
    "tmux": ("/usr/bin/tmux",),
    "zsh": ("/usr/bin/zsh",),
    "fish": ("/usr/bin/fish",),
    "bash-completion": ("/usr/share/bash-completion/bash_completion",),
    "git": ("/usr/bin/git",),
    "gcc": ("/usr/bin/cc",),
    "binutils": ("/usr/bin/readelf",),
    "libc6-dev": (f"/usr/lib/{platform.machine()}-linux-gnu/libc.a",),
}


def missing(packages: Iterable[str] = tuple(PACKAGES)) -> list[str]:
    """The packages, by default those of a node, whose files are not on this machine."""
    return [package for package in packages if not find(package)]


def find(package: str) -> Path | None:
    """Where the program of a package is, or its one file."""
    for candidate in (PACKAGES | OTHERS)[package]:
        program = Path(candidate).parent.name in ("bin", "sbin")
        found = (shutil.which(Path(candidate).name) if program else None) or candidate
        mode = os.X_OK if program else os.R_OK
        if os.access(found, mode) and (package != "busybox-static" or is_static(found)):
            return Path(found)
    return None


def is_static(program: str) -> bool:
    """Whether a program runs in an image that has nothing else in it.

    Debian's other busybox is at the same path and needs the C library. An ELF file asks for a
    dynamic loader by the name of one, which stands near its start.
    """
    with open(program, "rb") as file:
        return b"/ld-" not in file.read(4096)


def install() -> None:
    """Install what is missing, with no question asked and no service started."""
    wanted = [*PACKAGES, *OTHERS]
    packages = missing(wanted)
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(packages)} missing: install as root on Debian or Ubuntu")
    with tempfile.TemporaryDirectory() as folder:
        apt("update", attempts=5)
        apt("install", "--no-install-recommends", *packages, env=no_services(Path(folder)))
    if missing(wanted):
        raise Unavailable(f"apt-get installed {', '.join(packages)}, still: {missing(wanted)}")


def apt(action: str, *arguments: str, attempts: int = 3, env: dict[str, str] | None = None) -> None:
    """Run apt-get, again if need be: a mirror may have a bad moment."""
    command = ["apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=120", action, *arguments]
    for attempt in range(attempts):
        full = os.environ | {"DEBIAN_FRONTEND": "noninteractive"} | (env or {})
        if subprocess.run(command, env=full, stdout=sys.stderr).returncode == 0:
            return
        time.sleep(2 * attempt + 1)
    raise Unavailable(f"{' '.join(command)} failed {attempts} times")


def no_services(folder: Path) -> dict[str, str]:
    """The environment in which containerd's package does not start containerd.

    The node runs one of its own. Maintainer scripts ask policy-rc.d, and that is looked for at a
    fixed place which may belong to the machine's owner; but what they call, they call by PATH.
    """
    for name in ("invoke-rc.d", "deb-systemd-invoke"):
        program = folder / name
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}
