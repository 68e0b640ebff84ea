"""What a word means as a resource type, by kubectl's rules."""

from collections.abc import Sequence
from typing import NamedTuple

from .world import KINDS, Kind


class Type(NamedTuple):
    """A resource type, and the singular name that its author gave it.

    ``verbs`` and ``subresources`` (``log``, ``scale``) are known of a server's types only.
    """

    kind: Kind
    singular: str
    verbs: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()


BUILT_IN = tuple(Type(kind, kind.kind.lower()) for kind in KINDS.values())


def builtin_kind(word: str) -> Kind | None:
    """The built-in kind that a word means: ``deploy``, ``Pod``, ``jobs.batch``, ``jobs.v1.batch``.

    None also for the beginning of a group, which only discovery can tell from that of another.
    """
    return match(BUILT_IN, word, exact=True)


def served(types: Sequence[Type], group: str, plural: str) -> Type | None:
    """The type of that group and plural; None for what is not served."""
    return next(
        (one for one in types if (one.kind.group, one.kind.plural) == (group, plural)), None
    )


def match(types: Sequence[Type], text: str, exact: bool = False) -> Kind | None:
    """The first type that a name means, alone or with ``.group`` or ``.version.group``.

    Plural and singular names, in any case, go before short names, and those before kinds; a whole
    group goes before the beginning of one (``storageclass.storage``), which does not count when
    ``exact``. A version or group that is empty is any (``pods.``, ``jobs.v1.``), but for a kind
    that is not its own singular in another case: it needs its whole group, and without one it is
    of the core group.
    """
    name, _, rest = text.partition(".")
    version, second_dot, group = rest.partition(".")
    lower = name.lower()
    full = f"{group}/{version}" if group else version

    def in_version(kind: Kind) -> bool:
        its_version = kind.api_version.rpartition("/")[2]
        same = version in ("", its_version) and group in ("", kind.group)
        return bool(second_dot) and same

    def in_group(kind: Kind) -> bool:
        return kind.group == rest

    def in_reach(kind: Kind) -> bool:
        return not rest or (not exact and kind.group.startswith(rest))

    for is_there in (in_version, in_group, in_reach) if rest else (in_reach,):
        for each in types:
            if lower in (each.kind.plural, each.singular) and is_there(each.kind):
                return each.kind
        for each in types:
            if name in each.kind.short and is_there(each.kind):
                return each.kind
    kinds = [each.kind for each in types if name in (each.kind.kind, each.kind.kind.lower())]
    for kind in kinds:
        if second_dot and kind.api_version == full:
            return kind
    return next((kind for kind in kinds if kind.group == rest), None)
