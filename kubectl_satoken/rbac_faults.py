"""What is wrong in bindings and rules, and what mends it.

Shared by the checks, which look at all that an account has, and by the near misses of one question.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from .checks import Fix
from .fixes import and_manifest, dumps, kubectl, replace
from .rbac import Attributes, Grant, Naming, namespace_of, rules_of
from .rbac_words import (
    FORMER_GROUPS,
    POD_VERBS,
    RESOURCES,
    URL_VERBS,
    VERBS,
    any_words,
    at_home,
    homes,
    malformed_group,
    right_resource,
    right_subresources,
    right_url,
    right_verbs,
)
from .world import KINDS, Object, Unseen, World

RBAC_GROUP = "rbac.authorization.k8s.io"
SUBJECT_KINDS = ("User", "Group", "ServiceAccount")


# --- bindings -------------------------------------------------------------------------------------


def role_key(binding: Object) -> tuple[str, str]:
    """Kind and name of the role that a binding refers to."""
    reference = binding.get("roleRef") or {}
    return str(reference.get("kind")), str(reference.get("name"))


def is_wide(binding: Object) -> bool:
    """Whether it is a ClusterRoleBinding."""
    return bool(binding["kind"] == "ClusterRoleBinding")


def words_of(binding: Object) -> str:
    """A binding in a sentence."""
    return f"{binding['kind'].lower()} {binding['metadata']['name']}"


def stored(item: Object) -> bool:
    """Whether an object comes from an API server, so that it can be patched there."""
    return bool(item["metadata"].get("uid"))


def patched_subject(naming: Naming, world: World, subject: Object, summary: str) -> Fix:
    """A fix that puts another subject in the place of one."""
    binding, number, old = naming
    if not stored(binding):
        subjects = list(binding["subjects"])
        subjects[number] = subject
        return and_manifest(world, {**binding, "subjects": subjects}, summary)
    path = f"/subjects/{number}"
    changed = {key for key in {*old, *subject} if old.get(key) != subject.get(key)}
    if len(changed) == 1 and next(iter(changed)) in subject:
        (key,) = changed
        patch = [{"op": "add", "path": f"{path}/{key}", "value": subject[key]}]
    else:
        patch = [{"op": "replace", "path": path, "value": subject}]
    words = ("patch", binding["kind"].lower(), binding["metadata"]["name"], "--type=json")
    return Fix(summary, (kubectl(world, namespace_of(binding), *words, "-p", dumps(patch)),))


def other_role(binding: Object, world: World, change: Object, summary: str) -> Fix:
    """A fix that binds another role. A roleRef cannot be changed, so the binding is made again."""
    if not stored(binding):
        reference = {**(binding.get("roleRef") or {}), **change}
        return and_manifest(world, {**binding, "roleRef": reference}, summary)
    name = binding["metadata"]["name"]
    again = replace(
        world, namespace_of(binding), binding["kind"].lower(), name, {"roleRef": change}
    )
    return Fix(f"{summary} (a roleRef cannot be changed, so the binding is made again)", (again,))


def account_subject(namespace: str, name: str) -> Object:
    """An account as a subject."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def near_role(kind: str, namespace: str, name: str, world: World) -> str:
    """A role whose name is nearly the one that is not there; empty without one."""
    from difflib import get_close_matches

    names: list[str] = []
    where = namespace if KINDS[kind].namespaced else ""
    with suppress(Unseen):
        for role in world.list(kind, where, metadata=True):
            if not role["metadata"]["name"].startswith("system:"):
                names.append(role["metadata"]["name"])
    return next(iter(get_close_matches(name, names, 1, 0.8)), "")


def refusal(subject: Object, wide: bool) -> tuple[str, str] | None:
    """What the API server has against a subject: field and reason (pkg/apis/rbac/validation)."""
    kind, group = subject.get("kind"), subject.get("apiGroup") or ""
    if kind not in SUBJECT_KINDS:
        return "kind", f'Unsupported value: "{kind}"'
    if kind != "ServiceAccount":
        # an empty one is filled in
        return (
            ("apiGroup", f'Unsupported value: "{group}"') if group not in ("", RBAC_GROUP) else None
        )
    if ":" in subject["name"]:
        return "name", f'Invalid value: "{subject["name"]}"'
    if group:
        return "apiGroup", f'Unsupported value: "{group}": supported values: ""'
    if wide and not subject.get("namespace"):
        return "namespace", "Required value"
    return None


# --- rules ----------------------------------------------------------------------------------------


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


def role_words(role: Object) -> str:
    """A role in a sentence."""
    return f"{role['kind'].lower()} {role['metadata']['name']}"


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


def first_name(rule: Object) -> str:
    """One of the names that a rule is limited to, if it is."""
    return next(iter(words_in(rule, "resourceNames")), "")


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


# --- aggregation ----------------------------------------------------------------------------------


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
