"""kubectl satoken snapshot: everything that doctor reads, in a file, without secrets."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, SatokenError, UsageError
from ..flags import add_cluster_flags, overrides

if TYPE_CHECKING:
    from ..cluster import Api
    from ..snapshot import Recorder
    from ..world import Kind

HELP = "Write what doctor reads into a file, without secrets, to look at it later"

DESCRIPTION = """\
Write everything that doctor reads as YAML, for bug reports, for support where
no cluster is at hand, and to see later what was then: in that file doctor -f
finds what doctor finds in the cluster now.

Without TYPE/NAME a whole namespace is read, or with -A all of them. Secrets are
read without their values: name, type, labels and key names. Tokens, private
keys, passwords in variables and arguments, and the values of ConfigMaps are
taken out; look through the file before you share it, all the same.
"""

EPILOG = f"""\
Examples:
  # What there is to know about a pod
  {PROG} snapshot pod/web-6d4 -n shop > shop.yaml

  # A namespace
  {PROG} snapshot -n shop > shop.yaml

  # Look at it, without the cluster
  {PROG} doctor -f shop.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of snapshot."""
    parser.add_argument(
        "targets",
        metavar="TYPE/NAME",
        nargs="*",
        help="what it is about: pod/x, deploy/x, sa/x, secret/x, several; nothing: the namespace",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="everything in all namespaces"
    )
    parser.add_argument(
        "--claims",
        action="store_true",
        help="add what the tokens in Secrets say of themselves, without their signatures; this "
        "reads the Secrets with their values",
    )
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Reads, takes out what is secret, and writes. Returns the exit status."""
    from ..cluster import connect
    from ..kubeconfig import load
    from ..live import ClusterWorld
    from ..snapshot import Recorder, read_targets, snapshot_object
    from ..targets import parse

    if args.all_namespaces and args.targets:
        raise UsageError("a resource cannot be retrieved by name across all namespaces")
    api = connect(load(overrides(args), env), env, args.verbosity)
    world = Recorder(ClusterWorld(api, env))

    def find_kind(word: str) -> "Kind":
        from ..discovery import find

        return find(api, word)

    targets = parse(args.targets, find_kind)
    namespace = "" if args.all_namespaces else api.namespace
    if targets:
        read_targets(targets, namespace, world)
    else:
        read_all(namespace, world)
    claims = claims_in(api, namespace) if args.claims else None
    write(snapshot_object(world, targets, namespace, claims), env)
    if world.unseen:
        count = len(world.unseen)
        things = "thing" if count == 1 else "things"
        env.stderr.write(f"{count} {things} could not be read; the file says which, and why\n")
    return ExitStatus.OK


def read_all(namespace: str, world: "Recorder") -> None:
    """Reads a namespace or all. Raises SatokenError where not even the pods may be listed."""
    from ..snapshot import read_namespace
    from ..world import Unseen

    try:
        read_namespace(namespace, world)
    except Unseen as unseen:
        raise SatokenError(
            f"{unseen.what} cannot be listed: {unseen.why}", f"{PROG} snapshot pod/NAME"
        ) from unseen


def claims_in(api: "Api", namespace: str) -> "list[dict[str, object]]":
    """The claims of the tokens in Secrets. Raises SatokenError."""
    from ..errors import ApiError
    from ..snapshot import claims_of

    try:
        return claims_of(api, namespace)
    except ApiError as error:
        raise SatokenError(
            f"--claims: {error.message}", "without --claims no Secret is read with its values"
        ) from error


def write(snapshot: "dict[str, object]", env: Env) -> None:
    """Writes the file, by the quick writer where PyYAML has it. Text is not folded, for grep."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    env.stdout.write(
        yaml.dump(snapshot, Dumper=dumper, sort_keys=False, width=1 << 20, allow_unicode=False)
    )
