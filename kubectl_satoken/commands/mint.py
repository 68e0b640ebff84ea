"""kubectl satoken mint: a token for a service account, in the form that its user needs."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import (
    ApiError,
    ExitStatus,
    Forbidden,
    SatokenError,
    Unauthorized,
    UsageError,
    visible,
)
from ..flags import add_cluster_flags, add_output_flag, overrides, repeated, scope

if TYPE_CHECKING:
    from ..cluster import Api
    from ..handles import Handle
    from ..kubeconfig import Overrides, Target
    from ..mint import Ask, Bound, Minted
    from ..token import Claims
    from ..token_cache import Kept
    from ..world import Object, Sealed, World

HELP = "Make a token for a service account: bound, checked, in the form you need"

DESCRIPTION = """\
Make a token for a service account, as kubectl create token does, and hand it
over in a form that a client takes: a kubeconfig, one that renews itself, a
header, a Secret.

mint SA makes a token of that account. mint pod/x makes exactly the token that
the kubelet asks for on behalf of that pod.
"""

EPILOG = f"""\
Examples:
  # A token for an hour, as kubectl create token
  {PROG} mint web

  # For Vault, ending with the pod that it is made for
  {PROG} mint web --audience vault --duration 20m --bound-to pod/web-6d4

  # The token that the kubelet puts into this pod
  {PROG} mint pod/web-6d4

  # A kubeconfig, readable by you alone
  {PROG} mint web -o kubeconfig --out ./private/web.kubeconfig

  # A context beside your own which renews itself: no long-lived token on disk
  {PROG} mint web --renew --merge

  # curl, without the token in its arguments
  {PROG} mint web -o header | curl --cacert ca.crt -H @- https://SERVER/api

  # One that you can end: deleting the Secret named on stderr ends the token
  {PROG} mint ci --revocable --purpose "nightly build"
  {PROG} mint --list

Exit status: 0 done, 2 usage, 3 there is no token.
"""

CREDENTIAL = "exec-credential"
FORMATS = (
    *("token", "json", "yaml", "kubeconfig", CREDENTIAL, "env", "header", "secret", "claims"),
)
BOUND_KINDS = ("Node", "Pod", "Secret")
DEFAULT_FILE = "-"  # of --merge: the kubeconfig that kubectl config would add to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of mint."""
    parser.add_argument(
        "words", metavar="SA | pod/NAME", nargs="*", help="the service account, or a pod"
    )
    parser.add_argument(
        "--audience",
        dest="audiences",
        action="append",
        default=[],
        help="whom the token is for, can be repeated; the API server if unset. With pod/NAME: "
        "which of its tokens",
    )
    parser.add_argument(
        "--duration",
        help="requested lifetime (20m, 8h); the server decides if unset or 0, and may grant a "
        "longer or shorter one",
    )
    parser.add_argument(
        "--bound-to",
        metavar="TYPE/NAME",
        help="a pod, secret or node with which the token ends, as it is now",
    )
    parser.add_argument(
        "--bound-object-kind",
        metavar="KIND",
        default="",
        help=f"the same in the words of kubectl create token: {', '.join(BOUND_KINDS)}",
    )
    parser.add_argument("--bound-object-name", metavar="NAME", default="", help="its name")
    parser.add_argument("--bound-object-uid", metavar="UID", default="", help="its uid")
    parser.add_argument("--volume", help="with pod/NAME: the volume whose token is meant")
    add_output_flag(
        parser,
        FORMATS,
        " (default: token)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write to this file instead, mode 0600, whole or not at all"
    )
    parser.add_argument(
        "--allow-open-folder",
        action="store_true",
        help="let --out write to a folder that other users may read or write",
    )
    parser.add_argument(
        "--merge",
        metavar="FILE",
        help="add the account to this kubeconfig as a context; without =FILE to the one that "
        "kubectl config would add to. It is locked as by kubectl, and a backup is kept",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="a kubeconfig without a token: it runs this command as you, when one is needed",
    )
    parser.add_argument(
        "--revocable",
        action="store_true",
        help="bind the token to a Secret made for it: deleting that ends the token",
    )
    parser.add_argument(
        "--purpose", metavar="TEXT", default="", help="with --revocable: what the token is for"
    )
    parser.add_argument(
        "--list", action="store_true", help="list the Secrets that --revocable made"
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="with --list: of all namespaces"
    )
    parser.add_argument("--no-headers", action="store_true", help="with --list: print no headers")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="ask the API server whether it takes the token, before handing it over",
    )
    add_cluster_flags(parser)
    parser.set_defaults(bare={"--merge": DEFAULT_FILE})


