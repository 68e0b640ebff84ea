"""Rules that match nothing, or not by the binding that there is."""

import json
from typing import Any

import pytest
import yaml

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.rbac_faults import list_patch
from kubectl_satoken.rbac_words import RESOURCES, homes, plural_of, right_url, right_verbs

from .given import commands, examined, the

GROUP = "rbac.authorization.k8s.io"
SA = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: u0}
---
"""


def rule(**fields: list[str]) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **fields}


def role(*rules: dict[str, Any], name: str = "reader", kind: str = "Role", **more: Any) -> str:
    """A role as the API server has it."""
    metadata: dict[str, Any] = {"name": name, "uid": f"u-{name}", **more.pop("metadata", {})}
    if kind == "Role":
        metadata["namespace"] = "shop"
    item = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}
    return f"{json.dumps({**item, **more})}\n---\n"


def binding(name: str = "reader", kind: str = "Role", own: str = "RoleBinding") -> str:
    where = ", namespace: shop" if own == "RoleBinding" else ""
    return f"""
apiVersion: {GROUP}/v1
kind: {own}
metadata: {{name: {name}-b, uid: u-b{where}}}
subjects: [{{kind: ServiceAccount, name: web, namespace: shop}}]
roleRef: {{apiGroup: {GROUP}, kind: {kind}, name: {name}}}
---
"""


def narrow(*rules: dict[str, Any], name: str = "reader") -> str:
    return role(*rules, name=name) + binding(name)


def wide(*rules: dict[str, Any], name: str = "wide", **more: Any) -> str:
    return role(*rules, name=name, kind="ClusterRole", **more) + binding(
        name, "ClusterRole", "ClusterRoleBinding"
    )


def on(text: str) -> list[Finding]:
    """The findings on the account, where everything was seen."""
    found, skipped = examined(SA + text, "ServiceAccount", usual=False)
    assert not skipped
    return found


def in_files(text: str) -> list[Finding]:
    """The findings on the account in files, where nothing else is known."""
    items = parse(SA + text, "test")
    for item in items:
        item["metadata"].pop("uid")
    files = ManifestWorld(items, "shop", 0)
    return examine(next(files.found("ServiceAccount")), files)[0]


def mended(text: str, code: str, kind: str = "Role") -> dict[str, Any]:
    """The role as the fix of the finding in files has it."""
    finding = the(in_files(text), code)
    assert finding.fix is not None
    made: dict[str, Any] = yaml.safe_load(finding.fix.manifest)
    assert made["kind"] == kind
    return made


# --- SAT508


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (rule(apiGroups=["core"]), [""]),
        (rule(apiGroups=["v1"]), [""]),
        (rule(apiGroups=["v1"], resources=["deployments"]), ["apps"]),
        (rule(apiGroups=["apps/v1"], resources=["deployments"]), ["apps"]),
        (rule(apiGroups=["cert-manager.io/v1"], resources=["certificates"]), ["cert-manager.io"]),
        (rule(apiGroups=["extensions"], resources=["ingresses"]), ["networking.k8s.io"]),
        (rule(resources=["deployments"]), ["apps"]),
        (rule(resources=["pods", "deployments"]), ["", "apps"]),
        (rule(resources=["pods", "deployments/scale"]), ["", "apps"]),
        (rule(apiGroups=["apps"], resources=["jobs"]), ["batch"]),
        (rule(apiGroups=["core"], resources=["*"]), [""]),
        (rule(apiGroups=["", "*.k8s.io"], resources=["leases"]), ["coordination.k8s.io"]),
    ],
)
def test_rbac_wrong_api_group_fires(wrong: dict[str, Any], right: list[str]) -> None:
    finding = the(on(narrow(wrong)), "SAT508")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    (command,) = commands(finding)
    assert command.startswith("kubectl -n shop patch role reader --type=json -p ")
    assert '"path":"/rules/0/apiGroups/' in command
    assert mended(narrow(wrong), "SAT508")["rules"][0]["apiGroups"] == right


@pytest.mark.parametrize(
    "text",
    [
        narrow(rule()),
        narrow(rule(apiGroups=["*"], resources=["deployments"])),
        narrow(rule(apiGroups=["", "apps", "extensions"], resources=["pods", "deployments"])),
        # left over: the right one is there, too
        narrow(rule(apiGroups=["extensions"], resources=["ingresses"]))
        + narrow(rule(apiGroups=["networking.k8s.io"], resources=["ingresses"]), name="other"),
        narrow(rule(resources=["pods", "deployments"]), rule(apiGroups=["apps"], resources=["*"])),
        # groups of others have resources of these names
        narrow(rule(apiGroups=["metrics.k8s.io"], resources=["pods", "nodes"])),
        narrow(rule(apiGroups=["serving.knative.dev"], resources=["services"])),
        narrow(rule(apiGroups=["extensions"], resources=["podsecuritypolicies"], verbs=["use"])),
        narrow(rule(apiGroups=["events.k8s.io"], resources=["events"])),
        # not the account's
        role(rule(apiGroups=["core"])),
        role(rule(apiGroups=["core"]), name="view", kind="ClusterRole")
        + binding("view", "ClusterRole"),
        role(
            rule(apiGroups=["core"]),
            name="x",
            kind="ClusterRole",
            metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        )
        + binding("x", "ClusterRole"),
    ],
)
def test_rbac_wrong_api_group_quiet(text: str) -> None:
    assert on(text) == []


def test_rbac_wrong_api_group_is_likely_where_another_role_is_unseen() -> None:
    text = SA + narrow(rule(apiGroups=["core"])) + binding("view", "ClusterRole")
    found, _ = examined(text, "ServiceAccount", usual=False, unseen=("ClusterRole",))
    assert [(one.code, one.certainty) for one in found] == [("SAT508", "likely")]


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ("a b", "a c", "replace/1=c"),
        ("a b", "a c d", "replace/1=c add/-=d"),
        ("a", "a b", "add/-=b"),
        ("a b c d", "a e", "replace/1=e remove/3 remove/2"),
        ("a b", "a b", ""),
    ],
)
def test_a_list_is_patched_entry_by_entry(old: str, new: str, patch: str) -> None:
    made = [
        f"{one['op']}{one['path']}" + (f"={one['value']}" if "value" in one else "")
        for one in list_patch("", old.split(), new.split())
    ]
    assert " ".join(made) == patch


# --- SAT509


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (rule(resources=["pod"]), rule()),
        (rule(resources=["Pod"]), rule()),
        (rule(resources=["po"]), rule()),
        (rule(resources=["PODS"]), rule()),
        (rule(resources=["pods.v1"]), rule()),
        (rule(resources=["configMap", "secrets"]), rule(resources=["configmaps", "secrets"])),
        (rule(resources=["networkpolicy"], apiGroups=["networking.k8s.io"]), None),
        (rule(resources=["ingress"], apiGroups=["networking.k8s.io"]), None),
        (
            rule(resources=["apps/deployments"], apiGroups=["apps"]),
            rule(resources=["deployments"], apiGroups=["apps"]),
        ),
        (rule(resources=["deploy"]), rule(resources=["deployments"], apiGroups=["", "apps"])),
        (rule(resources=["pod/log"]), rule(resources=["pods/log"])),
    ],
)
def test_rbac_wrong_resource_name_fires(
    wrong: dict[str, Any], right: dict[str, Any] | None
) -> None:
    finding = the(on(narrow(wrong)), "SAT509")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    if right is not None:
        assert mended(narrow(wrong), "SAT509")["rules"] == [right]


@pytest.mark.parametrize(
    "wrong",
    [
        rule(resources=["depolyments"], apiGroups=["apps"]),
        rule(resources=["Certificate"], apiGroups=["cert-manager.io"]),
    ],
)
def test_rbac_wrong_resource_name_fires_where_a_word_is_nearly_one(wrong: dict[str, Any]) -> None:
    assert the(on(narrow(wrong)), "SAT509").certainty == "likely"


@pytest.mark.parametrize(
    "text",
    [
        narrow(rule(resources=["*", "pods", "pods/log", "nodes/metrics", "*/scale"]), rule()),
        narrow(rule(resources=["widget"], apiGroups=["example.org"])),
        narrow(rule(resources=["apps/status"], apiGroups=["kappctrl.k14s.io"])),
        narrow(rule(resources=["users", "groups", "userextras/Scopes"], verbs=["impersonate"])),
        narrow(rule(resources=["signers"], apiGroups=["certificates.k8s.io"], verbs=["sign"])),
        narrow(rule(resources=["queue.Length"], apiGroups=["external.metrics.k8s.io"])),
        narrow(rule(resources=["pod", "pods"])),
        narrow(rule(resources=["frobnicators"])),
        # of whichever group: a custom resource that looks like a built-in one
        narrow(rule(apiGroups=["*"], resources=["storageclass2es", "deploymentss"])),
    ],
)
def test_rbac_wrong_resource_name_quiet(text: str) -> None:
    assert [one for one in on(text) if one.code == "SAT509"] == []


def test_the_table_is_that_of_the_api_server() -> None:
    assert homes("events") == ["", "events.k8s.io"]
    assert homes("nix") == []
    for text in RESOURCES.values():
        for entry in text.split():
            name, *short = entry.rstrip("!").split("/")
            assert plural_of(name) == name
            assert all(plural_of(word) == name for word in short)


# --- SAT510


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("pods/logs", ["pods/log"]),
        ("pods/port-forward", ["pods/portforward"]),
        ("pods/*", ["pods/log", "pods/status"]),
        ("widgets/*", ["widgets/status"]),
        ("serviceaccounts/tokens", ["serviceaccounts/token"]),
        ("nodes/metric", ["nodes/metrics"]),
        ("*/*", ["*"]),
    ],
)
def test_rbac_subresource_missing_fires(wrong: str, right: list[str]) -> None:
    text = wide(rule(resources=["pods", wrong]))
    finding = the(on(text), "SAT510")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    assert finding.object.value == wrong
    made = mended(text, "SAT510", "ClusterRole")
    assert made["rules"] == [rule(resources=["pods", *right])]


@pytest.mark.parametrize(
    "resources",
    [
        ["pods", "pods/log", "pods/exec", "*/scale"],
        ["*", "pods/*", "*/*"],
        ["nodes/frobnicate"],
        ["widgets/anything"],
        ["deployments/finalizers"],
        ["pods/foo"],
    ],
)
def test_rbac_subresource_missing_quiet(resources: list[str]) -> None:
    found = on(wide(rule(resources=resources, apiGroups=["", "apps"])))
    assert [one.code for one in found] == []


def test_rbac_subresource_missing_quiet_where_metrics_are_called_as_one_likes() -> None:
    assert on(narrow(rule(resources=["pods/*"], apiGroups=["custom.metrics.k8s.io"]))) == []


# --- SAT511

LEASE = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["web"]}


@pytest.mark.parametrize(
    ("verbs", "severity", "certainty", "added"),
    [
        (["get", "create", "update"], "warning", "certain", ["create"]),
        (["get", "create", "update", "patch"], "hint", "certain", ["create"]),
        (["deletecollection"], "warning", "certain", ["deletecollection"]),
        (["list", "watch"], "hint", "possible", ["list", "watch"]),
    ],
)
def test_rbac_resourcenames_misuse_fires(
    verbs: list[str], severity: str, certainty: str, added: list[str]
) -> None:
    lease = {**LEASE, "verbs": verbs}
    finding = the(on(narrow(lease)), "SAT511")
    assert (finding.severity, finding.certainty) == (severity, certainty)
    without = {key: value for key, value in LEASE.items() if key != "resourceNames"}
    assert mended(narrow(lease), "SAT511")["rules"] == [lease, {**without, "verbs": added}]


def test_rbac_resourcenames_misuse_fires_on_what_stands_beside_a_subresource() -> None:
    mixed = rule(resources=["pods", "pods/exec"], resourceNames=["x"], verbs=["create"])
    added = rule(verbs=["create"])
    assert mended(narrow(mixed), "SAT511")["rules"] == [mixed, added]


def test_rbac_resourcenames_misuse_fires_on_a_pattern() -> None:
    text = narrow(rule(resourceNames=["web-*"]))
    assert '"op":"remove","path":"/rules/0/resourceNames"' in commands(the(on(text), "SAT511"))[0]
    assert mended(text, "SAT511")["rules"] == [rule()]


@pytest.mark.parametrize(
    "text",
    [
        narrow({**LEASE, "verbs": ["get", "list", "watch", "update", "delete"]}),
        narrow({**LEASE, "verbs": ["get", "delete", "deletecollection"]}),
        narrow({**LEASE, "verbs": ["*"]}),
        narrow(
            {**LEASE, "verbs": ["get", "create", "update"]},
            {"apiGroups": ["*"], "resources": ["leases"], "verbs": ["create"]},
        ),
        narrow(rule(resources=["serviceaccounts/token"], resourceNames=["x"], verbs=["create"])),
        narrow(
            rule(
                resources=["signers"],
                apiGroups=["certificates.k8s.io"],
                resourceNames=["example.com/*"],
                verbs=["sign"],
            )
        ),
    ],
)
def test_rbac_resourcenames_misuse_quiet(text: str) -> None:
    assert [one for one in on(text) if one.code == "SAT511"] == []


# --- SAT512


@pytest.mark.parametrize(
    ("verbs", "right", "certainty"),
    [
        (["read"], ["get", "list", "watch"], "certain"),
        (["GET", "list"], ["get", "list"], "certain"),
        (["get,list"], ["get", "list"], "certain"),
        (["edit"], ["update", "patch"], "certain"),
        (["lst"], ["list"], "likely"),
    ],
)
def test_rbac_verb_mistakes_fires(verbs: list[str], right: list[str], certainty: str) -> None:
    text = narrow(rule(verbs=verbs))
    finding = the(on(text), "SAT512")
    assert (finding.severity, finding.certainty) == ("warning", certainty)
    assert mended(text, "SAT512")["rules"] == [rule(verbs=right)]


def test_rbac_verb_mistakes_fires_on_what_is_a_subresource() -> None:
    text = narrow(rule(verbs=["get", "logs"]))
    assert mended(text, "SAT512")["rules"] == [rule(), rule(resources=["pods/log"])]
    text = narrow(rule(verbs=["exec"]))
    assert mended(text, "SAT512")["rules"] == [rule(resources=["pods/exec"], verbs=["create"])]


def test_rbac_verb_mistakes_fires_on_methods_of_urls() -> None:
    text = wide({"nonResourceURLs": ["/metrics"], "verbs": ["GET"]})
    assert mended(text, "SAT512", "ClusterRole")["rules"][0]["verbs"] == ["get"]


@pytest.mark.parametrize(
    "text",
    [
        narrow(rule(verbs=["*", "read"])),
        narrow(rule(verbs=["get", "list", "watch", "read"])),
        narrow(rule(verbs=["read"])) + narrow(rule(verbs=["get", "list", "watch"]), name="other"),
        narrow(rule(verbs=["view"], apiGroups=["management.example.io"], resources=["projects"])),
        narrow(rule(verbs=["use"], apiGroups=["policy"], resources=["podsecuritypolicies"])),
        narrow(rule(verbs=["bind", "escalate"], apiGroups=[GROUP], resources=["roles"])),
        narrow(rule(verbs=["impersonate-on:serviceaccount:get", "frobnicate"])),
        wide({"nonResourceURLs": ["/metrics"], "verbs": ["get", "post"]}),
    ],
)
def test_rbac_verb_mistakes_quiet(text: str) -> None:
    assert [one for one in on(text) if one.code == "SAT512"] == []


def test_what_is_no_word_at_all_is_left_alone() -> None:
    assert right_verbs("frobnicate", ("get", "list"), True) is None


# --- SAT513

METRICS = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}


def through_rolebinding(*rules: dict[str, Any]) -> str:
    return role(*rules, kind="ClusterRole") + binding("reader", "ClusterRole")


def test_rbac_nonresourceurls_fires_where_a_rolebinding_binds_them() -> None:
    (finding,) = on(through_rolebinding(METRICS))
    assert (finding.code, finding.severity, finding.certainty) == ("SAT513", "warning", "certain")
    made, bound = commands(finding)
    assert made.startswith("kubectl apply -f - <<'EOF'")
    assert bound == (
        "kubectl create clusterrolebinding shop-reader --clusterrole=shop-reader "
        "--serviceaccount=shop:web"
    )
    assert finding.fix is not None
    assert yaml.safe_load(finding.fix.manifest)["rules"] == [METRICS]
    # a role for both uses
    (finding,) = on(through_rolebinding(rule(), METRICS))
    assert (finding.code, finding.severity) == ("SAT513", "hint")


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("metrics", "/metrics"),
        ("https://10.0.0.1:6443/metrics", "/metrics"),
        ("/api/*/pods", "/api/*"),
    ],
)
def test_rbac_nonresourceurls_fires_on_what_is_no_path(url: str, right: str) -> None:
    assert right_url(url) == right
    text = wide({"nonResourceURLs": [url], "verbs": ["get"]})
    finding = the(on(text), "SAT513")
    assert finding.certainty == "certain"
    made = mended(text, "SAT513", "ClusterRole")
    assert made["rules"] == [{"nonResourceURLs": [right], "verbs": ["get"]}]


def test_rbac_nonresourceurls_fires_on_a_role_in_a_file() -> None:
    finding = the(in_files(narrow(rule(), METRICS)), "SAT513")
    assert finding.certainty == "certain"
    assert "a role with URLs is refused" in finding.message
    assert len(commands(finding)) == 3


@pytest.mark.parametrize(
    "text",
    [
        wide(METRICS),
        wide({"nonResourceURLs": ["/metrics/*", "*"], "verbs": ["get"]}),
        through_rolebinding(METRICS) + wide(METRICS),
        through_rolebinding(
            {"nonResourceURLs": ["/healthz", "/version", "/api"], "verbs": ["get"]}
        ),
        through_rolebinding(rule(verbs=["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}),
        role(METRICS, kind="ClusterRole"),
    ],
)
def test_rbac_nonresourceurls_quiet(text: str) -> None:
    assert on(text) == []


# --- SAT514

AGGREGATES = {
    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"example.org/to-web": "true"}}]}
}


def part(value: Any, *rules: dict[str, Any], name: str = "part") -> str:
    labels = {"example.org/to-web": value} if value is not None else {}
    return role(*rules, name=name, kind="ClusterRole", metadata={"labels": labels})


@pytest.mark.parametrize("value", ["True", "yes", "1"])
def test_rbac_aggregated_clusterrole_fires_on_a_label_that_only_looks_so(value: str) -> None:
    finding = the(on(wide(**AGGREGATES) + part(value, rule())), "SAT514")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    assert commands(finding) == (
        "kubectl label clusterrole part example.org/to-web=true --overwrite",
    )


def test_rbac_aggregated_clusterrole_fires_in_files() -> None:
    text = wide(**AGGREGATES) + part("True", rule())
    finding = the(in_files(text), "SAT514")
    assert finding.fix is not None
    made = yaml.safe_load(finding.fix.manifest)
    assert made["metadata"]["labels"] == {"example.org/to-web": "true"}
    # rules of its own, which the first that matches replaces
    finding = the(in_files(wide(rule(), **AGGREGATES) + part("true", METRICS)), "SAT514")
    assert finding.fix is not None
    made = yaml.safe_load(finding.fix.manifest)
    assert made["metadata"] == {"name": "wide-own", "labels": {"example.org/to-web": "true"}}
    assert made["rules"] == [rule()]


def test_rbac_aggregated_clusterrole_fires_where_nothing_matches() -> None:
    finding = the(on(wide(**AGGREGATES)), "SAT514")
    assert commands(finding) == ("kubectl get clusterroles -l example.org/to-web=true",)


@pytest.mark.parametrize(
    "text",
    [
        wide(rule(), **AGGREGATES) + part("true", rule()),
        # what was written by hand counts as long as nothing matches
        wide(rule(), **AGGREGATES),
        wide(rule(), **AGGREGATES) + part("true", rule()) + part("false", METRICS, name="off"),
        wide(rule()) + part("True", rule()),
        role(kind="ClusterRole", **AGGREGATES),
        wide(
            rule(),
            aggregationRule={
                "clusterRoleSelectors": [
                    {"matchExpressions": [{"key": "example.org/to-web", "operator": "Exists"}]}
                ]
            },
        )
        + part("yes", rule()),
    ],
)
def test_rbac_aggregated_clusterrole_quiet(text: str) -> None:
    assert on(text) == []


# --- SAT515

NODES = rule(resources=["nodes"], verbs=["get", "list"])
NAMESPACES = rule(resources=["namespaces"], verbs=["get", "list"])


def test_rbac_cluster_scoped_needs_crb_fires() -> None:
    (finding,) = on(narrow(rule(resources=["nodes"], verbs=["get", "list"])))
    assert (finding.code, finding.severity, finding.certainty) == ("SAT515", "warning", "certain")
    assert finding.fix is not None
    assert yaml.safe_load(finding.fix.manifest)["rules"] == [NODES]
    assert commands(finding)[1].startswith("kubectl create clusterrolebinding shop-reader ")
    (finding,) = on(through_rolebinding(NODES))
    assert finding.code == "SAT515"


@pytest.mark.parametrize(
    "rules",
    [
        [rule(resources=["pods", "nodes"], verbs=["get", "list"])],
        # an operator that is limited to its namespace
        [rule(), rule(resources=["nodes"], verbs=["get", "list"])],
    ],
)
def test_rbac_cluster_scoped_needs_crb_fires_as_a_hint_on_a_mixed_role(rules: Any) -> None:
    (finding,) = on(narrow(*rules))
    assert (finding.code, finding.severity) == ("SAT515", "hint")
    assert finding.fix is not None
    assert yaml.safe_load(finding.fix.manifest)["rules"] == [NODES]


def test_rbac_cluster_scoped_needs_crb_fires_as_a_hint_on_a_list_of_namespaces() -> None:
    (finding,) = on(narrow(rule(), NAMESPACES))
    assert (finding.code, finding.severity) == ("SAT515", "hint")
    assert finding.fix is not None
    assert yaml.safe_load(finding.fix.manifest)["rules"] == [
        rule(resources=["namespaces"], verbs=["list"])
    ]


@pytest.mark.parametrize(
    "text",
    [
        wide(NODES),
        narrow(NODES) + wide(NODES),
        narrow(rule(resources=["namespaces"], verbs=["get", "update"])),
        # one role for both uses
        through_rolebinding(rule(), NODES),
        through_rolebinding(rule(resources=["pods", "nodes"])),
        narrow(rule(apiGroups=["policy"], resources=["podsecuritypolicies"], verbs=["use"])),
        narrow(rule(apiGroups=["metrics.k8s.io"], resources=["nodes"])),
        narrow(rule(resources=["*"], verbs=["*"])),
    ],
)
def test_rbac_cluster_scoped_needs_crb_quiet(text: str) -> None:
    assert on(text) == []


def test_roles_that_cannot_be_seen_are_skipped() -> None:
    found, skipped = examined(
        SA + binding("reader"), "ServiceAccount", usual=False, unseen=("Role",)
    )
    assert found == []
    assert {code for code, _ in skipped} >= {f"SAT{number}" for number in range(508, 516)}
