"""kubectl satoken doctor: why has this pod no working token?"""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import (
    ExitStatus,
    Forbidden,
    ManifestError,
    NotFound,
    UsageError,
    redact,
    visible,
)
from ..flags import (
    add_cluster_flags,
    add_color_flag,
    add_file_flags,
    add_output_flag,
    overrides,
    repeated,
    scope,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..checks import Skipped
    from ..cluster import Api
    from ..diagnosis import Look, Report
    from ..manifests import ManifestWorld
    from ..suppress import Baseline
    from ..targets import Target
    from ..world import Kind, Object, World

Places = tuple["Sequence[tuple[str, str | None]]", str]

HELP = "Tell why a pod has no working token, and what mends it"

DESCRIPTION = """\
Tell why a pod, workload, service account or Secret has no working service
account token: the verdict, the chain that leads to it, and a fix to copy.

Without --verify or --probe doctor only reads: it makes no token and runs
nothing in a pod.
"""

EPILOG = f"""\
Examples:
  # Why does this pod have no working token?
  {PROG} doctor pod/web-6d4 -n shop

  # A deployment: its template, its pods, and why none could be made
  {PROG} doctor deploy/web

  # Everything in the namespace, or in the cluster: each cause is told once
  {PROG} doctor -n shop
  {PROG} doctor -A

  # Everything in these files, without a cluster
  {PROG} doctor -f manifests/ -R

  # Run the fixes after reading them
  {PROG} doctor deploy/web -o fix
  {PROG} doctor deploy/web -o fix | sh

  # What is new since the last time
  {PROG} doctor -f manifests/ -o json > known.json
  {PROG} doctor -f manifests/ --baseline known.json

  # For a script: 1 when there is an error, 3 when something could not be seen
  {PROG} doctor pod/web-6d4 -o json --fail-on=error --strict
"""

INTERRUPTED = "interrupted"

FORMATS = (
    "wide",
    "json",
    "yaml",
    "name",
    "fix",
    "fix-yaml",
    "sarif",
    "junit",
    "markdown",
)

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
        help="what to look at: pod/x, pod x, deploy/x, sa/x, secret/x, several; TYPE: all of "
        "that type; nothing: all pods, service accounts and token Secrets of the namespace",
    )
    parser.add_argument(
        "-A",
        "--all-namespaces",
        action="store_true",
        help="look at everything in all namespaces",
    )
    parser.add_argument(
        "-l",
        "--selector",
        default="",
        help="label query that selects the pods, or what TYPE says, to look at: -l app=web",
    )
    add_file_flags(parser, "manifests or a snapshot to look at instead of a cluster")
    add_output_flag(
        parser,
        FORMATS,
        "; wide shows every finding in full, name "
        "what has findings, fix the fixes as a script for sh, fix-yaml those of them that are "
        "manifests, for kubectl apply",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CHECK",
        help="run these checks only, by code or name: SAT101,automount-disabled-sa",
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="CHECK",
        help="leave these checks out",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="ignore the findings of this report, which -o json wrote before",
    )
    parser.add_argument(
        "--fail-on",
        choices=tuple(FAIL_ON),
        default="warning",
        help="exit with 1 from this severity on (default: warning); -o name, fix and fix-yaml "
        "leave out what is less",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="ask the API server for the tokens that the pods get, and whether it takes them; "
        "stores and runs nothing",
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="look into the containers by kubectl exec, and make a request from there; where "
        "there is no shell an ephemeral container does it, which stays in the pod",
    )
    parser.add_argument(
        "--probe-image",
        metavar="IMAGE",
        default="busybox",
        help="the image of that container (default: busybox)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 3 when something could not be seen"
    )
    add_color_flag(parser)
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Diagnoses the targets and prints the report. Returns the exit status."""
    wanted = chosen(args)
    baseline = known_before(args, env)
    places: Places = ((), "")
    if args.files:
        report, places = from_files(args, env, wanted)
    else:
        report = from_cluster(args, env, wanted)
    return ended(report, finish(report, args, env, baseline, places), env)


def from_files(
    args: argparse.Namespace, env: Env, wanted: frozenset[str] | None
) -> "tuple[Report, Places]":
    """Diagnoses what files say: targets in them, those of a snapshot, or everything."""
    if args.verify or args.probe:
        raise UsageError("--verify and --probe need a cluster, not files")
    if args.all_namespaces or args.selector:
        raise UsageError("-A and -l need a cluster, not files")
    from ..diagnosis import diagnose, diagnose_objects
    from ..manifests import read
    from ..targets import parse, unknown_kind

    namespace = args.namespace or "default"
    targets = parse(args.targets, unknown_kind)
    files = read(args.files, namespace, env, recursive=args.recursive)
    if not targets and files.targets:
        # a snapshot of a target is about that, whatever else had to be read for it
        namespace, targets = asked_in(files)
    scope = files.swept()
    if targets:
        try:
            report = diagnose(targets, namespace, files, wanted=wanted)
        except (Forbidden, NotFound) as error:
            error.hint = error.hint or elsewhere(targets, namespace, files)
            raise
    elif scope is not None:
        # what is told of a cluster is told of its snapshot
        from ..sweep import everything, sweep

        files.namespace = scope or args.namespace or ""
        report = sweep(everything(files), files, wanted=wanted)
    else:
        report = diagnose_objects(files.objects(), files, wanted=wanted)
        if not report.targets:
            raise ManifestError(
                f"nothing to look at in {', '.join(args.files)}: "
                "no pod, nothing with a pod template, no token Secret"
            )
    report = report._replace(source="snapshot" if files.snapshot else "manifests")
    return report, (files.files, namespace)


def elsewhere(targets: "Sequence[Target]", namespace: str, files: "ManifestWorld") -> str:
    """A hint for targets that are not in a namespace, but in others of the files."""
    names = {(target.kind, target.name) for target in targets}
    found = {
        item["metadata"]["namespace"]
        for item in files.objects()
        if (item["kind"], item["metadata"]["name"]) in names
        and item["metadata"].get("namespace", namespace) != namespace
    }
    return (
        f"not in namespace {namespace}, but with -n {' or '.join(sorted(found))}" if found else ""
    )


def from_cluster(args: argparse.Namespace, env: Env, wanted: frozenset[str] | None) -> "Report":
    """Diagnoses targets in the cluster, or sweeps through it."""
    if args.recursive:
        raise UsageError("-R needs -f")
    from ..cluster import connect
    from ..diagnosis import diagnose
    from ..kubeconfig import load
    from ..live import ClusterWorld
    from ..targets import parse, types

    api = connect(load(overrides(args), env), env, args.verbosity)

    def find_kind(word: str) -> "Kind":
        from ..discovery import find

        return find(api, word)

    kinds = types(args.targets, find_kind)
    if kinds is not None:
        return swept(args, kinds, api, env, wanted)
    named_in_sweep(args)
    world = ClusterWorld(api, env)
    world.flags = scope(args)
    targets = parse(args.targets, find_kind)
    look = looker(args, api, world, env)
    return diagnose(targets, api.namespace, world, look, wanted=wanted)


def asked_in(files: "ManifestWorld") -> "tuple[str, list[Target]]":
    """What a snapshot was made of: namespace and targets."""
    from ..targets import Target
    from ..world import KINDS

    targets = []
    for one in files.targets:
        known = KINDS.get(one["kind"])
        version = one.get("apiVersion") or (known.api_version if known else "")
        targets.append(Target(one["kind"], one["name"], version, known.plural if known else ""))
    return files.targets[0].get("namespace") or "default", targets


def known_before(args: argparse.Namespace, env: Env) -> "Baseline | None":
    """What --baseline names; None without it. Raises ManifestError."""
    if args.baseline is None:
        return None
    from ..suppress import read_baseline

    return read_baseline(args.baseline, env)


def chosen(args: argparse.Namespace) -> frozenset[str] | None:
    """The codes of the checks to run; None for all. Raises UsageError."""
    if not args.only and not args.skip:
        return None
    from ..suppress import select

    return select(args.only, args.skip)


def named_in_sweep(args: argparse.Namespace) -> None:
    """Raises UsageError, in kubectl's words, when a name is given with what means all."""
    if args.all_namespaces:
        raise UsageError("a resource cannot be retrieved by name across all namespaces")
    if args.selector:
        raise UsageError("name cannot be provided when a selector is specified")


