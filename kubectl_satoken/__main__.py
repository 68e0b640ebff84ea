"""Starts the program, as fast as Python can: nothing is imported here that is not needed."""

import gc
import os
import sys

TYPE_CHECKING = False  # as in typing, which would be a tenth of --version
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """The console script. Leaves the process with the exit status."""
    # A command lives for a fraction of a second: collecting cycles costs more than they hold.
    gc.disable()
    lazy = getattr(sys, "set_lazy_imports", None)
    if lazy is not None:  # Python 3.15 and later (PEP 810)
        lazy("all")
    if sys.stdout is None:  # closed by whoever started us, as with >&-
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.argv[1:] in (["--version"], ["version"]):
        from . import __version__

        sys.stdout.write(f"kubectl-satoken {__version__}\n")
        leave(0)
    # names may hold what the terminal cannot show
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from .cli import run
    from .env import Env

    leave(run(sys.argv[1:], Env()))


def complete() -> "NoReturn":
    """The console script kubectl_complete-satoken, which kubectl runs when TAB is pressed."""
    sys.argv.insert(1, "__complete")
    main()


def leave(status: int) -> "NoReturn":
    """Ends the process without taking the interpreter down piece by piece, a tenth of a call.

    Nothing here waits for that: connections die with the process, no file is left open for
    writing, and what was printed is flushed.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # whoever read it is gone, or it was closed before we began
            status = status or 1
    os._exit(status)


if __name__ == "__main__":
    main()
