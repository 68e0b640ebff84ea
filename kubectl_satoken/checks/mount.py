"""The token, or its volume, is there, but not where the container looks for it."""

import posixpath
from collections.abc import Iterator

from ..admission import (
    PAPER_VOLUME,
    ROOT_CA_CONFIG_MAP,
    TOKEN_MOUNT_PATH,
    TOKEN_VOLUME_PREFIX,
    should_automount,
    token_volume,
)
from ..fixes import dumps, kubectl, patch_pod, quote
from ..mounts import (
    DEFAULT_PLACE,
    TokenFile,
    account_of,
    api_tokens,
    at_default_path,
    cleaned,
    container_paths,
    containers,
    default_mount,
    is_default_file,
    is_mirror,
    is_windows,
    looks_generated,
    same_place,
    token_files,
    volume_tokens,
    volumes,
)
from ..server import api_audiences, flags_of
from ..workloads import finished, is_live, owner_of, template_pod
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check

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
    shadowed: dict[str, Object] = {}
    hidden: set[str] = set()
    evidence: list[Evidence] = []
    for container, mount, volume in shadowing(pod, world):
        # what the API server takes for the token volume is SAT307
        if volume["name"].startswith(TOKEN_VOLUME_PREFIX):
            continue
        shadowed[container] = {
            "volumeMounts": [{"mountPath": mount["mountPath"], "$patch": "delete"}]
        }
        hidden.add(volume["name"])
        evidence.append(mount_evidence(pod, container, mount, here=True))
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
        severity="warning" if api_tokens(pod, world) else "",
        certainty="certain" if all(see_into(pod, name) for name in hidden) else "likely",
    )


def shadowing(pod: Object, world: World) -> Iterator[tuple[str, Object, Object]]:
    """The mounts at the default path that bring no token: (container, mount, volume)."""
    by_name = volumes(pod)
    tokens: list[TokenFile] | None = None
    for container in containers(pod):
        mount = default_mount(container)
        volume = by_name.get(mount["name"]) if mount else None
        if mount is None or volume is None:
            continue
        found = list(volume_tokens(volume))
        # a token for somebody else is SAT304, a Secret without a token SAT201 or SAT203, and a
        # token for the API server by another file name SAT310
        holds_token = any(path == "token" for path, *_ in found)
        if holds_token and (not volume.get("secret") or is_known_token(pod, volume, world)):
            continue
        if any(not audience and not secret for _, audience, _, secret in found):
            continue
        if tokens is None:
            tokens = api_tokens(pod, world)
        if any(file.container == container["name"] and is_default_file(file) for file in tokens):
            continue
        yield container["name"], mount, volume


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
    files = list(token_files(pod))
    served = {file.container for file in files if not file.audience}
    # the proxy of a mesh has a token of its own, for the mesh
    elsewhere = {file.container for file in files if file.audience} if served else set()
    app = [item["name"] for item in pod["spec"].get("containers") or []]
    lacking = [
        item["name"]
        for item in containers(pod)
        if item["name"] in app
        and item["name"] not in served | elsewhere
        and default_mount(item) is None
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
            certainty=audience_certainty(known, world),
            severity="" if known else "hint",
        )
        return


def audience_certainty(known: set[str], world: World) -> str:
    """How sure it is that the API server takes no other audiences than those that are known.

    It may be told to take more than its issuer. Where its flags can be seen, the one for the issuer
    is among them, for it has no default.
    """
    if not known:
        return "possible"
    return "certain" if flags_of(world, "service-account-issuer") else "likely"


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
    if source.get("clusterTrustBundle"):
        paths.add(str(source["clusterTrustBundle"].get("path")))
    for kind in ("configMap", "secret", "downwardAPI"):
        for item in (source.get(kind) or {}).get("items") or []:
            paths.add(str(item.get("path")))
    config_map = source.get("configMap") or {}
    if config_map.get("name") == ROOT_CA_CONFIG_MAP and not config_map.get("items"):
        # without items it brings all its keys, of which there is one
        paths.add("ca.crt")
    return paths


