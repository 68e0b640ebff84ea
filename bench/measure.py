"""What a program costs: wall time, processor time, instructions.

Times of one program on a shared machine differ by a third from minute to minute. So all programs
are run in turns, in a new random order each round, and what is told is the median of the ratios
within a round. Instructions do not depend on what else the machine does, and do not see the
kernel, the network or the waiting.
"""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Program(NamedTuple):
    """Something to be measured, beside the program that it is compared with."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    fine: tuple[int, ...] = (0,)  # exit statuses
    reference: str | None = None  # the name of another
    inner: tuple[str, ...] = ()  # what argv executes at once, where callgrind cannot follow it


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, user and system, of the process and of those it waited for
    rss: int  # kilobytes, the most that it had


class Figures(NamedTuple):
    wall: float  # median, seconds
    best: float  # the quickest, seconds
    cpu: float  # median, seconds
    wall_ratio: float  # median of the ratios within a round
    cpu_ratio: float
    rss: float  # median, kilobytes


class Failed(Exception):
    """A program did not do what was to be measured."""


# Fork, exec, wait4, and nothing else in between; by a Python that has loaded next to nothing, since
# a process counts as its own the memory of the one that it is forked from.
SPAWN = """
import os, sys, time
number, *argv = sys.argv[1:]
moved = [(os.POSIX_SPAWN_DUP2, int(number), one) for one in (1, 2)]
nothing = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
start = time.perf_counter()
child = os.posix_spawn(argv[0], argv, os.environ, file_actions=nothing + moved)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - start
print([status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])
"""


def cost(program: Program) -> Cost:
    """Run a program once."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", SPAWN, str(output.fileno()), *program.argv],
            env=dict(program.env),
            pass_fds=[output.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
        status, *figures = json.loads(done.stdout)
        if os.waitstatus_to_exitcode(status) not in program.fine:
            output.seek(0)
            raise Failed(f"{' '.join(program.argv)}:\n{output.read().decode(errors='replace')}")
    return Cost(*figures)


def rounds(
    programs: Mapping[str, Program],
    number: int,
    progress: Callable[[str], None],
    warm_up: int = 2,
) -> dict[str, Figures]:
    """Run all programs in turns, and tell each one's figures.

    The rounds before that, to warm up, are for the page cache, .pyc files and the server's caches.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for turn in range(-warm_up, number):
        progress(f"round {turn + 1} of {number}" if turn >= 0 else "warming up")
        for name in random.sample(sorted(programs), len(programs)):
            spent = cost(programs[name])
            if turn >= 0:
                costs[name].append(spent)
    return {
        name: figures(costs[name], costs[program.reference or name])
        for name, program in programs.items()
    }


def figures(own: list[Cost], others: list[Cost]) -> Figures:
    pairs = list(zip(own, others, strict=True))
    return Figures(
        wall=statistics.median(one.wall for one in own),
        best=min(one.wall for one in own),
        cpu=statistics.median(one.cpu for one in own),
        wall_ratio=statistics.median(one.wall / other.wall for one, other in pairs),
        cpu_ratio=statistics.median(one.cpu / other.cpu for one, other in pairs),
        rss=statistics.median(one.rss for one in own),
    )


def instructions(program: Program) -> float:
    """Millions of instructions in user space, as callgrind counts them."""
    with tempfile.NamedTemporaryFile("r") as log:
        valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
        done = subprocess.run(
            [*valgrind, f"--log-file={log.name}", *(program.inner or program.argv)],
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        counted = re.search(r"Collected : (\d+)", log.read())
    if done.returncode not in program.fine or not counted:
        raise Failed(f"callgrind of {' '.join(program.argv)}:\n{done.stdout}{done.stderr}")
    return int(counted[1]) / 1e6
