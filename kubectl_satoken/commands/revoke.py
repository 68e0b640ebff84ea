"""kubectl satoken revoke: ends a token, after it was said what stops working."""

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

from ..cli import PROG
from ..env import Env
from ..errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ExitStatus,
    Forbidden,
    Invalid,
    NotFound,
    SatokenError,
    ServerError,
    Unauthorized,
    Unreachable,
    UsageError,
    one_line,
    visible,
)
from ..flags import add_cluster_flags, add_color_flag, add_output_flag, overrides, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..cluster import Api
    from ..consumers import Found
    from ..kubeconfig import Target
    from ..live import ClusterWorld
    from ..revocation import Result, Seen
    from ..revoke import Plan, Wish
    from ..token import Claims
    from ..token_source import Given
    from ..world import Kind, Object, Ref, Sealed

HELP = "End a token: say what stops working, then delete or mark what it hangs on"

DESCRIPTION = """\
End a token before it expires. A token that is bound to a pod or a Secret ends
when that is deleted; one in a Secret of its own is refused while that is marked
invalid, which can be undone; one that is bound to nothing ends only with its
service account, which is then deleted and made again.

Without --yes nothing is changed: what would be done is printed, with all that
uses the token. A token is read from stdin or a file, never from the command
line.

With --yes the API server is asked about the token until it refuses it. For a
pod, a handle or an account a token is made for that, which ends with the
others; who may not make one is told that nothing was seen.
"""

EPILOG = f"""\
Examples:
  # A token that leaked: what ends it, and who uses it; then do it
  {PROG} revoke leaked.txt
  {PROG} revoke leaked.txt --yes

  # The token in a Secret; it can be undone as the output says
  {PROG} revoke secret/ci-token --yes

  # A token of mint --revocable, by the name that mint --list shows
  {PROG} revoke ci-token-x7k2p --yes

  # The tokens of a pod: deletes it, and its workload makes another
  {PROG} revoke pod/web-6d4 --yes

  # Every token of an account, also those that are bound to nothing
  {PROG} revoke sa/ci
  {PROG} revoke sa/ci --yes

Exit status: 0 done, or can be done; 1 the token is still taken; 2 usage; 3 it
cannot be done.
"""

NEEDED = "-, FILE, secret/NAME, pod/NAME, sa/NAME, or the NAME of a handle (mint --list)"
KINDS_TAKEN = ("Secret", "Pod", "ServiceAccount")
MARGIN = 5  # seconds more than the API server should need
POLL = 1.0

# What the API server says where an admission webhook has side effects.
NO_REHEARSAL = "does not support dry run"

PAGE = 200  # objects, so that a page of large ones stays small


class Asked(NamedTuple):
    """What was named: ``kind`` is Stdin, File, Handle, Secret, Pod or ServiceAccount."""

    kind: str
    name: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of revoke."""
    parser.add_argument("words", metavar="TOKEN", nargs="*", help=f"one of {NEEDED}")
    parser.add_argument(
        "--yes", action="store_true", help="do it; without, only what would be done is printed"
    )
    parser.add_argument(
        "--grace-period",
        type=int,
        metavar="SECONDS",
        help="time that a pod gets to end, 1 or more; its own if unset",
    )
    parser.add_argument(
        "--delete-content",
        action="store_true",
        help="delete also a Secret that holds something, where a token is bound to it",
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        help="how long to wait until the API server refuses the token (30s, 2m), 0 for not at "
        "all; as long as it should take if unset",
    )
    add_output_flag(parser, ("wide", "json", "yaml"))
    add_color_flag(parser)
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints a plan, or does it. Returns the exit status."""
    asked = parse(args.words)
    timeout = seconds_of(args.timeout)
    if args.grace_period is not None and args.grace_period < 1:
        raise UsageError("--grace-period must be 1 or more")
    from ..kubeconfig import load

    given = None
    if asked.kind in ("Stdin", "File"):
        from ..token_source import Where, read

        # before anything else, so that what is no token needs no cluster
        given = read(Where(asked.kind, asked.name), env)
    job = Job(args, env, load(overrides(args), env), asked, given, timeout)
    return job.run()


