"""How a report looks to a person, and how it is shaped for programs."""

import io

import pytest
import yaml

from kubectl_satoken.checks import Evidence, Finding, Fix, Ignored, Skipped
from kubectl_satoken.diagnosis import Cause, Report, Rights, Swept, Token
from kubectl_satoken.env import Env
from kubectl_satoken.output import (
    COLOURS,
    evidence_lines,
    report_object,
    wrap,
    write_names,
    write_object,
    write_report,
)

TARGET = ("Pod", "shop", "web")
ACCOUNT = Evidence("ServiceAccount", "shop", "web", "automountServiceAccountToken", False, True)
POD = Evidence("Pod", "shop", "web", "spec.automountServiceAccountToken")


def finding(severity: str = "error", **fields: object) -> Finding:
    made = Finding(
        "no token is mounted",
        ACCOUNT,
        (POD, ACCOUNT),
        Fix("mount it", ("kubectl -n shop edit pod web",)),
        severity=severity,
        code="SAT102",
        name="automount-disabled-sa",
        stage="mount",
        target=TARGET,
    )
    return made._replace(**fields)


def token(**fields: object) -> Token:
    user = "system:serviceaccount:shop:web"
    path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    return Token(TARGET, "web", user, "app", path, "", 3607, "")._replace(**fields)


def report(*causes: Cause, tokens: tuple[Token, ...] = (), skipped: tuple = ()) -> Report:  # type: ignore[type-arg]
    return Report([TARGET], list(causes), list(skipped), list(tokens), [], 14)


def text(shown: Report, *, wide: bool = False, colour: bool = False) -> str:
    stdout = io.StringIO()
    write_report(shown, Env(stdout=stdout), colour=colour, wide=wide)
    return stdout.getvalue()


def test_a_finding() -> None:
    assert text(report(Cause(finding(), 1))) == (
        """\
error: pod/web: no token is mounted

  pod/web             spec.automountServiceAccountToken  not set
  serviceaccount/web  automountServiceAccountToken       false  <- here

fix: mount it
  kubectl -n shop edit pod web

SAT102 automount-disabled-sa, certain. More: kubectl satoken explain SAT102
"""
    )


def test_the_number_of_pods_is_told_when_there_are_several() -> None:
    assert "certain, 3 pods." in text(report(Cause(finding(), 3)))


def test_further_findings_are_short_unless_wide() -> None:
    second = finding("warning", message="another thing", code="SAT303")
    shown = report(Cause(finding(), 1), Cause(second, 1))
    assert "\nwarning: another thing (SAT303)\n" in text(shown)
    assert "warning: pod/web: another thing\n" in text(shown, wide=True)


def test_a_hint_beside_a_fault_is_shown_in_full_when_wide() -> None:
    hint = finding("hint", message="by the way", code="SAT501")
    assert "hint: pod/web: by the way\n" in text(
        report(Cause(finding(), 1), Cause(hint, 1)), wide=True
    )


def test_what_may_follow_from_the_root_hangs_under_it() -> None:
    second = finding("warning", message="another thing", code="SAT303")
    after = finding("warning", message="a consequence of that, " * 4, code="SAT402")
    shown = report(Cause(finding(), 1), Cause(second, 1), Cause(after, 1, root="SAT102"))
    assert text(shown).endswith(
        """\

may follow from it:
  warning: a consequence of that, a consequence of that, a consequence of that,
    a consequence of that, (SAT402)
warning: another thing (SAT303)
  (-o wide shows evidence and fix)
"""
    )
    wide = text(shown, wide=True)
    assert "automount-disabled-sa, certain, may follow from SAT102." in wide
    # right after the root, before what has nothing to do with it
    assert wide.index("a consequence") < wide.index("another thing")


def test_roots_are_told_to_programs() -> None:
    value = report_object(report(Cause(finding(), 1), Cause(finding(code="SAT402"), 1, "SAT102")))
    assert [one["root"] for one in value["findings"]] == [None, "SAT102"]


