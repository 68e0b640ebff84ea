"""A cluster of many pods with planted faults and decoys, made through the API of a real server.

No controller runs: what they would make (default accounts, kube-root-ca.crt, pods of ReplicaSets,
tokens in Secrets) is made here as they make it, and the rest (admission, defaults, managedFields)
is the API server's own.
"""

import http.client
import json
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
CONTROLLER = "kube-controller-manager"
PODS_IN_NAMESPACE = 200
REPLICAS = (1, 1, 2, 2, 3, 3, 4, 6, 8, 10, 12, 40)
CONNECTIONS = 4
GONE = "web-token-x7k2p"  # a Secret that pods mount and nobody has

Object = dict[str, Any]


class Api:
    """Sends objects to a server, over a few connections."""

    def __init__(self, server: str, directory: Path) -> None:
        self.address = urlsplit(server).netloc
        self.context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))
        self.context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        self.local = threading.local()

    def send(self, method: str, path: str, body: Object | None = None) -> Object:
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.address, context=self.context)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = json.dumps(body) if body is not None else None
        self.local.connection.request(method, path, data, {"Content-Type": kind})
        answer = self.local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300 and answer.status != 409:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        result: Object = json.loads(text)
        return result


def labels(name: str) -> Object:
    return {"app.kubernetes.io/instance": name, "app.kubernetes.io/part-of": "bench"}


def container(name: str, **fields: Any) -> Object:
    """A container as they are: probes, limits, environment."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    return {
        "name": name,
        "image": f"registry.example/{name}:1.2.3",
        "args": ["serve", "--listen=:8080", "--log-format=json"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": f"SETTING_{number}", "value": "x" * 20} for number in range(8)),
        ],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "256Mi"},
        },
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True},
        **fields,
    }


def spec(account: str, **fields: Any) -> Object:
    return {
        "serviceAccountName": account,
        "containers": [container("app")],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **fields,
    }


def token_volume(**source: Any) -> Object:
    """A volume like the one that the API server adds, with something else about its token."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, **source}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return {"name": "own", "projected": {"sources": sources}}


def mounting(account: str, volume: Object, path: str, **fields: Any) -> Object:
    """A pod that mounts a volume of its own."""
    mounts = [{"name": "own", "mountPath": path}] if path else []
    return spec(
        account, containers=[container("app", volumeMounts=mounts)], volumes=[volume], **fields
    )


# name: (code that must be found on it or on its account, pod spec); faults, then decoys
FAULTS: dict[str, tuple[str, Callable[[], Object]]] = {
    "shadowed": (
        "SAT301",
        lambda: mounting("web", {"name": "own", "configMap": {"name": "settings"}}, PLACE),
    ),
    "foreign": ("SAT304", lambda: mounting("web", token_volume(audience="vault"), PLACE)),
    "custom-path": (
        "SAT303",
        lambda: mounting("web", token_volume(), "/tokens", automountServiceAccountToken=False),
    ),
    "not-mounted": (
        "SAT302",
        lambda: mounting("web", token_volume(), "", automountServiceAccountToken=False),
    ),
    "secret-gone": (
        "SAT203",
        lambda: mounting("web", {"name": "own", "secret": {"secretName": GONE}}, PLACE),
    ),
    "account-gone": ("SAT105", lambda: spec("gone")),
    "cannot-start": ("SAT104", lambda: spec("never-made")),
}
DECOYS: dict[str, Callable[[], Object]] = {
    # a token for another service beside the usual one, as meshes and Vault have it
    "decoy-audience": lambda: mounting("web", token_volume(audience="vault"), "/var/run/vault"),
    "decoy-no-token": lambda: spec("web", automountServiceAccountToken=False),
    "decoy-legacy": lambda: mounting(
        "web", {"name": "own", "secret": {"secretName": "web-legacy"}}, PLACE
    ),
    "decoy-by-group": lambda: spec("by-group"),
    "decoy-told": lambda: spec(
        "web",
        automountServiceAccountToken=False,
        containers=[
            container(
                "app",
                args=["--token-file=/tokens/token"],
                volumeMounts=[{"name": "own", "mountPath": "/tokens"}],
            )
        ],
        volumes=[token_volume()],
    ),
}


