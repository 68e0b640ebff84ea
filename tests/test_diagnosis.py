"""From targets to a report."""

import pytest

from kubectl_satoken.diagnosis import Report, diagnose, diagnose_objects
from kubectl_satoken.errors import NotFound
from kubectl_satoken.targets import Target
from tests.checks.given import world

OFF = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
automountServiceAccountToken: false
"""
ON = OFF.replace("false", "true")


def workload(name: str, pods: int = 0, *, ending: bool = False) -> str:
    """A StatefulSet that runs as web, and its pods."""
    text = f"""
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, namespace: shop, uid: sts-{name}}}
spec: {{template: {{spec: {{serviceAccountName: web, containers: [{{name: app}}]}}}}}}
"""
    gone = ', deletionTimestamp: "2026-11-22T11:59:59Z"' if ending else ""
    for number in range(pods):
        text += f"""
---
apiVersion: v1
kind: Pod
metadata:
  {{name: {name}-{number}, namespace: shop, uid: pod-{name}-{number}{gone},
   creationTimestamp: "2026-11-22T11:00:00Z", ownerReferences: [{{apiVersion: apps/v1,
   kind: StatefulSet, name: {name}, uid: sts-{name}, controller: true}}]}}
spec: {{serviceAccountName: web, containers: [{{name: app}}]}}
"""
    return text


def mounted(text: str) -> str:
    """The same, with a token in each pod."""
    mount = "volumeMounts: [{name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]"
    volume = "{name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}"
    return text.replace("[{name: app}]", f"[{{name: app, {mount}}}], volumes: [{volume}]")


def report(kind: str, name: str, text: str) -> Report:
    return diagnose([Target(kind, name)], "shop", world(text))


def found(shown: Report) -> list[tuple[str, int]]:
    return [(cause.finding.code, cause.affected) for cause in shown.causes]


def test_one_fault_of_many_pods_is_one_finding() -> None:
    assert found(report("StatefulSet", "a", OFF + workload("a", 3))) == [("SAT102", 3)]


def test_a_workload_without_pods_is_judged_by_its_template() -> None:
    assert found(report("StatefulSet", "a", OFF + workload("a"))) == [("SAT102", 0)]


def test_pods_on_their_way_out_do_not_count() -> None:
    assert found(report("StatefulSet", "a", OFF + workload("a", 2, ending=True))) == [("SAT102", 0)]


def test_a_service_account_is_judged_by_its_pods_with_a_fix_for_each_workload() -> None:
    shown = report("ServiceAccount", "web", OFF + workload("a", 2) + workload("b", 1))
    assert found(shown) == [("SAT102", 2), ("SAT102", 1)]
    fixes = [cause.finding.fix.commands[0] for cause in shown.causes if cause.finding.fix]
    assert "statefulset a" in fixes[0]
    assert "statefulset b" in fixes[1]


def test_what_several_workloads_have_from_their_account_is_one_finding() -> None:
    shown = report("ServiceAccount", "web", ON + mounted(workload("a", 2) + workload("b", 1)))
    assert ("SAT501", 3) in found(shown)
    assert [code for code, _ in found(shown)].count("SAT501") == 1


def test_each_target_has_its_own_findings() -> None:
    targets = [Target("Pod", "a-0"), Target("Pod", "a-1")]
    shown = diagnose(targets, "shop", world(OFF + workload("a", 2)))
    assert [cause.finding.target[2] for cause in shown.causes] == ["a-0", "a-1"]


def test_in_a_sweep_a_token_that_is_switched_off_is_a_hint_only() -> None:
    files = world(OFF + workload("a", 2) + workload("b"))
    cause, _ = diagnose_objects(files.objects(), files).causes
    assert (cause.finding.code, cause.finding.severity) == ("SAT102", "hint")
    (cause,) = report("StatefulSet", "a", OFF + workload("a", 2)).causes
    assert cause.finding.severity == "error"


def test_in_a_sweep_what_a_controller_has_made_is_not_examined_twice() -> None:
    files = world(OFF + workload("a", 2) + workload("b"))
    shown = diagnose_objects(files.objects(), files)
    assert [name for _, _, name in shown.targets] == ["a", "b"]


@pytest.mark.parametrize("secret", ["web-token", "web-token-x7k2p", "web-sa-token"])
def test_of_a_token_secret_that_is_not_there_it_is_said_that_none_is_made(secret: str) -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n"
    with pytest.raises(NotFound) as caught:
        report("Secret", secret, account)
    hint = caught.value.hint
    assert "'kubectl -n shop create token web'" in hint
    assert f'"name":"{secret}"' in hint
    assert "\n" not in hint


def test_of_any_other_secret_nothing_is_said() -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n"
    for secret in ("web", "registry", "other-token"):
        with pytest.raises(NotFound) as caught:
            report("Secret", secret, account)
        assert caught.value.hint == ""


LISTED = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: u}
secrets: [{name: web-token}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
dataCount: 3
metadata:
  name: web-token
  namespace: shop
  annotations: {kubernetes.io/service-account.name: web}
---
"""


def test_with_a_token_secret_the_account_that_lists_it_is_examined() -> None:
    assert [code for code, _ in found(report("Secret", "web-token", LISTED))] == ["SAT212"]


def test_a_secret_that_is_badly_made_is_a_target_too() -> None:
    opaque = LISTED.replace("kubernetes.io/service-account-token", "Opaque").replace(
        "dataCount: 3", ""
    )
    files = world(opaque)
    shown = diagnose_objects(files.objects(), files)
    assert ("Secret", "shop", "web-token") in shown.targets
    assert "SAT204" in [code for code, _ in found(shown)]


def test_what_looks_into_pods_says_that_it_leaves_the_token_of_a_secret_alone() -> None:
    secret = [Target("Secret", "web-token")]
    assert diagnose(secret, "shop", world(LISTED)).notes == []
    ((_, note),) = diagnose(secret, "shop", world(LISTED), lambda pod, skipped: iter(())).notes
    assert note == "--verify and --probe are about pods; inspect is for tokens in Secrets"


def test_the_token_of_a_secret_that_its_account_lists_is_one_token() -> None:
    assert len(report("Secret", "web-token", LISTED).tokens) == 1
