"""Command lines are completed where users press TAB: in bash, zsh and fish, as they are."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster

SECONDS = 15.0  # for a completion to show on a busy machine; one takes a few tenths

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: lonely-place}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot-in-place, namespace: lonely-place}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden-thing, namespace: lonely-place}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper, namespace: lonely-place}
spec:
  serviceAccountName: robot-in-place
  initContainers: [{name: ladder, image: app}]
  containers: [{name: lamp, image: app}, {name: horn, image: app}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: lighthouse, namespace: lonely-place}
spec:
  selector: {matchLabels: {app: lighthouse}}
  template:
    metadata: {labels: {app: lighthouse}}
    spec: {containers: [{name: app, image: app}]}
"""

Complete = Callable[..., list[str]]


@pytest.fixture(scope="module")
def config(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of a cluster with those objects, and with a second context."""
    path = tmp_path_factory.mktemp("config") / "config"
    shutil.copy(cluster.kubeconfig, path)
    kubectl = ["kubectl", "--kubeconfig", str(path)]
    subprocess.run([*kubectl, "apply", "-f", "-"], input=OBJECTS, text=True, check=True)
    context = ["config", "set-context", "elsewhere", "--cluster=farm", "--user=farmer"]
    subprocess.run([*kubectl, *context], check=True)
    return path


@pytest.fixture
def complete(installed: Path, config: Path) -> Complete:
    """The candidates for the last of some words, and the directives as the last line."""

    def ask(*words: str, **environ: str) -> list[str]:
        done = subprocess.run(
            [installed.parent / "kubectl_complete-satoken", *words],
            env={"KUBECONFIG": str(config), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    return ask


# --- what is in the cluster ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["doctor", "-n", "lonely-place", "deployment/"], ["deployment/lighthouse"]),
        (["doctor", "--namespace=lonely-place", "deploy/"], ["deploy/lighthouse"]),
        (["doctor", "-nlonely-place", "deploy", "l"], ["lighthouse"]),
        (["doctor", "-n", "lonely-place", "secret/h"], ["secret/hidden-thing"]),
        (["mint", "-n", "lonely-place", "rob"], ["robot-in-place"]),
        (["can-i", "-n", "lonely-place", "sa/rob"], ["sa/robot-in-place"]),
        (["can-i", "sa/x", "get", "deployments.ap"], ["deployments.apps"]),
        (["can-i", "sa/x", "get", "pods/lo"], ["pods/log"]),
        (["can-i", "-n", "lonely-place", "me", "get", "deploy", "li"], ["lighthouse"]),
        (["who-can", "get", "serviceaccounts/tok"], ["serviceaccounts/token"]),
        (["who-can", "-nlonely-place", "get", "secrets", "hid"], ["hidden-thing"]),
        (["inspect", "-n", "lonely-place", "pod/kee"], ["pod/keeper"]),
        (["inspect", "-nlonely-place", "pod/keeper", "-c", "la"], ["ladder", "lamp"]),
        (["revoke", "-n", "lonely-place", "sa/rob"], ["sa/robot-in-place"]),
        (["doctor", "-n", "lonely"], ["lonely-place"]),
        (["doctor", "--namespace=lonely"], ["lonely-place"]),
        (["doctor", "--context", "else"], ["elsewhere"]),
        (["doctor", "clusterrole/vie"], ["clusterrole/view"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_names_in_the_cluster_are_completed(
    words: list[str], expected: list[str], complete: Complete
) -> None:
    *found, directive = complete(*words)
    assert found == expected
    assert directive in (":4", ":0")  # :0 where it may be a file as well


def test_what_may_not_be_listed_is_no_error(complete: Complete, cluster: Cluster) -> None:
    config = str(cluster.user("nobody-special"))
    assert complete("doctor", "-n", "lonely-place", "pod/", KUBECONFIG=config) == [":4"]


# --- when it cannot be told ------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["silent", "not there"])
def test_without_an_answer_there_is_none_and_it_is_soon(
    there: bool, complete: Complete, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # which accepts, and says nothing
        port = server.getsockname()[1]
        if not there:
            server.close()
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{port}", {})
        started = time.monotonic()
        assert complete("doctor", "pod/", KUBECONFIG=str(config)) == [":4"]
        assert time.monotonic() - started < 6


def test_an_exec_plugin_that_hangs_is_waited_for_in_vain_but_not_long(
    complete: Complete, tmp_path: Path
) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sleep",
        "args": ["60"],
        "interactiveMode": "Never",
    }
    config = kubeconfig(tmp_path, "http://127.0.0.1:1", {"exec": plugin})
    started = time.monotonic()
    assert complete("doctor", "pod/", KUBECONFIG=str(config)) == [":4"]
    assert time.monotonic() - started < 6


def kubeconfig(folder: Path, server: str, user: dict[str, Any]) -> Path:
    """A kubeconfig of one cluster and one user."""
    path = folder / "config"
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": user}],
    }
    path.write_text(json.dumps(config))
    return path


# --- in shells -------------------------------------------------------------------------------

# how each is started, quietly, with the completion of kubectl and of kubectl-satoken
START = {
    "bash": (
        ["bash", "--norc", "--noprofile"],
        "PS1='> '; . /usr/share/bash-completion/bash_completion; . <(kubectl completion bash); "
        ". <(kubectl-satoken completion bash)",
    ),
    "zsh": (
        ["zsh", "-f"],
        "PROMPT='> '; autoload -Uz compinit; compinit -u; . <(kubectl completion zsh); "
        ". <(kubectl-satoken completion zsh)",
    ),
    "fish": (
        ["fish", "--no-config"],
        "function fish_prompt; echo '> '; end; set -g fish_autosuggestion_enabled 0; "
        "kubectl completion fish | source; kubectl-satoken completion fish | source",
    ),
}


class Shell:
    """A shell on a terminal of its own, as tmux has it."""

    def __init__(self, name: str, folder: Path, env: dict[str, str]) -> None:
        self.name = name
        self.socket = str(folder / "tmux")
        argv, setup = START[name]
        self.env = env
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40", *argv)
        self.type(setup, "Enter")
        time.sleep(1)
        self.type("echo rea''dy", "Enter")
        self.wait(lambda screen: "\nready\n" in screen)

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self.socket, *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, text: str, *keys: str) -> None:
        self.tmux("send-keys", "-l", text)
        for key in keys:
            self.tmux("send-keys", key)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, fine: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + SECONDS
        while not fine(screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
        return screen

    def line(self) -> str:
        """The command line as it is now."""
        lines = [line for line in self.screen().splitlines() if line.startswith("> ")]
        return lines[-1].removeprefix("> ").rstrip() if lines else ""

    def completed(self, text: str, expected: str) -> None:
        """Waits until TAB after a text has made it what is expected."""
        self.tmux("send-keys", "C-u", "C-l")
        self.type(text)
        self.wait(lambda _: self.line() == text)
        self.tmux("send-keys", "Tab")
        self.wait(lambda _: self.line() == expected)

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture(scope="module", params=list(START))
def shell(
    request: pytest.FixtureRequest,
    installed: Path,
    config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shell]:
    name = request.param
    for program in ("tmux", name):
        if not shutil.which(program):
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is missing")
            pytest.skip(f"{program} is missing: python -m tests.cluster deps installs it")
    folder = tmp_path_factory.mktemp(name)
    home = folder / "home"
    home.mkdir()
    (home / "snapshot-of-today.yaml").touch()
    env = {
        "HOME": str(home),
        "KUBECONFIG": str(config),
        "LANG": "C.UTF-8",
        "PATH": f"{installed.parent}:/usr/local/bin:/usr/bin:/bin",
        "TERM": "xterm-256color",
        "PWD": str(home),
    }
    here = Path.cwd()
    os.chdir(home)  # tmux starts in it
    try:
        started = Shell(name, folder, env)
    finally:
        os.chdir(here)
    yield started
    started.close()


LINES = [
    ("doc", "doctor"),
    ("help who", "help who-can"),
    ("doctor --verif", "doctor --verify"),
    ("doctor -o sar", "doctor -o sarif"),
    ("doctor --output=sar", "doctor --output=sarif"),
    ("doctor dep", "doctor deployment/"),
    ("doctor -n lonely-place deployment/li", "doctor -n lonely-place deployment/lighthouse"),
    ("doctor -n lonely-place deploy li", "doctor -n lonely-place deploy lighthouse"),
    ("mint -n lonely-place rob", "mint -n lonely-place robot-in-place"),
    ("doctor -n lonely", "doctor -n lonely-place"),
    ("doctor --context els", "doctor --context elsewhere"),
    ("explain automount-disabled-s", "explain automount-disabled-sa"),
    ("doctor --skip SAT101,automount-disabled-s", "doctor --skip SAT101,automount-disabled-sa"),
    ("doctor -f snapshot-", "doctor -f snapshot-of-today.yaml"),
]


@pytest.mark.parametrize(("text", "expected"), LINES, ids=[text for text, _ in LINES])
@pytest.mark.parametrize("program", ["kubectl satoken", "kubectl-satoken"])
def test_tab_completes(program: str, text: str, expected: str, shell: Shell) -> None:
    if (shell.name, program) == ("bash", "kubectl satoken") and "," in text:
        pytest.skip("kubectl's script for bash escapes commas before it compares (1.37)")
    shell.completed(f"{program} {text}", f"{program} {expected}")


@pytest.mark.parametrize("program", ["kubectl satoken", "kubectl-satoken"])
def test_tab_shows_what_there_is(program: str, shell: Shell) -> None:
    shell.tmux("send-keys", "C-u", "C-l")
    shell.type(f"{program} ", "Tab", "Tab")
    shell.wait(lambda screen: all(verb in screen for verb in ("doctor", "who-can", "snapshot")))
    shell.tmux("send-keys", "Escape", "C-u")
