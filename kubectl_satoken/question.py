"""The question that words on a command line ask of RBAC: VERB TYPE[.GROUP][/SUBRESOURCE] [NAME]."""

from collections.abc import Sequence
from typing import NamedTuple

from .errors import UsageError, redact
from .kinds import Type, match
from .rbac import Attributes, Question

# Requests for one namespace by its name are in that namespace (RequestInfo of k8s.io/apiserver).
IN_THE_NAMESPACE = ("get", "update", "patch", "delete")

# What is in no namespace, but asked about in one: to bind a ClusterRole, in that of the binding
# (pkg/registry/rbac of Kubernetes); to use a policy for pods, in that of the pod.
PLACED = ("bind", "use")

# What RBAC has verbs for and no server objects, by group, and is in no namespace.
NOWHERE = {
    "": ("users", "groups"),
    "authentication.k8s.io": ("users", "groups", "uids", "userextras", "nodes"),
    "certificates.k8s.io": ("signers",),
}


class Asked(NamedTuple):
    """A question, how its words were read where that is not plain, and what is odd about it.

    ``type`` is None for URLs and for what the server does not have.
    """

    question: Question
    type: Type | None
    notes: tuple[str, ...] = ()


def parse(
    words: Sequence[str],
    types: Sequence[Type],
    namespace: str,
    *,
    subresource: str = "",
    everywhere: bool = False,
) -> Asked:
    """The question of VERB TYPE[.GROUP][/SUBRESOURCE] [NAME], VERB TYPE/NAME or VERB /URL.

    ``TYPE/X`` is the subresource X where the type has one of that name, as RBAC and the messages of
    the API server write it, else the object X. Types are found as kubectl finds them; one that the
    server does not have is taken as it stands, as kubectl auth can-i does. Raises UsageError.
    """
    if not 2 <= len(words) <= 3 or not all(words):
        raise UsageError(
            "a question is VERB TYPE[.GROUP][/SUBRESOURCE] [NAME] or VERB /URL",
            'as in "list pods", "create pods/exec web-6d4", "get /metrics"',
        )
    if any(redact(word) != word for word in words):
        raise UsageError("a question is VERB TYPE [NAME], and one of its words is a token")
    verb, what, name = words[0], words[1], words[2] if len(words) == 3 else ""
    if what.startswith("/"):
        if name or subresource:
            raise UsageError(f"{what}: a URL has neither a name nor a subresource")
        return Asked(Question("", Attributes(verb, path=what)), None)
    notes: list[str] = []
    word, slash, rest = what.partition("/")
    found = match(types, word) if word not in ("*",) and not word.startswith("*.") else None
    kind = next((one for one in types if one.kind == found), None) if found else None
    if slash:
        if not word or not rest or "/" in rest:
            raise UsageError(f"{what}: must be TYPE, TYPE/SUBRESOURCE or TYPE/NAME")
        is_subresource = rest in kind.subresources if kind else not name
        if is_subresource and not name:
            notes.append(f"{what} is read as the subresource; the object is {word} {rest}")
        if is_subresource or name:
            if subresource not in ("", rest):
                raise UsageError(f"{what}: the subresource is named twice, with {subresource}")
            subresource = rest
        else:
            name = rest
    if kind is None:
        resource, _, group = word.partition(".")
        asked = Attributes(verb, group, resource, subresource, name)
        somewhere = has_place(asked, None)
        if resource != "*" and somewhere:
            notes.append(f"the server doesn't have a resource type '{word}'")
        where = namespace if somewhere and not everywhere else ""
        return Asked(Question(where, asked), None, tuple(notes))
    asked = Attributes(verb, kind.kind.group, kind.kind.plural, subresource, name)
    where = namespace_of(asked, kind, "" if everywhere else namespace)
    return Asked(Question(where, asked), kind, tuple(notes))


def namespace_of(asked: Attributes, kind: Type, namespace: str) -> str:
    """The namespace that such a request has for the authorizer: none for what is in none.

    kubectl auth can-i sends the current one all the same, and then a RoleBinding there makes a
    "yes" of what the API server refuses.
    """
    if has_place(asked, kind):
        return namespace
    if kind.kind.plural == "namespaces" and not kind.kind.group and asked.name:
        return asked.name if asked.verb in IN_THE_NAMESPACE else ""
    return ""


def has_place(asked: Attributes, kind: Type | None) -> bool:
    """Whether a request is in a namespace, or may be in any, by what it is for."""
    if asked.path:
        return False
    if kind is None:
        return asked.resource not in NOWHERE.get(asked.group, ())
    return kind.kind.namespaced or asked.verb in PLACED


def meant_verb(asked: Asked) -> str:
    """The verb that was meant by one that the type has not; empty for what may be right."""
    verb, kind = asked.question.asked.verb, asked.type
    if kind is None or not kind.verbs or asked.question.asked.subresource:
        return ""
    if verb in kind.verbs or verb == "*":
        return ""
    from .rbac_words import right_verbs

    found = right_verbs(verb, kind.verbs, True)
    return found[0][0] if found else ""


def in_words(question: Question) -> str:
    """A question in a sentence: ``list deployments.apps in namespace shop``."""
    namespace, asked = question
    if asked.path:
        return f"{asked.verb} {asked.path}"
    what = asked.resource + (f".{asked.group}" if asked.group else "")
    what += f"/{asked.subresource}" if asked.subresource else ""
    name = f" {asked.name}" if asked.name else ""
    return f"{asked.verb} {what}{name}" + (f" in namespace {namespace}" if namespace else "")