def written_spec(pod: Object, world: World) -> Object:
    """The pod spec as somebody wrote it: the template's, where the pod is made from one."""
    owner = owner_of(pod, world)
    template = template_pod(owner.object, owner.path) if owner and owner.object else None
    spec: Object = (template or pod)["spec"]
    return spec


def mounts_of(spec: Object, names: list[str]) -> Iterator[tuple[str, str, Object]]:
    """The mounts of some volumes in a pod spec: (field, container, mount)."""
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or []:
            for mount in container.get("volumeMounts") or []:
                if mount.get("name") in names:
                    yield field, container["name"], mount


def without(spec: Object, names: list[str]) -> Object:
    """A patch that takes volumes out of a pod spec, with their mounts."""
    patch: Object = {"volumes": [{"name": name, "$patch": "delete"} for name in names]}
    merged: dict[tuple[str, str], list[Object]] = {}
    for field, container, mount in mounts_of(spec, names):
        deleted = {"mountPath": mount["mountPath"], "$patch": "delete"}
        merged.setdefault((field, container), []).append(deleted)
    for (field, container), mounts in merged.items():
        patch.setdefault(field, []).append({"name": container, "volumeMounts": mounts})
    return patch


def moved(mount: Object, path: str) -> list[Object]:
    """A patch of volumeMounts that mounts the same at another path."""
    return [
        {"mountPath": mount["mountPath"], "$patch": "delete"},
        {**mount, "mountPath": path},
    ]


def brings_api_token(volume: Object | None) -> bool:
    """Whether a volume projects a token for the API server."""
    return any(
        not audience and not secret for _, audience, _, secret in volume_tokens(volume or {})
    )


@check("SAT306", on="Pod", severity="warning", stage="mount")
def duplicate_mount_alias(pod: Object, world: World) -> Iterator[Finding]:
    """A volume lies under the token: both are mounted at one place.

    ### What goes wrong

    The API server compares mount paths letter by letter. A volume at
    `/var/run/secrets/kubernetes.io/serviceaccount/` (with a slash at the end) or at
    `/run/secrets/kubernetes.io/serviceaccount` (images link `/var/run` to `/run`) is another place
    to it, so it mounts the token as well. In the container both are one place, the token lies on
    top, and the volume cannot be seen.

    ### How to fix it

    A volume that is to bring the token needs the very path
    `/var/run/secrets/kubernetes.io/serviceaccount`: then nothing else is mounted there. Any other
    volume belongs elsewhere.
    """
    if is_mirror(pod) or finished(pod):
        return
    windows = is_windows(pod)
    by_name = volumes(pod)
    changes: dict[str, Object] = {}
    evidence: list[Evidence] = []
    names: dict[str, None] = {}
    keeps = harmless = True
    for container in containers(pod):
        mounts = [
            mount
            for mount in container.get("volumeMounts") or []
            if at_default_path(mount) and not (windows and below_run(mount))
        ]
        if len(mounts) < 2:
            continue
        top = default_mount({"volumeMounts": mounts})
        patch: list[Object] = []
        for mount in mounts:
            if mount is top or top is None or mount["name"] == top["name"]:
                continue
            token = brings_api_token(by_name.get(mount["name"]))
            keeps = keeps and token
            harmless = harmless and token and brings_api_token(by_name.get(top["name"]))
            patch += moved(mount, TOKEN_MOUNT_PATH) if token else moved(mount, "")[:1]
            evidence.append(mount_evidence(pod, container["name"], mount, here=True))
            evidence.append(mount_evidence(pod, container["name"], top))
            names[mount["name"]] = None
        if patch:
            changes[container["name"]] = {"volumeMounts": patch}
    if not changes:
        return
    summary = (
        "spell the path as the API server does, so that nothing else is mounted there"
        if keeps
        else "take the mount out, or give the volume a path of its own"
    )
    yield Finding(
        f"{plural('volume', list(names))} cannot be seen: the token lies on top at "
        f"{TOKEN_MOUNT_PATH}",
        evidence[0],
        tuple(evidence),
        patch_pod(pod, world, grouped(pod, changes), f"{summary} (pods are recreated)"),
        severity="hint" if harmless else "",
    )


