"""Starts the program, as fast as Python can: nothing is imported here that is not needed."""

import gc
import sys


def main() -> int:
    """The console script. Returns the exit status."""
    # A command lives for a fraction of a second: collecting cycles costs more than they hold.
    gc.disable()
    lazy = getattr(sys, "set_lazy_imports", None)
    if lazy is not None:  # Python 3.15 and later (PEP 810)
        lazy("all")
    if sys.argv[1:] in (["--version"], ["version"]):
        from . import __version__

        sys.stdout.write(f"kubectl-satoken {__version__}\n")
        return 0
    # names may hold what the terminal cannot show
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from .cli import run
    from .env import Env

    status = int(run(sys.argv[1:], Env()))
    # without this the interpreter walks all objects once more while it shuts down
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(main())