def seed(api: Api, pods: int, tell: Callable[[str], None]) -> Object:
    """Fills a cluster with so many pods; what was planted is code, namespace and workload."""
    chance = random.Random(1)
    planted: list[tuple[str, str, str]] = []
    decoys: list[tuple[str, str]] = []
    jobs: Queue[Callable[[], None] | None] = Queue(64)
    errors: list[Exception] = []

    def work() -> None:
        while (job := jobs.get()) is not None:
            try:
                if not errors:
                    job()
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    made = 0
    number = 0
    nodes = max(pods // 50, 1)
    ca = "-----BEGIN CERTIFICATE-----\n" + ("M" * 64 + "\n") * 16 + "-----END CERTIFICATE-----\n"
    while made < pods and not errors:
        namespace = f"team-{number:04}"
        prepare(api, namespace, ca)
        kinds: list[tuple[str, str, Callable[[], Object]]] = []
        for offset in range(2):  # two faults and a decoy in each namespace, taking turns
            name = list(FAULTS)[(number * 2 + offset) % len(FAULTS)]
            kinds.append((name, FAULTS[name][0], FAULTS[name][1]))
        name = list(DECOYS)[number % len(DECOYS)]
        kinds.append((name, "", DECOYS[name]))
        index = here = 0
        while here < min(PODS_IN_NAMESPACE, pods - made):
            if index < len(kinds):
                workload, code, template = kinds[index]
                replicas = 0 if code == "SAT104" else 3
                (
                    planted.append((code, namespace, workload))
                    if code
                    else decoys.append((namespace, workload))
                )
            else:
                workload, template = f"app-{index}", lambda: spec("web")
                replicas = min(chance.choice(REPLICAS), pods - made - here)
            index += 1
            here += replicas
            jobs.put(job(api, namespace, workload, template(), replicas, nodes, chance.random()))
        made += here
        if number % 10 == 9:  # a namespace without its CA certificate
            jobs.put(lambda ns=namespace: delete_ca(api, ns))  # type: ignore[misc]
            planted.append(("SAT305", namespace, "kube-root-ca.crt"))
        planted.append(("SAT201", namespace, "web-empty"))
        number += 1
        tell(f"{made:,} of {pods:,} pods")
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    for index in range(number):
        api.send("DELETE", f"/api/v1/namespaces/team-{index:04}/serviceaccounts/gone")
    return {"pods": made, "planted": planted, "decoys": decoys}


def delete_ca(api: Api, namespace: str) -> None:
    api.send("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")


def prepare(api: Api, namespace: str, ca: str) -> None:
    """A namespace with what its controllers would have put there, and accounts."""
    api.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    core = f"/api/v1/namespaces/{namespace}"
    by = f"?fieldManager={CONTROLLER}"
    uids = {}
    for name in ("default", "web", "gone", "by-group", *(f"extra-{n}" for n in range(8))):
        account = api.send("POST", f"{core}/serviceaccounts{by}", {"metadata": {"name": name}})
        uids[name] = account["metadata"]["uid"]
    root = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ca}}
    api.send("POST", f"{core}/configmaps{by}", root)
    api.send("POST", f"{core}/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "b"}})
    annotations = {
        "kubernetes.io/service-account.name": "web",
        "kubernetes.io/service-account.uid": uids["web"],
    }
    for name, data in (
        ("web-legacy", {"token": "eA==", "ca.crt": "eA==", "namespace": "eA=="}),
        ("web-empty", {}),
    ):
        secret = {
            "metadata": {"name": name, "annotations": annotations},
            "type": "kubernetes.io/service-account-token",
            "data": data,
        }
        api.send("POST", f"{core}/secrets{by}", secret)
    for number in range(4):
        secret = {"metadata": {"name": f"other-{number}"}, "data": {"password": "eA=="}}
        api.send("POST", f"{core}/secrets", secret)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    for name, kind, subject in (
        ("web", "ServiceAccount", "web"),
        ("all", "Group", f"system:serviceaccounts:{namespace}"),
    ):
        one: Object = {"kind": kind, "name": subject}
        if kind == "ServiceAccount":
            one["namespace"] = namespace
        else:
            one["apiGroup"] = "rbac.authorization.k8s.io"
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        api.send("POST", rbac, {"metadata": {"name": name}, "roleRef": role, "subjects": [one]})


def job(
    api: Api, namespace: str, name: str, pod: Object, replicas: int, nodes: int, random: float
) -> Callable[[], None]:
    return lambda: workload(api, namespace, name, pod, replicas, nodes, random)


def workload(
    api: Api, namespace: str, name: str, pod: Object, replicas: int, nodes: int, random: float
) -> None:
    """A Deployment, its ReplicaSet and its pods, with the states that they would have."""
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    hash_ = f"{int(random * 1e9):x}".zfill(8)[:8]
    template = {"metadata": {"labels": labels(name)}, "spec": pod}
    selector = {"matchLabels": labels(name)}
    wanted = replicas or 2
    metadata = {"name": name, "labels": labels(name)}
    body: Object = {"metadata": metadata}
    body["spec"] = {"replicas": wanted, "selector": selector, "template": template}
    deployment = api.send(
        "POST", f"{apps}/deployments?fieldManager=kubectl-client-side-apply", body
    )
    state: Object = {"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas}
    state |= {"updatedReplicas": replicas, "availableReplicas": replicas}
    if not replicas:
        state["unavailableReplicas"] = wanted
        state["conditions"] = [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": f'pods "{name}-" is forbidden: error looking up service account '
                f'{namespace}/never-made: serviceaccount "never-made" not found',
            }
        ]
    status = {"status": state}
    api.send("PATCH", f"{apps}/deployments/{name}/status?fieldManager={CONTROLLER}", status)
    hashed = {**labels(name), "pod-template-hash": hash_}
    set_ = api.send(
        "POST",
        f"{apps}/replicasets?fieldManager={CONTROLLER}",
        {
            "metadata": {
                "name": f"{name}-{hash_}",
                "labels": hashed,
                "ownerReferences": [owner("Deployment", deployment)],
            },
            "spec": {
                "replicas": wanted,
                "selector": {"matchLabels": hashed},
                "template": {"metadata": {"labels": hashed}, "spec": pod},
            },
        },
    )
    for number in range(replicas):
        place = int(random * nodes + number) % nodes
        made = api.send(
            "POST",
            f"/api/v1/namespaces/{namespace}/pods?fieldManager={CONTROLLER}",
            {
                "metadata": {
                    "generateName": f"{name}-{hash_}-",
                    "labels": hashed,
                    "ownerReferences": [owner("ReplicaSet", set_)],
                },
                "spec": {**pod, "nodeName": f"node-{place}"},
            },
        )
        path = f"/api/v1/namespaces/{namespace}/pods/{made['metadata']['name']}/status"
        api.send("PATCH", f"{path}?fieldManager=kubelet", {"status": running(made, place)})


def owner(kind: str, item: Object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def running(pod: Object, place: int) -> Object:
    """The status that a kubelet gives a pod that runs."""
    since = pod["metadata"]["creationTimestamp"]
    address = f"10.{place // 250}.{place % 250}.{random.randrange(2, 250)}"
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "qosClass": "Burstable",
        "hostIP": f"192.168.{place // 250}.{place % 250}",
        "hostIPs": [{"ip": f"192.168.{place // 250}.{place % 250}"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": since,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": since} for kind in kinds
        ],
        "containerStatuses": [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": f"{one['image']}@sha256:{random.randbytes(32).hex()}",
                "containerID": f"containerd://{random.randbytes(32).hex()}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": since}},
            }
            for one in pod["spec"]["containers"]
        ],
    }


def expected(planted: list[list[str]]) -> Iterator[tuple[str, str, str]]:
    """What has to be found: code, namespace, and a name that is the target or the place of it."""
    places = {"SAT105": "gone", "SAT104": "never-made"}
    for code, namespace, workload_name in planted:
        yield code, namespace, places.get(code, workload_name)
