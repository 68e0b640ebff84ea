"""A role is bound to the service account, but a rule in it matches no request."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..fixes import and_manifest, dumps, kubectl
from ..rbac import (
    BUILT_IN,
    DEFAULT_ROLES,
    Attributes,
    Grant,
    allows,
    grants,
    is_default,
    once,
    role_of,
    rules_of,
    url_matches,
)
from ..rbac_words import (
    FORMER_GROUPS,
    POD_VERBS,
    RESOURCES,
    URL_VERBS,
    VERBS,
    any_words,
    at_home,
    homes,
    is_cluster_scoped,
    malformed_group,
    right_resource,
    right_subresources,
    right_url,
    right_verbs,
)
from ..selectors import selects
from ..server import version_of
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .bindings import (
    RBAC_GROUP,
    bindings_unseen,
    identity,
    own_bindings,
    role_key,
    stored,
    written,
)


class Held(NamedTuple):
    """A rule that the account has: the ``number``-th of the role that ``grant`` binds."""

    grant: Grant
    role: Object
    number: int
    rule: Object


class Wrong(NamedTuple):
    """What is wrong with a rule, what it should be, and what of that the account lacks.

    ``entries`` are the fields that match nothing: (path below the rule, value). ``rule`` takes the
    place of the old one, ``more`` are added.
    """

    entries: list[tuple[str, Any]]
    text: str
    rule: Object
    meant: list[Attributes]
    more: tuple[Object, ...] = ()
    certainty: str = "certain"
    severity: str = ""


# --- what the checks here share -------------------------------------------------------------------


def own_grants(account: Object, world: World) -> list[Grant]:
    """The account's own bindings to roles that somebody wrote, as far as they can be seen."""
    return own_roles(account, world)[0]


def own_roles(account: Object, world: World) -> tuple[list[Grant], list[Unseen]]:
    """The same, and the roles that could not be looked at."""
    return once(world, "own roles", identity(account), lambda: read_roles(account, world))


def read_roles(account: Object, world: World) -> tuple[list[Grant], list[Unseen]]:
    """Reads the roles that somebody wrote and bound to the account."""
    found: list[Grant] = []
    unseen: list[Unseen] = []
    for naming in own_bindings(account, world):
        _, name = role_key(naming.binding)
        if name in DEFAULT_ROLES or name.startswith("system:"):
            continue
        try:
            role = role_of(naming.binding, world)
        except Unseen as error:
            unseen.append(error)
            continue
        if role is not None and not is_default(role):
            found.append(Grant(*naming, role))
    return found, unseen


def all_seen(account: Object, world: World) -> None:
    """Raises Unseen where there may be more bindings or roles than those that were looked at."""
    bindings_unseen(account, world)
    for error in own_roles(account, world)[1]:
        raise error.with_traceback(None)


def held_by(account: Object, world: World) -> Iterator[Held]:
    """The rules that the account has by its own bindings."""
    met: set[tuple[str, str]] = set()
    # a role that is bound twice counts as it is bound most widely
    for grant in sorted(own_grants(account, world), key=lambda grant: not grant.wide):
        role = grant.role or {}
        key = (role["kind"], role["metadata"]["name"])
        if key in met:
            continue
        met.add(key)
        for number, rule in enumerate(rules_of(role)):
            yield Held(grant, role, number, rule)


def lacks(account: Object, world: World, wide: bool, meant: list[Attributes]) -> bool | None:
    """Whether the account may not do all that was meant; None where a role of it is unseen.

    ``wide`` asks for what is allowed in all namespaces, by ClusterRoleBindings that is.
    """
    if not meant:
        return False
    rules: list[Object] = []
    unknown = False
    try:
        for grant in grants(world, *identity(account)):
            if wide and not grant.wide:
                continue
            if grant.role is None and grant.binding["metadata"]["name"] in BUILT_IN:
                continue
            unknown = unknown or grant.unseen is not None
            rules += grant.rules or []
    except Unseen:
        unknown = True
    missing = any(not allows(rules, asked) for asked in meant)
    return None if missing and unknown else missing


Judge = Callable[[Held], Wrong | None]


