"""Why not: what is nearly right among bindings and roles when an account may not do something.

A binding has to name the account, refer to a role that is there, reach to where the question is,
and its role has to have a rule that fits. A near miss lacks one of these, or two.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from .checks import Evidence, Fix, at
from .fixes import kubectl, satoken
from .kinds import Type, match, served
from .least import manifests, patch, text_of
from .question import Asked, has_place, in_words, meant_verb
from .rbac import (
    BOOTSTRAPPING,
    Attributes,
    Grant,
    Granting,
    Naming,
    Question,
    allows,
    groups_of,
    is_built_in,
    is_default,
    is_subject,
    namespace_of,
    prepare_roles,
    role_of,
    rules_of,
    user_of,
)
from .rbac_faults import (
    Held,
    Wrong,
    account_subject,
    all_there,
    is_wide,
    labels_of,
    near_labels,
    near_role,
    other_role,
    patched_subject,
    rewritten,
    role_key,
    role_words,
    words_of,
    wrong_group,
    wrong_names,
    wrong_resource,
    wrong_subresource,
    wrong_urls,
    wrong_verbs,
)
from .selectors import selects
from .world import Object, Unseen, Want, World

FURTHEST = 2  # things that may be off in a near miss


class Miss(NamedTuple):
    """Something that is nearly right: one sentence, what shows it, and what mends it.

    ``code`` is that of the check that describes it, if there is one, ``name`` that of the mistake.
    ``off`` is how many things are wrong with it; none, where it is the question that is wrong.
    """

    code: str
    name: str
    message: str
    evidence: tuple[Evidence, ...] = ()
    fix: Fix | None = None
    certainty: str = "certain"
    off: int = 1


class Fault(NamedTuple):
    """What is wrong with one part of a binding: as a Miss has it. ``cost`` is how much is off."""

    code: str
    name: str
    message: str
    evidence: tuple[Evidence, ...]
    fix: Callable[[], Fix | None]
    certainty: str = "certain"
    cost: int = 1


class Asking(NamedTuple):
    """What all of these functions need: who asks what, where it is looked up, what there is.

    ``homes`` are the namespaces that have an account of that name, where that was looked up.
    """

    world: World
    account: tuple[str, str]
    question: Question
    types: Sequence[Type]
    homes: Sequence[str] | None = None

    @property
    def name(self) -> str:
        """The account in a sentence."""
        return f"serviceaccount {self.account[1]}"


def misses(
    world: World, account: tuple[str, str], question: Question, types: Sequence[Type]
) -> tuple[list[Granting], list[Miss], list[Unseen]]:
    """What is nearly right, nearest first, for an account that was told no.

    Before that the bindings that grant it all the same, of which the API server does not know yet,
    or does not want to; there is no miss then. And what could not be looked at.

    Each kind of binding is read by one list, of all namespaces where that may be, and the roles of
    those that are near by one list of each kind; accounts by another, if one that a binding names
    may be a slip. With the answer and the account that makes 4 to 7 requests.
    """
    asking = Asking(world, account, question, types)
    unseen: list[Unseen] = []
    found = [*misasked(asking)]
    named = False
    everything = [*bindings(asking, unseen)]
    asking = asking._replace(homes=homes_of(everything, asking))
    near = []
    for binding in everything:
        one = near_binding(binding, asking)
        if one is not None:
            named = named or one.own
            near.append(one)
    near = [one for one in near if cost_of(one.faults) <= FURTHEST]
    prepare_roles(world, [one.naming.binding for one in near], alone=False)
    granted = []
    for one in near:
        try:
            last = role_fault(one, asking)
        except Unseen as error:
            unseen.append(error)
            continue
        if isinstance(last, Granting):
            granted.append(last)
        elif last is not None and cost_of([*one.faults, *last]) <= FURTHEST:
            found.append(joined([*one.faults, *last], asking))
    if granted:
        return granted, [], unseen
    if not named and not found and not unseen:
        found.append(no_binding(asking))
    once: dict[tuple[str, str], Miss] = {}  # the same fault may be in bindings by the hundred
    for miss in found:
        once.setdefault((miss.name, miss.message), miss)
    ranked = sorted(once.values(), key=lambda miss: (miss.off, miss.certainty != "certain"))
    return [], ranked, list({str(one): one for one in unseen}.values())


def no_binding(asking: Asking) -> Miss:
    """The miss of an account that nobody ever bound to anything."""
    namespace, name = asking.account
    where = asking.question.namespace or namespace
    return Miss(
        "SAT501",
        "rbac-no-binding",
        f"no binding names serviceaccount {name}",
        (
            Evidence("RoleBinding", where, "*", "subjects", f"none names {name}", True),
            Evidence("ClusterRoleBinding", "", "*", "subjects", f"none names {name}", True),
        ),
    )


# --- the question ---------------------------------------------------------------------------------


def misasked(asking: Asking) -> Iterator[Miss]:
    """What is odd about the words of the question itself, by what the server has."""
    asked = asking.question.asked
    if asked.path or not asking.types:
        return
    right, field, why = asked, "", ""
    kind = served(asking.types, asked.group, asked.resource)
    if kind is None and asked.resource != "*" and has_place(asked, None):
        kind = meant_type(asked, asking.types)
        if kind is None:
            return
        right = right._replace(group=kind.kind.group, resource=kind.kind.plural)
        if kind.kind.plural == asked.resource:
            field, why = "group", f'{asked.resource} are in API group "{kind.kind.group}"'
        else:
            field, why = "resource", f"the server has no {asked.resource}, but {full(right)}"
    if kind is not None and asked.subresource and kind.subresources:
        below = near_word(asked.subresource, kind.subresources)
        if asked.subresource not in kind.subresources and below:
            right = right._replace(subresource=below)
            field, why = (
                "subresource",
                f"{kind.kind.plural} have no {asked.subresource}, but {below}",
            )
    if kind is not None:
        verb = meant_verb(Asked(Question("", right), kind))
        if verb:
            right = right._replace(verb=verb)
            field, why = "verb", f"no request has the verb {asked.verb}, but {verb}"
    if not field:
        return
    namespace, name = asking.account
    where = asking.question.namespace
    if kind is not None and not kind.kind.namespaced:
        where = ""
    question = Question(where, right)
    words = ["can-i", f"sa/{namespace}:{name}", right.verb, full(right)]
    words += [right.name] if right.name else []
    words += [] if where else ["-A"]
    command = satoken(asking.world, where, *words)
    yield Miss(
        "",
        f"question-{field}",
        f"the question may be meant otherwise: {why}",
        (Evidence("", "", "question", field, getattr(asked, field), True),),
        Fix(f"ask for what there is: {in_words(question)}", (command,)),
        "likely",
        0,
    )


def meant_type(asked: Attributes, types: Sequence[Type]) -> Type | None:
    """The type that was meant by a resource that is none."""
    kind = match(types, asked.resource)
    found = next((one for one in types if one.kind == kind), None) if kind else None
    if found is None:
        plural = near_word(asked.resource, [one.kind.plural for one in types])
        found = next((one for one in types if one.kind.plural == plural), None)
    return found


def near_word(word: str, words: Sequence[str]) -> str:
    """The word that is nearly this one; empty without one."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, words, 1, 0.75)), "")


