"""Tokens that the API server refuses: its own verdict, and what the checks make of it.

The tokens are signed here with the cluster's own key, so that one thing at a time is wrong.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.checks.rejected import reason_of
from kubectl_satoken.env import Env
from kubectl_satoken.live import ClusterWorld
from kubectl_satoken.review import by_token_review, by_using_it
from kubectl_satoken.token import decode
from kubectl_satoken.verify import token_object
from kubectl_satoken.world import Object, Sealed
from tests.cluster import Cluster
from tests.conftest import ROOT
from tests.scenarios import AS_WEB, Stage, service_account, template
from tests.signing import cluster_signer, foreign_signer

WEB = template(AS_WEB, kind="Pod")


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{WEB}")
    yield stage
    stage.close()


def claims(stage: Stage, **changes: Any) -> Object:
    """The claims of a good token of pod/web, as the kubelet would be given, with changes."""
    now = int(time.time())
    account = stage.get("sa", "web")["metadata"]
    pod = stage.get("pod", "web")["metadata"]
    document = json.loads(stage.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    return {
        "iss": document["issuer"],
        "aud": [document["issuer"]],
        "sub": f"system:serviceaccount:{stage.namespace}:web",
        "iat": now - 5,
        "nbf": now - 5,
        "exp": now + 3600,
        "kubernetes.io": {
            "namespace": stage.namespace,
            "serviceaccount": {"name": "web", "uid": account["uid"]},
            "pod": {"name": "web", "uid": pod["uid"]},
        },
        **changes,
    }


def judged(stage: Stage, *reviews: Object, token: Sealed) -> list[Finding]:
    """The findings on a token of pod/web with these verdicts."""
    api = stage.api()
    world = ClusterWorld(api, Env(environ=stage.environ))
    pod = stage.get("pod", "web")
    read = decode(token)
    item = token_object(
        pod,
        "a test",
        asked={"audience": "", "lifetime": 3607, "path": "/t/token", "container": "app"},
        header=read.header,
        payload=read.payload,
        reviews=list(reviews),
    )
    found, skipped, _ = examine(item, world)
    assert not skipped
    return found


def codes(stage: Stage, token: Sealed) -> list[str]:
    """What the real API server's verdict on a token is made into."""
    verdict = by_token_review(stage.api(), token)
    assert not verdict["authenticated"]
    assert verdict["error"]
    return [finding.code for finding in judged(stage, verdict, token=token)]


def test_a_good_token_is_taken_and_has_no_finding(stage: Stage, cluster: Cluster) -> None:
    token = cluster_signer(cluster).sign(claims(stage))
    verdict = by_token_review(stage.api(), token)
    assert verdict["authenticated"], verdict
    assert verdict["user"] == f"system:serviceaccount:{stage.namespace}:web"
    assert judged(stage, verdict, token=token) == []
    assert by_using_it(stage.api(), token) == {
        **verdict,
        "by": "SelfSubjectReview",
        "audiences": [],
    }


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SAT801", {"exp": 1_700_000_000, "iat": 1_699_996_400, "nbf": 1_699_996_400}),
        ("SAT802", {"nbf": 4_000_000_000, "iat": 4_000_000_000, "exp": 4_000_003_600}),
        ("SAT808", {"aud": ["vault"]}),
        ("SAT809", {"iss": "https://elsewhere.example"}),
    ],
)
def test_a_claim_that_the_api_server_refuses(
    code: str, changes: Object, stage: Stage, cluster: Cluster
) -> None:
    token = cluster_signer(cluster).sign(claims(stage, **changes))
    assert codes(stage, token) == [code]


def test_a_key_that_the_api_server_does_not_know(stage: Stage) -> None:
    assert codes(stage, foreign_signer().sign(claims(stage))) == ["SAT810"]


def test_refused_without_a_reason(stage: Stage, cluster: Cluster) -> None:
    # who may not create TokenReviews uses the token, and is told 401 and no more
    token = foreign_signer().sign(claims(stage))
    verdict = by_using_it(stage.api(), token)
    assert not verdict["authenticated"]
    # the administrator sees at least that the key is not published
    (finding,) = judged(stage, verdict, token=token)
    assert (finding.code, finding.certainty) == ("SAT810", "likely")
    changed = foreign_signer().sign(claims(stage), {"kid": cluster_signer(cluster).kid})
    verdict = by_using_it(stage.api(), changed)
    assert [finding.code for finding in judged(stage, verdict, token=changed)] == ["SAT814"]


