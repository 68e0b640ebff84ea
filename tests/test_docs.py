"""What is written about the program is true: documents made from it, examples, schema."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from kubectl_satoken import __version__
from kubectl_satoken.cli import VERBS, boolean_words
from tests import docs
from tests.conftest import ROOT, Run

SHOP = str(ROOT / "examples" / "shop.yaml")
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
TEXTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "*.yaml", "docs/**/*", "examples/*", "krew/*", "man/*")
    for path in ROOT.glob(pattern)
    if path.is_file()
)


@pytest.mark.parametrize("path", docs.documents(), ids=lambda path: path.name)
def test_made_documents_are_as_the_program_makes_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert path.exists(), "run make docs"
    assert path.read_text() == docs.documents()[path], "run make docs"


def test_no_document_is_left_from_a_command_that_is_gone() -> None:
    made = {path.name for path in docs.documents()}
    assert {path.name for path in (ROOT / "man").iterdir()} <= made, "remove it"


def test_the_readme_shows_examples() -> None:
    blocks = docs.CONSOLE.findall((ROOT / "README.md").read_text())
    lines = [line for block in blocks for line in docs.commands(block)]
    assert any("doctor" in line for line in lines)
    assert any("explain" in line for line in lines)


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for verb in VERBS:
        assert f"kubectl satoken {verb}" in text


def test_every_command_of_ours_that_the_texts_name_can_be_parsed() -> None:
    """An example with a flag that is gone misleads as much as one with another output."""
    for path in TEXTS:
        text = (ROOT / path).read_text()
        for line in re.findall(r"^\s*(?:\$ )?kubectl satoken (\w.*)$", text, re.MULTILINE):
            verb, *words = shlex.split(re.split(r" #| [|<>]| \\$", line)[0])
            if verb in VERBS and "--help" not in words:
                parser = docs.verb_parser(verb)
                parser.parse_intermixed_args(boolean_words(words, parser))


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".md"], ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (ROOT / path.parent / target).exists(), target


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_texts_hold_no_token(path: Path) -> None:
    assert "eyJ" not in (ROOT / path).read_text()


def test_make_targets_that_the_texts_name_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"`?\bmake ([a-z-]+)\b`", (ROOT / name).read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", sorted(docs.man_pages()))
def test_man_pages_are_good_troff(name: str) -> None:
    text = (ROOT / "man" / name).read_text()
    title = name.removesuffix(".1").upper().replace("-", r"\-")
    assert text.startswith(f'.TH {title} "1" ')
    if not shutil.which("man"):
        pytest.skip("there is no man on this machine")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", str(ROOT / "man" / name)],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "NAME" in done.stdout
    assert name.removesuffix(".1") in done.stdout


@pytest.mark.parametrize("name", sorted(docs.man_pages()))
def test_man_pages_are_good_to_mandoc(name: str) -> None:
    """BSD and Alpine have mandoc."""
    if not shutil.which("mandoc"):
        pytest.skip("there is no mandoc on this machine")
    page = ROOT / "man" / name
    words = ["mandoc", "-T", "lint", "-W", "warning", page]
    assert subprocess.run(words, capture_output=True, text=True).stdout == ""


# --- the schema of the report --------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "pod/web-6d4f8b9c7d-x2k9p -n shop",
        "deploy/report deploy/cart -n shop",
        "sa/web sa/api -n shop",
        "secret/ci-token secret/ci-token-new -n pay",
        "deploy/ledger -n pay",
        "deploy/front deploy/indexer -n search",
    ],
)
def test_reports_are_as_the_schema_says(words: str, run: Run) -> None:
    report = run("doctor", *words.split(), "-f", SHOP, "-o", "json").object
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert report["targets"]


def test_reports_on_manifests_are_as_the_schema_says(run: Run) -> None:
    manifests = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Secret
metadata: {name: web-token}
type: kubernetes.io/service-account-token
"""
    done = run("doctor", "-f", "-", "-o", "json", stdin=manifests)
    report = done.object
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert report["skipped"]
    assert report["findings"]


def test_the_schema_refuses_what_a_report_never_has() -> None:
    """Every object in the schema is closed, so a new field has to be described there."""

    def objects(schema: object) -> list[dict[str, object]]:
        if isinstance(schema, list):
            return [found for one in schema for found in objects(one)]
        if not isinstance(schema, dict):
            return []
        own = [schema] if schema.get("type") == "object" else []
        return own + [found for one in schema.values() for found in objects(one)]

    found = objects(SCHEMA)
    assert len(found) > 5
    for one in found:
        assert one["additionalProperties"] is False
        assert set(one["required"]) <= set(one["properties"])  # type: ignore[call-overload]


# --- the example --------------------------------------------------------------------------------


def test_the_example_shows_the_faults_it_says_it_has(run: Run) -> None:
    report = run("doctor", "-f", SHOP, "-o", "json").object
    codes = {
        (finding["target"]["namespace"], finding["code"])
        for finding in report["findings"]
        if finding["severity"] != "hint"
    }
    assert codes == {
        ("shop", "SAT301"),
        ("shop", "SAT104"),
        ("shop", "SAT203"),
        ("pay", "SAT304"),
        ("pay", "SAT201"),
        ("search", "SAT106"),
    }
    assert report["skipped"] == []
    # a token that is switched off may be meant so, unless somebody asks
    asked = run("doctor", "-f", SHOP, "deploy/web", "-n", "shop", "-o", "json").object
    assert [(one["code"], one["severity"]) for one in asked["findings"]] == [("SAT102", "error")]


@pytest.mark.parametrize(
    "target", ["statefulset/api -n shop", "deploy/checkout -n pay", "deploy/coredns -n kube-system"]
)
def test_the_example_has_healthy_parts(target: str, run: Run) -> None:
    done = run("doctor", *target.split(), "-f", SHOP)
    assert done.status == 0
    assert done.stdout.startswith("ok: ")