def parse(words: list[str]) -> Asked:
    """What the words name. Raises UsageError, which repeats no token."""
    import os

    from ..kinds import builtin_kind
    from ..token_source import parse as parse_source

    if not words:
        raise UsageError(f"what is to be revoked: {NEEDED}")
    word, slash, name = words[0].partition("/")
    kind = builtin_kind(word)
    if len(words) == 2 and kind is not None:
        slash, name = "/", words[1]
    if len(words) <= 2 and slash and kind is not None and kind.kind == "ServiceAccount":
        if not name or "/" in name:
            raise UsageError(f"{visible(word)}/NAME needs one name")
        return Asked("ServiceAccount", name)
    try:
        where = parse_source(words)
    except UsageError as error:
        error.hint = error.hint if "command line" in error.message else NEEDED
        raise
    path = where.name
    is_file = os.path.exists(path) and not os.path.isdir(path)
    if where.kind == "File" and os.sep not in path and not is_file:
        return Asked("Handle", path)
    return Asked(where.kind, where.name)


def seconds_of(text: str | None) -> float | None:
    """The seconds of --timeout. Raises UsageError."""
    if text is None:
        return None
    from ..durations import SECOND, nanoseconds

    try:
        span = nanoseconds(text)
    except ValueError as error:
        raise UsageError(f'invalid argument "{text}" for "--timeout" flag: {error}') from error
    if span < 0:
        raise UsageError("--timeout must be greater than or equal to 0")
    return span / SECOND