def full(asked: Attributes) -> str:
    """A resource as kubectl has it: ``deployments.apps/scale``."""
    suffix = f".{asked.group}" if asked.group else ""
    return asked.resource + suffix + (f"/{asked.subresource}" if asked.subresource else "")


# --- bindings -------------------------------------------------------------------------------------


def bindings(asking: Asking, unseen: list[Unseen]) -> Iterator[Object]:
    """All bindings that may be near, each once; of all namespaces where they can be listed."""
    world = asking.world
    world.prepare([Want("ClusterRoleBinding"), Want("RoleBinding")])
    try:
        yield from world.list("ClusterRoleBinding", "")
    except Unseen as error:
        unseen.append(error)
    everywhere: list[Object] = []
    try:
        everywhere += world.list("RoleBinding", "")
        yield from everywhere
        return
    except Unseen as error:
        if world.source != "cluster":
            yield from everywhere
            unseen.append(error)
            return
    for namespace in dict.fromkeys((asking.question.namespace, asking.account[0])):
        if not namespace:
            continue
        try:
            yield from world.list("RoleBinding", namespace)
        except Unseen as error:
            unseen.append(error)


class NearBinding(NamedTuple):
    """A binding that names the account (``own``) or nearly, and what is off before its role."""

    naming: Naming
    faults: list[Fault]
    own: bool


