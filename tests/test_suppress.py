"""What does not count: checks that were left out, annotations with a reason, a baseline."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kubectl_satoken.checks import Evidence, Finding, Ignored, all_checks, examine
from kubectl_satoken.diagnosis import Cause, Report, diagnose, examine_item
from kubectl_satoken.env import Env
from kubectl_satoken.errors import ManifestError, UsageError
from kubectl_satoken.ignores import pairs
from kubectl_satoken.output import report_object
from kubectl_satoken.suppress import Baseline, read_baseline, select, settle, tell_gone
from kubectl_satoken.targets import parse, unknown_kind
from tests.checks.given import world
from tests.conftest import Run

# --- which checks run


def test_without_flags_all_checks_run() -> None:
    assert select([], []) is None


@pytest.mark.parametrize(
    ("only", "skip", "codes"),
    [
        (["SAT101"], [], {"SAT101"}),
        (["sat101", "automount-disabled-sa"], [], {"SAT101", "SAT102"}),
        (["SAT101,SAT102, SAT104,"], [], {"SAT101", "SAT102", "SAT104"}),
        (["SAT101,SAT102"], ["SAT102"], {"SAT101"}),
    ],
)
def test_checks_are_chosen_by_code_or_name(
    only: list[str], skip: list[str], codes: set[str]
) -> None:
    assert select(only, skip) == codes


def test_what_is_left_out_is_all_but_that() -> None:
    everything = {one.code for one in all_checks()}
    assert select([], ["SAT501,SAT102"]) == everything - {"SAT501", "SAT102"}


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("automount-disabled-so", "did you mean SAT102 automount-disabled-sa?"),
        ("xyz", "'kubectl satoken explain' lists them"),
    ],
)
def test_a_check_that_is_none_is_a_usage_error(word: str, hint: str) -> None:
    for only, skip in (([word], []), ([], [word])):
        with pytest.raises(UsageError, match=f'no check "{word}"') as error:
            select(only, skip)
        assert error.value.hint == hint


@pytest.mark.parametrize(("only", "skip"), [([","], []), ([], [""]), (["SAT101"], ["SAT101"])])
def test_no_check_at_all_is_a_usage_error(only: list[str], skip: list[str]) -> None:
    with pytest.raises(UsageError):
        select(only, skip)


POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: pod-web%s}
spec: {serviceAccountName: default, automountServiceAccountToken: false, containers: [
  {name: app, image: app}]}
"""


def test_a_check_that_is_not_wanted_does_not_run() -> None:
    cluster = world(POD % "")
    pod = next(cluster.found("Pod"))
    findings, _, ran = examine(pod, cluster, wanted={"SAT102", "SAT202"})
    assert (findings, ran) == ([], 1)


# --- annotations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SAT101 meant so", [(["sat101"], "meant so")]),
        ("SAT101", [(["sat101"], "")]),
        ("SAT101  a;SAT303,SAT304\tb\n c ;; ", [(["sat101"], "a"), (["sat303", "sat304"], "b c")]),
        ("SAT101: meant so", [(["sat101"], "meant so")]),
        ("SAT101 : meant so", [(["sat101"], "meant so")]),
        ("SAT303, SAT304 b c", [(["sat303", "sat304"], "b c")]),
        ("SAT303 ,sat304: b", [(["sat303", "sat304"], "b")]),
        ("SAT303,", [(["sat303"], "")]),
        ("SAT303, SAT304", [(["sat303", "sat304"], "")]),
        ("SAT303 , SAT304 b", [(["sat303", "sat304"], "b")]),
        (": , x", [(["x"], "")]),
        ("", []),
        (" ; ", []),
    ],
)
def test_an_annotation_is_codes_and_reasons(
    text: str, expected: list[tuple[list[str], str]]
) -> None:
    assert list(pairs(text)) == expected


def annotated(text: str) -> str:
    return f", annotations: {{satoken/ignore: {json.dumps(text)}}}"


def report_on(text: str, target: str) -> Report:
    cluster = world(text)
    return diagnose(parse([target], unknown_kind), "shop", cluster)


@pytest.mark.parametrize("text", ["SAT101 meant so", "automount-disabled-pod meant so"])
def test_an_ignored_finding_is_put_aside(text: str) -> None:
    report = report_on(POD % annotated(text), "pod/web")
    assert report.causes == []
    (cause,) = report.ignored
    assert cause.finding.code == "SAT101"
    assert cause.finding.ignored == Ignored("meant so", "annotation", "pod/web")


@pytest.mark.parametrize("text", ["SAT102 meant so", "sat1 meant so", "SAT1010 x", "; SAT501 y"])
def test_other_codes_are_not_ignored(text: str) -> None:
    report = report_on(POD % annotated(text), "pod/web")
    assert [cause.finding.code for cause in report.causes] == ["SAT101"]
    assert report.ignored == ()


def test_without_a_reason_it_does_not_count_and_the_evidence_says_so() -> None:
    report = report_on(POD % annotated("SAT101"), "pod/web")
    (cause,) = report.causes
    last = cause.finding.evidence[-1]
    assert last.path == "metadata.annotations[satoken/ignore]"
    assert last.value == "SAT101 (no reason, so it does not count)"


