"""What the tests of migrate share: pods that get ready without a node, a watch over their tokens,
and a gate before the API server at which a run can be killed.

A control plane alone makes pods and never runs them. `Readiness` marks them ready, as a kubelet
would, so that rollouts go their way. What the tokens of such pods are worth is asked of the API
server itself: a pod that mounts a Secret has the token in it, any other the one that a kubelet
would ask for.
"""

import base64
import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kubectl_satoken.cluster import Api
from kubectl_satoken.errors import ApiError, Conflict, NotFound
from kubectl_satoken.rollout import rollout
from tests.cluster import Cluster
from tests.scenarios import PLACE, Stage

LATER = 0.4  # seconds; a pod takes longer to get ready
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
STATUS = "application/merge-patch+json"


def is_ready(pod: Any) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions") or []
    )


class Worker(threading.Thread):
    """A thread that does one thing again and again, until it is stopped; tells what went wrong."""

    pause = 0.1

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self.once()
                self.over.wait(self.pause)
        except BaseException as error:
            self.failure = error

    def once(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.over.set()
        self.join()
        if self.failure is not None:
            raise self.failure


class Readiness(Worker):
    """Marks the pods of a namespace ready after a while, but for those of which ``never`` is true.

    At once would be too kind: what does not wait for a rollout must be seen not to.
    """

    after = 0.7  # seconds

    def __init__(self, stage: Stage, never: Callable[[Any], bool] = lambda pod: False) -> None:
        super().__init__()
        self.api = stage.api()
        self.path = f"/api/v1/namespaces/{stage.namespace}/pods"
        self.never = never
        self.seen: dict[str, float] = {}

    def once(self) -> None:
        for pod in self.api.request("GET", self.path)["items"]:
            if is_ready(pod) or pod["metadata"].get("deletionTimestamp") or self.never(pod):
                continue
            first = self.seen.setdefault(pod["metadata"]["uid"], time.monotonic())
            if time.monotonic() - first < self.after:
                continue
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            ready = [
                {"type": kind, "status": "True", "lastTransitionTime": now}
                for kind in ("Initialized", "PodScheduled", "ContainersReady", "Ready")
            ]
            body = {
                "metadata": {"uid": pod["metadata"]["uid"]},
                "status": {"phase": "Running", "startTime": now, "conditions": ready},
            }
            path = f"{self.path}/{pod['metadata']['name']}/status"
            try:
                self.api.request("PATCH", path, body, content_type=STATUS)
            except (NotFound, Conflict):  # it is gone
                continue


class Watch(Worker):
    """Asks all the time whether the API server takes the token of each ready pod.

    ``faults`` are the moments when it did not, and those when a workload that had a ready pod had
    none with a token. ``asked`` counts the answers by kind: ``legacy`` and ``bound``.
    """

    pause = 0.1

    def __init__(self, stage: Stage, steady: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.api = stage.api()
        self.root = f"/api/v1/namespaces/{stage.namespace}"
        self.steady = steady
        self.faults: list[str] = []
        self.asked: Counter[str] = Counter()
        self.kept: dict[str, str] = {}  # what was in the Secrets
        self.audiences: list[str] = []  # of the API server, as it says

    def once(self) -> None:
        seen: Counter[str] = Counter()
        for pod in self.api.request("GET", f"{self.root}/pods")["items"]:
            if not is_ready(pod) or pod["metadata"].get("deletionTimestamp"):
                continue
            wrong = self.wrong(pod)
            if wrong and self.is_there(pod):
                again = self.wrong(pod)
                if again and self.is_there(pod):
                    self.faults.append(f"pod/{pod['metadata']['name']}: {again}")
                    continue
            seen[pod["metadata"].get("labels", {}).get("app", "")] += 1
        for app in self.steady:
            if not seen[app]:
                # between the list and the questions it may have been replaced
                pods = self.api.request("GET", f"{self.root}/pods")["items"]
                if not any(
                    is_ready(pod)
                    and pod["metadata"]["labels"].get("app") == app
                    and not self.wrong(pod)
                    for pod in pods
                ):
                    self.faults.append(f"{app} has no pod with a token that is taken")

    def wrong(self, pod: Any) -> str:
        """What is wrong with the token that a pod has; empty if nothing."""
        secrets = [
            volume["secret"]["secretName"]
            for volume in pod["spec"].get("volumes") or []
            if "secret" in volume
        ]
        if secrets:
            self.asked["legacy"] += 1
            return self.review(self.in_secret(secrets[0]))
        projected = [
            source["serviceAccountToken"]
            for volume in pod["spec"].get("volumes") or []
            for source in volume.get("projected", {}).get("sources") or []
            if "serviceAccountToken" in source
        ]
        if not projected:
            return "it has no token"
        bound = {"kind": "Pod", "apiVersion": "v1", **names(pod)}
        account = pod["spec"]["serviceAccountName"]
        body = {"spec": {"audiences": [], "boundObjectRef": bound}}
        try:
            path = f"{self.root}/serviceaccounts/{account}/token"
            token = self.api.request("POST", path, body)["status"]["token"]
        except ApiError as error:
            return error.message
        self.asked["bound"] += 1
        return self.review(token)

    def in_secret(self, name: str) -> str:
        """The token in a Secret; where that is gone, the one that was in it."""
        try:
            data = self.api.request("GET", f"{self.root}/secrets/{name}").get("data") or {}
            self.kept[name] = base64.b64decode(data["token"]).decode()
        except (NotFound, KeyError):
            pass
        return self.kept.get(name, "none")

    def review(self, token: str) -> str:
        """What a TokenReview says against a token; empty if nothing.

        For another audience each time besides: an API server remembers for ten seconds that it took
        a token, for the audiences that were asked about, and would not look again.
        """
        status: Any = {}
        if self.audiences:
            audiences = [*self.audiences, f"review-{sum(self.asked.values())}-{time.time()}"]
            body = {"spec": {"token": token, "audiences": audiences}}
            status = self.api.request("POST", REVIEWS, body)["status"]
        else:
            status = self.api.request("POST", REVIEWS, {"spec": {"token": token}})["status"]
            self.audiences = status.get("audiences") or []
        return "" if status.get("authenticated") else status.get("error") or "not authenticated"

    def is_there(self, pod: Any) -> bool:
        """Whether a pod is still there, and not on its way out."""
        try:
            found = self.api.request("GET", f"{self.root}/pods/{pod['metadata']['name']}")
        except NotFound:
            return False
        same = found["metadata"]["uid"] == pod["metadata"]["uid"]
        return same and not found["metadata"].get("deletionTimestamp")


def names(pod: Any) -> Any:
    return {field: pod["metadata"][field] for field in ("name", "uid")}


@contextmanager
def pods_run(
    stage: Stage, *, steady: tuple[str, ...] = (), never: Callable[[Any], bool] = lambda pod: False
) -> Iterator[Watch]:
    """While the block lasts pods get ready, and from ``watch.start()`` on each needs a token."""
    readiness, watch = Readiness(stage, never), Watch(stage, steady)
    readiness.start()
    try:
        yield watch
    finally:
        if watch.is_alive():
            watch.stop()
        readiness.stop()
    assert watch.faults == []


# --- the gate -------------------------------------------------------------------------------------


class Write(NamedTuple):
    """A request that changes something."""

    method: str
    path: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def is_write(method: str, path: str, body: bytes) -> bool:
    """Whether a request changes something: no read, no dry run, and nothing that only asks."""
    if method in ("GET", "HEAD"):
        return False
    where = urlsplit(path)
    if "dryRun" in where.query or b'"dryRun"' in body:
        return False
    last = where.path.rpartition("/")[2]
    return not last.endswith("reviews") and not (last == "token" and method == "POST")


class Gate(ThreadingHTTPServer):
    """Stands before the API server as its administrator, and counts what is written through it.

    ``at`` decides what happens at a write, by its number from 1 on: "before" and "after" kill the
    process group ``group`` before it is sent on or before its answer is, "later" a moment after
    that, in the middle of what follows; "conflict" answers 409; "taken" sends it on, and answers
    409 as if somebody else had made the object; "cut" sends it on and breaks off without an answer,
    "refuse" answers 403, "slow" takes its time.
    """

    daemon_threads = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), Porter)
        where = urlsplit(cluster.server)
        self.host, self.port = where.hostname or "", where.port or 443
        self.context = ssl.create_default_context(cafile=str(cluster.ca))
        self.context.load_cert_chain(
            cluster.directory / "admin.crt", cluster.directory / "admin.key"
        )
        self.writes: list[Write] = []
        self.at: dict[int, str] = {}
        self.group = 0
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news here."""

    def kubeconfig(self, path: Path, namespace: str) -> Path:
        """A kubeconfig that leads through the gate."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "gate",
                    "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"},
                }
            ],
            "contexts": [
                {"name": "gate", "context": {"cluster": "gate", "user": "", "namespace": namespace}}
            ],
            "current-context": "gate",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def kill(self) -> None:
        """Kills the run, so that it cannot do anything more."""
        os.killpg(self.group, signal.SIGKILL)


