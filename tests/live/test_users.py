"""What people with few rights are told: the best answer, named gaps, the right status."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.scenarios import AS_WEB, AT_PLACE, OFF, Stage, mounted, service_account, template

# a token that is switched off, one that is hidden, one from a Secret that is gone, a good one
FAULTS = "---".join(
    [
        OFF,
        template(AS_WEB, kind="Pod"),
        template(mounted(AT_PLACE, "{name: t, emptyDir: {}}"), kind="Pod", name="hidden"),
        template(
            mounted(AT_PLACE, "{name: t, secret: {secretName: default-token-x7k2p}}"),
            kind="Pod",
            name="gone",
        ),
        service_account("good"),
        template(AS_WEB.replace("web", "good"), kind="Pod", name="good"),
    ]
)


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("users"))
    stage.open()
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=FAULTS)
    for role in ("view", "edit", "admin"):
        stage.shell(f"kubectl -n $NS create rolebinding {role} --clusterrole={role} --user={role}")
    yield stage
    stage.close()


class Seen:
    """What a user is told."""

    def __init__(self, stage: Stage, user: str, *words: str) -> None:
        with stage.acting(user):
            done = stage.satoken("doctor", *words, "-o", "json")
        self.status, self.stderr, self.stdout = done.returncode, done.stderr, done.stdout
        assert "Traceback" not in done.stderr
        self.report: Any = json.loads(done.stdout) if done.stdout else {}

    @property
    def codes(self) -> set[str]:
        """The codes of the errors and warnings, and of what is switched off."""
        return {one["code"] for one in self.report["findings"]} - {"SAT501"}

    @property
    def gaps(self) -> set[str]:
        """What could not be looked at, by the first word."""
        return {skip["what"].split("/")[0].split()[0] for skip in self.report["skipped"]}


def test_the_administrator_sees_all_of_it(stage: Stage) -> None:
    seen = Seen(stage, "admin", "-n", stage.namespace)
    assert {"SAT102", "SAT301", "SAT203"} <= seen.codes
    assert seen.status == 1


@pytest.mark.parametrize(
    ("pod", "code"), [("web", "SAT102"), ("hidden", "SAT301"), ("good", ""), ("gone", "")]
)
def test_view_is_told_what_can_be_seen_without_secrets(pod: str, code: str, stage: Stage) -> None:
    seen = Seen(stage, "view", f"pod/{pod}", "-n", stage.namespace)
    assert seen.status == (1 if code else 0), seen.stdout
    assert (code in seen.codes) if code else (seen.codes == set())
    if pod == "gone":
        # nothing certain can be said, and that is said
        assert "secret" in seen.gaps
        strict = Seen(stage, "view", f"pod/{pod}", "-n", stage.namespace, "--strict")
        assert strict.status == 3


def test_edit_sees_secrets_too(stage: Stage) -> None:
    seen = Seen(stage, "edit", "pod/gone", "-n", stage.namespace)
    assert (seen.status, seen.report["findings"][0]["code"]) == (1, "SAT203")


@pytest.mark.parametrize("user", ["view", "edit", "admin"])
def test_a_sweep_of_the_one_namespace_names_its_gaps(user: str, stage: Stage) -> None:
    seen = Seen(stage, user, "-n", stage.namespace)
    assert {"SAT102", "SAT301"} <= seen.codes
    assert ("SAT203" in seen.codes) == (user != "view")
    assert seen.status == 1
    assert seen.gaps, "clusterrolebindings cannot be seen by anybody with rights in a namespace"


def test_all_namespaces_need_a_right_that_is_named(stage: Stage) -> None:
    seen = Seen(stage, "admin", "-A")
    assert (seen.status, seen.stdout) == (3, "")
    first, hint = seen.stderr.splitlines()
    assert first.startswith("error: ")
    assert "pods" in first
    assert hint.startswith("hint: ")
    assert "-n" in hint


def test_another_namespace_is_forbidden_in_the_words_of_kubectl(stage: Stage) -> None:
    seen = Seen(stage, "admin", "pod/x", "-n", "kube-system")
    assert (seen.status, seen.stdout) == (3, "")
    assert "forbidden" in seen.stderr


def test_who_may_nothing_is_told_so(stage: Stage) -> None:
    for words in (["pod/web"], [], ["-A"], ["sa/web"], ["secret/x"]):
        seen = Seen(stage, "nobody", *words, *([] if "-A" in words else ["-n", stage.namespace]))
        assert (seen.status, seen.stdout) == (3, ""), words
        assert seen.stderr.startswith("error: ")
        assert "forbidden" in seen.stderr