WORKLOAD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web%(account)s}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d-web%(workload)s}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}%(template)s}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, uid: r-web, ownerReferences: [
  {apiVersion: apps/v1, kind: Deployment, name: web, uid: d-web, controller: true}]}
spec: {template: {spec: {containers: [{name: app}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-a, namespace: shop, uid: p-a%(pod)s, ownerReferences: [
  {apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r-web, controller: true}]}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-b, namespace: shop, uid: p-b, ownerReferences: [
  {apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r-web, controller: true}]}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
"""
NOWHERE = dict.fromkeys(("account", "workload", "template", "pod"), "")


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("account", "serviceaccount/web"),
        ("workload", "deployment/web"),
        ("template", "deployment/web"),
    ],
)
@pytest.mark.parametrize("target", ["deploy/web", "pod/web-1-a", "sa/web"])
def test_it_is_heeded_on_account_workload_and_template(place: str, where: str, target: str) -> None:
    text = WORKLOAD % {**NOWHERE, place: annotated("SAT102 meant so")}
    report = report_on(text, target)
    assert [cause.finding.code for cause in report.causes] == []
    assert {cause.finding.code for cause in report.ignored} == {"SAT102"}
    assert report.ignored[0].finding.ignored == Ignored("meant so", "annotation", where)


def test_of_a_template_without_pods_the_workload_is_named() -> None:
    workload = WORKLOAD.partition("---\napiVersion: apps/v1\nkind: ReplicaSet")[0]
    for place in ("workload", "template"):
        text = workload % {**NOWHERE, place: annotated("SAT102 meant so")}
        (cause,) = report_on(text, "deploy/web").ignored
        assert cause.finding.ignored == Ignored("meant so", "annotation", "deployment/web")


def test_on_one_pod_it_counts_for_that_pod() -> None:
    report = report_on(WORKLOAD % {**NOWHERE, "pod": annotated("SAT102 a test")}, "deploy/web")
    (cause,) = report.causes
    (aside,) = report.ignored
    assert (cause.affected, aside.affected) == (1, 1)
    alone = report_on(WORKLOAD % {**NOWHERE, "pod": annotated("SAT102 a test")}, "pod/web-1-a")
    assert (alone.causes, len(alone.ignored)) == ([], 1)


@pytest.mark.parametrize("value", [5, ["a"], {"a": "b"}, None, "\0", ";"])
def test_an_annotation_of_another_shape_is_no_traceback(value: object) -> None:
    cluster = world(POD % "")
    pod = next(cluster.found("Pod"))
    pod["metadata"]["annotations"] = {"satoken/ignore": value}
    report = examine_item(pod, cluster)
    assert [cause.finding.code for cause in report.causes] == ["SAT101"]


# --- what hung under something that is ignored


def cause(code: str, stage: str, root: str = "", target: str = "web") -> Cause:
    name = ("Pod", "shop", target)
    finding = Finding("x", Evidence(*name), severity="error", code=code, stage=stage, target=name)
    return Cause(finding, 1, root)


def test_what_hung_under_an_ignored_root_gets_another() -> None:
    first = cause("SAT101", "mount")
    why = Ignored("x", "annotation", "pod/web")
    first = first._replace(finding=first.finding._replace(ignored=why))
    report = Report(
        [],
        [
            first,
            cause("SAT402", "token", "SAT101"),
            cause("SAT501", "access", "SAT101"),
            cause("SAT101", "mount", target="other"),
            cause("SAT501", "access", "SAT101", target="other"),
        ],
        [],
        [],
        [],
        0,
    )
    settled = settle(report)
    assert [(one.finding.code, one.root) for one in settled.causes] == [
        ("SAT402", ""),
        ("SAT501", "SAT402"),
        ("SAT101", ""),
        ("SAT501", "SAT101"),
    ]
    assert len(settled.ignored) == 1


def test_nothing_ignored_changes_nothing() -> None:
    report = Report([], [cause("SAT101", "mount")], [], [], [], 0)
    assert settle(report) is report


# --- a baseline

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> str:
        path = tmp_path / "baseline"
        path.write_text(text)
        return str(path)

    return write_file


BOTH = """
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  automountServiceAccountToken: false
  containers: [{name: app, image: app}, {name: second, image: app, volumeMounts: [
    {name: v, mountPath: /tokens}]}]
  volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: token}}]}}]
