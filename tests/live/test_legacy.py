"""Legacy token Secrets: what needs another time, or no Secret at all."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.env import Env
from kubectl_satoken.live import ClusterWorld
from tests.cluster import Cluster, start
from tests.scenarios import TOKEN_SECRET, Stage, review, service_account
from tests.scenarios.legacy import BECOME, FILLED, GENERATED, NOT_WARNED, TAKEN, TRACKING

DAY = 24 * 3600

# Auto-generated tokens, and what keeps the cleaner from them (or does not).
OLD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
secrets: [LISTED]
---
SECRETS
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  imagePullSecrets: [{name: web-token-pulls}]
  containers:
  - name: app
    image: app
    env: [{name: E, valueFrom: {secretKeyRef: {name: web-token-sees0, key: ca.crt}}}]
    envFrom: [{secretRef: {name: web-token-envs0}}]
  volumes:
  - {name: a, secret: {secretName: web-token-volum}}
  - {name: b, projected: {sources: [{secret: {name: web-token-proj0}}]}}
"""
USED = ("pulls", "sees0", "envs0", "volum", "proj0")
LAST_USED = "kubernetes.io/legacy-token-last-used"


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


def looked_at(stage: Stage, name: str, days: int) -> list[Finding]:
    """What is found on a Secret so many days from now."""
    world = ClusterWorld(stage.api(), Env(environ=stage.environ, now=time.time() + days * DAY))
    secret = world.get("Secret", stage.namespace, name)
    assert secret is not None
    found, skipped, _ = examine(secret, world)
    assert not skipped
    return found


def test_an_unused_auto_generated_token_is_found_before_it_is_purged(stage: Stage) -> None:
    # a year cannot be waited for, so it is the clock of the plugin that goes ahead
    listed = service_account(more="secrets: [{name: web-token-x7k2p}]")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{listed}---{GENERATED}")
    stage.until(FILLED % "web-token-x7k2p")
    assert looked_at(stage, "web-token-x7k2p", 200) == []
    (finding,) = looked_at(stage, "web-token-x7k2p", 300)
    assert (finding.code, finding.certainty) == ("SAT211", "certain")

    stage.shell(BECOME % "web-token-x7k2p")
    warned = stage.shell(NOT_WARNED, check=False)
    assert warned.returncode, "the API server does not take it for auto-generated"
    assert finding.fix is not None
    for command in finding.fix.commands:
        stage.shell(command)
    # its use today would not help it so long: it counts as made by hand now
    assert looked_at(stage, "web-token-x7k2p", 300) == []
    stage.until(NOT_WARNED)


def test_a_token_secret_that_none_makes_any_more_is_explained(stage: Stage) -> None:
    stage.shell("kubectl -n $NS create serviceaccount web")
    asked = stage.satoken("doctor", "secret/web-token", "-n", stage.namespace)
    assert (asked.returncode, asked.stdout) == (3, "")
    error, hint = asked.stderr.splitlines()
    assert error == 'error: secrets "web-token" not found'
    assert "since Kubernetes 1.24 none is made by itself" in hint

    mint = hint.split("'")[1]
    token = stage.shell(mint).stdout.strip()
    assert review(stage, token) == ""
    stage.shell(hint.partition("needs the Secret: ")[2])
    stage.until(FILLED % "web-token")
    token = stage.shell(TAKEN % "web-token").stdout
    assert review(stage, token) == ""

    other = stage.satoken("doctor", "secret/nobodys-token", "-n", stage.namespace)
    assert other.stderr == 'error: secrets "nobodys-token" not found\n'


def test_no_value_of_a_secret_in_a_file_gets_out(stage: Stage, tmp_path: Path) -> None:
    stage.shell("kubectl -n $NS create serviceaccount web")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=TOKEN_SECRET)
    stage.until(FILLED % "web-token")
    token = stage.shell(TAKEN % "web-token").stdout
    dump = tmp_path / "dump.yaml"
    # with a token that cannot be right, so that there is something to tell
    dump.write_text(
        stage.shell("kubectl -n $NS get secret,serviceaccount -o yaml").stdout
        + f"\n---{service_account('other')}---{TOKEN_SECRET.replace('web', 'other')}"
        + f"data: {{token: {token}}}\nstringData: {{password: hunter2}}\n"
    )
    for output in ("wide", "json", "yaml"):
        done = stage.satoken("doctor", "-f", str(dump), "-n", stage.namespace, "-o", output)
        assert "SAT215" in done.stdout
        told = done.stdout + done.stderr
        assert "hunter2" not in told
        for part in token.split("."):
            assert part not in told
            assert part[:20] not in told


@pytest.mark.skipif(
    "SATOKEN_TEST_KUBECONFIG" in os.environ, reason="needs two clusters with flags of their own"
)
def test_the_cleaner_purges_what_was_foretold(tmp_path: Path) -> None:
    names = [f"web-token-{end}" for end in (*USED, "idle0", "idle1", "bylab", "odday", "byhnd")]
    listed = ", ".join(f"{{name: {name}}}" for name in names if not name.endswith("byhnd"))
    secrets = "---".join(TOKEN_SECRET.replace("web-token", name) for name in names)
    before = start(tmp_path / "before")
    try:
        stage = Stage(before, tmp_path)
        stage.open()
        text = OLD.replace("LISTED", listed).replace("SECRETS", secrets)
        stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
        for name in names:
            stage.until(FILLED % name)
        for name, used in (("bylab", "2020-01-01"), ("odday", "yesterday")):
            stage.shell(f"kubectl -n $NS label secret web-token-{name} {LAST_USED}={used}")
        stage.shell(
            f"kubectl -n kube-system patch configmap {TRACKING} "
            """-p '{"data":{"since":"2020-01-01"}}'"""
        )
        # from 2020 on the year of the default period begins with the making of the Secrets
        foretold = {
            name
            for name in names
            if "SAT211" in [finding.code for finding in looked_at(stage, name, 300)]
        }
        namespace = stage.namespace
    finally:
        before.stop()
    assert foretold == {"web-token-idle0", "web-token-idle1", "web-token-bylab"}

    period = {"legacy-service-account-token-clean-up-period": "1s"}
    after = start(
        tmp_path / "after",
        controller_manager_flags=period,
        data=tmp_path / "before" / "etcd",
    )
    try:
        stage = Stage(after, tmp_path)
        stage.namespace = stage.environ["NS"] = namespace
        marked = "kubectl -n $NS get secret -l kubernetes.io/legacy-token-invalid-since -o name"
        stage.until(f"{marked} | grep -q .")
        time.sleep(1)
        purged = {line.removeprefix("secret/") for line in stage.shell(marked).stdout.split()}
        assert purged == foretold
        played = stage.doctor("secret/web-token-idle0")
        assert played.report["findings"][0]["code"] == "SAT210"
    finally:
        after.stop()
