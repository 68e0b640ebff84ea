"""Tokens that a real API server refuses, or does not make: doctor --verify finds why, the printed
fix is run as it was printed, and then the token is taken.

What only a container shows is in tests/node/test_token_faults.py.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, join
from tests.cluster.pki import create_service_account_keys
from tests.scenarios import AS_WEB, PLAIN, Stage, service_account, template
from tests.scenarios.kubelet import NO_TOKENS

WEB = template(AS_WEB, kind="Pod")


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=f"{service_account()}---{WEB}")
    yield stage
    stage.close()


def verified(stage: Stage, *words: str) -> Any:
    """What doctor --verify says of pod/web."""
    words = words or ("--verify",)
    done = stage.satoken("doctor", "pod/web", "-n", stage.namespace, *words, "-o", "json")
    assert "eyJ" not in done.stdout + done.stderr
    return json.loads(done.stdout)


def first(report: Any) -> tuple[str, str]:
    """Code and certainty of what is told first."""
    finding = report["findings"][0]
    return finding["code"], finding["certainty"]


def codes(report: Any) -> list[str]:
    """What is found, but for hints."""
    return [one["code"] for one in report["findings"] if one["severity"] != "hint"]


def taken(report: Any) -> list[bool]:
    return [one["taken"] for one in report["used"]]


def run_fix(stage: Stage, finding: Any) -> None:
    """Runs the commands of a fix as they were printed, as the administrator."""
    mine = stage.environ["KUBECONFIG"]
    if "users" in Path(mine).parts:
        stage.environ["KUBECONFIG"] = str(stage.cluster.kubeconfig)
    for command in finding["fix"]["commands"]:
        stage.shell(command)
    stage.environ["KUBECONFIG"] = mine


# --- API servers with other keys, and with others beside them


class Address:
    """One address behind which several API servers are, each connection with the next of them."""

    def __init__(self, *servers: Cluster) -> None:
        self.servers = list(servers)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        number = 0
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = self.servers[number % len(self.servers)]
            number += 1
            port = int(server.server.rpartition(":")[2])
            far = socket.create_connection(("127.0.0.1", port))
            for one, other in ((client, far), (far, client)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

    def kubeconfig(self, path: Path) -> str:
        """The administrator's, by this address."""
        cluster = self.servers[0]
        text = cluster.kubeconfig.read_text()
        path.write_text(text.replace(cluster.server, f"https://127.0.0.1:{self.port}"))
        path.chmod(0o600)
        return str(path)


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hands on all that comes from one side."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_keys_and_lifetimes_of_api_servers(stage: Stage, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    create_service_account_keys(keys)
    old = str(stage.cluster.service_account_key.with_suffix(".pub"))
    flags = {
        "service-account-signing-key-file": str(keys / "sa.key"),
        "service-account-max-token-expiration": "1h",
    }

    # it signs with a key that it does not know
    wrong = join(stage.cluster, tmp_path / "wrong", flags)
    stage.environ["KUBECONFIG"] = str(wrong.kubeconfig)
    report = verified(stage)
    assert first(report) == ("SAT810", "certain")
    assert (codes(report), taken(report)) == (["SAT810"], [False])
    unknown_key = report["findings"][0]
    # who may not ask for the reason
    stage.shell("kubectl -n $NS create rolebinding editor --clusterrole=edit --user=editor")
    stage.environ["KUBECONFIG"] = str(wrong.user("editor"))
    report = verified(stage)
    assert first(report) == ("SAT814", "certain")
    refused = report["findings"][0]
    wrong.stop()

    # the admin gives it both keys, as SAT810 says
    flags = {**flags, "service-account-key-file": [old, str(keys / "sa.pub")]}  # type: ignore[dict-item]
    mended = join(stage.cluster, tmp_path / "mended", flags)
    stage.environ["KUBECONFIG"] = str(mended.kubeconfig)
    for finding in (unknown_key, refused):
        run_fix(stage, finding)
    report = verified(stage)
    assert (codes(report), taken(report)) == ([], [True])

    # what is left is a cap: nothing is wrong with it, so no fix is printed
    (capped,) = [one for one in report["findings"] if one["code"] == "SAT812"]
    assert (capped["severity"], capped.get("fix")) == ("hint", None)
    told = verified(stage, "--fail-on=hint")["findings"]
    assert "SAT812" not in [one["code"] for one in told], "it took a token to see that"
    stage.environ["KUBECONFIG"] = str(mended.user("editor"))
    assert (codes(verified(stage)), taken(verified(stage))) == ([], [True])

    # another one behind the same address does not have the new key
    address = Address(mended, stage.cluster)
    stage.environ["KUBECONFIG"] = address.kubeconfig(tmp_path / "several.kubeconfig")
    limit = time.monotonic() + 30
    while not codes(report := verified(stage)):  # a token of the other one is taken by both
        assert time.monotonic() < limit
    assert (first(report), codes(report)) == (("SAT811", "likely"), ["SAT811"])
    run_fix(stage, report["findings"][0])
    address.servers.pop()
    for _ in range(3):
        report = verified(stage)
        assert (codes(report), taken(report)) == ([], [True])
    address.listener.close()
    mended.stop()


