"""The task pages in docs/: every command on them is run on a real cluster, and what they show of
its output is what it prints.

    $ COMMAND           in a ```console block: run by bash, its output follows
    <!-- run: ... -->   run as well, and not shown: what has to be there before

Names and times that differ from run to run are compared as words for them (`steady`).
``make pages`` writes what the commands print now into the pages.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if "```console" in path.read_text())

PART = re.compile(
    r"^<!-- run:\n(?P<setup>.*?)^-->$|^```console\n(?P<console>.*?)^```$", re.DOTALL | re.MULTILINE
)

# What is different each time, and what it is compared as.
STEADY = (
    (r"\b([a-z][a-z-]*)-[a-f0-9]{8,10}-[a-z0-9]{5}\b", r"\1-POD"),  # of a Deployment
    (r"\b([a-z][a-z-]*)-[a-f0-9]{8,10}\b", r"\1-REPLICASET"),
    (r"\b([a-z][a-z-]*-token)-[a-z0-9]{5}\b", r"\1-HANDLE"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    (r"\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z| UTC)?)?", "DATE"),
    (r"\b\d+(\.\d+)?(ms|s|m|h)\b( ?\d+s)?", "TIME"),
    (r"\bid [\w-]{43}:", "id KEY:"),
    (r"https://127\.0\.0\.1:\d+", "SERVER"),
    (r"\b\d+ (checks|seconds|minutes)\b", r"N \1"),
    (r"[ \t]{2,}", "  "),  # columns are as wide as their content
)


def steady(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, word in STEADY:
        text = re.sub(pattern, word, text)
    return text


Shell = Callable[[str], str]

PAUSE = 0.5  # seconds between commands: controllers act, and a reader is not quicker


def played(page: str, shell: Shell) -> str:
    """A page with what its commands print now, run in their order."""

    def play(part: "re.Match[str]") -> str:
        if part["setup"] is not None:
            shell(part["setup"])
            return part[0]
        shown = []
        for command in commands(part["console"]):
            time.sleep(PAUSE)
            output = shell(command)
            shown.append(f"$ {command}\n{output}")
        return "```console\n" + "\n".join(shown) + "```"

    return PART.sub(play, page)


def commands(block: str) -> list[str]:
    """The commands of a block; a line that ends with ``\\`` or ``|`` goes on in the next one."""
    found: list[str] = []
    unfinished = False
    for line in block.splitlines():
        if unfinished:
            found[-1] += f"\n{line}"
        elif line.startswith("$ "):
            found.append(line[2:])
        else:
            continue
        unfinished = line.endswith(("\\", "|"))
    return found


def shell_for(kubeconfig: Path, folder: Path) -> Shell:
    """Runs commands as somebody who reads the page would: at home, in a folder of their own."""
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "KUBECONFIG": str(folder / ".kube" / "config"),
        "COLUMNS": "80",
    }
    environ.pop("NO_COLOR", None)
    (folder / ".kube").mkdir(mode=0o700)
    (folder / ".kube" / "config").write_bytes(kubeconfig.read_bytes())
    (folder / ".kube" / "config").chmod(0o600)

    def shell(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.stdout.replace(str(folder), "~")

    return shell


def prepared(shell: Shell) -> None:
    """Gives the pages what they may expect of a cluster: namespaces, of which it has one."""
    end = time.monotonic() + 30
    for line in ("kubectl create namespace shop", "kubectl -n shop get sa default"):
        while "rror" in (said := shell(line)):
            assert time.monotonic() < end, said
            time.sleep(0.2)


def main() -> int:
    """Writes the pages anew, or those that are named."""
    from tests.cluster import start

    wanted = [Path(word).resolve() for word in sys.argv[1:]] or PAGES
    for path in wanted:
        with tempfile.TemporaryDirectory(prefix="satoken-pages-") as folder:
            cluster = start(Path(folder) / "cluster")
            try:
                (Path(folder) / "home").mkdir(mode=0o700)
                shell = shell_for(cluster.kubeconfig, Path(folder) / "home")
                prepared(shell)
                page = path.read_text()
                made = played(page, shell)
            finally:
                cluster.stop()
        if steady(made) != steady(page):
            path.write_text(made)
            print(f"wrote {shlex.quote(str(path.relative_to(ROOT)))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