def judged(account: Object, world: World, judge: Judge) -> Iterator[Finding]:
    """The findings of a judge of rules, one for each role."""
    roles: dict[tuple[str, str], list[tuple[Held, Wrong]]] = {}
    for held in held_by(account, world):
        wrong = judge(held)
        if wrong is None:
            continue
        missing = lacks(account, world, held.grant.wide, wrong.meant)
        if missing is False:
            continue  # left over from another time: the account has what is meant
        if missing is None and wrong.certainty == "certain":
            wrong = wrong._replace(certainty="likely")
        key = (held.role["kind"], held.role["metadata"]["name"])
        roles.setdefault(key, []).append((held, wrong))
    for found in roles.values():
        held, first = found[0]
        evidence = [
            at(held.role, f"rules[{one.number}].{path}", value, here=True)
            for one, wrong in found
            for path, value in wrong.entries
        ]
        evidence.append(bound_by(held.grant))
        yield Finding(
            f"a rule of {role_words(held.role)} does not give serviceaccount "
            f"{identity(account)[1]} what it names: {first.text}",
            evidence[0],
            tuple(evidence),
            rewritten(held.role, [(one, wrong) for one, wrong in found], world),
            certainty=first.certainty,
            severity=first.severity,
        )
    all_seen(account, world)


def role_words(role: Object) -> str:
    """A role in a sentence."""
    return f"{role['kind'].lower()} {role['metadata']['name']}"


def bound_by(grant: Grant) -> Evidence:
    """The binding by which the account has a role."""
    return at(grant.binding, f"subjects[{grant.number}].name", grant.subject.get("name"))


def rewritten(role: Object, found: list[tuple[Held, Wrong]], world: World) -> Fix:
    """A fix that corrects rules of a role, field by field."""
    summary = f"correct {'the rule' if len(found) == 1 else 'the rules'}"
    patch: list[Object] = []
    rules = list(rules_of(role))
    more: list[Object] = []
    for held, wrong in found:
        rules[held.number] = wrong.rule
        more += wrong.more
        for field, value in wrong.rule.items():
            if held.rule.get(field) != value:
                patch += list_patch(
                    f"/rules/{held.number}/{field}", held.rule.get(field) or [], value
                )
        for field in held.rule:
            if field not in wrong.rule:
                patch.append({"op": "remove", "path": f"/rules/{held.number}/{field}"})
    patch += [{"op": "add", "path": "/rules/-", "value": rule} for rule in more]
    if not stored(role):
        return and_manifest(world, {**role, "rules": rules + more}, summary)
    words = ("patch", role["kind"].lower(), role["metadata"]["name"], "--type=json")
    namespace = role["metadata"].get("namespace") or ""
    return Fix(summary, (kubectl(world, namespace, *words, "-p", dumps(patch)),))


def list_patch(path: str, old: list[str], new: list[str]) -> Iterator[Object]:
    """A JSON patch from one list to another, entry by entry.

    So the fixes of several faults of one rule can be applied one after the other.
    """
    gone = [number for number, word in enumerate(old) if word not in new]
    come = [word for word in new if word not in old]
    for number, word in zip(gone, come, strict=False):
        yield {"op": "replace", "path": f"{path}/{number}", "value": word}
    for word in come[len(gone) :]:
        yield {"op": "add", "path": f"{path}/-", "value": word}
    for number in reversed(gone[len(come) :]):
        yield {"op": "remove", "path": f"{path}/{number}"}


def words_in(rule: Object, field: str) -> list[str]:
    """A list of a rule."""
    return rule.get(field) or []


def asks(verbs: list[str], groups: list[str], resource: str, name: str = "") -> list[Attributes]:
    """The requests that verbs on a resource mean; ``*`` stands for reading."""
    plural, _, subresource = resource.partition("/")
    wanted = dict.fromkeys(verb for verb in verbs if verb != "*")
    if "*" in verbs:
        wanted.update(dict.fromkeys(VERBS))
    return [
        Attributes(verb, group, plural, subresource, name) for verb in wanted for group in groups
    ]


def replaced(words: list[str], changes: dict[str, tuple[str, ...]]) -> list[str]:
    """A list with some words replaced by others, each once."""
    return list(dict.fromkeys(new for word in words for new in changes.get(word, (word,))))


# --- groups and resources -------------------------------------------------------------------------


@check("SAT508", on="ServiceAccount", severity="warning", stage="access")
def rbac_wrong_api_group(account: Object, world: World) -> Iterator[Finding]:
    """A rule names a resource in an API group that does not have it.

    ### What goes wrong

    `apiGroups` wants the group alone: `""` for pods, services, secrets and the like (not `core` or
    `v1`), `apps` for deployments (not `apps/v1` or `extensions`). A rule with the wrong group is
    valid and matches nothing, so the request is refused with 403: `cannot list resource
    "deployments" in API group "apps"`.

    ### How to fix it

    Write the group that the 403 message names; `kubectl api-resources` lists group and version of
    every resource, and the group is what comes before the slash.
    """

    def judge(held: Held) -> Wrong | None:
        wrong = wrong_group(held)
        if wrong is None or not any(
            group in FORMER_GROUPS for group in words_in(held.rule, "apiGroups")
        ):
            return wrong
        version = version_of(world)
        return None if version is not None and version < (1, 22) else wrong

    yield from judged(account, world, judge)


