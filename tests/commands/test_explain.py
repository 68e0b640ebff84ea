"""kubectl satoken explain, from the outside."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kubectl_satoken.checks import all_checks
from kubectl_satoken.commands.explain import messages_reference
from kubectl_satoken.logs import PIECE, pieces
from kubectl_satoken.messages import MESSAGES
from tests.conftest import ROOT, Run

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.mark.parametrize(
    "word", ["SAT102", "sat102", "automount-disabled-sa", " SAT102 ", "Automount-Disabled-SA"]
)
def test_a_check_by_code_or_name_in_any_case(word: str, run: Run) -> None:
    done = run("explain", word)
    assert done.status == 0
    assert done.stdout.startswith("## SAT102 automount-disabled-sa\n\nThe service account says")
    assert "### How to fix it" in done.stdout
    assert done.stderr == ""


def test_several_in_the_order_asked_for(run: Run) -> None:
    done = run("explain", "SAT301", "SAT101")
    heads = [line for line in done.stdout.splitlines() if line.startswith("## ")]
    assert heads == ["## SAT301 mount-path-shadowed", "## SAT101 automount-disabled-pod"]


def test_without_a_code_the_list_of_both(run: Run) -> None:
    checks, messages = run("explain").stdout.split("\n\n")
    headers, *lines = checks.splitlines()
    assert headers.split() == ["CODE", "SEVERITY", "LOOKS", "AT", "NAME"]
    assert [line.split()[0] for line in lines] == [one.code for one in all_checks()]
    assert all(len(line) <= 80 for line in lines)
    header, *names = messages.splitlines()
    assert header == "MESSAGE"
    known = {one.name for one in all_checks()}
    assert names == [one.name for one in MESSAGES if one.name not in known]


def test_all_is_what_is_in_the_documentation(run: Run) -> None:
    done = run("explain", "--all")
    assert done.status == 0
    assert done.stdout == (ROOT / "docs" / "checks.md").read_text(), "run make docs"


def test_pages_have_no_line_that_is_too_long(run: Run) -> None:
    assert max(len(line) for line in run("explain", "--all").stdout.splitlines()) <= 100


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["SAT999"], 'no check "SAT999"', "'kubectl satoken explain' lists them"),
        (["SAT102", ""], 'no check ""', "'kubectl satoken explain' lists them"),
        (["--all", "SAT102"], "--all and CODE exclude each other", ""),
        (["--al"], "unknown flag: --al", "see 'kubectl satoken explain --help' for usage"),
    ],
)
def test_usage_errors(argv: list[str], message: str, hint: str, run: Run) -> None:
    done = run("explain", *argv)
    assert done.status == 2
    assert done.stdout == ""
    assert done.stderr == f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")


def test_a_token_pasted_by_mistake_is_not_repeated(run: Run) -> None:
    done = run("explain", JWT)
    assert done.status == 2
    assert JWT not in done.stderr


# --- messages ---------------------------------------------------------------------------------

SCHEMA = json.loads((ROOT / "docs" / "explanation.schema.json").read_text())
FORBIDDEN = (
    'pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in API '
    'group "" in the namespace "shop"'
)


def test_a_message_without_a_check_has_a_page(run: Run) -> None:
    known = {one.name for one in all_checks()}
    for message in MESSAGES:
        done = run("explain", message.name.upper())
        assert (done.status, done.stderr) == (0, "")
        if message.name in known:
            assert done.stdout.startswith("## SAT")
        else:
            assert done.stdout.startswith(f"## {message.name}\n\n{message.title}\n")
        assert "### How to fix it" in done.stdout


def test_the_page_of_all_messages(run: Run) -> None:
    text = messages_reference()
    assert max(len(line) for line in text.splitlines() if not line.startswith("- `")) <= 100
    assert all(f"\n## {message.name}\n" in text for message in MESSAGES)
    assert "](checks.md#sat" in text
    page = ROOT / "docs" / "messages.md"
    assert not page.exists() or page.read_text() == text, "run make docs"


def test_a_403_names_who_and_what_next(run: Run) -> None:
    done = run("explain", FORBIDDEN)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("rbac-not-granted: ")
    assert "\n  kubectl satoken doctor sa/web -n shop\n" in done.stdout
    assert "\n  kubectl -n shop create role web-list-pods --verb=list --resource=pods\n" in (
        done.stdout
    )


def test_a_403_whose_quotes_the_shell_has_eaten(run: Run) -> None:
    expected = run("explain", FORBIDDEN, "-o", "json").object["matches"]
    # explain "pods is forbidden: User "system:..." cannot ..."
    bare = FORBIDDEN.replace('"', "")
    (found,) = run("explain", bare, "-o", "json").object["matches"]
    assert found["next"] == expected[0]["next"]
    # explain pods is forbidden: User "system:..." cannot ... API group "" ...
    words = [word.strip('"') for word in FORBIDDEN.split(" ")]
    (found,) = run("explain", *words, "-o", "json").object["matches"]
    assert found["next"] == expected[0]["next"]
    assert found["grant"] == expected[0]["grant"]


def test_a_log_on_standard_input(run: Run) -> None:
    log = f"starting\n{FORBIDDEN}\n{FORBIDDEN}\nUnauthorized 401\n"
    done = run("explain", "-", stdin=log)
    assert done.status == 0
    assert done.stdout.startswith("rbac-not-granted: ")
    assert "(x 2)" in done.stdout
    assert done.stdout.endswith("also seen, which says less:\n  unauthorized\n")


def test_a_log_in_a_pipe_needs_no_dash(installed: Path, tmp_path: Path) -> None:
    def explain(*words: str, **stdin: Any) -> str:
        done = subprocess.run(
            [str(installed), "explain", *words], capture_output=True, text=True, check=True, **stdin
        )
        assert done.stderr == ""
        return str(done.stdout)

    said = explain("-", input=f"{FORBIDDEN}\n")
    assert explain(input=f"{FORBIDDEN}\n") == said
    log = tmp_path / "pod.log"
    log.write_text(f"{FORBIDDEN}\n")
    with log.open() as file:
        assert explain(stdin=file) == said
    # with nothing there, and from where nothing comes, it lists what there is
    pages = explain(stdin=subprocess.DEVNULL)
    assert pages.startswith("CODE")
    assert explain(input="") == pages
    assert explain("SAT102", input=f"{FORBIDDEN}\n").startswith("## SAT102")


def test_a_log_in_a_file(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "pod.log"
    log.write_bytes(b"\xff\xfe\0\n" + FORBIDDEN.encode() + b"\r\n")
    assert run("explain", "-f", str(log)).stdout.startswith("rbac-not-granted: ")
    assert run("explain", "-f", str(log), "-f", "-", stdin="Token has expired.").status == 0
    done = run("explain", "-f", str(tmp_path / "none"))
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith("error: cannot read ")


def test_what_came_last_comes_first(run: Run) -> None:
    lines = ["Token has expired.", FORBIDDEN]
    for log in (lines, lines[::-1]):
        matches = run("explain", "-", "-o", "json", stdin="\n".join(log)).object["matches"]
        assert [one["text"] for one in matches] == log[::-1]


def test_nothing_known(run: Run) -> None:
    done = run("explain", "-", stdin="all is well\nand so on\n")
    assert (done.status, done.stderr) == (1, "")
    assert done.stdout == "nothing known about service account tokens in 2 lines\n"
    assert run("explain", "the disk is full").status == 1
    report = run("explain", "-", "-o", "json").object
    assert (report["matches"], report["lines"]) == ([], 0)


def test_the_flags_of_this_call_are_repeated(run: Run) -> None:
    flags = ["--context", "prod eu", "--kubeconfig=/k", "-s", "https://a:1"]
    report = run("explain", FORBIDDEN, "-o", "json", *flags).object
    scope = "--kubeconfig /k --context 'prod eu' --server https://a:1"
    assert report["matches"][0]["next"] == [
        f"kubectl satoken doctor sa/web -n shop {scope}",
        f"kubectl satoken can-i sa/web list pods -n shop {scope}",
    ]
    assert report["matches"][0]["grant"][0].startswith(f"kubectl {scope} -n shop create role ")


@pytest.mark.parametrize(
    ("refused", "question"),
    [
        (
            'cannot get resource "pods/log" in API group "" in the namespace "shop"',
            "sa/web get pods/log -n shop",
        ),
        (
            'cannot patch resource "deployments/scale" in API group "apps" in the namespace "pay"',
            "sa/shop:web patch deployments.apps/scale -n pay",
        ),
        (
            'cannot list resource "nodes" in API group "" at the cluster scope',
            "sa/shop:web list nodes -A",
        ),
        ('cannot get path "/metrics"', "sa/shop:web get /metrics"),
    ],
)
def test_what_was_forbidden_is_asked_next(refused: str, question: str, run: Run) -> None:
    text = f'x is forbidden: User "system:serviceaccount:shop:web" {refused}'
    (match,) = run("explain", text, "-o", "json").object["matches"]
    assert f"kubectl satoken can-i {question}" in match["next"]


def test_the_namespace_of_this_call_stands_in_for_one_that_is_not_named(run: Run) -> None:
    found = run("explain", "x: Token has expired.", "-n", "pay", "-o", "json").object["matches"]
    assert found[0]["next"][0] == "kubectl satoken doctor pod/NAME -n pay"


DESCRIBED = """\
Name:             web-6d4
Namespace:        shop
Service Account:  web
Events:
  Type     Reason       Age  From     Message
  Warning  FailedMount  2s   kubelet  MountVolume.SetUp failed for volume "kube-api-access-x" : \
