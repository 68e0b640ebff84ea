"""Generated pods on a real API server: what is converted is taken, and has the same files."""

import posixpath
import random
from collections.abc import Iterator
from typing import Any

import pytest

from kubectl_satoken.changes import changed, undone
from kubectl_satoken.consumers import secret_uses
from kubectl_satoken.convert import TokenSecret, projections_for
from tests.cluster import Cluster
from tests.scenarios import PLACE, Stage

SEEDS = range(120)
SECRETS = ("web-token", "old-token")
KEYS = ("token", "ca.crt", "namespace")
MODES = (None, 0o400, 0o440, 0o644)
PLACES = (PLACE, "/creds", "/run/secrets/web", "/x")


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("convert"))
    stage.open()
    stage.shell("kubectl -n $NS create serviceaccount web")
    yield stage
    stage.close()


def optional(chance: random.Random, **fields: Any) -> dict[str, Any]:
    return {
        key: value for key, value in fields.items() if value is not None and chance.random() < 0.5
    }


def items(chance: random.Random) -> Any:
    """Some keys, at some paths and modes; or none, which is all."""
    if chance.random() < 0.4:
        return None
    keys = chance.sample(KEYS, chance.randint(1, 3))
    return [
        {
            "key": key,
            "path": chance.choice((key, f"a/{key}")),
            **optional(chance, mode=chance.choice(MODES)),
        }
        for key in keys
    ]


def volume(chance: random.Random, name: str) -> dict[str, Any]:
    which = chance.choice(SECRETS)
    some = items(chance)
    keys = {} if some is None else {"items": some}
    default = optional(chance, defaultMode=chance.choice(MODES))
    if chance.random() < 0.6:
        return {"name": name, "secret": {"secretName": which, **keys, **default}}
    sources: list[Any] = [{"secret": {"name": which, **keys}}]
    if chance.random() < 0.5:
        field = {"fieldPath": "metadata.name"}
        sources.append({"downwardAPI": {"items": [{"path": "name", "fieldRef": field}]}})
    if chance.random() < 0.3:
        sources.append({"serviceAccountToken": {"path": chance.choice(("token", "vault/token"))}})
    chance.shuffle(sources)
    return {"name": name, "projected": {"sources": sources, **default}}


def container(chance: random.Random, name: str, volumes: Any) -> dict[str, Any]:
    places = list(PLACES)
    chance.shuffle(places)
    mounts = []
    for one in volumes:
        if chance.random() < 0.8:
            mount = {"name": one["name"], "mountPath": places.pop()}
            mounts.append({**mount, **optional(chance, readOnly=True)})
            if chance.random() < 0.15:
                mounts[-1]["subPath"] = chance.choice(KEYS)
    env = []
    for key in KEYS:
        if chance.random() < 0.2:
            reference = {"name": chance.choice(SECRETS), "key": key}
            env.append(
                {"name": key.upper().replace(".", "_"), "valueFrom": {"secretKeyRef": reference}}
            )
    return {"name": name, "image": "x", "volumeMounts": mounts, "env": env}


def pod(seed: int) -> dict[str, Any]:
    """A pod that uses Secrets in one way or another, the same for each seed."""
    chance = random.Random(seed)
    volumes = [volume(chance, f"v{number}") for number in range(chance.randint(0, 3))]
    pulls = [{"name": name} for name in (*SECRETS, "login") if chance.random() < 0.2]
    spec = {
        "serviceAccountName": "web",
        "volumes": volumes,
        "containers": [container(chance, "app", volumes)],
        **optional(chance, automountServiceAccountToken=chance.choice((True, False))),
    }
    if chance.random() < 0.3:
        spec["initContainers"] = [container(chance, "init", volumes)]
    if pulls:
        spec["imagePullSecrets"] = pulls
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{seed}"},
        "spec": tidy(spec),
    }


def files(spec: Any) -> dict[tuple[str, str], tuple[str, int]]:
    """The files of the Secrets, or of what stands for them, that containers find: what each holds,
    and its mode."""
    found = {}
    volumes = {one["name"]: one for one in spec.get("volumes") or []}
    for field in ("initContainers", "containers"):
        for one in spec.get(field) or []:
            for mount in one.get("volumeMounts") or []:
                for path, what, mode in contents(volumes[mount["name"]]):
                    if "subPath" in mount:
                        if path != mount["subPath"]:
                            continue
                        where = mount["mountPath"]
                    else:
                        where = posixpath.join(mount["mountPath"], path)
                    found[one["name"], where] = what, mode
    return found


def contents(volume: Any) -> Iterator[tuple[str, str, int]]:
    """The files of a volume, the later in the place of the earlier."""
    if "secret" in volume:
        source = volume["secret"]
        for item in source.get("items") or [{"key": key, "path": key} for key in KEYS]:
            yield item["path"], item["key"], item.get("mode", source.get("defaultMode", 420))
        return
    if "projected" not in volume:
        return
    default = volume["projected"].get("defaultMode", 420)
    for source in volume["projected"]["sources"]:
        for item in inside(source):
            yield item["path"], item["key"], item.get("mode", default)


def inside(source: Any) -> Iterator[Any]:
    if "secret" in source:
        yield from source["secret"].get("items") or [{"key": key, "path": key} for key in KEYS]
    elif "serviceAccountToken" in source:
        yield {"path": source["serviceAccountToken"]["path"], "key": "token"}
    elif "configMap" in source:
        yield from source["configMap"]["items"]
    else:
        for item in source["downwardAPI"]["items"]:
            yield {**item, "key": item["fieldRef"]["fieldPath"].rpartition(".")[2]}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_converted_is_taken_and_has_the_same_files(seed: int, stage: Stage) -> None:
    path = f"/api/v1/namespaces/{stage.namespace}/pods"
    dry_run = [("dryRun", "All")]
    api = stage.api()
    before = pod(seed)
    stored = api.request("POST", path, before, dry_run)
    secrets = [TokenSecret(name, "web") for name in SECRETS]
    found = projections_for(before["spec"], secrets, {})
    after = api.request("POST", path, {**before, "spec": found.spec}, dry_run)
    assert files(after["spec"]) == files(stored["spec"])
    left = {use.path for use in secret_uses(found.spec) if use.name in SECRETS}
    assert len(left) == len(found.obstacles)
    assert changed(found.spec, found.changes) == found.spec
    assert changed(found.spec, undone(found.changes)) == before["spec"]


def tidy(spec: Any) -> Any:
    """A spec without empty lists, which nobody stores."""
    if isinstance(spec, dict):
        return {key: tidy(one) for key, one in spec.items() if one != []}
    return [tidy(one) for one in spec] if isinstance(spec, list) else spec


def test_enough_is_converted_to_tell() -> None:
    secrets = [TokenSecret(name, "web") for name in SECRETS]
    results = [projections_for(pod(seed)["spec"], secrets, {}) for seed in SEEDS]
    assert sum(bool(one.changes) for one in results) > len(SEEDS) // 2
    assert sum(bool(one.obstacles) for one in results) > len(SEEDS) // 5
    reasons = " ".join(reason for one in results for reason in one.reasons)
    for what in ("projected", "taken out, the API server mounts", "variable", "imagePullSecrets"):
        assert what in reasons
