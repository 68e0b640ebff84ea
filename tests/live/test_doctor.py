"""doctor against a control plane without a node: the same faults, with the kubelet played by us."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.scenarios import (
    AS_WEB,
    OFF,
    PLACE,
    PLAIN,
    TOKEN_SECRET,
    Scenario,
    Stage,
    play,
    review,
    scenarios,
    service_account,
    template,
    wait_for_token,
)


class Kubelet:
    """Mints what the kubelet would ask for, and keeps it for the life of a pod, as that does."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str], str] = {}

    def works(self, stage: Stage, scenario: Scenario) -> str:
        """What would be wrong with the token in container app; empty when it would work."""
        if scenario.target.startswith("secret/"):
            return self.review_secret(stage, scenario.target)
        if scenario.secret:
            return self.review_secret(stage, f"secret/{scenario.secret}")
        pods = stage.pods()
        if not pods:
            return "no pod"
        return self.in_pod(stage, pods[-1], scenario)

    def review_secret(self, stage: Stage, secret: str) -> str:
        found = stage.shell(f"kubectl -n $NS get {secret} -o json", check=False)
        if found.returncode:
            return found.stderr
        token = json.loads(found.stdout).get("data", {}).get("token")
        return review(stage, base64.b64decode(token).decode()) if token else "empty"

    def in_pod(self, stage: Stage, pod: dict[str, Any], scenario: Scenario) -> str:
        spec = pod["spec"]
        mounts = spec["containers"][0].get("volumeMounts", [])
        names = [mount["name"] for mount in mounts if mount["mountPath"] == PLACE]
        volumes = [volume for volume in spec.get("volumes", []) if volume["name"] in names]
        if not volumes:
            return "nothing is mounted"
        (volume,) = volumes
        if "secret" in volume:
            return self.review_secret(stage, f"secret/{volume['secret']['secretName']}")
        for source in volume.get("projected", {}).get("sources", []):
            name = source.get("configMap", {}).get("name")
            found = stage.shell(f"kubectl -n $NS get configmap {name} -o json", check=False)
            if name and found.returncode:
                return found.stderr
            for item in source.get("configMap", {}).get("items", []):
                if item["key"] not in json.loads(found.stdout).get("data", {}):
                    return f"configmap references non-existent config key: {item['key']}"
        for source in volume.get("projected", {}).get("sources", []):
            if source.get("serviceAccountToken", {}).get("path") == "token":
                wrong = self.token_of(stage, pod, source["serviceAccountToken"])
                return wrong or self.request(stage, spec["serviceAccountName"], scenario)
        return "the volume has no token"

    def token_of(self, stage: Stage, pod: dict[str, Any], source: dict[str, Any]) -> str:
        key = (pod["metadata"]["uid"], source.get("audience", ""))
        if key not in self.tokens:
            body = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": [source["audience"]] if source.get("audience") else [],
                    "expirationSeconds": source["expirationSeconds"],
                    "boundObjectRef": {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "name": pod["metadata"]["name"],
                        "uid": pod["metadata"]["uid"],
                    },
                },
            }
            path = (
                f"/api/v1/namespaces/{stage.namespace}/serviceaccounts/"
                f"{pod['spec']['serviceAccountName']}/token"
            )
            made = json.loads(
                stage.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
            )
            self.tokens[key] = made["status"]["token"]
        return review(stage, self.tokens[key])

    def request(self, stage: Stage, account: str, scenario: Scenario) -> str:
        if not scenario.asks:
            return ""
        user = f"system:serviceaccount:$NS:{account}"
        asked = stage.shell(f"kubectl -n $NS auth can-i {scenario.asks} --as={user}", check=False)
        return "" if asked.returncode == 0 else asked.stdout


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path)
    stage.open()
    yield stage
    stage.close()


# a DaemonSet makes pods for nodes, and there is none here
NODELESS = [
    scenario for scenario in scenarios("live") if not scenario.target.startswith("daemonset/")
]


@pytest.mark.parametrize("scenario", NODELESS, ids=lambda scenario: scenario.name)
def test_the_printed_fix_makes_the_token_work(scenario: Scenario, stage: Stage) -> None:
    play(scenario, stage, Kubelet().works)


