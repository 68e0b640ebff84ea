"""kubectl satoken explain: the page of a check."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from ..checks import Check

HELP = "Show the page of a check"

DESCRIPTION = """\
Show what a check looks for, why it matters and how to mend it.

CODE is the code or the name of a check, as doctor prints them.
"""

EPILOG = f"""\
Examples:
  # What does SAT102 mean?
  {PROG} explain SAT102

  # The same by name
  {PROG} explain automount-disabled-sa

  # All pages
  {PROG} explain --all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of explain."""
    parser.add_argument("codes", metavar="CODE", nargs="*", help="code or name of a check")
    parser.add_argument("--all", action="store_true", help="all pages, as docs/checks.md has them")


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints the pages asked for; without any, the list of checks."""
    from ..checks import all_checks, find_check

    if args.all and args.codes:
        raise UsageError("--all and CODE exclude each other")
    if args.all:
        env.stdout.write(reference())
        return ExitStatus.OK
    if not args.codes:
        from ..output import write_table

        rows = [(one.code, one.severity, one.on, one.name) for one in all_checks()]
        write_table(("CODE", "SEVERITY", "LOOKS AT", "NAME"), rows, env)
        return ExitStatus.OK
    pages = []
    for code in args.codes:
        found = find_check(code)
        if found is None:
            raise UsageError(f'no check "{code}"', f"'{PROG} explain' lists them")
        pages.append(page(found))
    env.stdout.write("\n".join(pages))
    return ExitStatus.OK


def page(one: "Check") -> str:
    """The page of a check as Markdown."""
    title, _, body = one.page.partition("\n")
    severity = one.severity
    if one.deliberate:
        severity += ", a hint in a sweep, since it may be meant so"
    return (
        f"## {one.code} {one.name}\n\n{title}\n\n"
        f"Looks at: {one.on}. Severity: {severity}.\n\n{body.strip()}\n"
    )


def reference() -> str:
    """All pages: the text of docs/checks.md."""
    from ..checks import all_checks

    head = (
        "# Checks\n\n"
        "What `kubectl satoken doctor` looks for. Codes never change their meaning.\n"
        f"This page is the output of `{PROG} explain --all`.\n"
    )
    return "\n".join([head, *(page(one) for one in all_checks())])