def test_manifests_are_named_as_the_source_of_certainty() -> None:
    shown = report(Cause(finding(), 1))
    assert ", certain." in text(shown._replace(source="snapshot"))
    assert ", certain from manifests.\n" in text(shown._replace(source="manifests"))
    assert report_object(shown)["source"] == "cluster"
    assert report_object(shown._replace(source="manifests"))["source"] == "manifests"


# --- what is ignored


def ignored(severity: str = "error", **fields: object) -> Cause:
    return Cause(finding(severity, ignored=Ignored("asks nothing", "annotation", "pod/web")), 1)


def test_what_is_ignored_is_counted_and_wide_lists_it() -> None:
    shown = report()._replace(ignored=(ignored(),))
    assert text(shown).startswith("note: pod/web: nothing found but what is ignored\n")
    assert text(shown).endswith("\nignored   1 finding (-o wide shows it)\n")
    assert text(shown, wide=True).endswith(
        "\nignored   pod/web: SAT102 automount-disabled-sa: asks nothing (by pod/web)\n"
    )
    two = report(Cause(finding(), 1))._replace(ignored=(ignored(), ignored()))
    assert text(two).endswith("\nignored   2 findings (-o wide shows them)\n")


def test_a_token_with_an_ignored_fault_is_not_called_ok() -> None:
    shown = report(tokens=(token(),))._replace(ignored=(ignored(),))
    assert text(shown).startswith("note: pod/web: nothing found but what is ignored\n\n  who  ")
    # a hint would not have kept it from that
    hint = report(tokens=(token(),))._replace(ignored=(ignored("hint"),))
    assert text(hint).startswith("ok: pod/web has a working token\n")


def test_of_several_targets_those_with_ignored_faults_are_named_apart() -> None:
    other = ("Pod", "shop", "other")
    shown = report(tokens=(token(), token(target=other)))
    shown = shown._replace(targets=[TARGET, other], ignored=(ignored(),))
    assert "ok: a working token: pod/other\n" in text(shown)
    assert "note: nothing found but what is ignored: pod/web\n" in text(shown)


def test_a_sweep_with_ignored_faults_only_is_not_called_ok() -> None:
    counts = {"pods": 1, "workloads": 1, "serviceAccounts": 1, "secrets": 0}
    shown = report()._replace(targets=[], swept=Swept("shop", counts, {}))
    assert text(shown).startswith("ok: no fault found; 1 pod, ")
    assert text(shown._replace(ignored=(ignored("hint"),))).startswith("ok: no fault found; ")
    assert text(shown._replace(ignored=(ignored(),))).startswith(
        "note: nothing found but what is ignored; 1 pod, "
    )


def test_programs_are_told_what_is_ignored_and_why() -> None:
    value = report_object(report()._replace(ignored=(ignored(),)))
    assert value["findings"] == []
    assert value["ignored"][0]["ignored"] == {
        "reason": "asks nothing",
        "by": "annotation",
        "where": "pod/web",
    }


def test_with_few_checks_nothing_is_called_working() -> None:
    shown = report(tokens=(token(),))._replace(wanted=frozenset({"SAT303"}))
    assert text(shown).startswith("ok by the checks that ran: pod/web has a token\n")


# --- names


def test_names_are_as_kubectl_prints_them() -> None:
    causes = [
        Cause(finding(target=("Deployment", "shop", "web")), 1),
        Cause(finding(target=("Deployment", "shop", "web"), code="SAT303"), 1),
        Cause(finding(), 1, targets=(TARGET, ("Rollout", "shop", "x"), ("Job", "shop", "j"))),
    ]
    shown = report(*causes)._replace(kinds=(("Rollout", "argoproj.io/v1alpha1"),))
    stdout = io.StringIO()
    shown.causes.append(Cause(finding("hint", target=("Pod", "shop", "fine")), 1))
    write_names(shown, ("error", "warning"), Env(stdout=stdout))
    assert stdout.getvalue() == "deployment.apps/web\npod/web\nrollout.argoproj.io/x\njob.batch/j\n"


