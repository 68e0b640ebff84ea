"""kubectl satoken migrate: from legacy Secret tokens to projected tokens."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import (
    ApiError,
    ExitStatus,
    Forbidden,
    Invalid,
    SatokenError,
    UsageError,
    visible,
)
from ..flags import add_cluster_flags, add_file_flags, add_output_flag, overrides, scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..apply import Event, Site
    from ..audit_log import Usage
    from ..cluster import Api
    from ..inventory import Inventory
    from ..journal import Journal
    from ..kubeconfig import Target as Cluster
    from ..live import ClusterWorld
    from ..migration import Result
    from ..plan import Plan, Step
    from ..undo import Back
    from ..world import Kind, Object, Ref, Unseen

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

  # The manifests in git instead of the cluster: a diff, then the files
  {PROG} migrate -f manifests/
  {PROG} migrate -f manifests/ --apply

  # Take it back
  {PROG} migrate sa/web --undo

  # Keep new ones out: warn first, then refuse
  {PROG} migrate --guard | kubectl apply -f -

Exit status: 0 done, or printed; 1 something needs a person; 2 usage; 3 it
failed.
"""

FORMATS = ("wide", "json", "yaml")
STAGE, GRACE, TIMEOUT = "retire", "168h", "10m"  # unless something else is said
PAGE = 200  # objects, so that a page of large ones stays small
FOR_SECRETS = "fieldSelector", "type=kubernetes.io/service-account-token"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of migrate."""
    from ..plan import STAGES

    parser.add_argument(
        "targets",
        metavar="TYPE/NAME",
        nargs="*",
        help="whose tokens: secret/x, sa/x, several; deploy/x or another workload: its tokens, and "
        "no other workload is changed; nothing: all token Secrets of the namespace",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all token Secrets of all namespaces"
    )
    parser.add_argument(
        "-l", "--selector", default="", help="label query that selects the token Secrets"
    )
    add_file_flags(
        parser,
        "manifests to rewrite instead of changing the cluster (prints a diff, with --apply writes "
        "the files)",
    )
    parser.add_argument(
        "--stage",
        choices=STAGES,
        default=STAGE,
        metavar="STAGE",
        help=f"how far to go: {', '.join(STAGES)} (the default); each includes those before it",
    )
    parser.add_argument(
        "--grace",
        default=GRACE,
        metavar="DURATION",
        help="how long a token is marked invalid, without an attempt to use it, before its Secret "
        "is deleted (default 168h)",
    )
    parser.add_argument(
        "--apply", action="store_true", help="do it, after a dry run of every write"
    )
    parser.add_argument(
        "--undo", action="store_true", help="take back what was done, as far as it was"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before the first write")
    parser.add_argument(
        "--timeout",
        default=TIMEOUT,
        metavar="DURATION",
        help="how long a rollout may take before it is taken back (default 10m)",
    )
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="where each write is noted before it is made; in the folder of XDG_STATE_HOME if "
        "unset",
    )
    parser.add_argument(
        "--audit-log",
        metavar="FILE",
        help="show who has used the tokens, by this audit log of the API server; - for stdin",
    )
    parser.add_argument(
        "--copies",
        action="store_true",
        help="look for copies of the tokens in other Secrets and in ConfigMaps, which reads their "
        "values; one that has a copy is kept",
    )
    parser.add_argument(
        "--guard",
        metavar="MODE",
        help="print admission policies that keep new token Secrets out, and nothing else: warn "
        "(the default) or deny; with ,pods also pods that take one",
    )
    add_output_flag(
        parser,
        FORMATS,
        "; yaml: a strategic merge patch for each "
        "object, for kubectl patch --patch-file or kustomize",
    )
    add_cluster_flags(parser)
    parser.set_defaults(bare={"--guard": "warn"})


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints the plan, or does it. Returns the exit status."""
    if args.guard is not None:
        from ..guard import manifests

        if args.targets or args.apply or args.undo or args.output:
            raise UsageError("--guard prints policies, and takes neither a name nor another flag")
        env.stdout.write(manifests(args.guard))
        return ExitStatus.OK
    if args.apply and args.undo:
        raise UsageError("--apply and --undo exclude each other")
    if args.undo and args.selector:
        raise UsageError("--undo takes names or a namespace, and no -l: a Secret may be gone")
    if args.apply and args.stage == "inventory":
        raise UsageError("--stage inventory changes nothing, so there is nothing to --apply")
    if (args.apply or args.undo) and args.output == "yaml":
        raise UsageError("-o yaml prints patches, and goes with neither --apply nor --undo")
    if args.files:
        from .migrate_files import run as rewrite

        return rewrite(args, env)
    if args.recursive:
        raise UsageError("-R needs -f")
    grace = seconds_of(args.grace, "--grace")
    seconds_of(args.timeout, "--timeout")
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

        self.args = args
        self.env = env
        self.grace = grace
        self.api: Api = connect(cluster, env, args.verbosity)
        self.namespace = "" if args.all_namespaces else self.api.namespace
        self.world: ClusterWorld = self.fresh()
        self.since: float | None = None
        self.only: set[str] = set()
        self.log: Usage | None = None
        self.said = False  # of any step what became of it
        self.chosen: set[Ref] = set()  # the Secrets that were asked for

    def fresh(self) -> "ClusterWorld":
        """What can be seen of the cluster, as it is now."""
        from .. import live

        world = live.ClusterWorld(self.api, self.env)
        world.flags = scope(self.args)
        return world

    def run(self) -> int:
        """Prints the plan, or does it."""
        if self.args.undo:
            return self.take_back()
        found = self.look()
        if self.args.apply:
            return self.apply(found)
        self.show(self.result(found, self.plan(found), command=self.again("--apply")))
        return ExitStatus.OK

    def look(self) -> "Inventory":
        """The inventory, and since when uses are noted."""
        found = self.take()
        self.since = self.tracked()
        return found

    # --- doing it

    def apply(self, found: "Inventory") -> int:
        """Does what can be done, and says what came of it."""
        from ..apply import run, unfinished
        from ..plan import WRITES

        with self.journal() as journal:
            at = self.site(journal)
            pending = unfinished(found.tokens, journal)
            plan = self.rehearsed(self.plan(found), at)
            if self.args.output != "json":
                self.show(self.result(found, plan))
            writes = [step for step in plan.steps if step.action in WRITES and not step.blocked]
            todo = any(not step.blocked for step in plan.steps) or bool(pending.steps)
            if todo and not self.agreed(f"{len(writes)} changes"):
                return ExitStatus.FINDINGS
            events: list[Event] = []
            if pending.steps:
                self.tell(run(pending, at), events)
                self.world = self.fresh()
                found = self.look()
                plan = self.rehearsed(self.plan(found), at)
            self.tell(run(plan, at), events)
        if self.args.output == "json":
            self.show(self.result(found, plan, events=tuple(events)))
        return self.status(events)

    def status(self, events: "Iterable[Event]") -> int:
        """1 where something needs a person, 0 where all is done or only has to wait."""
        from ..apply import HELD
        from ..plan import WAIT

        # what comes first for a Secret holds back the rest
        first: dict[Ref, Event] = {}
        for event in events:
            if event.state == HELD:
                for ref in event.step.secrets:
                    first.setdefault(ref, event)
        if any(one.step.blocked or one.step.action != WAIT for one in first.values()):
            return ExitStatus.FINDINGS
        return ExitStatus.OK

    def rehearsed(self, plan: "Plan", at: "Site") -> "Plan":
        """The plan, without what the API server would refuse, and what follows for its Secrets.

        Raises Forbidden where it would refuse all of it.
        """
        from ..apply import CHECKED, WOULD_NOT, rehearse
        from ..denied import grant

        tried = list(rehearse(plan, at))
        refused = {event.step.id: event.message for event in tried if event.state == WOULD_NOT}
        if refused and not any(event.state == CHECKED for event in tried):
            why = next(iter(refused.values()))
            hint = grant(why, "satoken-migrate", self.world)
            raise Forbidden(f"nothing was changed, the API server would refuse it: {why}", hint)
        held: dict[Ref, str] = {}
        steps = []
        for step in plan.steps:
            why = next((held[ref] for ref in step.secrets if ref in held), "")
            if step.id in refused and not step.blocked:
                why = f"{step.subject.resource}: {refused[step.id]}"
                held.update(dict.fromkeys(step.secrets, why))
            steps.append(step._replace(blocked=(*step.blocked, why)) if why else step)
        return plan._replace(steps=tuple(steps))

    def tell(self, events: "Iterator[Event]", kept: "list[Event]") -> None:
        """Says of each step what becomes of it. Raises Stopped, with how to go on."""
        from ..apply import BEGUN, HELD, Stopped

        told: set[str] = set()
        try:
            for event in events:
                if event.state == BEGUN:
                    continue
                kept.append(event)
                if event.state == HELD:
                    if event.step.blocked or event.message in told:
                        continue  # it was shown with the plan, or follows from another
                    told.add(event.message)
                self.say(event)
        except Stopped as error:
            more = f"{error.hint}; then " if error.hint else ""
            error.hint = f"{more}{self.ways()}"
            raise
        except KeyboardInterrupt:
            self.env.stderr.write(f"interrupted; {self.ways()}\n")
            raise

    def say(self, event: "Event") -> None:
        """Prints what became of a step."""
        if self.args.output == "json":
            return
        message = f": {event.message}" if event.message else ""
        line = f"{event.step.action} {self.called(event.step)} {event.state}{message}"
        if not self.said:
            self.said = True
            self.env.stdout.write("\n")
        self.env.stdout.write(visible(line) + "\n")
        self.env.stdout.flush()

    def called(self, step: "Step") -> str:
        """What a step is done to, with its namespace where there are several."""
        subject = step.subject
        everywhere = self.args.all_namespaces and subject.namespace
        return subject.resource + (f" -n {subject.namespace}" if everywhere else "")

    def ways(self) -> str:
        """How to go on, and how to go back."""
        return f"to go on: {self.again('--apply')}; to go back: {self.back()}"

    def back(self) -> str:
        """The command that takes it back: by names where a label has selected them, since a Secret
        that is gone has none."""
        if not self.args.selector:
            return self.again("--undo")
        named: dict[str, list[str]] = {}
        for ref in sorted(self.chosen):
            named.setdefault(ref.namespace, []).append(f"secret/{ref.name}")
        return " && ".join(self.again("--undo", *one) for one in named.items())

    def again(self, flag: str, namespace: str = "", targets: "Sequence[str]" = ()) -> str:
        """The command that does it, or takes it back; for other ``targets`` if there are any."""
        from ..fixes import satoken

        args = self.args
        words = ["migrate", *(targets or args.targets)]
        if args.all_namespaces and not targets:
            words.append("-A")
        if args.selector and not targets:
            words += ["-l", args.selector]
        shared = (("timeout", TIMEOUT),)
        there = (("stage", STAGE), ("grace", GRACE)) if flag == "--apply" else ()
        for name, value in (*there, *shared):
            if getattr(args, name) != value:
                words += [f"--{name}", getattr(args, name)]
        if args.copies and flag == "--apply":
            words.append("--copies")
        if args.journal:
            words += ["--journal", args.journal]
        yes = ["--yes"] if args.yes else []
        return satoken(self.world, namespace or self.namespace, *words, flag, *yes)

    def agreed(self, what: str) -> bool:
        """Whether the person at the terminal wants it. Raises UsageError where there is none."""
        if self.args.yes:
            return True
        if self.args.output == "json":
            raise UsageError("-o json shows no plan to say yes to", "say --yes")
        if not self.env.stdin.isatty():
            raise UsageError("this asks before it writes, and here is no terminal", "say --yes")
        self.env.stdout.flush()
        self.env.stderr.write(f"\nMake {what}? [y/N] ")
        self.env.stderr.flush()
        if self.env.stdin.readline().strip().lower() in ("y", "yes"):
            return True
        self.env.stderr.write("nothing was changed\n")
        return False

    def journal(self) -> "Journal":
        """The journal of this API server. Raises SatokenError."""
        from ..journal import Journal, default_path

        path = self.args.journal or default_path(self.env.environ, self.api.server)
        if path is None:
            raise UsageError("there is no home folder to keep the journal in", "say --journal FILE")
        return Journal(path, self.api.server, self.env.now)

    def site(self, journal: "Journal") -> "Site":
        """Where the steps are run."""
        from ..apply import Site

        timeout = seconds_of(self.args.timeout, "--timeout")
        flags = self.world.flags
        return Site(self.api, self.env, journal, self.grace, timeout=timeout, flags=flags)

    # --- taking it back

    def take_back(self) -> int:
        """Takes back what was done for the Secrets that were named, as far as it was."""
        from ..undo import undo

        with self.journal() as journal:
            backs = self.backs(journal)
            if not backs:
                self.env.stderr.write("there is nothing to take back\n")
                return ExitStatus.OK
            if self.args.output != "json":
                for back in backs:
                    line = f"to take back: {back.step.action} {self.called(back.step)}"
                    self.env.stdout.write(visible(line) + "\n")
            if not self.agreed(f"these {len(backs)} changes"):
                return ExitStatus.FINDINGS
            events: list[Event] = []
            self.tell(undo(backs, self.site(journal)), events)
        if self.args.output == "json":
            self.show_events(events)
        return ExitStatus.OK

    def show_events(self, events: "Iterable[Event]") -> None:
        """Prints what became of the steps, for programs."""
        from .. import migration
        from ..output import write_object

        write_object(migration.undone_object(events), "json", self.env)

    def backs(self, journal: "Journal") -> "list[Back]":
        """The steps to take back: those of the journal, and what the cluster tells of others."""
        from ..plan import DELETE, INVALIDATE, PATCH, UNLIST
        from ..undo import noted, to_undo
        from ..world import KINDS

        items, secrets = list(self.notes()), list(self.marked())
        wanted = self.to_go_back(journal, items, secrets)
        chosen = [(KINDS["Secret"], one) for one in secrets if ref_of(one) in wanted]
        backs = to_undo(wanted, journal)
        known = {(back.step.action, back.step.subject.uid) for back in backs}
        backs += [
            back
            for back in noted(wanted, [*items, *chosen])
            if (back.step.action, back.step.subject.uid) not in known
        ]
        workloads = {uid_of(item): item for _, item in items}
        backs += made_again([*backs], workloads, {ref_of(one) for one in secrets})
        order = (DELETE, INVALIDATE, UNLIST, PATCH)
        return sorted(backs, key=lambda back: order.index(back.step.action))

    def to_go_back(
        self,
        journal: "Journal",
        items: "list[tuple[Kind, Object]]",
        secrets: "list[Object]",
    ) -> "set[Ref]":
        """The Secrets whose migration is to be taken back."""
        from ..apply import read_step
        from ..consumers import name_in
        from ..discovery import find
        from ..inventory import MARKED_ANNOTATION, formerly_used, remembered
        from ..targets import parse
        from ..token_secrets import account_named
        from ..world import Ref

        targets = parse(self.args.targets, lambda word: find(self.api, word))
        steps = [(read_step(entry), entry.step.get("manifest")) for entry in journal.standing()]
        found: set[Ref] = set()
        for kind, item in items:
            namespace, name = item["metadata"].get("namespace", ""), item["metadata"]["name"]
            names = {name_in(one.before) for one in remembered(item)}
            if kind.kind != "ServiceAccount":
                names = formerly_used(item)
            if not targets or any(one[:2] == (kind.kind, name) for one in targets):
                found |= {Ref("Secret", namespace, one) for one in names if one}
        for secret in secrets:
            marked = MARKED_ANNOTATION in (secret["metadata"].get("annotations") or {})
            account = account_named(secret)
            if (marked and not targets) or any(
                one[:2] == ("ServiceAccount", account) for one in targets
            ):
                found.add(ref_of(secret))
        for step, manifest in steps:
            if self.namespace not in ("", step.subject.namespace):
                continue
            account = account_named(manifest) if manifest else ""
            subject = (step.subject.kind.kind, step.subject.name)
            if not targets or any(
                one[:2] in (subject, ("ServiceAccount", account)) for one in targets
            ):
                found |= {*step.secrets}
        named = {Ref("Secret", self.namespace, one.name) for one in targets if one.kind == "Secret"}
        return found | named

    def notes(self) -> "Iterator[tuple[Kind, Object]]":
        """The workloads and accounts that say what was changed in them. Raises Forbidden."""
        from ..inventory import note_in
        from ..workloads import controller_of
        from ..world import Unseen

        kinds, _ = self.kinds()
        for kind in kinds:
            if kind.kind == "Pod" or not kind.namespaced:
                continue
            try:
                for item in self.world.stream(kind, self.namespace, PAGE):
                    # a ReplicaSet has a copy of the annotations of its Deployment
                    if note_in(item) and controller_of(item) is None:
                        yield kind, item
            except Unseen as unseen:
                self.api.say(f"not seen: {unseen.what}: {unseen.why}")

    def marked(self) -> "Iterator[Object]":
        """The token Secrets that are there."""
        from ..world import KINDS, Unseen

        try:
            for page in self.world.pages(KINDS["Secret"], self.namespace, [FOR_SECRETS]):
                yield from page
        except Unseen as unseen:
            raise not_seen(unseen) from unseen

    # --- what is there

    def take(self) -> "Inventory":
        """The inventory of the Secrets that were asked for, with a line of progress."""
        from ..progress import Progress

        with Progress(self.env) as self.progress:
            self.api.erase = self.progress.erase
            try:
                return self.taken()
            finally:
                self.api.erase = ""

    def taken(self) -> "Inventory":
        """The inventory of the Secrets that were asked for."""
        from .. import inventory
        from ..inventory import Blind
        from ..world import Unseen

        secrets = list(self.secrets())
        self.chosen |= {ref_of(one) for one in secrets}
        kinds, failed = self.kinds() if secrets else ([], [])
        found = inventory.take(secrets, kinds, self.read, self.world)
        blind = [Blind(one.what, one.why, essential=False) for one in failed]
        places: dict[Ref, tuple[str, ...]] = {}
        if self.args.copies and secrets:
            from ..copies import copies

            try:
                for copy in copies(self.api, self.namespace):
                    places[copy.secret] = (*places.get(copy.secret, ()), str(copy))
            except Unseen as unseen:
                blind.append(Blind(f"copies in {unseen.what}", unseen.why, essential=True))
        return found._replace(blind=(*found.blind, *blind), copies=places)

    def read(self, kind: "Kind") -> "Iterator[Object]":
        """The objects of a type. Raises Unseen."""
        from ..consumers import only_names

        items = self.world.stream(kind, self.namespace, PAGE, metadata=only_names(kind))
        for number, item in enumerate(items, 1):
            yield item
            self.progress.count(kind.plural, number)

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
                self.only.add(self.named(item))
        if any(target.kind in ("Secret", "ServiceAccount") for target in targets):
            self.only.clear()
        query = [FOR_SECRETS]
        if self.args.selector:
            query.append(("labelSelector", self.args.selector))
        try:
            pages = self.world.pages(KINDS["Secret"], self.namespace, query)
            for number, secret in enumerate((one for page in pages for one in page), 1):
                if is_wanted(secret, wanted, accounts):
                    yield secret
                self.progress.count("token Secrets", number)
        except Unseen as unseen:
            raise not_seen(unseen) from unseen

    def named(self, item: "Object") -> str:
        """What is to be changed for an object that was named: itself, or what made a pod."""
        from ..plan import resource
        from ..workloads import owner_of

        owner = owner_of(item, self.world) if item["kind"] == "Pod" else None
        if owner is not None:
            return resource(owner.kind, owner.api_version, owner.name)
        return resource(item["kind"], item.get("apiVersion") or "v1", item["metadata"]["name"])

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

        only = frozenset(self.only)
        wish = Wish(self.grace, self.args.stage, version_of(self.world), self.since, only)
        return make(found, wish, self.env.now())

    def result(
        self,
        found: "Inventory",
        plan: "Plan",
        command: str = "",
        events: "tuple[Event, ...] | None" = None,
    ) -> "Result":
        """What is to be said of it."""
        from ..migration import Result

        return Result(
            found,
            plan,
            self.args.stage,
            self.grace,
            self.env.now(),
            self.since,
            command if any(not step.blocked for step in plan.steps) else "",
            self.args.all_namespaces,
            self.usage(found),
            events,
        )

    def usage(self, found: "Inventory") -> "Usage | None":
        """Who has used the tokens, by the audit log; None without one."""
        from ..audit_log import lines, users_of

        path = self.args.audit_log
        if path is None:
            return None
        if self.log is None:
            accounts = {(ref.namespace, token.account) for ref, token in found.tokens.items()}
            self.log = users_of(lines(path, self.env), path, accounts)
        return self.log

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


