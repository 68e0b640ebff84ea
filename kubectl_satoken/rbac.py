"""RBAC as the API server evaluates it.

The source is plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation/rule.go of
Kubernetes 1.36.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from .world import Object, Unseen, Want, World

Made = TypeVar("Made")

USER_PREFIX = "system:serviceaccount:"

# What every authenticated user, or every service account, gets from the built-in policy
# (plugin/pkg/auth/authorizer/rbac/bootstrappolicy): no right to any object but one's own reviews.
BUILT_IN = (
    "system:basic-user",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
)

# The roles for people that the API server itself makes, and makes again when they are gone.
DEFAULT_ROLES = ("admin", "cluster-admin", "edit", "view")
BOOTSTRAPPING = "kubernetes.io/bootstrapping"


class Attributes(NamedTuple):
    """What a request asks: an action on a resource, or (``path``) on a non-resource URL."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    path: str = ""


class Question(NamedTuple):
    """A request to be judged: what it asks, and in which namespace.

    An empty namespace means all of them, or that what is asked for is in none.
    """

    namespace: str
    asked: Attributes


class Naming(NamedTuple):
    """A subject of a binding, and its place among the others."""

    binding: Object
    number: int
    subject: Object


class Subjects(NamedTuple):
    """Who is named by the bindings of one kind in one namespace.

    ``by_namespace`` has the subjects of kind ServiceAccount by the namespace that they mean;
    ``unseen`` says that there may be more bindings.
    """

    by_name: dict[str, list[Naming]]
    by_namespace: dict[str, list[Naming]]
    unseen: Unseen | None


class Grant(NamedTuple):
    """A binding that gives a service account something, by its first subject that means it.

    ``role`` is None when it is not there (which gives nothing), or when it could not be looked at:
    then ``unseen`` says so.
    """

    binding: Object
    number: int
    subject: Object
    role: Object | None
    unseen: Unseen | None = None

    @property
    def wide(self) -> bool:
        """Whether it counts in all namespaces and for what is in none."""
        return bool(self.binding["kind"] == "ClusterRoleBinding")

    @property
    def own(self) -> bool:
        """Whether it names the account itself, not one of its groups."""
        return self.subject.get("kind") != "Group"

    @property
    def rules(self) -> list[Object] | None:
        """The rules of its role; None without one."""
        return None if self.role is None else rules_of(self.role)


class Granting(NamedTuple):
    """A binding that allows what is asked: what it is, whom it names, what it refers to.

    ``role`` has nothing but its name, and ``rule`` is None, where the API server's word was enough.
    """

    binding: Object
    number: int
    role: Object
    rule: int | None


