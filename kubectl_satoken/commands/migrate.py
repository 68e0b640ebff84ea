"""kubectl satoken migrate: from legacy Secret tokens to projected tokens."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ApiError, ExitStatus, Forbidden, UsageError, visible
from ..flags import add_cluster_flags, overrides, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..cluster import Api
    from ..inventory import Inventory
    from ..kubeconfig import Target as Cluster
    from ..migration import Result
    from ..plan import Plan
    from ..world import Kind, Object, Unseen

HELP = "Move from legacy Secret tokens to projected ones: find, plan, apply, undo"

DESCRIPTION = """\
Move from legacy Secret tokens to projected tokens. Without --apply nothing is
changed: the token Secrets, all that uses them, and the steps that replace them
are printed.

With --apply the templates of the workloads get a projected token at the same
paths, their rollout is watched, the token is marked invalid, and when nobody
has tried to use it for the time of --grace, its Secret is deleted. Each step
but the last can be undone.
"""

EPILOG = f"""\
Examples:
  # The legacy tokens of the namespace, what uses them, and what would be done
  {PROG} migrate

  # Only the inventory, of the whole cluster
  {PROG} migrate -A --stage inventory

  # One workload, account or Secret; do it, up to the templates
  {PROG} migrate deploy/web --stage patch --apply

  # All of it; run again after the grace period, it goes on where it was
  {PROG} migrate sa/web --apply
  {PROG} migrate sa/web --apply --grace 720h

  # Take it back
  {PROG} migrate sa/web --undo