def near_binding(binding: Object, asking: Asking) -> NearBinding | None:
    """What is off in a binding but for its role; None where it is not near."""
    if is_built_in(binding) or BOOTSTRAPPING in labels_of(binding):
        return None
    subject = subject_fault(binding, asking)
    if subject is None:
        return None
    number, first = subject
    faults = [first, scope_fault(binding, asking)]
    naming = Naming(binding, number, binding["subjects"][number])
    return NearBinding(naming, [one for one in faults if one is not None], first is None)


def role_fault(near: NearBinding, asking: Asking) -> Granting | list[Fault] | None:
    """What is off in the role of a near binding; None where the role is about something else.

    Nothing may be off at all: then the binding grants it.
    """
    naming = near.naming
    role = role_of(naming.binding, asking.world)
    fault = missing_role(naming, asking) if role is None else rule_fault(naming, role, asking)
    if isinstance(fault, str):
        return None
    if fault is None and not near.faults:
        assert role is not None
        rules = enumerate(rules_of(role))
        rule = next(number for number, one in rules if allows([one], asking.question.asked))
        return Granting(naming.binding, naming.number, role, rule)
    return [] if fault is None else [fault]


def cost_of(faults: Iterable[Fault]) -> int:
    """How much is off."""
    return sum(fault.cost for fault in faults)


def joined(faults: list[Fault], asking: Asking) -> Miss:
    """A miss of one or more faults of a binding: of several only a new grant mends all."""
    main = faults[0]
    evidence = tuple({str(one): one for fault in faults for one in fault.evidence}.values())
    sure = all(fault.certainty == "certain" for fault in faults)
    return Miss(
        main.code,
        main.name,
        "; ".join(fault.message for fault in faults),
        evidence,
        main.fix() if len(faults) == 1 else granted(asking),
        "certain" if sure else "likely",
        cost_of(faults),
    )


def granted(asking: Asking) -> Fix:
    """The least grant as a fix."""
    made = manifests(asking.account, [asking.question], asking.world)
    text = text_of(made)
    command = f"{kubectl(asking.world, '', 'apply', '-f', '-')} <<'EOF'\n{text}EOF"
    kind = made[0]["kind"].lower()
    return Fix(f"grant just this by a {kind} of its own", (command,), manifest=text)


# --- subjects -------------------------------------------------------------------------------------


def subject_fault(binding: Object, asking: Asking) -> tuple[int, Fault | None] | None:
    """The subject that means the account, or nearly, with its fault; None where none is near."""
    inside = namespace_of(binding)
    subjects = binding.get("subjects") or []
    for number, subject in enumerate(subjects):
        if is_subject(subject, *asking.account, inside):
            return number, None
    for number, subject in enumerate(subjects):
        fault = near_subject(Naming(binding, number, subject), inside, asking)
        if fault is not None:
            return number, fault
    return None


def near_subject(naming: Naming, inside: str, asking: Asking) -> Fault | None:
    """What is wrong with a subject that nearly means the account."""
    binding, number, subject = naming
    namespace, name = asking.account
    kind, said = subject.get("kind"), subject.get("name") or ""
    whole = account_subject(*asking.account)
    role_kind, role = role_key(binding)

    def fault(
        code: str, slug: str, field: str, text: str, certainty: str = "certain", new: Any = None
    ) -> Fault:
        who = f"group {new['name']}" if new else asking.name
        summary = f"name {who}, which gets all that {role_kind.lower()} {role} allows"
        return Fault(
            code,
            slug,
            f"{words_of(binding)} {text}",
            (at(binding, f"subjects[{number}].{field}", subject.get(field), here=True),),
            lambda: patched_subject(naming, asking.world, new or whole, summary),
            certainty,
        )

    if kind == "ServiceAccount":
        where = subject.get("namespace") or inside
        if said == name and where != namespace:
            # most namespaces have one called default, whose bindings are meant for it
            there = name == "default" or is_home(where, asking)
            if there:
                return None  # it is meant for that one
            sure = "certain" if there is False else "likely"
            text = f"names serviceaccount {where}/{name}, not {namespace}/{name}"
            return fault("SAT504", "rbac-subject-wrong-namespace", "namespace", text, sure)
        from .checks.account import is_near, near_name

        # before the accounts are read, which say whether it is the nearest
        if where != namespace or not is_near(said, name):
            return None
        if near_name(namespace, said, asking.world) != name:
            return None
        if exists(asking.world, namespace, said) is not False:
            return None
        text = f"names serviceaccount {said}, which does not exist, not {name}"
        return fault("SAT505", "rbac-subject-wrong-name", "name", text, "likely")
    forms = (name, f"{namespace}:{name}", f"{namespace}/{name}", user_of(namespace, name))
    if kind in ("User", "Group") and said in forms and not (name == "default" and said == name):
        text = f"names a {str(kind).lower()} {said}, not the serviceaccount"
        return fault("SAT506", "rbac-subject-wrong-kind", "kind", text)
    groups = groups_of(namespace)
    if kind == "Group" and said.startswith("system:serviceaccount") and said not in groups:
        singular = f"system:serviceaccount:{namespace}"
        if said == singular or near_word(said, [groups[1]]) == groups[1]:
            if said.startswith("system:serviceaccounts:") and said != singular:
                return None  # the group of another namespace
            text = f"names group {said}, which nobody is in ({groups[1]} is meant)"
            right = {**subject, "name": groups[1]}
            return fault("SAT506", "rbac-subject-wrong-kind", "name", text, new=right)
    return None