failed to fetch token: serviceaccounts "web" not found
"""


def test_a_described_pod_is_named(run: Run) -> None:
    report = run("explain", "-", "-o", "json", stdin=DESCRIBED).object
    (found,) = report["matches"]
    assert found["name"] == "kubelet-token-sa-missing"
    assert found["next"][0] == "kubectl satoken doctor pod/web-6d4 -n shop"


@pytest.mark.parametrize("output", ["", "-ojson", "-oyaml"])
def test_a_token_in_a_log_is_not_shown(output: str, run: Run) -> None:
    log = (
        f"Authorization: Bearer {JWT} {FORBIDDEN}\n"
        f'service account token has expired: "{JWT}"\n'
        f"{'x' * PIECE}{JWT} service account token has expired\n"
        f'pods is forbidden: User "{JWT}" cannot list resource "pods" in API group "" '
        f'in the namespace "{JWT}"\n'
    )
    done = run("explain", "-", *([output] if output else []), stdin=log)
    assert done.status == 0
    for part in JWT.split("."):
        assert part not in done.stdout + done.stderr


def test_what_steers_a_terminal_does_not_reach_it(run: Run) -> None:
    log = f"\x1b]0;owned\x07\x1b[2J\u202e {FORBIDDEN}\n"
    text = run("explain", "-", stdin=log).stdout
    assert all(each.isprintable() or each == "\n" for each in text)


def test_lines_fit_but_for_commands(run: Run) -> None:
    for message in MESSAGES:
        done = run("explain", f"prefix: {message.texts[0]}") if message.texts else None
        for line in done.stdout.splitlines() if done else ():
            assert len(line) <= 80 or line.startswith("  kubectl"), line


def test_very_long_lines_end_between_words() -> None:
    class Counting(io.StringIO):
        largest = 0

        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
            assert 0 < size <= PIECE
            return super().readline(size)

    words = " ".join(f"word{number}" for number in range(50_000))
    found = list(pieces(Counting(f"{words}\nlast")))
    assert " ".join(found[:-1]) == words
    assert found[-1] == "last"
    assert len(found) > 5
    # one word that never ends is not kept
    endless = list(pieces(Counting("x" * 10 * PIECE)))
    assert sum(map(len, endless)) < 2 * PIECE


def test_many_different_texts_are_counted_and_not_kept(run: Run) -> None:
    lines = [FORBIDDEN.replace("shop:web", f"shop:web-{number}") for number in range(1200)]
    report = run("explain", "-", "-o", "json", stdin="\n".join(lines)).object
    assert len(report["matches"]) == 1000
    assert report["more"] == 200
    text = run("explain", "-", stdin="\n".join(lines)).stdout
    assert "and 1195 more of the kind" in text
    assert len(text.splitlines()) < 50


def test_an_interrupt_prints_what_was_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stream: object) -> Iterator[str]:
        yield FORBIDDEN
        raise KeyboardInterrupt

    monkeypatch.setattr("kubectl_satoken.logs.pieces", interrupted)
    assert run("explain", "-").stdout.startswith("rbac-not-granted: ")

    def at_once(stream: object) -> Iterator[str]:
        raise KeyboardInterrupt
        yield ""

    monkeypatch.setattr("kubectl_satoken.logs.pieces", at_once)
    assert run("explain", "-").status == 130


@pytest.mark.parametrize(
    "argv",
    [[FORBIDDEN], ["-"], ["Token has expired. x"], ["nothing of ours"]],
    ids=["403", "log", "expired", "none"],
)
def test_explanations_are_as_the_schema_says(argv: list[str], run: Run) -> None:
    report = run("explain", *argv, "-o", "json", stdin=FORBIDDEN + "\nUnauthorized 401\n").object
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-", "SAT101"], "a code or a text and a log exclude each other"),
        (["-f", "x", "SAT101"], "a code or a text and a log exclude each other"),
        (["SAT101", "-o", "json"], "-o is for what is found in a text"),
        (["-o", "json"], "-o is for what is found in a text"),
        (["SAT101", "SAT999"], 'no check "SAT999"'),
    ],
)
def test_usage_errors_of_texts(argv: list[str], message: str, run: Run) -> None:
    done = run("explain", *argv)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {message}"


def test_a_page_loads_no_pattern() -> None:
    code = (
        "import sys; from kubectl_satoken.env import Env; from kubectl_satoken.cli import run; "
        "run(['explain', 'SAT102'], Env()); "
        "print('kubectl_satoken.messages' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "False"
