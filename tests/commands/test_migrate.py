"""kubectl satoken migrate from the outside, without a cluster: what it refuses, and what it prints.

That it finds, plans and does the right thing is shown on a real cluster (tests/live).
"""

from pathlib import Path

import pytest
import yaml

from tests import faults
from tests.conftest import Run

CONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: URL}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: shop}}]
current-context: c
users: [{name: u, user: {}}]
"""
HINT = "see 'kubectl satoken migrate --help' for usage"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--stage all", "argument --stage: invalid choice: 'all'"),
        ("--grace week", 'invalid argument "week" for "--grace" flag: time: invalid duration'),
        ("--grace -1h", "argument --grace: expected one argument"),
        ("--grace=-1h", "--grace must be greater than or equal to 0"),
        ("--timeout x", 'invalid argument "x" for "--timeout" flag'),
        ("--apply --undo", "--apply and --undo exclude each other"),
        ("--apply --stage inventory", "--stage inventory changes nothing"),
        ("--apply -o yaml", "-o yaml prints patches, and goes with neither --apply nor --undo"),
        ("--undo -l a=b", "--undo takes names or a namespace, and no -l"),
        ("-A -n shop", "-A and -n exclude each other"),
        ("-A secret/x", "a name cannot be given with -A or -l"),
        ("-l a=b secret/x", "a name cannot be given with -A or -l"),
        ("--guard=allow", 'invalid argument "allow" for "--guard" flag'),
        ("--guard secret/x", "--guard prints policies"),
        ("-o table", "argument -o/--output: invalid choice: 'table'"),
        ("--force", "unknown flag: --force"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: str, error: str, run: Run) -> None:
    result = run("migrate", *words.split())
    assert (result.status, result.stdout) == (2, "")
    first, *hints = result.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert len(hints) <= 1


def test_the_guard_needs_no_cluster(run: Run) -> None:
    result = run("migrate", "--guard")
    assert result.status == 0
    kinds = [one["kind"] for one in yaml.safe_load_all(result.stdout)]
    assert kinds == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    assert run("migrate", "--guard=deny").stdout != result.stdout


def test_a_cluster_that_does_not_answer(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(CONFIG.replace("URL", "http://127.0.0.1:1"))
    result = run("migrate", f"--kubeconfig={path}")
    assert (result.status, result.stdout) == (3, "")
    assert result.stderr.startswith("error: ")


def test_secrets_that_may_not_be_listed_are_not_none(run: Run, tmp_path: Path) -> None:
    body = {
        "kind": "Status",
        "status": "Failure",
        "reason": "Forbidden",
        "message": 'secrets is forbidden: User "eve" cannot list resource "secrets"',
        "code": 403,
    }
    with faults.serve(faults.Reply(403, body)) as server:
        path = tmp_path / "config"
        path.write_text(CONFIG.replace("URL", server.url))
        result = run("migrate", f"--kubeconfig={path}")
    assert (result.status, result.stdout) == (3, "")
    first, hint = result.stderr.splitlines()
    assert first == (
        "error: token Secrets could not be looked at: forbidden to you: needs list secrets in "
        "namespace shop"
    )
    assert hint == "hint: docs/rbac/migrate.yaml has the rights that migrate needs"


def test_without_a_home_there_is_no_journal(run: Run, tmp_path: Path) -> None:
    with faults.serve(faults.Reply(200, {"kind": "Table", "rows": []})) as server:
        path = tmp_path / "config"
        path.write_text(CONFIG.replace("URL", server.url))
        result = run("migrate", "--undo", f"--kubeconfig={path}", environ={"HOME": ""})
    assert result.status == 2
    assert result.stderr == (
        "error: there is no home folder to keep the journal in\nhint: say --journal FILE\n"
    )
