"""kubectl satoken inspect: what a token says, whether it is taken, and what would end it."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, SatokenError, Unauthorized, Unreachable, UsageError
from ..flags import add_cluster_flags, overrides, repeated, scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..cluster import Api
    from ..probe import Prober
    from ..token_health import Health, Server
    from ..token_source import Given, Where
    from ..world import Object, Sealed

HELP = "Tell what a token is, whether the API server takes it, and what ends it"

DESCRIPTION = """\
Tell whose token it is, for whom, until when, whether the API server takes it,
why not, and what would end it. The token itself is never shown.

It is read from stdin, from a file, from a Secret, or looked at where it is in
a running pod, which it does not leave. It is put before the API server of your
context (by a TokenReview, or by using it where you may make none), unless
--offline is given. Without a cluster its claims are told.
"""

EPILOG = f"""\
Examples:
  # The token that a program uses
  cat token | {PROG} inspect -

  # Of a Secret; of a pod, where its container has it
  {PROG} inspect secret/ci-token
  {PROG} inspect pod/web-6d4

  # Would Vault take it?
  {PROG} inspect ./token --audience vault

  # What kubectl itself uses, without a cluster
  kubectl config view --minify --raw | {PROG} inspect - --offline

Exit status: 0 it is taken, or good for whom it is meant; 1 it is not; 2 usage;
3 that could not be told.
"""

# for the manual page: in this command 1 is no finding
EXIT_STATUS = (
    ("0", "The API server takes the token, or it is good for whom it is meant."),
    ("1", "It is not taken: refused, expired, broken."),
    ("2", "The command line is wrong."),
    ("3", "It could not be told, or what was read is no token."),
    ("130", "Interrupted."),
)

FORMATS = ("wide", "json", "yaml")

STATUS = {
    "taken": ExitStatus.OK,
    "healthy": ExitStatus.OK,
    "refused": ExitStatus.FINDINGS,
    "unknown": ExitStatus.FAILED,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of inspect."""
    parser.add_argument(
        "words",
        metavar="- | FILE | secret/NAME | pod/NAME",
        nargs="*",
        help="where the token is; - is stdin",
    )
    parser.add_argument(
        "--audience",
        dest="audiences",
        action="append",
        default=[],
        help="who is to take it, can be repeated: one of them; the API server if unset",
    )
    parser.add_argument(
        "-c", "--container", default="", help="with pod/NAME: the container; the first with a token"
    )
    parser.add_argument(
        "--probe-image",
        metavar="IMAGE",
        default="",
        help="with pod/NAME: where there is no shell, look from a container of this image (busybox "
        "will do), which stays in the pod",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="put it before the API server even where that leaves a mark: a token of a Secret that "
        "was not used today has that date as last-used then",
    )
    parser.add_argument(
        "--offline", action="store_true", help="ask no cluster: tell what the token says of itself"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"output format: {', '.join(FORMATS)}; wide has all claims",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the output (default: auto; NO_COLOR is heeded)",
    )
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Looks at a token and tells what there is to know. Returns the exit status."""
    from ..token_source import parse

    where = parse(args.words)
    check_usage(args, where)
    given, health = offline(args, env, where) if args.offline else online(args, env, where)
    if args.output in ("json", "yaml"):
        from ..output import write_object
        from ..token_report import inspection_object

        write_object(inspection_object(given, health), args.output, env)
    else:
        from ..token_report import write

        write(given, health, env, colour=env.colour(args.color), wide=args.output == "wide")
    return STATUS[health.verdict]


def check_usage(args: argparse.Namespace, where: "Where") -> None:
    """Raises UsageError for flags that mean nothing here."""
    if "" in args.audiences:
        raise UsageError("--audience must not be an empty string")
    if where.kind != "Pod" and (args.container or args.probe_image):
        raise UsageError("--container and --probe-image are for pod/NAME")
    if args.offline and args.verify:
        raise UsageError("--offline and --verify cannot be used together")
    if args.offline and where.kind in ("Pod", "Secret"):
        raise UsageError(f"--offline asks no cluster, where {where} is")
    if where.kind == "Pod":
        repeated(args)  # raises for what kubectl exec cannot be given


def offline(
    args: argparse.Namespace, env: Env, where: "Where", why: str = "--offline was given"
) -> "tuple[Given, Health]":
    """What a token says of itself."""
    from ..token_health import examine
    from ..token_source import read

    given = read(where, env)
    return given, examine(given, None, None, env.now(), tuple(args.audiences), why)


def online(args: argparse.Namespace, env: Env, where: "Where") -> "tuple[Given, Health]":
    """What a token says, and the cluster of it; only the former where no cluster can be reached."""
    from ..cluster import connect
    from ..kubeconfig import load
    from ..live import ClusterWorld
    from ..token_health import examine
    from ..token_source import read

    in_cluster = where.kind in ("Secret", "Pod")
    wanted = tuple(args.audiences)
    given = None if in_cluster else read(where, env)  # before anything else can fail
    server = None
    try:
        api = connect(load(overrides(args), env), env, args.verbosity)
        world = ClusterWorld(api, env)
        world.flags = scope(args)
        if given is None:
            probing = prober(args, env) if where.kind == "Pod" else None
            given = read(where, env, api, world, probing, args.container)
        server = server_of(api, given, verify=args.verify)
        return given, examine(given, world, server, env.now(), wanted)
    except Unreachable as error:
        if given is None:
            raise
        return given, examine(given, None, None, env.now(), wanted, error.message)
    except Unauthorized as error:
        # whoever asks is refused, but the token may still speak for itself
        if given is None or in_cluster:
            raise
        why = f"your own credentials are refused ({error.message})"
        return given, examine(given, None, server, env.now(), wanted, why)


def server_of(api: "Api", given: "Given", *, verify: bool) -> "Server | None":
    """What the API server can be asked of a token; None for one that stays in its pod."""
    from ..review import by_using_it, review
    from ..token_health import Server
    from ..token_source import from_secret

    token = given.token
    if token is None:
        return None

    def ask(audiences: "Sequence[str]") -> "Object":
        try:
            return review(api, token, audiences)
        except Unauthorized:
            if audiences:
                raise
            return by_using_it(api, token)

    def stored(namespace: str, name: str) -> "Sealed | None":
        if given.object is not None and given.object["kind"] == "Secret" and not given.notes:
            return token
        try:
            return from_secret(api, name, namespace).token
        except SatokenError:  # it may not be read, or holds something else
            return None

    return Server(ask, stored, verify)


def prober(args: argparse.Namespace, env: Env) -> "Prober":
    """How to look into a pod."""
    from ..probe import Prober

    return Prober("kubectl", repeated(args), args.probe_image, env)
