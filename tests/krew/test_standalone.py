"""The bundle of a Python that was made to be moved: it brings its libraries, but for glibc."""

import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_satoken import __version__
from tests.cluster import Cluster, ClusterError, Unavailable
from tests.conftest import ROOT
from tests.krew import standalone
from tests.krew.conftest import NOBODY, Bundle, build, call, root_only, unpack

# By what a library is known in the binary that it is linked into.
LINKED = {
    "bzip2": rb"bzip2/libbzip2: internal error",
    "expat": rb"expat_\d+\.\d+\.\d+",
    "libedit": rb"/\.editrc",
    "libffi": rb"LIBFFI_TMPDIR",
    "libuuid": rb"clock: %04x tv: ",
    "mpdecimal": rb"libmpdec: internal error",
    "ncurses": rb"ncurses \d+\.\d+",
    "openssl": rb"OpenSSL \d+\.\d+\.\d+ ",
    "sqlite": rb"SQLite format 3\0",
    "xz": rb"\xfd7zXZ\0",
    "zlib": rb"inflate \d[.\d]* Copyright",
    "zstd": rb"Unsupported frame parameter",
}
# By what others would be known, for which we have no text: what may be linked in some day.
UNKNOWN = {
    "Berkeley DB": rb"Berkeley DB \d",
    "gdbm": rb"gdbm_errno|GDBM version",
    "readline": rb"/\.inputrc",
    "Tcl": rb"tcl_library|Tcl_Init",
}


@pytest.fixture(scope="module")
def movable(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    try:
        python = standalone.folder()
    except (ClusterError, Unavailable) as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    return build(ROOT, tmp_path_factory.mktemp("movable"), "--python", python)


@pytest.fixture(scope="module")
def program(movable: Bundle) -> Iterator[Path]:
    with unpack(movable) as found:
        yield found


def test_it_needs_no_newer_glibc_than_debian_12_has(movable: Bundle) -> None:
    told = re.search(r"^glibc: 2\.(\d+) or newer$", movable.told, re.MULTILINE)
    assert told, movable.told
    assert int(told[1]) <= 36


def test_the_archive_has_no_glibc_and_no_links(movable: Bundle) -> None:
    with tarfile.open(movable.archive) as archive:
        entries = archive.getmembers()
    assert all(entry.isfile() or entry.isdir() for entry in entries)
    names = [Path(entry.name).name for entry in entries]
    assert "modules" in names
    assert not [name for name in names if re.match(r"ld-linux|lib(c|m|dl|pthread)\.so", name)]


def test_each_library_in_the_binary_has_its_licence(program: Path) -> None:
    (binary,) = (program.parent / "bin").iterdir()
    content = binary.read_bytes()
    found = {name for name, mark in LINKED.items() if re.search(mark, content)}
    assert {"openssl", "zlib"} <= found, "the marks find nothing"
    licences = {path.stem for path in (program.parent / "licenses").iterdir()}
    assert found <= licences
    assert {path.stem for path in (ROOT / "krew" / "licenses").iterdir()} == set(LINKED)
    assert not [name for name, mark in UNKNOWN.items() if re.search(mark, content)]


def test_it_runs_with_an_empty_environment(program: Path) -> None:
    done = call(program, "--version")
    assert (done.returncode, done.stdout) == (0, f"kubectl-satoken {__version__}\n"), done.stderr


@root_only
def test_another_user_gets_the_checks_of_the_source(program: Path) -> None:
    done = call(program, "explain", "--all", user=NOBODY, group=NOBODY, extra_groups=[])
    assert done.stdout == (ROOT / "docs" / "checks.md").read_text(), done.stderr


def test_doctor_says_what_that_of_the_source_says(
    web: str, program: Path, installed: Path, cluster: Cluster
) -> None:
    env = {"KUBECONFIG": str(cluster.kubeconfig)}
    ours = call(program, "doctor", web, "-o", "json", env=env)
    theirs = call(installed, "doctor", web, "-o", "json", env=env)
    assert ours.returncode == theirs.returncode == 1, ours.stderr
    assert json.loads(ours.stdout) == json.loads(theirs.stdout)