def wrong_group(held: Held) -> Wrong | None:
    """What is wrong with the groups of a rule."""
    rule = held.rule
    groups = words_in(rule, "apiGroups")
    if "*" in groups:
        return None
    changes: dict[str, tuple[str, ...]] = {}
    meant: list[Attributes] = []
    entries: list[tuple[str, Any]] = []
    text = ""
    known = {
        resource.partition("/")[0]: homes(resource.partition("/")[0])
        for resource in words_in(rule, "resources")
    }
    everywhere = list(dict.fromkeys(home for found in known.values() for home in found))
    for number, group in enumerate(groups):
        right = malformed_group(group, everywhere)
        if right is None:
            continue
        changes[group] = right
        entries.append((f"apiGroups[{number}]", group))
        named = ", ".join(f'"{one}"' for one in right)
        text = text or f'"{group}" is no API group' + (f" ({named} is)" if right else "")
        for resource in words_in(rule, "resources"):
            its_own = known[resource.partition("/")[0]] or right
            its = [one for one in right if one in its_own]
            meant += asks(words_in(rule, "verbs"), its, resource, first_name(rule))
    right_groups = replaced(groups, changes)
    if all(group in RESOURCES or group in FORMER_GROUPS for group in right_groups):
        for number, resource in enumerate(words_in(rule, "resources")):
            its_homes = known[resource.partition("/")[0]]
            if resource == "podsecuritypolicies":
                continue  # there are none any more, in whichever group
            if not its_homes or any(home in right_groups for home in its_homes):
                continue
            entries.append((f"resources[{number}]", resource))
            entries += [("apiGroups", groups)] if len(entries) == 1 else []
            text = text or f'{resource} are in API group "{its_homes[0]}"'
            meant += asks(words_in(rule, "verbs"), its_homes[:1], resource, first_name(rule))
            right_groups = [*right_groups, its_homes[0]]
    if not meant:
        return None
    # a group that has none of the resources is not needed beside one that has
    useful = [
        group
        for group in right_groups
        if group not in FORMER_GROUPS
        and (group not in RESOURCES or group in everywhere or not everywhere)
    ]
    return Wrong(entries, text, {**rule, "apiGroups": useful or right_groups}, meant)


def first_name(rule: Object) -> str:
    """One of the names that a rule is limited to, if it is."""
    return next(iter(words_in(rule, "resourceNames")), "")


@check("SAT509", on="ServiceAccount", severity="warning", stage="access")
def rbac_wrong_resource_name(account: Object, world: World) -> Iterator[Finding]:
    """A rule names a resource by its singular, kind, short name or group.

    ### What goes wrong

    `resources` wants the plural in lower case, as it is in the path of a request: `pods`, not
    `pod`, `Pod` or `po`; `deployments`, not `deploy`, `apps/deployments` or `deployments.apps`. The
    API server takes any word; a rule with another one matches nothing, and the request is refused
    with 403.

    ### How to fix it

    Write the name of the first column of `kubectl api-resources`, and its group into `apiGroups`.
    """
    yield from judged(account, world, wrong_resource)


def wrong_resource(held: Held) -> Wrong | None:
    """What is wrong with the resources of a rule."""
    rule = held.rule
    groups = words_in(rule, "apiGroups")
    built_in = all(
        group in RESOURCES or group in FORMER_GROUPS or malformed_group(group, []) is not None
        for group in groups
    )
    if any_words(groups):
        return None
    entries: list[tuple[str, Any]] = []
    changes: dict[str, tuple[str, ...]] = {}
    meant: list[Attributes] = []
    right_groups = [group for group in groups if malformed_group(group, []) is None]
    certainty, text = "certain", ""
    for number, resource in enumerate(words_in(rule, "resources")):
        found = right_resource(resource, built_in, "*" in groups)
        if found is None:
            continue
        right, sure = found
        its_homes = homes(right.partition("/")[0]) or right_groups
        if "*" not in groups and not any(home in right_groups for home in its_homes):
            right_groups = [*right_groups, *its_homes[:1]]
        its = [home for home in its_homes if home in right_groups] or its_homes[:1]
        entries.append((f"resources[{number}]", resource))
        changes[resource] = (right,)
        text = text or f"{resource} is no resource, {right} is"
        meant += asks(words_in(rule, "verbs"), its, right, first_name(rule))
        certainty = certainty if sure else "likely"
    if not meant:
        return None
    fields = {"resources": replaced(words_in(rule, "resources"), changes)}
    if "*" not in groups:
        fields["apiGroups"] = list(dict.fromkeys(right_groups))
    return Wrong(entries, text, {**rule, **fields}, meant, certainty=certainty)


