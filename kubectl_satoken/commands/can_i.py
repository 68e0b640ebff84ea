"""kubectl satoken can-i: what may a service account do, why, and what is the least that lets it?"""

import argparse
from typing import TYPE_CHECKING, NamedTuple

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, NotFound, UsageError, visible
from ..flags import (
    add_cluster_flags,
    add_color_flag,
    add_file_flags,
    add_output_flag,
    overrides,
    scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..authorize import Account, Asker
    from ..denied import Denied
    from ..expect import Expectation
    from ..question import Asked
    from ..verdict import Place, Verdict
    from ..world import Kind, Object, World

HELP = "Tell what a service account may do, why, and what would let it"

DESCRIPTION = """\
Tell whether a service account may do something: the API server's own answer,
every binding that grants it, or what is nearly right, and the least Role that
would grant it.

TARGET is a service account (sa/x, or of another namespace sa/NAMESPACE:x), a
pod or anything with a pod template (pod/x, deploy/x), or me.
"""

EPILOG = f"""\
Examples:
  # May the pods of this deployment list secrets? Why, or why not?
  {PROG} can-i deploy/web list secrets -n shop

  # A subresource, one object, all namespaces, a URL
  {PROG} can-i sa/web create pods/exec
  {PROG} can-i sa/web get configmaps web-config
  {PROG} can-i sa/web watch deployments.apps -A
  {PROG} can-i sa/web get /metrics

  # Everything that it may do, and where from
  {PROG} can-i sa/web --list

  # The least Role for one question, or for all that a log complains about
  {PROG} can-i sa/web list pods --grant | kubectl apply -f -
  kubectl logs deploy/web | {PROG} can-i deploy/web --from-errors - --grant

  # For CI: what it must and must not be able to do
  {PROG} can-i sa/web --expect rights.txt

Exit status: 0 yes, 1 no, 2 usage, 3 could not be told.
"""

# --via: by a SubjectAccessReview, or a local one; as the account, by impersonation; with a token of
# the account, which is made for it; computed from RBAC objects.
WAYS = ("review", "impersonation", "token", "rbac")

FORMATS = ("wide", "json", "yaml", "name")
ME = "me"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of can-i."""
    parser.add_argument(
        "words",
        metavar="TARGET VERB TYPE [NAME]",
        nargs="*",
        help="who, and what it wants: sa/x list pods; TYPE is TYPE[.GROUP][/SUBRESOURCE], "
        "TYPE/NAME or a URL",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="ask about all namespaces at once"
    )
    parser.add_argument(
        "--subresource", default="", help="the subresource: --subresource=log is TYPE/log"
    )
    parser.add_argument(
        "--list", action="store_true", help="list all that it may do, and by which bindings"
    )
    parser.add_argument(
        "--expect",
        metavar="FILE",
        help="ask what this file says it must and must not be able to do; - for stdin",
    )
    parser.add_argument(
        "--from-errors",
        metavar="FILE",
        help="ask everything that this log says was forbidden to it; - for stdin",
    )
    parser.add_argument(
        "--grant",
        choices=("new", "patch"),
        metavar="HOW",
        help="print the least Role and binding that would grant it, for kubectl apply; =patch "
        "prints the command that adds it to a role that the account has, where one suits",
    )
    parser.add_argument(
        "--via",
        choices=WAYS,
        metavar="WAY",
        default="",
        help=f"ask in this way only: {', '.join(WAYS)}; token makes a token of the account for it",
    )
    add_file_flags(parser, "compute it from manifests or a snapshot")
    add_output_flag(
        parser,
        FORMATS,
        "; name is yes or no",
    )
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print nothing and read nothing but the answer: the exit status tells it",
    )
    parser.add_argument(
        "--no-headers", action="store_true", help="print no headers with --list and --expect"
    )
    add_color_flag(parser)
    add_cluster_flags(parser)
    parser.set_defaults(bare={"--grant": "new"})


def run(args: argparse.Namespace, env: Env) -> int:
    """Answers the question, or questions, and prints the verdict. Returns the exit status."""
    check_usage(args)
    place = from_files(args, env) if args.files else from_cluster(args, env)
    if args.list:
        return list_rights(place, args, env)
    from ..authorize import Asker

    asker = Asker(place.api, place.world, place.account, args.via, place.types)
    if args.expect:
        return expected(place, asker, args, env)
    if args.from_errors:
        return from_errors(place, asker, args, env)
    from ..question import parse

    asked = parse(
        args.words[1:],
        place.types,
        place.namespace,
        subresource=args.subresource,
        everywhere=args.all_namespaces,
    )
    return answered(place, asked, asker, args, env)


def check_usage(args: argparse.Namespace) -> None:
    """Raises UsageError for what cannot be meant together."""
    modes = [flag for flag in ("list", "expect", "from_errors") if getattr(args, flag)]
    if len(modes) > 1:
        first, second = (f"--{flag.replace('_', '-')}" for flag in modes[:2])
        raise UsageError(f"{first} and {second} cannot be used together")
    if not args.words and not args.expect:
        raise UsageError("whose rights? name a TARGET", "sa/x, pod/x, deploy/x or me")
    if modes and len(args.words) > 1:
        flag = f"--{modes[0].replace('_', '-')}"
        raise UsageError(f"{flag} takes a TARGET and no question: {' '.join(args.words[1:])}")
    if args.recursive and not args.files:
        raise UsageError("-R needs -f")
    if args.files and args.via not in ("", "rbac"):
        raise UsageError(f"--via={args.via} needs a cluster, not files")
    if args.grant and (args.list or args.expect):
        raise UsageError("--grant needs a question, or --from-errors")


# --- who is asked about ---------------------------------------------------------------------------


def from_cluster(args: argparse.Namespace, env: Env) -> "Place":
    """The cluster, and the account that TARGET means there."""
    from ..cluster import connect
    from ..discovery import types
    from ..kubeconfig import load
    from ..live import ClusterWorld
    from ..verdict import Place

    api = connect(load(overrides(args), env), env, args.verbosity)
    world = ClusterWorld(api, env)
    world.flags = scope(args)
    known = () if args.list or args.words[2:3] and args.words[2].startswith("/") else types(api)
    place = Place(api, world, known, api.namespace, None)
    return about(args.words[0], place) if args.words else place


def from_files(args: argparse.Namespace, env: Env) -> "Place":
    """What files say, and the account that TARGET means there."""
    from ..manifests import read
    from ..rbac_words import builtin_types
    from ..verdict import Place

    namespace = args.namespace or "default"
    files = read(args.files, namespace, env, recursive=args.recursive)
    place = Place(None, files, builtin_types(), namespace, None)
    return about(args.words[0], place) if args.words else place


def about(target: str, place: "Place") -> "Place":
    """The same place, with the account that TARGET means there."""
    api = place.api
    if target == ME:
        if api is None:
            raise UsageError("me is the user of a cluster, not of files")
        from ..authorize import user_name

        return place._replace(account=None, user=user_name(api), given=ME)

    def find_kind(word: str) -> "Kind":
        if api is None:
            from ..targets import unknown_kind

            return unknown_kind(word)
        from ..discovery import find

        return find(api, word)

    account, notes = account_named(target, place.namespace, find_kind, place.world)
    return place._replace(account=account, user="", given=target, notes=notes)


def account_named(
    target: str, namespace: str, find_kind: "Callable[[str], Kind]", world: "World"
) -> "tuple[Account, tuple[str, ...]]":
    """The account that TARGET means, and what has to be said of it.

    Raises NotFound for one that does not exist: to say "no" of it would lead astray.
    """
    from ..authorize import Account
    from ..rbac import USER_PREFIX
    from ..targets import fetch, parse

    word, _, name = target.partition("/")
    if target.startswith(USER_PREFIX):
        word, name = "sa", target.removeprefix(USER_PREFIX)
    if ":" in name and word in ("sa", "serviceaccount", "serviceaccounts"):
        where, _, own = name.partition(":")
        if not where or not own or ":" in own:
            raise UsageError(f"{target}: must be sa/NAMESPACE:NAME")
        return existing(Account(where, own), world, "")
    (one,) = parse([target], find_kind)
    if one.kind == "ServiceAccount":
        return existing(Account(namespace, one.name), world, "")
    item = fetch(one, namespace, world)
    return existing(Account(namespace, account_of_object(item, target)), world, target)


def account_of_object(item: "Object", target: str) -> str:
    """The name of the service account that an object runs as. Raises UsageError."""
    from ..mounts import account_of
    from ..workloads import template_pod

    pod = item if item["kind"] == "Pod" else template_pod(item)
    if pod is None:
        raise UsageError(
            f"{target} has no service account: it is no pod and has no pod template",
            "TARGET is sa/x, pod/x, deploy/x, anything with a pod template, or me",
        )
    return account_of(pod)


def existing(account: "Account", world: "World", owner: str) -> "tuple[Account, tuple[str, ...]]":
    """The account with what is to be said of it, if it exists or that cannot be seen."""
    from ..world import Unseen

    notes: tuple[str, ...] = ()
    if owner:
        notes = (f"{owner} runs as serviceaccount {account.name}",)
    namespace, name = account
    try:
        if world.get("ServiceAccount", namespace, name) is not None:
            return account, notes
    except Unseen as unseen:
        if world.source == "cluster":
            notes += (f"whether serviceaccount {name} exists was not seen: {unseen.why}",)
        return account, notes
    owned = f", as which {owner} runs" if owner else ""
    raise NotFound(
        f'serviceaccounts "{name}" not found in namespace {namespace}{owned}',
        hint_for_missing(account, world),
        code=404,
    )


def hint_for_missing(account: "Account", world: "World") -> str:
    """What may be meant by an account that does not exist."""
    from ..checks.account import namespaces_with, near_name

    namespace, name = account
    near = near_name(namespace, name, world)
    if near:
        return f"did you mean {near}?"
    elsewhere, _ = namespaces_with(name, world)
    if name != "default" and elsewhere:
        return f"did you mean sa/{elsewhere[0]}:{name}?"
    return f"kubectl -n {namespace} create serviceaccount {name} makes it"


# --- one question ---------------------------------------------------------------------------------


def answered(
    place: "Place", asked: "Asked", asker: "Asker", args: argparse.Namespace, env: Env
) -> int:
    """Prints the verdict on one question. Exit status 0 for yes, 1 for no."""
    from ..verdict import judge, verdict_object, word_of, write

    short = args.quiet or args.output == "name"
    if args.grant:
        answer = asker.ask(asked.question)
        return granted(place, [asked] if not answer.allowed else [], args, env)
    verdict = judge(place, asked, asker, reasons=not short, rules=args.output in ("json", "yaml"))
    if args.quiet:
        pass
    elif args.output == "name":
        env.stdout.write(f"{word_of(verdict)}\n")
        for note in asked.notes:
            env.stderr.write(f"warning: {note}\n")
    elif args.output in ("json", "yaml"):
        from ..output import write_object

        write_object(verdict_object(verdict), args.output, env)
    else:
        write(
            verdict,
            env,
            colour=env.colour(args.color),
            wide=args.output == "wide",
            least=grant_command(args, place),
        )
    return ExitStatus.OK if verdict.answer.allowed else ExitStatus.FINDINGS


def grant_command(args: argparse.Namespace, place: "Place") -> str:
    """The command line that prints, and applies, what this question needs."""
    from ..fixes import kubectl, pipe, satoken

    words = ["can-i", *args.words, "--grant"]
    for path in args.files:
        words += ["-f", path]
    if args.all_namespaces:
        words.append("-A")
    if args.subresource:
        words.append(f"--subresource={args.subresource}")
    return pipe(
        satoken(place.world, place.namespace, *words), kubectl(place.world, "", "apply", "-f", "-")
    )


def list_rights(place: "Place", args: argparse.Namespace, env: Env) -> int:
    """Prints all that the account may do. Exit status 3 where it may be more than was seen."""
    from ..rights import rights_object, rights_of, write_rights

    found = rights_of(place, args.via, everywhere=args.all_namespaces)
    if args.output in ("json", "yaml"):
        from ..output import write_object

        write_object(rights_object(place, found), args.output, env)
    else:
        write_rights(
            place,
            found,
            env,
            everywhere=args.all_namespaces,
            wide=args.output == "wide",
            headed=not args.no_headers,
        )
    return ExitStatus.FAILED if found.missing else ExitStatus.OK


# --- many questions -------------------------------------------------------------------------------


class Checked(NamedTuple):
    """What a line of --expect says, and what was answered."""

    expectation: "Expectation"
    verdict: "Verdict"

    @property
    def holds(self) -> bool:
        """Whether it is as the line says. What is allowed under conditions is no more than that."""
        answer = self.verdict.answer
        if self.expectation.must:
            return answer.allowed
        return not answer.allowed and not answer.conditional


def expected(place: "Place", asker: "Asker", args: argparse.Namespace, env: Env) -> int:
    """Asks what a file says must and must not be. Exit status 1 when any of it is otherwise."""
    from ..authorize import Asker
    from ..expect import read
    from ..manifests import read_text
    from ..verdict import judge

    name = "standard input" if args.expect == "-" else args.expect
    lines = read(read_text(args.expect, env), place.types, place.namespace, name)
    askers = {"": (place, asker)}
    found = []
    for line in lines:
        if line.target not in askers:
            other = about(line.target, place)
            its = Asker(other.api, other.world, other.account, args.via, other.types)
            askers[line.target] = other, its
        whom, its_asker = askers[line.target]
        if not whom.given:
            raise UsageError(
                f"{name}:{line.number}: whose rights? name a TARGET on the command line, "
                "or before the line",
                "as in sa/web:",
            )
        found.append(Checked(line, judge(whom, line.asked, its_asker, reasons=False)))
    write_checked(found, args, env)
    return ExitStatus.OK if all(one.holds for one in found) else ExitStatus.FINDINGS


def write_checked(found: "Sequence[Checked]", args: argparse.Namespace, env: Env) -> None:
    """Prints what was expected, and whether it is so."""
    from ..output import write_object, write_table
    from ..verdict import in_full, verdict_object

    if args.quiet:
        return
    if args.output in ("json", "yaml"):
        items = [
            {
                "line": one.expectation.number,
                "must": one.expectation.must,
                "holds": one.holds,
                "answer": verdict_object(one.verdict),
            }
            for one in found
        ]
        listing = {"apiVersion": "satoken/v1", "kind": "ExpectationList", "items": items}
        write_object(listing, args.output, env)
        return
    rows = [
        (
            "ok" if one.holds else "FAILED",
            one.expectation.number,
            one.verdict.place.given,
            "must" if one.expectation.must else "must-not",
            in_full(one.verdict.asked),
            "" if one.holds else one.verdict.answer.reason or one.verdict.answer.via,
        )
        for one in found
    ]
    if args.output == "name":
        env.stdout.write("".join(f"{row[0].lower()}\n" for row in rows))
        return
    headers = () if args.no_headers else ("RESULT", "LINE", "WHO", "EXPECTED", "QUESTION", "REASON")
    write_table(headers, [tuple(map(str, row)) for row in rows], env)


def from_errors(place: "Place", asker: "Asker", args: argparse.Namespace, env: Env) -> int:
    """Asks again all that a log says was forbidden to the account.

    Exit status 0 when all of it is allowed by now, or (--grant) what would allow it was printed.
    """
    from ..denied import needs, read
    from ..kinds import served
    from ..logs import lines_of
    from ..question import Asked
    from ..verdict import judge

    if place.account is None:
        raise UsageError("--from-errors needs a service account, not me")
    user = place.account.user
    mine: list[Denied] = []
    others: dict[str, int] = {}
    for denied in read(lines_of([args.from_errors], env)):
        if denied.user == user:
            mine.append(denied)
        else:
            others[denied.user] = others.get(denied.user, 0) + 1
    for other, number in others.items():
        times = "once" if number == 1 else f"{number} times"
        env.stderr.write(
            visible(f"note: {other} was refused {times}, which is somebody else") + "\n"
        )
    name = "standard input" if args.from_errors == "-" else args.from_errors
    if not mine:
        raise NotFound(f"nothing in {name} was forbidden to {user}", code=404)
    questions, notes = needs(mine)
    for note in notes:
        env.stderr.write(visible(f"note: {note}") + "\n")
    asked = [
        Asked(one, served(place.types, one.asked.group, one.asked.resource)) for one in questions
    ]
    if args.grant:
        lacking = [one for one in asked if not asker.ask(one.question).allowed]
        return granted(place, lacking, args, env)
    return listed([judge(place, one, asker, reasons=False) for one in asked], args, env)


def listed(verdicts: "Sequence[Verdict]", args: argparse.Namespace, env: Env) -> int:
    """Prints answers as a table. Exit status 1 when any of them is no."""
    from ..output import write_object, write_table
    from ..verdict import in_full, verdict_object, word_of

    if args.output in ("json", "yaml"):
        items = [verdict_object(one) for one in verdicts]
        write_object(
            {"apiVersion": "satoken/v1", "kind": "AnswerList", "items": items}, args.output, env
        )
    elif args.output == "name":
        env.stdout.write("".join(f"{word_of(one)}\n" for one in verdicts))
    elif not args.quiet:
        rows = [(word_of(one), in_full(one.asked), one.answer.reason) for one in verdicts]
        headers = () if args.no_headers else ("ALLOWED", "QUESTION", "REASON")
        write_table(headers, rows, env)
    allowed = all(one.answer.allowed for one in verdicts)
    return ExitStatus.OK if allowed else ExitStatus.FINDINGS


def granted(place: "Place", asked: "Sequence[Asked]", args: argparse.Namespace, env: Env) -> int:
    """Prints the least Role and binding for what is not allowed yet; warnings go to stderr."""
    from ..least import manifests, patch, text_of, warnings

    if place.account is None:
        raise UsageError("--grant needs a service account, not me")
    questions = [one.question for one in asked]
    for one in asked:
        for note in one.notes:
            env.stderr.write(visible(f"note: {note}") + "\n")
    if not questions:
        env.stderr.write("note: there is nothing to grant: it is allowed already\n")
        return ExitStatus.OK
    for warning in warnings(questions):
        env.stderr.write(visible(f"warning: {warning}") + "\n")
    fix = patch(place.world, place.account, questions) if args.grant == "patch" else None
    if fix is not None:
        env.stderr.write(visible(f"note: {fix.summary}") + "\n")
        env.stdout.write(fix.manifest or "".join(f"{command}\n" for command in fix.commands))
        return ExitStatus.OK
    if args.grant == "patch":
        env.stderr.write("note: no role of its own suits; this makes a new one\n")
    made = manifests(place.account, questions, place.world)
    env.stdout.write(text_of(made))
    return ExitStatus.OK
