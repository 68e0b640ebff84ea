"""The least Role and binding that answer questions with yes, and nothing else.

No rule may allow more than was asked: a rule means each of its verbs on each of its resources in
each of its groups, so only what is alike in all else is put into one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .checks import Fix
from .fixes import and_manifest, dumps, kubectl
from .question import in_words
from .rbac import (
    Attributes,
    Question,
    allows,
    grants,
    is_default,
    is_subject,
    namespace_of,
    prepare_grants,
    rule_allows,
    rules_of,
)
from .world import Object, Unseen, World

RBAC_GROUP = "rbac.authorization.k8s.io"

# The order in which people write verbs; others come behind.
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

LONGEST_ACCOUNT = 190  # letters of the account's name, of the 253 that a name may have
LONGEST = 52  # letters of a name that is made of the question; a longer one is made of its hash


# --- what is asked, as rules ----------------------------------------------------------------------


def grantable(question: Question) -> Question:
    """A question as a rule can answer it: who creates an object sends no name with the request.

    So resourceNames never matches ``create``, nor ``deletecollection``. (Server-side apply of
    what is not there does have the name, but kubectl create has not.)
    """
    asked = question.asked
    if asked.name and asked.verb in ("create", "deletecollection") and not asked.subresource:
        return question._replace(asked=asked._replace(name=""))
    return question


def in_order(words: Iterable[str]) -> list[str]:
    """Verbs in the order in which people write them, each once."""
    return sorted(
        set(words), key=lambda verb: (VERBS.index(verb) if verb in VERBS else len(VERBS), verb)
    )


def entry(asked: Attributes) -> str:
    """What is asked about as an entry of ``resources``."""
    return asked.resource + (f"/{asked.subresource}" if asked.subresource else "")


def rule_of(asked: Attributes) -> Object:
    """The rule that allows one request."""
    if asked.path:
        return {"nonResourceURLs": [asked.path], "verbs": [asked.verb]}
    rule: Object = {"apiGroups": [asked.group], "resources": [entry(asked)]}
    if asked.name:
        rule["resourceNames"] = [asked.name]
    return {**rule, "verbs": [asked.verb]}


def covers(one: Question, other: Question) -> bool:
    """Whether the least grant for a question answers another with yes."""
    if one.namespace and (one.namespace != other.namespace or other.asked.path):
        return False
    return rule_allows(rule_of(one.asked), other.asked)


def distinct(questions: Iterable[Question]) -> list[Question]:
    """The questions without those that another one's grant answers already, in order."""
    asked = sorted({grantable(question) for question in questions})
    # what reaches past itself: to other names, namespaces, or to whatever matches a wildcard
    anywhere: list[Question] = []
    by_resource: dict[str, list[Question]] = {}
    for question in asked:
        if any("*" in word for word in question.asked):
            anywhere.append(question)
        elif not question.namespace or not question.asked.name:
            by_resource.setdefault(question.asked.resource, []).append(question)
    kept: list[Question] = []
    dropped: set[Question] = set()
    for question in asked:
        near = (*anywhere, *by_resource.get(question.asked.resource, ()))
        # two may cover each other (/a* and /a**): one of them stays
        if any(one != question and one not in dropped and covers(one, question) for one in near):
            dropped.add(question)
        else:
            kept.append(question)
    return kept


def rules_for(asked: Iterable[Attributes]) -> list[Object]:
    """The fewest rules that allow these requests, and nothing else."""
    urls: dict[str, set[str]] = {}
    verbs_by_name: dict[tuple[str, str], dict[str, set[str]]] = {}
    for one in asked:
        if one.path:
            urls.setdefault(one.path, set()).add(one.verb)
        else:
            names = verbs_by_name.setdefault((one.group, entry(one)), {})
            names.setdefault(one.name, set()).add(one.verb)
    # what has the same verbs: resources of one group, names of one resource, URLs
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    named: list[tuple[str, str, tuple[str, ...], list[str]]] = []
    for (group, resource), names in sorted(verbs_by_name.items()):
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, verbs in sorted(names.items()):
            if name:
                alike.setdefault(tuple(in_order(verbs)), []).append(name)
            else:
                resources.setdefault((group, tuple(in_order(verbs))), []).append(resource)
        named += [(group, resource, verbs, some) for verbs, some in alike.items()]
    rules: list[Object] = [
        {"apiGroups": [group], "resources": some, "verbs": list(verbs)}
        for (group, verbs), some in resources.items()
    ]
    rules += [
        {
            "apiGroups": [group],
            "resources": [resource],
            "resourceNames": some,
            "verbs": list(verbs),
        }
        for group, resource, verbs, some in named
    ]
    rules.sort(key=lambda rule: (rule["apiGroups"], rule["resources"], "resourceNames" in rule))
    paths: dict[tuple[str, ...], list[str]] = {}
    for path, verbs in sorted(urls.items()):
        paths.setdefault(tuple(in_order(verbs)), []).append(path)
    return rules + [
        {"nonResourceURLs": some, "verbs": list(verbs)} for verbs, some in paths.items()
    ]


