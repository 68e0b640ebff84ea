"""The least Role for questions: it allows them, and nothing else."""

import json
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_satoken.least import manifests, patch, text_of, warnings
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.rbac import Attributes, Question, allows, grants
from kubectl_satoken.world import Object
from tests.checks.given import world

WEB = ("shop", "web")

VERBS = ("get", "list", "create", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "deployments", "*")
BELOW = ("", "log")
NAMES = ("", "a", "b")
NAMESPACES = ("", "shop", "dev")
PATHS = ("/a", "/a/b", "/a*", "/a**", "*")

UNIVERSE = [
    Question(namespace, Attributes(*words))
    for namespace, *words in product(NAMESPACES, VERBS, GROUPS, RESOURCES, BELOW, NAMES)
] + [Question("", Attributes(verb, path=path)) for verb, path in product(VERBS, PATHS)]


def q(namespace: str, verb: str, resource: str = "", name: str = "", group: str = "") -> Question:
    if resource.startswith("/"):
        return Question(namespace, Attributes(verb, path=resource))
    what, _, below = resource.partition("/")
    return Question(namespace, Attributes(verb, group, what, below, name))


def single(question: Question) -> Object:
    """One question as a rule, spelt out."""
    asked = question.asked
    if asked.path:
        return {"verbs": [asked.verb], "nonResourceURLs": [asked.path]}
    below = f"/{asked.subresource}" if asked.subresource else ""
    named = asked.name and (asked.verb != "create" or below)
    return {
        "verbs": [asked.verb],
        "apiGroups": [asked.group],
        "resources": [asked.resource + below],
        **({"resourceNames": [asked.name]} if named else {}),
    }


def allowed(cluster: ManifestWorld, question: Question) -> bool:
    """Whether web of shop may do it in a world."""
    where = [question.namespace] if question.namespace else []
    return any(allows(grant.rules or [], question.asked) for grant in grants(cluster, *WEB, where))


def applied(objects: list[Object]) -> ManifestWorld:
    """The world in which there are these objects only, as their text says."""
    snapshot = {
        "apiVersion": "satoken/v1",
        "kind": "Snapshot",
        "time": "2026-11-22T12:00:00Z",
        "seen": [
            {"kind": kind} for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
        ],
        "items": parse(text_of(objects), "test") if objects else [],
    }
    return ManifestWorld([snapshot], "shop", 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(UNIVERSE), min_size=1, max_size=6))
def test_it_allows_what_is_asked_and_nothing_else(asked: list[Question]) -> None:
    cluster = applied(manifests(WEB, asked))
    alone = [(question.namespace, [single(question)]) for question in asked]
    for question in UNIVERSE:
        wanted = any(
            namespace in ("", question.namespace)
            and not (namespace and question.asked.path)
            and allows(rules, question.asked)
            for namespace, rules in alone
        )
        assert allowed(cluster, question) == wanted, question


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(UNIVERSE), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_questions_does_not_count(asked: list[Question], random: Any) -> None:
    again = [*asked, *asked]
    random.shuffle(again)
    assert text_of(manifests(WEB, asked)) == text_of(manifests(WEB, again))


def test_one_question_is_one_role_and_its_binding() -> None:
    assert (
        text_of(manifests(WEB, [q("shop", "list", "pods")]))
        == """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: web-list-pods
  namespace: shop
rules:
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - list
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: web-list-pods
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: web-list-pods
subjects:
- kind: ServiceAccount
  name: web
  namespace: shop
"""
    )


def rules(*asked: Question) -> list[Object]:
    made = manifests(WEB, asked)
    assert len(made) == 2
    found: list[Object] = made[0]["rules"]
    return found


