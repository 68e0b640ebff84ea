"""A binding was written for the service account, but gives it nothing."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..fixes import and_manifest, kubectl
from ..rbac import (
    BOOTSTRAPPING,
    DEFAULT_ROLES,
    Naming,
    namespace_of,
    namings,
    once,
    role_of,
    scopes,
    subjects_of,
    user_of,
)
from ..rbac_faults import (
    RBAC_GROUP,
    account_subject,
    is_wide,
    near_role,
    other_role,
    patched_subject,
    refusal,
    role_key,
    stored,
    words_of,
)
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .account import namespaces_with, near_name

# --- what the checks here share -------------------------------------------------------------------


def identity(account: Object) -> tuple[str, str]:
    """Namespace and name of an account."""
    metadata = account["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def bindings_unseen(account: Object, world: World) -> None:
    """Raises Unseen where there may be more bindings than those that were looked at."""
    namespace, _ = identity(account)
    for kind, where in scopes((namespace,)):
        unseen = subjects_of(world, kind, where).unseen
        if unseen is not None:
            raise unseen.with_traceback(None)


def own_bindings(account: Object, world: World) -> list[Naming]:
    """The bindings that name the account itself, as far as they can be seen."""

    def make() -> list[Naming]:
        found: list[Naming] = []
        with suppress(Unseen):
            for naming in namings(world, *identity(account)):
                if naming.subject.get("kind") != "Group":
                    found.append(naming)
        return found

    return once(world, "own bindings", identity(account), make)


def named(account: Object, world: World, *words: str) -> Iterator[Naming]:
    """The subjects of these names, without those of the built-in bindings."""
    namespace, _ = identity(account)
    for kind, where in scopes((namespace,)):
        subjects = subjects_of(world, kind, where)
        for word in words:
            for naming in subjects.by_name.get(word, ()):
                if BOOTSTRAPPING not in (naming.binding["metadata"].get("labels") or {}):
                    yield naming


def has_role_of(binding: Object, account: Object, world: World) -> bool:
    """Whether the account has the role of a binding, by that binding or another as wide."""
    reference = role_key(binding)
    with suppress(Unseen):
        for naming in namings(world, *identity(account)):
            wide = naming.binding["kind"] == "ClusterRoleBinding"
            if role_key(naming.binding) == reference and (wide or not is_wide(binding)):
                return True
    return False


def only_one_of_that_name(account: Object, world: World) -> bool | None:
    """Whether no other namespace has an account of the name; None where that cannot be seen.

    A ClusterRoleBinding outlives the namespaces that it was made for, so a name alone says little.
    """
    namespace, name = identity(account)
    found, complete = namespaces_with(name, world)
    if any(where != namespace for where in found):
        return False
    return True if complete else None


def evidence_of(naming: Naming, path: str, value: Any) -> Evidence:
    """A field of a subject, as the place of a fault."""
    return at(naming.binding, f"subjects[{naming.number}].{path}".rstrip("."), value, here=True)


def the_account(account: Object) -> Evidence:
    """The account as evidence."""
    namespace, name = identity(account)
    return Evidence("ServiceAccount", namespace, name, "", "is there")


# --- the role -------------------------------------------------------------------------------------


def dangling(account: Object, world: World) -> Iterator[tuple[Object, Object | None]]:
    """The account's own bindings whose role is not there, with the role of the other kind.

    In files a role that is not there may be in the cluster, so there only one whose namesake of the
    other kind is in the files counts.
    """
    for naming in own_bindings(account, world):
        binding = naming.binding
        kind, name = role_key(binding)
        if BOOTSTRAPPING in (binding["metadata"].get("labels") or {}) or name.startswith("system:"):
            continue
        if refused_reference(binding) or (kind == "ClusterRole" and name in DEFAULT_ROLES):
            continue
        try:
            if role_of(binding, world) is not None:
                continue
            yield binding, other_kind(binding, account, world)
        except Unseen:
            if stored(binding):
                raise
            try:
                namesake = other_kind(binding, account, world)
            except Unseen:
                continue
            if namesake is not None:
                yield binding, namesake


def other_kind(binding: Object, account: Object, world: World) -> Object | None:
    """The role of the same name and the other kind, as seen from the binding or the account."""
    kind, name = role_key(binding)
    if kind == "Role":
        if name in DEFAULT_ROLES:  # every cluster has them
            return {"kind": "ClusterRole", "metadata": {"name": name}}
        return world.get("ClusterRole", "", name)
    return world.get("Role", namespace_of(binding) or identity(account)[0], name)


def refused_reference(binding: Object) -> tuple[str, str] | None:
    """What the API server has against a roleRef in a file: field and value."""
    reference = binding.get("roleRef") or {}
    kind, group = reference.get("kind"), reference.get("apiGroup") or RBAC_GROUP
    if kind not in ("ClusterRole", *(() if is_wide(binding) else ("Role",))):
        return "kind", str(kind)
    return ("apiGroup", group) if group != RBAC_GROUP else None


@check("SAT502", on="ServiceAccount", severity="warning", stage="access")
def rbac_binding_missing_role(account: Object, world: World) -> Iterator[Finding]:
    """A binding names the account, but the role that it refers to is not there.

    ### What goes wrong

    The `roleRef` of a RoleBinding or ClusterRoleBinding may name a role that does not exist (yet,
    or any more). The binding is valid and gives nothing: requests are refused with 403, and the
    message ends in `RBAC: role.rbac.authorization.k8s.io "NAME" not found`. A Role is looked for in
    the namespace of its RoleBinding only.

    ### How to fix it

    Create the role, under the name that the binding has, with the verbs and resources that the 403
    message names. If the binding's name for it is wrong, make the binding again: a `roleRef` cannot
    be changed.
    """
    for binding, namesake in dangling(account, world):
        if namesake is not None:
            continue
        kind, name = role_key(binding)
        namespace = namespace_of(binding)
        here = at(binding, "roleRef.name", name, here=True)
        missing = Evidence(kind, namespace if kind == "Role" else "", name, "", "not found")
        near = near_role(kind, namespace, name, world)
        evidence = [here, missing]
        if near:
            evidence.append(Evidence(kind, missing.namespace, near, "", "is there"))
            fix = other_role(
                binding, world, {"name": near}, f"bind {kind.lower()} {near}, which is there"
            )
        else:
            scope = namespace if kind == "Role" else ""
            fix = Fix(
                "create it with what the program's 403 names (here: to read pods)",
                (
                    kubectl(
                        world,
                        scope,
                        "create",
                        kind.lower(),
                        name,
                        "--verb=get,list,watch",
                        "--resource=pods",
                    ),
                ),
            )
        yield Finding(
            f"{words_of(binding)} gives serviceaccount {identity(account)[1]} nothing: "
            f"{kind.lower()} {name} does not exist",
            here,
            tuple(evidence),
            fix,
        )
    bindings_unseen(account, world)


@check("SAT503", on="ServiceAccount", severity="warning", stage="access")
def rbac_roleref_kind_confusion(account: Object, world: World) -> Iterator[Finding]:
    """A binding says Role where a ClusterRole of that name is there, or the reverse.

    ### What goes wrong

    `roleRef.kind` decides where the role is looked for: a Role in the namespace of the binding, a
    ClusterRole in the cluster. With the wrong kind nothing is found, though a role of that name is
    there, and the binding gives nothing. A ClusterRoleBinding can only bind a ClusterRole: the API
    server refuses `kind: Role` there (`roleRef.kind: Unsupported value: "Role"`).

    ### How to fix it

    Make the binding again with the right kind; a `roleRef` cannot be changed. For a Role that was
    bound by a ClusterRoleBinding make a RoleBinding in the namespace of the Role.
    """
    namespace, name = identity(account)
    for naming in own_bindings(account, world):
        refused = refused_reference(naming.binding)
        if refused and not stored(naming.binding):
            yield refused_finding(naming.binding, *refused, account, world)
    for binding, namesake in dangling(account, world):
        if namesake is None:
            continue
        kind, role_name = role_key(binding)
        here = at(binding, "roleRef.kind", kind, here=True)
        summary = f"bind the {namesake['kind'].lower()}"
        if is_wide(binding) and namesake["kind"] == "Role":
            words = ("create", "rolebinding", binding["metadata"]["name"], f"--role={role_name}")
            fix = Fix(
                f"{summary} by a rolebinding, and remove the one that gives nobody anything",
                (
                    kubectl(world, namespace, *words, f"--serviceaccount={namespace}:{name}"),
                    kubectl(
                        world,
                        "",
                        "delete",
                        "clusterrolebinding",
                        binding["metadata"]["name"],
                        "--ignore-not-found",
                    ),
                ),
            )
        else:
            fix = other_role(
                binding, world, {"apiGroup": RBAC_GROUP, "kind": namesake["kind"]}, summary
            )
        yield Finding(
            f"{words_of(binding)} gives serviceaccount {name} nothing: it refers to a "
            f"{kind.lower()} {role_name}, but that is a {namesake['kind'].lower()}",
            here,
            (
                here,
                at(binding, "roleRef.name", role_name),
                at(namesake, "", "is there"),
            ),
            fix,
            certainty="certain" if stored(binding) or is_wide(binding) else "likely",
        )
    bindings_unseen(account, world)


def refused_finding(
    binding: Object, field: str, value: str, account: Object, world: World
) -> Finding:
    """The finding on a roleRef that no API server takes."""
    namespace, _ = identity(account)
    kind, role_name = role_key(binding)
    here = at(binding, f"roleRef.{field}", value, here=True)
    narrow = kind == "Role" and any(
        role["metadata"]["name"] == role_name for role in written(world, "Role", namespace)
    )
    if is_wide(binding) and narrow:
        right = {
            **binding,
            "kind": "RoleBinding",
            "metadata": {**binding["metadata"], "namespace": namespace},
        }
        fix = and_manifest(world, right, "bind the role by a rolebinding")
    else:
        change = {"apiGroup": RBAC_GROUP}
        if field == "kind":
            change["kind"] = "ClusterRole"
        fix = other_role(binding, world, change, "refer to it as the API server wants it")
    return Finding(
        f'{words_of(binding)} is refused: roleRef.{field}: Unsupported value: "{value}"',
        here,
        (here, at(binding, "roleRef.name", role_name)),
        fix,
    )


def written(world: World, kind: str, namespace: str) -> Iterator[Object]:
    """The objects of a kind that can be seen, whether that is all of them or not."""
    with suppress(Unseen):
        yield from world.list(kind, namespace)


# --- the subject ----------------------------------------------------------------------------------


@check("SAT504", on="ServiceAccount", severity="warning", stage="access")
def rbac_subject_wrong_namespace(account: Object, world: World) -> Iterator[Finding]:
    """A binding names an account of this name in a namespace where there is none.

    ### What goes wrong

    A subject of kind ServiceAccount has a namespace of its own, and it is not this account's:
    often a chart that has `default` written into it, or the namespace of its author. No account of
    that name lives there, so the binding gives nobody anything, and this account is refused with
    403.

    ### How to fix it

    Write the account's namespace into the subject. In a RoleBinding it may be left out when it is
    that of the binding.
    """
    namespace, name = identity(account)
    for naming in named(account, world, name):
        binding, subject = naming.binding, naming.subject
        where = subject.get("namespace")
        if subject.get("kind") != "ServiceAccount" or where in (None, "", namespace):
            continue
        if has_role_of(binding, account, world):
            continue
        certainty = "certain"
        try:
            if world.get("ServiceAccount", where, name) is not None:
                continue
        except Unseen:
            if stored(binding):
                raise
            # what the cluster has is not in the files, but no chart's account lives in default
            certainty = "likely" if where == "default" else "possible"
        if is_wide(binding):
            if name == "default" or own_bindings(account, world):
                continue
            alone = only_one_of_that_name(account, world)
            if alone is False:
                continue
            certainty = "likely" if alone and certainty == "certain" else certainty
        here = evidence_of(naming, "namespace", where)
        yield Finding(
            f"{words_of(binding)} gives serviceaccount {name} nothing: it names one in "
            f"namespace {where}, where there is none",
            here,
            (
                evidence_of(naming, "name", name)._replace(here=False),
                here,
                Evidence(
                    "ServiceAccount",
                    where,
                    name,
                    "",
                    f"not found in {where}" if certainty != "possible" else "not in the files",
                ),
                the_account(account)._replace(value=f"is there in {namespace}"),
            ),
            patched_subject(
                naming, world, {**subject, "namespace": namespace}, f"name the one in {namespace}"
            ),
            certainty=certainty,
        )
    bindings_unseen(account, world)


@check("SAT505", on="ServiceAccount", severity="warning", stage="access")
def rbac_subject_wrong_name(account: Object, world: World) -> Iterator[Finding]:
    """A binding names an account that is not there, by nearly the name of this one.

    ### What goes wrong

    The subject's name is misspelt, or has an old prefix (the name of a Helm release, a generated
    suffix). The API server does not check that a subject exists, so the binding is valid and gives
    nobody anything; this account has no binding of its own and is refused with 403.

    ### How to fix it

    Write the account's name into the subject.
    """
    namespace, name = identity(account)
    if name != "default" and not own_bindings(account, world):
        for naming in misspelt(account, world):
            meant = naming.subject["name"]
            here = evidence_of(naming, "name", meant)
            yield Finding(
                f"{words_of(naming.binding)} names serviceaccount {meant}, which does not exist: "
                f"{name} may be meant",
                here,
                (
                    here,
                    Evidence("ServiceAccount", namespace, meant, "", "not found"),
                    the_account(account)._replace(value="is there, named by no binding"),
                ),
                patched_subject(naming, world, {**naming.subject, "name": name}, f"name {name}"),
                certainty="likely" if stored(naming.binding) else "possible",
            )
    bindings_unseen(account, world)


def misspelt(account: Object, world: World) -> Iterator[Naming]:
    """The subjects that mean no account of the namespace, and this one by nearly its name."""
    namespace, name = identity(account)
    for kind, where in scopes((namespace,)):
        for naming in subjects_of(world, kind, where).by_namespace.get(namespace, ()):
            meant = naming.subject.get("name") or ""
            labels = naming.binding["metadata"].get("labels") or {}
            if not alike(meant, name) or BOOTSTRAPPING in labels:
                continue
            try:
                if world.get("ServiceAccount", namespace, meant) is not None:
                    continue
            except Unseen:
                if stored(naming.binding):
                    raise
            if near_name(namespace, meant, world) == name:
                yield naming


def alike(one: str, other: str) -> bool:
    """Whether two names may be the same one, before anything is read for it."""
    if one == other or ":" in one:
        return False
    return one[:2] == other[:2] or one[-3:] == other[-3:] or sorted(one) == sorted(other)


@check("SAT506", on="ServiceAccount", severity="warning", stage="access")
def rbac_subject_wrong_kind(account: Object, world: World) -> Iterator[Finding]:
    """A binding names the account as a User or a Group.

    ### What goes wrong

    A subject of kind User or Group with the name of the account means a person or a group of that
    name, not the account: its user name is `system:serviceaccount:NAMESPACE:NAME`, and its groups
    are `system:serviceaccounts` and `system:serviceaccounts:NAMESPACE` (plural). The binding is
    valid and gives the account nothing. `kubectl create rolebinding --user=NAME` makes such a one.

    ### How to fix it

    Name the account by a subject of kind ServiceAccount, with its namespace and without an
    apiGroup.
    """
    namespace, name = identity(account)
    group = f"system:serviceaccounts:{namespace}"
    forms = {
        f"{namespace}:{name}": "",
        f"{namespace}/{name}": "",
        f"system:serviceaccount:{namespace}/{name}": "",
        f"{group}:{name}": "",
        user_of(namespace, name): "Group",
        f"system:serviceaccount:{namespace}": "",
        group: "User",
        name: "",
        f"system:serviceaccount:{name}": "",
    }
    for naming in named(account, world, *forms):
        binding, subject = naming.binding, naming.subject
        kind, word = subject.get("kind"), subject["name"]
        if kind not in ("User", "Group") or forms[word] not in ("", kind):
            continue
        if has_role_of(binding, account, world):
            continue
        certainty = "certain"
        if word in (name, f"system:serviceaccount:{name}"):
            # somebody may be called so
            if own_bindings(account, world) or (is_wide(binding) and name == "default"):
                continue
            if is_wide(binding) and only_one_of_that_name(account, world) is False:
                continue
            certainty = "possible" if is_wide(binding) else "likely"
        here = evidence_of(naming, "kind", kind)
        if word in (group, f"system:serviceaccount:{namespace}"):
            right: Object = {"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}
            summary = f"name the group of the accounts of {namespace} as it is called"
        else:
            right = account_subject(*identity(account))
            summary = "name the account as a ServiceAccount"
        yield Finding(
            f"{words_of(binding)} gives serviceaccount {name} nothing: it names a "
            f"{kind.lower()} {word}",
            here,
            (
                here,
                evidence_of(naming, "name", word)._replace(here=False),
                the_account(account)._replace(value=f"is user {user_of(namespace, name)}"),
            ),
            patched_subject(naming, world, right, summary),
            certainty=certainty,
        )
    bindings_unseen(account, world)


@check("SAT507", on="ServiceAccount", severity="warning", stage="access")
def rbac_subject_invalid(account: Object, world: World) -> Iterator[Finding]:
    """A binding in a file names the account in a way that the API server refuses.

    ### What goes wrong

    The API server refuses the whole binding: a ServiceAccount in a ClusterRoleBinding needs a
    namespace (`subjects[0].namespace: Required value`), may have no apiGroup
    (`subjects[0].apiGroup: Unsupported value`), and its name is its own name, not the user name
    `system:serviceaccount:NAMESPACE:NAME`. The kinds are User, Group and ServiceAccount, spelt so.
    In a RoleBinding the namespace may be left out.

    ### How to fix it

    Write the subject as `kind: ServiceAccount` with `name` and `namespace`, and nothing else.
    """
    namespace, name = identity(account)
    user = user_of(namespace, name)
    for naming in named(account, world, name, user, f"{namespace}:{name}"):
        binding, subject = naming.binding, naming.subject
        if stored(binding) or subject.get("namespace") not in (None, "", namespace):
            continue
        refused = refusal(subject, is_wide(binding))
        if not refused or (subject.get("kind") in ("User", "Group") and subject["name"] != user):
            continue
        field, why = refused
        here = evidence_of(naming, field, subject.get(field))
        yield Finding(
            f"{words_of(binding)} is refused: subjects[{naming.number}].{field}: {why}",
            here,
            (here, evidence_of(naming, "name", subject["name"])._replace(here=False)),
            patched_subject(
                naming, world, account_subject(*identity(account)), "name it as it must be"
            ),
        )
    bindings_unseen(account, world)