def test_a_token_secret_without_its_annotation_is_refused_and_mended(
    stage: Stage, tmp_path: Path
) -> None:
    # SAT202: only files can have it, since no API server takes it
    manifest = tmp_path / "secret.yaml"
    manifest.write_text(
        service_account()
        + "---"
        + TOKEN_SECRET.replace("service-account.name", "serviceaccount.name")
    )
    refused = stage.shell(f"kubectl -n $NS apply -f {manifest}", check=False)
    assert "kubernetes.io/service-account.name]: Required value" in refused.stderr

    done = stage.satoken("doctor", "-f", str(manifest), "-n", stage.namespace, "-o", "json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["code"], done.returncode) == ("SAT202", 1)
    for command in finding["fix"]["commands"]:
        stage.shell(command)
    secret = Scenario("", "", "secret/web-token", "")
    wait_for_token(stage, secret, Kubelet().works)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("selector:", "serviceAccountName: web, selector:"),
        ("{metadata: {labels", "{serviceAccountName: web, metadata: {labels"),
        ("containers:", "serviceaccountName: web, containers:"),
    ],
)
def test_an_account_named_at_the_wrong_place_is_found_in_the_manifest(
    right: str, wrong: str, stage: Stage, tmp_path: Path
) -> None:
    # SAT107: what the API server stores has lost the name, so only the file shows it
    manifest = tmp_path / "web.yaml"
    manifest.write_text(f"{service_account()}---{template(PLAIN).replace(right, wrong, 1)}")
    stage.shell(f"kubectl -n $NS apply --validate=false -f {manifest}")
    stored = "kubectl -n $NS get deploy web -o jsonpath={.spec.template.spec.serviceAccountName}"
    assert stage.shell(stored).stdout == ""

    done = stage.satoken("doctor", "-f", str(manifest), "-n", stage.namespace, "-o", "json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["code"], finding["certainty"]) == ("SAT107", "certain")
    assert done.returncode == 1
    for command in finding["fix"]["commands"]:
        stage.shell(command)
    assert stage.shell(stored).stdout == "web"


def test_a_workload_without_pods_is_told_of_by_its_template(stage: Stage) -> None:
    idle = template(AS_WEB).replace("replicas: 1", "replicas: 0")
    for text, target in ((template(AS_WEB, kind="CronJob"), "cj/web"), (idle, "deploy/web")):
        apply(stage, f"{service_account()}---{text}")
        played = stage.doctor(target)
        assert played.status == 0
        assert "has a working token" in played.text.splitlines()[0]
        assert "  note      by its template: no pod of it was seen\n" in played.text
        (token,) = played.report["tokens"]
        assert token["user"] == f"system:serviceaccount:{stage.namespace}:web"
    apply(stage, template(AS_WEB))
    stage.until("kubectl -n $NS get pod -l app=web -o name | grep -q pod/")
    assert "by its template" not in stage.doctor("deploy/web").text


# --- what the user may see


@pytest.fixture
def view(stage: Stage) -> Stage:
    """The same namespace, seen by a user who has the role view in it and nothing else."""
    stage.shell("kubectl -n $NS create rolebinding viewer --clusterrole=view --user=viewer")
    stage.environ["KUBECONFIG"] = str(stage.cluster.user("viewer"))
    return stage


def apply(stage: Stage, manifest: str) -> None:
    admin = {**stage.environ, "KUBECONFIG": str(stage.cluster.kubeconfig)}
    subprocess.run(
        ["kubectl", "-n", stage.namespace, "apply", "-f", "-"],
        input=manifest,
        env=admin,
        text=True,
        check=True,
        capture_output=True,
    )


def test_view_is_enough_to_find_a_fault(view: Stage) -> None:
    apply(view, f"{OFF}---{template(AS_WEB, kind='Pod')}")
    played = view.doctor("pod/web")
    assert [finding["code"] for finding in played.report["findings"]] == ["SAT102"]
    assert played.report["findings"][0]["certainty"] == "certain"


def test_with_view_what_was_not_seen_is_said(view: Stage) -> None:
    apply(view, f"{service_account()}---{template(AS_WEB, kind='Pod')}")
    played = view.doctor("pod/web")
    assert (played.status, played.report["findings"]) == (0, [])
    assert "SAT501" in {skip["code"] for skip in played.report["skipped"]}
    assert {skip["what"] for skip in played.report["skipped"]} == {"rolebindings"}
    assert "  may       not known: rolebindings not seen\n" in played.text
    assert [one["may"] for one in played.report["rights"]] == [[]]
    assert played.text.startswith("ok: pod/web has a working token\n")
    assert "  not seen  rolebindings: forbidden to you" in played.text
    strict = view.satoken("doctor", "pod/web", "-n", view.namespace, "--strict")
    assert strict.returncode == 3


def test_with_view_a_missing_secret_is_told_by_the_event_alone(view: Stage) -> None:
    mount = f"volumeMounts: [{{name: t, mountPath: {PLACE}}}]"
    container = PLAIN.replace("{name: app,", f"{{name: app, {mount},")
    volume = "volumes: [{name: t, secret: {secretName: default-token-x7k2p}}]"
    apply(view, template(f"{container}, {volume}", kind="Pod"))
    before = view.doctor("pod/web")
    assert before.report["findings"] == []
    assert "SAT203" in {skip["code"] for skip in before.report["skipped"]}
    pod = view.get("pod", "web")
    apply(
        view,
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "web.1"},
                "involvedObject": {
                    "kind": "Pod",
                    "name": "web",
                    "namespace": view.namespace,
                    "uid": pod["metadata"]["uid"],
                },
                "type": "Warning",
                "reason": "FailedMount",
                "source": {"component": "kubelet"},
                "message": 'MountVolume.SetUp failed for volume "t" : '
                'secret "default-token-x7k2p" not found',
            }
        ),
    )
    after = view.doctor("pod/web")
    assert [finding["code"] for finding in after.report["findings"]] == ["SAT203"]