# --- Roles and bindings ---------------------------------------------------------------------------


def manifests(
    account: tuple[str, str],
    questions: Iterable[Question],
    world: World | None = None,
    name: str = "",
) -> list[Object]:
    """The Roles and bindings that allow an account (namespace, name) what is asked, and no more.

    A Role and a RoleBinding for each namespace; a ClusterRole and a ClusterRoleBinding for what is
    asked of all namespaces, in none, or of a URL. Both of a pair have the same name: ``name``, or
    one that is made of account and question and is always the same for the same. It never takes
    the place of what is in the ``world`` with another meaning.

    No labels are put on them: they are the user's from now on, and no tool manages them.
    """
    by_namespace: dict[str, list[Question]] = {}
    for question in distinct(questions):
        by_namespace.setdefault(question.namespace, []).append(question)
    made: list[Object] = []
    for namespace, some in sorted(by_namespace.items(), key=lambda pair: (not pair[0], pair[0])):
        rules = rules_for(question.asked for question in some)
        wanted = name or name_for(account, namespace, rules)
        number = 1
        pair = role_and_binding(account, namespace, wanted, rules)
        while not name and world is not None and any(taken(world, one) for one in pair):
            number += 1
            pair = role_and_binding(account, namespace, f"{wanted}-{number}", rules)
        made += pair
    return made


