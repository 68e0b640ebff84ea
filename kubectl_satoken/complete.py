"""Completes command lines, for kubectl (as kubectl_complete-satoken) and for scripts of shells.

The parsers say what can come next: flags with their help, choices, and metavars, whose words name
what stands in their place (``TYPE/NAME``, ``SA``, ``CHECK``, ``FILE``). So a verb is completed by
being one, if its metavars are made of the words of SOURCES, FILES or SAME.

The answer is cobra's, whose scripts kubectl has: a line for each candidate, with a description
after a tab, and last a colon with the sum of directives. It comes in time or is empty, and no error
is ever told: whoever presses TAB is in the middle of a line.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .env import Env
from .errors import ExitStatus, SatokenError
from .kinds import builtin_kind
from .world import KINDS, Kind

if TYPE_CHECKING:
    from .cluster import Api

SECONDS = 3.0  # until an answer is of no use any more
MOST = 500  # names that are asked for

NO_SPACE = 2  # after the candidate: it goes on
NO_FILES = 4  # where there is no candidate

TARGETS = (
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
    "ServiceAccount",
    "Secret",
)


class Candidate(NamedTuple):
    value: str
    description: str = ""


class Found(NamedTuple):
    """What may stand there, and cobra's directives."""

    candidates: Sequence[Candidate] = ()
    directive: int = NO_FILES


class Line(NamedTuple):
    """The words before the one to complete, as the parser of their verb takes them."""

    values: dict[str, list[str]]  # of flags, by destination
    words: list[str]  # that are no flags
    waiting: Any = None  # the flag whose value comes next
    ended: bool = False  # by --


class OutOfTime(BaseException):
    """Nothing on the way must take it for an error of its own."""


def answer(words: Sequence[str], env: Env) -> int:
    """Prints how the last word could go on (empty: it has not begun); always fine."""
    found = Found()
    quiet = Env(io.StringIO(), env.stdout, io.StringIO(), env.environ, env.fixed_now)
    try:
        with time_limit(SECONDS):
            found = completions(words, quiet)
    except (Exception, OutOfTime, SystemExit):
        if env.environ.get("SATOKEN_TRACEBACK"):
            raise
    lines = ["\t".join(filter(None, candidate)) for candidate in found.candidates]
    env.stdout.write("".join(f"{line}\n" for line in [*lines, f":{found.directive}"]))
    return ExitStatus.OK


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime when it takes longer, where the system has a timer for that."""
    import signal

    if not hasattr(signal, "setitimer"):
        yield
        return

    def over(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def completions(words: Sequence[str], env: Env) -> Found:
    """What the last word may become. Raises whatever stands in the way."""
    from .cli import VERBS, verb_parser

    *before, last = words or [""]
    if not before or before == ["help"]:
        return verbs(last, flags=not before)
    if before[0] not in VERBS:
        return Found()
    parser = verb_parser(before[0])
    line = read(parser, before[1:])
    place = Place(parser, line, env)
    if line.waiting is not None:
        return place.value_of(line.waiting, last)
    if last.startswith("-") and not line.ended:
        flag, equals, value = last.partition("=")
        if not equals:
            return Found(starting(last, flags_left(parser, line)))
        action = options_of(parser).get(flag)
        return place.value_of(action, value) if takes_value(action) else Found()
    return place.word(last)


def verbs(last: str, flags: bool) -> Found:
    """The verbs, and what else may come first."""
    from .cli import VERBS, command_of

    found = [Candidate(verb, command_of(verb).HELP) for verb in VERBS]
    if flags:
        found.append(Candidate("help", "Show the help of a command"))
        if last.startswith("-"):
            found += [Candidate("--help", "Show the commands"), Candidate("--version")]
    return Found(starting(last, found))


def starting(prefix: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that the word can become."""
    return [one for one in candidates if one.value.startswith(prefix)]


# --- the parser ------------------------------------------------------------------------------


def options_of(parser: Any) -> dict[str, Any]:
    """The flags of a parser, by each of their names."""
    return {name: action for action in parser._actions for name in action.option_strings}


def takes_value(action: Any) -> bool:
    """Whether a flag has a value."""
    return action is not None and action.nargs != 0


def read(parser: Any, before: Sequence[str]) -> Line:
    """The words before, as argparse would take them; what it would refuse is left out."""
    options = options_of(parser)
    bare = parser.get_default("bare") or {}
    line = Line({}, [])
    for index, word in enumerate(before):
        if line.waiting is not None:
            line.values.setdefault(line.waiting.dest, []).append(word)
            line = line._replace(waiting=None)
        elif word == "--":
            line.words.extend(before[index + 1 :])
            return line._replace(ended=True)
        elif not word.startswith("-") or word == "-":
            line.words.append(word)
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            action = options.get(flag)
            if equals or not takes_value(action) or flag in bare:
                given(line, action, value)
            else:
                line = line._replace(waiting=action)
        else:
            line = short(line, options, word[1:])
    return line