def swept(
    args: argparse.Namespace,
    kinds: "list[Kind]",
    api: "Api",
    env: Env,
    wanted: frozenset[str] | None,
) -> "Report":
    """Looks at everything, or all of some types."""
    if args.verify or args.probe:
        raise UsageError(
            "--verify and --probe need a target",
            f"{PROG} doctor --verify pod/NAME",
        )
    from ..progress import Progress
    from ..sweep import everything, of_kinds, sweep
    from ..sweep_world import SweepWorld

    world = SweepWorld(api, env, "" if args.all_namespaces else api.namespace)
    world.flags = scope(args)
    items = of_kinds(kinds, world, args.selector) if kinds else everything(world, args.selector)
    with Progress(env) as progress:
        api.erase = progress.erase
        return sweep(items, world, progress.tell, wanted=wanted)


def ended(report: "Report", status: int, env: Env) -> int:
    """The exit status of a sweep, which may have ended before its end."""
    broken = report.swept.broken if report.swept else ""
    if not broken:
        return status
    if broken == INTERRUPTED:
        env.stderr.write("interrupted: this is what was found until then\n")
        return ExitStatus.INTERRUPTED
    why = visible(redact(broken))
    env.stderr.write(f"error: {why}\nhint: the report ends where this happened\n")
    return ExitStatus.FAILED


