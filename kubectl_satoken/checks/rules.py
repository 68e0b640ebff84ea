"""A role is bound to the service account, but a rule in it matches no request."""

from collections.abc import Callable, Iterator

from ..fixes import and_manifest, kubectl
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
from ..rbac_faults import (
    RBAC_GROUP,
    Held,
    Wrong,
    all_there,
    asks,
    corrected_urls,
    first_name,
    labels_of,
    near_labels,
    rewritten,
    role_key,
    role_words,
    stored,
    words_in,
    wrong_group,
    wrong_names,
    wrong_resource,
    wrong_subresource,
    wrong_urls,
    wrong_verbs,
)
from ..rbac_words import FORMER_GROUPS, VERBS, at_home, is_cluster_scoped
from ..selectors import selects
from ..server import version_of
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .bindings import bindings_unseen, identity, own_bindings, written

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


def bound_by(grant: Grant) -> Evidence:
    """The binding by which the account has a role."""
    return at(grant.binding, f"subjects[{grant.number}].name", grant.subject.get("name"))


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
