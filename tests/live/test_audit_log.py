"""Who uses a legacy token, by the audit log that a real API server writes."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_satoken.audit_log import User, lines, users_of
from kubectl_satoken.env import Env
from kubectl_satoken.world import Ref
from tests.cluster import Cluster
from tests.scenarios import TOKEN_SECRET, Stage, applied, service_account

INVALID = "kubernetes.io/legacy-token-invalid-since"


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    if cluster.external:
        pytest.skip("somebody else's cluster shows no audit log")
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def use(stage: Stage, token: str, agent: str) -> int:
    """Asks for something with a token, and returns the status of the answer."""
    request = urllib.request.Request(
        f"{stage.cluster.server}/api/v1/namespaces/{stage.namespace}/pods",
        headers={"Authorization": f"Bearer {token}", "User-Agent": agent},
    )
    context = ssl.create_default_context(cafile=str(stage.cluster.ca))
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def found(stage: Stage) -> dict[Ref, list[User]]:
    """The users of the namespace's legacy tokens by the audit log as it stands."""
    log = str(stage.cluster.audit_log)
    return users_of(lines(log, Env()), log, {(stage.namespace, "web")}).users


def test_who_uses_a_token_is_in_the_log_by_secret_address_and_program(stage: Stage) -> None:
    listed = service_account(more="secrets: [{name: web-listed}]")
    other = TOKEN_SECRET.replace("web-token", "web-listed")
    stage.shell(applied("---".join((listed, TOKEN_SECRET, other))))
    tokens = {}
    for name in ("web-token", "web-listed"):
        read = (
            f"kubectl -n $NS get secret {name} -o go-template='{{{{.data.token | base64decode}}}}'"
        )
        stage.until(f"{read} | grep -q eyJ")
        tokens[name] = stage.shell(read).stdout
    minted = stage.shell("kubectl -n $NS create token web").stdout.strip()
    assert found(stage) == {}

    assert use(stage, tokens["web-token"], "ci-runner/1.0") == 403
    assert use(stage, tokens["web-token"], "ci-runner/1.0") == 403
    assert use(stage, tokens["web-listed"], "backup/2") == 403
    assert use(stage, minted, "modern/3") == 403
    users = found(stage)
    assert set(users) == {
        Ref("Secret", stage.namespace, "web-token"),
        Ref("Secret", stage.namespace, "web-listed"),
    }
    [runner] = users[Ref("Secret", stage.namespace, "web-token")]
    assert (runner.agent, runner.requests) == ("ci-runner/1.0", 2)
    assert runner.first < runner.last
    [backup] = users[Ref("Secret", stage.namespace, "web-listed")]
    assert (backup.agent, backup.address) == ("backup/2", runner.address)


def test_a_request_that_is_refused_is_not_in_the_log_under_its_secret(stage: Stage) -> None:
    # what the module says of itself: were it otherwise, it could tell who is left behind
    stage.shell(applied(f"{service_account()}---{TOKEN_SECRET}"))
    read = "kubectl -n $NS get secret web-token -o go-template='{{.data.token | base64decode}}'"
    stage.until(f"{read} | grep -q eyJ")
    token = stage.shell(read).stdout
    stage.shell(f"kubectl -n $NS label secret web-token {INVALID}=2026-11-01")
    assert use(stage, token, "ci-runner/1.0") == 401
    assert found(stage) == {}
    stage.until(
        "kubectl -n $NS get secret web-token --show-labels | grep -q legacy-token-last-used="
    )
