"""Faults as they happen in clusters, and how they are mended: played by tests/live and tests/node.

The modules of this package have the scenarios, by where the fault lies; this is their stage.

Each scenario is built on a real cluster, diagnosed by the installed plugin through kubectl, mended
by running the printed commands as they were printed, and then the token must work. What "works"
means is said by an oracle: a control plane alone can only mint what the kubelet would ask for and
review it; with a node the token is read, and used, inside the running pod.
"""

import importlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from kubectl_satoken.cluster import Api, connect
from kubectl_satoken.env import Env
from kubectl_satoken.errors import NotFound
from kubectl_satoken.kubeconfig import Overrides, load
from tests.cluster import Cluster

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
SLEEP = "{name: app, image: 'busybox:1', imagePullPolicy: Never, command: [sleep, '3600']}"


class Scenario(NamedTuple):
    """A fault.

    ``manifest`` is applied, then ``events`` are run as shell lines (with the namespace in $NS),
    then ``target`` is asked about. ``wait`` is a shell condition that must hold before that. The
    printed fix comes after ``undo`` and before ``after``, and at the end comes ``restore``, which
    are shell lines, too. ``asks`` is what the token must allow, and ``secret`` the one from which
    the token is taken into $TOKEN.

    Where the token is not the whole story, ``proof`` is a shell line in the place of the oracle: it
    fails while there is a fault, and succeeds when it is mended. ``where`` it is played: "live" on
    a control plane alone, "node" on pods that run.

    What no API server would store is asked about as a ``file``: it is not applied, and ``target``
    is what the fix makes of it.
    """

    name: str
    code: str
    target: str
    manifest: str
    events: tuple[str, ...] = ()
    wait: str = ""
    undo: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    certainty: str = "certain"
    asks: str = ""
    secret: str = ""
    restore: tuple[str, ...] = ()
    proof: str = ""
    where: tuple[str, ...] = ("live", "node")
    file: bool = False


def template(spec: str, *, kind: str = "Deployment", name: str = "web") -> str:
    """A workload of one pod, with this pod spec (flow style, without the braces)."""
    pod = f"{{terminationGracePeriodSeconds: 0, {spec}}}"
    labelled = f"{{metadata: {{labels: {{app: {name}}}}}, spec: {pod}}}"
    select = f"selector: {{matchLabels: {{app: {name}}}}}"
    if kind == "Pod":
        return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec: {pod}
"""
    if kind == "Job":
        again = labelled.replace("{terminationGrace", "{restartPolicy: Never, terminationGrace")
        return f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec: {{template: {again}}}
"""
    if kind == "CronJob":
        again = labelled.replace("{terminationGrace", "{restartPolicy: Never, terminationGrace")
        return f"""
apiVersion: batch/v1
kind: CronJob
metadata: {{name: {name}}}
spec: {{schedule: '0 0 1 1 *', jobTemplate: {{spec: {{template: {again}}}}}}}
"""
    if kind == "ReplicationController":
        return f"""
apiVersion: v1
kind: ReplicationController
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, template: {labelled}}}
"""
    extra = {"StatefulSet": f"serviceName: {name}, ", "DaemonSet": ""}.get(kind, "replicas: 1, ")
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec: {{{extra}{select}, template: {labelled}}}
"""


def service_account(name: str = "web", more: str = "") -> str:
    return f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
{more}
"""


def applied(manifest: str) -> str:
    """A shell line that applies a manifest."""
    return f"kubectl -n $NS apply -f - <<'EOF'\n{manifest}EOF"


def mounted(mount: str, volume: str) -> str:
    """A container with a mount, and a volume for it."""
    container = SLEEP.replace("{name: app,", f"{{name: app, volumeMounts: [{mount}],")
    return f"containers: [{container}], volumes: [{volume}]"


OFF = service_account(more="automountServiceAccountToken: false")
PLAIN = f"containers: [{SLEEP}]"
AS_WEB = f"serviceAccountName: web, {PLAIN}"
VOLUME = "{name: t, projected: {sources: [{serviceAccountToken: {path: token%s}}]}}"
FULL = (
    "{name: t, projected: {sources: [{serviceAccountToken: {path: token}}, "
    "{configMap: {name: kube-root-ca.crt}}, {downwardAPI: {items: "
    "[{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}}"
)
AT_PLACE = f"{{name: t, mountPath: {PLACE}}}"