def below_run(mount: Object) -> bool:
    """Whether a mount path leads through /run and not /var/run."""
    return cleaned(mount["mountPath"]).startswith("/run/")


def plural(word: str, names: list[str]) -> str:
    """Some names as words: "volume a", "volumes a and b"."""
    if len(names) == 1:
        return f"{word} {names[0]}"
    return f"{word}s {', '.join(names[:-1])} and {names[-1]}"


@check("SAT307", on="Pod", severity="error", stage="mount")
def fake_kube_api_access_volume(pod: Object, world: World) -> Iterator[Finding]:
    """A volume without a token has a name that is kept for the token.

    ### What goes wrong

    The API server knows its token volume by the name: any volume that begins with
    `kube-api-access-` is taken for it, whatever it holds, and mounted at
    `/var/run/secrets/kubernetes.io/serviceaccount`. An emptyDir or ConfigMap of that name, or a
    copied volume from which the token was removed, leaves the containers without a token.

    ### How to fix it

    Take the volume out, or give it another name; then the real one is made.
    """
    if is_mirror(pod) or finished(pod):
        return
    containers_: list[str] = []
    evidence: list[Evidence] = []
    names: dict[str, None] = {}
    for container, mount, volume in shadowing(pod, world):
        if not volume["name"].startswith(TOKEN_VOLUME_PREFIX):
            continue
        if volume["name"] not in names:
            value = describe(volume)
            evidence.append(volume_evidence(pod, volume["name"], value, here=True))
        evidence.append(mount_evidence(pod, container, mount))
        names[volume["name"]] = None
        containers_.append(container)
    if not names:
        return
    spec = written_spec(pod, world)
    patch = without(spec, list(names))
    renamed = False
    for name in names:
        elsewhere = [
            (field, container, mount)
            for field, container, mount in mounts_of(spec, [name])
            if not at_default_path(mount)
        ]
        if elsewhere:
            renamed = True
            rename(patch, volumes(pod)[name], spec, elsewhere)
    (first, *_) = names
    yield Finding(
        f"{listed(containers_)} no token: volume {first} has the name of a token volume but holds "
        "none",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            and_automount(pod, world, patch),
            "give the volume another name (pods are recreated)"
            if renamed
            else "take the volume out (pods are recreated)",
        ),
        severity="warning" if api_tokens(pod, world) else "",
    )


def rename(
    patch: Object, volume: Object, spec: Object, mounts: list[tuple[str, str, Object]]
) -> None:
    """Adds to a patch that takes a volume out the same volume, and its mounts, by another name."""
    taken = {one["name"] for one in spec.get("volumes") or []}
    name = volume["name"].removeprefix(TOKEN_VOLUME_PREFIX).strip("-") or "data"
    while name in taken:
        name = f"data-{name}"
    patch["volumes"].append({**volume, "name": name})
    for field, container, mount in mounts:
        for item in patch[field]:
            if item["name"] == container:
                for change in item["volumeMounts"]:
                    if change["mountPath"] == mount["mountPath"]:
                        change.pop("$patch", None)  # two mounts at one path have one change
                        change["name"] = name


