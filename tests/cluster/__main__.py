"""The starter by hand: ``python -m tests.cluster up --dir DIR``.

The answer is on stdout (``eval "$(python -m tests.cluster up --dir DIR)"`` works), everything else
on stderr.
"""

import argparse
import sys
from pathlib import Path

from tests.cluster import build, cluster, debian
from tests.cluster.errors import ClusterError


def main(argv: list[str]) -> int:
    """Do what the command line says; 0, or 1 when it failed or nothing runs."""
    options = parser().parse_args(argv)
    try:
        return int(options.run(options) or 0)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    parent = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parent.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("up", help="start a cluster, which runs on until it is taken down")
    run.add_argument("--node", action="store_true", help="with a node, for pods that run")
    run.add_argument("--issuer", action="append", metavar="URL")
    run.add_argument("--api-audiences", metavar="A,B")
    run.add_argument("--max-token-expiration", metavar="DURATION")
    run.add_argument(
        "--extend-token-expiration", action=argparse.BooleanOptionalAction, default=None
    )
    run.add_argument("--controllers", metavar="LIST", help="as kube-controller-manager takes it")
    run.add_argument("--apiserver-flag", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--controller-manager-flag", action="append", default=[], metavar="NAME=VALUE")
    run.set_defaults(run=up)

    stop = commands.add_parser("down", help="end a cluster")
    stop.set_defaults(run=down)
    show = commands.add_parser("status", help="say what runs; exit status 1 if not all of it does")
    show.set_defaults(run=status)
    # For the library alone, which starts it: see start_guard.
    guarded = commands.add_parser("guard")
    guarded.set_defaults(run=guard)
    for command in (run, stop, show, guarded):
        command.add_argument("--dir", type=Path, required=True, help="the cluster's folder")

    commands.add_parser("build", help="build the programs, if need be").set_defaults(
        run=lambda options: print(build.binaries())
    )
    commands.add_parser("deps", help="install what a node needs (Debian, root)").set_defaults(
        run=lambda options: debian.install()
    )
    return parent


def up(options: argparse.Namespace) -> None:
    """Start a cluster and print how to use it."""
    started = cluster.start(
        options.dir,
        node=options.node,
        issuer=options.issuer,
        api_audiences=options.api_audiences,
        max_token_expiration=options.max_token_expiration,
        extend_token_expiration=options.extend_token_expiration,
        controllers=options.controllers,
        apiserver_flags=pairs(options.apiserver_flag),
        controller_manager_flags=pairs(options.controller_manager_flag),
        keep=True,
    )
    print(f"export KUBECONFIG={started.kubeconfig}")


def pairs(flags: list[str]) -> dict[str, str]:
    """NAME=VALUE as a mapping."""
    return {name: value for name, _, value in (flag.partition("=") for flag in flags)}


def down(options: argparse.Namespace) -> None:
    """Stop a cluster, or what is left of it."""
    found = cluster.load(options.dir)
    if found:
        found.stop()


def status(options: argparse.Namespace) -> int:
    """Print what runs."""
    running, text = cluster.status(options.dir)
    print(text)
    return 0 if running else 1


def guard(options: argparse.Namespace) -> None:
    """Stop the cluster when the process that started it is gone."""
    sys.stdin.read()
    down(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