def not_seen(unseen: "Unseen") -> SatokenError:
    """What to say where the token Secrets themselves cannot be listed."""
    cause = unseen.__cause__
    if isinstance(cause, Invalid):  # all else that we send is right
        return UsageError(f"the label selector is wrong: {cause.message}")
    said = f"token Secrets could not be looked at: {unseen.why}"
    if isinstance(cause, Forbidden):
        return Forbidden(said, "docs/rbac/migrate.yaml has the rights that migrate needs")
    return SatokenError(said)


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


def made_again(
    backs: "Iterable[Back]", workloads: "dict[str, Object]", there: "set[Ref]"
) -> "Iterator[Back]":
    """What makes those Secrets again that workloads, by their uid, go back to, and that are not
    there: somebody else has deleted them, whose journal has their manifests. These are as good."""
    from ..mounts import account_of
    from ..plan import DELETE, PATCH, Step, Subject
    from ..token_secrets import token_secret
    from ..undo import Back
    from ..world import KINDS

    known = there | {ref for back in backs if back.manifest for ref in back.step.secrets}
    for back in backs:
        item = workloads.get(back.step.subject.uid)
        if back.step.action != PATCH or item is None:
            continue
        for ref in set(back.step.secrets) - known:
            known.add(ref)
            account = account_of({"spec": spec_of(item)})
            manifest = token_secret(ref.namespace, ref.name, account)
            subject = Subject(KINDS["Secret"], ref.namespace, ref.name, "", "")
            yield Back(Step(DELETE, subject, (ref,), ""), manifest)


def ref_of(item: "Object") -> "Ref":
    """What a Secret is called."""
    from ..world import Ref

    return Ref("Secret", item["metadata"].get("namespace", ""), item["metadata"]["name"])


def uid_of(item: "Object") -> str:
    """The uid of an object."""
    return str(item["metadata"].get("uid") or "")


def spec_of(workload: "Object") -> "Object":
    """The pod spec of a workload's template."""
    from ..workloads import template_path

    spec: Object = workload
    for field in (*template_path(workload), "spec"):
        spec = spec[field]
    return spec