class Porter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Gate

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = ""
        if is_write(self.command, self.path, body):
            with self.server.lock:
                self.server.writes.append(Write(self.command, self.path, body))
                what = self.server.at.pop(len(self.server.writes), "")
        if what == "before":
            self.server.kill()
            self.close_connection = True
            return
        if what in ("conflict", "refuse"):
            self.answer(*refusal(what))
            return
        if what == "slow":
            time.sleep(3)
        answer = self.send_on(body)
        if what == "taken":
            answer = refusal(what)
        if what in ("after", "cut"):
            if what == "after":
                self.server.kill()
            self.close_connection = True
            return
        self.answer(*answer)
        if what == "later":
            time.sleep(LATER)
            self.server.kill()

    def send_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends the request on, and returns the answer."""
        connection = http.client.HTTPSConnection(
            self.server.host, self.server.port, context=self.server.context, timeout=60
        )
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("accept", "content-type", "user-agent")
        }
        try:
            connection.request(self.command, self.path, body or None, kept)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        headers = {"Content-Type": response.headers.get("Content-Type") or "application/json"}
        return response.status, headers, content

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def log_message(self, format: str, *args: Any) -> None:
        pass


def refusal(what: str) -> tuple[int, dict[str, str], bytes]:
    """An answer that an API server gives to a write that it does not do."""
    code, reason, message = {
        "conflict": (409, "Conflict", "the object has been modified"),
        "taken": (409, "AlreadyExists", "it already exists"),
        "refuse": (403, "Forbidden", "a policy says no"),
    }[what]
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return code, {"Content-Type": "application/json"}, json.dumps(status).encode()


@contextmanager
def gate(cluster: Cluster) -> Iterator[Gate]:
    """A gate on a free port of the loopback, until the block ends."""
    server = Gate(cluster)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_through(
    server: Gate, stage: Stage, *words: str, timeout: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Runs the plugin through kubectl and the gate, in a process group of its own."""
    process = subprocess.Popen(
        ["kubectl-satoken", "migrate", *words],
        env=stage.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server.group = process.pid
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


# --- what is migrated -----------------------------------------------------------------------------

SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: NAME
  annotations: {kubernetes.io/service-account.name: web}
"""


def secret(name: str = "web-token") -> str:
    """A token Secret of the account web."""
    return SECRET.replace("NAME", name)


def workload(
    name: str = "web",
    *,
    kind: str = "Deployment",
    secret: str = "web-token",
    replicas: int = 1,
    place: str = PLACE,
    more: str = "",
) -> str:
    """A workload whose pods find the token of a Secret at the usual place."""
    extra = "" if kind == "DaemonSet" else f"replicas: {replicas}, "
    extra += "serviceName: x, " if kind == "StatefulSet" else ""
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  {{{extra}selector: {{matchLabels: {{app: {name}}}}}, {more}
  template: {{
    metadata: {{labels: {{app: {name}}}}},
    spec: {{
      serviceAccountName: web, terminationGracePeriodSeconds: 0,
      containers: [{{
        name: app, image: 'busybox:1', imagePullPolicy: Never, command: [sleep, '3600'],
        volumeMounts: [{{name: token, mountPath: {place}, readOnly: true}}]}}],
      volumes: [{{name: token, secret: {{secretName: {secret}}}}}]}}}}}}
"""


def set_out(stage: Stage, *manifests: str, listed: str = "web-token") -> None:
    """Makes the account web, which lists its Secret as before Kubernetes 1.24, and the rest."""
    secrets = f"secrets: [{', '.join(f'{{name: {name}}}' for name in listed.split())}]"
    account = f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web}}\n{secrets}\n"
    text = "---".join([f"\n{account}", *manifests])
    # not by kubectl apply: what that leaves in the objects would be restored by nobody
    stage.kubectl("-n", stage.namespace, "create", "-f", "-", stdin=text)
    api = stage.api()
    for name in listed.split():
        path = f"/api/v1/namespaces/{stage.namespace}/secrets/{name}"
        await_object(api, path, lambda item: item.get("data"))