Exit status: 0 done, or printed; 1 something needs a person; 2 usage; 3 it
failed.
"""

FORMATS = ("wide", "json", "yaml")
PAGE = 200  # objects, so that a page of large ones stays small
FOR_SECRETS = "fieldSelector", "type=kubernetes.io/service-account-token"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of migrate."""
    from ..plan import STAGES

    parser.add_argument(
        "targets",
        metavar="TYPE/NAME",
        nargs="*",
        help="whose tokens: secret/x, sa/x, deploy/x or another workload, several; nothing: all "
        "token Secrets of the namespace",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all token Secrets of all namespaces"
    )
    parser.add_argument(
        "-l", "--selector", default="", help="label query that selects the token Secrets"
    )
    parser.add_argument(
        "--stage",
        choices=STAGES,
        default=STAGES[-1],
        metavar="STAGE",
        help=f"how far to go: {', '.join(STAGES)} (the default); each includes those before it",
    )
    parser.add_argument(
        "--grace",
        default="168h",
        metavar="DURATION",
        help="how long a token is marked invalid, without an attempt to use it, before its Secret "
        "is deleted (default 168h)",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"output format: {', '.join(FORMATS)}; yaml: a strategic merge patch for each "
        "object, for kubectl patch --patch-file or kustomize",
    )
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints the plan, or does it. Returns the exit status."""
    grace = seconds_of(args.grace, "--grace")
    if args.targets and (args.all_namespaces or args.selector):
        raise UsageError("a name cannot be given with -A or -l")
    if args.all_namespaces and args.namespace:
        raise UsageError("-A and -n exclude each other")
    from ..kubeconfig import load

    return Job(args, env, load(overrides(args), env), grace).run()


def seconds_of(text: str, flag: str) -> float:
    """The seconds of a duration. Raises UsageError."""
    from ..durations import SECOND, nanoseconds

    try:
        span = nanoseconds(text)
    except ValueError as error:
        raise UsageError(f'invalid argument "{text}" for "{flag}" flag: {error}') from error
    if span < 0:
        raise UsageError(f"{flag} must be greater than or equal to 0")
    return span / SECOND


class Job:
    """One call of migrate."""

    def __init__(
        self, args: argparse.Namespace, env: Env, cluster: "Cluster", grace: float
    ) -> None:
        from ..cluster import connect
        from ..live import ClusterWorld

        self.args = args
        self.env = env
        self.grace = grace
        self.api: Api = connect(cluster, env, args.verbosity)
        self.namespace = "" if args.all_namespaces else self.api.namespace
        self.world: ClusterWorld = ClusterWorld(self.api, env)
        self.world.flags = scope(args)
        self.since: float | None = None

    def run(self) -> int:
        """Prints the plan, or does it."""
        found = self.take()
        self.since = self.tracked()
        plan = self.plan(found)
        self.show(self.result(found, plan))
        return ExitStatus.OK

    # --- what is there

    def take(self) -> "Inventory":
        """The inventory of the Secrets that were asked for."""
        from .. import inventory
        from ..inventory import Blind

        secrets = list(self.secrets())
        kinds, failed = self.kinds() if secrets else ([], [])
        found = inventory.take(
            secrets, kinds, lambda kind: self.world.stream(kind, self.namespace, PAGE), self.world
        )
        blind = (Blind(one.what, one.why, essential=False) for one in failed)
        return found._replace(blind=(*found.blind, *blind))

    def secrets(self) -> "Iterator[Object]":
        """The token Secrets that were asked for. Raises SatokenError."""
        from ..discovery import find
        from ..targets import fetch, parse
        from ..world import KINDS, Unseen

        targets = parse(self.args.targets, lambda word: find(self.api, word))
        if targets and all(target.kind == "Secret" for target in targets):
            for target in targets:
                yield confirmed(fetch(target, self.namespace, self.world))
            return
        wanted: set[str] | None = set() if targets else None
        accounts: set[str] = set()
        for target in targets:
            item = fetch(target, self.namespace, self.world)
            if target.kind == "Secret":
                assert wanted is not None
                wanted.add(confirmed(item)["metadata"]["name"])
            elif target.kind == "ServiceAccount":
                accounts.add(target.name)
            elif wanted is not None:
                wanted |= used_by(item)
        query = [FOR_SECRETS]
        if self.args.selector:
            query.append(("labelSelector", self.args.selector))
        try:
            for page in self.world.pages(KINDS["Secret"], self.namespace, query):
                for secret in page:
                    if is_wanted(secret, wanted, accounts):
                        yield secret
        except Unseen as unseen:
            raise Forbidden(
                f"token Secrets could not be looked at: {unseen.why}", self.may_look()
            ) from unseen

    def may_look(self) -> str:
        """Who may grant the right to look."""
        return "docs/rbac/migrate.yaml has the rights that migrate needs"

    def kinds(self) -> "tuple[list[Kind], list[Unseen]]":
        """The types whose objects may use a Secret, and the parts of the API that are out."""
        from ..consumers import BUILT_IN_GROUPS, WITH_TEMPLATE, kinds_to_read
        from ..discovery import fetch, types
        from ..kinds import BUILT_IN
        from ..world import Unseen

        try:
            # anew: what was kept may lack a type that came since
            out = [one for one in fetch(self.api).failed if group(one) not in BUILT_IN_GROUPS]
            kinds = kinds_to_read(types(self.api))
            return kinds, [Unseen(one, "its API server does not answer") for one in out]
        except ApiError as error:
            kinds = kinds_to_read(one for one in BUILT_IN if one.kind.kind in WITH_TEMPLATE)
            return kinds, [Unseen("custom resources", error.message)]

    def tracked(self) -> float | None:
        """Since when the API server notes the uses of tokens; None where that is not known."""
        from ..checks.legacy_cleaner import tracked_since
        from ..world import Unseen

        try:
            return tracked_since(self.world)
        except Unseen:
            return None

    # --- what is to be done

    def plan(self, found: "Inventory") -> "Plan":
        """The steps."""
        from ..plan import Wish, make
        from ..server import version_of

        wish = Wish(self.grace, self.args.stage, version_of(self.world), self.since)
        return make(found, wish, self.env.now())

    def result(self, found: "Inventory", plan: "Plan") -> "Result":
        """What is to be said of it."""
        from ..migration import Result

        return Result(
            found,
            plan,
            self.args.stage,
            self.grace,
            self.env.now(),
            self.since,
            everywhere=self.args.all_namespaces,
        )

    def show(self, result: "Result") -> None:
        """Prints a plan."""
        from .. import migration
        from ..output import write_object, write_table

        form = self.args.output
        if form == "yaml":
            import yaml

            documents = list(migration.patches(result.plan.steps))
            if documents:
                self.env.stdout.write(yaml.safe_dump_all(documents, sort_keys=False))
            return
        if form == "json":
            write_object(migration.as_object(result), form, self.env)
            return
        if not result.found.tokens:
            where = f" in {self.namespace} namespace" if self.namespace else ""
            self.env.stderr.write(f"No legacy token Secrets found{where}.\n")
            return
        headers, lines = migration.rows(result, wide=form == "wide")
        write_table(headers, [[visible(cell) for cell in line] for line in lines], self.env)
        self.env.stdout.write(migration.write(result, wide=form == "wide"))


def group(group_version: str) -> str:
    """The API group of ``group/version``."""
    return group_version.rpartition("/")[0]


def confirmed(secret: "Object") -> "Object":
    """A Secret that holds a token. Raises UsageError for another."""
    from ..token_secrets import is_token_type

    if not is_token_type(secret):
        name, kind = secret["metadata"]["name"], secret.get("type") or "Opaque"
        raise UsageError(
            f"secret/{name} is no token Secret, but of type {kind}",
            "migrate takes Secrets of type kubernetes.io/service-account-token",
        )
    return secret


def used_by(item: "Object") -> set[str]:
    """The Secrets that a workload uses or used before it was migrated. Raises UsageError."""
    from ..consumers import uses_of
    from ..inventory import formerly_used

    found = {use.name for use in uses_of(item) if use.kind == "Secret"} | formerly_used(item)
    if not found:
        raise UsageError(
            f"{item['kind'].lower()}/{item['metadata']['name']} uses no Secret",
            "name a Secret, a service account or a workload that uses a token Secret",
        )
    return found


def is_wanted(secret: "Object", names: set[str] | None, accounts: set[str]) -> bool:
    """Whether a Secret was asked for."""
    from ..token_secrets import account_named

    if names is None:
        return True
    return secret["metadata"]["name"] in names or account_named(secret) in accounts
