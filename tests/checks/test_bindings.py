"""Bindings that were meant for the account and give it nothing."""

import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.manifests import ManifestWorld, parse

from .given import commands, examined, the

SA = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
"""
GROUP = "rbac.authorization.k8s.io"
WEB = "{kind: ServiceAccount, name: web, namespace: shop}"


def account(name: str, namespace: str = "shop") -> str:
    return SA.replace("name: web", f"name: {name}").replace(
        "namespace: shop", f"namespace: {namespace}"
    )


def binding(
    subjects: str = WEB, role: str = "Role/reader", kind: str = "RoleBinding", more: str = ""
) -> str:
    """A binding as the API server has it."""
    role_kind, role_name = role.split("/")
    where = ", namespace: shop" if kind == "RoleBinding" else ""
    return f"""
apiVersion: {GROUP}/v1
kind: {kind}
metadata: {{name: b, uid: u1{where}{more}}}
subjects: [{subjects}]
roleRef: {{apiGroup: {GROUP}, kind: {role_kind}, name: {role_name}}}
---
"""


def wide(subjects: str = WEB, role: str = "ClusterRole/reader") -> str:
    return binding(subjects, role, "ClusterRoleBinding")


def role(name: str = "reader", kind: str = "Role") -> str:
    where = ", namespace: shop" if kind == "Role" else ""
    return f"""
