"""migrate -f: what is printed where, and the exit status; no cluster answers here.

tests/live/test_rewrite.py has it with one that does.
"""

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.test_rewrite import DEPLOYMENT, REWRITTEN, SECRET

FILES = f"{SECRET}---\n{DEPLOYMENT}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "web.yaml").write_text(FILES)
    return folder


def test_a_diff_is_printed_and_nothing_is_written(run: Run, files: Path) -> None:
    done = run("migrate", "-n", "shop", "-f", files)
    assert done.status == 0
    assert done.stdout.startswith(f"--- {files}/web.yaml\n+++ {files}/web.yaml\n@@ ")
    assert "+          - serviceAccountToken:\n" in done.stdout
    assert (files / "web.yaml").read_text() == FILES
    first, second = done.stderr.splitlines()
    assert first.startswith("only what the files say is known; the cluster could not be asked: ")
    assert second.startswith(f"later: {files}/web.yaml:1: secret/web-token: ")


def test_files_are_written_with_apply(run: Run, files: Path) -> None:
    done = run("migrate", "-n", "shop", "-f", files, "--apply")
    assert done.status == 0
    assert (files / "web.yaml").read_text() == f"{SECRET}---\n{REWRITTEN}"
    assert done.stdout == (
        f"{files}/web.yaml:16: deployment/web: "
        "volume t: a projected token in the place of secret web-token\n"
    )
    again = run("migrate", "-n", "shop", "-f", files, "--apply")
    assert (again.status, again.stdout) == (0, "")


def test_what_needs_a_person_is_told_by_the_exit_status_of_apply(run: Run, files: Path) -> None:
    (files / "values.yaml").write_text("existingSecret: web-token\n")
    assert run("migrate", "-n", "shop", "-f", files).status == 0
    done = run("migrate", "-n", "shop", "-f", files, "--apply")
    assert done.status == 1
    assert f"left: {files}/values.yaml:1: existingSecret: names web-token" in done.stderr


def test_standard_input_becomes_standard_output(run: Run) -> None:
    done = run("migrate", "-n", "shop", "-f", "-", "--apply", stdin=FILES)
    assert (done.status, done.stdout) == (0, f"{SECRET}---\n{REWRITTEN}")
    assert "standard input:16: deployment/web: volume t: " in done.stderr


def test_programs_get_json(run: Run, files: Path) -> None:
    done = run("migrate", "-n", "shop", "-f", files, "-o", "json")
    assert done.status == 0
    assert done.object["files"] == [f"{files}/web.yaml"]
    assert [one["later"] for one in done.object["left"]] == [True]


def test_folders_below_are_looked_into_when_asked(run: Run, files: Path) -> None:
    assert run("migrate", "-n", "shop", "-f", files.parent).status == 3
    done = run("migrate", "-n", "shop", "-f", files.parent, "-R")
    assert "+++ " in done.stdout


def test_no_token_in_a_file_is_printed(run: Run, files: Path) -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    text = FILES.replace("# nothing else", f"# {token}")
    (files / "web.yaml").write_text(
        text.replace("metadata:\n", f"data: {{token: {token}}}\nmetadata:\n", 1)
    )
    done = run("migrate", "-n", "shop", "-f", files)
    assert "***" in done.stdout
    assert "eyJ" not in done.stdout + done.stderr
    assert "cannot be applied as it is" in done.stderr
    assert run("migrate", "-n", "shop", "-f", files, "--apply").status == 0
    assert (files / "web.yaml").read_text().count(token) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-f", "FOLDER", "secret/web-token"], "goes without TYPE/NAME"),
        (["-f", "FOLDER", "--undo"], "goes without --undo"),
        (["-f", "FOLDER", "--audit-log", "x"], "goes without --audit-log"),
        (["-f", "FOLDER", "-o", "yaml"], "knows the output format json"),
        (["-f", "-", "-o", "json", "--apply"], "prints the manifests with --apply"),
        (["-R"], "-R needs -f"),
    ],
)
def test_what_does_not_go_together_is_usage(
    run: Run, files: Path, words: list[str], says: str
) -> None:
    done = run("migrate", *(str(files) if word == "FOLDER" else word for word in words))
    assert (done.status, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("mode", ["warn", "deny", "pods", "deny,pods"])
def test_policies_are_printed_without_a_cluster(run: Run, mode: str) -> None:
    done = run("migrate", f"--guard={mode}")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.count("kind: ValidatingAdmissionPolicy\n") == 1 + ("pods" in mode)
    assert run("migrate", "--guard").stdout == run("migrate", "--guard=warn").stdout
    assert run("migrate", "--guard=off").status == 2
