"""Which token files the containers of a pod find, and what each of them is.

Judged by the stored volumes and mounts alone: the automount flags count only when a pod is made.
"""

import posixpath
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .admission import MIRROR_ANNOTATION, TOKEN_MOUNT_PATH
from .server import api_audiences
from .world import Object, Unseen, World

TOKEN_SECRET_TYPE = "kubernetes.io/service-account-token"
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"

# What stands in the place of an empty value in a Secret that was read from a file.
EMPTY = "empty"


class TokenFile(NamedTuple):
    """A token file in a container.

    ``path`` is the file; ``audience`` is empty when the token is for the API server; ``lifetime``
    is in seconds, or None for a token that does not expire; ``secret`` names the Secret that a
    legacy token comes from, and is empty for a projected one.
    """

    container: str
    path: str
    volume: str
    audience: str
    lifetime: int | None
    secret: str


def containers(pod: Object) -> list[Object]:
    """The containers that may hold a token: init containers and containers.

    Ephemeral ones never get a token by themselves and are nobody's fault.
    """
    return [container for _, container in container_paths(pod)]


def container_paths(pod: Object) -> Iterator[tuple[str, Object]]:
    """The same containers, each after its path in the pod: ``spec.containers[0]``."""
    for field in ("initContainers", "containers"):
        for index, container in enumerate(pod["spec"].get(field) or []):
            yield f"spec.{field}[{index}]", container


def volumes(pod: Object) -> dict[str, Object]:
    """The volumes of a pod by name."""
    return {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}


def is_windows(pod: Object) -> bool:
    """Whether a pod says that it is for Windows."""
    spec = pod["spec"]
    selector = spec.get("nodeSelector") or {}
    named = (spec.get("os") or {}).get("name") or selector.get("kubernetes.io/os")
    return bool(named == "windows")


@lru_cache(maxsize=1024)
def cleaned(path: str) -> str:
    """A mount path normalised; one in the manner of Windows without its drive, with slashes."""
    if "\\" in path or path[1:2] == ":":
        path = path.replace("\\", "/")
        path = path[2:] if path[1:2] == ":" else path
    return posixpath.normpath(path or "/")


def same_place(path: str) -> str:
    """A mount path as the container sees it: normalised, with /var/run being /run as in images."""
    path = cleaned(path)
    return path[4:] if path.startswith("/var/run/") else path


DEFAULT_PLACE = same_place(TOKEN_MOUNT_PATH)


def at_default_path(mount: Object) -> bool:
    """Whether a mount lies where clients look for the token."""
    return same_place(mount.get("mountPath", "")) == DEFAULT_PLACE


def volume_tokens(volume: Object) -> Iterator[tuple[str, str, int | None, str]]:
    """The token files of a volume: (path, audience, lifetime, secret).

    Where two sources bring one file the kubelet keeps the last (pkg/volume/projected). A Secret
    volume counts when it holds a key ``token``, which cannot be seen here: it is taken to do so
    unless its items say otherwise. Whether the Secret really is a token is for the caller.
    """
    found: dict[str, tuple[str, str, int | None, str]] = {}
    for source in (volume.get("projected") or {}).get("sources") or []:
        projection = source.get("serviceAccountToken")
        if projection:
            path = projection.get("path") or "token"
            found[posixpath.normpath(path)] = (
                path,
                projection.get("audience") or "",
                projection.get("expirationSeconds") or 3600,
                "",
            )
            continue
        for kind in ("secret", "configMap", "downwardAPI"):
            for item in (source.get(kind) or {}).get("items") or []:
                found.pop(posixpath.normpath(item.get("path") or "."), None)
        if source.get("secret"):
            for token in secret_tokens(source["secret"], source["secret"].get("name", "")):
                # whether a Secret without items has such a key is not known: no reason to lose one
                found.setdefault(posixpath.normpath(token[0]), token)
    yield from found.values()
    if volume.get("secret"):
        yield from secret_tokens(volume["secret"], volume["secret"].get("secretName", ""))


def secret_tokens(source: Object, secret: str) -> Iterator[tuple[str, str, int | None, str]]:
    """The file that the key ``token`` of a Secret becomes."""
    items = source.get("items")
    if items is None:
        yield "token", "", None, secret
    else:
        for item in items:
            if item.get("key") == "token":
                yield item.get("path", "token"), "", None, secret