def short(line: Line, options: dict[str, Any], letters: str) -> Line:
    """The same with -A, -nshop, -An shop."""
    for index, letter in enumerate(letters):
        action = options.get(f"-{letter}")
        if takes_value(action):
            value = letters[index + 1 :].removeprefix("=")
            if not value:
                return line._replace(waiting=action)
            given(line, action, value)
            break
        given(line, action, "")
    return line


def given(line: Line, action: Any, value: str) -> None:
    """Keeps the value of a flag; flags that are not there have none."""
    if action is not None:
        line.values.setdefault(action.dest, []).append(value)


def flags_left(parser: Any, line: Line) -> Iterator[Candidate]:
    """The flags by their long names, but for those that are given and count once."""
    for action in parser._actions:
        if action.dest in line.values and not isinstance(action.default, list):
            continue
        text = re.split(r"; | \(", action.help or "")[0]
        for name in action.option_strings[-1:]:
            yield Candidate(name, "" if "%" in text else text)


def positions(metavar: str) -> list[list[str]]:
    """What may stand in each place: ``TARGET VERB TYPE [NAME]``, ``SA | pod/NAME``."""
    places = re.sub(r"\s*\|\s*", "|", metavar).split()
    return [place.strip("[].").split("|") for place in places]


# --- what stands in a place ------------------------------------------------------------------