@check("SAT308", on="Pod", severity="warning", stage="mount")
def copied_pod_spec(pod: Object, world: World) -> Iterator[Finding]:
    """The spec was copied from a running pod, together with its token volume.

    ### What goes wrong

    What `kubectl get pod -o yaml` prints has in it what the API server put there: a volume
    `kube-api-access-x7k2p`, or in old clusters a Secret `default-token-x7k2p`, and a mount of it in
    each container. Made into a template or manifest, these stand in the way of the volume that the
    API server would add: the Secret is not there in another namespace or cluster, or goes away, and
    the projected volume stays as it was on the day of the copy.

    ### How to fix it

    Take the volume and its mounts out of the template or manifest. The API server adds a fresh one.
    """
    if is_mirror(pod) or finished(pod):
        return
    names = copied_volumes(pod)
    if not names:
        return
    by_name = volumes(pod)
    # what is broken by it has a finding of its own: SAT307, and SAT203 for a Secret that is gone
    broken = {volume["name"] for _, _, volume in shadowing(pod, world)}
    for name in names:
        secret = (by_name[name].get("secret") or {}).get("secretName")
        if secret and world.get("Secret", pod["metadata"].get("namespace", ""), secret) is None:
            broken.add(name)
    spec = written_spec(pod, world)
    written = {volume["name"] for volume in spec.get("volumes") or []}
    names = [name for name in names if name in written and name not in broken]
    if not names:
        return
    evidence = [
        volume_evidence(pod, name, describe(by_name[name]), here=not number)
        for number, name in enumerate(names)
    ]
    for field, container, mount in mounts_of(pod["spec"], names):
        if field == field_of(pod, container):
            evidence.append(mount_evidence(pod, container, mount))
    yield Finding(
        f"{plural('volume', names)} {'was' if len(names) == 1 else 'were'} made for another pod "
        "and copied from it",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            and_automount(pod, world, without(spec, names)),
            "take the copied volume out, so that a fresh one is added (pods are recreated)",
        ),
        # somebody may have chosen such a name by hand
        certainty="certain" if not is_live(pod) else "likely",
    )


def copied_volumes(pod: Object) -> list[str]:
    """The volumes that seem to have been made for another pod.

    A live pod has one of that name from the API server; where that brings no token it is SAT307.
    """
    live = is_live(pod)
    names = []
    default = {mount["name"] for mount in map(default_mount, containers(pod)) if mount}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        if name.startswith(TOKEN_VOLUME_PREFIX):
            if name != PAPER_VOLUME and not live and brings_api_token(volume):
                names.append(name)
        elif name in default and looks_generated(
            str((volume.get("secret") or {}).get("secretName", ""))
        ):
            names.append(name)
    return names


@check("SAT309", on="Pod", severity="hint", stage="mount")
def ephemeral_container_no_token(pod: Object, world: World) -> Iterator[Finding]:
    """The debug container has no token, though the pod has one.

    ### What goes wrong

    `kubectl debug` adds an ephemeral container, and the API server mounts no token into those: in
    its shell `/var/run/secrets/kubernetes.io/serviceaccount` is not there. The pod's own containers
    have theirs; this is no fault of the pod.

    ### How to fix it

    Ask in a container of the pod itself (`kubectl exec`), or add a debug container that mounts the
    pod's token volume, which `--custom` can do.
    """
    ephemeral = pod["spec"].get("ephemeralContainers") or []
    if not ephemeral or not is_live(pod) or is_mirror(pod) or finished(pod):
        return
    # they can never be taken out again: what counts is the newest
    number, newest = len(ephemeral) - 1, ephemeral[-1]
    if default_mount(newest) is not None or has_ended(pod, newest["name"]):
        return
    file = next((file for file in api_tokens(pod, world) if is_default_file(file)), None)
    if file is None:
        return
    path = f"spec.ephemeralContainers[{number}].volumeMounts"
    here = at(pod, path, f"nothing at {TOKEN_MOUNT_PATH} in {newest['name']}", here=True)
    taken = {item["name"] for _, item in container_paths(pod)} | {i["name"] for i in ephemeral}
    name = "debugger-token"
    while name in taken:
        name += "s"
    mount = {"name": file.volume, "mountPath": TOKEN_MOUNT_PATH, "readOnly": True}
    custom = quote(dumps({"stdin": True, "tty": True, "volumeMounts": [mount]}))
    command = kubectl(
        world,
        pod["metadata"].get("namespace", ""),
        "debug",
        pod["metadata"]["name"],
        f"--container={name}",
        f"--image={newest.get('image', '')}",
        f"--target={file.container}",
    )
    yield Finding(
        f"debug container {newest['name']} has no token: none is ever mounted into those",
        here,
        (here, volume_evidence(pod, file.volume, f"{file.volume}: mounted in {file.container}")),
        Fix(
            f"add one that mounts the volume, then: kubectl attach -it "
            f"{pod['metadata']['name']} -c {name}",
            (f"{command} --custom=<(echo {custom})",),
        ),
    )