def homes_of(everything: Iterable[Object], asking: Asking) -> Sequence[str] | None:
    """The namespaces with an account of that name; None for one by one, as few are asked about."""
    from .checks.account import namespaces_with

    namespace, name = asking.account
    named = {
        subject.get("namespace") or namespace_of(binding)
        for binding in everything
        for subject in binding.get("subjects") or []
        if subject.get("kind") == "ServiceAccount" and subject.get("name") == name
    }
    if name == "default" or len(named - {namespace}) < 2:
        return None
    found, complete = namespaces_with(name, asking.world)
    return found if complete else None


def is_home(namespace: str, asking: Asking) -> bool | None:
    """Whether a namespace has an account of that name; None where that cannot be seen."""
    if asking.homes is not None:
        return namespace in asking.homes
    return exists(asking.world, namespace, asking.account[1])


def exists(world: World, namespace: str, name: str) -> bool | None:
    """Whether an account is there; None where that cannot be seen."""
    try:
        return world.get("ServiceAccount", namespace, name) is not None
    except Unseen:
        return None


# --- where a binding counts -----------------------------------------------------------------------


def scope_fault(binding: Object, asking: Asking) -> Fault | None:
    """What is wrong with where a binding counts."""
    question = asking.question
    if is_wide(binding) or (question.namespace and namespace_of(binding) == question.namespace):
        return None
    inside = namespace_of(binding)
    here = (at(binding, "metadata.namespace", inside, here=True),)
    if question.namespace:
        return Fault(
            "",
            "rolebinding-wrong-namespace",
            f"{words_of(binding)} counts in namespace {inside} only, not in {question.namespace}",
            here,
            partial(granted, asking),
        )
    code, slug, what = "SAT515", "rbac-cluster-scoped-needs-crb", "in all namespaces"
    if question.asked.path:
        code, slug, what = "SAT513", "rbac-nonresourceurls", "for URLs"
    elif is_cluster_scoped_type(asking):
        what = f"for {question.asked.resource}, which are in no namespace"
    return Fault(
        code,
        slug,
        f"{words_of(binding)} counts in namespace {inside} only, not {what}",
        (at(binding, "kind", binding["kind"], here=True), *here),
        partial(granted, asking),
    )


def is_cluster_scoped_type(asking: Asking) -> bool:
    """Whether what is asked for is in no namespace."""
    asked = asking.question.asked
    kind = served(asking.types, asked.group, asked.resource)
    return kind is not None and not kind.kind.namespaced


# --- roles ----------------------------------------------------------------------------------------