def test_what_is_alike_but_for_one_thing_is_one_rule() -> None:
    assert rules(
        q("shop", "watch", "pods"),
        q("shop", "get", "pods"),
        q("shop", "get", "services"),
        q("shop", "watch", "services"),
        q("shop", "get", "pods/log"),
        q("shop", "list", "deployments", group="apps"),
        q("shop", "get", "configmaps", "b"),
        q("shop", "get", "configmaps", "a"),
        q("shop", "update", "leases", "lock", "coordination.k8s.io"),
        q("shop", "get", "leases", "lock", "coordination.k8s.io"),
        q("shop", "create", "leases", group="coordination.k8s.io"),
    ) == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["a", "b"],
            "verbs": ["get"],
        },
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["lock"],
            "verbs": ["get", "update"],
        },
    ]
    assert rules(q("", "get", "/a"), q("", "get", "/b"), q("", "post", "/b")) == [
        {"nonResourceURLs": ["/a"], "verbs": ["get"]},
        {"nonResourceURLs": ["/b"], "verbs": ["get", "post"]},
    ]


def test_what_is_in_all_namespaces_is_not_granted_in_one_again() -> None:
    made = manifests(WEB, [q("shop", "list", "pods"), q("", "list", "pods")])
    assert [item["kind"] for item in made] == ["ClusterRole", "ClusterRoleBinding"]


def test_of_two_that_mean_the_same_one_is_granted() -> None:
    assert rules(q("", "get", "/a*"), q("", "get", "/a**")) == [
        {"nonResourceURLs": ["/a**"], "verbs": ["get"]}
    ]


def test_each_namespace_has_its_own_and_the_cluster_comes_last() -> None:
    made = manifests(
        WEB, [q("", "get", "/metrics"), q("shop", "list", "pods"), q("dev", "list", "pods")]
    )
    assert [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in made
    ] == [
        ("Role", "dev", "shop.web-list-pods"),
        ("RoleBinding", "dev", "shop.web-list-pods"),
        ("Role", "shop", "web-list-pods"),
        ("RoleBinding", "shop", "web-list-pods"),
        ("ClusterRole", None, "shop.web-get-metrics"),
        ("ClusterRoleBinding", None, "shop.web-get-metrics"),
    ]
    assert all(
        item["subjects"] == [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]
        for item in made
        if item["kind"].endswith("Binding")
    )


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ([q("shop", "get", "pods/log")], "web-get-pods-log"),
        ([q("shop", "list", "deployments", group="apps")], "web-list-deployments.apps"),
        ([q("shop", "get", "configmaps", "app")], "web-get-configmaps-app"),
        ([q("shop", "*", "pods")], "web-all-pods"),
        ([q("shop", "watch", "pods"), q("shop", "list", "pods")], "web-list-watch-pods"),
        ([q("", "list", "nodes")], "shop.web-list-nodes"),
        ([q("", "get", "/metrics")], "shop.web-get-metrics"),
    ],
)
def test_a_name_tells_who_may_what(asked: list[Question], name: str) -> None:
    assert {item["metadata"]["name"] for item in manifests(WEB, asked)} == {name}


@pytest.mark.parametrize(
    "asked",
    [
        [q("shop", "list", "pods"), q("shop", "get", "services")],
        [q("shop", "get", "configmaps", "A_B")],
        [q("shop", "get", "configmaps", "a" * 60)],
        # these might be named like others
        [q("shop", "list", "pods"), q("shop", "list", "services")],
        [q("shop", "get", "configmaps", "a"), q("shop", "get", "configmaps", "b")],
        [q("", "get", "/logs/a")],
        [q("", "get", "/logs*")],
        [q("", "get", "/")],
        [q("", "get", "/~user")],
        [q("shop", "impersonate:user-info", "users")],
    ],
)
def test_what_makes_no_name_is_named_by_its_content(asked: list[Question]) -> None:
    for account in (WEB, ("shop", "w" * 253), ("shop", "other")):
        (name,) = {item["metadata"]["name"] for item in manifests(account, asked)}
        assert len(name) <= 253
        assert name.rpartition("-can-")[2].isalnum()
        more = [*asked, q(asked[0].namespace, "delete", "gadgets")]
        assert name not in {item["metadata"]["name"] for item in manifests(account, more)}


