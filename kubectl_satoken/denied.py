"""What the 403s in a log ask for: who was refused what.

The texts are those of ForbiddenStatusError (k8s.io/apiserver, endpoints/handlers/responsewriters),
in whatever a log makes of them: JSON, klog, the bodies that clients print; and those of the kubelet
and of kube-rbac-proxy for nodes. Texts of admission plugins that call something forbidden are of
no use here: no role helps.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .messages import forbidden, plain
from .question import in_words
from .rbac import USER_PREFIX, Attributes, Question
from .world import World

PIECE, KUBELET = "forbidden: User ", "Forbidden (user="

# How much of a line belongs to one text: the name of an object may stand before, and what is
# forbidden stands behind. So a line of any length is read once.
BEFORE, BEHIND = 600, 3000
BACKSLASHES = "\\" * 32  # more of them than any nesting of JSON makes: not worth the time

# A reflector lists and then watches; refused the list, it never comes to be refused the watch.
REFLECTOR = "Failed to watch"

# The kubelet asks about the subresources of its node one after the other, the finest first
# (pkg/kubelet/server); kube-rbac-proxy asks about one.
KUBELET_PATTERN = (
    r"Forbidden \(user=(?P<user>[^,()\s]+), verb=(?P<verb>[a-z]+), resource=nodes, "
    r"subresource(?:\(s\))?=\[?(?P<below>[a-z]+)?[^)\]]*\]?\)"
)

# Resources whose objects get their names from a controller, or at random, or of which a program
# has another one on every machine: a name that was seen today is not that of tomorrow.
GENERATED = (
    "certificaterequests",
    "certificatesigningrequests",
    "controllerrevisions",
    "csinodes",
    "endpointslices",
    "events",
    "jobs",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicasets",
    "volumeattachments",
)


class Denied(NamedTuple):
    """Who was refused what, by which line (from 1) of the log.

    ``implied`` is what was not refused yet, but will be next.
    """

    user: str
    question: Question
    line: int
    implied: bool = False


def read(lines: Iterable[str]) -> Iterator[Denied]:
    """All that was refused, as the log has it; the same may come many times. Never raises.

    Anybody who can write into a log can write a message like these, so nothing with a wildcard
    is taken from it: no request has any.
    """
    import re

    patterns = (
        (PIECE, re.compile(forbidden()[1])),
        (KUBELET, re.compile(KUBELET_PATTERN)),
    )
    for number, line in enumerate(lines, 1):
        if "orbidden" not in line:
            continue
        reflector = REFLECTOR in line
        for piece, pattern in patterns:
            for text in around(line, piece):
                match = pattern.match(text)
                if match is None:
                    continue
                question = question_of(match.groupdict())
                if question is None:
                    continue
                user = match["user"]
                yield Denied(user, question, number)
                if question.asked.verb == "list" and reflector:
                    watch = question._replace(asked=question.asked._replace(verb="watch"))
                    yield Denied(user, watch, number, True)


def around(line: str, piece: str) -> Iterator[str]:
    """Each place of a piece of text in a line, without escapes: from the name before it, if any."""
    end = 0
    at = line.find(piece)
    while at >= 0:
        following = line.find(piece, at + len(piece))
        before = line[max(end, at - BEFORE) : at]
        behind = line[at : min(at + BEHIND, following if following >= 0 else len(line))]
        if BACKSLASHES not in before + behind:
            # only the name, so that there is nothing to be sought in all the rest
            head, quote, rest = plain(before).rpartition('" is ')
            name = head.rpartition('"')[2] if quote and not rest else ""
            yield (f'it "{name}" is ' if name else "") + plain(behind)
        end, at = at + len(piece), following


def question_of(fields: dict[str, str | None]) -> Question | None:
    """What a message says was asked; None for what no request can have asked."""
    import re

    verb = fields["verb"] or ""
    if not re.fullmatch(r"[A-Za-z][A-Za-z:-]{0,99}", verb):
        return None
    if "resource" not in fields:
        return Question("", Attributes(verb, "", "nodes", fields["below"] or ""))
    path = fields["path"]
    if path:
        fits = path.startswith("/") and path.isprintable() and "*" not in path
        return Question("", Attributes(verb, path=path)) if fits else None
    resource, _, below = (fields["resource"] or "").partition("/")
    group, namespace = fields["group"] or "", fields["namespace"] or ""
    name = fields["name"] or ""
    if not re.fullmatch(r"[a-z][-a-z0-9.]{0,252}", resource):
        return None
    if not re.fullmatch(r"(?:[a-z][-a-z0-9/]{0,252})?", below):
        return None
    if not re.fullmatch(r"(?:[a-z0-9][-a-z0-9.]{0,252})?", group):
        return None
    if not re.fullmatch(r"(?:[a-z0-9][-a-z0-9]{0,62})?", namespace):
        return None
    if not re.fullmatch(r"[^/%*\s]{0,253}", name) or not name.isprintable():
        return None
    return Question(namespace, Attributes(verb, group, resource, below, name))


class Needs(NamedTuple):
    """What a log shows to be needed, and where that is more than was refused, in words."""

    questions: list[Question]
    notes: list[str]


def needs(found: Iterable[Denied], user: str = "") -> Needs:
    """What has to be granted for a program to work tomorrow, too; of one user only, if any.

    The name of an object is kept where all refused requests for that verb on that resource named
    the same one, as with a lock, or a ConfigMap of settings. Where they named several, the program
    goes by something that changes, and where they are pods, or others that get their names from
    controllers, the names change: then all objects are meant. But Secrets are never given
    all for some. For ``create`` no name counts: RBAC is not told it.
    """
    names: dict[Question, set[str]] = {}
    implied: set[Question] = set()
    refused: set[Question] = set()
    for one in found:
        if user and one.user != user:
            continue
        asked = one.question.asked
        nameless = one.question._replace(asked=asked._replace(name=""))
        names.setdefault(nameless, set()).add(asked.name)
        (implied if one.implied else refused).add(nameless)
    questions: list[Question] = []
    notes: list[str] = []
    for nameless, some in sorted(names.items()):
        asked = nameless.asked
        if asked.path or "" in some or (asked.verb == "create" and not asked.subresource):
            questions.append(nameless)
        elif asked.resource == "secrets" and not asked.group:
            questions += [
                nameless._replace(asked=asked._replace(name=name)) for name in sorted(some)
            ]
        elif len(some) == 1 and asked.resource not in GENERATED:
            questions.append(nameless._replace(asked=asked._replace(name=next(iter(some)))))
        else:
            questions.append(nameless)
            seen = f"was asked for {len(some)} names" if len(some) > 1 else "had a name"
            why = "their names change" if asked.resource in GENERATED else "it goes by what changes"
            notes.append(f"{in_words(nameless)}: {seen}, and is granted for all: {why}")
    notes += [
        f"{in_words(question)}: not refused yet, but whoever lists for an informer watches next"
        for question in sorted(implied - refused)
    ]
    return Needs(questions, notes)


def grant(message: str, role: str, world: World) -> str:
    """The least Role that lets somebody do what a 403 refuses: the commands that make and bind it,
    for who may. Empty for a text that is no such refusal.

    ``role`` is what it is called; ``{verb}`` in it stands for the verb that was refused.
    """
    from .fixes import kubectl

    for user, question, *_ in read([message]):
        namespace, asked = question
        if not user or asked.path:
            continue
        role = role.replace("{verb}", asked.verb)
        subject = f"--user={user}"
        if user.startswith(USER_PREFIX):
            subject = f"--serviceaccount={user.removeprefix(USER_PREFIX)}"
        resource = asked.resource + (f".{asked.group}" if asked.group else "")
        what = [f"--verb={asked.verb}"]
        what.append(f"--resource={resource}" + (f"/{asked.subresource}" * bool(asked.subresource)))
        # RBAC is not told the name of what is made
        if asked.name and (asked.verb != "create" or asked.subresource):
            what.append(f"--resource-name={asked.name}")
        kind = "role" if namespace else "clusterrole"
        made = kubectl(world, namespace, "create", kind, role, *what)
        bind = ("create", f"{kind}binding", role, f"--{kind}={role}", subject)
        return f"who may grant it: {made} && {kubectl(world, namespace, *bind)}"
    return ""