class Job:
    """One call of revoke."""

    def __init__(
        self,
        args: argparse.Namespace,
        env: Env,
        target: "Target",
        asked: Asked,
        given: "Given | None",
        timeout: float | None,
    ) -> None:
        from ..cluster import connect

        self.args = args
        self.env = env
        self.asked = asked
        self.timeout = timeout
        self.api: Api = connect(target, env, args.verbosity)
        self.namespace: str = self.api.namespace
        self.token: Sealed | None = given.token if given else None
        self.claims: Claims | None = given.claims if given else None
        self.source = given.source if given else ""
        self.opaque = given.opaque if given else ""
        self.made = False  # whether the token is one that was made to see others end
        self.unseen = ""  # why it is not seen whether the token is refused
        self.notes: list[str] = list(given.notes) if given else []
        self.world = self.look()

    def look(self) -> "ClusterWorld":
        """What can be seen of the cluster, as it is now."""
        from ..live import ClusterWorld

        world = ClusterWorld(self.api, self.env)
        world.flags = scope(self.args)
        return world

    def run(self) -> int:
        """Prints the plan, or does it and says what came of it."""
        from ..revoke import ALREADY, DELETE, IMPOSSIBLE, PLANNED, RECREATE, without_own_use

        if self.args.yes and self.asked.kind == "Secret":
            self.take_token()
        used = self.used_before()
        before = self.judge()
        # what was asked of the API server may have left its mark: a legacy token was used
        self.world = self.look()
        plan = self.plan(before)
        if used is not None:
            plan = without_own_use(plan, used, self.world)
        self.say_what_is_not_known(plan, before)
        over = before is not None and not before.taken and plan.outcome != ALREADY
        # one of somebody else may be good elsewhere
        if before is not None and over and plan.account is not None:
            why = f": {before.error}" if before.error else ""
            said = f"the API server refuses it already{why}"
            plan = plan._replace(outcome=ALREADY, message=said, action="", further=())
        leaving = plan.outcome == ALREADY and plan.object is not None
        if self.args.yes and before is None and (plan.action in (DELETE, RECREATE) or leaving):
            plan, before = self.take_witness(plan)
            if leaving and self.unseen:
                self.notes.append(f"not verified by a review: {self.unseen}")
        if plan.outcome == PLANNED and self.args.yes:
            started = time.monotonic()
            # first of all, since a token that leaked may be in use; what uses it is the same after
            self.act(plan)
            return self.finish(plan, self.losers(plan), before, started)
        found = self.consumers(plan)
        if plan.outcome == PLANNED:
            error = self.rehearse(plan)
            refused = error.message if error else ""
            self.show(self.result(plan, found, before, command=self.again(), refused=refused))
            return self.fail(error) if error else ExitStatus.OK
        if plan.outcome == IMPOSSIBLE:
            self.show(self.result(plan, found, before))
            return ExitStatus.FAILED
        if self.args.yes and before is not None and before.taken:
            return self.finish(plan, found, before, time.monotonic())
        self.show(self.result(plan, found, before))
        return ExitStatus.OK

    # --- what is known

    def say_what_is_not_known(self, plan: "Plan", before: "Seen | None") -> None:
        """Notes what the verdict on the token, or the want of one, leaves open."""
        from ..revoke import ALREADY, INVALIDATE

        if before is not None:
            if before.taken and plan.outcome == ALREADY and not self.args.yes:
                self.notes.append(
                    f"the API server takes it still, which it may for {plan.within} s (--yes waits)"
                )
        elif self.token is not None and plan.action == INVALIDATE and not self.args.yes:
            self.notes.append("the API server was not asked about it: that would count as a use")
        elif self.token is not None and plan.action:
            self.notes.append(
                "the API server could not be asked whether the token is genuine: what ends it is "
                "taken from what it says of itself"
            )

    def take_token(self) -> None:
        """Takes the token of a Secret, to see afterwards whether it is refused."""
        from ..token_secrets import is_token_type
        from ..token_source import from_secret
        from ..world import Unseen

        try:
            secret = self.world.get("Secret", self.namespace, self.asked.name)
            if secret is None or not is_token_type(secret):
                return
            given = from_secret(self.api, self.asked.name)
        except (SatokenError, Unseen) as error:
            self.unseen = f"the token could not be read: {visible(str(error))}"
            return
        self.token, self.claims = given.token, given.claims

    def take_witness(self, plan: "Plan") -> "tuple[Plan, Seen | None]":
        """Makes a token that ends with the others, and asks about it; without, notes why."""
        from .. import witness
        from ..revoke import PLANNED

        try:
            made = witness.make(self.api, plan)
        except SatokenError as error:
            self.unseen = witness.why_not(error)
            return plan, None
        self.token, self.claims, self.made = made.token, made.claims, True
        before = self.judge()
        if before is None:
            return plan, None
        if not before.taken and plan.outcome == PLANNED:
            why = f": {before.error}" if before.error else ""
            self.unseen = f"a token made for that was refused from the start{why}"
            return plan, None
        return plan._replace(facts=(*plan.facts, made.fact)), before

    def used_before(self) -> str | None:
        """When the legacy token that is to be ended was last used, by its label (empty: never),
        before the API server is asked about it; None where it is not, or where that is unseen."""
        from ..checks.legacy_cleaner import label
        from ..revoke import account_in
        from ..token import LEGACY_ISSUER, bound
        from ..token_secrets import LAST_USED_LABEL
        from ..world import Unseen

        payload = self.claims.payload if self.claims else {}
        account = account_in(payload)
        if not self.args.yes or payload.get("iss") != LEGACY_ISSUER or account is None:
            return None
        name = str(bound(payload, "secret").get("name") or "")
        try:
            secret = self.world.get("Secret", account.namespace, name)
        except Unseen:
            return None
        return None if secret is None else label(secret, LAST_USED_LABEL)

    def judge(self) -> "Seen | None":
        """The API server's verdict on the token, if it is at hand and can be asked about.

        Not of a legacy token unless it is to be ended: to ask is to use it, and that is written
        down in a label.
        """
        from ..review import by_token_review, review
        from ..revocation import Seen
        from ..token import LEGACY_ISSUER, audiences

        if self.token is None or self.claims is None:
            return None
        payload = self.claims.payload
        if payload.get("iss") == LEGACY_ISSUER and not self.args.yes:
            return None
        whom = audiences(payload)
        try:
            # as a request with it would be, so that what the API server remembers is the same
            verdict = review(self.api, self.token)
            if verdict["by"] != "TokenReview":
                if not verdict["authenticated"] and whom and payload.get("iss") not in whom:
                    # for others, perhaps
                    self.unseen = "it is not for the API server: that takes create tokenreviews"
                    return None
            elif not verdict["authenticated"] and "audiences" in verdict["error"]:
                verdict = by_token_review(self.api, self.token, whom)
        except ApiError as error:
            self.unseen = f"the API server could not be asked: {one_line(error.message)}"
            return None
        taken, why = bool(verdict["authenticated"]), str(verdict["error"])
        return Seen(verdict["by"], taken, why, made=self.made)

    def plan(self, before: "Seen | None") -> "Plan":
        """What is to be done. Raises SatokenError."""
        from .. import revoke

        wish = self.wish()
        kind, name = self.asked
        world, namespace = self.world, self.namespace
        try:
            if self.claims is not None and kind in ("Stdin", "File"):
                subject = f"the token ({self.source})"
                if self.opaque:
                    why = f"it is {self.opaque}, and only its issuer can end it"
                    return revoke.Plan(subject, revoke.IMPOSSIBLE, why)
                taken = None if before is None else before.taken
                return revoke.of_token(self.claims, subject, taken, world, wish)
            if kind == "Handle":
                return revoke.of_handle(namespace, name, world, wish)
            if kind == "Secret":
                return revoke.of_secret(namespace, name, world, wish)
            if kind == "Pod":
                return revoke.of_pod_named(namespace, name, world, wish)
            return self.plan_account()
        except NotFound as error:
            if kind == "Handle":
                error.message = f"no handle, and no file, is called {visible(name)}"
                error.hint = f"{PROG} mint --list lists the handles"
            raise
        except Forbidden as error:
            error.hint = error.hint or self.may_look()
            raise

    def plan_account(self) -> "Plan":
        """What is to be done to an account; also to one that an earlier run has left deleted."""
        from .. import kept_account, revoke

        try:
            return revoke.of_account(self.namespace, self.asked.name, self.world)
        except NotFound:
            file = self.kept_file()
            manifest = kept_account.read(file)
            if manifest is None or file is None:
                raise
            return revoke.interrupted(manifest, file)

    def wish(self) -> "Wish":
        """How it is to be done."""
        from ..revoke import Wish

        return Wish(self.args.grace_period, self.args.delete_content)

    def may_look(self) -> str:
        """Who may grant the right to look at what was named."""
        kind, name = self.asked
        return self.may_get("Secret" if kind == "Handle" else kind, name)

    def may_get(self, kind: str, name: str) -> str:
        """Who may grant the right to get an object; empty for what is none."""
        from ..authorize import user_name
        from ..denied import grant
        from ..world import KINDS

        if kind not in KINDS:
            return ""
        plural = KINDS[kind].plural
        # as the API server would have said it
        refusal = (
            f'{plural} "{name}" is forbidden: User "{user_name(self.api)}" cannot get '
            f'resource "{plural}" in API group "" in the namespace "{self.namespace}"'
        )
        return grant(refusal, self.role(), self.world)

    def consumers(self, plan: "Plan") -> "Found":
        """Who loses the token."""
        from ..consumers import Found, find, kinds_to_read, only_names
        from ..discovery import fetch, types
        from ..world import Unseen

        if not plan.wanted:
            return Found({}, [])
        failed: list[Unseen] = []
        try:
            # anew: what was kept may lack a type that came since
            broken = fetch(self.api).failed
            kinds = kinds_to_read(types(self.api))
            failed = [Unseen(each, "its API server does not answer") for each in broken]
        except ApiError as error:
            from ..consumers import WITH_TEMPLATE
            from ..kinds import BUILT_IN

            kinds = kinds_to_read(one for one in BUILT_IN if one.kind.kind in WITH_TEMPLATE)
            failed = [Unseen("custom resources", error.message)]
        namespace = plan.wanted[0].namespace

        def read(kind: "Kind") -> "Iterator[Object]":
            return self.world.stream(kind, namespace, PAGE, metadata=only_names(kind))

        found = find(plan.wanted, kinds, read, self.world)
        return found._replace(unseen=[*found.unseen, *failed])

    def losers(self, plan: "Plan") -> "Found":
        """The same after the deed, which nothing may hide any more."""
        from ..consumers import Found
        from ..world import Unseen

        try:
            return self.consumers(plan)
        except SatokenError as error:
            return Found({}, [Unseen("what uses it", error.message)])

    # --- doing it

    def rehearse(self, plan: "Plan") -> SatokenError | None:
        """Why it would fail; None if it would not. Nothing is stored."""
        try:
            self.perform(plan, dry_run=True)
        except NotFound:
            return None
        except (Unauthorized, Unreachable):
            raise
        except SatokenError as error:
            if isinstance(error, Invalid) and NO_REHEARSAL in error.message:
                self.notes.append(f"whether it may be done could not be tried: {error.message}")
                return None
            return error
        return None

    def perform(self, plan: "Plan", *, dry_run: bool = False) -> None:
        """Sends what a plan says. Raises ApiError."""
        from .. import kept_account, revoke, writes
        from ..times import date
        from ..token_secrets import INVALID_SINCE_LABEL

        item = plan.object
        assert item is not None
        if plan.action == revoke.INVALIDATE:
            mark = {"metadata": {"labels": {INVALID_SINCE_LABEL: date(self.env.now())}}}
            writes.patch(self.api, item, mark, dry_run=dry_run)
        elif plan.action == revoke.DELETE:
            grace = self.args.grace_period if item["kind"] == "Pod" else None
            writes.delete(self.api, item, grace=grace, dry_run=dry_run)
        elif plan.action == revoke.RECREATE:
            manifest = self.manifest(item)
            if dry_run:
                writes.delete(self.api, item, whole=True, dry_run=True)
                writes.create(self.api, manifest, dry_run=True)
            else:
                self.recreate(item, manifest)
        elif not dry_run:
            writes.recreate(self.api, item, "")
            kept_account.forget(self.kept_file())
        else:
            writes.create(self.api, item, dry_run=True)

    def manifest(self, account: "Object") -> "Object":
        """The account as it is to be made again. Raises SatokenError where that cannot be told."""
        from ..revoke import manifest_of
        from ..world import Unseen

        try:
            return manifest_of(account, self.world)
        except Unseen as unseen:
            raise SatokenError(
                f"which Secrets of serviceaccount {account['metadata']['name']} go with it cannot "
                f"be told: {unseen}",
                self.may_get("Secret", unseen.what.rpartition("/")[2]),
            ) from unseen

    def act(self, plan: "Plan") -> None:
        """Does what a plan says. Raises SatokenError, explained."""
        from ..denied import grant
        from ..revoke import RECREATE

        try:
            if plan.action == RECREATE:
                # both halves, before the first is done
                self.perform(plan, dry_run=True)
            self.perform(plan)
        except NotFound:
            if plan.action == RECREATE:
                raise
            self.notes.append("it was gone when it was to be done: somebody was quicker")
        except Conflict as error:
            error.message = (
                f"{plan.subject}: it was changed or made anew since it was looked at, so nothing "
                f"was done: {error.message}"
            )
            error.hint = "look at it again: the same without --yes"
            raise
        except Forbidden as error:
            error.hint = grant(error.message, self.role(), self.world) or error.hint
            error.message = f"failed to revoke {plan.subject}: {error.message}"
            raise
        except ApiError as error:
            error.message = f"failed to revoke {plan.subject}: {error.message}"
            raise

    def role(self) -> str:
        """What a Role is called that allows it."""
        named = f"-{self.asked.name}" if self.asked.kind not in ("Stdin", "File") else ""
        return f"revoke{named}-{{verb}}"

    def recreate(self, item: "Object", manifest: "Object") -> None:
        """Deletes an account and makes it again; what is to be made is kept until it is there."""
        from .. import kept_account, writes
        from ..fixes import kubectl

        file = self.kept_file()
        if not kept_account.keep(file, manifest):
            file = None
            self.say_manifest(manifest)
        doubt: SatokenError | None = None
        try:
            writes.delete(self.api, item, whole=True)
        except (ServerError, Unreachable) as error:
            doubt = error  # it may be done all the same, and then the account is away
        except ApiError:
            kept_account.forget(file)
            raise
        try:
            writes.recreate(self.api, manifest, item["metadata"]["uid"])
        except BaseException as error:
            if doubt is not None and isinstance(error, AlreadyExists):
                kept_account.forget(file)  # it was not done: the old one is there
                raise doubt from error
            if file:
                again = kubectl(self.world, "", "create", "-f", file)
                self.env.stderr.write(
                    "note: the account was deleted and is not made again yet; this makes it: "
                    f"{again} (or the same command once more)\n"
                )
            raise
        kept_account.forget(file)

    def say_manifest(self, manifest: "Object") -> None:
        """Prints what makes the account again, where it cannot be kept in a file."""
        import json

        text = json.dumps(manifest)
        self.env.stderr.write(f"note: should it fail, this makes it again: {visible(text)}\n")

    def kept_file(self) -> str | None:
        """Where the manifest of an account is kept while it is away; None without a home."""
        from ..kept_account import file_of

        return file_of(self.env, self.api.server, self.namespace, self.asked.name)

    # --- what came of it

    def finish(
        self, plan: "Plan", found: "Found", before: "Seen | None", started: float
    ) -> ExitStatus:
        """Waits until the token is refused, and says what was seen."""
        from ..revocation import REVOKED, TAKEN, UNVERIFIED
        from ..revoke import ALREADY

        what = "it"
        if self.made:
            from .. import witness

            what = witness.words(plan)
        if self.token is None or before is None:
            said = self.unverified(plan, started)
            self.show(self.result(plan, found, None, UNVERIFIED, said))
            return ExitStatus.OK
        seen = self.wait(plan, started)
        if seen is None:
            said = f"{done(plan)}; whether {what} is refused was not seen ({self.unseen})"
            self.show(self.result(plan, found, None, UNVERIFIED, said))
            return ExitStatus.OK
        if seen.taken:
            said = (
                f"{done(plan)}, and the API server still takes {what} {seen.after or 0:.0f}s later"
            )
            if (seen.after or 0) > plan.within:
                self.notes.append(
                    "an API server with --service-account-lookup=false takes tokens until they "
                    "expire"
                )
            self.show(self.result(plan, found, seen, TAKEN, said))
            return ExitStatus.FINDINGS
        said = f"{done(plan)}, and the API server refuses {what} {seen.after or 0:.0f}s later"
        outcome = ALREADY if plan.outcome == ALREADY else REVOKED
        self.show(self.result(plan, found, seen, outcome, said))
        return ExitStatus.OK

    def wait(self, plan: "Plan", started: float) -> "Seen | None":
        """Asks about the token until it is refused, or as long as it is worth it."""
        patience = plan.within + MARGIN if self.timeout is None else self.timeout
        told = False
        while True:
            try:
                seen = self.judge()
            except SatokenError as error:
                self.unseen = one_line(error.message)
                seen = None
            after = time.monotonic() - started
            if seen is None or not seen.taken or after >= patience:
                return seen and seen._replace(after=after)
            if not told and after > 1.5 * POLL:
                told = True
                what = "the token"
                if self.made:
                    from .. import witness

                    what = witness.words(plan, named=True)
                self.env.stderr.write(
                    f"waiting until the API server refuses {what} (up to {patience:.0f} s)\n"
                )
            time.sleep(min(POLL, max(0.05, patience - after)))

    def unverified(self, plan: "Plan", started: float) -> str:
        """What can be said where the API server could not be asked about a token."""
        from ..revoke import CACHE, DELETE, LEEWAY, RECREATE, RESTORE

        if plan.action == RESTORE:
            return (
                "the account is there again, made anew; its tokens ended when the old one was "
                "deleted (not verified by a review, for none is left)"
            )
        why = f"(not verified by a review: {self.unseen})"
        if plan.action == RECREATE:
            return f"{done(plan)}; its old tokens are refused within {CACHE} s {why}"
        if plan.action != DELETE:
            return f"{done(plan)}; it is refused within {CACHE} s {why}"
        if self.gone(plan, started):
            return f"{done(plan)}; what was bound to it is refused within {CACHE} s {why}"
        ends = f"what is bound to it ends {LEEWAY} s after its time"
        return f"{done(plan)}, and it is not gone yet; {ends} {why}"

    def gone(self, plan: "Plan", started: float) -> bool:
        """Whether what was deleted is gone; waits for that."""
        from ..cluster import path_of
        from ..world import KINDS
        from ..writes import identity

        assert plan.object is not None
        ref, uid = identity(plan.object), plan.object["metadata"]["uid"]
        path = path_of(KINDS[ref.kind], ref.namespace, ref.name)
        metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
        patience = plan.within + MARGIN if self.timeout is None else self.timeout
        told = False
        while True:
            try:
                found = self.api.request("GET", path, accept=metadata)
            except NotFound:
                return True
            except ApiError:
                return False
            if found["metadata"].get("uid") != uid:
                return True
            after = time.monotonic() - started
            if after >= patience:
                return False
            if not told and after > 1.5 * POLL:
                told = True
                self.env.stderr.write(f"waiting until {ref} is gone (up to {patience:.0f} s)\n")
            time.sleep(POLL)

    # --- saying it

    def result(
        self,
        plan: "Plan",
        found: "Found",
        seen: "Seen | None",
        outcome: str = "",
        said: str = "",
        command: str = "",
        refused: str = "",
    ) -> "Result":
        """What came of it."""
        from ..revocation import Result

        dry_run = not self.args.yes
        return Result(
            plan,
            found,
            outcome or plan.outcome,
            said,
            seen,
            tuple(self.notes),
            "" if refused else command,
            refused,
            self.target(),
            dry_run,
        )

    def target(self) -> "Ref | None":
        """The object that was named, if any was."""
        from ..world import Ref

        kind, name = self.asked
        if kind in ("Stdin", "File"):
            return None
        return Ref("Secret" if kind == "Handle" else kind, self.namespace, name)

    def again(self) -> str:
        """The command that does it."""
        from ..fixes import satoken

        kind, name = self.asked
        word = {
            "Stdin": "-",
            "File": name,
            "Handle": name,
            "ServiceAccount": f"sa/{name}",
        }.get(kind, f"{kind.lower()}/{name}")
        words = ["revoke", word]
        if self.args.grace_period is not None:
            words.append(f"--grace-period={self.args.grace_period}")
        if self.args.delete_content:
            words.append("--delete-content")
        namespace = "" if kind in ("Stdin", "File") else self.namespace
        command = satoken(self.world, namespace, *words, "--yes")
        return f"... | {command}" if kind == "Stdin" else command

    def show(self, result: "Result") -> None:
        """Writes what came of it."""
        from .. import revocation
        from ..output import write_object

        form = self.args.output
        if form in ("json", "yaml"):
            write_object(revocation.revocation_object(result), form, self.env)
            return
        colour = self.env.colour(self.args.color)
        text = revocation.write(result, self.world, wide=form == "wide", colour=colour)
        self.env.stdout.write(text)

    def fail(self, error: SatokenError) -> ExitStatus:
        """Says what would go wrong, and who may grant what is missing."""
        from ..denied import grant

        hint = grant(error.message, self.role(), self.world) or error.hint
        self.env.stderr.write(f"error: with --yes this would fail: {visible(error.message)}\n")
        if hint:
            self.env.stderr.write(f"hint: {visible(hint)}\n")
        return ExitStatus.FAILED


def done(plan: "Plan") -> str:
    """What was done, in words."""
    from ..revoke import DELETE, INVALIDATE, RECREATE

    item = plan.object
    if plan.action == RECREATE:
        return "the account was made anew"
    if item is None or plan.action not in (DELETE, INVALIDATE):
        return plan.message
    name = f"{item['kind'].lower()}/{item['metadata']['name']}"
    return f"{name} was {'deleted' if plan.action == DELETE else 'marked invalid'}"
