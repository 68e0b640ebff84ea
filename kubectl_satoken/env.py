"""The process around a command: streams, clock, terminal, environment.

Everything that a test wants to set is an attribute here, so that no test patches a module.
"""

import os
import stat
import sys
import time
from collections.abc import Mapping
from typing import TextIO


class Env:
    """What a command may use of the process it runs in."""

    def __init__(
        self,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        now: float | None = None,
    ) -> None:
        self.stdin = stdin if stdin is not None else sys.stdin
        self.stdout = stdout if stdout is not None else sys.stdout
        self.stderr = stderr if stderr is not None else sys.stderr
        self.environ = environ if environ is not None else os.environ
        self.fixed_now = now

    def now(self) -> float:
        """The time in seconds since the epoch."""
        return time.time() if self.fixed_now is None else self.fixed_now

    def piped(self) -> bool:
        """Whether stdin is a pipe or a file, and so may hold what a command is to read."""
        try:
            mode = os.fstat(self.stdin.fileno()).st_mode
        except (OSError, ValueError):  # it is closed, or a test's
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)

    def colour(self, when: str = "auto") -> bool:
        """Whether to colour stdout: ``always``, ``never``, or ``auto`` (a terminal, no NO_COLOR).

        NO_COLOR counts when it is set and not empty (no-color.org).
        """
        if when != "auto":
            return when == "always"
        return (
            not self.environ.get("NO_COLOR")
            and self.environ.get("TERM") != "dumb"
            and self.stdout.isatty()
        )
