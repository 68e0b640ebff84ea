"""A rule of the account's role that matches nothing, or not by the binding that there is."""

from tests.scenarios import AS_WEB, POD_IS_THERE, Scenario, service_account, template

GROUP = "rbac.authorization.k8s.io"
USER = "--as=system:serviceaccount:$NS:web"

# what is cluster-wide is named after the namespace, and goes with it
GONE = (
    "kubectl delete --ignore-not-found clusterrolebinding/$NS-wide clusterrole/$NS-wide "
    "clusterrole/$NS-part clusterrole/$NS-wide-own clusterrole/$NS-reader "
    "clusterrolebinding/$NS-reader clusterrole/$NS-$NS-wide clusterrolebinding/$NS-$NS-wide",
)


def role(rules: str, *, wide: bool = False, bound_wide: bool = False, more: str = "") -> str:
    """A role with these rules (flow style) and a binding of it."""
    kind, name = ("ClusterRole", "NS-wide") if wide else ("Role", "reader")
    return f"""
apiVersion: {GROUP}/v1
kind: {kind}
metadata: {{name: {name}}}
rules: {rules}
{more}
---
apiVersion: {GROUP}/v1
kind: {"ClusterRoleBinding" if bound_wide else "RoleBinding"}
metadata: {{name: {name}}}
subjects: [{{kind: ServiceAccount, name: web, namespace: NS}}]
roleRef: {{apiGroup: {GROUP}, kind: {kind}, name: {name}}}
---
"""


def rule(resources: str, verbs: str, groups: str = '""', more: str = "") -> str:
    """A rule in flow style."""
    return f"{{apiGroups: [{groups}], resources: [{resources}], verbs: [{verbs}]{more}}}"


def named(name: str) -> str:
    """The end of a rule for one name."""
    return f", resourceNames: ['{name}']"


def scenario(name: str, code: str, more: str, asked: str, certainty: str = "certain") -> Scenario:
    """A pod that runs as web, whose rights are wrong until it may do what is asked."""
    return Scenario(
        name,
        code,
        "deploy/web",
        f"{service_account()}---{more}{template(AS_WEB)}",
        wait=POD_IS_THERE,
        certainty=certainty,
        proof=f"kubectl -n $NS auth can-i {asked} {USER}",
        restore=GONE,
        where=("live",),
    )


AGGREGATED = "aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.org/to-NS: 'true'}}]}"
MISLABELLED = f"""
apiVersion: {GROUP}/v1
kind: ClusterRole
metadata: {{name: NS-part, labels: {{example.org/to-NS: 'True'}}}}
rules: [{rule("pods", "get, list")}]
---
"""

LABELLED = MISLABELLED.replace("'True'", "'true'").replace("pods", "secrets")
REST = f"kubectl -n $NS apply -f - <<'EOF'\n{service_account()}---{template(AS_WEB)}EOF"
ROLE_GONE = ("kubectl delete clusterrole/$NS-reader clusterrolebinding/$NS-reader",)

SCENARIOS = [
    scenario(
        "rbac-wrong-api-group", "SAT508", role(f"[{rule('pods', 'list', 'core')}]"), "list pods"
    ),
    scenario(
        "rbac-wrong-api-group-of-deployments",
        "SAT508",
        role(f"[{rule('pods, deployments/scale', 'get')}]"),
        "get deployments.apps --subresource=scale",
    ),
    scenario(
        "rbac-wrong-resource-name",
        "SAT509",
        role(f"[{rule('secrets', 'get')}, {rule('Pod, deploy', 'list')}]"),
        "list deployments.apps",
    ),
    scenario(
        "rbac-subresource-missing",
        "SAT510",
        role(f"[{rule('pods, pods/logs', 'get')}]"),
        "get pods --subresource=log",
    ),
    scenario(
        "rbac-subresource-pattern",
        "SAT510",
        role(f"[{rule('pods, pods/*', 'get')}]"),
        "get pods --subresource=log",
    ),
    scenario(
        "rbac-resourcenames-misuse",
        "SAT511",
        role(f"[{rule('leases', 'get, create, update', 'coordination.k8s.io', named('web'))}]"),
        "create leases.coordination.k8s.io",
    ),
    scenario(
        "rbac-resourcenames-pattern",
        "SAT511",
        role(f"[{rule('configmaps', 'get', more=named('web-*'))}]"),
        "get configmaps/web-1",
    ),
    scenario("rbac-verb-mistakes", "SAT512", role(f"[{rule('pods', 'read')}]"), "list pods"),
    scenario(
        "rbac-verb-that-is-a-subresource",
        "SAT512",
        role(f"[{rule('pods', 'get, logs')}]"),
        "get pods --subresource=log",
    ),
    scenario(
        "rbac-nonresourceurls",
        "SAT513",
        role("[{nonResourceURLs: [/metrics], verbs: [get]}]", wide=True),
        "get /metrics",
    ),
    scenario(
        "rbac-nonresourceurls-without-slash",
        "SAT513",
        role("[{nonResourceURLs: [metrics], verbs: [get]}]", wide=True, bound_wide=True),
        "get /metrics",
    ),
    scenario(
        "rbac-aggregated-clusterrole",
        "SAT514",
        MISLABELLED + role("[]", wide=True, more=AGGREGATED),
        "list pods",
    ),
    scenario(
        "rbac-cluster-scoped-needs-crb",
        "SAT515",
        role(f"[{rule('nodes', 'get, list')}]"),
        # in a namespace kubectl would ask of nodes in it, and be told yes
        "list nodes -A",
    ),
    # what no API server takes, and what only a file still shows
    scenario(
        "rbac-nonresourceurls-in-a-role",
        "SAT513",
        role("[{nonResourceURLs: [/metrics], verbs: [get]}]"),
        "get /metrics",
    )._replace(file=True, events=(REST,), restore=ROLE_GONE),
    scenario(
        "rbac-aggregated-clusterrole-with-rules",
        "SAT514",
        LABELLED + role(f"[{rule('pods', 'list')}]", wide=True, more=AGGREGATED),
        "list pods",
    )._replace(
        file=True,
        events=(
            REST,
            'kubectl apply -f "$WORK/manifest.yaml" -n $NS',
            "until kubectl get clusterrole $NS-wide -o yaml | grep -q secrets; do sleep 0.2; done",
        ),
    ),
]
