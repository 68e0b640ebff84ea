"""All that a service account may do, merged, with the bindings that it comes from."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .authorize import REVIEWS, Asker
from .env import Env
from .errors import Forbidden, NotFound, TooOld
from .output import row, write_table
from .rbac import Grant, grants, is_built_in, prepare_grants
from .verdict import Place, account_object, reference
from .world import Object, Unseen

# The verbs in the order in which kubectl's documentation has them.
ORDER = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class Right(NamedTuple):
    """What one rule gives on one resource or URL: verbs, where, from which binding.

    ``namespace`` is empty for what counts everywhere; ``source`` is empty where the API server told
    the rules but not what they come from. ``basic`` says that every account has it.
    """

    resource: str
    names: tuple[str, ...]
    verbs: tuple[str, ...]
    namespace: str
    source: str
    basic: bool = False


class Rights(NamedTuple):
    """All rights that were found, how, and whether there may be more."""

    rights: list[Right]
    rules: list[Object]
    via: str
    missing: list[str]


def rights_of(place: Place, via: str, *, everywhere: bool) -> Rights:
    """The rights of the account: from RBAC objects, which say where from, else by a review.

    ``via`` forces a way. Raises Forbidden when none is open.
    """
    if place.account is None:
        return reviewed(place, Asker(place.api, place.world, None), "")
    if via in ("", "rbac", "review"):
        found = from_objects(place, everywhere)
        if place.api is None or via or not found.missing:
            return found
        asker = Asker(place.api, place.world, place.account)
        by_review = None if everywhere else impersonated(place, asker)
        return by_review or found
    asker = Asker(place.api, place.world, place.account, via)
    return reviewed(place, asker, via)


def from_objects(place: Place, everywhere: bool) -> Rights:
    """The rights by the bindings that can be seen."""
    assert place.account is not None
    found: list[Right] = []
    rules: list[Object] = []
    missing: list[str] = []
    where = ["" if everywhere else place.namespace]
    prepare_grants(place.world, *place.account, where)
    try:
        for grant in grants(place.world, *place.account, where):
            if grant.unseen is not None:
                missing.append(f"{grant.unseen.what}: {grant.unseen.why}")
            for rule in grant.rules or []:
                found += rights_in(rule, grant)
                rules.append(rule_object(rule, grant))
    except Unseen as unseen:
        missing.append(f"{unseen.what}: {unseen.why}")
    return Rights(found, rules, "RBAC objects", list(dict.fromkeys(missing)))


def rights_in(rule: Object, grant: Grant) -> Iterator[Right]:
    """What a rule gives by a binding. A RoleBinding gives no URLs."""
    where = "" if grant.wide else str(grant.binding["metadata"].get("namespace") or "")
    source = f"{grant.binding['kind'].lower()}/{grant.binding['metadata']['name']}"
    for right in plain_rights(rule):
        if grant.wide or not right.resource.startswith("/"):
            yield right._replace(namespace=where, source=source, basic=is_built_in(grant.binding))


def plain_rights(rule: Object) -> Iterator[Right]:
    """What a rule gives, wherever it is from."""
    verbs = tuple(rule.get("verbs") or ())
    names = tuple(rule.get("resourceNames") or ())
    for url in rule.get("nonResourceURLs") or ():
        yield Right(url, (), verbs, "", "")
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            main, slash, below = resource.partition("/")
            yield Right(main + (f".{group}" if group else "") + slash + below, names, verbs, "", "")


def impersonated(place: Place, asker: Asker) -> Rights | None:
    """The rights that the API server lists to the account itself; None where nobody may ask."""
    try:
        return reviewed(place, asker, "impersonation")
    except (Forbidden, NotFound, TooOld):
        return None


def reviewed(place: Place, asker: Asker, via: str) -> Rights:
    """The rights by SelfSubjectRulesReview, in one namespace. Raises Forbidden and ApiError."""
    api = place.api
    assert api is not None
    words = "SelfSubjectRulesReview"
    if via:
        api = asker.account_api(via)
        words += " as the account" if via == "impersonation" else " with a token of the account"
    body: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": place.namespace},
    }
    status = api.request("POST", f"{REVIEWS}/selfsubjectrulesreviews", body).get("status") or {}
    rules = [*(status.get("resourceRules") or ()), *(status.get("nonResourceRules") or ())]
    missing = []
    if status.get("incomplete"):
        missing.append(status.get("evaluationError") or "an authorizer cannot list its rules")
    where = place.namespace
    rights = [
        right._replace(namespace="" if right.resource.startswith("/") else where)
        for rule in rules
        for right in plain_rights(rule)
    ]
    return Rights(rights, rules, words, missing)


# --- how it looks ---------------------------------------------------------------------------------


def merged(rights: Iterable[Right]) -> list[Right]:
    """The rights with all verbs on the same thing in the same place as one, by all its bindings."""
    verbs: dict[Right, dict[str, None]] = {}
    sources: dict[Right, dict[str, None]] = {}
    for right in rights:
        key = right._replace(verbs=(), source="")
        verbs.setdefault(key, {}).update(dict.fromkeys(right.verbs))
        sources.setdefault(key, {})[right.source] = None
    found = [
        key._replace(verbs=tuple(sorted(verbs[key], key=rank)), source=", ".join(sources[key]))
        for key in verbs
    ]
    return sorted(
        found,
        key=lambda one: (one.resource.startswith("/"), one.basic, one.namespace, one.resource),
    )


def rank(verb: str) -> tuple[int, str]:
    """The place of a verb among others."""
    return (ORDER.index(verb) if verb in ORDER else len(ORDER), verb)


def write_rights(
    place: Place, found: Rights, env: Env, *, everywhere: bool, wide: bool, headed: bool
) -> None:
    """Writes the table, and on stderr what it does not show."""
    rows = merged(found.rights)
    shown = [right for right in rows if wide or not right.basic]
    with_source = any(right.source for right in shown)
    headers = ["RESOURCE", "VERBS", "NAMES", "NAMESPACE", *(["FROM"] if with_source else [])]
    table = [
        [
            right.resource,
            ",".join(right.verbs),
            ",".join(right.names),
            right.namespace or "*",
            *([right.source] if with_source else []),
        ]
        for right in shown
    ]
    if table:
        # kubectl's columns, of which an empty one is left out
        if not any(line[2] for line in table):
            headers.remove("NAMES")
            table = [[*line[:2], *line[3:]] for line in table]
        write_table(headers if headed else (), table, env)
    notes: list[tuple[str, str]] = []
    if not table:
        where = "any namespace" if everywhere else f"namespace {place.namespace}"
        env.stdout.write(f"{place.who} may do nothing in {where} but discovery\n")
    hidden = len(rows) - len(shown)
    if hidden and table:
        notes.append(("note", "what every account may (discovery, reviews of itself): -o wide"))
    notes += [("note", note) for note in place.notes]
    if found.via != "RBAC objects":
        notes.append(("answered", f"by {found.via}, which does not tell by which bindings"))
    notes += [("not seen", text) for text in found.missing]
    lines = [line for head, text in notes for line in row(head, text)]
    env.stderr.write("".join(f"{line}\n" for line in lines))


def rule_object(rule: Object, grant: Grant) -> Object:
    """A rule for programs, with its binding."""
    assert grant.role is not None
    return {
        **rule,
        "namespace": None if grant.wide else grant.binding["metadata"].get("namespace"),
        "binding": reference(grant.binding),
        "role": reference(grant.role),
        "subject": grant.subject,
    }


def rights_object(place: Place, found: Rights) -> Object:
    """The rights for programs: `kind: Rights` of satoken/v1, see docs/rights.schema.json."""
    return {
        "apiVersion": "satoken/v1",
        "kind": "Rights",
        "account": account_object(place),
        "namespace": place.namespace,
        "via": found.via,
        "complete": not found.missing,
        "rules": found.rules,
        "skipped": found.missing,
        "notes": list(place.notes),
    }