# --- what may be in an object


NASTY = "\x1b]0;x\x07\x1b[31merror\x1b[0m\r\n\u202e\x9b2J\ud800\x85 end"


def test_nothing_in_an_object_steers_the_terminal() -> None:
    target = ("Pod", f"shop{NASTY}", f"web{NASTY}")
    place = Evidence(f"Pod{NASTY}", "shop", f"web{NASTY}", f"spec.x{NASTY}", f"y{NASTY}", True)
    nasty = finding(
        message=f"wrong {NASTY}",
        object=place,
        evidence=(place, place._replace(value={NASTY: [NASTY]})),
        fix=Fix(f"mend {NASTY}", (f"kubectl edit {NASTY}",)),
        target=target,
    )
    why = Ignored(f"because {NASTY}", "annotation", f"pod/{NASTY}")
    shown = Report(
        [target],
        [Cause(nasty, 1), Cause(nasty._replace(code="SAT303"), 1, "SAT102")],
        [Skipped("SAT501", "x", f"what {NASTY}", f"why {NASTY}")],
        [token(target=target, path=NASTY, container=NASTY, user=NASTY, audience=NASTY)],
        [(target, f"note {NASTY}")],
        1,
        ignored=(Cause(nasty._replace(ignored=why), 1),),
    )
    for report_ in (shown, shown._replace(causes=[])):
        for wide in (False, True):
            written = text(report_, wide=wide)
            assert all(line.isprintable() for line in written.split("\n")), written
            written.encode()
    assert "\\x1b[31merror\\x1b[0m" in text(shown)


def test_a_fault_of_the_rights_says_how_to_ask_for_all_of_them() -> None:
    ask = "kubectl satoken can-i sa/web --list -n shop"
    rights = (Rights(TARGET, "system:serviceaccount:shop:web", (), "", ask),)
    fault = finding("warning", stage="access", code="SAT508")
    shown = text(report(Cause(fault, 1))._replace(rights=rights))
    assert shown.endswith(f"\nwhat the account may do:\n  {ask}\n")
    other = text(report(Cause(finding(), 1))._replace(rights=rights))
    assert "can-i" not in other
    in_files = report(Cause(fault, 1))._replace(rights=rights, source="manifests")
    assert "can-i" not in text(in_files)  # there, who else grants something is not known


def test_a_finding_without_fix() -> None:
    shown = text(report(Cause(finding(fix=None), 1)))
    assert "fix:" not in shown
    assert "\n\n\n" not in shown


def test_a_here_document_stands_at_the_margin_so_that_it_can_be_pasted() -> None:
    command = "kubectl apply -f - <<'EOF'\nkind: Secret\nEOF"
    shown = text(report(Cause(finding(fix=Fix("make it", (command,))), 1)))
    assert f"\n{command}\n" in shown


def test_the_lines_of_a_pipe_are_set_in() -> None:
    shown = text(report(Cause(finding(fix=Fix("replace it", ("a |\n  b",))), 1)))
    assert "\n  a |\n    b\n" in shown


def test_what_could_not_be_seen_is_told_beside_a_finding() -> None:
    skipped = (Skipped("SAT501", "rbac-no-binding", "rolebindings", "forbidden"),)
    shown = text(report(Cause(finding(), 1), skipped=skipped))
    assert shown.endswith("\nnot seen  rolebindings: forbidden\n")


def test_a_healthy_pod() -> None:
    assert text(report(tokens=(token(), token(container="proxy")))).startswith(
        """\
ok: pod/web has a working token

  who       system:serviceaccount:shop:web
  for       this API server
  where     /var/run/secrets/kubernetes.io/serviceaccount/token in app, proxy
"""
    )