@check("SAT510", on="ServiceAccount", severity="warning", stage="access")
def rbac_subresource_missing(account: Object, world: World) -> Iterator[Finding]:
    """A rule names a subresource that is none, or `pods/*`, which matches nothing.

    ### What goes wrong

    Subresources are granted by their own name: `pods` never grants `pods/log`. There is no
    `pods/logs`, and `pods/*` is no pattern: the only ones are `*` for everything and
    `*/SUBRESOURCE` for that of all resources. The rule is valid and matches nothing, so the request
    is refused with 403: `cannot get resource "pods/log" in API group ""`.

    ### How to fix it

    Name each subresource that the program needs: `pods/log`, `pods/exec`, `deployments/scale`,
    `serviceaccounts/token`, `widgets/status`.
    """
    yield from judged(account, world, wrong_subresource)


def wrong_subresource(held: Held) -> Wrong | None:
    """What is wrong with the subresources of a rule."""
    rule = held.rule
    groups = words_in(rule, "apiGroups")
    if any_words(groups):
        return None
    entries: list[tuple[str, Any]] = []
    changes: dict[str, tuple[str, ...]] = {}
    meant: list[Attributes] = []
    text = ""
    for number, resource in enumerate(words_in(rule, "resources")):
        main, slash, sub = resource.partition("/")
        if not slash or main in RESOURCES or main != main.lower() or "." in main:
            continue
        right = right_subresources(main, sub)
        if not right:
            continue
        entries.append((f"resources[{number}]", resource))
        changes[resource] = right
        text = text or (
            f"{resource} is no pattern"
            if sub == "*"
            else f"{resource} is no resource, {right[0]} is"
        )
        where = homes(main) or [group for group in groups if group != "*"] or [""]
        for one in right:
            for group in where:
                meant += asks(words_in(rule, "verbs"), [group], one, first_name(rule))
    if not meant:
        return None
    resources = replaced(words_in(rule, "resources"), changes)
    return Wrong(entries, text, {**rule, "resources": resources}, meant)


# --- names and verbs ------------------------------------------------------------------------------


@check("SAT511", on="ServiceAccount", severity="warning", stage="access")
def rbac_resourcenames_misuse(account: Object, world: World) -> Iterator[Finding]:
    """A rule limits to names a verb for which the name of the object is not known.

    ### What goes wrong

    A request to create has no name yet when it is authorized, and one to delete a collection never
    has one, so a rule with `resourceNames` does not allow them: leader election stops at `leases is
    forbidden: … cannot create resource "leases"`. Only subresources (`serviceaccounts/token`) and
    server-side apply (which patches) have a name. To list and watch a client has to ask with
    `--field-selector metadata.name=NAME`, which few do. Names are no patterns: `web-*` is a name.

    ### How to fix it

    Allow `create` in a rule without `resourceNames`, and keep the others limited.
    """
    yield from judged(account, world, wrong_names)