def await_object(api: Api, path: str, holds: Callable[[Any], Any]) -> None:
    """Waits until something holds of an object."""
    end = time.monotonic() + 60
    while not holds(api.request("GET", path)):
        assert time.monotonic() < end, path
        time.sleep(0.1)


def rolled_out(stage: Stage, *names: str) -> None:
    """Waits until workloads are as their templates say, and old pods are gone."""
    api = stage.api()
    for name in names:
        kind, _, own = name.partition("/")
        path = f"/apis/apps/v1/namespaces/{stage.namespace}/{kind}s/{own}"
        await_object(api, path, lambda item: rollout(item).ready)


# What a server or a controller writes, which is different each time.
OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
OF_SERVER = (
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubernetes.io/service-account.uid",
    "satoken/invalid-since",
    "kubernetes.io/legacy-token-last-used",
)
KINDS = (
    "api/v1 serviceaccounts secrets",
    "apis/apps/v1 deployments statefulsets daemonsets replicasets",
)


def state(stage: Stage, more: tuple[str, ...] = ()) -> Any:
    """What a migration changes, without what differs from one time to the next."""
    found = {}
    api = stage.api()
    for line in (*KINDS, *more):
        root, *plurals = line.split()
        for plural in plurals:
            path = f"/{root}/namespaces/{stage.namespace}/{plural}"
            for item in api.request("GET", path)["items"]:
                name = item["metadata"]["name"]
                if name != "default" and "ownerReferences" not in item["metadata"]:
                    found[f"{plural}/{name}"] = without_own(item)
    return found


def without_own(item: Any) -> Any:
    """An object without what is of its server."""
    metadata = item["metadata"]
    for field in (*OWN, "namespace"):
        metadata.pop(field, None)
    for field in ("labels", "annotations"):
        kept = {k: v for k, v in metadata.pop(field, {}).items() if k not in OF_SERVER}
        if kept:
            metadata[field] = kept
    item.pop("status", None)
    item["data"] = sorted(item.get("data") or {})
    return item