def test_names_of_accounts_do_not_meet() -> None:
    def names(account: tuple[str, str], namespace: str) -> set[str]:
        return {
            item["metadata"]["name"] for item in manifests(account, [q(namespace, "list", "nodes")])
        }

    assert not names(("a-b", "c"), "") & names(("a", "b-c"), "")
    assert not names(("shop", "web"), "dev") & names(("dev", "web"), "dev")


def test_a_name_may_be_chosen() -> None:
    made = manifests(WEB, [q("shop", "list", "pods"), q("", "list", "nodes")], name="mine")
    assert {item["metadata"]["name"] for item in made} == {"mine"}
    assert {made[1]["roleRef"]["name"], made[3]["roleRef"]["name"]} == {"mine"}


def role(name: str = "web-list-pods", more: str = "", verbs: str = "list") -> str:
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: shop, uid: r-{name}{more}}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [{verbs}]}}]
---
"""


def binding(
    name: str = "web-list-pods",
    subjects: str = "{kind: ServiceAccount, name: web, namespace: shop}",
) -> str:
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: shop, uid: b-{name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects: [{subjects}]
---
"""


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("", "web-list-pods"),
        (role() + binding(), "web-list-pods"),
        (role(verbs="get"), "web-list-pods-2"),
        (binding(subjects="{kind: ServiceAccount, name: api, namespace: shop}"), "web-list-pods-2"),
        (role(verbs="get") + role("web-list-pods-2", verbs="get"), "web-list-pods-3"),
    ],
)
def test_nothing_that_is_there_is_changed(there: str, name: str) -> None:
    made = manifests(WEB, [q("shop", "list", "pods")], world(there))
    assert [item["metadata"]["name"] for item in made] == [name, name]
    assert made[1]["roleRef"]["name"] == name


def test_where_nothing_can_be_seen_the_name_is_free() -> None:
    blind = world(role(verbs="get"), unseen=("Role", "RoleBinding"))
    made = manifests(WEB, [q("shop", "get", "pods")], blind)
    assert made[0]["metadata"]["name"] == "web-get-pods"


ODD = ["y", "n", "1e3", "0o7", "0x1f", "12:30:45", "null", "~", "true", "no", "1.5", ".5", "=", "-"]


def test_whatever_looks_like_something_else_is_written_as_a_string() -> None:
    text = text_of(manifests(WEB, [q("shop", "get", "configmaps", name) for name in ODD]))
    (rule,) = next(yaml.safe_load_all(text))["rules"]
    assert rule["resourceNames"] == sorted(ODD)
    for name in ODD:
        assert f"  - {name}\n" not in text


# --- warnings


@pytest.mark.parametrize(
    ("question", "warning"),
    [
        (
            q("shop", "list", "secrets"),
            "list secrets in namespace shop: shows what is in any secret of namespace shop: "
            "passwords, keys, tokens",
        ),
        (
            q("shop", "get", "secrets", "db"),
            "get secrets db in namespace shop: shows what is in secret db: passwords, keys, tokens",
        ),
        (
            q("", "watch", "secrets"),
            "watch secrets: shows what is in any secret of the cluster: passwords, keys, tokens",
        ),
        (
            q("shop", "create", "pods/exec", "web-0"),
            "create pods/exec web-0 in namespace shop: runs commands in pod web-0, with its "
            "account's rights",
        ),
    ],
)
def test_a_warning_says_what_it_comes_to(question: Question, warning: str) -> None:
    assert warnings([question]) == [warning]