def user_of(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"{USER_PREFIX}{namespace}:{name}"


def groups_of(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")


def is_subject(subject: Object, namespace: str, name: str, binding_namespace: str = "") -> bool:
    """Whether a binding's subject means the service account.

    A ServiceAccount subject without a namespace means that of its RoleBinding, and nothing in a
    ClusterRoleBinding; the namespace of a User or Group is not looked at.
    """
    kind = subject.get("kind")
    if kind == "ServiceAccount":
        where = subject.get("namespace") or binding_namespace
        return subject.get("name") == name and where == namespace
    if kind == "User":
        return subject.get("name") == user_of(namespace, name)
    if kind == "Group":
        return subject.get("name") in groups_of(namespace)
    return False


# --- who is bound ---------------------------------------------------------------------------------

_known: Any = None  # what was made of each world that was asked about, while it lives


def known_of(world: World) -> dict[Any, Any]:
    """What was made of a world so far, which is forgotten with it."""
    global _known
    if _known is None:
        from weakref import WeakKeyDictionary

        _known = WeakKeyDictionary()
    found: dict[Any, Any] = _known.setdefault(world, {})
    return found


def once(world: World, what: str, key: Any, make: Callable[[], Made]) -> Made:
    """What was made last of that kind, if for the same key: all checks ask for it in turn."""
    known = known_of(world)
    if what not in known or known[what][0] != key:
        known[what] = (key, make())
    made: Made = known[what][1]
    return made


NAMESPACES_KEPT = 4  # a sweep goes from one to the next, and there may be thousands


def subjects_of(world: World, kind: str, where: str) -> Subjects:
    """The subjects of all bindings of a kind in a namespace, sorted once for all accounts.

    In a sweep the same bindings are asked for every account, and there may be thousands of both.
    """
    sorted_so_far: dict[tuple[str, str], Subjects] = known_of(world).setdefault("subjects", {})
    found = sorted_so_far.pop((kind, where), None) or sort_subjects(world, kind, where)
    narrow = [key for key in sorted_so_far if key[0] == "RoleBinding"]
    if kind == "RoleBinding" and len(narrow) >= NAMESPACES_KEPT:
        del sorted_so_far[narrow[0]]
    sorted_so_far[kind, where] = found  # at the end, as the last that was used
    return found


def sort_subjects(world: World, kind: str, where: str) -> Subjects:
    """Reads the bindings, and sorts their subjects."""
    found = Subjects({}, {}, None)
    try:
        for binding in world.list(kind, where):
            for number, subject in enumerate(binding.get("subjects") or []):
                naming = Naming(binding, number, subject)
                found.by_name.setdefault(subject.get("name") or "", []).append(naming)
                if subject.get("kind") == "ServiceAccount":
                    meant = subject.get("namespace") or namespace_of(binding)
                    found.by_namespace.setdefault(meant, []).append(naming)
    except Unseen as unseen:
        return found._replace(unseen=unseen)
    return found


def namespace_of(binding: Object) -> str:
    """The namespace of a binding; empty for a ClusterRoleBinding."""
    if binding["kind"] == "ClusterRoleBinding":  # which may have one in a file, for nothing
        return ""
    return str(binding["metadata"].get("namespace") or "")


def scopes(namespaces: Iterable[str], *, wide: bool = True) -> list[tuple[str, str]]:
    """The kinds and namespaces of the bindings that count in these namespaces."""
    narrow = [("RoleBinding", where) for where in namespaces]
    return [*narrow, ("ClusterRoleBinding", "")] if wide else narrow


def namings(
    world: World,
    namespace: str,
    name: str,
    where: Iterable[str] | None = None,
    *,
    wide: bool = True,
) -> Iterator[Naming]:
    """The first subject of each binding that means the service account; see `grants`."""
    unseen = None
    for kind, scope in scopes((namespace,) if where is None else where, wide=wide):
        subjects = subjects_of(world, kind, scope)
        met: set[tuple[str, str]] = set()
        for word in (name, user_of(namespace, name), *groups_of(namespace)):
            for naming in subjects.by_name.get(word, ()):
                inside = namespace_of(naming.binding)
                key = (inside, naming.binding["metadata"]["name"])
                if key not in met and is_subject(naming.subject, namespace, name, inside):
                    met.add(key)
                    yield naming
        unseen = unseen or subjects.unseen
    if unseen is not None:
        raise unseen.with_traceback(None)


def bindings_of(world: World, namespace: str, name: str) -> Iterator[Object]:
    """The bindings that give a service account something, in its own namespace or cluster-wide.

    Without the built-in ones that every account has. Bindings in other namespaces are not looked
    at. Raises Unseen.
    """
    for naming in namings(world, namespace, name):
        if not is_built_in(naming.binding):
            yield naming.binding


def is_built_in(binding: Object) -> bool:
    """Whether it is one of the bindings that every account has."""
    return binding["kind"] == "ClusterRoleBinding" and binding["metadata"]["name"] in BUILT_IN


def grants(
    world: World,
    namespace: str,
    name: str,
    where: Iterable[str] | None = None,
    *,
    wide: bool = True,
) -> Iterator[Grant]:
    """The bindings that name a service account, each with its role.

    Those of its own namespace, or of the namespaces in ``where``, and (``wide``) the cluster-wide
    ones. Raises Unseen at the end, when there may be more: whoever has found what it sought can
    stop before.
    """
    for naming in namings(world, namespace, name, where, wide=wide):
        try:
            yield Grant(*naming, role_of(naming.binding, world))
        except Unseen as unseen:
            yield Grant(*naming, None, unseen)


def prepare_grants(
    world: World, namespace: str, name: str, where: Iterable[str], *, wide: bool = True
) -> None:
    """Says what `grants` will read: first the bindings, then the roles of those that it names.

    So a far server is waited for twice, however many roles there are.
    """
    where = [*where]
    world.prepare(Want(kind, scope) for kind, scope in scopes(where, wide=wide))
    with suppress(Unseen):
        prepare_roles(
            world, [one.binding for one in namings(world, namespace, name, where, wide=wide)]
        )


def prepare_roles(world: World, bindings: Iterable[Object], *, alone: bool = True) -> None:
    """Says that the roles of these bindings will be read: of each kind one alone by its name,
    several by a list of them, if that is not long.

    Without ``alone`` one is read by a list, too, which then answers for others.
    """
    named: dict[str, dict[Want, None]] = {}
    for binding in bindings:
        reference = binding.get("roleRef") or {}
        kind, role = str(reference.get("kind")), str(reference.get("name"))
        if kind in ("Role", "ClusterRole"):
            where = namespace_of(binding) if kind == "Role" else ""
            named.setdefault(kind, {})[Want(kind, where, role)] = None
    first: list[Want] = []
    for kind, wants in named.items():
        inside = {want.namespace for want in wants}
        if len(wants) == 1 and alone:
            first += wants
        else:
            first.append(Want(kind, inside.pop() if len(inside) == 1 else "", short=True))
    world.prepare(first)
    world.prepare(want for wants in named.values() for want in wants)  # of a list that is long


def role_of(binding: Object, world: World) -> Object | None:
    """The role that a binding refers to; None when it is not there. Raises Unseen.

    A Role is looked for in the binding's namespace, so a ClusterRoleBinding can have none.
    """
    reference = binding.get("roleRef") or {}
    kind, name = reference.get("kind"), reference.get("name") or ""
    if kind == "ClusterRole":
        return world.get("ClusterRole", "", name)
    if kind == "Role" and binding["kind"] == "RoleBinding":
        return world.get("Role", namespace_of(binding), name)
    return None


# --- what rules allow -----------------------------------------------------------------------------


def rules_of(role: Object) -> list[Object]:
    """The rules of a role."""
    return role.get("rules") or []


def allows(rules: Iterable[Object], asked: Attributes) -> bool:
    """Whether any of these rules allows the request."""
    return any(rule_allows(rule, asked) for rule in rules)


def rule_allows(rule: Object, asked: Attributes) -> bool:
    """Whether a rule allows the request: all its parts must match. No rule denies anything."""
    if not has(rule, "verbs", asked.verb):
        return False
    if asked.path:
        return any(url_matches(url, asked.path) for url in rule.get("nonResourceURLs") or [])
    names = rule.get("resourceNames") or []
    return (
        has(rule, "apiGroups", asked.group)
        and any(
            resource_matches(resource, asked.resource, asked.subresource)
            for resource in rule.get("resources") or []
        )
        and (not names or asked.name in names)
    )


def has(rule: Object, field: str, word: str) -> bool:
    """Whether a list of a rule has a word, or the ``*`` that stands for all."""
    words = rule.get(field) or []
    return "*" in words or word in words


def resource_matches(granted: str, resource: str, subresource: str) -> bool:
    """Whether an entry of ``resources`` matches: ``*``, all of it, or ``*/SUBRESOURCE``."""
    if granted == "*":
        return True
    if not subresource:
        return granted == resource
    return granted in (f"{resource}/{subresource}", f"*/{subresource}")


def url_matches(granted: str, path: str) -> bool:
    """Whether an entry of ``nonResourceURLs`` matches: ``*``, all of it, or ``PREFIX*``."""
    if granted in ("*", path):
        return True
    return granted.endswith("*") and path.startswith(granted.rstrip("*"))


def is_default(role: Object) -> bool:
    """Whether a role is the API server's own, which is kept as it is by it."""
    for_people = role["kind"] == "ClusterRole" and role["metadata"]["name"] in DEFAULT_ROLES
    return for_people or BOOTSTRAPPING in (role["metadata"].get("labels") or {})


# --- what an account may do, in words -------------------------------------------------------------

MOST_RULES = 2  # of a role that are said in full
LONGEST = 48  # columns of a rule that is said in full


def rights(world: World, namespace: str, name: str) -> Iterator[str]:
    """What a service account may do by its bindings: ``view in shop (rolebinding/web)``.

    Without what every account may do; bindings in other namespaces are not looked at. Raises
    Unseen at the end, where there may be more.
    """
    for binding, _, _ in namings(world, namespace, name):
        if is_built_in(binding):
            continue
        where = f"in {namespace}" if binding["kind"] == "RoleBinding" else "everywhere"
        reference = binding.get("roleRef") or {}
        role_name = str(reference.get("name"))
        source = f"{binding['kind'].lower()}/{binding['metadata']['name']}"
        what: list[str] = []
        if reference.get("kind") == "Role" or not (
            role_name in DEFAULT_ROLES or role_name.startswith("system:")
        ):
            try:
                role = role_of(binding, world)
            except Unseen:
                role = {}  # its name says something, too
            if role is None:
                continue
            rules = rules_of(role)
            if 0 < len(rules) <= MOST_RULES:
                what = [in_words(rule) for rule in rules]
                if any(len(text) > LONGEST for text in what):
                    what = []
        if what:
            kind = str(reference["kind"]).lower()
            yield from (f"{text} {where} ({kind}/{role_name})" for text in what)
        else:
            yield f"{role_name} {where} ({source})"


def in_words(rule: Object) -> str:
    """A rule as one would say it: ``get,list pods,deployments.apps``."""
    verbs = ",".join(rule.get("verbs") or [])
    if rule.get("nonResourceURLs"):
        return f"{verbs} {','.join(rule['nonResourceURLs'])}"
    groups = rule.get("apiGroups") or []
    suffix = f".{groups[0]}" if len(groups) == 1 and groups[0] else ""
    names = rule.get("resourceNames") or []
    resources = [
        resource.replace("/", f"{suffix}/", 1) if "/" in resource else resource + suffix
        for resource in rule.get("resources") or []
    ]
    return f"{verbs} {','.join(resources)}" + (f" named {','.join(names)}" if names else "")