def role_and_binding(
    account: tuple[str, str], namespace: str, name: str, rules: list[Object]
) -> list[Object]:
    """A role of these rules and its binding; for the whole cluster where there is no namespace."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return [
        {
            "apiVersion": f"{RBAC_GROUP}/v1",
            "kind": kind,
            "metadata": dict(metadata),
            "rules": rules,
        },
        {
            "apiVersion": f"{RBAC_GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account[1], "namespace": account[0]}],
        },
    ]


def taken(world: World, manifest: Object) -> bool:
    """Whether applying a manifest would change, or be refused by, what is there of that name.

    What may not be looked at is taken for free: the names are nobody else's choice.
    """
    metadata = manifest["metadata"]
    try:
        there = world.get(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
    except Unseen:
        return False
    if there is None:
        return False
    fields = [field for field in ("rules", "roleRef", "subjects") if field in manifest]
    return any(there.get(field) != manifest[field] for field in fields)


def name_for(account: tuple[str, str], namespace: str, rules: list[Object]) -> str:
    """A name for a role: ``web-get-list-pods``, or by a hash of what it allows where that is long.

    One account's role must not take the place of another's when it is applied, so the namespace of
    the account stands before it wherever accounts of several namespaces may have roles.
    """
    whose = account[1] if account[0] == namespace else f"{account[0]}.{account[1]}"
    whole = len(whose) <= LONGEST_ACCOUNT
    about = [one for rule in rules for one in rule.get("resources") or rule["nonResourceURLs"]]
    names = rules[0].get("resourceNames", [])
    # of several a name could be that of one other (a-b), and so could that of a longer URL
    if len(about) == 1 and len(names) <= 1 and whole and not is_deep(about[0]):
        group = next(iter(rules[0].get("apiGroups", [])), "")
        what = about[0].strip("/").replace("/", "-") + (f".{group}" if group else "")
        plain = "-".join([*rules[0]["verbs"], what, *names]).replace("*", "all")
        if len(plain) <= LONGEST and is_name(plain):
            return f"{whose}-{plain}"
    import hashlib
    import json

    text = json.dumps([account, namespace, rules], sort_keys=True)
    whose = whose if whole else whose[:LONGEST_ACCOUNT].rstrip("-.")
    return f"{whose}-can-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_deep(entry: str) -> bool:
    """Whether it is a URL of several parts, or of many."""
    return entry.startswith("/") and ("/" in entry[1:] or "*" in entry)


def is_name(text: str) -> bool:
    """Whether a text can be the end of the name of any object: a DNS subdomain."""
    import re

    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    return re.fullmatch(rf"{label}(\.{label})*", text) is not None


def text_of(objects: Iterable[Object]) -> str:
    """Manifests as YAML for kubectl apply -f -, one document for each."""
    import re

    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes out what occurs twice, too."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        """Quotes what kubectl would not take for a string, though PyYAML does (y, 1e3, 0o7)."""
        plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9./:-]+", text)
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')

    Dumper.add_representer(str, string)
    documents = [
        yaml.dump(item, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=1 << 20)
        for item in objects
    ]
    return "---\n".join(documents)


# --- what it lets loose ---------------------------------------------------------------------------


class Danger(NamedTuple):
    """Rights by which an account comes to more than they say, and how.

    ``{whole}`` stands for what the grant reaches: ``any pod of namespace shop``, ``pod web-0``.
    """

    verbs: str
    group: str
    resources: str
    text: str


PODS_OF = "runs pods as any service account of the namespace, with any of its secrets mounted"
WRITE = "create update patch"

# The privilege escalation risks of Kubernetes' RBAC good practices, and those next to them.
DANGERS = (
    Danger("get list watch", "", "secrets", "shows what is in {whole}: passwords, keys, tokens"),
    Danger("create", "", "pods", PODS_OF),
    Danger(WRITE, "", "replicationcontrollers", PODS_OF),
    Danger(WRITE, "apps", "deployments daemonsets replicasets statefulsets", PODS_OF),
    Danger(WRITE, "batch", "cronjobs jobs", PODS_OF),
    Danger(
        "get create",
        "",
        "pods/exec pods/attach",
        "runs commands in {whole}, with its account's rights",
    ),
    Danger(
        "update patch",
        "",
        "pods/ephemeralcontainers",
        "runs containers in {whole}, with its account's rights",
    ),
    Danger(
        "get create", "", "pods/portforward", "reaches every port of {whole}, past network policies"
    ),
    Danger(
        "get create update patch delete",
        "",
        "pods/proxy services/proxy",
        "reaches every port of {whole}, past network policies",
    ),
    Danger(
        "create", "", "serviceaccounts/token", "makes tokens of {whole}, and has its rights by them"
    ),
    Danger(
        "get create update patch delete",
        "",
        "nodes/proxy",
        "runs commands in every pod of {whole} by the kubelet, past admission and audit",
    ),
    Danger(
        "impersonate", "", "users groups serviceaccounts", "acts as {whole}, with all of its rights"
    ),
    Danger(
        "impersonate:user-info impersonate:serviceaccount impersonate:arbitrary-node",
        "authentication.k8s.io",
        "users groups serviceaccounts nodes",
        "acts as {whole}, in all that it may impersonate-on",
    ),
    Danger("escalate", RBAC_GROUP, "roles clusterroles", "writes any right into {whole}"),
    Danger("bind", RBAC_GROUP, "roles clusterroles", "gives itself the rights of {whole}"),
    Danger(
        WRITE,
        RBAC_GROUP,
        "rolebindings clusterrolebindings",
        "gives the rights that it has to anybody, and all others with the verb bind",
    ),
    Danger(
        "create update patch",
        "certificates.k8s.io",
        "certificatesigningrequests/approval",
        "lets certificates be issued by which anybody is any user",
    ),
    Danger(
        "approve sign",
        "certificates.k8s.io",
        "signers",
        "lets certificates be issued by which anybody is any user",
    ),
    Danger(
        WRITE,
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations validatingwebhookconfigurations mutatingadmissionpolicies",
        "reads or changes whatever is written to the API server",
    ),
    Danger("create", "", "persistentvolumes", "reads and writes files of the nodes, by hostPath"),
    Danger(
        "update patch",
        "",
        "namespaces",
        "takes pod security and network policies off {whole}, which go by its labels",
    ),
)


def warnings(questions: Iterable[Question]) -> list[str]:
    """What granting this lets loose, a line for each, and what it does not do after all."""
    lines: dict[str, None] = {}
    risks: dict[tuple[str, Question], list[str]] = {}
    asked = sorted(set(questions))
    for question in distinct(asked):
        said = in_words(question)
        rule = rule_of(question.asked)
        if "*" in (question.asked.resource, question.asked.path, question.asked.group):
            lines[f"{said}: a wildcard, which means whatever there will ever be as well"] = None
            continue
        if question.asked.verb == "*" or "*" in question.asked.resource + question.asked.path:
            lines[f"{said}: a wildcard, which means more than is needed today"] = None
        for danger in DANGERS:
            for resource in danger.resources.split():
                verbs = [
                    verb
                    for verb in danger.verbs.split()
                    if rule_allows(rule, probe(danger, resource, verb, question.asked.name))
                ]
                if verbs:
                    text = danger.text.format(whole=reach(question, resource))
                    what = question._replace(asked=probe(danger, resource, "", question.asked.name))
                    risks.setdefault((text, what), []).extend(verbs)
    for (text, what), verbs in risks.items():
        together = what._replace(asked=what.asked._replace(verb=",".join(in_order(verbs))))
        lines[f"{in_words(together)}: {text}"] = None
    for question in asked:
        verb, name = question.asked.verb, question.asked.name
        if grantable(question) != question:
            lines[
                f"{in_words(question)}: granted for any name, for RBAC is not told the name of "
                f"what a {verb} is about"
            ] = None
        elif name and verb in ("list", "watch"):
            lines[
                f"{in_words(question)}: counts only for requests with the fieldSelector "
                f"metadata.name={name}"
            ] = None
    return list(lines)


def probe(danger: Danger, resource: str, verb: str, name: str) -> Attributes:
    """The request by which a danger comes true."""
    what, _, below = resource.partition("/")
    return Attributes(verb, danger.group, what, below, name)


def reach(question: Question, resource: str) -> str:
    """What a grant reaches, in words."""
    one = resource.partition("/")[0].removesuffix("s")
    if question.asked.name:
        return f"{one} {question.asked.name}"
    return f"any {one} of " + (
        f"namespace {question.namespace}" if question.namespace else "the cluster"
    )


# --- a change to a role that is there -------------------------------------------------------------

# Labels and annotations by which others keep a role as they want it: Helm and whoever calls itself
# a manager, Argo CD, Flux, OLM, Rancher Fleet; and roles that are gathered into other roles.
KEPT = (
    "app.kubernetes.io/managed-by",
    "meta.helm.sh/",
    "helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "olm.",
    "objectset.rio.cattle.io/",
    f"{RBAC_GROUP}/aggregate-to-",
)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def patch(world: World, account: tuple[str, str], questions: Iterable[Question]) -> Fix | None:
    """A change to the account's own roles that allows what is asked, and no more; None without one.

    For each namespace it takes the Role, and for the rest the ClusterRole, that a binding there
    gives to the account itself, not to its groups: one that nobody else has goes before others, and
    one that has a rule on the same before one that has not. A verb is added to a rule that is about
    that resource alone; everything else gets rules of its own. Roles that somebody keeps as they
    are (the API server, Helm, an operator) are left alone, as are ClusterRoles that are bound in a
    namespace: they count in others, too.
    """
    by_namespace: dict[str, list[Question]] = {}
    for question in distinct(questions):
        by_namespace.setdefault(question.namespace, []).append(question)
    commands: list[str] = []
    summaries: list[str] = []
    manifest = ""
    for namespace, some in sorted(by_namespace.items(), key=lambda pair: (not pair[0], pair[0])):
        choice = None
        for role in suited(world, account, namespace):
            change = Change(role, some)
            others, unseen = others_with(world, account, role)
            order = (
                bool(change.lacks),
                bool(unseen),
                len(others),
                not change.extended,
                role["metadata"]["name"],
            )
            if choice is None or order < choice[0]:
                choice = (order, change, others, unseen)
        if choice is None:
            return None
        _, change, others, unseen = choice
        if not change.lacks:
            continue
        summaries.append(change.summary(others, unseen))
        fix = change.fix(world, summaries[-1])
        commands += fix.commands
        manifest += ("---\n" if manifest and fix.manifest else "") + fix.manifest
    return Fix("; ".join(summaries), tuple(commands), manifest) if commands else None


def suited(world: World, account: tuple[str, str], namespace: str) -> Iterator[Object]:
    """The account's own roles that may be changed, for what is asked in a namespace or in all."""
    met = set()
    try:
        where = [namespace] if namespace else []
        prepare_grants(world, *account, where, wide=not namespace)
        for grant in grants(world, *account, where, wide=not namespace):
            role = grant.role
            if role is None or not grant.own or grant.wide == bool(namespace):
                continue
            key = (role["kind"], role["metadata"]["name"])
            if key in met or role["kind"] != ("Role" if namespace else "ClusterRole"):
                continue
            met.add(key)
            if not is_kept(role):
                yield role
    except Unseen:
        return  # there may be more, but these are there