@pytest.mark.parametrize(
    ("question", "word"),
    [
        (q("shop", "create", "pods"), "runs pods as any service account"),
        (q("shop", "patch", "deployments", group="apps"), "runs pods as any service account"),
        (q("shop", "update", "jobs", group="batch"), "runs pods as any service account"),
        (q("shop", "get", "pods/attach"), "runs commands"),
        (q("shop", "create", "pods/portforward"), "reaches every port"),
        (q("shop", "patch", "pods/ephemeralcontainers"), "runs containers"),
        (q("shop", "create", "serviceaccounts/token", "ci"), "makes tokens of serviceaccount ci"),
        (q("", "get", "nodes/proxy"), "runs commands in every pod of any node"),
        (q("", "impersonate", "users"), "acts as any user of the cluster"),
        (q("", "impersonate", "groups", "admins"), "acts as group admins"),
        (
            q("", "impersonate:user-info", "users", "jane", "authentication.k8s.io"),
            "acts as user jane, in all",
        ),
        (q("", "escalate", "clusterroles", group="rbac.authorization.k8s.io"), "writes any right"),
        (q("shop", "bind", "roles", group="rbac.authorization.k8s.io"), "gives itself"),
        (
            q("shop", "create", "rolebindings", group="rbac.authorization.k8s.io"),
            "gives the rights",
        ),
        (
            q("", "update", "certificatesigningrequests/approval", group="certificates.k8s.io"),
            "anybody is any user",
        ),
        (q("", "approve", "signers", group="certificates.k8s.io"), "anybody is any user"),
        (
            q("", "create", "mutatingwebhookconfigurations", group="admissionregistration.k8s.io"),
            "reads or changes",
        ),
        (q("", "create", "persistentvolumes"), "hostPath"),
        (q("shop", "patch", "namespaces", "shop"), "namespace shop"),
        (q("shop", "*", "configmaps"), "a wildcard"),
        (q("shop", "get", "*"), "a wildcard"),
        (q("shop", "get", "pods", group="*"), "a wildcard"),
        (q("", "get", "/logs/*"), "a wildcard"),
        (q("shop", "get", "*/log"), "a wildcard"),
    ],
)
def test_each_way_to_more_rights_is_warned_of(question: Question, word: str) -> None:
    (warning,) = warnings([question])
    assert word in warning


def test_what_leads_nowhere_is_not_warned_of() -> None:
    asked = [
        q("shop", "list", "pods"),
        q("shop", "get", "pods/log"),
        q("shop", "delete", "secrets"),
        q("shop", "create", "configmaps"),
        q("shop", "get", "secrets", group="example.org"),
        q("", "get", "/metrics"),
        q("shop", "get", "serviceaccounts"),
    ]
    assert warnings(asked) == []


def test_verbs_of_one_warning_are_one_line() -> None:
    asked = [q("shop", verb, "secrets") for verb in ("watch", "get", "list")]
    assert [line.partition(":")[0] for line in warnings(asked)] == [
        "get,list,watch secrets in namespace shop"
    ]
    # with every verb there are two things to say
    lines = warnings([q("shop", "*", "secrets")])
    assert [line.partition(":")[0] for line in lines] == [
        "* secrets in namespace shop",
        "get,list,watch secrets in namespace shop",
    ]


def test_names_that_do_not_count_or_count_for_little_are_warned_of() -> None:
    assert warnings([q("shop", "create", "configmaps", "a"), q("shop", "list", "leases", "l")]) == [
        "create configmaps a in namespace shop: granted for any name, for RBAC is not told the "
        "name of what a create is about",
        "list leases l in namespace shop: counts only for requests with the fieldSelector "
        "metadata.name=l",
    ]


# --- a change to a role that is there


def operations(command: str) -> Any:
    import shlex

    words = shlex.split(command)
    return json.loads(words[words.index("-p") + 1])