def missing_role(naming: Naming, asking: Asking) -> Fault | str:
    """What is wrong where the role of a binding is not there; "" where it is about other things."""
    binding, world = naming.binding, asking.world
    kind, name = role_key(binding)
    inside = namespace_of(binding)
    where = inside or asking.account[0]
    other = world.get("ClusterRole", "", name) if kind == "Role" else world.get("Role", where, name)
    gone = f"{words_of(binding)} refers to {kind.lower()} {name}, which does not exist"
    evidence = (at(binding, "roleRef.name", name, here=True),)
    if other is not None:
        if not allows(rules_of(other), asking.question.asked):
            return ""
        kind_evidence = (at(binding, "roleRef.kind", kind, here=True), *evidence)
        text = f"{gone}, but {other['kind'].lower()} {name} does"
        if is_wide(binding):
            fix: Callable[[], Fix | None] = partial(granted, asking)
        else:
            change = {"apiGroup": "rbac.authorization.k8s.io", "kind": other["kind"]}
            fix = partial(other_role, binding, world, change, f"bind the {other['kind'].lower()}")
        return Fault("SAT503", "rbac-roleref-kind-confusion", text, kind_evidence, fix)
    near = near_role(kind, inside if kind == "Role" else "", name, world)
    if near:
        role = world.get(kind, inside if kind == "Role" else "", near)
        if role is not None and allows(rules_of(role), asking.question.asked):
            return Fault(
                "SAT502",
                "rbac-binding-missing-role",
                f"{gone} ({near} does)",
                evidence,
                lambda: other_role(binding, world, {"name": near}, f"bind {kind.lower()} {near}"),
            )
    if scope_fault(binding, asking) is not None:
        return ""  # nothing tells that it would be about this
    return Fault(
        "SAT502",
        "rbac-binding-missing-role",
        gone,
        evidence,
        # a role for just this would give it in all namespaces, by a binding that counts in all
        partial(granted, asking)
        if is_wide(binding) and asking.question.namespace
        else lambda: role_made(kind, inside, name, asking),
        "likely",
    )


def role_made(kind: str, namespace: str, name: str, asking: Asking) -> Fix:
    """A fix that makes the role that a binding refers to, for just what is asked."""
    made = manifests(asking.account, [asking.question])[0]
    metadata = {"name": name, **({"namespace": namespace} if kind == "Role" else {})}
    text = text_of([{**made, "kind": kind, "metadata": metadata}])
    command = f"{kubectl(asking.world, '', 'apply', '-f', '-')} <<'EOF'\n{text}EOF"
    return Fix(
        f"make the {kind.lower()}, here for just this; all that it is bound to gets it",
        (command,),
        manifest=text,
    )


# The judges of rules, by the code of the check that describes what they find.
JUDGES: tuple[tuple[str, str, Callable[[Held], Wrong | None]], ...] = (
    ("SAT508", "rbac-wrong-api-group", wrong_group),
    ("SAT509", "rbac-wrong-resource-name", wrong_resource),
    ("SAT510", "rbac-subresource-missing", wrong_subresource),
    ("SAT512", "rbac-verb-mistakes", wrong_verbs),
    ("SAT511", "rbac-resourcenames-misuse", wrong_names),
    ("SAT513", "rbac-nonresourceurls", wrong_urls),
)


def rule_fault(naming: Naming, role: Object, asking: Asking) -> Fault | str | None:
    """What is wrong with a role's rules; None where they allow it, "" where they are not near."""
    asked = asking.question.asked
    rules = rules_of(role)
    if allows(rules, asked):
        return None
    grant = Grant(*naming, role)
    found = [
        fault
        for number, rule in enumerate(rules)
        if (fault := near_rule(Held(grant, role, number, rule), asking)) is not None
    ]
    found += aggregation(role, asking)
    return min(found, key=lambda fault: fault.cost) if found else ""


def near_rule(held: Held, asking: Asking) -> Fault | None:
    """What is wrong with a rule that nearly allows what is asked."""
    asked, role = asking.question.asked, held.role
    for code, slug, judge in JUDGES:
        wrong = judge(held)
        if wrong is None or not allows([wrong.rule, *wrong.more], asked):
            continue
        return Fault(
            code,
            slug,
            f"a rule of {role_words(role)} does not fit: {wrong.text}",
            evidence_of(held, wrong.entries),
            partial(mended, held, wrong, asking),
            "certain" if wrong.certainty == "certain" else "likely",
        )
    field, text = lacking(held.rule, asked, asking)
    if not field:
        return None
    subresource = field == "resources" and asked.subresource
    names = field == "resourceNames"
    return Fault(
        "SAT510" if subresource else "SAT511" if names else "",
        "rbac-subresource-missing"
        if subresource
        else ("rbac-resourcenames-misuse" if names else "rbac-rule-missing"),
        f"a rule of {role_words(role)} is about it, but {text}",
        (at(role, f"rules[{held.number}].{field}", held.rule.get(field), here=True),),
        lambda: patch(asking.world, asking.account, [asking.question]) or granted(asking),
    )


def evidence_of(held: Held, entries: list[tuple[str, Any]]) -> tuple[Evidence, ...]:
    """The fields of a rule that are off."""
    return tuple(
        at(held.role, f"rules[{held.number}].{path}", value, here=True) for path, value in entries
    )