def is_kept(role: Object) -> bool:
    """Whether somebody keeps a role as it is, or makes others of it."""
    metadata = role["metadata"]
    marks = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    return (
        is_default(role)
        or metadata["name"].startswith("system:")
        or role.get("aggregationRule") is not None
        or bool(metadata.get("ownerReferences"))
        or bool(metadata.get("deletionTimestamp"))
        or any(mark.startswith(KEPT) for mark in marks)
    )


def others_with(
    world: World, account: tuple[str, str], role: Object
) -> tuple[list[str], Unseen | None]:
    """Who else has a role, in words, and why there may be more."""
    found: dict[str, None] = {}
    unseen = None
    namespace = role["metadata"].get("namespace") or ""
    kinds = ["RoleBinding"] if role["kind"] == "Role" else ["ClusterRoleBinding", "RoleBinding"]
    for kind in kinds:
        try:
            for binding in world.list(kind, namespace):
                reference = binding.get("roleRef") or {}
                if (reference.get("kind"), reference.get("name")) != (
                    role["kind"],
                    role["metadata"]["name"],
                ):
                    continue
                inside = namespace_of(binding)
                for subject in binding.get("subjects") or []:
                    itself = subject.get("kind") != "Group" and is_subject(
                        subject, *account, inside
                    )
                    if not itself:
                        where = subject.get("namespace") or inside
                        place = f" of {where}" if subject.get("kind") == "ServiceAccount" else ""
                        found[
                            f"{str(subject.get('kind')).lower()} {subject.get('name')}{place}"
                        ] = None
        except Unseen as error:
            unseen = error
    return list(found), unseen