apiVersion: {GROUP}/v1
kind: {kind}
metadata: {{name: {name}{where}}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get]}}]
---
"""


READER = role()


def in_files(text: str, name: str = "web") -> list[Finding]:
    """The findings on an account in files, where nothing else is known."""
    files = ManifestWorld(parse(text.replace(", uid: u1", ""), "test"), "shop", 0)
    item = next(one for one in files.found("ServiceAccount") if one["metadata"]["name"] == name)
    return examine(item, files)[0]


def on(text: str) -> list[Finding]:
    """The findings on the first account, where everything was seen."""
    found, skipped = examined(text, "ServiceAccount", usual=False)
    assert not skipped
    return found


# --- SAT502


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            binding(),
            "kubectl -n shop create role reader --verb=get,list,watch --resource=pods",
        ),
        (
            binding(role="ClusterRole/reader"),
            "kubectl create clusterrole reader --verb=get,list,watch --resource=pods",
        ),
        (
            wide("{kind: User, name: 'system:serviceaccount:shop:web'}"),
            "kubectl create clusterrole reader --verb=get,list,watch --resource=pods",
        ),
    ],
)
def test_rbac_binding_missing_role_fires(text: str, command: str) -> None:
    (finding,) = on(SA + text)
    assert (finding.code, finding.severity, finding.certainty) == ("SAT502", "warning", "certain")
    assert (finding.object.path, finding.object.value) == ("roleRef.name", "reader")
    assert commands(finding) == (command,)


def test_rbac_binding_missing_role_fires_and_knows_a_role_of_nearly_that_name() -> None:
    (finding,) = on(SA + binding(role="Role/raeder") + READER)
    assert finding.code == "SAT502"
    (command,) = commands(finding)
    assert """patch --local -f - -o json -p '{"roleRef":{"name":"reader"}}'""" in command
    assert "kubectl -n shop replace --force -f -" in command


@pytest.mark.parametrize(
    "text",
    [
        binding() + READER,
        wide() + role(kind="ClusterRole"),
        # not this account's, or only by a group that all are in
        binding("{kind: ServiceAccount, name: other}"),
        binding("{kind: Group, name: 'system:serviceaccounts:shop'}"),
        binding(more=", labels: {kubernetes.io/bootstrapping: rbac-defaults}"),
        binding(role="ClusterRole/system:gone"),
        # a role without a binding
        READER,
    ],
)
def test_rbac_binding_missing_role_quiet(text: str) -> None:
    assert on(SA + text) == []


def test_rbac_binding_missing_role_quiet_in_files() -> None:
    assert in_files(SA + binding()) == []


def test_rbac_binding_missing_role_is_skipped_where_roles_cannot_be_seen() -> None:
    found, skipped = examined(SA + binding(), "ServiceAccount", unseen=("Role",), usual=False)
    assert found == []
    assert {code for code, _ in skipped} >= {"SAT502", "SAT503"}


# --- SAT503


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (binding(role="Role/view"), '"kind":"ClusterRole"'),
        (binding(role="Role/reader") + role(kind="ClusterRole"), '"kind":"ClusterRole"'),
        (binding(role="ClusterRole/reader") + READER, '"kind":"Role"'),
    ],
)
def test_rbac_roleref_kind_confusion_fires(text: str, change: str) -> None:
    (finding,) = on(SA + text)
    assert (finding.code, finding.certainty) == ("SAT503", "certain")
    (command,) = commands(finding)
    assert command.startswith("kubectl -n shop get rolebinding b -o json |")
    assert change in command


def test_rbac_roleref_kind_confusion_fires_where_a_role_is_bound_cluster_wide() -> None:
    (finding,) = on(SA + wide() + READER)
    assert finding.code == "SAT503"
    assert commands(finding) == (
        "kubectl -n shop create rolebinding b --role=reader --serviceaccount=shop:web",
        "kubectl delete clusterrolebinding b --ignore-not-found",
    )


def test_rbac_roleref_kind_confusion_fires_in_files() -> None:
    (finding,) = in_files(SA + binding(role="Role/reader") + role(kind="ClusterRole"))
    assert (finding.code, finding.certainty) == ("SAT503", "likely")
    (finding,) = in_files(SA + wide(role="Role/reader") + READER)
    assert 'roleRef.kind: Unsupported value: "Role"' in finding.message
    assert finding.fix is not None
    assert "kind: RoleBinding" in finding.fix.manifest
    assert "namespace: shop" in finding.fix.manifest
    (finding,) = in_files(SA + binding().replace(f"apiGroup: {GROUP}", f"apiGroup: {GROUP}/v1"))
    assert "roleRef.apiGroup: Unsupported value" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        binding() + READER + role(kind="ClusterRole"),
        binding(role="ClusterRole/reader") + READER + role(kind="ClusterRole"),
        binding(role="ClusterRole/view") + role("view", "ClusterRole"),
    ],
)
def test_rbac_roleref_kind_confusion_quiet(text: str) -> None:
    assert on(SA + text) == []


# --- SAT504

ELSEWHERE = "{kind: ServiceAccount, name: web, namespace: old}"


@pytest.mark.parametrize(
    ("text", "command", "certainty"),
    [
        (
            binding(ELSEWHERE) + READER,
            "kubectl -n shop patch rolebinding b --type=json -p "
            '\'[{"op":"add","path":"/subjects/0/namespace","value":"shop"}]\'',
            "certain",
        ),
        (
            wide("{kind: User, name: jane}, " + ELSEWHERE),
            "kubectl patch clusterrolebinding b --type=json -p "
            '\'[{"op":"add","path":"/subjects/1/namespace","value":"shop"}]\'',
            "likely",
        ),
    ],
)
def test_rbac_subject_wrong_namespace_fires(text: str, command: str, certainty: str) -> None:
    finding = the(on(SA + text), "SAT504")
    assert (finding.severity, finding.certainty) == ("warning", certainty)
    assert commands(finding) == (command,)


def test_rbac_subject_wrong_namespace_fires_in_files() -> None:
    finding = the(in_files(SA + binding(ELSEWHERE)), "SAT504")
    assert finding.severity == "hint"
    finding = the(in_files(SA + binding(ELSEWHERE.replace("old", "default"))), "SAT504")
    assert (finding.severity, finding.certainty) == ("warning", "likely")
    assert finding.fix is not None
    assert "namespace: shop" in finding.fix.manifest


@pytest.mark.parametrize(
    "text",
    [
        # the account that is meant is there
        binding(ELSEWHERE) + READER + account("web", "old"),
        # one of several subjects is dead
        binding(f"{ELSEWHERE}, {WEB}") + READER,
        binding("{kind: ServiceAccount, name: web}") + READER,
        # it has the role by another binding
        binding(ELSEWHERE) + READER + binding().replace("name: b,", "name: c,"),
        # a binding that has outlived its namespace: there are others of the name, or it has rights
        wide(ELSEWHERE) + account("web", "test"),
        wide(ELSEWHERE) + READER + binding().replace("name: b,", "name: c,"),
    ],
)
def test_rbac_subject_wrong_namespace_quiet(text: str) -> None:
    assert on(SA + text) == []


# --- SAT505


@pytest.mark.parametrize(
    ("own", "meant"),
    [("payment", "paymnet"), ("release-web", "web"), ("web", "old-web"), ("backend", "bakend")],
)
def test_rbac_subject_wrong_name_fires(own: str, meant: str) -> None:
    found = on(account(own) + binding(f"{{kind: ServiceAccount, name: {meant}}}") + READER)
    finding = the(found, "SAT505")
    assert (finding.severity, finding.certainty) == ("warning", "likely")
    assert commands(finding) == (
        "kubectl -n shop patch rolebinding b --type=json -p "
        f'\'[{{"op":"add","path":"/subjects/0/name","value":"{own}"}}]\'',
    )


def test_rbac_subject_wrong_name_fires_on_a_clusterrolebinding() -> None:
    subject = "{kind: ServiceAccount, name: paymnet, namespace: shop}"
    finding = the(on(account("payment") + wide(subject)), "SAT505")
    assert commands(finding)[0].startswith("kubectl patch clusterrolebinding b ")


@pytest.mark.parametrize(
    "text",
    [
        # there is such an account
        account("payment") + binding("{kind: ServiceAccount, name: paymnet}") + account("paymnet"),
        # no likeness
        account("payment") + binding("{kind: ServiceAccount, name: reporting}"),
        # the account has rights of its own
        account("payment")
        + binding("{kind: ServiceAccount, name: paymnet}, {kind: ServiceAccount, name: payment}"),
        # another account is nearer
        account("payments") + account("paymentx") + binding("{kind: ServiceAccount, name: paymen}"),
        account("payment") + wide("{kind: ServiceAccount, name: paymnet, namespace: old}"),
    ],
)
def test_rbac_subject_wrong_name_quiet(text: str) -> None:
    assert "SAT505" not in [finding.code for finding in on(text + READER)]


# --- SAT506


def test_rbac_subject_wrong_kind_fires_on_a_user_of_the_accounts_name() -> None:
    (finding,) = on(SA + binding(f"{{apiGroup: {GROUP}, kind: User, name: web}}") + READER)
    assert (finding.code, finding.severity, finding.certainty) == ("SAT506", "warning", "likely")
    assert commands(finding) == (
        "kubectl -n shop patch rolebinding b --type=json -p "
        '\'[{"op":"replace","path":"/subjects/0","value":'
        '{"kind":"ServiceAccount","name":"web","namespace":"shop"}}]\'',
    )


@pytest.mark.parametrize(
    "subject",
    [
        "{kind: User, name: 'shop:web'}",
        "{kind: User, name: 'shop/web'}",
        "{kind: Group, name: 'system:serviceaccount:shop:web'}",
        "{kind: User, name: 'system:serviceaccounts:shop:web'}",
        "{kind: Group, name: 'system:serviceaccount:shop'}",
        "{kind: User, name: 'system:serviceaccounts:shop'}",
    ],
)
@pytest.mark.parametrize("kind", ["RoleBinding", "ClusterRoleBinding"])
def test_rbac_subject_wrong_kind_fires(subject: str, kind: str) -> None:
    text = binding(subject, "ClusterRole/reader", kind) + role(kind="ClusterRole")
    (finding,) = on(SA + text)
    assert (finding.code, finding.certainty) == ("SAT506", "certain")
    group = ("system:serviceaccount:shop'", "system:serviceaccounts:shop'")
    right = "Group" if subject.split("name: '")[1][:-1] in group else "ServiceAccount"
    assert f'"kind":"{right}"' in commands(finding)[0]


def test_rbac_subject_wrong_kind_fires_as_a_hint_on_a_name_in_a_clusterrolebinding() -> None:
    (finding,) = on(SA + wide("{kind: User, name: web}"))
    assert (finding.code, finding.severity) == ("SAT506", "hint")


@pytest.mark.parametrize(
    "text",
    [
        binding("{kind: User, name: 'system:serviceaccount:shop:web'}") + READER,
        binding("{kind: Group, name: 'system:serviceaccounts:shop', namespace: x}") + READER,
        binding("{kind: User, name: jane}") + READER,
        # the account has rights of its own, so the user may be one
        binding(f"{{kind: User, name: web}}, {WEB}") + READER,
        binding("{kind: User, name: web}") + READER + wide() + role(kind="ClusterRole"),
        wide("{kind: User, name: web}") + account("web", "other"),
    ],
)
def test_rbac_subject_wrong_kind_quiet(text: str) -> None:
    assert on(SA + text) == []


# --- SAT507


@pytest.mark.parametrize(
    ("subject", "kind", "field"),
    [
        ("{kind: ServiceAccount, name: web}", "ClusterRoleBinding", "namespace"),
        (f"{{apiGroup: {GROUP}, {WEB[1:]}", "RoleBinding", "apiGroup"),
        ("{kind: ServiceAccount, name: 'system:serviceaccount:shop:web'}", "RoleBinding", "name"),
        ("{kind: serviceaccount, name: web}", "RoleBinding", "kind"),
        (
            "{apiGroup: v1, kind: User, name: 'system:serviceaccount:shop:web'}",
            "RoleBinding",
            "apiGroup",
        ),
    ],
)
def test_rbac_subject_invalid_fires(subject: str, kind: str, field: str) -> None:
    finding = the(in_files(SA + binding(subject, "ClusterRole/view", kind)), "SAT507")
    assert (finding.severity, finding.certainty) == ("warning", "certain")
    assert finding.object.path == f"subjects[0].{field}"
    assert finding.fix is not None
    assert "- kind: ServiceAccount\n  name: web\n  namespace: shop\n" in finding.fix.manifest


@pytest.mark.parametrize(
    "subject",
    [
        WEB,
        "{kind: ServiceAccount, name: web}",
        "{kind: User, name: 'system:serviceaccount:shop:web'}",
        "{apiGroup: '', kind: ServiceAccount, name: web}",
        "{kind: Robot, name: other}",
    ],
)
def test_rbac_subject_invalid_quiet(subject: str) -> None:
    assert in_files(SA + binding(subject, "ClusterRole/view")) == []


def test_fields_of_a_wrong_type_are_a_clear_line() -> None:
    from kubectl_satoken.errors import ManifestError

    for wrong in ("roleRef: [x]", "subjects: [{kind: User, name: x, apiGroup: 1}]"):
        text = f"apiVersion: v1\nkind: RoleBinding\nmetadata: {{name: b}}\n{wrong}\n"
        with pytest.raises(ManifestError):
            parse(text, "test")
