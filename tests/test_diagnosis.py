"""From targets to a report."""

from kubectl_satoken.diagnosis import Report, diagnose, diagnose_objects
from kubectl_satoken.targets import Target
from tests.checks.given import world

OFF = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
automountServiceAccountToken: false
"""


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
