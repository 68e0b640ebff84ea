"""kubectl satoken who-can: everybody who may do something, and by which binding."""

import argparse
from typing import TYPE_CHECKING

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, Forbidden, UsageError, visible
from ..flags import add_cluster_flags, add_file_flags, add_output_flag, overrides, scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kinds import Type
    from ..question import Asked
    from ..who import Found, Holder
    from ..world import Object, World

HELP = "Tell who may do something: users, groups and service accounts"

DESCRIPTION = """\
Tell who may do something by RBAC: every user, group and service account, by
which binding and role. In one namespace, or with -A in all of them: those who
may do it everywhere, and those who may in some namespaces.
"""

EPILOG = f"""\
Examples:
  # Who may read the secrets of the namespace?
  {PROG} who-can get secrets -n shop

  # Who may make tokens of any service account, anywhere?
  {PROG} who-can create serviceaccounts/token -A

  # The service accounts behind the groups, too
  {PROG} who-can list pods -n shop --expand

Exit status: 0 told, 2 usage, 3 could not be told, or (--strict) not all of it.
"""

FORMATS = ("wide", "json", "yaml", "name")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of who-can."""
    parser.add_argument(
        "words",
        metavar="VERB TYPE [NAME]",
        nargs="*",
        help="what is to be done: list pods; TYPE is TYPE[.GROUP][/SUBRESOURCE], TYPE/NAME or a "
        "URL",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="ask about each namespace there is"
    )
    parser.add_argument(
        "--subresource", default="", help="the subresource: --subresource=log is TYPE/log"
    )
    parser.add_argument(
        "--expand",
        action="store_true",
        help="name the service accounts that are in the groups of service accounts",
    )
    add_file_flags(parser, "compute it from manifests or a snapshot")
    add_output_flag(
        parser,
        FORMATS,
        "; wide shows also the parts of Kubernetes, and "
        "how a subject is named, name only the subjects",
    )
    parser.add_argument("--no-headers", action="store_true", help="print no headers")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 3 when something could not be seen"
    )
    add_cluster_flags(parser)


def run(args: argparse.Namespace, env: Env) -> int:
    """Finds everybody who may, and prints them. Returns the exit status."""
    if args.recursive and not args.files:
        raise UsageError("-R needs -f")
    if args.all_namespaces and args.namespace:
        raise UsageError("-n and -A cannot be used together")
    world, types, namespace = from_files(args, env) if args.files else from_cluster(args, env)
    from ..question import meant_verb, parse
    from ..who import expanded, find

    asked = parse(
        args.words,
        types,
        namespace,
        subresource=args.subresource,
        everywhere=args.all_namespaces,
    )
    verb = meant_verb(asked)
    if verb:
        note = f"no request has the verb {asked.question.asked.verb}, but {verb}"
        asked = asked._replace(notes=(*asked.notes, note))
    found = find(world, asked, everywhere=args.all_namespaces)
    if len(found.unseen) > 1 and not found.holders and world.source == "cluster":
        why = "; ".join(f"{one.what}: {one.why}" for one in found.unseen)
        raise Forbidden(f"nothing of RBAC can be seen: {why}", "ask for the right to list it")
    if args.expand:
        found = found._replace(holders=expanded(found.holders, world, found.unseen))
    write(found, asked, args, env)
    return ExitStatus.FAILED if args.strict and found.unseen else ExitStatus.OK


def from_cluster(args: argparse.Namespace, env: Env) -> "tuple[World, Sequence[Type], str]":
    """The cluster, its types, and the namespace."""
    from ..cluster import connect
    from ..discovery import types
    from ..kubeconfig import load
    from ..live import ClusterWorld

    api = connect(load(overrides(args), env), env, args.verbosity)
    world = ClusterWorld(api, env)
    world.flags = scope(args)
    a_url = args.words[1:2] and args.words[1].startswith("/")
    return world, [] if a_url else types(api), api.namespace


def from_files(args: argparse.Namespace, env: Env) -> "tuple[World, Sequence[Type], str]":
    """What files say, the built-in types, and the namespace."""
    from ..manifests import read
    from ..rbac_words import builtin_types

    namespace = args.namespace or "default"
    files = read(args.files, namespace, env, recursive=args.recursive)
    return files, builtin_types(), namespace


def write(found: "Found", asked: "Asked", args: argparse.Namespace, env: Env) -> None:
    """Prints who may, and on stderr what is to be said besides."""
    from ..output import row, write_object, write_table
    from ..verdict import in_full

    form = args.output
    if form in ("json", "yaml"):
        write_object(object_of(found, asked), form, env)
        return
    if form == "name":
        names = dict.fromkeys(subject_of(one) for one in sorted(found.holders, key=order))
        env.stdout.write("".join(visible(f"{name}") + "\n" for name in names))
    elif found.holders:
        shown = [one for one in set(found.holders) if form == "wide" or not one.usual]
        holders = sorted(shown, key=order)
        headers = ["KIND", "NAMESPACE", "NAME", "WHERE", "BINDING", "ROLE", "ONLY", "SAID"]
        wide = form == "wide" or args.expand
        rows = [
            [
                one.kind,
                one.namespace,
                one.name,
                one.where or "*",
                reference(one.binding),
                reference(one.role),
                ",".join(one.names),
                one.said if wide else "",
            ]
            for one in holders
        ]
        kept = [
            number
            for number, header in enumerate(headers)
            if header not in ("ONLY", "SAID", "NAMESPACE") or any(line[number] for line in rows)
        ]
        table = [[visible(line[number]) for number in kept] for line in rows]
        if table:
            write_table(() if args.no_headers else [headers[n] for n in kept], table, env)
        else:
            env.stdout.write(f"only parts of Kubernetes may {in_full(asked)}, by RBAC\n")
    else:
        nobody = "nobody that can be seen" if found.unseen else "nobody"
        env.stdout.write(f"{nobody} may {in_full(asked)}, by RBAC\n")
    notes = [("note", note) for note in asked.notes]
    notes += [
        ("note", f"{reference(one)}{placed(one)} refers to a role that does not exist")
        for one in found.dangling
    ]
    usual = len({one for one in found.holders if one.usual})
    if form is None and usual:
        parts = "1 part" if usual == 1 else f"{usual} parts"
        notes.append(("note", f"{parts} of Kubernetes may, as in every cluster: -o wide"))
    if form != "name":
        notes.append(("note", "group system:masters may do everything, whatever RBAC says"))
    if args.files:
        notes.append(("note", "computed from files; the cluster may have other bindings"))
    else:
        notes += [("not seen", f"{one.what}: {one.why}") for one in found.unseen]
    lines = [line for head, text in notes for line in row(head, text)]
    env.stderr.write("".join(f"{line}\n" for line in lines))


def order(one: "Holder") -> tuple[bool, str, str, str, str]:
    """Those who may everywhere first, then by namespace, kind and name."""
    return (bool(one.where), one.where, one.kind, one.namespace, one.name)


def subject_of(one: "Holder") -> str:
    """A subject as one word: ``serviceaccount/shop:web``, as kubectl create rolebinding has it."""
    whose = f"{one.namespace}:" if one.kind == "ServiceAccount" else ""
    return f"{one.kind.lower()}/{whose}{one.name}"


def reference(one: tuple[str, str, str]) -> str:
    """A binding or role: ``rolebinding/web``; its namespace is that of where it counts."""
    return f"{one[0].lower()}/{one[2]}"


def placed(one: tuple[str, str, str]) -> str:
    """Where a binding is, in a sentence."""
    return f" in {one[1]}" if one[1] else ""


def object_of(found: "Found", asked: "Asked") -> "Object":
    """Who may, for programs: `kind: WhoCan` of satoken/v1, see docs/whocan.schema.json."""
    from ..output import name_object
    from ..verdict import question_object

    return {
        "apiVersion": "satoken/v1",
        "kind": "WhoCan",
        "question": question_object(asked.question),
        "subjects": [
            {
                "kind": one.kind,
                "namespace": one.namespace or None,
                "name": one.name,
                "where": one.where or None,
                "binding": name_object(one.binding),
                "role": name_object(one.role),
                "names": list(one.names),
                "said": one.said or None,
                "usual": one.usual,
            }
            for one in sorted(set(found.holders), key=order)
        ],
        "dangling": [name_object(one) for one in found.dangling],
        "notes": list(asked.notes),
        "skipped": [{"what": one.what, "why": one.why} for one in found.unseen],
    }