def run(args: argparse.Namespace, env: Env) -> int:
    """Makes a token and hands it over. Returns the exit status."""
    seconds = check_usage(args)
    if args.list:
        return listed(args, env)
    from ..kubeconfig import load

    flags = overrides(args)
    target = load(flags, env)
    job = Job(args, env, flags, target)
    asked = job.ask(seconds)
    if job.form == CREDENTIAL:
        job.version()  # before a token is made that no client would take
        if job.from_cache(asked):
            return ExitStatus.OK
    job.make(asked)
    return ExitStatus.OK


# --- the command line -----------------------------------------------------------------------------


def check_usage(args: argparse.Namespace) -> int | None:
    """The seconds that are asked for. Raises UsageError, in the words of kubectl create token."""
    seconds = duration(args.duration)
    if args.list:
        if args.words:
            raise UsageError("--list takes no NAME")
        if args.output not in (None, "json", "yaml"):
            raise UsageError(f"--list has no -o {args.output}", "-o json or -o yaml")
        return seconds
    if not 1 <= len(args.words) <= 2:
        raise UsageError(
            f"exactly one NAME is required, got {len(args.words)}",
            "see 'kubectl satoken mint --help' for usage",
        )
    if not args.words[-1]:
        raise UsageError("service account name is required")
    if "" in args.audiences:
        raise UsageError("--audience must not be an empty string")
    check_bound(args)
    for flag in ("all_namespaces", "no_headers"):
        if getattr(args, flag):
            raise UsageError(f"--{flag.replace('_', '-')} is for --list")
    if args.purpose and not args.revocable:
        raise UsageError("--purpose is for --revocable")
    if args.revocable and args.output == CREDENTIAL:
        raise UsageError(
            f"--revocable cannot be used with -o {CREDENTIAL}: each call would make a Secret",
            "--renew --revocable makes one for all calls",
        )
    if args.revocable and args.output == "claims":
        raise UsageError("--revocable cannot be used with -o claims: nobody would have the token")
    if args.renew or args.merge is not None:
        flag = "--renew" if args.renew else "--merge"
        if args.output not in (None, "kubeconfig"):
            raise UsageError(f"{flag} makes a kubeconfig, not -o {args.output}")
    if args.merge is not None and args.out is not None:
        raise UsageError("--merge and --out cannot be used together")
    if args.merge == "" or args.out == "":
        raise UsageError("the name of the file is empty")
    if args.out == "-":
        raise UsageError("--out needs a file; without it the token goes to stdout")
    if args.allow_open_folder and args.out is None:
        raise UsageError("--allow-open-folder is for --out")
    return seconds


def duration(text: str | None) -> int | None:
    """The seconds of --duration; None for the server's default. Raises UsageError."""
    if text is None:
        return None
    from ..durations import SECOND, nanoseconds

    try:
        span = nanoseconds(text)
    except ValueError as error:
        raise UsageError(f'invalid argument "{text}" for "--duration" flag: {error}') from error
    if span < 0:
        raise UsageError("--duration must be greater than or equal to 0")
    if span % SECOND:
        raise UsageError("--duration cannot be expressed in units less than seconds")
    return span // SECOND or None


def check_bound(args: argparse.Namespace) -> None:
    """Raises UsageError for what --bound-... cannot mean."""
    kind, name = args.bound_object_kind, args.bound_object_name
    if not kind:
        for flag in ("name", "uid"):
            if getattr(args, f"bound_object_{flag}"):
                raise UsageError(
                    f"--bound-object-{flag} can only be set if --bound-object-kind is provided"
                )
    elif kind not in BOUND_KINDS:
        raise UsageError(f"supported --bound-object-kind values are {', '.join(BOUND_KINDS)}")
    elif not name:
        raise UsageError("--bound-object-name is required if --bound-object-kind is provided")
    ways = [
        flag
        for flag, given in (
            ("--bound-to", args.bound_to is not None),
            ("--bound-object-kind", kind),
            ("--revocable", args.revocable),
        )
        if given
    ]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} cannot be used together: one object is bound")


