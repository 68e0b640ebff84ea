"""The token that the kubelet asks for on behalf of a pod."""

from typing import NamedTuple

from .errors import UsageError
from .mint import Ask, Bound
from .mounts import account_of, is_mirror, volume_tokens
from .times import lifetime
from .workloads import finished
from .world import Object


class Source(NamedTuple):
    """A projected source of a pod: the file in a volume, for whom and for how many seconds."""

    volume: str
    path: str
    audience: str
    seconds: int

    def __str__(self) -> str:
        whom = self.audience or "the API server"
        return f"volume {self.volume}: {self.path}, for {whom}, {lifetime(self.seconds)}"


def sources(pod: Object) -> list[Source]:
    """What the kubelet asks for: the sources of the volumes that a container mounts.

    It leaves the other volumes alone (pkg/kubelet/volumemanager/populator).
    """
    spec = pod["spec"]
    mounted = {
        mount.get("name")
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field) or []
        for mount in container.get("volumeMounts") or []
    }
    return [
        Source(volume["name"], path, audience, seconds)
        for volume in spec.get("volumes") or []
        if volume["name"] in mounted
        for path, audience, seconds, secret in volume_tokens(volume)
        if not secret and seconds is not None
    ]


def choose(
    pod: Object, audiences: tuple[str, ...], volume: str, other: str = ""
) -> tuple[Ask, tuple[str, ...]]:
    """The TokenRequest of the kubelet for a pod, and what has to be said of it.

    ``other`` is the command that makes another token of its account. Raises UsageError where the
    kubelet asks for none, or for several of which none is named.
    """
    name = pod["metadata"]["name"]
    if is_mirror(pod):
        raise UsageError(f"pod/{name} mirrors a static pod, for which no kubelet asks for tokens")
    if not pod["spec"].get("nodeName"):
        raise UsageError(
            f"pod/{name} is on no node yet, so no kubelet asks for its tokens",
            f"for a token of its account: {other}" if other else "",
        )
    if finished(pod):
        raise UsageError(f"pod/{name} is finished, so the kubelet asks for no token any more")
    if len(audiences) > 1:
        raise UsageError("the kubelet asks for one audience at a time: say one --audience")
    there = sources(pod)
    if not there:
        raise UsageError(
            f"pod/{name} has no projected token", f"why: kubectl satoken doctor pod/{name}"
        )
    fitting = [
        one
        for one in there
        if volume in ("", one.volume) and (not audiences or one.audience == audiences[0])
    ]
    listed = "; ".join(map(str, fitting or there))
    if not fitting:
        raise UsageError(f"pod/{name} has no such token", f"it has {listed}")
    asked = dict.fromkeys((one.audience, one.seconds) for one in fitting)
    if len(asked) > 1:
        raise UsageError(
            f"pod/{name} has {len(asked)} tokens: say which by --audience or --volume", listed
        )
    ((audience, seconds),) = asked
    metadata = pod["metadata"]
    notes: tuple[str, ...] = ()
    if metadata.get("deletionTimestamp"):
        notes = (f"pod/{name} is being deleted, and its tokens end with it",)
    return (
        Ask(
            metadata.get("namespace", ""),
            account_of(pod),
            (audience,) if audience else (),
            seconds,
            Bound("Pod", name, metadata["uid"]),
        ),
        notes,
    )