def wrong_names(held: Held) -> Wrong | None:
    """What is wrong with the names of a rule."""
    rule = held.rule
    names = words_in(rule, "resourceNames")
    verbs = words_in(rule, "verbs")
    resources = [one for one in words_in(rule, "resources") if "/" not in one]
    if not names or not resources:
        return None
    groups = words_in(rule, "apiGroups")
    known = all(homes(resource) for resource in resources) and RBAC_GROUP not in groups
    patterns = [
        (f"resourceNames[{number}]", name) for number, name in enumerate(names) if "*" in name
    ]
    if patterns and known and all(verb in VERBS for verb in verbs):
        meant = [
            one
            for resource in resources
            for one in asks(verbs, at_home(resource, groups), resource, "satoken")
        ]
        kept = [name for name in names if "*" not in name]
        right = {key: value for key, value in rule.items() if key != "resourceNames"}
        if kept:
            right["resourceNames"] = kept
            more: tuple[Object, ...] = (
                {key: value for key, value in right.items() if key != "resourceNames"},
            )
        else:
            more = ()
        text = f'resourceNames are no patterns, and nothing is called "{patterns[0][1]}"'
        return Wrong(patterns, text, right, meant, more)
    nameless = ["create"] if "create" in verbs else []
    if not nameless and "delete" not in verbs and "deletecollection" in verbs:
        nameless = ["deletecollection"]
    certainty, severity = "certain", ""
    if not nameless and verbs and set(verbs) <= {"list", "watch"}:
        nameless, certainty = verbs, "possible"  # a client can ask so that it works
    elif "patch" in verbs and "create" in nameless:
        severity = "hint"  # server-side apply has a name to create by
    if not nameless:
        return None
    meant = [
        one for resource in resources for one in asks(nameless, at_home(resource, groups), resource)
    ]
    entries: list[tuple[str, Any]] = [(f"verbs[{verbs.index(verb)}]", verb) for verb in nameless]
    without = {"apiGroups": groups, "resources": resources, "verbs": nameless}
    text = (
        f"{' and '.join(nameless)} cannot be limited to {', '.join(names)}: no name is known then"
    )
    if certainty == "possible":
        text = f"{' and '.join(verbs)} limited to a name needs a field selector"
    return Wrong(
        [*entries, ("resourceNames", names)],
        text,
        rule,
        meant,
        (without,),
        certainty=certainty,
        severity=severity,
    )


@check("SAT512", on="ServiceAccount", severity="warning", stage="access")
def rbac_verb_mistakes(account: Object, world: World) -> Iterator[Finding]:
    """A rule has a verb that no request has.

    ### What goes wrong

    The verbs of resources are get, list, watch, create, update, patch, delete and deletecollection
    (and few more: use, bind, escalate, impersonate, approve, sign, attest), those of non-resource
    URLs the HTTP methods in lower case. The API server takes any other word, such as `read`,
    `write`, `edit`, `GET` or `get,list` in one string; it matches nothing, and the request is
    refused with 403.

    ### How to fix it

    Write the verb that the 403 message names.
    """
    yield from judged(account, world, wrong_verbs)


def wrong_verbs(held: Held) -> Wrong | None:
    """What is wrong with the verbs of a rule."""
    rule = held.rule
    verbs = words_in(rule, "verbs")
    urls = words_in(rule, "nonResourceURLs")
    groups = words_in(rule, "apiGroups")
    if "*" in verbs:
        return None
    right = URL_VERBS if urls else VERBS
    # other servers may know other verbs
    built_in = all(group in RESOURCES for group in groups)
    entries: list[tuple[str, Any]] = []
    changes: dict[str, tuple[str, ...]] = {}
    sure = True
    for number, verb in enumerate(verbs):
        found = right_verbs(verb, right, built_in)
        if found is None:
            continue
        changes[verb], certain = found
        entries.append((f"verbs[{number}]", verb))
        sure = sure and certain
    on_pods = "pods" in words_in(rule, "resources") and any(one in groups for one in ("", "*"))
    on_pods = on_pods and not any(verb in changes for verb in verbs)
    for number, verb in enumerate(verbs if on_pods else ()):
        if verb.lower() in POD_VERBS:
            resource, right_verb = POD_VERBS[verb.lower()]
            kept = [one for one in verbs if one != verb]
            more = {"apiGroups": [""], "resources": [resource], "verbs": [right_verb]}
            return Wrong(
                [(f"verbs[{number}]", verb)],
                f'no request has the verb "{verb}" ({right_verb} {resource} is meant)',
                {**rule, "verbs": kept} if kept else more,
                asks([right_verb], [""], resource),
                (more,) if kept else (),
            )
    if not changes:
        return None
    added = list(dict.fromkeys(new for words in changes.values() for new in words))
    if urls:
        meant = [Attributes(verb, path=url.rstrip("*")) for verb in added for url in urls]
    else:
        meant = [
            one
            for resource in words_in(rule, "resources")
            for one in asks(added, at_home(resource, groups), resource, first_name(rule))
        ]
    first = entries[0][1]
    return Wrong(
        entries,
        f'no request has the verb "{first}" ({", ".join(changes[first])} is meant)',
        {**rule, "verbs": replaced(verbs, changes)},
        meant,
        certainty="certain" if sure else "likely",
    )


# --- what a RoleBinding cannot give ---------------------------------------------------------------


def only_narrow(account: Object, world: World) -> Iterator[Grant]:
    """The roles that somebody wrote and that the account has by a RoleBinding only."""
    found = own_grants(account, world)
    wide = {role_key(grant.binding) for grant in found if grant.wide}
    for grant in found:
        if not grant.wide and role_key(grant.binding) not in wide:
            yield grant