class Change:
    """What a role lacks of what is asked: verbs of rules that it has, and rules that it has not."""

    def __init__(self, role: Object, questions: list[Question]) -> None:
        self.role = role
        self.rules = rules_of(role)
        self.lacks = [one for one in questions if not allows(self.rules, one.asked)]
        #: the verbs to add, by the number of the rule
        self.extended: dict[int, list[str]] = {}
        rest = []
        for _, asked in self.lacks:
            number = self.about(asked)
            if number is None:
                rest.append(asked)
            else:
                self.extended.setdefault(number, []).append(asked.verb)
        self.added = rules_for(rest)

    def about(self, asked: Attributes) -> int | None:
        """The rule that is about the same and about nothing else."""
        wanted = {key: value for key, value in rule_of(asked).items() if key != "verbs"}
        for number, rule in enumerate(self.rules):
            if {key: value for key, value in rule.items() if key != "verbs" and value} == wanted:
                return number
        return None

    def operations(self) -> list[Object]:
        """The change as a JSON patch; it fails where a rule is no longer what it was."""
        operations: list[Object] = []
        for number, verbs in sorted(self.extended.items()):
            path = f"/rules/{number}"
            operations.append({"op": "test", "path": path, "value": self.rules[number]})
            operations += [
                {"op": "add", "path": f"{path}/verbs/-", "value": verb} for verb in in_order(verbs)
            ]
        if self.added and not self.rules:
            return [{"op": "add", "path": "/rules", "value": self.added}]
        return operations + [
            {"op": "add", "path": "/rules/-", "value": rule} for rule in self.added
        ]

    def fix(self, world: World, summary: str) -> Fix:
        """The change as a command; as a manifest where the role is in a file."""
        metadata = self.role["metadata"]
        if not metadata.get("uid"):
            rules = [
                {**rule, "verbs": [*rule["verbs"], *in_order(self.extended.get(number, []))]}
                for number, rule in enumerate(self.rules)
            ]
            return and_manifest(world, {**self.role, "rules": rules + self.added}, summary)
        words = ("patch", self.role["kind"].lower(), metadata["name"], "--type=json")
        namespace = metadata.get("namespace") or ""
        return Fix(summary, (kubectl(world, namespace, *words, "-p", dumps(self.operations())),))

    def summary(self, others: list[str], unseen: Unseen | None) -> str:
        """What is changed, and who else gets it."""
        metadata = self.role["metadata"]
        what = in_words(self.lacks[0]) if len(self.lacks) == 1 else f"{len(self.lacks)} rights"
        text = f"add {what} to {self.role['kind'].lower()}/{metadata['name']}"
        if others:
            some = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if others[3:] else "")
            text += f", which {some} {'has' if len(others) == 1 else 'have'} as well"
        if unseen is not None:
            text += f" (who else has it is not known: {unseen})"
        if LAST_APPLIED in (metadata.get("annotations") or {}):
            text += "; add it to the file that it was applied from, too"
        return text
