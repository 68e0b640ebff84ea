"""The token, or its volume, is there, but not where the container looks for it."""

from collections.abc import Iterator

from ..admission import ROOT_CA_CONFIG_MAP, TOKEN_MOUNT_PATH, should_automount, token_volume
from ..fixes import patch_pod
from ..mounts import (
    TokenFile,
    account_of,
    api_tokens,
    container_paths,
    containers,
    default_mount,
    is_default_file,
    is_mirror,
    token_files,
    volume_tokens,
    volumes,
)
from ..server import api_audiences
from ..workloads import finished
from ..world import Object, Unseen, World
from . import Evidence, Finding, at, check

VOLUME_SOURCES = (
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "hostPath",
    "persistentVolumeClaim",
)


def mount_evidence(pod: Object, container: str, mount: Object, *, here: bool = False) -> Evidence:
    """A mount of a container, as evidence: its path in the pod and the volume it names."""
    path, item = next(
        (path, item) for path, item in container_paths(pod) if item["name"] == container
    )
    number = item["volumeMounts"].index(mount)
    value = f"{mount['name']} at {mount['mountPath']}"
    return at(pod, f"{path}.volumeMounts[{number}]", value, here=here)


def volume_evidence(pod: Object, name: str, value: str, *, here: bool = False) -> Evidence:
    """A volume of a pod as evidence."""
    names = [volume["name"] for volume in pod["spec"].get("volumes") or []]
    return at(pod, f"spec.volumes[{names.index(name)}]", value, here=here)


def describe(volume: Object) -> str:
    """A volume in a few words."""
    name = str(volume["name"])
    if volume.get("secret"):
        return f"{name}: secret {volume['secret'].get('secretName')}"
    if volume.get("configMap"):
        return f"{name}: configMap {volume['configMap'].get('name')}"
    kind = next((source for source in VOLUME_SOURCES if source in volume), "another type")
    return f"{name}: {kind}"


def field_of(pod: Object, container: str) -> str:
    """Whether a container stands among initContainers or containers."""
    names = [item["name"] for item in pod["spec"].get("initContainers") or []]
    return "initContainers" if container in names else "containers"


def grouped(pod: Object, changes: dict[str, Object]) -> Object:
    """A patch of the pod spec from one patch for each container."""
    patch: Object = {}
    for name, change in changes.items():
        patch.setdefault(field_of(pod, name), []).append({"name": name, **change})
    return patch


def and_automount(pod: Object, world: World, patch: Object) -> Object:
    """The patch, and automount switched on where it is off."""
    try:
        account = world.get("ServiceAccount", pod["metadata"].get("namespace", ""), account_of(pod))
    except Unseen:
        account = None
    if should_automount(account, pod):
        return patch
    return {**patch, "automountServiceAccountToken": True}


@check("SAT301", on="Pod", severity="error", stage="mount")
def mount_path_shadowed(pod: Object, world: World) -> Iterator[Finding]:
    """Another volume is mounted where the token belongs.

    ### What goes wrong

    The container already mounts a volume at `/var/run/secrets/kubernetes.io/serviceaccount`, so
    the API server does not add the token there, and what is mounted holds no token for the API
    server: an emptyDir, a ConfigMap, some Secret, a projected volume without a token. In a pod with
    several containers the others may well have one.

    ### How to fix it

    Take the mount out, or move it elsewhere, and the token is mounted. If the volume is meant to
    bring the token, it needs all of `token`, `ca.crt` and `namespace`.
    """
    if is_mirror(pod) or finished(pod):
        return
    by_name = volumes(pod)
    tokens = api_tokens(pod, world)
    shadowed: dict[str, Object] = {}
    hidden: set[str] = set()
    evidence: list[Evidence] = []
    for container in containers(pod):
        mount = default_mount(container)
        volume = by_name.get(mount["name"]) if mount else None
        if mount is None or volume is None:
            continue
        # a token for somebody else is SAT304, a Secret without a token SAT201 or SAT203
        holds_token = any(path == "token" for path, *_ in volume_tokens(volume))
        if holds_token and (not volume.get("secret") or is_known_token(pod, volume, world)):
            continue
        if any(file.container == container["name"] and is_default_file(file) for file in tokens):
            continue
        shadowed[container["name"]] = {
            "volumeMounts": [{"mountPath": mount["mountPath"], "$patch": "delete"}]
        }
        hidden.add(volume["name"])
        evidence.append(mount_evidence(pod, container["name"], mount, here=True))
        seen = volume_evidence(pod, volume["name"], describe(volume))
        if seen not in evidence:
            evidence.append(seen)
    if not shadowed:
        return
    yield Finding(
        f"{listed(shadowed)} no token: another volume is mounted at {TOKEN_MOUNT_PATH}",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            and_automount(pod, world, grouped(pod, shadowed)),
            "take that mount out, so that the token is mounted there (pods are recreated)",
        ),
        severity="" if not tokens else "warning",
        certainty="certain" if all(see_into(pod, name) for name in hidden) else "likely",
    )


