"""What an account must and must not be able to do, as a file says it, line by line.

    # the deployer
    must list pods
    must get pods/log -n shop
    must-not get secrets -A
    must get /healthz

    sa/backup:
    must-not create pods/exec -n kube-system

A question is what can-i takes, flags included. A line that names a TARGET and ends with a colon
says whom the lines below it are about, up to the next such line.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .errors import ManifestError, UsageError
from .kinds import Type
from .question import Asked, parse

MUST, MUST_NOT = "must", "must-not"

# The verbs of requests, and those that only RBAC and the like know.
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("approve", "attest", "bind", "escalate", "impersonate", "put", "post", "head", "sign", "use"),
)

AN_EXAMPLE = 'as in "must list pods -n shop" or "must-not get secrets -A"'


class Expectation(NamedTuple):
    """A line of the file: ``target`` is whom it is about, empty for the one on the command line."""

    target: str
    line: str
    number: int
    must: bool
    asked: Asked


class Scope(NamedTuple):
    """What the flags of a line say, and its other words."""

    words: list[str]
    namespace: str
    everywhere: bool
    subresource: str


def read(
    text: str, types: Sequence[Type], namespace: str, source: str = "expectations"
) -> list[Expectation]:
    """The expectations of a file. Raises ManifestError, with the line.

    What could never be answered with yes is an error here, though can-i itself takes it: a
    ``must-not`` that is misspelt would hold for ever.
    """
    import shlex

    found: list[Expectation] = []
    target = ""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            if words[-1].endswith(":") and words[0] not in (MUST, MUST_NOT):
                target = heading(words)
                continue
            must, rest = modal(words)
            scope = flags(rest, namespace)
            asked = parse(
                scope.words,
                types,
                scope.namespace,
                subresource=scope.subresource,
                everywhere=scope.everywhere,
            )
            check(asked, scope.words, types)
        except (UsageError, ValueError) as error:
            message, hint = str(error), getattr(error, "hint", "")
            if not isinstance(error, UsageError):  # of shlex: a quote that is not closed
                message = message.lower()
            raise ManifestError(f"{source}:{number}: {message}", hint) from error
        found.append(Expectation(target, " ".join(words), number, must, asked))
    if not found:
        raise ManifestError(f"{source}: nothing is expected in it", AN_EXAMPLE)
    return found


def heading(words: list[str]) -> str:
    """The TARGET of a line such as ``sa/deployer:``. Raises UsageError."""
    target = words[-1].removesuffix(":")
    if len(words) > 1 or not target or (target != "me" and "/" not in target):
        raise UsageError(f"{' '.join(words)}: a heading is a TARGET and a colon", "as in sa/web:")
    return target


def modal(words: list[str]) -> tuple[bool, list[str]]:
    """Whether it must or must not, and the question. Raises UsageError."""
    if words[0] == MUST_NOT:
        return False, words[1:]
    if words[0] == MUST:
        if words[1:2] == ["not"]:
            return False, words[2:]
        return True, words[1:]
    raise UsageError(f"{words[0]}: a line begins with {MUST} or {MUST_NOT}", AN_EXAMPLE)


def flags(words: list[str], namespace: str) -> Scope:
    """The flags among the words of a question. Raises UsageError."""
    plain: list[str] = []
    everywhere, subresource, where = False, "", ""
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif word in ("-A", "--all-namespaces"):
            everywhere = True
        elif flag in ("-n", "--namespace"):
            where = (value if equals else next(rest, "")) or lacking(flag)
        elif flag == "--subresource":
            subresource = (value if equals else next(rest, "")) or lacking(flag)
        elif word.startswith("-n") and not word.startswith("--"):
            where = word[2:]
        else:
            raise UsageError(f"unknown flag: {word}", "a line takes -n, -A and --subresource")
    if everywhere and where:
        raise UsageError("-n and -A cannot be used together")
    return Scope(plain, where or namespace, everywhere, subresource)


def lacking(flag: str) -> str:
    """Raises UsageError for a flag without its value."""
    raise UsageError(f"flag needs an argument: {flag}")


def check(asked: Asked, words: Sequence[str], types: Sequence[Type]) -> None:
    """Raises UsageError for a type, a subresource or a verb that is there for nobody."""
    question = asked.question.asked
    if asked.type is None and not question.path and not question.group and question.resource != "*":
        raise UsageError(
            f"the server doesn't have a resource type '{words[1]}'",
            "kubectl api-resources lists them; say TYPE.GROUP for one that is not there yet",
        )
    below = question.subresource
    known = any(one.subresources for one in types)  # of a server's types only
    if asked.type and known and below not in ("", *asked.type.subresources):
        some = ", ".join(asked.type.subresources) or "none"
        raise UsageError(f"{question.resource} has no subresource {below}", f"it has {some}")
    for near in misspelt(question.verb):
        raise UsageError(f"unknown verb: {question.verb}", f"did you mean {near}?")


def misspelt(verb: str) -> Iterator[str]:
    """The verbs that one was meant as. A verb that is like none may be somebody's own."""
    if verb == "*" or verb in VERBS or ":" in verb:
        return
    from difflib import get_close_matches

    yield from get_close_matches(verb.lower(), VERBS, 1, 0.75)
