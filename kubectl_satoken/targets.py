"""TARGET: what a command is asked about, in kubectl's ways of naming it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .admission import admit
from .errors import Forbidden, NotFound, UsageError
from .kinds import builtin_kind
from .mounts import account_of
from .workloads import TEMPLATE_PATHS, is_live, pods_of, template_paths, template_pod
from .world import Kind, Object, Unseen, World


class Target(NamedTuple):
    """An object by name. ``api_version`` is needed for kinds that are not built in."""

    kind: str
    name: str
    api_version: str = ""
    plural: str = ""


FindKind = Callable[[str], Kind]


def parse(words: Sequence[str], find_kind: FindKind) -> list[Target]:
    """TYPE/NAME ..., TYPE NAME ..., or TYPE1,TYPE2 NAME as kubectl get takes them.

    ``find_kind`` names the kinds that are not built in; it raises UsageError for those that are
    not there.
    """
    if not words:
        return []
    slashes = [word for word in words if "/" in word]
    if slashes and len(slashes) != len(words):
        odd = next(word for word in words if "/" not in word)
        raise UsageError(
            f"{odd}: there is no need to specify a resource type as a separate argument "
            "when passing arguments in resource/name form",
            "use TYPE/NAME for each, or TYPE and then names",
        )
    if slashes:
        pairs = []
        for word in words:
            kind, _, name = word.partition("/")
            if not kind or not name or "/" in name:
                raise UsageError(
                    f"{word}: arguments in resource/name form must have a single resource and name"
                )
            pairs.append((kind, name))
    elif len(words) == 1:
        # a lone word is a type in kubectl; here a name is missing, or the type is
        word = words[0]
        hint = f"say {word}/NAME" if builtin_kind(word) else what_it_is(word)
        raise UsageError(f"{word}: one resource and name is needed", hint)
    else:
        pairs = [(kind, name) for kind in words[0].split(",") for name in words[1:]]
    targets = []
    for word, name in pairs:
        found = builtin_kind(word) or find_kind(word)
        targets.append(Target(found.kind, name, found.api_version, found.plural))
    return targets


def types(words: Sequence[str], find_kind: FindKind) -> list[Kind] | None:
    """The types that TYPE or TYPE1,TYPE2 alone means: all of them. None where names are given.

    No type, or kubectl's word ``all``, means everything: no types. Raises UsageError for a word
    that is none.
    """
    if list(words) == ["all"]:
        return []
    if len(words) > 1 or any("/" in word for word in words):
        return None
    found = []
    for word in words[0].split(",") if words else ():
        try:
            found.append(builtin_kind(word) or find_kind(word))
        except UsageError as error:
            raise UsageError(error.message, what_it_is(word)) from error
    return list(dict.fromkeys(found))


def what_it_is(name: str) -> str:
    """The hint for a name without a type."""
    return f"say what it is: pod/{name}, deploy/{name}, sa/{name}"


def unknown_kind(word: str) -> Kind:
    """A find_kind for where there is no cluster to ask. Raises UsageError in kubectl's words."""
    raise UsageError(f'the server doesn\'t have a resource type "{word}"')


def fetch(target: Target, namespace: str, world: World) -> Object:
    """The object that a target names. Raises NotFound or Forbidden in kubectl's words."""
    group = target.api_version.rpartition("/")[0]
    resource = target.plural + (f".{group}" if group else "")
    try:
        item = world.get(target.kind, namespace, target.name, target.api_version)
    except Unseen as unseen:
        raise Forbidden(
            f'{resource} "{target.name}" could not be looked at: {unseen.why}'
        ) from unseen
    if item is None:
        raise NotFound(f'{resource} "{target.name}" not found', code=404, reason="NotFound")
    return item


def admitted(pod: Object, world: World) -> Object:
    """A pod as it is stored: as it is when it is live, else as the admission would store it."""
    if is_live(pod):
        return pod
    try:
        account = world.get("ServiceAccount", pod["metadata"].get("namespace", ""), account_of(pod))
    except Unseen:
        account = None
    return admit(pod, account)


def pods_for(item: Object, world: World) -> Iterator[Object]:
    """The pods by which a target is judged: itself, or a workload's template and its live pods.

    The template comes first and is not live. One at a place of its own, in a custom kind, counts
    only while there are no pods, for these show what is made of it. Raises Unseen where the pods
    cannot be listed.
    """
    if item["kind"] == "Pod":
        yield admitted(item, world)
        return
    paths = list(template_paths(item))
    usual = [path for path in paths if path in TEMPLATE_PATHS]
    for path in usual:
        yield admitted(template_pod(item, path) or {}, world)
    found = False
    unseen: Unseen | None = None
    if paths and item["metadata"].get("uid"):
        try:
            for pod in pods_of(item, world):
                # those on their way out are of the past, and so are their faults
                if not pod["metadata"].get("deletionTimestamp"):
                    found = True
                    yield pod
        except Unseen as reason:
            unseen = reason
    if not found and not usual:
        for path in paths:
            yield admitted(template_pod(item, path) or {}, world)
    if unseen is not None:
        raise unseen