def mended(held: Held, wrong: Wrong, asking: Asking) -> Fix:
    """A fix that corrects a rule; of a role that is the API server's own, a new grant."""
    if is_default(held.role):
        return granted(asking)
    return rewritten(held.role, [(held, wrong)], asking.world)


def lacking(rule: Object, asked: Attributes, asking: Asking) -> tuple[str, str]:
    """The one field of a rule that does not fit, and what is to be said of it; empty for more."""
    if asked.path:
        urls = rule.get("nonResourceURLs") or []
        if allows([{**rule, "nonResourceURLs": ["*"]}], asked):
            near = [url for url in urls if asked.path.startswith(url.rstrip("*").rstrip("/") + "/")]
            return ("nonResourceURLs", f"not {asked.path}") if near else ("", "")
        if urls and allows([{**rule, "verbs": ["*"]}], asked):
            return "verbs", f"not the verb {asked.verb}"
        return "", ""
    if not rule.get("resources"):
        return "", ""
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    if allows([{**rule, "verbs": ["*"]}], asked):
        return "verbs", f"not the verb {asked.verb}"
    if allows([{**rule, "resourceNames": []}], asked):
        named = ",".join(rule.get("resourceNames") or [])
        if asked.name:
            return "resourceNames", f"only of {named}"
        return "resourceNames", f"limited to {named}, and a {asked.verb} names nothing"
    if allows([{**rule, "apiGroups": [asked.group]}], asked):
        return "apiGroups", f'not of API group "{asked.group}"'
    if allows([{**rule, "resources": [resource]}], asked):
        parts = [entry.partition("/") for entry in rule.get("resources") or []]
        if asked.subresource and any(main == asked.resource for main, _, _ in parts):
            return "resources", f"{asked.resource} does not mean {resource}"
        if not asked.subresource and any(main == asked.resource for main, _, _ in parts):
            return "resources", f"not {resource} themselves"
    return "", ""


# --- aggregation ----------------------------------------------------------------------------------


def aggregation(role: Object, asking: Asking) -> Iterator[Fault]:
    """What an aggregated ClusterRole would allow if it took in what belongs to it."""
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
    if not selectors:
        return
    world, asked = asking.world, asking.question.asked
    own = role["metadata"]["name"]
    sources = []
    for other in world.list("ClusterRole", ""):
        if other["metadata"]["name"] == own:
            continue
        if any(selects(one, labels_of(other)) for one in selectors):
            sources.append(other)
        elif allows(rules_of(other), asked) and not all_there(other, role):
            for selector in selectors:
                for key, value in near_labels(selector, labels_of(other)):
                    yield label_fault(role, other, key, value, asking)
    written = written_rules(role)
    if allows(written, asked):
        yield Fault(
            "SAT514",
            "rbac-aggregated-clusterrole",
            f"{role_words(role)} had a rule for it, which aggregation took away",
            (at(role, "aggregationRule.clusterRoleSelectors", selectors, here=True),),
            partial(granted, asking),
        )
    elif not sources and not rules_of(role):
        yield Fault(
            "SAT514",
            "rbac-aggregated-clusterrole",
            f"{role_words(role)} is aggregated, and takes in no clusterrole",
            (at(role, "aggregationRule.clusterRoleSelectors", selectors, here=True),),
            partial(granted, asking),
            "likely",
        )


def label_fault(role: Object, other: Object, key: str, value: str, asking: Asking) -> Fault:
    """A ClusterRole that is not taken in, since its label only looks right."""
    name = other["metadata"]["name"]
    words = ("label", "clusterrole", name, f"{key}={value}", "--overwrite")
    return Fault(
        "SAT514",
        "rbac-aggregated-clusterrole",
        f"{role_words(role)} does not take in {name}, which allows it: its label is not "
        f"{key}={value}",
        (at(other, f"metadata.labels.{key}", labels_of(other).get(key), here=True),),
        lambda: Fix(
            f"give it the label to the letter; all that is bound to {role['metadata']['name']} "
            "gets its rules",
            (kubectl(asking.world, "", *words),),
        ),
    )


def written_rules(role: Object) -> list[Object]:
    """The rules that were written into a role with kubectl apply."""
    import json

    annotations = role["metadata"].get("annotations") or {}
    text = annotations.get("kubectl.kubernetes.io/last-applied-configuration")
    if not isinstance(text, str):
        return []
    try:
        rules = json.loads(text).get("rules")
    except (ValueError, AttributeError):
        return []
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
