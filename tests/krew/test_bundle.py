"""The archive for krew: the program with a Python of its own, at home on every Linux."""

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from kubectl_satoken import __version__
from kubectl_satoken.cli import VERBS
from tests import interpreters
from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.krew.conftest import NOBODY, Bundle, build, call, root_only

# --- the archive -----------------------------------------------------------------------------


def test_a_build_elsewhere_gives_the_same_archive(
    bundle: Bundle, elsewhere: Path, tmp_path: Path
) -> None:
    again = build(elsewhere, tmp_path)
    assert again.archive.name == bundle.archive.name
    assert again.archive.read_bytes() == bundle.archive.read_bytes()


def test_the_archive_has_files_and_folders_only(bundle: Bundle) -> None:
    with tarfile.open(bundle.archive) as archive:
        for entry in archive:
            assert entry.isfile() or entry.isdir(), entry.name
            assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)
            assert entry.mode in (0o755, 0o644)


def test_the_archive_has_our_licence_and_those_of_what_is_in_it(unpacked: Path) -> None:
    assert (unpacked.parent.parent / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    licences = " ".join(os.listdir(unpacked.parent / "licenses"))
    pinned = (ROOT / "krew" / "requirements.txt").read_text()
    for name in re.findall(r"^([\w-]+)==", pinned, re.MULTILINE):
        assert re.sub("[-_]", ".", name) in re.sub("[-_]", ".", licences), name
    assert "python" in licences


def test_nothing_in_the_archive_tells_where_it_was_built(unpacked: Path) -> None:
    traces = [str(ROOT).encode(), str(interpreters.cache()).encode(), b"satoken-bundle-"]
    for path in unpacked.parent.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [trace for trace in traces if trace in content], path
            assert path.suffix != ".py", path


def test_the_build_tells_which_glibc_it_needs(bundle: Bundle) -> None:
    told = re.search(r"^glibc: (.*)$", bundle.told, re.MULTILINE)
    assert told
    older = re.fullmatch(r"2\.(\d+) or newer", told[1])
    assert told[1] == "any, the bundle has its own" or older and int(older[1]) <= 36


def test_everything_that_we_depend_on_is_pinned() -> None:
    asked = (ROOT / "setup.cfg").read_text().partition("install_requires =")[2].partition("\n\n")[0]
    pinned = (ROOT / "krew" / "requirements.txt").read_text().lower()
    for name in re.findall(r"^    (\w[\w-]*)", asked, re.MULTILINE):
        assert re.search(rf"^{name.lower()}==", pinned, re.MULTILINE), name


PATTERNS = """
import marshal, sys
module = {"__name__": "re._compiler", "__package__": "re"}
with open(sys.argv[1], "rb") as file:
    index = marshal.loads(file.read(int.from_bytes(file.read(8), "little")))
    place, size, is_package = index["re._compiler"]
    file.seek(place, 1)
    exec(marshal.loads(file.read(size)), module)
compile, compile_anew, compiled = map(module.get, ("compile", "compile_anew", "COMPILED"))
for key in compiled:
    assert compile(*key) == compile_anew(*key), key
    assert compile(*key).groupindex == compile_anew(*key).groupindex, key
import urllib3.util.url as url
patterns = {value.pattern for value in vars(url).values() if hasattr(value, "groupindex")}
assert len(patterns) > 5 and patterns <= {pattern for pattern, _ in compiled}, patterns
"""


def test_regular_expressions_come_compiled_and_as_they_would_be(unpacked: Path) -> None:
    python = interpreters.find("3.15")
    assert python
    pinned = (ROOT / "krew" / "requirements.txt").read_text()
    urllib3 = re.search(r"^urllib3==[\d.]+", pinned, re.MULTILINE)
    assert urllib3
    bin = interpreters.venv(python, urllib3[0])
    done = subprocess.run(
        [bin / "python", "-c", PATTERNS, unpacked.parent / "lib" / "modules"],
        env=interpreters.clean(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# --- where it runs ---------------------------------------------------------------------------


def test_it_runs_with_an_empty_environment(unpacked: Path) -> None:
    done = call(unpacked, "--version")
    assert (done.returncode, done.stdout) == (0, f"kubectl-satoken {__version__}\n"), done.stderr


@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_it_runs_without_a_home_and_a_path(unpacked: Path, home: str) -> None:
    shop = str(ROOT / "examples" / "shop.yaml")
    env = {"HOME": home, "PATH": "/nonexistent"}
    done = call(unpacked, "doctor", "-f", shop, "sts/api", "-nshop", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: ")


def test_it_runs_through_links(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(unpacked)
    (tmp_path / "kubectl-satoken").symlink_to("one")
    done = call(tmp_path / "kubectl-satoken", "--version")
    assert done.stdout == f"kubectl-satoken {__version__}\n", done.stderr


def test_it_runs_from_a_folder_with_any_name(unpacked: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a b'c$d é"
    shutil.copytree(unpacked.parent, moved)
    done = call(moved / "kubectl-satoken", "explain", "SAT102")
    assert done.returncode == 0, done.stderr


def test_a_launcher_that_was_taken_out_of_its_folder_says_so(
    unpacked: Path, tmp_path: Path
) -> None:
    shutil.copy(unpacked, tmp_path)
    done = call(tmp_path / "kubectl-satoken", "--version")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: kubectl-satoken cannot start {tmp_path}/")


@root_only
def test_it_runs_as_a_user_who_may_write_nowhere(unpacked: Path) -> None:
    before = state(unpacked.parent)
    done = call(unpacked, "explain", "--all", user=NOBODY, group=NOBODY, extra_groups=[])
    assert done.returncode == 0, done.stderr
    assert state(unpacked.parent) == before


@root_only
def test_it_needs_no_libraries_of_the_host(unpacked: Path, tmp_path: Path) -> None:
    """In a root folder with nothing but itself and /proc: Alpine has no glibc at all."""
    if not list(unpacked.parent.glob("lib/ld-linux*")):
        pytest.skip("this bundle uses the host's glibc")
    shutil.copytree(unpacked.parent, tmp_path / "satoken", copy_function=os.link)
    (tmp_path / "proc").mkdir()
    script = (
        'mount --bind /proc "$1/proc" && exec chroot "$1" /satoken/kubectl-satoken explain --all'
    )
    done = in_mount_namespace("sh", "-c", script, "sh", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "checks.md").read_text()


def in_mount_namespace(*command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command whose mounts nobody else sees, or skips the test."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environ}
    unshare = ["unshare", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, env=env).returncode:
        pytest.skip("this machine allows no mount namespace")
    return subprocess.run([*unshare, *command], env=env, capture_output=True, text=True)


def test_it_writes_nothing_into_its_folder(unpacked: Path) -> None:
    before = state(unpacked.parent)
    assert call(unpacked, "explain", "--all").returncode == 0
    assert state(unpacked.parent) == before


def state(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in folder.rglob("*")}


def test_what_the_users_python_reads_is_nothing_to_it(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('the wrong argparse')")
    env = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": "x"}
    done = call(unpacked, "--help", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# --- what it does ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_the_help_is_that_of_the_source(verb: str, unpacked: Path, installed: Path) -> None:
    words = [verb, "--help"] if verb else ["--help"]
    ours, theirs = call(unpacked, *words), call(installed, *words)
    assert ours.returncode == 0, ours.stderr

    def told(text: str) -> tuple[set[str], str]:
        # each Python's argparse lays out the flags in its own way, but not what comes after
        return set(re.findall(r"--[a-z-]+", text)), text.partition("\nExamples:\n")[2]

    assert told(ours.stdout) == told(theirs.stdout)
    assert "--help" in ours.stdout or not verb


def test_the_checks_are_those_of_the_source(unpacked: Path, installed: Path) -> None:
    ours, theirs = call(unpacked, "explain", "--all"), call(installed, "explain", "--all")
    assert ours.stdout == theirs.stdout == (ROOT / "docs" / "checks.md").read_text()


@pytest.mark.parametrize(
    "words", ["doctor --nonsense", "nonsense", "doctor -f /nonexistent", "explain SAT999"]
)
def test_errors_are_those_of_the_source(words: str, unpacked: Path, installed: Path) -> None:
    ours, theirs = call(unpacked, *words.split()), call(installed, *words.split())
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
    assert ours.returncode


def test_large_files_are_read_by_the_quick_yaml(unpacked: Path) -> None:
    assert list(unpacked.parent.glob("lib/python3.*/yaml/_yaml*.so"))


# --- on a cluster ----------------------------------------------------------------------------


def raw_config(cluster: Cluster) -> bytes:
    """The administrator's kubeconfig as JSON, with everything in it."""
    flags = ["config", "view", "--raw", "--flatten", "-ojson"]
    kubectl = ["kubectl", "--kubeconfig", str(cluster.kubeconfig)]
    return subprocess.run([*kubectl, *flags], capture_output=True, check=True).stdout


def test_doctor_says_what_that_of_the_source_says(
    web: str, unpacked: Path, installed: Path, cluster: Cluster
) -> None:
    env = {"KUBECONFIG": str(cluster.kubeconfig)}
    ours = call(unpacked, "doctor", web, "-o", "json", env=env)
    theirs = call(installed, "doctor", web, "-o", "json", env=env)
    assert ours.returncode == theirs.returncode == 1, ours.stderr
    assert json.loads(ours.stdout) == json.loads(theirs.stdout)
    assert [one["code"] for one in json.loads(ours.stdout)["findings"]] == ["SAT102"]


def test_a_token_can_be_made(web: str, unpacked: Path, cluster: Cluster) -> None:
    done = call(unpacked, "mint", "web", "--verify", env={"KUBECONFIG": str(cluster.kubeconfig)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2


def test_an_exec_plugin_gets_the_environment_of_the_user(
    unpacked: Path, cluster: Cluster, tmp_path: Path, web: str
) -> None:
    config = json.loads(raw_config(cluster))
    user = config["users"][0]["user"]
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": base64.b64decode(user["client-certificate-data"]).decode(),
            "clientKeyData": base64.b64decode(user["client-key-data"]).decode(),
        },
    }
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    plugin = tmp_path / "plugin"
    plugin.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/env\nexec /bin/cat {tmp_path}/credential.json\n"
    )
    plugin.chmod(0o755)
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    (tmp_path / "config").write_text(json.dumps(config))
    env = {"KUBECONFIG": str(tmp_path / "config"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = call(unpacked, "doctor", web, env=env)
    assert done.returncode == 1, done.stderr
    got = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    # the shell's own, and what the protocol says
    ours = set(got) - {"PWD", "OLDPWD", "SHLVL", "_", "KUBERNETES_EXEC_INFO"}
    assert ours == set(env)


STORES = {
    "Debian": "/etc/ssl/certs/ca-certificates.crt",
    "RHEL": "/etc/pki/tls/certs/ca-bundle.crt",
    "RHEL, older": "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
}


@root_only
@pytest.mark.parametrize("store", STORES.values(), ids=list(STORES))
def test_the_certificates_of_the_system_are_found(
    store: str, unpacked: Path, cluster: Cluster, tmp_path: Path, web: str
) -> None:
    """In a mount namespace whose /etc has nothing but that store, with the cluster's CA in it."""
    config = json.loads(raw_config(cluster))
    for one in config["clusters"]:
        one["cluster"].pop("certificate-authority-data")
    (tmp_path / "config").write_text(json.dumps(config))
    script = (
        f"mount -t tmpfs tmpfs /etc && mkdir -p {Path(store).parent} && "
        f'cp "$1" {store} && shift && exec "$@"'
    )
    (tmp_path / "none.crt").touch()

    def doctor(ca: Path) -> "subprocess.CompletedProcess[str]":
        command = ["sh", "-c", script, "sh", str(ca), str(unpacked), "doctor", web]
        return in_mount_namespace(*command, KUBECONFIG=str(tmp_path / "config"))

    assert "signed by an unknown authority" in doctor(tmp_path / "none.crt").stderr
    found = doctor(cluster.ca)
    assert found.returncode == 1, found.stderr
    assert "SAT102" in found.stdout