def see_into(pod: Object, name: str) -> bool:
    """Whether the objects tell what is in a volume: nobody else brings a token into it."""
    volume = volumes(pod)[name]
    if "emptyDir" in volume:
        users = [
            container["name"]
            for container in containers(pod)
            if any(mount["name"] == name for mount in container.get("volumeMounts") or [])
        ]
        return len(users) == 1
    return any(source in volume for source in ("configMap", "secret", "projected", "downwardAPI"))


def is_known_token(pod: Object, volume: Object, world: World) -> bool:
    """Whether a Secret volume is a token Secret, or is one for other checks to judge."""
    name = volume["secret"].get("secretName", "")
    try:
        secret = world.get("Secret", pod["metadata"].get("namespace", ""), name)
    except Unseen:
        return True
    return secret is None or secret.get("type") == "kubernetes.io/service-account-token"


def listed(names: dict[str, Object] | list[str]) -> str:
    """Containers as the subject of a sentence: "container app has", "containers a and b have"."""
    words = list(names)
    if len(words) == 1:
        return f"container {words[0]} has"
    return f"containers {', '.join(words[:-1])} and {words[-1]} have"


def unmounted_volume(pod: Object) -> Object | None:
    """A volume with a token for the API server that some container does not mount."""
    for volume in pod["spec"].get("volumes") or []:
        if not volume.get("projected"):
            continue
        if any(not audience and not secret for _, audience, _, secret in volume_tokens(volume)):
            return dict(volume)
    return None


@check("SAT302", on="Pod", severity="error", stage="mount")
def container_not_mounting_token(pod: Object, world: World) -> Iterator[Finding]:
    """The pod has a volume with a token, and no container mounts it.

    ### What goes wrong

    A projected volume with a token stands among `spec.volumes`, but no container has a
    `volumeMounts` entry for it (the kubelet then does not even make it). With automounting off,
    nothing else brings a token. Where some containers mount it and others do not, only a hint is
    given, since that is also how a token is kept from those that need none.

    ### How to fix it

    Add the mount to the container that needs the token.
    """
    if is_mirror(pod) or finished(pod):
        return
    volume = unmounted_volume(pod)
    if volume is None:
        return
    served = {file.container for file in token_files(pod) if not file.audience}
    app = [item["name"] for item in pod["spec"].get("containers") or []]
    lacking = [
        item["name"]
        for item in containers(pod)
        if item["name"] in app and item["name"] not in served and default_mount(item) is None
    ]
    if not lacking:
        return
    changes = {
        name: {
            "volumeMounts": [
                {"name": volume["name"], "mountPath": TOKEN_MOUNT_PATH, "readOnly": True}
            ]
        }
        for name in lacking
    }
    patch = grouped(pod, changes)
    sources = complete(volume)
    if sources != volume["projected"]["sources"]:
        patch["volumes"] = [{"name": volume["name"], "projected": {"sources": sources}}]
    evidence = [volume_evidence(pod, volume["name"], f"{volume['name']}: projected, with a token")]
    for path, item in container_paths(pod):
        if item["name"] in lacking:
            value = f"no {volume['name']} in {item['name']}"
            evidence.append(at(pod, f"{path}.volumeMounts", value, here=True))
    yield Finding(
        f"{listed(lacking)} no token: volume {volume['name']} has one but is not mounted there",
        evidence[1],
        tuple(evidence),
        patch_pod(pod, world, patch, "mount it (pods are recreated)"),
        severity="hint" if served else "",
    )