def token_files(pod: Object) -> list[TokenFile]:
    """All token files that the containers of a pod find, by container and mount.

    What lies under another mount of the default path is not found. Most checks of a pod ask for
    them, one after the other, so the last answer is remembered.
    """
    global last_files
    spec, files = last_files
    if spec is not pod["spec"]:
        files = found_files(pod)
        last_files = (pod["spec"], files)
    return [*files]


last_files: tuple[Object | None, list[TokenFile]] = (None, [])


def found_files(pod: Object) -> list[TokenFile]:
    """The token files of a pod, looked for."""
    by_name = volumes(pod)
    found = []
    for container in containers(pod):
        top = default_mount(container)
        for mount in container.get("volumeMounts") or []:
            volume = by_name.get(mount.get("name", ""))
            if volume is None or (at_default_path(mount) and mount is not top):
                continue
            sub_path = mount.get("subPath") or mount.get("subPathExpr") or ""
            for path, audience, lifetime, secret in volume_tokens(volume):
                if sub_path:
                    if not within(path, sub_path):
                        continue
                    below = posixpath.relpath(path, sub_path)
                    file = posixpath.normpath(posixpath.join(mount["mountPath"], below))
                else:
                    file = posixpath.join(mount["mountPath"], path)
                found.append(
                    TokenFile(
                        container["name"],
                        file,
                        volume["name"],
                        audience,
                        lifetime,
                        secret,
                    )
                )
    return found


def within(path: str, sub_path: str) -> bool:
    """Whether a file of a volume is what a subPath names, or lies in that folder."""
    whole = posixpath.normpath(sub_path)
    return f"{posixpath.normpath(path)}/".startswith(f"{whole}/")


def renewed_after(lifetime: float) -> float:
    """The age, in seconds, at which the kubelet fetches a token of that lifetime anew.

    When 80 % of its life or a day have passed (pkg/kubelet/token/token_manager.go); it looks about
    once a minute, which is for the caller to add.
    """
    return min(lifetime * 0.8, 24 * 3600)


def default_mount(container: Object) -> Object | None:
    """The mount that lies on the default path of a container.

    Where there are several by different spellings, container runtimes mount those with fewer parts
    in their path first (/run/… before /var/run/…) and else in the given order; the last is on top.
    """
    found = None
    most = 0
    for mount in container.get("volumeMounts") or []:
        if at_default_path(mount):
            parts = cleaned(mount["mountPath"]).count("/")
            if parts >= most:
                found, most = mount, parts
    return found


def is_default_file(file: TokenFile) -> bool:
    """Whether a token file is the one that client libraries read without being told."""
    return same_place(file.path) == posixpath.join(DEFAULT_PLACE, "token")


def looks_generated(secret: str) -> bool:
    """Whether a Secret's name is of the form that Kubernetes gave to token Secrets before 1.24."""
    head, mark, tail = secret.rpartition("-token-")
    return bool(head and mark) and len(tail) == 5 and tail.isalnum() and tail == tail.lower()


def is_token_secret(file: TokenFile, pod: Object, world: World) -> bool:
    """Whether the Secret behind a token file holds a token, as far as that can be seen.

    Where Secrets may not be read, or this one is gone, the place and the name tell.
    """
    try:
        secret = world.get("Secret", pod["metadata"].get("namespace", ""), file.secret)
    except Unseen:
        secret = None
    if secret is None:
        return is_default_file(file) or looks_generated(file.secret)
    if secret.get("type") == TOKEN_SECRET_TYPE:
        return has_token(secret)
    # an Opaque Secret at the default path is a token that somebody copied
    return is_default_file(file) and has_token(secret)


def has_token(secret: Object) -> bool:
    """Whether a Secret is filled, by its keys (in files) or their number (from a cluster)."""
    if "dataCount" in secret:
        return int(secret["dataCount"] or 0) > 0
    fields = [secret.get(field) or {} for field in ("data", "stringData")]
    return any((field.get("token") or EMPTY) != EMPTY for field in fields)


def api_tokens(pod: Object, world: World) -> list[TokenFile]:
    """The token files of a pod that are meant for the API server."""
    found = []
    for file in token_files(pod):
        if file.audience:
            if file.audience in (api_audiences(world) or ()):
                found.append(file)
        elif not file.secret or is_token_secret(file, pod, world):
            found.append(file)
    return found


def is_mirror(pod: Object) -> bool:
    """Whether a pod only mirrors a static pod of a node, which can have no token."""
    return MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {})


def account_of(pod: Object) -> str:
    """The name of the pod's service account."""
    spec = pod["spec"]
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