class Place:
    """A place in a command line: what its words mean depends on those before it."""

    def __init__(self, parser: Any, line: Line, env: Env) -> None:
        self.parser = parser
        self.line = line
        self.env = env
        self.places: list[list[str]] = []  # of the words that are no flags
        self.connected: Api | None = None

    def value_of(self, action: Any, last: str) -> Found:
        """The values of a flag."""
        if action.choices:
            return Found(starting(last, [Candidate(str(each)) for each in action.choices]))
        word = action.metavar or action.dest.upper()
        return self.any_of(positions(word)[0], last)

    def word(self, last: str) -> Found:
        """What is no flag."""
        for action in self.parser._get_positional_actions():
            if action.choices:
                return self.value_of(action, last)
            metavar = action.metavar or action.dest.upper()
            self.places = positions(SAME.get(metavar, metavar))
            number = len(self.line.words)
            if number < len(self.places) or action.nargs in ("*", "+"):
                return self.any_of(self.places[min(number, len(self.places) - 1)], last)
        return Found()

    def any_of(self, alternatives: Sequence[str], last: str) -> Found:
        """What any of some metavars stands for."""
        candidates: list[Candidate] = []
        directive = NO_FILES
        for word in alternatives:
            if word in FILES:
                directive &= ~NO_FILES
                continue
            source = SOURCES.get(word)
            with suppress(SatokenError):  # another may need no cluster
                if source is not None:
                    candidates += source(self, last)
                elif word.endswith("/NAME"):
                    candidates += self.of_types([word.removesuffix("/NAME")], last)
        found = starting(last, candidates)
        if found and all(one.value.endswith("/") for one in found):
            directive |= NO_SPACE
        return Found(found, directive)

    def of_types(self, types: Sequence[str], last: str, any_type: bool = False) -> list[Candidate]:
        """``TYPE/NAME`` for some types, or ``TYPE/`` while there is no slash yet."""
        word, slash, _ = last.partition("/")
        if not slash:
            names = [one.lower() for one in types]
            if builtin_kind(last) in map(builtin_kind, types) and not any(
                name.startswith(last) for name in names
            ):
                names.append(last)  # a short name
            return [Candidate(f"{name}/") for name in names]
        kind = builtin_kind(word)
        if kind not in map(builtin_kind, types):
            if not any_type or not re.fullmatch(r"[A-Za-z][\w.-]*", word):
                return []
            kind = kind or self.found(word)
        return [Candidate(f"{word}/{name}") for name in self.names(kind)] if kind else []

    def targets(self, last: str) -> list[Candidate]:
        """``TYPE/NAME``, or a name where the first word was a TYPE alone."""
        words = self.line.words
        if words and "/" not in words[0]:
            kind = builtin_kind(words[0]) or self.found(words[0])
            return [Candidate(name) for name in self.names(kind)]
        return self.of_types(TARGETS, last, any_type=True)

    def who(self, last: str) -> list[Candidate]:
        """Whose rights can be asked for."""
        return [Candidate("me"), *self.of_types(TARGETS[:-1], last, any_type=True)]

    def accounts(self, last: str) -> list[Candidate]:
        """Names of service accounts."""
        if "/" in last:
            return []
        return [Candidate(name) for name in self.names(KINDS["ServiceAccount"])]

    def containers(self, last: str) -> list[Candidate]:
        """Names of the containers of the pod that stands before."""
        from .cluster import path_of

        api = self.api()
        for word in self.line.words:
            kind, _, name = word.partition("/")
            if name and builtin_kind(kind) == KINDS["Pod"]:
                spec = api.request("GET", path_of(KINDS["Pod"], api.namespace, name))["spec"]
                found = [*(spec.get("initContainers") or ()), *spec["containers"]]
                return [Candidate(one["name"]) for one in found]
        return []

    def namespaces(self, last: str) -> list[Candidate]:
        """Names of namespaces."""
        return [Candidate(name) for name in self.names(KINDS["Namespace"])]

    def types(self, last: str) -> list[Candidate]:
        """Resource types as kubectl names them, and after a slash their subresources and names."""
        from .discovery import types

        word, slash, _ = last.partition("/")
        found = []
        for one in types(self.api()):
            kind = one.kind
            name = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
            if not slash:
                found.append(Candidate(name, kind.kind))
            elif word in (name, kind.plural, *kind.short, one.singular):
                below = [Candidate(f"{word}/{each}") for each in one.subresources]
                if starting(last, below):
                    return below
                return [Candidate(f"{word}/{name}") for name in self.names(kind)]
        return found

    def of_type(self, last: str) -> list[Candidate]:
        """Names of the TYPE that stands before."""
        where = self.places.index(["TYPE"])
        word = self.line.words[where]
        return [Candidate(name) for name in self.names(self.found(word.partition("/")[0]))]

    def verbs(self, last: str) -> list[Candidate]:
        """The verbs of RBAC."""
        from .rbac_words import OTHER_VERBS, VERBS

        return [Candidate(verb) for verb in (*VERBS, *OTHER_VERBS)]

    def checks(self, last: str) -> list[Candidate]:
        """Codes and names of checks, of which several can stand with commas between them."""
        from .checks import all_checks

        done, comma, own = last.rpartition(",")
        named = own[:1].islower()
        return [
            Candidate(done + comma + (one.name if named else one.code), one.title)
            for one in all_checks()
        ]

    def pages(self, last: str) -> list[Candidate]:
        """What explain has a page of; messages have names only."""
        found = self.checks(last)
        if last[:1].islower():
            from .messages import MESSAGES

            names = {one.value for one in found}
            found += [Candidate(one.name, one.title) for one in MESSAGES if one.name not in names]
        return found

    def entries(self, section: str) -> list[Candidate]:
        """Names in the kubeconfig."""
        from .kubeconfig_files import read_config

        explicit = self.line.values.get("kubeconfig", [""])[-1]
        return [Candidate(str(name)) for name in read_config(explicit, self.env)[section]]

    # --- below: the cluster

    def names(self, kind: Kind | None) -> list[str]:
        """The names of all objects of a kind, in the namespace of the command line."""
        from .cluster import METADATA, path_of

        if kind is None:
            return []
        api = self.api()
        path = path_of(kind, api.namespace if kind.namespaced else "")
        # never the objects: names need no more, and Secrets have values
        page = api.request("GET", path, query=[("limit", str(MOST))], accept=METADATA)
        return [item["metadata"]["name"] for item in page["items"] or ()]

    def found(self, word: str) -> Kind:
        """The type of that name. Raises UsageError."""
        from .discovery import find

        return find(self.api(), word)

    def api(self) -> "Api":
        """The cluster that the flags before say."""
        from .cli import Parser
        from .cluster import connect
        from .flags import add_cluster_flags, overrides
        from .kubeconfig import load

        if self.connected is None:
            parser = Parser()
            add_cluster_flags(parser)
            args = parser.parse_args([])
            for dest, values in self.line.values.items():
                if isinstance(getattr(args, dest, ()), list):
                    setattr(args, dest, values)
                elif dest == "insecure_skip_tls_verify":
                    args.insecure_skip_tls_verify = values[-1].lower() not in ("false", "f", "0")
                elif hasattr(args, dest) and dest != "verbosity":
                    setattr(args, dest, values[-1])
            self.connected = connect(load(overrides(args), self.env), self.env)
        return self.connected


# What a word of a metavar stands for; any other, but FILES and x/NAME, is free text.
SOURCES: dict[str, Callable[[Place, str], list[Candidate]]] = {
    "CHECK": Place.checks,
    "CLUSTER": lambda place, _: place.entries("clusters"),
    "CODE": Place.pages,
    "CONTAINER": Place.containers,
    "CONTEXT": lambda place, _: place.entries("contexts"),
    "NAME": Place.of_type,
    "NAMESPACE": Place.namespaces,
    "SA": Place.accounts,
    "TARGET": Place.who,
    "TYPE": Place.types,
    "TYPE/NAME": Place.targets,
    "USER": lambda place, _: place.entries("users"),
    "VERB": Place.verbs,
}

# What stands for a path; flags without a metavar have the name of their destination.
FILES = {
    "FILE",
    "FILES",
    "KUBECONFIG",
    "CERTIFICATE-AUTHORITY",
    "CLIENT-CERTIFICATE",
    "CLIENT-KEY",
}

# Metavars of words that are no flags, and what they say at length.
SAME = {"TOKEN": "FILE | secret/NAME | pod/NAME | sa/NAME", "WORD": "CODE"}
