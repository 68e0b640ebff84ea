"""kubectl satoken doctor: why has this pod no working token?"""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, ManifestError, UsageError
from ..flags import add_cluster_flags, overrides, scope

if TYPE_CHECKING:
    from ..diagnosis import Report
    from ..world import Kind

HELP = "Tell why a pod has no working token, and what mends it"

DESCRIPTION = """\
Tell why a pod, workload, service account or Secret has no working service
account token: the verdict, the chain that leads to it, and a fix to copy.

doctor only reads. It makes no token and runs nothing in a pod.
"""

EPILOG = f"""\
Examples:
  # Why does this pod have no working token?
  {PROG} doctor pod/web-6d4 -n shop

  # A deployment: its template, its pods, and why none could be made
  {PROG} doctor deploy/web

  # Everything in these files, without a cluster
  {PROG} doctor -f manifests/ -R

  # For a script: 1 when there is an error, 3 when something could not be seen
  {PROG} doctor pod/web-6d4 -o json --fail-on=error --strict
"""

FAIL_ON = {
    "error": ("error",),
    "warning": ("error", "warning"),
    "hint": ("error", "warning", "hint"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of doctor."""
    parser.add_argument(
        "targets",
        metavar="TYPE/NAME",
        nargs="*",
        help="what to look at: pod/x, pod x, deploy/x, sa/x, secret/x, several",
    )
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        action="append",
        default=[],
        help="manifests or a snapshot to look at instead of a cluster: file, folder, - for stdin",
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="look into the folders below as well"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("wide", "json", "yaml"),
        help="output format; wide shows every finding in full",
    )
    parser.add_argument(
        "--fail-on",
        choices=tuple(FAIL_ON),
        default="warning",
        help="exit with 1 from this severity on (default: warning)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 3 when something could not be seen"
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the output (default: auto; NO_COLOR is heeded)",
    )
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Diagnoses the targets and prints the report. Returns the exit status."""
    from ..diagnosis import diagnose, diagnose_objects
    from ..targets import parse, unknown_kind

    if args.files:
        from ..manifests import read

        namespace = args.namespace or "default"
        targets = parse(args.targets, unknown_kind)
        files = read(args.files, namespace, env, recursive=args.recursive)
        if targets:
            report = diagnose(targets, namespace, files)
        else:
            report = diagnose_objects(files.objects(), files)
            if not report.targets:
                raise ManifestError(
                    f"nothing to look at in {', '.join(args.files)}: "
                    "no pod, nothing with a pod template, no token Secret"
                )
    else:
        if args.recursive:
            raise UsageError("-R needs -f")
        if not args.targets:
            raise UsageError(
                "nothing to look at: name a target, or files with -f",
                f"{PROG} doctor pod/NAME",
            )
        from ..cluster import connect
        from ..kubeconfig import load
        from ..live import ClusterWorld

        api = connect(load(overrides(args), env), env, args.verbosity)
        world = ClusterWorld(api, env)
        world.flags = scope(args)

        def find_kind(word: str) -> "Kind":
            from ..discovery import find

            return find(api, word)

        targets = parse(args.targets, find_kind)
        report = diagnose(targets, api.namespace, world)
    return finish(report, args, env)


def finish(report: "Report", args: argparse.Namespace, env: Env) -> int:
    """Prints the report and tells the exit status."""
    from ..output import report_object, write_object, write_report

    if args.output in ("json", "yaml"):
        write_object(report_object(report), args.output, env)
    else:
        write_report(report, env, colour=env.colour(args.color), wide=args.output == "wide")
    if any(cause.finding.severity in FAIL_ON[args.fail_on] for cause in report.causes):
        return ExitStatus.FINDINGS
    if args.strict and report.skipped:
        return ExitStatus.FAILED
    return ExitStatus.OK