def mentioned(container: Object, path: str) -> bool:
    """Whether a container's command, arguments or environment name a path (the client is told)."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    words += [str(variable.get("value") or "") for variable in container.get("env") or []]
    return any(path in word for word in words)


@check("SAT303", on="Pod", severity="warning", stage="mount")
def token_at_custom_path(pod: Object, world: World) -> Iterator[Finding]:
    """The token is mounted where client libraries do not look for it.

    ### What goes wrong

    The only token for the API server lies at a path of its own, and nothing at
    `/var/run/secrets/kubernetes.io/serviceaccount/token`, which client libraries have built in.
    Command, arguments and environment of the container do not mention the path, so the program
    seems not to know of it (it may read it from a configuration file, hence only likely).

    ### How to fix it

    Tell the program where the token is, or have it mounted at the default path as well.
    """
    if is_mirror(pod) or finished(pod):
        return
    tokens = api_tokens(pod, world)
    # a token that some container finds where it looks is a token that works: this is about none
    if any(is_default_file(file) for file in tokens):
        return
    odd: list[TokenFile] = []
    evidence: list[Evidence] = []
    by_name = {item["name"]: item for item in containers(pod)}
    for file in tokens:
        container = by_name[file.container]
        if default_mount(container) is not None:
            continue
        mount = next(one for one in container["volumeMounts"] if one["name"] == file.volume)
        if not mentioned(container, mount["mountPath"].rstrip("/")):
            odd.append(file)
            evidence.append(mount_evidence(pod, file.container, mount, here=True))
    if not odd:
        return
    yield Finding(
        f"the token is at {odd[0].path}, but clients look in {TOKEN_MOUNT_PATH}",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            {"automountServiceAccountToken": True},
            "have it mounted at the default path too (pods are recreated), "
            "or tell the program the path",
        ),
        certainty="likely",
    )


@check("SAT304", on="Pod", severity="error", stage="token")
def projected_foreign_audience_used_for_api(pod: Object, world: World) -> Iterator[Finding]:
    """The token at the default path is for somebody else than the API server.

    ### What goes wrong

    A projected volume at `/var/run/secrets/kubernetes.io/serviceaccount` asks for a token with an
    `audience` of its own. The API server takes only tokens for its own audiences and answers 401
    Unauthorized to all others. A wrong guess at the server's own audience is common (`api`,
    `kubernetes`, `https://kubernetes.default.svc` where it is another URL).

    ### How to fix it

    Leave `audience` out: it defaults to that of the API server. A token for another service belongs
    at a path of its own.
    """
    if is_mirror(pod) or finished(pod):
        return
    known: set[str] | None = None
    for file in token_files(pod):
        if not file.audience or not is_default_file(file):
            continue
        if known is None:
            known = api_audiences(world) or set()
        if file.audience in known:
            continue
        index, volume = next(
            (index, volume)
            for index, volume in enumerate(pod["spec"]["volumes"])
            if volume["name"] == file.volume
        )
        number = next(
            number
            for number, source in enumerate(volume["projected"]["sources"])
            if (source.get("serviceAccountToken") or {}).get("audience") == file.audience
        )
        here = at(
            pod,
            f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken.audience",
            file.audience,
            here=True,
        )
        evidence = [here]
        if known:
            evidence.append(
                Evidence("", "", "/.well-known/openid-configuration", "issuer", min(known))
            )
        yield Finding(
            f"the token of {file.container} is for {file.audience}, not for the API server",
            here,
            tuple(evidence),
            patch_pod(
                pod,
                world,
                {"volumes": [{"name": file.volume, "projected": {"sources": complete(volume)}}]},
                "leave the audience out, which means the API server (pods are recreated)",
            ),
            # the server may be told to take more audiences than its issuer
            certainty="likely" if known else "possible",
            severity="" if known else "hint",
        )
        return


def complete(volume: Object) -> list[Object]:
    """The sources of a token volume as client libraries expect them at the default path.

    The token is for the API server, and the CA certificate and the namespace are added where they
    are missing.
    """
    sources: list[Object] = []
    for source in volume["projected"]["sources"]:
        projection = source.get("serviceAccountToken")
        if projection:
            kept = {key: value for key, value in projection.items() if key != "audience"}
            source = {"serviceAccountToken": kept}
        sources.append(source)
    present = set().union(*(paths_of(source) for source in sources))
    for source in token_volume()["projected"]["sources"]:
        if not paths_of(source) & present:
            sources.append(source)
    return sources


def paths_of(source: Object) -> set[str]:
    """The files that a projected source brings, as far as its items tell."""
    paths = set()
    if source.get("serviceAccountToken"):
        paths.add(str(source["serviceAccountToken"].get("path")))
    for kind in ("configMap", "secret", "downwardAPI"):
        for item in (source.get(kind) or {}).get("items") or []:
            paths.add(str(item.get("path")))
    if (source.get("configMap") or {}).get("name") == ROOT_CA_CONFIG_MAP:
        # without items it brings all its keys, of which there is one
        paths.add("ca.crt")
    return paths
