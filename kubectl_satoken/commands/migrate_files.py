"""kubectl satoken migrate -f: manifests rewritten, and no cluster changed."""

import argparse
from typing import TYPE_CHECKING

from ..env import Env
from ..errors import ExitStatus, SatokenError, UsageError, visible
from ..flags import overrides

if TYPE_CHECKING:
    from ..convert import TokenSecret
    from ..world import Object

    Secrets = dict[tuple[str, str], TokenSecret]
    Accounts = dict[tuple[str, str], Object]

NOT_WITH_FILES = ("targets", "undo", "audit_log", "journal", "yes", "copies")


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints what would become of manifests, or writes it. Returns the exit status."""
    for name in NOT_WITH_FILES:
        if getattr(args, name):
            flag = "TYPE/NAME" if name == "targets" else f"--{name.replace('_', '-')}"
            raise UsageError(f"-f is about all that is in the files, and goes without {flag}")
    if args.output not in (None, "json"):
        raise UsageError(f"-f knows the output format json, not {args.output}")
    if args.apply and args.output and "-" in args.files:
        raise UsageError("-f - prints the manifests with --apply, and nothing else")
    from .. import rewrite
    from ..output import write_object
    from ..plan import INVENTORY, PATCHING

    namespace, secrets, accounts = known(args, env)
    result = rewrite.rewrite(
        args.files,
        env,
        namespace=namespace,
        secrets=secrets,
        accounts=accounts,
        recursive=args.recursive,
        unlist=args.stage not in (INVENTORY, PATCHING),
    )
    if args.apply:
        rewrite.write(result, env)
    if args.output == "json":
        write_object(rewrite.as_object(result), "json", env)
    else:
        rewrite.show(result, env, written=args.apply)
    needs_person = any(not one.later for one in result.left)
    return ExitStatus.FINDINGS if args.apply and needs_person else ExitStatus.OK


def known(args: argparse.Namespace, env: Env) -> "tuple[str, Secrets, Accounts]":
    """The namespace of what does not say its own; the token Secrets and accounts of the cluster.

    A Secret that Kubernetes has made itself is in nobody's manifests. Where the cluster cannot be
    asked, that is said, and the files are all there is.
    """
    from ..cluster import connect
    from ..inventory import token_of
    from ..kubeconfig import load
    from ..live import ClusterWorld
    from ..world import KINDS, Unseen

    namespace = args.namespace or "default"
    secrets: Secrets = {}
    accounts: Accounts = {}
    try:
        api = connect(load(overrides(args), env), env, args.verbosity)
        namespace = args.namespace or api.namespace
        world = ClusterWorld(api, env)
        where = "" if args.all_namespaces else namespace
        query = [("fieldSelector", "type=kubernetes.io/service-account-token")]
        if args.selector:
            query.append(("labelSelector", args.selector))
        for page in world.pages(KINDS["Secret"], where, query):
            for secret in page:
                token = token_of(secret)
                if not token.untouchable:
                    secrets[token.ref.namespace, token.ref.name] = token.secret
        for account in world.list("ServiceAccount", where):
            metadata = account["metadata"]
            accounts[metadata["namespace"], metadata["name"]] = account
    except (SatokenError, Unseen) as error:
        why = error.message if isinstance(error, SatokenError) else str(error)
        env.stderr.write(
            visible(f"only what the files say is known; the cluster could not be asked: {why}")
            + "\n"
        )
    return namespace, secrets, accounts