def has_ended(pod: Object, container: str) -> bool:
    """Whether an ephemeral container has ended, as far as the status tells."""
    statuses = (pod.get("status") or {}).get("ephemeralContainerStatuses") or []
    return any(
        status.get("name") == container and (status.get("state") or {}).get("terminated")
        for status in statuses
    )


@check("SAT310", on="Pod", severity="warning", stage="mount")
def manual_volume_missing_ca_or_namespace(pod: Object, world: World) -> Iterator[Finding]:
    """The hand-made token volume lacks a file that clients expect beside the token.

    ### What goes wrong

    Client libraries read three files from `/var/run/secrets/kubernetes.io/serviceaccount`:
    `token`, `ca.crt` and `namespace`. The volume that is mounted there was written by hand and does
    not bring them all. Without `ca.crt` they do not trust the API server (`x509: certificate signed
    by unknown authority`), without `namespace` they do not know where they are, and a token by
    another name than `token` is not found at all.

    ### How to fix it

    Give the volume all three sources, as the API server does.
    """
    if is_mirror(pod) or finished(pod):
        return
    by_name = volumes(pod)
    lacking: dict[str, set[str]] = {}
    where: dict[str, Evidence] = {}
    for container in containers(pod):
        mount = default_mount(container)
        volume = by_name.get(mount["name"]) if mount else None
        if mount is None or not volume or mount.get("subPath") or mount.get("subPathExpr"):
            continue
        if not volume.get("projected") or not brings_api_token(volume):
            continue
        missing = missing_files(pod, container, volume, world)
        if is_live(pod) and volume["name"].startswith(TOKEN_VOLUME_PREFIX):
            # not made by hand, unless what nothing works without is missing
            missing.discard("namespace")
        if missing:
            lacking.setdefault(volume["name"], set()).update(missing)
            where[volume["name"]] = mount_evidence(pod, container["name"], mount)
    for name, files in lacking.items():
        index = [volume["name"] for volume in pod["spec"]["volumes"]].index(name)
        brought = sorted(set().union(*map(paths_of, by_name[name]["projected"]["sources"])))
        here = at(
            pod, f"spec.volumes[{index}].projected.sources", f"only {', '.join(brought)}", here=True
        )
        patch = {"volumes": [{"name": name, "projected": {"sources": complete(by_name[name])}}]}
        yield Finding(
            f"volume {name} brings no {' and no '.join(sorted(files))} to {TOKEN_MOUNT_PATH}",
            here,
            (where[name], here),
            patch_pod(pod, world, patch, "add what is missing (pods are recreated)"),
            severity="error" if "token" in files else "" if "ca.crt" in files else "hint",
        )
        return


def missing_files(pod: Object, container: Object, volume: Object, world: World) -> set[str]:
    """Which of the three files a container does not find at the default path."""
    sources = volume["projected"].get("sources") or []
    missing = {"token", "ca.crt", "namespace"}.difference(*map(paths_of, sources))
    for mount in container.get("volumeMounts") or []:
        folder, _, file = same_place(mount.get("mountPath", "")).rpartition("/")
        if folder == DEFAULT_PLACE:
            missing.discard(file)
    if "token" not in missing and (missing & {"ca.crt", "namespace"}):
        for source in sources:
            missing -= unlisted_files(pod, source, world)
    return missing


def unlisted_files(pod: Object, source: Object, world: World) -> set[str]:
    """The files that a source without items brings: all the keys that its object has."""
    config_map, secret = source.get("configMap") or {}, source.get("secret") or {}
    if secret and not secret.get("items"):
        # its keys cannot be seen, so they may be anything
        return {"ca.crt", "namespace"}
    if not config_map or config_map.get("items"):
        return set()
    namespace = pod["metadata"].get("namespace", "")
    found = world.get("ConfigMap", namespace, config_map.get("name", "")) or {}
    return set(found.get("data") or {}) | set(found.get("binaryData") or {})


