"""A command loads what it needs and no more: starting is most of what a short command does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SHOP = str(ROOT / "examples" / "shop.yaml")

# Runs the program as the console script does and tells which modules are there at its end.
DRIVER = """
import sys
sys.argv[0] = "kubectl-satoken"
from kubectl_satoken import __main__ as program
leave = program.leave
def tell(status):
    print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
    leave(status)
program.leave = tell
program.main()
"""

CLIENT = {"kubernetes", "pydantic", "requests", "urllib3", "ssl", "socket", "http.client"}
# Each costs milliseconds, and something small does what we need of it.
HEAVY = {"importlib.metadata", "dataclasses", "inspect", "shutil", "tempfile", "logging", "asyncio"}

CASES = {
    "--version": (["--version"], {"argparse", "json", "re", "yaml", *CLIENT, *HEAVY}),
    "version": (["version"], {"argparse", "json", "re", "yaml", *CLIENT, *HEAVY}),
    "--help": (["--help"], {"yaml", "tabulate", *CLIENT, *HEAVY}),
    "doctor --help": (["doctor", "--help"], {"yaml", "tabulate", *CLIENT, *HEAVY}),
    # tabulate, and the reading of docstrings, bring some of the heavy ones
    "explain": (["explain"], {"yaml", *CLIENT} - {"socket"}),
    "explain SAT102": (["explain", "SAT102"], {"yaml", *CLIENT}),
    "a usage error": (["doctor", "--nonsense"], {"yaml", "tabulate", *CLIENT, *HEAVY}),
    "doctor -f": (["doctor", "-f", SHOP, "pod/api-0", "-n", "shop"], CLIENT | HEAVY - {"inspect"}),
    "doctor -f -o json": (["doctor", "-f", SHOP, "deploy/web", "-n", "shop", "-ojson"], CLIENT),
}


def loaded(argv: list[str]) -> set[str]:
    """The modules that a command has loaded when it is done."""
    done = subprocess.run(
        # -I, -S would hide the package; -E keeps the caller's settings out
        [sys.executable, "-E", "-c", DRIVER, *argv],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(done.stderr.split("\n"))


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What Python itself, and what sets up this environment, load for nothing."""
    done = subprocess.run(
        [sys.executable, "-E", "-c", "import sys; print(*sys.modules, sep='\\n')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize("case", CASES)
def test_commands_do_not_load_what_they_do_not_need(case: str, bare: set[str]) -> None:
    argv, unwanted = CASES[case]
    modules = loaded(argv)
    assert "kubectl_satoken" in modules
    assert modules & unwanted - bare == set()


def test_help_loads_no_check() -> None:
    modules = loaded(["doctor", "--help"])
    assert not [name for name in modules if name.startswith("kubectl_satoken.checks")]


def test_the_driver_would_notice() -> None:
    assert "yaml" in loaded(["doctor", "-f", SHOP, "pod/api-0", "-n", "shop"])


def test_the_console_script_starts_as_the_driver_does(installed: Path) -> None:
    text = installed.read_text()
    assert "from kubectl_satoken.__main__ import main" in text