def cluster_wide(account: Object, role: Object, rules: list[Object], world: World) -> Fix:
    """A fix that grants rules cluster-wide, by a ClusterRole of their own."""
    namespace, name = identity(account)
    own = f"{namespace}-{role['metadata']['name']}"
    made = and_manifest(
        world,
        {
            "apiVersion": f"{RBAC_GROUP}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": own},
            "rules": rules,
        },
        "grant it by a clusterrolebinding, and nothing else with it",
    )
    subject = f"--serviceaccount={namespace}:{name}"
    words = ("create", "clusterrolebinding", own, f"--clusterrole={own}", subject)
    return made._replace(commands=(*made.commands, kubectl(world, "", *words)))


# What every account may get, whatever its bindings (system:discovery, system:public-info-viewer and
# system:service-account-issuer-discovery of the built-in policy).
PUBLIC = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/readyz",
    "/openapi*",
    "/version*",
    "/.well-known/openid-configuration*",
    "/openid/v1/jwks*",
)


@check("SAT513", on="ServiceAccount", severity="warning", stage="access")
def rbac_nonresourceurls(account: Object, world: World) -> Iterator[Finding]:
    """A rule on non-resource URLs cannot match, or is bound in one namespace only.

    ### What goes wrong

    URLs such as `/metrics` are in no namespace, so only a ClusterRole that is bound by a
    ClusterRoleBinding grants them; a RoleBinding of the same ClusterRole gives nothing of it, and
    in a Role the API server refuses them (`namespaced rules cannot apply to non-resource URLs`).
    An entry is a path that begins with a slash, and `*` counts at its end only. The request is
    refused with 403: `cannot get path "/metrics"`.

    ### How to fix it

    Put the URLs into a ClusterRole of their own and bind that by a ClusterRoleBinding.
    """
    for grant in only_narrow(account, world):
        role = grant.role or {}
        rules = [
            (number, rule)
            for number, rule in enumerate(rules_of(role))
            if words_in(rule, "nonResourceURLs") and "*" not in words_in(rule, "nonResourceURLs")
        ]
        asked = [
            Attributes(verb if verb != "*" else "get", path=url.rstrip("*"))
            for _, rule in rules
            for verb in words_in(rule, "verbs")
            for url in words_in(rule, "nonResourceURLs")
            if not any(url_matches(public, url) for public in PUBLIC)
        ]
        missing = lacks(account, world, True, asked)
        if missing is False:
            continue
        urls = [url for _, rule in rules for url in words_in(rule, "nonResourceURLs")]
        evidence = [
            at(
                role,
                f"rules[{number}].nonResourceURLs",
                words_in(rule, "nonResourceURLs"),
                here=True,
            )
            for number, rule in rules
        ]
        why = "only a clusterrolebinding grants URLs"
        fix = cluster_wide(account, role, [corrected_urls(rule) for _, rule in rules], world)
        if role["kind"] == "Role":
            why = "a role with URLs is refused"
            kept = [rule for rule in rules_of(role) if not words_in(rule, "nonResourceURLs")]
            rest = and_manifest(world, {**role, "rules": kept}, "")
            fix = fix._replace(commands=(*rest.commands, *fix.commands))
        mixed = len(rules) < len(rules_of(role)) and role["kind"] == "ClusterRole"
        yield Finding(
            f"{role_words(role)} does not give serviceaccount {identity(account)[1]} "
            f"{', '.join(urls)}: {why}",
            evidence[0],
            (*evidence, at(grant.binding, "kind", grant.binding["kind"])),
            fix,
            certainty="likely" if missing is None and role["kind"] != "Role" else "certain",
            severity="hint" if mixed else "",
        )
    yield from judged(account, world, wrong_urls)


def wrong_urls(held: Held) -> Wrong | None:
    """What is wrong with the URLs of a rule that is bound cluster-wide."""
    urls = words_in(held.rule, "nonResourceURLs")
    if not held.grant.wide:
        return None
    entries = [
        (f"nonResourceURLs[{number}]", url)
        for number, url in enumerate(urls)
        if url != right_url(url)
    ]
    if not entries:
        return None
    first = str(entries[0][1])
    meant = [
        Attributes(verb if verb != "*" else "get", path=right_url(url).rstrip("*"))
        for verb in words_in(held.rule, "verbs")
        for _, url in entries
    ]
    text = f"{first} is no path" if first[:1] != "/" else f"{first} is no pattern"
    return Wrong(list(entries), f"{text}, {right_url(first)} is", corrected_urls(held.rule), meant)


