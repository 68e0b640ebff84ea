"""Tokens that have gone bad in a running pod: doctor --probe finds why, the printed fix is run as
printed, and then the container's token works.

What takes an hour to come about, or somebody's mistake, is made in a moment: in the kubelet's own
folder, from which the container reads. The kubelet would put that right within a minute or two.
"""

import base64
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from kubectl_satoken.world import Object
from tests.cluster import Cluster
from tests.cluster.node import enter
from tests.cluster.pki import create_ca
from tests.node.test_probe import TOOLS, codes, probe
from tests.scenarios import Stage, service_account, template, wrong_inside
from tests.signing import Signer, cluster_signer, foreign_signer

OTHER = foreign_signer()


def foreign_ca() -> str:
    """The certificate of an authority that has nothing to do with the cluster."""
    with TemporaryDirectory() as folder:
        create_ca(Path(folder))
        return (Path(folder) / "ca.crt").read_text()


class Fault(NamedTuple):
    """What ``file`` of the token's volume holds, made of the claims of a good token and of the
    cluster's key (None: it is not there); or what the container is given besides."""

    name: str
    code: str
    content: Callable[[Object, Signer], str | None] | None = None
    certainty: str = "certain"
    file: str = "token"
    app: str = ""
    more: str = ""


def moved(claims: Object, seconds: int) -> Object:
    """The claims of a token that was made so much later."""
    return {**claims, **{key: claims[key] + seconds for key in ("iat", "nbf", "exp")}}


def bound_to(claims: Object, kind: str = "pod", **other: str) -> Object:
    """The claims of a token that is bound to another pod or account, or to one of another uid."""
    private = claims["kubernetes.io"]
    return {**claims, "kubernetes.io": {**private, kind: {**private[kind], **other}}}


def signed(claims: Object, key: Signer, **header: Any) -> str:
    return key.sign(claims, header).reveal()


