"""What every check owes: a page, tests, and a fix that was tried on a real cluster."""

import ast
import re

import pytest

from kubectl_satoken.checks import SEVERITIES, STAGES, Check, all_checks
from kubectl_satoken.world import KINDS
from tests.conftest import ROOT
from tests.scenarios import NOT_PLAYED, PLAYED_IN, scenarios

HEADINGS = ("### What goes wrong", "### How to fix it")

# what is built, mended as printed and seen to work by tests/live/test_doctor.py and tests/node
PLAYED = {scenario.code for where in ("live", "node") for scenario in scenarios(where)}

every_check = pytest.mark.parametrize("one", all_checks(), ids=lambda one: one.code)


@every_check
def test_code_and_name(one: Check) -> None:
    assert re.fullmatch(r"SAT[1-9]\d\d", one.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.name)
    assert one.name == one.function.__name__.replace("_", "-")


def test_codes_and_names_are_unique() -> None:
    checks = all_checks()
    assert len({one.code for one in checks}) == len(checks)
    assert len({one.name for one in checks}) == len(checks)


@every_check
def test_severity_stage_and_kind(one: Check) -> None:
    assert one.severity in SEVERITIES
    assert one.stage in STAGES
    assert one.on in {**KINDS, "Token": None}  # a token that was minted or found, see verify.py


@every_check
def test_title_is_a_short_sentence(one: Check) -> None:
    assert one.title[:1].isupper()
    assert one.title.endswith(".")
    assert len(one.title) <= 80
    assert ". " not in one.title


@every_check
def test_page_has_both_headings_with_text_under_them(one: Check) -> None:
    title, *rest = one.page.split("\n### ")
    assert title.strip() == one.title
    assert [f"### {part.splitlines()[0]}" for part in rest] == list(HEADINGS)
    assert all(len(part.split("\n", 1)[1].strip()) > 40 for part in rest)


@every_check
def test_there_are_a_firing_and_a_quiet_test(one: Check) -> None:
    module = one.function.__module__.rpartition(".")[2]
    path = ROOT / "tests" / "checks" / f"test_{module}.py"
    assert path.exists()
    names = [node.name for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "name")]
    own = f"test_{one.function.__name__}"
    assert any(name.startswith(f"{own}_fires") for name in names), f"no test {own}_fires…"
    assert any(name.startswith(f"{own}_quiet") for name in names), f"no test {own}_quiet…"


@every_check
def test_the_printed_fix_is_tried_on_a_real_cluster(one: Check) -> None:
    if one.code in PLAYED:
        assert one.code not in {**PLAYED_IN, **NOT_PLAYED}, "it is in two places"
        return
    if one.code in NOT_PLAYED:
        assert len(NOT_PLAYED[one.code]) > 40, "that is no reason"
        assert one.code not in PLAYED_IN
        return
    assert one.code in PLAYED_IN, f"no scenario makes {one.code} happen, and nothing says why"
    played = ast.parse((ROOT / PLAYED_IN[one.code]).read_text())
    words = [node.value for node in ast.walk(played) if isinstance(node, ast.Constant)]
    assert one.code in words, f"{PLAYED_IN[one.code]} does not play {one.code}"


def test_what_is_said_of_scenarios_is_of_checks_that_there_are() -> None:
    codes = {one.code for one in all_checks()}
    assert PLAYED | set(PLAYED_IN) | set(NOT_PLAYED) == codes