def corrected_urls(rule: Object) -> Object:
    """A rule with its URLs as they should be."""
    urls = [right_url(url) for url in words_in(rule, "nonResourceURLs")]
    return {**rule, "nonResourceURLs": list(dict.fromkeys(urls))}


@check("SAT514", on="ServiceAccount", severity="warning", stage="access")
def rbac_aggregated_clusterrole(account: Object, world: World) -> Iterator[Finding]:
    """An aggregated ClusterRole takes in no role, or loses the rules that it has.

    ### What goes wrong

    A ClusterRole with an `aggregationRule` gets its rules from the ClusterRoles whose labels match.
    The value of a label is a string, and has to be the same to the letter: `"true"`, not `"True"`
    or `"yes"`. As long as none matches, the role has no rules, or those that were written into it;
    the first that matches replaces these.

    ### How to fix it

    Correct the label of the role that belongs to it. Put rules of its own into another ClusterRole
    with the label.
    """
    for grant in own_grants(account, world):
        role = grant.role or {}
        if role.get("aggregationRule"):
            yield from aggregation_faults(grant, role, account, world)
    all_seen(account, world)


def aggregation_faults(
    grant: Grant, role: Object, account: Object, world: World
) -> Iterator[Finding]:
    """What is wrong with an aggregated role."""
    own = role["metadata"]["name"]
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
    others = [
        other for other in written(world, "ClusterRole", "") if other["metadata"]["name"] != own
    ]
    sources = [
        other for other in others if any(selects(one, labels_of(other)) for one in selectors)
    ]
    nearly = [
        (other, key, value)
        for other in others
        if other not in sources
        for selector in selectors
        for key, value in near_labels(selector, labels_of(other))
    ]
    name = identity(account)[1]
    if nearly and not (sources and rules_of(role) and all_there(nearly[0][0], role)):
        other, key, value = nearly[0]
        found = labels_of(other)[key]
        here = at(other, f"metadata.labels.{key}", found, here=True)
        label = f"{key}={value}"
        other_name = other["metadata"]["name"]
        fix = Fix(
            "give it the label to the letter",
            (kubectl(world, "", "label", "clusterrole", other_name, label, "--overwrite"),),
        )
        if not stored(other):
            metadata = {**other["metadata"], "labels": {**labels_of(other), key: value}}
            fix = and_manifest(world, {**other, "metadata": metadata}, fix.summary)
        yield Finding(
            f"clusterrole {own} does not take in {other_name}: its label is not {label}",
            here,
            (here, at(role, f"aggregationRule.clusterRoleSelectors[0].matchLabels.{key}", value)),
            fix,
            certainty="certain" if not rules_of(role) else "likely",
        )
    elif sources and rules_of(role) and not stored(role):
        lost = [rule for rule in rules_of(role) if not any(rule in rules_of(o) for o in sources)]
        labels = selectors[0].get("matchLabels") if selectors else None
        if not lost or not labels:
            return
        here = at(role, "rules", f"{len(lost)} that will be replaced", here=True)
        yield Finding(
            f"clusterrole {own} loses its own rules: aggregation replaces them by those of "
            f"{sources[0]['metadata']['name']}",
            here,
            (here, at(sources[0], "metadata.labels", labels_of(sources[0])), bound_by(grant)),
            and_manifest(
                world,
                {
                    "apiVersion": f"{RBAC_GROUP}/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": f"{own}-own", "labels": labels},
                    "rules": lost,
                },
                f"put them into a clusterrole of their own that {own} takes in",
            ),
        )
    elif not sources and not rules_of(role) and stored(role) and selectors:
        here = at(role, "aggregationRule.clusterRoleSelectors", selectors, here=True)
        chosen = ",".join(
            f"{key}={value}" for key, value in (selectors[0].get("matchLabels") or {}).items()
        )
        yield Finding(
            f"clusterrole {own} gives serviceaccount {name} nothing: no clusterrole has its label",
            here,
            (here, at(role, "rules", None), bound_by(grant)),
            Fix(
                "label the clusterroles that it should take in; this lists those that are",
                (kubectl(world, "", "get", "clusterroles", "-l", chosen),) if chosen else (),
            ),
        )


def all_there(source: Object, role: Object) -> bool:
    """Whether a role has the rules of another all the same."""
    return all(rule in rules_of(role) for rule in rules_of(source))