---
apiVersion: v1
kind: Secret
metadata: {name: web-token}
type: kubernetes.io/service-account-token
"""


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_known_findings_do_not_count(form: str, run: Run, write: Write) -> None:
    first = run("doctor", "-f", "-", "-o", form, stdin=BOTH)
    assert first.status == 1
    before = yaml.safe_load(first.stdout)
    path = write(first.stdout)
    second = run("doctor", "-f", "-", "-o", "json", "--baseline", path, stdin=BOTH)
    assert (second.status, second.stderr) == (0, "")
    after = second.object
    assert after["findings"] == []
    assert [one["code"] for one in after["ignored"]] == [one["code"] for one in before["findings"]]
    for one in after["ignored"]:
        assert one["ignored"] == {"reason": "known before", "by": "baseline", "where": path}
    # what was written with a baseline is one, too
    third = run("doctor", "-f", "-", "-o", "json", "--baseline", write(second.stdout), stdin=BOTH)
    assert (third.status, third.stderr) == (0, "")


def test_new_findings_count(run: Run, write: Write) -> None:
    pod, _, secret = BOTH.partition("---")
    path = write(run("doctor", "-f", "-", "-o", "json", stdin=secret).stdout)
    done = run("doctor", "-f", "-", "-o", "json", "--baseline", path, stdin=BOTH)
    assert done.status == 1
    assert {one["target"]["name"] for one in done.object["findings"]} == {"odd"}
    assert {one["target"]["name"] for one in done.object["ignored"]} == {"web-token"}


def test_what_is_gone_is_told(run: Run, write: Write) -> None:
    path = write(run("doctor", "-f", "-", "-o", "json", stdin=BOTH).stdout)
    mended = BOTH.replace(
        "{name: web-token}",
        "{name: web-token, annotations: {kubernetes.io/service-account.name: web}}",
    )
    done = run("doctor", "-f", "-", "--baseline", path, "-o", "json", stdin=mended)
    assert done.stderr == "note: 1 finding of the baseline is gone: SAT202 secret/web-token\n"
    # of what was not looked at nothing is known
    other = run("doctor", "-f", "-", "--baseline", path, "pod/odd", "-o", "json", stdin=mended)
    assert other.stderr == ""
    some = run("doctor", "-f", "-", "--baseline", path, "--only", "SAT303", stdin=mended)
    assert some.stderr == ""


def test_what_could_not_be_seen_is_not_called_gone() -> None:
    from kubectl_satoken.checks import Skipped

    name = ("Pod", "shop", "web")
    baseline = Baseline("x", {("SAT101", name, name)})
    report = Report([name], [], [], [], [], 0)
    assert baseline.gone(report) == [("SAT101", name, name)]
    for code in ("SAT101", ""):
        unseen = report._replace(skipped=[Skipped(code, "", "pods", "forbidden")])
        assert baseline.gone(unseen) == []


def test_many_that_are_gone_are_not_all_named() -> None:
    name = ("Pod", "shop", "web\x1b")
    known = {(f"SAT{number}", name, name) for number in range(101, 121)}
    stderr = io.StringIO()
    report = Report([name], [], [], [], [], 0)
    tell_gone(report, Baseline("x", known), Env(stderr=stderr))
    assert stderr.getvalue().startswith("note: 20 findings of the baseline are gone: SAT101 pod/")
    assert stderr.getvalue().endswith("SAT105 pod/web\\x1b and 15 more\n")


def test_a_cause_of_many_is_known_when_all_of_them_are() -> None:
    one, two = ("Deployment", "shop", "one"), ("Deployment", "shop", "two")
    both = cause("SAT102", "mount")._replace(targets=(one, two))
    value = report_object(Report([], [both], [], [], [], 0))
    known = read(json.dumps(value)).known
    assert {key[2] for key in known} == {one, two}
    report = Report([], [both], [], [], [], 0)
    assert settle(report, Baseline("x", known)).causes == []
    more = both._replace(targets=(one, two, ("Deployment", "shop", "three")))
    assert settle(report._replace(causes=[more]), Baseline("x", known)).causes == [more]


def read(text: str) -> Baseline:
    return read_baseline("-", Env(stdin=io.StringIO(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 5000,
        "a: [",
        "a\n---\nb\n",
        "kind: Report",
        "{kind: Report, apiVersion: satoken/v2}",
        "{kind: Report, apiVersion: satoken/v1, findings: {a: b}}",
        "{kind: Report, apiVersion: satoken/v1, findings: [5]}",
        "{kind: Report, apiVersion: satoken/v1, findings: [{code: SAT101}]}",
        "{kind: Report, apiVersion: satoken/v1, ignored: [{code: SAT101}]}",
        "{kind: Report, apiVersion: satoken/v1, findings: [{code: SAT101, target: x, object: y}]}",
        "{kind: Report, apiVersion: satoken/v1, findings: [{code: [a], target: {kind: a, name: b,"
        " namespace: c}, object: {kind: a, name: b, namespace: c}}]}",
        "{kind: Report, apiVersion: satoken/v1, findings: [{code: a, targets: 5, target: {kind: a,"
        " name: b, namespace: c}, object: {kind: a, name: b, namespace: [c]}}]}",
    ],
)
def test_what_is_no_report_is_one_clear_line(text: str) -> None:
    with pytest.raises(ManifestError, match="standard input"):
        read(text)


def test_a_bad_baseline_is_told_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    done = run("doctor", "-f", "/nonexistent", "--baseline", str(tmp_path / "none"))
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error: cannot read {tmp_path / 'none'}: no such file")
