"""admission.py does to a pod what the API server does: compared on generated pods."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from kubectl_satoken.admission import PAPER_VOLUME, TOKEN_MOUNT_PATH, TOKEN_VOLUME_PREFIX, admit
from kubectl_satoken.cluster import Api
from kubectl_satoken.env import Env
from kubectl_satoken.errors import ApiError
from kubectl_satoken.live import ClusterWorld
from kubectl_satoken.mounts import api_tokens
from tests.cluster import Cluster
from tests.scenarios import Stage

# Every way in which an account may speak of automounting and of pull secrets.
ACCOUNTS = {
    f"{automount}-{number}".lower(): {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": f"{automount}-{number}".lower()},
        **({} if automount is None else {"automountServiceAccountToken": automount}),
        **({} if pull is None else {"imagePullSecrets": pull}),
    }
    for automount in (None, True, False)
    for number, pull in enumerate(
        (None, [], [{"name": "registry"}], [{"name": "one"}, {"name": "two"}])
    )
}
PAIRS = 2000

PATHS = st.sampled_from(
    [
        TOKEN_MOUNT_PATH,
        TOKEN_MOUNT_PATH + "/",
        TOKEN_MOUNT_PATH.removeprefix("/var"),
        TOKEN_MOUNT_PATH + "/token",
        "/var/run/secrets",
        "/var/run/secrets/kubernetes.io",
        "/var/run/secrets/kubernetes.io/serviceaccount2",
        "/",
        "/data",
    ]
)
VOLUMES: list[dict[str, Any]] = [
    {"name": "empty", "emptyDir": {}},
    {"name": TOKEN_VOLUME_PREFIX + "mine", "emptyDir": {}},
    {"name": TOKEN_VOLUME_PREFIX + "map", "configMap": {"name": "kube-root-ca.crt"}},
    {"name": "kube-api-acces", "emptyDir": {}},
    {
        "name": "token",
        "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
    },
    {"name": "secret", "secret": {"secretName": "some"}},
]


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """Pods that say this and that about service accounts, volumes and mounts."""
    volumes = draw(st.lists(st.sampled_from(VOLUMES), unique_by=lambda one: str(one["name"])))
    names = [volume["name"] for volume in volumes]

    def container(name: str) -> dict[str, Any]:
        mounts = []
        if names:
            paths = draw(st.lists(PATHS, unique=True, max_size=2))
            mounts = [{"name": draw(st.sampled_from(names)), "mountPath": path} for path in paths]
            for mount in mounts:
                if draw(st.integers(0, 3)) == 0:
                    mount["subPath"] = "token"
                if draw(st.integers(0, 3)) == 0:
                    mount["readOnly"] = draw(st.booleans())  # type: ignore[assignment]
        made: dict[str, Any] = {"name": name, "image": "x"}
        if mounts or draw(st.booleans()):
            made["volumeMounts"] = mounts
        return made

    spec: dict[str, Any] = {"containers": [container("app")]}
    if draw(st.booleans()):
        spec["containers"].append(container("sidecar"))
    if draw(st.booleans()):
        spec["initContainers"] = [container("init")]
        if draw(st.booleans()):
            spec["initContainers"].append({**container("native"), "restartPolicy": "Always"})
    if volumes:
        spec["volumes"] = volumes
    for field in ("serviceAccountName", "serviceAccount"):
        name = draw(st.sampled_from([None, "", "default", *ACCOUNTS]))
        if name is not None:
            spec[field] = name
    automount = draw(st.sampled_from([None, True, False]))
    if automount is not None:
        spec["automountServiceAccountToken"] = automount
    if draw(st.booleans()):
        spec["imagePullSecrets"] = draw(st.sampled_from([[], [{"name": "own"}]]))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "generated"},
        "spec": spec,
    }


def essence(pod: dict[str, Any]) -> dict[str, Any]:
    """What the ServiceAccount admission decides, with the random name of the volume evened out."""
    spec = pod["spec"]
    own = {volume["name"] for volume in VOLUMES}

    def name(volume: str) -> str:
        added = volume.startswith(TOKEN_VOLUME_PREFIX) and volume not in own
        return PAPER_VOLUME if added else volume

    added = [
        {**volume, "name": name(volume["name"])}
        for volume in spec.get("volumes") or []
        if volume["name"] not in own
    ]
    return {
        "account": (spec.get("serviceAccountName"), spec.get("serviceAccount")),
        "pull secrets": spec.get("imagePullSecrets") or [],
        "volumes": [name(volume["name"]) for volume in spec.get("volumes") or []],
        "added": added,
        "mounts": {
            container["name"]: [
                (name(mount["name"]), mount["mountPath"], mount.get("readOnly", False))
                for mount in container.get("volumeMounts") or []
            ]
            for field in ("initContainers", "containers")
            for container in spec.get(field) or []
        },
    }


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("admission"))
    stage.open()
    listed = {"apiVersion": "v1", "kind": "List", "items": [*ACCOUNTS.values()]}
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=json.dumps(listed))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def api(stage: Stage) -> Api:
    return stage.api()


@pytest.fixture(scope="module")
def accounts(stage: Stage) -> dict[str, Any]:
    return {item["metadata"]["name"]: item for item in stage.get("serviceaccounts")["items"]}


@pytest.fixture
def compared() -> Iterator[list[bool]]:
    """Takes down for each pair that was compared whether the pod got a token; there are enough."""
    pairs: list[bool] = []
    yield pairs
    assert len(pairs) >= PAIRS
    assert PAIRS / 10 < sum(pairs) < len(pairs) - PAIRS / 10


@settings(
    max_examples=PAIRS,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
)
@given(pod=pods())
def test_a_pod_on_paper_becomes_what_the_api_server_makes_of_it(
    pod: dict[str, Any], stage: Stage, api: Api, accounts: dict[str, Any], compared: list[bool]
) -> None:
    path = f"/api/v1/namespaces/{stage.namespace}/pods"
    try:
        stored = api.request("POST", path, pod, query=[("dryRun", "All")])
    except ApiError as error:
        if error.code != 422:
            raise
        reject()  # two mounts at one path and the like: no pod, so nothing to compare
    ours = admit(json.loads(json.dumps(pod)), accounts[stored["spec"]["serviceAccountName"]])
    assert essence(ours) == essence(stored)
    compared.append(bool(essence(stored)["added"]))


def test_the_comparison_sees_pods_with_and_without_a_token(stage: Stage, api: Api) -> None:
    world = ClusterWorld(api, Env(environ=stage.environ))
    for account, tokens in (("true-0", 1), ("false-0", 0)):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x", "namespace": stage.namespace},
            "spec": {
                "serviceAccountName": account,
                "containers": [{"name": "app", "image": "x"}],
            },
        }
        path = f"/api/v1/namespaces/{stage.namespace}/pods"
        stored = api.request("POST", path, pod, query=[("dryRun", "All")])
        assert len(api_tokens(stored, world)) == tokens