def test_a_verb_is_added_to_the_rule_that_is_about_that_alone() -> None:
    fix = patch(world(role("web") + binding("web")), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert fix.summary == "add watch pods in namespace shop to role/web"
    (command,) = fix.commands
    assert command.startswith("kubectl -n shop patch role web --type=json -p ")
    assert operations(command) == [
        {
            "op": "test",
            "path": "/rules/0",
            "value": {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        },
        {"op": "add", "path": "/rules/0/verbs/-", "value": "watch"},
    ]


@pytest.mark.parametrize(
    "question",
    [
        q("shop", "list", "services"),
        q("shop", "list", "pods/log"),
        q("shop", "get", "pods", "a"),
        q("shop", "list", "pods", group="metrics.k8s.io"),
    ],
)
def test_what_no_rule_is_about_alone_gets_one_of_its_own(question: Question) -> None:
    fix = patch(world(role("web") + binding("web")), WEB, [question])
    assert fix is not None
    wanted = manifests(WEB, [question])[0]["rules"]
    got = [one["value"] for one in operations(fix.commands[0])]
    assert got == wanted


def test_a_rule_about_more_is_left_as_it_is() -> None:
    both = role("web").replace("[pods]", "[pods, services]")
    fix = patch(world(both + binding("web")), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert operations(fix.commands[0]) == [
        {
            "op": "add",
            "path": "/rules/-",
            "value": {"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]},
        }
    ]


def test_a_role_without_rules_gets_its_first() -> None:
    empty = role("web").replace('[{apiGroups: [""], resources: [pods], verbs: [list]}]', "null")
    fix = patch(world(empty + binding("web")), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert [(one["op"], one["path"]) for one in operations(fix.commands[0])] == [("add", "/rules")]


GROUP = "{kind: Group, name: 'system:serviceaccounts:shop', apiGroup: rbac.authorization.k8s.io}"
ITSELF = "{kind: ServiceAccount, name: web, namespace: shop}"


@pytest.mark.parametrize(
    "there",
    [
        "",
        role("web"),
        role("web") + binding("web", GROUP),
        role("web", ", labels: {kubernetes.io/bootstrapping: rbac-defaults}") + binding("web"),
        role("web", ", labels: {app.kubernetes.io/managed-by: Helm}") + binding("web"),
        role("web", ", annotations: {meta.helm.sh/release-name: x}") + binding("web"),
        role("web", ", annotations: {argocd.argoproj.io/tracking-id: x}") + binding("web"),
        role("web", ", labels: {olm.owner: x}") + binding("web"),
        role("web", ", ownerReferences: [{kind: App, name: x, uid: y}]") + binding("web"),
        role("system:web") + binding("system:web"),
    ],
)
def test_roles_that_are_not_its_own_or_kept_by_others_are_left_alone(there: str) -> None:
    assert patch(world(there), WEB, [q("shop", "watch", "pods")]) is None


def test_a_role_of_one_namespace_does_not_do_for_another() -> None:
    there = world(role("web") + binding("web"))
    assert patch(there, WEB, [q("dev", "watch", "pods")]) is None
    assert patch(there, WEB, [q("", "watch", "pods")]) is None
    assert patch(there, WEB, [q("shop", "watch", "pods"), q("dev", "watch", "pods")]) is None


def test_a_role_that_nobody_else_has_goes_first() -> None:
    both = "{kind: User, name: jane}, " + ITSELF
    there = role("all") + binding("all", both) + role("web", verbs="get") + binding("web")
    fix = patch(world(there), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert "patch role web" in fix.commands[0]


def test_it_is_said_who_else_gets_it() -> None:
    many = ", ".join(
        (
            "{kind: User, name: jane}",
            "{kind: ServiceAccount, name: api}",
            GROUP,
            "{kind: User, name: joe}",
            ITSELF,
            "{kind: User, name: 'system:serviceaccount:shop:web'}",
        )
    )
    fix = patch(world(role("web") + binding("web", many)), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert fix.summary == (
        "add watch pods in namespace shop to role/web, which user jane, serviceaccount api of "
        "shop, group system:serviceaccounts:shop and 1 more have as well"
    )


def test_the_file_that_a_role_was_applied_from_is_remembered() -> None:
    last = ", annotations: {kubectl.kubernetes.io/last-applied-configuration: x}"
    fix = patch(world(role("web", last) + binding("web")), WEB, [q("shop", "watch", "pods")])
    assert fix is not None
    assert fix.summary.endswith("; add it to the file that it was applied from, too")


WIDE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide, uid: wide}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}, {nonResourceURLs: [/a], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: wide, uid: wide-b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wide}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
---
"""
ELSEWHERE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: wide, namespace: dev, uid: wide-r}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wide}
subjects: [{kind: ServiceAccount, name: api}]
---
"""


def test_a_clusterrole_is_changed_for_the_whole_cluster_only() -> None:
    asked = [q("", "list", "nodes"), q("", "post", "/a")]
    fix = patch(world(WIDE), WEB, asked)
    assert fix is not None
    assert fix.summary == "add 2 rights to clusterrole/wide"
    assert [one["path"] for one in operations(fix.commands[0]) if one["op"] == "add"] == [
        "/rules/0/verbs/-",
        "/rules/1/verbs/-",
    ]
    assert patch(world(WIDE), WEB, [q("shop", "list", "pods")]) is None
    narrow = ELSEWHERE.replace("namespace: dev", "namespace: shop").replace(
        "name: api", "name: web"
    )
    assert patch(world(narrow + WIDE.split("---")[0]), WEB, [q("shop", "get", "pods")]) is None


def test_who_has_a_clusterrole_in_any_namespace_counts() -> None:
    fix = patch(world(WIDE + ELSEWHERE), WEB, [q("", "list", "nodes")])
    assert fix is not None
    assert fix.summary.endswith("to clusterrole/wide, which serviceaccount api of dev has as well")
    fix = patch(world(WIDE, unseen=("RoleBinding",)), WEB, [q("", "list", "nodes")])
    assert fix is not None
    assert fix.summary.endswith("(who else has it is not known: rolebindings: forbidden)")


@pytest.mark.parametrize(
    "more",
    [
        "aggregationRule: {clusterRoleSelectors: []}\n",
        "",
    ],
)
def test_gathered_roles_are_left_alone(more: str) -> None:
    there = WIDE.replace("rules:", f"{more}rules:")
    if not more:
        label = "labels: {rbac.authorization.k8s.io/aggregate-to-view: 'true'}"
        there = WIDE.replace("{name: wide, uid: wide}", f"{{name: wide, uid: wide, {label}}}")
    assert patch(world(there), WEB, [q("", "list", "nodes")]) is None


def test_a_role_in_a_file_is_printed_whole() -> None:
    there = (role("web") + binding("web")).replace(", uid: r-web", "")
    fix = patch(world(there), WEB, [q("shop", "watch", "pods"), q("shop", "get", "services")])
    assert fix is not None
    assert yaml.safe_load(fix.manifest)["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    ]


def test_what_is_allowed_already_needs_no_change() -> None:
    there = world(role("web") + binding("web"))
    assert patch(there, WEB, [q("shop", "list", "pods")]) is None
    fix = patch(there, WEB, [q("shop", "list", "pods"), q("shop", "get", "pods")])
    assert fix is not None
    assert [one["value"] for one in operations(fix.commands[0])][1:] == ["get"]


RIGHTS = st.lists(
    st.sampled_from(
        [one for one in UNIVERSE if one.namespace == "shop" and single(one)["verbs"] != ["*"]]
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(RIGHTS, RIGHTS)
def test_a_changed_role_allows_what_it_did_and_what_is_asked(
    has: list[Question], asked: list[Question]
) -> None:
    before = applied(manifests(WEB, has))
    fix = patch(before, WEB, asked)
    both = [single(question) for question in (*has, *asked)]
    if fix is None:
        assert all(allowed(before, question) for question in asked)
        return
    changed = yaml.safe_load(fix.manifest)
    for question in UNIVERSE:
        assert allows(changed["rules"], question.asked) == allows(both, question.asked)
