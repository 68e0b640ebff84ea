"""Who may do something: every subject of every binding that grants it, in one pass over the lists.

Nothing of a list is kept but what grants it, so memory does not grow with the cluster.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .live import SMALL, ClusterWorld, ahead
from .question import Asked, has_place
from .rbac import (
    BOOTSTRAPPING,
    USER_PREFIX,
    Attributes,
    is_built_in,
    namespace_of,
    rule_allows,
    rules_of,
)
from .world import KINDS, Object, Unseen, World


class Reach(NamedTuple):
    """What a role gives of what is asked: all of it, or (``names``) of these objects only."""

    names: tuple[str, ...] = ()


class Holder(NamedTuple):
    """A subject that may do it, in one namespace or (empty) everywhere, by which binding and role.

    A service account has its namespace. ``said`` is how the binding names it where that is not the
    plain way; ``names`` are the objects that it is limited to; ``usual`` marks a part of Kubernetes
    that may do it in every cluster.
    """

    kind: str
    namespace: str
    name: str
    where: str
    binding: tuple[str, str, str]
    role: tuple[str, str, str]
    names: tuple[str, ...] = ()
    said: str = ""
    usual: bool = False


class Found(NamedTuple):
    """Who may do it, which bindings refer to no role, and what could not be looked at."""

    holders: list[Holder]
    dangling: list[tuple[str, str, str]]
    unseen: list[Unseen]


def find(world: World, asked: Asked, *, everywhere: bool) -> Found:
    """Everybody who may do what is asked, by RBAC.

    In the namespace of the question, or ``everywhere``: in each of them. What is in no namespace is
    granted by ClusterRoleBindings only.
    """
    found = Found([], [], [])
    question = asked.question
    in_namespaces = has_place(question.asked, asked.type)
    # a request for one namespace by its name is in that namespace, which RoleBindings there allow
    narrow = in_namespaces or bool(question.namespace)
    everywhere = everywhere and not question.namespace
    scope = "" if everywhere else question.namespace
    roles: dict[tuple[str, str, str], Reach | None] = {}
    dangling: dict[tuple[str, str, str], None] = {}  # once each, though a list be begun anew
    lists = [
        ("ClusterRole", ""),
        ("Role", scope),
        ("ClusterRoleBinding", ""),
        ("RoleBinding", scope),
    ]
    for kind_read, item in stream(world, lists if narrow else lists[::2], found.unseen):
        if kind_read.endswith("Role"):
            metadata = item["metadata"]
            key = (kind_read, metadata.get("namespace") or "", metadata["name"])
            roles[key] = reach(rules_of(item), question.asked)
            continue
        reference = item.get("roleRef") or {}
        inside = namespace_of(item)
        role_kind = str(reference.get("kind"))
        key = (role_kind, inside if role_kind == "Role" else "", str(reference.get("name")))
        given = roles.get(key)
        if given is None:
            if key not in roles and not is_built_in(item):
                dangling[kind_read, inside, item["metadata"]["name"]] = None
            continue
        name = (kind_read, inside, item["metadata"]["name"])
        made_by_server = BOOTSTRAPPING in (item["metadata"].get("labels") or {})
        for subject in item.get("subjects") or []:
            one = holder(subject, inside, name, key, given.names)
            # somebody may have been added to such a binding
            usual = made_by_server and is_part_of_kubernetes(one)
            found.holders.append(one._replace(usual=usual))
    # what they refer to may be among the roles that were not seen
    if any(one.what.partition(" ")[0] in ("clusterroles", "roles") for one in found.unseen):
        return found
    return found._replace(dangling=[*dangling])


def stream(
    world: World, lists: Iterable[tuple[str, str]], unseen: list[Unseen]
) -> Iterator[tuple[str, Object]]:
    """The objects of lists (kind, namespace), one after the other, each with its kind.

    Of them a page at a time is kept, and the next one, be it of the next list, read meanwhile.
    """

    if not isinstance(world, ClusterWorld):
        for kind, namespace in lists:
            try:
                for item in world.list(kind, namespace):
                    yield kind, item
            except Unseen as error:
                unseen.append(error.with_traceback(None))
        return

    def pages() -> Iterator[tuple[str, Object]]:
        for kind, namespace in lists:
            try:
                for page in world.unopened(KINDS[kind], namespace, SMALL):
                    yield kind, page
            except Unseen as error:
                unseen.append(error.with_traceback(None))

    for kind, page in ahead(pages()):
        try:
            for item in world.opened(KINDS[kind], page):
                yield kind, item
        except Unseen as error:
            unseen.append(error.with_traceback(None))


def reach(rules: Iterable[Object], asked: Attributes) -> Reach | None:
    """What rules give of a request; None for nothing.

    A request without a name may be about any object, so a rule with names gives it for these only,
    and not at all where no request has a name.
    """
    names: dict[str, None] = {}
    for rule in rules:
        if rule_allows(rule, asked):
            return Reach()
        some = rule.get("resourceNames") or []
        nameless = asked.verb in ("create", "deletecollection") and not asked.subresource
        limited = some and not asked.name and not nameless
        if limited and rule_allows({**rule, "resourceNames": []}, asked):
            names.update(dict.fromkeys(some))
    return Reach(tuple(names)) if names else None


def holder(
    subject: Object,
    inside: str,
    binding: tuple[str, str, str],
    role: tuple[str, str, str],
    names: tuple[str, ...],
) -> Holder:
    """A subject as somebody who may do it."""
    kind, name = str(subject.get("kind")), str(subject.get("name"))
    if kind == "ServiceAccount":
        home = subject.get("namespace") or inside
        return Holder(kind, str(home), name, inside, binding, role, names)
    home, _, own = name.removeprefix(USER_PREFIX).partition(":")
    if kind == "User" and name.startswith(USER_PREFIX) and home and own:
        said = f"user {name}"
        return Holder("ServiceAccount", home, own, inside, binding, role, names, said)
    return Holder(kind, "", name, inside, binding, role, names)


def is_part_of_kubernetes(one: Holder) -> bool:
    """Whether a subject bears a name that the API server's own bindings give."""
    if one.kind == "ServiceAccount":
        return one.namespace == "kube-system"
    everybody = ("system:authenticated", "system:unauthenticated", "system:serviceaccounts")
    return one.name.startswith("system:") and one.name not in everybody


def expanded(holders: Iterable[Holder], world: World, unseen: list[Unseen]) -> list[Holder]:
    """The holders, with groups of service accounts replaced by the accounts that are there."""
    accounts: list[tuple[str, str]] | None = None
    result: list[Holder] = []
    for one in holders:
        member = members_of(one.name) if one.kind == "Group" else None
        if member is None:
            result.append(one)
            continue
        if accounts is None:
            seen: list[Unseen] = []
            accounts = [
                (item["metadata"].get("namespace") or "", item["metadata"]["name"])
                for _, item in stream(world, [("ServiceAccount", "")], seen)
            ]
            unseen += seen
        said = f"group {one.name}"
        result += [
            one._replace(kind="ServiceAccount", namespace=namespace, name=name, said=said)
            for namespace, name in accounts
            if member in ("", namespace)
        ]
        if one.name == "system:authenticated":
            result.append(one)  # all others who log in are in it, too
    return result


def members_of(group: str) -> str | None:
    """The namespace whose service accounts are in a group, empty for all; None for others."""
    if group in ("system:serviceaccounts", "system:authenticated"):
        return ""
    prefix = "system:serviceaccounts:"
    return group.removeprefix(prefix) if group.startswith(prefix) else None