def test_a_pod_that_is_not_there_is_said_in_the_words_of_kubectl(stage: Stage) -> None:
    asked = stage.satoken("doctor", "pod/nix", "-n", stage.namespace)
    theirs = stage.shell("kubectl -n $NS get pod nix", check=False)
    assert (asked.returncode, asked.stdout) == (3, "")
    assert asked.stderr == 'error: pods "nix" not found\n'
    assert asked.stderr.removeprefix("error: ") in theirs.stderr


def test_a_user_who_may_see_nothing_is_told_so(stage: Stage) -> None:
    stage.environ["KUBECONFIG"] = str(stage.cluster.user("nobody"))
    asked = stage.satoken("doctor", "pod/web", "-n", stage.namespace)
    assert asked.returncode == 3
    assert asked.stdout == ""
    assert asked.stderr.startswith("error: pods")
    assert "forbidden" in asked.stderr


# --- kubectl's flags


def test_flags_choose_cluster_and_user_and_fixes_repeat_the_cluster(stage: Stage) -> None:
    apply(stage, template(f"automountServiceAccountToken: false, {PLAIN}", kind="Pod"))
    context = stage.shell("kubectl config current-context").stdout.strip()
    config = str(stage.cluster.kubeconfig)
    # no environment leads to the cluster: only the flags do
    stage.environ["KUBECONFIG"] = "/nonexistent"
    flags = [f"--kubeconfig={config}", "--context", context, "-n", stage.namespace]
    done = stage.satoken("doctor", "pod/web", *flags, "-o", "json")
    assert (done.returncode, done.stderr) == (1, "")
    (finding,) = json.loads(done.stdout)["findings"]
    (command,) = finding["fix"]["commands"]
    assert f"kubectl --kubeconfig {config} --context {context} -n {stage.namespace} get" in command
    stage.shell(command)
    healed = stage.satoken("doctor", "pod/web", *flags)
    assert healed.returncode == 0, healed.stdout
    stage.environ["KUBECONFIG"] = config


def test_with_as_it_is_that_users_view(stage: Stage) -> None:
    apply(stage, service_account() + "---" + template(AS_WEB, kind="Pod"))
    stage.until("kubectl -n $NS get pod web")
    stage.shell("kubectl -n $NS create rolebinding viewers --clusterrole=view --group=viewers")
    whole = ["doctor", "pod/web", "-n", stage.namespace, "-o", "json", "--as=jane"]
    refused = stage.satoken(*whole)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "forbidden" in refused.stderr
    seen = stage.satoken(*whole, "--as-group=viewers")
    assert seen.returncode == 0
    assert {skip["what"] for skip in json.loads(seen.stdout)["skipped"]} == {"rolebindings"}


def test_a_token_is_taken_but_never_shown(stage: Stage) -> None:
    apply(stage, service_account("robot") + "---" + template(PLAIN, kind="Pod"))
    stage.shell("kubectl -n $NS create rolebinding r --clusterrole=view --serviceaccount=$NS:robot")
    token = stage.kubectl("-n", stage.namespace, "create", "token", "robot").strip()
    server = ["--server", stage.cluster.server, "--certificate-authority", str(stage.cluster.ca)]
    stage.environ["KUBECONFIG"] = ""
    done = stage.satoken(
        "doctor", "pod/web", "-n", stage.namespace, *server, "--token", token, "-v=9"
    )
    stage.environ["KUBECONFIG"] = str(stage.cluster.kubeconfig)
    assert done.returncode == 0, done.stderr
    assert "GET " in done.stderr
    parts = token.split(".")
    assert not any(part in done.stderr + done.stdout for part in (token, parts[1], parts[2]))


def test_a_server_that_does_not_answer_is_one_line(stage: Stage) -> None:
    started = stage.satoken(
        "doctor", "pod/web", "--server", "https://127.0.0.1:1", "--request-timeout=2s"
    )
    assert (started.returncode, started.stdout) == (3, "")
    assert started.stderr.startswith("error: could not reach https://127.0.0.1:1: ")
    assert "Traceback" not in started.stderr