TOKEN_SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  annotations: {kubernetes.io/service-account.name: web}
"""

# Checks whose scenario is a test of its own, and those whose fault no cluster of ours can have.
TOKENS_LIVE = "tests/live/test_token_faults.py"
TOKENS_NODE = "tests/node/test_token_faults.py"
PLAYED_IN = {
    "SAT108": "tests/live/test_admission_off.py",
    "SAT202": "tests/live/test_doctor.py",
    "SAT211": "tests/live/test_legacy.py",
    "SAT803": TOKENS_LIVE,
    "SAT810": TOKENS_LIVE,
    "SAT811": TOKENS_LIVE,
    "SAT812": TOKENS_LIVE,
    "SAT813": TOKENS_LIVE,
    "SAT818": "tests/node/test_probe.py",
    **dict.fromkeys(
        ("SAT801", "SAT802", "SAT804", "SAT805", "SAT806", "SAT808", "SAT809", "SAT814", "SAT815"),
        TOKENS_NODE,
    ),
    **dict.fromkeys(("SAT816", "SAT817", "SAT819", "SAT820", "SAT821"), TOKENS_NODE),
}
NOT_PLAYED = {
    "SAT807": "the feature gates by which API servers differ there are fixed since Kubernetes 1.33",
}

POD_IS_THERE = "kubectl -n $NS get pod -l app=web -o name | grep -q pod/"
FAILED_CREATE = "kubectl -n $NS get events | grep -q FailedCreate"


class Played(NamedTuple):
    """What the plugin printed: status, the report, and the text for a person."""

    status: int
    report: dict[str, Any]
    text: str


@cache
def administrator(kubeconfig: Path) -> Api:
    """The API server of a cluster, for what is not what a test is about: kubectl takes longer."""
    env = Env(environ=dict(os.environ))
    return connect(load(Overrides(kubeconfig=str(kubeconfig)), env), env)


def there(api: Api, path: str) -> bool:
    """Whether there is something at a path."""
    try:
        api.request("GET", path)
    except NotFound:
        return False
    return True


class Stage:
    """A namespace of a cluster in which a scenario is played."""

    def __init__(self, cluster: Cluster, work: Path) -> None:
        self.cluster = cluster
        self.namespace = f"s-{uuid.uuid4().hex[:8]}"
        self.environ = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "NS": self.namespace,
            "WORK": str(work),
            # the plugin and kubectl are installed beside the interpreter that runs the tests
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(work),
        }
        self.environ.pop("NO_COLOR", None)

    def open(self) -> None:
        """Makes the namespace, and waits until pods can be made in it."""
        api = administrator(self.cluster.kubeconfig)
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        api.request("POST", "/api/v1/namespaces", body)
        end = time.monotonic() + 60
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            while not there(api, f"/api/v1/namespaces/{self.namespace}/{path}"):
                assert time.monotonic() < end, f"no {path}"
                time.sleep(0.05)

    def close(self) -> None:
        """Removes the namespace, without waiting for it."""
        self.environ["KUBECONFIG"] = str(self.cluster.kubeconfig)
        administrator(self.cluster.kubeconfig).request(
            "DELETE", f"/api/v1/namespaces/{self.namespace}"
        )

    @contextmanager
    def acting(self, user: str) -> Iterator[None]:
        """All is done as another user meanwhile; as the administrator, if empty."""
        own = self.environ["KUBECONFIG"]
        self.environ["KUBECONFIG"] = str(self.cluster.user(user) if user else own)
        try:
            yield
        finally:
            self.environ["KUBECONFIG"] = own

    def forget_roles(self) -> None:
        """Removes the cluster-wide roles and bindings that are named after the namespace.

        They outlive it, and to can-i they are nearly right for all other accounts of that name.
        """
        api = administrator(self.cluster.kubeconfig)
        for kind in ("clusterrolebindings", "clusterroles"):
            path = f"/apis/rbac.authorization.k8s.io/v1/{kind}"
            for item in api.request("GET", path)["items"]:
                if self.namespace in item["metadata"]["name"]:
                    api.request("DELETE", f"{path}/{quote(item['metadata']['name'])}")

    def shell(self, line: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs a shell line as a user would."""
        done = subprocess.run(
            ["bash", "-c", line],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert not check or done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done

    def until(self, line: str, seconds: float = 60) -> str:
        """Waits until a shell line succeeds, and returns what it printed."""
        end = time.monotonic() + seconds
        while True:
            done = self.shell(line, check=False)
            if done.returncode == 0:
                return done.stdout
            assert time.monotonic() < end, f"{line}\n{done.stdout}{done.stderr}"
            time.sleep(0.2)

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Runs kubectl and returns its output."""
        done = subprocess.run(
            ["kubectl", *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """An object or list as kubectl gets it."""
        found: dict[str, Any] = json.loads(
            self.kubectl("-n", self.namespace, "get", *words, "-o", "json")
        )
        return found

    def pods(self) -> list[dict[str, Any]]:
        """The pods of the scenario that are not on their way out, newest last."""
        pods = [
            pod
            for pod in self.get("pods", "-l", "app=web")["items"]
            if not pod["metadata"].get("deletionTimestamp")
        ]
        # the times are in whole seconds; the versions of one resource type grow from write to write
        return sorted(
            pods,
            key=lambda pod: (
                pod["metadata"]["creationTimestamp"],
                int(pod["metadata"]["resourceVersion"]),
            ),
        )

    def api(self) -> Api:
        """The API server as the plugin talks to it."""
        env = Env(environ=self.environ)
        return connect(load(Overrides(kubeconfig=self.environ["KUBECONFIG"]), env), env)

    def satoken(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Runs the plugin, as kubectl does once it has found it, which takes kubectl a while."""
        return subprocess.run(
            ["kubectl-satoken", *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def doctor(self, target: str) -> Played:
        """What doctor says of a target, as JSON and as text."""
        done = self.satoken("doctor", target, "-n", self.namespace, "-o", "json")
        assert done.stderr == "", done.stderr
        text = self.satoken("doctor", target, "-n", self.namespace, "-o", "wide")
        assert "Traceback" not in text.stderr
        return Played(done.returncode, json.loads(done.stdout), text.stdout)


Works = Callable[[Stage, Scenario], str]


def play(scenario: Scenario, stage: Stage, works: Works) -> None:
    """Builds a fault, has it diagnosed, applies the printed fix, and sees the token work.

    ``works`` is the oracle: it returns what is wrong with the token, or nothing.
    """
    try:
        play_through(scenario, stage, works)
    finally:
        for line in scenario.restore:
            stage.shell(line)


def play_through(scenario: Scenario, stage: Stage, works: Works) -> None:
    """The scenario itself."""
    text = scenario.manifest.replace("NS", stage.namespace)
    path = Path(stage.environ["WORK"]) / "manifest.yaml"
    if scenario.file:
        path.write_text(text)
    else:
        stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    for line in scenario.events:
        if line == "wait-for-pod":
            wait_for_token(stage, scenario, works)
        else:
            stage.shell(line)
    if scenario.wait:
        stage.until(scenario.wait)
    if scenario.proof:
        works = proved
    assert works(stage, scenario), "there is no fault to be found"

    target = scenario.target
    if target == "pod":
        target = f"pod/{stage.pods()[-1]['metadata']['name']}"
    played = stage.doctor(f"--filename={path}" if scenario.file else target)
    findings = played.report["findings"]
    assert findings, played.text
    first = findings[0]
    assert (first["code"], first["certainty"]) == (scenario.code, scenario.certainty), played.text
    for command in first["fix"]["commands"]:
        for line in command.splitlines():
            assert line.strip() in played.text
    if first["severity"] == "hint":
        assert played.status == 0
    else:
        assert played.status == 1

    for line in scenario.undo:
        stage.shell(line)
    for command in first["fix"]["commands"]:
        stage.shell(command)
    for line in scenario.after:
        stage.shell(line)
    wait_for_token(stage, scenario, works)

    if not target.startswith("secret/"):
        # a workload may still have a pod of old, and is right to be told so
        target = f"pod/{stage.pods()[-1]['metadata']['name']}"
    healed = stage.doctor(target)
    assert scenario.code not in [finding["code"] for finding in healed.report["findings"]]


def proved(stage: Stage, scenario: Scenario) -> str:
    """What the scenario's own proof says against it; empty when it holds."""
    done = stage.shell(scenario.proof, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "not proved"


def wait_for_token(stage: Stage, scenario: Scenario, works: Works, seconds: float = 90) -> None:
    """Waits until the oracle is content."""
    end = time.monotonic() + seconds
    while wrong := works(stage, scenario):
        assert time.monotonic() < end, (
            f"{wrong}\n{stage.shell('kubectl -n $NS get all,events').stdout}"
        )
        time.sleep(0.3)


def wrong_inside(
    stage: Stage, pod: str, source: str = f"cat {PLACE}/token", ask: str = "/apis"
) -> str:
    """What is wrong with the token as the running container app sees it; empty when it works.

    ``source`` is the command by which the container prints it, ``ask`` what is asked for with it.
    """
    read = stage.shell(f"kubectl -n $NS exec {pod} -c app -- {source}", check=False)
    if read.returncode:
        return read.stderr or "no token"
    wrong = review(stage, read.stdout.strip())
    if wrong:
        return wrong
    used = stage.shell(f"kubectl -n $NS exec {pod} -c app -- apiget {ask}", check=False)
    return "" if used.returncode == 0 else used.stdout + used.stderr


def review(stage: Stage, token: str) -> str:
    """What the API server finds wrong with a token, by TokenReview."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    answer = yaml.safe_load(
        stage.kubectl("create", "-f", "-", "-o", "yaml", stdin=json.dumps(body))
    )
    status = answer["status"]
    return "" if status.get("authenticated") else status.get("error", "not authenticated")


def scenarios(where: str) -> list[Scenario]:
    """All scenarios that are played there, from the modules of this package."""
    found: list[Scenario] = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = importlib.import_module(f"{__name__}.{path.stem}")
        found += module.SCENARIOS
    names = [scenario.name for scenario in found]
    assert len(set(names)) == len(names), "two scenarios have one name"
    return [scenario for scenario in found if where in scenario.where]