@check("SAT311", on="Pod", severity="hint", stage="mount")
def windows_paths(pod: Object, world: World) -> Iterator[Finding]:
    r"""The token is under /run, which on Windows is not where programs look.

    ### What goes wrong

    In Linux images `/var/run` is a link to `/run`, so a token that is mounted at
    `/run/secrets/kubernetes.io/serviceaccount` is found by everybody. Windows has no such link: the
    token is at `C:\run\secrets\kubernetes.io\serviceaccount`, and client libraries look in
    `C:\var\run\secrets\kubernetes.io\serviceaccount`.

    ### How to fix it

    Mount it at `/var/run/secrets/kubernetes.io/serviceaccount`; the kubelet makes of it the path on
    drive C.
    """
    if not is_windows(pod) or is_mirror(pod) or finished(pod):
        return
    by_name = volumes(pod)
    changes: dict[str, Object] = {}
    evidence: list[Evidence] = []
    for container in containers(pod):
        mounts = [one for one in container.get("volumeMounts") or [] if at_default_path(one)]
        if not mounts or not all(map(below_run, mounts)):
            continue
        if not any(True for _ in volume_tokens(by_name.get(mounts[0]["name"]) or {})):
            continue
        changes[container["name"]] = {"volumeMounts": moved(mounts[0], TOKEN_MOUNT_PATH)}
        evidence.append(mount_evidence(pod, container["name"], mounts[0], here=True))
    if not changes:
        return
    windows = "C:" + TOKEN_MOUNT_PATH.replace("/", "\\")
    yield Finding(
        f"the pod is for Windows, where programs look for the token in {windows}",
        evidence[0],
        (*evidence, *windows_evidence(pod)),
        patch_pod(
            pod,
            world,
            grouped(pod, changes),
            "mount it at the path that becomes that one (pods are recreated)",
        ),
        certainty="possible",
    )


def windows_evidence(pod: Object) -> Iterator[Evidence]:
    """Where a pod says that it is for Windows."""
    if (pod["spec"].get("os") or {}).get("name"):
        yield at(pod, "spec.os.name", pod["spec"]["os"]["name"])
    else:
        yield at(pod, "spec.nodeSelector[kubernetes.io/os]", "windows")


# Volumes in which the kubelet makes the folder for what is mounted below them, though they are
# read-only (pkg/volume/util/nested_volumes.go).
WRITTEN_BY_KUBELET = ("secret", "configMap", "projected", "downwardAPI")


@check("SAT312", on="Pod", severity="error", stage="mount")
def readonly_parent_mount(pod: Object, world: World) -> Iterator[Finding]:
    """The token cannot be mounted below a volume that is read-only.

    ### What goes wrong

    Another volume is mounted at a parent of `/var/run/secrets/kubernetes.io/serviceaccount` and
    cannot be written to, so the folder for the token cannot be made in it and the container never
    starts: `error mounting … mkdirat …/run/secrets/kubernetes.io: read-only file system`.

    For Secrets, ConfigMaps and projected volumes the kubelet makes that folder beforehand, but only
    when their path is written as the token's is: `/var/run/secrets` works and `/run/secrets` does
    not, though images link one to the other. For all other volumes with `readOnly: true` nobody
    does. `readOnlyRootFilesystem` is no problem.

    ### How to fix it

    Write `/var/run/…` instead of `/run/…`, make the mount writable, or mount the volume somewhere
    else.
    """
    if is_mirror(pod) or finished(pod) or is_windows(pod):
        return
    by_name = volumes(pod)
    for path, container in container_paths(pod):
        token = default_mount(container)
        if token is None:
            continue
        for mount in container["volumeMounts"]:
            if not is_above(mount, token):
                continue
            volume = by_name.get(mount["name"])
            kind = next((key for key in volume if key != "name"), "") if volume else ""
            certainty = stops(pod, container, mount, token, volume)
            if volume is None or not certainty:
                continue
            if certainty != "certain" and not is_live(pod) and world.source != "manifests":
                # whether a template's pods can start is told by those that are there
                continue
            said = refused(pod, container["name"])
            patch, summary = unblocked(mount, kind)
            here = mount_evidence(pod, container["name"], mount, here=True)
            seen = volume_evidence(pod, volume["name"], describe(volume))
            evidence = [here, seen, mount_evidence(pod, container["name"], token)]
            if said:
                evidence.append(at(pod, f"{path} (status)", said))
            change = grouped(pod, {container["name"]: {"volumeMounts": patch}})
            yield Finding(
                f"container {container['name']} cannot start: its token cannot be mounted below "
                f"{mount['mountPath']}, which is read-only",
                here,
                tuple(evidence),
                patch_pod(pod, world, change, f"{summary} (pods are recreated)"),
                certainty="certain" if said else certainty,
            )
            return


