"""What is known of the API server itself: its version, its audiences, its flags."""

from weakref import WeakKeyDictionary

from .world import Object, Unseen, World

Version = tuple[int, int]


def version_of(world: World) -> Version | None:
    """The server's version as (major, minor); None where it is not known.

    Managed clusters report more after it (``v1.34.3-eks-113cf36``, minor ``34+``).
    """
    try:
        document = world.text("/version") or {}
        major, minor = str(document.get("major", "")), str(document.get("minor", ""))
        return int(major), int(minor.rstrip("+"))
    except (Unseen, ValueError):
        return None


def flags_of(world: World, flag: str) -> list[str]:
    """The values of a flag of kube-apiserver, where its static pod can be seen; else empty.

    Managed clusters hide it, so its absence says nothing.
    """
    values = []
    for word in arguments(world):
        name, mark, value = word.partition("=")
        if mark and name.lstrip("-") == flag:
            values.append(value)
    return values


# By world, since a sweep asks again and again, and kube-system may have very many pods.
known_arguments: "WeakKeyDictionary[World, list[str]]" = WeakKeyDictionary()


def arguments(world: World) -> list[str]:
    """The words of the command lines of kube-apiserver's static pods; none where unseen."""
    found = known_arguments.get(world)
    if found is not None:
        return found
    words: list[str] = []
    try:
        for pod in world.list("Pod", "kube-system"):
            labels = pod["metadata"].get("labels") or {}
            if labels.get("component") != "kube-apiserver":
                continue
            for container in pod["spec"].get("containers") or []:
                parts = [*(container.get("command") or []), *(container.get("args") or [])]
                words += [str(word) for word in parts]
    except Unseen:
        pass
    known_arguments[world] = words
    return words


def api_audiences(world: World) -> set[str] | None:
    """The audiences that the API server is known to take. None when they are not known.

    The issuer is the default of --api-audiences (pkg/kubeapiserver/options/authentication.go), so
    a server whose flags cannot be seen may take more than this.
    """
    try:
        document: Object = world.text("/.well-known/openid-configuration") or {}
    except Unseen:
        document = {}
    known = {document["issuer"]} if document.get("issuer") else set()
    for value in flags_of(world, "api-audiences"):
        known.update(value.split(","))
    return known or None