# --- the account


def test_an_account_whose_deletion_is_held(stage: Stage, cluster: Cluster) -> None:
    stage.shell(
        "kubectl -n $NS patch serviceaccount web -p "
        '\'{"metadata":{"finalizers":["example.com/backup"]}}\' && '
        "kubectl -n $NS delete serviceaccount web --wait=false"
    )
    # within the first minute its tokens are taken
    assert (codes(verified(stage)), taken(verified(stage))) == ([], [True])
    account = stage.get("serviceaccount", "web")
    account["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.store("serviceaccounts", account)
    stage.until("kubectl -n $NS get serviceaccount web -o yaml | grep -q 2026-01-01")

    # to who may see the account it tells all
    report = verified(stage, "--fail-on=error")
    assert (first(report), codes(report)) == (("SAT105", "certain"), ["SAT105"])
    held = report["findings"][0]
    assert "example.com/backup" in held["fix"]["summary"]
    report = verified(stage)
    assert (first(report), codes(report), taken(report)) == (
        ("SAT105", "certain"),
        ["SAT105"],
        [False],
    )
    # and to who may not, the API server does
    stage.shell(
        "kubectl -n $NS create role minter --verb=create --resource=serviceaccounts/token && "
        "kubectl -n $NS create role looker --verb=get,list --resource=pods && "
        "kubectl -n $NS create rolebinding minter --role=minter --user=minter && "
        "kubectl -n $NS create rolebinding looker --role=looker --user=minter && "
        "kubectl create clusterrolebinding minter-$NS --user=minter "
        "--clusterrole=system:auth-delegator"
    )
    stage.environ["KUBECONFIG"] = str(cluster.user("minter"))
    report = verified(stage)
    assert (first(report), codes(report)) == (("SAT803", "certain"), ["SAT803"])
    assert report["findings"][0]["fix"]["commands"] == held["fix"]["commands"]
    run_fix(stage, report["findings"][0])
    report = verified(stage)
    assert (codes(report), taken(report)) == ([], [True])
    stage.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    assert (codes(verified(stage)), taken(verified(stage))) == ([], [True])
    stage.forget_roles()


def test_an_account_that_is_gone(stage: Stage) -> None:
    stage.shell("kubectl -n $NS delete serviceaccount web")
    report = verified(stage)
    assert (first(report), codes(report)) == (("SAT105", "certain"), ["SAT105"])
    run_fix(stage, report["findings"][0])
    report = verified(stage)
    assert (codes(report), taken(report)) == ([], [True])


# --- no token is made

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: no-tokens-NS}
webhooks:
- name: tokens.example.com
  clientConfig: {service: {namespace: NS, name: nobody}}
  rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: ['*/*']}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  failurePolicy: Fail
  sideEffects: None
  timeoutSeconds: 1
  admissionReviewVersions: [v1]
"""


@pytest.mark.parametrize(("denier", "words"), [(NO_TOKENS, "not now"), (WEBHOOK, "nobody")])
def test_a_denier_of_tokens_is_told_to_let_them_pass(denier: str, words: str, stage: Stage) -> None:
    stage.kubectl("apply", "-f", "-", stdin=denier.replace("NS", stage.namespace))
    stage.until("! kubectl -n $NS create token web >/dev/null")
    report = verified(stage)
    assert (first(report), codes(report)) == (("SAT813", "certain"), ["SAT813"])
    finding = report["findings"][0]
    assert words in finding["object"]["value"]
    run_fix(stage, finding)
    # the API server follows it a moment later
    stage.until("kubectl -n $NS create token web >/dev/null")
    report = verified(stage)
    assert (codes(report), taken(report)) == ([], [True])
    kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies"
    kinds += ",validatingwebhookconfigurations"
    stage.shell(f"kubectl get {kinds} -o name | grep no-tokens-$NS | xargs -r kubectl delete")


def test_the_usual_pod_has_nothing_to_tell(stage: Stage) -> None:
    text = template(PLAIN, kind="Pod").replace("web", "plain")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    done = stage.satoken("doctor", "pod/plain", "-n", stage.namespace, "--verify", "-o", "json")
    report = json.loads(done.stdout)
    assert (report["findings"], taken(report)) == ([], [True])