def is_above(mount: Object, token: Object) -> bool:
    """Whether a mount lies at a parent of the token's, by its path or through /var/run."""
    upper, lower = mount["mountPath"], token["mountPath"]
    if upper == "/":
        return False
    return cleaned(lower).startswith(cleaned(upper) + "/") or same_place(lower).startswith(
        same_place(upper) + "/"
    )


def stops(
    pod: Object, container: Object, mount: Object, token: Object, volume: Object | None
) -> str:
    """How sure it is that a container with the token below this mount cannot start; empty: not."""
    if volume is None or has_run(pod, container["name"]):
        return ""
    if any(volume.get(kind) is not None for kind in WRITTEN_BY_KUBELET):
        literal = cleaned(token["mountPath"]).startswith(cleaned(mount["mountPath"]) + "/")
        # an image without the link from /var/run to /run is rare, and has nothing to stop it
        return "" if literal and not mount.get("subPath") else "likely"
    read_only = any(
        isinstance(source, dict) and source.get("readOnly") for source in volume.values()
    )
    if not (mount.get("readOnly") or read_only or "image" in volume):
        return ""
    if "emptyDir" not in volume:
        # the folder may be in it already, as on a node where another pod has left it
        return "possible" if "hostPath" in volume else "likely"
    writers = [
        (other, one)
        for other in containers(pod)
        if other is not container
        for one in other.get("volumeMounts") or []
        if one["name"] == volume["name"] and not one.get("readOnly")
    ]
    if any(
        (lower := default_mount(other)) is not None and is_above(one, lower)
        for other, one in writers
    ):
        # the runtime makes the folder when it mounts the token there for that container
        return ""
    return "likely" if writers else "certain"


# The reasons with which a container ends that the runtime could not start.
NEVER_STARTED = ("StartError", "ContainerCannotRun")


def status_of(pod: Object, container: str) -> Object:
    """The status of a container; empty where there is none."""
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(field) or []:
            if one.get("name") == container:
                return dict(one)
    return {}


def has_run(pod: Object, container: str) -> bool:
    """Whether a container has ever started, as far as its status tells."""
    status = status_of(pod, container)
    states = [status.get("state") or {}, status.get("lastState") or {}]
    return any(
        state.get("running")
        # what could not even be started has ended, too
        or (state.get("terminated") or {}).get("reason", "StartError") not in NEVER_STARTED
        for state in states
    )


def refused(pod: Object, container: str) -> str:
    """What the runtime said of a read-only file system when the container was to start."""
    status = status_of(pod, container)
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        for way in ("waiting", "terminated"):
            message = str((state.get(way) or {}).get("message") or "")
            if "read-only file system" in message:
                return message
    return ""


def unblocked(mount: Object, kind: str) -> tuple[list[Object], str]:
    """A patch of volumeMounts that lets the token be mounted, and what it does in words."""
    path = cleaned(mount["mountPath"])
    if kind in WRITTEN_BY_KUBELET and (path == "/run" or path.startswith("/run/")):
        return moved(mount, f"/var{path}"), "spell the path as the token's, by way of /var/run"
    if kind == "emptyDir":
        change = {"mountPath": mount["mountPath"], "readOnly": False}
        return [change], "let the volume be written to"
    return (
        moved(mount, posixpath.join("/mnt", mount["name"])),
        "mount it elsewhere, and tell the program so",
    )