EMPTY_HOST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {KUBERNETES_SERVICE_HOST: '', COLOUR: blue}
"""

FAULTS = [
    Fault("expired", "SAT801", lambda claims, key: signed(moved(claims, -4100), key)),
    Fault("of-the-future", "SAT802", lambda claims, key: signed(moved(claims, 600), key)),
    Fault(
        "of-an-earlier-account",
        "SAT804",
        lambda claims, key: signed(bound_to(claims, "serviceaccount", uid="earlier"), key),
    ),
    Fault(
        "of-a-pod-that-is-gone",
        "SAT805",
        lambda claims, key: signed(bound_to(claims, name="gone", uid="gone"), key),
    ),
    Fault(
        "of-an-earlier-pod",
        "SAT806",
        lambda claims, key: signed(bound_to(claims, uid="earlier"), key),
    ),
    Fault(
        "for-another-service",
        "SAT808",
        lambda claims, key: signed({**claims, "aud": ["vault"]}, key),
        "likely",
    ),
    Fault(
        "of-another-issuer",
        "SAT809",
        lambda claims, key: signed({**claims, "iss": "https://old.example"}, key),
        "likely",
    ),
    Fault("of-another-key", "SAT810", lambda claims, _: signed(claims, OTHER), "likely"),
    Fault("tampered-with", "SAT814", lambda claims, key: signed(claims, OTHER, kid=key.kid)),
    Fault("empty", "SAT815", lambda *_: ""),
    Fault(
        "still-in-base64",
        "SAT815",
        lambda claims, key: base64.b64encode(signed(claims, key).encode()).decode(),
    ),
    Fault("not-renewed", "SAT816", lambda claims, key: signed(moved(claims, -3400), key)),
    Fault("missing", "SAT817", lambda *_: None),
    Fault("without-a-certificate", "SAT821", lambda *_: None, file="ca.crt"),
    Fault("with-a-foreign-certificate", "SAT819", lambda *_: foreign_ca(), "likely", file="ca.crt"),
    Fault(
        "with-another-address",
        "SAT819",
        certainty="likely",
        app="env: [{name: KUBERNETES_SERVICE_HOST, value: 127.0.0.1}]",
    ),
    Fault(
        "without-an-address",
        "SAT820",
        app="envFrom: [{configMapRef: {name: settings}}]",
        more=EMPTY_HOST,
    ),
]


class Outcome(NamedTuple):
    """What doctor told before and after the fix, and what was wrong with the token then."""

    before: Any
    after: Any
    wrong: str


@pytest.fixture(scope="module")
def outcomes(
    node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Outcome]]:
    """All faults at once, each in a Deployment of its own, since pods take their time."""
    stage = Stage(node_cluster, tmp_path_factory.mktemp("faults"))
    stage.open()
    texts = [service_account()]
    for fault in FAULTS:
        app = TOOLS.replace("{name: app,", f"{{name: app, {fault.app},") if fault.app else TOOLS
        spec = f"serviceAccountName: web, containers: [{app}]"
        texts += [*([fault.more] if fault.more else []), template(spec, name=fault.name)]
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin="---".join(texts))
    # so that nothing else is to be told
    stage.shell("kubectl -n $NS create rolebinding w --clusterrole=view --serviceaccount=$NS:web")
    pods = settled(stage)
    before = {fault.name: found(stage, fault, pods[fault.name]) for fault in FAULTS}
    for fault in FAULTS:
        for finding in before[fault.name]["findings"][:1]:
            for command in finding["fix"]["commands"]:
                stage.shell(command)
    pods = settled(stage, pods)
    yield {
        fault.name: Outcome(
            before[fault.name],
            probe(stage, f"deploy/{fault.name}"),
            wrong_inside(stage, pods[fault.name]["metadata"]["name"]),
        )
        for fault in FAULTS
    }
    stage.close()


def settled(stage: Stage, old: dict[str, Object] | None = None) -> dict[str, Object]:
    """The one pod of each Deployment, when it runs and is not the old one."""
    limit = time.monotonic() + 120
    while True:
        pods: dict[str, list[Object]] = {fault.name: [] for fault in FAULTS}
        for pod in stage.get("pods")["items"]:
            pods[pod["metadata"]["labels"]["app"]].append(pod)
        late = [
            name
            for name, found in pods.items()
            if len(found) != 1
            or not runs(found[0])
            or (old and found[0]["metadata"]["uid"] == old[name]["metadata"]["uid"])
        ]
        if not late:
            return {name: found for name, (found,) in pods.items()}
        assert time.monotonic() < limit, f"not settled: {late}"
        time.sleep(0.3)


def runs(pod: Object) -> bool:
    """Whether the container of a pod runs."""
    return any("running" in one["state"] for one in pod["status"].get("containerStatuses") or [])


def found(stage: Stage, fault: Fault, pod: Object) -> Any:
    """What doctor tells of a fault."""
    for _ in range(3):  # the kubelet may look between
        if fault.content is not None:
            write(stage, pod, fault)
        report = probe(stage, f"deploy/{fault.name}")
        if fault.code in codes(report):
            break
    return report


def write(stage: Stage, pod: Object, fault: Fault) -> None:
    """Writes what is wrong where the kubelet writes, or removes it."""
    account = stage.get("sa", "web")["metadata"]
    now = int(time.time())
    issuer = "https://kubernetes.default.svc.cluster.local"
    good = {
        "iss": issuer,
        "aud": [issuer],
        "sub": f"system:serviceaccount:{stage.namespace}:web",
        **{"iat": now, "nbf": now, "exp": now + 3607},
        "kubernetes.io": {
            "namespace": stage.namespace,
            "serviceaccount": {"name": "web", "uid": account["uid"]},
            "pod": {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
        },
    }
    volume = pod["spec"]["volumes"][0]["name"]
    assert volume.startswith("kube-api-access-")
    pods = "/var/lib/kubelet/pods"
    folder = f"{pods}/{pod['metadata']['uid']}/volumes/kubernetes.io~projected/{volume}/..data"
    assert fault.content is not None
    text = fault.content(good, cluster_signer(stage.cluster))
    line = f"rm -f {folder}/{fault.file}" if text is None else f"cat > {folder}/{fault.file}"
    subprocess.run(
        enter(stage.cluster.pids["node"], ["sh", "-c", line]), input=text, text=True, check=True
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_is_told_first_and_the_fix_makes_the_token_work(
    fault: Fault, outcomes: dict[str, Outcome]
) -> None:
    before, after, wrong = outcomes[fault.name]
    first = before["findings"][0]
    assert (first["code"], first["certainty"]) == (fault.code, fault.certainty)
    assert first["affected"] == 1
    assert [one["code"] for one in after["findings"]] == []
    assert [one["taken"] for one in after["used"]] == [True]
    assert wrong == ""


def test_nothing_else_is_told_but_what_follows(outcomes: dict[str, Outcome]) -> None:
    told = {name: [one["code"] for one in one.before["findings"]] for name, one in outcomes.items()}
    # an expired token was not renewed, either
    assert told.pop("expired") == ["SAT801", "SAT816"]
    assert {tuple(codes) for codes in told.values()} == {(one.code,) for one in FAULTS[1:]}
