"""Workloads: where the pod template is, who owns a pod, and which pods a workload has."""

from collections.abc import Iterator
from typing import NamedTuple

from .world import KINDS, Object, Unseen, World

# Where built-in and custom resources keep a pod template, most specific first.
TEMPLATE_PATHS = (("spec", "jobTemplate", "spec", "template"), ("spec", "template"), ("template",))


class Owner(NamedTuple):
    """What a pod is made from, where a fix belongs.

    ``object`` is None where it could not be read (the names come from the owner reference then).
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    object: Object | None

    @property
    def resource(self) -> str:
        """The resource as kubectl takes it: ``deployment``, or ``rollout.argoproj.io``."""
        group = self.api_version.rpartition("/")[0]
        kind = self.kind.lower()
        return kind if self.kind in KINDS or not group else f"{kind}.{group}"


def template_path(workload: Object) -> tuple[str, ...]:
    """The fields that lead to the pod template of a workload, found by shape; empty if it has none.

    By shape means: an object with a ``spec`` that has ``containers``.
    """
    for path in TEMPLATE_PATHS:
        here: object = workload
        for field in (*path, "spec"):
            here = here.get(field) if isinstance(here, dict) else None
        if isinstance(here, dict) and isinstance(here.get("containers"), list):
            return path
    return ()


def template_pod(workload: Object) -> Object | None:
    """The pod that a workload's template describes, named after the workload; None without one."""
    path = template_path(workload)
    if not path:
        return None
    template: Object = workload
    for field in path:
        template = template[field]
    metadata = workload["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "ownerReferences": [
                {
                    "apiVersion": workload.get("apiVersion", ""),
                    "kind": workload["kind"],
                    "name": metadata["name"],
                    "uid": metadata.get("uid", ""),
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def is_live(pod: Object) -> bool:
    """Whether a pod was stored by an API server, rather than read from a template or manifest."""
    # past what likeness.py counts as read: which uid it is does not matter here
    return bool(dict.get(pod["metadata"], "uid"))


def made_before(item: Object, moment: str) -> bool:
    """Whether an object was made before a time, both as Kubernetes writes them."""
    metadata = item["metadata"]
    # pods of one workload were made at different times, on the same side of most others
    watched = getattr(metadata, "made_before", None)
    if watched is not None:
        return bool(watched(moment))
    return str(metadata.get("creationTimestamp") or "") < moment


def finished(pod: Object) -> bool:
    """Whether a pod has ended: nothing renews its token any more, and nothing needs to."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def controller_of(item: Object) -> Object | None:
    """The owner reference that is the controller, or None."""
    for reference in item["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def at_hand(reference: Object, namespace: str, world: World) -> Object | None:
    """The controller of what a reference names, where the world knows it without reading that.

    Only one that has a pod template itself: else the walk ends below it, and needs what is there.
    """
    ask = getattr(world, "controller", None)
    above: Object | None = ask(reference, namespace) if ask is not None else None
    if above is None:
        return None
    try:
        item = world.get(above["kind"], namespace, above["name"], above.get("apiVersion", ""))
    except Unseen:
        return above
    return above if item is None or template_path(item) else None


def owner_of(pod: Object, world: World) -> Owner | None:
    """The topmost controller of a pod that has a pod template (a Deployment, not its ReplicaSet).

    None for a pod that stands alone (or on its own as a mirror of a static pod). A controller that
    cannot be read ends the walk, and is the answer as far as its reference names it.
    """
    found = None
    reference = controller_of(pod)
    namespace = pod["metadata"].get("namespace", "")
    for _ in range(5):
        if reference is None or reference["kind"] == "Node":
            break
        above = at_hand(reference, namespace, world)
        if above is not None:
            reference = above
        kind, name = reference["kind"], reference["name"]
        api_version = reference.get("apiVersion", "")
        try:
            item = world.get(kind, namespace, name, api_version)
        except Unseen:
            return Owner(kind, api_version, namespace, name, None)
        if item is not None and not template_path(item):
            break
        found = Owner(kind, api_version, namespace, name, item)
        if item is None:
            break
        reference = controller_of(item)
    return found


def pods_of(workload: Object, world: World) -> Iterator[Object]:
    """The live pods of a workload, through the controllers between (ReplicaSets, Jobs).

    Raises Unseen when pods cannot be listed.
    """
    namespace = workload["metadata"].get("namespace", "")
    uids = {workload["metadata"].get("uid")}
    between = {"Deployment": "ReplicaSet", "CronJob": "Job"}.get(workload["kind"])
    if between:
        uids |= {
            item["metadata"]["uid"]
            for item in world.list(between, namespace, metadata=True)
            if (controller_of(item) or {}).get("uid") in uids
        }
    for pod in world.list("Pod", namespace):
        if (controller_of(pod) or {}).get("uid") in uids:
            yield pod


def creators(workload: Object, world: World) -> Iterator[Object]:
    """The objects whose events tell why pods are not made: the workload and those between."""
    yield workload
    between = {"Deployment": "ReplicaSet", "CronJob": "Job"}.get(workload["kind"])
    if between:
        for item in world.list(between, workload["metadata"].get("namespace", ""), metadata=True):
            if (controller_of(item) or {}).get("uid") == workload["metadata"].get("uid"):
                yield item