def test_an_account_that_is_gone_and_one_that_was_made_again(
    stage: Stage, cluster: Cluster
) -> None:
    token = cluster_signer(cluster).sign(claims(stage))
    stage.shell("kubectl -n $NS delete serviceaccount web")
    stage.until("! kubectl -n $NS get serviceaccount web")
    # the pod's own SAT105 says so, which needs no token
    assert reason_of(by_token_review(stage.api(), token)["error"]) == "token-sa-deleted"
    assert codes(stage, token) == []
    stage.shell("kubectl -n $NS create serviceaccount web")
    # the API server looks accounts up in what it has heard of
    stage.until("kubectl -n $NS create token web >/dev/null")
    deadline = time.monotonic() + 20
    while (found := codes(stage, token)) != ["SAT804"]:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_a_pod_that_is_gone_and_one_of_another_uid(stage: Stage, cluster: Cluster) -> None:
    own = claims(stage)
    signer = cluster_signer(cluster)
    other = {**own["kubernetes.io"], "pod": {"name": "web", "uid": "another"}}
    assert codes(stage, signer.sign({**own, "kubernetes.io": other})) == ["SAT806"]
    gone = {**own["kubernetes.io"], "pod": {"name": "gone", "uid": "gone"}}
    assert codes(stage, signer.sign({**own, "kubernetes.io": gone})) == ["SAT805"]


def test_taken_by_some_and_refused_by_others(stage: Stage, cluster: Cluster) -> None:
    # two API servers with different keys: here one verdict each on tokens of two keys
    good = cluster_signer(cluster).sign(claims(stage))
    api = stage.api()
    verdicts = [
        by_token_review(api, good),
        by_token_review(api, foreign_signer().sign(claims(stage))),
    ]
    found = judged(stage, *verdicts, token=good)
    assert "SAT811" in [finding.code for finding in found]


def test_a_node_that_cannot_be_judged(stage: Stage, cluster: Cluster) -> None:
    # the text of servers before 1.33 with the gate off (pkg/serviceaccount/claims.go)
    error = (
        "[invalid bearer token, token is bound to a Node object but the "
        "ServiceAccountTokenNodeBindingValidation feature gate is disabled]"
    )
    own = claims(stage)
    own["kubernetes.io"]["node"] = {"name": "n1", "uid": "u"}
    token = cluster_signer(cluster).sign(own)
    verdict = {"by": "TokenReview", "authenticated": False, "audiences": [], "error": error}
    assert [one.code for one in judged(stage, verdict, token=token)] == ["SAT807"]


# --- doctor --verify


def doctor(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    return stage.satoken("doctor", *words, "-n", stage.namespace)


def report(stage: Stage, *words: str) -> Any:
    done = doctor(stage, *words, "-o", "json")
    assert "eyJ" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    jsonschema.validate(told, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    return told


def requests(cluster: Cluster, user: str) -> set[str]:
    """What a user has asked of the API server, by verb and resource."""
    seen = set()
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if (event.get("impersonatedUser") or event["user"]).get("username") == user:
            about = event.get("objectRef") or {}
            resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
            seen.add(f"{event['verb']} {resource}")
    return seen


def test_without_the_flag_doctor_only_reads(stage: Stage, cluster: Cluster) -> None:
    stage.environ["KUBECONFIG"] = str(cluster.user("reader-" + stage.namespace, ["system:masters"]))
    assert doctor(stage, "pod/web").returncode == 0
    verbs = {line.split()[0] for line in requests(cluster, "reader-" + stage.namespace)}
    assert verbs <= {"get", "list"}, verbs


def test_verify_says_that_the_token_is_taken_and_by_what(stage: Stage) -> None:
    done = doctor(stage, "pod/web", "--verify")
    assert done.returncode == 0, done.stdout
    assert "the API server takes the token (by TokenReview)" in " ".join(done.stdout.split())
    (used,) = report(stage, "pod/web", "--verify")["used"]
    assert (used["taken"], used["by"], used["container"]) == (True, "TokenReview", "app")
    assert used["user"] == f"system:serviceaccount:{stage.namespace}:web"


def test_verify_without_the_right_to_tokenreviews_uses_the_token(
    stage: Stage, cluster: Cluster
) -> None:
    stage.shell("kubectl -n $NS create rolebinding editor --clusterrole=edit --user=editor")
    stage.environ["KUBECONFIG"] = str(cluster.user("editor"))
    (used,) = report(stage, "pod/web", "--verify")["used"]
    assert (used["taken"], used["by"]) == (True, "SelfSubjectReview")


def test_verify_without_the_right_to_make_tokens_says_so(stage: Stage, cluster: Cluster) -> None:
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=viewer")
    stage.environ["KUBECONFIG"] = str(cluster.user("viewer"))
    told = report(stage, "pod/web", "--verify")
    assert told["used"] == []
    assert "forbidden to you: needs create serviceaccounts/token" in [
        skip["why"] for skip in told["skipped"]
    ]
    assert doctor(stage, "pod/web", "--verify", "--strict").returncode == 3


def test_files_cannot_be_verified(stage: Stage) -> None:
    done = stage.satoken("doctor", "-f", "-", "--verify")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --verify and --probe need a cluster, not files\n",
    )
