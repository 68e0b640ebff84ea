"""The processes of a cluster: started in sessions of their own, ended by their id.

An id alone may belong to somebody else by the time it is used, in another process or after a
reboot, so it is kept together with the time its process began.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

# Our own children, which have to be reaped, and whose exit status is known.
children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Process:
    """One process of a cluster."""

    name: str  # kube-apiserver
    pid: int
    started: int  # in clock ticks since the machine started


def spawn(name: str, command: Sequence[str], log: Path) -> Process:
    """Start a component; what it prints goes to its log.

    A session of its own keeps Ctrl-C in a terminal from ending it before its clients.
    """
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    children[child.pid] = child
    return Process(name, child.pid, start_time(child.pid) or 0)


def named(name: str, pid: int) -> Process:
    """A process that somebody else started."""
    return Process(name, pid, start_time(pid) or 0)


def start_time(pid: int) -> int | None:
    """When a process began; None when there is none, or only its zombie."""
    try:
        # The second field is the program's name in parentheses, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(process: Process) -> bool:
    """Whether this very process still runs."""
    child = children.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    return start_time(process.pid) == process.started


def check(processes: Iterable[Process], logs: Path) -> None:
    """Raise when one of them has ended, with what it said last."""
    for process in processes:
        if not alive(process):
            child = children.get(process.pid)
            status = "" if child is None else f" with status {child.returncode}"
            raise ClusterError(
                f"{process.name} ended{status}; the end of {logs / process.name}.log:\n"
                + last_lines(logs / f"{process.name}.log")
            )


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, indented."""
    if not log.exists():
        return "  (no log)"
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"  {line}" for line in lines) or "  (empty)"


def end(processes: Sequence[Process], grace: float) -> None:
    """End processes: ask all of them, and kill those that are still there after the grace."""
    for process in processes:
        send(process, signal.SIGTERM)
    wait(processes, grace)
    for process in processes:
        send(process, signal.SIGKILL)
    wait(processes, 5)
    left = [f"{process.name} ({process.pid})" for process in processes if alive(process)]
    if left:
        raise ClusterError(f"still there after SIGKILL: {', '.join(left)}")


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, to this process and to no other."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def wait(processes: Sequence[Process], seconds: float) -> None:
    """Wait until all have ended, or the time is over."""
    limit = time.monotonic() + seconds
    while any(alive(process) for process in processes) and time.monotonic() < limit:
        time.sleep(0.02)