def looker(args: argparse.Namespace, api: "Api", world: "World", env: Env) -> "Look | None":
    """What --verify and --probe add to a diagnosis; None without them."""
    if not args.verify and not args.probe:
        return None

    def look(pod: "Object", skipped: "list[Skipped]") -> "Iterator[Object]":
        if args.verify:
            from ..verify import verify

            yield from verify(pod, world, api, skipped)
        if args.probe:
            from ..probe import Prober, probe

            flags = repeated(args)
            yield from probe(pod, world, Prober("kubectl", flags, args.probe_image, env), skipped)

    if args.probe:
        repeated(args)  # raises before anything is read
    return look


def finish(
    report: "Report",
    args: argparse.Namespace,
    env: Env,
    baseline: "Baseline | None",
    places: Places,
) -> int:
    """Prints the report and tells the exit status.

    ``places`` are the files that were read, and the namespace of what names none.
    """
    from ..suppress import settle, tell_gone

    report = settle(report, baseline)
    write(report, args, env, places)
    if baseline is not None:
        tell_gone(report, baseline, env)
    if report.failed:
        from ..cli import fail

        for error in report.failed:
            fail(error, env)
        return ExitStatus.FAILED
    if any(cause.finding.severity in FAIL_ON[args.fail_on] for cause in report.causes):
        return ExitStatus.FINDINGS
    if args.strict and report.skipped:
        return ExitStatus.FAILED
    return ExitStatus.OK


def write(report: "Report", args: argparse.Namespace, env: Env, places: "Places") -> None:
    """Prints the report in the format that was asked for."""
    form = args.output
    if form in (None, "wide"):
        from ..output import write_report

        write_report(report, env, colour=env.colour(args.color), wide=form == "wide")
    elif form in ("json", "yaml"):
        from ..output import report_object, write_object

        write_object(report_object(report), form, env)
    elif form == "name":
        from ..output import write_names

        write_names(report, FAIL_ON[args.fail_on], env)
    elif form == "fix":
        from ..fixscript import script

        env.stdout.write(script(report, FAIL_ON[args.fail_on]))
    elif form == "fix-yaml":
        from ..fixscript import remark, stream

        text, others = stream(report, FAIL_ON[args.fail_on])
        env.stdout.write(text)
        if others:
            env.stderr.write(remark(others))
    elif form == "sarif":
        from ..output import write_object
        from ..positions import Positions
        from ..sarif import log

        write_object(log(report, Positions(*places)), "json", env)
    elif form == "junit":
        from .. import junit

        env.stdout.write(junit.document(report))
    else:
        from .. import markdown

        env.stdout.write(markdown.document(report))
