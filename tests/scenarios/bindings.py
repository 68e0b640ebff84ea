"""A binding that was meant for the account, and gives it nothing."""

from tests.scenarios import AS_WEB, POD_IS_THERE, Scenario, service_account, template

GROUP = "rbac.authorization.k8s.io"
USER = "--as=system:serviceaccount:$NS:web"
# what a role that is there allows, once the account has it
MAY_LIST = f"kubectl -n $NS auth can-i list pods {USER}"
WEB = "{kind: ServiceAccount, name: web, namespace: NS}"

READER = f"""
apiVersion: {GROUP}/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get, list]}}]
---
"""


def binding(subject: str = WEB, role: str = "Role/reader", kind: str = "RoleBinding") -> str:
    """A binding; those that are cluster-wide are named after the namespace, and end with it."""
    role_kind, role_name = role.split("/")
    wide = kind == "ClusterRoleBinding"
    return f"""
apiVersion: {GROUP}/v1
kind: {kind}
metadata: {{name: {"NS-b" if wide else "b"}}}
subjects: [{subject}]
roleRef: {{apiGroup: {GROUP}, kind: {role_kind}, name: {role_name}}}
---
"""


GONE = ("kubectl delete --ignore-not-found clusterrolebinding/$NS-b clusterrole/$NS-r",)


def scenario(name: str, code: str, more: str, certainty: str = "certain") -> Scenario:
    """A pod that runs as web, and what is wrong with the bindings."""
    return Scenario(
        name,
        code,
        "deploy/web",
        f"{service_account()}---{more}{template(AS_WEB)}",
        wait=POD_IS_THERE,
        certainty=certainty,
        proof=MAY_LIST,
        restore=GONE,
        where=("live",),
    )


def in_a_file(name: str, code: str, more: str) -> Scenario:
    """The same in a file, with bindings that no API server takes; all else is applied."""
    rest = f"{service_account()}---{template(AS_WEB)}"
    made = scenario(name, code, more)
    return made._replace(
        file=True, events=(f"kubectl -n $NS apply -f - <<'EOF'\n{READER}{rest}EOF",)
    )


SCENARIOS = [
    scenario("rbac-binding-missing-role", "SAT502", binding()),
    scenario(
        "rbac-binding-missing-clusterrole",
        "SAT502",
        binding(role="ClusterRole/NS-r", kind="ClusterRoleBinding"),
    ),
    scenario("rbac-binding-misspelt-role", "SAT502", READER + binding(role="Role/raeder")),
    scenario("rbac-roleref-kind-confusion", "SAT503", binding(role="Role/view")),
    scenario(
        "rbac-roleref-kind-confusion-role",
        "SAT503",
        READER + binding(role="ClusterRole/reader"),
    ),
    scenario(
        "rbac-roleref-kind-confusion-cluster-wide",
        "SAT503",
        READER + binding(role="ClusterRole/reader", kind="ClusterRoleBinding"),
    ),
    scenario(
        "rbac-subject-wrong-namespace", "SAT504", READER + binding(WEB.replace("NS", "default"))
    ),
    scenario(
        "rbac-subject-wrong-name",
        "SAT505",
        READER + binding("{kind: ServiceAccount, name: old-web}"),
        "likely",
    ),
    scenario(
        "rbac-subject-wrong-kind",
        "SAT506",
        READER + binding(f"{{apiGroup: {GROUP}, kind: User, name: web}}"),
        "likely",
    ),
    scenario(
        "rbac-subject-wrong-kind-group",
        "SAT506",
        binding(
            f"{{apiGroup: {GROUP}, kind: Group, name: 'system:serviceaccount:NS'}}",
            "ClusterRole/view",
            "ClusterRoleBinding",
        ),
    ),
    in_a_file(
        "rbac-roleref-kind-refused",
        "SAT503",
        READER + binding(kind="ClusterRoleBinding"),
    ),
    in_a_file(
        "rbac-subject-invalid",
        "SAT507",
        binding("{kind: ServiceAccount, name: web}", "ClusterRole/view", kind="ClusterRoleBinding"),
    ),
    in_a_file(
        "rbac-subject-invalid-group",
        "SAT507",
        READER + binding(f"{{apiGroup: {GROUP}, {WEB[1:]}"),
    ),
]