def labels_of(item: Object) -> Object:
    """The labels of an object; in a file their values may be anything."""
    return item["metadata"].get("labels") or {}


def near_labels(selector: Object, labels: Object) -> Iterator[tuple[str, str]]:
    """The labels of a selector that are there with a value that only looks the same."""
    if selector.get("matchExpressions"):
        return
    for key, value in (selector.get("matchLabels") or {}).items():
        found = labels.get(key)
        if found is None or found == value:
            continue
        yes = value == "true" and str(found).lower() in ("true", "yes", "y", "on", "1")
        if yes or str(found).strip().lower() == str(value).lower():
            yield key, str(value)


@check("SAT515", on="ServiceAccount", severity="warning", stage="access")
def rbac_cluster_scoped_needs_crb(account: Object, world: World) -> Iterator[Finding]:
    """A RoleBinding is to give what is in no namespace.

    ### What goes wrong

    Nodes, persistent volumes, storage classes, custom resource definitions and the like are in no
    namespace. A rule on them counts only when a ClusterRoleBinding binds it: through a RoleBinding
    it gives nothing, and the request is refused with 403 `… at the cluster scope`. Of namespaces a
    RoleBinding allows to get the one that it is in, but not to list them. `kubectl auth can-i list
    nodes` is no proof: without `-A` it asks for the nodes of a namespace, and may say yes.

    ### How to fix it

    Put these rules into a ClusterRole of their own and bind that by a ClusterRoleBinding.
    """
    for grant in only_narrow(account, world):
        role = grant.role or {}
        found = [
            (number, rule, [part for part in parts if part["verbs"]])
            for number, rule in enumerate(rules_of(role))
            if (parts := cluster_parts(rule))
        ]
        mixed = any(
            not cluster_parts(rule)
            or len(resources_of(cluster_parts(rule))) < len(words_in(rule, "resources"))
            for rule in rules_of(role)
        )
        if mixed and role["kind"] == "ClusterRole":
            continue  # one role for both uses: what is in a namespace is what is meant here
        parts = [part for _, _, some in found for part in some]
        asked = [
            one
            for part in parts
            for resource in part["resources"]
            for one in asks(part["verbs"], part["apiGroups"], resource, first_name(part))
        ]
        missing = lacks(account, world, True, asked)
        if missing is False:
            continue
        what = resources_of(parts)
        evidence = [
            at(role, f"rules[{number}].resources", words_in(rule, "resources"), here=True)
            for number, rule, some in found
            if some
        ]
        yield Finding(
            f"{role_words(role)} does not give serviceaccount {identity(account)[1]} "
            f"{', '.join(what)}: what is in no namespace needs a clusterrolebinding",
            evidence[0],
            (*evidence, at(grant.binding, "kind", grant.binding["kind"])),
            cluster_wide(account, role, parts, world),
            certainty="certain" if missing else "likely",
            # operators limited to a namespace keep the rules of their ClusterRole in a Role
            severity="hint" if mixed or what == ["namespaces"] else "",
        )
    all_seen(account, world)


def resources_of(rules: list[Object]) -> list[str]:
    """The resources that rules name."""
    return list(dict.fromkeys(one for rule in rules for one in words_in(rule, "resources")))


# Requests for one namespace by its name are in that namespace (RequestInfo of k8s.io/apiserver).
IN_THE_NAMESPACE = ("get", "update", "patch", "delete", "*")


def cluster_parts(rule: Object) -> list[Object]:
    """What of a rule is on resources in no namespace, as rules; verbs that a RoleBinding can give
    are left out of them."""
    parts: list[Object] = []
    for resource in words_in(rule, "resources"):
        main, _, sub = resource.partition("/")
        groups = [
            group
            for group in at_home(main, words_in(rule, "apiGroups"))
            if is_cluster_scoped(main, [group])
        ]
        if not groups or main.startswith("selfsubject") or main == "podsecuritypolicies":
            continue
        verbs = [verb for verb in words_in(rule, "verbs") if verb in (*VERBS, "*")]
        if main == "namespaces":
            verbs = [verb for verb in verbs if verb not in IN_THE_NAMESPACE and not sub]
        part: Object = {"apiGroups": groups, "resources": [resource], "verbs": verbs}
        if words_in(rule, "resourceNames"):
            part["resourceNames"] = rule["resourceNames"]
        same = next(
            (
                one
                for one in parts
                if (one["apiGroups"], one["verbs"]) == (part["apiGroups"], part["verbs"])
            ),
            None,
        )
        if same:
            same["resources"].append(resource)
        else:
            parts.append(part)
    return parts
