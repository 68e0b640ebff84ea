"""kubectl satoken explain, from the outside."""

import pytest

from kubectl_satoken.checks import all_checks
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


def test_without_a_code_the_list(run: Run) -> None:
    headers, *lines = run("explain").stdout.splitlines()
    assert headers.split() == ["CODE", "SEVERITY", "LOOKS", "AT", "NAME"]
    assert [line.split()[0] for line in lines] == [one.code for one in all_checks()]
    assert all(len(line) <= 80 for line in lines)


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