# --- one token ------------------------------------------------------------------------------------


class Job:
    """One call of mint: what it was asked, and the API server once that is needed."""

    def __init__(
        self, args: argparse.Namespace, env: Env, flags: "Overrides", target: "Target"
    ) -> None:
        self.args = args
        self.env = env
        self.flags = flags
        self.target = target
        self.namespace = target.namespace or "default"
        self.connected: Api | None = None
        self.seen: World | None = None
        self.form: str = args.output or (
            "kubeconfig" if args.renew or args.merge is not None else "token"
        )

    @property
    def api(self) -> "Api":
        """The API server."""
        if self.connected is None:
            from ..cluster import connect

            self.connected = connect(self.target, self.env, self.args.verbosity)
        return self.connected

    @property
    def world(self) -> "World":
        """What can be seen of the cluster."""
        if self.seen is None:
            from ..live import ClusterWorld

            world = ClusterWorld(self.api, self.env)
            world.flags = scope(self.args)
            self.seen = world
        return self.seen

    def note(self, text: str) -> None:
        """Says something on stderr."""
        self.env.stderr.write(f"note: {visible(text)}\n")

    # --- what is asked for

    def ask(self, seconds: int | None) -> "Ask":
        """The token that is asked for, with what has to be looked up. Raises SatokenError."""
        from ..kinds import builtin_kind
        from ..mint import Ask

        words = self.args.words
        word, slash, name = words[0].partition("/")
        if len(words) == 2:
            word, slash, name = words[0], "/", words[1]
            if builtin_kind(word) is None:
                raise UsageError(
                    "exactly one NAME is required, got 2",
                    "see 'kubectl satoken mint --help' for usage",
                )
        if not slash:
            word, name = "serviceaccount", words[0]
        kind = builtin_kind(word)
        if kind is not None and kind.kind == "ServiceAccount":
            if not name or "/" in name:
                raise UsageError(f"{'/'.join(words)}: must be SA, sa/NAME or pod/NAME")
            if self.args.volume:
                raise UsageError("--volume is for pod/NAME")
            audiences = tuple(self.args.audiences)
            return Ask(self.namespace, name, audiences, seconds, self.bound(name))
        return self.of_object(word, name, seconds)

    def of_object(self, word: str, name: str, seconds: int | None) -> "Ask":
        """The token of a pod. Raises UsageError for others, with the account of a workload."""
        from ..discovery import find
        from ..fixes import satoken
        from ..mounts import account_of
        from ..pod_tokens import choose, sources
        from ..server import api_audiences
        from ..targets import fetch, parse
        from ..workloads import template_pod

        (one,) = parse([f"{word}/{name}"], lambda text: find(self.api, text))
        item = fetch(one, self.namespace, self.world)
        if one.kind != "Pod":
            pod = template_pod(item)
            runs = ""
            if pod:
                own = account_of(pod)
                command = satoken(self.world, self.namespace, "mint", own)
                runs = f"it runs as serviceaccount {own}: {command}"
            raise UsageError(f"{word}/{name} is neither a service account nor a pod", runs)
        words = ("mint", account_of(item), "--bound-to", f"pod/{name}")
        other = satoken(self.world, self.namespace, *words)
        given = {
            "--duration": seconds,
            "--bound-to": self.args.bound_to,
            "--bound-object-kind": self.args.bound_object_kind,
            "--revocable": self.args.revocable,
        }
        for flag, value in given.items():
            if value:
                raise UsageError(
                    f"{flag} cannot be used with pod/{name}: the pod says all of it",
                    f"for another token of its account: {other}",
                )
        audiences = tuple(self.args.audiences)
        named = {one.audience for one in sources(item)}
        other_one = audiences and audiences[0] not in named and "" in named
        if other_one and audiences[0] in (api_audiences(self.world) or ()):
            # volumes leave out the audience of the API server, which their tokens have
            audiences = ("", *audiences[1:])
        asked, notes = choose(item, audiences, self.args.volume or "", other)
        for text in notes:
            self.note(text)
        return asked

    def bound(self, account: str) -> "Bound | None":
        """What the token is to be bound to, as it is now. Raises SatokenError."""
        from ..mint import Bound

        if self.args.bound_object_kind:
            return Bound(
                self.args.bound_object_kind,
                self.args.bound_object_name,
                self.args.bound_object_uid,
            )
        if self.args.bound_to is None:
            return None
        from ..fixes import satoken
        from ..kinds import builtin_kind
        from ..mounts import account_of
        from ..targets import fetch, parse, unknown_kind
        from ..world import Unseen

        text = self.args.bound_to
        word, slash, _ = text.partition("/")
        kind = builtin_kind(word) if slash else None
        if kind is None or kind.kind not in BOUND_KINDS:
            raise UsageError(f"--bound-to {text}: must be pod/NAME, secret/NAME or node/NAME")
        (one,) = parse([text], unknown_kind)
        try:
            item = fetch(one, self.namespace, self.world)
        except SatokenError as error:
            if not isinstance(error.__cause__, Unseen):
                raise
            self.note(f"{text} is bound by name only: {error.__cause__.why}")
            return Bound(one.kind, one.name)
        if one.kind == "Pod" and account_of(item) != account:
            raise UsageError(
                f"pod/{one.name} runs as serviceaccount {account_of(item)}, not {account}",
                satoken(self.world, self.namespace, "mint", account_of(item), "--bound-to", text),
            )
        if item["metadata"].get("deletionTimestamp"):
            self.note(f"{text} is being deleted, and the token ends with it")
        return Bound(one.kind, one.name, item["metadata"]["uid"])

    # --- the cache

    def version(self) -> str:
        """The API version of an ExecCredential."""
        from ..token_output import exec_version

        return exec_version(self.env.environ)

    def process(self) -> str:
        """Who runs us as its credential plugin; empty where nobody does."""
        from ..token_cache import asking_process
        from ..token_output import EXEC_INFO

        return asking_process() if self.env.environ.get(EXEC_INFO) else ""

    def cache_file(self, asked: "Ask") -> str | None:
        """Where the token is kept; nowhere if it is made with a --token that others may not have.

        What is verified, or bound to a handle of its own, is made anew.
        """
        from ..token_cache import cache_file

        if self.args.token or self.args.verify or self.args.revocable:
            return None
        return cache_file(self.target, asked, self.env)

    def from_cache(self, asked: "Ask") -> bool:
        """Hands over the token that is kept, if there is one."""
        from ..token_cache import find
        from ..token_output import credential_text

        kept = find(self.cache_file(asked), self.env, self.process())
        if kept is None:
            return False
        self.hand_over(credential_text(kept, self.version()))
        return True

    # --- making it

    def make(self, asked: "Ask") -> None:
        """Makes the token, checks it, and hands it over. Raises SatokenError."""
        from ..denied import grant

        if self.args.out is not None:
            from ..secret_file import confirm_place

            confirm_place(self.args.out, self.args.allow_open_folder)
        plugin = self.exec_flags() if self.args.renew else []
        handle = None
        if self.args.revocable:
            try:
                handle = self.handle(asked)
            except ApiError as error:
                error.hint = grant(error.message, "mint-secrets", self.world) or error.hint
                error.message = f"failed to create the token's Secret: {error.message}"
                raise
            asked = asked._replace(bound=handle.bound)
        try:
            minted = self.minted(asked)
            claims = self.claims_of(minted)
            self.say(asked, minted, claims)
            if self.args.verify:
                self.verify(asked, minted)
            if handle is not None:
                self.date(handle, minted)
            self.write(asked, minted, claims, plugin)
        except BaseException:
            if handle is not None:
                self.take_back(handle)
            raise
        if handle is not None:
            from ..fixes import kubectl

            ends = kubectl(self.world, handle.namespace, "delete", "secret", handle.name)
            self.note(f"this ends the token: {ends}")

    def minted(self, asked: "Ask") -> "Minted":
        """The token. Raises ApiError, explained."""
        from ..mint import explained, mint

        try:
            return mint(self.api, asked)
        except ApiError as error:
            raise explained(error, asked, self.world) from error

    def claims_of(self, minted: "Minted") -> "Claims | None":
        """What the token says of itself, where it is a JWT."""
        from ..token import Malformed, decode

        try:
            return decode(minted.token)
        except Malformed:
            if self.form == "claims":
                raise
            return None

    def say(self, asked: "Ask", minted: "Minted", claims: "Claims | None") -> None:
        """Says what may surprise; not to those who only wanted kubectl to work."""
        from ..mint import notes
        from ..token_output import EXEC_INFO

        if self.form == CREDENTIAL and self.env.environ.get(EXEC_INFO):
            return
        for text in notes(asked, minted, claims, self.api.said):
            self.note(text)
        carried = self.form in ("kubeconfig", CREDENTIAL, "env", "header")
        if carried and self.target.server.startswith("http:"):
            self.note("the server is plain http, over which kubectl sends no token")

    def verify(self, asked: "Ask", minted: "Minted") -> None:
        """Raises SatokenError unless the API server takes the token."""
        from ..review import review

        own = minted.spec.get("audiences") or []
        try:
            verdict = review(self.api, minted.token, asked.audiences and own)
        except Forbidden as error:
            error.message = f"the token could not be verified: {error.message}"
            error.hint = "of a token for somebody else only a TokenReview tells"
            raise
        if not verdict["authenticated"]:
            why = f": {verdict['error']}" if verdict["error"] else ""
            raise Unauthorized(
                f"the API server does not take the token that it made{why}",
                f"by {verdict['by']}; kubectl satoken explain knows the messages",
            )
        whom = f" for {', '.join(asked.audiences)}" if asked.audiences and own else ""
        self.note(f"verified by {verdict['by']}{whom}: {verdict['user'] or 'it is taken'}")

    # --- what ends it

    def handle(self, asked: "Ask") -> "Handle":
        """A Secret to bind the token to. Raises ApiError."""
        from ..authorize import user_name
        from ..handles import DEFAULT_LIFE, RENEWED, make
        from ..times import timestamp

        now = self.env.now()
        expires = timestamp(now + (asked.seconds or DEFAULT_LIFE))
        if self.args.renew:
            expires = RENEWED
        owner = user_name(self.api)
        return make(
            self.api, asked.namespace, asked.account, self.args.purpose, expires, owner, now
        )

    def date(self, handle: "Handle", minted: "Minted") -> None:
        """Corrects the date of the handle, where the server granted another life."""
        from ..handles import RENEWED, set_expiry
        from ..times import seconds

        expires = str(minted.status.get("expirationTimestamp") or "")
        if handle.expires == RENEWED or not expires:
            return
        if abs(seconds(expires) - seconds(handle.expires)) > 60:
            try:
                set_expiry(self.api, handle, expires)
            except ApiError as error:
                self.note(f"secret/{handle.name} tells another time of expiry: {error.message}")

    def take_back(self, handle: "Handle") -> None:
        """Removes the handle of a token that was not handed over, which ends that as well."""
        from ..handles import remove

        try:
            why = remove(self.api, handle)
        except SatokenError as error:
            why = error.message
        if why:
            self.note(f"secret/{handle.name} was made for it and is left: {why}")

    # --- handing it over

    def write(
        self, asked: "Ask", minted: "Minted", claims: "Claims | None", plugin: list[str]
    ) -> None:
        """Hands the token over in its form."""
        from .. import token_output as forms

        if self.form == "kubeconfig":
            self.kubeconfig(asked, minted, plugin)
        elif self.form == CREDENTIAL:
            self.hand_over(forms.credential_text(self.keep(asked, minted), self.version()))
        elif self.form == "claims":
            assert claims is not None
            self.hand_over(forms.claims_text(claims))
        elif self.form == "token":
            terminal = self.args.out is None and self.env.stdout.isatty()
            self.hand_over(forms.token_text(minted.token, terminal=terminal))
        elif self.form == "header":
            self.hand_over(forms.header_text(minted.token))
        elif self.form == "env":
            self.hand_over(forms.env_text(minted.token, self.target, asked.namespace))
        elif self.form == "secret":
            self.hand_over(forms.secret_text(minted, asked, self.target))
        else:
            self.hand_over(forms.request_text(minted, self.form))

    def hand_over(self, content: "Sealed") -> None:
        """Writes it to stdout, or to the file of --out."""
        if self.args.out is None:
            self.env.stdout.write(content.reveal())
            return
        from ..secret_file import create

        create(self.args.out, content, open_folder=self.args.allow_open_folder)

    def keep(self, asked: "Ask", minted: "Minted", *, served: bool = True) -> "Kept":
        """Keeps the token for the next call."""
        from ..times import seconds
        from ..token_cache import keep

        try:
            until = seconds(str(minted.status["expirationTimestamp"]))
            # the server's own clock, of which ours may differ
            life = until - seconds(str(minted.metadata["creationTimestamp"]))
        except (KeyError, ValueError):
            life = float(minted.spec.get("expirationSeconds") or 0)
        process = self.process() if served else ""
        return keep(self.cache_file(asked), minted.token, life, self.env, process)

    def kubeconfig(self, asked: "Ask", minted: "Minted", plugin: list[str]) -> None:
        """A kubeconfig with the token, or one that asks for it; perhaps within another."""
        from ..kubeconfig_merge import (
            default_file,
            entries,
            exec_user,
            merge,
            new_config,
            token_user,
        )

        account = f"{asked.namespace}/{asked.account}"
        if self.args.renew:
            user = exec_user(self.exec_entry(asked, plugin), account)
            if not self.args.revocable:
                self.keep(asked, minted, served=False)  # for the first that asks
        else:
            user = token_user(minted.token, account)
        made = entries(self.target, self.flags, self.env, asked.namespace, asked.account, user)
        if self.args.merge is None:
            self.hand_over(new_config(made))
            return
        path = self.args.merge
        if path == DEFAULT_FILE:
            path = default_file(self.flags, self.env)
        if self.args.renew and made.name == self.target.context:
            raise UsageError(
                f"context {made.name} would have to renew itself",
                "say --context with one of your own",
            )
        merged = merge(path, made)
        for text in merged.notes:
            self.note(text)
        self.note(f"context {merged.context} is in {merged.path}")

    def exec_flags(self) -> list[str]:
        """The flags that make a later call reach the same cluster as the same user.

        Raises UsageError for a token, which would stand in the kubeconfig.
        """
        import os

        given = argparse.Namespace(**vars(self.args))
        given.context = self.target.context
        for name in ("kubeconfig", "certificate_authority", "client_certificate", "client_key"):
            if getattr(given, name):
                setattr(given, name, os.path.abspath(getattr(given, name)))
        return repeated(given)

    def exec_entry(self, asked: "Ask", flags: list[str]) -> "Object":
        """The exec plugin of a kubeconfig: this command, for the same token, as the same user."""
        import os

        from ..durations import written
        from ..kubeconfig_files import paths

        words = ["mint", asked.account, f"--namespace={asked.namespace}", f"--output={CREDENTIAL}"]
        words += [f"--audience={audience}" for audience in asked.audiences]
        words += [f"--duration={written(asked.seconds)}"] if asked.seconds else []
        if asked.bound:
            words += [
                f"--bound-object-kind={asked.bound.kind}",
                f"--bound-object-name={asked.bound.name}",
            ]
            words += [f"--bound-object-uid={asked.bound.uid}"] if asked.bound.uid else []
        entry: Object = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubectl-satoken",
            "args": [*words, *flags],
            "interactiveMode": "Never",
            "provideClusterInfo": False,
            "installHint": "This kubeconfig gets its tokens from the kubectl plugin satoken, "
            "whose program kubectl-satoken must be in PATH.",
        }
        if not self.args.kubeconfig and self.target.user != "in-cluster":
            files = [os.path.abspath(path) for path in paths("", self.env)]
            entry["env"] = [{"name": "KUBECONFIG", "value": os.pathsep.join(files)}]
        return entry


# --- the tokens that can be ended -----------------------------------------------------------------


def listed(args: argparse.Namespace, env: Env) -> int:
    """Prints the handles of --revocable."""
    from ..cluster import connect
    from ..handles import HEADERS, handle_object, handles, rows
    from ..kubeconfig import load
    from ..output import write_object, write_table

    api = connect(load(overrides(args), env), env, args.verbosity)
    found = list(handles(api, "" if args.all_namespaces else api.namespace))
    if args.output:
        items = [handle_object(one) for one in found]
        write_object(
            {"apiVersion": "satoken/v1", "kind": "HandleList", "items": items}, args.output, env
        )
    elif not found:
        where = "" if args.all_namespaces else f" in namespace {api.namespace}"
        env.stderr.write(f"No revocable tokens found{where}.\n")
    else:
        headers = HEADERS if args.all_namespaces else HEADERS[1:]
        table = rows(found, env.now(), everywhere=args.all_namespaces)
        write_table(() if args.no_headers else headers, table, env)
    return ExitStatus.OK