def test_what_could_not_be_seen_is_told_of_a_healthy_pod() -> None:
    skipped = (Skipped("SAT501", "rbac-no-binding", "rolebindings", "forbidden"),)
    assert "not seen  rolebindings: forbidden\n" in text(report(tokens=(token(),), skipped=skipped))


def test_a_grave_fault_that_could_hide_keeps_it_from_being_called_working() -> None:
    shown = text(
        report(tokens=(token(),), skipped=(Skipped("SAT105", "x", "serviceaccount web", "hidden"),))
    )
    assert shown.startswith("ok as far as can be seen: pod/web has a token\n")
    # where only rights could not be seen, the token itself is fine
    shown = text(
        report(tokens=(token(),), skipped=(Skipped("SAT501", "x", "rolebindings", "hidden"),))
    )
    assert shown.startswith("ok: pod/web has a working token\n")


def test_no_fault_and_no_token_is_not_called_ok() -> None:
    assert text(report()).startswith("note: pod/web: no fault found, and no token")


def test_a_legacy_token_lives_for_ever() -> None:
    shown = text(report(tokens=(token(lifetime=None, secret="web-token"),)))
    assert "  lifetime  for ever, from secret web-token\n" in shown


def test_tokens_of_different_lifetimes_are_told_with_their_places() -> None:
    tokens = (token(), token(lifetime=None, secret="web-token", path="/old/token"))
    assert """\
  lifetime  1h, renewed by the kubelet:
            /var/run/secrets/kubernetes.io/serviceaccount/token
            for ever, from secret web-token: /old/token
""" in text(report(tokens=tokens))


@pytest.mark.parametrize("severity", ["error", "warning", "hint"])
def test_only_the_word_for_the_severity_is_coloured(severity: str) -> None:
    shown = report(Cause(finding(severity, message=f"this {severity} is one"), 1))
    coloured = text(shown, colour=True, wide=True)
    assert f"m{severity}\033[0m: " in coloured
    plain = coloured.replace("\033[0m", "")
    for code in COLOURS.values():
        plain = plain.replace(f"\033[{code}m", "")
    assert plain == text(shown, wide=True)


def test_evidence_that_is_too_wide_is_put_under_its_object() -> None:
    long = Evidence("Pod", "shop", "web", "spec.containers[0].volumeMounts[0].mountPath", "x" * 40)
    assert evidence_lines(finding(evidence=(POD, long))) == [
        "  pod/web",
        "    spec.automountServiceAccountToken  not set",
        "    spec.containers[0].volumeMounts[0].mountPath",
        "      " + "x" * 40,
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "not set"),
        (False, "false"),
        (True, "true"),
        (0, "0"),
        ("", ""),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values(value: object, shown: str) -> None:
    one = Evidence("Pod", "shop", "web", "spec.x", value)
    assert evidence_lines(finding(evidence=(one,))) == [f"  pod/web  spec.x  {shown}"]


def test_words_are_never_broken() -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount/" + "x" * 60
    assert wrap(f"it is at {path}", "  ") == ["it is at", f"  {path}"]


def test_yaml_and_json_say_the_same() -> None:
    value = report_object(report(Cause(finding(), 2), tokens=(token(),)))
    written = {}
    for form in ("yaml", "json"):
        stdout = io.StringIO()
        write_object(value, form, Env(stdout=stdout))
        written[form] = yaml.safe_load(stdout.getvalue())
    assert written["yaml"] == written["json"] == value


def test_what_is_not_set_is_null_for_programs() -> None:
    value = report_object(report(Cause(finding(), 1), tokens=(token(lifetime=None),)))
    assert value["tokens"][0]["audience"] is None
    assert value["tokens"][0]["lifetimeSeconds"] is None
    assert value["tokens"][0]["secret"] is None
    assert value["findings"][0]["evidence"][0]["value"] is None


def test_a_report_without_anything_writes_nothing() -> None:
    assert text(Report([], [], [], [], [], 0)) == ""
